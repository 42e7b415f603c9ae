"""What happens to the servers and their links in a run. Each function is one event: it begins, lets clients work, ends.

An event leaves the network whole, all processes running, and every node with a place in the tree of links. `LINK_EVENTS`
break nothing but links, so afterwards the replica must go on where it stopped: no full synchronization.
"""

import os
import random
import signal
from contextlib import suppress

import paths  # noqa: F401
from dataset import offset
from harness import Timeout, child_pids, wait_for
from wire import Closed, ReplyError
from world import LINKS_WITHIN, NOT_NOW, REPL_TIMEOUT, Failed

ENDS_ON_FULL_DISK = "and the AOF fsync policy is 'always'. Exiting..."
HELD = REPL_TIMEOUT + 1.2  # seconds after which both ends have noticed that nothing arrives


def duration(rng):
    """How long a fault lasts: mostly a moment, sometimes until the timeouts have passed."""
    return rng.choice((0.05, 0.2, 0.5, 1.0, HELD))


def pick_link(world, rng):
    """(upstream, replica, proxy between them)"""
    replica = rng.choice([node for node in world.nodes if node.upstream])
    return replica.upstream, replica, replica.upstream.entrance(replica)


def some_node(world, rng):
    return rng.choice([node for node in world.nodes if node.reachable])


def meanwhile(world, rng, seconds):
    """What happens while a link is broken."""
    if rng.random() < 0.4:
        rng.choice((save, kill_child, configure))(world, rng)
    world.let_pass(5000, seconds)


# Links


def cut(world, rng):
    upstream, replica, proxy = pick_link(world, rng)
    for _ in range(rng.choice((1, 1, 4))):
        how = rng.choice((proxy.cut, proxy.reset))
        world.note(f"the link of {replica} to {upstream} is cut ({how.__name__})")
        how()
        world.let_pass(rng.randrange(100))


def cut_first_link(world, _rng):
    replica = world.replicas()[0]
    replica.upstream.entrance(replica).cut()


def cut_at_a_byte(world, rng):
    upstream, replica, proxy = pick_link(world, rng)
    for _ in range(rng.choice((1, 3))):
        count = rng.choice((1, 10, 100, 1000, 10000, 100000))
        count = rng.randrange(count) + 1
        world.note(f"the link of {replica} to {upstream} is cut after {count} more bytes")
        proxy.cut_after(count)
        world.let_pass(300)
    proxy.resume()


def refuse(world, rng):
    upstream, replica, proxy = pick_link(world, rng)
    how = rng.choice((proxy.refuse, proxy.unreachable))
    seconds = duration(rng)
    world.note(f"{upstream} cannot be reached by {replica} for {seconds} s ({how.__name__})")
    how()
    meanwhile(world, rng, seconds)
    proxy.allow()


def stall(world, rng):
    upstream, replica, proxy = pick_link(world, rng)
    way, seconds = rng.choice((None, "down", "up")), duration(rng)
    world.note(f"nothing passes between {upstream} and {replica} for {seconds} s ({way or 'both ways'})")
    proxy.stall(way)
    meanwhile(world, rng, seconds)
    if rng.random() < 0.3:
        proxy.reset()
    proxy.resume()


def half_open(world, rng):
    upstream, replica, proxy = pick_link(world, rng)
    side, seconds = rng.choice(("target", "client")), duration(rng)
    hears = replica if side == "target" else upstream
    world.note(f"the link of {replica} to {upstream} is half open: {hears} is not told, for {seconds} s")
    proxy.half_open(side)
    meanwhile(world, rng, seconds)
    if seconds == HELD:
        dead_link_is_noticed(world, upstream, replica, side)
    proxy.resume()


def dead_link_is_noticed(world, upstream, replica, side):
    """After repl-timeout, by the end that hears nothing: the replica has a new link, the master has dropped the old one."""
    def is_noticed():
        if side == "target":  # the old link would stay up, and bring nothing
            return offset(replica.server) >= there
        return int(upstream.server.info("replication")["connected_slaves"]) <= expected

    expected, there = len(world.replicas(upstream)), int(upstream.info()["master_repl_offset"])
    try:
        wait_for(is_noticed, LINKS_WITHIN, "", retry_on=NOT_NOW)
    except Timeout:
        raise Failed(f"{replica if side == 'target' else upstream} keeps a dead link") from None


def slow(world, rng):
    upstream, replica, proxy = pick_link(world, rng)
    rate = rng.choice((200, 5000, 100_000))
    world.note(f"{rate} bytes a second pass from {upstream} to {replica}")
    proxy.throttle(rate)
    meanwhile(world, rng, duration(rng))
    if rng.random() < 0.5:
        proxy.reset()
    proxy.throttle(None)


def split(world, rng):
    upstream, replica, proxy = pick_link(world, rng)
    most = rng.choice((1, 3, 40))
    sizes = random.Random(rng.random())
    world.note(f"between {upstream} and {replica} come pieces of at most {most} bytes")
    proxy.split(lambda: sizes.randrange(most) + 1)
    world.let_pass(5000, 0.5)
    if rng.random() < 0.5:
        proxy.reset()
    proxy.split(None)


def pause(world, rng):
    node, seconds = rng.choice(world.nodes), duration(rng)
    world.note(f"{node} is stopped for {seconds} s (SIGSTOP)")
    node.pause()
    meanwhile(world, rng, seconds)
    node.resume()


def kill_clients(world, rng):
    node, kind = rng.choice(world.nodes), rng.choice(("normal", "master", "replica"))
    world.note(f"{node}: CLIENT KILL TYPE {kind}")
    with suppress(*NOT_NOW):
        node.ask("CLIENT", "KILL", "TYPE", kind)
    world.let_pass(50)


def cut_clients(world, rng):
    node = world.master
    how = rng.choice((node.front.cut, node.front.reset, node.front.stall))
    world.note(f"the clients of {node} are cut off ({how.__name__})")
    how()
    world.let_pass(200)
    node.front.resume()


LINK_EVENTS = (cut, cut, cut_at_a_byte, cut_at_a_byte, refuse, stall, stall, half_open, half_open, slow, split, pause, pause,
               kill_clients, cut_clients)  # fmt: skip


# Processes


def kill_master(world, rng):
    world.note(f"{world.master} is killed (SIGKILL)")
    world.master.kill()
    if rng.random() < 0.5:
        world.let_pass(500, duration(rng))
    world.restart_master()


def end_master(world, rng):
    """It saves at its end, or has a log: nothing may be lost."""
    node = world.master
    saved = node.has_log or node.settings["save"] != '""'
    timeout = rng.choice((0, 2))
    world.note(f"{node} is ended (SIGTERM; it waits {timeout} s for replicas)")
    node.must("CONFIG", "SET", "shutdown-timeout", timeout)
    node.terminate()
    world.restart_master(saved)


def kill_replica(world, rng):
    node = rng.choice(world.others(world.master))
    before = counts(world) if node.has_log else None
    world.note(f"{node} is killed (SIGKILL)")
    node.kill()
    if rng.random() < 0.5:
        world.let_pass(500, duration(rng))
    restart_replica(world, rng, node, before)


def end_replica(world, rng):
    node = rng.choice(world.others(world.master))
    before = counts(world) if node.has_log or node.settings["save"] != '""' else None
    world.note(f"{node} is ended (SIGTERM)")
    node.terminate()
    restart_replica(world, rng, node, before)


def restart_replica(world, rng, node, before=None):
    """Its configuration names its master, or it is told afterwards. `before`: its files are complete, and those were the
    counts before its end; if it knows its master and nobody overflowed, it must go on where it stopped."""
    upstream = node.upstream
    if rng.random() < 0.3:
        node.upstream = None
    node.start()
    if node.upstream is None:
        node.follow(upstream)
    elif before is not None and resumes(world, node):
        world.wait_links(f"after a restart of {node}", [node])
        compare_counts(world, before, f"a restart of {node}")
    world.changes += 1


def resumes(world, node):
    return world.backlog_is_big and node.kind == node.upstream.kind == "ours" and node.data_at_risk_since is None


def kill_child(world, rng):
    node, command = some_node(world, rng), rng.choice(("BGSAVE", "BGREWRITEAOF"))
    world.note(f"{node}: {command}, and its child is killed")
    with suppress(*NOT_NOW):
        node.ask(command)
    kill_child_of(world, node)


def kill_child_of(world, node):
    for pid in child_pids(node.server.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    world.let_pass(100)


# Disks


def fill_disk(world, rng):
    candidates = [node for node in world.nodes if node.disk and node.kind == "ours"]  # redis-server reports a bug and ends
    if not candidates:
        return
    node, left = rng.choice(candidates), rng.choice((0, 0, 3000, 50_000))
    world.note(f"the disk of {node} is full but for {left} bytes")
    if node.settings["appendfsync"] != "always":
        node.data_at_risk_since = world.now()
    else:
        node.server.expect_exit = True  # it ends rather than break its promise
    said = len(node.server.log())
    node.disk.fill_up_to(left)
    with suppress(*NOT_NOW):
        if rng.random() < 0.3:
            node.ask(rng.choice(("BGSAVE", "BGREWRITEAOF")))
    world.let_pass(2000, duration(rng))
    killed = node is world.master and node.server.running() and rng.random() < 0.4
    if killed:
        world.note(f"{node} is killed while its disk is full")
        node.kill()
    node.disk.make_room()
    world.note(f"the disk of {node} has room again")
    if not node.server.running():
        if not killed and ENDS_ON_FULL_DISK not in node.server.log()[said:]:
            raise Failed(f"{node} ended with status {node.server.proc.returncode} while its disk was full, and does not say why")
        world.changes += 1
        world.note(f"{node} is started again")
        if node is world.master:
            world.restart_master()
        else:
            node.start()
            world.changes += 1
        return
    node.server.expect_exit = False
    recover_from_full_disk(node)


def recover_from_full_disk(node):
    """Waits until the log takes writes again: then what it lacked is in it."""

    def written():
        state = node.server.info("persistence")
        fine = state["aof_last_write_status"] == "ok" and state.get("aof_buffer_length", "0") == "0"
        return fine and state["aof_rewrite_in_progress"] == state["aof_rewrite_scheduled"] == "0"

    with suppress(Timeout):
        wait_for(written, 6, "", retry_on=(*NOT_NOW, KeyError))
        if node.settings["appendonly"] == "yes" and node.kind == "ours":
            node.data_at_risk_since = None


# What an administrator does


def save(world, rng):
    node, command = some_node(world, rng), rng.choice(("BGSAVE", "BGSAVE", "BGREWRITEAOF"))
    world.note(f"{node}: {command}")
    with suppress(*NOT_NOW):
        node.ask(command)
    world.let_pass(100)


def switch_log(world, rng):
    """Off, or on; it counts as on when its first rewrite is complete. Sometimes the server is killed before."""
    node = rng.choice(world.nodes)
    if node.settings["appendonly"] == "yes":
        node.settings["appendonly"] = "no"  # before: from now on its log lacks writes
        world.note(f"{node}: appendonly no")
        node.must("CONFIG", "SET", "appendonly", "no")
        if rng.random() < 0.5:
            return
    world.note(f"{node}: appendonly yes")
    node.must("CONFIG", "SET", "appendonly", "yes")
    if rng.random() < 0.2:
        world.note(f"{node} is killed before its log is complete")
        node.kill()
        if node is world.master:
            world.restart_master()
        else:
            restart_replica(world, rng, node)
        return
    wait_for(lambda: log_is_complete(node), 15, f"the log of {node} to be complete", retry_on=(*NOT_NOW, KeyError))
    node.settings["appendonly"] = "yes"


def log_is_complete(node):
    state = node.server.info("persistence")
    quiet = state["aof_rewrite_in_progress"] == state["aof_rewrite_scheduled"] == "0"
    return state["aof_enabled"] == "1" and quiet and state["aof_last_bgrewrite_status"] == "ok"


CHOICES = {
    "appendfsync": ("always", "everysec", "no"),
    "repl-diskless-sync": ("yes", "no"),
    "repl-diskless-load": ("disabled", "on-empty-db", "swapdb"),
    "save": ('""', "1 10"),
    "hz": ("10", "100"),
    "auto-aof-rewrite-min-size": ("64kb", "64mb"),
    "client-output-buffer-limit": ("replica 0 0 0", "replica 1mb 500kb 2"),
    "rdbcompression": ("yes", "no"),
}


def configure(world, rng):
    node, name = some_node(world, rng), rng.choice(sorted(CHOICES))
    if node.data_at_risk_since is not None and name == "appendfsync":
        return
    value = rng.choice(CHOICES[name])
    node.configure(name, "" if value == '""' else value)
    node.settings[name] = value
    world.let_pass(50)


def flush(world, rng):
    database = rng.randrange(3)  # never that of the histories
    world.note(f"{world.master}: FLUSHDB of database {database}")
    with suppress(*NOT_NOW), world.master.server.session(database=database) as wire:
        wire.call("FLUSHDB", rng.choice(("SYNC", "ASYNC")))


def change_functions(world, rng):
    name = f"library{rng.randrange(3)}"
    world.note(f"{world.master}: the library {name} is loaded or deleted")
    code = f"#!lua name={name}\nredis.register_function('of_{name}', function() return {rng.randrange(1000)} end)"
    with suppress(*NOT_NOW):
        world.master.ask(*rng.choice((("FUNCTION", "LOAD", "REPLACE", code), ("FUNCTION", "DELETE", name))))


def evict(world, rng):
    """The master evicts keys that have a time to live; those of the histories have none."""
    node = world.master
    used = int(node.info("memory")["used_memory"])
    limit = int(used * rng.choice((0.9, 0.99, 1.01)))
    world.note(f"{node}: maxmemory {limit} for a moment, of {used} used")
    node.must("CONFIG", "SET", "maxmemory-policy", rng.choice(("volatile-random", "volatile-ttl", "volatile-lru")))
    node.must("CONFIG", "SET", "maxmemory", limit)
    world.let_pass(200)
    node.must("CONFIG", "SET", "maxmemory", 0)


# Who follows whom


def fail_over(world, rng):
    """The master dies or is out of reach; a replica is promoted, the others follow it; the old one returns later."""
    old = world.master
    how = rng.choice(("is killed", "is stopped", "is cut off", "is still there"))
    world.note(f"{old} {how}, to be replaced")
    if how == "is killed":
        old.kill()
    elif how == "is stopped":
        old.pause()
    elif how == "is cut off":
        for node in world.replicas():
            old.entrance(node).stall()
    if rng.random() < 0.3:
        world.let_pass(100, duration(rng))
    new = choose(world, rng)
    world.note(f"{new} is promoted")
    world.promote(new)
    for node in world.nodes:
        if node.upstream is old and (node is not new) and rng.random() < 0.9:
            node.follow(new)
    if old.reachable and rng.random() < 0.6:
        overtake(world, old, new)
    else:
        world.let_pass(rng.randrange(500))
    for proxy in old.proxies():
        proxy.resume()
    if old.stopped:
        old.resume()
    world.note(f"{old} returns, to follow {new}")
    if not old.server.running():
        if rng.random() < 0.5:
            old.upstream = new
        old.start()
    old.follow(new)
    for node in world.nodes:
        if node.upstream is old and rng.random() < 0.5:
            node.follow(new)


def overtake(world, old, new):
    """Clients leave the old master, and the stream of the new one becomes longer than that of the old one."""
    world.let_pass(100)
    with suppress(*NOT_NOW):
        old.ask("CLIENT", "KILL", "TYPE", "normal")
    with suppress(Timeout):
        wait_for(lambda: offset(new.server) > offset(old.server) + 2000, 3, "", retry_on=NOT_NOW)


def choose(world, rng):
    """The replica of the master's history with most of the stream, as a failover would; sometimes any replica."""
    candidates = []
    for node in world.others(world.master):
        state = node.info()
        candidates.append((state["master_link_status"] == "up" or state.get("master_sync_in_progress") == "0", int(state["slave_repl_offset"]), node))
    if rng.random() < 0.25:
        return rng.choice([node for _, _, node in candidates])
    return max(candidates, key=lambda row: row[:2])[2]


def hand_over(world, rng):
    """A promotion that loses nothing: writes are paused until the replica has everything."""
    old = world.master
    candidates = world.replicas()
    new = rng.choice(candidates)
    world.wait_links("before a hand-over", [new])
    world.note(f"{old} is replaced by {new}, with writes paused")
    old.must("CLIENT", "PAUSE", 20000, "WRITE")

    def caught_up():
        theirs, mine = old.server.info("replication"), new.server.info("replication")
        return theirs["master_replid"] == mine["master_replid"] and theirs["master_repl_offset"] == mine["slave_repl_offset"]

    try:
        wait_for(caught_up, 8, f"{new} to catch up", interval=0.002, retry_on=NOT_NOW)
    except Timeout:
        world.note(f"{new} did not catch up, {old} goes on")
        old.must("CLIENT", "UNPAUSE")
        return
    world.begin_reign(new)
    new.follow_nobody()
    for node in world.others(new):
        if node is old or rng.random() < 0.8:
            node.follow(new)
    old.must("CLIENT", "UNPAUSE")


def command_failover(world, rng):
    """The FAILOVER command."""
    old, new = world.master, rng.choice(world.replicas())
    world.wait_links("before FAILOVER", [new])
    world.note(f"{old}: FAILOVER to {new}")
    world.changes += 1
    for node in (old, new):
        node.role += 1
    try:
        old.server.call("FAILOVER", "TO", "127.0.0.1", new.server.port, "TIMEOUT", 5000)
        wait_for(lambda: old.server.info("replication")["master_failover_state"] == "no-failover", 15, f"FAILOVER of {old}", retry_on=NOT_NOW)
        done = old.info()["role"] == "slave"
    except ReplyError as err:
        world.note(f"FAILOVER was refused: {err}")
        done = False
    for node in (old, new):
        node.role += 1
    world.changes += 1
    if not done:
        world.note("FAILOVER did not happen")
        return
    wait_for(lambda: new.server.info("replication")["role"] == "master", 15, f"{new} to be the master", retry_on=NOT_NOW)
    world.begin_reign(new)
    new.upstream = None
    for node in world.others(new):
        if node is old or rng.random() < 0.8:
            node.follow(new)


def move_replica(world, rng):
    """A replica follows another node: a chain begins or ends."""
    node = rng.choice(world.others(world.master))
    below = [other for other in world.nodes if is_below(other, node)]
    upstream = rng.choice([other for other in world.nodes if other is not node and other not in below])
    world.note(f"{node} follows {upstream}")
    node.follow(upstream)
    world.let_pass(200)


def is_below(node, other):
    while node is not None:
        if node is other:
            return True
        node = node.upstream
    return False


def detach(world, rng):
    """A replica becomes a master, and a replica again."""
    node = rng.choice(world.others(world.master))
    upstream = node.upstream
    world.note(f"{node} is a master for a moment")
    node.follow_nobody()
    world.let_pass(rng.choice((0, 200)))
    node.follow(upstream)


def transfer(world, rng):
    """A full synchronization over a slow link, in which something happens."""
    node = rng.choice(world.others(world.master))
    upstream, proxy = node.upstream, node.upstream.entrance(node)
    rate = rng.choice((1000, 20_000, 200_000))
    what = rng.choice(("cut", "kill replica", "kill upstream", "promote", "kill child", "pause", "nothing", "save"))
    world.note(f"{node} needs a full synchronization with {upstream}, at {rate} bytes a second; then: {what}")
    node.follow_nobody()
    if node.kind == "ours":
        node.must("DEBUG", "CHANGE-REPL-ID")
    proxy.throttle(rate)
    node.follow(upstream)
    with suppress(Timeout):
        wait_for(lambda: node.server.info("replication")["master_sync_in_progress"] == "1", 2, "", retry_on=NOT_NOW)
    world.let_pass(rng.randrange(300))
    if what == "promote" and is_deaf_while_loading(node):
        proxy.throttle(None)
    during_transfer(world, rng, what, node, upstream)
    proxy.throttle(None)


def is_deaf_while_loading(node):
    """A redis-server that loads from a socket waits for each byte, and looks at its clients only after 2 MB of them."""
    return node.kind != "ours" and node.settings.get("repl-diskless-load", "disabled") != "disabled"


def during_transfer(world, rng, what, node, upstream):
    if what == "cut":
        node.upstream.entrance(node).reset()
        world.let_pass(100)
    elif what == "kill replica":
        node.kill()
        restart_replica(world, rng, node)
    elif what == "kill upstream":
        upstream.kill()
        if upstream is world.master:
            world.restart_master()
        else:
            restart_replica(world, rng, upstream)
    elif what == "promote":
        world.promote(node)
        for other in world.others(node):
            if other.upstream is upstream and rng.random() < 0.5:
                other.follow(node)
        put_below(world, node)
    elif what == "kill child":
        kill_child_of(world, upstream)
    elif what == "pause":
        who = rng.choice((node, upstream))
        who.pause()
        world.let_pass(5000, duration(rng))
        who.resume()
    elif what == "save":
        save(world, rng)


def put_below(world, master):
    """Whoever follows nobody follows the master: the former one."""
    for node in world.others(master):
        if node.upstream is None:
            node.follow(master)


EVENTS = (flush, change_functions, evict, end_master, transfer, transfer, transfer, kill_master, kill_master, kill_replica, kill_replica, end_replica, kill_child, fill_disk, fill_disk, save, save, switch_log,
          configure, configure, fail_over, fail_over, fail_over, hand_over, command_failover, move_replica, move_replica, detach)  # fmt: skip


def happen(world, rng):
    """One event of either kind."""
    if rng.random() < 0.5:
        only_links(world, rng, rng.choice(LINK_EVENTS))
    else:
        rng.choice(EVENTS)(world, rng)


def only_links(world, rng, event):
    """Runs an event that breaks links. If all were up before and the backlog holds everything since, no replica may need a
    full synchronization."""
    before = counts(world) if world.backlog_is_big else None
    event(world, rng)
    if before is None:
        return
    world.wait_links(f"after {event.__name__}")
    compare_counts(world, before, event.__name__)


def compare_counts(world, before, what):
    after = counts(world)
    for node in world.nodes if after is not None else ():
        full = after[node][1] - before[node][1]
        if after[node][0] == before[node][0] and full > 0 and node.kind == "ours":
            world.fail(f"{full} full synchronizations of replicas of {node} after {what}, though its backlog held everything")


def counts(world):
    """{node: (its life, full synchronizations that it has served in it)}, if all links are up; else None."""
    try:
        if all(node.link_is_up() for node in world.nodes if node.upstream):
            return {node: (node.life, int(node.server.info("stats")["sync_full"])) for node in world.nodes}
    except (*NOT_NOW, KeyError):
        pass
    return None

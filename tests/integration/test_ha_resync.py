"""Failovers by three sentinels: which replica may be promoted, and how the old master returns."""

import contextlib

import failover_rounds
import pytest

from dataset import WriteLoad, assert_same, fill_strings, offset, replicate, stat, wait_in_sync, wait_link_up
from ha import PATIENT, Sentinel, swift
from harness import wait_for
from hazards import attach, psync_answer, replication
from proxy import Proxy
from wire import Closed, ReplyError


class Watch:
    """Three sentinels that watch a master, and know its replicas."""

    def __init__(self, farm, master, replicas, failover_timeout=6000):
        self.sentinels = [
            farm.adopt(Sentinel(n, farm.directory / f"sentinel{n}", master, PATIENT, failover_timeout))
            for n in range(3)
        ]
        for sentinel in self.sentinels:
            sentinel.launch()
        wait_for(lambda: all(self.knows(s, replicas) for s in self.sentinels), 40, "sentinels to know everybody", 0.1)

    @staticmethod
    def knows(sentinel, replicas):
        try:
            master = sentinel.master()
            return master[b"num-other-sentinels"] == b"2" and len(sentinel.replicas()) == replicas
        except (OSError, Closed, ReplyError):
            return False

    def priorities(self):
        return {row[b"slave-priority"] for sentinel in self.sentinels for row in sentinel.replicas()}

    def wait_priorities(self, *wanted):
        """Sentinels ask each replica for INFO every ten seconds."""
        expected = {b"%d" % priority for priority in wanted}
        wait_for(lambda: self.priorities() == expected, 30, lambda: f"{wanted} to be seen: {self.priorities()}", 0.1)

    def kill_in_vain(self, master):
        """A failover is tried, and there is no replica to promote."""
        with swift(self.sentinels):
            master.kill()
            wait_for(
                lambda: any(sentinel.log_contains("-failover-abort-no-good-slave") for sentinel in self.sentinels),
                60,
                "a failover to be given up",
                0.1,
            )

    @contextlib.contextmanager
    def promotes(self, server):
        """In this block the master goes down."""
        with swift(self.sentinels):
            yield
            wait_for(lambda: replication(server)["role"] == "master", 60, f"{server.name} to be promoted", 0.1)
            wait_for(lambda: all(s.master_port() == server.port for s in self.sentinels), 40, "all to switch", 0.1)


def slow_master(farm, *lines):
    """A master whose snapshots take more than a minute, until it is restarted."""
    master = farm.server("ours", "appendonly yes", "appendfsync always", "rdb-key-save-delay 200000", *lines)
    fill_strings(master, 400)
    return master


def restart_fast(master):
    master.lines = [line for line in master.lines if "delay" not in line]
    master.write_config()
    master.start()


def wait_syncing(replica):
    wait_for(
        lambda: replication(replica)["master_sync_in_progress"] == "1",
        what="a transfer to be under way",
        retry_on=(OSError, Closed),
    )


def check_nothing_was_lost(watch, master, replica):
    assert replication(replica)["role"] == "slave"
    restart_fast(master)
    wait_in_sync(master, replica)
    assert replication(master)["role"] == "master"
    assert master.call("DBSIZE") == 400
    assert_same(master, replica)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.lockstep_only("Redis promotes the empty replica")
@pytest.mark.parametrize("mode", ["disabled", "swapdb"])
def test_fault_14_an_empty_replica_is_not_promoted(farm, mode):
    master = slow_master(farm)
    lines = (f"repl-diskless-load {mode}", f"replicaof 127.0.0.1 {master.port}")
    replica = farm.server("ours", *lines, ready=False)  # with "swapdb" it answers -LOADING
    wait_syncing(replica)
    watch = Watch(farm, master, replicas=1)
    watch.wait_priorities(0)
    watch.kill_in_vain(master)
    check_nothing_was_lost(watch, master, replica)
    watch.wait_priorities(100)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.lockstep_only("Redis promotes the replica with half a data set")
def test_fault_14_half_a_data_set_is_not_promoted(farm):
    """The replica has given up its data and loads the received file."""
    master = farm.server("ours", "appendonly yes", "appendfsync always", "rdbcompression no")
    fill_strings(master, 400, size=50000)  # five or six keys for each turn of the loop
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    watch = Watch(farm, master, replicas=1)
    watch.wait_priorities(100)
    replica.config_set("key-load-delay", 80000)
    master.call("DEBUG", "CHANGE-REPL-ID")
    master.call("CLIENT", "KILL", "TYPE", "replica")
    wait_for(lambda: replica.info("persistence")["loading"] == "1", what="the file to be loaded")
    watch.wait_priorities(0)
    watch.kill_in_vain(master)
    assert replication(replica)["role"] == "slave"
    replica.config_set("key-load-delay", 0)
    check_nothing_was_lost(watch, master, replica)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_fault_14_a_replica_with_an_older_data_set_is_promoted(farm):
    """The replica resynchronizes, and keeps its old data set until the new one is complete."""
    master = farm.server("ours", "appendonly yes")
    fill_strings(master, 400)
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    watch = Watch(farm, master, replicas=1)
    master.config_set("rdb-key-save-delay", 200000)
    master.call("DEBUG", "CHANGE-REPL-ID")
    master.call("CLIENT", "KILL", "TYPE", "replica")
    wait_syncing(replica)
    assert replication(replica)["slave_priority"] == "100"
    with watch.promotes(replica):
        master.kill()
    assert replica.call("DBSIZE") == 400
    restart_fast(master)
    wait_for(lambda: replication(master)["role"] == "slave", 40, "the old master to be made a replica", 0.1)
    wait_in_sync(replica, master)
    assert_same(replica, master)


# What a replica says while it synchronizes


@pytest.mark.parametrize(
    "mode",
    [
        "disabled",
        pytest.param("on-empty-db", marks=pytest.mark.lockstep_only("Redis does not answer before much has arrived")),
    ],
)
def test_fault_14_answers_during_the_first_synchronization(farm, mode):
    """As in Redis: with "disabled", a transfer is no loading, so commands are answered; otherwise it is."""
    master = farm.server("redis", "rdb-key-save-delay 20000", "rdbcompression no", "repl-diskless-sync yes")
    fill_strings(master, 2000, size=1000)
    lines = (f"repl-diskless-load {mode}", "loading-process-events-interval-bytes 1024")
    replica = farm.server("ours", *lines, f"replicaof 127.0.0.1 {master.port}", ready=False)
    wait_syncing(replica)
    wait_for(lambda: int(replication(replica)["master_sync_read_bytes"]) > 1000, what="bytes of the snapshot")
    loads = mode != "disabled"
    ping = replica.ask("PING")
    assert str(ping).startswith("LOADING") if loads else ping == "PONG"
    info = replica.info()
    assert (info["loading"], info["async_loading"]) == ("1" if loads else "0", "0")
    assert info["master_link_status"] == "down"
    assert info["master_link_down_since_seconds"] == "-1"
    if loads:
        return
    assert replica.call("GET", "key:1") is None
    assert replica.call("DBSIZE") == 0
    assert replica.call("EVAL", "return 7", 0) == 7
    assert isinstance(replica.ask("SET", "a", "b"), ReplyError)
    assert replica.call("REPLICAOF", "127.0.0.1", 1) == "OK"  # does not wait for the transfer
    assert replica.call("REPLICAOF", "127.0.0.1", master.port) == "OK"
    master.config_set("rdb-key-save-delay", 0)
    master.call("CLIENT", "KILL", "TYPE", "replica")
    wait_link_up(replica, timeout=60)
    assert_same(master, replica)


@pytest.mark.lockstep_only("DEBUG RELOAD and SAVE meanwhile")
def test_fault_14_what_is_saved_and_loaded_meanwhile(farm):
    """Commands and the loading of a second data set do not disturb each other."""
    master = farm.server("ours", "rdb-key-save-delay 20000", "rdbcompression no")
    fill_strings(master, 2000, size=1000)
    replica = farm.server("ours", "appendonly yes", f"replicaof 127.0.0.1 {master.port}")
    wait_syncing(replica)
    wait_for(lambda: int(replication(replica)["master_sync_read_bytes"]) > 1000, what="bytes of the snapshot")
    assert isinstance(replica.ask("DEBUG", "RELOAD"), ReplyError)
    assert isinstance(replica.ask("DEBUG", "LOADAOF"), ReplyError)
    assert replica.call("SAVE") == "OK"
    replica.config_set("rdb-key-save-delay", 10000000)
    replica.call("BGSAVE")
    replica.call("BGREWRITEAOF")
    replica.config_set("rdb-key-save-delay", 0)
    master.config_set("rdb-key-save-delay", 0)
    master.call("CLIENT", "KILL", "TYPE", "replica")
    wait_in_sync(master, replica)
    assert_same(master, replica)
    wait_for(lambda: replica.info("persistence")["aof_rewrite_in_progress"] == "0", what="the log's first rewrite")
    wait_for(lambda: replica.info("persistence")["aof_rewrite_scheduled"] == "0", what="the log's first rewrite")
    replica.restart()
    wait_in_sync(master, replica)
    assert_same(master, replica)


def test_fault_14_a_replica_says_so_while_it_loads_its_own_file(farm):
    master = farm.server()
    fill_strings(master, 400)
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    assert replica.call("SAVE") == "OK"
    replica.lines += ["key-load-delay 100000", "loading-process-events-interval-bytes 1024"]
    replica.terminate()
    replica.write_config()
    replica.start(ready=False)
    info = wait_for(lambda: replica.info(), what="an answer", retry_on=(OSError, Closed))
    assert info["loading"] == "1"
    assert (info["role"], info["master_link_status"]) == ("slave", "down")
    if "lockstep_version" in info:
        assert info["slave_priority"] == "0"
    replica.config_set("key-load-delay", 0)
    replica.wait_ready()
    wait_in_sync(master, replica)
    assert_same(master, replica)
    if "lockstep_version" in info:
        assert replica.info("stats")["sync_full"] == "0"
        assert int(master.info("stats")["sync_partial_ok"]) == 1


# How the old master returns


def partials(server):
    return stat(server, "sync_partial_ok")


def demote(server, master):
    """Demotes the old master as Sentinel does."""
    replicate(server, master)
    wait_in_sync(master, server)


def promote(server):
    assert server.call("REPLICAOF", "NO", "ONE") == "OK"


def half_open(farm, *lines):
    """A master, a replica behind a proxy that can stall, and the proxy. PINGs come each second."""
    lines = ("appendonly yes", "appendfsync always", "repl-ping-replica-period 1", *lines)
    master = farm.server("ours", *lines)
    proxy = farm.helper(Proxy(master.address))
    replica = farm.server("ours", *lines)
    replicate(replica, proxy)
    wait_in_sync(master, replica)
    with master.session(database=5) as wire:
        for number in range(50):
            wire.call("SET", f"key:{number}", number)
    wait_in_sync(master, replica)
    return master, replica, proxy


def wait_silent(master):
    """Waits until the master suspects that its replica is dead."""
    wait_for(
        lambda: int(master.info("replication").get("slave0", ",lag=3").split(",lag=")[1]) >= 3,
        what="the replica to be silent",
    )


def stall_until_ahead(master, replica, proxy):
    """The link is dead, but not noticed: content of the moment still moves the master's offset."""
    proxy.stall()
    with master.session() as wire:
        wire.call("PUBLISH", "channel", "message")
    ahead = offset(master) + 30
    wait_for(lambda: offset(master) > ahead, what="PINGs into the stream")
    wait_silent(master)
    assert offset(master) > offset(replica)


@pytest.mark.lockstep_only("Redis synchronizes fully")
@pytest.mark.parametrize("restart", [False, True])
def test_fault_10_a_half_open_link(farm, restart):
    master, replica, proxy = half_open(farm)
    stall_until_ahead(master, replica, proxy)
    if restart:
        master.kill()
    promote(replica)
    with replica.session(database=7) as wire:
        wire.call("SET", "after", "failover")
    if restart:
        master.start()
    demote(master, replica)
    assert (stat(replica, "sync_full"), partials(replica)) == (0, 1)
    assert_same(replica, master)
    master.restart(how="kill")  # its log says the same
    assert replication(master)["role"] == "master"
    demote(master, replica)
    assert (stat(replica, "sync_full"), partials(replica)) == (0, 2)
    assert_same(replica, master)


@pytest.mark.lockstep_only("Redis synchronizes fully")
def test_fault_10_killed_behind_the_cut(farm):
    """The old master is killed after it has cut its history, before the new master is reachable."""
    master, replica, proxy = half_open(farm)
    stall_until_ahead(master, replica, proxy)
    before = offset(master)
    replicate(master, farm.helper(Proxy(("127.0.0.1", 1))))
    assert offset(master) < before
    cut = offset(master)
    master.restart(how="kill")
    assert offset(master) == cut
    promote(replica)
    replica.call("SET", "after", "failover")
    demote(master, replica)
    assert (stat(replica, "sync_full"), partials(replica)) == (0, 1)
    assert_same(replica, master)


@pytest.mark.lockstep_only("promoted behind the cut")
def test_fault_10_a_promotion_behind_the_cut_forks_there(farm):
    """P8, P9: a replica that has more of the old bytes may not continue with ours."""
    master, replica, proxy = half_open(farm)
    stall_until_ahead(master, replica, proxy)
    replid, long_end = replication(master)["master_replid"], offset(master)
    replicate(master, farm.helper(Proxy(("127.0.0.1", 1))))
    cut = offset(master)
    assert cut < long_end
    promote(master)
    assert replication(master)["master_replid2"] == replid
    assert int(replication(master)["second_repl_offset"]) == cut + 1
    master.call("SET", "another", "future")
    answer, _ = psync_answer(farm, master, replid, cut + 2)
    assert answer.startswith("FULLRESYNC")
    answer, _ = psync_answer(farm, master, replid, cut + 1)
    assert answer.startswith("CONTINUE")
    proxy.cut()
    demote(replica, master)
    assert_same(master, replica)


@pytest.mark.parametrize("unit", ["SET", "expiry", "SELECT", "MULTI", "function"])
def test_fault_10_data_behind_the_fork_is_no_partial_resync(farm, unit):
    """P9: writes that the new master never had are removed by a full synchronization."""
    master, replica, proxy = half_open(farm)
    if unit == "expiry":
        master.call("SET", "short", "lived", "PX", 700)
        wait_in_sync(master, replica)
    proxy.stall()
    with master.session() as wire:
        if unit == "SET":
            wire.call("SET", "lost", "write")
        if unit == "SELECT":
            wire.call("SELECT", 9)
            wire.call("SET", "lost", "write")
        if unit == "MULTI":
            wire.pipeline([("MULTI",), ("PUBLISH", "a", "b"), ("SET", "lost", "write"), ("EXEC",)])
        if unit == "function":
            wire.call("FUNCTION", "LOAD", "#!lua name=lost\nredis.register_function('lost', function() return 1 end)")
    if unit == "expiry":
        wait_for(lambda: stat(master, "expired_keys") == 1, what="the key to expire")
    ahead = offset(master)
    wait_for(lambda: offset(master) > ahead, what="a PING")
    promote(replica)
    demote(master, replica)
    assert stat(replica, "sync_full") == 1
    assert_same(replica, master)
    assert replica.call("FUNCTION", "LIST") == master.call("FUNCTION", "LIST")
    assert master.call("GET", "lost") is None


@pytest.mark.lockstep_only("Redis keeps messages for replicas to come")
def test_fault_10_what_is_of_the_moment_moves_no_offset_alone(farm):
    """Mainly hello messages of sentinels; also with an append-only file."""
    server = farm.server("ours", "appendonly yes", "appendfsync always", "repl-ping-replica-period 1")
    fake = attach(farm, server)
    server.call("SET", "a", "1")
    fake.close()
    wait_for(lambda: replication(server)["connected_slaves"] == "0", what="the replica to be gone")
    before = offset(server)
    with server.session() as wire:
        wire.call("PUBLISH", "__sentinel__:hello", "127.0.0.1,1,abc,0,mymaster,127.0.0.1,2,0")
        wire.call("SPUBLISH", "shard", "message")
        wire.pipeline([("MULTI",), ("PUBLISH", "a", "b"), ("PUBLISH", "a", "b"), ("EXEC",)])
        wire.call("EVAL", "return redis.call('publish', 'a', 'b')", 0)
        wire.call("WAIT", 0, 10)
        assert offset(server) == before
        wire.pipeline([("MULTI",), ("PUBLISH", "a", "b"), ("SET", "a", "2"), ("EXEC",)])
    assert offset(server) > before
    server.restart(how="kill")
    assert server.call("GET", "a") == b"2"


def test_fault_10_messages_reach_replicas(farm):
    server = farm.server()
    fake = attach(farm, server)
    with server.session(database=3) as wire:
        wire.call("PUBLISH", "a", "1")
        wire.call("SET", "k", "v")
        wire.call("PUBLISH", "a", "2")
        wire.pipeline([("MULTI",), ("PUBLISH", "a", "3"), ("SET", "k", "w"), ("EXEC",)])
        wire.pipeline([("MULTI",), ("PUBLISH", "a", "4"), ("PUBLISH", "a", "5"), ("EXEC",)])
        wire.call("EVAL", "return redis.call('publish', 'a', '6')", 0)
        wire.call("SET", "end", "1")
    seen = []
    while not seen or seen[-1][1:2] != [b"end"]:
        command = fake.command()
        if command[0].lower() not in (b"select", b"ping", b"replconf"):
            seen.append(command)
    assert [bytes(word).lower() for command in seen for word in command[:1]] == [
        *(b"publish", b"set", b"publish", b"multi", b"publish", b"set", b"exec"),
        *(b"multi", b"publish", b"publish", b"exec", b"publish", b"set"),
    ]


@pytest.mark.lockstep_only("Redis deletes at once")
def test_fault_10_a_returned_master_deletes_nothing_before_its_first_write(farm):
    """A deletion of its own would be a change that its new master lacks."""
    master, replica, _ = half_open(farm)
    with master.session(database=2) as wire:
        for number in range(20):
            wire.call("SET", f"short:{number}", number, "PX", 900)
        wire.call("HSET", "hash", "a", 1, "b", 2)
        wire.call("HPEXPIRE", "hash", 900, "FIELDS", 1, "a")
        wire.call("SET", "lives", 1, "EX", 1000)
    wait_in_sync(master, replica)
    master.restart(how="kill")
    replica.call("REPLICAOF", "127.0.0.1", 1)
    before = offset(master)
    with master.session(database=2) as wire:
        wait_for(lambda: wire.call("GET", "short:7") is None, what="a key to be past its time")
        wait_for(lambda: wire.call("HGET", "hash", "a") is None, what="a field to be past its time")
        assert wire.call("EXISTS", "lives", "short:1", "short:2") == 1
    with master.session() as wire:
        wire.call("PUBLISH", "__sentinel__:hello", "hello")
        for _ in range(20):
            wire.call("DEBUG", "SLEEP", "0.01")  # turns of the loop, and of the cron
    assert offset(master) == before
    promote(replica)
    wait_for(lambda: stat(replica, "expired_keys") == 20, what="the new master to delete them")
    demote(master, replica)
    assert (stat(replica, "sync_full"), partials(replica)) == (0, 1)
    assert_same(replica, master)


@pytest.mark.lockstep_only("Redis deletes at once")
@pytest.mark.parametrize("write", ["SET", "EXEC", "EVAL", "replica"])
def test_fault_10_the_first_write_ends_that(farm, write):
    server = farm.server("ours", "appendonly yes", "appendfsync always")
    fake = attach(farm, server)
    server.call("SET", "short", "lived", "PX", 300)
    server.call("SET", "shorter", "lived", "PX", 300)
    fake.close()
    server.restart(how="kill")
    with server.session() as wire:
        wait_for(lambda: wire.call("GET", "shorter") is None, what="keys to be past their time")
        assert wire.call("DBSIZE") == 2
        if write == "SET":
            wire.call("APPEND", "short", "x")
        elif write == "EXEC":
            wire.pipeline([("MULTI",), ("APPEND", "short", "x"), ("EXEC",)])
        elif write == "EVAL":
            wire.call("EVAL", "return redis.call('append', 'short', 'x')", 0)
        else:
            attach(farm, server)
        wait_for(lambda: stat(server, "expired_keys") == 2, what="both to be deleted")
        assert wire.call("GET", "short") == (None if write == "replica" else b"x")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.lockstep_only("Redis synchronizes fully")
@pytest.mark.parametrize("seed", [1, 2])
def test_fault_10_random_failovers_keep_all_data_equal(farm, seed):
    done = failover_rounds.run(farm, 10, seed)
    assert done.partial > 0


# With sentinels


class Pair:
    def __init__(self, farm, *lines):
        lines = ("appendonly yes", "appendfsync always", "repl-ping-replica-period 1", *lines)
        self.master = farm.server("ours", *lines)
        self.replica = farm.server("ours", *lines, f"replicaof 127.0.0.1 {self.master.port}")
        fill_strings(self.master, 200)
        wait_in_sync(self.master, self.replica)
        self.watch = Watch(farm, self.master, replicas=1)

    def swap(self):
        self.master, self.replica = self.replica, self.master

    def wait_demoted(self, server):
        wait_for(lambda: replication(server)["role"] == "slave", 60, f"{server.name} to be made a replica", 0.1)
        wait_in_sync(self.master, self.replica)
        assert_same(self.master, self.replica)


def last_place(server):
    """The offset in the last note of the log."""
    parts = sorted((server.directory / "appendonlydir").glob("*.incr.aof"), key=lambda p: int(p.name.split(".")[-3]))
    notes = [line for line in parts[-1].read_bytes().splitlines() if line.startswith(b"#REPL:")]
    return int(notes[-1].split(b":")[2])


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.lockstep_only("Redis synchronizes fully")
def test_fault_10_killed_under_load_and_failed_over(farm):
    pair = Pair(farm)
    for number in range(2):
        load = farm.helper(WriteLoad(pair.master.address, seed=number, reconnect=True).start())
        load.wait_done(1000)
        with pair.watch.promotes(pair.replica):
            pair.master.kill()
            load.stop(check=False)
            place, full = last_place(pair.master), stat(pair.replica, "sync_full")
        pair.swap()
        with WriteLoad(pair.master.address, seed=10 + number) as load:
            load.wait_done(300)
        fork = int(replication(pair.master)["second_repl_offset"]) - 1
        pair.replica.start()
        pair.wait_demoted(pair.replica)
        if place <= fork:  # else the log has what no replica got before the kill
            assert stat(pair.master, "sync_full") == full


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.lockstep_only("Redis synchronizes fully")
def test_fault_10_stopped_and_failed_over(farm):
    pair = Pair(farm)
    for _ in range(2):
        full = stat(pair.replica, "sync_full")
        with pair.watch.promotes(pair.replica):
            pair.master.pause()
        pair.swap()
        fill_strings(pair.master, 50, prefix="after:")
        pair.replica.resume()
        pair.wait_demoted(pair.replica)
        assert stat(pair.master, "sync_full") == full

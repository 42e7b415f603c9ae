"""Promotions that ask the master first: by sentinels, LOCKSTEP PROMOTE and SHUTDOWN, and what ends them early."""

import time

import pytest

from dataset import assert_same, stat, wait_in_sync
from ha import HaSetup
from harness import SCALE, wait_for
from proxy import Proxy
from test_failover import Writer, failover_state, replication, set_up
from wire import Closed, ReplyError, Wire


def writers(farm, servers, count=4):
    found = [farm.helper(Writer(f"list:{n}", servers)) for n in range(count)]
    for writer in found:
        writer.wait_acked(50)
    return found


def settle(writers_, master, *replicas):
    for writer in writers_:
        writer.wait_acked(50)
        writer.close()
    wait_in_sync(master, *replicas)
    assert_same(master, *replicas)
    for writer in writers_:
        writer.check(master)


def test_promote_under_load(farm):
    servers = set_up(farm, "ours", "ours", "ours")
    full = [stat(server, "sync_full") for server in servers]
    load = writers(farm, servers)
    master, replica, sibling = servers
    for _ in range(10):
        for writer in load:
            writer.wait_acked(50)
        assert replica.call("LOCKSTEP", "PROMOTE") == "OK", replica.log_tail()
        assert replication(replica)["role"] == "master"
        wait_for(lambda peer=master: failover_state(peer) == "no-failover", 20.0, "the end of the hand-over")
        assert replication(master)["role"] == "slave", master.log_tail()
        wait_for(lambda peer=sibling: replication(peer)["master_link_status"] == "up", 20.0, "the sibling's link")
        master, replica = replica, master
    settle(load, master, replica)
    assert [stat(server, "sync_full") for server in servers] == full
    assert master.call("LOCKSTEP", "PROMOTE") == "OK"


# ---- Links that break, servers that die ----


class Pair:
    """A master and a replica that reach each other through proxies: `to_master`, which the replica follows, and
    `to_replica`, which it announces."""

    def __init__(self, farm, *lines):
        self.master = farm.server("ours", "repl-diskless-sync-delay 0", *lines)
        self.replica = farm.server("ours", "repl-diskless-sync-delay 0", *lines)
        self.to_master = farm.helper(Proxy(self.master.address))
        self.to_replica = farm.helper(Proxy(self.replica.address))
        self.replica.config_set("replica-announce-port", self.to_replica.port)
        self.replica.call("REPLICAOF", "127.0.0.1", self.to_master.port)
        wait_in_sync(self.master, self.replica)

    def order(self):
        """The promotion, and what it was answered."""
        with Wire(self.replica.address, timeout=20 * SCALE) as wire:
            return wire.call("LOCKSTEP", "PROMOTE")

    def begin(self):
        wire = Wire(self.replica.address, timeout=20 * SCALE)
        wire.send_command("LOCKSTEP", "PROMOTE")
        return wire

    def wait_handing_over(self, state):
        wait_for(lambda: failover_state(self.master) == state, 5.0, f"{state} of the master")


@pytest.mark.parametrize("count", [1, 7, 8, 30, 60, 90, 91, 130, 150])
def test_cut_on_the_way_to_the_replica(farm, count):
    """The connection that tells the replica to take over ends after so many bytes of the replica's answers."""
    pair = Pair(farm)
    load = writers(farm, (pair.master, pair.replica))
    pair.to_replica.cut_after(count)
    assert pair.order().startswith("OK")
    wait_for(lambda: failover_state(pair.master) == "no-failover", 10.0, "the end of the hand-over")
    assert replication(pair.replica)["role"] == "master"
    assert replication(pair.master)["role"] == "slave", pair.master.log_tail()
    settle(load, pair.replica, pair.master)
    assert stat(pair.replica, "sync_full") == 0


@pytest.mark.parametrize("count", [1, 20, 36, 37])
def test_cut_on_the_way_to_the_master(farm, count):
    """The replica's link ends after so many bytes of GETACK, which answers its question, and is made again."""
    pair = Pair(farm)
    pair.master.call("SET", "k", 1)
    wait_in_sync(pair.master, pair.replica)
    pair.to_master.cut_after(count)
    assert pair.order() == "OK", pair.replica.log_tail()
    wait_for(lambda: failover_state(pair.master) == "no-failover", 10.0, "the end of the hand-over")
    assert replication(pair.master)["role"] == "slave", pair.master.log_tail()
    wait_in_sync(pair.replica, pair.master)
    assert stat(pair.replica, "sync_full") == 0


@pytest.mark.parametrize("attempt", range(5))
def test_cut_under_load(farm, attempt):
    """At whatever step the replica's link ends. If it ends before the order is read, there is nobody to ask."""
    pair = Pair(farm)
    load = writers(farm, (pair.master, pair.replica))
    with pair.begin() as wire:
        time.sleep(attempt * 0.001)  # not a wait: the steps take some milliseconds together
        pair.to_master.cut()
        reply = wire.read()
    if reply != "OK" and attempt == 0:
        assert reply == "OK without the consent of the former master: it cannot be asked"
        return
    assert reply == "OK", pair.replica.log_tail()
    wait_for(lambda: failover_state(pair.master) == "no-failover", 10.0, "the end of the hand-over")
    assert replication(pair.master)["role"] == "slave", pair.master.log_tail()
    settle(load, pair.replica, pair.master)
    assert stat(pair.replica, "sync_full") == 0


def test_a_link_that_is_lost_for_good_while_the_master_holds(farm):
    """The replica has everything but its link; the master asks it by itself, and follows it."""
    pair = Pair(farm)
    pair.to_replica.stall()
    with pair.begin() as wire:
        pair.wait_handing_over("failover-in-progress")
        pair.to_master.unreachable()
        assert wire.read() == "OK without the consent of the former master: the link to the master is down"
    pair.to_replica.resume()
    wait_for(lambda: failover_state(pair.master) == "no-failover", 10.0, "the end of the hand-over")
    assert replication(pair.master)["role"] == "slave", pair.master.log_tail()
    wait_in_sync(pair.replica, pair.master)


def test_a_master_that_does_not_reach_the_replica(farm):
    """As without the question: there are two masters, neither of which is stuck."""
    pair = Pair(farm)
    pair.to_replica.unreachable()
    with Wire(pair.master.address, timeout=20 * SCALE) as held:
        with pair.begin() as wire:
            pair.wait_handing_over("failover-in-progress")
            held.send_command("INCR", "k")
            assert wire.read() == "OK without the consent of the former master: the master did not hand over within a second"
        assert held.read() == 1
    assert replication(pair.master)["role"] == "master"
    pair.master.call("REPLICAOF", "127.0.0.1", pair.replica.port)
    wait_in_sync(pair.replica, pair.master)
    assert_same(pair.replica, pair.master)


@pytest.mark.parametrize("step", ["waiting-for-sync", "failover-in-progress"])
def test_the_replica_is_killed(farm, step):
    """The master takes its role back, and runs what it has held."""
    pair = Pair(farm)
    load = writers(farm, (pair.master,))
    (pair.to_master if step == "waiting-for-sync" else pair.to_replica).stall("down")
    with pair.begin():
        pair.wait_handing_over(step)
        pair.replica.kill()
    for proxy in (pair.to_master, pair.to_replica):
        proxy.unreachable()
    wait_for(lambda: failover_state(pair.master) == "no-failover", 10.0, "the end of the hand-over")
    assert replication(pair.master)["role"] == "master", pair.master.log_tail()
    assert stat(pair.master, "sync_full") == 1
    settle(load, pair.master)


@pytest.mark.parametrize("step", ["waiting-for-sync", "failover-in-progress"])
def test_the_master_is_killed(farm, step):
    """The replica becomes the master. In the second step it has everything that was acknowledged."""
    pair = Pair(farm)
    load = writers(farm, (pair.master, pair.replica))
    (pair.to_master if step == "waiting-for-sync" else pair.to_replica).stall("down")
    with pair.begin() as wire:
        pair.wait_handing_over(step)
        pair.master.kill()
        pair.to_master.unreachable()
        assert wire.read().startswith("OK without the consent of the former master")
    for writer in load:
        writer.wait_acked(50)
        writer.close()
        if step == "failover-in-progress":
            writer.check(pair.replica)


def test_a_master_that_is_stopped(farm):
    """It is not waited for longer than for a sign of life, and when it goes on it has to find out."""
    pair = Pair(farm)
    pair.master.pause()
    assert pair.order() == "OK without the consent of the former master: the master is silent"
    pair.master.resume()
    wait_for(lambda: replication(pair.master)["role"] == "slave", 10.0, "the master to follow")
    wait_for(lambda: failover_state(pair.master) == "no-failover", 10.0, "the end of the hand-over")
    wait_in_sync(pair.replica, pair.master)
    assert stat(pair.replica, "sync_full") == 0


def test_a_replica_that_is_far_behind(farm):
    """It is promoted without what it lacks. The master keeps what it has, and does not follow it."""
    pair = Pair(farm)
    pair.to_master.throttle(20000)
    for n in range(20):
        pair.master.call("SET", f"big:{n}", "x" * 10000)
    assert pair.order() == "OK without the consent of the former master: the master did not hand over within a second"
    wait_for(lambda: failover_state(pair.master) == "no-failover", 10.0, "the end of the hand-over")
    assert replication(pair.master)["role"] == "master"
    assert pair.master.call("DBSIZE") == 20
    assert pair.replica.call("DBSIZE") < 20


# ---- What clients see ----


def held(farm, pair, *commands):
    """Connections to the master whose last command is held, each with a promotion that is under way."""
    pair.to_replica.stall()
    order = farm.helper(pair.begin())
    pair.wait_handing_over("failover-in-progress")
    wires = []
    for sequence in commands:
        wire = farm.helper(Wire(pair.master.address, timeout=20 * SCALE))
        for words in sequence[:-1]:
            wire.call(*words)
        wire.send_command(*sequence[-1])
        wires.append(wire)
    wait_for(lambda: int(pair.master.info("clients")["blocked_clients"]) == len(wires), 5.0, "writes to be held")
    pair.to_replica.resume()
    assert order.read() in ("OK", "OK without the consent of the former master: the master did not hand over within a second")
    return wires


def test_held_writes_are_not_run_and_their_connections_closed(farm):
    pair = Pair(farm)
    plain, transaction, redirect = held(
        farm,
        pair,
        [("PING",), ("INCR", "k")],
        [("MULTI",), ("INCR", "k"), ("EXEC",)],
        [("CLIENT", "CAPA", "redirect"), ("INCR", "k")],
    )
    with pytest.raises(Closed):
        plain.read()
    assert str(transaction.read()).startswith("EXECABORT")
    with pytest.raises(Closed):
        transaction.read()
    assert str(redirect.read()) == f"REDIRECT 127.0.0.1:{pair.to_replica.port}"
    wait_in_sync(pair.replica, pair.master)
    assert pair.replica.call("EXISTS", "k") == 0
    assert redirect.call("PING") == "PONG"


@pytest.mark.parametrize("setting, sentinel, closed", [("yes", False, True), ("no", True, False), ("auto", False, False), ("auto", True, True)])
def test_clients_after_a_demotion(farm, setting, sentinel, closed):
    master, other = farm.server("ours", f"demote-clients-kill {setting}"), farm.server("ours")
    with Wire(master.address) as idle, Wire(master.address) as subscriber, Wire(master.address) as own, Wire(master.address) as watcher:
        if sentinel:
            watcher.call("CLIENT", "SETNAME", "sentinel-12345678-cmd")
        subscriber.call("SUBSCRIBE", "channel")
        assert idle.call("SET", "k", 1) == "OK"
        assert own.call("REPLICAOF", "127.0.0.1", other.port) == "OK"
        assert own.call("PING") == "PONG"
        for wire in (idle, subscriber):
            if closed:
                with pytest.raises(Closed):
                    wire.read()
        if not closed:
            assert idle.call("GET", "k") in (b"1", None)
        if sentinel:
            assert watcher.call("PING") == "PONG"


def test_redirect(farm):
    master, replica = set_up(farm, "ours", "ours")
    where = f"REDIRECT 127.0.0.1:{master.port}"
    with Wire(replica.address) as wire:
        with pytest.raises(ReplyError, match="cluster support disabled"):
            wire.call("READONLY")
        assert wire.call("GET", "k") is None
        assert wire.call("CLIENT", "CAPA", "redirect", "something-later") == "OK"
        for words in (("GET", "k"), ("SET", "k", 1)):
            with pytest.raises(ReplyError, match=where):
                wire.call(*words)
        wire.call("MULTI")
        with pytest.raises(ReplyError, match=where):
            wire.call("SET", "k", 1)
        with pytest.raises(ReplyError, match="EXECABORT"):
            wire.call("EXEC")
        assert wire.call("PING") == "PONG"
        assert wire.call("READONLY") == "OK"
        assert wire.call("GET", "k") is None
        with pytest.raises(ReplyError, match=where):
            wire.call("SET", "k", 1)
        assert wire.call("READWRITE") == "OK"
        with pytest.raises(ReplyError, match=where):
            wire.call("GET", "k")
        wire.call("RESET")
        assert wire.call("GET", "k") is None


def test_redirect_of_a_transaction_that_was_queued_by_a_master(farm):
    """As Valkey answers it."""
    master, other = farm.server("ours"), farm.server("ours")
    with Wire(master.address) as wire:
        wire.call("CLIENT", "CAPA", "redirect")
        wire.call("MULTI")
        wire.call("SET", "k", 1)
        master.call("REPLICAOF", "127.0.0.1", other.port)
        with pytest.raises(ReplyError, match=f"^REDIRECT 127.0.0.1:{other.port}"):
            wire.call("EXEC")
        with pytest.raises(ReplyError, match="EXEC without MULTI"):
            wire.call("EXEC")


# ---- Other ways ----


@pytest.mark.parametrize("kinds", [("redis", "ours"), ("ours", "ours")], ids=["redis", "by hand"])
def test_who_is_not_asked(farm, kinds):
    master, replica = set_up(farm, *kinds)
    if kinds[0] == "redis":
        assert replica.call("LOCKSTEP", "PROMOTE") == "OK without the consent of the former master: it cannot be asked"
    else:
        assert replica.call("REPLICAOF", "NO", "ONE") == "OK"
    assert [replication(server)["role"] for server in (master, replica)] == ["master", "master"]


def test_orders_while_the_roles_are_open(farm):
    """SLAVEOF is obeyed by the master; REPLICAOF NO ONE by hand promotes the replica at once."""
    pair = Pair(farm)
    pair.to_replica.stall()
    with pair.begin() as wire:
        pair.wait_handing_over("failover-in-progress")
        with pytest.raises(ReplyError, match="not allowed while this server is being promoted"):
            pair.replica.call("REPLICAOF", "127.0.0.1", 1)
        assert pair.replica.call("REPLICAOF", "NO", "ONE") == "OK"
        assert wire.read() == "OK"
    assert pair.master.call("SLAVEOF", "127.0.0.1", pair.replica.port) == "OK"
    assert failover_state(pair.master) == "no-failover"
    wait_in_sync(pair.replica, pair.master)
    assert stat(pair.replica, "sync_full") == 0


def test_shutdown_hands_over(farm):
    servers = set_up(farm, "ours", "ours", "ours")
    master, replica, sibling = servers
    sibling.config_set("replica-priority", 0)
    sibling.call("REPLICAOF", "NO", "ONE")
    sibling.call("REPLICAOF", "127.0.0.1", master.port)
    wait_in_sync(*servers)
    master.config_set("shutdown-failover", "yes")
    master.config_set("shutdown-timeout", 10)
    load = writers(farm, (master, replica))
    with Wire(master.address) as wire:
        wire.send_command("SHUTDOWN")
        master.wait_exit(20.0)
    assert replication(replica)["role"] == "master", replica.log_tail()
    assert replication(sibling)["role"] == "slave"
    settle(load, replica)


def test_shutdown_without_anybody_to_hand_over_to(farm):
    master, replica = set_up(farm, "ours", "ours")
    master.config_set("shutdown-failover", "yes")
    master.config_set("shutdown-timeout", 1)
    replica.pause()
    master.call("SET", "k", 1)
    with Wire(master.address) as wire:
        wire.send_command("SHUTDOWN")
        master.wait_exit(20.0)
    replica.resume()
    assert replication(replica)["role"] == "slave"


# ---- Debian's sentinels ----


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_sentinels_order_it_under_load(farm):
    """SENTINEL FAILOVER, again and again: no acknowledged write is lost, none executed twice."""
    setup = HaSetup(farm)
    servers = setup.servers
    full = [stat(server, "sync_full") for server in servers]
    load = writers(farm, servers)
    for round_ in range(3):
        master, replica = servers[round_ % 2], servers[1 - round_ % 2]
        for writer in load:
            writer.wait_acked(50)
        wait_for(lambda: setup.sentinels[0].call("SENTINEL", "FAILOVER", "mymaster") == "OK", 30.0, "a failover", 0.2, (ReplyError,))
        setup.wait_promoted(replica)
        setup.wait_demoted(master, replica, timeout=2.0)  # not the ten seconds that sentinels take
        assert "asks this server to hand over" in master.log(), master.log_tail()
        setup.wait_steady(1 - round_ % 2, 1)
    settle(load, replica, master)
    assert [stat(server, "sync_full") for server in servers] == full
    assert replica.config_lines("slaveof", "replicaof") == []

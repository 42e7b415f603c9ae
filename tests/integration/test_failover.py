"""FAILOVER: a master hands over to a replica, and nothing is lost or doubled that was acknowledged."""

import itertools
import threading

import pytest

from dataset import assert_same, stat, wait_in_sync, wait_link_down
from harness import SCALE, wait_for
from proxy import Proxy
from wire import Closed, ReplyError, Wire


def replication(server):
    return server.info("replication")


def failover_state(server):
    return replication(server)["master_failover_state"]


def wait_role(server, role):
    wait_for(lambda: replication(server)["role"] == role, 20.0, f"{server.name} to be {role}")


def set_up(farm, *kinds):
    servers = [farm.server(kind, "repl-diskless-sync-delay 0") for kind in kinds]
    for server in servers[1:]:
        server.call("REPLICAOF", "127.0.0.1", servers[0].port)
    wait_in_sync(*servers)
    return servers


class Writer:
    """Appends numbers to a list of its own, on whichever server takes writes, and remembers what was acknowledged."""

    def __init__(self, key, servers):
        self.key = key
        self.addresses = itertools.cycle([server.address for server in servers])
        self.next = 0
        self.acked = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        for address in self.addresses:
            if self._stop.is_set():
                return
            try:
                with Wire(address, timeout=10 * SCALE) as wire:
                    self._write(wire)
            except (OSError, Closed, ReplyError):
                continue

    def _write(self, wire):
        while not self._stop.is_set():
            number = self.next
            self.next += 1
            wire.call("RPUSH", self.key, number)
            self.acked.append(number)

    def wait_acked(self, more):
        goal = len(self.acked) + more
        wait_for(lambda: len(self.acked) >= goal, 30.0, f"{more} writes of {self.key}")

    def close(self):
        self._stop.set()
        self._thread.join(30 * SCALE)

    def check(self, server):
        kept = [int(number) for number in server.call("LRANGE", self.key, 0, -1)]
        assert len(kept) == len(set(kept)), "a write was executed twice"
        assert kept == sorted(kept)
        assert set(self.acked) <= set(kept), f"lost: {sorted(set(self.acked) - set(kept))[:10]}"


def test_nothing_is_lost_or_doubled_under_load(farm):
    servers = set_up(farm, "ours", "ours")
    full = [stat(server, "sync_full") for server in servers]
    writers = [farm.helper(Writer(f"list:{n}", servers)) for n in range(4)]
    master, replica = servers
    for _ in range(10):
        for writer in writers:
            writer.wait_acked(50)
        assert master.call("FAILOVER", "TIMEOUT", 20000) == "OK"
        wait_role(replica, "master")
        wait_for(lambda peer=master: failover_state(peer) == "no-failover", 20.0, "the end of the failover")
        assert replication(master)["role"] == "slave", master.log_tail()
        master, replica = replica, master
    for writer in writers:
        writer.wait_acked(50)
        writer.close()
    wait_in_sync(master, replica)
    assert_same(master, replica)
    for writer in writers:
        writer.check(master)
    assert [stat(server, "sync_full") for server in servers] == full


@pytest.mark.parametrize("kinds", [("ours", "redis"), ("redis", "ours")], ids="-to-".join)
def test_between_ours_and_redis(farm, kinds):
    master, replica, sibling = set_up(farm, *kinds, "ours")
    full = stat(replica, "sync_full")
    master.call("SET", "before", 1)
    assert master.call("FAILOVER", "TO", "127.0.0.1", replica.port, "TIMEOUT", 20000) == "OK"
    wait_role(replica, "master")
    sibling.call("REPLICAOF", "127.0.0.1", replica.port)
    wait_for(lambda: failover_state(master) == "no-failover", 20.0)
    replica.call("SET", "after", 2)
    wait_in_sync(replica, master, sibling)
    assert_same(replica, master, sibling)
    assert stat(replica, "sync_full") == full


def test_held_writes_are_run_when_it_is_given_up(farm):
    master, replica = set_up(farm, "ours", "ours")
    replica.pause()
    with master.session() as wire, Wire(master.address, timeout=20 * SCALE) as writer:
        writer.call("SET", "k", 0)  # never acknowledged by the replica
        assert wire.call("FAILOVER", "TO", "127.0.0.1", replica.port) == "OK"
        assert failover_state(master) == "waiting-for-sync"
        writer.send_command("INCR", "k")
        wait_for(lambda: master.info("clients")["blocked_clients"] == "1", 10.0, "the write to be held")
        assert wire.call("GET", "k") == b"0"
        with pytest.raises(ReplyError, match="not allowed while failing over"):
            wire.call("REPLICAOF", "127.0.0.1", replica.port)
        with pytest.raises(ReplyError, match="already in progress"):
            wire.call("FAILOVER")
        assert wire.call("FAILOVER", "ABORT") == "OK"
        assert writer.read() == 1
    assert failover_state(master) == "no-failover" and replication(master)["role"] == "master"
    replica.resume()
    wait_in_sync(master, replica)
    assert_same(master, replica)


def test_a_target_whose_link_is_down_and_that_serves_no_stale_data(farm):
    """It waits for its master, which waits for it."""
    master, replica = farm.server("ours"), farm.server("ours", "replica-serve-stale-data no")
    proxy = farm.helper(Proxy(replica.address))
    replica.config_set("replica-announce-port", proxy.port)
    replica.call("REPLICAOF", "127.0.0.1", master.port)
    wait_in_sync(master, replica)
    proxy.unreachable()
    assert master.call("FAILOVER", "TO", "127.0.0.1", proxy.port) == "OK"
    wait_for(lambda: failover_state(master) == "failover-in-progress", 10.0, "the question")
    master.call("CLIENT", "KILL", "TYPE", "replica")
    wait_link_down(replica)
    proxy.allow()
    wait_role(replica, "master")
    wait_for(lambda: failover_state(master) == "no-failover", 10.0, "the end of the failover")
    wait_in_sync(replica, master)


def test_time_without_a_replica_that_has_everything(farm):
    master, replica = set_up(farm, "ours", "ours")
    replica.pause()
    master.call("SET", "k", 1)
    assert master.call("FAILOVER", "TIMEOUT", 200) == "OK"
    wait_for(lambda: failover_state(master) == "no-failover", 10.0, "the time to be over")
    assert replication(master)["role"] == "master"
    master.call("SET", "k", 2)
    replica.resume()
    wait_in_sync(master, replica)


@pytest.mark.parametrize(
    "words",
    [
        ("TO", "127.0.0.1"),
        ("TO", "127.0.0.1", "none"),
        ("TO", "127.0.0.1", 1),
        ("FORCE",),
        ("FORCE", "TIMEOUT", 100),
        ("TIMEOUT", 0),
        ("TIMEOUT", -1),
        ("TIMEOUT", "soon"),
        ("ABORT",),
        ("ABORT", "TIMEOUT", 1),
        ("SOON",),
    ],
    ids=lambda words: " ".join(map(str, words)),
)
def test_orders_that_are_refused(farm, words):
    master, replica = set_up(farm, "ours", "ours")
    with pytest.raises(ReplyError):
        master.call("FAILOVER", *words)
    with pytest.raises(ReplyError, match="not valid when server is a replica"):
        replica.call("FAILOVER")
    assert failover_state(master) == "no-failover"
    assert master.call("SET", "k", 1) == "OK"

"""LOCKSTEP DIGEST: equal on a master, its replica and a replica of that, and after a restart; different after any change.
LOCKSTEP REPLICAS and HISTORY: how far replicas are, what happened to them, and why."""

import contextlib
import time

import pytest

from dataset import WriteLoad, assert_same, fill_every_encoding, replicate, strict_digest, wait_in_sync
from harness import wait_for
from wire import ReplyError

pytestmark = pytest.mark.lockstep_only("a command of this server's own")

FUNCTION = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"


def fill_streams(wire):
    for number in range(1, 50):
        wire.call("XADD", "stream", f"{number}-1", "field", number)
    wire.call("XGROUP", "CREATE", "stream", "group", 0)
    wire.call("XREADGROUP", "GROUP", "group", "reader", "COUNT", 20, "STREAMS", "stream", ">")
    wire.call("XREADGROUP", "GROUP", "group", "other", "COUNT", 20, "STREAMS", "stream", ">")
    wire.call("XACK", "stream", "group", "3-1", "30-1")
    wire.call("XCLAIM", "stream", "group", "other", 0, "5-1", "6-1")
    wire.call("XDEL", "stream", "7-1", "49-1")


def test_copies_have_one_digest(farm):
    master = farm.server("ours", "repl-diskless-sync-delay 0")
    fill_every_encoding(master)
    with master.session() as wire:
        fill_streams(wire)
        wire.call("FUNCTION", "LOAD", FUNCTION)
        wire.call("HSET", "fields", "a", 1, "b", 2)
        wire.call("HPEXPIREAT", "fields", 4102444800123, "FIELDS", 1, "a")
    replica, second = farm.server("ours"), farm.server("ours")
    replicate(replica, master)
    replicate(second, replica)
    with WriteLoad(master.address, seed=5) as load:
        load.wait_done(3000)
    with master.session() as wire:  # the same kinds of changes, now through the stream
        wire.call("SELECT", 7)
        fill_streams(wire)
        wire.call("HSET", "fields", "a", 1, "b", 2)
        wire.call("HPEXPIREAT", "fields", 4102444800123, "FIELDS", 1, "a")
        wire.call("FUNCTION", "LOAD", "REPLACE", FUNCTION.replace("return 1", "return 2"))
    wait_in_sync(master, replica, second)
    assert_same(master, replica, second)
    assert strict_digest(master) == strict_digest(replica) == strict_digest(second)


CHANGES = {
    "a byte": ("SETRANGE", "string", 0, "V"),
    "an expiry, by a millisecond": ("PEXPIREAT", "expires", 4102444800001),
    "an expiry of a field": ("HPEXPIREAT", "fields", 4102444800001, "FIELDS", 1, "a"),
    "the order of a list": ("LMOVE", "list", "list", "LEFT", "RIGHT"),
    "a pending entry's consumer": ("XCLAIM", "stream", "group", "reader", 0, "5-1"),
    "a pending entry's count": ("XCLAIM", "stream", "group", "other", 0, "5-1", "RETRYCOUNT", 9, "JUSTID"),
    "an acknowledged entry": ("XACK", "stream", "group", "5-1"),
    "a consumer": ("XGROUP", "CREATECONSUMER", "stream", "group", "third"),
    "a group": ("XGROUP", "CREATE", "stream", "second", 0),
    "a stream's last id": ("XSETID", "stream", "100-1"),
    "a function": ("FUNCTION", "DELETE", "lib"),
    "a database": ("MOVE", "string", 3),
}


def fill_for_changes(wire):
    wire.call("FLUSHALL")
    wire.call("SET", "string", "value")
    wire.call("SET", "expires", "v", "PXAT", 4102444800000)
    wire.call("HSET", "fields", "a", 1)
    wire.call("HPEXPIREAT", "fields", 4102444800000, "FIELDS", 1, "a")
    wire.call("RPUSH", "list", "a", "b")
    fill_streams(wire)
    wire.call("FUNCTION", "LOAD", "REPLACE", FUNCTION)


def test_it_sees_each_change(server):
    with server.session() as wire:
        for what, command in CHANGES.items():
            fill_for_changes(wire)
            before = wire.call("LOCKSTEP", "DIGEST")
            wire.call(*command)
            assert wire.call("LOCKSTEP", "DIGEST") != before, what


def test_it_does_not_see_how_data_are_kept(server):
    with server.session() as wire:
        wire.call("RPUSH", "list", "a", "b")
        wire.call("HSET", "hash", "f", "v")
        wire.call("ZADD", "zset", 1.5, "m")
        before = wire.call("LOCKSTEP", "DIGEST")
        for key in ("list", "hash", "zset"):
            wire.call("COPY", key, f"{key}:copy")
        for setting in ("hash-max-listpack-entries", "zset-max-listpack-entries", "list-max-listpack-size"):
            wire.call("CONFIG", "SET", setting, "1")
        wire.call("HSET", "hash", "g", "v"), wire.call("HDEL", "hash", "g")
        wire.call("ZADD", "zset", 2, "n"), wire.call("ZREM", "zset", "n")
        assert wire.call("OBJECT", "ENCODING", "hash") == b"hashtable"
        assert wire.call("OBJECT", "ENCODING", "zset") == b"skiplist"
        wire.call("DEL", "list:copy", "hash:copy", "zset:copy")
        time.sleep(0.01)
        assert wire.call("LOCKSTEP", "DIGEST") == before


@pytest.mark.parametrize("how", ["rdb", "aof"])
def test_a_restart_keeps_it(farm, how):
    server = farm.server("ours", f"appendonly {'yes' if how == 'aof' else 'no'}", "rdb-version 12")
    with server.session() as wire:
        fill_for_changes(wire)
    fill_every_encoding(server)
    before = strict_digest(server)
    if how == "rdb":
        server.call("SAVE")
    server.restart()
    assert strict_digest(server) == before


@contextlib.contextmanager
def stopped(server):
    server.pause()
    try:
        yield
    finally:
        server.resume()


def as_map(flat):
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


def replicas_of(server):
    return [as_map(entry) for entry in server.call("LOCKSTEP", "REPLICAS")]


def history_of(server):
    return [as_map(entry) for entry in server.call("LOCKSTEP", "HISTORY")]


def test_replicas_tell_how_far_they_are(farm):
    """A replica that stands still lacks more and more; one of ours says within some hundred ms what it has."""
    master = farm.server("ours", "repl-diskless-sync-delay 0")
    replica = farm.server("ours")
    replicate(replica, master)
    wait_in_sync(master, replica)
    (first,) = replicas_of(master)
    assert first["state"] == b"online" and first["port"] == replica.port
    assert first["synchronization"] == b"full" and first["not-partial-because"] == b"it has no data of a history"
    master.call("SET", "k", "v")
    wait_for(lambda: replicas_of(master)[0]["lag-bytes"] == 0, 5, "an acknowledgement")
    assert 0 < float(replicas_of(master)[0]["ack-ms"]) < 5000
    assert master.info("replication")["lockstep_slave0"].startswith("lag_bytes=0,lag_ms=0,")
    master.call("CONFIG", "SET", "min-replicas-to-write", 1, "min-replicas-max-lag", 0, "min-replicas-max-lag-ms", 400)
    with stopped(replica):
        master.call("SET", "k", "w")
        wait_for(lambda: float(replicas_of(master)[0]["lag-ms"]) > 500, 5, "the lag to grow")
        assert replicas_of(master)[0]["lag-bytes"] > 0
        with pytest.raises(ReplyError, match="NOREPLICAS"):
            master.call("SET", "k", "x")
    wait_for(lambda: float(replicas_of(master)[0]["lag-ms"]) == 0, 5, "the replica to catch up")
    assert master.call("SET", "k", "x") == "OK"


def test_history_says_why_and_what_to_do(farm):
    """A replica that misses more than the backlog holds: the event has the length, and the advice a size that is enough."""
    master = farm.server("ours", "repl-diskless-sync-delay 0", "repl-backlog-size 16kb", "save 3600 1")
    replica = farm.server("ours")
    replicate(replica, master)
    wait_in_sync(master, replica)
    assert master.call("LOCKSTEP", "HISTORY", "ADVICE") == []
    with stopped(replica):
        master.call("CLIENT", "KILL", "TYPE", "replica")
        for number in range(40):
            master.call("SET", f"k{number}", "x" * 50_000)
    wait_in_sync(master, replica)
    full = next(event for event in history_of(master) if event["event"] == b"full-sync")
    assert full["cause"] == b"the backlog was too short" and full["bytes"] >= 2_000_000
    assert full["peer"].endswith(b":%d" % replica.port)
    (advice,) = master.call("LOCKSTEP", "HISTORY", "ADVICE")
    assert b"Set repl-backlog-size to 4mb" in advice
    kinds = [event["event"] for event in history_of(replica)]
    assert kinds[0] == b"link-up" and b"link-down" in kinds
    master.call("CONFIG", "SET", "repl-backlog-size", "4mb")
    with stopped(replica):
        master.call("CLIENT", "KILL", "TYPE", "replica")
        for number in range(40):
            master.call("SET", f"k{number}", "y" * 50_000)
    wait_in_sync(master, replica)
    wait_for(lambda: history_of(master)[0]["event"] == b"synchronized", 5, "the acknowledgement")
    assert history_of(master)[0]["cause"] == b"partial"
    assert_same(master, replica)


def test_a_master_without_persistence_is_told(farm):
    master = farm.server("ours", "repl-diskless-sync-delay 0", 'save ""')
    replica = farm.server("ours")
    assert master.call("LOCKSTEP", "HISTORY", "ADVICE") == []
    replicate(replica, master)
    wait_in_sync(master, replica)
    assert b"neither save points nor an append-only file" in master.call("LOCKSTEP", "HISTORY", "ADVICE")[0]

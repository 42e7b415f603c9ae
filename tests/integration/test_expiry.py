"""Keys that expire: what a client sees, how fast they are deleted, and what else their deletion affects."""

import time

import pytest

from dataset import assert_same, replicate, stat, wait_in_sync, wait_link_up
from harness import SCALE, wait_for
from hazards import attach, lower, stream_of, wait_past_ttl
from wire import ReplyError

NOW_MS = lambda: int(time.time() * 1000)  # noqa: E731


def in_batches(server, commands, size=2000):
    with server.session() as client:
        for start in range(0, len(commands), size):
            for reply in client.pipeline(commands[start : start + size]):
                assert not isinstance(reply, ReplyError), reply


# What a client sees


@pytest.mark.parametrize(
    "command, unit, absolute",
    [("EXPIRE", 1000, False), ("PEXPIRE", 1, False), ("EXPIREAT", 1000, True), ("PEXPIREAT", 1, True)],
)
def test_each_way_to_set_an_expiry(server, command, unit, absolute):
    at = NOW_MS() + 100_000
    server.call("SET", "k", "v")
    assert server.call(command, "k", (at if absolute else 100_000) // unit) == 1
    assert abs(server.call("PEXPIRETIME", "k") - at) < 5000
    assert abs(server.call("EXPIRETIME", "k") - at // 1000) <= 5
    assert 90_000 < server.call("PTTL", "k") <= 100_000
    assert 90 <= server.call("TTL", "k") <= 100
    assert server.call("PERSIST", "k") == 1
    assert server.call("PERSIST", "k") == 0
    assert [server.call(c, "k") for c in ("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME")] == [-1] * 4
    assert [server.call(c, "none") for c in ("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME")] == [-2] * 4
    assert server.call(command, "none", 100) == 0


@pytest.mark.parametrize("present", [None, 1000])
@pytest.mark.parametrize("options", ["NX", "XX", "GT", "LT", "XX GT", "XX LT"])
@pytest.mark.parametrize("given", [500, 1000, 2000])
def test_conditions(server, present, options, given):
    at = NOW_MS() + 10_000_000
    server.call("SET", "k", "v")
    if present:
        server.call("PEXPIREAT", "k", at + present)
    words = options.split()
    applies = all(
        {
            "NX": present is None,
            "XX": present is not None,
            "GT": present is not None and given > present,
            "LT": present is None or given < present,
        }[word]
        for word in words
    )
    assert server.call("PEXPIREAT", "k", at + given, *words) == applies
    expected = at + given if applies else -1 if present is None else at + present
    assert server.call("PEXPIRETIME", "k") == expected


@pytest.mark.parametrize(
    "arguments, text",
    [
        (("EXPIRE", "k", "abc"), "ERR value is not an integer or out of range"),
        (("EXPIRE", "k", ""), "ERR value is not an integer or out of range"),
        (("EXPIRE", "k", 9223372036854776), "ERR invalid expire time in 'expire' command"),
        (("EXPIRE", "k", -9223372036854776), "ERR invalid expire time in 'expire' command"),
        (("EXPIRE", "k", 9223370399119966), "ERR invalid expire time in 'expire' command"),
        (("PEXPIRE", "k", 2**63 - 1), "ERR invalid expire time in 'pexpire' command"),
        (("EXPIREAT", "k", 2**63 - 1), "ERR invalid expire time in 'expireat' command"),
        (("EXPIRE", "k", 10, "AB"), "ERR Unsupported option AB"),
        (("EXPIRE", "k", 10, "XX", "AB"), "ERR Unsupported option AB"),
        (("EXPIRE", "k", 10, "NX", "GT"), "ERR NX and XX, GT or LT options at the same time are not compatible"),
        (("EXPIRE", "k", 10, "GT", "LT"), "ERR GT and LT options at the same time are not compatible"),
        (("EXPIRE", "k"), "ERR wrong number of arguments for 'expire' command"),
        (("SET", "k", "v", "EX", 10**16), "ERR invalid expire time in 'set' command"),
        (("RESTORE", "r", -1, "x"), "ERR Invalid TTL value, must be >= 0"),
    ],
)
def test_times_that_do_not_fit_are_refused(server, arguments, text):
    server.call("SET", "k", "v")
    assert server.ask(*arguments) == ReplyError(text)
    assert server.call("TTL", "k") == -1


def test_the_last_millisecond_there_is(server):
    server.call("SET", "k", "v")
    assert server.call("PEXPIREAT", "k", 2**63 - 1) == 1
    assert server.call("PEXPIRETIME", "k") == 2**63 - 1
    assert server.call("EXPIRETIME", "k") == (2**63 - 1) // 1000 + 1
    assert server.call("PEXPIREAT", "k", -(2**63)) == 1
    assert server.call("EXISTS", "k") == 0


def test_keys_past_their_time_are_gone_for_every_command(server):
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    server.call("SELECT", 0)
    in_batches(server, [("SET", f"k{i}", "v", "PX", 20) for i in range(12)] + [("SET", "stays", "v")])
    wait_past_ttl(20)
    assert server.call("DBSIZE") == 13
    assert server.call("KEYS", "*") == [b"stays"]
    assert server.call("KEYS", "k1") == []
    assert server.call("EXISTS", "k0") == 0
    assert server.call("DEL", "k1") == 0
    assert server.call("RENAME", "stays", "k2") == "OK"
    assert server.call("COPY", "k2", "k3") == 1
    assert server.call("TOUCH", "k4", "k5") == 0
    assert server.call("TYPE", "k6") == "none"
    assert server.call("DUMP", "k7") is None
    assert server.call("MOVE", "k8", 1) == 0
    assert server.call("PERSIST", "k9") == 0
    assert server.call("OBJECT", "ENCODING", "k10") is None
    assert server.call("RANDOMKEY") in (b"k2", b"k3")
    cursor, keys = server.call("SCAN", 0, "COUNT", 1000)
    assert (cursor, sorted(keys)) == (b"0", [b"k2", b"k3"])
    assert server.call("DBSIZE") == 2
    assert stat(server, "expired_keys") == 12


def test_events(server):
    listener = server.wire()
    server.config_set("notify-keyspace-events", "EA")
    listener.call("PSUBSCRIBE", "__keyevent@*__:*")
    server.call("SET", "k", "v")
    server.call("EXPIRE", "k", 100)
    server.call("PERSIST", "k")
    server.call("EXPIRE", "k", -1)
    server.call("SET", "e", "v", "PX", 10)
    seen = []
    while not seen or seen[-1][0] != "expired":
        message = listener.read()
        seen.append((message[2].decode().split(":")[1], message[3].decode()))
    assert seen == [
        ("set", "k"),
        ("expire", "k"),
        ("persist", "k"),
        ("del", "k"),
        ("set", "e"),
        ("expire", "e"),
        ("expired", "e"),
    ]
    listener.close()


# How fast they go


def set_to_expire_within_a_second(server, count):
    """Sets that many keys before the first one expires; returns the time at which it does."""
    for margin in (2000, 6000, 18000, 54000):  # depends on the speed of the machine
        start = NOW_MS() + margin
        in_batches(server, [("SET", f"goes:{i}", "v", "PXAT", start + i * 1000 // count) for i in range(count)])
        if NOW_MS() < start:
            return start
    raise AssertionError("the machine is too slow for this test")


@pytest.mark.slow
@pytest.mark.parametrize("forever", [0, 100_000], ids=["alone", "among keys that stay"])
def test_a_hundred_thousand_keys_within_a_second(server, forever):
    """The expire cycle keeps up, in slices that are short enough for other clients."""
    count = 100_000
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    in_batches(server, [("SET", f"stays:{i}", "v", "EX", 10_000) for i in range(forever)])
    start = set_to_expire_within_a_second(server, count)
    server.call("CONFIG", "RESETSTAT")
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 1)
    wait_for(lambda: NOW_MS() >= start, 60, "the first key's time")
    wait_for(lambda: server.call("DBSIZE") <= forever + count // 20, 10, lambda: f"{server.call('DBSIZE')} keys left")
    late = NOW_MS() - (start + 1000)
    assert late < 5000 * SCALE, f"95 % of the keys were gone {late} ms after the last one's time"
    wait_for(lambda: server.call("DBSIZE") <= forever + count // 100, 10, lambda: f"{server.call('DBSIZE')} keys left")
    assert stat(server, "expired_keys") >= count * 99 // 100


def test_clients_are_answered_while_masses_expire(server):
    count = 200_000
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    in_batches(server, [("SET", f"goes:{i}", "v", "PX", 1) for i in range(count)])
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 1)
    waits, client = [], server.wire()
    while client.call("DBSIZE") > 0:
        before = time.perf_counter()
        client.call("PING")
        waits.append(time.perf_counter() - before)
    waits.sort()
    client.close()
    assert len(waits) > 10, "clients had their turn in between"
    assert stat(server, "expired_time_cap_reached_count") > 10, "in slices of less than a millisecond"


def test_every_database_has_its_turn(server):
    """A database full of expired keys does not delay expiry in the others."""
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    with server.session(database=3) as client:
        for start in range(0, 100_000, 2000):
            client.pipeline([("SET", f"k{start + i}", "v", "PX", 1) for i in range(2000)])
    for database in (0, 7, 15):
        with server.session(database=database) as client:
            client.call("SET", "k", "v", "PX", 1)
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 1)
    wait_for(lambda: not server.info("keyspace"), 10, lambda: server.info("keyspace"))


# Effects on other keys, replicas and clients


def test_X8_deletions_on_the_way_are_not_one_transaction(farm, server):
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    in_batches(server, [("SET", f"k{i}", "v", "PX", 1) for i in range(20)])
    wait_past_ttl(1)
    commands, replies = stream_of(farm, server, [("SCAN", 0, "COUNT", 5), ("RANDOMKEY",), ("SCAN", 0, "COUNT", 100)])
    assert sorted(lower(commands)) == sorted([[b"del", b"k%d" % i] for i in range(20)])
    assert replies[1] is None


def test_X8_deletions_on_the_way_inside_a_transaction_belong_to_it(farm, server):
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    in_batches(server, [("SET", f"k{i}", "v", "PX", 1) for i in range(3)])
    wait_past_ttl(1)
    commands, _ = stream_of(farm, server, [("MULTI",), ("SCAN", 0, "COUNT", 100), ("SET", "a", "1"), ("EXEC",)])
    names = [command[0].lower() for command in commands]
    assert names == [b"multi", b"del", b"del", b"del", b"set", b"exec"]


@pytest.mark.parametrize("lazy", ["no", "yes"])
def test_X3_the_deletion_is_of_the_kind_that_was_asked_for(farm, server, lazy):
    server.config_set("lazyfree-lazy-expire", lazy)
    fake = attach(farm, server)
    server.call("SET", "a", "v")
    server.call("EXPIRE", "a", -1)
    server.call("SET", "b", "v", "PX", 30)
    kind = b"unlink" if lazy == "yes" else b"del"
    other = b"del" if lazy == "yes" else b"unlink"
    assert fake.command()[0].lower() == b"set"
    assert lower([fake.command()]) == [[kind, b"a"]]
    assert fake.command()[0].lower() == b"set"
    assert lower([fake.command()]) == [[kind, b"b"]]
    server.call("MSET", "c", "v", "d", "v")
    server.call("GETEX", "c", "EXAT", 1)
    server.config_set("lazyfree-lazy-user-del", "no" if lazy == "yes" else "yes")
    server.call("GETDEL", "d")
    assert fake.command()[0].lower() == b"mset"
    assert lower([fake.command()]) == [[kind, b"c"]]
    assert lower([fake.command()]) == [[other, b"d"]]


def test_a_writable_replica_expires_what_its_own_clients_wrote(farm):
    master, replica = farm.server(), farm.server("ours", "replica-read-only no")
    replicate(replica, master)
    wait_link_up(replica)
    master.call("SET", "masters", "v", "PX", 60_000)
    wait_in_sync(master, replica)
    replica.call("SET", "own", "v", "PX", 30)
    replica.call("SET", "own2", "v", "EX", 1000)
    wait_for(lambda: stat(replica, "slave_expires_tracked_keys") == 1, 5, "one of two to be left")
    assert replica.call("DBSIZE") == 2
    assert stat(replica, "expired_keys") == 1
    replica.call("REPLICAOF", "NO", "ONE")
    replica.call("PEXPIRE", "own2", 20)
    wait_for(lambda: replica.call("DBSIZE") == 1, 5, "the other one's time to come")


def test_a_write_to_a_key_that_is_hidden_on_a_replica(farm):
    """The master has not sent the DEL yet: no second key of that name appears, and the old value is not used."""
    master, replica = farm.server(), farm.server("ours", "replica-read-only no")
    master.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    replicate(replica, master)
    wait_link_up(replica)
    for name in ("set", "incr", "append"):
        master.call("SET", name, "5", "PX", 50)
    wait_in_sync(master, replica)
    wait_for(lambda: replica.call("EXISTS", "set", "incr", "append") == 0, 5, "the keys to be past their time")
    assert replica.call("DBSIZE") == 3
    assert replica.call("SET", "set", "new") == "OK"
    assert replica.call("INCR", "incr") == 1
    assert replica.call("APPEND", "append", "x") == 1
    assert replica.call("DBSIZE") == 3
    assert replica.call("MGET", "set", "incr", "append") == [b"new", b"1", b"x"]


def test_expiries_survive_a_restart(farm):
    server = farm.server("ours", "save 1000 1")
    at = NOW_MS() + 100_000
    server.call("SET", "k", "v", "PXAT", at)
    server.call("SET", "gone", "v", "PX", 1)
    server.call("DEBUG", "RELOAD")
    assert server.call("PEXPIRETIME", "k") == at
    server.restart()
    assert server.call("PEXPIRETIME", "k") == at
    assert server.call("EXISTS", "gone") == 0


def test_flushall_empties_the_file_too(farm):
    server = farm.server("ours", "save 1000 1000")
    server.call("SET", "k", "v")
    server.call("SAVE")
    server.call("SET", "k2", "v")
    server.call("FLUSHALL")
    assert int(server.info("persistence")["rdb_changes_since_last_save"]) == 0
    server.kill()
    server.start()
    assert server.call("DBSIZE") == 0


def test_flushall_and_its_save_leave_a_position_that_is_true(farm):
    """The position in the saved file is after FLUSHALL: a replica that has it continues and is equal."""
    master = farm.server("ours", "save 1000 1000", "repl-backlog-size 1mb")
    replica = farm.server()
    replicate(replica, master)
    wait_link_up(replica)
    master.call("SET", "k", "v")
    wait_in_sync(master, replica)
    replica.pause()
    master.call("FLUSHALL")
    master.kill()
    replica.resume()
    master.start()
    wait_link_up(replica)
    assert_same(master, replica)
    assert replica.call("DBSIZE") == 0


def test_swapdb_and_watch(server):
    """A watched key has changed if SWAPDB gave it another value, or created or removed it."""
    with server.session(database=1) as other:
        other.call("SET", "only-in-1", "v")
    server.call("SET", "only-in-0", "v")
    for key, broken in (("only-in-0", True), ("only-in-1", True), ("nowhere", False)):
        with server.session() as client:
            client.call("WATCH", key)
            server.call("SWAPDB", 0, 1)
            client.call("MULTI")
            client.call("PING")
            assert (client.ask("EXEC") is None) == broken, key
        server.call("SWAPDB", 0, 1)

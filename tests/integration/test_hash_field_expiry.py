"""Fields of hashes that expire, as in Redis 7.4: what clients see, and what replicas and files get."""

import time

import pytest

import rdbfile
from dataset import assert_same, digest, offset, replicate, stat, wait_in_sync, wait_link_up
from harness import wait_for
from hazards import attach, attach_to_fake_master, lower, stream_of, wait_past_ttl
from wire import ReplyError, pairs_to_dict

NOW_MS = lambda: int(time.time() * 1000)  # noqa: E731
FAR = 4102444800000  # the year 2100, in ms
SMALL_AND_BIG = pytest.mark.parametrize("entries", [512, 0], ids=["listpack", "table"])


@pytest.fixture
def lazy(server, entries):
    """A server on which active expiry is off."""
    server.config_set("hash-max-listpack-entries", entries)
    assert server.call("DEBUG", "SET-ACTIVE-EXPIRE", "0") == "OK"
    return server


def fields(*names):
    return ("FIELDS", len(names), *names)


def times(server, key, *names):
    return server.call("HPEXPIRETIME", key, *fields(*names))


def all_times(server, key):
    names = server.call("HKEYS", key)
    return dict(zip(names, times(server, key, *names)))


def make(server, key, **values):
    assert server.call("HSET", key, *[part for pair in values.items() for part in pair]) == len(values)


def expire_soon(server, key, *names, ms=1):
    assert server.call("HPEXPIRE", key, ms, *fields(*names)) == [1] * len(names)


def let_expire(server, key, *names):
    expire_soon(server, key, *names)
    wait_past_ttl(1)


# What a client sees


@SMALL_AND_BIG
@pytest.mark.parametrize(
    "command, unit, absolute",
    [("HEXPIRE", 1000, False), ("HPEXPIRE", 1, False), ("HEXPIREAT", 1000, True), ("HPEXPIREAT", 1, True)],
)
def test_each_way_to_set_a_time(server, entries, command, unit, absolute):
    server.config_set("hash-max-listpack-entries", entries)
    at = NOW_MS() + 100_000
    make(server, "h", f="1", g="2", stays="3")
    given = (at if absolute else 100_000) // unit
    assert server.call(command, "h", given, *fields("f", "none", "g")) == [1, -2, 1]
    assert abs(times(server, "h", "f")[0] - at) < 5000
    assert abs(server.call("HEXPIRETIME", "h", *fields("g"))[0] - at // 1000) <= 5
    assert 90_000 < server.call("HPTTL", "h", *fields("f"))[0] <= 100_000
    assert 90 <= server.call("HTTL", "h", *fields("f"))[0] <= 100
    for ask in ("HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME"):
        assert server.call(ask, "h", *fields("stays", "none")) == [-1, -2]
        assert server.call(ask, "no key", *fields("a", "b")) == [-2, -2]
    assert server.call("HPERSIST", "h", *fields("f", "stays", "none")) == [1, -1, -2]
    assert server.call("HPERSIST", "no key", *fields("f", "g")) == [-2, -2]
    assert server.call(command, "no key", given, *fields("f", "g")) == [-2, -2]
    assert times(server, "h", "f") == [-1]
    assert server.call("HGETALL", "h").__len__() == 6


@SMALL_AND_BIG
@pytest.mark.parametrize("present", [None, 1000])
@pytest.mark.parametrize("condition", ["NX", "XX", "GT", "LT", "gt"])
@pytest.mark.parametrize("given", [500, 1000, 2000])
def test_conditions(server, entries, present, condition, given):
    server.config_set("hash-max-listpack-entries", entries)
    make(server, "h", f="1")
    if present:
        server.call("HPEXPIREAT", "h", FAR + present, *fields("f"))
    applies = {
        "NX": present is None,
        "XX": present is not None,
        "GT": present is not None and given > present,
        "LT": present is None or given < present,
    }[condition.upper()]
    assert server.call("HPEXPIREAT", "h", FAR + given, condition, *fields("f")) == [int(applies)]
    assert times(server, "h", "f") == [FAR + given if applies else -1 if present is None else FAR + present]


@SMALL_AND_BIG
def test_a_time_in_the_past_deletes(server, entries):
    server.config_set("hash-max-listpack-entries", entries)
    make(server, "h", a="1", b="2", c="3")
    server.call("HEXPIRE", "h", 1000, *fields("c"))
    assert server.call("HPEXPIREAT", "h", NOW_MS() - 1, "NX", *fields("a", "none", "c", "a")) == [2, -2, 0, -2]
    assert server.call("HEXPIRE", "h", 0, *fields("b")) == [2]
    assert server.call("HGETALL", "h") == [b"c", b"3"]
    assert server.call("HEXPIREAT", "h", 0, *fields("c")) == [2]
    assert server.call("EXISTS", "h") == 0


@pytest.mark.parametrize(
    "arguments, text",
    [
        (("HEXPIRE", "h", "x", "FIELDS", 1, "f"), "ERR value is not an integer or out of range"),
        (("HEXPIRE", "h", -1, "FIELDS", 1, "f"), "ERR invalid expire time, must be >= 0"),
        (("HPEXPIREAT", "h", -(2**63), "FIELDS", 1, "f"), "ERR invalid expire time, must be >= 0"),
        (("HEXPIRE", "h", 2**63 - 1, "FIELDS", 1, "f"), "ERR invalid expire time in 'hexpire' command"),
        (("HPEXPIRE", "h", 2**63 - 1, "FIELDS", 1, "f"), "ERR invalid expire time in 'hpexpire' command"),
        (("HPEXPIREAT", "h", 2**46, "FIELDS", 1, "f"), "ERR invalid expire time in 'hpexpireat' command"),
        (("HEXPIREAT", "h", 2**46 // 1000 + 1, "FIELDS", 1, "f"), "ERR invalid expire time in 'hexpireat' command"),
        (
            ("HEXPIRE", "h", 1, "ZX", "FIELDS", 1, "f"),
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ),
        (
            ("HEXPIRE", "h", 1, "NX", "XX", "FIELDS", 1, "f"),
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ),
        (
            ("HTTL", "h", "FIELD", 1, "f"),
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ),
        (("HEXPIRE", "h", 1, "FIELDS", 0, "f"), "ERR Parameter `numFields` should be greater than 0"),
        (("HEXPIRE", "h", 1, "FIELDS", "x", "f"), "ERR Parameter `numFields` should be greater than 0"),
        (("HPERSIST", "h", "FIELDS", 2, "f"), "ERR The `numfields` parameter must match the number of arguments"),
        (("HTTL", "h", "FIELDS", 1, "f", "g"), "ERR The `numfields` parameter must match the number of arguments"),
        (
            ("HEXPIRE", "h", 1, "NX", "FIELDS", 2**63 - 1, "f"),
            "ERR The `numfields` parameter must match the number of arguments",
        ),
        (("HEXPIRE", "h", 1, "FIELDS", 1), "ERR wrong number of arguments for 'hexpire' command"),
        (("HEXPIRE", "h", 1, "NX", "FIELDS", 1), "ERR The `numfields` parameter must match the number of arguments"),
        (("HPERSIST", "h", "FIELDS", 1), "ERR wrong number of arguments for 'hpersist' command"),
        (("HPTTL", "h", "FIELDS", 1), "ERR wrong number of arguments for 'hpttl' command"),
    ],
)
def test_what_is_refused(server, arguments, text):
    make(server, "h", f="1")
    reply = server.ask(*arguments)
    assert isinstance(reply, ReplyError) and str(reply) == text
    assert times(server, "h", "f") == [-1]


@pytest.mark.parametrize(
    "command", ["HEXPIRE k 1", "HPEXPIRE k 1", "HEXPIREAT k 1", "HPEXPIREAT k 1", "HTTL k", "HEXPIRETIME k", "HPERSIST k"]
)
def test_wrong_type(server, command):
    server.call("SET", "k", "v")
    assert str(server.ask(*command.split(), "FIELDS", 1, "f")).startswith("WRONGTYPE")


def test_the_latest_time(server):
    make(server, "h", f="1")
    assert server.call("HPEXPIREAT", "h", 2**46 - 1, *fields("f")) == [1]
    assert server.call("DEBUG", "RELOAD") == "OK"
    assert times(server, "h", "f") == [2**46 - 1]


def test_encodings(server):
    server.config_set("hash-max-listpack-entries", 5)
    make(server, "h", a="1", b="2")
    server.call("HPERSIST", "h", *fields("a"))
    assert server.call("OBJECT", "ENCODING", "h") == b"listpack"
    server.call("HEXPIRE", "h", 1000, *fields("a"))
    assert server.call("OBJECT", "ENCODING", "h") == b"listpackex"
    server.call("HPERSIST", "h", *fields("a"))
    assert server.call("OBJECT", "ENCODING", "h") == b"listpackex"
    server.call("HPEXPIREAT", "h", FAR, *fields("b"))
    for name in "cdef":
        server.call("HSET", "h", name, "1")
    assert server.call("OBJECT", "ENCODING", "h") == b"hashtable"
    assert times(server, "h", "a", "b", "f") == [-1, FAR, -1]


@SMALL_AND_BIG
def test_what_keeps_a_time_and_what_clears_it(server, entries):
    server.config_set("hash-max-listpack-entries", entries)
    for command, kept in [
        (("HSET", "h", "f", "7"), False),
        (("HMSET", "h", "g", "1", "f", "7"), False),
        (("HSETNX", "h", "f", "7"), True),
        (("HINCRBY", "h", "f", "1"), True),
        (("HINCRBYFLOAT", "h", "f", "0.5"), True),
        (("HINCRBYFLOAT", "h", "f", "1e15"), True),
        (("HGET", "h", "f"), True),
    ]:
        server.call("DEL", "h")
        make(server, "h", f="1", g="2")
        server.call("HPEXPIREAT", "h", FAR, *fields("f"))
        server.call(*command)
        assert times(server, "h", "f") == [FAR if kept else -1], command
    server.call("HDEL", "h", "f")
    server.call("HSET", "h", "f", "new")
    assert times(server, "h", "f") == [-1]


# Fields past their time


@SMALL_AND_BIG
def test_a_field_past_its_time_is_not_there(lazy):
    make(lazy, "h", dead="1", dead2="22", alive="333")
    let_expire(lazy, "h", "dead", "dead2")
    assert lazy.call("HLEN", "h") == 3, "it counts until it is deleted, as in Redis"
    assert lazy.call("HGETALL", "h") == [b"alive", b"333"]
    assert lazy.call("HKEYS", "h") == [b"alive"]
    assert lazy.call("HVALS", "h") == [b"333"]
    assert lazy.call("HSCAN", "h", 0, "COUNT", 100) == [b"0", [b"alive", b"333"]]
    assert lazy.call("HTTL", "h", *fields("dead", "alive")) == [-2, -1]
    lazy.call("SADD", "s", "h")
    assert lazy.call("SORT", "s", "BY", "nosort", "GET", "*->dead", "GET", "*->alive") == [None, b"333"]
    assert lazy.call("HLEN", "h") == 3 and stat(lazy, "expired_subkeys") == 0
    assert lazy.call("HMGET", "h", "dead", "alive", "none", "dead") == [None, b"333", None, None]
    assert lazy.call("HLEN", "h") == 2 and stat(lazy, "expired_subkeys") == 1
    assert lazy.call("HPERSIST", "h", *fields("dead2")) == [-2]
    assert lazy.call("HLEN", "h") == 1 and stat(lazy, "expired_subkeys") == 2


@SMALL_AND_BIG
@pytest.mark.parametrize(
    "command, reply",
    [
        (("HGET", "h", "f"), None),
        (("HMGET", "h", "f"), [None]),
        (("HEXISTS", "h", "f"), 0),
        (("HSTRLEN", "h", "f"), 0),
        (("HEXPIRE", "h", "10", *fields("f")), [-2]),
        (("HPERSIST", "h", *fields("f")), [-2]),
        (("HRANDFIELD", "h"), None),
        (("HRANDFIELD", "h", "5"), []),
        (("HRANDFIELD", "h", "-5", "WITHVALUES"), []),
    ],
)
def test_the_last_field_takes_the_key_with_it(lazy, command, reply):
    make(lazy, "h", f="1")
    let_expire(lazy, "h", "f")
    assert lazy.call("EXISTS", "h") == 1
    assert lazy.call(*command) == reply
    assert lazy.call("EXISTS", "h") == 0
    assert stat(lazy, "expired_subkeys") == 1


@SMALL_AND_BIG
@pytest.mark.parametrize(
    "command, reply, value",
    [
        (("HINCRBY", "h", "f", "3"), 3, b"3"),
        (("HINCRBYFLOAT", "h", "f", "1.5"), b"1.5", b"1.5"),
        (("HSETNX", "h", "f", "new"), 1, b"new"),
        (("HSET", "h", "f", "new"), 0, b"new"),  # the field still existed, as in Redis
    ],
)
@pytest.mark.parametrize("others", [0, 1])
def test_writes_to_a_field_past_its_time(lazy, command, reply, value, others):
    make(lazy, "h", f="100")
    for i in range(others):
        lazy.call("HSET", "h", f"other{i}", "x")
    let_expire(lazy, "h", "f")
    assert lazy.call(*command) == reply
    assert lazy.call("HGET", "h", "f") == value
    assert times(lazy, "h", "f") == [-1]
    assert lazy.call("HLEN", "h") == 1 + others


@SMALL_AND_BIG
def test_random_fields(lazy):
    for i in range(200):
        lazy.call("HSET", "h", f"f{i}", i)
    let_expire(lazy, "h", *[f"f{i}" for i in range(195)])
    assert sorted(lazy.call("HRANDFIELD", "h", 1000)) == [b"f195", b"f196", b"f197", b"f198", b"f199"]
    assert stat(lazy, "expired_subkeys") == 100, "not too many at once"
    assert len(lazy.call("HRANDFIELD", "h", 3)) == 3
    got = lazy.call("HRANDFIELD", "h", -500)
    assert set(got) == {b"f195", b"f196", b"f197", b"f198", b"f199"} and len(got) == 500
    assert lazy.call("HLEN", "h") == 5


@SMALL_AND_BIG
def test_active_expiry(server, entries):
    server.config_set("hash-max-listpack-entries", entries)
    make(server, "all", a="1", b="2")
    make(server, "some", a="1", b="2")
    expire_soon(server, "all", "a", "b", ms=20)
    expire_soon(server, "some", "a", ms=20)
    assert "subexpiry=2" in server.info("keyspace")["db0"]
    wait_for(lambda: server.call("EXISTS", "all") == 0 and server.call("HLEN", "some") == 1, 5, "the fields to go")
    assert stat(server, "expired_subkeys") == 3 and stat(server, "expired_keys") == 0
    assert "subexpiry" not in server.info("keyspace")["db0"]
    assert server.call("HGETALL", "some") == [b"b", b"2"]


@SMALL_AND_BIG
def test_events(server, entries):
    server.config_set("hash-max-listpack-entries", entries)
    server.config_set("notify-keyspace-events", "EAh")
    with server.session() as events:
        events.call("PSUBSCRIBE", "__keyevent@0__:*")
        heard = lambda: (lambda m: (m[2][len("__keyevent@0__:") :], m[3]))(events.read())  # noqa: E731
        make(server, "h", a="1", b="2", c="3", d="4")
        assert heard() == (b"hset", b"h")
        server.call("HEXPIRE", "h", 1000, *fields("a", "b"))
        assert heard() == (b"hexpire", b"h")
        server.call("HPERSIST", "h", *fields("a", "c"))
        assert heard() == (b"hpersist", b"h")
        server.call("HEXPIRE", "h", 1000, "XX", *fields("c"))  # nothing
        server.call("HPERSIST", "h", *fields("c"))
        server.call("HEXPIRE", "h", 0, *fields("a", "b"))
        assert heard() == (b"hdel", b"h")
        expire_soon(server, "h", "c")
        assert heard() == (b"hexpire", b"h")
        assert heard() == (b"hexpired", b"h")
        server.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        server.call("HSET", "h", "e", "5")
        assert heard() == (b"hset", b"h")
        let_expire(server, "h", "d", "e")
        assert heard() == (b"hexpire", b"h")
        server.call("HMGET", "h", "d", "e")
        assert [heard(), heard()] == [(b"hexpired", b"h"), (b"del", b"h")]


@SMALL_AND_BIG
def test_a_key_with_its_fields_moves_and_is_copied(server, entries):
    server.config_set("hash-max-listpack-entries", entries)
    make(server, "h", a="1", b="2")
    server.call("HPEXPIREAT", "h", FAR, *fields("a"))
    wanted = {b"a": FAR, b"b": -1}
    server.call("EXPIRE", "h", 1000)
    server.call("COPY", "h", "copy")
    server.call("HDEL", "h", "a")
    assert all_times(server, "copy") == wanted
    server.call("RENAME", "copy", "renamed")
    assert all_times(server, "renamed") == wanted
    dump = server.call("DUMP", "renamed")
    assert dump[0] == (25 if entries else 24) and dump[-10:-8] == b"\x0c\x00"
    server.call("RESTORE", "restored", 0, dump)
    assert all_times(server, "restored") == wanted
    server.call("MOVE", "renamed", 9)
    server.call("SWAPDB", 0, 9)
    assert all_times(server, "renamed") == wanted
    assert server.call("DEBUG", "RELOAD") == "OK"
    assert all_times(server, "renamed") == wanted
    expire_soon(server, "renamed", "a", "b")
    wait_for(lambda: server.call("EXISTS", "renamed") == 0, 5, "it to go")


def test_a_dump_without_times_is_of_the_configured_version(server):
    make(server, "h", a="1")
    server.call("HEXPIRE", "h", 100, *fields("a"))
    server.call("HPERSIST", "h", *fields("a"))
    assert server.call("DUMP", "h")[-10:-8] == b"\x0a\x00"


def test_watch_sees_a_field_go(server):
    make(server, "h", a="1", b="2")
    with server.session() as client:
        expire_soon(server, "h", "a", ms=30)
        client.call("WATCH", "h")
        wait_for(lambda: server.call("HLEN", "h") == 1, 5, "the field to go")
        client.call("MULTI")
        client.call("PING")
        assert client.call("EXEC") is None


# The stream


@SMALL_AND_BIG
def test_what_goes_into_the_stream(farm, server, entries):
    server.config_set("hash-max-listpack-entries", entries)
    before = NOW_MS()
    commands, _ = stream_of(
        farm,
        server,
        [
            ("HSET", "h", "a", "1", "b", "2", "c", "3", "d", "4"),
            ("HEXPIRE", "h", "100", "FIELDS", "2", "a", "none"),
            ("HPEXPIRE", "h", "200000", "NX", "FIELDS", "2", "a", "b"),
            ("HEXPIREAT", "h", FAR // 1000, "FIELDS", "1", "c"),
            ("HPEXPIREAT", "h", FAR, "GT", "FIELDS", "3", "a", "c", "none"),
            ("HEXPIRE", "h", "10", "XX", "FIELDS", "1", "d"),
            ("HEXPIRE", "no key", "10", "FIELDS", "1", "d"),
            ("HPERSIST", "h", "FIELDS", "1", "d"),
            ("HPERSIST", "h", "FIELDS", "2", "a", "none"),
            ("HEXPIRE", "h", "0", "FIELDS", "2", "b", "none"),
            ("HPEXPIREAT", "h", "1", "FIELDS", "3", "a", "c", "d"),
        ],
    )
    soon = [int(commands[1][2]), int(commands[2][2])]
    assert before + 100_000 <= soon[0] <= NOW_MS() + 100_000 and before + 200_000 <= soon[1] <= NOW_MS() + 200_000
    assert lower(commands) == [
        [b"hset", b"h", b"a", b"1", b"b", b"2", b"c", b"3", b"d", b"4"],
        [b"hpexpireat", b"h", b"%d" % soon[0], b"FIELDS", b"1", b"a"],
        [b"hpexpireat", b"h", b"%d" % soon[1], b"NX", b"FIELDS", b"1", b"b"],
        [b"hpexpireat", b"h", b"%d" % FAR, b"FIELDS", b"1", b"c"],
        [b"hpexpireat", b"h", b"%d" % FAR, b"GT", b"FIELDS", b"1", b"a"],
        [b"hpersist", b"h", b"FIELDS", b"2", b"a", b"none"],
        [b"hdel", b"h", b"b"],
        [b"hdel", b"h", b"a", b"c", b"d"],
    ]


@SMALL_AND_BIG
def test_X4_float_increments_keep_the_time_of_a_field(farm, server, entries):
    server.config_set("hash-max-listpack-entries", entries)
    replica = farm.server("ours", f"replicaof 127.0.0.1 {server.port}", f"hash-max-listpack-entries {entries}")
    wait_link_up(replica)
    commands, _ = stream_of(
        farm,
        server,
        [
            ("HSET", "h", "f", "1", "g", "1"),
            ("HPEXPIREAT", "h", FAR, "FIELDS", "1", "f"),
            ("HINCRBYFLOAT", "h", "f", "0.5"),
            ("HINCRBYFLOAT", "h", "g", "0.5"),
            ("HINCRBY", "h", "g", "x"),
        ],
    )
    assert lower(commands)[2:] == [
        [b"multi"],
        [b"hset", b"h", b"f", b"1.5"],
        [b"hpexpireat", b"h", b"%d" % FAR, b"FIELDS", b"1", b"f"],
        [b"exec"],
        [b"hset", b"h", b"g", b"1.5"],
    ]
    wait_in_sync(server, replica)
    assert_same(server, replica)
    assert all_times(replica, "h") == all_times(server, "h") == {b"f": FAR, b"g": -1}


@SMALL_AND_BIG
def test_X1_what_a_write_found_past_its_time_is_deleted_in_the_stream_before(farm, lazy):
    make(lazy, "h", a="10", b="20", c="x", d="1.5", e="5")
    make(lazy, "alone", f="1")
    fake = attach(farm, lazy)
    expire_soon(lazy, "h", "a", "b", "c", "d", "e")
    expire_soon(lazy, "alone", "f")
    wait_past_ttl(1)
    assert lazy.call("HINCRBY", "h", "a", "1") == 1
    assert lazy.call("HGET", "h", "b") is None
    assert lazy.call("HSETNX", "h", "c", "new") == 1
    assert lazy.call("HINCRBYFLOAT", "h", "d", "2") == b"2"
    assert lazy.call("HEXPIRE", "h", "10", "FIELDS", "2", "e", "a") == [-2, 1]
    assert lazy.call("HINCRBY", "alone", "f", "7") == 7
    lazy.call("SET", "end", "1")
    got = [command for command in lower(fake.commands_until(b"end"))][2:]
    assert [command for command in got if command[0] not in (b"multi", b"exec")] == [
        [b"hdel", b"h", b"a"],
        [b"hincrby", b"h", b"a", b"1"],
        [b"hdel", b"h", b"b"],
        [b"hdel", b"h", b"c"],
        [b"hsetnx", b"h", b"c", b"new"],
        [b"hdel", b"h", b"d"],
        [b"hset", b"h", b"d", b"2"],
        [b"hdel", b"h", b"e"],
        [b"hpexpireat", b"h", got[-6][2], b"FIELDS", b"1", b"a"],
        [b"hdel", b"alone", b"f"],
        [b"hincrby", b"alone", b"f", b"7"],
    ]
    assert got[:4] == [[b"multi"], got[1], got[2], [b"exec"]], "both at once"


def test_active_expiry_tells_the_stream(farm, server):
    fake = attach(farm, server)
    make(server, "h", a="1", b="2", c="3")
    make(server, "gone", x="1")
    expire_soon(server, "h", "a", "b", ms=20)
    expire_soon(server, "gone", "x", ms=30)
    wait_for(lambda: server.call("DBSIZE") == 1 and server.call("HLEN", "h") == 1, 5, "the fields to go")
    server.call("SET", "end", "1")
    commands = lower(fake.commands_until(b"end"))[4:]
    gone = [(command[1], name) for command in commands for name in command[2:]]
    assert all(command[0] == b"hdel" for command in commands)
    assert sorted(gone) == [(b"gone", b"x"), (b"h", b"a"), (b"h", b"b")]


@SMALL_AND_BIG
def test_X1_a_replica_hides_fields_but_deletes_none(farm, entries):
    replica, _, link = attach_to_fake_master(farm, f"hash-max-listpack-entries {entries}", "replica-read-only no")
    at = NOW_MS() + 100
    link.send_command("HSET", "h", "a", "5", "b", "6", "c", "7", "d", "8")
    link.send_command("HPEXPIREAT", "h", at, "FIELDS", "3", "a", "b", "d")
    link.send_command("SET", "one", "1")
    wait_for(lambda: replica.call("GET", "one") == b"1", 10, "the stream to be applied")
    wait_for(lambda: replica.call("HGET", "h", "a") is None, 10, "the field to be past its time")
    for command in (("HEXISTS", "h", "a"), ("HSTRLEN", "h", "a"), ("HTTL", "h", "FIELDS", 1, "a")):
        replica.call(*command)
    assert replica.call("HGETALL", "h") == [b"c", b"7"]
    assert replica.call("HRANDFIELD", "h", 10) == [b"c"] and replica.call("HRANDFIELD", "h") == b"c"
    assert replica.call("HSCAN", "h", 0) == [b"0", [b"c", b"7"]]
    assert replica.call("HLEN", "h") == 4, "all are still there"
    link.send_command("HINCRBY", "h", "a", "10")
    link.send_command("HPERSIST", "h", "FIELDS", "1", "a")
    link.send_command("HPEXPIREAT", "h", FAR, "XX", "FIELDS", "1", "b")
    link.send_command("HDEL", "h", "d")
    link.send_command("SET", "two", "2")
    wait_for(lambda: replica.call("GET", "two") == b"2", 10, "the stream to be applied")
    assert pairs_to_dict(replica.call("HGETALL", "h")) == {b"a": b"15", b"b": b"6", b"c": b"7"}
    assert all_times(replica, "h") == {b"a": -1, b"b": FAR, b"c": -1}
    assert stat(replica, "expired_subkeys") == 0


def test_a_time_that_was_past_when_it_arrived(farm):
    """The master's clock may be late: its HDEL arrives later."""
    replica, _, link = attach_to_fake_master(farm)
    link.send_command("HSET", "h", "a", "5")
    link.send_command("HPEXPIREAT", "h", 0, "FIELDS", "1", "a")
    link.send_command("SET", "one", "1")
    wait_for(lambda: replica.call("GET", "one") == b"1", 10, "the stream to be applied")
    assert replica.call("HLEN", "h") == 1 and replica.call("HGET", "h", "a") is None
    link.send_command("HPEXPIREAT", "h", FAR, "FIELDS", "1", "a")
    link.send_command("SET", "two", "1")
    wait_for(lambda: replica.call("GET", "two") == b"1", 10, "the stream to be applied")
    assert replica.call("HGET", "h", "a") == b"5"


def test_a_writable_replicas_client_comes_upon_a_hidden_field(farm):
    replica, _, link = attach_to_fake_master(farm, "replica-read-only no")
    link.send_command("HSET", "h", "a", "5", "b", "1")
    link.send_command("HPEXPIREAT", "h", NOW_MS() + 50, "FIELDS", "1", "a")
    link.send_command("SET", "one", "1")
    wait_for(lambda: replica.call("GET", "one") == b"1", 10, "the stream to be applied")
    wait_for(lambda: replica.call("HGET", "h", "a") is None, 10, "the field to be past its time")
    assert replica.call("HINCRBY", "h", "a", "1") == 1
    assert all_times(replica, "h") == {b"b": -1, b"a": -1}


# Synchronizing, and files


def fill(server):
    server.config_set("hash-max-listpack-entries", 100)
    with server.session() as client:
        for size in (1, 5, 100, 101, 1000):
            for i in range(size):
                client.call("HSET", f"h{size}", f"field{i}", i)
            client.call("HPEXPIREAT", f"h{size}", FAR + size, *fields(*[f"field{i}" for i in range(0, size, 2)]))
        client.call("HSET", "plain", "a", "1")
        client.call("HPEXPIREAT", "h1000", FAR - 1, *fields("field1", "field999"))


def assert_same_times(one, other):
    assert_same(one, other)
    for size in (1, 5, 100, 101, 1000):
        assert all_times(one, f"h{size}") == all_times(other, f"h{size}")


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_a_full_sync_keeps_the_times(farm, server, diskless):
    fill(server)
    server.config_set("repl-diskless-sync", diskless)
    replica = farm.server("ours", f"replicaof 127.0.0.1 {server.port}")
    sub = farm.server("ours", f"replicaof 127.0.0.1 {replica.port}")
    wait_in_sync(server, replica, sub)
    assert_same_times(server, replica)
    assert_same_times(server, sub)
    for node in (replica, sub):
        assert node.info("keyspace")["db0"].endswith(",subexpiry=5")
    server.call("HPEXPIRE", "h1000", 1, *fields(*[f"field{i}" for i in range(500)]))
    wait_for(lambda: sub.call("HLEN", "h1000") == 500, 10, "the fields to go everywhere")
    assert_same_times(server, replica)
    assert_same_times(server, sub)


@pytest.mark.parametrize("version", [9, 10, 11, 12])
def test_a_restart_keeps_the_times(farm, version):
    server = farm.server("ours", f"rdb-version {version}")
    server.call("HSET", "h", "plain", "1")
    assert server.call("SAVE") == "OK"
    path = server.directory / "dump.rdb"
    assert path.read_bytes()[:9] == b"REDIS%04d" % version
    fill(server)
    before = {size: all_times(server, f"h{size}") for size in (1, 5, 100, 101, 1000)}
    wanted = digest(server)
    assert server.call("SAVE") == "OK"
    assert path.read_bytes()[:9] == b"REDIS0012", "no lower one has times for fields"
    server.restart()
    assert digest(server) == wanted
    assert {size: all_times(server, f"h{size}") for size in (1, 5, 100, 101, 1000)} == before
    for size in (1, 5, 100, 101, 1000):
        server.call("HPERSIST", f"h{size}", *fields(*[f"field{i}" for i in range(size)]))
    assert server.call("SAVE") == "OK"
    assert path.read_bytes()[:9] == b"REDIS%04d" % version


def test_P11_fields_that_expired_while_the_server_was_down(farm, server):
    """The file still has expired fields, and replicas that continue from it get their deletion."""
    make(server, "h", a="1", b="2")
    expire_soon(server, "h", "a", ms=300)
    assert server.call("SAVE") == "OK"
    server.call("CONFIG", "SET", "save", "")
    server.restart()
    wait_for(lambda: server.call("HLEN", "h") == 1, 10, "the field to go")
    assert server.call("HGETALL", "h") == [b"b", b"2"]


def test_a_promoted_replica_deletes_what_is_past_its_time(farm, server):
    replica = farm.server("ours", f"replicaof 127.0.0.1 {server.port}")
    wait_link_up(replica)
    make(server, "h", a="1", b="2")
    expire_soon(server, "h", "a", ms=150)
    wait_in_sync(server, replica)
    server.kill()
    server.expect_exit = True
    wait_for(lambda: replica.call("HGET", "h", "a") is None, 10, "the field to be past its time")
    assert replica.call("HLEN", "h") == 2
    replica.call("REPLICAOF", "NO", "ONE")
    wait_for(lambda: replica.call("HLEN", "h") == 1, 10, "the field to go")


def test_a_redis_before_7_4_follows_without_the_times(farm, server):
    fill(server)
    redis = farm.server("redis")
    replicate(redis, server)
    wait_link_up(redis)
    wait_for(lambda: redis.call("HLEN", "h1000") == 1000, 10, "the data")
    assert server.log_contains("gets the fields of hashes without the times at which they expire")
    server.call("HPEXPIRE", "h1000", 1, *fields(*[f"field{i}" for i in range(700)]))
    wait_for(lambda: redis.call("HLEN", "h1000") == 300, 10, "the deletions to arrive")
    for size in (1, 5, 100, 101, 1000):
        server.call("HPERSIST", f"h{size}", *fields(*[f"field{i}" for i in range(size)]))
    assert_same(server, redis)
    assert (server.directory / "dump.rdb").exists() is False, "what it got is no file of ours"


def test_a_replica_gets_the_times_when_it_says_so_or_the_version_is_12(farm, server):
    fill(server)
    for capabilities, version, wanted in [
        (("eof", "psync2"), 10, 10),
        (("eof", "psync2", "field-times"), 10, 12),
        (("eof", "psync2", "rdb-channel-repl"), 9, 12),
        (("eof", "psync2"), 12, 12),
        (("eof", "psync2"), 9, 9),
    ]:
        server.config_set("rdb-version", version)
        fake = attach(farm, server, capabilities=capabilities)
        assert fake.rdb[:9] == b"REDIS%04d" % wanted, (capabilities, version)
        fake.close()


def test_files_of_redis_7_4(farm):
    """Both forms that its releases write, and those of its release candidates."""
    string, le64 = rdbfile.string, lambda n: n.to_bytes(8, "little")
    wide = lambda n: b"\x81" + n.to_bytes(8, "big")  # noqa: E731
    table = b"\x18" + string("table") + le64(FAR) + b"\x03"
    table += b"\x01" + string("a") + string("1")
    table += b"\x00" + string("b") + string("2")
    table += rdbfile.length(1001) + string("c") + string("3")
    old_table = b"\x16" + string("old table") + b"\x02" + wide(FAR) + string("a") + string("1") + b"\x00"
    old_table += string("b") + string("2")
    # f v FAR, g w 0: 7 bytes for each string of one character with its length, ten for the wide number
    packed = b"\x81f\x02\x81v\x02\xf4" + le64(FAR) + b"\x09\x81g\x02\x81w\x02\x00\x01\xff"
    packed = (len(packed) + 6).to_bytes(4, "little") + b"\x06\x00" + packed
    small = b"\x19" + string("small") + le64(FAR) + string(packed)
    old_small = b"\x17" + string("old small") + string(packed)
    server = farm.server(start=False)
    body = rdbfile.select_db(0) + table + old_table + small + old_small
    (server.directory / "dump.rdb").write_bytes(rdbfile.file(body, 12))
    server.start()
    assert all_times(server, "table") == {b"a": FAR, b"b": -1, b"c": FAR + 1000}
    assert all_times(server, "old table") == {b"a": FAR, b"b": -1}
    assert all_times(server, "small") == all_times(server, "old small") == {b"f": FAR, b"g": -1}
    assert server.call("OBJECT", "ENCODING", "small") == b"listpackex"


# Many


def test_a_hundred_thousand_fields_go_in_slices(farm, server):
    """PING is answered meanwhile, and the replica ends with the same data."""
    count, size = 100_000, 1000
    replica = farm.server("ours", f"replicaof 127.0.0.1 {server.port}")
    wait_link_up(replica)
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    with server.session() as client:
        for start in range(0, count, size):
            names = [f"f{i}" for i in range(start, start + size)]
            client.call("HSET", "big", *[part for name in names for part in (name, "value")])
            assert client.call("HPEXPIRE", "big", 1000, *fields(*names)) == [1] * size
        client.call("HSET", "big", "stays", "1")
        wait_past_ttl(1000)
        before = offset(server)
        server.call("DEBUG", "SET-ACTIVE-EXPIRE", "1")
        longest, last = 0, time.monotonic()
        while client.call("HLEN", "big") > 1:
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            assert stat(server, "expired_subkeys") <= count
    assert stat(server, "expired_subkeys") == count
    assert longest < 0.25, "generous, for machines that are busy with other things"
    wait_in_sync(server, replica)
    assert_same(server, replica)
    assert replica.call("HGETALL", "big") == [b"stays", b"1"]
    assert offset(server) - before < count * 40, "several names to a command"

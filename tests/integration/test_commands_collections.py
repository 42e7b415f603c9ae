"""Lists, sets, hashes and sorted sets: random picks, and what goes into the stream. test_differential.py compares
replies with Redis."""

import pytest

from hazards import lower, stream_of
from wire import ReplyError


# Random elements: the server chooses, the test checks what it may choose


def picked_names(reply, pairs, proto):
    if not pairs:
        return reply
    return [row[0] for row in reply] if proto == 3 else reply[::2]


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("size", [1, 5, 200], ids=lambda size: f"{size}-elements")
@pytest.mark.parametrize("kind", ["set", "intset", "hash", "zset"])
def test_random_picks_are_elements(server, kind, size, proto):
    names = [str(n).encode() if kind == "intset" else f"m{n}".encode() for n in range(size)]
    create, pick, option = {
        "set": (["SADD", "k", *names], "SRANDMEMBER", None),
        "intset": (["SADD", "k", *names], "SRANDMEMBER", None),
        "hash": (["HSET", "k", *[x for name in names for x in (name, b"v" + name)]], "HRANDFIELD", "WITHVALUES"),
        "zset": (["ZADD", "k", *[x for name in names for x in (1, name)]], "ZRANDMEMBER", "WITHSCORES"),
    }[kind]
    with server.session() as wire:
        wire.call("HELLO", proto)
        wire.call("CONFIG", "SET", "hash-max-listpack-entries", 64, "set-max-intset-entries", 64)
        wire.call(*create)
        seen = set()
        assert wire.call(pick, "k") in names
        for count in (1, 2, size - 1, size, size + 1, -1, -3, -20, -2 * size):
            for pairs in [False, True] if option else [False]:
                found = picked_names(wire.call(pick, "k", count, *[option] * pairs), pairs, proto)
                assert set(found) <= set(names)
                assert len(found) == (min(count, size) if count >= 0 else -count)
                if count > 0:
                    assert len(set(found)) == len(found)
                seen |= set(found)
        if size <= 5:
            assert seen == set(names)


def test_random_picks_are_even(server):
    """All ways of choosing return each of thirty members about equally often."""
    with server.session() as wire:
        for key, members in (("int", range(30)), ("packed", [f"m{n}" for n in range(30)])):
            wire.call("SADD", key, *members)
        wire.call("SADD", "table", *[f"m{n}" for n in range(29)], "long" * 30)
        for key in ("int", "packed", "table"):
            for count in (2, 25, -50):
                rounds = 3000 // abs(count)
                hits = {}
                for reply in wire.pipeline([("SRANDMEMBER", key, count)] * rounds):
                    for member in reply:
                        hits[member] = hits.get(member, 0) + 1
                wanted = rounds * abs(count) / 30
                # 29 degrees of freedom: more than 73 happens once in 100,000 runs.
                assert sum((hits.get(m, 0) - wanted) ** 2 / wanted for m in wire.call("SMEMBERS", key)) < 73, (
                    key,
                    count,
                )


@pytest.mark.parametrize("command", ["SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER"])
def test_CVE_2023_22458_CVE_2023_25155_extreme_counts_are_refused(server, command):
    with server.session() as wire:
        wire.call("SADD", "SRANDMEMBER", "a")
        wire.call("HSET", "HRANDFIELD", "a", "1")
        wire.call("ZADD", "ZRANDMEMBER", "1", "a")
        pairs = {"SRANDMEMBER": [], "HRANDFIELD": ["WITHVALUES"], "ZRANDMEMBER": ["WITHSCORES"]}[command]
        for count in (-(2**63), -(2**63) + 1, -(2**62) - 1):
            for options in ([], pairs):
                assert "out of range" in str(wire.ask(command, command, count, *options)), (count, options)
        assert wire.call(command, command, 2**63 - 1) == [b"a"]
        assert wire.call(command, command, 2**62 - 1, *pairs)[0] == b"a"


def test_picks_stop_at_the_output_limit(server):
    """A reply too large to be sent ends the connection, not the server."""
    server.config_set("client-output-buffer-limit", "normal 1000000 0 0")
    server.call("SADD", "k", *[f"member:{n}" for n in range(300)])
    for key_limits in ("512", "1"):
        server.config_set("set-max-listpack-entries", key_limits)
        server.call("SADD", f"k{key_limits}", *[f"member:{n}" for n in range(300)])
        with server.session() as wire:
            wire.send_command("SRANDMEMBER", f"k{key_limits}", -2_000_000_000)
            assert wire.is_closed()
    assert server.call("SCARD", "k") == 300


def test_CVE_2023_28856_an_increment_leaves_a_value_that_loads(server):
    with server.session() as wire:
        for by in ("inf", "-inf", "nan"):
            assert isinstance(wire.ask("HINCRBYFLOAT", "h", "f", by), ReplyError)
        assert wire.call("EXISTS", "h") == 0
        wire.call("HSET", "h", "text", "x")
        assert str(wire.ask("HINCRBYFLOAT", "h", "text", "1")) == "ERR hash value is not a float"
        wire.call("HINCRBYFLOAT", "h", "f", "1.5")
        assert wire.call("DEBUG", "RELOAD") == "OK"
        assert wire.call("HGET", "h", "f") == b"1.5"


# What goes into the stream


def test_pops_from_several_keys_are_sent_as_plain_pops(farm, server):
    commands = [
        ("RPUSH", "l", "a", "b", "c"),
        ("LMPOP", "2", "none", "l", "RIGHT", "COUNT", "2"),
        ("LMPOP", "2", "none", "l", "LEFT", "COUNT", "9"),
        ("LMPOP", "1", "l", "LEFT"),
        ("ZADD", "z", "1", "a", "2", "b"),
        ("ZMPOP", "2", "none", "z", "MAX"),
        ("ZMPOP", "1", "z", "MIN", "COUNT", "5"),
    ]
    sent, _ = stream_of(farm, server, commands)
    assert lower(sent) == [
        [b"rpush", b"l", b"a", b"b", b"c"],
        [b"rpop", b"l", b"2"],
        [b"lpop", b"l", b"1"],
        [b"zadd", b"z", b"1", b"a", b"2", b"b"],
        [b"zpopmax", b"z", b"1"],
        [b"zpopmin", b"z", b"1"],
    ]


def test_writes_that_change_nothing_are_not_sent(farm, server):
    setup = [
        ("RPUSH", "l", "a"),
        ("SADD", "s", "a"),
        ("HSET", "h", "f", "v"),
        ("ZADD", "z", "1", "a"),
    ]
    idle = [
        ("LPUSHX", "none", "x"),
        ("LREM", "l", "0", "x"),
        ("LTRIM", "l", "0", "-1"),
        ("LINSERT", "l", "BEFORE", "x", "y"),
        ("LPOP", "l", "0"),
        ("LPOP", "none"),
        ("LMOVE", "none", "l", "LEFT", "LEFT"),
        ("SADD", "s", "a"),
        ("SREM", "s", "x"),
        ("SMOVE", "s", "t", "x"),
        ("SMOVE", "s", "s", "a"),
        ("SPOP", "s", "0"),
        ("SPOP", "none"),
        ("SINTERSTORE", "none", "s", "none2"),
        ("HSETNX", "h", "f", "w"),
        ("HDEL", "h", "x"),
        ("HINCRBYFLOAT", "h", "f", "1"),
        ("ZADD", "z", "1", "a"),
        ("ZADD", "z", "GT", "0", "a"),
        ("ZADD", "z", "XX", "2", "new"),
        ("ZREM", "z", "x"),
        ("ZREMRANGEBYSCORE", "z", "5", "6"),
        ("ZPOPMIN", "z", "0"),
        ("ZUNIONSTORE", "none", "1", "none2"),
        ("ZRANGESTORE", "none", "z", "5", "6"),
    ]
    changes = []
    for command in idle:
        with server.session() as wire:
            wire.pipeline(setup)
            before = server.info("persistence")["rdb_changes_since_last_save"]
            wire.ask(*command)
            if server.info("persistence")["rdb_changes_since_last_save"] != before:
                changes.append(command)
    assert changes == []
    sent, _ = stream_of(farm, server, idle)
    assert sent == []

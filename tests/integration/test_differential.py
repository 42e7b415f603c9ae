"""Random commands, answered by both: ours and the peer's replies, streams and data are to be the same."""

import random

import pytest

from dataset import digest, read_everything, difference
from hazards import attach
from harness import is_real_redis, OURS
from wire import ReplyError

pytestmark = pytest.mark.skipif(is_real_redis(OURS), reason="the peer against itself")

KEYS = [f"k{i}" for i in range(12)]
WORDS = ["", "a", "foobar", "hello world", "12345", "-7", "0", "\xff\x00\x80", "3.5", "x" * 70]
FAR = 4_000_000_000_000  # a time in milliseconds that is far away for both


class Generator:
    def __init__(self, seed):
        self.rng = random.Random(seed)

    def key(self):
        return self.rng.choice(KEYS)

    def word(self):
        return self.rng.choice(WORDS).encode("latin-1")

    def number(self):
        return self.rng.choice(
            [0, 1, -1, 2, 3, 7, 8, 9, 15, 16, 31, 100, -5, -100, 2**31, 2**63 - 1, -(2**63), "abc", ""]
        )

    def small(self):
        return self.rng.randint(-3, 40)

    def maybe(self, *words):
        return list(words) if self.rng.random() < 0.3 else []

    def some_of(self, *words):
        return [word for word in words if self.rng.random() < 0.25]

    def keys_commands(self):
        r = self.rng
        at = FAR + r.randint(0, 5) * 1000
        return r.choice(
            [
                ["DEL", self.key(), self.key()],
                ["UNLINK", self.key()],
                ["EXISTS", self.key(), self.key(), self.key()],
                ["TOUCH", self.key(), self.key()],
                ["TYPE", self.key()],
                ["RENAME", self.key(), self.key()],
                ["RENAMENX", self.key(), self.key()],
                [
                    "COPY",
                    self.key(),
                    self.key(),
                    *self.maybe("DB", r.choice([0, 1, 2, 99, "x"])),
                    *self.some_of("REPLACE"),
                ],
                ["MOVE", self.key(), r.choice([0, 1, 2, 99, -1, "x"])],
                ["SWAPDB", r.choice([0, 1, "x"]), r.choice([0, 1, 2, 99])],
                ["SELECT", r.choice([0, 1, 2])],
                ["DBSIZE"],
                ["PEXPIREAT", self.key(), at, *self.some_of("NX", "XX", "GT", "LT")],
                ["EXPIREAT", self.key(), at // 1000, *self.some_of("NX", "XX", "GT", "LT", "YY")],
                ["EXPIREAT", self.key(), self.number()],
                ["PEXPIRETIME", self.key()],
                ["EXPIRETIME", self.key()],
                ["PERSIST", self.key()],
                ["OBJECT", "FREQ", self.key()],
                ["MEMORY", "USAGE", "none"],
                ["RESTORE", self.key(), 0, "junk of some length", *self.some_of("REPLACE", "ABSTTL", "NO")],
                ["FLUSHDB", *self.some_of("ASYNC", "SYNC", "NO")] if r.random() < 0.05 else ["DBSIZE"],
                ["FLUSHALL", "NO"],
                ["DEBUG", "DIGEST-VALUE", self.key(), self.key()],
                ["SCAN", "x"],
                ["SCAN", 0, "COUNT", r.choice([0, -1, "x"])],
                ["SORT_UNKNOWN", self.key()],
            ]
        )

    def string_commands(self):
        r = self.rng
        return r.choice(
            [
                ["SET", self.key(), self.word(), *self.some_of("NX", "XX", "GET", "KEEPTTL")],
                ["SET", self.key(), self.word(), "PXAT", FAR + r.randint(0, 5)],
                ["SETNX", self.key(), self.word()],
                ["GETSET", self.key(), self.word()],
                ["GETDEL", self.key()],
                ["GETEX", self.key(), *self.maybe("PXAT", FAR + 7)],
                ["GETEX", self.key(), *self.some_of("PERSIST")],
                ["GET", self.key()],
                ["MGET", self.key(), self.key()],
                ["MSET", self.key(), self.word(), self.key(), self.word()],
                ["MSETNX", self.key(), self.word(), self.key(), self.word()],
                ["APPEND", self.key(), self.word()],
                ["STRLEN", self.key()],
                ["SETRANGE", self.key(), self.small(), self.word()],
                ["GETRANGE", self.key(), self.small(), self.small()],
                ["SUBSTR", self.key(), self.number(), self.number()],
                ["INCR", self.key()],
                ["DECRBY", self.key(), self.number()],
                ["INCRBY", self.key(), self.number()],
                ["INCRBYFLOAT", self.key(), r.choice(["0.5", "-1.25", "3", "abc", "1e5"])],
                ["LCS", self.key(), self.key(), *self.some_of("LEN", "IDX", "WITHMATCHLEN")],
                ["LCS", self.key(), self.key(), "IDX", "MINMATCHLEN", self.small()],
            ]
        )

    def field(self):
        r = self.rng
        kind = r.choice(["u1", "u8", "i8", "i5", "u63", "i64", "u64", "i0", "i65", "i16", "u7", "x"])
        at = r.choice([0, 1, 3, 8, 13, 100, "#0", "#1", "#3", "-1", "#-1", "abc"])
        verb = r.choice(["GET", "SET", "INCRBY", "SET", "INCRBY"])
        op = [verb, kind, at]
        if verb != "GET":
            op.append(r.choice([0, 1, -1, 127, -128, 255, 1000, 2**62, -(2**62), 2**63 - 1, -(2**63)]))
        return self.maybe("OVERFLOW", r.choice(["WRAP", "SAT", "FAIL", "NO"])) + op if r.random() < 0.6 else op

    def bit_commands(self):
        r = self.rng
        return r.choice(
            [
                ["SETBIT", self.key(), r.choice([0, 1, 7, 8, 100, -1, "x", 2**32]), r.choice([0, 1, 1, 0, 2, "x"])],
                ["SETBIT", self.key(), r.randint(0, 300), r.randint(0, 1)],
                ["GETBIT", self.key(), r.choice([0, 1, 7, 8, 100, -1, "x", 2**32])],
                ["BITCOUNT", self.key()],
                ["BITCOUNT", self.key(), self.small()],
                ["BITCOUNT", self.key(), self.small(), self.small(), *self.maybe(r.choice(["BYTE", "BIT", "NO"]))],
                ["BITPOS", self.key(), r.choice([0, 1, 2, "x"])],
                ["BITPOS", self.key(), r.randint(0, 1), self.small()],
                [
                    "BITPOS",
                    self.key(),
                    r.randint(0, 1),
                    self.small(),
                    self.small(),
                    *self.maybe(r.choice(["BYTE", "BIT", "NO"])),
                ],
                ["BITOP", r.choice(["AND", "OR", "XOR", "NOT", "NO"]), self.key(), self.key()],
                ["BITOP", r.choice(["AND", "OR", "XOR"]), self.key(), self.key(), self.key(), self.key()],
                ["BITFIELD", self.key(), *self.field(), *self.field()],
                ["BITFIELD", self.key(), "GET", "u8", 0],
                ["BITFIELD_RO", self.key(), *self.field()],
            ]
        )

    def other_types(self):
        return self.rng.choice(
            [
                ["LPUSH", self.key(), self.word(), self.word()],
                ["SADD", self.key(), self.word()],
                ["HSET", self.key(), self.word(), self.word()],
                ["ZADD", self.key(), self.small(), self.word()],
            ]
        )

    def command(self):
        kinds = [self.keys_commands, self.string_commands, self.bit_commands, self.other_types]
        return self.rng.choices(kinds, [5, 4, 4, 1])[0]()


def read_stream(fake):
    """Names in lower case, without MULTI and EXEC: where several commands come of one, both have reasons to wrap."""
    commands = fake.commands_until(b"end:of:test")
    commands = [[command[0].lower(), *command[1:]] for command in commands]
    return [command for command in commands if command[0] not in (b"multi", b"exec")]


@pytest.mark.parametrize("seed", range(6))
def test_replies_streams_and_data_are_the_peers(farm, seed):
    ours, peer = farm.server(), farm.server("redis")
    streams = [attach(farm, server) for server in (ours, peer)]
    generator, log = Generator(seed), []
    with ours.session() as left, peer.session() as right:
        for _ in range(40):
            batch = [generator.command() for _ in range(100)]
            for command, mine, theirs in zip(batch, left.pipeline(batch), right.pipeline(batch)):
                log.append(command)
                if command[0] == "SORT_UNKNOWN":
                    assert str(mine).split(",")[0] == str(theirs).split(",")[0]
                    continue
                if (type(mine), mine) != (type(theirs), theirs):
                    pytest.fail(f"{command}: {mine!r} here, {theirs!r} there; before: {log[-6:-1]}", pytrace=False)
            assert digest(ours) == digest(peer), "no reply told of it, but the data differ"
        left.call("SELECT", 9), right.call("SELECT", 9)
        left.call("SET", "end:of:test", 1), right.call("SET", "end:of:test", 1)
    assert not difference(read_everything(ours), read_everything(peer))
    mine, theirs = [read_stream(fake) for fake in streams]
    for at, (one, other) in enumerate(zip(mine, theirs)):
        assert one == other, (at, mine[max(0, at - 2) : at + 2], theirs[max(0, at - 2) : at + 2])
    assert len(mine) == len(theirs)
    assert not isinstance(ours.ask("PING"), ReplyError)

"""Lists, sets, hashes and sorted sets against Redis: the same random commands, valid and invalid, go to both servers;
every reply, every keyspace event and the digest at the end are compared. Seeds are fixed, so that a failure repeats.

Redis 7.0.15 is the peer, so what 7.2 changed is left out or made equal first: the digits of scores, and the order in
which elements without an order are answered.
"""

import random

import pytest

from dataset import digest, replicate, wait_in_sync
from hazards import lower, stream_of
from peers import Side
from wire import ReplyError

BATCH = 40
COMMANDS = 3200

ORDERLESS = {"SMEMBERS", "SINTER", "SUNION", "SDIFF", "HKEYS", "HVALS"}
PAIRS = {"HGETALL"}
SCANS = {"SSCAN": 1, "HSCAN": 2, "ZSCAN": 2}

# Small limits, so that a few elements see every encoding and every conversion.
SMALL_LIMITS = (
    "hash-max-listpack-entries 6",
    "hash-max-listpack-value 20",
    "set-max-intset-entries 6",
    "zset-max-listpack-entries 6",
    "zset-max-listpack-value 20",
    "list-max-listpack-size 4",
    "list-compress-depth 1",
)
SMALL_LIMITS_OURS = ("set-max-listpack-entries 8", "set-max-listpack-value 20")


class Generator:
    """Random commands over few keys, so that they meet. Keys named s* hold sets, and so on; x* anything."""

    def __init__(self, seed):
        self.rnd = random.Random(seed)
        self.makers = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("make_")]

    def command(self):
        command = self.rnd.choice(self.makers)()
        if self.rnd.random() < 0.03:
            command = self.damaged(command)
        if self.rnd.random() < 0.3:
            command = (command[0].lower(), *command[1:])
        return command

    def damaged(self, command):
        """The same with an argument too many, too few, or out of place."""
        args = list(command[1:])
        kind = self.rnd.randrange(3)
        if kind == 0:
            args.insert(self.rnd.randrange(len(args) + 1), self.rnd.choice(["", "x", "-1", "COUNT", "1.5", "nan"]))
        elif kind == 1 and args:
            args.pop(self.rnd.randrange(len(args)))
        elif args:
            args[self.rnd.randrange(len(args))] = self.rnd.choice(["", "-7", "99999999999999999999", "foo", "(1"])
        name = command[0].upper()
        if str(command[1]).startswith("b") or "LEX" in name:  # scores must stay equal there
            return command
        if name in ("ZRANK", "ZREVRANK", *SCANS):  # 7.2 takes one argument more; cursors are read strictly
            return command
        return (name, *args)

    def key(self, kind):
        if self.rnd.random() < 0.02:
            return self.rnd.choice(["text", "missing"])
        return f"{kind}{self.rnd.randrange(4)}"

    def any_set(self):
        return self.key(self.rnd.choice("sz"))

    def keys(self, maker, most=3):
        return [maker() for _ in range(self.rnd.randint(1, most))]

    def element(self):
        kind = self.rnd.randrange(10)
        if kind < 4:
            return str(self.rnd.randrange(-8, 24))
        if kind < 8:
            return f"e{self.rnd.randrange(16)}"
        return self.rnd.choice(["", "long" * 8, "70000", "-9223372036854775808", "1e3", "007", b"\x00\xff\r\n"])

    def elements(self, most=4):
        return [self.element() for _ in range(self.rnd.randint(1, most))]

    def index(self):
        return self.rnd.choice([0, -1, 1, -2, 2, -3, 5, -7, 100, -100])

    def count(self):
        return self.rnd.choice([0, 1, 2, 3, 5, 100])

    def score(self):
        return self.rnd.choice(["0", "1", "-1", "2.5", "1e20", "-3.25", "inf", "-inf", "1e-5", "123456789", "0.1", "7"])

    # Any key

    def make_del(self):
        return ("DEL", self.rnd.choice([self.key("l"), self.key("h"), self.any_set(), self.key("b")]))

    def make_expire(self):
        return ("PEXPIREAT", self.rnd.choice([self.key("l"), self.key("h"), self.any_set()]), 9_999_999_999_999)

    def make_look(self):
        kind = self.rnd.choice("lhszb")
        return (self.rnd.choice(["TYPE", "EXISTS"]), self.key(kind))

    # Lists

    def make_push(self):
        return (self.rnd.choice(["LPUSH", "RPUSH", "LPUSHX", "RPUSHX"]), self.key("l"), *self.elements())

    def make_push_more(self):
        return (self.rnd.choice(["LPUSH", "RPUSH"]), self.key("l"), *self.elements(12))

    def make_pop(self):
        name = self.rnd.choice(["LPOP", "RPOP"])
        return (name, self.key("l")) if self.rnd.random() < 0.6 else (name, self.key("l"), self.count())

    def make_lmpop(self):
        keys = self.keys(lambda: self.key("l"))
        tail = ["COUNT", self.count()] if self.rnd.random() < 0.5 else []
        return ("LMPOP", len(keys), *keys, self.rnd.choice(["LEFT", "RIGHT"]), *tail)

    def make_list_read(self):
        key = self.key("l")
        return self.rnd.choice(
            [
                ("LLEN", key),
                ("LINDEX", key, self.index()),
                ("LRANGE", key, self.index(), self.index()),
                ("LRANGE", key, 0, -1),
            ]
        )

    def make_lpos(self):
        options = []
        if self.rnd.random() < 0.5:
            options += ["RANK", self.rnd.choice([1, 2, -1, -2, 0, 50])]
        if self.rnd.random() < 0.5:
            options += ["COUNT", self.rnd.choice([0, 1, 2, -1])]
        if self.rnd.random() < 0.3:
            options += ["MAXLEN", self.rnd.choice([0, 1, 3, 10, -1])]
        return ("LPOS", self.key("l"), self.element(), *options)

    def make_list_change(self):
        key = self.key("l")
        where = self.rnd.choice(["BEFORE", "AFTER", "NEAR"])
        return self.rnd.choice(
            [
                ("LSET", key, self.index(), self.element()),
                ("LREM", key, self.rnd.choice([0, 1, -1, 2, -2]), self.element()),
                ("LTRIM", key, self.index(), self.index()),
                ("LTRIM", key, 0, -1),
                ("LINSERT", key, where, self.element(), self.element()),
            ]
        )

    def make_move(self):
        ends = ["LEFT", "RIGHT"]
        if self.rnd.random() < 0.3:
            return ("RPOPLPUSH", self.key("l"), self.key("l"))
        return ("LMOVE", self.key("l"), self.key("l"), self.rnd.choice(ends), self.rnd.choice(ends))

    # Sets

    def make_sadd(self):
        return ("SADD", self.key("s"), *self.elements(6))

    def make_sadd_integers(self):
        return ("SADD", self.key("s"), *[self.rnd.randrange(-9, 30) for _ in range(4)])

    def make_set_change(self):
        return self.rnd.choice(
            [
                ("SREM", self.key("s"), *self.elements()),
                ("SMOVE", self.key("s"), self.key("s"), self.element()),
            ]
        )

    def make_set_read(self):
        key = self.key("s")
        return self.rnd.choice(
            [
                ("SISMEMBER", key, self.element()),
                ("SMISMEMBER", key, *self.elements()),
                ("SCARD", key),
                ("SMEMBERS", key),
                ("SSCAN", key, 0, "COUNT", 100000),
                ("SSCAN", key, 0, "MATCH", self.rnd.choice(["e*", "*1*", "[0-9]", "?"]), "COUNT", 100000),
            ]
        )

    def make_set_algebra(self):
        keys = self.keys(lambda: self.key("s"))
        name = self.rnd.choice(["SINTER", "SUNION", "SDIFF"])
        limit = ["LIMIT", self.count()] if self.rnd.random() < 0.5 else []
        return self.rnd.choice(
            [(name, *keys), (name + "STORE", self.key("s"), *keys), ("SINTERCARD", len(keys), *keys, *limit)]
        )

    # Hashes

    def pairs(self):
        return [item for _ in range(self.rnd.randint(1, 3)) for item in (self.element(), self.element())]

    def make_hset(self):
        return (self.rnd.choice(["HSET", "HSET", "HMSET"]), self.key("h"), *self.pairs())

    def make_hash_change(self):
        key = self.key("h")
        by = self.rnd.choice(["1", "-5", "9223372036854775807", "-9223372036854775808", "x"])
        by_float = self.rnd.choice(["0.5", "-1.25", "3", "1e2", "nan", "inf", "x"])
        return self.rnd.choice(
            [
                ("HSETNX", key, self.element(), self.element()),
                ("HDEL", key, *self.elements()),
                ("HINCRBY", key, self.element(), by),
                ("HINCRBYFLOAT", key, self.element(), by_float),
            ]
        )

    def make_hash_read(self):
        key = self.key("h")
        return self.rnd.choice(
            [
                ("HGET", key, self.element()),
                ("HMGET", key, *self.elements()),
                (self.rnd.choice(["HGETALL", "HKEYS", "HVALS", "HLEN"]), key),
                (self.rnd.choice(["HEXISTS", "HSTRLEN"]), key, self.element()),
                ("HSCAN", key, 0, "COUNT", 100000),
            ]
        )

    # Sorted sets

    def make_zadd(self):
        options = [word for word in ("NX", "XX", "GT", "LT", "CH", "INCR") if self.rnd.random() < 0.12]
        pairs = [item for _ in range(self.rnd.choice([1, 1, 2, 5])) for item in (self.score(), self.element())]
        return ("ZADD", self.key("z"), *options, *pairs)

    def make_zincrby(self):
        return ("ZINCRBY", self.key("z"), self.score(), self.element())

    def make_zset_read(self):
        key = self.key("z")
        return self.rnd.choice(
            [
                (self.rnd.choice(["ZSCORE", "ZRANK", "ZREVRANK"]), key, self.element()),
                ("ZMSCORE", key, *self.elements()),
                ("ZCARD", key),
                ("ZCOUNT", key, self.bound(), self.bound()),
                ("ZSCAN", key, 0, "COUNT", 100000),
            ]
        )

    def make_zset_remove(self):
        key = self.key("z")
        return self.rnd.choice(
            [
                ("ZREM", key, *self.elements()),
                ("ZREMRANGEBYRANK", key, self.index(), self.index()),
                ("ZREMRANGEBYSCORE", key, self.bound(), self.bound()),
                (self.rnd.choice(["ZPOPMIN", "ZPOPMAX"]), key),
                (self.rnd.choice(["ZPOPMIN", "ZPOPMAX"]), key, self.count()),
            ]
        )

    def make_zmpop(self):
        keys = self.keys(lambda: self.key("z"))
        tail = ["COUNT", self.count()] if self.rnd.random() < 0.5 else []
        return ("ZMPOP", len(keys), *keys, self.rnd.choice(["MIN", "MAX"]), *tail)

    def bound(self):
        return self.rnd.choice(["", "("]) + self.score()

    def limit(self):
        if self.rnd.random() < 0.7:
            return []
        return ["LIMIT", self.rnd.choice([0, 1, 2, 10, -1]), self.rnd.choice([-1, 0, 1, 2, 10, -5])]

    def make_zrange(self):
        key, scores = self.key("z"), ["WITHSCORES"] if self.rnd.random() < 0.5 else []
        low, high = self.bound(), self.bound()
        reverse = ["REV"] if self.rnd.random() < 0.5 else []
        return self.rnd.choice(
            [
                ("ZRANGE", key, self.index(), self.index(), *reverse, *scores),
                ("ZRANGE", key, low, high, "BYSCORE", *reverse, *self.limit(), *scores),
                ("ZREVRANGE", key, self.index(), self.index(), *scores),
                ("ZRANGEBYSCORE", key, low, high, *scores, *self.limit()),
                ("ZREVRANGEBYSCORE", key, low, high, *self.limit(), *scores),
                ("ZRANGESTORE", self.key("z"), key, self.index(), self.index(), *reverse),
                ("ZRANGESTORE", self.key("z"), key, low, high, "BYSCORE", *reverse, *self.limit()),
            ]
        )

    def make_zset_algebra(self):
        keys = self.keys(self.any_set)
        name = self.rnd.choice(["ZINTER", "ZUNION", "ZDIFF"])
        scores = ["WITHSCORES"] if self.rnd.random() < 0.7 else []
        limit = ["LIMIT", self.count()] if self.rnd.random() < 0.5 else []
        options = []
        if name != "ZDIFF" and self.rnd.random() < 0.4:
            options += ["WEIGHTS", *[self.rnd.choice(["1", "2", "-0.5", "inf", "0"]) for _ in keys]]
        if name != "ZDIFF" and self.rnd.random() < 0.4:
            options += ["AGGREGATE", self.rnd.choice(["SUM", "MIN", "MAX", "sum"])]
        return self.rnd.choice(
            [
                (name, len(keys), *keys, *options, *scores),
                (name + "STORE", self.key("z"), len(keys), *keys, *options),
                ("ZINTERCARD", len(keys), *keys, *limit),
            ]
        )

    # Sorted sets whose scores are equal, for ranges by bytes

    def lex_bound(self):
        kind = self.rnd.randrange(6)
        if kind < 2:
            return "-+"[kind]
        return self.rnd.choice("[[(") + str(self.element()) if kind < 5 else self.rnd.choice(["", "e1", "+x"])

    def lex_key(self):
        """Never one that another command may give a score to."""
        return f"b{self.rnd.randrange(4)}"

    def make_lex_change(self):
        return self.rnd.choice(
            [
                ("ZADD", self.lex_key(), *[item for _ in range(3) for item in ("0", self.element())]),
                ("ZADD", self.lex_key(), *[item for _ in range(3) for item in ("0", self.element())]),
                ("ZREMRANGEBYLEX", self.lex_key(), self.lex_bound(), self.lex_bound()),
                ("ZREM", self.lex_key(), *self.elements()),
            ]
        )

    def make_lex_read(self):
        key, low, high = self.lex_key(), self.lex_bound(), self.lex_bound()
        return self.rnd.choice(
            [
                ("ZRANGEBYLEX", key, low, high, *self.limit()),
                ("ZREVRANGEBYLEX", key, high, low, *self.limit()),
                ("ZLEXCOUNT", key, low, high),
                ("ZRANGE", key, low, high, "BYLEX", *self.limit()),
                ("ZRANGE", key, high, low, "BYLEX", "REV", *self.limit()),
                ("ZRANGESTORE", self.lex_key(), key, low, high, "BYLEX", *self.limit()),
            ]
        )


# What must be equal


def _number(value):
    """Digits of scores differ between 7.0 and 7.2; what they read as does not."""
    if isinstance(value, list):
        return [_number(item) for item in value]
    try:
        number = float(value) if isinstance(value, bytes) and value.strip() == value else value
    except ValueError:
        return value
    return value if number != number else number  # "nan" is a member like any other


def comparable(command, reply):
    name = command[0].upper()
    if isinstance(reply, ReplyError) or reply is None:
        return reply
    if name in ORDERLESS:
        return sorted(reply)
    if name in PAIRS and isinstance(reply, list):
        return sorted(zip(reply[::2], reply[1::2], strict=True))
    if name in SCANS:
        width, items = SCANS[name], reply[1]
        rows = [tuple(items[at : at + width]) for at in range(0, len(items), width)]
        return reply[0], sorted((row[0], _number(row[1]) if name == "ZSCAN" else row[1:]) for row in rows)
    return _number(reply) if name.startswith("Z") else reply


def compare(commands, ours, theirs):
    replies, events = ours.run(commands)
    wanted, wanted_events = theirs.run(commands)
    for command, reply, want in zip(commands, replies, wanted, strict=True):
        assert comparable(command, reply) == comparable(command, want), command
    if events != wanted_events:
        pytest.fail(f"events differ:\n{events}\n{wanted_events}\nafter {commands}")


@pytest.fixture
def pair(farm, request):
    def start(proto, small):
        lines = SMALL_LIMITS if small else ()
        ours = farm.server("ours", *lines, *(SMALL_LIMITS_OURS if small else ()))
        sides = Side(ours, proto), Side(farm.server("redis", *lines), proto)
        for side in sides:
            farm.helper(side)
            side.wire.call("SET", "text", "no collection")
        return sides

    return start


@pytest.mark.parametrize("small", [False, True], ids=["default-limits", "small-limits"])
@pytest.mark.parametrize("proto", [2, 3])
def test_random_commands_answer_as_redis_does(pair, proto, small):
    ours, theirs = pair(proto, small)
    generator = Generator(f"{proto}-{small}")
    for _ in range(COMMANDS // BATCH):
        compare([generator.command() for _ in range(BATCH)], ours, theirs)
    assert digest(ours.server) == digest(theirs.server)


# Random elements: what they are is the server's choice, what they may be is not


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
    """Each of thirty members as often as the others, within what chance allows, on all ways of choosing."""
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
    """A count that nobody could take in ends the connection, not the server."""
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


@pytest.mark.parametrize("kind", ["ours", "redis"])
def test_random_commands_leave_a_replica_equal(farm, kind):
    """All writes, the random ones too, as a replica applies them."""
    master, replica = farm.server("ours", *SMALL_LIMITS), farm.server(kind, *SMALL_LIMITS)
    replicate(replica, master)
    wait_in_sync(master, replica)
    generator = Generator(f"replica-{kind}")
    with master.session() as wire:
        for _ in range(60):
            commands = [generator.command() for _ in range(BATCH)]
            for key in ("s0", "s1", "s2", "missing"):
                commands.append(("SPOP", key))
                commands.append(("SPOP", key, generator.rnd.choice([0, 1, 2, 3, 50])))
            wire.pipeline(commands)
    wait_in_sync(master, replica)
    assert digest(master) == digest(replica)

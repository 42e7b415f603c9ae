"""SORT and SORT_RO, compared with Redis where the result is deterministic."""

import random

import pytest

from dataset import digest, replicate, wait_in_sync
from harness import OURS, is_real_redis
from peers import Twins, errors_among
from wire import ReplyError

BATCH = 50
COMMANDS = 4000

WORDS = [
    "",
    "a",
    "b",
    "aa",
    "ab",
    "z",
    "é",
    "Z",
    "10",
    "9",
    "007",
    "-3",
    "2.5",
    "1e3",
    "inf",
    "-inf",
    "nan",
    " 7",
    "7 ",
]
NUMBERS = ["0", "-0", "1", "2", "3", "10", "-5", "2.5", "1e3", "1e-3", "9007199254740993", "inf", "-inf", "0x10", " 4"]
# No numbers out of a double's range: after one, Redis 7.0 also refuses valid numbers.
ODD_NUMBERS = ["", "nan", "abc", "1 ", "1\x00", "1\x00x", "--1"]
PATTERNS = [
    "w_*",
    "h_*->f",
    "h_*->g",
    "h_*->",
    "nosort",
    "#",
    "*",
    "w_",
    "w_*->",
    "*->f",
    "->*",
    "h_*->f->g",
    "w_*\x00->f",
]


class Generator:
    """Random SORTs of few keys. Lists sort stably, so that even equal weights have one right order; sets and sorted
    sets hold their order to themselves unless it is asked for."""

    def __init__(self, seed):
        self.rnd = random.Random(seed)

    def setup(self):
        """Keys l* are lists, n* lists of numbers, i* sets of integers, z* sorted sets; w_* and h_* are weights."""
        r = self.rnd
        for n in range(3):
            yield ["DEL", f"l{n}", f"n{n}", f"i{n}", f"z{n}"]
            yield ["RPUSH", f"l{n}", *r.choices(WORDS, k=r.choice([1, 4, 20]))]
            yield ["RPUSH", f"n{n}", *r.choices(NUMBERS, k=r.choice([1, 4, 20]))]
            yield ["SADD", f"i{n}", *r.sample(range(-5, 300), r.choice([1, 9, 100]))]
            yield [
                "ZADD",
                f"z{n}",
                *[x for m in set(r.choices(NUMBERS + WORDS[:8], k=12)) for x in (r.randrange(4), m)],
            ]
        for name in r.sample(WORDS + NUMBERS, 14):
            yield ["DEL", f"w_{name}", f"h_{name}"]
            yield ["SET", f"w_{name}", r.choice(NUMBERS + ODD_NUMBERS if r.random() < 0.1 else NUMBERS)]
            yield ["HSET", f"h_{name}", "f", r.choice(NUMBERS), "g", r.choice(WORDS)]
        yield ["SET", "text", "no collection"]

    def number(self):
        return self.rnd.choice([0, 0, 1, 2, 3, 10, -1, -10, 2**31, 2**63 - 1, -(2**63), "x", "", 2**63])

    def key(self):
        if self.rnd.random() < 0.04:
            return self.rnd.choice(["text", "missing"])
        return self.rnd.choice("lnnniz") + str(self.rnd.randrange(3))

    def command(self):
        r = self.rnd
        key, options = self.key(), []
        by = r.random() < 0.6
        if by:
            options.append(["BY", r.choice(PATTERNS)])
        for _ in range(r.choice([0, 0, 0, 1, 2])):
            options.append(["GET", r.choice(PATTERNS)])
        options += [[word] for word in ("ASC", "DESC", "ALPHA", "ALPHA") if r.random() < 0.3]
        # Redis does not define the order of equal weights when it sorts with a limit, nor in sorted sets.
        ties = by and any(option[0] == "ALPHA" for option in options)
        if ties and key[0] in "z":
            key = "l0"
        if r.random() < 0.4 and not ties:
            options.append(["LIMIT", self.number(), self.number()])
        if r.random() < 0.2:
            options.append(["STORE", r.choice(["out", "l0", "n1"])])
        if r.random() < 0.03:
            options.append([r.choice(["BY", "GET", "LIMIT", "STORE", "WRONG", ""])])
        r.shuffle(options)
        return [r.choice(["SORT", "sort", "SORT_RO"]), key, *[word for option in options for word in option]]


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_random_sorts_answer_as_redis_does(farm, seed, proto):
    twins = Twins(farm, proto=proto)
    generator = Generator(f"{seed}-{proto}")
    errors = 0
    for _ in range(COMMANDS // BATCH // 4):
        twins.compare(generator.setup())
        replies = twins.compare(generator.command() for _ in range(BATCH))
        errors += errors_among(replies)
        twins.compare_data()
    assert 0 < errors < COMMANDS // 4


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e-400", "4.9e-324", "1e-310", "nan", "-nan", "x", "1x", "."])
def test_what_is_no_double_is_refused(farm, number):
    twins = Twins(farm)
    twins.ask("RPUSH", "list", "1", number, "2")
    assert isinstance(twins.ask("SORT", "list"), ReplyError)
    assert isinstance(twins.ask("SORT", "list", "STORE", "list"), ReplyError)
    twins.ask("SORT", "list", "ALPHA")
    twins.compare_data()


def test_what_the_commands_say_of_their_keys(farm):
    twins = Twins(farm)
    for request in (
        ["sort", "abc", "store", "def"],
        ["sort", "abc", "store", "invalid", "store", "stillbad", "store", "def"],
        ["sort", "abc", "by", "store", "get", "store", "limit", "store", "x", "store", "def"],
        ["sort", "abc", "get", "#"],
        ["sort_ro", "abc", "by", "w_*"],
    ):
        twins.ask("COMMAND", "GETKEYS", *request)
        twins.ask("COMMAND", "GETKEYSANDFLAGS", *request)
    rows = [row[:7] for row in twins.ours.wire.call("COMMAND", "INFO", "sort", "sort_ro")]
    wanted = [row[:7] for row in twins.theirs.wire.call("COMMAND", "INFO", "sort", "sort_ro")]
    assert [list(map(repr, map(_sorted, row))) for row in rows] == [
        list(map(repr, map(_sorted, row))) for row in wanted
    ]


def _sorted(value):
    return sorted(value) if isinstance(value, list) else value


@pytest.mark.parametrize("kind", ["RPUSH", "SADD"])
def test_CVE_2023_41053_keys_checked_are_keys_written(server, kind):
    """The key that SORT writes is always among those that it reports, whatever options surround it."""
    rnd = random.Random(41053)
    words = ["store", "STORE", "by", "get", "limit", "0", "asc", "alpha", "out", "a*"]
    server.call(kind, "source", 3, 1, 2)
    wrote = 0
    with server.session() as wire:
        for _ in range(3000):
            request = ["SORT", "source", *rnd.choices(words, k=rnd.randrange(1, 7))]
            before = set(wire.call("KEYS", "*"))
            if isinstance(wire.ask(*request), ReplyError):
                continue
            written = set(wire.call("KEYS", "*")) - before
            wrote += len(written)
            assert written <= set(wire.call("COMMAND", "GETKEYS", *request)), request
            for key in written:
                wire.call("DEL", key)
            assert wire.call("LLEN" if kind == "RPUSH" else "SCARD", "source") == 3
    assert wrote > 20


EXTREMES = [
    0,
    1,
    2,
    3,
    2**31 - 1,
    2**31,
    2**32 + 1,
    2**63 - 1,
    2**63 - 2,
    -1,
    -2,
    -(2**31),
    -(2**63),
    -(2**63) + 1,
]


@pytest.mark.parametrize("source", ["list", "set", "zset"])
def test_CVE_2022_35977_limits_may_be_any_numbers(farm, source):
    twins = Twins(farm)
    twins.ask("RPUSH", "list", 5, 3, 1)
    twins.ask("SADD", "set", 5, 3, 1)
    twins.ask("ZADD", "zset", 1, 5, 2, 3, 3, 1)
    for extra in ([], ["BY", "nosort"], ["DESC"], ["BY", "nosort", "DESC"], ["BY", "w_*"]):
        for offset in EXTREMES:
            twins.compare(["SORT", source, "LIMIT", offset, count, *extra] for count in EXTREMES)
            twins.compare(["SORT", source, "LIMIT", offset, count, *extra, "STORE", "out"] for count in EXTREMES)
    twins.compare_data()


@pytest.mark.skipif(is_real_redis(OURS), reason="Redis 7.0 answers quicklist for every list")
def test_a_stored_list_has_the_encoding_of_its_size(server):
    server.config_set("list-max-listpack-size", "16")
    for count, encoding in ((1, b"listpack"), (16, b"listpack"), (17, b"quicklist")):
        server.call("DEL", "source")
        server.call("RPUSH", "source", *range(count))
        assert server.call("SORT", "source", "STORE", "out") == count
        assert server.call("OBJECT", "ENCODING", "out") == encoding


def test_large_inputs_are_sorted_and_cut(server):
    """More elements than a block or heap holds; with and without LIMIT the replies agree."""
    rnd = random.Random(5)
    numbers = [rnd.randrange(10**6) for _ in range(20000)]
    with server.session(60) as wire:
        for at in range(0, len(numbers), 1000):
            wire.call("RPUSH", "list", *numbers[at : at + 1000])
            wire.pipeline(("SET", f"w_{n}", (n * 7919) % 1000003) for n in numbers[at : at + 1000])
        ordered = [b"%d" % n for n in sorted(numbers)]
        assert wire.call("SORT", "list") == ordered
        assert wire.call("SORT", "list", "DESC") == ordered[::-1]
        assert wire.call("SORT", "list", "ALPHA") == sorted(ordered)
        by_weight = [b"%d" % n for n in sorted(numbers, key=lambda n: ((n * 7919) % 1000003, str(n)))]
        assert wire.call("SORT", "list", "BY", "w_*") == by_weight
        for offset, count in ((0, 1), (0, 10), (5, 5), (1234, 100), (10000, 9999), (19999, 5), (20000, 1)):
            assert wire.call("SORT", "list", "LIMIT", offset, count) == ordered[offset : offset + count]
            assert wire.call("SORT", "list", "BY", "w_*", "LIMIT", offset, count) == by_weight[offset : offset + count]


def test_what_is_stored_is_the_same_on_a_replica(farm):
    """Members of a set have another order on each server: equal weights must not reveal it."""
    master, replica = farm.server(), farm.server()
    replicate(replica, master)
    wait_in_sync(master, replica)
    master.call("SADD", "set", *[f"member:{n}" for n in range(1000)])
    for n in range(300):
        master.call("SET", f"w_member:{n}", f"weight{n % 3}")
    with master.session() as wire:
        for number, options in enumerate(
            (["BY", "nosort"], ["BY", "w_*", "ALPHA"], ["BY", "w_*", "ALPHA", "DESC", "LIMIT", 3, 900], ["ALPHA"])
        ):
            wire.call("SORT", "set", *options, "STORE", f"out{number}")
    wait_in_sync(master, replica)
    assert digest(master) == digest(replica)


def test_weights_past_their_time_are_deleted_before_the_result_is_stored(farm):
    master, replica = farm.server(), farm.server()
    replicate(replica, master)
    wait_in_sync(master, replica)
    with master.session() as wire:
        wire.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        wire.call("RPUSH", "list", 1, 2, 3)
        wire.pipeline(("SET", f"w_{n}", -n, "PX", 1) for n in (1, 2, 3))
        while wire.call("PTTL", "w_3") != -2:
            pass
        wire.call("SORT", "list", "BY", "w_*", "GET", "w_*", "GET", "#", "STORE", "out")
        assert wire.call("LRANGE", "out", 0, -1) == [b"", b"1", b"", b"2", b"", b"3"]
    wait_in_sync(master, replica)
    assert digest(master) == digest(replica)
    assert replica.call("LRANGE", "out", 0, -1) == [b"", b"1", b"", b"2", b"", b"3"]

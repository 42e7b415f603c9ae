"""HyperLogLogs have the same bytes, counts and errors as in Redis."""

import random

import pytest

from dataset import digest, replicate, wait_in_sync
from hazards import lower, stream_of
from peers import Twins, errors_among
from wire import ReplyError

HEADER = b"HYLL\x01\x00\x00\x00" + b"\x00" * 7 + b"\x80"  # sparse, the cached count invalid
EMPTY_RUNS = b"\x7f\xff"


class Generator:
    def __init__(self, seed):
        self.rnd = random.Random(seed)

    def key(self):
        return f"h{self.rnd.randrange(5)}" if self.rnd.random() < 0.97 else self.rnd.choice(["text", "list", "missing"])

    def elements(self):
        r = self.rnd
        count = r.choice([0, 1, 1, 1, 2, 5, 30, 300])
        return [
            r.choice([r.randrange(100), r.randrange(10**9), r.random(), "x" * r.randrange(40)]) for _ in range(count)
        ]

    def command(self):
        r = self.rnd
        makers = [
            lambda: ["PFADD", self.key(), *self.elements()],
            lambda: ["PFADD", self.key(), *self.elements()],
            lambda: ["PFADD", self.key(), r.randrange(10**9)],
            lambda: ["PFCOUNT", self.key()],
            lambda: ["PFCOUNT", self.key(), *[self.key() for _ in range(r.randrange(3))]],
            lambda: ["PFMERGE", *[self.key() for _ in range(r.randint(1, 4))]],
            lambda: ["PFDEBUG", r.choice(["ENCODING", "decode", "DECODE", "wrong"]), self.key()],
            lambda: ["PFDEBUG", r.choice(["TODENSE", "GETREG"]), self.key()]
            if r.random() < 0.1
            else ["STRLEN", self.key()],
            lambda: ["GET", self.key()],
            lambda: ["DUMP", self.key()],
            lambda: ["DEL", self.key()] if r.random() < 0.2 else ["EXISTS", self.key()],
            lambda: ["COPY", self.key(), self.key(), "REPLACE"],
            lambda: ["CONFIG", "SET", "hll-sparse-max-bytes", r.choice([0, 18, 30, 100, 500, 3000, 3000, 20000])],
        ]
        return r.choice(makers)()


def without_version(command, reply):
    """A DUMP payload without the version of its format and the checksum over that."""
    return reply[:-10] if command[0] == "DUMP" and reply is not None else reply


@pytest.mark.parametrize("seed", range(3))
def test_random_commands_leave_the_bytes_that_redis_leaves(farm, seed):
    twins = Twins(farm, proto=2 + seed % 2)
    generator = Generator(seed)
    twins.ask("SET", "text", "no HyperLogLog")
    twins.ask("RPUSH", "list", "1")
    errors = 0
    for _ in range(30):
        errors += errors_among(twins.compare((generator.command() for _ in range(50)), without_version))
        twins.compare_data()
    assert 0 < errors < 500


def test_growing_from_nothing_to_many_elements(farm):
    """Compares every count on the way, and all bytes at some points."""
    twins = Twins(farm)
    for start in range(0, 30000, 1000):
        for at in range(start, start + 1000, 50):
            twins.compare([["PFADD", "h", *range(at, at + 50)], ["PFCOUNT", "h"]])
        twins.compare([["GET", "h"], ["PFDEBUG", "ENCODING", "h"], ["PFCOUNT", "h", "none"]])
    assert twins.ask("PFDEBUG", "ENCODING", "h") == "dense"
    twins.compare_data()


@pytest.mark.parametrize("limit", [0, 100, 1000, 20000])
def test_merges_of_sparse_and_dense_ones(farm, limit):
    twins = Twins(farm, f"hll-sparse-max-bytes {limit}")
    rnd = random.Random(limit)
    for number in range(4):
        twins.ask("PFADD", f"s{number}", *rnd.sample(range(5000), 20 * 3**number))
        twins.ask("PFADD", f"d{number}", *rnd.sample(range(5000), 20 * 3**number))
        twins.ask("PFDEBUG", "TODENSE", f"d{number}")
    for number in range(60):
        sources = rnd.choices([f"{kind}{n}" for kind in "sd" for n in range(4)] + ["none"], k=rnd.randrange(4))
        target = rnd.choice(["new", f"t{number % 7}", "s1", "d2"])
        twins.compare(
            [["DEL", "new"], ["PFMERGE", target, *sources], ["GET", target], ["PFCOUNT", target], ["GET", target]]
        )
    twins.compare_data()


def test_errors_are_the_peers(farm):
    twins = Twins(farm)
    twins.ask("RPUSH", "list", 1)
    twins.ask("SET", "text", "HYLL")
    twins.ask("SET", "number", 12)
    twins.ask("PFADD", "h", "a")
    for key in ("list", "text", "number", "h", "none"):
        for command in ("PFADD", "PFCOUNT", "PFMERGE"):
            twins.compare([[command, key], [command, key, "h"], [command, "h", key], [command, "none", key]])
        for word in ("GETREG", "decode", "ENCODING", "todense", "wrong", ""):
            twins.compare([["PFDEBUG", word, key], ["PFDEBUG", word], ["PFDEBUG", word, key, key]])
    for header in (b"HYLL\x02" + b"\x00" * 11, b"HYLL\x00" + b"\x00" * 11, b"hyll\x01" + b"\x00" * 11, HEADER[:15]):
        twins.ask("SET", "k", header + EMPTY_RUNS)
        twins.compare([["PFCOUNT", "k"], ["PFADD", "k", "a"], ["PFMERGE", "h", "k"], ["PFDEBUG", "GETREG", "k"]])
    twins.ask("PFSELFTEST")
    twins.compare_data()


def test_what_reaches_replicas_is_what_redis_sends(farm):
    commands = [
        ["PFADD", "h", "a", "b"],
        ["PFADD", "h", "a"],
        ["PFCOUNT", "h"],
        ["PFCOUNT", "h"],
        ["PFADD", "h"],
        ["PFADD", "new"],
        ["PFCOUNT", "new", "h"],
        ["PFMERGE", "h", "none"],
        ["PFDEBUG", "ENCODING", "h"],
        ["PFDEBUG", "TODENSE", "h"],
        ["PFDEBUG", "TODENSE", "h"],
        ["PFDEBUG", "GETREG", "new"],
        ["PFCOUNT", "missing"],
        ["PFADD", "h", "z"],
        ["PFCOUNT", "h"],
    ]
    ours, replies = stream_of(farm, farm.server(), commands)
    theirs, wanted = stream_of(farm, farm.server("redis"), commands)
    assert replies == wanted
    assert lower(ours) == lower(theirs)


def test_a_count_on_a_replica_leaves_its_data_alone(farm):
    master, replica = farm.server(), farm.server()
    replicate(replica, master)
    wait_in_sync(master, replica)
    master.call("PFADD", "h", *range(100))
    wait_in_sync(master, replica)
    assert replica.call("PFCOUNT", "h") == replica.call("PFCOUNT", "h")
    assert replica.call("GET", "h") == master.call("GET", "h")
    assert digest(master) == digest(replica)
    assert master.call("PFCOUNT", "h") == replica.call("PFCOUNT", "h")
    wait_in_sync(master, replica)
    assert replica.call("GET", "h") == master.call("GET", "h")
    assert replica.call("GET", "h")[15] == 0, "the count came with the stream"


def test_an_expiry_survives_every_change(server):
    server.call("PFADD", "h", 1)
    server.call("PEXPIREAT", "h", 9_999_999_999_999)
    for command in (["PFADD", "h", 2], ["PFCOUNT", "h"], ["PFMERGE", "h", "none"], ["PFADD", "h", *range(5000)]):
        server.call(*command)
        assert server.call("PEXPIRETIME", "h") == 9_999_999_999_999
        assert server.call("OBJECT", "ENCODING", "h") == b"raw"


CORRUPT = {
    "nothing behind the header": b"",
    "one register too few": b"\x7f\xfe",
    "one too many": b"\x7f\xff\x00",
    "twice too many": EMPTY_RUNS * 2,
    "a value behind the last": b"\x7f\xff\x80",
    "a value over the end": b"\x7f\xfe\x83",
    "sums that wrap 32 bits": b"\x7f\xff" * 262144 + b"\x80",
    "sums that wrap to the right number": b"\x7f\xff" * 262145,
}


@pytest.mark.parametrize("runs", CORRUPT.values(), ids=CORRUPT)
@pytest.mark.parametrize("number", ["CVE_2019_10192", "CVE_2019_10193", "CVE_2025_32023"])
def test_CVE_crafted_runs_are_refused(server, runs, number):
    """The three differ in where the registers were overrun: counting and merging, making it dense, adding."""
    server.call("SET", "bad", HEADER + runs)
    server.call("PFADD", "good", *range(100))
    requests = {
        "CVE_2019_10192": [
            ["PFCOUNT", "bad"],
            ["PFCOUNT", "good", "bad"],
            ["PFMERGE", "good", "bad"],
            ["PFMERGE", "bad", "good"],
        ],
        "CVE_2019_10193": [["PFDEBUG", "TODENSE", "bad"], ["PFDEBUG", "GETREG", "bad"]],
        "CVE_2025_32023": [["CONFIG", "SET", "hll-sparse-max-bytes", 0], ["PFADD", "bad", *range(2000)]],
    }[number]
    for request in requests:
        reply = server.ask(*request)
        assert reply == "OK" if request[0] == "CONFIG" else str(reply).startswith("INVALIDOBJ"), request
    assert server.call("GET", "bad")[16:] == runs
    assert server.call("PFCOUNT", "good") == 100


@pytest.mark.parametrize("seed", range(4))
def test_CVE_2019_10192_CVE_2025_32023_random_strings_never_harm(farm, seed):
    """Invented and damaged strings in all commands; the replica stays a copy."""
    master, replica = farm.server(), farm.server()
    replicate(replica, master)
    wait_in_sync(master, replica)
    rnd = random.Random(seed)
    seen = set()
    with master.session() as wire:
        for _ in range(400):
            key = f"k{rnd.randrange(3)}"
            if rnd.random() < 0.5:
                runs = bytes(
                    rnd.choice([0x7F, 0x40, 0xFF, 0x80, 0x3F, rnd.randrange(256)]) for _ in range(rnd.randrange(30))
                )
                wire.call("SET", key, HEADER + runs)
            else:
                wire.call("DEL", key)
                wire.call("PFADD", key, *rnd.sample(range(10**6), rnd.randrange(1, 900)))
                for _ in range(rnd.randrange(4)):
                    wire.call("SETRANGE", key, rnd.randrange(wire.call("STRLEN", key)), bytes([rnd.randrange(256)]))
            for request in (
                ["PFADD", key, *rnd.sample(range(10**6), rnd.choice([1, 5, 50]))],
                ["PFCOUNT", key],
                ["PFCOUNT", key, "k0", "k1"],
                ["PFMERGE", f"k{rnd.randrange(3)}", key],
                ["PFDEBUG", rnd.choice(["DECODE", "GETREG", "TODENSE"]), key],
            ):
                reply = wire.ask(*request)
                seen.add(str(reply).split(" ", 1)[0] if isinstance(reply, ReplyError) else "answer")
    assert {"answer", "INVALIDOBJ", "WRONGTYPE"} <= seen <= {"answer", "INVALIDOBJ", "WRONGTYPE", "ERR"}
    wait_in_sync(master, replica)
    assert digest(master) == digest(replica)


def test_X13_elements_added_before_corrupt_runs_reach_the_replica(farm):
    """Runs that end early accept some elements and fail on others: what was added is added on replicas too."""
    master, replica = farm.server(), farm.server()
    replicate(replica, master)
    wait_in_sync(master, replica)
    for number in range(20):
        master.call("SET", f"h{number}", HEADER + b"\x5f\xff")  # the first half of the registers
        assert str(master.ask("PFADD", f"h{number}", *range(number, number + 9))).startswith("INVALIDOBJ")
    assert any(len(master.call("GET", f"h{number}")) > 18 for number in range(20))
    wait_in_sync(master, replica)
    assert digest(master) == digest(replica)
    assert replica.info("stats")["unexpected_error_replies"] == "0"

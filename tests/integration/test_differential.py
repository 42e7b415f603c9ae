"""A short run of tests/differential (`make differential` runs it at length): random commands with fixed seeds go to this
server and to redis-server; replies, events and data are compared, also with each as a replica of the other. Then every
difference that longer runs have found is repeated by itself."""

import sys
from pathlib import Path

import pytest

from harness import OURS, is_real_redis
from hazards import wait_past_ttl
from peers import Twins

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "differential"))

import unsent  # noqa: E402
import values  # noqa: E402
from fuzzer import CHECK_EVERY, EPOCH, OF_THE_OTHER_KIND, OF_THE_SAME_KIND, Fuzzer, describe  # noqa: E402
from servers import Difference  # noqa: E402

pytestmark = pytest.mark.skipif(is_real_redis(OURS), reason="the peer against itself")

EPOCHS = 2


@pytest.fixture
def fuzzers():
    """Starts the servers; at the end, fails with the errors of their processes."""
    started = []

    def start(**options):
        started.append(Fuzzer(**options))
        return started[-1]

    yield start
    assert [problem for fuzzer in started for problem in fuzzer.stop()] == []


def run_epochs(fuzzer, seed):
    for number in range(EPOCHS):
        epoch = fuzzer.epoch(seed, number)
        try:
            fuzzer.run(epoch)
        except Difference as found:
            pytest.fail(f"run.py --seed {seed} --epoch {number} shows it: {found}", pytrace=False)
    assert fuzzer.commands >= EPOCHS * EPOCH
    assert fuzzer.digests >= fuzzer.commands // CHECK_EVERY


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_commands_are_answered_alike(fuzzers, seed):
    run_epochs(fuzzers(), seed)


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [OF_THE_OTHER_KIND, OF_THE_SAME_KIND], ids="-".join)
def test_random_commands_leave_replicas_equal(fuzzers, kinds):
    run_epochs(fuzzers(replicas=kinds), 4)


@pytest.mark.slow
def test_fault_12_values_that_redis_makes_are_taken(tmp_path):
    """N4, N10. At length: run.py --values 100000."""
    try:
        fuzzer, problems = values.run(tmp_path, seed=12, values=1500)
    except Difference as found:
        pytest.fail(f"{found.what}: {found}", pytrace=False)
    assert problems == []
    assert fuzzer.old > 300 and fuzzer.loaded > 100
    assert set(fuzzer.kinds) == {b"string", b"list", b"set", b"zset", b"hash", b"stream"}


def test_a_seed_is_a_run(fuzzers):
    fuzzer = fuzzers()
    first, again, other = (describe(fuzzer.epoch(seed, 1)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_what_differs_is_found(fuzzers):
    """7.0 prints scores differently, which is not accepted here: so the comparison works."""
    fuzzer = fuzzers(accepted=())
    with pytest.raises(Difference):
        for number in range(50):
            fuzzer.run(fuzzer.epoch(7, number))


def test_every_command_of_the_data_model_is_sent(fuzzers):
    assert unsent.commands_of(fuzzers().pair.theirs) == []


# Differences that longer runs have found


@pytest.fixture
def twins(farm):
    made = Twins(farm)
    made.ask("CONFIG", "SET", "notify-keyspace-events", "EAmn")
    return made


BITS = [("SET", "k", "foobar"), ("SETBIT", "k", 0, 0), ("OBJECT", "ENCODING", "k")]
PLACES = [(), ("1",), ("-1",), ("x",), ("-1", "-7"), ("-7", "-1"), ("x", "1"), ("1", "x"), ("x", "x")]
RANGES = [(*place, *unit) for place in PLACES for unit in ((), ("BIT",), ("BYTE",), ("NO",), ("BIT", "more"), ("NO", "more"))]

FOUND = {
    "arguments of BITCOUNT and BITPOS are refused in this order": [
        *BITS,
        *(("BITCOUNT", "k", *words) for words in RANGES),
        *(("BITPOS", "k", "1", *words) for words in RANGES),
    ],
    "BITFIELD_RO reads all arguments before it refuses to write": [
        ("BITFIELD_RO", "k", "SET", "u8", 0, 1),
        ("BITFIELD_RO", "k", "SET", "u8", 0, 1, "GET"),
        ("BITFIELD_RO", "k", "GET", "u8", 0, "SET", "u99", 0, 1),
    ],
    "a bit that is set to what it was makes the string raw": [
        ("SET", "k", "short"),
        ("SETBIT", "k", 1, 1),
        ("OBJECT", "ENCODING", "k"),
        ("SET", "n", "12"),
        ("SETBIT", "n", 0, 0),
        ("OBJECT", "ENCODING", "n"),
    ],
    "reads of several strings tell of each that is missing": [
        ("SET", "s", "v"),
        ("RPUSH", "l", "v"),
        ("MGET", "s", "a", "l", "b"),
        ("LCS", "s", "c"),
        ("LCS", "d", "e"),
        ("LCS", "l", "f"),
        ("GETDEL", "f"),
        ("GETEX", "g"),
        ("GETEX", "h", "PERSIST"),
        ("GETDEL", "l"),
        ("GETEX", "l"),
    ],
    "a sum of floating point is text, though it be whole": [
        ("INCRBYFLOAT", "k", "3"),
        ("OBJECT", "ENCODING", "k"),
        ("INCR", "k"),
        ("OBJECT", "ENCODING", "k"),
        ("INCRBYFLOAT", "k", "2"),
        ("OBJECT", "ENCODING", "k"),
    ],
    "a time that is past is stored by SET all the same": [
        ("SET", "k", "old"),
        ("SET", "k", "new", "PXAT", "1"),
        ("GET", "k"),
        ("SET", "other", "new", "GET", "EXAT", "1"),
        ("EXISTS", "other"),
        ("SET", "k", "v", "XX"),
    ],
    "no keys are no arguments of a command that needs some": [
        ("COMMAND", "GETKEYS", "ZUNIONSTORE", "k", "0", "a"),
        ("COMMAND", "GETKEYS", "ZUNION", "0", "a"),
        ("COMMAND", "GETKEYS", "LMPOP", "0", "LEFT"),
    ],
    "ZINCRBY takes a word for an option of ZADD": [
        ("ZINCRBY", "k", "NX", "m"),
        ("ZINCRBY", "k", "incr", "m"),
        ("ZINCRBY", "k", "GT", "LT"),
        ("ZINCRBY", "k", "word", "m"),
    ],
    "a minus before a zero is kept while scores are combined": [
        ("ZADD", "z", "0", "a", "1", "b"),
        ("ZUNION", "1", "z", "WEIGHTS", "-1", "WITHSCORES"),
        ("ZINTER", "1", "z", "WEIGHTS", "-1", "WITHSCORES"),
        ("ZADD", "z", "0", "m" * 65),
        ("ZUNIONSTORE", "big", "1", "z", "WEIGHTS", "-1"),
        ("ZRANGE", "big", "0", "-1", "WITHSCORES"),
        ("ZUNION", "2", "z", "big", "WITHSCORES"),
        ("ZUNION", "2", "big", "z", "AGGREGATE", "MIN", "WITHSCORES"),
        ("ZDIFF", "2", "big", "none", "WITHSCORES"),
        ("ZREM", "big", "m" * 65),
        ("ZDIFFSTORE", "small", "2", "big", "none"),
        ("OBJECT", "ENCODING", "small"),
        ("ZRANGE", "small", "0", "-1", "WITHSCORES"),
        ("ZINTERSTORE", "small", "1", "big"),
        ("OBJECT", "ENCODING", "small"),
        ("ZRANGE", "small", "0", "-1", "WITHSCORES"),
    ],
    "EXEC with an argument is refused in its own words, and ends what MULTI began": [
        ("EXEC", "now"),
        ("MULTI",),
        ("SET", "k", "v"),
        ("EXEC", "now"),
        ("EXEC",),
        ("GET", "k"),
    ],
    "stars alone take nothing for something": [
        ("SADD", "s", "", "a"),
        ("SET", "", "v"),
        *((*command, pattern) for command in (("SSCAN", "s", 0, "MATCH"), ("SCAN", 0, "MATCH")) for pattern in ("**", "***", "")),
        ("KEYS", "**"),
        ("KEYS", "?*"),
    ],
    "arguments of CLIENT and PUBSUB are refused in this order": [
        ("CLIENT", "PAUSE", "x", "y"),
        ("CLIENT", "PAUSE", "x", "ALL"),
        ("CLIENT", "PAUSE", "x", "ALL", "more"),
        ("CLIENT", "UNBLOCK", "x", "y"),
        ("CLIENT", "UNBLOCK", "x", "TIMEOUT"),
        ("CLIENT", "UNBLOCK", "x", "TIMEOUT", "more"),
        ("PUBSUB", "CHANNELS", "x", "more"),
        ("PUBSUB", "SHARDCHANNELS", "x", "more"),
    ],
    "ids of entries end with a zero byte": [
        ("XADD", "s", "1-1\0x", "f", "v"),
        ("XADD", "s", "2-*", "f", "v"),
        ("XRANGE", "s", "1\0", "-"),
        ("XRANGE", "s", "-\0", "+\0x"),
        ("XRANGE", "s", "(1-1\0", "+"),
        ("XRANGE", "s", "\0", "+"),
        ("XREVRANGE", "s", "2\0-0", "1"),
        ("XREAD", "STREAMS", "s", "1-1\0"),
        ("XDEL", "s", "1-1\0-2"),
        ("XGROUP", "CREATE", "s", "g", "0\0"),
        ("XGROUP", "SETID", "s", "g", "2\0"),
        ("XTRIM", "s", "MINID", "3\0"),
        ("XLEN", "s"),
    ],
    "WAIT for fewer than no replicas does not wait": [("WAIT", "-1", "0"), ("WAIT", "-9223372036854775808", "x")],
}


@pytest.mark.parametrize("name", FOUND)
def test_answered_as_by_the_peer(twins, name):
    twins.compare(FOUND[name])
    twins.compare_data()


STREAM = [
    ("DEL", "s"),
    *(("XADD", "s", id, "f", "v") for id in ("1-1", "2-1", "3-1")),
    ("XGROUP", "CREATE", "s", "g", "0"),
    ("XGROUP", "CREATECONSUMER", "s", "g", "other"),
    ("XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "s", ">"),
]


@pytest.mark.parametrize(
    "command",
    [
        "XADD s 9-1 f v", "XDEL s 1-1", "XDEL s 5-5", "XTRIM s MAXLEN 1", "XSETID s 100-1", "XGROUP CREATE s more 0",
        "XGROUP CREATE new g 0 MKSTREAM", "XGROUP SETID s g 0", "XGROUP DESTROY s g", "XGROUP CREATECONSUMER s g new",
        "XGROUP DELCONSUMER s g c", "XREADGROUP GROUP g c STREAMS s >", "XREADGROUP GROUP g c NOACK STREAMS s >",
        "XACK s g 1-1", "XCLAIM s g other 0 1-1", "XCLAIM s g c 0 5-5 LASTID 50-0", "XAUTOCLAIM s g other 0 0",
        "LTRIM l 0 -1", "PFDEBUG TODENSE h", "PFADD h x",
    ],
)  # fmt: skip
def test_who_watches_a_stream_hears_of_its_entries_and_not_of_its_groups(twins, command):
    twins.compare([*STREAM, ("RPUSH", "l", "v"), ("PFADD", "h", "a")])
    for side in (twins.ours, twins.theirs):
        with side.server.session() as other:
            for key in ("s", "new", "l", "h"):
                other.ask("WATCH", key)
            side.wire.call(*command.split())
            other.ask("MULTI")
            side.went_through = other.ask("EXEC") is not None
    assert twins.ours.went_through == twins.theirs.went_through


COUNTED = [
    "XADD s 9-1 f v", "XADD s MAXLEN 1 9-1 f v", "XDEL s 1-1 2-1 7-7", "XTRIM s MAXLEN 1", "XSETID s 100-1", "XGROUP CREATE s more 0",
    "XGROUP CREATE new g 0 MKSTREAM", "XGROUP SETID s g 0", "XGROUP DESTROY s g", "XGROUP CREATECONSUMER s g new",
    "XGROUP DELCONSUMER s g c", "XGROUP DELCONSUMER s g none", "XACK s g 1-1 2-1",
    "XREADGROUP GROUP g c STREAMS s >", "XREADGROUP GROUP g c COUNT 1 STREAMS s >", "XREADGROUP GROUP g c NOACK STREAMS s >",
    "XREADGROUP GROUP g new STREAMS s >", "XREADGROUP GROUP g new NOACK STREAMS s >", "XREADGROUP GROUP g c STREAMS s 0",
    "XREADGROUP GROUP g c STREAMS s 9", "XREADGROUP GROUP g new STREAMS s 0", "XREADGROUP GROUP g c STREAMS s t > >",
    "XREADGROUP GROUP g c STREAMS s t 0 >",
    "XCLAIM s g other 0 1-1", "XCLAIM s g new 0 1-1 2-1 FORCE", "XCLAIM s g c 0 5-5 LASTID 50-0", "XCLAIM s g c 0 1-1 LASTID 50-0",
    "XCLAIM s g c 0 1-1 JUSTID", "XCLAIM s g c 0 5-5", "XAUTOCLAIM s g other 0 0", "XAUTOCLAIM s g new 0 0", "XAUTOCLAIM s g c 0 9",
]  # fmt: skip


@pytest.mark.parametrize("command", COUNTED)
def test_fault_26_changes_are_counted_as_by_the_peer(twins, command):
    twins.compare([*STREAM, ("XADD", "t", "1-1", "f", "v"), ("XGROUP", "CREATE", "t", "g", "0")])
    before = [changes_of(side) for side in (twins.ours, twins.theirs)]
    for side in (twins.ours, twins.theirs):
        side.wire.call(*command.split())
    ours, theirs = (changes_of(side) - count for side, count in zip((twins.ours, twins.theirs), before))
    assert ours == theirs


def changes_of(side):
    return int(side.server.info("persistence")["rdb_changes_since_last_save"])


def test_a_minus_before_a_zero_is_loaded_again(twins):
    members = [("ZADD", "z", "1", "m" * 65, "0", "a"), ("ZUNIONSTORE", "big", "1", "z", "WEIGHTS", "-1")]
    twins.compare([*members, ("DEBUG", "RELOAD"), ("ZRANGE", "big", "0", "-1", "WITHSCORES"), ("OBJECT", "ENCODING", "big")])
    twins.compare_data()


def test_a_key_that_is_restored_over_another_is_new(twins):
    twins.compare([("SET", "k", "v"), ("RPUSH", "l", "v"), ("SET", "other", "v")])
    payloads = [twins.ours.wire.call("DUMP", key) for key in ("k", "l")]
    twins.compare(("RESTORE", key, 0, payload, "REPLACE") for key in ("k", "l", "other") for payload in payloads)
    twins.compare([("DEBUG", "SET-ACTIVE-EXPIRE", "0"), ("PEXPIRE", "k", "1"), ("PEXPIRE", "l", "1")])
    wait_past_ttl(1)
    twins.compare([("RESTORE", "k", 0, payloads[0], "REPLACE"), ("RESTORE", "l", 1, payloads[0], "REPLACE", "ABSTTL")])
    twins.compare_data()


@pytest.mark.parametrize(
    "command",
    [
        ("SMOVE", "none", "k", "v"),
        ("SMOVE", "list", "k", "v"),
        ("HRANDFIELD", "k", "x"),
        ("HRANDFIELD", "k", "1", "x"),
        ("XAUTOCLAIM", "k", "g", "c", "0", "1-x"),
    ],
    ids=" ".join,
)
def test_whether_a_vain_command_meets_a_key_past_its_time(twins, command):
    twins.ask("CONFIG", "SET", "notify-keyspace-events", "EA")  # which of them tells of a miss is another matter
    twins.compare([("DEBUG", "SET-ACTIVE-EXPIRE", "0"), ("RPUSH", "list", "v"), ("SET", "k", "v", "PX", "1")])
    wait_past_ttl(1)
    twins.compare([command, ("DBSIZE",)])

"""Arguments of 32 KB and more, which become values without a copy: replicas, the log, MONITOR and the slow log see
what the client sent."""

import random

import pytest

import aoffiles
from dataset import assert_same, wait_in_sync
from harness import wait_for
from hazards import attach, attach_to_fake_master, lower
from wire import encode_command

SIZES = (32 * 1024, 100 * 1024, 1024 * 1024)


def big(letter, size):
    return letter.encode() * size


def commands_with(size):
    """Every command that may keep an argument without a copy, with the effect that goes into the stream."""
    a, b = big("A", size), big("B", size)
    return [
        (("MSET", "k", a, "k", "x"), None),
        (("MSET", "k", a, "k", "7"), None),
        (("MSET", "k", a, "k", b), None),
        (("MSET", "k", a, "l", b, "k", b, "l", a), None),
        (("MSET", "k", "x", "k", a), None),
        (("MSETNX", "k", a, "k", "x"), None),
        (("MSETNX", "k", a, "k", b, "k", a), None),
        (("SET", "k", a), None),
        (("SETNX", "k", a), None),
        (("SET", "k", a, "GET"), ("SET", "k", a)),
        (("GETSET", "k", a), ("SET", "k", a)),
        (("APPEND", "k", a), None),
        (("SET", "k", a, "PXAT", 33000000000000), None),
        (("SET", "k", a, "EXAT", 33000000000), ("SET", "k", a, "PXAT", 33000000000000)),
        (("SETRANGE", "k", 3, a), None),
        (("RPUSH", "k", a, a, b), None),
        (("SADD", "k", a, a, b), None),
        (("HSET", "k", "f", a, "f", b, "f", "x"), None),
        (("HSET", "k", a, "x", a, b), None),
        (("ZADD", "k", 1, a, 2, a), None),
        (("XADD", "k", "1-1", "f", a, "f", b), None),
        (("PFADD", "k", a, a, b), None),
        (("SETBIT", "k", 7, 1), None),
    ]


def as_words(command):
    return [word if isinstance(word, bytes) else str(word).encode() for word in command]


def monitored(line):
    """What one line of MONITOR shows as arguments: of long ones the start, the end and the length."""
    return [word[:40] + b".." + word[-40:] + b"%d" % len(word) for word in line.encode().split(b'"')[1::2]]


def shown(command):
    return [word[:40] + b".." + word[-40:] + b"%d" % len(word) for word in as_words(command)]


def slow_words(command):
    """Arguments as the slow log shortens them."""
    cut = b"... (%d more bytes)"
    return [word if len(word) <= 128 else word[:128] + cut % (len(word) - 128) for word in as_words(command)]


def lines_of(monitor, count):
    """The next lines of MONITOR that show a write."""
    taken = []
    while len(taken) < count:
        line = monitor.read()
        if '"DEL"' not in line:
            taken.append(line)
    return taken


@pytest.mark.parametrize("size", SIZES)
def test_fault_2_what_was_sent_is_what_everybody_sees(farm, size):
    server = farm.server("ours", "appendonly yes", "slowlog-log-slower-than 0", "slowlog-max-len 10000")
    fake = attach(farm, server)
    monitor = server.session()
    monitor.call("MONITOR")
    expected = [effect or command for command, effect in commands_with(size)]
    with server.session() as client:
        for command, _ in commands_with(size):
            client.call("DEL", "k", "l")
            client.ask(*command)
            assert monitored(lines_of(monitor, 1)[0]) == shown(command)
            row = client.call("SLOWLOG", "GET", 1)[0]
            assert row[3] == slow_words(command), command[0]
        client.call("SET", "end", "1")
    stream = [words for words in lower(fake.commands_until(b"end")) if words[0] not in (b"select", b"del")]
    assert len(stream) == len(expected)
    for words, command in zip(stream, expected):
        assert words == lower([as_words(command)])[0], command[0]
    end = encode_command("SET", "end", "1")
    wait_for(lambda: end in aoffiles.stream_bytes(aoffiles.last_incr(server)), 20, "the log to be written")
    log = aoffiles.stream_bytes(aoffiles.last_incr(server))
    for command in expected:
        assert encode_command(*command)[5:] in log, command[0]


@pytest.mark.parametrize("size", SIZES)
def test_fault_2_in_transactions_and_scripts(farm, size):
    server = farm.server("ours")
    fake = attach(farm, server)
    expected = [effect or command for command, effect in commands_with(size)]
    with server.session() as client:
        for command, _ in commands_with(size):
            client.call("MULTI")
            client.call("DEL", "k", "l")
            client.call(*command)
            client.call("EXEC")
            client.call("DEL", "k", "l")
            client.call("EVAL", "return redis.call(unpack(ARGV))", 0, *command)
        client.call("SET", "end", "1")
    stream = lower(fake.commands_until(b"end"))
    stream = [words for words in stream if words[0] not in (b"select", b"del", b"multi", b"exec")]
    assert len(stream) == 2 * len(expected)
    for number, words in enumerate(stream):
        assert words == lower([as_words(expected[number // 2])])[0]


@pytest.mark.parametrize("size", SIZES)
def test_fault_2_as_the_stream_of_a_master(farm, size):
    """A replica and its own replica get the same bytes, and MONITOR shows them."""
    replica, _, link = attach_to_fake_master(farm)
    fake = attach(farm, replica)
    monitor = replica.session()
    monitor.call("MONITOR")
    for command, _ in commands_with(size):
        for words in (("DEL", "k", "l"), command):
            link.sock.sendall(encode_command(*words))
        assert monitored(lines_of(monitor, 1)[0]) == shown(command)
    link.sock.sendall(encode_command("SET", "end", "1"))
    stream = [words for words in fake.commands_until(b"end") if words[0] not in (b"SELECT", b"DEL")]
    assert stream == [as_words(command) for command, _ in commands_with(size)]


def test_fault_2_random_pairs_stay_the_same_on_a_replica(farm):
    """Many repeated keys in one command, in pipelines, with large and small values."""
    master = farm.server("ours", "appendonly yes")
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    rng = random.Random(2)
    with master.session() as client:
        for _ in range(60):
            commands = []
            for _ in range(rng.randrange(1, 4)):
                pairs = []
                for _ in range(rng.randrange(1, 9)):
                    size = rng.choice((1, 300, 32 * 1024 - 1, 32 * 1024, 40000, 200000))
                    pairs += [f"k{rng.randrange(3)}", big(rng.choice("ABC"), size)]
                commands.append(("MSET", *pairs))
            client.pipeline(commands)
    wait_in_sync(master, replica)
    assert_same(master, replica)
    before = master.call("DEBUG", "DIGEST")
    master.restart()
    assert master.call("DEBUG", "DIGEST") == before


@pytest.mark.lockstep_only("the block that the argument came in is the value")
@pytest.mark.parametrize("command", [("SET", "k"), ("MSET", "l", "1", "k"), ("GETSET", "k"), ("APPEND", "k")])
def test_fault_2_a_big_value_is_not_copied(server, command):
    """It keeps the room that its line end took in the request; a copy has none to spare."""
    server.call(*command, big("A", 100_000))
    fields = dict(field.split(":") for field in server.call("DEBUG", "SDSLEN", "k").split(", "))
    assert (int(fields["val_sds_len"]), int(fields["val_sds_avail"]) > 0) == (100_000, True)
    assert server.call("GET", "k") == big("A", 100_000)

"""Commands that wait for keys: which client is served, in which order, with what, and what goes into the stream."""

import random
import threading
import time

import pytest

from dataset import assert_same, stat, wait_in_sync
from harness import SCALE, wait_for
from hazards import attach, lower, stream_of, wait_past_ttl
from wire import Closed, ReplyError

UNBLOCKED = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
ROLE_CHANGED = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"


def blocked(server):
    return int(server.info("clients")["blocked_clients"])


def wait_blocked(server, count):
    wait_for(lambda: blocked(server) == count, 20, f"{count} clients to be blocked")


def waiting(server, *command, database=0, resp=2):
    """A connection whose command waits."""
    before = blocked(server)
    client = server.session(database=database)
    if resp == 3:
        client.call("HELLO", 3)
    client.send_command(*command)
    wait_blocked(server, before + 1)
    return client


def nobody_waits(server):
    clients = server.info("clients")
    fields = ("blocked_clients", "clients_in_timeout_table", "total_blocking_keys", "total_blocking_keys_on_nokey")
    return all(clients.get(field, "0") == "0" for field in fields)


# command, the write that serves it, the reply, what goes into the stream
SERVED = [
    (("BLPOP", "k", 0), ("RPUSH", "k", "a", "b"), [b"k", b"a"], (b"lpop", b"k")),
    (("BRPOP", "k", 0), ("RPUSH", "k", "a", "b"), [b"k", b"b"], (b"rpop", b"k")),
    (("BLPOP", "none", "k", "other", 0), ("RPUSH", "k", "a"), [b"k", b"a"], (b"lpop", b"k")),
    (("BLMOVE", "k", "to", "left", "right", 0), ("RPUSH", "k", "a"), b"a", (b"lmove", b"k", b"to", b"left", b"right")),
    (("BLMOVE", "k", "k", "left", "right", 0), ("RPUSH", "k", "a"), b"a", (b"lmove", b"k", b"k", b"left", b"right")),
    (("BRPOPLPUSH", "k", "to", 0), ("RPUSH", "k", "a"), b"a", (b"rpoplpush", b"k", b"to")),
    (("BLMPOP", 0, 2, "none", "k", "LEFT"), ("RPUSH", "k", "a", "b"), [b"k", [b"a"]], (b"lpop", b"k", b"1")),
    (
        ("BLMPOP", 0, 1, "k", "RIGHT", "COUNT", 9),
        ("RPUSH", "k", "a", "b"),
        [b"k", [b"b", b"a"]],
        (b"rpop", b"k", b"2"),
    ),
    (("BZPOPMIN", "k", 0), ("ZADD", "k", 1, "a", 2, "b"), [b"k", b"a", b"1"], (b"zpopmin", b"k")),
    (("BZPOPMAX", "none", "k", 0), ("ZADD", "k", 1, "a", 2, "b"), [b"k", b"b", b"2"], (b"zpopmax", b"k")),
    (("BZMPOP", 0, 1, "k", "MIN"), ("ZADD", "k", 1, "a"), [b"k", [[b"a", b"1"]]], (b"zpopmin", b"k", b"1")),
    (
        ("BZMPOP", 0, 2, "none", "k", "MAX", "COUNT", 5),
        ("ZINCRBY", "k", 1, "a"),
        [b"k", [[b"a", b"1"]]],
        (b"zpopmax", b"k", b"1"),
    ),
]
SERVED_IDS = [f"{case[0][0]}-{number}" for number, case in enumerate(SERVED)]


@pytest.mark.parametrize("command, write, reply, effect", SERVED, ids=SERVED_IDS)
def test_served(farm, server, command, write, reply, effect):
    """X7: the effect is replicated after the write that made it possible, and the same without a wait."""
    fake = attach(farm, server)
    client = waiting(server, *command)
    server.call(*write)
    assert client.read() == reply
    assert nobody_waits(server)
    server.call("DEL", "k", "to")
    server.call(*write)
    assert client.call(*command) == reply
    server.call("SET", "end", "1")
    stream = [tuple(words) for words in lower(fake.commands_until(b"end")) if words[0] not in (b"select", b"ping")]
    pushed = tuple(word if isinstance(word, bytes) else str(word).encode() for word in write)
    pushed = (pushed[0].lower(), *pushed[1:])
    assert [words for words in stream if words[0] != b"del"] == [pushed, effect, pushed, effect]


@pytest.mark.parametrize("command, write, reply, effect", SERVED, ids=SERVED_IDS)
def test_X7_served_by_a_transaction(farm, server, command, write, reply, effect):
    """The effect follows EXEC and is not in the transaction; no blocking command is ever replicated."""
    fake = attach(farm, server)
    client = waiting(server, *command)
    with server.session() as other:
        other.pipeline([("MULTI",), ("SET", "before", 1), write, ("SET", "after", 1), ("EXEC",)])
    assert client.read() == reply
    server.call("SET", "end", "1")
    stream = [tuple(words) for words in lower(fake.commands_until(b"end")) if words[0] not in (b"select", b"ping")]
    assert [words[0] for words in stream[:5]] == [b"multi", b"set", write[0].lower().encode(), b"set", b"exec"]
    assert stream[5:] == [effect]


def test_X7_inside_a_transaction_nothing_waits(farm, server):
    commands = [case[0] for case in SERVED]
    writes = [case[1] for case in SERVED]
    stream, replies = stream_of(farm, server, [("MULTI",), *commands, ("EXEC",)])
    assert replies[-1] == [None] * len(commands)
    assert not stream
    steps = [step for command, write in zip(commands, writes) for step in (("DEL", "k"), write, command)]
    stream, replies = stream_of(farm, server, [("MULTI",), *steps, ("EXEC",)])
    assert replies[-1][2::3] == [case[2] for case in SERVED]
    names = {words[0] for words in lower(stream)}
    assert not names & {b"blpop", b"brpop", b"blmove", b"brpoplpush", b"blmpop", b"bzpopmin", b"bzpopmax", b"bzmpop"}
    assert nobody_waits(server)


def test_replies_in_both_protocols(server):
    for command, nothing in ((("BLPOP", "k", 0.01), b"*-1"), (("BLMOVE", "k", "to", "LEFT", "LEFT", 0.01), b"*-1")):
        with server.session() as client:
            client.send_command(*command)
            assert client.read_line() == nothing
            client.call("HELLO", 3)
            client.send_command(*command)
            assert client.read_line() == b"_"
    client = waiting(server, "BZPOPMIN", "z", 0, resp=3)
    server.call("ZADD", "z", 1.5, "m")
    assert client.read() == [b"z", b"m", 1.5]


# Timeouts


@pytest.mark.parametrize(
    "timeout, error",
    [
        ("x", "ERR timeout is not a float or out of range"),
        ("", "ERR timeout is not a float or out of range"),
        (" 1", "ERR timeout is not a float or out of range"),
        ("1.5.5", "ERR timeout is not a float or out of range"),
        ("nan", "ERR timeout is not a float or out of range"),
        ("-1", "ERR timeout is negative"),
        ("-0.5", "ERR timeout is negative"),
        ("-inf", "ERR timeout is negative"),
        ("-1e300", "ERR timeout is negative"),
    ],
)
def test_bad_timeouts(server, timeout, error):
    check_bad_timeout(server, timeout, error)
    assert server.ask("BLMPOP", timeout, 0, "k", "LEFT") == ReplyError("ERR numkeys should be greater than 0")
    assert server.ask("BLMPOP", timeout, 1, "k", "UP") == ReplyError("ERR syntax error")
    assert server.ask("BLMOVE", "k", "l", "UP", "LEFT", timeout) == ReplyError("ERR syntax error")


@pytest.mark.parametrize(
    "timeout",
    ["inf", "1e300", "9223372036854776", "9223372036854775", "0x7FFFFFFFFFFFFF"],
)
@pytest.mark.lockstep_only("7.2: sums that overflow are no negative timeouts")
def test_timeouts_out_of_range(server, timeout):
    check_bad_timeout(server, timeout, "ERR timeout is out of range")


def check_bad_timeout(server, timeout, error):
    commands = [
        ("BLPOP", "k", timeout),
        ("BRPOP", "k", "l", timeout),
        ("BRPOPLPUSH", "k", "l", timeout),
        ("BLMOVE", "k", "l", "LEFT", "LEFT", timeout),
        ("BLMPOP", timeout, 1, "k", "LEFT"),
        ("BZPOPMIN", "k", timeout),
        ("BZPOPMAX", "k", timeout),
        ("BZMPOP", timeout, 1, "k", "MIN"),
    ]
    for command in commands:
        assert server.ask(*command) == ReplyError(error)


@pytest.mark.lockstep_only("7.0 is up to a tenth of a second late")
def test_timeouts_to_the_millisecond(server):
    with server.session() as client:
        for seconds in (0.001, 0.02, 0.05, 0.123):
            delays = []
            for _ in range(5):
                start = time.monotonic()
                assert client.call("BLPOP", "k", seconds) is None
                delays.append(time.monotonic() - start)
            assert min(delays) > seconds - 0.002
            assert min(delays) < seconds + 0.005 * SCALE, delays
        start = time.monotonic()
        assert client.call("BLPOP", "k", "1e-9") is None, "rounded up to a millisecond, not down to for ever"
        assert time.monotonic() - start < 5


def test_many_deadlines(server):
    """Timeouts of hundreds of clients, set in any order, some of them cancelled, happen in order."""
    rng = random.Random(7)
    order, lock, clients = [], threading.Lock(), []
    deadlines = [0.3 + 0.004 * step for step in range(150)]
    rng.shuffle(deadlines)
    start = time.monotonic()
    for deadline in deadlines:
        client = server.session()
        client.call("PING")
        client.send_command("BLPOP", "k", max(deadline - (time.monotonic() - start), 0.001))
        clients.append((deadline, client))
    gone = set(rng.sample(range(len(clients)), 40))
    for number in gone:
        clients[number][1].close()

    def wait_one(deadline, client):
        assert client.read() is None
        with lock:
            order.append((time.monotonic() - start, deadline))

    threads = [
        threading.Thread(target=wait_one, args=clients[number]) for number in range(len(clients)) if number not in gone
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(order) == 110
    late = [moment - deadline for moment, deadline in order]
    assert min(late) > -0.02
    assert sorted(late)[len(late) // 2] < 0.1 * SCALE
    wait_for(lambda: nobody_waits(server), 5, "the table to be empty")


def test_the_deadline_outlives_a_vain_wake(server):
    """The key has expired when the transaction ends: a client that was woken continues to wait, until its timeout."""
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    start = time.monotonic()
    client = waiting(server, "BLPOP", "k", 0.6)
    with server.session() as other:
        other.pipeline([("MULTI",), ("RPUSH", "k", 1), ("PEXPIRE", "k", 1), ("DEBUG", "SLEEP", 0.2), ("EXEC",)])
    assert client.at_rest(0.1)
    assert client.read() is None
    assert 0.59 < time.monotonic() - start < 0.6 + 0.15 * SCALE


# Which client is served, and in which order


def test_first_come_first_served(server):
    clients = [waiting(server, "BLPOP", "k", 0) for _ in range(5)]
    for number, client in enumerate(clients):
        server.call("RPUSH", "k", number)
        assert client.read() == [b"k", str(number).encode()]
    assert server.call("EXISTS", "k") == 0


def test_a_place_is_kept_through_a_vain_wake(server):
    """A client woken for a key that is gone, has another type, or whose element another client took keeps its turn."""
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    first = waiting(server, "BLPOP", "k", "l", 0)
    second = waiting(server, "BLPOP", "k", "l", 0)
    with server.session() as other:
        other.pipeline([("MULTI",), ("RPUSH", "k", 1), ("PEXPIRE", "k", 1), ("DEBUG", "SLEEP", 0.01), ("EXEC",)])
        other.pipeline([("MULTI",), ("RPUSH", "k", 1), ("DEL", "k"), ("SET", "k", "string"), ("EXEC",), ("DEL", "k")])
    assert first.at_rest(0.02) and second.at_rest(0.02)
    server.call("RPUSH", "l", "a")
    assert first.read() == [b"l", b"a"]
    server.call("RPUSH", "k", "b")
    assert second.read() == [b"k", b"b"]


@pytest.mark.lockstep_only("7.2: total_blocking_keys")
def test_a_thousand_clients_on_a_key(server):
    count = 1000
    clients = []
    for _ in range(count):
        client = server.session()
        client.send_command("BLPOP", "k", 0)
        clients.append(client)
        if len(clients) % 50 == 0:
            wait_blocked(server, len(clients))
    assert server.info("clients")["total_blocking_keys"] == "1"
    server.call("CONFIG", "RESETSTAT")
    for number in range(10):
        server.call("RPUSH", "k", f"one-{number}")
    before = server.cpu_seconds()
    server.call("RPUSH", "k", *range(count))
    assert server.cpu_seconds() - before < 0.5 * SCALE
    got = [client.read()[1] for client in clients]
    for client in clients:
        client.close()
    turns = [b"one-%d" % n for n in range(10)] + [b"%d" % n for n in range(count - 10)]
    for start in range(0, count, 50):  # within fifty, the network decides the order
        assert set(got[start : start + 50]) == set(turns[start : start + 50])
    assert server.call("LLEN", "k") == 10
    assert "calls=1000," in server.call("INFO", "commandstats").decode().split("cmdstat_blpop:")[1]
    assert nobody_waits(server)


def test_different_types_on_one_key(server):
    """Each client waits for another type; a string serves none of them."""
    wants_list = waiting(server, "BLPOP", "k", 0)
    wants_zset = waiting(server, "BZPOPMIN", "k", 0)
    server.call("SET", "k", "string")
    server.call("DEL", "k")
    server.call("ZADD", "k", 1, "m")
    assert wants_zset.read() == [b"k", b"m", b"1"]
    assert wants_list.at_rest(0.02)
    server.call("RPUSH", "k", "a")
    assert wants_list.read() == [b"k", b"a"]


def test_other_databases_are_others(server):
    client = waiting(server, "BLPOP", "k", 0, database=3)
    server.call("RPUSH", "k", "of 0")
    assert client.at_rest(0.02)
    with server.session(database=3) as other:
        other.call("RPUSH", "k", "of 3")
    assert client.read() == [b"k", b"of 3"]


@pytest.mark.lockstep_only("7.2: total_blocking_keys")
def test_the_same_key_twice(server):
    client = waiting(server, "BLPOP", "k", "l", "k", "l", "k", 0)
    assert server.info("clients")["total_blocking_keys"] == "2"
    server.call("RPUSH", "l", "a", "b")
    assert client.read() == [b"l", b"a"]
    assert nobody_waits(server)


def test_a_transaction_is_seen_whole(server):
    """The first ready key of a client serves it; intermediate states are never visible."""
    client = waiting(server, "BLPOP", "k", 0)
    with server.session() as other:
        other.pipeline([("MULTI",), ("RPUSH", "k", "a"), ("DEL", "k"), ("EXEC",)])
        other.pipeline([("MULTI",), ("RPUSH", "k", "a"), ("LPOP", "k"), ("EXEC",)])
        assert client.at_rest(0.02)
        other.pipeline([("MULTI",), ("RPUSH", "k", "a", "b"), ("LPOP", "k"), ("LPUSH", "k", "c"), ("EXEC",)])
    assert client.read() == [b"k", b"c"]
    assert server.call("LRANGE", "k", 0, -1) == [b"b"]


MOVED_IN = {
    "RENAME": [("RPUSH", "from", "a"), ("RENAME", "from", "k")],
    "RENAMENX": [("RPUSH", "from", "a"), ("RENAMENX", "from", "k")],
    "RENAME over": [("RPUSH", "from", "a"), ("SET", "k", "s"), ("RENAME", "from", "k")],
    "COPY": [("RPUSH", "from", "a"), ("COPY", "from", "k")],
    "COPY REPLACE": [("RPUSH", "from", "a"), ("SET", "k", "s"), ("COPY", "from", "k", "REPLACE")],
    "MOVE": [("SELECT", 1), ("RPUSH", "k", "a"), ("MOVE", "k", 0)],
    "SWAPDB": [("SELECT", 1), ("RPUSH", "k", "a"), ("SWAPDB", 1, 0)],
    "SWAPDB back": [("SELECT", 1), ("RPUSH", "k", "a"), ("SWAPDB", 0, 1)],
    "LMOVE": [("RPUSH", "from", "a"), ("LMOVE", "from", "k", "LEFT", "LEFT")],
    "RPUSH": [("RPUSH", "k", "a")],
    "MULTI": [("MULTI",), ("SELECT", 1), ("RPUSH", "k", "a"), ("MOVE", "k", 0), ("EXEC",)],
}


@pytest.mark.parametrize("name", MOVED_IN)
def test_keys_that_come_from_elsewhere(server, name):
    client = waiting(server, "BLPOP", "k", 0)
    with server.session() as other:
        for reply in other.pipeline(MOVED_IN[name]):
            assert not isinstance(reply, ReplyError)
    assert client.read() == [b"k", b"a"]


def test_restored_keys(server):
    server.call("RPUSH", "from", "a", "b")
    payload = server.call("DUMP", "from")
    client = waiting(server, "BLPOP", "k", 0)
    server.call("RESTORE", "k", 0, payload)
    assert client.read() == [b"k", b"a"]
    client = waiting(server, "BLPOP", "l", 0)
    server.call("SET", "l", "string")
    server.call("RESTORE", "l", 0, payload, "REPLACE")
    assert client.read() == [b"l", b"a"]


@pytest.mark.lockstep_only("Redis does not look at keys that are overwritten")
def test_stored_sorted_sets(server):
    server.call("ZADD", "from", 1, "a", 2, "b")
    for store in (("ZUNIONSTORE", "k", 1, "from"), ("ZRANGESTORE", "k", "from", 0, -1)):
        client = waiting(server, "BZPOPMAX", "k", 0)
        server.call("SET", "k", "string")
        server.call(*store)
        assert client.read() == [b"k", b"b", b"2"]
        server.call("DEL", "k")


def test_waits_survive_a_reload(server):
    client = waiting(server, "BLPOP", "k", 0)
    server.call("SET", "other", "v")
    server.call("DEBUG", "RELOAD")
    server.call("FLUSHALL")
    assert client.at_rest(0.02)
    server.call("RPUSH", "k", "a")
    assert client.read() == [b"k", b"a"]


@pytest.mark.lockstep_only("7.2: a look at the key deletes nothing")
def test_swapped_in_but_past_its_time(farm, server):
    """The stream is the same as on a server without waiting clients, since nothing is deleted on the way."""
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    with server.session(database=1) as other:
        other.call("RPUSH", "k", "a")
        other.call("PEXPIRE", "k", 1)
        wait_past_ttl(1)
        client = waiting(server, "BLPOP", "k", 0)
        stream, _ = stream_of(farm, server, [("SWAPDB", 0, 1)])
    assert [words[0] for words in lower(stream)] == [b"swapdb"]
    assert client.at_rest(0.02)


# Chains


def test_a_chain_of_moves(server):
    count = 100
    clients = [waiting(server, "BLMOVE", f"k{n}", f"k{n + 1}", "LEFT", "RIGHT", 0) for n in reversed(range(count))]
    server.call("RPUSH", "k0", "a")
    assert [client.read() for client in clients] == [b"a"] * count
    assert server.call("KEYS", "*") == [f"k{count}".encode()]
    assert nobody_waits(server)


def test_moves_in_a_circle_end(server):
    clients = [waiting(server, "BLMOVE", f"k{n}", f"k{(n + 1) % 10}", "RIGHT", "LEFT", 0) for n in range(10)]
    server.call("RPUSH", "k4", "a")
    assert [client.read() for client in clients] == [b"a"] * 10
    assert server.call("LRANGE", "k4", 0, -1) == [b"a"]


def test_a_move_feeds_who_waits_for_its_target(farm, server):
    fake = attach(farm, server)
    popper = waiting(server, "BLPOP", "to", 0)
    mover = waiting(server, "BLMOVE", "from", "to", "LEFT", "LEFT", 0)
    server.call("RPUSH", "from", "a")
    assert (mover.read(), popper.read()) == (b"a", [b"to", b"a"])
    server.call("SET", "end", 1)
    stream = [words[0] for words in lower(fake.commands_until(b"end"))]
    assert stream[-3:] == [b"rpush", b"lmove", b"lpop"]


def test_what_is_served_breaks_a_watch(server):
    mover = waiting(server, "BLMOVE", "from", "to", "LEFT", "LEFT", 0)
    with server.session() as watcher:
        watcher.call("WATCH", "to")
        watcher.call("MULTI")
        watcher.call("PING")
        server.call("RPUSH", "from", "a")
        assert watcher.call("EXEC") is None
    assert mover.read() == b"a"


# What a served command finds instead


@pytest.mark.lockstep_only("7.2: counts what it refuses")
def test_errors_when_it_is_its_turn(server):
    """The client gets the error, and the element stays for the next one."""
    server.call("SET", "string", "s")
    bad = waiting(server, "BLMOVE", "k", "string", "LEFT", "LEFT", 0)
    good = waiting(server, "BLPOP", "k", 0)
    server.call("CONFIG", "RESETSTAT")
    server.call("RPUSH", "k", "a")
    assert str(bad.read()).startswith("WRONGTYPE")
    assert good.read() == [b"k", b"a"]
    assert "cmdstat_blmove:calls=1," in server.call("INFO", "commandstats").decode()
    assert server.info("errorstats")["errorstat_WRONGTYPE"] == "count=1"


@pytest.mark.lockstep_only("7.2: the command is run again, from its first key")
def test_a_wrong_type_before_a_right_one(server):
    client = waiting(server, "BLPOP", "first", "second", 0)
    server.call("SET", "first", "string")
    server.call("RPUSH", "second", "a")
    assert str(client.read()).startswith("WRONGTYPE")
    assert server.call("LRANGE", "second", 0, -1) == [b"a"]


@pytest.mark.lockstep_only("7.2: the command is run again, with all checks")
def test_memory_is_asked_for_again(server):
    """X13: a command that is no longer permitted is refused, and has no partial effect."""
    client = waiting(server, "BLMOVE", "k", "to", "LEFT", "LEFT", 0)
    popper = waiting(server, "BLPOP", "k", 0)
    server.call("RPUSH", "from", "a")
    server.config_set("maxmemory", 1)
    server.call("RENAME", "from", "k")
    assert str(client.read()).startswith("OOM")
    assert popper.read() == [b"k", b"a"], "taking out is always allowed"
    server.config_set("maxmemory", 0)
    assert server.call("EXISTS", "to", "k") == 0
    stats = server.call("INFO", "commandstats").decode()
    assert "rejected_calls=1" in stats.split("cmdstat_blmove:")[1].split("\r\n")[0]


# Clients that go away, or are told to


@pytest.mark.parametrize("how, answer", [((), None), (("TIMEOUT",), None), (("ERROR",), ReplyError(UNBLOCKED))])
def test_client_unblock(server, how, answer):
    client = server.session()
    ident = client.call("CLIENT", "ID")
    assert server.call("CLIENT", "UNBLOCK", ident, *how) == 0
    client.send_command("BLPOP", "k", "l", 0)
    wait_blocked(server, 1)
    assert server.call("CLIENT", "UNBLOCK", ident, *how) == 1
    assert client.read() == answer
    assert nobody_waits(server)
    assert client.call("PING") == "PONG"
    server.call("RPUSH", "k", "a")
    assert server.call("LLEN", "k") == 1, "it waits no more"


def test_unblocked_in_the_transaction_that_serves_it(server):
    """The key is ready, but its client no longer waits when it would be served."""
    first = waiting(server, "BLPOP", "k", 0)
    ident = int(re_id(server, "blpop"))
    with server.session() as other:
        replies = other.pipeline([("MULTI",), ("RPUSH", "k", "a"), ("CLIENT", "UNBLOCK", ident), ("EXEC",)])
        assert replies[-1] == [1, 1]
    assert first.read() is None
    assert server.call("LRANGE", "k", 0, -1) == [b"a"]
    assert nobody_waits(server)


def re_id(server, command):
    lines = server.call("CLIENT", "LIST").decode().splitlines()
    return [line.split("id=")[1].split()[0] for line in lines if f"cmd={command} " in line and "flags=b" in line][0]


def test_a_client_that_left_takes_nothing(server):
    leaver = waiting(server, "BLPOP", "k", "l", 5)
    stayer = waiting(server, "BLPOP", "k", 0)
    leaver.close()
    wait_blocked(server, 1)
    server.call("RPUSH", "k", "a")
    assert stayer.read() == [b"k", b"a"]
    assert nobody_waits(server)


def test_CVE_2026_23479_clients_that_end_while_they_are_served(server):
    """Clients killed by the transaction that serves them, or for their reply, are not touched afterwards."""
    clients = [waiting(server, "BLPOP", "k", 0) for _ in range(6)]
    ids = [line.split()[0][3:] for line in server.call("CLIENT", "LIST").decode().splitlines() if "flags=b" in line]
    ids.sort(key=int)
    with server.session() as other:
        kills = [("CLIENT", "KILL", "ID", ids[n]) for n in (0, 1, 3)]
        other.pipeline([("MULTI",), ("RPUSH", "k", "a", "b"), *kills, ("EXEC",)])
    assert [clients[n].is_closed() for n in (0, 1, 3)] == [True] * 3
    assert clients[2].read() == [b"k", b"a"]
    assert clients[4].read() == [b"k", b"b"]
    wait_blocked(server, 1)
    server.config_set("client-output-buffer-limit", "normal 100000 0 0")
    big = waiting(server, "BLMPOP", 0, 1, "big", "LEFT", "COUNT", 3000)
    after = waiting(server, "BLPOP", "big", 0)
    server.call("RPUSH", "big", *["x" * 10000] * 3000)
    assert big.is_closed()
    server.call("RPUSH", "big", "y")
    assert after.read() == [b"big", b"y"]
    assert server.call("PING") == "PONG"


def test_CVE_2026_23479_clients_evicted_while_they_wait(server):
    """The copy of a waiting command is memory of its client, which may be evicted even while it is served."""
    server.call("CLIENT", "NO-EVICT", "ON")
    clients = [waiting(server, "BLPOP", "k", *[f"{n}-{'x' * 2000}" for n in range(200)], 0) for _ in range(4)]
    line = [line for line in server.call("CLIENT", "LIST").decode().splitlines() if "flags=b" in line][0]
    assert int(line.split("tot-mem=")[1].split()[0]) > 400_000
    with server.session() as other:
        other.call("CLIENT", "NO-EVICT", "ON")
        other.pipeline([("MULTI",), ("CONFIG", "SET", "maxmemory-clients", "1mb"), ("RPUSH", "k", "a"), ("EXEC",)])
    wait_for(lambda: int(stat(server, "evicted_clients")) >= 1, 10, "clients to be evicted")
    server.config_set("maxmemory-clients", 0)
    got = 0
    for client in clients:
        try:
            client.sock.settimeout(0.3)
            got += client.read() == [b"k", b"a"]
        except (Closed, TimeoutError):
            pass
    assert got + server.call("LLEN", "k") == 1, "the element went to one client, or is still there"
    assert server.call("PING") == "PONG"


def test_what_it_sent_meanwhile_runs_afterwards(server):
    client = server.session()
    commands = [("BLPOP", "k", 0), ("SET", "s", "v"), ("BLPOP", "k", 0), ("GET", "s"), ("BLPOP", "gone", 0.01)]
    for command in commands:
        client.send_command(*command)
    wait_blocked(server, 1)
    assert server.call("EXISTS", "s") == 0
    server.call("RPUSH", "k", "a")
    assert client.read() == [b"k", b"a"]
    assert client.read() == "OK"
    wait_blocked(server, 1)
    server.call("RPUSH", "k", "b")
    assert [client.read() for _ in range(3)] == [[b"k", b"b"], b"v", None]


def test_push_and_pop_in_one_pipeline(server):
    """A client is served by a command of the same batch, while it has more requests in that batch."""
    client = server.session()
    client.send_command("BLPOP", "k", 0)
    client.send_command("PING")
    wait_blocked(server, 1)
    with server.session() as other:
        replies = other.pipeline([("RPUSH", "k", "a"), ("LLEN", "k"), ("RPUSH", "k", "b"), ("LLEN", "k")])
    assert replies == [1, 0, 1, 1]
    assert [client.read(), client.read()] == [[b"k", b"a"], "PONG"]


def test_reply_skip_covers_the_late_reply(server):
    client = server.session()
    client.send_command("CLIENT", "REPLY", "SKIP")
    client.send_command("BLPOP", "k", 0)
    wait_blocked(server, 1)
    server.call("RPUSH", "k", "a")
    wait_blocked(server, 0)
    assert client.call("PING") == "PONG", "nothing came before"


def test_events_come_behind_the_reply(server):
    """A RESP3 client that gets the keyspace event of its own pop."""
    server.config_set("notify-keyspace-events", "KEA")
    client = server.session()
    client.call("HELLO", 3)
    client.call("SUBSCRIBE", "__keyevent@0__:lpop")
    client.send_command("BLPOP", "k", 0)
    wait_blocked(server, 1)
    server.call("RPUSH", "k", "a")
    assert client.read() == [b"k", b"a"]
    assert client.read() == [b"message", b"__keyevent@0__:lpop", b"k"]


# Pauses and roles


@pytest.mark.lockstep_only("7.2: the command is run again, with all checks")
def test_nobody_is_served_while_writes_are_paused(server):
    client = waiting(server, "BLPOP", "k", 0)
    with server.session() as other:
        other.pipeline([("MULTI",), ("RPUSH", "k", "a"), ("CLIENT", "PAUSE", 60000, "WRITE"), ("EXEC",)])
    assert client.at_rest(0.05)
    assert server.call("LRANGE", "k", 0, -1) == [b"a"]
    server.call("CLIENT", "UNPAUSE")
    assert client.read() == [b"k", b"a"]
    client = waiting(server, "BLPOP", "k", 0)
    with server.session() as other:
        other.pipeline([("MULTI",), ("RPUSH", "k", "b"), ("CLIENT", "PAUSE", 100, "WRITE"), ("EXEC",)])
    assert client.read() == [b"k", b"b"], "the pause ends by itself"


@pytest.mark.lockstep_only("7.2: counts what it refuses")
def test_a_client_of_a_master_that_becomes_a_replica(farm, server):
    """A waiting client gets an error and is closed; writes of the new master do not serve it."""
    master = farm.server()
    server.call("CONFIG", "RESETSTAT")
    client = waiting(server, "BLPOP", "k", 0)
    server.call("REPLICAOF", "127.0.0.1", master.port)
    assert client.read() == ReplyError(ROLE_CHANGED)
    assert client.is_closed()
    stats = server.call("INFO", "commandstats").decode().split("cmdstat_blpop:")[1].split("\r\n")[0]
    assert "calls=1," in stats and "failed_calls=1" in stats
    wait_in_sync(master, server)
    master.call("RPUSH", "k", "a")
    wait_in_sync(master, server)
    assert_same(master, server)
    assert str(server.ask("BLPOP", "k", 0)).startswith("READONLY")
    server.call("REPLICAOF", "NO", "ONE")
    assert server.call("BLPOP", "k", 0) == [b"k", b"a"]
    client = waiting(server, "BLPOP", "k", 0)
    server.call("RPUSH", "k", "b")
    assert client.read() == [b"k", b"b"]


def test_served_by_the_stream_of_a_master(farm):
    """On a writable replica, each command of its master is a unit, and waiting clients are served between units."""
    master = farm.server()
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}", "replica-read-only no")
    wait_in_sync(master, replica)
    client = waiting(replica, "BLPOP", "k", 0)
    with master.session() as other:
        other.pipeline([("RPUSH", "k", "a"), ("DEL", "k"), ("SET", "end", 1)])
    assert client.read() == [b"k", b"a"]
    wait_for(lambda: replica.call("GET", "end") == b"1", 10, "the stream to go on")


# Statistics and CLIENT LIST


@pytest.mark.lockstep_only("7.2: counts when it is done")
def test_it_counts_once_and_waiting_is_no_work(server):
    server.config_set("slowlog-log-slower-than", 0)
    server.call("CONFIG", "RESETSTAT")
    server.call("SLOWLOG", "RESET")
    monitor = server.session()
    monitor.call("MONITOR")
    client = waiting(server, "BLPOP", "k", 0)
    assert not [entry for entry in server.call("SLOWLOG", "GET", -1) if entry[3][0] == b"BLPOP"]
    assert "cmdstat_blpop" not in server.call("INFO", "commandstats").decode()
    time.sleep(0.05)
    server.call("RPUSH", "k", "a")
    assert client.read() == [b"k", b"a"]
    fields = server.call("INFO", "commandstats").decode().split("cmdstat_blpop:")[1].split("\r\n")[0]
    fields = dict(field.split("=") for field in fields.split(","))
    assert (fields["calls"], fields["failed_calls"], fields["rejected_calls"]) == ("1", "0", "0")
    assert float(fields["usec"]) < 20_000 * SCALE
    slow = [entry for entry in server.call("SLOWLOG", "GET", -1) if entry[3][0] == b"BLPOP"]
    assert [entry[3] for entry in slow] == [[b"BLPOP", b"k", b"0"]]
    assert slow[0][2] < 20_000 * SCALE
    server.call("SET", "end", 1)
    lines = []
    while not lines or '"end"' not in lines[-1]:
        lines.append(monitor.read())
    assert len([line for line in lines if '"BLPOP"' in line]) == 1


def test_timeouts_and_refusals_count_too(server):
    server.call("CONFIG", "RESETSTAT")
    with server.session() as client:
        ident = client.call("CLIENT", "ID")
        assert client.call("BLPOP", "k", 0.001) is None
        client.send_command("BLPOP", "k", 0)
        wait_blocked(server, 1)
        server.call("CLIENT", "UNBLOCK", ident, "ERROR")
        assert client.read() == ReplyError(UNBLOCKED)
    fields = server.call("INFO", "commandstats").decode().split("cmdstat_blpop:")[1].split("\r\n")[0]
    assert "calls=2," in fields and "failed_calls=1" in fields
    assert server.info("errorstats")["errorstat_UNBLOCKED"] == "count=1"


@pytest.mark.lockstep_only("7.2: total_blocking_keys")
def test_what_info_and_client_list_show(server):
    held = [waiting(server, "BLPOP", "k", "l", 100), waiting(server, "BLMOVE", "k", "m", "LEFT", "LEFT", 0)]
    clients = server.info("clients")
    assert clients["blocked_clients"] == "2"
    assert clients["clients_in_timeout_table"] == "1"
    assert clients["total_blocking_keys"] == "2"
    assert clients["total_blocking_keys_on_nokey"] == "0"
    lines = [line for line in server.call("CLIENT", "LIST").decode().splitlines() if " flags=b " in line]
    assert sorted(line.split(" cmd=")[1].split()[0] for line in lines) == ["blmove", "blpop"]
    for client in held:
        client.close()
    wait_for(lambda: nobody_waits(server), 10, "nobody to wait")


# Under load


def hammer(server, seed, stop, failures):
    """One client that pushes, pops and moves among few keys, so that much of it waits."""
    rng = random.Random(seed)
    try:
        with server.session() as client:
            while not stop.is_set():
                k, l = f"list{rng.randrange(6)}", f"list{rng.randrange(6)}"
                z = f"zset{rng.randrange(4)}"
                choices = [
                    [("RPUSH", k, *[rng.randrange(1000) for _ in range(rng.randrange(1, 4))])] * 3,
                    [("BLPOP", k, l, 0.05), ("BRPOP", l, k, 0.05), ("BLMPOP", 0.05, 2, k, l, "RIGHT", "COUNT", 2)],
                    [("BLMOVE", k, l, "LEFT", "RIGHT", 0.05), ("BRPOPLPUSH", k, l, 0.05)],
                    [("ZADD", z, rng.randrange(10), rng.randrange(10))] * 2,
                    [("BZPOPMIN", z, 0.05), ("BZPOPMAX", z, 0.05), ("BZMPOP", 0.05, 1, z, "MAX", "COUNT", 2)],
                    [("MULTI",), ("RPUSH", k, 1, 2), ("LPOP", l), ("BLPOP", k, 0), ("RENAMENX", k, l), ("EXEC",)],
                    [("PEXPIRE", k, 3), ("DEL", l), ("COPY", k, l, "REPLACE")],
                ]
                for command in rng.choice(choices):
                    client.ask(*command)
    except Exception as err:  # pylint: disable=broad-except
        failures.append(err)


@pytest.mark.parametrize("kind", ["ours", "redis"])
def test_X7_replicas_of_a_master_on_which_many_wait(farm, kind):
    master = farm.server()
    replica = farm.server(kind, f"replicaof 127.0.0.1 {master.port}")
    chained = farm.server("ours", f"replicaof 127.0.0.1 {replica.port}")
    wait_in_sync(master, replica)
    stop, failures = threading.Event(), []
    threads = [threading.Thread(target=hammer, args=(master, seed, stop, failures)) for seed in range(12)]
    for thread in threads:
        thread.start()
    time.sleep(4)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    wait_in_sync(master, replica)
    wait_in_sync(master, chained)
    assert_same(master, replica)
    assert_same(master, chained)
    assert nobody_waits(master)

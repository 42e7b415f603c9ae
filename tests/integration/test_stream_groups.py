"""Consumer groups: what goes into the replication stream, limits, and which waiting client is served."""

import time

import pytest

from dataset import replicate, wait_in_sync, wait_link_up
from hazards import attach, stream_of
from harness import wait_for
from test_streams import everything_about
from wire import ReplyError

MAX = 2**64 - 1
NOGROUP = "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"


def upper(command):
    return [word.decode() for word in command]


def effects_of(farm, server, *commands):
    """What replicas get for these commands, as text, and the replies to them."""
    stream, replies = stream_of(farm, server, commands)
    assert not [reply for reply in replies if isinstance(reply, ReplyError)], replies
    return [upper(command) for command in stream], replies


@pytest.fixture
def group(server):
    """Five entries, and a group that has read none of them."""
    with server.session() as wire:
        for n in range(1, 6):
            wire.call("XADD", "s", f"{n}-0", "f", n)
        wire.call("XGROUP", "CREATE", "s", "g", "0")
    return server


# What goes into the stream


@pytest.mark.lockstep_only("7.0 tells less, in more commands")
def test_X5_added_entries_have_their_final_id_and_exact_thresholds(farm, server):
    server.config_set("stream-node-max-entries", 4)
    wanted = []
    commands = [("XADD", "s", f"{n}-*", "f", n) for n in range(1, 21)]
    wanted += [["XADD", "s", f"{n}-0", "f", str(n)] for n in range(1, 21)]
    commands += [("XADD", "s", "MAXLEN", 100, "21-0", "f", "v"), ("XADD", "s", "NOMKSTREAM", "21-*", "f", "v")]
    wanted += [["XADD", "s", "MAXLEN", "100", "21-0", "f", "v"], ["XADD", "s", "21-1", "f", "v"]]
    # 22 entries in nodes of 4: 3 nodes may go, and with the limit 1 of them.
    commands += [("XADD", "s", "MAXLEN", "~", 13, "LIMIT", 4, "22-0", "f", "v"), ("XTRIM", "s", "MAXLEN", "~", 13)]
    wanted += [["XADD", "s", "MAXLEN", "=", "19", "22-0", "f", "v"], ["XTRIM", "s", "MAXLEN", "=", "15"]]
    commands += [
        ("XTRIM", "s", "MINID", "~", "14"),
        ("XTRIM", "s", "MINID", "~", "14"),
        ("XTRIM", "s", "MINID", "=", "14"),
    ]
    wanted += [["XTRIM", "s", "MINID", "=", "13-0"], ["XTRIM", "s", "MINID", "=", "14"]]
    # Nothing is left: what is greater than every id there can be is what says so.
    commands += [
        ("XADD", "t", "1-0", "f", "v"),
        ("XADD", "t", "MINID", "~", "9", "2-*", "f", "v"),
        ("XTRIM", "t", "MINID", "~", "9"),
    ]
    wanted += [["XADD", "t", "1-0", "f", "v"], ["XADD", "t", "MINID", "=", f"{MAX}-{MAX}", "2-0", "f", "v"]]
    stream, _ = effects_of(farm, server, *commands)
    assert stream == wanted
    before = int(time.time() * 1000)
    stream, (added,) = effects_of(farm, server, ("XADD", "now", "*", "f", "v"))
    assert stream == [["XADD", "now", added.decode(), "f", "v"]]
    assert before <= int(added.split(b"-")[0]) <= time.time() * 1000


def test_X5_trimming_that_leaves_nothing_leaves_nothing_on_replicas(farm, server):
    server.config_set("stream-node-max-entries", 2)
    replica = farm.server()
    replicate(replica, server)
    wait_link_up(replica)
    with server.session() as wire:
        wire.pipeline([("XADD", "s", f"{n}-0", "f", "v") for n in (1, 2, 3)])
        assert wire.call("XADD", "s", "MINID", "~", "9-0", "4-*", "f", "v") == b"4-0"
        assert wire.call("XLEN", "s") == 0
    wait_in_sync(server, replica)
    assert replica.call("XLEN", "s") == 0


def claim(consumer, *ids, count=1, last, at=None):
    """An XCLAIM in the stream without its time."""
    return [
        "XCLAIM",
        "s",
        "g",
        consumer,
        "0",
        *ids,
        "TIME",
        at,
        "RETRYCOUNT",
        str(count),
        "FORCE",
        "JUSTID",
        "LASTID",
        last,
    ]


def without_claim_times(stream):
    now = time.time() * 1000
    for command in stream:
        if command[0] == "XCLAIM":
            at = command.index("TIME") + 1
            assert now - 20_000 < int(command[at]) <= now
            command[at] = None
    return stream


def position(at, read):
    return ["XGROUP", "SETID", "s", "g", at, "ENTRIESREAD", str(read)]


def transaction(*commands):
    return [["MULTI"], *commands, ["EXEC"]]


def read(consumer, *options, start=">"):
    return ("XREADGROUP", "GROUP", "g", consumer, *options, "STREAMS", "s", start)


@pytest.mark.lockstep_only("7.0 tells less, in more commands")
def test_X5_what_a_group_was_given_is_told(farm, group):
    """Entries of one read share a command; a consumer that nothing else names is named; so is the position."""
    created = ["XGROUP", "CREATECONSUMER", "s", "g"]
    cases = [
        ([read("a", "COUNT", 2)], transaction(claim("a", "1-0", "2-0", last="2-0"), position("2-0", 2))),
        ([read("b", "NOACK", "COUNT", 1)], transaction(position("3-0", 3), [*created, "b"])),
        ([read("b", "NOACK", "COUNT", 1)], [position("4-0", 4)]),
        ([read("a", start="1-0")], [claim("a", "2-0", count=2, last="4-0")]),
        ([read("c", start="0")], [[*created, "c"]]),
        ([read("a")], transaction(claim("a", "5-0", last="5-0"), position("5-0", 5))),
        ([read("d")], [[*created, "d"]]),
        ([read("d"), ("XPENDING", "s", "g"), ("XACK", "s", "g", "9-9")], []),
    ]
    for commands, wanted in cases:
        stream, _ = effects_of(farm, group, *commands)
        assert without_claim_times(stream) == wanted, commands


@pytest.mark.lockstep_only("7.0 tells less, in more commands")
def test_X5_what_a_consumer_claims_is_told(farm, group):
    with group.session() as wire:
        wire.call(*read("a"))
        wire.call("XDEL", "s", "2-0", "4-0")
    cases = [
        # Existing entries belong to the consumer now; deleted ones are no longer pending.
        (
            ("XCLAIM", "s", "g", "b", 0, "1-0", "2-0", "3-0"),
            transaction(
                claim("b", "1-0", count=2, last="5-0"),
                ["XACK", "s", "g", "2-0"],
                claim("b", "3-0", count=2, last="5-0"),
            ),
        ),
        (("XCLAIM", "s", "g", "c", 10**9, "1-0"), [["XGROUP", "CREATECONSUMER", "s", "g", "c"]]),
        (("XCLAIM", "s", "g", "c", 0, "7-0", "LASTID", "8-0"), [position("8-0", 5)]),
        (("XAUTOCLAIM", "s", "g", "d", 0, "2-0", "COUNT", 1), [claim("d", "3-0", count=3, last="8-0")]),
        (
            ("XAUTOCLAIM", "s", "g", "d", 0, "3-1", "JUSTID"),
            transaction(["XACK", "s", "g", "4-0"], claim("d", "5-0", last="8-0")),
        ),
    ]
    for command, wanted in cases:
        stream, _ = effects_of(farm, group, command)
        assert without_claim_times(stream) == wanted, command


def test_X5_times_and_counts_that_a_client_chose_are_told(farm, group):
    stream, _ = effects_of(
        farm,
        group,
        ("XCLAIM", "s", "g", "a", 0, "1-0", "FORCE", "TIME", 5000, "RETRYCOUNT", 7),
        ("XCLAIM", "s", "g", "a", 0, "1-0", "JUSTID", "TIME", 6000),
    )
    assert stream == [
        claim("a", "1-0", count=7, last="0-0", at="5000"),
        claim("a", "1-0", count=7, last="0-0", at="6000"),
    ]
    stream, _ = effects_of(farm, group, ("XCLAIM", "s", "g", "a", 0, "1-0", "JUSTID", "TIME", 10**15))
    assert without_claim_times(stream) == [claim("a", "1-0", count=7, last="0-0")], "not in the future"


@pytest.mark.lockstep_only("rdb-version is ours")
def test_X5_followers_of_old_files_get_no_entries_read(farm, group):
    group.config_set("rdb-version", 9)
    stream, _ = effects_of(farm, group, read("a", "NOACK"))
    assert stream == transaction(["XGROUP", "SETID", "s", "g", "5-0"], ["XGROUP", "CREATECONSUMER", "s", "g", "a"])


@pytest.mark.lockstep_only("7.0 tells less, in more commands")
def test_X5_large_reads_are_told_in_parts(farm, server):
    replicas = [farm.server(kind) for kind in ("ours", "redis")]
    for replica in replicas:
        replicate(replica, server)
    wait_link_up(*replicas)
    with server.session() as wire:
        wire.pipeline([("XADD", "s", f"{n}-0", "f", n) for n in range(1, 2001)])
        wire.call("XGROUP", "CREATE", "s", "g", 0)
        assert len(wire.call(*read("a"))[0][1]) == 2000
        wire.call("XDEL", "s", *[f"{n}-0" for n in range(1, 1500)])
        assert len(wire.call("XAUTOCLAIM", "s", "g", "b", 0, 0, "COUNT", 1800)[2]) == 1499
        wait_in_sync(server, *replicas)
        wire.call("HELLO", 3)
        wanted = everything_about(wire, "s")
    assert len(wanted[b"groups"][0][b"pending"]) == 501
    for replica in replicas:
        with replica.session() as wire:
            wire.call("HELLO", 3)
            assert everything_about(wire, "s") == wanted


@pytest.mark.lockstep_only("7.0 tells less, in more commands")
def test_X5_inside_a_transaction_effects_stay_in_their_place(farm, group):
    stream, _ = effects_of(farm, group, ("MULTI",), ("SET", "x", 1), read("a", "COUNT", 1), ("SET", "x", 2), ("EXEC",))
    assert without_claim_times(stream) == transaction(
        ["SET", "x", "1"], claim("a", "1-0", last="1-0"), position("1-0", 1), ["SET", "x", "2"]
    )


@pytest.mark.lockstep_only("rdb-version is ours")
def test_groups_survive_reloading_and_copying(group):
    group.config_set("rdb-version", 11)  # the first that tells when a consumer was active
    with group.session() as wire:
        wire.call("HELLO", 3)
        wire.call(*read("a", "COUNT", 2))
        wire.call(*read("b", "COUNT", 1))
        wire.call(*read("idle", start="0"))
        wire.call("XGROUP", "CREATE", "s", "empty", "$", "ENTRIESREAD", 3)
        wire.call("XDEL", "s", "2-0")
        full = ("XINFO", "STREAM", "s", "FULL", "COUNT", 0)
        before = wire.call(*full)
        assert wire.call("DEBUG", "RELOAD") == "OK"
        assert wire.call(*full) == before
        assert wire.call("COPY", "s", "copy") == 1
        assert wire.call("XINFO", "STREAM", "copy", "FULL", "COUNT", 0) == before


# Numbers from requests


def test_CVE_2022_31144_deleted_entries_do_not_count_against_the_reply(server):
    """XAUTOCLAIM meets many entries that are gone, with any COUNT: it names them, and writes no more than it may."""
    with server.session() as wire:
        wire.pipeline([("XADD", "s", f"{n}-0", "f", n) for n in range(1, 301)])
        wire.call("XGROUP", "CREATE", "s", "g", 0)
        wire.call(*read("a"))
        wire.call("XTRIM", "s", "MAXLEN", 10)
        dropped, cursor = [], b"0-0"
        for count in (1, 2, 3, 50):
            cursor, claimed, gone = wire.call("XAUTOCLAIM", "s", "g", "b", 0, cursor, "COUNT", count)
            assert claimed == [] and len(gone) == count
            dropped += gone
        assert cursor == b"57-0"
        cursor, claimed, gone = wire.call("XAUTOCLAIM", "s", "g", "b", 0, 0, "COUNT", 10**6)
        assert (cursor, len(claimed)) == (b"0-0", 10)
        assert dropped + gone == [f"{n}-0".encode() for n in range(1, 291)]
        assert wire.call("XPENDING", "s", "g")[0] == 10


@pytest.mark.lockstep_only("7.0 takes memory for all that is asked for")
def test_CVE_2022_35951_counts_of_xautoclaim_do_not_overflow(group):
    with group.session() as wire:
        wire.call(*read("a"))
        for count in (0, -1, 2**63 - 1, 8070450532247928833, 2**60, -(2**63), 2**64):
            assert str(wire.ask("XAUTOCLAIM", "s", "g", "b", 0, 0, "COUNT", count)) == "ERR COUNT must be > 0"
        assert len(wire.call("XAUTOCLAIM", "s", "g", "b", 0, 0, "COUNT", (2**63 - 1) // 16)[1]) == 5


@pytest.mark.parametrize("ms", [-(2**63), -1, 2**63 - 1])
def test_extreme_times_of_claims_are_now_or_what_they_say(group, ms):
    with group.session() as wire:
        for option in ("IDLE", "TIME"):
            wire.call("XCLAIM", "s", "g", "a", 0, "1-0", "FORCE", option, ms)
            assert 0 <= wire.call("XPENDING", "s", "g", "-", "+", 1)[0][2] < 10_000
            assert wire.call("XPENDING", "s", "g", "IDLE", 2**63 - 1, "-", "+", 1) == []


def test_ids_end_where_they_end(server):
    with server.session() as wire:
        wire.call("XADD", "s", f"{MAX}-{MAX - 1}", "f", "v")
        assert wire.call("XADD", "s", "*", "f", "v") == f"{MAX}-{MAX}".encode()
        assert "exhausted" in str(wire.ask("XADD", "s", "*", "f", "v"))
        assert len(wire.call("XRANGE", "s", "-", "+")) == 2
        wire.call("XGROUP", "CREATE", "s", "g", "0")
        assert len(wire.call(*read("a"))[0][1]) == 2
        assert wire.ask(*read("a")) is None
        assert wire.ask(*read("a", start=f"{MAX}-{MAX}")) is None, "behind the last id: what is new"
        assert wire.ask("XREAD", "STREAMS", "s", f"{MAX}-{MAX}") is None


# Keys


def test_keys_are_found_behind_their_keyword(server):
    def keys(*command):
        return server.ask("COMMAND", "GETKEYS", *command)

    assert keys("XREAD", "COUNT", 1, "STREAMS", "streams", "b", 0, 0) == [b"streams", b"b"]
    assert keys("XREADGROUP", "GROUP", "streams", "c", "NOACK", "STREAMS", "a", ">") == [b"a"]
    assert isinstance(keys("XREAD", "COUNT", 1, "BLOCK", 0), ReplyError)
    assert keys("XGROUP", "CREATE", "k", "g", "$") == [b"k"]
    assert keys("XINFO", "STREAM", "k", "FULL") == [b"k"]
    assert keys("XADD", "k", "*", "f", "v") == [b"k"]


# Replies


@pytest.mark.lockstep_only("7.2 tells when consumers were active")
@pytest.mark.parametrize("proto", [2, 3])
def test_shapes_of_replies(group, proto):
    with group.session() as wire:
        wire.call("HELLO", proto)
        first = [[b"1-0", [b"f", b"1"]]]
        both = {b"s": first} if proto == 3 else [[b"s", first]]
        assert wire.call("XREAD", "COUNT", 1, "STREAMS", "none", "s", "0", "0") == both
        assert wire.call(*read("a", "COUNT", 1)) == both
        wire.call("XDEL", "s", "1-0")
        gone = [[b"1-0", None]]
        assert wire.call(*read("a", start="0")) == ({b"s": gone} if proto == 3 else [[b"s", gone]])
        assert wire.call("XREAD", "STREAMS", "s", "5") is None
        assert wire.call("XRANGE", "s", "-", "+", "COUNT", 0) is None
        assert wire.call("XRANGE", "none", "-", "+", "COUNT", 0) == []
        assert wire.call("XPENDING", "s", "g") == [1, b"1-0", b"1-0", [[b"a", b"1"]]]
        wire.call("XACK", "s", "g", "1-0")
        assert wire.call("XPENDING", "s", "g") == [0, None, None, None]
        consumers = wire.call("XINFO", "CONSUMERS", "s", "g")
        assert isinstance(consumers[0], dict if proto == 3 else list)
        fields = list(consumers[0]) if proto == 3 else consumers[0][::2]
        assert fields == [b"name", b"pending", b"idle", b"inactive"]


@pytest.mark.lockstep_only("consumers that come to be without entries are of 7.2")
def test_consumers_are_seen_whenever_they_ask_and_active_when_they_get_entries(server):
    with server.session() as wire:
        wire.call("HELLO", 3)
        wire.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        assert wire.call(*read("a")) is None

        def consumer():
            return wire.call("XINFO", "STREAM", "s", "FULL")[b"groups"][0][b"consumers"][0]

        first = consumer()
        assert first[b"active-time"] == -1
        assert wire.call("XINFO", "CONSUMERS", "s", "g")[0][b"inactive"] == -1
        wire.call("XADD", "s", "1-0", "f", "v")
        wire.call(*read("a"))
        active = consumer()
        assert active[b"active-time"] == active[b"seen-time"] >= first[b"seen-time"]
        wait_for(lambda: time.time() * 1000 > active[b"seen-time"] + 2)
        wire.call(*read("a"))
        assert consumer()[b"seen-time"] > active[b"seen-time"]
        assert consumer()[b"active-time"] == active[b"active-time"]


# Waiting


def blocked(server):
    return int(server.info("clients")["blocked_clients"])


def waiting(server, *command, resp=2):
    """A connection whose command waits."""
    before = blocked(server)
    client = server.session()
    client.call("HELLO", resp)
    client.send_command(*command)
    wait_for(lambda: blocked(server) == before + 1, what="the client to wait")
    return client


def entry(number):
    return [f"{number}-0".encode(), [b"f", b"v"]]


def add(server, number, key="s"):
    return server.call("XADD", key, f"{number}-0", "f", "v")


def waiting_read(server, consumer, key="s", **options):
    return waiting(server, "XREADGROUP", "GROUP", "g", consumer, "BLOCK", 0, "STREAMS", key, ">", **options)


@pytest.mark.parametrize("resp", [2, 3])
def test_entries_go_to_all_who_wait_without_a_group(server, resp):
    add(server, 1)
    clients = [waiting(server, "XREAD", "BLOCK", 0, "STREAMS", "none", "s", "$", "$", resp=resp) for _ in range(3)]
    clients.append(waiting(server, "XREAD", "BLOCK", 0, "COUNT", 1, "STREAMS", "s", "1-5", resp=resp))
    add(server, 2)
    for client in clients:
        assert client.read() == ({b"s": [entry(2)]} if resp == 3 else [[b"s", [entry(2)]]])
    assert blocked(server) == 0


def test_consumers_of_a_group_are_served_in_order_of_arrival(server):
    server.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    names = [f"c{n}" for n in (3, 1, 2)]
    clients = [waiting_read(server, name) for name in names]
    for number, client in enumerate(clients, 1):
        add(server, number)
        assert client.read() == [[b"s", [entry(number)]]]
        assert blocked(server) == len(clients) - number
    owners = [row[1].decode() for row in server.call("XPENDING", "s", "g", "-", "+", 10)]
    assert owners == names


def test_the_last_id_is_that_of_the_time_of_asking(server):
    """The id $ is that of the request, not of the time of being served, nor of an earlier stream of that name."""
    add(server, 5)
    client = waiting(server, "XREAD", "BLOCK", 0, "STREAMS", "s", "$")
    server.call("DEL", "s")
    add(server, 3)
    add(server, 6)
    assert client.read() == [[b"s", [entry(6)]]]


@pytest.mark.parametrize("way", ["transaction", "pipeline"])
def test_one_answer_has_what_a_unit_added(server, way):
    client = waiting(server, "XREAD", "BLOCK", 0, "STREAMS", "s", "$")
    adds = [("XADD", "s", f"{n}-0", "f", "v") for n in (1, 2, 3)]
    with server.session() as wire:
        wire.pipeline([("MULTI",), *adds, ("EXEC",)] if way == "transaction" else adds)
    assert client.read() == [[b"s", [entry(n) for n in ((1, 2, 3) if way == "transaction" else (1,))]]]


@pytest.mark.lockstep_only("7.0 answers some of it")
def test_nothing_to_read_leaves_them_waiting(server):
    """Entries that are deleted at once, new groups and acknowledgements serve no waiting client."""
    server.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    client = waiting_read(server, "a")
    plain = waiting(server, "XREAD", "BLOCK", 0, "STREAMS", "s", "5-0")
    with server.session() as wire:
        wire.pipeline([("MULTI",), ("XADD", "s", "1-0", "f", "v"), ("XDEL", "s", "1-0"), ("EXEC",)])
        wire.call("XADD", "s", "MAXLEN", 0, "2-0", "f", "v")
        wire.call("XGROUP", "CREATE", "s", "other", "0")
        wire.call("XGROUP", "DESTROY", "s", "other")
        wire.call("XSETID", "s", "7-0")
    assert client.at_rest() and plain.at_rest()
    add(server, 8)
    assert client.read() == plain.read() == [[b"s", [entry(8)]]]


GONE = {
    "deleted": ([("DEL", "s")], NOGROUP),
    "flushed": ([("FLUSHALL",)], NOGROUP),
    "renamed away": ([("RENAME", "s", "elsewhere")], NOGROUP),
    "moved": ([("MOVE", "s", 5)], NOGROUP),
    "swapped": ([("SWAPDB", 0, 7)], NOGROUP),
    "expired": ([("PEXPIRE", "s", -1)], NOGROUP),
    "group destroyed": ([("XGROUP", "DESTROY", "s", "g")], NOGROUP),
    "another stream": ([("XADD", "t", "1-0", "f", "v"), ("RENAME", "t", "s")], NOGROUP),
    "made a string": ([("SET", "s", "v")], "WRONGTYPE Operation against a key holding the wrong kind of value"),
    "made a list in a transaction": (
        [("MULTI",), ("DEL", "s"), ("RPUSH", "s", "v"), ("EXEC",)],
        "WRONGTYPE Operation against a key holding the wrong kind of value",
    ),
}


@pytest.mark.lockstep_only("7.0 answers in other words")
@pytest.mark.parametrize("how", GONE)
def test_a_group_that_goes_is_told_to_those_who_wait(server, how):
    commands, error = GONE[how]
    server.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    client = waiting_read(server, "a")
    plain = waiting(server, "XREAD", "BLOCK", 0, "STREAMS", "s", "5-0")
    with server.session() as wire:
        wire.pipeline(commands)
    assert str(client.read()) == error
    assert plain.at_rest(), "who reads without a group waits on"
    server.call("DEL", "s")
    add(server, 9)
    assert plain.read() == [[b"s", [entry(9)]]]


def test_a_stream_that_comes_with_its_group_serves(server):
    server.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    client = waiting_read(server, "a")
    server.call("XGROUP", "CREATE", "t", "g", "$", "MKSTREAM")
    add(server, 1, key="t")
    server.call("RENAME", "t", "s")
    assert client.read() == [[b"s", [entry(1)]]]


def test_nobody_waits_in_a_transaction_or_for_what_is_pending(group):
    with group.session() as wire:
        wire.pipeline([("MULTI",), ("XREAD", "BLOCK", 0, "STREAMS", "s", "$"), read("a", "BLOCK", 0, start="9")])
        assert wire.call("EXEC") == [None, [[b"s", []]]]
        wire.call(*read("a"))
        assert wire.call("MULTI") == "OK"
        wire.call(*read("a", "BLOCK", 0))
        assert wire.call("EXEC") == [None]
        assert wire.call(*read("a", "BLOCK", 0, start="5-0")) == [[b"s", []]]


@pytest.mark.lockstep_only("7.0 takes any timeout")
def test_waiting_ends_in_time_or_by_order(server):
    server.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    with server.session() as wire:
        begun = time.time()
        assert wire.call("XREAD", "BLOCK", 50, "STREAMS", "s", "$") is None
        assert wire.call(*read("a", "BLOCK", 50)) is None
        assert time.time() - begun >= 0.1
    for how, answer in (("TIMEOUT", None), ("ERROR", "UNBLOCKED client unblocked via CLIENT UNBLOCK")):
        client = server.session()
        number = client.call("CLIENT", "ID")
        client.send_command("XREADGROUP", "GROUP", "g", "a", "BLOCK", 0, "STREAMS", "s", ">")
        wait_for(lambda: blocked(server) == 1)
        assert server.call("CLIENT", "UNBLOCK", number, how) == 1
        reply = client.read()
        assert reply is None if answer is None else str(reply) == answer
    for timeout, error in (("x", "not an integer"), (-1, "negative"), (2**63 - 1, "out of range")):
        assert error in str(server.ask("XREAD", "BLOCK", timeout, "STREAMS", "s", "$"))


@pytest.mark.lockstep_only("7.0 tells less, in more commands")
def test_X5_X7_what_a_waiting_client_is_given_follows_what_was_added(farm, server):
    server.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    fake = attach(farm, server)
    client = waiting_read(server, "late")
    add(server, 1)
    assert client.read() == [[b"s", [entry(1)]]]
    server.call("SET", "end", 1)
    stream = [upper(command) for command in fake.commands_until(b"end")]
    assert without_claim_times(stream) == [
        ["XGROUP", "CREATECONSUMER", "s", "g", "late"],
        ["XADD", "s", "1-0", "f", "v"],
        *transaction(claim("late", "1-0", last="1-0"), position("1-0", 1)),
    ]


def test_clients_of_a_replica_wait_for_what_its_master_adds(farm, server):
    replica = farm.server()
    replicate(replica, server)
    wait_link_up(replica)
    client = waiting(replica, "XREAD", "BLOCK", 0, "STREAMS", "s", "$")
    add(server, 1)
    assert client.read() == [[b"s", [entry(1)]]]

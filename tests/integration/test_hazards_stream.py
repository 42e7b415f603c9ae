"""Faults of what is sent to replicas (X): every write once, with the same effect everywhere."""

import time

import pytest

import rdbfile
from dataset import (
    WriteLoad,
    assert_same,
    digest,
    fill_every_encoding,
    fill_strings,
    offset,
    replicate,
    stat,
    wait_in_sync,
)
from harness import wait_for
from hazards import applied, attach, attach_to_fake_master, stream_of, lower, wait_past_ttl
from wire import Closed, ReplyError, encode_command


def test_X1_replica_never_expires_on_its_own(farm):
    """The key has expired by the replica's clock, but the master's INCR still finds it."""
    replica, _, link = attach_to_fake_master(farm)
    now = int(time.time() * 1000)
    link.send_command("SET", "counter", "5", "PXAT", now + 300)
    link.send_command("HSET", "hash", "f", "1")
    link.send_command("PEXPIREAT", "hash", now + 300)
    wait_for(lambda: replica.call("EXISTS", "counter", "hash") == 2, 5, "the writes to be applied")
    wait_for(lambda: replica.call("GET", "counter") is None, 5, "the key to be past its time")
    link.send_command("INCR", "counter")
    link.send_command("PERSIST", "counter")
    link.send_command("HINCRBY", "hash", "f", "10")
    link.send_command("PERSIST", "hash")
    link.send_command("SET", "done", "1")
    wait_for(lambda: replica.call("GET", "done") == b"1", 10, "the stream to be applied")
    assert replica.call("GET", "counter") == b"6"
    assert replica.call("HGET", "hash", "f") == b"11"


def test_X1_reads_of_a_dead_key_do_not_delete_it_on_the_replica(farm):
    replica, _, link = attach_to_fake_master(farm)
    link.send_command("SET", "dead", "v", "PXAT", int(time.time() * 1000) + 50)
    link.send_command("SET", "end", "1")
    wait_for(lambda: replica.call("GET", "end") == b"1", 10, "the stream to be applied")
    wait_for(lambda: replica.call("GET", "dead") is None, 5, "the key to be past its time")
    for command in (
        ("EXISTS", "dead"),
        ("TYPE", "dead"),
        ("TTL", "dead"),
        ("STRLEN", "dead"),
        ("SCAN", 0),
        ("KEYS", "*"),
    ):
        replica.call(*command)
    assert replica.call("DBSIZE") == 2, "it is still there, unseen"
    link.send_command("DEL", "dead")
    wait_for(lambda: replica.call("DBSIZE") == 1, 10, "the master's DEL")


def test_X2_dead_keys_in_a_snapshot_are_kept_by_a_replica(farm):
    """Keys live until the master sends DEL; it may also send PERSIST."""
    past = int(time.time() * 1000) - 5000
    replica, _, link = attach_to_fake_master(farm, databases={0: {"dead": ("v", past), "revived": ("v", past)}})
    link.send_command("PERSIST", "revived")
    link.send_command("SET", "end", "1")
    wait_for(lambda: replica.call("GET", "end") == b"1", 10, "the stream to be applied")
    assert replica.call("GET", "revived") == b"v"
    assert replica.call("GET", "dead") is None
    assert replica.call("DBSIZE") == 3


def test_X2_dead_keys_of_the_master_are_in_its_snapshot(farm):
    """The replicas have not been told of the expiry yet, so a write like PERSIST and a DEL find the same state."""
    master = farm.server()
    master.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    master.call("SET", "live", "v")
    master.call("SET", "dead", "v", "PX", 1)
    wait_past_ttl(1)
    replica = farm.server("redis", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    assert digest(master) == digest(replica)
    assert replica.call("DBSIZE") == 2
    master.call("DEBUG", "SET-ACTIVE-EXPIRE", 1)
    wait_for(lambda: replica.call("DBSIZE") == 1, 10, "the DEL to reach the replica")


def test_X2_the_death_of_a_key_comes_before_what_found_it(farm):
    """Also where the command itself is rewritten, alone and in a transaction."""
    master = farm.server()
    master.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    writes = [
        ("SET", "k", "new", "EX", 1000),
        ("SETEX", "k", 1000, "new"),
        ("SET", "k", "new"),
        ("GETSET", "k", "new"),
        ("INCRBYFLOAT", "k", "1.5"),
    ]
    for write in writes:
        for wrapped in (False, True):
            master.call("SET", "k", "old", "PX", 1)
            wait_past_ttl(1)
            commands = [("MULTI",), ("SET", "other", "1"), write, ("EXEC",)] if wrapped else [write]
            stream, _ = stream_of(farm, master, commands)
            names = [command[0] for command in lower(stream) if b"k" in command[1:2]]
            assert len(names) == 2, (write, stream)
            assert names[0] in (b"del", b"unlink"), (write, stream)
            assert names[1] in (b"set", b"getset"), (write, stream)


def test_X2_relative_times_are_made_absolute(farm):
    master = farm.server()
    commands = [
        ("SET", "a", "v", "EX", 1000),
        ("SET", "b", "v", "PX", 1000000),
        ("SETEX", "c", 1000, "v"),
        ("PSETEX", "d", 1000000, "v"),
        ("SET", "e", "v"),
        ("EXPIRE", "e", 1000),
        ("PEXPIRE", "e", 1000000, "GT"),
        ("GETEX", "e", "EX", 2000),
        ("GETEX", "e", "PERSIST"),
        ("GETEX", "e"),
        ("EXPIREAT", "e", int(time.time()) + 1000),
    ]
    before = int(time.time() * 1000)
    stream, replies = stream_of(farm, master, commands)
    assert not any(isinstance(reply, ReplyError) for reply in replies)
    for command in lower(stream):
        assert command[0] in (b"set", b"pexpireat", b"persist"), command
        assert not {b"EX", b"PX", b"ex", b"px"} & set(command[3:]), command
        if command[0] == b"pexpireat":
            assert int(command[2]) >= before
    names = [command[0].lower() for command in stream]
    assert names.count(b"persist") == 1
    assert stream[0][3].upper() == b"PXAT" and int(stream[0][4]) >= before + 999_000


def test_X2_relative_time_of_restore_is_made_absolute(farm):
    master = farm.server()
    payload = rdbfile.dump_payload(b"\x00" + rdbfile.string("v"))
    before = int(time.time() * 1000)
    stream, replies = stream_of(farm, master, [("RESTORE", "k", 1000000, payload)])
    assert replies == ["OK"]
    assert stream[0][0].upper() == b"RESTORE"
    assert int(stream[0][2]) >= before + 999_000
    assert b"ABSTTL" in [word.upper() for word in stream[0]]


def test_X3_time_in_the_past_is_sent_as_a_deletion(farm):
    master = farm.server()
    for key in "abcde":
        master.call("SET", key, "v")
    stream, _ = stream_of(
        farm,
        master,
        [
            ("EXPIRE", "a", -1),
            ("PEXPIREAT", "b", 1),
            ("EXPIREAT", "c", 0),
            ("SET", "d", "w", "PXAT", 1),
            ("GETEX", "e", "PXAT", 1),
        ],
    )
    deleted = [command[1] for command in stream if command[0].upper() in (b"DEL", b"UNLINK")]
    # SET with such a time may also be sent as it is: it carries its own time, and the DEL follows.
    assert [key for key in deleted if key != b"d"] == [b"a", b"b", b"c", b"e"]
    assert master.call("EXISTS", *"abcde") == 0
    assert stream_names(stream) <= {b"DEL", b"UNLINK", b"SET"}


def stream_names(stream):
    return {command[0].upper() for command in stream}


def test_X3_time_in_the_past_inside_a_transaction(farm):
    master = farm.server()
    master.call("SET", "a", "v")
    stream, _ = stream_of(farm, master, [("MULTI",), ("EXPIRE", "a", -1), ("SET", "b", "1"), ("EXEC",)])
    assert [command[0].upper() for command in stream] in (
        [b"MULTI", b"DEL", b"SET", b"EXEC"],
        [b"MULTI", b"UNLINK", b"SET", b"EXEC"],
    )


def test_X3_lazy_and_active_expiry_send_a_deletion(farm):
    master = farm.server()
    master.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    fake = attach(farm, master)
    master.call("SET", "lazy", "v", "PX", 1)
    wait_for(lambda: master.call("GET", "lazy") is None, 5, "the key to die")
    assert fake.command()[:2] == [b"SET", b"lazy"]
    assert fake.command() in ([b"DEL", b"lazy"], [b"UNLINK", b"lazy"])
    master.call("SET", "active", "v", "PX", 1)
    master.call("DEBUG", "SET-ACTIVE-EXPIRE", 1)
    assert fake.command()[:2] == [b"SET", b"active"]
    assert fake.command() in ([b"DEL", b"active"], [b"UNLINK", b"active"])


FINDERS_OF_A_DEAD_KEY = """
    SET k v|SET k v EX 1000|SET k v PX 100000|SET k v KEEPTTL|SET k v NX|SETEX k 1000 v|PSETEX k 100000 v|SETNX k v|GETSET k v|
    APPEND k x|SETRANGE k 1 x|INCR k|INCRBYFLOAT k 0.5|MSET k 1 j 2|MSETNX k 1 j 2|LPUSH k a|SADD k a|HSET k f v|ZADD k 1 m|
    HINCRBY k f 1|HINCRBYFLOAT k f 1|ZINCRBY k 1 m|RENAME o k|COPY o k REPLACE|SUNIONSTORE k s|SMOVE s k a|
    LMOVE l k LEFT LEFT|ZUNIONSTORE k 1 z|EXPIRE k 100|PERSIST k|GETEX k EX 100|GETDEL k|DEL k|MOVE k 3|RENAME k o
"""


def test_X3_dead_key_leaves_the_stream_before_the_command_that_met_it(farm):
    """A write to an expired key: the DEL of the old key never follows the new key."""
    master = farm.server()
    master.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    fake = attach(farm, master)
    wrong = []
    for text in FINDERS_OF_A_DEAD_KEY.split("|"):
        for setup in ("FLUSHALL", "SET o v", "SADD s a", "RPUSH l a", "ZADD z 1 m", "SET k 5 PX 1"):
            master.call(*setup.split())
        wait_past_ttl(1)
        master.call("SET", "start", "1")
        master.ask(*text.split())
        master.call("SET", "end", "1")
        fake.commands_until(b"start")
        sent = [command for command in fake.commands_until(b"end") if command[0] not in (b"MULTI", b"EXEC")]
        later = [command for command in sent[1:] if command[0].upper() in (b"DEL", b"UNLINK") and b"k" in command[1:]]
        if not sent or sent[0][0].upper() not in (b"DEL", b"UNLINK") or later:
            wrong.append((text.strip(), sent))
    assert not wrong, wrong


@pytest.mark.parametrize("kinds", [("ours", "redis"), ("redis", "ours"), ("ours", "ours")], ids="-".join)
def test_X4_float_increments_keep_the_ttl(farm, kinds):
    master = farm.server(kinds[0])
    replica = farm.server(kinds[1], f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    master.call("SET", "f", "1.5", "EX", 1000)
    master.call("INCRBYFLOAT", "f", "0.1")
    master.call("HSET", "h", "f", "1")
    master.call("EXPIRE", "h", 1000)
    master.call("HINCRBYFLOAT", "h", "f", "0.1")
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert 0 < replica.call("TTL", "f") <= 1000
    assert 0 < replica.call("TTL", "h") <= 1000


def test_X4_float_increments_are_sent_as_results(farm):
    stream, replies = stream_of(farm, farm.server(), [("INCRBYFLOAT", "f", "0.1"), ("HINCRBYFLOAT", "h", "f", "1e3")])
    assert replies == [b"0.1", b"1000"]
    assert lower(stream) == [[b"set", b"f", b"0.1", b"KEEPTTL"], [b"hset", b"h", b"f", b"1000"]]


def test_X6_random_pops_are_sent_as_results(farm):
    """SPOP of some, all and no members: nothing random is sent, and nothing that fails."""
    master = farm.server()
    commands = [
        ("SADD", "s", *range(10)),
        ("SPOP", "s"),
        ("SPOP", "s", 3),
        ("SPOP", "s", 0),
        ("SPOP", "s", 1000),
        ("SPOP", "s"),
        ("SPOP", "s", 5),
        ("SADD", "one", "x"),
        ("SPOP", "one"),
    ]
    stream, replies = stream_of(farm, master, commands)
    left = {b"%d" % number for number in range(10)}
    names = []
    for command in stream:
        name = command[0].upper()
        names.append(name)
        if name == b"SREM":
            assert len(command) > 2 and set(command[2:]) <= left | {b"x"}, command
            left -= set(command[2:])
        else:
            assert name in (b"SADD", b"DEL", b"UNLINK", b"MULTI", b"EXEC"), command
    assert left == set(replies[4])
    assert names.count(b"DEL") + names.count(b"UNLINK") in (1, 2)


@pytest.mark.parametrize("size", [3, 200, 2000])
def test_X6_pops_leave_equal_sets(farm, size):
    master = farm.server()
    replica = farm.server("redis", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    for kind, members in (("int", range(size)), ("str", [f"member:{n}" for n in range(size)])):
        master.call("SADD", kind, *members)
        for count in (1, size // 3, size - size // 3 - 2, 0, size * 2):
            master.call("SPOP", kind, count)
            wait_in_sync(master, replica)
            assert digest(master) == digest(replica), (kind, count)
    assert replica.call("DBSIZE") == 0


def check_transactions(stream):
    """MULTI and EXEC alternate, and no transaction is empty."""
    inside = None
    for command in stream:
        name = command[0].upper()
        if name == b"MULTI":
            assert inside is None, "nested MULTI"
            inside = 0
        elif name == b"EXEC":
            assert inside, "EXEC without MULTI, or an empty transaction"
            inside = None
        elif inside is not None:
            inside += 1
    assert inside is None, "EXEC is missing"


def test_X8_transactions_in_the_stream_are_well_formed(farm):
    """Transactions in which keys expire, without writes, with errors, discarded and refused."""
    master = farm.server()
    master.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    fake = attach(farm, master)
    for key in ("d1", "d2", "d3", "d4"):
        master.call("SET", key, "v", "PX", 1)
    wait_past_ttl(1)
    with master.wire() as client:
        for block in (
            [("GET", "d1"), ("SET", "a", "1")],
            [("GET", "d2")],
            [("GET", "a")],
            [],
            [("LPUSH", "a", "x"), ("SET", "b", "1")],
            [("LPUSH", "a", "x")],
            [("SELECT", "3"), ("SET", "c", "1"), ("SELECT", "0"), ("SET", "d", "1")],
            [("SPOP", "none"), ("DEL", "none")],
        ):
            client.call("MULTI")
            for command in block:
                client.call(*command)
            client.call("EXEC")
        client.call("MULTI")
        client.call("SET", "discarded", "1")
        client.call("DISCARD")
        client.call("WATCH", "w")
        master.call("SET", "w", "1")
        client.call("MULTI")
        client.call("SET", "refused", "1")
        assert client.call("EXEC") is None
        client.call("SCAN", 0)
        client.call("RANDOMKEY")
        client.call("SELECT", 0)
        client.call("SET", "end", "1")
    stream = fake.commands_until(b"end")
    check_transactions(stream)
    flat = [word for command in stream for word in command]
    assert b"discarded" not in flat and b"refused" not in flat


def test_X8_transactions_reach_a_redis_replica_whole(farm):
    master = farm.server()
    replica = farm.server("redis", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    with master.wire() as client:
        for number in range(50):
            client.send(b"".join(encode_command(*c) for c in (("MULTI",), ("INCR", "a"), ("INCR", "b"), ("EXEC",))))
            seen = replica.call("MGET", "a", "b")
            assert seen[0] == seen[1]
            for _ in range(4):
                client.read()
    wait_in_sync(master, replica)
    assert replica.call("MGET", "a", "b") == [b"50", b"50"]


X9_COMMANDS = [
    ("SETBIT", "bits", 100, 0),
    ("SETRANGE", "range", 10, ""),
    ("SETRANGE", "range", 10, "x"),
    ("SETRANGE", "range", 3, "\0"),
    ("BITFIELD", "field", "SET", "u8", 200, 0),
    ("APPEND", "append", ""),
    ("APPEND", "str", ""),
    ("LTRIM", "list", 0, -1),
    ("ZADD", "zset", "NX", 5, "m"),
    ("GETSET", "same", "v"),
    ("SINTERSTORE", "gone", "nosuch", "str2"),
    ("ZREMRANGEBYRANK", "zset", 5, 10),
    ("PEXPIRE", "str", 100000000, "NX"),
]


@pytest.mark.parametrize("kinds", [("ours", "redis"), ("redis", "ours"), ("ours", "ours")], ids="-".join)
def test_X9_writes_that_change_little_arrive(farm, kinds):
    """Lengthening without content, empty values, stores of nothing: content and length stay equal."""
    master = farm.server(kinds[0])
    for command in (
        ("SET", "str", "v"),
        ("RPUSH", "list", "a"),
        ("ZADD", "zset", 1, "m"),
        ("SET", "same", "v"),
        ("SADD", "gone", "x"),
    ):
        master.call(*command)
    replica = farm.server(kinds[1], f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    for command in X9_COMMANDS:
        master.call(*command)
        wait_in_sync(master, replica)
        assert digest(master) == digest(replica), command
    assert_same(master, replica)


def test_X9_flush_of_an_empty_database_is_sent(farm):
    """A replica may hold keys there that the master lacks."""
    stream, _ = stream_of(farm, farm.server(), [("FLUSHDB",), ("FLUSHALL",), ("FLUSHDB", "ASYNC")])
    assert [command[0].upper() for command in stream] == [b"FLUSHDB", b"FLUSHALL", b"FLUSHDB"]


def test_X9_commands_without_effect_are_not_sent(farm):
    master = farm.server()
    master.call("SET", "k", "v")
    commands = [
        ("DEL", "none"),
        ("SET", "k", "w", "NX"),
        ("SETNX", "k", "w"),
        ("PERSIST", "k"),
        ("EXPIRE", "none", 10),
        ("LPUSHX", "none", "x"),
        ("SREM", "none", "x"),
        ("HDEL", "none", "x"),
        ("ZREM", "none", "x"),
        ("LPOP", "none"),
        ("INCR", "none", "wrong arity"),
        ("LPUSH", "k", "wrong type"),
        ("RENAMENX", "none", "k"),
        ("MOVE", "none", 1),
        ("COPY", "none", "other"),
        ("GET", "k"),
    ]
    stream, _ = stream_of(farm, master, commands)
    assert stream == []


def test_X11_replicaof_inside_a_transaction(farm):
    """Whether it is refused or run, the stream stays well-formed and the data equal."""
    master = farm.server()
    upstream = farm.server("redis")
    fill_strings(upstream, 10, prefix="up:")
    fake = attach(farm, master)
    with master.wire() as client:
        client.call("MULTI")
        client.call("SET", "before", "1")
        client.ask("REPLICAOF", "127.0.0.1", upstream.port)
        client.ask("SET", "after", "1")
        client.ask("EXEC")
    assert master.call("PING") == "PONG"
    master.call("REPLICAOF", "NO", "ONE")
    master.call("SET", "end", "1")
    try:
        check_transactions(fake.commands_until(b"end"))
    except Closed:
        pass  # the change of history has closed its link, which is valid too
    sibling = farm.server("redis", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, sibling)
    assert_same(master, sibling)


def test_X11_promotion_inside_a_transaction(farm):
    """What Sentinel does: MULTI, REPLICAOF NO ONE, CONFIG REWRITE, CLIENT KILL, EXEC; then writes and siblings."""
    master = farm.server("redis")
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    sibling = farm.server("redis", f"replicaof 127.0.0.1 {master.port}")
    fill_strings(master, 100)
    wait_in_sync(master, replica, sibling)
    with replica.wire() as client:
        client.call("MULTI")
        for command in (
            ("SLAVEOF", "NO", "ONE"),
            ("CONFIG", "REWRITE"),
            ("CLIENT", "KILL", "TYPE", "normal"),
            ("CLIENT", "KILL", "TYPE", "pubsub"),
        ):
            assert client.call(*command) == "QUEUED"
        assert client.call("EXEC")[:2] == ["OK", "OK"]
    replica.call("SET", "after", "1")
    replicate(sibling, replica)
    wait_in_sync(replica, sibling)
    assert_same(replica, sibling)
    assert stat(replica, "sync_partial_ok") == 1
    assert "replicaof" not in replica.conf_path.read_text()


@pytest.mark.parametrize("policy", ["allkeys-lru", "noeviction", "volatile-ttl"])
def test_X12_replica_leaves_its_own_maxmemory_alone(farm, policy):
    """The replica neither evicts keys nor refuses what the master sends."""
    master = farm.server("redis")
    replica = farm.server("ours", "maxmemory 2mb", f"maxmemory-policy {policy}", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    fill_strings(master, 6000, size=1000)
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert stat(replica, "evicted_keys") == 0


def test_X12_eviction_on_the_master_reaches_the_replica(farm):
    master = farm.server("ours", "maxmemory 6mb", "maxmemory-policy allkeys-lru")
    replica = farm.server("redis", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    fill_strings(master, 15000, size=1000)
    assert stat(master, "evicted_keys") > 0
    wait_in_sync(master, replica)
    assert_same(master, replica)


def test_X13_refused_commands_are_not_sent(farm):
    """Out of memory on the master: the command is refused there and nowhere else."""
    master = farm.server("ours", "maxmemory-policy noeviction")
    fake = attach(farm, master)
    master.call("SET", "k", "v")
    master.config_set("maxmemory", "1mb")
    refused = 0
    with master.wire() as client:
        for number in range(2000):
            reply = client.ask("SET", f"fill:{number}", "x" * 5000)
            refused += isinstance(reply, ReplyError) and str(reply).startswith("OOM")
        client.call("DEL", "k")
    assert refused > 0
    master.config_set("maxmemory", "0")
    master.call("SET", "end", "1")
    taken = [command for command in fake.commands_until(b"end") if command[0].upper() == b"SET" and command[1] != b"k"]
    assert len(taken) == 2000 - refused
    assert master.call("DBSIZE") == len(taken) + 1


@pytest.mark.parametrize("kinds", [("ours", "redis"), ("redis", "ours")], ids="-".join)
def test_X13_transaction_under_memory_pressure(farm, kinds):
    master = farm.server(kinds[0], "maxmemory-policy noeviction", "maxmemory 4mb")
    replica = farm.server(kinds[1], f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    with master.wire() as client:
        for number in range(400):
            client.ask("MULTI")
            client.ask("SET", f"a{number}", "x" * 10000)
            client.ask("SET", f"b{number}", "x" * 10000)
            client.ask("EXEC")
    wait_in_sync(master, replica)
    assert_same(master, replica)


def test_X13_command_of_the_master_that_fails_is_not_hidden(farm):
    """The replica stays up and counts every byte; what fails is counted in its errors."""
    replica, _, link = attach_to_fake_master(farm)
    sizes = [
        link.send_command("SET", "k", "v"),
        link.send_command("LPUSH", "k", "x"),
        link.send_command("NOSUCHCOMMAND", "k"),
        link.send_command("SET", "end", "1"),
    ]
    wait_for(lambda: replica.call("GET", "end") == b"1", 10, "the stream to go on")
    assert applied(replica) == sum(sizes)
    assert replica.call("GET", "k") == b"v"
    assert int(replica.info("stats")["total_error_replies"]) >= 1
    ack, _ = link.get_ack(sum(sizes))
    assert ack >= sum(sizes)


@pytest.mark.parametrize("bad", [b"*1\rX$4\r\nPING\r\n", b"*1\r\n$4\rXPING\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nvXX"])
def test_fault_30_N3_broken_line_ends_end_the_link(farm, bad):
    """Commands before it are applied and counted, later ones are not, and the replica asks to continue there."""
    replica, master, link = attach_to_fake_master(farm)
    sent = link.send_command("SET", "before", "1")
    link.send(bad + encode_command("SET", "behind", "1"))
    assert link.is_closed()
    again = master.accept()
    _, offset = again.answer_until_psync()
    assert int(offset) == sent + 1
    assert replica.call("MGET", "before", "k", "behind") == [b"1", None, None]


def test_X13_replica_that_clients_write_to_does_not_panic(farm):
    """A writable replica may differ, so a failing command of its master proves nothing."""
    lines = "propagation-error-behavior panic", "use-exit-on-panic yes", "replica-read-only no"
    replica, _, link = attach_to_fake_master(farm, *lines)
    replica.call("SET", "k", "its own")
    link.send_command("LPUSH", "k", "x")
    link.send_command("SET", "end", "1")
    wait_for(lambda: replica.call("GET", "end") == b"1", 10, "the stream to go on")
    assert replica.info("stats")["unexpected_error_replies"] == "1"
    replica.call("CONFIG", "SET", "replica-read-only", "yes")
    link.send_command("LPUSH", "k", "x")
    assert replica.wait_exit() != 0
    assert replica.log_contains("panicked sending an error to its master")


def test_X_read_only_replica_refuses_writes(farm):
    replica, _, _ = attach_to_fake_master(farm, databases={0: {"k": "v"}})
    with replica.wire() as client:
        assert client.ask("SET", "k", "w") == ReplyError("READONLY You can't write against a read only replica.")
        assert client.call("GET", "k") == b"v"
        client.call("MULTI")
        assert str(client.ask("SET", "k", "w")).startswith("READONLY")
        assert str(client.ask("EXEC")).startswith("EXECABORT")


def test_X_stream_is_forwarded_byte_for_byte(farm):
    """A replica in the middle of a chain passes on exactly what it received, odd spellings included."""
    replica, _, link = attach_to_fake_master(farm)
    sub = attach(farm, replica)
    start = sub.offset
    data = b"".join(
        (
            encode_command("select", "3"),
            encode_command("sEt", "k", "v"),
            encode_command("MULTI"),
            encode_command("incr", "n"),
            encode_command("EXEC"),
            encode_command("PING"),
            encode_command("SET", "k", b"\r\n\x00*1\r\n"),
            encode_command("REPLCONF", "GETACK", "*"),
            encode_command("PUBLISH", "channel", "message"),
        )
    )
    link.send(data)
    got = sub.read_exact(len(data))
    assert got == data
    wait_for(lambda: applied(replica) == start + len(data), 10, "all bytes to be counted")


def test_X_everything_written_is_in_the_stream_once(farm):
    """A load of all types, replayed by hand from the stream into an empty Redis, gives the same data."""
    master = farm.server()
    fake = attach(farm, master)
    fill_every_encoding(master, databases=(0, 2), expiries=True)
    with WriteLoad(master.address, short_ttls=False) as load:
        load.wait_done(3000)
    end = offset(master)
    copy = farm.server("redis")
    with copy.wire() as client:
        client.send(fake.read_exact(end - fake.offset))
        client.send_command("ECHO", "the end")
        while client.read() != b"the end":
            pass
    assert_same(master, copy)

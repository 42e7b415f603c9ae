"""MIGRATE: every value to and from Redis, what goes into the stream, and what holds while keys are being moved."""

import pytest

from dataset import fill_every_encoding, read_everything, stat
from fakes import FakeMaster
from harness import free_port, wait_for
from hazards import lower, stream_of
from wire import ReplyError

OTHER = {"ours": "redis", "redis": "ours"}


def migrate(source, target, key, *options, db=0, timeout=5000):
    return source.ask("MIGRATE", *target.address, key, db, timeout, *options)


def cached(server):
    return int(stat(server, "migrate_cached_sockets"))


class UnderWay:
    """A MIGRATE whose target has received the RESTORE commands and not answered."""

    def __init__(self, farm, server, *keys, options=(), timeout=20000, target=None):
        self.target = target or farm.helper(FakeMaster())
        self.client = server.session()
        self.client.send_command("MIGRATE", *self.target.address, "", 0, timeout, *options, "KEYS", *keys)
        self.link = self.target.accept()
        self.restores = [self.link.read_command() for _ in keys]

    def answer(self, *lines):
        self.link.send(b"".join(line + b"\r\n" for line in lines or [b"+OK"] * len(self.restores)))
        return self.client.read()


def error_of(reply):
    assert isinstance(reply, ReplyError), reply
    return str(reply)


def without(databases, key):
    return {number: rest for number, keys in databases.items() if (rest := {k: v for k, v in keys.items() if k != key})}


# Values, there and back


@pytest.mark.parametrize("source_kind", ["ours", "redis"])
def test_every_encoding_goes_to_a_server_of_the_other_kind(farm, source_kind):
    source, target = farm.server(source_kind), farm.server(OTHER[source_kind])
    fill_every_encoding(source, databases=(0,))
    before = read_everything(source)
    keys = source.call("KEYS", "*")
    assert migrate(source, target, "", "KEYS", *keys) == "OK"
    after = read_everything(target)
    assert source.call("DBSIZE") == 0
    assert {key: value[:2] for key, value in after[0].items()} == {key: value[:2] for key, value in before[0].items()}
    assert all(target.call("PTTL", key) > 0 for key in keys if before[0][key][-1] not in (None, -1))


def test_one_key_into_another_database_with_its_time(farm):
    source, target = farm.server(), farm.server()
    source.call("SET", "k", "v", "PX", 60000)
    assert migrate(source, target, "k", db=9) == "OK"
    with target.session(database=9) as there:
        assert there.call("GET", "k") == b"v"
        assert 50000 < there.call("PTTL", "k") <= 60000
    assert source.call("EXISTS", "k") == 0


def test_a_value_larger_than_the_sockets_buffers(farm):
    source, target = farm.server(), farm.server("redis")
    source.call("CONFIG", "SET", "rdbcompression", "no")
    source.call("SET", "big", bytes(range(256)) * 4096 * 40)
    assert migrate(source, target, "big") == "OK"
    assert target.call("STRLEN", "big") == 256 * 4096 * 40


def test_copy_and_replace(farm):
    source, target = farm.server(), farm.server()
    source.call("SET", "k", "new")
    target.call("SET", "k", "old")
    assert "BUSYKEY" in error_of(migrate(source, target, "k"))
    assert source.call("GET", "k") == b"new"
    assert migrate(source, target, "k", "COPY", "REPLACE") == "OK"
    assert (source.call("GET", "k"), target.call("GET", "k")) == (b"new", b"new")
    assert migrate(source, target, "k", "REPLACE") == "OK"
    assert source.call("EXISTS", "k") == 0


def test_only_what_the_target_took_is_deleted(farm):
    source, target = farm.server(), farm.server()
    source.call("MSET", "a", 1, "b", 2, "c", 3)
    target.call("SET", "b", "here")
    reply = migrate(source, target, "", "KEYS", "none", "a", "b", "c")
    assert error_of(reply).startswith("ERR Target instance replied with error: BUSYKEY")
    assert source.call("KEYS", "*") == [b"b"]
    assert sorted(target.call("KEYS", "*")) == [b"a", b"b", b"c"]


def test_the_stream_has_one_del_of_what_has_gone(farm):
    source, target = farm.server(), farm.server()
    source.call("MSET", "a", 1, "b", 2, "c", 3)
    target.call("SET", "b", "here")
    commands = [
        ("MIGRATE", *target.address, "", 0, 5000, "COPY", "KEYS", "c"),
        ("MIGRATE", *target.address, "", 0, 5000, "REPLACE", "KEYS", "none", "a", "c"),
    ]
    seen, replies = stream_of(farm, source, commands)
    assert replies == ["OK", "OK"]
    assert lower(seen) == [[b"del", b"a", b"c"]]


def test_deletions_are_told_as_keyspace_events(farm):
    source, target = farm.server(), farm.server()
    source.call("CONFIG", "SET", "notify-keyspace-events", "KEA")
    source.call("SET", "k", "v")
    with source.session() as events:
        events.call("SUBSCRIBE", "__keyevent@0__:del")
        assert migrate(source, target, "k") == "OK"
        assert events.read() == [b"message", b"__keyevent@0__:del", b"k"]


# Errors


def test_replies_when_nothing_is_sent(farm, server):
    server.call("SET", "k", "v")
    address = ("127.0.0.1", free_port())

    def ask(*args):
        reply = server.ask("MIGRATE", *args)
        return str(reply) if isinstance(reply, ReplyError) else reply

    assert ask(*address, "none", 0, 100) == "NOKEY"
    assert ask(*address, "", 0, 100, "KEYS", "none", "neither") == "NOKEY"
    assert ask(*address, "k", 0, 100, "KEYS", "k").startswith("ERR When using MIGRATE KEYS option, the key argument")
    assert ask(*address, "k", 0, 100, "AUTH") == "ERR syntax error"
    assert ask(*address, "k", 0, 100, "AUTH2", "user") == "ERR syntax error"
    assert ask(*address, "k", 0, 100, "NOW") == "ERR syntax error"
    assert ask(*address, "k", "x", 100) == "ERR value is not an integer or out of range"
    assert ask(*address, "k", 0, "x") == "ERR value is not an integer or out of range"
    assert ask(*address, "k", 0, 100) == "IOERR error or timeout writing to target instance"
    assert ask("127.0.0.1", "port", "k", 0, 100) == "IOERR error or timeout writing to target instance"
    assert ask("no.such.host.invalid", 1, "k", 0, 100) == "IOERR error or timeout connecting to the client"
    assert server.call("GET", "k") == b"v"


def test_credentials(farm):
    source, target = farm.server(), farm.server("ours", "requirepass secret")
    source.call("SET", "k", "v")
    assert "NOAUTH" in error_of(migrate(source, target, "k"))
    assert "WRONGPASS" in error_of(migrate(source, target, "k", "AUTH", "guess"))
    assert source.call("GET", "k") == b"v"
    assert migrate(source, target, "k", "AUTH", "secret") == "OK"
    source.call("SET", "k", "v")
    assert migrate(source, target, "k", "REPLACE", "AUTH2", "default", "secret") == "OK"


@pytest.mark.lockstep_only("Redis lends a connection to everybody, whoever authenticated it")
def test_a_kept_connection_is_for_those_with_the_same_credentials(farm):
    source, target = farm.server(), farm.server("ours", "requirepass secret")
    source.call("SET", "k", "v")
    assert migrate(source, target, "k", "AUTH", "secret") == "OK"
    source.call("SET", "k", "v")
    assert "NOAUTH" in error_of(migrate(source, target, "k", "REPLACE"))


@pytest.mark.lockstep_only("Redis restores into the database that is selected, if the one that is asked for is not there")
def test_nothing_is_sent_into_a_database_that_is_not_there(farm):
    source, target = farm.server(), farm.server("redis")
    source.call("SET", "k", "v")
    assert "DB index is out of range" in error_of(migrate(source, target, "k", db=99))
    assert (source.call("GET", "k"), target.call("DBSIZE")) == (b"v", 0)
    assert migrate(source, target, "k") == "OK"


def test_the_slow_log_and_monitor_show_no_credentials(farm, server):
    server.call("CONFIG", "SET", "slowlog-log-slower-than", 0)
    with server.session() as monitor:
        monitor.call("MONITOR")
        server.ask("MIGRATE", "127.0.0.1", 1, "k", 0, 100, "COPY", "AUTH", "secret")
        server.ask("MIGRATE", "127.0.0.1", 1, "k", 0, 100, "AUTH2", "someone", "secret")
        lines = [monitor.read(), monitor.read()]
    logged = [entry[3][6:] for entry in server.call("SLOWLOG", "GET", 2)]
    assert logged == [[b"AUTH2", b"(redacted)", b"(redacted)"], [b"COPY", b"AUTH", b"(redacted)"]]
    assert all("secret" not in line and "someone" not in line for line in lines), lines


# While keys are being moved


@pytest.mark.lockstep_only("Redis stands still")
def test_others_go_on_while_a_target_is_slow(farm, server):
    server.call("MSET", "a", 1, "b", 2)
    under_way = UnderWay(farm, server, "a")
    assert server.call("GET", "a") == b"1"
    assert server.call("SET", "b", 3) == "OK"
    assert int(server.info("clients")["blocked_clients"]) == 1
    assert under_way.answer() == "OK"
    assert server.call("EXISTS", "a") == 0


CHANGES = [
    ("SET", "k", "new"),
    ("APPEND", "k", "!"),
    ("DEL", "k"),
    ("EXPIRE", "k", 1000),
    ("RENAME", "k", "elsewhere"),
    ("FLUSHALL",),
    ("SWAPDB", 0, 1),
]


@pytest.mark.lockstep_only("Redis stands still")
@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c[0])
def test_a_key_that_changes_meanwhile_stays_and_the_error_says_so(farm, server, change):
    server.call("MSET", "k", "old", "same", "v")
    under_way = UnderWay(farm, server, "k", "same")
    server.call(*change)
    after = without(read_everything(server), b"same")
    assert error_of(under_way.answer()).startswith("ERR Keys were changed while they were sent")
    assert without(read_everything(server), b"same") == after


@pytest.mark.lockstep_only("Redis stands still")
def test_a_copy_does_not_mind_changes(farm, server):
    server.call("SET", "k", "old")
    under_way = UnderWay(farm, server, "k", options=["COPY"])
    server.call("SET", "k", "new")
    assert under_way.answer() == "OK"
    assert server.call("GET", "k") == b"new"


@pytest.mark.lockstep_only("Redis stands still")
def test_a_key_whose_time_comes_meanwhile_has_been_migrated(farm, server):
    server.call("SET", "k", "v", "PX", 150)
    under_way = UnderWay(farm, server, "k")
    wait_for(lambda: server.call("EXISTS", "k") == 0)
    assert under_way.answer() == "OK"


@pytest.mark.lockstep_only("Redis stands still")
def test_the_deletion_waits_for_the_end_of_a_pause(farm, server):
    server.call("SET", "k", "v")
    under_way = UnderWay(farm, server, "k")
    server.call("CLIENT", "PAUSE", 100000, "WRITE")
    under_way.link.send(b"+OK\r\n")
    wait_for(lambda: cached(server) == 1)  # it is answered
    assert server.call("EXISTS", "k") == 1
    assert under_way.client.at_rest()
    server.call("CLIENT", "UNPAUSE")
    assert under_way.client.read() == "OK"
    assert server.call("EXISTS", "k") == 0


@pytest.mark.lockstep_only("Redis stands still")
def test_one_who_became_a_replica_deletes_nothing(farm, server):
    master = farm.server()
    server.call("SET", "k", "v")
    under_way = UnderWay(farm, server, "k")
    server.call("REPLICAOF", *master.address)
    assert error_of(under_way.answer()).startswith("READONLY")


@pytest.mark.lockstep_only("Redis stands still")
def test_a_client_that_goes_leaves_the_keys(farm, server):
    server.call("SET", "k", "v")
    under_way = UnderWay(farm, server, "k")
    under_way.client.close()
    assert under_way.link.is_closed()
    assert server.call("GET", "k") == b"v"
    assert cached(server) == 0


@pytest.mark.lockstep_only("Redis stands still")
def test_two_migrations_of_one_key(farm, server):
    server.call("SET", "k", "v")
    first, second = UnderWay(farm, server, "k"), UnderWay(farm, server, "k")
    assert first.answer() == "OK"
    assert error_of(second.answer()).startswith("ERR Keys were changed")


@pytest.mark.lockstep_only("Redis stands still")
def test_not_in_a_transaction(farm, server):
    server.call("SET", "k", "v")
    with server.session() as client:
        client.call("MULTI")
        assert "not allowed inside a transaction" in error_of(client.ask("MIGRATE", "127.0.0.1", 1, "k", 0, 100))
        assert error_of(client.ask("EXEC")).startswith("EXECABORT")


# Targets that fail


def test_a_target_that_says_nothing(farm, server):
    target = farm.helper(FakeMaster())
    server.call("SET", "k", "v")
    assert error_of(migrate(server, target, "k", timeout=200)) == "IOERR error or timeout reading to target instance"
    assert server.call("GET", "k") == b"v"
    assert cached(server) == 0


@pytest.mark.lockstep_only("Redis stands still")
def test_a_target_that_goes_after_half_of_the_answers(farm, server):
    server.call("MSET", "a", 1, "b", 2)
    under_way = UnderWay(farm, server, "a", "b")
    under_way.link.send(b"+OK\r\n")
    under_way.link.close()
    assert error_of(under_way.client.read()).startswith("IOERR error or timeout reading")
    assert server.call("KEYS", "*") == [b"b"]


@pytest.mark.lockstep_only("Redis stands still")
@pytest.mark.parametrize("answer", [b"$3\r\nfoo\r\n", b"\r\n", b"+" + b"x" * 100000, b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_target_that_speaks_something_else(farm, server, answer):
    server.call("SET", "k", "v")
    under_way = UnderWay(farm, server, "k")
    under_way.link.send(answer)
    assert error_of(under_way.client.read()).startswith("IOERR error or timeout reading")
    assert server.call("GET", "k") == b"v"


# Connections that are kept


def test_connections_are_kept_for_ten_seconds(farm):
    source, target = farm.server(), farm.server()
    for _ in range(3):
        source.call("SET", "k", "v")
        assert migrate(source, target, "k", "REPLACE") == "OK"
        assert cached(source) == 1
    assert int(stat(target, "total_connections_received")) < 6
    wait_for(lambda: cached(source) == 0, 20, "the idle connection to be closed")


def test_a_kept_connection_that_died_is_replaced(farm):
    source, target = farm.server(), farm.server()
    source.call("SET", "k", "v")
    assert migrate(source, target, "k") == "OK"
    target.restart()
    source.call("SET", "k", "v")
    assert migrate(source, target, "k") == "OK"
    assert target.call("GET", "k") == b"v"


@pytest.mark.lockstep_only("Redis stands still")
def test_a_kept_connection_that_dies_at_its_next_use_is_replaced_once(farm, server):
    server.call("MSET", "a", 1, "b", 2)
    first = UnderWay(farm, server, "a")
    assert first.answer() == "OK"
    client = server.session()
    client.send_command("MIGRATE", *first.target.address, "b", 0, 20000)
    assert first.link.read_command()[:2] == [b"RESTORE", b"b"]
    first.link.close()
    again = first.target.accept()
    assert again.read_command()[:2] == [b"RESTORE", b"b"]
    again.send(b"+OK\r\n")
    assert client.read() == "OK"
    assert server.call("DBSIZE") == 0

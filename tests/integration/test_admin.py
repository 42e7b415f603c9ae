"""What operators and client libraries ask of the server: MONITOR, SLOWLOG, LATENCY, COMMAND, ACL, CLIENT, pauses,
shutdown, and what a transaction may do in each state."""

import contextlib
import signal
import time
from pathlib import Path

import pytest

from dataset import fill_strings, offset, wait_in_sync
from harness import SCALE, child_pids, wait_for
from hazards import attach, wait_past_ttl
from wire import Closed, Push, ReplyError, encode_command, pairs_to_dict


def refused(reply, start):
    assert isinstance(reply, ReplyError) and str(reply).startswith(start), reply


# MONITOR


def monitor_line(wire):
    """What a line of MONITOR shows, without the time."""
    line = wire.read()
    seconds, rest = line.split(" ", 1)
    assert float(seconds) > 1.6e9
    return rest


def test_monitor_quotes_arguments(server):
    with server.wire() as looker, server.wire() as wire:
        assert looker.call("MONITOR") == "OK"
        peer = "127.0.0.1:%d" % wire.sock.getsockname()[1]
        wire.call("ECHO", b'a"b\\c\r\n\t\x07\x08\x00\xff end')
        expected = r'"ECHO" "a\"b\\c\r\n\t\a\b\x00\xff end"'
        assert monitor_line(looker) == f"[0 {peer}] {expected}"
        wire.call("SELECT", 5)
        wire.call("PING")
        monitor_line(looker)
        assert monitor_line(looker) == f'[5 {peer}] "PING"'


def test_monitor_shows_transactions_in_order_and_no_secrets(server):
    with server.wire() as looker, server.wire() as wire:
        looker.call("MONITOR")
        wire.pipeline([("MULTI",), ("SET", "k", "v"), ("EXEC",)])
        wire.ask("AUTH", "user", "secret")
        wire.call("CONFIG", "SET", "masterauth", "secret")
        wire.ask("HELLO", 3, "AUTH", "user", "secret")
        wire.call("ECHO", "end")
        shown = []
        while not shown or '"ECHO"' not in shown[-1]:
            shown.append(monitor_line(looker).split("] ", 1)[1])
        assert shown == [
            '"MULTI"',
            '"SET" "k" "v"',
            '"EXEC"',
            '"AUTH" "(redacted)" "(redacted)"',
            '"HELLO" "3" "AUTH" "(redacted)" "(redacted)"',
            '"ECHO" "end"',
        ]
        refused(looker.ask("GET", "k"), "ERR Replica can't interact with the keyspace")
        assert looker.call("RESET") == "RESET"
        assert looker.call("GET", "k") == b"v"


def test_monitor_over_a_unix_socket(farm):
    server = farm.server("ours", "unixsocket redis.sock")
    path = str(server.directory / "redis.sock")
    with server.wire() as looker, type(looker)(path) as wire:
        looker.call("MONITOR")
        wire.call("PING")
        assert monitor_line(looker) == '[0 unix:redis.sock] "PING"'


# SLOWLOG, LATENCY


def slow_commands(server):
    return [row[3] for row in server.call("SLOWLOG", "GET", -1)]


def test_slowlog_hides_secrets_and_cuts_arguments(server):
    server.config_set("slowlog-log-slower-than", 0)
    server.call("SLOWLOG", "RESET")
    server.call("CONFIG", "SET", "masterauth", "secret", "maxclients", 100)
    server.ask("AUTH", "secret")
    server.call("SADD", "s", *range(40))
    server.call("SET", "k", "A" * 130)
    server.call("MULTI")
    server.call("ECHO", "inside")
    server.call("EXEC")
    server.config_set("slowlog-log-slower-than", -1)
    shown = slow_commands(server)
    assert [b"CONFIG", b"SET", b"masterauth", b"(redacted)", b"maxclients", b"100"] in shown
    assert [b"AUTH", b"(redacted)"] in shown
    assert [b"SET", b"k", b"A" * 128 + b"... (2 more bytes)"] in shown
    added = next(row for row in shown if row[0] == b"SADD")
    assert len(added) == 32 and added[-1] == b"... (11 more arguments)"
    assert [b"ECHO", b"inside"] in shown and not any(row[0] == b"EXEC" for row in shown)
    refused(server.ask("SLOWLOG", "GET", -2), "ERR count should be greater than or equal to -1")
    refused(server.ask("SLOWLOG", "GET", "x"), "ERR count should be greater than or equal to -1")
    assert len(server.call("SLOWLOG", "GET")) <= 10 and server.call("SLOWLOG", "GET", 0) == []


def test_slowlog_length_is_kept(server):
    server.config_set("slowlog-log-slower-than", 0, "slowlog-max-len", 3)
    for number in range(10):
        server.call("SET", "k", number)
    assert server.call("SLOWLOG", "LEN") == 3
    ids = [row[0] for row in server.call("SLOWLOG", "GET", -1)]
    assert ids == sorted(ids, reverse=True) and len(ids) == 3


def test_latency_histogram_counts_calls(server):
    server.call("CONFIG", "RESETSTAT")
    for _ in range(50):
        server.call("SET", "k", "v")
    server.call("CLIENT", "ID")
    shown = pairs_to_dict(server.call("LATENCY", "HISTOGRAM", "set", "client", "nosuch"))
    assert set(shown) == {b"set", b"client|id"}
    row = pairs_to_dict(shown[b"set"])
    counts = pairs_to_dict(row[b"histogram_usec"])
    assert row[b"calls"] == 50
    assert list(counts) == sorted(counts) and list(counts.values()) == sorted(counts.values())
    assert max(counts.values()) == 50


def test_latency_events(server):
    server.config_set("latency-monitor-threshold", 10)
    for _ in range(2):
        server.call("DEBUG", "SLEEP", 0.03)
    history = server.call("LATENCY", "HISTORY", "command")
    assert history and all(sample[1] >= 30 for sample in history)
    assert b"command - high " in server.call("LATENCY", "GRAPH", "command")
    assert b"command" in server.call("LATENCY", "DOCTOR")
    refused(server.ask("LATENCY", "GRAPH", "nosuch"), "ERR No samples available for event 'nosuch'")
    assert server.call("LATENCY", "HISTORY", "nosuch") == []
    assert server.call("LATENCY", "RESET", "nosuch") == 0
    assert server.call("LATENCY", "RESET", "command") == 1
    assert server.call("LATENCY", "LATEST") == []


# COMMAND

def test_command_list_and_docs(server):
    names = server.call("COMMAND", "LIST")
    assert b"get" in names and b"client|list" in names and b"post" not in names
    assert server.call("COMMAND", "LIST", "FILTERBY", "PATTERN", "config|*re*") != []
    assert b"set" not in server.call("COMMAND", "LIST", "FILTERBY", "ACLCAT", "pubsub")
    assert server.call("COMMAND", "LIST", "FILTERBY", "ACLCAT", "nosuch") == []
    assert server.call("COMMAND", "LIST", "FILTERBY", "MODULE", "nosuch") == []
    refused(server.ask("COMMAND", "LIST", "FILTERBY", "NOSUCH", "x"), "ERR syntax error")
    assert server.call("COMMAND", "DOCS", "nosuch") == []
    assert server.call("COMMAND", "DOCS", "client|list")[0] == b"client|list"
    assert server.call("COMMAND", "INFO", "get|key", "config|get|key") == [None, None]
    refused(server.ask("COMMAND", "NOSUCH"), "ERR unknown subcommand")
    refused(server.ask("COMMAND", "GETKEYS", "PING", "x"), "ERR The command has no key arguments")
    refused(server.ask("COMMAND", "GETKEYS", "NOSUCH", "k"), "ERR Invalid command specified")
    refused(server.ask("COMMAND", "GETKEYS", "MSET", "k"), "ERR Invalid number of arguments specified for command")


def test_key_flags_follow_the_arguments(server):
    flags = lambda *words: server.call("COMMAND", "GETKEYSANDFLAGS", *words)
    assert [(key, set(use)) for key, use in flags("SET", "k", "v")] == [(b"k", {"OW", "update"})]
    assert [(key, set(use)) for key, use in flags("SET", "k", "v", "GET")] == [(b"k", {"RW", "access", "update"})]
    assert [key for key, _ in flags("MSET", "a", 1, "b", 2)] == [b"a", b"b"]


# ACL


def test_acl_of_the_default_user(server):
    assert server.call("ACL", "WHOAMI") == b"default"
    assert server.call("ACL", "USERS") == [b"default"]
    assert b"dangerous" in server.call("ACL", "CAT") and b"get" in server.call("ACL", "CAT", "string")
    refused(server.ask("ACL", "CAT", "nosuch"), "ERR Unknown category 'nosuch'")
    password = server.call("ACL", "GENPASS")
    assert len(password) == 64 and password != server.call("ACL", "GENPASS")
    assert len(server.call("ACL", "GENPASS", 5)) == 2
    for bits in (0, 4097):
        refused(server.ask("ACL", "GENPASS", bits), "ERR ACL GENPASS argument must be the number of bits")
    refused(server.ask("ACL", "GENPASS", "x"), "ERR value is not an integer or out of range")
    assert server.call("ACL", "DRYRUN", "default", "SET", "k", "v") == "OK"
    refused(server.ask("ACL", "DRYRUN", "nobody", "GET", "k"), "ERR User 'nobody' not found")
    assert server.call("ACL", "GETUSER", "nobody") is None
    rules = pairs_to_dict(server.call("ACL", "GETUSER", "default"))
    assert rules[b"keys"] == b"~*" and rules[b"commands"] == b"+@all" and "nopass" in {
        word if isinstance(word, str) else word.decode() for word in rules[b"flags"]
    }


SHA256_OF_FOO = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"


def test_user_line_that_config_rewrite_leaves_behind(farm):
    server = farm.server("ours", "requirepass foo", f"user default on #{SHA256_OF_FOO} ~* &* +@all")
    assert server.call("ACL", "LIST") == [b"user default on sanitize-payload #%s ~* &* +@all" % SHA256_OF_FOO.encode()]
    server.config_set("requirepass", "bar")
    assert server.call("CONFIG", "REWRITE") == "OK"
    text = server.conf_path.read_text()
    assert SHA256_OF_FOO not in text and text.count("user default") == 1
    server.lines = ["requirepass bar"]
    server.restart()
    assert server.call("PING") == "PONG"


def test_taking_the_password_away_lets_clients_in(farm):
    server = farm.server("ours", "requirepass secret")
    with server.wire() as waiting:
        refused(waiting.ask("GET", "k"), "NOAUTH")
        server.config_set("requirepass", "")
        assert waiting.call("GET", "k") is None
        server.config_set("requirepass", "again")
    with server.wire() as fresh:
        refused(fresh.ask("GET", "k"), "NOAUTH")


# Connections


def test_client_list_of_somebody_in_an_empty_multi(server):
    with server.wire() as wire:
        wire.call("MULTI")
        assert b" multi=0 " in server.call("CLIENT", "LIST")


def test_client_list_counts_the_request_itself(server):
    with server.wire() as wire:
        request = encode_command("CLIENT", "INFO")
        shown = dict(word.split(b"=", 1) for word in wire.call("CLIENT", "INFO").split())
        assert shown[b"qbuf"] == b"%d" % len(request) and shown[b"cmd"] == b"client|info"


def test_reset(farm):
    server = farm.server("ours", "requirepass secret")
    with server.session() as wire:
        wire.call("HELLO", 3)
        wire.call("SELECT", 4)
        wire.call("CLIENT", "SETNAME", "somebody")
        wire.send_command("SUBSCRIBE", "channel")
        wire.read()
        wire.call("WATCH", "k")
        wire.call("MULTI")
        wire.call("SET", "k", "v")
        assert wire.call("RESET") == "RESET"
        refused(wire.ask("GET", "k"), "NOAUTH")
        wire.call("AUTH", "secret")
        refused(wire.ask("EXEC"), "ERR EXEC without MULTI")
        shown = dict(word.split(b"=", 1) for word in wire.call("CLIENT", "INFO").split())
        assert (shown[b"db"], shown[b"name"], shown[b"sub"], shown[b"flags"]) == (b"0", b"", b"0", b"N")
        assert shown[b"resp"] == b"2"
        assert server.call("PUBLISH", "channel", "x") == 0


def test_hello(farm):
    server = farm.server("ours", "requirepass secret")
    with server.wire() as wire:
        refused(wire.ask("HELLO"), "NOAUTH HELLO must be called with the client already authenticated")
        refused(wire.ask("HELLO", 3, "AUTH", "default", "wrong"), "WRONGPASS")
        refused(wire.ask("HELLO", 4), "NOPROTO unsupported protocol version")
        refused(wire.ask("HELLO", "x"), "ERR Protocol version is not an integer or out of range")
        refused(wire.ask("HELLO", 3, "NOSUCH"), "ERR Syntax error in HELLO option 'NOSUCH'")
        refused(wire.ask("HELLO", 3, "AUTH", "default"), "ERR Syntax error in HELLO option 'AUTH'")
        shown = wire.call("HELLO", 3, "AUTH", "default", "secret", "SETNAME", "me")
        assert shown[b"proto"] == 3 and shown[b"role"] == b"master" and shown[b"server"] == b"redis"
        assert wire.call("CLIENT", "GETNAME") == b"me"
        assert pairs_to_dict(wire.call("HELLO", 2))[b"proto"] == 2


@pytest.mark.lockstep_only("7.2: pushes wait for the end of the reply")
def test_messages_to_oneself_come_behind_the_reply(server):
    with server.wire() as wire:
        wire.call("HELLO", 3)
        wire.send_command("SUBSCRIBE", "self")
        assert wire.read() == [b"subscribe", b"self", 1]
        for words in (["MULTI"], ["PUBLISH", "self", "one"], ["PING", "x"], ["PUBLISH", "self", "two"]):
            wire.call(*words)
        assert wire.call("EXEC") == [1, b"x", 1]
        assert [wire.read(), wire.read()] == [[b"message", b"self", b"one"], [b"message", b"self", b"two"]]
        assert wire.call("PUBLISH", "self", "three") == 1
        message = wire.read()
        assert isinstance(message, Push) and message[2] == b"three"


def test_connections_are_served_in_the_order_of_their_requests(server):
    """While the server sleeps, requests of several connections pile up."""
    with server.wire() as sleeper:
        wires = [server.wire() for _ in range(5)]
        for wire in wires:
            wire.call("PING")
        sleeper.send_command("DEBUG", "SLEEP", 0.3)
        time.sleep(0.05)  # makes requests pile up; the order must hold in any case
        for number, wire in enumerate(wires):
            wire.send_command("RPUSH", "order", number)
        sleeper.read()
        for wire in wires:
            wire.read()
        assert server.call("LRANGE", "order", 0, -1) == [b"%d" % n for n in range(5)]


def test_maxmemory_clients(farm):
    server = farm.server("ours", "maxmemory-clients 3mb", "client-query-buffer-limit 1gb")
    with server.wire() as kept, server.wire() as large, server.wire() as shielded:
        kept.call("PING")
        shielded.call("CLIENT", "NO-EVICT", "on")
        half = b"*2\r\n$4\r\nECHO\r\n$5000000\r\n" + b"x" * 4_000_000
        shielded.send(half)
        large.send(half)
        assert large.is_closed(10)
        assert kept.call("PING") == "PONG"
        shielded.send(b"x" * 1_000_000 + b"\r\n")
        assert len(shielded.read()) == 5_000_000
        assert int(server.info("stats")["evicted_clients"]) >= 1


def client_names(server):
    return {line.split("name=")[1].split(" ")[0] for line in server.call("CLIENT", "LIST").decode().splitlines()}


def named(server, name):
    wire = server.wire()
    wire.call("CLIENT", "SETNAME", name)
    return wire


@pytest.mark.parametrize(
    "commands",
    [
        [("SETRANGE", "big", 500_000, "x"), *[("GET", "big")] * 100],
        [("MULTI",), *[("SET", "k", "x" * 30_000)] * 100],
        [("WATCH", f"key:{number}") for number in range(30_000)],
        [("SUBSCRIBE", f"channel:{number}") for number in range(30_000)],
    ],
    ids=["output", "queue", "watches", "channels"],
)
def test_client_over_maxmemory_clients_goes_at_once(farm, commands):
    """For every kind of memory, and at once: the cron is stopped here."""
    server = farm.server("ours", "maxmemory-clients 1mb", "enable-debug-command yes")
    server.call("CLIENT", "NO-EVICT", "on")
    server.call("DEBUG", "PAUSE-CRON", 1)
    with named(server, "greedy") as greedy:
        with contextlib.suppress(OSError):
            for command in commands:
                greedy.send_command(*command)
        wait_for(lambda: "greedy" not in client_names(server), 10, "the client to be evicted")
    server.call("DEBUG", "PAUSE-CRON", 0)
    assert int(server.info("stats")["evicted_clients"]) == 1


def test_lower_maxmemory_clients_holds_at_once(farm):
    server = farm.server("ours", "maxmemory-clients 4mb", "enable-debug-command yes")
    server.call("CLIENT", "NO-EVICT", "on")
    wires = [named(server, f"part:{number}") for number in range(10)]
    for wire in wires:
        wire.send(b"*2\r\n$4\r\nECHO\r\n$300000\r\n" + b"x" * 290_000)
    wait_for(lambda: server.call("CLIENT", "LIST").count(b"qbuf=290000 ") == 10, 10, "the bytes to arrive")
    server.call("DEBUG", "PAUSE-CRON", 1)
    server.config_set("maxmemory-clients", "2mb")
    assert 1 <= len([name for name in client_names(server) if name.startswith("part:")]) <= 7
    server.call("DEBUG", "PAUSE-CRON", 0)
    for wire in wires:
        wire.close()


def test_clients_are_evicted_before_keys(farm):
    """Unread replies fill memory: their client is disconnected, and no key is evicted."""
    server = farm.server("ours", "maxmemory 20mb", "maxmemory-policy allkeys-lru", "maxmemory-clients 2mb")
    server.call("CLIENT", "NO-EVICT", "on")
    for number in range(50):
        server.call("SETRANGE", number, 100_000, "x")
    wires = [server.wire() for _ in range(10)]
    with contextlib.suppress(OSError):
        for _ in range(20):
            for wire in wires:
                wire.send_command("MGET", *range(50))
    wait_for(lambda: int(server.info("stats")["evicted_clients"]) > 0, 10, "clients to be evicted")
    assert server.call("DBSIZE") == 50
    assert int(server.info("stats")["evicted_keys"]) == 0
    for wire in wires:
        wire.close()


@pytest.mark.parametrize("many", [False, True], ids=["one-reply", "pipeline"])
def test_reply_over_the_hard_limit_is_not_sent(farm, many):
    """Not even a part is sent, although the socket has room for it."""
    server = farm.server("ours", "client-output-buffer-limit normal 100000 0 0", "enable-debug-command yes")
    server.call("SETRANGE", "big", 10_000 if many else 150_000, "x")
    with server.wire() as wire:
        wire.call("PING")
        wire.send(encode_command("GET", "big") * (15 if many else 1))
        with pytest.raises(Closed):
            wire.read()
    assert int(server.info("stats")["client_output_buffer_limit_disconnections"]) == 1


def test_transaction_whose_reply_is_over_the_limit_is_run_whole(farm):
    server = farm.server("ours", "client-output-buffer-limit normal 100000 0 0")
    server.call("SETRANGE", "big", 150_000, "x")
    with server.wire() as wire:
        wire.call("MULTI")
        for command in (("SET", "before", "1"), ("GET", "big"), ("SET", "after", "1")):
            assert wire.call(*command) == "QUEUED"
        wire.send_command("EXEC")
        with pytest.raises(Closed):
            wire.read()
    assert server.call("EXISTS", "before", "after") == 2


# Pauses


def test_H2_each_pause_has_its_own_owner(farm):
    """The end of a shutdown's pause does not end that of CLIENT PAUSE."""
    server = farm.server("ours", "shutdown-timeout 60", "repl-timeout 600")
    replica = farm.server("redis", f"replicaof 127.0.0.1 {server.port}", "repl-timeout 600")
    wait_in_sync(server, replica)
    replica.pause()
    server.call("SET", "k", "before")
    with server.wire() as ender, server.wire() as writer:
        ender.send_command("SHUTDOWN")
        wait_for(lambda: "shutdown_in_milliseconds" in server.info("server"), 5, "a shutdown that waits")
        server.call("CLIENT", "PAUSE", 100_000, "WRITE")
        writer.send_command("SET", "k", "after")
        assert server.call("SHUTDOWN", "ABORT") == "OK"
        refused(ender.read(), "ERR Errors trying to SHUTDOWN")
        assert writer.at_rest(0.2) and server.call("GET", "k") == b"before"
        server.call("CLIENT", "UNPAUSE")
        assert writer.read() == "OK"
    replica.resume()


def test_H2_a_pause_is_only_made_longer(server):
    server.call("CLIENT", "PAUSE", 100_000, "WRITE")
    server.call("CLIENT", "PAUSE", 10, "WRITE")
    with server.wire() as writer:
        writer.send_command("SET", "k", "v")
        assert writer.at_rest(0.3)
        server.call("CLIENT", "UNPAUSE")
        assert writer.read() == "OK"


def test_H4_offset_stands_still_while_writes_are_paused(farm):
    """H4: a hand-over that waits for a replica succeeds, since no PING moves the end of the stream meanwhile."""
    master = farm.server("ours", "repl-ping-replica-period 1")
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    start = offset(master)
    wait_for(lambda: offset(master) > start, 10, "a PING in the stream")
    master.call("CLIENT", "PAUSE", 100_000, "WRITE")
    wait_in_sync(master, replica)
    start, end = offset(master), time.monotonic() + 2.5
    while time.monotonic() < end:
        assert offset(master) == start
        time.sleep(0.05)
    master.call("CLIENT", "UNPAUSE")
    wait_for(lambda: offset(master) > start, 10, "a PING in the stream")


def test_P18_end_of_a_pause_inside_a_pipeline(farm):
    """On a replica, the master's stream continues after the batch that contains UNPAUSE, not in the middle of it."""
    master = farm.server()
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    replica.call("CLIENT", "PAUSE", 100_000, "WRITE")
    fill_strings(master, 500)
    wait_for(
        lambda: replica.info("replication")["slave_read_repl_offset"] == master.info("replication")["master_repl_offset"],
        10,
        "the replica to have read the stream",
    )
    with replica.wire() as wire:
        replies = wire.pipeline([("ECHO", n) for n in range(20)] + [("CLIENT", "UNPAUSE")] + [("ECHO", n) for n in range(20)])
    assert replies == [b"%d" % n for n in range(20)] + ["OK"] + [b"%d" % n for n in range(20)]
    wait_in_sync(master, replica)
    assert replica.call("DBSIZE") == 500


# Transactions


def test_transaction_is_refused_where_one_of_its_commands_is(farm):
    """A queue runs on a stale replica only if all of its commands may."""
    server = farm.server("ours")
    with server.wire() as wire:
        server.call("SET", "k", "v")
        wire.call("MULTI")
        wire.call("GET", "k")
        server.config_set("replica-serve-stale-data", "no")
        server.call("REPLICAOF", "127.0.0.1", 1)
        refused(wire.ask("EXEC"), "EXECABORT Transaction discarded because of: MASTERDOWN")
        wire.call("MULTI")
        wire.call("ECHO", "x")
        assert wire.call("EXEC") == [b"x"]
        server.call("REPLICAOF", "NO", "ONE")


def test_queueing_is_refused_while_memory_is_short(server):
    server.call("SET", "k", "v")
    with server.wire() as early, server.wire() as late:
        early.call("MULTI")
        early.call("GET", "k")
        server.config_set("maxmemory", 1)
        assert early.call("EXEC") == [b"v"]
        late.call("MULTI")
        refused(late.ask("GET", "k"), "OOM command not allowed")
        refused(late.ask("EXEC"), "EXECABORT")
        assert late.call("GET", "k") == b"v"


def test_lowered_maxmemory_evicts_without_a_command(server):
    fill_strings(server, 100)
    server.config_set("maxmemory-policy", "allkeys-random", "notify-keyspace-events", "Ee")
    with server.wire() as wire:
        wire.call("SUBSCRIBE", "__keyevent@0__:evicted")
        server.config_set("maxmemory", 1)
        assert {wire.read()[0] for _ in range(100)} == {b"message"}


@pytest.mark.lockstep_only("7.2: SELECT inside MULTI")
def test_multi_stands_before_select_in_the_stream(farm, server):
    fake = attach(farm, server)
    with server.session(database=1) as wire:
        for words in [("MULTI",), ("SET", "a", 1), ("SELECT", 2), ("SET", "b", 2), ("EXEC",)]:
            wire.call(*words)
    shape = []
    while b"exec" not in shape:
        shape.append(fake.next_command()[0].lower())
    assert shape[shape.index(b"multi") :] == [b"multi", b"select", b"set", b"select", b"set", b"exec"]


@pytest.mark.parametrize("here, there, broken", [(None, "x", True), ("x", None, True), (None, None, False), ("x", "x", True)])
def test_swapdb_and_watched_keys(server, here, there, broken):
    with server.wire() as wire, server.session(database=1) as other:
        if here:
            wire.call("SET", "k", here)
        if there:
            other.call("SET", "k", there)
        wire.call("WATCH", "k")
        server.call("SWAPDB", 0, 1)
        wire.call("MULTI")
        wire.call("PING")
        assert wire.call("EXEC") == (None if broken else ["PONG"])


def test_swapdb_and_keys_past_their_time(server):
    """A key whose time has come counts as absent, whether it is watched or comes in the place of one that is."""
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    with server.wire() as wire, server.session(database=1) as other:
        other.call("SET", "k", "old", "PX", 1)
        wait_past_ttl(1)
        wire.call("WATCH", "k")
        server.call("SWAPDB", 0, 1)
        wire.call("MULTI")
        wire.call("PING")
        assert wire.call("EXEC") == ["PONG"]


# Files and the end


def test_bgsave_inside_a_transaction_is_put_off(server):
    with server.wire() as wire:
        for words in (["MULTI"], ["SET", "a", 1], ["BGSAVE"], ["SET", "b", 2]):
            wire.call(*words)
        assert wire.call("EXEC") == ["OK", "Background saving scheduled", "OK"]
    wait_for(lambda: (server.directory / "dump.rdb").exists(), 10, "the file")
    wait_for(lambda: server.info("persistence")["rdb_bgsave_in_progress"] == "0", 10)
    server.restart(how="kill")
    assert server.call("DBSIZE") == 2


def test_what_cannot_be_done_in_a_transaction(server):
    for words in (["SAVE"], ["SHUTDOWN"]):
        with server.wire() as wire:
            wire.call("MULTI")
            refused(wire.ask(*words), "ERR Command not allowed inside a transaction")
            refused(wire.ask("EXEC"), "EXECABORT")
    with server.wire() as wire:
        wire.call("MULTI")
        wire.call("MONITOR")
        refused(wire.call("EXEC")[0], "ERR MONITOR isn't allowed for DENY BLOCKING client")


@pytest.mark.parametrize("words", [("SAVE", "NOSAVE"), ("ABORT", "NOW"), ("NOSUCH",), ("ABORT", "SAVE")])
def test_shutdown_options_that_contradict(server, words):
    refused(server.ask("SHUTDOWN", *words), "ERR syntax error")
    assert server.call("PING") == "PONG"


def test_shutdowns_join_and_end_together(farm):
    server = farm.server("ours", "shutdown-timeout 600", "repl-timeout 600")
    replica = farm.server("redis", f"replicaof 127.0.0.1 {server.port}", "repl-timeout 600")
    wait_in_sync(server, replica)
    replica.pause()
    server.call("INCR", "k")
    with server.wire() as first, server.wire() as second:
        first.send_command("SHUTDOWN")
        second.send_command("SHUTDOWN")
        wait_for(lambda: server.info("clients")["blocked_clients"] == "2", 5, "both to wait")
        assert int(server.info("server")["shutdown_in_milliseconds"]) > 0
        server.expect_exit = True
        replica.resume()
        assert first.is_closed(20) and second.is_closed(20)
    assert server.wait_exit() == 0
    assert server.log_contains("1 of 1 replicas are in sync")
    assert replica.call("GET", "k") == b"1"


def test_abort_of_a_signal(server):
    server.call("DEBUG", "PAUSE-CRON", 1)
    server.signal(signal.SIGTERM)
    wait_for(lambda: server.log_contains("Received SIGTERM"), 5)
    assert server.call("SHUTDOWN", "ABORT") == "OK"
    server.call("DEBUG", "PAUSE-CRON", 0)
    assert server.call("PING") == "PONG"
    assert not child_pids(server.pid)


def test_second_sigint_ends_the_last_save(farm):
    server = farm.server("ours", "save 900 1")
    fill_strings(server, 100)
    server.config_set("rdb-key-save-delay", 100_000)
    temporary = server.directory / f"temp-{server.pid}.rdb"
    server.signal(signal.SIGINT)
    wait_for(temporary.exists, 5, "the last save")
    began = time.monotonic()
    server.signal(signal.SIGINT)
    assert server.wait_exit() == 1
    assert time.monotonic() - began < 5 * SCALE and not temporary.exists()
    assert not (server.directory / "dump.rdb").exists()


@pytest.mark.lockstep_only("7.2: locale-collate")
def test_process_settings_that_change_while_running(server):
    base = int(open(f"/proc/{server.pid}/oom_score_adj").read())
    score = lambda: int(open(f"/proc/{server.pid}/oom_score_adj").read())
    server.config_set("oom-score-adj-values", "10 20 30", "oom-score-adj", "yes")
    assert score() == base + 10
    server.call("REPLICAOF", "127.0.0.1", 1)
    assert score() == base + 20
    server.call("REPLICAOF", "NO", "ONE")
    server.config_set("oom-score-adj", "no")
    assert score() == base
    server.config_set("proc-title-template", "TITLE {port}")
    assert open(f"/proc/{server.pid}/cmdline").read().startswith(f"TITLE {server.port}")
    refused(server.ask("CONFIG", "SET", "locale-collate", "no_SUCH"), "ERR CONFIG SET failed")


def test_thread_of_the_allocator(server):
    """A background thread gives memory back, so that no command has to."""
    if not server.has_jemalloc():
        pytest.skip("another allocator: sanitizers bring one of their own")

    def threads():
        return [path.read_text().strip() for path in Path(f"/proc/{server.pid}/task").glob("*/comm")]

    wait_for(lambda: "jemalloc_bg_thd" in threads(), 5, threads)
    server.config_set("jemalloc-bg-thread", "no")
    wait_for(lambda: "jemalloc_bg_thd" not in threads(), 5, threads)
    server.config_set("jemalloc-bg-thread", "yes")
    wait_for(lambda: "jemalloc_bg_thd" in threads(), 5, threads)
    server.call("BGSAVE")  # a child of a process with threads
    wait_for(lambda: server.info("persistence")["rdb_bgsave_in_progress"] == "0", 10, "the save to end")
    assert server.info("persistence")["rdb_last_bgsave_status"] == "ok"


def test_small_answers(server):
    seconds, micros = server.call("TIME")
    assert abs(int(seconds) - time.time()) < 60 and 0 <= int(micros) < 1_000_000
    assert abs(server.call("LASTSAVE") - time.time()) < 60
    assert b"Redis ver. 7." in server.call("LOLWUT") and b"Redis ver." in server.call("LOLWUT", "VERSION", 5, 1, 1, 1)
    assert server.call("SAVE") == "OK"
    for name in ("ACL", "CLIENT", "COMMAND", "CONFIG", "LATENCY", "PUBSUB", "SLOWLOG"):
        lines = server.call(name, "HELP")
        assert lines[0].startswith(name) and "HELP" in lines
        refused(server.ask(name, "HELP", "x"), f"ERR wrong number of arguments for '{name.lower()}|help' command")

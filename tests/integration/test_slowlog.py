"""Which client and command the slow log names, however the command ended."""

import time

import pytest

from harness import wait_for

EVERYTHING = ("slowlog-log-slower-than 0", "slowlog-max-len 1024")

# A command that waits for something that does not come, with its time-out at the %s.
WAITING = [
    ("BLPOP", "none", "%s"),
    ("BRPOP", "none", "other", "%s"),
    ("BLMOVE", "none", "to", "LEFT", "RIGHT", "%s"),
    ("BRPOPLPUSH", "none", "to", "%s"),
    ("BLMPOP", "%s", 1, "none", "LEFT"),
    ("BZPOPMIN", "none", "%s"),
    ("BZPOPMAX", "none", "%s"),
    ("BZMPOP", "%s", 1, "none", "MAX"),
    ("XREAD", "BLOCK", "%s", "STREAMS", "none", "9-9"),
    ("XREADGROUP", "GROUP", "g", "c", "BLOCK", "%s", "STREAMS", "stream", ">"),
]
IDS = [command[0] for command in WAITING]


def with_timeout(command, seconds):
    value = int(seconds * 1000) if command[0].startswith("X") else seconds
    return tuple(value if word == "%s" else word for word in command)


def named(server, name):
    client = server.session()
    client.call("CLIENT", "SETNAME", name)
    return client


def wait_blocked(server, count=1):
    wait_for(lambda: server.info("clients")["blocked_clients"] == str(count), 20, f"{count} clients to be blocked")


def waiting(server, command, name="waiter"):
    """Returns a connection with that name whose command waits, and its id."""
    client = named(server, name)
    client_id = client.call("CLIENT", "ID")
    client.send_command(*with_timeout(command, 0))
    wait_blocked(server)
    return client, client_id


def entries_of(server, word):
    return [row for row in server.call("SLOWLOG", "GET", -1) if row[3][0] == word.encode()]


def the_entry(server, command, client):
    """The only entry of the command, which must name that client."""
    rows = entries_of(server, command[0])
    assert len(rows) == 1, rows
    row = rows[0]
    assert [word.decode() for word in row[3]] == [str(word) for word in command]
    assert row[4].decode() == "%s:%d" % client.sock.getsockname()[:2] and row[5] == b"waiter"
    return row


@pytest.mark.parametrize("command", WAITING, ids=IDS)
def test_fault_1_a_command_that_times_out_is_slow(farm, command):
    server = farm.server("ours", *EVERYTHING)
    server.call("XGROUP", "CREATE", "stream", "g", "$", "MKSTREAM")
    command = with_timeout(command, 0.05)
    with named(server, "waiter") as client:
        assert client.call(*command) is None
        row = the_entry(server, command, client)
    assert row[2] < 40_000  # what it took, not how long it waited


def test_fault_1_a_command_that_was_run_again_and_again_is_slow(farm):
    """With a threshold that only the sum of the command's runs exceeds."""
    server = farm.server("ours", "slowlog-log-slower-than 100")
    wait_for(lambda: ",usec=0," not in server.call("INFO", "commandstats").decode(), 10, "the clock to be known")
    client, client_id = waiting(server, ("XREAD", "BLOCK", "%s", "STREAMS", "s", "9999-0"))
    with client:
        with server.session() as other:
            other.pipeline([("XADD", "s", number, "f", "v") for number in range(1, 3000)])
        assert server.call("CLIENT", "UNBLOCK", client_id) == 1 and client.read() is None
        the_entry(server, ("XREAD", "BLOCK", 0, "STREAMS", "s", "9999-0"), client)


@pytest.mark.parametrize("how", ["TIMEOUT", "ERROR"])
@pytest.mark.parametrize("command", WAITING, ids=IDS)
def test_fault_1_client_unblock_is_not_who_waited(farm, command, how):
    server = farm.server("ours", *EVERYTHING)
    server.call("XGROUP", "CREATE", "stream", "g", "$", "MKSTREAM")
    client, client_id = waiting(server, command)
    with client:
        assert server.call("CLIENT", "UNBLOCK", client_id, how) == 1
        assert client.read() is None if how == "TIMEOUT" else "UNBLOCKED"
        the_entry(server, with_timeout(command, 0), client)


def test_fault_1_replicaof_is_not_who_waited(farm):
    server = farm.server("ours", *EVERYTHING)
    client, _ = waiting(server, WAITING[0])
    with client:
        server.call("REPLICAOF", "127.0.0.1", 1)
        the_entry(server, with_timeout(WAITING[0], 0), client)
        assert [row[5] for row in entries_of(server, "REPLICAOF")] == [b""]


@pytest.mark.parametrize("command", [("WAIT", 1, 50), ("WAITAOF", 0, 1, 50)], ids=["WAIT", "WAITAOF"])
def test_fault_1_waiting_for_replicas_times_out(farm, command):
    server = farm.server("ours", *EVERYTHING)
    with named(server, "waiter") as client:
        client.call("SET", "k", "v")
        assert client.call(*command) in (0, [0, 0])
        the_entry(server, command, client)


def test_fault_1_migrate_times_out(farm):
    server = farm.server("ours", *EVERYTHING)
    silent = farm.server("ours", name="silent")
    silent.pause()
    server.call("SET", "k", "v")
    command = ("MIGRATE", "127.0.0.1", silent.port, "k", 0, 50)
    with named(server, "waiter") as client:
        assert str(client.ask(*command)).startswith("IOERR")
        the_entry(server, command, client)
    silent.resume()


def test_fault_1_whoever_is_answered_while_a_script_runs(farm):
    """Other commands are logged with their own time; nothing of them is attributed to the caller of the script."""
    server = farm.server("ours", *EVERYTHING, "busy-reply-threshold 10")
    with named(server, "caller") as caller, named(server, "waiter") as other:
        caller.send_command("EVAL", "while true do end", 0)
        wait_for(lambda: str(other.ask("PING")).startswith("BUSY"), 10, "the script to be busy")
        time.sleep(0.2)
        assert other.call("UNWATCH") == "OK"
        assert server.call("SCRIPT", "KILL") == "OK"
        assert "killed by user" in str(caller.read())
        row = the_entry(server, ("UNWATCH",), other)
        assert row[2] < 50_000
        assert [row[5] for row in entries_of(server, "EVAL")] == [b"caller"]


def test_fault_1_commands_of_a_script_are_its_callers(farm):
    server = farm.server("ours", *EVERYTHING)
    with named(server, "waiter") as client:
        client.call("EVAL", "redis.call('SET', 'k', 'v')", 0)
        rows = entries_of(server, "SET")
        assert [(row[4].decode(), row[5]) for row in rows] == [("%s:%d" % client.sock.getsockname()[:2], b"waiter")]

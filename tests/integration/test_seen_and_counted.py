"""What is shown and counted of commands that fail: MONITOR, commandstats, errorstats, the slow log and LATENCY
HISTOGRAM. redis-server has to show and count the same."""

import pytest

from wire import ReplyError

LIBRARY = """#!lua name=lib
redis.register_function('writes', function() return redis.call('set', 'k', 1) end)
redis.register_function{function_name='reads', callback=function() return 1 end, flags={'no-writes'}}"""
DIGEST, RETURN_1 = "0" * 40, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
SET = "return redis.call('set', 'k', 1)"


def beside(*command):
    """A command sent on another connection, between those of the observed client."""
    return ("BESIDE", *command)


SCRIPTS = [
    *[(name, "return 1", count) for name in ("EVAL", "EVAL_RO") for count in ("x", "-1", "3", "0")],
    *[(name, digest, count) for name in ("EVALSHA", "EVALSHA_RO") for digest in (DIGEST, "short", "") for count in ("0", "x", "9")],
    *[(name, function, count) for name in ("FCALL", "FCALL_RO") for function in ("nosuch", "reads", "writes") for count in ("0", "x", "-1", "9")],
    *[(name, text, 0) for name in ("EVAL", "EVAL_RO") for text in ("return (", "#!lua flags=bogus\nreturn 1", "#!perl\n", "#!lua\nreturn 1", SET)],
    ("EVAL", "return redis.call('nosuch')", 0),
    ("EVAL", "return redis.pcall('lpush', 'text', 1)", 0),
    ("EVAL", "redis.pcall('lpush', 'text', 1) return redis.call('incr', 'text')", 0),
    ("EVAL", "return redis.error_reply('MY own')", 0),
    ("EVAL", "error({err='MY own'})", 0),
    ("EVAL", "error('x')", 0),
]  # fmt: skip
RUNNERS = ("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO")
USER = [("ACL", "SETUSER", "low", "on", "nopass", "+@all", "~*", "&*"), ("AUTH", "low", "x")]
AS_REPLICA, AS_MASTER = beside("REPLICAOF", "127.0.0.1", "1"), beside("REPLICAOF", "NO", "ONE")
FULL, ROOMY = beside("CONFIG", "SET", "maxmemory", "1"), beside("CONFIG", "SET", "maxmemory", "0")
REFUSABLE = [("SET", "a", "b"), *[(name, "x", 0) for name in RUNNERS], ("EVAL", SET, 0), ("EVAL", "#!lua\nreturn 1", 0), ("FCALL", "writes", 0)]  # fmt: skip

CASES = {
    "scripts": SCRIPTS,
    "scripts in transactions": [c for script in SCRIPTS for c in (("MULTI",), script, ("EXEC",))],
    "wrong arity": [c for name in RUNNERS for c in ((name, "x"), ("MULTI",), (name, "x"), ("EXEC",))],
    "unknown": [("NOSUCH", "x"), ("CONFIG", "NOSUCH"), ("OBJECT",), ("GET",), ("MULTI",), ("NOSUCH",), ("EXEC",)],
    "EXEC without MULTI": [("EXEC",), ("DISCARD",), ("EXEC", "x"), ("DISCARD", "x")],
    "EXEC of wrong arity": [("MULTI",), ("SET", "a", "b"), ("EXEC", "x"), ("EXEC",)],
    "nested": [("MULTI",), ("MULTI",), ("WATCH", "k"), ("EXEC",)],
    "EXEC after a change": [("WATCH", "text"), ("SET", "text", "z"), ("MULTI",), ("PING",), ("EXEC",)],
    "errors inside": [("MULTI",), ("LPUSH", "text", 1), ("INCR", "text"), ("GET", "text"), ("EXEC",)],
    "EXEC on a replica": [("MULTI",), ("SET", "a", "b"), AS_REPLICA, ("EXEC",), AS_MASTER],
    "EXEC without memory": [("MULTI",), ("SET", "a", "b"), FULL, ("EXEC",), ROOMY],
    "EXEC without replicas": [
        *[("MULTI",), ("SET", "a", "b"), beside("CONFIG", "SET", "min-replicas-to-write", 1), ("EXEC",)],
        *[("SET", "a", "b"), beside("CONFIG", "SET", "min-replicas-to-write", 0)],
    ],
    "EXEC while subscribed": [("MULTI",), ("SUBSCRIBE", "a"), ("EXEC",), ("EXEC",), ("MULTI",)],
    "EXEC without permission": [*USER, ("MULTI",), ("SET", "a", "b"), beside("ACL", "SETUSER", "low", "-exec"), ("EXEC",)],
    "rules changed, refused in the middle": [
        *[*USER, ("MULTI",), ("SET", "a", "b"), ("GET", "b"), ("SET", "c", "d"), ("EVALSHA", DIGEST, 0), ("GET", "b")],
        *[beside("ACL", "SETUSER", "low", "-set", "-evalsha"), ("EXEC",)],
    ],
    "rules changed, refused at the end": [
        *[*USER, ("MULTI",), ("GET", "b"), ("SET", "c", "d"), beside("ACL", "SETUSER", "low", "-set"), ("EXEC",)],
    ],
    "without permission": [
        *[("ACL", "SETUSER", "low", "on", "nopass", "+@all", "-set", "~a*", "resetchannels"), ("AUTH", "low", "x")],
        *[("SET", "a", "b"), ("GET", "b"), ("PUBLISH", "x", "y"), ("EVALSHA", DIGEST, 1, "b"), ("EVALSHA", DIGEST, 1, "a")],
        *[("FCALL", "nosuch", 1, "b"), ("MULTI",), ("SET", "a", "b"), ("EXEC",)],
    ],
    "on a replica": [AS_REPLICA, *REFUSABLE, ("MULTI",), ("SET", "a", "b"), ("EXEC",), AS_MASTER],
    "without memory": [FULL, *REFUSABLE, ("MULTI",), ("EVALSHA", DIGEST, 0), ("EXEC",), ROOMY],
    "without the master": [
        *[beside("CONFIG", "SET", "replica-serve-stale-data", "no"), AS_REPLICA, *REFUSABLE, ("EVAL", "return (", 0)],
        *[("SCRIPT", "LOAD", "return 1"), ("EVALSHA", RETURN_1, 0), ("EVAL_RO", "return 1", 0), ("GET", "k")],
        *[("MULTI",), ("EVAL", "return 1", 0), ("EVALSHA", DIGEST, 0), ("ECHO", "x"), ("EXEC",)],
        *[AS_MASTER, beside("CONFIG", "SET", "replica-serve-stale-data", "yes")],
    ],
    "without replies": [("CLIENT", "REPLY", "OFF"), ("LPUSH", "text", 1), ("NOSUCH",), ("EVALSHA", DIGEST, 0), ("CLIENT", "REPLY", "ON")],
    "administration": [("CONFIG", "SET", "nosuch", 1), ("SLOWLOG", "GET", "x"), ("ACL", "SETUSER", "x", "bogus"), ("SHUTDOWN", "BAD"), ("DEBUG", "X")],
    "connections": [("AUTH", "u", "p"), ("AUTH", "p"), ("HELLO", 9), ("HELLO", 3, "AUTH", "u", "p"), ("HELLO", 2, "BAD"), ("SELECT", 99)],
    "libraries": [("FUNCTION", "LOAD", "bad"), ("FUNCTION", "DELETE", "x"), ("SCRIPT", "LOAD", "("), ("SCRIPT", "KILL"), ("FUNCTION", "RESTORE", "x")],
}  # fmt: skip


def code(reply):
    """Other versions word errors differently; their codes are counted."""
    if isinstance(reply, list):
        return [code(item) for item in reply]
    return str(reply).split(" ")[0] if isinstance(reply, ReplyError) else reply


def prepare(server):
    server.call("FLUSHALL")
    server.call("SET", "text", "text")
    server.call("FUNCTION", "LOAD", "REPLACE", LIBRARY)
    server.call("SCRIPT", "FLUSH")
    server.config_set("slowlog-log-slower-than", 0)
    server.call("SLOWLOG", "RESET")
    server.call("CONFIG", "RESETSTAT")


def send(wire, other, case):
    replies, silent = [], False
    for command in case:
        silent = silent if command[:2] != ("CLIENT", "REPLY") else command[2] == "OFF"
        if command[0] == "BESIDE":
            other.call(*command[1:])
        elif silent:
            wire.send_command(*command)
        else:
            replies.append(code(wire.ask(*command)))
    return replies


def shown_until_mark(looker):
    """MONITOR's lines without time and port."""
    lines = []
    while not lines or '"mark"' not in lines[-1]:
        place, arguments = looker.read().split(" ", 1)[1].split("] ", 1)
        lines.append(f"{place.split(':')[0]} {arguments}")
    return lines


def counted(server):
    rows = server.info("commandstats")
    calls = {name: [part for part in row.split(",") if "usec" not in part] for name, row in rows.items()}
    slow = sorted(entry[3] for entry in server.call("SLOWLOG", "GET", -1))
    histogram = server.call("LATENCY", "HISTOGRAM")
    timed = {name: row[1] for name, row in zip(histogram[::2], histogram[1::2])}
    total = server.info("stats")
    return calls, server.info("errorstats"), slow, timed, total["total_error_replies"], total["total_commands_processed"]


def seen_and_counted(server, case):
    prepare(server)
    with server.wire() as looker, server.wire() as wire, server.wire() as other:
        looker.call("MONITOR")
        replies = send(wire, other, case)
        other.call("ECHO", "mark")
        return replies, shown_until_mark(looker), counted(server)


@pytest.mark.parametrize("name", CASES)
def test_fault_24_failing_commands_are_seen_and_counted_as_with_redis(farm, name):
    ours, theirs = (seen_and_counted(farm.server(kind), CASES[name]) for kind in ("ours", "redis"))
    for mine, redis in zip(ours, theirs, strict=True):
        assert mine == redis

"""log-format and log-timestamp-format: one line per message that a parser reads back, whatever bytes it has."""

import json
import random
import re
import signal
import time

import pytest

from harness import SCALE, wait_for
from wire import ReplyError

pytestmark = pytest.mark.lockstep_only("log-format")

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d")
LEGACY = re.compile(r"\d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3}")
HOSTILE_NAME = b'a"},{"level":"panic","x":"\\u0022\\'
LOGFMT_PAIR = re.compile(r'([a-z]+)=(?:"((?:[^"\\]|\\.)*)"|(\S+))(?: |$)')


def raw_lines(server):
    """What the server has logged, in lines as splitlines() sees them: also at U+2028 and the like."""
    text = (server.directory / "server.log").read_bytes().decode()  # must be UTF-8
    assert text.endswith("\n")
    return text.splitlines()


def json_events(server):
    events = [json.loads(line) for line in raw_lines(server)]
    for event in events:
        assert list(event) == ["pid", "role", "timestamp", "level", "message"]
        assert isinstance(event["pid"], int)
        assert event["role"] in ("master", "replica", "child")
        assert event["level"] in ("debug", "verbose", "notice", "warning")
    return events


def logfmt_events(server):
    """Parses lines as libraries for logfmt do: values in quotes are read as JSON strings."""
    events = []
    for line in raw_lines(server):
        event, end = {}, 0
        while end < len(line):
            pair = LOGFMT_PAIR.match(line, end)
            assert pair is not None, line
            event[pair[1]] = pair[3] if pair[2] is None else json.loads(f'"{pair[2]}"')
            end = pair.end()
        assert list(event) == ["pid", "role", "timestamp", "level", "message"], line
        events.append(event)
    return events


def messages(events):
    return [event["message"] for event in events]


def start(farm, *lines):
    return farm.server("ours", "logfile server.log", *lines)


def log_hostile_things(server):
    server.call("DEBUG", "LOG", b'quote " backslash \\ end')
    server.call("DEBUG", "LOG", b"first\r\nsecond\ttabbed\x00zero")
    server.call("DEBUG", "LOG", b"escape \x1b[31m bell \x07 delete \x7f")
    server.call("DEBUG", "LOG", b"broken \xff\xfe \xc3( \xed\xa0\x80 end")
    server.call("DEBUG", "LOG", "fine äöü € 🔒".encode())
    server.call("DEBUG", "LOG", "line\u2028separator next\u0085line \u202eright".encode())
    server.call("EVAL", "redis.log(redis.LOG_WARNING, ARGV[1])", 0, b'from a script "}\n{"pid":1}')


HOSTILE_MESSAGES = [
    'DEBUG LOG: quote " backslash \\ end',
    "DEBUG LOG: escape \x1b[31m bell \x07 delete \x7f",
    "DEBUG LOG: broken \\xff\\xfe \\xc3( \\xed\\xa0\\x80 end",
    "DEBUG LOG: fine äöü € 🔒",
    "DEBUG LOG: line\u2028separator next\u0085line \u202eright",
    'from a script "}\n{"pid":1}',
]


@pytest.mark.parametrize("name, events", [("json", json_events), ("logfmt", logfmt_events)])
def test_every_line_can_be_parsed(farm, name, events):
    server = start(farm, f"log-format {name}", "log-timestamp-format iso8601")
    log_hostile_things(server)
    server.call("CLIENT", "SETNAME", HOSTILE_NAME)
    server.call("ACL", "SETUSER", HOSTILE_NAME + b"\xff\xc3", "on", "nopass", "+@all", "~*")
    server.call("AUTH", HOSTILE_NAME + b"\xff\xc3", "x")
    server.call("REPLICAOF", "127.0.0.1", 1)
    server.call("DEBUG", "LOG", "as a replica")
    server.call("REPLICAOF", "NO", "ONE")
    seen = events(server)
    for message in HOSTILE_MESSAGES:
        assert message in messages(seen)
    assert any(m.startswith("DEBUG LOG: first\r\nsecond\ttabbed") for m in messages(seen))
    change = next(m for m in messages(seen) if m.startswith("MASTER MODE enabled"))
    assert f" name={HOSTILE_NAME.decode()} " in change
    assert f" user={HOSTILE_NAME.decode()}\\xff\\xc3 " in change
    roles = {event["message"]: event["role"] for event in seen}
    assert roles["Server initialized"] == "master"
    assert roles["DEBUG LOG: as a replica"] == "replica"
    assert all(ISO.fullmatch(event["timestamp"]) for event in seen)
    assert all(int(event["pid"]) == server.pid for event in seen)


def test_random_bytes_in_json(farm):
    server = start(farm, "log-format json")
    chance = random.Random(7)
    for _ in range(300):
        length = chance.randrange(1, 200)
        server.call("DEBUG", "LOG", chance.randbytes(length).replace(b"\0", b"") or b"x")
    assert len([m for m in messages(json_events(server)) if m.startswith("DEBUG LOG: ")]) == 300


def test_changed_while_it_runs(farm):
    server = start(farm)
    assert server.config_get("log-format") == "legacy"
    assert server.config_get("log-timestamp-format") == "legacy"
    server.call("DEBUG", "LOG", "one")
    assert re.fullmatch(rf"{server.pid}:M {LEGACY.pattern} # DEBUG LOG: one", raw_lines(server)[-1])
    server.call("CONFIG", "SET", "log-format", "json")
    server.call("DEBUG", "LOG", "two")
    event = json.loads(raw_lines(server)[-1])
    assert event["message"] == "DEBUG LOG: two" and ISO.fullmatch(event["timestamp"])
    before = int(time.time() * 1000)
    server.call("CONFIG", "SET", "log-timestamp-format", "milliseconds")
    server.call("DEBUG", "LOG", "three")
    assert before - 50 <= json.loads(raw_lines(server)[-1])["timestamp"] <= time.time() * 1000 + 50
    server.call("CONFIG", "SET", "log-format", "logfmt", "log-timestamp-format", "legacy")
    server.call("DEBUG", "LOG", "four")
    assert re.fullmatch(
        rf'pid={server.pid} role=master timestamp="{LEGACY.pattern}" level=warning message="DEBUG LOG: four"',
        raw_lines(server)[-1],
    )
    server.call("CONFIG", "SET", "log-format", "redis")
    assert server.config_get("log-format") == "legacy"
    server.call("DEBUG", "LOG", "five")
    assert re.fullmatch(rf"{server.pid}:M {LEGACY.pattern} # DEBUG LOG: five", raw_lines(server)[-1])


def test_unknown_formats_are_refused_and_nothing_changes(farm):
    server = start(farm)
    for pair in (("log-format", "xml"), ("log-timestamp-format", "unix")):
        assert isinstance(server.ask("CONFIG", "SET", "loglevel", "debug", *pair), ReplyError)
    assert server.config_get("loglevel") == "verbose"
    server.call("CONFIG", "SET", "log-format", "json", "log-timestamp-format", "milliseconds")
    server.call("CONFIG", "REWRITE")
    server.restart()
    assert server.config_get("log-format") == "json"
    assert isinstance(json.loads(raw_lines(server)[-1])["timestamp"], int)


def test_messages_of_a_forked_child(farm):
    server = start(farm, "log-format json", "bgsave_cpulist 4000")
    server.call("SET", "a", "b")
    server.call("BGSAVE")
    wait_for(lambda: messages_of_children(server), 10, "a message of the child")
    wait_for(lambda: server.info("persistence")["rdb_bgsave_in_progress"] == "0", 10, "the end of the save")
    events = messages_of_children(server)
    assert [event["message"] for event in events] == ["bgsave_cpulist 4000 cannot be applied"]
    assert events[0]["pid"] != server.pid
    assert json_events(server)[-1]["role"] == "master"


def messages_of_children(server):
    return [event for event in json_events(server) if event["role"] == "child"]


def test_crash_report_is_json_too(farm):
    server = start(farm, "log-format json")
    wire = server.wire()
    wire.call("CLIENT", "SETNAME", HOSTILE_NAME)
    server.expect_exit = True
    wire.send_command("DEBUG", "SEGFAULT")
    assert server.wait_exit(20) == -signal.SIGSEGV
    seen = messages(json_events(server))
    first = next(i for i, m in enumerate(seen) if "BUG REPORT START" in m)
    last = next(i for i, m in enumerate(seen) if "BUG REPORT END" in m)
    assert last == len(seen) - 1 and last - first > 50
    assert any("crashed by signal: 11" in m for m in seen[first:])
    assert any(m == "------ STACK TRACE ------" for m in seen[first:])
    assert any(m == "redis_mode:standalone" for m in seen[first:])
    assert any(f" name={HOSTILE_NAME.decode()} " in m for m in seen[first:])


def test_standard_output_is_nothing_but_json(farm):
    server = farm.server("ours", "log-format json")
    log_hostile_things(server)
    assert server.terminate() == 0
    lines = server.stdout_path.read_bytes().decode().splitlines()
    assert len([json.loads(line) for line in lines]) > 10
    assert server.stderr_path.read_bytes() == b"" or SCALE > 1  # sanitizers may say something

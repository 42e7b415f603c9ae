"""Small replies, compared with redis-server if it has the command, and with the known replies of later versions."""

import pytest

from wire import ReplyError


@pytest.fixture
def both(farm):
    """Returns the server under test and the peer."""
    return farm.server("ours"), farm.server("redis")


def refused_users(server):
    return [entry[9].decode() for entry in server.call("ACL", "LOG")]


def test_fault_27_shorter_acl_log_is_cut_at_the_next_refusal(both):
    seen = []
    for server in both:
        with server.wire() as wire:
            steps = []
            for name in "abc":
                wire.ask("AUTH", name, "bad")
            for length, name in ((2, None), (0, None), (0, "d"), (10, None), (10, "e"), (1, None), (1, "f")):
                assert wire.call("CONFIG", "SET", "acllog-max-len", length) == "OK"
                if name is not None:
                    wire.ask("AUTH", name, "bad")
                steps.append(refused_users(server))
        seen.append(steps)
    assert seen[0] == seen[1]
    assert seen[0][1] == ["c", "b", "a"] and seen[0][2] == [], seen[0]


def test_fault_27_shorter_slow_log_is_cut_at_the_next_entry(both):
    seen = []
    for server in both:
        with server.wire() as wire:
            steps = []

            def length(wire=wire, steps=steps):
                steps.append(wire.call("SLOWLOG", "LEN"))

            wire.call("CONFIG", "SET", "slowlog-log-slower-than", "-1")
            wire.call("SLOWLOG", "RESET")
            wire.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
            wire.call("PING")
            wire.call("CONFIG", "SET", "slowlog-log-slower-than", "-1", "slowlog-max-len", "1")
            length()
            wire.call("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "0")
            length()
            wire.call("PING")
            length()
            wire.call("CONFIG", "SET", "slowlog-max-len", "10")
            length()
            steps.append([entry[0] for entry in wire.call("SLOWLOG", "GET")])
        seen.append(steps)
    assert seen[0] == seen[1]
    assert seen[0][2] == 0


# "-" means the reply of redis-server 7.0.15; a text is the reply of later versions.
REQUESTS = {
    "DEBUG JMAP": "-",
    "DEBUG JMAP x": "-",
    "DEBUG NOSUCH": "-",
    "CLIENT KILL MAXAGE str": "ERR maxage is not an integer or out of range",
    "CLIENT KILL MAXAGE 9999999999999999999": "ERR maxage is not an integer or out of range",
    "CLIENT KILL MAXAGE -1": "ERR maxage should be greater than 0",
    "CLIENT KILL MAXAGE 0": "ERR maxage should be greater than 0",
    "CLIENT KILL ID str": "-",
    "CLIENT KILL ID 0": "-",
    "CLIENT KILL ID 9999999999999999999": "-",
    "CLIENT KILL TYPE nosuch": "-",
    "CLIENT KILL USER nosuch": "-",
    "CLIENT KILL SKIPME maybe": "-",
}


@pytest.mark.parametrize("request_text", REQUESTS)
def test_fault_27_errors_are_those_of_redis(both, request_text):
    answers = [server.ask(*request_text.split()) for server in both]
    expected = REQUESTS[request_text]
    assert isinstance(answers[0], ReplyError)
    assert str(answers[0]) == (str(answers[1]) if expected == "-" else expected)


def raw_reply(server, *command):
    """The bytes of one reply in RESP3, read to its end."""
    with server.wire() as wire:
        wire.call("HELLO", "3")
        wire.send_command(*command)
        wire.send_command("ECHO", "the-end")
        data = b""
        while not data.endswith(b"$7\r\nthe-end\r\n"):
            data += wire.sock.recv(65536)
    return data[: -len(b"$7\r\nthe-end\r\n")]


def test_fault_27_subcommands_are_an_array(both):
    """With subcommands as in 7.0. Without, 7.0 has an empty set; later versions have an array as well."""
    ours, redis = (raw_reply(server, "COMMAND", "INFO", "get") for server in both)
    assert redis.endswith(b"~0\r\n") and ours == redis[: -len(b"~0\r\n")] + b"*0\r\n"
    ours, redis = (raw_reply(server, "COMMAND", "INFO", "pubsub") for server in both)
    start = b"~1\r\n+@slow\r\n~0\r\n~0\r\n*"
    assert start in redis and start in ours

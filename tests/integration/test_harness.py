"""The harness itself: a server starts, its death is noticed, and the wire shows every type of reply."""

import pytest

from harness import Timeout, wait_for
from wire import ReplyError


def test_server_answers_and_ends(farm):
    server = farm.server()
    assert server.call("PING") == "PONG"
    assert server.terminate() == 0


def test_two_servers_have_their_own_ports(farm):
    first, second = farm.server(), farm.server("redis")
    first.call("SET", "k", "1")
    assert second.call("GET", "k") is None
    assert first.port != second.port


def test_wire_shows_reply_types(server):
    assert server.call("SET", "k", b"\x00\r\n") == "OK"
    assert server.call("GET", "k") == b"\x00\r\n"
    assert server.call("RPUSH", "l", "a", "b") == 2
    assert server.call("LRANGE", "l", 0, -1) == [b"a", b"b"]
    assert server.ask("NOSUCH") == ReplyError("ERR unknown command 'NOSUCH', with args beginning with: ")


def test_wait_for_gives_up():
    with pytest.raises(Timeout, match="the moon"):
        wait_for(lambda: False, timeout=0.05, what="the moon")

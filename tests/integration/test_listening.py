"""The table of listeners: what CONFIG SET of addresses and ports opens and closes, and what INFO shows of it."""

import socket

import pytest

from harness import free_port
from wire import ReplyError, Wire

pytestmark = pytest.mark.lockstep_only("addresses and ports change whole or not at all")


@pytest.fixture
def taken():
    """A port that another process listens on, at 127.0.0.2 alone."""
    with socket.socket() as sock:
        port = free_port()
        sock.bind(("127.0.0.2", port))
        sock.listen()
        yield port


def answers(port, host="127.0.0.1"):
    try:
        with Wire((host, port)) as wire:
            return wire.ask("PING") == "PONG"
    except ConnectionRefusedError:
        return False


def refused(server, *pairs):
    reply = server.ask("CONFIG", "SET", *pairs)
    assert isinstance(reply, ReplyError) and "CONFIG SET failed" in str(reply)
    return str(reply)


def test_a_change_that_fails_changes_nothing(server, taken):
    other = free_port()
    with server.wire() as before:
        assert before.ask("PING") == "PONG"
        assert "Unable to listen" in refused(server, "port", taken, "bind", "127.0.0.1 127.0.0.2")
        assert "Failed to bind" in refused(server, "port", server.port, "bind", "127.0.0.1 192.0.2.1")
        assert server.config_get("bind") == "127.0.0.1" and server.config_get("port") == str(server.port)
        # The first pair of these two could be applied: it is taken back.
        refused(server, "port", other, "tls-port", free_port())
        assert server.config_get("port") == str(server.port) and server.config_get("tls-port") == "0"
        assert answers(server.port) and not answers(other) and not answers(taken)
        assert before.ask("PING") == "PONG"
    assert server.log_contains(f"Could not create server TCP listening socket 127.0.0.2:{taken}: bind: ")


def test_addresses_come_and_go(server):
    """"*" and single addresses follow each other on one port, and every connection is served."""
    for bind in ("*", "127.0.0.1", "127.0.0.1 127.0.0.2", "* -::*", "127.0.0.1"):
        server.config_set("bind", bind)
        assert server.info("server")["listener0"] == "name=tcp" + "".join(f",bind={a}" for a in bind.split()) + (
            f",port={server.port}"
        )
        assert answers(server.port)
        assert answers(server.port, "127.0.0.2") == (bind != "127.0.0.1")


def test_ready_is_logged_for_each_kind(farm, tmp_path):
    server = farm.server("ours", f"unixsocket {tmp_path}/s.sock")
    lines = [line for line in server.log().splitlines() if "Ready to accept connections" in line]
    assert [line.split()[-1] for line in lines] == ["tcp", "unix"]
    info = server.info("server")
    assert info["listener1"] == f"name=unix,bind={tmp_path}/s.sock"
    assert "listener2" not in info


def test_a_port_in_use_ends_the_start(farm, taken):
    server = farm.server("ours", "bind 127.0.0.1 127.0.0.2", port=taken, start=False)
    server.start(ready=False)
    assert server.wait_exit() == 1
    assert server.log_contains(f"Failed listening on port {taken} (tcp), aborting.")

"""Agent checks: what a real HAProxy makes of the lines, as nodes drain, load, fall behind, are demoted and die."""

import os
import re
import socket
import time

import pytest

from balancer import Balancer
from harness import SCALE, free_port, wait_for
from proxy import Proxy
from wire import ReplyError

pytestmark = pytest.mark.lockstep_only("no agent checks")

MB = 1024 * 1024


def ask(server, request=b""):
    """The line that a balancer gets."""
    with socket.create_connection(("127.0.0.1", server.agent_port), timeout=10 * SCALE) as sock:
        if request:
            sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(4096), b"")).decode()


@pytest.fixture
def node(farm):
    def node(*lines, **options):
        port = free_port()
        server = farm.server("ours", f"agent-check-port {port}", *lines, start=False, **options)
        server.agent_port = port
        return server.start()

    return node


class Watched(Balancer):
    """HAProxy with one backend that has these servers."""

    def __init__(self, directory, servers):
        rows = [
            f"    server s{n} 127.0.0.1:{server.port} agent-port {server.agent_port}" for n, server in enumerate(servers)
        ]
        text = (
            f"frontend front\n    bind 127.0.0.1:{free_port()}\n    default_backend back\n"
            "backend back\n    balance roundrobin\n"
            "    default-server weight 200 check inter 100ms fall 2 rise 1 agent-check agent-inter 100ms\n"
        )
        super().__init__(directory, text + "\n".join(rows) + "\n")

    def state(self, number):
        row = (self.rows() or {}).get(f"back/s{number}")
        return row and (row["status"], int(row["weight"]), row["last_agt"])

    def wait_for(self, number, status, weight=None, agent="", timeout=20):
        def reached():
            now = self.state(number)
            return now and now[0] == status and weight in (None, now[1]) and agent in now[2]

        wait_for(reached, timeout, lambda: f"s{number} to be {status} {weight} {agent}: {self.state(number)}")


@pytest.fixture
def watch(farm):
    def watch(*servers):
        balancer = farm.adopt(Watched(farm.directory / "haproxy", servers)).launch()
        for number in range(len(servers)):
            balancer.wait_for(number, "UP", 200, "up")
        return balancer

    return watch


def follow(replica, host, port):
    assert replica.call("REPLICAOF", host, port) == "OK"
    wait_for(lambda: replica.info("replication")["master_link_status"] == "up", timeout=30)


def test_what_the_operator_says(node, watch):
    server = node()
    balancer = watch(server)
    for state, line, status in (
        ("drain", "up drain\n", "DRAIN (agent)"),
        ("ready", "up ready 100%\n", "UP"),
        ("maint", "maint\n", "MAINT"),
        ("drain", "up drain\n", "DRAIN (agent)"),
        ("maint", "maint\n", "MAINT"),
        ("ready", "up ready 100%\n", "UP"),
    ):
        server.config_set("load-balancer-state", state)
        assert ask(server) == line
        balancer.wait_for(0, status)
    assert balancer.state(0)[1] == 200


def test_a_node_that_loads(node, watch):
    """It answers while it loads, also if it is drained meanwhile."""
    server = node()
    balancer = watch(server)
    with server.wire() as wire:
        wire.pipeline(("SET", f"k:{i}", "v" * 2000) for i in range(2000))
    assert server.call("SAVE") == "OK"
    server.lines += ["key-load-delay 1000", "loading-process-events-interval-bytes 1024"]
    server.write_config()
    server.restart(ready=False, how="kill")
    balancer.wait_for(0, "DOWN (agent)", agent="down (loading the data set)")
    assert ask(server) == "down #loading the data set\n"
    server.config_set("load-balancer-state", "drain")
    assert ask(server) == "drain down #loading the data set\n"
    server.config_set("key-load-delay", 0)
    balancer.wait_for(0, "DRAIN (agent)")
    server.config_set("load-balancer-state", "ready")
    balancer.wait_for(0, "UP", 200)


def test_a_replica_that_falls_behind(farm, node, watch):
    """Bytes that have arrived and cannot be applied yet: a value whose end is on its way."""
    master, replica = node(), node("agent-check-lag 1mb")
    proxy = farm.helper(Proxy((master.host, master.port)))
    follow(replica, "127.0.0.1", proxy.port)
    balancer = watch(master, replica)
    proxy.throttle(3 * MB)
    master.call("SET", "big", os.urandom(16 * MB))
    seen = set()

    def falls():
        now = balancer.state(1)
        assert now[0] == "UP"
        seen.add(now[1])
        return now[1] < 40

    wait_for(falls, timeout=30, what=lambda: f"weights {sorted(seen)}")
    weights = sorted(seen, reverse=True)
    assert len(weights) > 3 and weights[0] > 100
    assert balancer.state(0)[1] == 200  # the master does not lag
    replica.config_set("agent-check-lag", 0)
    balancer.wait_for(1, "UP", 200)
    replica.config_set("agent-check-lag", MB)
    proxy.throttle(None)
    wait_for(lambda: replica.call("EXISTS", "big") == 1, timeout=30)
    balancer.wait_for(1, "UP", 200)


def test_a_master_that_is_not_heard(farm, node, watch):
    """The weight falls with the silence, before repl-timeout ends the link."""
    master, replica = node("repl-ping-replica-period 1"), node("repl-ping-replica-period 1", "repl-timeout 60")
    proxy = farm.helper(Proxy((master.host, master.port)))
    follow(replica, "127.0.0.1", proxy.port)
    balancer = watch(master, replica)
    proxy.stall()
    wait_for(lambda: balancer.state(1)[1] <= 120, timeout=20)  # 60 % after more than three seconds
    assert balancer.state(1)[0] == "UP"
    proxy.resume()
    balancer.wait_for(1, "UP", 200)
    proxy.refuse()
    balancer.wait_for(1, "DOWN (agent)", agent="the link to the master")
    proxy.allow()
    balancer.wait_for(1, "UP", 200)


def test_a_master_that_is_demoted(node, watch):
    old, new = node(), node("repl-diskless-sync-delay 2")
    balancer = watch(old, new)
    assert old.call("REPLICAOF", new.host, new.port) == "OK"
    balancer.wait_for(0, "DOWN (agent)", agent="down (")
    balancer.wait_for(0, "UP", 200)
    assert balancer.state(1)[0] == "UP"
    assert old.call("REPLICAOF", "NO", "ONE") == "OK"
    assert ask(old) == "up ready 100%\n"


def test_a_node_that_dies(node, watch):
    """An agent that cannot be reached changes nothing; HAProxy's own check finds out."""
    server = node()
    balancer = watch(server)
    server.kill()
    balancer.wait_for(0, "DOWN")
    server.start()
    balancer.wait_for(0, "UP", 200)


def test_while_a_script_runs(node, watch):
    server = node("busy-reply-threshold 50")
    balancer = watch(server)
    with server.wire() as caller:
        caller.send_command("EVAL", "while true do end", 0)
        balancer.wait_for(0, "DOWN (agent)", agent="down (busy with a script)")
        assert server.call("SCRIPT", "KILL") == "OK"
        assert isinstance(caller.read(), ReplyError)
    balancer.wait_for(0, "UP", 200)


def test_words_from_outside_stay_in_their_place(farm, node):
    """A reason is one line without '#', whatever it quotes."""
    replica = node()
    assert replica.call("REPLICAOF", "127.0.0.1", free_port()) == "OK"
    assert re.fullmatch(r"down #[ -\"$-~]+\n", ask(replica))


def test_requests_are_not_read(node):
    """agent-send, or a stranger: the line is the same, and no memory or descriptor stays."""
    server = node()
    for request in (b"backend-name\n", b"x" * 100, b"GET / HTTP/1.1\r\n\r\n"):
        assert ask(server, request) == "up ready 100%\n"
    before = len(os.listdir(f"/proc/{server.pid}/fd"))
    began = server.cpu_seconds()
    socks = []
    for _ in range(2000):
        sock = socket.create_connection(("127.0.0.1", server.agent_port))
        sock.setblocking(False)
        socks.append(sock)
    with server.wire() as wire:
        began_s = time.monotonic()
        assert wire.ask("PING") == "PONG"
        assert time.monotonic() - began_s < 1 * SCALE
    assert server.cpu_seconds() - began < 2 * SCALE
    assert len(os.listdir(f"/proc/{server.pid}/fd")) <= before + 2
    for sock in socks:
        sock.close()
    assert server.info("clients")["connected_clients"] == "1"


def test_directives(node):
    server = node()
    port, old = free_port(), server.agent_port
    assert server.info("server")["listener1"] == f"name=agent-check,bind=127.0.0.1,bind=-::1,port={old}"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert "Unable to listen" in str(server.ask("CONFIG", "SET", "agent-check-port", port))
    assert server.config_get("agent-check-port") == str(old)
    assert ask(server) == "up ready 100%\n"
    server.config_set("agent-check-port", port, "agent-check-bind", "127.0.0.9")
    with socket.create_connection(("127.0.0.9", port)) as sock:
        assert sock.recv(100) == b"up ready 100%\n"
    for address in (("127.0.0.1", port), ("127.0.0.1", old)):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
    server.config_set("agent-check-port", 0)
    assert "listener1" not in server.info("server")

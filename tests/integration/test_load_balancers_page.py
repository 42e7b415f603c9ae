"""Runs the examples of docs/LOAD-BALANCERS.md: two servers and HAProxy, with their own addresses on the loopback network."""

import re
import socket
import ssl

import pytest

from balancer import Balancer
from certificates import Certificates, TlsWire
from harness import ROOT, SCALE, Process, Server, free_port, wait_for
from wire import Closed, ReplyError, Wire

pytestmark = [pytest.mark.lockstep_only("the page is of this server"), pytest.mark.slow]

PASSWORD = "a-long-password"
UNREACHED = (OSError, Closed, ReplyError)


def blocks(kind):
    text = (ROOT / "docs/LOAD-BALANCERS.md").read_text()
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S)


class Page:
    """Addresses and ports of the page, and those of the test in their place."""

    def __init__(self, certificates):
        self.certificates = certificates
        self.ports = {}

    def port(self, name):
        return int(self.ports.setdefault(str(name), free_port()))

    def adapt(self, text):
        text = text.replace("10.0.0.", "127.0.0.")
        text = re.sub(r"((?:-|\b)port |:)(\d{4})\b", lambda m: m[1] + str(self.port(m[2])), text)
        for name in ("server.crt", "server.key", "ca.crt", "client.pem"):
            text = re.sub(rf"/etc/\w+/{re.escape(name)}", self.certificates.path(name), text)
        return text


class PageServer(Server):
    """A server with the directives of the page, at its own address."""

    def __init__(self, directory, page, number):
        self.at = f"127.0.0.{number}"
        lines = "".join(blocks("redis")).replace("bind 127.0.0.1 10", "bind 10")  # both are on one machine
        lines = page.adapt(lines).replace("127.0.0.11", self.at)
        super().__init__("ours", directory, [*lines.splitlines(), "repl-diskless-sync-delay 0"], port=page.port(6379))
        self.base = [line for line in self.base if not line.startswith("bind")]

    def password(self):
        return PASSWORD


@pytest.fixture
def setup(farm, tmp_path):
    certificates = Certificates(tmp_path / "certificates")
    (tmp_path / "certificates/client.pem").write_text(
        (tmp_path / "certificates/client.crt").read_text() + (tmp_path / "certificates/client.key").read_text()
    )
    page = Page(certificates)
    a, b = (farm.adopt(PageServer(farm.directory / name, page, number)) for name, number in (("a", 11), ("b", 12)))
    for server in (a, b):
        server.host = server.at
        server.start()
    b.call("REPLICAOF", a.host, a.port)
    text = page.adapt("".join(blocks("haproxy")))
    head = f"global\n    stats socket {farm.directory}/haproxy/stats.sock mode 600 level admin\n\n"
    balancer = farm.adopt(Balancer(farm.directory / "haproxy", head + text)).launch()
    return page, a, b, balancer


def statuses(balancer, backend):
    rows = balancer.rows() or {}
    return [rows.get(f"{backend}/{name}", {}).get("status", "").split()[0:1] for name in "ab"]


def wait_routes(balancer, master, replicas):
    """Which of a and b HAProxy uses for writes, and for reads."""

    def routed():
        up = {b: [n for n, s in zip("ab", statuses(balancer, b)) if s == ["UP"]] for b in ("master", "replicas")}
        return up == {"master": list(master), "replicas": list(replicas)}

    wait_for(routed, 30, lambda: f"{master} {replicas}: {balancer.rows()}\n{balancer.log_tail()}", interval=0.1)


def login(page, port, source="127.0.0.5"):
    wire = Wire(("127.0.0.20", page.port(port)), 15 * SCALE, source=source)
    wire.call("AUTH", PASSWORD)
    return wire


def port_behind(wire):
    """The address of the server that answers, from its own configuration."""
    return wire.call("CONFIG", "GET", "http-bind")[1].decode()


@pytest.mark.timeout(120 * SCALE)
def test_the_page(setup):
    page, a, b, balancer = setup
    assert "ALERT" not in balancer.log() and "WARNING" not in balancer.log()
    wait_routes(balancer, "a", "b")

    # Each client goes where it should, with its own address.
    with login(page, 6379) as writer, login(page, 6380) as reader:
        assert port_behind(writer) == a.at and port_behind(reader) == b.at
        own = "{}:{}".format(*writer.sock.getsockname())
        assert f" addr={own} laddr=127.0.0.20:{page.port(6379)} " in writer.call("CLIENT", "INFO").decode()
        writer.call("SET", "k", "1")
        wait_for(lambda: reader.call("GET", "k") == b"1")

    # Drain: reads go to the master while there is no replica; the connection that exists goes on.
    with login(page, 6380) as reader:
        b.config_set("load-balancer-state", "drain")
        wait_routes(balancer, "a", "")
        assert port_behind(reader) == b.at
        with login(page, 6380) as later:
            assert port_behind(later) == a.at
        b.config_set("load-balancer-state", "ready")
        wait_routes(balancer, "a", "b")

    # A failover: the writer is disconnected, and finds the new master.
    with login(page, 6379) as writer:
        assert b.call("REPLICAOF", "NO", "ONE") == a.call("REPLICAOF", b.host, b.port) == "OK"
        wait_routes(balancer, "b", "a")
        assert writer.is_closed()
    with login(page, 6379) as writer:
        assert port_behind(writer) == b.at
        assert writer.call("SET", "k", "2") == "OK"

    # TLS, in both ways.
    context = page.certificates.context()
    wait_for(lambda: [s for s in statuses(balancer, "tls_passed") if s == ["UP"]])
    wait_for(lambda: [s for s in statuses(balancer, "tls_inside") if s == ["UP"]])
    with TlsWire(("127.0.0.20", page.port(6383)), context, 15 * SCALE, source="127.0.0.5") as wire:
        wire.call("AUTH", PASSWORD)
        assert " addr=127.0.0.5:" in wire.call("CLIENT", "INFO").decode()
        assert port_behind(wire) == b.at
    with login(page, 6384) as wire:
        assert " addr=127.0.0.5:" in wire.call("CLIENT", "INFO").decode()
        assert port_behind(wire) == b.at

    # The server that is lost.
    b.kill()
    wait_routes(balancer, "", "")
    assert "DOWN" in balancer.rows()["master/b"]["status"]


def test_only_the_balancer_is_trusted(setup):
    page, a, _, _ = setup
    with Wire((a.at, page.port(6381)), 15 * SCALE, source="127.0.0.5") as wire:
        try:
            wire.send(b"PROXY UNKNOWN\r\n")
        except OSError:
            pass
        assert wire.is_closed()
    wait_for(lambda: a.log_contains("Refused a connection from 127.0.0.5:"))

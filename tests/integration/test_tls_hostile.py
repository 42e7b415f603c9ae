"""Attacks on the port of TLS before authentication: limits hold, others are served in time, clients still get in."""

import resource
import socket

import pytest

from certificates import Certificates, TlsServer
from harness import SCALE, wait_for
from hostile import Attack, Latencies

pytestmark = pytest.mark.lockstep_only("TLS of this server")

MB = 1024 * 1024
WAITING_MAX = 1024


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    certs = Certificates(tmp_path_factory.mktemp("certificates"))
    certs.issue("rsa", kind="rsa", san="DNS:localhost")
    return certs


def tls_counter(server, name):
    return int(server.info("tls")[f"tls_{name}"])


def used_memory(server):
    return int(server.info("memory")["used_memory"])


def descriptors():
    """How many sockets the attacker may have: it shares our limit."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200


# The limit in milliseconds for what other clients see, with room for what the machine adds.
def limit_ms(before):
    return (5 + 2 * before.at(0.999)) * SCALE


@pytest.mark.alone
@pytest.mark.parametrize(
    "kind, count, lines, enters",
    [
        ("Silent", 10_000, (), True),
        ("Hellos", 10_000, (), False),  # thousands a second: clients would have to be lucky to get in
        ("Dripping", 200, (), True),
        ("Garbage", 1_000, (), True),
        ("TinyRecords", 20, ("tls-auth-clients no", "requirepass secret"), True),  # without AUTH
    ],
)
def test_attack(farm, made, kind, count, lines, enters):
    server = farm.adopt(TlsServer("ours", farm.directory / "server", made, (*lines, "loglevel notice"), name="rsa")).start()
    with server.tls(timeout=60) as encrypted, server.wire(timeout=60) as plain:
        for wire in (encrypted, plain):
            assert wire.ask("AUTH", "default", "secret") == "OK"
        used = used_memory(server)
        before, during = Latencies((encrypted, plain)), Latencies((encrypted, plain))
        for _ in range(8):
            before.measure(0.5)
        attack = farm.helper(Attack(kind, server.tls_port, min(count, descriptors())))
        wait_for(lambda: tls_counter(server, "handshakes_completed") > 1 or tls_counter(server, "handshakes_running"))
        for _ in range(12):
            during.measure(0.5)
            assert tls_counter(server, "handshakes_running") <= WAITING_MAX
            assert used_memory(server) - used < 60 * MB
            if enters:
                with server.tls(timeout=30) as wire:
                    assert wire.ask("AUTH", "default", "secret") == "OK"
        counts = attack.end()
        print(f"{kind}: {counts}; before: {before}; during: {during}")
        assert counts["opened"] >= min(count, descriptors())
        assert during.at(0.999) < limit_ms(before)
    wait_for(lambda: tls_counter(server, "handshakes_running") == 0, timeout=15)
    wait_for(lambda: used_memory(server) - used < 2 * MB, timeout=30)
    wait_for(lambda: server.info("clients")["connected_clients"] == "1", what="the peers to be gone")


def test_handshakes_leave_descriptors(farm, made):
    """Silent peers of tls-port, and as many clients as maxclients permits, leave descriptors for files."""
    limits = {resource.RLIMIT_NOFILE: (200, 200)}
    server = farm.adopt(TlsServer("ours", farm.directory / "server", made, limits=limits)).start()
    most = int(server.config_get("maxclients"))
    silent = [socket.create_connection(server.tls_address) for _ in range(most - 10)]
    wait_for(lambda: tls_counter(server, "handshakes_running") == most - 10, 5)
    clients = [socket.create_connection(server.address) for _ in range(most - 1)]
    wait_for(lambda: int(server.info("clients")["connected_clients"]) == most, 5)
    assert server.call("BGSAVE") == "Background saving started"
    assert tls_counter(server, "handshakes_running") == 0
    for sock in silent + clients:
        sock.close()

"""TLS with the programs that people use: clients of Node.js, stunnel, HAProxy, and Debian's Sentinel."""

import shutil
import subprocess

import pytest
import redis
import redis.sentinel

from balancer import Balancer
from certificates import Certificates, TlsServer, TlsWire
from dataset import assert_same, wait_in_sync
from ha import HaSetup, SequenceWriter, ssl_options, swift
from harness import SCALE, Process, free_port, wait_for
from node import IoredisWriter, NodeProgram, node_directory
from wire import Closed, Wire

pytestmark = pytest.mark.lockstep_only("TLS of this server")

MB = 1024 * 1024
STUNNEL = shutil.which("stunnel") or "/usr/bin/stunnel"


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(farm, made):
    return farm.adopt(TlsServer("ours", farm.directory / "server", made)).start()


@pytest.fixture
def packages():
    directory, reason = node_directory()
    if directory is None:
        pytest.skip(reason)
    return directory


@pytest.mark.parametrize("library", ["ioredis", "redis"])
def test_clients_of_node(farm, server, made, packages, library):
    client = farm.adopt(NodeProgram("talk", farm.directory / "talk", packages, library, server.tls_port, f"--certificates={made.directory}"))
    client.finish(60)
    assert client.stdout_path.read_text() == "done\n", client.log()


# Programs between client and server


def accepts(address):
    def accept():
        with Wire(address) as wire:
            return wire.ask("PING") == "PONG"

    wait_for(accept, what="the tunnel", retry_on=(OSError, Closed))


def talk(wire):
    """Replies of many records, a deep pipeline, a message to a client that waits."""
    value = "v" * (3 * MB)
    assert wire.ask("SET", "value", value) == "OK"
    assert wire.ask("GET", "value") == value.encode()
    assert wire.pipeline([("INCR", "number")] * 5000) == list(range(1, 5001))
    assert wire.ask("DEL", "number", "value") == 2


def test_stunnel_as_client(farm, server, made):
    """Programs without TLS reach the server through stunnel."""
    port = free_port()
    directory = farm.directory / "stunnel"
    directory.mkdir()
    conf = directory / "stunnel.conf"
    conf.write_text(
        f"foreground = yes\npid =\nclient = yes\n[redis]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{server.tls_port}\n"
        f"CAfile = {made.path('ca.crt')}\nverifyChain = yes\ncheckHost = localhost\n"
        f"cert = {made.path('client.crt')}\nkey = {made.path('client.key')}\n"
    )
    farm.adopt(Process("stunnel", directory, [STUNNEL, conf])).launch()
    accepts(("127.0.0.1", port))
    with Wire(("127.0.0.1", port), timeout=60 * SCALE) as wire:
        talk(wire)
        assert f"laddr=127.0.0.1:{server.tls_port}".encode() in wire.call("CLIENT", "INFO")
        assert wire.ask("QUIT") == "OK" and wire.is_closed()
    done = subprocess.run(["redis-cli", "-p", str(port), "-r", "3", "INCR", "n"], capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout == "1\n2\n3\n"


def test_haproxy_on_both_sides(farm, server, made):
    """HAProxy encrypts towards the server for clients that do not, and decrypts for a plain port."""
    plain, encrypted = free_port(), free_port()
    farm.adopt(
        Balancer(
            farm.directory / "haproxy",
            f"listen plain\n    bind 127.0.0.1:{plain}\n    server one 127.0.0.1:{server.tls_port} check {ssl_options(made)}\n"
            f"listen encrypted\n    bind 127.0.0.1:{encrypted} ssl crt {made.bundle('server')} ca-file {made.path('ca.crt')} verify required\n"
            f"    server one 127.0.0.1:{server.port} check\n",
        )
    ).launch()
    accepts(("127.0.0.1", plain))
    with Wire(("127.0.0.1", plain), timeout=60 * SCALE) as wire:
        talk(wire)
    with TlsWire(("127.0.0.1", encrypted), made.context(), timeout=60 * SCALE) as wire:
        talk(wire)


# Sentinel


def redis_py_client(setup):
    """redis-py with Sentinel: everything is encrypted."""
    certs = setup.certificates
    tls = {"ssl": True, "ssl_ca_certs": certs.path("ca.crt"), "ssl_certfile": certs.path("client.crt"),
           "ssl_keyfile": certs.path("client.key"), "ssl_check_hostname": False, "socket_timeout": 5}  # fmt: skip
    finder = redis.sentinel.Sentinel([s.address for s in setup.sentinels], sentinel_kwargs=tls, **tls)
    return finder.master_for("mymaster")


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("kinds", [("ours", "ours"), ("redis", "ours"), ("ours", "redis")], ids="-".join)
def test_failover_with_three_sentinels(farm, made, packages, kinds):
    """Servers and sentinels speak TLS only. The master is killed; clients of all kinds go on."""
    setup = HaSetup(farm, kinds, certificates=made)
    writer = farm.helper(SequenceWriter(setup.haproxy.address))
    ioredis = farm.adopt(IoredisWriter(setup, farm.directory / "ioredis", packages))
    client = redis_py_client(setup)
    assert client.set("before", "1")
    writer.wait_acked(200)
    ioredis.wait_acked(50)
    with swift(setup.sentinels):
        setup.master.kill()
        setup.wait_promoted(setup.replica)
        first_after = writer.next + 1
        setup.wait_all_sentinels_moved(setup.replica)
    writer.wait_acked(200)
    ioredis.wait_acked(50, timeout=40)
    assert client.get("before") == b"1"
    setup.master.start()
    setup.wait_demoted(setup.master, setup.replica)
    ioredis.finish()
    writer.close()
    setup.wait_steady(1, 1)
    wait_in_sync(setup.replica, setup.master)
    assert_same(setup.replica, setup.master)
    for one in setup.servers:
        assert not writer.missing(one, first_after)

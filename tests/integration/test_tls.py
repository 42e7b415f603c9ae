"""TLS: clients, replication, certificates and their reload, peers that misbehave, limits of handshakes."""

import contextlib
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest
import redis

import harness
from certificates import Certificates, TlsServer, TlsWire, openssl
from harness import SCALE, wait_for
from proxy import Proxy
from wire import Closed, ReplyError, Wire, encode_command

pytestmark = pytest.mark.lockstep_only("TLS of this server")

MB = 1024 * 1024
WAITING_MAX = 1024


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Certificates that no test changes."""
    certs = Certificates(tmp_path_factory.mktemp("certificates"))
    certs.issue("rsa", kind="rsa", san="DNS:localhost")
    certs.issue("expired", days=-1)
    certs.issue("alice", cn="alice", san="URI:urn:nobody,DNS:bob.example,email:carol@example")
    certs.issue("locked", password="secret", san="DNS:localhost")
    certs.authority("stranger")
    certs.issue("foreign", by="stranger")
    return certs


@pytest.fixture
def own(tmp_path, made):
    """A copy of the certificates that the test may change."""
    shutil.copytree(made.directory, tmp_path / "certificates")
    copy = object.__new__(Certificates)
    copy.directory = tmp_path / "certificates"
    return copy


@pytest.fixture
def start(farm, made):
    def start(*lines, kind="ours", certificates=None, start=True, **options):
        directory = farm.directory / f"{len(farm.processes)}-{kind}"
        server = farm.adopt(TlsServer(kind, directory, certificates or made, lines, **options))
        return server.start() if start else server

    return start


@pytest.fixture
def server(start):
    return start()


def closed_in_handshake(server, context):
    """Whether the server refuses a client. With TLS 1.3 the client learns of it by its first read."""
    try:
        with server.tls(context=context) as wire:
            wire.ask("PING")
    except (OSError, Closed):
        return True
    return False


def tls_info(server):
    return {name: value for name, value in server.info("tls").items() if name.startswith("tls_")}


def counter(server, name):
    return int(tls_info(server)[f"tls_{name}"])


# Clients


def test_redis_cli_and_redis_py(server, made):
    cli = ["redis-cli", "-p", str(server.tls_port), *made.cli()]
    value = os.urandom(3 * MB).hex()
    assert subprocess.run([*cli, "SET", "a", "1"], capture_output=True, text=True, timeout=20).stdout == "OK\n"
    assert subprocess.run([*cli, "-x", "SET", "big"], input=value, capture_output=True, text=True, timeout=20).stdout == "OK\n"
    got = subprocess.run([*cli, "--raw", "GET", "big"], capture_output=True, text=True, timeout=20).stdout
    assert got.rstrip("\n") == value
    with redis.Redis(
        port=server.tls_port, ssl=True, ssl_ca_certs=made.path("ca.crt"), ssl_certfile=made.path("client.crt"),
        ssl_keyfile=made.path("client.key"), ssl_check_hostname=False,
    ) as client:  # fmt: skip
        assert client.get("a") == b"1"
        with client.pipeline() as pipe:
            for i in range(10000):
                pipe.set(f"k:{i}", "x" * 100)
            assert all(pipe.execute())
        assert client.dbsize() == 10002


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", ["server", "rsa"])
def test_versions_and_keys(start, made, version, name):
    server = start(name=name)
    with server.tls(context=made.context(version=version)) as wire:
        assert wire.sock.version() == version.name.replace("_", ".")
        assert wire.ask("PING") == "PONG"
        assert wire.sock.compression() is None


def test_only_a_port_of_tls(start, made):
    server = start(plain=False)
    info = server.info("server")
    assert info["tcp_port"] == str(server.tls_port)
    assert info["listener0"] == f"name=tls,bind=127.0.0.1,port={server.tls_port}"
    assert "listener1" not in info
    with server.tls() as wire:
        line = wire.call("CLIENT", "LIST").decode()
        assert f"laddr=127.0.0.1:{server.tls_port}" in line


def test_big_values_and_pipelines(server):
    """Replies of many records, written as far as the client reads; requests that end anywhere in a record."""
    value = os.urandom(16 * MB)
    with server.tls(timeout=60, rcvbuf=64 * 1024) as wire:
        assert wire.ask("SET", "big", value) == "OK"
        for _ in range(3):
            wire.send_command("GET", "big")
        wait_for(lambda: int(server.info("clients")["client_recent_max_output_buffer"]) > MB, what="output that waits")
        for _ in range(3):
            assert wire.read() == value
        count = 20000
        requests = b"".join(encode_command("ECHO", str(i)) for i in range(count))
        assert wire.send_and_read(requests, count) == [str(i).encode() for i in range(count)]
        assert wire.ask("STRLEN", "big") == len(value)


def test_small_pieces_of_one_record(server):
    """One record holds more requests than one read takes: the rest is not reported by the socket."""
    with server.tls() as wire:
        requests = b"".join(encode_command("INCR", "n") for _ in range(600))
        for _ in range(20):
            wire.send(requests)
        assert [wire.read() for _ in range(12000)][-1] == 12000


def test_requests_byte_by_byte(server):
    with server.tls() as wire:
        for byte in encode_command("SET", "a", "1") + encode_command("GET", "a"):
            wire.send(bytes([byte]))
        assert [wire.read(), wire.read()] == ["OK", b"1"]


def test_blocked_subscribed_and_monitoring_clients(server):
    with server.tls() as blocked, server.tls() as subscriber, server.tls() as monitor, server.tls() as wire:
        assert monitor.ask("MONITOR") == "OK"
        blocked.send_command("BLPOP", "list", 0)
        subscriber.call("SUBSCRIBE", "news")
        wait_for(lambda: server.info("clients")["blocked_clients"] == "1")
        wire.call("PUBLISH", "news", "x" * 100000)
        wire.call("RPUSH", "list", "v")
        assert blocked.read() == [b"list", b"v"]
        assert subscriber.read()[2] == b"x" * 100000
        assert b"BLPOP" in monitor.read_line()
        blocked.send(encode_command("BLPOP", "list", 0) + encode_command("PING"))  # the second one waits with it
        wait_for(lambda: server.info("clients")["blocked_clients"] == "1")
        wire.call("RPUSH", "list", "w")
        assert [blocked.read(), blocked.read()] == [[b"list", b"w"], "PONG"]


def test_client_kill_and_quit_say_goodbye(server):
    with server.tls() as wire, server.tls() as victim:
        number = victim.call("CLIENT", "ID")
        assert wire.call("CLIENT", "KILL", "ID", number) == 1
        assert victim.sock.recv(1) == b""  # close_notify: an end without it would raise SSLEOFError
        assert wire.call("QUIT") == "OK"
        assert wire.sock.recv(1) == b""


def test_subscriber_that_does_not_read(start):
    server = start("client-output-buffer-limit pubsub 1mb 0 0")
    with server.tls(rcvbuf=4096) as slow, server.tls() as wire:
        slow.call("SUBSCRIBE", "news")

        def published_to_nobody():
            return wire.call("PUBLISH", "news", b"x" * 500_000) == 0

        wait_for(published_to_nobody)
        assert server.info("stats")["client_output_buffer_limit_disconnections"] == "1"
        assert slow.is_closed()


def test_client_that_says_goodbye(server):
    """The client ends its direction with close_notify and leaves TCP open."""
    wire = server.tls()
    number = wire.call("CLIENT", "ID")
    wire.sock.setblocking(False)
    try:
        wire.sock.unwrap()
    except (ssl.SSLWantReadError, OSError):
        pass
    wait_for(lambda: f"id={number} ".encode() not in server.call("CLIENT", "LIST"), what="the client to be gone")
    wire.close()


def test_last_requests_before_goodbye(server):
    """The end of the connection arrives with the last requests, in the same read: they still run."""
    for count in (1, 10, 65, 200, 1000):
        wire = server.tls()
        requests = b"".join(encode_command("SET", f"key:{i}", "x") for i in range(count))
        wire.sock.sendall(encode_command("CLIENT", "REPLY", "OFF") + requests)
        wire.sock.unwrap().shutdown(socket.SHUT_WR)
        wait_for(lambda: server.info("clients")["connected_clients"] == "1")
        assert server.call("DBSIZE") == count
        server.call("FLUSHALL")
        wire.close()


def test_script_that_is_busy(start):
    """A new connection gets its handshake while a script runs."""
    server = start("busy-reply-threshold 50")
    with server.tls() as wire:
        wire.send_command("EVAL", "while true do end", 0)

        def killed():
            with server.tls(timeout=5) as killer:
                return killer.ask("SCRIPT", "KILL") == "OK"

        wait_for(killed, retry_on=(OSError, Closed))
        assert isinstance(wire.read(), ReplyError)


# Who may connect


def test_certificates_of_clients(start, made):
    server = start()
    assert closed_in_handshake(server, made.context(client=None))
    assert closed_in_handshake(server, made.context(client="foreign"))
    assert closed_in_handshake(server, made.context(client="expired"))
    assert not closed_in_handshake(server, made.context())
    assert counter(server, "handshakes_failed") >= 3
    assert "peer did not return a certificate" in server.log()
    assert "certificate has expired" in server.log()
    server.config_set("tls-auth-clients", "optional")
    assert not closed_in_handshake(server, made.context(client=None))
    assert closed_in_handshake(server, made.context(client="foreign"))
    server.config_set("tls-auth-clients", "no")
    assert not closed_in_handshake(server, made.context(client="foreign"))


def test_client_that_knows_another_authority(server, made):
    with pytest.raises(ssl.SSLCertVerificationError):
        server.tls(context=made.context(ca="stranger"))
    assert server.ask("PING") == "PONG"


def test_plain_text_on_the_port_of_tls(server):
    for request in (encode_command("PING"), b"PING\r\n", b"GET / HTTP/1.0\r\n\r\n", os.urandom(1000), b"\x16\x03\x01\xff\xff" * 100):
        with Wire(server.tls_address) as wire:
            wire.send(request)
            with contextlib.suppress(OSError):  # it may be closed already
                wire.sock.shutdown(socket.SHUT_WR)
            assert wire.is_closed()
    wait_for(lambda: counter(server, "handshakes_running") == 0)
    assert server.ask("PING") == "PONG"


def test_tls_on_the_plain_port(server, made):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        TlsWire(server.address, made.context())
    assert server.ask("PING") == "PONG"


def test_session_resumption(start, made):
    server = start()
    context = made.context(version=ssl.TLSVersion.TLSv1_2)
    with server.tls(context=context) as first:
        assert first.ask("PING") == "PONG"
        session = first.sock.session
    with server.tls(context=context, session=session) as second:
        assert second.ask("PING") == "PONG" and second.sock.session_reused
    assert counter(server, "handshakes_resumed") == 1
    server.config_set("tls-session-caching", "no")
    with server.tls(context=context, session=session) as third:
        assert third.ask("PING") == "PONG" and not third.sock.session_reused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_end_with_the_settings_that_made_them(start, made, version):
    """A session cannot be resumed after the rules have changed: it would pass over them."""

    def session_of(context):
        with server.tls(context=context) as wire:
            assert wire.ask("PING") == "PONG"
            return wire.sock.session

    def resumes(context, session):
        with server.tls(context=context, session=session) as wire:
            assert wire.ask("PING") == "PONG"
            return wire.sock.session_reused

    server = start("tls-auth-clients no")
    nobody, client = made.context(client=None, version=version), made.context(version=version)
    sessions = [session_of(nobody) for _ in range(2)]
    assert resumes(nobody, sessions[0])
    server.config_set("tls-auth-clients", "yes")
    with pytest.raises((OSError, Closed)):
        resumes(nobody, sessions[1])
    sessions = [session_of(client) for _ in range(2)]
    assert resumes(client, sessions[0])
    server.config_set("tls-ca-cert-file", made.path("stranger.crt"))
    with pytest.raises((OSError, Closed)):
        resumes(client, sessions[1])
    server.config_set("tls-ca-cert-file", made.path("ca.crt"))
    assert not resumes(client, sessions[1])


# Users of certificates


def test_user_of_a_certificate(start, made):
    server = start("tls-auth-clients-user CN", "requirepass secret", "tls-auth-clients optional")
    admin = server.session()
    admin.call("ACL", "SETUSER", "alice", "on", "+@all", "~a*", ">password")
    admin.call("ACL", "SETUSER", "bob.example", "on", "nopass", "+@all", "~*")

    def user_of(client):
        with server.tls(client) as wire:
            return wire.ask("ACL", "WHOAMI")

    assert user_of("alice") == b"alice"
    assert str(user_of("client")).startswith("NOAUTH")
    assert str(user_of(None)).startswith("NOAUTH")
    with server.tls("alice") as wire:
        assert str(wire.ask("GET", "b")).startswith("NOPERM")
        assert wire.ask("AUTH", "default", "secret") == "OK"
        assert wire.ask("ACL", "WHOAMI") == b"default"
        assert wire.ask("RESET") == "RESET"
        assert str(wire.ask("GET", "a")).startswith("NOAUTH")
    admin.call("CONFIG", "SET", "tls-auth-clients-user", "SAN")
    assert user_of("alice") == b"bob.example"
    admin.call("ACL", "SETUSER", "bob.example", "off")
    assert str(user_of("alice")).startswith("NOAUTH")
    admin.call("ACL", "SETUSER", "carol@example", "on", "nopass", "+@all")
    assert user_of("alice") == b"carol@example"
    admin.call("CONFIG", "SET", "tls-auth-clients-user", "off")
    assert str(user_of("alice")).startswith("NOAUTH")
    admin.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_user_of_a_resumed_session(start, made, version):
    server = start("tls-auth-clients-user CN")
    server.call("ACL", "SETUSER", "alice", "on", "+@all", ">password")
    context = made.context("alice", version=version)
    with server.tls(context=context) as first:
        assert first.ask("ACL", "WHOAMI") == b"alice"
        session = first.sock.session
    with server.tls(context=context, session=session) as second:
        assert second.ask("ACL", "WHOAMI") == b"alice" and second.sock.session_reused
    server.call("ACL", "DELUSER", "alice")
    with server.tls(context=context, session=session) as third:
        assert third.ask("ACL", "WHOAMI") == b"default"


# Configuration


def test_start_with_files_that_do_not_fit(farm, made):
    for lines, reason in (
        ((), "No tls-cert-file configured!"),
        ((f"tls-cert-file {made.path('server.crt')}",), "No tls-key-file configured!"),
        ((f"tls-cert-file {made.path('server.crt')}", f"tls-key-file {made.path('rsa.key')}"), "does not belong to the certificate"),
        ((f"tls-cert-file {made.path('server.crt')}", f"tls-key-file {made.path('client.key')}"), "Failed to load private key"),
        ((f"tls-cert-file {made.path('none.crt')}", f"tls-key-file {made.path('client.key')}"), "No such file or directory"),
        ((f"tls-cert-file {made.path('locked.crt')}", f"tls-key-file {made.path('locked.key')}"), "tls-key-file-pass is empty or wrong"),
        ((*made.lines(), "tls-protocols TLSv9"), "Invalid tls-protocols"),
        ((*made.lines(), "tls-ciphers NONSENSE"), "Failed to configure tls-ciphers"),
        ((*made.lines(), "tls-ciphersuites NONSENSE"), "Failed to configure tls-ciphersuites"),
        ((*made.lines(), f"tls-dh-params-file {made.path('server.key')}"), "Failed to load DH parameters"),
        ((*made.lines()[:2], f"tls-ca-cert-file {made.path('ca.key')}"), "Failed to load CA certificates"),
        ((*made.lines()[:2], f"tls-ca-cert-dir {made.path('none')}"), "directory"),
    ):
        ca = [] if any("tls-ca" in line for line in lines) else [f"tls-ca-cert-file {made.path('ca.crt')}"]
        server = farm.server("ours", f"tls-port {harness.free_port()}", *lines, *ca, ready=False)
        assert server.wait_exit() == 1
        assert reason in server.log() and "Failed to configure TLS" in server.log(), (reason, server.log())


def test_no_authority(farm, made):
    lines = (f"tls-port {harness.free_port()}", *made.lines()[:2])
    server = farm.server("ours", *lines, ready=False)
    assert server.wait_exit() == 1
    assert "tls-ca-cert-file" in server.log()
    farm.server("ours", *lines, "tls-auth-clients no")


def test_key_with_a_password(start):
    server = start("tls-key-file-pass secret", name="locked")
    with server.tls() as wire:
        assert wire.ask("PING") == "PONG"
    assert "secret" not in server.log()


def test_config_set_all_or_nothing(server, made):
    """A pair that does not fit is refused; what was in use stays in use; connections stay."""
    with server.tls() as before:
        before.call("SET", "a", "1")
        for pairs in (
            ("tls-cert-file", made.path("rsa.crt")),
            ("tls-cert-file", made.path("rsa.crt"), "tls-key-file", made.path("client.key")),
            ("tls-key-file", "/nonexistent"),
            ("tls-protocols", "TLSv1.4"),
            ("tls-ca-cert-file", ""),
            ("maxmemory", "5mb", "tls-ciphers", "NONSENSE"),
        ):
            reply = before.ask("CONFIG", "SET", *pairs)
            assert "Unable to update TLS configuration. Check server logs." in str(reply), pairs
        assert server.config_get("tls-cert-file") == made.path("server.crt")
        assert server.config_get("maxmemory") == "0"
        with server.tls() as wire:
            assert wire.sock.getpeercert()["subject"] == ((("commonName", "server"),),)
        server.config_set("tls-cert-file", made.path("rsa.crt"), "tls-key-file", made.path("rsa.key"))
        with server.tls() as wire:
            assert wire.sock.getpeercert()["subject"] == ((("commonName", "rsa"),),)
        assert before.call("GET", "a") == b"1"


def test_port_by_config_set(farm, made):
    server = farm.server("ours")
    port = harness.free_port()
    pairs = [word for line in made.lines() for word in line.split(" ", 1)]
    reply = server.ask("CONFIG", "SET", "tls-port", port)
    assert "Unable to update TLS configuration" in str(reply)
    assert server.config_get("tls-port") == "0"
    server.config_set("tls-port", port, *pairs)
    with TlsWire((server.host, port), made.context()) as wire:
        assert wire.ask("PING") == "PONG"
        server.config_set("tls-port", "0")
        assert wire.ask("PING") == "PONG"
    with pytest.raises(ConnectionRefusedError):
        TlsWire((server.host, port), made.context())
    server.config_set("tls-port", port)
    assert server.call("CONFIG", "REWRITE") == "OK"
    server.restart()
    with TlsWire((server.host, port), made.context()) as wire:
        assert wire.ask("PING") == "PONG"
    assert f'tls-cert-file {made.path("server.crt")}' in server.conf_path.read_text().replace('"', "")


def test_port_that_is_taken(server):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        reply = server.ask("CONFIG", "SET", "tls-port", other.getsockname()[1])
        assert "Unable to listen on this port. Check server logs." in str(reply)
    with server.tls() as wire:
        assert wire.ask("PING") == "PONG"


def test_port_that_is_taken_and_new_certificates(server, made):
    """Nothing of one CONFIG SET stays if a part of it fails, in either order."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = ("tls-port", other.getsockname()[1])
        pair = ("tls-cert-file", made.path("rsa.crt"), "tls-key-file", made.path("rsa.key"))
        for pairs in (port + pair, pair + port):
            assert "Unable to listen on this port" in str(server.ask("CONFIG", "SET", *pairs))
            assert server.config_get("tls-port") == str(server.tls_port)
            assert server.config_get("tls-cert-file") == made.path("server.crt")
            with server.tls() as wire:
                assert wire.sock.getpeercert()["subject"] == ((("commonName", "server"),),)


def test_passwords_by_config_set(start, made):
    """The password of a key file is set with the key, or after it was changed in the file."""
    server = start()
    locked = ("tls-cert-file", made.path("locked.crt"), "tls-key-file", made.path("locked.key"))
    for wrong in ((), ("tls-key-file-pass", "wrong"), ("tls-key-file-pass", "x" * 5000)):
        assert "Unable to update TLS configuration" in str(server.ask("CONFIG", "SET", *locked, *wrong))
    assert server.config_get("tls-key-file-pass") == ""
    server.config_set(*locked, "tls-key-file-pass", "secret")
    with server.tls() as wire:
        assert wire.sock.getpeercert()["subject"] == ((("commonName", "locked"),),)
    assert "Unable to update TLS configuration" in str(server.ask("CONFIG", "SET", "tls-key-file-pass", ""))
    server.config_set("tls-cert-file", made.path("server.crt"), "tls-key-file", made.path("server.key"))
    with server.tls() as wire:
        assert wire.sock.getpeercert()["subject"] == ((("commonName", "server"),),)
    assert "secret" not in server.log()


def test_dh_parameters(start, made, tmp_path):
    openssl(tmp_path, "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", "dh.pem")
    server = start("tls-protocols TLSv1.2", name="rsa")
    context = made.context()
    context.set_ciphers("DHE-RSA-AES128-GCM-SHA256")
    assert closed_in_handshake(server, context)
    server.config_set("tls-dh-params-file", tmp_path / "dh.pem")
    with server.tls(context=context) as wire:
        assert wire.sock.cipher()[0] == "DHE-RSA-AES128-GCM-SHA256"


def test_protocols_and_ciphers(start, made):
    server = start("tls-protocols TLSv1.2", "tls-ciphers ECDHE-ECDSA-AES256-GCM-SHA384")
    with server.tls() as wire:
        assert wire.sock.cipher()[:2] == ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2")
    server.config_set("tls-protocols", "TLSv1.3", "tls-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256")
    with server.tls() as wire:
        assert wire.sock.cipher()[0] == "TLS_CHACHA20_POLY1305_SHA256"
    assert closed_in_handshake(server, made.context(version=ssl.TLSVersion.TLSv1_2))


# Reload


def replace(certs, old, new):
    for end in (".crt", ".key"):
        os.rename(shutil.copy(certs.path(new + end), certs.path("moving")), certs.path(old + end))


def test_changed_files_are_loaded(start, own):
    server = start(certificates=own)
    first = tls_info(server)["tls_server_cert_not_after"]
    own.issue("next", cn="next", days=8)
    with server.tls() as before:
        replace(own, "server", "next")
        wait_for(lambda: counter(server, "reloads") >= 1)
        wait_for(lambda: tls_info(server)["tls_server_cert_not_after"] > first)
        with server.tls() as wire:
            assert wire.sock.getpeercert()["subject"] == ((("commonName", "next"),),)
        assert before.ask("PING") == "PONG"


def test_changed_files_that_do_not_fit(start, own):
    server = start(certificates=own)
    shutil.copy(own.path("rsa.crt"), own.path("server.crt"))
    wait_for(lambda: counter(server, "reload_failures") >= 1)
    with server.tls() as wire:
        assert wire.sock.getpeercert()["subject"] == ((("commonName", "server"),),)
    loops = int(server.info("stats")["eventloop_cycles"])
    wait_for(lambda: int(server.info("stats")["eventloop_cycles"]) > loops + 25)
    assert counter(server, "reload_failures") == 1
    assert server.log().count("TLS files have changed and cannot be used") == 1
    assert counter(server, "files_refused") == 1
    shutil.copy(own.path("rsa.key"), own.path("server.key"))
    wait_for(lambda: counter(server, "reloads") == 1)
    assert counter(server, "files_refused") == 0
    with server.tls() as wire:
        assert wire.sock.getpeercert()["subject"] == ((("commonName", "rsa"),),)


def test_changed_files_without_auto_reload(start, own):
    server = start("tls-auto-reload no", certificates=own)
    replace(own, "server", "rsa")
    with server.tls() as wire:
        assert wire.sock.getpeercert()["subject"] == ((("commonName", "server"),),)
    server.config_set("tls-cert-file", own.path("server.crt"))  # the same name: loaded again
    with server.tls() as wire:
        assert wire.sock.getpeercert()["subject"] == ((("commonName", "rsa"),),)


# Limits of handshakes


def client_hello(made):
    """The first message of a client."""
    out = ssl.MemoryBIO()
    client = made.context().wrap_bio(ssl.MemoryBIO(), out)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


@pytest.mark.slow
def test_slow_handshakes_have_a_deadline(server, made):
    silent = Wire(server.tls_address)
    dripping = Wire(server.tls_address)
    started = time.monotonic()
    wait_for(lambda: counter(server, "handshakes_running") == 2)
    hello = bytearray(client_hello(made))

    def drip():
        try:
            dripping.send(bytes([hello.pop(0)]))
        except OSError:
            pass
        return counter(server, "handshakes_timed_out") == 2

    wait_for(drip, timeout=20)
    assert time.monotonic() - started > 8
    assert silent.is_closed() and dripping.is_closed()
    assert counter(server, "handshakes_running") == 0


def test_silent_flood(server):
    """More connections than the limit that say nothing: the oldest ones give way, so that clients still get in."""
    with server.tls() as client:
        assert client.ask("PING") == "PONG"  # its handshake is complete for the server, too
        flood = [Wire(server.tls_address) for _ in range(WAITING_MAX)]
        wait_for(lambda: counter(server, "handshakes_running") == WAITING_MAX, what=lambda: str(tls_info(server)))
        more = [Wire(server.tls_address) for _ in range(20)]
        assert all(wire.is_closed() for wire in flood[:20])
        assert counter(server, "handshakes_refused") == 20
        assert counter(server, "handshakes_running") == WAITING_MAX
        with server.tls() as wire:
            assert wire.ask("PING") == "PONG"
        assert client.ask("PING") == "PONG"
        wait_for(lambda: server.info("clients")["connected_clients"] == "2")
        for wire in flood + more:
            wire.close()
        wait_for(lambda: counter(server, "handshakes_running") == 0)
        with server.tls() as wire:
            assert wire.ask("PING") == "PONG"


def test_memory_of_connections(server, made):
    """OpenSSL's memory is part of used_memory, and an idle connection keeps no buffers."""

    def used():
        return int(server.info("memory")["used_memory"])

    context, count, before = made.context(), 100, used()
    wires = [server.tls(context=context) for _ in range(count)]
    for wire in wires:
        assert wire.ask("PING") == "PONG"
    assert used() - before > 10_000 * count
    wait_for(lambda: used() - before < 26_000 * count, timeout=20, what=lambda: f"{used() - before} bytes")
    for wire in wires:
        wire.close()
    wait_for(lambda: used() - before < 300_000, timeout=20, what=lambda: f"{used() - before} bytes")


def test_many_clients_at_once(start, made):
    server = start(name="rsa")
    context = made.context()
    wires = []

    def connect():
        wire = server.tls(context=context, timeout=30)
        assert wire.ask("PING") == "PONG"
        wires.append(wire)

    threads = [threading.Thread(target=connect) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wires) == 60
    for wire in wires:
        wire.close()


def test_connections_that_are_reset(server, made):
    """Peers that vanish at any moment: before the hello, after it, with output that waits."""
    reset = struct.pack("ii", 1, 0)
    for data in (b"", client_hello(made)):
        for _ in range(20):
            wire = Wire(server.tls_address)
            wire.send(data)
            wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            wire.close()
    with server.tls() as wire:
        wire.call("SET", "big", b"x" * MB)
    for _ in range(20):
        wire = server.tls()
        for _ in range(5):
            wire.send_command("GET", "big")
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        wire.close()
    wait_for(lambda: counter(server, "handshakes_running") == 0)
    wait_for(lambda: server.info("clients")["connected_clients"] == "1")


def test_maxclients(start, made):
    server = start("maxclients 10")
    with server.tls() as wire:
        wire.call("CONFIG", "SET", "maxclients", "1")
        assert closed_in_handshake(server, made.context())
        assert wire.ask("PING") == "PONG"


# Replication


def follow(replica, master, port):
    assert replica.call("REPLICAOF", master.host, port) == "OK"
    wait_for(lambda: replica.info("replication").get("master_link_status") == "up", timeout=20, what="the link", retry_on=(OSError,))


def same_data(one, other):
    return one.call("DEBUG", "DIGEST") == other.call("DEBUG", "DIGEST")


@pytest.mark.parametrize("diskless", ["yes", "no"])
@pytest.mark.parametrize("master_kind, replica_kind", [("ours", "ours"), ("ours", "redis"), ("redis", "ours")])
def test_replication(start, master_kind, replica_kind, diskless):
    options = ("tls-replication yes", f"repl-diskless-sync {diskless}")
    master = start(*options, kind=master_kind, plain=False)
    replica = start(*options, kind=replica_kind)
    with master.tls(timeout=60) as wire:
        for i in range(50):
            wire.call("SET", f"before:{i}", os.urandom(100000))
        follow(replica, master, master.tls_port)
        for i in range(50):
            wire.call("SET", f"after:{i}", os.urandom(100000))
        wire.call("WAIT", 1, 10000)
    wait_for(lambda: same_data(master, replica))
    slave = master.info("replication")["slave0"]
    assert f"port={replica.tls_port}," in slave
    # A link that breaks is resumed
    syncs = master.info("stats")["sync_full"]
    with master.tls() as wire:
        wire.call("CLIENT", "KILL", "TYPE", "replica")
        wire.call("SET", "later", "1")
    wait_for(lambda: same_data(master, replica))
    assert master.info("stats")["sync_full"] == syncs


@pytest.mark.parametrize("load", ["disabled", "swapdb"])
def test_link_that_is_slow_and_cut(farm, start, load):
    """Records arrive in parts, the master's socket is full most of the time, and links end in the middle of a record."""
    master = start("repl-backlog-size 32mb", plain=False)
    replica = start("tls-replication yes", f"repl-diskless-load {load}")
    proxy = farm.helper(Proxy(master.tls_address))
    with master.tls(timeout=60) as wire:
        for i in range(40):
            wire.call("SET", f"before:{i}", os.urandom(100_000))
        proxy.throttle(20 * MB)
        assert replica.call("REPLICAOF", "127.0.0.1", proxy.port) == "OK"
        wait_for(lambda: replica.info("replication")["master_link_status"] == "up", timeout=30)
        for i in range(60):
            wire.call("SET", f"after:{i % 7}", os.urandom(50_000))
            if i % 20 == 10:
                proxy.cut()
    wait_for(lambda: same_data(master, replica), timeout=30)
    assert master.info("stats")["sync_full"] == "1"


def test_replication_with_a_certificate_of_its_own(start, made):
    master = start("requirepass secret", "tls-auth-clients-user CN")
    master.call("ACL", "SETUSER", "alice", "on", "+psync", "+replconf", "+ping")
    client = (f"tls-client-cert-file {made.path('alice.crt')}", f"tls-client-key-file {made.path('alice.key')}")
    replica = start("tls-replication yes", *client)
    follow(replica, master, master.tls_port)
    assert b"user=alice" in master.call("CLIENT", "LIST", "TYPE", "replica")
    assert tls_info(replica)["tls_client_cert_not_after"] > "2020" and tls_info(master)["tls_client_cert_not_after"] == ""


def test_master_that_cannot_be_verified(start, made):
    master = start()
    replica = start("tls-replication yes", f"tls-ca-cert-file {made.path('stranger.crt')}")
    assert replica.call("REPLICAOF", master.host, master.tls_port) == "OK"
    wait_for(lambda: "certificate verify failed" in replica.log())
    assert replica.info("replication")["master_link_status"] == "down"
    replica.config_set("tls-ca-cert-file", made.path("ca.crt"))
    wait_for(lambda: replica.info("replication")["master_link_status"] == "up", timeout=20)


def test_master_that_refuses_us(start, made):
    master = start()
    replica = start("tls-replication yes", f"tls-client-cert-file {made.path('foreign.crt')}", f"tls-client-key-file {made.path('foreign.key')}")
    assert replica.call("REPLICAOF", master.host, master.tls_port) == "OK"
    wait_for(lambda: "unknown ca" in replica.log().lower())
    assert replica.info("replication")["master_link_status"] == "down"


def test_master_without_tls(start):
    master, replica = start(), start("tls-replication yes")
    assert replica.call("REPLICAOF", master.host, master.port) == "OK"
    wait_for(lambda: "Error condition on socket for SYNC: wrong version number: the peer does not use TLS" in replica.log())
    replica.config_set("tls-replication", "no")
    wait_for(lambda: replica.info("replication")["master_link_status"] == "up", timeout=20)


# MIGRATE


@pytest.mark.parametrize("source_kind, target_kind", [("ours", "ours"), ("ours", "redis"), ("redis", "ours")])
def test_migrate(start, source_kind, target_kind):
    source, target = start("tls-cluster yes", kind=source_kind), start(kind=target_kind)
    values = {f"key:{size}": os.urandom(size) for size in (1, 1000, 16384, 100_000, 3 * MB)}

    def migrate(port, *keys):
        return source.ask("MIGRATE", target.host, port, "", 0, 10000, "KEYS", *keys)

    for key, value in values.items():
        source.call("SET", key, value)
    for keys in (["key:1"], ["key:1000", "key:16384", "key:100000"], [f"key:{3 * MB}"]):
        assert migrate(target.tls_port, *keys) == "OK"
    for key, value in values.items():
        assert target.call("GET", key) == value
    assert source.call("DBSIZE") == 0
    if source_kind == "redis":
        return  # it keeps its connections: the next one would go over the old one
    source.call("SET", "key", "x")
    assert str(migrate(target.port, "key")).startswith("IOERR")
    source.config_set("tls-cluster", "no")
    assert str(migrate(target.tls_port, "key")).startswith("IOERR")
    assert migrate(target.port, "key") == "OK"


def test_migrate_to_a_target_that_cannot_be_verified(start, made):
    source, target = start("tls-cluster yes", f"tls-ca-cert-file {made.path('stranger.crt')}"), start()
    source.call("SET", "key", "x")
    reply = source.ask("MIGRATE", target.host, target.tls_port, "key", 0, 10000)
    assert str(reply).startswith("IOERR") and source.call("GET", "key") == b"x"

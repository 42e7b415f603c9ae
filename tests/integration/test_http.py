"""The HTTP port: health checks in each state of a server, access, TLS, directives, and the programs that ask."""

import base64
import re
import resource
import shutil
import subprocess
import threading
import time

import pytest

import harness
from balancer import Balancer
from certificates import Certificates
from fakes import encode_command
from harness import SCALE, wait_for
from hazards import attach_to_fake_master
from httpwire import Answer, HttpPort
from proxy import Proxy
from wire import Closed, ReplyError, Wire

pytestmark = pytest.mark.lockstep_only("the HTTP port")

CURL = shutil.which("curl") or "/usr/bin/curl"
ROLES = ("/ready", "/primary", "/replica")


@pytest.fixture
def start(farm):
    """Starts a server with an HTTP port: (server, port)."""

    def start(*lines, **options):
        http = HttpPort()
        return farm.server("ours", *http.lines, *lines, **options), http

    return start


def statuses(http):
    return [http.status(path) for path in ROLES]


def wait_statuses(http, wanted, timeout=15):
    wait_for(lambda: statuses(http) == wanted, timeout, lambda: f"{wanted}: {[http.ask(path) for path in ROLES]}")


MASTER, REPLICA, NOTHING, READS = [200, 200, 503], [200, 503, 200], [503, 503, 503], [200, 503, 503]


# States


def test_a_master_and_a_replica_change_places(start):
    master, at_master = start()
    replica, at_replica = start(f"replicaof 127.0.0.1 {master.port}")
    wait_statuses(at_replica, REPLICA)
    assert statuses(at_master) == MASTER
    assert at_master.ask("/replica").line == "not replica: this is a master"
    assert at_replica.ask("/primary").line == "not primary: this is a replica"
    assert re.fullmatch(r"replica: lag 0 bytes, master heard \d+ ms ago", at_replica.ask("/replica").line)
    replica.call("REPLICAOF", "NO", "ONE")
    assert statuses(at_replica) == MASTER
    master.call("SET", "k", "v")
    master.call("REPLICAOF", replica.host, replica.port)
    assert statuses(at_master)[1] == 503
    wait_statuses(at_master, REPLICA)


@pytest.mark.parametrize("aof", ["no", "yes"])
def test_never_primary_while_loading(farm, start, aof):
    """From the first answer on: 503 until the data are there, and 200 from then on."""
    server, http = start(f"appendonly {aof}", "rdbcompression no", 'save "3600 1"')
    server.call("DEBUG", "POPULATE", 3000, "key", 1000)
    server.call("BGREWRITEAOF" if aof == "yes" else "SAVE")
    wait_for(lambda: server.info("persistence")["aof_rewrite_in_progress"] == "0")
    server.terminate()
    server.conf_path.write_text(server.conf_path.read_text() + "key-load-delay 300\nloading-process-events-interval-bytes 1024\n")
    server.start(ready=False)
    seen = []

    def is_loaded():
        try:
            live, primary = http.status("/live"), http.ask("/primary")
        except OSError:
            return False
        seen.append((live, primary.status, primary.line))
        return primary.status == 200

    wait_for(is_loaded, 30, lambda: f"the data to be loaded: {seen[-1:]}", interval=0)
    assert server.call("DBSIZE") == 3000
    assert set(seen[:-1]) == {(200, 503, "not primary: loading the data set")}, set(seen)


def test_a_replica_before_its_first_synchronization(farm, start):
    relay = farm.helper(Proxy(farm.server("ours").address))
    relay.refuse()
    replica, http = start(f"replicaof 127.0.0.1 {relay.port}")
    assert statuses(http) == NOTHING
    assert http.ask("/replica").line == "not replica: no data yet: no synchronization with the master so far"
    relay.allow()
    wait_for(lambda: http.status("/ready") == 200 or replica.info("replication")["master_link_status"] == "up", 15)
    # an empty data set is one, if a master says so
    wait_statuses(http, REPLICA)


def test_a_replica_whose_link_is_down(farm, start):
    master = farm.server("ours")
    relay = farm.helper(Proxy(master.address))
    replica, http = start(f"replicaof 127.0.0.1 {relay.port}")
    master.call("SET", "k", "v")
    wait_for(lambda: replica.ask("GET", "k") == b"v")
    assert statuses(http) == REPLICA
    relay.refuse()
    wait_statuses(http, NOTHING)
    assert re.fullmatch(r"not replica: the link to the master has been down for \d+ s", http.ask("/replica").line)
    assert replica.call("GET", "k") == b"v"
    relay.allow()
    wait_statuses(http, REPLICA)


def test_lag_in_bytes(farm):
    http = HttpPort()
    replica, _, link = attach_to_fake_master(farm, *http.lines)
    assert http.status("/replica?max-lag-bytes=0") == 200
    command = encode_command("SET", "k", "v" * 1000)
    link.send(command[:600])
    wait_for(lambda: http.status("/replica?max-lag-bytes=599") == 503)
    assert http.ask("/replica?max-lag-bytes=599").line == "not replica: it lags 600 bytes behind"
    assert http.status("/replica?max-lag-bytes=600") == http.status("/replica") == 200
    assert "lag 600 bytes" in http.ask("/replica").line
    link.send(command[600:])
    wait_for(lambda: http.status("/replica?max-lag-bytes=0") == 200)
    assert replica.call("GET", "k") == b"v" * 1000


def test_a_master_that_hangs(farm):
    """The link is up as long as repl-timeout allows; the check may be stricter."""
    http = HttpPort()
    _, _, link = attach_to_fake_master(farm, *http.lines, "repl-timeout 600")
    link.send_command("PING")
    wait_for(lambda: http.status("/replica?max-silent-ms=300") == 503)
    assert re.fullmatch(r"not replica: the master is silent for \d+ ms", http.ask("/replica?max-silent-ms=300").line)
    assert http.status("/replica?max-silent-ms=600000") == http.status("/ready") == 200
    link.send_command("PING")
    wait_for(lambda: http.status("/replica?max-silent-ms=300") == 200)


def test_a_full_disk(start):
    small = {resource.RLIMIT_FSIZE: (20_000, resource.RLIM_INFINITY)}
    server, http = start("appendonly yes", limits=small)
    assert statuses(http) == MASTER
    with server.session() as wire:
        while not isinstance(wire.ask("APPEND", "k", "x" * 1000), ReplyError):
            pass
    assert statuses(http) == READS
    assert http.ask("/primary").line == "not primary: writes are refused: MISCONF Errors writing to the AOF file: File too large"
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_statuses(http, MASTER)


def test_a_failed_save(start):
    server, http = start('save "3600 1"')
    (server.directory / "dump.rdb").mkdir()
    server.call("SET", "k", "v")
    server.call("BGSAVE")
    wait_statuses(http, READS)
    assert http.ask("/primary").line == "not primary: writes are refused: MISCONF the last background save failed"
    server.config_set("stop-writes-on-bgsave-error", "no")
    assert statuses(http) == MASTER


def test_replicas_that_writes_need(farm, start):
    master, http = start("min-replicas-to-write 1")
    assert statuses(http) == READS
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_statuses(http, MASTER)
    replica.kill()
    wait_statuses(http, READS)


def test_full_memory(start):
    server, http = start()
    server.call("SET", "k", "v" * 1000)
    server.config_set("maxmemory", "1")
    assert str(server.ask("SET", "a", "b")).startswith("OOM")
    assert statuses(http) == READS
    assert http.ask("/ready").line == "ready: writes are refused: OOM used memory is above maxmemory"
    server.config_set("maxmemory", "0")
    assert statuses(http) == MASTER


def test_full_memory_with_a_policy_that_finds_keys(start):
    """A balancer sends no command to a master that is not primary, so it must not take one to become primary again."""
    server, http = start("maxmemory-policy volatile-lru")
    for i in range(100):
        server.call("SET", f"k{i}", "v" * 10_000)
    server.config_set("maxmemory", int(server.info("memory")["used_memory"]) - 500_000)
    assert str(server.ask("SET", "a", "b")).startswith("OOM")
    assert statuses(http) == READS
    server.config_set("maxmemory-policy", "allkeys-lru")
    idle = [server.wire() for _ in range(100)]  # memory is above the limit again, and no command evicts
    wait_statuses(http, MASTER)
    for wire in idle:
        wire.close()


def test_pauses_of_clients(start):
    server, http = start()
    server.call("CLIENT", "PAUSE", 100_000, "WRITE")
    assert statuses(http) == READS
    server.call("CLIENT", "PAUSE", 100_000, "ALL")
    assert statuses(http) == NOTHING
    server.call("CLIENT", "UNPAUSE")
    assert statuses(http) == MASTER


def test_a_busy_script(start):
    server, http = start("busy-reply-threshold 10")
    with http.raw() as early, server.wire() as wire:
        early.send(b"GET /live HTTP/1.1\r\n")
        wire.send_command("EVAL", "while true do end", 0)
        wait_for(lambda: str(server.ask("PING")).startswith("BUSY"), 10)
        assert http.ask("/ready") == Answer(503, http.ask("/ready").headers, "not ready: busy with a script\n")
        assert statuses(http) == NOTHING
        assert http.status("/live") == 200
        early.send(b"Host: localhost\r\n\r\n")
        assert early.answer().status == 200
        server.call("SCRIPT", "KILL")
    wait_statuses(http, MASTER)


def test_a_shutdown_that_waits(farm, start):
    master, http = start("shutdown-timeout 60", "repl-timeout 600")
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}", "repl-timeout 600")
    wait_for(lambda: master.info("replication").get("slave0", "").find("state=online") > 0)
    replica.pause()
    master.call("SET", "k", "v")
    with master.wire() as ender:
        ender.send_command("SHUTDOWN")
        wait_statuses(http, NOTHING)
        assert http.ask("/primary").line == "not primary: shutting down"
        assert http.status("/live") == 200
        assert master.call("SHUTDOWN", "ABORT") == "OK"
        assert statuses(http) == MASTER
        assert isinstance(ender.read(), ReplyError)
    replica.resume()


def test_what_the_operator_wants(start):
    server, http = start()
    server.config_set("load-balancer-state", "drain")
    assert statuses(http) == NOTHING and http.status("/live") == 200
    assert http.ask("/ready").line == "not ready: draining, by load-balancer-state"
    server.call("CONFIG", "REWRITE")
    server.restart()
    server.config_set("load-balancer-state", "maint")
    assert http.ask("/ready").line == "not ready: in maintenance, by load-balancer-state"
    assert isinstance(server.ask("CONFIG", "SET", "load-balancer-state", "down"), ReplyError)
    server.config_set("load-balancer-state", "ready")
    assert statuses(http) == MASTER


# HTTP


def test_kept_connections_and_methods(start):
    _, http = start()
    conn = http.connection()
    for number in range(3):
        conn.request("GET", "/live")
        response = conn.getresponse()
        assert (response.status, response.read()) == (200, b"live\n")
        if number == 0:
            local = conn.sock.getsockname()
        assert conn.sock.getsockname() == local
    conn.request("HEAD", "/primary")
    response = conn.getresponse()
    assert (response.status, response.read(), response.getheader("Content-Length")) == (200, b"", "8")
    conn.request("POST", "/live", body=b"x")
    response = conn.getresponse()
    assert (response.status, response.getheader("Allow"), response.getheader("Connection")) == (405, "GET, HEAD", "close")
    response.read()
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "NONSENSE"):
        assert http.status("/live", method=method) == 405
    conn.close()


def test_pipelined_requests(start):
    _, http = start()
    with http.raw() as raw:
        raw.send(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100 + b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert [raw.answer().body for _ in range(100)] == ["live\n"] * 100
        assert raw.answer().body == "ready\n"
        assert raw.is_closed()


def test_fields_of_answers(start):
    _, http = start()
    for target in ("/live", "/none", "/primary?x"):
        headers = http.ask(target).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert not [name for name in headers if name.startswith("access-control")]


def test_commands_are_not_run(start):
    """A request is no command, whatever it contains, and a command is no request."""
    server, http = start()
    before = server.info("stats")["total_commands_processed"]
    for target in ("/SET/k/v", "/set?key=k", "/%0d%0aSET%20k%20v", "/http", "/live%0d%0a"):
        assert http.status(target) == 404
    with http.raw() as raw:
        assert raw.ask(encode_command("SET", "k", "v")).status == 400
    with http.raw() as raw:
        assert raw.ask(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n\r\nFLUSHALL\r\n...").status == 405
    assert int(server.info("stats")["total_commands_processed"]) - int(before) <= 1
    assert server.call("DBSIZE") == 0


# Access


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_other_sites(start):
    server, http = start()
    assert http.status("/live", Host="evil.example") == 403
    assert http.status("/live", Host=f"localhost:{http.port}", Origin="http://evil.example") == 403
    assert http.status("/live", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors") == 403
    assert http.status("/live", Host=f"[::1]:{http.port}", Origin=f"http://[::1]:{http.port}") == 200
    server.config_set("http-hosts", "redis.example other.example")
    assert http.status("/live", Host="redis.example") == http.status("/live", Host="other.example:80") == 200
    assert http.status("/live", Host="evil.example") == 403


def test_logins(start):
    server, http = start("requirepass secret", "http-public none")
    admin = server.session()
    admin.call("ACL", "SETUSER", "probe", "on", ">word", "+http|health")
    admin.call("ACL", "SETUSER", "nobody", "on", ">word", "+@all", "-@http")
    answer = http.ask("/live")
    assert answer.status == 401 and answer.headers["www-authenticate"].startswith("Basic ")
    assert http.status("/live", Authorization=basic("default", "secret")) == 200
    assert http.status("/live", Authorization=basic("probe", "word")) == 200
    assert http.status("/live", Authorization=basic("nobody", "word")) == 403
    assert http.status("/none", Authorization=basic("probe", "word")) == 403
    assert http.status("/none", Authorization=basic("default", "secret")) == 404
    assert admin.call("ACL", "DRYRUN", "probe", "http", "health") == "OK"
    assert b"no permissions" in admin.call("ACL", "DRYRUN", "probe", "http", "metrics")
    with Wire(server.address) as wire:
        assert wire.call("AUTH", "probe", "word") == "OK"
        assert str(wire.ask("GET", "k")).startswith("NOPERM")
        assert str(wire.ask("HTTP", "health")).startswith("ERR HTTP is no command")
    admin.call("CONFIG", "SET", "http-public", "health")
    assert http.status("/live") == 200
    admin.close()


def test_wrong_passwords_cost_time_and_are_logged(start):
    server, http = start("http-public none")
    server.call("ACL", "SETUSER", "alice", "on", ">word", "+@http")
    began = time.monotonic()
    threads = [threading.Thread(target=http.status, args=("/live",), kwargs={"Authorization": basic("alice", "x")}) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(server.call("ACL", "LOG")) == 1 and server.call("ACL", "LOG")[0][1] >= 8, 10)
    assert http.status("/live", Authorization=basic("alice", "word")) == 200, "others do not wait"
    assert server.ask("PING") == "PONG"
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 1
    entry = server.call("ACL", "LOG")[0]
    fields = dict(zip(entry[::2], entry[1::2]))
    assert (fields[b"reason"], fields[b"object"], fields[b"username"]) == (b"auth", b"http|health", b"alice")
    assert b" addr=127.0.0.1:" in fields[b"client-info"]
    assert server.info("stats")["acl_access_denied_auth"] == "8"


# TLS


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    certs = Certificates(tmp_path_factory.mktemp("certificates"))
    certs.issue("alice", cn="alice")
    return certs


def test_tls(farm, start, made):
    server, http = start(*made.lines(), "http-tls yes", "http-public none", "tls-auth-clients-user CN", "requirepass secret",
                         "tls-auth-clients optional")  # fmt: skip
    admin = server.session()
    admin.call("ACL", "SETUSER", "alice", "on", ">word", "+http|health")

    def curl(*args):
        command = [CURL, "-s", "--cacert", made.path("ca.crt"), *args, f"https://localhost:{http.port}/live"]
        return subprocess.run(command, capture_output=True, text=True, timeout=30 * SCALE, check=False).stdout

    alice = ("--cert", made.path("alice.crt"), "--key", made.path("alice.key"))
    assert curl() == "unauthorized: a user with a password is required\n"
    assert curl("-u", "alice:word") == curl(*alice) == "live\n"
    assert curl("-u", "default:secret", *alice) == "live\n"
    http.context = made.context("alice")
    conn = http.connection()
    for _ in range(3):
        conn.request("GET", "/live")
        assert conn.getresponse().read() == b"live\n"
    conn.close()
    with http.raw() as plain:  # no TLS: closed without an answer
        plain.send(b"GET /live HTTP/1.0\r\n\r\n")
        assert plain.is_closed()
    admin.call("ACL", "SETUSER", "alice", "off")
    assert curl(*alice).startswith("unauthorized")
    admin.call("CONFIG", "SET", "http-tls", "no", "http-public", "health")
    http.context = None
    assert http.status("/live") == 200
    admin.close()


# Directives


def test_directives_at_run_time(farm):
    server = farm.server("ours")
    http = HttpPort()
    with pytest.raises(OSError):
        http.status("/live")
    server.config_set("http-port", http.port)
    assert http.status("/live") == 200
    taken = farm.server("ours")
    assert isinstance(server.ask("CONFIG", "SET", "http-port", taken.port, "hz", 20), ReplyError)
    assert (server.config_get("http-port"), server.config_get("hz")) == (str(http.port), "10")
    assert http.status("/live") == 200
    assert isinstance(server.ask("CONFIG", "SET", "http-bind", "192.0.2.1"), ReplyError)
    assert isinstance(server.ask("CONFIG", "SET", "http-tls", "yes"), ReplyError), "there is no certificate"
    assert isinstance(server.ask("CONFIG", "SET", "http-public", "everything"), ReplyError)
    assert isinstance(server.ask("CONFIG", "SET", "http-hosts", "a/b"), ReplyError)
    assert http.status("/live") == 200
    conn = http.connection()
    conn.request("GET", "/live")
    assert conn.getresponse().read() == b"live\n"
    server.config_set("http-port", 0)
    conn.request("GET", "/live")
    assert conn.getresponse().read() == b"live\n", "connections that exist stay"
    with pytest.raises(OSError):
        http.status("/live")
    conn.close()
    server.config_set("http-port", http.port, "http-bind", "127.0.0.1 -::1", "http-public", "health metrics page")
    server.call("CONFIG", "REWRITE")
    server.restart()
    assert http.status("/live") == 200
    assert server.config_get("http-public") == "health metrics page"


def test_a_port_that_is_taken_stops_the_start(farm):
    taken = farm.server("ours")
    server = farm.server("ours", f"http-port {taken.port}", start=False)
    server.start(ready=False)
    assert server.wait_exit() == 1
    assert f"Failed listening on port {taken.port} (http), aborting." in server.log()


def test_the_port_is_no_port_of_clients(farm):
    """A server that could only be asked for its health is a mistake."""
    http = HttpPort()
    server = farm.server("ours", *http.lines, "port 0", start=False)
    server.start(ready=False)
    assert server.wait_exit() == 1
    assert "Configured to not listen anywhere, exiting." in server.log()


# Programs that ask

BALANCED = """\
listen writes
    bind 127.0.0.1:{writes}
    option httpchk GET /primary
    default-server check inter 100ms fall 1 rise 1 on-marked-down shutdown-sessions
    server one 127.0.0.1:{one} port {http_one}
    server two 127.0.0.1:{two} port {http_two}

listen reads
    bind 127.0.0.1:{reads}
    option httpchk
    http-check send meth GET uri /replica?max-lag-bytes=1000000 ver HTTP/1.1 hdr Host localhost
    http-check expect status 200
    default-server check inter 100ms fall 1 rise 1
    server one 127.0.0.1:{one} port {http_one}
    server two 127.0.0.1:{two} port {http_two}
"""


def test_haproxy_follows_a_failover(farm, start):
    one, http_one = start()
    two, http_two = start(f"replicaof 127.0.0.1 {one.port}")
    ports = {name: harness.free_port() for name in ("writes", "reads")}
    text = BALANCED.format(**ports, one=one.port, two=two.port, http_one=http_one.port, http_two=http_two.port)
    balancer = farm.adopt(Balancer(farm.directory / "haproxy", text)).launch()

    def up():
        rows = balancer.rows() or {}
        return {name: row["status"] == "UP" for name, row in rows.items()}

    def wait_up(*names):
        every = {"writes/one", "writes/two", "reads/one", "reads/two"}
        wanted = {name: name in names for name in every}
        wait_for(lambda: up() == wanted, 20, lambda: f"{wanted}: {up()}\n{balancer.log_tail()}")

    def reaches(name, server):
        with Wire(("127.0.0.1", ports[name])) as wire:
            return f"process_id:{server.pid}\r".encode() in wire.call("INFO", "server")

    wait_up("writes/one", "reads/two")
    assert reaches("writes", one) and reaches("reads", two)
    with Wire(("127.0.0.1", ports["writes"])) as client:
        assert client.call("SET", "k", "v") == "OK"
        one.config_set("load-balancer-state", "maint")
        wait_up("reads/two")
        assert client.is_closed(within=20 * SCALE)
    two.call("REPLICAOF", "NO", "ONE")
    wait_up("writes/two")
    assert reaches("writes", two)
    one.call("REPLICAOF", two.host, two.port)
    one.config_set("load-balancer-state", "ready")
    wait_up("writes/two", "reads/one")
    assert reaches("writes", two) and reaches("reads", one)
    two.kill()
    wait_up()
    one.call("REPLICAOF", "NO", "ONE")
    wait_up("writes/one")
    assert reaches("writes", one)


def test_probes_of_kubernetes(start):
    """As the kubelet sends them: HTTP/1.1, the address of the pod in Host, no kept connection."""
    _, http = start()
    with http.raw() as raw:
        answer = raw.ask(
            b"GET /live HTTP/1.1\r\nHost: 10.244.0.17:%d\r\nUser-Agent: kube-probe/1.29\r\nAccept: */*\r\n"
            b"Connection: close\r\n\r\n" % http.port
        )
        assert answer.status == 200
        assert raw.is_closed()


def test_curl(start):
    _, http = start()

    def curl(*args):
        done = subprocess.run([CURL, *args], capture_output=True, text=True, timeout=30 * SCALE, check=False)
        return done.returncode, done.stdout

    url = f"http://127.0.0.1:{http.port}"
    assert curl("-s", f"{url}/ready") == (0, "ready\n")
    assert curl("-sf", f"{url}/replica")[0] == 22
    assert curl("-s", "--http2", f"{url}/live") == (0, "live\n")  # offers an upgrade
    assert curl("-s", "--http1.0", f"{url}/live", f"{url}/live") == (0, "live\nlive\n")
    assert curl("-s", "-w", "%{num_connects}", f"{url}/live", f"{url}/live") == (0, "live\n1live\n0")
    assert curl("-sI", f"{url}/live")[1].startswith("HTTP/1.1 200 OK\n")
    assert curl("-s", "-d", "x=1", f"{url}/live") == (0, "Method Not Allowed\n")


# The document

DOCUMENT = (harness.ROOT / "docs/HTTP.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.M | re.S)


def sessions(text):
    """Pairs (command, output) of a block: a line with "$ " in front begins one."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def test_examples_of_the_document(farm):
    """As they stand, but for the ports."""
    (lines,) = blocks("redis")
    ports = [harness.free_port() for _ in range(2)]
    servers = []
    for port in ports:
        text = lines.replace("8379", str(port)).strip().splitlines()
        servers.append(farm.server("ours", *text, *(f"replicaof 127.0.0.1 {server.port}" for server in servers)))
    master, _ = servers
    replica_port = HttpPort(ports[1])
    wait_for(lambda: replica_port.status("/replica") == 200, 15)

    def run(command):
        for name, port in zip(("8379", "8380"), ports):
            command = command.replace(name, str(port))
        password = f"REDISCLI_AUTH={master.password()} " if master.password() else ""
        command = command.replace("redis-cli", f"{password}redis-cli -p {master.port}").replace("curl", CURL)
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30 * SCALE, check=False)
        return re.sub(r"heard \d+ ms", "heard N ms", done.stdout)

    first, second = blocks("console")
    for command, output in sessions(first):
        assert run(command) == output, command
    master.config_set("load-balancer-state", "ready")
    (probes,) = blocks("yaml")
    for path in re.findall(r"path: (\S+), port: 8379", probes):
        assert HttpPort(ports[0]).status(path) == 200
    assert len(re.findall("path:", probes)) == 2
    master.lines.append("requirepass of-the-document")
    master.config_set("requirepass", "of-the-document")
    for command, output in sessions(second):
        assert run(command) == output, command

"""A high-availability set-up as users have it: master, replica with the same file, three sentinels, HAProxy."""

import contextlib
import threading
import time

from balancer import Balancer
from certificates import TlsWire
from harness import OURS, SCALE, SENTINEL, Process, Server, free_port, wait_for
from wire import Closed, ReplyError, Wire, pairs_to_dict

# The file of both hosts; what differs between them (port, directory) is given on the command line.
REDIS_CONF = """\
# one file for every host
bind 127.0.0.1
protected-mode no
tcp-backlog 511
timeout 0
tcp-keepalive 300
daemonize no
supervised no
loglevel notice
logfile ""
databases 16
save ""
stop-writes-on-bgsave-error yes
rdbcompression yes
dbfilename dump.rdb
replica-serve-stale-data yes
replica-read-only yes
repl-diskless-sync yes
repl-diskless-sync-delay 0
repl-timeout 60
repl-backlog-size 64mb
maxclients 10000
appendonly no
hz 10
enable-debug-command yes
"""

SENTINEL_CONF = """\
bind 127.0.0.1
{ports}
dir {directory}
protected-mode no
sentinel monitor mymaster 127.0.0.1 {master} 2
sentinel down-after-milliseconds mymaster {down_after}
sentinel failover-timeout mymaster {failover_timeout}
sentinel parallel-syncs mymaster 1
sentinel announce-ip 127.0.0.1
"""

HAPROXY_CONF = """\
frontend redis_in
    bind 127.0.0.1:{port}
    default_backend redis_master

backend redis_master
    balance first
    option tcp-check
    tcp-check connect{ssl}
{auth}\
    tcp-check send PING\\r\\n
    tcp-check expect string +PONG
    tcp-check send info\\ replication\\r\\n
    tcp-check expect string role:master
    tcp-check send QUIT\\r\\n
    tcp-check expect string +OK
    default-server inter 200ms fall 2 rise 2 on-marked-down shutdown-sessions
{servers}
"""

HAPROXY_AUTH = """\
    tcp-check send AUTH\\ {password}\\r\\n
    tcp-check expect string +OK
"""


def connect(address, certificates, timeout=15.0, **options):
    if certificates:
        return TlsWire(address, certificates.context(), timeout, **options)
    return Wire(address, timeout, **options)


def tls_lines(certificates):
    """What servers and sentinels have in their files if they speak TLS only."""
    return "\n".join((*certificates.lines(), "tls-replication yes")) + "\n" if certificates else ""


class HostServer(Server):
    """A server on one "host": the common file and the options of this host. With certificates it speaks TLS only."""

    def __init__(self, kind, directory, extra="", password=None, certificates=None):
        self.extra = extra
        self._password = password
        self.certificates = certificates
        port = free_port()
        ports = ["--port", 0, "--tls-port", port] if certificates else ["--port", port]
        super().__init__(kind, directory, args=[*ports, "--dir", directory], port=port)

    def connect(self, timeout, **options):
        return connect(self.address, self.certificates, timeout, **options)

    def write_config(self):
        secret = f"requirepass {self._password}\nmasterauth {self._password}\n" if self._password else ""
        self.conf_path.write_text(REDIS_CONF + secret + tls_lines(self.certificates) + self.extra)

    def password(self):
        return self._password

    def role(self):
        return self.info("replication")["role"]

    def replicates(self, master):
        info = self.info("replication")
        return info["role"] == "slave" and int(info["master_port"]) == master.port

    def config_lines(self, *names):
        words = [line.split() for line in self.conf_path.read_text().splitlines() if line.strip()]
        return [line for line in words if line[0] in names]


# For how many milliseconds a master must not answer until it is failed over.
PATIENT = 60000  # longer than a full disk queue or a busy machine ever stalled a healthy one
SWIFT = 2000


# The command lines of sentinels. REDIS_SENTINEL may name ours too, for tests that do not choose.
SENTINELS = {"default": [SENTINEL], "redis": ["/usr/bin/redis-sentinel"], "ours": [OURS, "--sentinel"]}


def sentinel_argv(kind, conf):
    program, *options = SENTINELS[kind]
    return [program, conf, *options]


class Sentinel(Process):
    def __init__(
        self, number, directory, master, down_after, failover_timeout, password=None, certificates=None, kind="default"
    ):
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.certificates = certificates
        self.kind = kind
        conf = directory / "sentinel.conf"
        self.conf_path = conf
        super().__init__(f"sentinel-{number}", directory, sentinel_argv(kind, conf))
        text = SENTINEL_CONF.format(
            ports=f"port 0\ntls-port {self.port}" if certificates else f"port {self.port}",
            directory=directory,
            master=master.port,
            down_after=down_after,
            failover_timeout=failover_timeout,
        )
        if password:
            text += f"sentinel auth-pass mymaster {password}\n"
        conf.write_text(text + tls_lines(certificates))

    def become(self, kind):
        """Goes on as a sentinel of another kind, with the same file, as packages are exchanged."""
        self.terminate()
        self.kind = kind
        self.argv = sentinel_argv(kind, self.conf_path)
        self.launch()

    def call(self, *args):
        with connect(self.address, self.certificates) as wire:
            return wire.call(*args)

    def master(self):
        return pairs_to_dict(self.call("SENTINEL", "MASTER", "mymaster"))

    def replicas(self):
        return [pairs_to_dict(row) for row in self.call("SENTINEL", "REPLICAS", "mymaster")]

    def master_port(self):
        return int(self.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")[1])

    def set_down_after(self, milliseconds):
        assert self.call("SENTINEL", "SET", "mymaster", "down-after-milliseconds", int(milliseconds * SCALE)) == "OK"

    def sees(self, replicas):
        """Whether this sentinel knows that many healthy replicas and the other two sentinels."""
        try:
            master, rows = self.master(), self.replicas()
        except (OSError, Closed, ReplyError):
            return False
        healthy = [row for row in rows if row[b"flags"] == b"slave" and row[b"master-link-status"] == b"ok"]
        return len(healthy) == replicas and master[b"num-other-sentinels"] == b"2" and master[b"flags"] == b"master"


@contextlib.contextmanager
def swift(sentinels, down_after=SWIFT):
    """In this block the sentinels fail over a master that is down; outside they are patient, as they cannot tell a
    master that is down from one whose disk or processor was busy for a moment."""
    for sentinel in sentinels:
        sentinel.set_down_after(down_after)
    yield
    for sentinel in sentinels:
        sentinel.set_down_after(PATIENT)


def ssl_options(certificates):
    """Of HAProxy's server lines."""
    return f"ssl verify required ca-file {certificates.path('ca.crt')} crt {certificates.bundle('client')}"


class HAProxy(Balancer):
    """With certificates, clients of its port are not encrypted, and the servers' ends are."""

    def __init__(self, directory, servers, password=None, certificates=None):
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        ssl = ssl_options(certificates) if certificates else ""
        rows = [f"    server host{n} 127.0.0.1:{server.port} check {ssl}" for n, server in enumerate(servers)]
        auth = HAPROXY_AUTH.format(password=password) if password else ""
        check_ssl = " ssl" if certificates else ""
        text = HAPROXY_CONF.format(port=self.port, servers="\n".join(rows), auth=auth, ssl=check_ssl)
        super().__init__(directory, text)

    def up(self):
        """The indices of the servers to which HAProxy would send a client."""
        rows = self.rows()
        if rows is None:
            return None
        up = [name for name, row in rows.items() if row["status"].startswith("UP")]
        return [int(name.removeprefix("redis_master/host")) for name in up]


class HaSetup:
    """All processes, started and in a steady state."""

    def __init__(
        self,
        farm,
        kinds=("ours", "ours"),
        down_after=PATIENT,
        failover_timeout=6000,
        password=None,
        certificates=None,
        sentinels=("default",) * 3,
    ):
        self.farm = farm
        self.password = password
        self.certificates = certificates
        self.servers = []
        for number, kind in enumerate(kinds):
            extra = "" if number == 0 else f"slaveof 127.0.0.1 {self.servers[0].port}\n"
            server = HostServer(kind, farm.directory / f"host{number}", extra, password, certificates)
            self.servers.append(farm.adopt(server).start())
        self.master, self.replica = self.servers[:2]
        options = (self.master, down_after, failover_timeout, password, certificates)
        self.sentinels = [
            farm.adopt(Sentinel(n, farm.directory / f"sentinel{n}", *options, kind=kind))
            for n, kind in enumerate(sentinels)
        ]
        self.haproxy = farm.adopt(HAProxy(farm.directory / "haproxy", self.servers, password, certificates))
        for process in (*self.sentinels, self.haproxy):
            process.launch()
        self.wait_steady(0, len(kinds) - 1)

    def wait_steady(self, master_index, replicas, timeout=40.0):
        """Waits until all sentinels agree, and HAProxy sends clients to the master only."""
        port = self.servers[master_index].port
        wait_for(
            lambda: all(sentinel.sees(replicas) and sentinel.master_port() == port for sentinel in self.sentinels),
            timeout,
            lambda: f"sentinels to agree: {[(s.master(), s.replicas()) for s in self.sentinels]}",
            interval=0.1,
        )
        self.wait_haproxy(master_index)

    def wait_haproxy(self, master_index, timeout=20.0):
        wait_for(lambda: self.haproxy.up() == [master_index], timeout, lambda: f"HAProxy to move: {self.haproxy.up()}")

    def wait_promoted(self, server, timeout=40.0):
        wait_for(lambda: server.role() == "master", timeout, f"{server.name} to be promoted", interval=0.05)

    def wait_all_sentinels_moved(self, server, timeout=20.0):
        wait_for(lambda: all(s.master_port() == server.port for s in self.sentinels), timeout, "sentinels to switch")

    def wait_demoted(self, server, master, timeout=40.0):
        wait_for(lambda: server.replicates(master), timeout, f"{server.name} to be made a replica", interval=0.05)


class SequenceWriter:
    """A client that writes numbered keys one by one and remembers which were acknowledged.

    After an error it opens a new connection to the same address.
    """

    def __init__(self, address, password=None, prefix="seq"):
        self.address = address
        self.password = password
        self.prefix = prefix
        self.next = 0
        self.acked = []
        self.connections = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            try:
                with Wire(self.address, timeout=5 * SCALE) as wire:
                    if self.password:
                        wire.call("AUTH", self.password)
                    self.connections += 1
                    self._write(wire)
            except (OSError, Closed, ReplyError):
                time.sleep(0.02)

    def _write(self, wire):
        while not self._stop.is_set():
            number = self.next
            self.next += 1
            assert wire.call("SET", f"{self.prefix}:{number}", number) == "OK"
            self.acked.append(number)

    def close(self):
        self._stop.set()
        self._thread.join(20 * SCALE)

    def wait_acked(self, more, timeout=30.0):
        goal = len(self.acked) + more
        wait_for(lambda: len(self.acked) >= goal, timeout, f"{more} acknowledged writes", interval=0.02)

    def missing(self, server, first):
        """The acknowledged writes from number `first` on that the server lacks."""
        numbers = [number for number in self.acked if number >= first]
        with server.session() as wire:
            lost = []
            for start in range(0, len(numbers), 500):
                batch = numbers[start : start + 500]
                replies = wire.pipeline([("GET", f"{self.prefix}:{number}") for number in batch])
                lost += [number for number, reply in zip(batch, replies) if reply != b"%d" % number]
        return lost

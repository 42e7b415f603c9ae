"""Our sentinels in networks of every kind: TLS, passwords and users on every link, IPv6, names of hosts."""

import pytest

from certificates import Certificates
from ha import SWIFT, HaSetup, swift
from harness import wait_for
from names import Network
from sentinels import Lone
from test_sentinel import ALL_OURS, kill_and_return
from wire import Closed, Wire, pairs_to_dict

pytestmark = [pytest.mark.lockstep_only("the sentinel is ours"), pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_tls_on_every_link(farm, certificates):
    setup = HaSetup(farm, certificates=certificates, sentinels=ALL_OURS)
    kill_and_return(setup, setup.master, setup.replica)
    setup.wait_steady(1, 1)


def test_tls_and_a_password_with_debians(farm, certificates):
    setup = HaSetup(farm, certificates=certificates, password="a-password", sentinels=("ours", "redis", "redis"))
    kill_and_return(setup, setup.master, setup.replica)
    setup.wait_steady(1, 1)


class Peers:
    """Three sentinels of ours with these lines, and servers that they watch."""

    def __init__(self, farm, monitor, *lines, wrap=(), host="127.0.0.1", down_after=SWIFT):
        self.sentinels = []
        for number in range(3):
            (farm.directory / f"host{number}").mkdir()
            place = type("Directory", (), {"directory": farm.directory / f"host{number}"})
            common = (f"sentinel monitor mymaster {monitor} 2", f"sentinel down-after-milliseconds mymaster {down_after}")
            self.sentinels.append(farm.adopt(Lone(place, *lines, *common, wrap=wrap, host=host)))

    def start(self):
        for sentinel in self.sentinels:
            sentinel.start()
        return self

    def wait_complete(self, replicas=1):
        def complete(sentinel):
            master = sentinel.master()
            return master[b"num-other-sentinels"] == b"2" and master[b"num-slaves"] == b"%d" % replicas

        for sentinel in self.sentinels:
            wait_for(lambda s=sentinel: complete(s), 30, lambda s=sentinel: f"all to be found: {s.master()}")

    def wait_switched(self, port):
        for sentinel in self.sentinels:
            wait_for(lambda s=sentinel: int(s.master()[b"port"]) == port, 30, lambda s=sentinel: f"a switch: {s.master()}")


def test_sentinels_know_each_other_by_requirepass_or_user(farm):
    master, replica = farm.server("ours"), farm.server("ours")
    replica.call("REPLICAOF", "127.0.0.1", master.port)
    users = ("user default off", "user peer on >among-us ~* &* +@all", "sentinel sentinel-user peer", "sentinel sentinel-pass among-us")
    peers = Peers(farm, f"127.0.0.1 {master.port}", *users)
    for sentinel in peers.sentinels:
        sentinel.wire = lambda s=sentinel: logged_in(s.address, "AUTH", "peer", "among-us")
    peers.start().wait_complete()
    wait_for(lambda: str(peers.sentinels[0].ask("SENTINEL", "CKQUORUM", "mymaster")).startswith("OK 3 usable"), 15, "a quorum")
    master.kill()
    peers.wait_switched(replica.port)


def logged_in(address, *auth):
    wire = Wire(address)
    wire.call(*auth)
    return wire


def test_requirepass_is_the_password_among_sentinels(farm):
    master, replica = farm.server("ours"), farm.server("ours")
    replica.call("REPLICAOF", "127.0.0.1", master.port)
    peers = Peers(farm, f"127.0.0.1 {master.port}", "requirepass among-us")
    for sentinel in peers.sentinels:
        sentinel.wire = lambda s=sentinel: logged_in(s.address, "AUTH", "among-us")
    peers.start().wait_complete()
    master.kill()
    peers.wait_switched(replica.port)


def test_ipv6(farm):
    lines = ("bind ::1",)
    master = farm.server("ours", *lines, "unixsocket socket", ready=False)
    replica = farm.server("ours", *lines, "unixsocket socket", f"replicaof ::1 {master.port}", ready=False)
    peers = Peers(farm, f"::1 {master.port}", "bind ::1", host="::1").start()
    peers.wait_complete()
    master.kill()
    peers.wait_switched(replica.port)
    assert peers.sentinels[0].call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")[0] == b"::1"


def test_an_empty_announce_ip_announces_nothing_special(farm):
    master, replica = farm.server("ours"), farm.server("ours")
    replica.call("REPLICAOF", "127.0.0.1", master.port)
    peers = Peers(farm, f"127.0.0.1 {master.port}", 'sentinel announce-ip ""').start()
    peers.wait_complete()
    ips = {pairs_to_dict(row)[b"ip"] for row in peers.sentinels[0].call("SENTINEL", "SENTINELS", "mymaster")}
    assert ips == {b"127.0.0.1"}


def test_an_announced_address_is_the_one_that_others_use(farm):
    master = farm.server("ours")
    peers = Peers(farm, f"127.0.0.1 {master.port}", "sentinel announce-ip 127.0.0.9", "bind 127.0.0.1 127.0.0.9").start()
    peers.wait_complete(replicas=0)
    ips = {pairs_to_dict(row)[b"ip"] for row in peers.sentinels[0].call("SENTINEL", "SENTINELS", "mymaster")}
    assert ips == {b"127.0.0.9"}


# Names of hosts

LABEL = "a-very-long-label-of-a-host-in-some-data-center"
LONG = ".".join([LABEL] * 4 + ["test-1"])  # 198 bytes
OTHER = ".".join([LABEL] * 4 + ["test-22"])


def test_names_of_200_bytes(farm):
    """Servers announce names, sentinels resolve and announce them; the address behind a name may change."""
    network = Network(farm)
    network.zone({LONG: ["127.0.0.1"], OTHER: ["127.0.0.2"]})
    assert len(LONG) == 198
    master = network.server(f"replica-announce-ip {LONG}", "bind 127.0.0.1")
    replica = network.server(
        f"replica-announce-ip {OTHER}", "bind 127.0.0.2", f"replicaof {LONG} {master.port}"
    )
    lines = (
        "sentinel resolve-hostnames yes", "sentinel announce-hostnames yes", "unixsocket socket",
    )  # fmt: skip
    peers = Peers(farm, f"{LONG} {master.port}", *lines, wrap=network.enter)
    for sentinel in peers.sentinels:
        sentinel.address = str(sentinel.directory / "socket")
    peers.start().wait_complete()
    first = peers.sentinels[0]
    assert first.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")[0].decode() == LONG
    assert first.master()[b"ip"].decode() == LONG
    master.kill()
    peers.wait_switched(replica.port)
    assert first.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")[0].decode() == OTHER
    assert any(OTHER in line for line in first.lines() if line.startswith("sentinel monitor"))


def test_monitor_waits_for_a_name_and_nobody_else_does(farm):
    network = Network(farm)
    network.zone({"known.test": ["127.0.0.1"], "silent.test": "silent"})
    sentinel = farm.adopt(Lone(farm, "sentinel resolve-hostnames yes", "unixsocket socket", wrap=network.enter))
    sentinel.address = str(sentinel.directory / "socket")
    sentinel.start()
    with sentinel.wire() as waiting:
        waiting.send_command("SENTINEL", "MONITOR", "never", "silent.test", "1", "1")
        wait_for(lambda: "silent.test" in network.queries(), 10, "the question")
        assert sentinel.call("SENTINEL", "MONITOR", "soon", "known.test", "1", "1") == "OK"
        assert "Invalid IP address or hostname" in str(sentinel.ask("SENTINEL", "MONITOR", "no", "unknown.test", "1", "1"))
        assert sentinel.call("PING") == "PONG"
    assert sentinel.master("soon")[b"ip"] == b"127.0.0.1"
    # Without names the file has the address: else the next start would refuse it.
    assert "sentinel monitor soon known.test 1 1" in sentinel.lines()
    assert sentinel.call("SENTINEL", "CONFIG", "SET", "resolve-hostnames", "no") == "OK"
    assert "sentinel monitor soon 127.0.0.1 1 1" in sentinel.lines()
    sentinel.terminate()
    sentinel.start()


# The start


@pytest.mark.parametrize("how", ["lockstep-sentinel", "redis-sentinel", "--sentinel"])
def test_the_ways_to_start_one(farm, how):
    sentinel = Lone(farm)
    if not how.startswith("--"):
        name = farm.directory / how
        name.symlink_to(sentinel.argv[0])
        sentinel.argv = [name, sentinel.conf_path]
    farm.adopt(sentinel).start()
    assert sentinel.call("ROLE")[0] == b"sentinel"


def test_returning_master_that_loads_is_left_alone_until_it_is_done(farm):
    setup = HaSetup(farm, sentinels=ALL_OURS)
    setup.master.call("DEBUG", "POPULATE", 3000)
    setup.master.config_set("save", "3600 1")
    setup.master.call("SAVE")
    setup.master.config_set("key-load-delay", 1000)
    setup.master.config_set("loading-process-events-interval-bytes", 1024)
    setup.master.call("CONFIG", "REWRITE")
    with swift(setup.sentinels):
        setup.master.kill()
        setup.wait_promoted(setup.replica)
        setup.wait_all_sentinels_moved(setup.replica)
    log_before = len(setup.master.log())
    setup.master.start(ready=False)
    wait_for(lambda: setup.master.replicates(setup.replica), 60, "the end of its load", 0.1, retry_on=(OSError, Closed))
    after = setup.master.log()[log_before:]
    loaded = after.index("DB loaded")
    assert "CONFIG REWRITE" not in after[:loaded], after

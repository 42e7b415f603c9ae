"""Names of hosts in REPLICAOF and MIGRATE: clients never wait for a name server."""

import threading
import time

import pytest

from harness import SCALE, wait_for
from names import SILENT, Network
from wire import ReplyError

pytestmark = pytest.mark.lockstep_only("Redis stands still while it resolves a name")

ANSWER_S = 1.0 * SCALE  # a name server that is silent takes seconds


@pytest.fixture
def network(farm):
    return Network(farm)


def slowest_answer(server, seconds):
    """Of pings that follow each other for so long."""
    end, slowest = time.monotonic() + seconds, 0
    with server.wire() as wire:
        while time.monotonic() < end:
            began = time.monotonic()
            assert wire.ask("PING") == "PONG"
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.01)
    return slowest


def link_status(server):
    return server.info("replication")["master_link_status"]


def wait_for_link(server):
    wait_for(lambda: link_status(server) == "up", timeout=20, what="the link to the master")


def wait_for_query(network, name):
    wait_for(lambda: name in network.queries(), what=f"a query for {name}")


def unable(name):
    return f"Unable to connect to MASTER: cannot resolve {name}: Domain name not found"


def test_a_silent_name_server_stops_no_client_of_a_replica(network):
    network.zone({"master.test": SILENT})
    master, replica = network.server(), network.server()
    master.call("SET", "k", "v")
    began = time.monotonic()
    replica.call("REPLICAOF", "master.test", master.port)
    assert time.monotonic() - began < ANSWER_S
    wait_for_query(network, "master.test")
    assert replica.call("ROLE")[3] == b"connecting"
    assert slowest_answer(replica, 3) < ANSWER_S
    assert replica.call("ROLE")[3] == b"connecting"
    network.zone({"master.test": ["127.0.0.1"]})
    wait_for_link(replica)
    assert replica.call("GET", "k") == b"v"


def test_a_link_is_given_up_while_its_name_is_resolved(network):
    network.zone({"master.test": SILENT})
    replica = network.server()
    replica.call("REPLICAOF", "master.test", 6379)
    wait_for_query(network, "master.test")
    replica.call("REPLICAOF", "other.test", 6379)
    wait_for(lambda: replica.log_contains(unable("other.test")), what="an answer to the second name")
    replica.call("REPLICAOF", "master.test", 6379)
    began = time.monotonic()
    replica.call("REPLICAOF", "NO", "ONE")
    assert time.monotonic() - began < ANSWER_S
    assert replica.call("SET", "k", "v") == "OK"
    assert not replica.log_contains("cannot resolve master.test")


def test_the_end_of_a_server_does_not_wait_for_a_name(network):
    network.zone({"master.test": SILENT})
    replica = network.server("replicaof master.test 6379")
    wait_for_query(network, "master.test")
    began = time.monotonic()
    assert replica.terminate() == 0
    assert time.monotonic() - began < 2 * ANSWER_S


def test_an_unknown_name_is_logged_and_tried_again(network):
    master = network.server()
    replica = network.server(f"replicaof master.test {master.port}")
    wait_for(lambda: replica.log().count(unable("master.test")) >= 2, what="two attempts")
    assert link_status(replica) == "down"
    network.zone({"master.test": ["127.0.0.1"]})
    wait_for_link(replica)


def test_all_addresses_of_a_name_are_tried(network):
    network.zone({"master.test": ["127.0.0.8", "127.0.0.9", "::1", "127.0.0.1"]})
    master = network.server()
    replica = network.server(f"replicaof master.test {master.port}")
    wait_for_link(replica)


def test_the_hosts_file_comes_first_and_digits_ask_nobody(network):
    network.zone({"of-the-hosts-file.test": SILENT})
    master = network.server()
    replica = network.server(f"replicaof of-the-hosts-file.test {master.port}")
    wait_for_link(replica)
    replica.call("REPLICAOF", "127.0.0.1", master.port)
    wait_for_link(replica)
    assert network.queries() == []


def test_another_name_server_needs_no_restart(network):
    network.write("resolv.conf", "nameserver 127.0.0.2\noptions timeout:1\n")  # nobody listens there
    network.zone({"master.test": ["127.0.0.1"]})
    master = network.server()
    replica = network.server(f"replicaof master.test {master.port}")
    wait_for(lambda: replica.log_contains("cannot resolve master.test"), timeout=20, what="a failure")
    network.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1\n")
    wait_for_link(replica)


def test_a_source_that_is_a_name(network):
    network.zone({"source.test": ["127.0.0.5"]})
    master = network.server("protected-mode no")  # a peer at 127.0.0.5 is not local
    replica = network.server("bind-source-addr source.test", f"replicaof 127.0.0.1 {master.port}")
    wait_for_link(replica)
    assert "ip=127.0.0.5" in str(master.info("replication"))


def test_a_silent_name_server_stops_no_client_of_a_server_that_migrates(network):
    network.zone({"silent.test": SILENT, "target.test": ["127.0.0.1"]})
    source, target = network.server(), network.server()
    source.call("SET", "k", "v")
    replies = []

    def migrate():
        with source.wire() as wire:
            began = time.monotonic()
            replies.append(wire.ask("MIGRATE", "silent.test", 6379, "k", 0, 2000))
            replies.append(time.monotonic() - began)

    thread = threading.Thread(target=migrate)
    thread.start()
    wait_for_query(network, "silent.test")
    slowest = slowest_answer(source, 1.5)
    thread.join()
    assert slowest < ANSWER_S
    assert isinstance(replies[0], ReplyError)
    assert str(replies[0]) == "IOERR error or timeout connecting to the client"
    assert replies[1] < 2 + ANSWER_S
    unknown = source.ask("MIGRATE", "unknown.test", 6379, "k", 0, 2000)
    assert str(unknown) == "IOERR error or timeout connecting to the client"
    assert source.call("GET", "k") == b"v"
    assert source.call("MIGRATE", "target.test", target.port, "k", 0, 2000) == "OK"
    assert target.call("GET", "k") == b"v"

"""The high-availability set-up: the master is killed under load, or handed over on request, and no write is lost that
was acknowledged after the failover."""

import subprocess

import pytest
import redis
import redis.sentinel

from dataset import WriteLoad, assert_same, offset, stat, wait_in_sync, wait_link_down
from ha import SWIFT, HaSetup, SequenceWriter, swift
from harness import wait_for
from node import IoredisWriter, node_directory
from wire import Wire


def redis_py_master(setup):
    """The master as redis-py knows it, and a client that follows it."""
    peers = [sentinel.address for sentinel in setup.sentinels]
    finder = redis.sentinel.Sentinel(peers, socket_timeout=5, password=setup.password)
    return finder, finder.master_for("mymaster", socket_timeout=5, password=setup.password)


def redis_cli(port, *words):
    done = subprocess.run(
        ["redis-cli", "-p", str(port), *words], capture_output=True, text=True, timeout=20, check=False
    )
    return done.stdout.strip()


def check_clients_follow(setup, master):
    """Every kind of client reaches the master by the same names and ports as before."""
    finder, client = redis_py_master(setup)
    assert finder.discover_master("mymaster") == ("127.0.0.1", master.port)
    assert client.set("from:redis-py", "1") is True
    assert client.get("from:redis-py") == b"1"
    auth = ["-a", setup.password, "--no-auth-warning"] if setup.password else []
    assert redis_cli(setup.haproxy.port, *auth, "set", "from:redis-cli", "1") == "OK"
    assert redis_cli(setup.haproxy.port, *auth, "info", "replication").startswith("# Replication")
    assert master.call("GET", "from:redis-cli") == b"1"
    addr = redis_cli(setup.sentinels[1].port, "sentinel", "get-master-addr-by-name", "mymaster").split()
    assert addr == ["127.0.0.1", str(master.port)]


def kill_the_master(setup, writer, down_after=SWIFT):
    """Runs the whole failover; returns the first number that was written after the promotion."""
    writer.wait_acked(500)
    with swift(setup.sentinels, down_after):
        setup.master.kill()
        setup.wait_promoted(setup.replica)
        first_after = writer.next + 1
        setup.wait_all_sentinels_moved(setup.replica)
    writer.wait_acked(500)
    setup.wait_haproxy(1)
    setup.master.start()
    setup.wait_demoted(setup.master, setup.replica)
    writer.wait_acked(200)
    writer.close()
    setup.wait_steady(1, 1)
    return first_after


def check_old_master_caught_up(setup, writer, first_after):
    wait_in_sync(setup.replica, setup.master)
    assert_same(setup.replica, setup.master)
    for server in setup.servers:
        assert not writer.missing(server, first_after)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_H_kill_master_with_settings_of_a_real_site(farm):
    setup = HaSetup(farm, down_after=5000, failover_timeout=10000)
    check_clients_follow(setup, setup.master)
    writer = farm.helper(SequenceWriter(setup.haproxy.address))
    first_after = kill_the_master(setup, writer, down_after=5000)
    check_old_master_caught_up(setup, writer, first_after)
    check_clients_follow(setup, setup.replica)
    # Sentinel had both files rewritten: the roles survive a restart of either.
    assert setup.replica.config_lines("slaveof", "replicaof") == []
    assert setup.master.config_lines("slaveof", "replicaof") == [["replicaof", "127.0.0.1", str(setup.replica.port)]]


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("kinds", [("ours", "redis"), ("redis", "ours")], ids=["to-redis", "to-lockstep"])
def test_H_kill_master_of_a_mixed_pair_with_password(farm, kinds):
    setup = HaSetup(farm, kinds, password="s3cret")
    writer = farm.helper(SequenceWriter(setup.haproxy.address, setup.password))
    first_after = kill_the_master(setup, writer)
    check_old_master_caught_up(setup, writer, first_after)
    check_clients_follow(setup, setup.replica)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_H_kill_master_under_load_of_all_types(farm):
    """As above with every type of write going on, two replicas, and a third node that follows the promoted one."""
    setup = HaSetup(farm, ("ours", "ours", "ours"))
    load = farm.helper(WriteLoad(setup.haproxy.address, reconnect=True))
    load.start()
    load.wait_done(5000)
    full_before = [stat(server, "sync_full") for server in setup.servers]
    with swift(setup.sentinels):
        setup.master.kill()
        wait_link_down(*setup.servers[1:])
        reached = {server: offset(server) for server in setup.servers[1:]}
        wait_for(lambda: "master" in [s.role() for s in setup.servers[1:]], 40, "a promotion", interval=0.05)
        promoted, sibling = setup.servers[1:] if setup.servers[1].role() == "master" else setup.servers[:0:-1]
        setup.wait_all_sentinels_moved(promoted)
    setup.wait_demoted(sibling, promoted)
    load.wait_done(5000)
    load.stop()
    wait_in_sync(promoted, sibling)
    assert_same(promoted, sibling)
    # P10, P20: the sibling went on where it was, with the writes made before it came (which the backlog has room for,
    # however long Sentinel takes to get to it).
    index = setup.servers.index(promoted)
    # A sibling that was ahead has writes that the promoted one never got, and gives them up with a full synchronization.
    ahead = reached[sibling] > reached[promoted]
    assert stat(promoted, "sync_full") - full_before[index] <= ahead
    assert stat(promoted, "sync_partial_ok") >= 1 or ahead


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_H_planned_hand_over(farm):
    """SENTINEL FAILOVER with a client at work. (What the old master takes until it is demoted is lost, as with any
    Sentinel fail-over; what was acknowledged through HAProxy once the new one is in place is not.)"""
    setup = HaSetup(farm)
    writer = farm.helper(SequenceWriter(setup.haproxy.address))
    writer.wait_acked(500)
    assert setup.sentinels[0].call("SENTINEL", "FAILOVER", "mymaster") == "OK"
    setup.wait_promoted(setup.replica)
    setup.wait_demoted(setup.master, setup.replica)
    setup.wait_steady(1, 1)
    first_after = writer.next + 1
    writer.wait_acked(500)
    writer.close()
    check_old_master_caught_up(setup, writer, first_after)
    check_clients_follow(setup, setup.replica)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_H_ioredis_in_sentinel_mode_goes_on(farm):
    packages, reason = node_directory()
    if packages is None:
        pytest.skip(reason)
    setup = HaSetup(farm)
    client = farm.adopt(IoredisWriter(setup, farm.directory / "ioredis", packages))
    client.wait_acked(50)
    with swift(setup.sentinels):
        setup.master.kill()
        setup.wait_promoted(setup.replica)
        setup.wait_all_sentinels_moved(setup.replica)
    before = max(number for number, _ in client.acked())
    client.wait_acked(100, timeout=40)
    client.finish()
    acked = client.acked()
    assert all(number == value for number, value in acked)
    with Wire(setup.replica.address) as wire:
        after = [number for number, _ in acked if number > before + 1]
        replies = wire.pipeline([("GET", f"ioredis:{number}") for number in after])
    assert replies == [b"%d" % number for number in after]

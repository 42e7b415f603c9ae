"""Continuous verification of replicas: checks in the stream, what a replica makes of them, and no false alarm."""

import time

import pytest

from dataset import WriteLoad, assert_same, fill_every_encoding, replicate, strict_digest, wait_in_sync
from harness import wait_for

pytestmark = pytest.mark.lockstep_only("a feature of this server's own")

VERIFY = ("replica-verify yes", "replica-verify-period 1", "repl-diskless-sync-delay 0")


def verification(server):
    return server.info("verification")


def number(server, field):
    return int(verification(server)[field])


def wait_rounds(replica, more, timeout=20.0):
    goal = number(replica, "verify_rounds") + more
    wait_for(lambda: number(replica, "verify_rounds") >= goal, timeout, lambda: f"{verification(replica)}")


def pair(farm, *lines):
    master, replica = farm.server("ours", *VERIFY, *lines), farm.server("ours")
    replicate(replica, master)
    wait_in_sync(master, replica)
    return master, replica


def test_a_quiet_pair(farm):
    master, replica = pair(farm)
    fill_every_encoding(master)
    wait_rounds(replica, 3)
    fields = verification(replica)
    assert fields["verify_replica_state"] == "verifying" and int(fields["verify_mismatches"]) == 0, fields
    assert int(fields["verify_skipped"]) == 0 and 0 < int(fields["verify_oldest_ms"]) < 5000
    fields = verification(master)
    assert fields["verify_state"] == "running" and 500 < int(fields["verify_last_round_ms"]) < 3000, fields


def test_writes_of_all_kinds_cause_no_alarm(farm):
    master, replica = pair(farm)
    second = farm.server("ours")
    replicate(second, replica)
    with WriteLoad(master.address, seed=3) as load:
        load.wait_done(2000)
        for server in (replica, second):
            wait_rounds(server, 4)
    wait_in_sync(master, replica, second)
    assert_same(master, replica, second)
    for server in (replica, second):
        assert number(server, "verify_mismatches") == 0, verification(server)


def fill(wire):
    wire.pipeline([("SET", f"key:{n}", f"value:{n}") for n in range(5000)])
    wire.call("SET", "expires", "v", "PXAT", 4102444800000)
    for n in range(1, 30):
        wire.call("XADD", "stream", f"{n}-1", "field", n)
    wire.call("XGROUP", "CREATE", "stream", "group", 0)
    wire.call("XREADGROUP", "GROUP", "group", "reader", "COUNT", 20, "STREAMS", "stream", ">")
    for start in range(0, 50_000, 5000):
        wire.call("RPUSH", "list", *range(start, start + 5000))
        wire.call("SADD", "set", *range(start, start + 5000))
    wire.call("SET", "string", "x" * 300_000)


DAMAGES = {
    "a byte of a value": (("BYTE", "key:77"), "keys 0 0 "),
    "a byte of a big value": (("BYTE", "string"), "bytes 0 "),
    "a key too many": (("KEY", "extra"), "keys 0 0 "),
    "a lost key": (("LOST", "key:99"), "keys 0 0 "),
    "an expiry": (("TTL", "expires"), "keys 0 0 "),
    "a pending entry": (("PENDING", "stream", "group"), "keys 0 0 "),
    "an element of a long list": (("ELEMENT", "list", 25_000), "elements 0 "),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_is_found_within_two_rounds(farm, what):
    command, range_found = DAMAGES[what]
    master, replica = pair(farm)
    with master.session() as wire:
        fill(wire)
    wait_in_sync(master, replica)
    wait_rounds(replica, 2)
    assert number(replica, "verify_mismatches") == 0, verification(replica)
    assert replica.call("DEBUG", "REPLICA-DAMAGE", *command) == "OK"
    wait_for(lambda: number(replica, "verify_mismatches") > 0, 6.0)
    assert verification(replica)["verify_mismatch_range"].startswith(range_found), verification(replica)
    assert replica.log_contains("Our data differ from our master's at offset")
    assert strict_digest(master) != strict_digest(replica)


def test_a_lost_command_is_found(farm):
    master, replica = pair(farm)
    with master.session() as wire:
        fill(wire)
        wait_in_sync(master, replica)
        assert replica.call("DEBUG", "REPLICA-DAMAGE", "DROP") == "OK"
        wire.call("INCR", "counter")
    wait_for(lambda: number(replica, "verify_mismatches") > 0, 6.0)


def test_what_is_not_verified(farm):
    master, replica = pair(farm)
    wait_rounds(replica, 1)
    for setting, state in (("replica-read-only", "writable"), ("replica-ignore-maxmemory", "evicting")):
        replica.config_set(setting, "no")
        wait_for(lambda: verification(replica)["verify_replica_state"] == state, 5.0)
        replica.config_set(setting, "yes")
        wait_for(lambda: verification(replica)["verify_replica_state"] == "verifying", 5.0)
    master.config_set("replica-verify", "no")
    assert verification(master)["verify_state"] == "off"
    sent = number(master, "verify_checks_sent")
    time.sleep(1.5)
    assert number(master, "verify_checks_sent") == sent


def test_nothing_is_sent_without_a_replica_that_understands(farm):
    master = farm.server("ours", *VERIFY)
    redis = farm.server("redis")
    master.call("SET", "k", "v")
    replicate(redis, master)
    wait_in_sync(master, redis)
    time.sleep(1.5)
    assert verification(master)["verify_state"] == "no-replica" and number(master, "verify_checks_sent") == 0


def test_a_stock_replica_beside_one_of_ours_takes_the_checks_silently(farm):
    master, replica = pair(farm)
    redis = farm.server("redis")
    replicate(redis, master)
    with WriteLoad(master.address, seed=9, short_ttls=False) as load:
        load.wait_done(500)
        wait_rounds(replica, 2)
    wait_in_sync(master, replica, redis)
    assert_same(master, redis)
    assert number(replica, "verify_mismatches") == 0
    assert not redis.log_contains("CRITICAL") and not redis.log_contains("lockstep")

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
    """A master, and a replica with these lines in its configuration."""
    master, replica = farm.server("ours", *VERIFY), farm.server("ours", *lines)
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


@pytest.mark.parametrize("options", [(), ("NOSAVE",)], ids=["save", "nosave"])
def test_keys_that_a_reload_leaves_out_as_expired_go_on_replicas_too(farm, options):
    master, replica = pair(farm, "appendonly yes")
    master.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    master.call("SET", "stays", "v")
    master.call("SET", "expired", "v", "PX", 20)
    master.call("SAVE")
    time.sleep(0.05)
    assert master.call("DEBUG", "RELOAD", *options) == "OK"
    wait_in_sync(master, replica)
    assert master.call("DBSIZE") == replica.call("DBSIZE") == 1
    assert strict_digest(master) == strict_digest(replica)
    replica.kill()
    replica.start()
    assert strict_digest(master) == strict_digest(replica)


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


def test_checks_go_on_after_a_promotion(farm):
    """The former master becomes a replica of the promoted one, which checks both of its replicas."""
    master, promoted, sibling = (farm.server("ours", *VERIFY) for _ in range(3))
    replicate(promoted, master)
    replicate(sibling, master)
    with WriteLoad(master.address, seed=5) as load:
        load.wait_done(1000)
        wait_rounds(sibling, 1)
    wait_in_sync(master, promoted, sibling)
    promoted.call("REPLICAOF", "NO", "ONE")
    for server in (sibling, master):
        replicate(server, promoted)
    with WriteLoad(promoted.address, seed=6) as load:
        load.wait_done(1000)
        for server in (sibling, master):
            wait_rounds(server, 2)
    wait_in_sync(promoted, master, sibling)
    assert promoted.info("stats")["sync_full"] == "0"
    for server in (promoted, master, sibling):
        assert number(server, "verify_mismatches") == 0, verification(server)
    with promoted.session() as wire:
        fill(wire)
    wait_in_sync(promoted, master, sibling)
    for server in (sibling, master):
        assert server.call("DEBUG", "REPLICA-DAMAGE", *DAMAGES["a pending entry"][0]) == "OK"
        wait_for(lambda server=server: number(server, "verify_mismatches") > 0, 6.0)


REPAIR = "replica-verify-repair yes"


def wait_mended(master, replica, timeout=15.0):
    """Waits until the data are equal again, by repairs alone."""
    full = master.info("stats")["sync_full"]
    wait_for(lambda: strict_digest(master) == strict_digest(replica), timeout, lambda: f"{verification(replica)}")
    assert master.info("stats")["sync_full"] == full and number(replica, "repair_full_syncs") == 0
    before = number(replica, "verify_mismatches")
    wait_rounds(replica, 2)
    assert number(replica, "verify_mismatches") == before, verification(replica)


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_is_mended_without_a_full_synchronization(farm, what):
    master, replica = pair(farm, REPAIR)
    with master.session() as wire:
        fill(wire)
    wait_in_sync(master, replica)
    wait_rounds(replica, 1)
    assert replica.call("DEBUG", "REPLICA-DAMAGE", *DAMAGES[what][0]) == "OK"
    assert strict_digest(master) != strict_digest(replica)
    wait_mended(master, replica)
    assert number(replica, "repair_ranges_mended") >= 1 and number(master, "repair_ranges_sent") >= 1


BIG_DAMAGES = {  # what the replica alone executes
    "a member of a big set is lost": ("SREM", "set", 777),
    "a member of a big set too many": ("SADD", "set", "extra"),
    "the end of a long list is lost": ("LTRIM", "list", 0, 40_000),
    "a long list is longer": ("RPUSH", "list", "x", "y"),
    "a big string is longer": ("APPEND", "string", "more"),
    "a big string is shorter": ("SET", "string", "x" * 200_000),
    "a big set is a list": ("RPUSH", "set2", *range(2000)),
    "a big set is gone": ("DEL", "set"),
    "a big set has an expiry": ("PEXPIREAT", "set", 4102444800000),
    "a big value too many": ("SADD", "extra", *range(3000)),
    "a function": ("FUNCTION", "DELETE", "lib"),
    "a field of a big hash": ("HSET", "hash", "field:77", "damaged"),
    "the expiry of a field of a big hash": ("HPEXPIREAT", "hash", 4102444800000, "FIELDS", 1, "field:77"),
    "a score in a big sorted set": ("ZADD", "zset", 0.5, "member:77"),
    "an entry of a big stream": ("XDEL", "big", "77-1"),
    "a group of a big stream": ("XGROUP", "DESTROY", "big", "group"),
    "the last id of a big stream": ("XSETID", "big", "5000-1"),
    "everything": ("FLUSHALL",),
}


@pytest.mark.parametrize("what", BIG_DAMAGES)
def test_big_values_are_mended_by_part(farm, what):
    master, replica = pair(farm, REPAIR)
    with master.session() as wire:
        fill(wire)
        wire.call("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
        wire.call("SADD", "set2", *range(2000, 4000))
        wire.call("HSET", "hash", *[x for n in range(3000) for x in (f"field:{n}", n)])
        wire.call("HPEXPIREAT", "hash", 4102444800123, "FIELDS", 1, "field:78")
        wire.call("ZADD", "zset", *[x for n in range(3000) for x in (n * 0.37, f"member:{n}")])
        wire.pipeline([("XADD", "big", f"{n}-1", "field", n) for n in range(1, 2000)])
        wire.call("XGROUP", "CREATE", "big", "group", 0)
        wire.call("XREADGROUP", "GROUP", "group", "reader", "COUNT", 1500, "STREAMS", "big", ">")
    wait_in_sync(master, replica)
    with replica.session() as wire:
        wire.call("CONFIG", "SET", "replica-read-only", "no")
        if what == "a big set is a list":
            wire.call("DEL", "set2")
        wire.call(*BIG_DAMAGES[what])
        wire.call("CONFIG", "SET", "replica-read-only", "yes")
    assert strict_digest(master) != strict_digest(replica)
    wait_mended(master, replica, timeout=30.0)


def test_repair_under_writes_and_through_a_chain(farm):
    master, middle = pair(farm, REPAIR)
    last = farm.server("ours", REPAIR)
    redis = farm.server("redis")
    replicate(last, middle)
    replicate(redis, master)
    wait_in_sync(master, middle, last, redis)
    with WriteLoad(master.address, seed=4, short_ttls=False) as load:
        load.wait_done(500)
        for replica in (last, middle, last):
            assert replica.call("DEBUG", "REPLICA-DAMAGE", "KEY", "extra") == "OK"
            before = number(replica, "repair_ranges_mended")
            wait_for(lambda peer=replica, before=before: number(peer, "repair_ranges_mended") > before, 15.0)
    wait_in_sync(master, middle, last, redis)
    assert_same(master, middle, last)
    assert_same(master, redis)
    assert number(middle, "repair_full_syncs") == number(last, "repair_full_syncs") == 0


def test_a_master_that_does_not_answer_ends_in_a_full_synchronization(farm):
    """A stream above the limit of a unit is not repaired by part: three requests have no answer."""
    master, replica = pair(farm, REPAIR)
    with master.session(timeout=60) as wire:
        wire.pipeline([("XADD", "stream", f"{n}-1", "field", "x" * 10_000) for n in range(1, 2500)])
        wire.call("XGROUP", "CREATE", "stream", "group", 0)
        wire.call("XREADGROUP", "GROUP", "group", "reader", "COUNT", 20, "STREAMS", "stream", ">")
    wait_in_sync(master, replica)
    assert replica.call("DEBUG", "REPLICA-DAMAGE", "PENDING", "stream", "group") == "OK"
    wait_for(lambda: number(replica, "repair_full_syncs") == 1, 90.0, lambda: f"{verification(replica)}")
    wait_in_sync(master, replica)
    assert strict_digest(master) == strict_digest(replica)
    assert number(master, "repair_ranges_too_big") == 3


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_big_stream_that_is_written_to_ends_in_a_full_synchronization(farm):
    """Its ranges have other bounds in each round, but it is the same value that cannot be mended."""
    master, replica = pair(farm, REPAIR)
    with master.session(timeout=60) as wire:
        for start in range(1, 200_001, 1000):
            wire.pipeline([("XADD", "stream", f"{n}-1", "field", "x" * 100) for n in range(start, start + 1000)])
    wait_in_sync(master, replica)
    replica.config_set("replica-read-only", "no")
    assert replica.call("XDEL", "stream", "100000-1") == 1
    replica.config_set("replica-read-only", "yes")

    def gives_up():
        master.call("XADD", "stream", "*", "field", "y" * 100)
        return number(replica, "repair_full_syncs") == 1

    wait_for(gives_up, 100.0, lambda: f"{verification(replica)}")
    wait_in_sync(master, replica)
    assert strict_digest(master) == strict_digest(replica)


def test_what_a_writable_replica_has_of_its_own_is_kept(farm):
    """Another replica's repair deletes nothing there."""
    master, damaged = pair(farm, REPAIR)
    writable = farm.server("ours", REPAIR, "replica-read-only no")
    replicate(writable, master)
    with master.session() as wire:
        fill(wire)
    wait_in_sync(master, damaged, writable)
    for command in (("SET", "mine", "1"), ("SADD", "my set", *range(3000)), ("SADD", "set", "mine")):
        assert writable.call(*command)
    assert damaged.call("DEBUG", "REPLICA-DAMAGE", "LOST", "key:99") == "OK"
    damaged.config_set("replica-read-only", "no")
    assert damaged.call("DEL", "set") == 1
    damaged.config_set("replica-read-only", "yes")
    wait_mended(master, damaged, 30.0)
    wait_in_sync(master, damaged, writable)
    assert writable.call("EXISTS", "mine", "my set") == 2 and writable.call("SISMEMBER", "set", "mine") == 1


def test_requests_that_a_master_refuses(farm):
    """Of a range that was not checked, of another secret, malformed, and of a peer that is no replica."""
    master, replica = pair(farm)
    wait_rounds(replica, 1)
    fingerprint = int(master.info("replication")["key_hash_fingerprint"], 16)
    with master.wire() as wire:
        wire.call("REPLCONF", "capa", "lockstep-verify", "capa", "eof", "capa", "psync2")
        wire.send_command("REPLCONF", "lockstep-repair", f"{fingerprint} keys 0 15 0 0")  # it is no replica yet
        assert wire.call("PING") == "PONG"
        assert number(master, "repair_requests_refused") == 0
        wire.send_command("PSYNC", "?", "-1")
        wait_for(lambda: master.info("replication")["connected_slaves"] == "2", 5.0)
        for request in (f"{fingerprint} keys 0 15 1 0", f"{fingerprint + 1} keys 0 15 0 0", "nonsense"):
            wire.send_command("REPLCONF", "lockstep-repair", request)
        wait_for(lambda: number(master, "repair_requests_refused") == 3, 5.0)
        assert number(master, "repair_ranges_sent") == 0
        for _ in range(20):  # the same request is served once while it waits
            wire.send_command("REPLCONF", "lockstep-repair", f"{fingerprint} keys 0 15 0 0")
        wait_for(lambda: number(master, "repair_ranges_sent") > 0, 5.0)
        assert number(master, "repair_ranges_sent") < 20
    assert number(replica, "verify_mismatches") == 0  # an answer that it has not asked for changes nothing


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


def test_nothing_is_sent_while_streams_lose_properties_on_the_way(farm):
    """With rdb-version 9, for replicas of Redis 6, no file and no command of the stream has them."""
    master, replica = farm.server("ours", *VERIFY, "rdb-version 9"), farm.server("ours", REPAIR)
    with master.session() as wire:
        for n in range(1, 9):
            wire.call("XADD", "stream", f"{n}-1", "field", n)
        wire.call("XDEL", "stream", "3-1", "8-1")
        wire.call("XGROUP", "CREATE", "stream", "group", 0)
        replicate(replica, master)
        wait_in_sync(master, replica)
        wire.call("XREADGROUP", "GROUP", "group", "reader", "COUNT", 2, "STREAMS", "stream", ">")
    wait_in_sync(master, replica)
    assert strict_digest(master) != strict_digest(replica)
    assert verification(master)["verify_state"] == "rdb-version"
    master.config_set("rdb-version", "10")
    wait_mended(master, replica)
    assert number(replica, "verify_skipped") == 0
    sent = number(master, "verify_checks_sent")
    master.config_set("rdb-version", "9")
    assert verification(master)["verify_state"] == "rdb-version"
    assert number(replica, "verify_mismatches") > 0 and number(master, "verify_checks_sent") - sent < 3


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

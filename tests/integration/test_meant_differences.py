"""Intended differences from Redis, as docs/DIFFERENCES.md lists them."""

import time

import pytest

from dataset import wait_in_sync, wait_link_up
from hazards import attach, lower, stream_of, wait_past_ttl

pytestmark = pytest.mark.lockstep_only("a difference that is meant")


def test_fault_31_pfcount_on_a_replica_writes_nothing(farm, server):
    """Its copy keeps the bytes that the master's has, and PFCOUNT on the master tells the replica of the count."""
    replica = farm.server("ours", f"replicaof 127.0.0.1 {server.port}")
    wait_link_up(replica)
    server.call("PFADD", "h", *range(1000))
    wait_in_sync(server, replica)
    before = server.call("GET", "h")
    assert replica.call("GET", "h") == before
    counted = replica.call("PFCOUNT", "h")
    assert 900 < counted < 1100
    assert replica.call("GET", "h") == before
    assert server.call("PFCOUNT", "h") == counted
    assert server.call("GET", "h") != before
    wait_in_sync(server, replica)
    assert replica.call("GET", "h") == server.call("GET", "h")


def test_fault_31_xreadgroup_is_one_claim_and_the_position(farm, server):
    with server.session() as wire:
        for number in range(1, 6):
            wire.call("XADD", "s", f"{number}-0", "f", "v")
        wire.call("XGROUP", "CREATE", "s", "g", "0")
    since = int(time.time() * 1000)
    stream, _ = stream_of(farm, server, [("XREADGROUP", "GROUP", "g", "c", "COUNT", "4", "STREAMS", "s", ">")])
    begin, claim, position, end = lower(stream)
    assert (begin, end) == ([b"multi"], [b"exec"])
    at = claim.pop(10)
    assert since <= int(at) <= time.time() * 1000
    options = b"TIME RETRYCOUNT 1 FORCE JUSTID LASTID 4-0".split()
    assert claim == [b"xclaim", b"s", b"g", b"c", b"0", b"1-0", b"2-0", b"3-0", b"4-0", *options]
    assert position == [b"xgroup", b"SETID", b"s", b"g", b"4-0", b"ENTRIESREAD", b"4"]


def test_fault_31_expired_fields_are_one_deletion(farm, server):
    server.call("HSET", "h", *[word for name in "abcde" for word in (name, "v")])
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    fake = attach(farm, server)
    server.call("HPEXPIRE", "h", "1", "FIELDS", "4", *"abcd")
    wait_past_ttl(1)
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", "1")
    commands = []
    while not commands or commands[-1][0] != b"hdel":
        commands += lower([fake.command()])
    assert commands[-1][:2] == [b"hdel", b"h"]
    assert sorted(commands[-1][2:]) == [b"a", b"b", b"c", b"d"]
    assert server.call("HKEYS", "h") == [b"e"]

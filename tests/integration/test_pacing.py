"""Turns of the loop are delayed while much input arrives: requests share the cost of a turn, and nothing urgent is
late."""

import time

from harness import wait_for
from hazards import attach_to_fake_master


def turns(server):
    return int(server.info("stats")["eventloop_cycles"])


def test_stream_is_taken_in_fewer_turns(farm):
    """Writes that are sent one by one are applied in a few turns of 4 * 10 ms, not in thousands.

    Asking for the count is what a client does: until the window with it is over, some hundred turns are not paced."""
    replica, _, link = attach_to_fake_master(farm, "turn-interval-us 10000")
    before = turns(replica)
    for number in range(10_000):
        link.send_command("SET", f"key:{number}", "v")
    link.send_command("SET", "end", "1")
    wait_for(lambda: replica.call("GET", "end") == b"1", 10, "the stream to be applied", interval=0.2)
    assert replica.call("DBSIZE") == 10_001
    assert turns(replica) - before < 1000


def test_lone_client_never_waits(farm):
    """Ten thousand pings, each after the answer to the one before: at 10 ms each they would take 100 seconds."""
    server = farm.server("ours", "turn-interval-us 10000")
    client = server.wire()
    start = time.monotonic()
    for _ in range(10_000):
        client.send_command("PING")
        assert client.read() == "PONG"
    assert time.monotonic() - start < 30


def test_interval_is_a_directive(farm):
    server = farm.server("ours")
    assert server.config_get("turn-interval-us") == "100"
    server.config_set("turn-interval-us", "0")
    assert server.config_get("turn-interval-us") == "0"

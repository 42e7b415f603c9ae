"""Memory that a large request needed for a while is given back: buffers that only grow would count towards maxmemory
forever and evict data."""

import pytest

from harness import wait_for

MEGABYTE = 1 << 20


def used(server):
    return int(server.info("memory")["used_memory"])


def script_of_many_writes(server, client):
    client.call("EVAL", "for i = 1, 400000 do redis.call('SET', 'k', i) end", "0")


def transaction_of_many_writes(server, client):
    client.call("MULTI")
    client.pipeline([("SET", "k", "v")] * 400_000)
    client.call("EXEC")


def request_of_many_arguments(server, client):
    client.call("MGET", *["k"] * 500_000)


def script_that_leaves_garbage(server, client):
    client.call("EVAL", "local t = {} for i = 1, 300000 do t[i] = {i} end return #t", "0")


def script_with_a_big_reply_inside(server, client):
    client.call("SETRANGE", "big", 20 * MEGABYTE, "x")
    client.call("EVAL", "return #redis.call('GET', 'big')", "0")
    client.call("DEL", "big")


def many_keys_watched(server, client):
    client.call("WATCH", *(f"key:{number}" for number in range(100_000)))
    client.call("UNWATCH")


def many_keys_waited_for(server, client):
    client.call("BLPOP", *(f"key:{number}" for number in range(100_000)), "0.001")


def many_channels(server, client):
    names = [f"channel:{number}" for number in range(100_000)]
    client.send_command("SUBSCRIBE", *names)
    for _ in names:
        client.read()
    client.send_command("UNSUBSCRIBE")
    for _ in names:
        client.read()


def many_prefixes(server, client):
    client.call("HELLO", "3")
    words = [word for number in range(5000) for word in ("PREFIX", f"{number:06}" + "x" * number)]
    client.call("CLIENT", "TRACKING", "ON", "BCAST", *words)
    client.call("SET", "y" * 6000, "1")
    client.call("DEL", "y" * 6000)
    client.call("CLIENT", "TRACKING", "OFF")


def long_keys_offered_for_eviction(server, client):
    for number in range(30):
        client.call("SET", f"{number}" + "x" * MEGABYTE, "v", "EX", 1000)
    server.config_set("maxmemory-policy", "volatile-ttl")
    server.config_set("maxmemory", str(used(server) - 4 * MEGABYTE))
    wait_for(lambda: server.call("DBSIZE") < 30, 10, "keys to be evicted")
    server.config_set("maxmemory", "0")
    server.call("FLUSHALL")


def error_texts(server, client):
    client.pipeline([("EVAL", f"return redis.error_reply('CODE{number} x')", "0") for number in range(200)])
    client.call("SCRIPT", "FLUSH", "SYNC")


@pytest.mark.lockstep_only("what Redis keeps differs")
@pytest.mark.parametrize(
    "work",
    [
        script_of_many_writes,
        transaction_of_many_writes,
        request_of_many_arguments,
        script_that_leaves_garbage,
        script_with_a_big_reply_inside,
        many_keys_watched,
        many_keys_waited_for,
        many_channels,
        many_prefixes,
        long_keys_offered_for_eviction,
        error_texts,
    ],
    ids=lambda work: work.__name__,
)
def test_fault_20_what_was_needed_for_a_while_is_given_back(farm, work):
    # With a log the server keeps what a unit puts into the stream; the log itself is of no interest here.
    server = farm.server("ours", "appendonly yes", "appendfsync no", "auto-aof-rewrite-percentage 0", "maxmemory-clients 0")
    server.call("SET", "warm", "up")
    server.call("EVAL", "return redis.call('GET', 'warm')", "0")
    before = used(server)
    with server.wire(timeout=60) as client:
        work(server, client)
    wait_for(lambda: used(server) < before + MEGABYTE, 10, lambda: f"{used(server) - before} bytes to be given back")


@pytest.mark.lockstep_only("Redis copies the names of candidates too")
def test_fault_20_long_names_are_no_reason_to_evict(server):
    """The memory of eviction's candidate list does not itself cause eviction."""
    for number in range(30):
        server.call("SET", f"{number}" + "x" * MEGABYTE, "v", "EX", 1000)
    server.config_set("maxmemory-policy", "volatile-ttl")
    server.config_set("maxmemory", str(used(server) - 4 * MEGABYTE))
    wait_for(lambda: server.call("DBSIZE") < 30, 10, "keys to be evicted")
    wait_for(lambda: used(server) < int(server.config_get("maxmemory")), 10, "eviction to end")
    assert server.call("DBSIZE") > 20


def test_fault_20_memory_of_scripts_evicts_nothing(server):
    server.config_set("maxmemory-policy", "allkeys-lru")
    server.call("MSET", *(word for number in range(1000) for word in (f"key:{number}", "v" * 1000)))
    server.config_set("maxmemory", str(used(server) + 10 * MEGABYTE))
    script = "local t = {} for i = 1, 500000 do t[i] = {i} end return redis.call('SET', 'done', #t)"
    assert server.call("EVAL", script, "0") == "OK"
    server.call("SET", "after", "v")
    assert server.call("DBSIZE") == 1002
    assert server.info("stats")["evicted_keys"] == "0"

"""Memory under a limit: which keys each policy evicts, which commands are refused, and what others are told."""

import pytest

from dataset import assert_same, replicate, stat, wait_in_sync, wait_link_up
from harness import wait_for
from hazards import attach, lower
from wire import ReplyError

OOM = "OOM command not allowed when used memory > 'maxmemory'."
POLICIES = [
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
]
VALUE = "v" * 1000
ROOM = 4 << 20


def used_memory(server):
    return int(server.info("memory")["used_memory"])


def limit(server, policy, room=ROOM, **more):
    """Sets the limit to so many bytes more than are in use."""
    pairs = [word for name, value in more.items() for word in (name.replace("_", "-"), value)]
    server.config_set("maxmemory-policy", policy, "maxmemory", used_memory(server) + room, *pairs)


def fill(server, count, prefix="key:", options=(), first=0):
    """Sends SETs, 100 at a time; returns how many were refused for lack of memory."""
    refused = 0
    with server.session() as client:
        for start in range(first, first + count, 100):
            replies = client.pipeline(
                [("SET", f"{prefix}{start + i}", VALUE, *options) for i in range(min(100, first + count - start))]
            )
            for reply in replies:
                if isinstance(reply, ReplyError):
                    assert str(reply) == OOM, reply
                    refused += 1
    return refused


def counted(server, prefix, count):
    """How many of these keys exist; asking does not touch them."""
    with server.session() as client:
        return sum(client.pipeline([("EXISTS", f"{prefix}{i}") for i in range(count)]))


def within_limit(server):
    """Memory in use, without what the query itself needs: the connection and a reply of some kilobytes."""
    memory = server.info("memory")
    counted = int(memory["used_memory"]) - int(memory["mem_not_counted_for_evict"])
    return counted <= int(memory["maxmemory"]) + (32 << 10)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_each_policy_takes(server, policy):
    """Keys with and without an expiry, each kind twice as large as the room."""
    limit(server, policy)
    volatile_refused = fill(server, 8000, "volatile:", ("EX", 10_000))
    plain_refused = fill(server, 8000, "plain:")
    server.call("PING")
    wait_for(lambda: within_limit(server), 5, "memory to be under the limit")
    evicted = stat(server, "evicted_keys")
    if policy == "noeviction":
        assert evicted == 0 and volatile_refused > 1000 and plain_refused > 7500
    elif policy.startswith("allkeys"):
        assert volatile_refused == plain_refused == 0
        assert evicted > 8000
        assert counted(server, "plain:", 8000) > 0
    else:
        assert volatile_refused == 0
        assert counted(server, "volatile:", 8000) == 0, "all that may go went before a write was refused"
        assert 0 < plain_refused < 8000
        assert counted(server, "plain:", 8000) == 8000 - plain_refused, "keys without an expiry stay"
    assert (fill(server, 200, "more:") == 0) == policy.startswith("allkeys")


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru"])
def test_lru_keeps_what_was_used_lately(server, policy):
    """RESTORE sets idle times, so that no test has to wait for them."""
    server.config_set("maxmemory-policy", policy, "maxmemory-samples", 10)
    with server.session() as client:
        client.call("SET", "x", VALUE)
        payload = client.call("DUMP", "x")
        client.call("DEL", "x")
        for kind, idle in (("old", 10_000), ("fresh", 0)):
            client.pipeline([("RESTORE", f"{kind}:{i}", 10**7, payload, "IDLETIME", idle) for i in range(2000)])
    limit(server, policy, 0)
    fill(server, 1000, "new:", ("EX", 1000))
    old, fresh = counted(server, "old:", 2000), counted(server, "fresh:", 2000)
    assert old < 1200, (old, fresh)
    assert fresh > 1900, (old, fresh)


@pytest.mark.parametrize("policy", ["allkeys-lfu", "volatile-lfu"])
def test_lfu_keeps_what_is_used_often(server, policy):
    server.config_set("maxmemory-policy", policy, "maxmemory-samples", 10)
    with server.session() as client:
        client.call("SET", "x", VALUE)
        payload = client.call("DUMP", "x")
        client.call("DEL", "x")
        for kind, freq in (("rare", 1), ("often", 100)):
            client.pipeline([("RESTORE", f"{kind}:{i}", 10**7, payload, "FREQ", freq) for i in range(2000)])
    limit(server, policy, 0)
    fill(server, 1000, "new:", ("EX", 1000))
    rare, often = counted(server, "rare:", 2000), counted(server, "often:", 2000)
    assert rare < 1200, (rare, often)
    assert often > 1900, (rare, often)


def test_volatile_ttl_takes_what_goes_soonest(server):
    server.config_set("maxmemory-samples", 10)
    fill(server, 2000, "soon:", ("EX", 1000))
    fill(server, 2000, "late:", ("EX", 100_000))
    limit(server, "volatile-ttl", 0)
    fill(server, 1000, "new:", ("EX", 100_000))
    soon, late = counted(server, "soon:", 2000), counted(server, "late:", 2000)
    assert soon < 1200, (soon, late)
    assert late > 1900, (soon, late)


@pytest.mark.parametrize("policy", ["allkeys-random", "allkeys-lru"])
def test_all_databases_are_evicted_from(server, policy):
    commands = [("MULTI",)]  # all of them at one moment: none has been idle for longer than another
    for database in (0, 5, 15):
        commands += [("SELECT", database), *(("SET", f"k{i}", VALUE) for i in range(1000))]
    with server.session() as client:
        client.pipeline([*commands, ("EXEC",)])
    limit(server, policy, 0)
    fill(server, 2000, "new:")
    left = {name: int(row.split(",")[0].split("=")[1]) for name, row in server.info("keyspace").items()}
    assert left.get("db5", 0) < 1000 and left.get("db15", 0) < 1000, left


def test_what_needs_no_memory_is_not_refused(server):
    fill(server, 1000)
    limit(server, "noeviction", -(200 << 10))
    assert server.ask("SET", "more", "v") == ReplyError(OOM)
    assert server.ask("LPUSH", "more", "v") == ReplyError(OOM)
    assert server.call("GET", "key:1") == VALUE.encode()
    assert server.call("EXPIRE", "key:2", 100) == 1
    assert server.call("DEL", "key:1") == 1
    assert server.call("RENAME", "key:3", "other") == "OK"
    with server.session() as client:
        client.call("MULTI")
        assert client.ask("SET", "a", "b") == ReplyError(OOM)
        assert str(client.ask("EXEC")).startswith("EXECABORT")
    server.config_set("maxmemory", 0)
    assert server.call("SET", "more", "v") == "OK"


def test_a_lower_limit_takes_effect(server):
    fill(server, 10_000)
    server.config_set("maxmemory-policy", "allkeys-lru", "maxmemory", 6 << 20)

    def done():
        server.call("PING")
        return within_limit(server)

    wait_for(done, 10, "memory to go below the new limit")
    assert 0 < server.call("DBSIZE") < 6000


@pytest.mark.parametrize("lazy", ["no", "yes"])
def test_replicas_hear_of_each_key(farm, server, lazy):
    server.config_set("lazyfree-lazy-eviction", lazy)
    fill(server, 500)
    fake = attach(farm, server)
    limit(server, "allkeys-random", 0)
    server.call("SET", "more", VALUE * 20)
    server.config_set("maxmemory", 0)
    server.call("SET", "end", "v")
    evicted = stat(server, "evicted_keys")
    assert evicted > 0
    commands = lower(fake.commands_until(b"end"))
    kind = b"unlink" if lazy == "yes" else b"del"
    assert sum(command[0] == kind for command in commands) == evicted
    assert all(command[0] in (kind, b"set") for command in commands), "each by itself, in no transaction"


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru", "volatile-ttl"])
def test_X12_a_replica_over_its_limit_follows_its_master(farm, policy):
    master, replica = farm.server(), farm.server("ours", "maxmemory 1mb", f"maxmemory-policy {policy}")
    replicate(replica, master)
    wait_link_up(replica)
    fill(master, 3000, options=("EX", 10_000))
    wait_in_sync(master, replica)
    assert stat(replica, "evicted_keys") == 0
    assert_same(master, replica)


def test_a_replica_that_heeds_its_limit(farm):
    master = farm.server()
    replica = farm.server("ours", "replica-ignore-maxmemory no", "maxmemory-policy allkeys-lru")
    replicate(replica, master)
    wait_link_up(replica)
    fill(master, 3000, options=("PX", 600_000))
    wait_in_sync(master, replica)
    replica.config_set("maxmemory", "3mb")

    def done():
        replica.call("PING")
        return within_limit(replica)

    wait_for(done, 10, lambda: f"the replica to go below its limit: {replica.info()}")
    assert stat(replica, "evicted_keys") > 0
    assert master.call("DBSIZE") == 3000


def test_events_of_eviction(server):
    fill(server, 500)
    listener = server.wire()
    server.config_set("notify-keyspace-events", "Ee")
    listener.call("SUBSCRIBE", "__keyevent@0__:evicted")
    limit(server, "allkeys-lru", 0)
    server.call("SET", "more", VALUE * 20)
    server.call("PING")
    message = listener.read()
    assert message[1] == b"__keyevent@0__:evicted" and message[2].startswith(b"key:")
    listener.close()


def test_a_change_of_policy_forgets_what_the_old_one_thought(server):
    """Candidates chosen by idle time are not used for a policy by frequency."""
    fill(server, 2000)
    limit(server, "allkeys-lru", 0)
    fill(server, 50, "a:")
    server.config_set("maxmemory-policy", "volatile-ttl")
    before = server.call("DBSIZE")
    assert fill(server, 100, "b:") > 0, "nothing is volatile, so nothing goes"
    assert counted(server, "key:", 2000) + counted(server, "a:", 50) >= before - 1

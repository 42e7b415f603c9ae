"""Replication between Lockstep and Redis, both ways: full and partial syncs, chains, promotions; after each the datasets
are compared by DEBUG DIGEST and key by key."""

import contextlib
import random

import pytest

import rdbfile
from dataset import (
    WriteLoad,
    assert_same,
    fill_every_encoding,
    fill_strings,
    offset,
    replicate,
    stat,
    wait_in_sync,
    wait_link_down,
    wait_link_up,
)
from harness import wait_for
from proxy import Proxy
from wire import pairs_to_dict

DIRECTIONS = [("redis", "ours"), ("ours", "redis"), ("ours", "ours")]
PAIRS = pytest.mark.parametrize(
    "kinds", DIRECTIONS, ids=["redis-to-lockstep", "lockstep-to-redis", "lockstep-to-lockstep"]
)
FROM_REDIS = [("redis", "ours"), ("ours", "redis")]
CROSS_PAIRS = pytest.mark.parametrize("kinds", FROM_REDIS, ids=["redis-to-lockstep", "lockstep-to-redis"])


# Enough history for a cut under load to last as long as a slow machine makes it.
ROOMY = "repl-backlog-size 64mb"


def replicaof(master):
    return f"replicaof 127.0.0.1 {master.port}"


@contextlib.contextmanager
def under_load(server, writes=2000, **options):
    """Runs the body under write load, with `writes` commands before and after it."""
    with WriteLoad(server.address, **options) as load:
        load.wait_done(writes)
        yield load
        load.wait_done(writes)


# Full syncs


@PAIRS
@pytest.mark.parametrize("diskless", ["yes", "no"], ids=["socket", "file"])
def test_full_sync_of_every_encoding_under_load(farm, kinds, diskless):
    master = farm.server(kinds[0], f"repl-diskless-sync {diskless}")
    fill_every_encoding(master)
    with under_load(master):
        replica = farm.server(kinds[1], replicaof(master))
        wait_link_up(replica)
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert stat(master, "sync_full") == 1


@CROSS_PAIRS
@pytest.mark.parametrize("load", ["disabled", "on-empty-db", "swapdb"])
@pytest.mark.parametrize("diskless", ["yes", "no"], ids=["socket", "file"])
def test_diskless_load_variants_replace_old_data(farm, kinds, load, diskless):
    """The replica held other data; none of them is left."""
    master = farm.server(kinds[0], f"repl-diskless-sync {diskless}")
    replica = farm.server(kinds[1], f"repl-diskless-load {load}")
    fill_every_encoding(master, databases=(0, 7))
    fill_strings(replica, 1000, prefix="old:")
    fill_strings(replica, 10, prefix="old:", database=12)
    replicate(replica, master)
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert replica.call("DBSIZE") == master.call("DBSIZE")


@pytest.mark.slow
@CROSS_PAIRS
def test_full_sync_of_many_keys_under_heavy_load(farm, kinds):
    """F14: entries move between buckets while the snapshot is taken; none is left out."""
    master = farm.server(kinds[0])
    fill_strings(master, 20000)
    loads = [WriteLoad(master.address, seed=seed, keys=2000, batch=50).start() for seed in (1, 2)]
    for load in loads:
        farm.helper(load)
        load.wait_done(3000)
    replica = farm.server(kinds[1], replicaof(master))
    fill_strings(master, 15000, prefix="new:")
    wait_link_up(replica)
    for load in loads:
        load.wait_done(3000)
        load.stop()
    wait_in_sync(master, replica)
    assert_same(master, replica)


@pytest.mark.slow
@PAIRS
def test_snapshot_larger_than_every_buffer_over_a_socket(farm, kinds):
    """Some megabytes in small keys and in a big one, with the settings that a server has of its own: no file is made,
    and one attempt is enough."""
    master = farm.server(kinds[0])
    rnd = random.Random(4)
    with master.session(timeout=60) as wire:
        wire.call("SET", "big", rnd.randbytes(6 << 20))
        for start in range(0, 15000, 1000):
            batch = [("SET", f"key:{n}", rnd.randbytes(400)) for n in range(start, start + 1000)]
            assert set(wire.pipeline(batch)) == {"OK"}
    replica = farm.server(kinds[1], replicaof(master))
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert stat(master, "sync_full") == 1
    assert int(replica.info("memory")["used_memory_dataset"]) > 11 << 20
    assert not (master.directory / "dump.rdb").exists()


@pytest.mark.slow
@PAIRS
def test_big_values(farm, kinds):
    master = farm.server(kinds[0])
    master.call("SET", "big:string", b"0123456789abcdef" * (1 << 19))
    master.call("RPUSH", "big:list", *[bytes([65 + n]) * (1 << 20) for n in range(4)])
    master.call("HSET", "big:hash", "f", b"h" * (3 << 20), "g", "1")
    replica = farm.server(kinds[1], replicaof(master))
    wait_in_sync(master, replica)
    master.call("SET", "big:streamed", b"s" * (8 << 20))
    master.call("APPEND", "big:string", b"x" * (5 << 20))
    master.call("SADD", "big:set", b"m" * (3 << 20), b"n" * (3 << 20))
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert stat(master, "sync_full") == 1


def test_X4_what_only_the_older_master_accepts(farm):
    """XSETID below the greatest deleted id: 7.0 does it, 7.2 refuses it, and a replica of either follows."""
    master = farm.server("redis", "repl-diskless-sync-delay 0")
    replica = farm.server("ours", replicaof(master), "appendonly yes")
    wait_in_sync(master, replica)
    for words in ("XADD s 5-0 a b", "XADD s 9-0 a b", "XDEL s 9-0", "XSETID s 7-0", "XADD s 8-0 a b"):
        master.call(*words.split())
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert not replica.log_contains("CRITICAL")
    assert replica.call("DEBUG", "LOADAOF") == "OK"
    assert_same(master, replica)


@CROSS_PAIRS
def test_empty_master_clears_the_replica(farm, kinds):
    master, replica = farm.server(kinds[0]), farm.server(kinds[1])
    fill_strings(replica, 100)
    replicate(replica, master)
    wait_in_sync(master, replica)
    assert replica.call("DBSIZE") == 0
    assert_same(master, replica)


@CROSS_PAIRS
def test_two_replicas_share_one_snapshot(farm, kinds):
    master = farm.server(kinds[0], "repl-diskless-sync-delay 1")
    fill_strings(master, 5000)
    replicas = [farm.server(kinds[1], replicaof(master)) for _ in range(2)]
    wait_in_sync(master, *replicas)
    assert_same(master, *replicas)
    assert stat(master, "total_forks") <= 1


# Passwords


@CROSS_PAIRS
def test_password(farm, kinds):
    master = farm.server(kinds[0], "requirepass s3cret")
    fill_strings(master, 100)
    replica = farm.server(kinds[1], "masterauth wrong", "requirepass other", replicaof(master))
    wait_for(lambda: "WRONGPASS" in replica.log() or "invalid" in replica.log(), 10, "the refusal to be logged")
    assert replica.info("replication")["master_link_status"] == "down"
    replica.config_set("masterauth", "s3cret")
    wait_in_sync(master, replica)
    assert_same(master, replica)


@CROSS_PAIRS
def test_user_and_password(farm, kinds):
    master = farm.server(kinds[0], "requirepass s3cret")
    fill_strings(master, 100)
    replica = farm.server(kinds[1], "masteruser default", "masterauth s3cret", replicaof(master))
    wait_in_sync(master, replica)
    assert_same(master, replica)


# Partial syncs


@PAIRS
def test_link_cuts_give_partial_syncs(farm, kinds):
    master = farm.server(kinds[0], ROOMY)
    proxy = farm.helper(Proxy(master.address))
    fill_every_encoding(master, databases=(0, 3))
    replica = farm.server(kinds[1])
    replicate(replica, proxy)
    wait_in_sync(master, replica)
    with WriteLoad(master.address) as load:
        for count in range(1, 6):
            load.wait_done(800)
            proxy.cut()
            wait_for(lambda n=count: stat(master, "sync_partial_ok") >= n, 15, "a partial sync")
            wait_link_up(replica)
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert stat(master, "sync_full") == 1


@PAIRS
def test_long_cut_that_the_backlog_covers(farm, kinds):
    master = farm.server(kinds[0], ROOMY)
    proxy = farm.helper(Proxy(master.address))
    replica = farm.server(kinds[1])
    replicate(replica, proxy)
    wait_in_sync(master, replica)
    proxy.refuse()
    wait_link_down(replica)
    with WriteLoad(master.address) as load:
        load.wait_done(10000)
    proxy.allow()
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert (stat(master, "sync_full"), stat(master, "sync_partial_ok")) == (1, 1)


@PAIRS
def test_long_cut_that_the_backlog_does_not_cover(farm, kinds):
    master = farm.server(kinds[0], "repl-backlog-size 16kb")
    proxy = farm.helper(Proxy(master.address))
    replica = farm.server(kinds[1])
    replicate(replica, proxy)
    wait_in_sync(master, replica)
    proxy.refuse()
    wait_link_down(replica)
    with WriteLoad(master.address) as load:
        load.wait_done(10000)
    master.call("SET", "big", "x" * 200000)
    proxy.allow()
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert stat(master, "sync_full") == 2
    assert stat(master, "sync_partial_ok") == 0
    assert stat(master, "sync_partial_err") >= 1


@CROSS_PAIRS
def test_slow_link_is_served_without_a_second_full_sync(farm, kinds):
    master = farm.server(kinds[0])
    proxy = farm.helper(Proxy(master.address))
    fill_strings(master, 3000, size=300)
    proxy.throttle(2 << 20)
    replica = farm.server(kinds[1])
    replicate(replica, proxy)
    with under_load(master, writes=3000):
        wait_link_up(replica)
    proxy.throttle(None)
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert stat(master, "sync_full") == 1


@CROSS_PAIRS
def test_cut_during_the_snapshot_is_tried_again(farm, kinds):
    master = farm.server(kinds[0])
    proxy = farm.helper(Proxy(master.address))
    for number in range(20):
        master.call("SET", f"k{number}", random.randbytes(200000))
    proxy.throttle(1 << 20)
    replica = farm.server(kinds[1])
    replicate(replica, proxy)
    wait_for(lambda: proxy.bytes_down > 300000, 20, "part of the snapshot to pass")
    proxy.throttle(None)
    proxy.cut()
    wait_in_sync(master, replica)
    assert_same(master, replica)


# Restarts


@CROSS_PAIRS
def test_replica_restart_continues_partially(farm, kinds):
    """A replica that shut down with a file knows the history and the offset it had."""
    master = farm.server(kinds[0], ROOMY)
    replica = farm.server(kinds[1], "save 3600 1000000", replicaof(master))
    wait_in_sync(master, replica)
    fill_every_encoding(master, databases=(0, 9))
    wait_in_sync(master, replica)
    assert replica.terminate() == 0
    with WriteLoad(master.address) as load:
        load.wait_done(1000)
    replica.start()
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert (stat(master, "sync_full"), stat(master, "sync_partial_ok")) == (1, 1)


@CROSS_PAIRS
def test_crash_of_the_replica_ends_in_sync(farm, kinds):
    master = farm.server(kinds[0])
    replica = farm.server(kinds[1], replicaof(master))
    with under_load(master):
        wait_link_up(replica)
        replica.kill()
        replica.start()
        wait_link_up(replica)
    wait_in_sync(master, replica)
    assert_same(master, replica)


@CROSS_PAIRS
def test_restart_of_the_master(farm, kinds):
    master = farm.server(kinds[0], "save 3600 1000000")
    replica = farm.server(kinds[1], replicaof(master))
    fill_every_encoding(master, databases=(0, 5))
    wait_in_sync(master, replica)
    assert master.terminate() == 0
    wait_link_down(replica)
    master.start()
    with under_load(master, writes=500):
        wait_link_up(replica)
    wait_in_sync(master, replica)
    assert_same(master, replica)


# Chains

CHAINS = [("redis", "ours", "redis"), ("ours", "redis", "ours"), ("ours", "ours", "ours")]
CHAIN = pytest.mark.parametrize(
    "kinds", CHAINS, ids=["redis-lockstep-redis", "lockstep-redis-lockstep", "all-lockstep"]
)


def make_chain(farm, kinds):
    top = farm.server(kinds[0], ROOMY)
    fill_every_encoding(top, databases=(0, 4))
    middle = farm.server(kinds[1], ROOMY, replicaof(top))
    wait_link_up(middle)
    proxies = [farm.helper(Proxy(server.address)) for server in (top, middle)]
    replicate(middle, proxies[0])
    bottom = farm.server(kinds[2])
    replicate(bottom, proxies[1])
    wait_in_sync(top, middle, bottom)
    return top, middle, bottom, proxies


@CHAIN
def test_chain_under_load(farm, kinds):
    top, middle, bottom, _ = make_chain(farm, kinds)
    with WriteLoad(top.address) as load:
        load.wait_done(5000)
    wait_in_sync(top, middle, bottom)
    assert_same(top, middle, bottom)
    ids = {server.info("replication")["master_replid"] for server in (top, middle, bottom)}
    assert len(ids) == 1


@CHAIN
def test_chain_with_cuts_of_both_links(farm, kinds):
    top, middle, bottom, proxies = make_chain(farm, kinds)
    full = [stat(server, "sync_full") for server in (top, middle)]
    with WriteLoad(top.address) as load:
        for _ in range(3):
            for proxy, replica in zip(proxies, (middle, bottom)):
                load.wait_done(300)
                accepted = proxy.accepted
                proxy.cut()
                wait_for(lambda p=proxy, n=accepted: p.accepted > n, 15, "the replica to come back")
                wait_link_up(replica)
    wait_in_sync(top, middle, bottom)
    assert_same(top, middle, bottom)
    assert [stat(server, "sync_full") for server in (top, middle)] == full
    assert stat(top, "sync_partial_ok") >= 3
    assert stat(middle, "sync_partial_ok") >= 3


@CHAIN
def test_P9_offsets_of_an_idle_chain_stay_equal(farm, kinds):
    """PINGs are part of the stream all the way down."""
    top, middle, bottom, _ = make_chain(farm, kinds)
    top.config_set("repl-ping-replica-period", 1)
    start = offset(top)
    wait_for(lambda: offset(top) >= start + 2 * 14, 10, "two PINGs in the stream")
    wait_in_sync(top, middle, bottom)
    with WriteLoad(top.address) as load:
        load.wait_done(300)
    wait_in_sync(top, middle, bottom)
    assert_same(top, middle, bottom)


# Promotion

SIBLINGS = pytest.mark.parametrize(
    "kinds",
    [("redis", "ours", "redis"), ("ours", "redis", "ours"), ("ours", "ours", "redis"), ("redis", "ours", "ours")],
    ids="-".join,
)


@SIBLINGS
def test_siblings_continue_after_promotion(farm, kinds):
    """master dies, one replica is promoted and takes writes before its sibling comes: +CONTINUE by the second id."""
    master = farm.server(kinds[0], ROOMY)
    promoted, sibling = (farm.server(kind, ROOMY, replicaof(master)) for kind in kinds[1:])
    wait_in_sync(master, promoted, sibling)
    with WriteLoad(master.address) as load:
        load.wait_done(2000)
    wait_in_sync(master, promoted, sibling)
    old_id = master.info("replication")["master_replid"]
    master.kill()
    assert promoted.call("REPLICAOF", "NO", "ONE") == "OK"
    promoted.call("SET", "made:in:the:gap", "1")
    info = promoted.info("replication")
    assert info["master_replid2"] == old_id and info["master_replid"] != old_id
    with under_load(promoted, writes=500):
        replicate(sibling, promoted)
        wait_link_up(sibling)
    wait_in_sync(promoted, sibling)
    assert_same(promoted, sibling)
    assert sibling.call("GET", "made:in:the:gap") == b"1"
    assert (stat(promoted, "sync_full"), stat(promoted, "sync_partial_ok")) == (0, 1)
    assert sibling.info("replication")["master_replid"] == promoted.info("replication")["master_replid"]


@PAIRS
def test_old_master_continues_as_a_replica(farm, kinds):
    """A hand-over without loss: the old master asks with its own id and offset, and gets +CONTINUE."""
    master = farm.server(kinds[0], ROOMY)
    promoted = farm.server(kinds[1], ROOMY, replicaof(master))
    with WriteLoad(master.address) as load:
        load.wait_done(2000)
    wait_in_sync(master, promoted)
    assert promoted.call("REPLICAOF", "NO", "ONE") == "OK"
    replicate(master, promoted)
    with under_load(promoted, writes=500):
        wait_link_up(master)
    wait_in_sync(promoted, master)
    assert_same(promoted, master)
    assert (stat(promoted, "sync_full"), stat(promoted, "sync_partial_ok")) == (0, 1)


@SIBLINGS
def test_sub_replica_moves_up_with_its_master(farm, kinds):
    """When the middle of a chain is promoted, its replicas continue, with a partial resynchronization at most."""
    master = farm.server(kinds[0], ROOMY)
    middle = farm.server(kinds[1], ROOMY, replicaof(master))
    bottom = farm.server(kinds[2], replicaof(middle))
    wait_in_sync(master, middle, bottom)
    with WriteLoad(master.address) as load:
        load.wait_done(1000)
    wait_in_sync(master, middle, bottom)
    full = stat(middle, "sync_full")
    assert middle.call("REPLICAOF", "NO", "ONE") == "OK"
    with under_load(middle, writes=500):
        wait_link_up(bottom)
    wait_in_sync(middle, bottom)
    assert_same(middle, bottom)
    assert stat(middle, "sync_full") == full


@CROSS_PAIRS
def test_replica_moves_to_another_master_and_back(farm, kinds):
    first, second = farm.server(kinds[0]), farm.server(kinds[0])
    fill_strings(first, 500, prefix="first:")
    fill_strings(second, 500, prefix="second:")
    replica = farm.server(kinds[1], replicaof(first))
    wait_in_sync(first, replica)
    assert_same(first, replica)
    replicate(replica, second)
    wait_in_sync(second, replica)
    assert_same(second, replica)
    replicate(replica, first)
    wait_in_sync(first, replica)
    assert_same(first, replica)


# Values that Redis makes and this server does not


def _dead_node(wire):
    """N4, N10: XTRIM leaves a node without live entries."""
    wire.pipeline([("XADD", "s", "1-0", "f", "v"), ("XADD", "s", "2-0", "f", "v"), ("XDEL", "s", "2-0")])
    assert wire.call("XTRIM", "s", "MINID", "=", "2-0") == 1


def _dead_node_first(wire):
    _dead_node(wire)
    wire.call("XADD", "s", "3-0", "g", "w")
    wire.call("XADD", "s", "4-0", "f", "w")


def _below_the_node(wire):
    """The remaining node has a higher id than the entries that XSETID then permits, so a later node has lower ids."""
    wire.pipeline([("XADD", "s", "9-0", "f", "v"), ("XADD", "s", "10-0", "f", "v"), ("XDEL", "s", "10-0")])
    wire.pipeline([("XTRIM", "s", "MINID", "10-0"), ("XSETID", "s", "3-0", "ENTRIESADDED", "2", "MAXDELETEDID", "0-1")])
    for at in range(4, 9):
        wire.call("XADD", "s", f"{at}-0", "f", at)


def _entries_read_overflow(wire):
    wire.call("XADD", "s", "1-0", "f", "v")
    wire.call("XADD", "s", "2-0", "f", "v")
    wire.call("XGROUP", "CREATE", "s", "g", "0", "ENTRIESREAD", 2**63 - 1)
    wire.call("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "STREAMS", "s", ">")


ODD_STREAMS = [_dead_node, _dead_node_first, _below_the_node, _entries_read_overflow]


def _facts(server):
    """The content of a stream, whatever its order: ids, values, length, pending entries."""
    with server.session() as wire:
        entries = sorted((id, tuple(pairs)) for id, pairs in wire.call("XRANGE", "s", "-", "+"))
        assert len(entries) == wire.call("XLEN", "s")
        groups = [pairs_to_dict(row) for row in wire.call("XINFO", "GROUPS", "s")]
        info = pairs_to_dict(wire.call("XINFO", "STREAM", "s"))
        last, deleted = info[b"last-generated-id"], info[b"max-deleted-entry-id"]
        return entries, last, deleted, info[b"entries-added"], [(row[b"name"], row[b"pending"]) for row in groups]


@pytest.mark.parametrize("fill", ODD_STREAMS)
@pytest.mark.parametrize("limit", [2, 100])
def test_fault_12_N4_N10_odd_streams_of_redis_are_taken(farm, fill, limit):
    """Streams from RESTORE, a file and a full synchronization can be written to, and Redis accepts them."""
    redis = farm.server("redis", f"stream-node-max-entries {limit}")
    with redis.session() as wire:
        fill(wire)
        payload = wire.call("DUMP", "s")
        wire.call("SAVE")
    wanted = _facts(redis)
    restored = farm.server("ours")
    assert restored.call("RESTORE", "s", 0, payload) == "OK"
    loaded = farm.server("ours", start=False)
    loaded.write_config()
    (loaded.directory / "dump.rdb").write_bytes((redis.directory / "dump.rdb").read_bytes())
    loaded.start()
    replica = farm.server("ours", replicaof(redis))
    wait_in_sync(redis, replica)
    for server in (restored, loaded, replica):
        assert _facts(server) == wanted
    back = farm.server("redis")
    assert back.call("RESTORE", "s", 0, restored.call("DUMP", "s")) == "OK"
    assert _facts(back) == wanted
    with restored.session() as wire:
        first = wire.call("XADD", "s", "100-0", "f", "v")
        assert wire.call("XTRIM", "s", "MAXLEN", "1") == len(wanted[0])
        assert wire.call("XRANGE", "s", "-", "+") == [[first, [b"f", b"v"]]]
        assert wire.call("XDEL", "s", first) == 1
        assert wire.call("XINFO", "STREAM", "s")[1] == 0


def test_fault_12_length_that_is_not_the_number_of_entries(farm):
    """Streams in old files, of each type that streams have had."""
    node = [((1, 0), {b"f": b"v"}, False), ((2, 0), {b"f": b"v"}, True), ((3, 0), {b"g": b"w"}, False)]
    for kind in (15, 19, 21):
        value = rdbfile.stream([node], (3, 0), [], kind)
        at = len(rdbfile.length(1) + rdbfile.stream_node(node))
        assert value[at] == 2
        wrong = value[:at] + b"\x07" + value[at + 1 :]
        server = farm.server("ours")
        assert server.call("RESTORE", "s", 0, rdbfile.dump_payload(bytes([kind]) + wrong)) == "OK"
        assert _facts(server)[0] == [(b"1-0", (b"f", b"v")), (b"3-0", (b"g", b"w"))]

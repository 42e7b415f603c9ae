"""A disk that does not take the log: what it costs, who notices, and how the server recovers."""

import pytest

import aoffiles
from dataset import assert_same, digest, stat, wait_in_sync
from harness import wait_for
from smalldisk import CannotMount, SmallDisk
from test_aof import ON, settled, written
from wire import Closed, ReplyError

MB = 1024 * 1024
PINNED_MAX = 16 * MB
NO_REWRITES = "auto-aof-rewrite-percentage 0"


@pytest.fixture
def small_disk(request):
    """Mounts a file system before the server starts, and unmounts it when the processes of the test have ended."""
    disks = []

    def mount(server, size_mb=8):
        server.write_config()
        try:
            disks.append(SmallDisk(aoffiles.directory(server), size_mb))
        except CannotMount as err:
            pytest.skip(f"a file system of limited size cannot be mounted: {err}")
        return disks[-1]

    yield mount
    for disk in disks:
        disk.close()


def start_on(small_disk, farm, *lines, size_mb=8):
    server = farm.server("ours", ON, NO_REWRITES, *lines, start=False)
    disk = small_disk(server, size_mb)
    return server.start(), disk


def with_replica(farm, server):
    """A replica, because messages enter the stream only for replicas."""
    replica = farm.server("ours", f"replicaof {server.host} {server.port}")
    wait_in_sync(server, replica)
    return replica


def publish(server, megabytes):
    message = "m" * 100_000
    with server.session() as wire:
        for _ in range(megabytes):
            assert wire.pipeline([("PUBLISH", "channel", message)] * 10) == [0] * 10


def memory(server, field="used_memory"):
    return int(server.info("memory")[field])


def persistence(server, field):
    return server.info("persistence")[field]


def is_let_go(server):
    return "The AOF is let go" in server.log()


def refused(server, *words):
    reply = server.ask(*words)
    assert isinstance(reply, ReplyError) and str(reply).startswith("MISCONF Errors writing to the AOF file"), reply


def wait_accepted(server, timeout=20):
    wait_for(lambda: server.ask("PING") == "PONG", timeout, "writes to be accepted again")


def assert_log_is_whole(server):
    """After a crash the server loads the data that it has now."""
    settled(server)
    written(server)
    before = digest(server)
    server.restart(how="kill")
    assert digest(server) == before


FILL = """for n = 1, ARGV[1] do redis.call('set', 'key' .. n, string.rep('x', 1000000)) end return redis.status_reply('OK')"""


# What is kept for the log is bounded, and costs no data


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_fault_7_messages_on_a_full_disk_fill_no_memory_and_evict_nothing(farm, small_disk, policy, fsync):
    lines = ("maxmemory 64mb", f"maxmemory-policy {policy}", f"appendfsync {fsync}")
    server, disk = start_on(small_disk, farm, *lines, size_mb=64)
    replica = with_replica(farm, server)
    with server.session() as wire:
        wire.pipeline([("SET", f"key{n}", "x" * 100_000) for n in range(350)])
    keys, before = server.call("DBSIZE"), memory(server)
    disk.fill()
    for _ in range(6):
        publish(server, 25)
        wait_in_sync(server, replica)  # what waits for a replica takes memory too
        # A replica that lags keeps the stream too, until it has read it.
        wait_for(lambda: memory(server) < before + PINNED_MAX + 4 * MB, 10, "the log to keep no more than its bound")
    assert (server.call("DBSIZE"), stat(server, "evicted_keys")) == (keys, 0)
    assert is_let_go(server)
    refused(server, "SET", "k", 1)
    assert persistence(server, "aof_last_write_status") == "err"
    with server.session() as wire:
        assert wire.call("WAITAOF", 1, 0, 50) == [0, 0]
    server.config_set("maxmemory", 0)
    disk.make_room()
    wait_accepted(server)
    assert server.call("SET", "k", 1) == "OK"
    with server.session() as wire:
        assert wire.call("WAITAOF", 1, 0, 10_000) == [1, 0]
    assert persistence(server, "aof_last_write_status") == "ok"
    assert_log_is_whole(server)


def test_fault_7_what_waits_for_the_log_is_not_counted_for_maxmemory(farm, small_disk):
    server, disk = start_on(small_disk, farm, "repl-backlog-size 1mb", size_mb=32)
    with_replica(farm, server)
    server.call("SET", "k", "v")
    disk.fill()
    publish(server, 10)
    waiting = memory(server, "mem_aof_buffer")
    assert waiting >= 10_000_000 and not is_let_go(server)
    assert memory(server, "mem_not_counted_for_evict") >= waiting - 2 * MB
    server.config_set("maxmemory", memory(server) - waiting + 4 * MB, "maxmemory-policy", "allkeys-random")
    for _ in range(100):
        server.call("GET", "k")
    assert stat(server, "evicted_keys") == 0
    disk.make_room()
    wait_for(lambda: memory(server, "mem_aof_buffer") == 0, 20, "the log to be written")
    assert not is_let_go(server)
    assert_log_is_whole(server)


def test_fault_7_writes_before_the_disk_is_known_to_be_full(farm, small_disk):
    """One request of many writes: all of it is accepted before the first byte cannot be written."""
    server, disk = start_on(small_disk, farm)
    server.call("SET", "early", 1)
    with server.session() as wire:
        assert wire.call("WAITAOF", 1, 0, 10_000) == [1, 0]
    disk.fill()
    files = {path: path.read_bytes() for path in aoffiles.listed(server, "i") + aoffiles.listed(server, "b")}
    assert server.call("EVAL", FILL, 0, 30) == "OK"
    wait_for(lambda: is_let_go(server), 10, "the log to be let go")
    wait_for(lambda: memory(server, "mem_aof_buffer") == 0, 10, "memory to be given back")
    refused(server, "SET", "k", 1)
    for path, data in files.items():  # the note at the end may be gone
        assert path.read_bytes()[: len(data) - 100] == data[: len(data) - 100]
    assert server.call("DBSIZE") == 31
    server.kill()
    server.start()  # with what the old files say
    assert (server.call("DBSIZE"), server.call("GET", "early")) == (1, b"1")


def test_fault_7_log_begins_anew_only_when_its_data_fits(farm, small_disk):
    server, disk = start_on(small_disk, farm, size_mb=16)
    with_replica(farm, server)
    with server.session() as wire:
        wire.pipeline([("SET", "big", "x" * 6_000_000), ("CONFIG", "SET", "rdbcompression", "no")])
    disk.fill()
    publish(server, 20)
    assert is_let_go(server)
    old = aoffiles.manifest(server)
    assert server.ask("BGREWRITEAOF")  # there is no room for it
    wait_for(lambda: persistence(server, "aof_last_bgrewrite_status") == "err", 10, "the rewrite to fail")
    refused(server, "SET", "k", 1)
    assert aoffiles.manifest(server) == old
    assert server.call("CONFIG", "SET", "appendfsync", "no") == "OK"
    disk.make_room()
    wait_accepted(server)
    assert aoffiles.manifest(server) != old
    server.call("SET", "k", 1)
    assert_log_is_whole(server)


def test_fault_7_always_ends_the_server_over_data_alone(farm, small_disk):
    server, disk = start_on(small_disk, farm, "appendfsync always")
    with_replica(farm, server)
    server.call("SET", "k", 1)
    disk.fill()
    with server.session() as wire:
        wire.pipeline([("MULTI",), ("PUBLISH", "c", "m" * 10_000), ("EXEC",)])
        wire.call("EVAL", "redis.call('publish', 'c', 'm') return redis.call('publish', 'c', 'n')", 0)
        refused(server, "SET", "k", 2)
        assert not is_let_go(server)
        publish(server, 20)
        assert is_let_go(server)
        refused(server, "SET", "k", 2)
        assert wire.call("GET", "k") == b"1"
        disk.make_room()
        wait_accepted(server)
        assert wire.call("SET", "k", 2) == "OK"
        disk.fill()
        with pytest.raises(Closed):
            wire.call("SET", "k", "x" * MB)
    assert server.wait_exit() == 1
    disk.make_room()
    assert server.start().call("GET", "k") == b"2"


@pytest.mark.parametrize("let_go", [False, True])
def test_fault_7_always_ends_the_server_over_what_expires(farm, small_disk, let_go):
    """Clients are refused, but the server itself changes data as well."""
    server, disk = start_on(small_disk, farm, "appendfsync always")
    with_replica(farm, server)
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    server.call("SET", "gone", 1, "PX", 1)
    disk.fill()
    publish(server, 20 if let_go else 1)
    assert is_let_go(server) is let_go
    with pytest.raises(Closed):
        server.session().call("GET", "gone")
    assert server.wait_exit() == 1


# A replica


def test_fault_7_replica_with_a_full_disk_goes_on(farm, small_disk):
    master = farm.server("ours", "repl-ping-replica-period 1")
    replica, disk = start_on(small_disk, farm, f"replicaof {master.host} {master.port}", size_mb=64)
    wait_in_sync(master, replica)
    settled(replica)
    master.call("SET", "k", 1)
    with master.session() as wire:
        assert wire.call("WAITAOF", 0, 1, 10_000) == [0, 1]
        disk.fill()
        before = memory(replica)
        for _ in range(5):
            wire.pipeline([("SET", "big", "x" * 1_000_000)] * 20)
            wait_in_sync(master, replica)
            assert memory(replica) < before + PINNED_MAX + 8 * MB
        assert is_let_go(replica)
        assert wire.call("WAITAOF", 0, 1, 100) == [0, 0]
        assert (wire.call("WAIT", 1, 10_000), stat(master, "sync_full")) == (1, 1)
        disk.make_room()
        assert wire.call("WAITAOF", 0, 1, 20_000) == [0, 1]
        wire.call("SET", "late", 1)
        assert wire.call("WAITAOF", 0, 1, 10_000) == [0, 1]
    wait_in_sync(master, replica)
    settled(replica)
    written(replica)
    replica.restart(how="kill")
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert stat(master, "sync_full") == 1


def test_fault_7_replica_whose_log_was_let_go_comes_back_after_a_crash(farm, small_disk):
    master = farm.server("ours", "repl-backlog-size 64mb")
    replica, disk = start_on(small_disk, farm, f"replicaof {master.host} {master.port}")
    wait_in_sync(master, replica)
    settled(replica)
    master.call("SET", "k", 1)
    wait_in_sync(master, replica)
    disk.fill()
    assert master.call("EVAL", FILL, 0, 20) == "OK"
    wait_in_sync(master, replica)
    wait_for(lambda: is_let_go(replica), 10, "the log to be let go")
    replica.kill()
    replica.start()
    assert replica.call("GET", "k") == b"1"
    wait_in_sync(master, replica)
    assert_same(master, replica)


def test_fault_7_promoted_replica_refuses_writes_until_its_log_is_there(farm, small_disk):
    master = farm.server("ours")
    replica, disk = start_on(small_disk, farm, f"replicaof {master.host} {master.port}", size_mb=64)
    wait_in_sync(master, replica)
    settled(replica)
    disk.fill()
    assert master.call("EVAL", FILL, 0, 20) == "OK"
    wait_in_sync(master, replica)
    wait_for(lambda: is_let_go(replica), 10, "the log to be let go")
    replica.call("REPLICAOF", "NO", "ONE")
    refused(replica, "SET", "k", 1)
    disk.make_room()
    wait_accepted(replica)
    assert replica.call("SET", "k", 1) == "OK"
    replica.lines = [ON]
    replica.write_config()
    assert_log_is_whole(replica)

"""Every field of INFO is measured: a server is used in many ways, and a field that never changed needs a reason."""

import os
import re
import signal

import pytest

from harness import child_pids, free_port, wait_for
from wire import Closed, ReplyError, Wire

pytestmark = pytest.mark.lockstep_only("the fields of this server")

ELSEWHERE = "changes in "
BUILD = "what was built, and on what it runs: the same as long as the process lives"
PROCESS = "names this process, its files and its ports"
NO_CLUSTER = "there is no cluster mode, and clients look here to find that out"
NO_THREADS = "commands and sockets have one thread (io-threads has no effect); exporters read it"
NO_DEFRAG = "active defragmentation is refused; exporters read it"

# Fields that exist for each command, error or replica
NAMED_BY_USE = re.compile(r"(cmdstat|errorstat|latency_percentiles_usec)_|(lockstep_)?slave\d+$")

# field -> why it may or may not change in this test
MOMENTARY = {
    "lazyfree_pending_objects": "a thread frees them within milliseconds",
    "lineage_write_in_progress": "a thread has written it within milliseconds",
    "aof_pending_bio_fsync": "a thread has synced within milliseconds, unless the disk is busy",
    "aof_delayed_fsync": "takes a disk that is slow for seconds",
    "loading_total_bytes": "not known of a transfer; see the test of a start",
    "loading_loaded_perc": "not known of a transfer; see the test of a start",
    "loading_eta_seconds": "not known of a transfer; see the test of a start",
    "master_sync_last_io_seconds_ago": "takes a master that is silent for a second in the middle of a transfer",
}

# They are 0 with an allocator that tells nothing of itself: the sanitizers bring their own
ALLOCATOR = {"allocator_frag_bytes", "allocator_frag_ratio", "rss_overhead_bytes", "rss_overhead_ratio"}

# field -> why it may stay the same
CONSTANT = {
    "redis_version": BUILD,
    "server_name": BUILD,
    "lockstep_version": BUILD,
    "redis_git_sha1": BUILD,
    "redis_git_dirty": BUILD,
    "redis_build_id": BUILD,
    "redis_mode": BUILD,
    "os": BUILD,
    "arch_bits": BUILD,
    "monotonic_clock": BUILD,
    "multiplexing_api": BUILD,
    "atomicvar_api": BUILD,
    "gcc_version": BUILD,
    "mem_allocator": BUILD,
    "total_system_memory": BUILD,
    "total_system_memory_human": BUILD,
    "process_id": PROCESS,
    "run_id": PROCESS,
    "tcp_port": PROCESS,
    "executable": PROCESS,
    "config_file": PROCESS,
    "used_memory_startup": PROCESS,
    "cluster_enabled": NO_CLUSTER,
    "cluster_connections": NO_CLUSTER,
    "mem_cluster_links": NO_CLUSTER,
    "io_threads_active": NO_THREADS,
    "io_threaded_reads_processed": NO_THREADS,
    "io_threaded_writes_processed": NO_THREADS,
    "active_defrag_running": NO_DEFRAG,
    "active_defrag_hits": NO_DEFRAG,
    "active_defrag_misses": NO_DEFRAG,
    "active_defrag_key_hits": NO_DEFRAG,
    "active_defrag_key_misses": NO_DEFRAG,
    "total_active_defrag_time": NO_DEFRAG,
    "current_active_defrag_time": NO_DEFRAG,
    "module_fork_in_progress": "there are no modules (loadmodule is refused); exporters read it",
    "module_fork_last_cow_size": "there are no modules (loadmodule is refused); exporters read it",
    "master_failover_state": ELSEWHERE + "test_failover.py, which waits for its states",
    "uptime_in_days": ELSEWHERE + "tests/unit/server/operation/test_report.c, where the clock goes faster",
    "process_supervised": ELSEWHERE + "test_config.py: test_supervised_by_systemd",
    "lineage_found": ELSEWHERE + "test_lineage.py, where servers are started again",
    "lineage_status": ELSEWHERE + "test_lineage.py, where the file cannot be written",
    "lineage_write_failures": ELSEWHERE + "test_lineage.py, where the file cannot be written",
    "empty_master_refused": ELSEWHERE + "test_safe_birth.py, with a master that has lost its data",
    "writes": ELSEWHERE + "test_safe_birth.py, where they are refused",
    "writes_refused_because": ELSEWHERE + "test_safe_birth.py, where they are refused",
    "key_hash_secret": ELSEWHERE + "test_hash_secret.py, with a master that tells no secret",
    "aof_last_write_status": ELSEWHERE + "test_hazards_log.py, where a disk is full",
}


class Watched:
    """A server, and all values that each of its fields has had."""

    def __init__(self, server):
        self.server = server
        self.seen = {}

    def sample(self):
        with Wire(self.server.address) as wire:
            text = wire.call("INFO", "everything", "debug").decode()
        now = dict(line.split(":", 1) for line in text.splitlines() if ":" in line and line[0] != "#")
        for name, value in now.items():
            self.seen.setdefault(name, set()).add(value)
        return now

    def until(self, **fields):
        """Waits until all these fields have these values, or these functions return true for them."""

        def good():
            now = self.sample()
            return all(want(now.get(name)) if callable(want) else now.get(name) == want for name, want in fields.items())

        wait_for(good, 20, lambda: {name: sorted(self.seen.get(name, ()))[-9:] for name in fields})

    def unchanged(self):
        return {name for name, values in self.seen.items() if len(values) == 1 and not NAMED_BY_USE.match(name)}


def above(number):
    return lambda value: value is not None and float(value.rstrip("%")) > number


def use_of_data(watched, call):
    for i in range(300):
        call("SET", f"key:{i}", "v" * i, "PX", 30 + i % 30)
        call("SETEX", f"later:{i}", 1000, "v")
    call("HSET", "hash", "f", "v", "g", "v")
    call("HPEXPIRE", "hash", 20, "FIELDS", 1, "f")
    call("GET", "nosuch")
    call("GET", "later:1")
    call("SADD", "big", *range(100000))
    call("UNLINK", "big")
    call("RESTORE", "copy", 0, call("DUMP", "hash"))
    call("EVAL", "return redis.call('get', KEYS[1])", 1, "later:2")
    call("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
    call("FCALL", "f", 0)
    watched.until(expired_keys=above(100), expired_subkeys=above(0), lazyfreed_objects=above(0))


def use_of_errors(watched, call):
    call("ACL", "SETUSER", "limited", "on", ">p", "~own", "+set", "+publish", "resetchannels")
    for request in (("AUTH", "limited", "bad"), ("NOSUCH",), ("SET",)):
        with pytest.raises(ReplyError):
            call(*request)
    with Wire(watched.server.address) as wire:
        wire.call("AUTH", "limited", "p")
        for request in (("GET", "own"), ("SET", "other", "v"), ("PUBLISH", "channel", "m")):
            assert isinstance(wire.ask(*request), ReplyError)
    watched.sample()


def use_of_clients(watched, call):
    address = watched.server.address
    with Wire(address) as caching, Wire(address) as broadcast, Wire(address) as listener, Wire(address) as waiting:
        with Wire(address) as group, Wire(address) as watcher, Wire(address) as sender, Wire(address, rcvbuf=4096) as slow:
            caching.call("HELLO", "3")
            caching.call("CLIENT", "TRACKING", "ON")
            caching.call("GET", "later:3")
            broadcast.call("HELLO", "3")
            broadcast.call("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "x")
            for name in ("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"):
                listener.call(name, "channel")
            waiting.send_command("BLPOP", "nothing", 100)
            call("XGROUP", "CREATE", "stream", "g", "$", "MKSTREAM")
            group.send_command("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "stream", ">")
            watcher.call("WATCH", "later:4")
            sender.send(b"*2\r\n$4\r\nECHO\r\n$100000\r\n" + b"x" * 50000)
            call("SET", "long", "x" * 4000000)
            slow.send_command("GET", "long")
            watched.until(
                blocked_clients="2",
                tracking_clients="2",
                tracking_total_keys="1",
                watching_clients="1",
                total_blocking_keys_on_nokey="1",
                client_recent_max_input_buffer=above(40000),
                client_recent_max_output_buffer=above(1000000),
                pubsubshard_channels="1",
                total_watched_keys="1",
            )
    call("DEL", "long")
    watched.until(blocked_clients="0")


def over_a_limit(watched, limit, request):
    """A connection that the server closes for this reason."""
    call = watched.server.call
    before = watched.server.config_get(limit[0])
    with Wire(watched.server.address) as wire:
        call("CONFIG", "SET", *limit)
        try:
            wire.send(request)
            wire.read_until_closed()
        except (OSError, Closed):
            pass
    call("CONFIG", "SET", limit[0], before)


def use_of_limits(watched, call):
    call("SET", "long", "x" * 3000000)
    over_a_limit(watched, ("client-output-buffer-limit", "normal 1000000 0 0"), b"GET long\r\n" * 5)
    over_a_limit(watched, ("client-query-buffer-limit", "1mb"), b"*2\r\n$4\r\nECHO\r\n$9000000\r\n" + b"x" * 3000000)
    over_a_limit(watched, ("maxmemory-clients", "1mb"), b"*2\r\n$4\r\nECHO\r\n$9000000\r\n" + b"x" * 5000000)
    call("DEL", "long")
    call("CONFIG", "SET", "maxclients", 1)
    with Wire(watched.server.address) as wire:
        assert wire.is_closed(within=10) or True
    call("CONFIG", "SET", "maxclients", 100)
    watched.until(
        client_output_buffer_limit_disconnections=above(0),
        client_query_buffer_limit_disconnections=above(0),
        evicted_clients=above(0),
        rejected_connections=above(0),
    )
    call("CONFIG", "SET", "hz", 50, "bind", "127.0.0.1 127.0.0.3", "repl-backlog-size", "2mb")
    call("CONFIG", "SET", "maxmemory", 1000, "maxmemory-policy", "noeviction")
    with pytest.raises(ReplyError):
        call("SET", "no", "room")
    watched.until(current_eviction_exceeded_time=above(10))
    call("CONFIG", "SET", "maxmemory", 0)
    watched.until(current_eviction_exceeded_time="0", total_eviction_exceeded_time=above(10))
    used = int(watched.sample()["used_memory"])
    for i in range(1000):
        call("SET", f"evict:{i}", "v" * 1000)
    call("CONFIG", "SET", "maxmemory", used + 300000, "maxmemory-policy", "allkeys-lru")
    watched.until(evicted_keys=above(10))
    call("CONFIG", "SET", "maxmemory", 0, "maxmemory-policy", "noeviction")


def use_of_disk(watched, call):
    server = watched.server
    call("CONFIG", "SET", "rdb-key-save-delay", 10000)
    call("BGSAVE")
    assert call("BGREWRITEAOF").startswith("Background append only file rewriting scheduled")
    watched.until(rdb_bgsave_in_progress="1", aof_rewrite_scheduled="1", current_save_keys_processed=above(0))
    (child,) = child_pids(server.pid)
    watched.until(current_cow_size=above(0))
    os.kill(child, signal.SIGSTOP)
    watched.until(current_cow_size_age=above(0), rdb_current_bgsave_time_sec=above(0))
    os.kill(child, signal.SIGCONT)
    call("CONFIG", "SET", "rdb-key-save-delay", 2000)
    for i in range(200):
        call("SET", f"evict:{i}", "v" * 2000)
    watched.until(rdb_bgsave_in_progress="0")
    watched.until(aof_rewrite_in_progress="1", aof_current_rewrite_time_sec=above(0))
    watched.until(aof_rewrite_in_progress="0", aof_rewrite_scheduled="0")
    call("CONFIG", "SET", "rdb-key-save-delay", 0)
    (server.directory / "dump.rdb").unlink()
    (server.directory / "dump.rdb").mkdir()
    call("BGSAVE")
    watched.until(rdb_last_bgsave_status="err")
    (server.directory / "dump.rdb").rmdir()
    call("SAVE")
    for i in range(50):
        call("SET", f"stale:{i}", "v", "PX", 100)
    call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    call("SAVE")
    wait_for(lambda: call("EXISTS", "stale:49") == 0, 10, "the keys to be past their time")
    call("DEBUG", "RELOAD", "NOSAVE")
    watched.until(rdb_last_load_keys_loaded=above(10), rdb_last_load_keys_expired=above(10))
    call("EVAL", "for i = 1, 100000 do redis.call('SET', 'many:' .. i, 'v', 'PX', 1) end", 0)
    call("DEBUG", "SET-ACTIVE-EXPIRE", 1)
    watched.until(expired_time_cap_reached_count=above(0))
    use_of_rewrites(watched, call)


def use_of_rewrites(watched, call):
    """A rewrite whose child is killed; then the log is switched off and on."""
    call("CONFIG", "SET", "rdb-key-save-delay", 100000)
    call("BGREWRITEAOF")
    (child,) = child_pids(watched.server.pid)
    os.kill(child, signal.SIGKILL)
    watched.until(aof_last_bgrewrite_status="err", aof_rewrites_consecutive_failures=above(0))
    call("CONFIG", "SET", "rdb-key-save-delay", 0)
    watched.until(aof_rewrite_in_progress="0")
    call("CONFIG", "SET", "appendonly", "no")
    watched.until(aof_enabled="0")
    call("CONFIG", "SET", "appendonly", "yes")
    watched.until(aof_enabled="1", aof_rewrite_in_progress="0", aof_last_bgrewrite_status="ok")


def use_of_replicas(watched, call, farm):
    server = watched.server
    call("CONFIG", "SET", "min-replicas-to-write", 1)
    watched.sample()  # with no replica yet
    replica = farm.server("ours", f"replicaof 127.0.0.1 {server.port}", "replica-read-only no")
    watched.until(connected_slaves="1", min_slaves_good_slaves="1", slave0=lambda text: "state=online" in (text or ""))
    call("CONFIG", "SET", "min-replicas-to-write", 0)
    call("CLIENT", "KILL", "TYPE", "replica")
    watched.until(sync_partial_ok=above(0), connected_slaves="1")
    with Wire(server.address) as wire:
        wire.call("REPLCONF", "capa", "psync2")
        wire.send_command("PSYNC", "0" * 40, 1)
        watched.until(sync_partial_err=above(0))
    target = farm.server("ours")
    call("SET", "later:5", "v")
    assert call("MIGRATE", target.host, target.port, "later:5", 0, 5000) == "OK"
    watched.sample()
    return replica, target


def full_synchronization_within_one_history(watched, call, target):
    """A replica that was away for too long, and then gets a file of known length."""
    call("REPLICAOF", "localhost", free_port())
    for i in range(50):
        target.call("SET", f"of-target:{i}", os.urandom(100000))
    target.call("CONFIG", "SET", "repl-diskless-sync", "no")
    call("CONFIG", "SET", "key-load-delay", 60000, "replica-announced", "no")
    watched.until(master_link_down_since_seconds=above(0))
    call("REPLICAOF", target.host, target.port)
    watched.until(async_loading="1", master_sync_perc=above(10), master_sync_left_bytes=above(0))
    call("CONFIG", "SET", "key-load-delay", 0)
    watched.until(master_link_status="up")


def use_as_replica(watched, call, target):
    """A replica that moves to another server, and once gets an invalid stream."""
    server = watched.server
    for i in range(50):
        target.call("SET", f"of-target:{i}", os.urandom(100000))
    call("CONFIG", "SET", "repl-diskless-load", "swapdb", "key-load-delay", 20000)
    target.call("CONFIG", "SET", "repl-diskless-sync-delay", 0, "repl-backlog-size", 16384)
    call("REPLICAOF", target.host, target.port)
    watched.until(role="slave", master_link_status="down")
    watched.until(master_sync_in_progress="1", master_sync_read_bytes=above(0), loading_loaded_bytes=above(0))
    call("CONFIG", "SET", "key-load-delay", 0)
    watched.until(master_link_status="up", master_host=target.host)
    full_synchronization_within_one_history(watched, call, target)
    call("CONFIG", "SET", "replica-read-only", "no", "replica-priority", 7)
    call("SET", "own", "v", "EX", 100)
    watched.until(slave_expires_tracked_keys="1", slave_read_only="0", slave_priority="7")
    target.call("SADD", "same", "member")
    watched.until(master_repl_offset=above(0))
    call("DEL", "same")
    call("SET", "same", "string")
    target.call("SADD", "same", "other")
    watched.until(unexpected_error_replies=above(0))
    call("REPLICAOF", "NO", "ONE")
    watched.until(role="master", second_repl_offset=above(0))
    assert server.running()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_fault_19_every_field_of_info_is_measured(farm):
    server = farm.server("ours", "appendonly yes")
    watched = Watched(server)
    call = server.call
    watched.sample()
    use_of_data(watched, call)
    use_of_errors(watched, call)
    use_of_clients(watched, call)
    use_of_limits(watched, call)
    use_of_disk(watched, call)
    replica, target = use_of_replicas(watched, call, farm)
    use_as_replica(watched, call, target)
    unchanged = watched.unchanged() - set(MOMENTARY)
    if not server.has_jemalloc():
        unchanged -= ALLOCATOR
    assert unchanged == set(CONSTANT), (sorted(unchanged - set(CONSTANT)), sorted(set(CONSTANT) - unchanged))


def test_fault_19_progress_of_loading_is_measured(farm):
    server = farm.server("ours", "loading-process-events-interval-bytes 1024")
    for i in range(300):
        server.call("SET", f"key:{i}", "v" * 1000)
    assert server.call("SAVE") == "OK"
    server.kill()
    server.argv += ["--key-load-delay", "10000"]
    server.start(ready=False)
    wait_for(lambda: accepts(server), 10, "the first connection")
    watched = Watched(server)
    watched.until(loading="1", loading_loaded_perc=above(0), loading_eta_seconds=above(0))
    watched.until(loading="0")
    for name in ("loading_loaded_bytes", "loading_loaded_perc", "loading_eta_seconds"):
        assert len(watched.seen[name]) > 1, name
    assert all(int(total) > 300 for total in watched.seen["loading_total_bytes"])


def accepts(server):
    try:
        with Wire(server.address) as wire:
            return wire.ask("PING") is not None
    except (OSError, Closed):
        return False

"""Failovers by three sentinels: who may be promoted, and how the old master comes back."""

import pytest

from dataset import assert_same, fill_strings, wait_in_sync, wait_link_up
from ha import Sentinel
from harness import SCALE, wait_for
from hazards import replication
from wire import Closed, ReplyError


class Watch:
    """Three sentinels that watch a master, and know its replicas."""

    def __init__(self, farm, master, replicas, down_after=1000, failover_timeout=6000):
        self.sentinels = [
            farm.adopt(Sentinel(n, farm.directory / f"sentinel{n}", master, int(down_after * SCALE), failover_timeout))
            for n in range(3)
        ]
        for sentinel in self.sentinels:
            sentinel.launch()
        wait_for(lambda: all(self.knows(s, replicas) for s in self.sentinels), 40, "sentinels to know everybody", 0.1)

    @staticmethod
    def knows(sentinel, replicas):
        try:
            master = sentinel.master()
            return master[b"num-other-sentinels"] == b"2" and len(sentinel.replicas()) == replicas
        except (OSError, Closed, ReplyError):
            return False

    def priorities(self):
        return {row[b"slave-priority"] for sentinel in self.sentinels for row in sentinel.replicas()}

    def wait_priorities(self, *wanted):
        """Sentinels ask each replica for INFO every ten seconds."""
        expected = {b"%d" % priority for priority in wanted}
        wait_for(lambda: self.priorities() == expected, 30, lambda: f"sentinels to see {wanted}: {self.priorities()}", 0.1)

    def wait_given_up(self):
        """A failover was tried, and there was nobody to promote."""
        wait_for(
            lambda: any(sentinel.log_contains("-failover-abort-no-good-slave") for sentinel in self.sentinels),
            60,
            "a failover to be given up",
            0.1,
        )

    def wait_promoted(self, server):
        wait_for(lambda: replication(server)["role"] == "master", 60, f"{server.name} to be promoted", 0.1)
        wait_for(lambda: all(s.master_port() == server.port for s in self.sentinels), 40, "sentinels to switch", 0.1)


def slow_master(farm, *lines):
    """Its snapshots take a minute and more, until it is restarted."""
    master = farm.server("ours", "appendonly yes", "appendfsync always", "rdb-key-save-delay 200000", *lines)
    fill_strings(master, 400)
    return master


def restart_fast(master):
    master.lines = [line for line in master.lines if "delay" not in line]
    master.write_config()
    master.start()


def wait_syncing(replica):
    wait_for(
        lambda: replication(replica)["master_sync_in_progress"] == "1",
        what="a transfer to be under way",
        retry_on=(OSError, Closed),
    )


def check_nothing_was_lost(watch, master, replica):
    watch.wait_given_up()
    assert replication(replica)["role"] == "slave"
    restart_fast(master)
    wait_in_sync(master, replica)
    assert replication(master)["role"] == "master"
    assert master.call("DBSIZE") == 400
    assert_same(master, replica)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.lockstep_only("Redis promotes the empty replica")
@pytest.mark.parametrize("mode", ["disabled", "swapdb"])
def test_fault_14_an_empty_replica_is_not_promoted(farm, mode):
    master = slow_master(farm)
    lines = (f"repl-diskless-load {mode}", f"replicaof 127.0.0.1 {master.port}")
    replica = farm.server("ours", *lines, ready=False)  # with "swapdb" it answers -LOADING
    wait_syncing(replica)
    watch = Watch(farm, master, replicas=1)
    watch.wait_priorities(0)
    master.kill()
    check_nothing_was_lost(watch, master, replica)
    watch.wait_priorities(100)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.lockstep_only("Redis promotes the replica with half a data set")
def test_fault_14_half_a_data_set_is_not_promoted(farm):
    """The replica has given up what it had, and loads the file that took its place."""
    master = farm.server("ours", "appendonly yes", "appendfsync always", "rdbcompression no")
    fill_strings(master, 400, size=50000)  # five or six keys for each turn of the loop
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    watch = Watch(farm, master, replicas=1, down_after=3000)
    watch.wait_priorities(100)
    replica.config_set("key-load-delay", 80000)
    master.call("DEBUG", "CHANGE-REPL-ID")
    master.call("CLIENT", "KILL", "TYPE", "replica")
    wait_for(lambda: replica.info("persistence")["loading"] == "1", what="the file to be loaded")
    watch.wait_priorities(0)
    master.kill()
    watch.wait_given_up()
    assert replication(replica)["role"] == "slave"
    replica.config_set("key-load-delay", 0)
    check_nothing_was_lost(watch, master, replica)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_fault_14_a_replica_with_an_older_data_set_is_promoted(farm):
    """It resynchronizes, but until the new data set is here, the old one is."""
    master = farm.server("ours", "appendonly yes")
    fill_strings(master, 400)
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    watch = Watch(farm, master, replicas=1)
    master.config_set("rdb-key-save-delay", 200000)
    master.call("DEBUG", "CHANGE-REPL-ID")
    master.call("CLIENT", "KILL", "TYPE", "replica")
    wait_syncing(replica)
    assert replication(replica)["slave_priority"] == "100"
    master.kill()
    watch.wait_promoted(replica)
    assert replica.call("DBSIZE") == 400
    restart_fast(master)
    wait_for(lambda: replication(master)["role"] == "slave", 40, "the old master to be made a replica", 0.1)
    wait_in_sync(replica, master)
    assert_same(replica, master)


# What a replica says while it synchronizes


@pytest.mark.parametrize(
    "mode",
    [
        "disabled",
        pytest.param("on-empty-db", marks=pytest.mark.lockstep_only("Redis does not answer before much has arrived")),
    ],
)
def test_fault_14_answers_during_the_first_synchronization(farm, mode):
    """As Redis: with "disabled" a transfer is no load, so that commands are answered; with the others it is one."""
    master = farm.server("redis", "rdb-key-save-delay 20000", "rdbcompression no", "repl-diskless-sync yes")
    fill_strings(master, 2000, size=1000)
    lines = (f"repl-diskless-load {mode}", "loading-process-events-interval-bytes 1024")
    replica = farm.server("ours", *lines, f"replicaof 127.0.0.1 {master.port}", ready=False)
    wait_syncing(replica)
    wait_for(lambda: int(replication(replica)["master_sync_read_bytes"]) > 1000, what="bytes of the snapshot")
    loads = mode != "disabled"
    ping = replica.ask("PING")
    assert str(ping).startswith("LOADING") if loads else ping == "PONG"
    info = replica.info()
    assert (info["loading"], info["async_loading"]) == ("1" if loads else "0", "0")
    assert info["master_link_status"] == "down"
    assert info["master_link_down_since_seconds"] == "-1"
    if loads:
        return
    assert replica.call("GET", "key:1") is None
    assert replica.call("DBSIZE") == 0
    assert replica.call("EVAL", "return 7", 0) == 7
    assert isinstance(replica.ask("SET", "a", "b"), ReplyError)
    assert replica.call("REPLICAOF", "127.0.0.1", 1) == "OK"  # a transfer is not waited for
    assert replica.call("REPLICAOF", "127.0.0.1", master.port) == "OK"
    master.config_set("rdb-key-save-delay", 0)
    master.call("CLIENT", "KILL", "TYPE", "replica")
    wait_link_up(replica, timeout=60)
    assert_same(master, replica)


@pytest.mark.lockstep_only("DEBUG RELOAD and SAVE meanwhile")
def test_fault_14_what_is_saved_and_loaded_meanwhile(farm):
    """A data set that is loaded aside is in nobody's way, and nobody is in its way."""
    master = farm.server("ours", "rdb-key-save-delay 20000", "rdbcompression no")
    fill_strings(master, 2000, size=1000)
    replica = farm.server("ours", "appendonly yes", f"replicaof 127.0.0.1 {master.port}")
    wait_syncing(replica)
    wait_for(lambda: int(replication(replica)["master_sync_read_bytes"]) > 1000, what="bytes of the snapshot")
    assert isinstance(replica.ask("DEBUG", "RELOAD"), ReplyError)
    assert isinstance(replica.ask("DEBUG", "LOADAOF"), ReplyError)
    assert replica.call("SAVE") == "OK"
    replica.config_set("rdb-key-save-delay", 10000000)
    replica.call("BGSAVE")
    replica.call("BGREWRITEAOF")
    replica.config_set("rdb-key-save-delay", 0)
    master.config_set("rdb-key-save-delay", 0)
    master.call("CLIENT", "KILL", "TYPE", "replica")
    wait_in_sync(master, replica)
    assert_same(master, replica)
    wait_for(lambda: replica.info("persistence")["aof_rewrite_in_progress"] == "0", what="the log's first rewrite")
    wait_for(lambda: replica.info("persistence")["aof_rewrite_scheduled"] == "0", what="the log's first rewrite")
    replica.restart()
    wait_in_sync(master, replica)
    assert_same(master, replica)


def test_fault_14_a_replica_says_so_while_it_loads_its_own_file(farm):
    master = farm.server()
    fill_strings(master, 400)
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    assert replica.call("SAVE") == "OK"
    replica.lines += ["key-load-delay 100000", "loading-process-events-interval-bytes 1024"]
    replica.terminate()
    replica.write_config()
    replica.start(ready=False)
    info = wait_for(lambda: replica.info(), what="an answer", retry_on=(OSError, Closed))
    assert info["loading"] == "1"
    assert (info["role"], info["master_link_status"]) == ("slave", "down")
    if "lockstep_version" in info:
        assert info["slave_priority"] == "0"
    replica.config_set("key-load-delay", 0)
    replica.wait_ready()
    wait_in_sync(master, replica)
    assert_same(master, replica)
    if "lockstep_version" in info:
        assert replica.info("stats")["sync_full"] == "0"
        assert int(master.info("stats")["sync_partial_ok"]) == 1

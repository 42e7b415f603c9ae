"""The order of a turn: the log is written before replicas get the stream, and both happen before replies.

So a replica is never ahead of a master that returns after a crash, and continues from the backlog that the master
rebuilds from its log.
"""

import pytest

import aoffiles
from dataset import WriteLoad, assert_same, offset, stat, wait_in_sync, wait_link_down
from harness import wait_for
from test_aof import ON, replica_with_log, rewritten, written

MICROSECONDS = 1_000_000


def in_log(server, text):
    return text in aoffiles.last_incr(server).read_bytes()


def log_ends_at(server):
    """The position up to which a restarted master knows the old history, once it has loaded its files."""
    wait_for(lambda: server.info("persistence")["loading"] == "0", 60, "the files to be loaded")
    return int(server.info("replication")["second_repl_offset"]) - 1


def assert_continued(master, replicas):
    wait_in_sync(master, *replicas)
    assert_same(master, *replicas)
    assert (stat(master, "sync_full"), stat(master, "sync_partial_ok")) == (0, len(replicas))


@pytest.mark.parametrize("fsync", ["always", "everysec", "no"])
def test_fault_9_replica_gets_nothing_that_the_log_has_not(farm, fsync):
    master = farm.server("ours", ON, f"appendfsync {fsync}")
    replica = farm.server("ours", f"replicaof {master.host} {master.port}")
    wait_in_sync(master, replica)
    master.call("DEBUG", "AOF-FLUSH-SLEEP", MICROSECONDS // 2)
    with master.session() as wire:
        for number in range(3):
            wire.send_command("SET", f"key{number}", "value")
            wait_for(lambda key=f"key{number}": replica.call("EXISTS", key), 10, "the replica to have it")
            assert in_log(master, f"key{number}".encode())
            assert wire.read() == "OK"


def test_fault_9_replica_with_a_log_acknowledges_what_is_in_it(farm):
    master = farm.server("ours", "repl-ping-replica-period 3600")
    replica = replica_with_log(farm, master, "appendfsync no")
    replica.call("DEBUG", "AOF-FLUSH-SLEEP", MICROSECONDS // 2)
    with master.session() as wire:
        for number in range(3):
            wire.call("SET", f"key{number}", "value")
            assert wire.call("WAIT", 1, 10_000) == 1
            assert in_log(replica, f"key{number}".encode())


TORN = "Truncating the AOF"


@pytest.mark.parametrize("fsync", ["always", "everysec", "no"])
def test_fault_9_crashes_under_load_cost_no_full_synchronization(farm, fsync):
    lines = [f"appendfsync {fsync}", "auto-aof-rewrite-percentage 0", "repl-backlog-size 16mb"]
    master = farm.server("ours", ON, *lines)
    replicas = [farm.server("ours", f"replicaof {master.host} {master.port}") for _ in range(2)]
    wait_in_sync(master, *replicas)
    whole = 0
    for seed in range(12):
        loads = [WriteLoad(master.address, seed=4 * seed + n, batch=500) for n in range(4)]
        for load in loads:
            farm.helper(load.start())
        for load in loads:
            load.wait_done(1500)
        master.kill()
        for load in loads:
            load.stop(check=False)
        wait_link_down(*replicas)
        reached = [offset(replica) for replica in replicas]
        torn = master.log().count(TORN)
        master.start()
        ends_at = log_ends_at(master)
        if master.log().count(TORN) > torn:  # the kill hit a write of several pages, which takes the place with it
            wait_in_sync(master, *replicas)
            continue
        assert max(reached) <= ends_at
        assert_continued(master, replicas)
        whole += 1
        if whole == 3:
            return
    pytest.fail("nearly all kills tore a write")


def test_fault_9_restart_before_the_first_write_behind_a_rewrite_keeps_the_place(farm):
    master = farm.server("ours", "appendonly yes", "repl-ping-replica-period 3600")
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    master.call("SET", "k", 1)
    wait_in_sync(master, replica)
    before = master.info("replication")
    master.call("BGREWRITEAOF")
    wait_for(lambda: master.info("persistence")["aof_rewrite_in_progress"] == "0")
    master.restart(how="kill")
    wait_in_sync(master, replica)
    after = master.info("replication")
    assert after["master_replid2"] == before["master_replid"]
    assert after["master_repl_offset"] >= before["master_repl_offset"]
    assert master.info("stats")["sync_full"] == "0"


def test_fault_9_backlog_comes_back_as_long_as_its_size(farm):
    """The backlog is not longer than what the log has of this history; a chain continues as well."""
    master = farm.server("ours", ON, "repl-backlog-size 200kb", "aof-timestamp-enabled yes")
    replica = replica_with_log(farm, master)
    leaf = farm.server("ours", f"replicaof {replica.host} {replica.port}")
    wait_in_sync(master, replica, leaf)
    for server in (replica, leaf):
        server.pause()
    with master.session() as wire:
        for number in range(100):
            wire.call("SET", f"key{number}", "x" * 1000)
    written(master)
    master.kill()
    for server in (replica, leaf):
        server.resume()
    wait_link_down(replica)
    master.start()
    info = master.info("replication")
    assert 100_000 < int(info["repl_backlog_histlen"]) <= 200_000
    assert int(info["repl_backlog_first_byte_offset"]) + int(info["repl_backlog_histlen"]) == 1 + offset(master)
    assert_continued(master, [replica])
    wait_in_sync(replica, leaf)
    written(replica)
    replica.restart(how="kill")
    assert_continued(replica, [leaf])
    assert_same(master, replica, leaf)


@pytest.mark.parametrize("what", ["other program", "no note", "rewritten"])
def test_fault_9_backlog_does_not_reach_beyond_what_is_known(farm, what):
    """P12: after foreign commands, or without a note, a file has no position; no history precedes a file."""
    master = farm.server("ours", ON, "auto-aof-rewrite-percentage 0")
    replica = farm.server("ours", f"replicaof {master.host} {master.port}")
    wait_in_sync(master, replica)
    with master.session() as wire:
        for number in range(100):
            wire.call("SET", f"key{number}", "x" * 100)
        if what == "rewritten":
            rewritten(master)
            wire.call("SET", "late", 1)
    wait_in_sync(master, replica)
    written(master)
    end = offset(master)
    master.kill()
    path = aoffiles.last_incr(master)
    if what == "other program":
        path.write_bytes(path.read_bytes() + aoffiles.command("SET", "stranger", 1))
    if what == "no note":
        path.write_bytes(aoffiles.stream_bytes(path))
    master.start()
    info = master.info("replication")
    if what == "rewritten":
        behind = len(aoffiles.command("SELECT", 0))  # a file may begin with one of its own
        assert log_ends_at(master) == end
        assert int(info["repl_backlog_histlen"]) == len(aoffiles.stream_bytes(path)) - behind
        assert_continued(master, [replica])
    else:
        assert int(info["repl_backlog_histlen"]) == 0
        wait_for(lambda: stat(master, "sync_full") == 1, 20, "a full synchronization")
        wait_in_sync(master, replica)
        assert_same(master, replica)

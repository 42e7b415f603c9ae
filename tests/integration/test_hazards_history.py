"""Faults of offsets, backlog and replication history (P), re-enacted from the outside with fake and real peers.

The id in the name of a test is explained in docs/FAULTS.md.
"""

import random
import time

import pytest

import rdbfile
from dataset import (
    WriteLoad,
    assert_same,
    digest,
    fill_strings,
    offset,
    read_everything,
    replicate,
    stat,
    wait_in_sync,
    wait_link_down,
    wait_link_up,
)
from fakes import OTHER_REPLID, REPLID, FakeMaster, FakeReplica
from harness import wait_for
from hazards import EMPTY_RDB, replication, applied, attach, attach_to_fake_master, keys_until_closed, psync_answer
from proxy import Proxy
from wire import ReplyError, encode_command


def test_fault_15_a_tiny_backlog_still_serves(farm):
    """The backlog holds what a replica missed for a moment, however small its configured size."""
    master = farm.server("ours", "repl-backlog-size 1")
    attach(farm, master)
    end = offset(master)
    for _ in range(50):
        master.call("SET", "k", "x" * 100)
    assert psync_answer(farm, master, replication(master)["master_replid"], end + 1)[0] == "CONTINUE"


@pytest.mark.parametrize("size", ["16kb", "1mb"])
def test_P1_P16_every_boundary_of_the_backlog(farm, size):
    """The byte after the last one, the oldest byte, and the two just outside."""
    master = farm.server("ours", f"repl-backlog-size {size}")
    attach(farm, master)
    for number in range(40):
        master.call("SET", f"k{number}", "x" * 3000)
    info = replication(master)
    end, first = int(info["master_repl_offset"]), int(info["repl_backlog_first_byte_offset"])
    assert end == first + int(info["repl_backlog_histlen"]) - 1
    replid = info["master_replid"]
    for at in (end + 1, end, first):
        assert psync_answer(farm, master, replid, at)[0] == "CONTINUE", at
    for at in (end + 2, first - 1):
        assert psync_answer(farm, master, replid, at)[0] == "FULLRESYNC", at


def test_P16_backlog_keeps_what_it_promises_and_serves_the_right_bytes(farm):
    """After any mixture of small and large writes at least the configured size is there, byte for byte."""
    master = farm.server("ours", "repl-backlog-size 64kb")
    fake = attach(farm, master)
    start, rnd = fake.offset, random.Random(5)
    for _ in range(300):
        master.call("SET", f"k{rnd.randrange(50)}", "v" * rnd.choice((1, 100, 5000, 70000)))
    end = offset(master)
    stream = fake.read_exact(end - start)
    assert int(replication(master)["repl_backlog_histlen"]) >= 64 * 1024
    first = int(replication(master)["repl_backlog_first_byte_offset"])
    for at in (first, first + 1, end - 65536, end - 1000, end, end + 1):
        answer, other = psync_answer(farm, master, replication(master)["master_replid"], at)
        assert answer == "CONTINUE", at
        assert other.read_exact(end + 1 - at) == stream[at - start - 1 :], at


def test_P16_backlog_size_can_change_at_run_time(farm):
    master = farm.server("ours", "repl-backlog-size 1mb")
    attach(farm, master)
    for number in range(300):
        master.call("SET", f"k{number}", "x" * 3000)
    for size in (65536, 4 << 20, 16384):
        master.config_set("repl-backlog-size", size)
        for number in range(40):
            master.call("SET", f"k{number}", "y" * 3000)
        info = replication(master)
        first, end = int(info["repl_backlog_first_byte_offset"]), int(info["master_repl_offset"])
        assert int(info["repl_backlog_size"]) == size
        assert end - first + 1 >= min(size, 40 * 3000)
        assert psync_answer(farm, master, info["master_replid"], first)[0] == "CONTINUE"


@pytest.mark.parametrize("bad", ["abc", "", "12x", "99999999999999999999", "1.5"])
def test_P2_offset_that_is_no_number(farm, bad):
    """One error, no synchronization on that link, and the server continues."""
    master = farm.server()
    attach(farm, master)
    replid = replication(master)["master_replid"]
    fake = farm.helper(FakeReplica(master)).handshake()
    reply = fake.ask("PSYNC", replid, bad)
    assert isinstance(reply, ReplyError) and "integer" in str(reply)
    assert fake.ask("PING") == "PONG"
    assert stat(master, "sync_full") == 1


@pytest.mark.parametrize("at", ["-9223372036854775808", "9223372036854775807", "0", "-1", "1"])
def test_P2_offsets_at_the_limits_of_64_bits(farm, at):
    master = farm.server()
    attach(farm, master)
    for _ in range(3):
        master.call("SET", "k", "v")
    answer, _ = psync_answer(farm, master, replication(master)["master_replid"], at)
    assert answer == ("CONTINUE" if at == "1" else "FULLRESYNC")
    assert master.call("PING") == "PONG"


def test_P2_unknown_history(farm):
    master = farm.server()
    fake = attach(farm, master)
    for replid in (OTHER_REPLID, "?", "x", "0" * 40, fake.replid[:39], fake.replid + "0"):
        assert psync_answer(farm, master, replid, fake.offset + 1)[0] == "FULLRESYNC", replid


def test_P3_new_history_reaches_the_sub_replica(farm):
    """The middle of a chain moves to a master with other data: the bottom must not continue from the old backlog."""
    first, second = farm.server(), farm.server("redis")
    fill_strings(first, 50, prefix="first:")
    fill_strings(second, 40, prefix="second:")
    middle = farm.server("ours", f"replicaof 127.0.0.1 {first.port}")
    bottom = farm.server("ours", f"replicaof 127.0.0.1 {middle.port}")
    wait_in_sync(first, middle, bottom)
    replicate(middle, second)
    wait_in_sync(second, middle, bottom)
    assert_same(second, middle, bottom)
    with WriteLoad(second.address) as load:
        load.wait_done(500)
    wait_in_sync(second, middle, bottom)
    assert_same(second, middle, bottom)


def test_P3_sub_replica_with_a_cut_link_does_not_resume_on_the_old_history(farm):
    """As above, but the bottom was away while its master changed sides."""
    first, second = farm.server(), farm.server("redis")
    fill_strings(first, 50, prefix="first:")
    fill_strings(second, 40, prefix="second:")
    middle = farm.server("ours", f"replicaof 127.0.0.1 {first.port}")
    proxy = farm.helper(Proxy(middle.address))
    bottom = farm.server("ours", f"replicaof 127.0.0.1 {proxy.port}")
    wait_in_sync(first, middle, bottom)
    proxy.refuse()
    replicate(middle, second)
    wait_in_sync(second, middle)
    proxy.allow()
    wait_in_sync(second, middle, bottom)
    assert_same(second, middle, bottom)


@pytest.mark.parametrize("cut", [1, 10, 20, 32])
def test_P4_half_a_command_never_reaches_siblings(farm, cut):
    """The master dies in the middle of a command; the promoted replica serves only whole ones."""
    replica, _, link = attach_to_fake_master(farm)
    sub = attach(farm, replica)
    whole = link.send_command("SET", "whole", "1")
    half = encode_command("SET", "half", "2222")
    link.send(half[:cut])
    wait_for(lambda: replica.call("GET", "whole") == b"1", 10, "the whole command to be applied")
    assert applied(replica) == whole
    link.close()
    assert replica.call("REPLICAOF", "NO", "ONE") == "OK"
    replica.call("SET", "after", "3")
    assert keys_until_closed(sub, b"after") in ([b"whole"], [b"whole", b"after"])
    answer, sibling = psync_answer(farm, replica, REPLID, whole + 1)
    assert answer == "CONTINUE"
    assert sibling.command()[:2] == [b"SET", b"after"]
    assert replica.call("EXISTS", "half") == 0


def test_P4_open_transaction_never_reaches_siblings(farm):
    """The master dies between MULTI and EXEC: no replica, promoted or not, has any of the transaction."""
    replica, _, link = attach_to_fake_master(farm)
    sub = attach(farm, replica)
    whole = link.send_command("SET", "whole", "1")
    open_part = link.send_command("MULTI") + link.send_command("SET", "inside", "2")
    wait_for(lambda: replica.call("GET", "whole") == b"1", 10, "the whole command to be applied")
    assert applied(replica) == whole
    link.close()
    assert replica.call("REPLICAOF", "NO", "ONE") == "OK"
    assert offset(replica) < whole + open_part
    replica.call("SET", "after", "3")
    assert keys_until_closed(sub, b"after") in ([b"whole"], [b"whole", b"after"])
    answer, sibling = psync_answer(farm, replica, REPLID, whole + 1)
    assert answer == "CONTINUE"
    assert sibling.command()[:2] == [b"SET", b"after"]
    assert replica.call("EXISTS", "inside") == 0


@pytest.mark.parametrize("cut", [1, 7, 14, 22, 30])
def test_P5_P19_half_command_before_a_cut_is_asked_for_again(farm, cut):
    """The replica asks for the first byte that it has not applied, and mixes nothing into what follows."""
    replica, master, link = attach_to_fake_master(farm)
    done = link.send_command("SET", "one", "1")
    half = encode_command("SET", "two", "2222")
    assert cut < len(half)
    link.send(half[:cut])
    wait_for(lambda: applied(replica) == done, 10, "the first command to be applied")
    link.close()
    link = master.accept()
    assert link.answer_until_psync() == [REPLID, str(done + 1)]
    link.send(b"+CONTINUE\r\n")
    link.send_command("SET", "three", "3")
    wait_for(lambda: replica.call("GET", "three") == b"3", 10, "the stream to go on")
    assert replica.call("GET", "two") is None
    assert replica.call("GET", "one") == b"1"


def test_P5_open_transaction_before_a_cut_is_forgotten(farm):
    replica, master, link = attach_to_fake_master(farm)
    done = link.send_command("SET", "one", "1")
    link.send_command("MULTI")
    link.send_command("SET", "queued", "1")
    wait_for(lambda: applied(replica) == done, 10, "the first command to be applied")
    link.close()
    link = master.accept()
    assert link.answer_until_psync() == [REPLID, str(done + 1)]
    link.send(b"+CONTINUE\r\n")
    size = link.send_command("SET", "two", "2")
    wait_for(lambda: replica.call("GET", "two") == b"2", 10, "a plain command not to be queued")
    assert applied(replica) == done + size
    assert replica.call("EXISTS", "queued") == 0


def test_P5_cut_at_random_points_under_load(farm):
    """The link is cut many times, at any byte."""
    master = farm.server("redis", "repl-backlog-size 64mb")
    proxy = farm.helper(Proxy(master.address))
    replica = farm.server("ours", f"replicaof 127.0.0.1 {proxy.port}")
    wait_link_up(replica)
    rnd = random.Random(3)
    with WriteLoad(master.address) as load:
        for number in range(1, 13):
            proxy.throttle(rnd.randrange(200_000, 3_000_000))
            load.wait_done(rnd.randrange(50, 400))
            proxy.cut()
            wait_for(lambda n=number: stat(master, "sync_partial_ok") >= n, 15, "a partial sync")
    proxy.throttle(None)
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert stat(master, "sync_full") == 1


def test_P6_copy_of_a_file_with_writes_of_its_own_is_no_replica(farm):
    """A copy of the master's file was started alone and written to: attaching it must drop those writes."""
    master = farm.server("ours", "save 3600 1000000")
    attach(farm, master)
    fill_strings(master, 100)
    assert master.call("SAVE") == "OK"
    copy = farm.server("ours", start=False)
    copy.write_config()
    (copy.directory / "dump.rdb").write_bytes((master.directory / "dump.rdb").read_bytes())
    copy.start()
    fill_strings(copy, 20, prefix="own:")
    with WriteLoad(master.address) as load:
        load.wait_done(500)
    replicate(copy, master)
    wait_in_sync(master, copy)
    assert_same(master, copy)
    assert copy.call("EXISTS", "own:1") == 0


def test_P7_selected_database_survives_a_restart_of_the_replica(farm):
    """The master does not send SELECT again after +CONTINUE."""
    master = farm.server("redis")
    replica = farm.server("ours", "save 3600 1000000", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    with master.session(database=9) as client:
        client.call("SET", "one", "1")
        wait_in_sync(master, replica)
        assert replica.terminate() == 0
        client.call("SET", "two", "2")
        replica.start()
        wait_in_sync(master, replica)
        client.call("SET", "three", "3")
    wait_in_sync(master, replica)
    assert stat(master, "sync_partial_ok") == 1
    assert_same(master, replica)
    assert sorted(read_everything(replica)[9]) == [b"one", b"three", b"two"]


@pytest.mark.parametrize(
    "kinds", [("redis", "ours", "redis"), ("ours", "ours", "ours"), ("ours", "redis", "ours")], ids="-".join
)
def test_P7_selected_database_reaches_a_late_sub_replica(farm, kinds):
    """The bottom of a chain attaches when the last SELECT is long past."""
    top = farm.server(kinds[0])
    middle = farm.server(kinds[1], f"replicaof 127.0.0.1 {top.port}")
    wait_in_sync(top, middle)
    with top.session(database=9) as client:
        client.call("SET", "one", "1")
        wait_in_sync(top, middle)
        bottom = farm.server(kinds[2], f"replicaof 127.0.0.1 {middle.port}")
        wait_in_sync(top, middle, bottom)
        client.call("SET", "two", "2")
    wait_in_sync(top, middle, bottom)
    assert_same(top, middle, bottom)
    assert sorted(read_everything(bottom)[9]) == [b"one", b"two"]


def test_P7_selected_database_after_a_partial_sync(farm):
    """SELECT came before the cut, the write after it."""
    replica, master, link = attach_to_fake_master(farm)
    done = link.send_command("SELECT", "7") + link.send_command("SET", "one", "1")
    wait_for(lambda: applied(replica) == done, 10, "the writes to be applied")
    link.close()
    link = master.accept()
    link.answer_until_psync()
    link.send(b"+CONTINUE\r\n")
    link.send_command("SET", "two", "2")
    wait_for(lambda: replica.call("INFO", "keyspace").find(b"db7:keys=2") != -1, 10, "both in database 7")


def test_P7_stream_database_in_the_snapshot(farm):
    """repl-stream-db tells where the stream stands after a full sync from a middle replica."""
    replica, _, link = attach_to_fake_master(farm, rdb=rdbfile.strings({}, stream_db=5))
    link.send_command("SET", "k", "v")
    wait_for(lambda: replica.call("INFO", "keyspace").find(b"db5:keys=1") != -1, 10, "the write in database 5")


def test_P8_second_id_has_an_upper_bound(farm):
    """What the old master wrote past the fork point is not history of the promoted one."""
    replica, _, link = attach_to_fake_master(farm)
    done = link.send_command("SET", "k", "v")
    wait_for(lambda: applied(replica) == done, 10, "the write to be applied")
    assert replica.call("REPLICAOF", "NO", "ONE") == "OK"
    info = replication(replica)
    assert info["master_replid2"] == REPLID
    assert int(info["second_repl_offset"]) == done + 1
    for _ in range(5):
        replica.call("SET", "other", "x" * 100)
    assert psync_answer(farm, replica, REPLID, done + 1)[0] == "CONTINUE"
    assert psync_answer(farm, replica, REPLID, done + 2)[0] == "FULLRESYNC"
    assert psync_answer(farm, replica, REPLID, done + 50)[0] == "FULLRESYNC"


@pytest.mark.parametrize("kinds", [("redis", "ours"), ("ours", "redis"), ("ours", "ours")], ids="-".join)
def test_P8_old_master_that_wrote_on_is_fully_synced(farm, kinds):
    master = farm.server(kinds[0])
    promoted = farm.server(kinds[1], f"replicaof 127.0.0.1 {master.port}")
    fill_strings(master, 100)
    wait_in_sync(master, promoted)
    promoted.call("REPLICAOF", "NO", "ONE")
    fill_strings(master, 10, prefix="lost:")
    fill_strings(promoted, 50, prefix="kept:")
    replicate(master, promoted)
    wait_in_sync(promoted, master)
    assert_same(promoted, master)
    assert stat(promoted, "sync_full") == 1


@pytest.mark.parametrize("kinds", [("redis", "ours", "redis"), ("ours", "ours", "ours")], ids="-".join)
def test_P10_backlog_outlives_its_ttl_until_siblings_come(farm, kinds):
    """The idle timer of the backlog starts at the promotion, not at the start of the process."""
    master = farm.server(kinds[0])
    promoted = farm.server(kinds[1], "repl-backlog-ttl 2", f"replicaof 127.0.0.1 {master.port}")
    sibling = farm.server(kinds[2], f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, promoted, sibling)
    wait_for(lambda: int(promoted.info("server")["uptime_in_seconds"]) >= 4, 10, "the ttl to pass", interval=0.1)
    master.kill()
    promoted.call("REPLICAOF", "NO", "ONE")
    promoted.call("SET", "in:the:gap", "1")
    replicate(sibling, promoted)
    wait_in_sync(promoted, sibling)
    assert_same(promoted, sibling)
    assert (stat(promoted, "sync_full"), stat(promoted, "sync_partial_ok")) == (0, 1)


def test_P10_backlog_is_freed_after_its_ttl_without_replicas(farm):
    """After that the history is a new one: an old replica must not resume."""
    master = farm.server("ours", "repl-backlog-ttl 1")
    fake = attach(farm, master)
    replid = replication(master)["master_replid"]
    fake.close()
    wait_for(lambda: replication(master)["repl_backlog_active"] == "0", 15, "the backlog to be freed", interval=0.1)
    assert psync_answer(farm, master, replid, fake.offset + 1)[0] == "FULLRESYNC"


def test_P11_restarted_master_tells_replicas_about_dead_keys(farm):
    master = farm.server("ours", "save 3600 1000000")
    replica = farm.server("redis", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    # The key expires while the master is down.
    fill_strings(master, 10)
    master.call("SET", "dies", "1", "PX", 700)
    deadline = time.time() + 0.7
    wait_in_sync(master, replica)
    assert master.terminate() == 0
    wait_for(lambda: time.time() > deadline, 5, "the key to be past its time")
    master.start()
    wait_in_sync(master, replica)
    wait_for(lambda: replica.call("DBSIZE") == 10, 10, "the key to leave the replica")
    assert_same(master, replica)


def test_P13_interrupted_full_sync_keeps_the_old_history(farm):
    """A new master starts a full sync and dies; the replica goes back and resumes where it was."""
    master = farm.server("redis")
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    fill_strings(master, 100)
    wait_in_sync(master, replica)
    other = farm.helper(FakeMaster())
    replicate(replica, other)
    link = other.accept()
    link.answer_until_psync()
    link.send(b"+FULLRESYNC %s 500\r\n$%d\r\n" % (OTHER_REPLID.encode(), len(EMPTY_RDB)))
    link.send(EMPTY_RDB[:9])
    wait_for(lambda: replication(replica)["master_sync_in_progress"] == "1", 10, "the transfer to begin")
    replicate(replica, master)
    fill_strings(master, 10, prefix="more:")
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert (stat(master, "sync_full"), stat(master, "sync_partial_ok")) == (1, 1)


@pytest.mark.lockstep_only("Redis names the offset that it had with the master before")
def test_P21_offset_of_another_history_does_not_count(farm):
    """Sentinel promotes the replica with the highest offset. One that still has the data of a master before, however
    much that was, names none until it has what its master has; back at the old master it names the old one."""
    master = farm.server("ours")
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_link_up(replica)
    fill_strings(master, 1000)
    wait_in_sync(master, replica)
    far = applied(replica)
    assert far > 100_000
    other = farm.helper(FakeMaster())
    replicate(replica, other)
    link = other.accept()
    link.answer_until_psync()
    link.send(b"+FULLRESYNC %s 500\r\n$%d\r\n" % (OTHER_REPLID.encode(), len(EMPTY_RDB)))
    link.send(EMPTY_RDB[:9])
    wait_for(lambda: replication(replica)["master_sync_in_progress"] == "1", 10, "the transfer to begin")
    assert applied(replica) == 0
    link.close()  # nor after a failed transfer
    link = other.accept()
    assert replication(replica)["master_sync_in_progress"] == "0" and applied(replica) == 0
    replicate(replica, master)
    wait_in_sync(master, replica)
    assert applied(replica) >= far and stat(master, "sync_partial_ok") == 1
    replicate(replica, other)
    link = other.accept()
    link.answer_until_psync()
    link.full_resync(EMPTY_RDB, replid=OTHER_REPLID, offset=500)
    wait_link_up(replica)
    assert applied(replica) == 500


def test_P14_no_answer_to_psync_is_no_full_sync(farm):
    """A hung master: the replica keeps its data, waits, gives up after repl-timeout and asks again."""
    replica, master, link = attach_to_fake_master(farm, "repl-timeout 2", databases={0: {"kept": "1"}})
    link.close()
    link = master.accept()
    asked = link.answer_until_psync()
    assert asked[0] == REPLID
    assert link.is_closed(within=15), "the replica gives up"
    link = master.accept()
    assert link.answer_until_psync() == asked
    assert replication(replica)["master_sync_in_progress"] == "0"
    assert replica.call("GET", "kept") == b"1"
    link.send(b"+CONTINUE\r\n")
    link.send_command("SET", "more", "1")
    wait_for(lambda: replica.call("GET", "more") == b"1", 10, "the stream to go on")


@pytest.mark.parametrize("noise", [b"\n", b"\n\n\n", b"\r\n"])
def test_P15_keep_alive_newlines_before_an_ack(farm, noise):
    """Newlines and *3 REPLCONF ACK in one packet: no error on the link, and the ACK counts."""
    master = farm.server()
    fake = attach(farm, master)
    master.call("SET", "k", "v")
    fake.command()
    fake.send(
        noise + encode_command("REPLCONF", "ACK", fake.offset) + noise + encode_command("REPLCONF", "ACK", fake.offset)
    )
    wait_for(lambda: f"offset={fake.offset}," in replication(master)["slave0"], 10, "the ACK to count")
    fake.send(noise)
    master.call("SET", "k", "w")
    assert fake.command() == [b"SET", b"k", b"w"]


def test_P17_value_bigger_than_the_replica_buffer_limit(farm):
    """The limit is below the backlog: what PSYNC accepts must also be sendable."""
    lines = ("client-output-buffer-limit replica 1mb 0 0", "repl-backlog-size 32mb")
    master = farm.server("ours", *lines)
    proxy = farm.helper(Proxy(master.address))
    replica = farm.server("redis", f"replicaof 127.0.0.1 {proxy.port}")
    wait_in_sync(master, replica)
    master.call("SET", "big", b"x" * (12 << 20))
    wait_in_sync(master, replica)
    proxy.refuse()
    wait_link_down(replica)
    master.call("SET", "big2", b"y" * (12 << 20))
    proxy.allow()
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert (stat(master, "sync_full"), stat(master, "sync_partial_ok")) == (1, 1)


def test_P17_stalled_replica_is_dropped_at_the_limit_and_comes_back(farm):
    master = farm.server(
        "ours", "client-output-buffer-limit replica 4mb 4mb 1", "repl-backlog-size 1mb", "repl-timeout 600"
    )
    proxy = farm.helper(Proxy(master.address))
    replica = farm.server("redis", f"replicaof 127.0.0.1 {proxy.port}")
    wait_in_sync(master, replica)
    proxy.stall()
    for number in range(40):
        master.call("SET", f"k{number}", random.randbytes(1 << 20))
    wait_for(lambda: replication(master)["connected_slaves"] == "0", 10, "the replica to be dropped")
    proxy.resume()
    proxy.cut()
    wait_in_sync(master, replica)
    assert_same(master, replica)


@pytest.mark.parametrize("mode", ["WRITE", "ALL"])
def test_P18_paused_replica_counts_only_what_it_applied(farm, mode):
    """During a pause the replica may continue or wait, but its offset is true in either case."""
    master = farm.server("redis")
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    sub = farm.server("redis", f"replicaof 127.0.0.1 {replica.port}")
    wait_in_sync(master, replica, sub)
    replica.call("CLIENT", "PAUSE", 1500, mode)
    with WriteLoad(master.address, databases=(0,), short_ttls=False) as load:
        load.wait_done(300)
    if mode == "WRITE":
        wait_for(
            lambda: applied(replica) < offset(master) or digest(replica) == digest(master),
            10,
            "offset and data to agree",
        )
    wait_in_sync(master, replica, sub)
    assert_same(master, replica, sub)


def test_P18_promotion_of_a_paused_replica(farm):
    """The promoted replica has everything that it had counted."""
    replica, _, link = attach_to_fake_master(farm)
    replica.call("CLIENT", "PAUSE", 600000, "WRITE")
    sizes = [link.send_command("SET", f"k{number}", "v") for number in range(20)]
    wait_for(lambda: applied(replica) in (0, sum(sizes)), 10, "a settled offset")
    counted = applied(replica)
    link.close()
    replica.call("CLIENT", "UNPAUSE")
    replica.call("REPLICAOF", "NO", "ONE")
    have = replica.call("DBSIZE")
    assert offset(replica) >= counted
    assert sum(sizes[:have]) >= counted


def test_P20_writes_between_promotion_and_the_first_sibling(farm):
    """Bytes written while no replica is attached are in the history that a sibling resumes from."""
    replica, _, link = attach_to_fake_master(farm)
    done = link.send_command("SET", "k", "v")
    wait_for(lambda: applied(replica) == done, 10, "the write to be applied")
    replica.call("REPLICAOF", "NO", "ONE")
    for number in range(100):
        replica.call("SET", f"gap{number}", number)
    answer, sibling = psync_answer(farm, replica, REPLID, done + 1)
    assert answer == "CONTINUE"
    for number in range(100):
        assert sibling.command() == [b"SET", b"gap%d" % number, b"%d" % number]

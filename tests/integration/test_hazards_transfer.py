"""Faults of full synchronizations and of links between servers (F), with fake masters and replicas that misbehave."""

import itertools
import os
import random
import signal
import time

import pytest

import rdbfile
from dataset import (
    WriteLoad,
    assert_same,
    digest,
    fill_strings,
    read_everything,
    replicate,
    stat,
    wait_in_sync,
    wait_link_up,
)
from fakes import OTHER_REPLID, REPLID, FakeMaster, FakeReplica
from harness import SCALE, child_pids, is_alive, wait_for
from hazards import EOF_MARK, replication, applied, attach, attach_to_fake_master
from proxy import Proxy
from wire import Closed, ReplyError, encode_command


def stuck_sync(farm, master):
    """A replica that asked for a full sync and reads nothing: the transfer stands still."""
    fake = farm.helper(FakeReplica(master, rcvbuf=4096)).handshake()
    fake.send_command("PSYNC", "?", -1)
    return fake


def fill_random(server, megabytes=30):
    for number in range(megabytes):
        server.call("SET", f"random:{number}", random.randbytes(1 << 20))


def test_F1_killed_snapshot_child_does_not_stop_syncs(farm):
    """The child of a disk-less transfer is killed: the waiting replica is told, the next one is served."""
    master = farm.server("ours", "repl-diskless-sync yes")
    fill_random(master)
    fake = stuck_sync(farm, master)
    children = wait_for(lambda: child_pids(master.pid) or stat(master, "total_forks") == 0 and ["none"], 10, "a child")
    if children == ["none"]:
        pytest.skip("snapshots without a child process")
    os.kill(children[0], signal.SIGKILL)
    wait_for(lambda: not child_pids(master.pid), 15, "the child to be reaped")
    fake.close()
    replica = farm.server("redis", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica, timeout=30)
    assert_same(master, replica)


def test_F1_replica_closes_in_the_middle_of_the_transfer(farm):
    master = farm.server("ours", "repl-diskless-sync yes")
    fill_random(master)
    for _ in range(3):
        fake = stuck_sync(farm, master)
        wait_for(lambda: "state=" in replication(master).get("slave0", ""), 10, "the transfer to begin")
        fake.close()
        wait_for(lambda: replication(master)["connected_slaves"] == "0", 10, "the replica to be forgotten")
    replica = farm.server("redis", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica)
    assert_same(master, replica)


def test_F2_hung_replica_holds_up_others_only_up_to_the_timeout(farm):
    master = farm.server("ours", "repl-diskless-sync yes", "repl-timeout 3")
    fill_random(master)
    stuck_sync(farm, master)
    replica = farm.server("redis", f"replicaof 127.0.0.1 {master.port}")
    wait_in_sync(master, replica, timeout=30)
    assert_same(master, replica)
    assert master.call("SET", "k", "v") == "OK"


def test_F3_one_replica_of_a_batch_drops_the_others_go_on(farm):
    master = farm.server("ours", "repl-diskless-sync yes", "repl-diskless-sync-delay 1")
    fill_random(master)
    proxy = farm.helper(Proxy(master.address))
    proxy.throttle(8 << 20)
    quick = farm.helper(FakeReplica(master, rcvbuf=65536)).handshake()
    quick.send_command("PSYNC", "?", -1)
    replica = farm.server("redis", f"replicaof 127.0.0.1 {proxy.port}")
    wait_for(
        lambda: replication(replica)["master_sync_in_progress"] == "1" and proxy.bytes_down > 1 << 20,
        20,
        "the transfer",
    )
    quick.close()
    proxy.throttle(None)
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert stat(master, "sync_full") == 2


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_F4_snapshot_child_ends_with_its_parent(farm, diskless):
    master = farm.server("ours", f"repl-diskless-sync {diskless}")
    fill_random(master)
    stuck_sync(farm, master)
    wait_for(lambda: "state=" in replication(master).get("slave0", ""), 10, "the sync to begin")
    children = child_pids(master.pid)
    master.kill()
    wait_for(lambda: not any(map(is_alive, children)), 15, "the child to end")


@pytest.mark.parametrize("load", ["disabled", "swapdb"])
@pytest.mark.parametrize("chunks", ["bytes", "mark-split", "one-packet"])
def test_F5_end_mark_split_over_packets(farm, load, chunks):
    """The 40 bytes may come in any pieces, with keep-alive newlines before the transfer."""
    master = farm.helper(FakeMaster())
    replica = farm.server("ours", f"repl-diskless-load {load}", f"replicaof 127.0.0.1 {master.port}")
    link = master.accept()
    link.answer_until_psync()
    link.send(b"\n\n")
    link.send(b"+FULLRESYNC %s 0\r\n" % REPLID.encode())
    link.send(b"\n\n\n$EOF:%s\r\n" % EOF_MARK)
    rdb = rdbfile.strings({0: {f"k{n}": "v" * n for n in range(20)}})
    data = rdb + EOF_MARK
    cuts = {
        "bytes": range(1, len(data)),
        "mark-split": [len(rdb) - 1, len(rdb) + 1, len(rdb) + 20, len(rdb) + 39],
        "one-packet": [],
    }[chunks]
    edges = [0, *cuts, len(data)]
    for start, end in zip(edges, edges[1:]):
        link.send(data[start:end])
        if chunks == "mark-split":
            time.sleep(0.05)  # so that each piece is read separately
    link.read_ack()
    link.send_command("SET", "streamed", "1")
    wait_for(lambda: replica.ask("GET", "streamed") == b"1", 15, "the stream behind the snapshot")
    assert replica.call("DBSIZE") == 21


def test_F5_snapshot_that_holds_parts_of_its_own_mark(farm):
    """Bytes that look like the mark in the data do not end the transfer."""
    master = farm.helper(FakeMaster())
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    link = master.accept()
    link.answer_until_psync()
    mark = b"a" * 39 + b"b"
    rdb = rdbfile.strings({0: {"k": b"a" * 500, "almost": mark[1:], "tail": b"a" * 39}})
    link.full_resync(rdb, eof_mark=mark)
    link.read_ack()
    link.send_command("SET", "streamed", "1")
    wait_for(lambda: replica.ask("GET", "streamed") == b"1", 15, "the stream behind the snapshot")
    assert replica.call("GET", "k") == b"a" * 500
    assert replica.call("DBSIZE") == 4


@pytest.mark.parametrize(
    "load", [pytest.param("disabled", marks=pytest.mark.lockstep_only("checks the mark")), "swapdb"]
)
def test_F5_broken_end_mark_does_not_replace_the_data(farm, load):
    """The mark at the end is not the announced one: the old data stays, and the sync is tried again."""
    replica, master, link = attach_to_fake_master(
        farm, f"repl-diskless-load {load}", "repl-timeout 3", databases={0: {"kept": "1"}}
    )
    link.close()
    link = master.accept()
    link.answer_until_psync()
    broken = EOF_MARK[:-1] + b"X"
    link.send(b"+FULLRESYNC %s 0\r\n$EOF:%s\r\n" % (REPLID.encode(), EOF_MARK))
    link.send(rdbfile.strings({0: {"new": "1"}}) + broken)
    link = master.accept()
    assert replica.call("GET", "kept") == b"1"
    link.answer_until_psync()
    link.full_resync(rdbfile.strings({0: {"newer": "1"}}), eof_mark=EOF_MARK)
    wait_for(lambda: replica.ask("GET", "newer") == b"1", 15, "the good sync")


@pytest.mark.slow
@pytest.mark.parametrize("load", ["disabled", "swapdb"])
def test_F6_peer_closes_during_the_load(farm, load):
    """Each close is one failed attempt and one new connection; the old data stays until a sync succeeds."""
    replica, master, link = attach_to_fake_master(farm, f"repl-diskless-load {load}", databases={0: {"kept": "1"}})
    rdb = rdbfile.strings({0: {f"k{n}": "v" * 100 for n in range(100)}})
    for size in (0, 1, 9, 30, 200, len(rdb) - 1):
        link.close()
        link = master.accept()
        link.answer_until_psync()
        link.send(b"+FULLRESYNC %s 0\r\n$EOF:%s\r\n" % (REPLID.encode(), EOF_MARK))
        link.send(rdb[:size])
        link.close()
    link = master.accept()
    assert replica.call("GET", "kept") == b"1"
    link.answer_until_psync()
    link.full_resync(rdb, eof_mark=EOF_MARK)
    wait_for(lambda: replica.ask("DBSIZE") == 100, 15, "the good sync")


def rich_rdb():
    """A snapshot with all kinds of content that can be cut short."""
    body = rdbfile.aux("redis-ver", "7.0.15") + rdbfile.aux("repl-stream-db", 0) + rdbfile.aux("ctime", 1700000000)
    body += rdbfile.select_db(0) + b"\xfb" + rdbfile.length(4) + rdbfile.length(1)
    body += rdbfile.string_entry("ttl", "v", int(time.time() * 1000) + 3_600_000)
    body += b"\x00" + rdbfile.string("int") + b"\xc1\x39\x30"
    body += b"\x00" + rdbfile.string("long") + rdbfile.string("x" * 300)
    body += b"\x01" + rdbfile.string("list") + rdbfile.length(2) + rdbfile.string("a") + rdbfile.string("b")
    body += b"\x02" + rdbfile.string("set") + rdbfile.length(2) + rdbfile.string("a") + rdbfile.string("b")
    body += b"\x04" + rdbfile.string("hash") + rdbfile.length(1) + rdbfile.string("f") + rdbfile.string("v")
    body += (
        b"\x05" + rdbfile.string("zset") + rdbfile.length(1) + rdbfile.string("m") + b"\x00\x00\x00\x00\x00\x00\xf8\x3f"
    )
    return rdbfile.file(body)


@pytest.mark.timeout(120)
def test_F7_short_read_anywhere_is_a_failed_attempt_and_no_exit(farm):
    """A snapshot cut at every byte: the replica stays alive with its old data and connects again."""
    rdb = rich_rdb()
    cuts = list(range(1, len(rdb), 5))
    gave_up = []

    def serve(link, number):
        link.answer_until_psync()
        if number == 0 or len(gave_up) == len(cuts):
            link.full_resync(rdb if number else rdbfile.strings({0: {"kept": "1"}}), eof_mark=EOF_MARK)
            link.is_closed(60)
            return
        link.send(b"+FULLRESYNC %s 0\r\n$EOF:%s\r\n" % (REPLID.encode(), EOF_MARK) + rdb[: cuts[len(gave_up)]])
        link.end_of_data()
        gave_up.append(link.is_closed(20))

    master = farm.helper(FakeMaster(serve))
    replica = farm.server("ours", "repl-diskless-load swapdb", f"replicaof 127.0.0.1 {master.port}")
    wait_for(lambda: replica.ask("GET", "kept") == b"1", 15, "the first sync")
    names = itertools.cycle(("localhost", "127.0.0.1"))
    while len(gave_up) < len(cuts):
        before = len(gave_up)
        assert replica.ask("GET", "kept") == b"1"
        # Another name of the same master connects at once; waiting for the retry timer would take a second each.
        assert replica.call("REPLICAOF", next(names), master.port) == "OK"
        wait_for(lambda n=before: len(gave_up) > n, 15, "an attempt to be given up")
    assert all(gave_up)
    wait_for(lambda: replica.ask("DBSIZE") == 7, 15, "the good sync")
    assert replica.call("ZSCORE", "zset", "m") == b"1.5"
    assert not master.errors


@pytest.mark.parametrize("load", ["disabled", "on-empty-db", "swapdb"])
def test_F8_data_stays_while_the_new_master_cannot_be_reached(farm, load):
    replica = farm.server("ours", f"repl-diskless-load {load}")
    fill_strings(replica, 100)
    before = digest(replica)
    gone = FakeMaster()
    gone.close()
    replicate(replica, gone)
    wait_for(lambda: int(replication(replica)["master_link_down_since_seconds"]) != 0, 10, "a failed attempt")
    mute = farm.helper(FakeMaster())
    replicate(replica, mute)
    mute.accept()
    assert digest(replica) == before


@pytest.mark.lockstep_only("Redis empties the dataset before it has read the file")
@pytest.mark.parametrize("load", ["disabled", "swapdb"])
@pytest.mark.parametrize("form", ["length", "mark"])
def test_F8_damaged_snapshot_does_not_cost_the_data(farm, load, form):
    """The whole transfer arrives, but its checksum is wrong."""
    replica, master, link = attach_to_fake_master(farm, f"repl-diskless-load {load}", databases={0: {"kept": "1"}})
    link.close()
    link = master.accept()
    link.answer_until_psync()
    damaged = bytearray(rdbfile.strings({0: {"new": "value"}}))
    damaged[-1] ^= 0x40
    link.full_resync(bytes(damaged), eof_mark=EOF_MARK if form == "mark" else None)
    link = master.accept()
    assert replica.call("GET", "kept") == b"1"
    assert replica.call("EXISTS", "new") == 0
    link.answer_until_psync()
    link.full_resync(rdbfile.strings({0: {"good": "1"}}))
    wait_for(lambda: replica.ask("GET", "good") == b"1", 15, "the good sync")


@pytest.mark.slow
def test_F8_garbage_instead_of_a_snapshot_does_not_cost_the_data(farm):
    replica, master, link = attach_to_fake_master(farm, "repl-diskless-load swapdb", databases={0: {"kept": "1"}})
    for garbage in (b"REDIS9999", b"GARBAGE", b"REDIS0010\xfe\x00\x63", random.Random(1).randbytes(500)):
        link.close()
        link = master.accept()
        link.answer_until_psync()
        link.full_resync(garbage + b"\x00" * 100, eof_mark=EOF_MARK)
        next_link = master.accept()
        assert replica.call("GET", "kept") == b"1", garbage
        link = next_link
    link.answer_until_psync()
    link.full_resync(rdbfile.strings({0: {"good": "1"}}), eof_mark=EOF_MARK)
    wait_for(lambda: replica.ask("GET", "good") == b"1", 15, "the good sync")


BLOCKS = pytest.mark.lockstep_only("Redis answers nobody while it waits for bytes of the snapshot")


@pytest.mark.parametrize("load", ["disabled", pytest.param("swapdb", marks=BLOCKS)])
def test_F9_new_master_during_a_transfer_leaves_one_link(farm, load):
    first, second = farm.helper(FakeMaster()), farm.helper(FakeMaster())
    replica = farm.server("ours", f"repl-diskless-load {load}", f"replicaof 127.0.0.1 {first.port}")
    link = first.accept()
    link.answer_until_psync()
    link.send(b"+FULLRESYNC %s 0\r\n$EOF:%s\r\n" % (REPLID.encode(), EOF_MARK))
    link.send(rdbfile.strings({0: {f"k{n}": "v" * 1000 for n in range(500)}})[:100000])
    wait_for(lambda: replication(replica)["master_sync_in_progress"] == "1", 10, "the transfer to begin")
    replicate(replica, second)
    assert link.is_closed(), "the first link ends"
    other = second.accept()
    other.answer_until_psync()
    other.full_resync(rdbfile.strings({0: {"second": "1"}}), replid=OTHER_REPLID)
    wait_for(lambda: replica.ask("GET", "second") == b"1", 10, "the second master's data")
    assert replica.call("DBSIZE") == 1
    assert len(first.links) == 1


CORRUPT = pytest.mark.lockstep_only("Redis ends its process over a corrupt snapshot")


@pytest.mark.parametrize("load", ["disabled", "swapdb"])
@pytest.mark.parametrize("fault", ["cut-short", pytest.param("corrupt", marks=CORRUPT)])
def test_F10_reconnects_after_a_failed_load(farm, load, fault):
    """The first snapshot is bad, the second good: up again soon, several times in a row."""
    master = farm.helper(FakeMaster())
    replica = farm.server("ours", f"repl-diskless-load {load}", f"replicaof 127.0.0.1 {master.port}")
    good = rdbfile.strings({0: {"k": "v" * 100}})
    bad = good[:60] if fault == "cut-short" else good[:-4] + b"1234" + EOF_MARK
    for number in range(3):
        link = master.accept()
        link.answer_until_psync()
        link.send(b"+FULLRESYNC %s 0\r\n$EOF:%s\r\n%s" % (REPLID.encode(), EOF_MARK, bad))
        link.close()
        link = master.accept()
        link.answer_until_psync()
        link.full_resync(rdbfile.strings({0: {"n": str(number)}}), eof_mark=EOF_MARK)
        wait_for(lambda n=number: replica.ask("GET", "n") == b"%d" % n, 15, "the good sync")
        replicate(replica, farm.helper(FakeMaster()))
        replicate(replica, master)


def test_F11_client_ends_itself_in_its_own_command(farm):
    """A client kills itself with CLIENT KILL, also in MULTI, with commands queued after it."""
    server = farm.server()
    for number in range(20):
        with server.wire() as wire:
            kill = ("CLIENT", "KILL", "ID", wire.call("CLIENT", "ID"), "SKIPME", "no")
            words = [kill, *[("SET", "after:kill", 1)] * 5]
            if number % 2 == 0:
                words = [("MULTI",), kill, ("SET", "a", 1), ("EXEC",), ("SET", "after:kill", 1)]
            wire.send(b"".join(encode_command(*command) for command in words))
            assert wire.is_closed()
    assert server.call("PING") == "PONG"
    assert server.call("EXISTS", "after:kill") == 0


def test_F11_output_limit_passed_in_the_middle_of_a_transaction(farm):
    """A client that does not read is disconnected because of its replies while more of them are produced."""
    server = farm.server("ours", "client-output-buffer-limit normal 1mb 1mb 1")
    server.call("SET", "big", "x" * 300000)
    for _ in range(5):
        with server.wire(rcvbuf=4096) as wire:
            mark = b"id=%d " % wire.call("CLIENT", "ID")
            wire.send(encode_command("MULTI") + encode_command("GET", "big") * 60 + encode_command("EXEC"))
            wait_for(lambda m=mark: m not in server.call("CLIENT", "LIST"), 10, "the client to be dropped")
    assert server.call("PING") == "PONG"


def test_F11_replicas_killed_while_they_are_fed(farm):
    master = farm.server()
    fakes = [attach(farm, master) for _ in range(5)]
    with WriteLoad(master.address) as load:
        for _ in range(5):
            load.wait_done(200)
            assert master.call("CLIENT", "KILL", "TYPE", "replica") >= 1
            fakes.append(attach(farm, master))
    assert replication(master)["connected_slaves"] == "1"
    assert master.call("PING") == "PONG"


def test_F11_flush_of_old_data_under_pipelined_reads(farm):
    """Clients read with deep pipelines while a full synchronization frees the old data."""
    master = farm.server("redis")
    fill_strings(master, 5000)
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_link_up(replica)
    other = farm.server("redis")
    fill_strings(other, 5000, prefix="other:")
    with replica.wire() as wire:
        burst = b"".join(encode_command("GET", f"key:{n}") for n in range(500))
        for number in range(8):
            replicate(replica, other if number % 2 == 0 else master)
            for _ in range(10):
                wire.send(burst)
                for _ in range(500):
                    wire.read()
            wait_link_up(replica)
    wait_in_sync(master, replica)
    assert_same(master, replica)


def test_F12_rogue_replica_sends_commands_on_its_link(farm):
    """After PSYNC a peer sends reads and writes: no reply gets into the stream, and no write happens."""
    master = farm.server()
    good = attach(farm, master)
    for command in (("GET", "k"), ("SET", "rogue", "1"), ("FLUSHALL",), ("PSYNC", "?", "-1"), ("NOSUCH",), ("MULTI",)):
        rogue = farm.helper(FakeReplica(master)).handshake()
        rogue.send_command("PSYNC", "x", -1)
        rogue.send_command(*command)
        rogue.send_command("PING")
        master.call("SET", "k", "v")
        assert master.call("PING") == "PONG"
        stream = rogue_stream(rogue, master)
        assert all(item[0] in (b"SET", b"SELECT", b"PING") for item in stream), (command, stream)
        rogue.close()
    assert master.call("EXISTS", "rogue") == 0
    assert [good.command() for _ in range(6)] == [[b"SET", b"k", b"v"]] * 6


def rogue_stream(rogue, master):
    """What the peer got after the snapshot: whole commands only (or nothing, if it was disconnected)."""
    found = []
    try:
        if isinstance(rogue.psync_reply(), ReplyError):
            return found
        rogue.read_rdb()
        rogue.go_online()
        master.call("SET", "end", "1")
        while True:
            found.append(rogue.next_command())
            if found[-1][1:2] == [b"end"]:
                return found[:-1]
    except (Closed, OSError):
        return found


def test_F12_rogue_replica_sends_garbage(farm):
    master = farm.server()
    good = attach(farm, master)
    rnd = random.Random(11)
    for _ in range(20):
        rogue = attach(farm, master)
        rogue.send(
            rnd.choice(
                (
                    b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$5\r\nabcde\r\n",
                    b"*1000000000\r\n",
                    rnd.randbytes(200),
                    b"$5\r\n",
                )
            )
        )
        rogue.send(b"\r\n" * 3)
        master.call("SET", "k", "v")
        assert good.command() == [b"SET", b"k", b"v"]
        rogue.close()
    assert master.call("PING") == "PONG"


@pytest.mark.parametrize("bad", ["abc", "-5", "99999999999999999999", ""])
def test_F12_bad_acknowledgements_are_not_believed(farm, bad):
    master = farm.server()
    fake = attach(farm, master)
    master.call("SET", "k", "v")
    fake.command()
    fake.send_command("REPLCONF", "ACK", bad)
    fake.send_command("REPLCONF", "ACK", fake.offset)
    wait_for(
        lambda: f"offset={fake.offset}," in replication(master).get("slave0", "offset=,"), 10, "the good ACK to count"
    )


def test_F12_handshake_nonsense_from_a_replica(farm):
    master = farm.server()
    with master.wire() as wire:
        for words in (
            ("REPLCONF", "listening-port"),
            ("REPLCONF", "listening-port", "abc"),
            ("REPLCONF", "no-such-option", "1"),
            ("REPLCONF", "ip-address", "x" * 5000),
            ("PSYNC",),
            ("PSYNC", "?"),
        ):
            assert isinstance(wire.ask(*words), ReplyError), words
        assert wire.ask("PING") == "PONG"
    assert replication(master)["connected_slaves"] == "0"


def test_F12_replica_is_served_by_the_old_sync_command(farm):
    """SYNC: no status line, the snapshot with its length, and the stream."""
    master = farm.server()
    master.call("SET", "k", "v")
    fake = farm.helper(FakeReplica(master))
    fake._start = 0
    fake.send_command("SYNC")
    rdb = fake.read_rdb()
    assert rdb.startswith(b"REDIS00") and b"\x01k\x01v" in rdb
    master.call("SET", "k", "w")
    assert fake.command() == [b"SET", b"k", b"w"]


@pytest.mark.parametrize("load", ["disabled", "swapdb"])
def test_F13_sub_replica_attached_while_its_master_is_being_synced(farm, load):
    """The sub-replica waits until its master has data, and then gets the new data only."""
    top = farm.helper(FakeMaster())
    middle = farm.server("ours", f"repl-diskless-load {load}")
    fill_strings(middle, 500, prefix="old:")
    early = farm.server("ours", f"replicaof 127.0.0.1 {middle.port}")  # connects before the synchronization
    wait_in_sync(middle, early)
    replicate(middle, top)
    link = top.accept()
    link.answer_until_psync()
    rdb = rdbfile.strings({0: {f"new:{n}": "v" * 1000 for n in range(300)}})
    link.send(b"+FULLRESYNC %s 0\r\n$EOF:%s\r\n" % (REPLID.encode(), EOF_MARK))
    link.send(rdb[: len(rdb) // 2])
    wait_for(lambda: replication(middle)["master_sync_in_progress"] == "1", 10, "the transfer to begin")
    late = farm.server("ours", f"replicaof 127.0.0.1 {middle.port}")
    fake = farm.helper(FakeReplica(middle))
    if load == "swapdb":  # it loads, and answers no command
        assert str(fake.ask("PING")).startswith("LOADING")
    else:
        assert str(fake.handshake().psync()).startswith("NOMASTERLINK")
    link.send(rdb[len(rdb) // 2 :] + EOF_MARK)
    link.send_command("SET", "after", "1")
    for replica in (middle, early, late):
        wait_for(lambda peer=replica: peer.ask("GET", "after") == b"1", 30, f"{replica.name} to have it all")
        assert replica.call("DBSIZE") == 301
    assert digest(early) == digest(middle) == digest(late)
    middle.call("REPLICAOF", "NO", "ONE")  # the fake master goes away, and its links are tried again
    wait_in_sync(middle, early, late)


def test_F14_every_key_is_in_a_snapshot_taken_while_tables_grow_and_shrink(farm):
    master = farm.server()
    fill_strings(master, 30000)
    keys = {b"key:%d" % number for number in range(30000)}
    loads = [farm.helper(WriteLoad(master.address, seed=seed, keys=3000, batch=50).start()) for seed in range(2)]
    for load in loads:
        load.wait_done(1000)
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    with master.session() as client:
        for start in range(0, 30000, 300):
            batch = range(start, start + 300, 3)
            client.pipeline([("DEL", f"key:{n}") if n % 2 else ("SET", f"grow:{n}", "x") for n in batch])
    wait_link_up(replica)
    for load in loads:
        load.stop()
    wait_in_sync(master, replica)
    assert_same(master, replica)
    kept = {b"key:%d" % number for number in range(30000) if number % 3 or number % 2 == 0}
    assert kept <= keys and kept <= set(read_everything(replica)[0])


def test_F16_client_that_pipelines_without_reading(farm):
    """Replies pile up and both windows are full: other clients are served, and every reply arrives once it reads."""
    server = farm.server()
    server.call("SET", "k", "v" * 10000)
    total = 5000
    greedy = farm.helper(server.wire(timeout=60, rcvbuf=8192))
    request = encode_command("GET", "k")
    greedy.sock.settimeout(20)
    greedy.send(request * total)
    wait_for(lambda: int(server.info("stats")["total_commands_processed"]) >= total, 20, "the pipeline to be run")
    assert server.call("PING") == "PONG"
    for _ in range(total):
        assert len(greedy.read()) == 10000
    assert greedy.at_rest()


def test_F16_both_windows_full(farm):
    """A request larger than all buffers while replies are not read: it is sent completely once they are."""
    server = farm.server("ours", "client-output-buffer-limit normal 0 0 0")
    greedy = farm.helper(server.wire(timeout=60, rcvbuf=8192))
    request = encode_command("ECHO", "e" * 60000) * 600
    greedy.sock.setblocking(False)
    sent = got = 0
    wanted = 600 * (60000 + len(b"$60000\r\n\r\n"))
    deadline = time.monotonic() + 60 * SCALE
    while got < wanted and time.monotonic() < deadline:
        try:
            sent += greedy.sock.send(request[sent : sent + 65536]) if sent < len(request) else 0
        except BlockingIOError:
            pass
        try:
            got += len(greedy.sock.recv(65536))
        except BlockingIOError:
            pass
    assert got == wanted
    assert server.call("PING") == "PONG"


# A master that answers nonsense at each step


BAD_ANSWERS = {
    "ping-error": {"PING": b"-ERR go away\r\n"},
    "ping-garbage": {"PING": b"\x00\xff\xfe garbage\r\n"},
    "ping-bulk": {"PING": b"$4\r\nPONG\r\n"},
    "ping-endless-line": {"PING": b"+" + b"x" * 100000 + b"\r\n"},
    "auth-wrong": {"AUTH": b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
}


@pytest.mark.parametrize("step", BAD_ANSWERS)
def test_F_nonsense_in_the_handshake_is_a_failed_attempt(farm, step):
    """The link is dropped, the data stays, the next attempt with a sane master works."""
    replica, master, link = attach_to_fake_master(farm, "masterauth pw", "repl-timeout 3", databases={0: {"kept": "1"}})
    link.close()
    link = master.accept()

    def nonsense():
        try:
            link.answer_until_psync(BAD_ANSWERS[step])
            link.close()
        except (Closed, OSError):
            pass

    nonsense()
    link = master.accept()
    assert replica.call("GET", "kept") == b"1"
    link.answer_until_psync()
    link.send(b"+CONTINUE\r\n")
    link.send_command("SET", "more", "1")
    wait_for(lambda: replica.call("GET", "more") == b"1", 10, "the stream to go on")


@pytest.mark.parametrize("option", ["listening-port", "capa", "ip-address"])
def test_F_master_that_does_not_know_a_replconf_option(farm, option):
    """An old master refuses it: the handshake goes on."""
    master = farm.helper(FakeMaster())
    lines = ("replica-announce-ip 127.0.0.1",)
    replica = farm.server("ours", *lines, f"replicaof 127.0.0.1 {master.port}")
    link = master.accept()
    link.answer_until_psync({f"REPLCONF {option}": b"-ERR Unrecognized REPLCONF option\r\n"})
    link.full_resync(rdbfile.strings({0: {"k": "v"}}))
    wait_for(lambda: replica.ask("GET", "k") == b"v", 10, "the sync")


EXITS = pytest.mark.lockstep_only("Redis ends its process over such a file")
BAD_PSYNC = {
    "garbage": b"what?\r\n",
    "fullresync-without-offset": b"+FULLRESYNC " + REPLID.encode() + b"\r\n",
    "fullresync-short-id": b"+FULLRESYNC abc 0\r\n",
    "fullresync-bad-offset": b"+FULLRESYNC " + REPLID.encode() + b" abc\r\n",
    "not-a-length": b"+FULLRESYNC " + REPLID.encode() + b" 0\r\n$abc\r\n",
    "negative-length": b"+FULLRESYNC " + REPLID.encode() + b" 0\r\n$-5\r\n",
    "huge-length": b"+FULLRESYNC " + REPLID.encode() + b" 0\r\n$99999999999999999999\r\n",
    "short-mark": b"+FULLRESYNC " + REPLID.encode() + b" 0\r\n$EOF:abc\r\n",
    "error-instead": b"+FULLRESYNC " + REPLID.encode() + b" 0\r\n-ERR cannot save\r\n",
    "nomasterlink": b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n",
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n",
    "endless-line": b"+FULLRESYNC " + b"x" * 100000 + b"\r\n",
}


@pytest.mark.parametrize("answer", [*BAD_PSYNC, pytest.param("wrong-type", marks=EXITS)])
def test_F_nonsense_as_answer_to_psync_is_a_failed_attempt(farm, answer):
    """Whatever the master sends, the old data stay until a synchronization is complete, and the next attempt works."""
    replica, master, link = attach_to_fake_master(farm, "repl-timeout 3", databases={0: {"kept": "1"}})
    link.close()
    link = master.accept()
    link.answer_until_psync()
    link.send(BAD_PSYNC.get(answer, b"*1\r\n$4\r\nPING\r\n"))
    link.close()
    link = master.accept()
    assert replica.call("GET", "kept") == b"1"
    assert replica.call("PING") == "PONG"
    link.answer_until_psync()
    link.full_resync(rdbfile.strings({0: {"good": "1"}}))
    wait_for(lambda: replica.ask("GET", "good") == b"1", 15, "the good sync")


def used_memory(server):
    return int(server.info("memory")["used_memory"])


@pytest.mark.parametrize(
    "announced", ["1000000000000", "9223372036854775807", "18446744073709551615", "99999999999999999999", "-5", "1e9"]
)
def test_CVE_2021_32762_length_of_a_snapshot_that_a_master_announces(farm, announced):
    """No memory is reserved for the length, or it is invalid; the data stay, and the next attempt succeeds."""
    replica, master, link = attach_to_fake_master(farm, databases={0: {"kept": "1"}})
    link.close()
    link = master.accept()
    link.answer_until_psync()
    before = used_memory(replica)
    link.send(b"+FULLRESYNC %s 0\r\n$%s\r\nREDIS0010" % (OTHER_REPLID.encode(), announced.encode()))
    if announced in ("1000000000000", "9223372036854775807"):
        wait_for(lambda: replication(replica)["master_sync_in_progress"] == "1", 10, "the transfer to begin")
        assert replication(replica)["master_sync_total_bytes"] == announced
        assert used_memory(replica) < before + (16 << 20)
        link.close()
    else:
        assert link.is_closed()
    link = master.accept()
    assert replica.call("GET", "kept") == b"1"
    link.answer_until_psync()
    link.full_resync(rdbfile.strings({0: {"good": "1"}}))
    wait_for(lambda: replica.ask("GET", "good") == b"1", 15, "the good sync")


@pytest.mark.parametrize(
    "head",
    [
        b"*2147483647\r\n",
        b"*2147483648\r\n",
        b"*9223372036854775807\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4294967296\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9223372036854775807\r\n",
    ],
)
def test_CVE_2021_32762_lengths_in_the_stream_of_a_master(farm, head):
    """It is refused, or no memory is reserved for it; the replica asks for the rest from its position."""
    replica, master, link = attach_to_fake_master(farm, databases={0: {"kept": "1"}}, start=100)
    at = 100 + link.send_command("SET", "first", "1")
    wait_for(lambda: replica.ask("GET", "first") == b"1", 10, "the stream to flow")
    before = used_memory(replica)
    link.send(head + b"x" * 100)
    wait_for(
        lambda: link.is_closed(within=0.1) or int(replication(replica)["slave_read_repl_offset"]) > at,
        10,
        "the announcement to arrive",
    )
    assert used_memory(replica) < before + (16 << 20)
    link.close()
    link = master.accept()
    assert link.answer_until_psync() == [REPLID, str(at + 1)]
    link.send(b"+CONTINUE\r\n")
    link.send_command("SET", "more", "1")
    wait_for(lambda: replica.call("GET", "more") == b"1", 10, "the stream to go on")
    assert replica.call("GET", "kept") == b"1"


def test_F_garbage_in_the_stream_drops_the_link_at_a_known_offset(farm):
    """A protocol error from the master: what was applied is counted, what follows is asked for again."""
    replica, master, link = attach_to_fake_master(farm)
    done = link.send_command("SET", "one", "1")
    wait_for(lambda: applied(replica) == done, 10, "the write to be applied")
    link.send(b"*2\r\n$abc\r\n")
    link = master.accept()
    link.answer_until_psync()
    assert replica.call("GET", "one") == b"1"
    link.full_resync(rdbfile.strings({0: {"good": "1"}}))
    wait_for(lambda: replica.ask("GET", "good") == b"1", 15, "the good sync")


def test_F_continue_with_a_new_id(farm):
    """+CONTINUE <id>: the master was promoted meanwhile; the old id becomes the second one."""
    replica, master, link = attach_to_fake_master(farm)
    done = link.send_command("SET", "one", "1")
    wait_for(lambda: applied(replica) == done, 10, "the write to be applied")
    link.close()
    link = master.accept()
    link.answer_until_psync()
    link.send(b"+CONTINUE %s\r\n" % OTHER_REPLID.encode())
    link.send_command("SET", "two", "2")
    wait_for(lambda: replica.call("GET", "two") == b"2", 10, "the stream to go on")
    info = replication(replica)
    assert (info["master_replid"], info["master_replid2"]) == (OTHER_REPLID, REPLID)
    assert int(info["second_repl_offset"]) == done + 1


def test_F_silent_master_times_out(farm):
    """No bytes for repl-timeout: the link counts as down, and the replica asks again at its position."""
    replica, master, link = attach_to_fake_master(farm, "repl-timeout 2")
    done = link.send_command("SET", "one", "1")
    assert link.is_closed(within=20)
    link = master.accept()
    assert link.answer_until_psync() == [REPLID, str(done + 1)]
    link.send(b"+CONTINUE\r\n")
    wait_link_up(replica)


def test_F_silent_replica_times_out(farm):
    master = farm.server("ours", "repl-timeout 2")
    fake = attach(farm, master)
    assert replication(master)["connected_slaves"] == "1"
    wait_for(lambda: replication(master)["connected_slaves"] == "0", 20, "the replica to be dropped", interval=0.1)
    assert fake.is_closed()

"""Faults of append-only files in servers of this family: S1 to S9, F15, X7 of docs/FAULTS.md."""

import os
import re
import resource
import shutil
import signal
import subprocess
import threading

import pytest

import aoffiles
from aoffiles import command
from dataset import assert_same, digest, fill_strings, wait_in_sync
from harness import child_pids, wait_for
from test_aof import ON, replica_with_log, rewritten, settled, written
from wire import Closed, ReplyError


def in_log(server, text):
    return text in aoffiles.last_incr(server).read_bytes()


# S1: with `always`, a write is on disk when it is answered


def test_S1_reply_comes_after_the_write(farm):
    """Each way to be answered: a plain write, a transaction, a script, a client that waited for a key."""
    server = farm.server("ours", ON, "appendfsync always")
    waiting = server.session()
    waiting.send_command("BLPOP", "queue", 0)
    wait_for(lambda: server.info("clients")["blocked_clients"] == "1", 5, "a client to wait")
    server.call("DEBUG", "AOF-FLUSH-SLEEP", 200_000)
    with server.session() as wire:
        wire.call("SET", "k1", "plain-write")
        assert in_log(server, b"plain-write")
        wire.call("MULTI")
        wire.call("SET", "k2", "in-a-transaction")
        wire.call("EXEC")
        assert in_log(server, b"in-a-transaction")
        wire.call("EVAL", "return redis.call('set', KEYS[1], 'by-a-script')", 1, "k3")
        assert in_log(server, b"by-a-script")
        wire.send_command("RPUSH", "queue", "for-the-waiting")
        assert waiting.read() == [b"queue", b"for-the-waiting"]
        assert in_log(server, b"LPOP") or in_log(server, b"lpop")
        wire.read()
    waiting.close()


def test_S1_nothing_acknowledged_is_lost_by_a_crash(farm):
    server = farm.server("ours", ON, "appendfsync always")
    acknowledged = [0] * 4

    def load(number):
        with server.session() as wire:
            try:
                while True:
                    wire.call("INCR", f"counter:{number}")
                    acknowledged[number] += 1
            except (Closed, OSError):
                return

    threads = [threading.Thread(target=load, args=(n,)) for n in range(len(acknowledged))]
    for thread in threads:
        thread.start()
    wait_for(lambda: min(acknowledged) >= 20, 20, "some load")
    server.call("BGREWRITEAOF")
    reached = [n + 20 for n in acknowledged]
    wait_for(lambda: all(n >= least for n, least in zip(acknowledged, reached, strict=True)), 20, "more of it")
    server.kill()
    for thread in threads:
        thread.join(20)
    server.start()
    for number, count in enumerate(acknowledged):
        assert count <= int(server.call("GET", f"counter:{number}")) <= count + 1


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_S8_transactions_are_whole_after_a_crash(farm, fsync):
    server = farm.server("ours", ON, f"appendfsync {fsync}")
    stop = threading.Event()
    transaction = [("MULTI",), ("INCR", "a"), ("APPEND", "x", "y" * 5000), ("INCR", "b"), ("EXEC",)]

    def load():
        with server.session() as wire:
            try:
                while not stop.is_set():
                    wire.pipeline(transaction * 5)
            except (Closed, OSError):
                return

    for _ in range(3):
        thread = threading.Thread(target=load)
        before = int(server.call("GET", "a") or 0)
        thread.start()
        wait_for(lambda before=before: int(server.call("GET", "a") or 0) > before + 20, 20, "some load")
        server.kill()
        thread.join(20)
        server.start()
        a, b, length = server.call("GET", "a"), server.call("GET", "b"), server.call("STRLEN", "x")
        assert a == b and length == int(a) * 5000


# S2, S3: what WAITAOF answers


def test_S2_last_write_before_silence_is_synced(farm):
    server = farm.server("ours", ON)
    with server.session() as wire:
        for _ in range(3):
            wire.call("INCR", "k")
            assert wire.call("WAITAOF", 1, 0, 10_000) == [1, 0]


def test_S3_nothing_to_wait_for_is_answered_at_once(farm):
    server = farm.server("ours", ON, "appendfsync no")
    with server.session() as wire:
        assert wire.call("WAITAOF", 1, 0, 0) == [1, 0]
        wire.call("SET", "k", 1)
        assert wire.call("WAITAOF", 1, 0, 100) == [0, 0]  # nothing is synced


def test_S3_replica_tells_what_is_on_its_disk(farm):
    master = farm.server("ours", ON, "appendfsync always")
    replica = replica_with_log(farm, master, "appendfsync no")
    with master.session() as wire:
        wire.call("SET", "k", 1)
        assert wire.call("WAIT", 1, 10_000) == 1
        assert wire.call("WAITAOF", 1, 1, 200) == [1, 0]
        replica.config_set("appendfsync", "everysec")
        assert wire.call("WAITAOF", 1, 1, 10_000) == [1, 1]


# S4, S7: disks that fail or are full


SMALL_FILES = {resource.RLIMIT_FSIZE: (20_000, resource.RLIM_INFINITY)}


def set_file_limit(server, size):
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_S7_full_disk_stops_writes_until_there_is_room(farm):
    server = farm.server("ours", ON, limits=SMALL_FILES)
    with server.session() as wire:
        while True:
            reply = wire.ask("APPEND", "k", "x" * 1000)
            if isinstance(reply, ReplyError):
                break
        assert str(reply) == "MISCONF Errors writing to the AOF file: File too large"
        assert str(wire.ask("PING")).startswith("MISCONF")
        assert server.info("persistence")["aof_last_write_status"] == "err"
        path = aoffiles.last_incr(server)
        aoffiles.stream_bytes(path)  # it ends where a command does
        set_file_limit(server, resource.RLIM_INFINITY)
        wait_for(lambda: wire.ask("PING") == "PONG", 10, "the server to write again")
        wire.call("APPEND", "k", "end")
    written(server)
    before = digest(server)
    server.restart(how="kill")
    assert digest(server) == before
    assert b"AOF write error looks solved" in server.log().encode()


def test_S4_with_always_nothing_is_answered_that_was_not_written(farm):
    server = farm.server("ours", ON, "appendfsync always", limits=SMALL_FILES)
    done = 0
    with server.session() as wire:
        try:
            while True:
                wire.call("APPEND", "k", "x" * 1000)
                done += 1
        except Closed:
            pass
    assert server.wait_exit() == 1
    server.limits = {}
    server.start()
    assert server.call("STRLEN", "k") == done * 1000


# S6, S9: rewrites that do not finish


def test_S6_crash_before_the_first_base_leaves_no_list_of_nothing(farm):
    server = farm.server("ours", "appendonly no", "rdb-key-save-delay 10000000")
    fill_strings(server, 10)
    server.config_set("appendonly", "yes")
    assert server.info("persistence")["aof_rewrite_in_progress"] == "1"
    server.call("SET", "more", 1)
    assert not (aoffiles.directory(server) / f"{aoffiles.NAME}.manifest").exists()
    server.kill()
    server.lines = []
    server.write_config()
    server.start()
    server.config_set("appendonly", "yes")
    settled(server)
    server.call("SET", "k", 1)
    before = digest(server)
    assert server.call("DEBUG", "LOADAOF") == "OK"
    assert digest(server) == before


def test_S6_format_is_that_of_the_beginning(farm):
    server = farm.server("ours", ON, "rdb-key-save-delay 100000")
    fill_strings(server, 10)
    server.call("BGREWRITEAOF")
    server.config_set("aof-use-rdb-preamble", "no")
    settled(server)
    [base] = aoffiles.listed(server, "b")
    assert base.name.endswith(".base.rdb") and base.read_bytes().startswith(b"REDIS")


def test_failed_rewrites_leave_all_data(farm):
    server = farm.server("ours", ON, "rdb-key-save-delay 10000000")
    for number in range(3):
        fill_strings(server, 10, prefix=f"round{number}:")
        server.call("BGREWRITEAOF")
        server.call("SET", f"during{number}", 1)
        [child] = child_pids(server.pid)
        os.kill(child, signal.SIGKILL)
        settled(server)
    assert server.info("persistence")["aof_last_bgrewrite_status"] == "err"
    assert len(aoffiles.listed(server, "i")) == 4
    written(server)
    before = digest(server)
    server.restart(how="kill")
    assert digest(server) == before


def test_S9_log_goes_on_after_a_full_synchronization(farm):
    master, other = farm.server("ours"), farm.server("ours")
    fill_strings(master, 100)
    replica = replica_with_log(farm, master)
    fill_strings(other, 50, prefix="other:")
    replica.call("REPLICAOF", other.host, other.port)
    wait_in_sync(other, replica)
    settled(replica)
    other.call("SET", "k", 1)
    wait_in_sync(other, replica)
    written(replica)
    replica.lines = [ON]
    replica.write_config()
    replica.restart(how="kill")
    assert_same(other, replica)


def test_S9_log_goes_on_when_a_full_synchronization_fails(farm):
    """The data set is gone, no other arrives, and the replica becomes a master: it must have a log."""
    master = farm.server("ours", "rdb-key-save-delay 0")
    fill_strings(master, 100)
    replica = replica_with_log(farm, master, "repl-diskless-load swapdb")
    master.kill()
    replica.call("REPLICAOF", "NO", "ONE")
    replica.call("SET", "own", 1)
    written(replica)
    before = digest(replica)
    replica.lines = [ON]
    replica.write_config()
    replica.restart(how="kill")
    assert digest(replica) == before


def test_F15_full_synchronization_waits_for_a_rewrite(farm):
    master = farm.server("ours", ON, "rdb-key-save-delay 50000")
    fill_strings(master, 40)
    master.call("BGREWRITEAOF")
    replica = farm.server("ours", f"replicaof {master.host} {master.port}")
    wait_for(lambda: "slave0" in master.info("replication"), 10, "the replica to ask")
    assert master.info("persistence")["aof_rewrite_in_progress"] == "1"
    master.config_set("rdb-key-save-delay", 0)
    wait_in_sync(master, replica)
    assert_same(master, replica)
    assert master.info("stats")["sync_full"] == "1"
    assert replica.log().count("Full resync from master") == 1


def test_F15_full_synchronization_waits_for_a_save_that_flushall_kills(farm):
    """No other child ends later: the replica must not wait for one."""
    master = farm.server("ours", "rdb-key-save-delay 50000")
    fill_strings(master, 400)
    master.call("BGSAVE")
    replica = farm.server("ours", f"replicaof {master.host} {master.port}")
    wait_for(lambda: "Another child is running" in master.log(), 10, "the replica to wait for the save")
    master.call("FLUSHALL")
    master.call("SET", "k", 1)
    wait_in_sync(master, replica)
    assert_same(master, replica)


# X7: what a blocking pop leaves in the log


def test_X7_blocking_pops_are_logged_as_what_they_did(farm):
    server = farm.server("ours", ON)
    clients = [server.session() for _ in range(3)]
    pops = (("BLMOVE", "s", "d", "LEFT", "RIGHT", 0), ("BZPOPMIN", "z", 0), ("BLPOP", "l", 0))
    for client, words in zip(clients, pops, strict=True):
        client.send_command(*words)
    wait_for(lambda: server.info("clients")["blocked_clients"] == "3", 5, "clients to wait")
    with server.session() as wire:
        pushes = [("RPUSH", "s", "a", "b"), ("ZADD", "z", 1, "m", 2, "n"), ("RPUSH", "l", 1, 2)]
        wire.pipeline([("MULTI",), *pushes, ("EXEC",)])
        wire.pipeline([("MULTI",), ("BLPOP", "l", 0), ("BZPOPMAX", "z", 0), ("EXEC",)])
    for client in clients:
        assert client.read() is not None
        client.close()
    before = digest(server)
    written(server)
    log = aoffiles.last_incr(server).read_bytes().lower()
    assert b"blpop" not in log and b"blmove" not in log and b"bzpop" not in log
    server.restart(how="kill")
    assert digest(server) == before
    rewritten(server)
    assert server.call("DEBUG", "LOADAOF") == "OK"
    assert digest(server) == before


# fault 6: no two files ever have the same name


def last_value_after_crash(server):
    written(server)
    server.lines = [line for line in server.lines if not line.startswith("appendonly")] + [ON]
    server.write_config()
    server.restart(how="kill")
    return server.call("GET", "k")


def test_fault_6_live_file_is_not_deleted_with_history(farm):
    server = farm.server("ours", ON, "appendfsync always", "aof-disable-auto-gc yes")
    server.call("SET", "k", 1)
    server.config_set("appendonly", "no")
    rewritten(server)
    server.config_set("appendonly", "yes")
    settled(server)
    server.call("SET", "k", 2)
    server.config_set("aof-disable-auto-gc", "no")
    assert aoffiles.listed(server, "h") == []
    assert aoffiles.last_incr(server).exists()
    assert last_value_after_crash(server) == b"2"


def test_fault_6_new_part_has_nothing_of_a_file_that_a_crash_left(farm):
    """As after a kill -9 between the file and the list that names it, in a log without and one with a list."""
    server = farm.server("ours", "appendonly no", "appendfsync always")
    stale = command("SET", "stale", 1)
    aoffiles.directory(server).mkdir()
    for name in ("1.base.rdb", "1.incr.aof", "2.incr.aof"):
        (aoffiles.directory(server) / f"{aoffiles.NAME}.{name}").write_bytes(stale)
    server.call("SET", "k", 1)
    server.config_set("appendonly", "yes")
    settled(server)
    assert [path.name for path in aoffiles.listed(server, "i")] == [f"{aoffiles.NAME}.3.incr.aof"]
    left = aoffiles.directory(server) / f"{aoffiles.NAME}.4.incr.aof"
    left.write_bytes(stale)
    rewritten(server)
    assert [path.name for path in aoffiles.listed(server, "i")] == [f"{aoffiles.NAME}.5.incr.aof"]
    assert not left.exists()  # its number follows those in the manifest, so it belonged to the log and is history
    server.call("SET", "k", 2)
    assert last_value_after_crash(server) == b"2"
    assert server.call("EXISTS", "stale") == 0


def test_fault_6_name_that_the_other_server_gave_twice_stays(farm):
    server = farm.server("ours", ON, start=False)
    aoffiles.write(server, command("SET", "k", 1))
    lines = [f"file {aoffiles.NAME}.1.incr.aof seq 1 type {kind}\n" for kind in "hi"]
    (aoffiles.directory(server) / f"{aoffiles.NAME}.manifest").write_text("".join(lines))
    server.start()
    assert server.call("GET", "k") == b"1"
    assert aoffiles.manifest(server) == lines[1].splitlines()
    server.call("SET", "k", 2)
    assert last_value_after_crash(server) == b"2"


# fault 8: what a power cut leaves. All mixtures of pages are in tests/unit/server/persistence/test_aof_power.c.


def on_another_boot(server, name="another\n"):
    """The system has been restarted, as far as the server can see. With an empty name it sees no system."""
    boot = server.directory / "boot_id"
    boot.write_text(name)
    mount = f"mount --bind {boot} /proc/sys/kernel/random/boot_id"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False).returncode != 0:
        pytest.skip("mount namespaces are not allowed here")
    server.argv = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *server.argv]


def lose_page(path, at):
    data = bytearray(path.read_bytes())
    begin = at // 4096 * 4096
    data[begin : begin + 4096] = bytes(4096)
    path.write_bytes(data)


DAMAGES = ["page in a value", "page before others", "note"]


def damage(path, what):
    data = path.read_bytes()
    middle = data.index(b"yyyyyyyyyyyyyyyyyyyy", len(data) // 2)
    if what == "page in a value":
        lose_page(path, middle + 8192)
    elif what == "page before others":
        lose_page(path, data.index(b"yyyyyyyyyyyyyyyyyyyy") + 5000)
    else:
        path.write_bytes(data[:-25] + bytes(25))


@pytest.mark.parametrize("what", DAMAGES)
def test_fault_8_replica_behind_a_damaged_log_becomes_a_copy_again(farm, what):
    master = farm.server("ours")
    fill_strings(master, 10)
    replica = replica_with_log(farm, master, "appendfsync no")
    for number in range(8):
        master.call("SET", f"big{number}", "y" * 30_000)
    wait_in_sync(master, replica)
    written(replica)
    replica.kill()
    damage(aoffiles.last_incr(replica), what)
    for number in range(8):
        master.call("SETRANGE", f"big{number}", 0, "x")
    on_another_boot(replica)
    replica.start()
    wait_in_sync(master, replica)
    assert_same(master, replica)
    settled(replica)
    master.call("SET", "after", 1)
    wait_in_sync(master, replica)
    replica.restart(how="kill")
    wait_in_sync(master, replica)
    assert_same(master, replica)


@pytest.mark.parametrize("what", DAMAGES[:2])
def test_fault_8_start_is_refused_where_no_power_cut_can_be_the_reason(farm, what):
    server = farm.server("ours", ON, "appendfsync always")
    for number in range(8):
        server.call("SET", f"big{number}", "y" * 30_000)
    server.kill()
    path = aoffiles.last_incr(server)
    good = path.read_bytes()
    damage(path, what)
    server.start(ready=False)
    assert server.wait_exit() == 1
    found = re.search(rf"{path.name} is damaged behind offset (\d+) \(found at (\d+)\)", server.log())
    begin, end = int(found[1]), int(found[2])
    bad = path.read_bytes()
    assert good[:begin] == bad[:begin] and good[begin:end] != bad[begin:end]
    assert "that had been synced to disk" in server.log()
    for options in ((), ("--fix",)):
        done = aoffiles.check("ours", path, *options, answer="y\n")
        assert f"ok_up_to={begin}" in done.stdout and "Checksum does not match" in done.stdout, done.stdout
    assert "is valid" in aoffiles.check("ours", path).stdout
    server.start()
    assert server.call("DBSIZE") < 8
    server.kill()
    path.write_bytes(re.sub(rb"#(SUM|REPL):[^\r]*\r\n", b"", bad))  # as the message says
    server.start()
    assert server.call("DBSIZE") == 8


@pytest.mark.parametrize("zeros", [False, True])
def test_fault_8_end_that_a_kill_tore_off_costs_nothing_else_on_a_system_without_a_name(farm, zeros):
    server = farm.server("ours", ON, "appendfsync no", start=False)
    server.directory.mkdir(parents=True, exist_ok=True)
    on_another_boot(server, "")
    server.start()
    for number in range(9):
        server.call("SET", f"k{number}", "v" * 20_000)
    server.kill()
    path = aoffiles.last_incr(server)
    data = path.read_bytes()
    assert data.rindex(b"#SUM:") < data.index(b"k2")
    path.write_bytes(data[:-10_000])
    if zeros:
        lose_page(path, data.index(b"k5") + 8192)
    server.start()
    before_note = data[: data.rindex(b"#SUM:")].count(b"SET\r\n")
    assert server.call("DBSIZE") == (before_note if zeros else 8)
    server.call("SET", "after", 1)
    before = digest(server)
    server.restart(how="kill")
    assert digest(server) == before


@pytest.mark.parametrize("next_is_command", [False, True])
def test_fault_8_copy_of_a_file_in_use_is_cut_off_where_the_copy_went_wrong(farm, next_is_command):
    server = farm.server("ours", ON, "appendfsync no")
    fill_strings(server, 20)
    path = aoffiles.last_incr(server)
    first = path.read_bytes()
    before = digest(server)
    overwritten = len(first) - first.rindex(b"#REPL:")
    key = "k" * (overwritten - len(command("SET", "k" * 10, "v")) + 10) if next_is_command else "k" * 500
    assert (len(command("SET", key, "v")) == overwritten) == next_is_command
    with server.session() as wire:
        wire.pipeline([("SET", key, "v"), ("SET", "after", "v")])
    server.kill()
    good = path.read_bytes()
    copy = first + good[len(first) :]
    path.write_bytes(copy)
    server.start()
    assert digest(server) == before
    assert f"copying it while it was written to left the AOF file {path.name} damaged" in server.log()
    server.call("SET", "after", 2)
    server.restart(how="kill")
    assert server.call("GET", "after") == b"2" and server.call("EXISTS", key) == 0
    server.kill()
    if not next_is_command:
        path.write_bytes(copy[: copy.rindex(b"#REPL:")])  # nothing proves that it is a copy
        server.start(ready=False)
        assert server.wait_exit() == 1
        assert "Bad file format" in server.log()


def test_fault_8_redis_loads_and_checks_files_with_notes(farm):
    """Notes stand between commands, in a handmade file inside a transaction too; and what Redis appends is kept."""
    server = farm.server("ours", ON, "appendfsync always")
    for number in range(20):
        with server.session() as wire:
            wire.pipeline([("MULTI",), ("SET", f"k{number}", "v" * 1000), ("INCR", "n"), ("EXEC",)])
    before = digest(server)
    server.terminate()
    path = aoffiles.last_incr(server)
    data = path.read_bytes()
    assert data.count(b"#SUM:") > 5 and data.count(b"#REPL:") == 1
    note = re.search(rb"#SUM:[^\r]*\r\n", data)[0]
    peer = farm.server("redis", ON, start=False)
    aoffiles.write(peer, command("MULTI") + note + command("SET", "a", 1) + note + command("EXEC"))
    for tool in ("redis", "ours"):
        checked = aoffiles.check(tool, aoffiles.directory(server) / f"{aoffiles.NAME}.manifest")
        assert checked.returncode == 0, checked.stdout
    assert "is valid" in aoffiles.check("redis", aoffiles.last_incr(peer)).stdout
    peer.start()
    assert peer.call("GET", "a") == b"1"
    peer.terminate()
    shutil.rmtree(aoffiles.directory(peer))
    shutil.copytree(aoffiles.directory(server), aoffiles.directory(peer))
    peer.start()
    assert digest(peer) == before
    peer.call("SET", "by", "redis")
    before = digest(peer)
    peer.kill()
    shutil.rmtree(aoffiles.directory(server))
    shutil.copytree(aoffiles.directory(peer), aoffiles.directory(server))
    server.start()
    assert digest(server) == before
    server.call("SET", "by", "both")
    server.restart(how="kill")
    assert server.call("GET", "by") == b"both"


# fault_38: what a promoted replica acknowledges is in a log that holds the data set


@pytest.mark.parametrize("load", ["disabled", "swapdb"])
@pytest.mark.parametrize("kind", ["ours", "redis"])
def test_fault_38_a_promoted_replica_loses_nothing_to_a_crash(farm, kind, load):
    """Its children are so slow that a rewrite would not be done before the crash."""
    master = farm.server(kind)
    fill_strings(master, 300)
    slow = ("rdb-key-save-delay 100000", f"repl-diskless-load {load}")
    replica = farm.server("ours", ON, *slow)
    replica.call("REPLICAOF", master.host, master.port)
    wait_in_sync(master, replica)
    replica.call("REPLICAOF", "NO", "ONE")
    assert replica.call("SET", "acknowledged", "1") == "OK"
    before = digest(replica)
    replica.restart(how="kill")
    assert replica.call("GET", "acknowledged") == b"1"
    assert digest(replica) == before


def test_fault_38_a_promoted_replica_without_a_log_takes_no_writes(farm):
    """A folder of the log that takes no files: neither the snapshot nor a rewrite begins the log."""
    master = farm.server("ours")
    fill_strings(master, 300)
    replica = farm.server("ours", ON)
    folder = replica.directory / "appendonlydir"
    shutil.rmtree(folder)
    folder.write_text("in the way")
    replica.call("REPLICAOF", master.host, master.port)
    wait_in_sync(master, replica)
    replica.call("REPLICAOF", "NO", "ONE")
    with pytest.raises(ReplyError, match="MISCONF The append only file does not hold the data set"):
        replica.call("SET", "k", "v")
    folder.unlink()
    replica.call("BGREWRITEAOF")
    settled(replica)
    assert replica.call("SET", "k", "v") == "OK"
    replica.restart(how="kill")
    assert replica.call("GET", "k") == b"v"
    assert replica.call("DBSIZE") == 301

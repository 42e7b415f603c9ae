"""The RDB file: saved, checked by Redis's tool, loaded by either server, refused when it is damaged; a full disk."""

import os
import random
import re
import resource
import signal
import struct
import subprocess
import time

import pytest

import rdbfile
from dataset import (
    assert_same,
    digest,
    every_encoding,
    fill_every_encoding,
    fill_strings,
    offset,
    read_everything,
    stat,
    wait_in_sync,
)
from harness import OURS, Process, child_pids, free_port, wait_for
from test_config import answers, run_until_exit
from wire import Closed, ReplyError, encode_command

NEVER = "save 3600 1000000"  # save points exist, so that a shutdown saves, but none is reached


def check_rdb(path):
    """Debian's redis-check-rdb accepts the file."""
    done = subprocess.run(["redis-check-rdb", str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def restored_in(farm, kind, rdb, *lines):
    """A server of that kind started on a copy of the file."""
    server = farm.server(kind, *lines, start=False)
    server.write_config()
    (server.directory / "dump.rdb").write_bytes(rdb.read_bytes())
    return server.start()


# Saving and loading


@pytest.mark.parametrize("how", ["SAVE", "BGSAVE"])
@pytest.mark.parametrize("compress", ["yes", "no"])
def test_file_is_accepted_by_redis(farm, how, compress):
    server = farm.server("ours", f"rdbcompression {compress}")
    fill_every_encoding(server)
    before = int(server.info("persistence")["rdb_last_save_time"])
    assert server.call(how) in ("OK", "Background saving started")
    wait_for(lambda: server.info("persistence")["rdb_bgsave_in_progress"] == "0", 20, "the save to end")
    info = server.info("persistence")
    assert info["rdb_last_bgsave_status"] == "ok"
    assert info["rdb_changes_since_last_save"] == "0"
    assert int(info["rdb_last_save_time"]) >= before
    path = server.directory / "dump.rdb"
    assert "RDB looks OK" in check_rdb(path)
    assert_same(server, restored_in(farm, "redis", path))


@pytest.mark.parametrize("kinds", [("redis", "ours"), ("ours", "ours")], ids="-".join)
@pytest.mark.parametrize("compress", ["yes", "no"])
def test_file_is_loaded_at_the_start(farm, kinds, compress):
    writer = farm.server(kinds[0], f"rdbcompression {compress}")
    fill_every_encoding(writer)
    writer.call("SAVE")
    reader = restored_in(farm, kinds[1], writer.directory / "dump.rdb")
    assert_same(writer, reader)
    with reader.session() as wire:
        for key, (_, wanted) in every_encoding().items():
            assert wire.call("OBJECT", "ENCODING", key).decode() in wanted, key


def test_thresholds_of_the_reader_decide_the_encoding(farm):
    writer = farm.server(
        "redis", "hash-max-listpack-entries 1000", "zset-max-listpack-entries 1000", "set-max-intset-entries 1000"
    )
    writer.call("HSET", "h", *[x for n in range(600) for x in (f"f{n}", n)])
    writer.call("ZADD", "z", *[x for n in range(300) for x in (n, f"m{n}")])
    writer.call("SADD", "s", *range(900))
    writer.call("SAVE")
    reader = restored_in(farm, "ours", writer.directory / "dump.rdb")
    assert_same(writer, reader)
    assert [reader.call("OBJECT", "ENCODING", key) for key in "hzs"] == [b"hashtable", b"skiplist", b"hashtable"]


def test_file_without_checksum(farm):
    server = farm.server("ours", "rdbchecksum no")
    fill_strings(server, 10)
    server.call("SAVE")
    path = server.directory / "dump.rdb"
    assert path.read_bytes()[-8:] == b"\0" * 8
    check_rdb(path)
    assert restored_in(farm, "ours", path).call("DBSIZE") == 10


def test_debug_reload_changes_nothing(server):
    fill_every_encoding(server)
    before, data = digest(server), read_everything(server)
    assert server.call("DEBUG", "RELOAD") == "OK"
    assert digest(server) == before
    assert read_everything(server) == data


def test_expired_keys_are_left_out_by_a_master(farm):
    server = farm.server("ours", start=False)
    server.write_config()
    past = int(time.time() * 1000) - 1000
    (server.directory / "dump.rdb").write_bytes(
        rdbfile.strings({0: {"dead": ("v", past), "live": ("v", past + 10**9), "eternal": "v"}})
    )
    server.start()
    assert server.call("DBSIZE") == 2
    assert int(server.info("persistence").get("rdb_last_load_keys_expired", 1)) == 1


def test_save_point_starts_a_background_save(farm):
    server = farm.server("ours", "save 1 3")
    fill_strings(server, 5)
    wait_for(lambda: (server.directory / "dump.rdb").exists(), 15, "the file", interval=0.1)
    wait_for(lambda: server.info("persistence")["rdb_changes_since_last_save"] == "0", 15)
    check_rdb(server.directory / "dump.rdb")


def test_bgsave_while_one_is_running(farm):
    server = farm.server("ours")
    fill_strings(server, 50_000, size=300)
    server.call("BGSAVE")
    reply = server.ask("BGSAVE")
    if isinstance(reply, ReplyError):
        assert str(reply) == "ERR Background save already in progress"
        assert str(server.ask("SAVE")) == "ERR Background save already in progress"
    wait_for(lambda: server.info("persistence")["rdb_bgsave_in_progress"] == "0", 20)
    assert server.call("BGSAVE", "SCHEDULE") == "Background saving started"
    assert str(server.ask("BGSAVE", "MAYBE")) == "ERR syntax error"


def test_snapshot_is_a_point_in_time(farm):
    """Writes during a BGSAVE are not in the file."""
    server = farm.server("ours")
    fill_strings(server, 50_000, size=100)
    with server.wire() as wire:
        wire.send(encode_command("BGSAVE") + b"".join(encode_command("SET", f"late:{n}", "x") for n in range(2000)))
        assert wire.read() == "Background saving started"
        for _ in range(2000):
            assert wire.read() == "OK"
    wait_for(lambda: server.info("persistence")["rdb_bgsave_in_progress"] == "0", 20)
    assert restored_in(farm, "redis", server.directory / "dump.rdb").call("DBSIZE") == 50_000


# Ends


def test_sigterm_saves_when_save_points_exist(farm):
    server = farm.server("ours", NEVER)
    fill_strings(server, 100)
    assert server.terminate() == 0
    server.start()
    assert server.call("DBSIZE") == 100


def test_sigterm_does_not_save_without_save_points(farm):
    server = farm.server("ours")
    fill_strings(server, 100)
    assert server.terminate() == 0
    assert not (server.directory / "dump.rdb").exists()


def test_sigint_ends_like_sigterm(farm):
    server = farm.server("ours", NEVER)
    fill_strings(server, 10)
    server.signal(signal.SIGINT)
    assert server.wait_exit() == 0
    assert (server.directory / "dump.rdb").exists()


@pytest.mark.parametrize("words, saved", [(("NOSAVE",), False), (("SAVE",), True), ((), False)])
def test_shutdown(farm, words, saved):
    server = farm.server("ours")
    fill_strings(server, 10)
    with server.wire() as wire:
        wire.send_command("SHUTDOWN", *words)
        assert wire.is_closed(10)
    assert server.wait_exit() == 0
    assert (server.directory / "dump.rdb").exists() == saved


def test_shutdown_waits_for_replicas_and_can_be_aborted(farm):
    """A replica that lags holds the end up to shutdown-timeout; SHUTDOWN ABORT takes it back; NOW does not wait."""
    server = farm.server("ours", "shutdown-timeout 30", "repl-timeout 600")
    replica = farm.server("redis", f"replicaof 127.0.0.1 {server.port}", "repl-timeout 600")
    wait_in_sync(server, replica)
    wait_for(lambda: ",offset=%d," % offset(server) in server.info("replication")["slave0"], 10, "its acknowledgement")
    replica.pause()
    server.call("SET", "k", "v")
    with server.wire() as wire:
        wire.send_command("SHUTDOWN")
        assert not wire.is_closed(0.5)
        assert server.call("SHUTDOWN", "ABORT") == "OK"
    with server.wire() as wire:
        wire.send_command("SHUTDOWN")
        assert str(wire_reply_after(server, wire)).startswith("ERR Errors trying to SHUTDOWN")
    assert str(server.ask("SHUTDOWN", "ABORT")).startswith("ERR No shutdown in progress")
    with server.wire() as wire:
        wire.send_command("SHUTDOWN", "NOW")
        assert wire.is_closed(10)
    assert server.wait_exit() == 0
    replica.resume()


def wire_reply_after(server, wire):
    """The reply to a SHUTDOWN that is aborted once it waits."""
    wait_for(lambda: server.ask("SHUTDOWN", "ABORT") == "OK", 5, "a shutdown to abort")
    return wire.read()


# Damaged files


def start_on(tmp_path, data, *args):
    """Starts on a file that must be refused; returns (status, output)."""
    (tmp_path / "dump.rdb").write_bytes(data)
    return run_until_exit("--port", free_port(), "--bind", "127.0.0.1", "--dir", tmp_path, *args)


@pytest.mark.parametrize("length", [255, 4096, 60_000])
def test_CVE_2025_27151_long_paths(tmp_path, length):
    """Long paths of a file to be checked, of a configuration, and in directives."""
    path = "x" * length
    commands = [["--check-rdb", path], [path], ["--port", "0", "--dir", path], ["--port", "0", "--logfile", f"{path}/{path}"]]
    for words in commands:
        done = subprocess.run([OURS, *words], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 1, (words[0], done)
        output = done.stdout + done.stderr
        assert "No such file" in output or "File name too long" in output, output[-500:]


def sample(checksum=True):
    body = rdbfile.aux("redis-ver", "7.0.15") + rdbfile.select_db(0)
    body += rdbfile.string_entry("key", "value" * 20)
    body += b"\x01" + rdbfile.string("list") + rdbfile.length(3) + b"".join(rdbfile.string(x) for x in "abc")
    return rdbfile.file(body, checksum=checksum)


DAMAGE = {
    "empty": lambda rdb: b"",
    "no-header": lambda rdb: b"NOTREDIS0" + rdb[9:],
    "version-0": lambda rdb: b"REDIS0000" + rdb[9:],
    "version-too-new": lambda rdb: b"REDIS0999" + rdb[9:],
    "version-no-number": lambda rdb: b"REDISabcd" + rdb[9:],
    "header-only": lambda rdb: rdb[:9],
    "cut-in-aux": lambda rdb: rdb[:14],
    "cut-in-value": lambda rdb: rdb[:60],
    "cut-before-end": lambda rdb: rdb[:-9],
    "cut-in-checksum": lambda rdb: rdb[:-3],
    "wrong-checksum": lambda rdb: rdb[:-1] + bytes([rdb[-1] ^ 1]),
    "changed-byte": lambda rdb: rdb.replace(b"value", b"vaLue", 1),
    "unknown-type": lambda rdb: rdb.replace(b"\x00\x03key", b"\x63\x03key"),
    "huge-length": lambda rdb: rdb.replace(b"\x00\x03key", b"\x00\x81" + b"\xff" * 8 + b"key"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_file_stops_the_start_and_is_left_alone(tmp_path, damage):
    data = DAMAGE[damage](sample())
    status, text = start_on(tmp_path, data)
    assert status == 1, text[-2000:]
    assert re.search("rdb|loading the db", text, re.I)
    assert (tmp_path / "dump.rdb").read_bytes() == data


def test_unreadable_file_stops_the_start(tmp_path):
    """A directory instead of the file, since root may read any file."""
    (tmp_path / "dump.rdb").mkdir()
    status, text = run_until_exit("--port", free_port(), "--bind", "127.0.0.1", "--dir", tmp_path)
    assert status == 1, text


@pytest.mark.lockstep_only("Redis takes some of these for good, and dies of others by a signal")
def test_every_changed_byte_is_found(tmp_path):
    """With a corrected checksum only the reader detects damage: it refuses or loads, and never crashes."""
    good = sample()[:-8]
    for at in range(9, len(good), 3):
        data = bytearray(good)
        data[at] ^= 0x80
        data += struct.pack("<Q", rdbfile.crc64(bytes(data)))
        (tmp_path / "dump.rdb").write_bytes(data)
        port = free_port()
        words = [OURS, "--port", port, "--bind", "127.0.0.1", "--dir", tmp_path, "--save", ""]
        process = Process("loader", tmp_path / "run", words).launch()
        wait_for(lambda p=process, n=port: not p.running() or answers(n), 10)
        if process.running():
            assert process.terminate() == 0
        assert process.proc.returncode in (0, 1) and not process.faults(), (at, process.log_tail())


# A full disk


LIMIT = 1 << 20


def server_on_a_full_disk(farm, *lines):
    """No file may grow past one megabyte: writes fail like on a full disk."""
    limits = {resource.RLIMIT_FSIZE: (LIMIT, resource.RLIM_INFINITY)}
    return farm.server("ours", NEVER, "rdbcompression no", *lines, limits=limits)


def give_room(server):
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.mark.parametrize("how", ["BGSAVE", "SAVE"])
def test_full_disk_keeps_the_old_file_and_stops_writes(farm, how):
    server = server_on_a_full_disk(farm)
    fill_strings(server, 100)
    assert server.call("SAVE") == "OK"
    old = (server.directory / "dump.rdb").read_bytes()
    fill_strings(server, 3000, size=1000)
    if how == "SAVE":
        assert isinstance(server.ask("SAVE"), ReplyError)
        assert str(server.ask("BGSAVE")) == "Background saving started"
    else:
        assert server.call("BGSAVE") == "Background saving started"
    wait_for(lambda: server.info("persistence")["rdb_last_bgsave_status"] == "err", 15, "the failure to be seen")
    assert (server.directory / "dump.rdb").read_bytes() == old
    assert [path.name for path in server.directory.iterdir() if path.name.startswith("temp-")] == []
    for words in (("SET", "k", "v"), ("DEL", "key:1"), ("PING",)):
        assert str(server.ask(*words)).startswith("MISCONF Redis is configured to save RDB snapshots"), words
    assert server.call("GET", "key:1") is not None
    assert server.call("DBSIZE") == 3000
    give_room(server)
    assert server.call("BGSAVE") == "Background saving started"
    wait_for(lambda: server.info("persistence")["rdb_last_bgsave_status"] == "ok", 15, "the save to work again")
    assert server.call("SET", "k", "v") == "OK"
    assert_same(server, restored_in(farm, "redis", saved(server)))


def saved(server):
    server.call("SAVE")
    return server.directory / "dump.rdb"


def test_full_disk_without_stopping_writes(farm):
    server = server_on_a_full_disk(farm, "stop-writes-on-bgsave-error no")
    fill_strings(server, 3000, size=1000)
    server.call("BGSAVE")
    wait_for(lambda: server.info("persistence")["rdb_last_bgsave_status"] == "err", 15, "the failure to be seen")
    assert server.call("SET", "k", "v") == "OK"
    give_room(server)


def test_full_disk_at_the_shutdown(farm):
    """SIGTERM cannot save: the server stays, nothing is lost; once there is room it ends."""
    server = server_on_a_full_disk(farm)
    fill_strings(server, 3000, size=1000)
    server.signal(signal.SIGTERM)
    wait_for(
        lambda: "can't exit" in server.log().lower() or "error trying to save" in server.log().lower(),
        10,
        "the refusal",
    )
    assert server.call("DBSIZE") == 3000
    with server.wire() as wire:
        assert str(wire.ask("SHUTDOWN")).startswith("ERR Errors trying to SHUTDOWN")
    give_room(server)
    assert server.terminate() == 0
    assert server.start().call("DBSIZE") == 3000
    give_room(server)


def test_full_disk_on_a_replica(farm):
    """The received file does not fit: the replica tries again, and follows once there is room."""
    master = farm.server("redis", "repl-diskless-sync no")
    for number in range(3):
        master.call("SET", f"k{number}", random.randbytes(1 << 20))
    replica = server_on_a_full_disk(farm, f"replicaof 127.0.0.1 {master.port}", "repl-diskless-load disabled")
    wait_for(lambda: stat(master, "sync_full") >= 2, 15, "a second attempt")
    assert replica.info("replication")["master_link_status"] == "down"
    give_room(replica)
    wait_for(lambda: replica.info("replication")["master_link_status"] == "up", 20, "the sync")
    assert_same(master, replica)


def test_killed_save_leaves_the_old_file(farm):
    server = farm.server("ours", NEVER)
    fill_strings(server, 100)
    server.call("SAVE")
    old = (server.directory / "dump.rdb").read_bytes()
    server.call("DEBUG", "POPULATE", 300000, "p", 100)
    server.call("BGSAVE")
    children = child_pids(server.pid)
    if not children:
        pytest.skip("the save has no child, or is over already")
    os.kill(children[0], signal.SIGKILL)
    wait_for(lambda: server.info("persistence")["rdb_bgsave_in_progress"] == "0", 15)
    assert (server.directory / "dump.rdb").read_bytes() == old
    assert server.info("persistence")["rdb_last_bgsave_status"] == "err"


def test_a_load_can_be_slowed_down_and_let_go(farm):
    """key-load-delay slows loading for tests: clients are served meanwhile; set to 0, the rest loads at once."""
    server = farm.server("ours", "key-load-delay 20000", "loading-process-events-interval-bytes 1024", start=False)
    server.write_config()
    (server.directory / "dump.rdb").write_bytes(rdbfile.strings({0: {f"k{n}": "v" * 200 for n in range(2000)}}))
    server.start(ready=False)
    wait_for(lambda: server.info("persistence")["loading"] == "1", 20, "the load", retry_on=(OSError, Closed))
    assert 0 < float(server.info("persistence")["loading_loaded_perc"]) < 100
    with pytest.raises(ReplyError, match="LOADING"):
        server.call("GET", "k1")
    server.config_set("key-load-delay", "0")  # 40 seconds otherwise
    server.wait_ready(20)
    assert server.call("DBSIZE") == 2000


@pytest.mark.slow
def test_clients_get_loading_during_a_long_load(farm):
    """While a big file is read PING-like commands say -LOADING, and INFO tells how far it is."""
    writer = farm.server("redis")
    writer.call("DEBUG", "POPULATE", 500_000, "k", 100)
    writer.call("SAVE")
    server = farm.server("ours", NEVER, start=False)
    server.write_config()
    os.rename(writer.directory / "dump.rdb", server.directory / "dump.rdb")
    server.start(ready=False)
    seen = set()

    def loading_seen():
        try:
            with server.wire() as wire:
                seen.add(str(wire.ask("GET", "k:1"))[:7])
                if b"loading:1" in wire.call("INFO", "persistence"):
                    seen.add("info")
        except (OSError, Closed):
            return False
        return {"LOADING", "info"} <= seen or "None" in seen or any(word.startswith("b'") for word in seen)

    wait_for(loading_seen, 20, "an answer", interval=0.001)
    server.wait_ready(30)
    assert server.call("DBSIZE") == 500_000
    assert "LOADING" in seen

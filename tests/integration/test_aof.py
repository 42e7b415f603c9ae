"""The append-only file: writing, loading, rewriting; what a crash leaves of it; the same files under Redis."""

import shutil

import pytest

import aoffiles
from aoffiles import command
from dataset import assert_same, digest, fill_every_encoding, fill_strings, wait_in_sync
from harness import wait_for
from wire import ReplyError

ON = "appendonly yes"


def rewritten(server):
    """Requests a rewrite and waits until it has succeeded."""
    before = int(server.info("persistence")["aof_rewrites"])
    assert "rewriting" in str(server.call("BGREWRITEAOF"))
    wait_for(lambda: int(server.info("persistence")["aof_rewrites"]) > before, 20, "the rewrite to end")
    assert server.info("persistence")["aof_last_bgrewrite_status"] == "ok"


def replica_with_log(farm, master, *lines):
    """A replica whose log begins with the master's data."""
    replica = farm.server("ours", ON, f"replicaof {master.host} {master.port}", *lines)
    wait_in_sync(master, replica)
    settled(replica)
    return replica


def settled(server):
    """Waits until no rewrite runs or is scheduled."""

    def quiet():
        info = server.info("persistence")
        return (info["aof_rewrite_in_progress"], info["aof_rewrite_scheduled"]) == ("0", "0")

    wait_for(quiet, 20, "rewrites to end")


def written(server):
    """Waits until the log has the whole stream; it lags behind while writing fails."""
    wait_for(lambda: server.info("persistence")["aof_buffer_length"] == "0", 10, "the log to be written")


# Writing and loading


@pytest.mark.parametrize("how", ["terminate", "kill"])
@pytest.mark.parametrize("fsync", ["always", "everysec", "no"])
def test_what_was_written_is_there_after_a_restart(farm, how, fsync):
    server = farm.server("ours", ON, f"appendfsync {fsync}")
    fill_every_encoding(server)
    before = digest(server)
    written(server)
    server.restart(how=how)
    assert digest(server) == before
    info = server.info("persistence")
    assert (info["aof_enabled"], info["aof_last_write_status"]) == ("1", "ok")


def test_log_is_the_stream_byte_for_byte(farm):
    """P12: the log contains PINGs, REPLCONF GETACK and published messages, so its position is never guessed."""
    master = farm.server("ours", ON, "repl-ping-replica-period 1")
    replica = replica_with_log(farm, master)
    begin = int(master.info("replication")["master_repl_offset"])
    fill_strings(master, 100)
    master.call("PUBLISH", "c", "m")
    master.call("WAIT", 1, 0)
    wait_for(lambda: b"PING" in aoffiles.last_incr(master).read_bytes(), 10, "a PING in the stream")
    master.call("CLIENT", "PAUSE", 60000, "WRITE")
    wait_in_sync(master, replica)
    logs = []
    for server in (master, replica):
        written(server)
        info = server.info("replication")
        path = aoffiles.last_incr(server)
        assert aoffiles.place(path) == (info["master_replid"], int(info["master_repl_offset"]), 0)
        logs.append(aoffiles.stream_bytes(path))
    end = int(master.info("replication")["master_repl_offset"])
    assert logs[0][-(end - begin) :] == logs[1][-(end - begin) :]
    master.call("CLIENT", "UNPAUSE")


def test_S8_transaction_without_its_end_is_not_applied(farm):
    server = farm.server("ours", ON, start=False)
    good = command("SELECT", 0) + command("SET", "a", 1)
    aoffiles.write(server, good + command("MULTI") + command("SET", "a", 2) + command("SET", "b", 2))
    server.start()
    assert (server.call("GET", "a"), server.call("EXISTS", "b")) == (b"1", 0)
    server.call("SET", "c", 3)  # the incomplete transaction does not swallow what is appended
    server.restart(how="kill")
    assert server.call("MGET", "a", "b", "c") == [b"1", None, b"3"]
    assert b"MULTI" not in aoffiles.last_incr(server).read_bytes()


def test_S8_any_torn_end_is_cut_off_at_the_last_unit(farm):
    """The file, which has a transaction, is cut at every length: whole units are loaded."""
    both = command("MULTI") + command("SET", "a", 2) + command("SET", "b", 2) + command("EXEC")
    units = [command("SET", "a", 1), both, command("INCR", "a")]
    states = [(None, None), (b"1", None), (b"2", b"2"), (b"3", b"2")]
    whole = b"".join(units)
    ends = [len(b"".join(units[:n])) for n in range(len(units) + 1)]
    server = farm.server("ours", ON, 'save ""')
    path = aoffiles.last_incr(server)
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        assert server.call("DEBUG", "LOADAOF") == "OK"
        expected = states[max(n for n, end in enumerate(ends) if end <= length)]
        assert tuple(server.call("MGET", "a", "b")) == expected, length
        assert path.stat().st_size in ends


def test_S8_zeros_of_a_power_cut_are_cut_off_garbage_is_not(farm):
    server = farm.server("ours", ON, start=False)
    good = command("SET", "a", 1)
    aoffiles.write(server, good + command("SET", "a", 2)[:-5] + bytes(5000))
    server.start()
    assert server.call("GET", "a") == b"1"
    assert aoffiles.last_incr(server).read_bytes() == good
    server.terminate()
    aoffiles.last_incr(server).write_bytes(good + b"!!!" + good)
    server.start(ready=False)
    assert server.wait_exit() == 1
    assert "Bad file format reading the append only file" in server.log()


def test_truncated_file_is_refused_where_that_is_configured(farm):
    server = farm.server("ours", ON, "aof-load-truncated no", start=False)
    aoffiles.write(server, command("SET", "a", 1)[:-1])
    server.start(ready=False)
    assert server.wait_exit() == 1
    assert "Unexpected end of file reading the append only file" in server.log()


def test_fault_11_command_that_fails_while_loading_is_logged_and_counted(farm):
    server = farm.server("ours", ON, start=False)
    both = command("MULTI") + command("LPUSH", "k", "x") + command("INCR", "n") + command("EXEC")
    aoffiles.write(server, command("SET", "k", "v") + both + command("SELECT", 1_000_000) + command("SET", "l", 1))
    server.start()
    stats = server.info("stats")
    assert (stats["unexpected_error_replies"], stats["total_error_replies"]) == ("2", "2")
    assert server.info("errorstats")["errorstat_WRONGTYPE"] == "count=1"
    assert "fails while it is loaded: 'lpush': WRONGTYPE" in server.log()
    assert "fails while it is loaded: 'select': ERR" in server.log()
    assert "2 commands of the append only file failed while it was loaded" in server.log()
    assert server.call("MGET", "n", "l") == [b"1", b"1"]


# Rewriting


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_rewrite_keeps_all_data(farm, preamble):
    server = farm.server("ours", ON, f"aof-use-rdb-preamble {preamble}")
    fill_every_encoding(server)
    before = digest(server)
    rewritten(server)
    assert digest(server) == before
    server.call("SET", "after", 1)
    before = digest(server)
    written(server)
    suffix = ".base.rdb" if preamble == "yes" else ".base.aof"
    assert [path.name for path in aoffiles.listed(server, "b")] == [f"{aoffiles.NAME}.2{suffix}"]
    assert [path.name for path in aoffiles.listed(server, "i")] == [f"{aoffiles.NAME}.2.incr.aof"]
    server.restart(how="kill")
    assert digest(server) == before


def test_P7_new_file_selects_the_database_of_the_stream(farm):
    server = farm.server("ours", ON)
    with server.session(database=5) as wire:
        wire.call("SET", "a", 1)
        rewritten(server)
        wire.call("SET", "b", 1)
    written(server)
    assert aoffiles.stream_bytes(aoffiles.last_incr(server)).startswith(command("SELECT", 5))


def test_P7_new_file_of_a_replica_selects_the_database_of_the_stream(farm):
    master = farm.server("ours")
    replica = replica_with_log(farm, master)
    with master.session(database=5) as wire:
        wire.call("SET", "a", 1)
        wait_in_sync(master, replica)
        rewritten(replica)
        wire.call("SET", "b", 1)
        wait_in_sync(master, replica)
    written(replica)
    assert aoffiles.stream_bytes(aoffiles.last_incr(replica)).startswith(command("SELECT", 5))
    copy = farm.server("redis", ON, start=False)
    copy.write_config()
    shutil.copytree(aoffiles.directory(replica), aoffiles.directory(copy))
    assert_same(replica, copy.start())


# Under Redis


@pytest.mark.parametrize("kinds", [("redis", "ours"), ("ours", "redis")], ids="-".join)
@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_files_load_under_the_other_server(farm, kinds, preamble):
    lines = (ON, f"aof-use-rdb-preamble {preamble}", "aof-timestamp-enabled yes")
    writer = farm.server(kinds[0], *lines)
    fill_every_encoding(writer)
    rewritten(writer)
    fill_strings(writer, 50, prefix="more")
    with writer.session() as wire:
        wire.pipeline([("MULTI",), ("SET", "x", 1), ("INCR", "x"), ("EXEC",), ("SET", "gone", 1, "PX", 1)])
    wait_for(lambda: writer.call("EXISTS", "gone") == 0, 5, "the key to expire")
    for tool in ("redis", "ours"):
        done = aoffiles.check(tool, aoffiles.directory(writer) / f"{aoffiles.NAME}.manifest")
        assert done.returncode == 0 and "All AOF files and manifest are valid" in done.stdout, done.stdout
    before = digest(writer)
    writer.terminate()
    reader = farm.server(kinds[1], *lines, start=False)
    reader.write_config()
    shutil.copytree(aoffiles.directory(writer), aoffiles.directory(reader))
    reader.start()
    assert digest(reader) == before
    reader.call("SET", "there", 1)
    before = digest(reader)
    reader.terminate()
    shutil.rmtree(aoffiles.directory(writer))
    shutil.copytree(aoffiles.directory(reader), aoffiles.directory(writer))
    writer.start()  # and back, with what the other server appended
    assert digest(writer) == before


def test_P12_place_is_not_believed_once_another_program_has_appended(farm):
    master = farm.server("ours")
    replica = replica_with_log(farm, master)
    fill_strings(master, 20)
    wait_in_sync(master, replica)
    replica.terminate()
    path = aoffiles.last_incr(replica)
    assert aoffiles.place(path) is not None
    path.write_bytes(path.read_bytes() + command("SET", "stranger", 1))
    replica.start()
    wait_in_sync(master, replica)
    assert replica.call("EXISTS", "stranger") == 0
    assert master.info("stats")["sync_full"] == "2"


def test_replica_goes_on_where_its_log_ends(farm):
    master = farm.server("ours")
    replica = replica_with_log(farm, master)
    fill_strings(master, 20)
    wait_in_sync(master, replica)
    written(replica)
    replica.kill()
    fill_strings(master, 20, prefix="meanwhile")
    replica.start()
    wait_in_sync(master, replica)
    assert_same(master, replica)
    stats = master.info("stats")
    assert (stats["sync_full"], stats["sync_partial_ok"]) == ("1", "1")


def test_switching_on_and_off_while_running(farm):
    server = farm.server("ours")
    fill_strings(server, 50)
    server.config_set("appendonly", "yes")
    wait_for(lambda: server.info("persistence")["aof_rewrites"] == "1", 10, "the first rewrite")
    server.call("SET", "k", 1)
    before = digest(server)
    assert server.call("DEBUG", "LOADAOF") == "OK"
    assert digest(server) == before
    server.config_set("appendonly", "no")
    server.call("SET", "k", 2)
    assert isinstance(server.ask("WAITAOF", 1, 0, 0), ReplyError)
    assert server.call("DEBUG", "LOADAOF") == "OK"
    assert server.call("GET", "k") == b"1"


# What DEBUG DIGEST does not cover


def everything_of_streams(server):
    return [server.call("XINFO", "STREAM", key, "FULL", "COUNT", 0) for key in ("s", "empty", "trimmed")]


def without_times(reply):
    """Times of the last activity of consumers are not in a log, as in Redis."""
    if not isinstance(reply, list):
        return reply
    out = [without_times(item) for item in reply]
    return [
        None if at > 0 and out[at - 1] in (b"seen-time", b"active-time") else item for at, item in enumerate(out)
    ]


def test_X5_rewrite_as_commands_keeps_groups_and_pending_entries(farm):
    server = farm.server("ours", ON, "aof-use-rdb-preamble no")
    with server.session() as wire:
        wire.pipeline([("XADD", "s", f"{n}-0", "f", n, "g", "x") for n in range(1, 31)])
        wire.pipeline(
            [
                ("XDEL", "s", "7-0"),
                ("XGROUP", "CREATE", "s", "g", "0"),
                ("XREADGROUP", "GROUP", "g", "one", "COUNT", 5, "STREAMS", "s", ">"),
                ("XREADGROUP", "GROUP", "g", "two", "COUNT", 3, "STREAMS", "s", ">"),
                ("XREADGROUP", "GROUP", "g", "two", "COUNT", 3, "STREAMS", "s", "0"),
                ("XACK", "s", "g", "2-0"),
                ("XDEL", "s", "3-0"),  # pending, and gone
                ("XGROUP", "CREATECONSUMER", "s", "g", "idle"),
                ("XGROUP", "CREATE", "s", "unknown", "9-0"),
                ("XADD", "trimmed", "MAXLEN", 0, "5-5", "a", "b"),
                ("XGROUP", "CREATE", "trimmed", "g", "$", "ENTRIESREAD", 1),
                ("XGROUP", "CREATE", "empty", "g", "$", "MKSTREAM"),
                ("XADD", "queue", "1-1", "a", "b"),
                ("XGROUP", "CREATE", "queue", "g", "0"),
                ("XREADGROUP", "GROUP", "g", "one", "STREAMS", "queue", ">"),
                ("XTRIM", "queue", "MAXLEN", 0),
            ]
        )
    before = without_times(everything_of_streams(server))
    rewritten(server)
    assert server.call("DEBUG", "LOADAOF") == "OK"
    assert without_times(everything_of_streams(server)) == before


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_times_are_the_same_after_a_rewrite(farm, preamble):
    server = farm.server("ours", ON, f"aof-use-rdb-preamble {preamble}")
    with server.session() as wire:
        wire.pipeline([("HSET", "h", *(f"{kind}{n}" for n in range(200) for kind in "fv"))])
        wire.call("HPEXPIRE", "h", 100_000, "FIELDS", 2, "f1", "f2")
        wire.call("SET", "k", "v", "PX", 200_000)
        wire.call("RPUSH", "l", *range(200))
        wire.call("PEXPIRE", "l", 300_000)
        wire.call("ZADD", "z", "inf", "a", "-inf", "b", "0.1", "c", "1e300", "d", "-1.7976931348623157e308", "e")

        def times():
            asked = [("HPEXPIRETIME", "h", "FIELDS", 3, "f1", "f2", "f3"), ("PEXPIRETIME", "k"), ("PEXPIRETIME", "l")]
            return wire.pipeline([*asked, ("ZRANGE", "z", 0, -1, "WITHSCORES"), ("LRANGE", "l", 0, -1)])

        before = times()
        rewritten(server)
        assert server.call("DEBUG", "LOADAOF") == "OK"
        assert times() == before


# Files of before Redis 7, and of interrupted upgrades


@pytest.mark.parametrize("interrupted", [False, True])
def test_old_file_is_moved_into_the_directory(farm, interrupted):
    server = farm.server("ours", ON, start=False)
    server.write_config()
    (server.directory / aoffiles.NAME).write_bytes(command("SET", "a", 1))
    if interrupted:
        aoffiles.directory(server).mkdir()
        (aoffiles.directory(server) / f"{aoffiles.NAME}.manifest").write_text(f"file {aoffiles.NAME} seq 1 type b\n")
    server.start()
    assert server.call("GET", "a") == b"1"
    assert aoffiles.manifest(server) == [
        f"file {aoffiles.NAME} seq 1 type b",
        f"file {aoffiles.NAME}.1.incr.aof seq 1 type i",
    ]
    assert not (server.directory / aoffiles.NAME).exists()
    server.call("INCR", "a")
    server.restart(how="kill")
    assert server.call("GET", "a") == b"2"


def test_rewrites_by_itself_when_it_has_grown(farm):
    server = farm.server("ours", ON, "auto-aof-rewrite-percentage 100", "auto-aof-rewrite-min-size 100kb")
    with server.session() as wire:
        for _ in range(20):
            wire.call("SET", "k", "x" * 10_000)
    wait_for(lambda: server.info("persistence")["aof_rewrites"] == "1", 10, "a rewrite")
    assert "Starting automatic rewriting of AOF" in server.log()
    info = server.info("persistence")
    assert int(info["aof_current_size"]) < 50_000 and int(info["aof_base_size"]) > 0


# The checker


def test_checker_cuts_off_what_is_younger(farm, tmp_path):
    data = b"".join(b"#TS:%d\r\n" % n + command("SET", "k", n) for n in (10, 20, 30))
    for tool in ("redis", "ours"):
        path = tmp_path / f"{tool}.aof"
        path.write_bytes(data)
        done = aoffiles.check(tool, path, "--truncate-to-timestamp", "20")
        assert done.returncode == 0 and "Successfully truncated AOF" in done.stdout
        assert path.read_bytes() == data[: data.index(b"#TS:30")]
        assert aoffiles.check(tool, path, "--truncate-to-timestamp", "5").returncode == 1


BAD_ENDS = [b"!!!", command("SET", "a", 1)[:-3], command("MULTI") + command("SET", "a", 1), command("EXEC")]


@pytest.mark.parametrize("bad", BAD_ENDS)
def test_checker_mends_as_the_peers_does(tmp_path, bad):
    good = command("SET", "a", 0)
    for tool in ("redis", "ours"):
        path = tmp_path / f"{tool}.aof"
        path.write_bytes(good + bad)
        done = aoffiles.check(tool, path)
        assert done.returncode == 1 and f"ok_up_to={len(good)}" in done.stdout and "is not valid" in done.stdout
        done = aoffiles.check(tool, path, "--fix", answer="n\n")
        assert done.returncode == 1 and path.read_bytes() == good + bad
        done = aoffiles.check(tool, path, "--fix", answer="y\n")
        assert done.returncode == 0 and path.read_bytes() == good
        assert "is valid" in aoffiles.check(tool, path).stdout

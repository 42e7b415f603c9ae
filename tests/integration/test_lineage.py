"""The lineage file: what a server remembers of itself over restarts, whatever ends it."""

import os
import random
import stat
import time

import pytest

from dataset import fill_strings, replicate, wait_in_sync, wait_link_up
from harness import wait_for
from rdbfile import crc64
from wire import Closed, ReplyError

pytestmark = pytest.mark.lockstep_only("the lineage file")

SAVES = ("save 3600 1",)


def path_of(server):
    return server.directory / f"dump-{server.port}.lineage"


def parse(data):
    """The lines of a whole file as lists of words, by their first word."""
    body, last = data[: data.rindex(b"checksum ")], data[data.rindex(b"checksum ") :]
    assert last == b"checksum %016x\n" % crc64(body), data
    lines = [line.split() for line in body.decode().splitlines()]
    assert lines[0] == ["lockstep-lineage", "1"]
    rows = {}
    for words in lines[1:]:
        rows.setdefault(words[0], []).append(words[1:])
    return rows


def lineage(server):
    return parse(path_of(server).read_bytes())


def one(server, name):
    rows = lineage(server)
    return rows[name][0][0] if name in rows else None


def keys_and_flushed(server):
    rows = lineage(server)
    return int(rows["keys"][0][0]), rows["flushed"][0][0] == "yes"


def wait_keys(server, wanted):
    """Waits until the file tells of so many keys; True: of any."""

    def told():
        keys, _ = keys_and_flushed(server)
        return keys > 0 if wanted is True else keys == wanted

    wait_for(told, 10, f"the lineage file to tell of {wanted} keys", retry_on=(FileNotFoundError,))


def wait_written(server, **wanted):
    """Waits until lines of the file have these first words."""

    def so():
        return all(one(server, name.replace("_", "-")) == text for name, text in wanted.items())

    wait_for(so, 10, f"{wanted} in the lineage file", retry_on=(FileNotFoundError,))


def hash_info(server):
    rows = server.info("replication")
    return rows["key_hash_secret"], rows["key_hash_fingerprint"]


def status(server):
    rows = server.info("persistence")
    return rows["lineage_status"], rows["lineage_found"]


def test_what_is_in_it(farm):
    master = farm.server()
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_link_up(replica)
    fill_strings(master, 10)
    wire = master.wire()
    wire.call("CLIENT", "SETNAME", "sentinel-abcdef12-cmd")
    wire.call("HELLO", "2", "SETNAME", "sentinel-01234567-pubsub")
    replid = master.info("replication")["master_replid"]
    wait_for(lambda: len(lineage(master).get("sentinel", [])) == 2 and "replica" in lineage(master), 10)
    rows = lineage(master)
    assert stat.S_IMODE(path_of(master).stat().st_mode) == 0o600
    assert rows["role"] == [["master"]] and "master" not in rows
    assert rows["history"][0][0] == replid and rows["history"][0][2] == "yes"
    assert {row[0] for row in rows["sentinel"]} == {"abcdef12", "01234567"}
    assert rows["replica"][0][:2] == ["127.0.0.1", str(replica.port)]
    assert rows["run-id"] == [[master.info("server")["run_id"]]]
    wait_written(replica, role="replica", secret=rows["secret"][0][0])
    rows = lineage(replica)
    assert rows["master"] == [["127.0.0.1", str(master.port)]]
    assert rows["history"][0][0] == replid and rows["history"][0][2] == "yes"
    assert status(master) == ("ok", "nothing")
    wire.close()


def test_keys_within_a_second_and_at_the_end(farm):
    server = farm.server("ours", *SAVES)
    wait_written(server, keys="0")
    fill_strings(server, 10)
    wait_keys(server, True)
    fill_strings(server, 90, prefix="more:")
    assert server.terminate() == 0
    assert keys_and_flushed(server) == (100, False)
    assert list(server.directory.glob("*.tmp")) == []


def test_verification_can_go_on_after_restarts(farm):
    """Both servers restart, one after the other; replicas resume, and both hash as before."""
    master = farm.server("ours", *SAVES)
    fill_strings(master, 100)
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}", *SAVES)
    wait_link_up(replica)
    before = hash_info(master)
    assert hash_info(replica) == before
    replica.restart()
    wait_link_up(replica)
    assert hash_info(replica) == before and status(replica)[1] == "yes"
    master.restart()
    wait_link_up(replica)
    wait_in_sync(master, replica)
    assert hash_info(master) == before and hash_info(replica) == before
    replica.restart()
    wait_link_up(replica)
    assert hash_info(replica) == before
    assert master.info("stats")["sync_full"] == "0"
    replica.call("REPLICAOF", "NO", "ONE")
    replica.restart()
    assert hash_info(replica) == before


def test_checks_of_replicas_go_on_after_restarts(farm):
    lines = ("replica-verify yes", "replica-verify-period 1", *SAVES)
    master = farm.server("ours", *lines)
    fill_strings(master, 1000)
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}", *lines)
    for server in (None, replica, master):
        if server is not None:
            server.restart()
        wait_link_up(replica)
        rounds = lambda: int(replica.info("verification").get("verify_rounds", 0))  # noqa: E731
        before = rounds()
        wait_for(lambda: rounds() > before + 1, 20, lambda: str(replica.info("verification")))  # noqa: B023
        fields = replica.info("verification")
        assert fields["verify_replica_state"] == "verifying" and fields["verify_mismatches"] == "0"
    assert master.info("stats")["sync_full"] == "0"


def test_without_it_the_secret_is_unknown(farm):
    master = farm.server("ours", *SAVES)
    fill_strings(master, 100)
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}", *SAVES)
    wait_link_up(replica)
    before = hash_info(replica)
    replica.terminate()
    path_of(replica).unlink()
    replica.start()
    wait_link_up(replica)
    assert master.info("stats")["sync_full"] == "1"
    assert hash_info(replica)[0] == "unknown" and hash_info(replica)[1] != before[1]


# Flushes


FLUSHES = {
    "flushall": [("FLUSHALL",)],
    "async": [("FLUSHALL", "ASYNC")],
    "last-database": [("FLUSHDB",), ("SELECT", 1), ("FLUSHDB",)],
    "transaction": [("MULTI",), ("FLUSHALL",), ("EXEC",)],
    "script": [("EVAL", "return redis.call('FLUSHALL')", 0)],
}


@pytest.mark.parametrize("commands", FLUSHES.values(), ids=FLUSHES)
@pytest.mark.parametrize("log", ["no", "yes"], ids=["rdb", "log"])
def test_a_flush_is_noted_before_its_reply(farm, commands, log):
    server = farm.server("ours", f"appendonly {log}", *SAVES)
    fill_strings(server, 10)
    fill_strings(server, 10, database=1)
    wait_keys(server, True)
    with server.wire() as wire:
        for command in commands:
            wire.call(*command)
        server.kill()
    assert keys_and_flushed(server) == (0, True)


def test_replicas_note_a_flush_before_they_acknowledge_it(farm):
    master = farm.server()
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_link_up(replica)
    for _ in range(5):
        fill_strings(master, 10)
        wait_in_sync(master, replica)
        wait_keys(replica, True)
        with master.wire() as wire:
            wire.call("FLUSHALL")
            assert wire.call("WAIT", 1, 10000) == 1
        assert keys_and_flushed(replica) == (0, True)


def test_a_flush_is_forgotten_with_the_next_key(farm):
    server = farm.server()
    fill_strings(server, 10)
    server.call("FLUSHALL")
    assert keys_and_flushed(server)[0] == 0
    server.call("SET", "key", "v")
    wait_for(lambda: keys_and_flushed(server) == (1, False), 5)
    server.call("DEL", "key")
    wait_for(lambda: keys_and_flushed(server) == (0, False), 5)


def test_an_empty_start_is_remembered(farm):
    """Keys that only the memory held are gone; that is no reason to forget that there were some."""
    server = farm.server()
    fill_strings(server, 10)
    wait_keys(server, 10)
    for _ in range(3):
        server.kill()
        server.start()
        assert server.call("DBSIZE") == 0
        wait_written(server, run_id=server.info("server")["run_id"])
        assert keys_and_flushed(server) == (10, False)
    server.call("FLUSHALL")
    assert keys_and_flushed(server) == (0, True)


# kill -9


class Life:
    """What a client was told in one life of the server."""

    def __init__(self, server, dice):
        self.flushed_last = False
        self.server, self.dice = server, dice

    def traffic(self, until):
        with self.server.wire() as wire:
            while time.monotonic() < until:
                if self.dice.random() < 0.3:
                    wire.call("FLUSHALL")
                    self.flushed_last = True
                elif self.dice.random() < 0.5:
                    self.flushed_last = False
                    wire.call("SET", f"key:{self.dice.randrange(100)}", "v")
                else:
                    time.sleep(0.002)


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_at_any_moment(farm, seed):
    """The file is whole, a flush that was answered last is in it, and a data set that came back belongs to its secret."""
    dice = random.Random(seed)
    server = farm.server("ours", "appendonly yes", "appendfsync no")
    wait_written(server, keys="0")
    fingerprint = hash_info(server)[1]
    for _ in range(25):
        life = Life(server, dice)
        life.traffic(time.monotonic() + dice.choice([0, 0.01, 0.05, 0.3, 1.2]))
        server.kill()
        told = keys_and_flushed(server)
        assert not life.flushed_last or told == (0, True)
        while dice.random() < 0.3:  # it is killed while it starts
            server.start(ready=False)
            time.sleep(dice.choice([0, 0.01, 0.02, 0.05]))
            server.kill()
        server.start()
        assert status(server) == ("ok", "yes")
        assert hash_info(server) == ("known", fingerprint)
    assert len(list(server.directory.glob("*.tmp"))) <= 1


@pytest.mark.parametrize("load", ["disabled", "swapdb"])
def test_kill_9_of_a_replica_that_changes_its_history(farm, load):
    """Whatever data set a restart finds, its secret is known only if it is that of the master that it resumes from."""
    masters = [farm.server(), farm.server()]
    for master in masters:
        fill_strings(master, 3000, prefix=f"{master.port}:")
    replica = farm.server("ours", f"replicaof 127.0.0.1 {masters[0].port}", f"repl-diskless-load {load}", *SAVES)
    wait_link_up(replica)
    dice = random.Random(load)
    known = 0
    for i in range(12):
        master = masters[(i + 1) % 2]
        replicate(replica, master)
        time.sleep(dice.choice([0, 0.02, 0.05, 0.1, 0.2, 0.4]))
        if dice.random() < 0.5:
            replica.ask("SAVE")
        replica.kill()
        replica.conf_path.write_text(replica.conf_path.read_text() + f"replicaof 127.0.0.1 {master.port}\n")
        replica.start()
        wait_link_up(replica)
        state, fingerprint = hash_info(replica)
        if state == "known":
            known += 1
            assert fingerprint == hash_info(master)[1]
    assert known > 6


# What goes wrong


def flaws(path):
    whole = path.read_bytes()
    return {
        "cut off": whole[:-5],
        "empty": b"",
        "zeros": b"\0" * len(whole),
        "a bit": whole[:30] + bytes([whole[30] ^ 1]) + whole[31:],
        "version": whole.replace(b"lockstep-lineage 1", b"lockstep-lineage 2"),
        "huge": whole + b"x" * 10_000_000,
        "lines": b"lockstep-lineage 1\n" + b"\n" * 60000,
        "other": b"REDIS0010" + os.urandom(500),
    }


def test_damaged_files_are_unknown(farm):
    server = farm.server()
    fill_strings(server, 10)
    server.terminate()
    for name, data in flaws(path_of(server)).items():
        path_of(server).write_bytes(data)
        server.start()
        assert status(server)[1] == "damaged", name
        wait_for(lambda: server.info("persistence")["lineage_writes"] != "0", 10)
        assert keys_and_flushed(server) == (0, False)
        server.terminate()
    assert server.log().count("is not used: ") == 8


def test_links_and_folders_in_its_place(farm):
    server = farm.server()
    other = server.directory / "other"
    server.terminate()
    other.write_text("precious")
    path_of(server).unlink()
    path_of(server).symlink_to(other)
    path_of(server).with_name(path_of(server).name + ".tmp").symlink_to(other)
    server.start()
    assert status(server)[1] == "damaged" and server.log_contains("it is a symbolic link")
    wait_for(lambda: not path_of(server).is_symlink(), 10)
    assert other.read_text() == "precious" and keys_and_flushed(server) == (0, False)
    server.terminate()
    path_of(server).unlink()
    path_of(server).mkdir()
    server.start()
    wait_for(lambda: status(server)[0] == "err", 10)
    assert server.call("SET", "key", "v") == "OK"
    assert server.log().count("Writing the lineage file") == 1
    path_of(server).rmdir()
    server.terminate()
    assert keys_and_flushed(server) == (1, False)


def test_a_disk_that_takes_no_file(farm):
    """The server works as without the file; a flush that cannot be noted removes it."""
    server = farm.server()
    fill_strings(server, 10)
    wait_keys(server, True)
    obstacle = path_of(server).with_name(path_of(server).name + ".tmp")
    obstacle.mkdir()
    with server.wire() as wire:
        wire.call("CLIENT", "SETNAME", "sentinel-abcdef12-cmd")
        wait_for(lambda: status(server)[0] == "err", 10)
        assert keys_and_flushed(server) == (10, False)  # out of date, as the log says
        assert wire.call("FLUSHALL") == "OK"
        assert not path_of(server).exists()
        assert wire.call("FLUSHALL") == "OK"
    assert int(server.info("persistence")["lineage_write_failures"]) >= 2
    assert server.log().count("Writing the lineage file") == 1
    obstacle.rmdir()
    server.terminate()
    assert keys_and_flushed(server) == (0, True)


def test_two_servers_share_a_folder(farm):
    first = farm.server()
    second = farm.server("ours", f"dir {first.directory}")
    fill_strings(first, 5)
    wait_keys(first, 5)
    mine = first.directory / f"dump-{second.port}.lineage"
    wait_for(mine.exists, 5)
    assert parse(mine.read_bytes())["keys"] == [["0"]]
    assert status(first)[0] == status(second)[0] == "ok"


def test_two_servers_with_one_name(farm):
    """They have the same port on different addresses. One of them notices, and leaves the file to the other."""
    first = farm.server()
    second = farm.server(
        "ours", f"dir {first.directory}", port=first.port, name="second", base=("bind 127.0.0.2", 'save ""'), start=False
    )
    second.host = "127.0.0.2"
    wait_written(first, keys="0")
    second.start()
    wait_written(first, run_id=second.info("server")["run_id"])
    fill_strings(first, 5)
    wait_for(lambda: status(first)[0] == "clash", 10)
    assert one(first, "run-id") == second.info("server")["run_id"]
    assert first.log_contains("was written by another server")


def test_settings_move_it(farm):
    server = farm.server("ours", "enable-protected-configs yes")
    fill_strings(server, 5)
    wait_keys(server, 5)
    old = path_of(server)
    elsewhere = farm.directory / "elsewhere"
    elsewhere.mkdir()
    server.config_set("dir", elsewhere)
    new = elsewhere / old.name
    wait_for(lambda: new.exists() and not old.exists(), 10)
    assert parse(new.read_bytes())["keys"] == [["5"]]
    server.config_set("dbfilename", "data.rdb")
    wait_for(lambda: not new.exists(), 10)
    assert parse((elsewhere / f"data-{server.port}.lineage").read_bytes())["keys"] == [["5"]]
    server.config_set("lineage", "no")
    wait_for(lambda: list(elsewhere.iterdir()) == [], 10)
    assert status(server)[0] == "off"
    server.config_set("lineage", "yes")
    wait_for(lambda: status(server)[0] == "ok" and list(elsewhere.iterdir()) != [], 10)


def test_off_means_off(farm):
    server = farm.server("ours", "lineage no")
    fill_strings(server, 5)
    server.call("FLUSHALL")
    server.terminate()
    assert not path_of(server).exists()


def test_it_is_never_asked_for(farm):
    """No command shows the secret, and none writes another one."""
    server = farm.server("ours", "enable-protected-configs yes")
    wait_written(server, keys="0")
    secret = one(server, "secret").encode()
    for command in ("INFO everything", "CONFIG GET *", "DEBUG OBJECT x", "MEMORY STATS", "CLIENT LIST"):
        try:
            assert secret not in repr(server.ask(*command.split())).encode()
        except (Closed, ReplyError):
            pass
    assert secret.decode() not in server.log()

"""Starting and stopping: what a server claims, what it leaves alone, and what it refuses with a clear message."""

import socket
import subprocess

import pytest

from harness import OURS, REDIS, SCALE, free_port, wait_for
from wire import Closed, ReplyError, Wire


def start_that_fails(*args, stdin=b""):
    """Returns (status, all output)."""
    done = subprocess.run([OURS, *map(str, args)], input=stdin, capture_output=True, timeout=20 * SCALE, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def answers(path):
    try:
        with Wire(str(path)) as wire:
            return wire.call("PING") == "PONG"
    except (OSError, Closed):
        return False


# Files of others stay


def socket_server(farm, *lines, **options):
    path = farm.directory / "s.sock"
    server = farm.server("ours", "port 0", f"unixsocket {path}", *lines, start=False, **options)
    server.start(ready=False)
    wait_for(lambda: answers(path), 10, "the socket to answer")
    return server, path


@pytest.mark.lockstep_only("Redis removes the socket of a running server")
def test_fault_17_second_start_leaves_the_socket_alone(farm):
    server, path = socket_server(farm)
    status, text = start_that_fails(server.directory / "redis.conf")
    assert status == 1
    assert f"Failed opening the Unix socket {path}: {path} is in use: a process listens on it" in text
    assert f"Failed listening on the Unix socket {path}, aborting." in text
    assert "port" not in text.split("Failed listening on")[1]
    assert answers(path)
    assert server.terminate() == 0
    assert not path.exists()


@pytest.mark.lockstep_only("Redis removes the socket of a running server")
def test_fault_17_second_start_that_fails_on_the_port_leaves_the_socket_alone(farm):
    path = farm.directory / "s.sock"
    server = farm.server("ours", f"unixsocket {path}")
    status, text = start_that_fails(server.directory / "redis.conf")
    assert status == 1 and f"Failed listening on port {server.port} (tcp), aborting." in text
    assert answers(path)


@pytest.mark.lockstep_only("Redis removes the socket of a running server")
def test_fault_17_stopped_server_keeps_its_socket(farm):
    """A server that does not answer at the moment is not dead: its queue accepts connections."""
    server, path = socket_server(farm)
    server.pause()
    status, text = start_that_fails(server.directory / "redis.conf")
    server.resume()
    assert status == 1 and "is in use" in text
    assert answers(path)


def test_fault_17_socket_of_a_crashed_server_is_taken_over(farm):
    server, path = socket_server(farm)
    server.kill()
    assert path.exists()
    server.start(ready=False)
    wait_for(lambda: answers(path), 10, "the socket to answer")


@pytest.mark.lockstep_only("Redis removes whatever has the name")
def test_fault_17_socket_that_another_server_has_taken_stays(farm):
    """redis-server unlinks the path without a check. The first server does not remove the new socket at its end."""
    server, path = socket_server(farm)
    other = farm.server("redis", "port 0", f"unixsocket {path}", start=False)
    other.start(ready=False)
    wait_for(lambda: other.log_contains("eady to accept connections"), 10, "the other to have it")
    assert server.terminate() == 0
    assert answers(path)


@pytest.mark.lockstep_only("Redis removes whatever has the name")
def test_fault_17_file_in_the_place_of_the_socket_stays(farm):
    path = farm.directory / "s.sock"
    path.write_text("precious")
    status, text = start_that_fails("--port", 0, "--unixsocket", path)
    assert status == 1 and f"{path} is there, and is not a socket" in text
    assert path.read_text() == "precious"


@pytest.mark.lockstep_only("Redis removes the socket of a running server")
def test_fault_17_simultaneous_starts_leave_one_server(farm):
    """Several servers start at once on the socket of a crashed server."""
    path = farm.directory / "s.sock"
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        args = [OURS, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(farm.directory)]
        starts = [
            subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            for _ in range(6)
        ]
        try:
            wait_for(lambda: sum(p.poll() is None for p in starts) == 1, 20, "all but one to give up")
            (winner,) = (p for p in starts if p.poll() is None)
            with Wire(str(path)) as wire:
                assert f"process_id:{winner.pid}".encode() in wire.call("INFO", "server")
        finally:
            for p in starts:
                if p.poll() is None:
                    p.terminate()
                p.wait(20 * SCALE)
        assert not path.exists()


def test_fault_17_changing_the_port_keeps_the_socket(farm):
    path = farm.directory / "s.sock"
    server = farm.server("ours", f"unixsocket {path}")
    before = path.stat().st_ino
    with Wire(str(path)) as wire:
        assert wire.call("CONFIG", "SET", "port", "0") == "OK"
        assert wire.call("PING") == "PONG"
        assert path.stat().st_ino == before and answers(path)
        assert wire.call("CONFIG", "SET", "port", server.port) == "OK"
    assert server.call("PING") == "PONG" and answers(path)


@pytest.mark.lockstep_only("Redis writes over the file of a running server")
def test_fault_17_pid_file_of_a_running_server_stays(farm):
    pidfile = farm.directory / "server.pid"
    first = farm.server("ours", f"pidfile {pidfile}")
    second = farm.server("ours", f"pidfile {pidfile}")
    assert int(pidfile.read_text()) == first.pid
    assert f"The PID file {pidfile} belongs to the running process {first.pid}" in second.log()
    assert second.terminate() == 0
    assert int(pidfile.read_text()) == first.pid
    first.kill()
    second.restart()
    assert int(pidfile.read_text()) == second.pid, "what a crashed server left is written over"
    assert second.terminate() == 0
    assert not pidfile.exists()


@pytest.mark.lockstep_only("Redis removes whatever has the name")
def test_fault_17_pid_file_that_another_wrote_anew_stays(farm):
    pidfile = farm.directory / "server.pid"
    server = farm.server("ours", f"pidfile {pidfile}")
    pidfile.unlink()
    pidfile.write_text("12345\n")
    assert server.terminate() == 0
    assert pidfile.read_text() == "12345\n"


# rename-command

REFUSED_RENAMES = {
    'rename-command FLUSHAL ""': "No such command in rename-command",
    'rename-command "" x': "No such command in rename-command",
    "rename-command FLUSHALL GET": "Target command name already exists",
    'rename-command FLUSHALL ""\nrename-command flushall ""': "No such command in rename-command",
    "rename-command FLUSHALL a\nrename-command FLUSHALL b": "No such command in rename-command",
    "rename-command FLUSHALL a\nrename-command SET A": "Target command name already exists",
    "rename-command FLUSHALL a\nrename-command a GET": "Target command name already exists",
    'rename-command sentinel ""': "No such command in rename-command",
    "rename-command FLUSHALL": "Bad directive or wrong number of arguments",
    "rename-command FLUSHALL a b": "Bad directive or wrong number of arguments",
}


def refusal_of(binary, path):
    done = subprocess.run([binary, str(path)], capture_output=True, text=True, timeout=20 * SCALE, check=False)
    text = done.stdout + done.stderr
    return done.returncode, text[text.index("Reading the configuration file") :]


@pytest.mark.parametrize("lines", REFUSED_RENAMES)
def test_fault_18_rename_command_is_refused_as_by_redis(farm, lines):
    conf = farm.directory / "redis.conf"
    conf.write_text(f"port 0\n{lines}\n")
    status, text = refusal_of(OURS, conf)
    assert status == 1 and REFUSED_RENAMES[lines] in text
    assert f">>> '{lines.splitlines()[-1]}'" in text
    theirs, reason = refusal_of(REDIS, conf)
    assert theirs == 1 and reason.splitlines()[1:3] == text.splitlines()[1:3]


@pytest.mark.lockstep_only("Redis 7.0 crashes")
def test_fault_18_subcommands_cannot_be_renamed():
    status, text = start_that_fails("--port", 0, "--rename-command", "config|get", "x")
    assert status == 1 and "No such command in rename-command" in text


# What each name answers after the lines. "gone" is an unknown command.
TAKEN_RENAMES = {
    "rename-command PING a\nrename-command a b": {"PING": "gone", "a": "gone", "b": "PONG"},
    "rename-command PING a\nrename-command DBSIZE ping": {"a": "PONG", "ping": 0, "DBSIZE": "gone"},
    "rename-command PING a\nrename-command DBSIZE ping\nrename-command a dbsize": {"DBSIZE": "PONG", "PING": 0},
    'rename-command DBSIZE ""\nrename-command PING dbsize': {"dbsize": "PONG", "PING": "gone"},
    "rename-command PING ping": {"PING": "PONG"},
    'RENAME-COMMAND ping "a b"': {"a b": "PONG", "ping": "gone"},
    'rename-command DBSIZE ""\nuser u on nopass -dbsize': {"DBSIZE": "gone", "PING": "PONG"},
}


@pytest.mark.parametrize("kind", ["ours", "redis"])
@pytest.mark.parametrize("lines", TAKEN_RENAMES)
def test_fault_18_renames_follow_each_other_as_in_redis(farm, lines, kind):
    """Each line applies to the names that earlier lines have left; CONFIG REWRITE keeps all of them."""
    server = farm.server(kind, *lines.splitlines(), start=False)

    def check():
        with server.wire() as wire:
            for name, answer in TAKEN_RENAMES[lines].items():
                reply = wire.ask(name)
                if answer == "gone":
                    assert isinstance(reply, ReplyError) and "unknown command" in str(reply), (name, reply)
                else:
                    assert reply == answer, (name, reply)

    server.start(ready=False)
    wait_for(lambda: server.log_contains("eady to accept connections"), 10, "the start")
    check()
    with server.wire() as wire:
        assert wire.call("CONFIG", "SET", "hz", "20") == "OK"
        assert wire.call("CONFIG", "REWRITE") == "OK"
    text = (server.directory / "redis.conf").read_text()
    kept = [line for line in text.splitlines() if line.lower().startswith("rename-command")]
    assert kept == [line for line in lines.splitlines() if not line.startswith("user")]
    server.restart(ready=False)
    wait_for(lambda: server.log().count("eady to accept connections") == 2, 10, "the second start")
    check()


@pytest.mark.parametrize("kind", ["ours", "redis"])
def test_fault_18_rules_speak_of_built_in_names(farm, kind):
    conf = farm.directory / "redis.conf"
    conf.write_text(f"port {free_port()}\nrename-command FLUSHALL xx\nuser u on nopass +@all -xx\n")
    binary = OURS if kind == "ours" else REDIS
    done = subprocess.run([binary, str(conf)], capture_output=True, text=True, timeout=20 * SCALE, check=False)
    assert done.returncode == 1 and "-xx" in done.stdout + done.stderr


# What this program is


def test_fault_22_version_says_what_the_program_is(server):
    status, text = start_that_fails("--version")
    assert status == 0
    words = text.split()
    assert words[0] == "Lockstep" and words[2] == "v=7.2.4", "tools read the third word"
    info = server.info("server")
    assert words[-1] == f"lockstep={info['lockstep_version']}"
    assert info["server_name"] == "lockstep" and info["redis_version"] == "7.2.4"


@pytest.mark.lockstep_only("options of this program")
def test_fault_22_help_names_every_option():
    _, text = start_that_fails("--help")
    for option in ("--version", "--help", "--check-system", "--check-rdb", "--check-aof", "--fix"):
        assert option in text


# A save that fails


def test_fault_22_failed_save_names_the_directory(farm):
    server = farm.server()
    server.call("SET", "k", "v")
    (server.directory / "dump.rdb").mkdir()
    place = f"(in server root dir {server.directory})"
    with server.wire() as wire:
        assert isinstance(wire.ask("SAVE"), ReplyError)
        wait_for(lambda: place in server.log(), 10, "the failed SAVE in the log")
        before = server.log().count(place)
        wire.ask("BGSAVE")
        wait_for(lambda: server.log().count(place) > before, 10, "the failed BGSAVE in the log")


# Directives of other versions and forks

# What the default file of Valkey 8 sets, without paths. The file of Redis 8 sets a part of it.
DEFAULTS_OF_8 = """
acllog-max-len 128
activerehashing yes
always-show-logo no
aof-load-truncated yes
aof-rewrite-incremental-fsync yes
aof-timestamp-enabled no
aof-use-rdb-preamble yes
appenddirname "appendonlydir"
appendfilename "appendonly.aof"
appendfsync everysec
appendonly no
auto-aof-rewrite-min-size 64mb
auto-aof-rewrite-percentage 100
client-output-buffer-limit normal 0 0 0
client-output-buffer-limit pubsub 32mb 8mb 60
client-output-buffer-limit replica 256mb 64mb 60
databases 16
dbfilename dump.rdb
disable-thp yes
dual-channel-replication-enabled no
dynamic-hz yes
hash-max-listpack-entries 512
hash-max-listpack-value 64
hide-user-data-from-log yes
hll-sparse-max-bytes 3000
hz 10
jemalloc-bg-thread yes
latency-monitor-threshold 0
lazyfree-lazy-eviction yes
lazyfree-lazy-expire yes
lazyfree-lazy-server-del yes
lazyfree-lazy-user-del yes
lazyfree-lazy-user-flush yes
list-compress-depth 0
list-max-listpack-size -2
locale-collate ""
logfile ""
loglevel notice
no-appendfsync-on-rewrite no
notify-keyspace-events ""
oom-score-adj no
oom-score-adj-values 0 200 800
proc-title-template "{title} {listen-addr} {server-mode}"
protected-mode yes
rdb-del-sync-files no
rdb-save-incremental-fsync yes
rdbchecksum yes
rdbcompression yes
repl-disable-tcp-nodelay no
repl-diskless-load disabled
repl-diskless-sync yes
repl-diskless-sync-delay 5
repl-diskless-sync-max-replicas 0
replica-lazy-flush yes
replica-priority 100
replica-read-only yes
replica-serve-stale-data yes
set-max-intset-entries 512
set-max-listpack-entries 128
set-max-listpack-value 64
set-proc-title yes
slowlog-log-slower-than 10000
slowlog-max-len 128
stop-writes-on-bgsave-error yes
stream-node-max-bytes 4096
stream-node-max-entries 100
tcp-backlog 511
tcp-keepalive 300
timeout 0
zset-max-listpack-entries 128
zset-max-listpack-value 64
"""


@pytest.mark.lockstep_only("directives of later versions")
def test_fault_22_default_files_of_valkey_8_and_redis_8_start(farm):
    server = farm.server("ours", *DEFAULTS_OF_8.strip().splitlines())
    assert server.call("PING") == "PONG"
    assert server.config_get("lazyfree-lazy-expire") == "yes"
    assert server.call("CONFIG", "GET", "hide-user-data-from-log") == []
    server.call("CONFIG", "SET", "hz", "20")
    assert server.call("CONFIG", "REWRITE") == "OK"
    assert "hide-user-data-from-log yes" in (server.directory / "redis.conf").read_text()
    server.restart()
    assert server.config_get("hz") == "20"


@pytest.mark.lockstep_only("directives of later versions")
def test_fault_22_names_of_cpu_lists_of_later_versions(farm):
    server = farm.server("ours", "server-cpulist 0", "bio-cpulist 0")
    assert server.config_get("server_cpulist") == "0" and server.config_get("bio-cpulist") == "0"
    shown = server.call("CONFIG", "GET", "*cpulist")[::2]
    assert sorted(shown) == [b"aof_rewrite_cpulist", b"bgsave_cpulist", b"bio_cpulist", b"server_cpulist"]


FOREIGN = {
    "vm-enabled no": "Redis 2.0 to 2.4",
    "hash-max-zipmap-entries 512": "hash-max-listpack-entries",
    "gopher-enabled yes": "Redis 6.0 and 6.2",
    "availability-zone x": "Valkey 8",
    "primaryauth secret": "masterauth",
    "cluster-compatibility-sample-ratio 10": "Redis 8",
    "search-timeout 500": "the modules of Redis 8",
    "server-threads 4": "KeyDB",
}


@pytest.mark.lockstep_only("Redis does not know whose they are")
@pytest.mark.parametrize("line", FOREIGN)
def test_fault_22_directives_of_others_are_refused_by_owner(tmp_path, line):
    conf = tmp_path / "redis.conf"
    conf.write_text(f"port 0\n{line}\n")
    status, text = start_that_fails(conf)
    assert status == 1 and f">>> '{line}'" in text
    reason = text[text.index("Bad directive: ") :]
    assert line.split()[0] in reason and FOREIGN[line] in reason


# Included files and CONFIG REWRITE


def including(farm, included, *lines, where="first"):
    """A server whose file includes another one; where: before or behind its other lines."""
    fragment = farm.directory / "included.conf"
    fragment.write_text(included)
    line = f"include {fragment}"
    lines = (line, *lines) if where == "first" else (*lines, line)
    return farm.server("ours", *lines), fragment


def rewritten(server):
    assert server.call("CONFIG", "REWRITE") == "OK"
    return (server.directory / "redis.conf").read_text()


def users_of(server):
    return {line.split()[1]: line for line in map(bytes.decode, server.call("ACL", "LIST"))}


@pytest.mark.lockstep_only("Redis does not start again: duplicate user")
@pytest.mark.parametrize("where", ["first", "last"])
def test_fault_22_included_users_survive_a_rewrite(farm, where):
    users = "user alice on >one ~* +@all\nuser bob on >two ~b* +get\nuser carol on nopass +@read\n"
    server, fragment = including(farm, users, "user dave on nopass +@all", where=where)
    before = users_of(server)
    text = rewritten(server)
    assert "user alice" not in text and "user dave" in text, "what is as in the included file stays there alone"
    server.restart()
    assert users_of(server) == before
    server.call("ACL", "SETUSER", "alice", "-flushall")
    server.call("ACL", "SETUSER", "erin", "on", "nopass", "+ping")
    server.call("ACL", "DELUSER", "carol")
    after = users_of(server)
    assert "user alice" in rewritten(server)
    for _ in range(2):
        server.restart()
        users_now = users_of(server)
        carol = users_now.pop("carol")
        assert users_now == after
        assert " off " in carol and carol.endswith(" -@all"), "who was deleted can do nothing"
        rewritten(server)
    assert fragment.read_text() == users, "an included file is never written to"
    server.call("ACL", "SETUSER", "alice", "reset", "on", ">one", "~*", "+@all")
    assert "user alice" not in rewritten(server)
    fragment.write_text(users.replace(">two", ">three"))
    server.restart()
    with server.wire() as wire:
        assert wire.call("AUTH", "bob", "three") == "OK"


def test_fault_22_a_user_twice_in_one_file_is_refused(farm):
    conf, fragment = farm.directory / "redis.conf", farm.directory / "included.conf"
    for main, included in (("user x on\nuser x off\n", ""), ("", "user x on\nuser x off\n")):
        conf.write_text(f"port {free_port()}\ninclude {fragment}\n{main}")
        fragment.write_text(included)
        status, text = start_that_fails(conf)
        assert status == 1 and "Duplicate user found" in text


@pytest.mark.lockstep_only("Redis adds the save points up")
@pytest.mark.parametrize("where", ["first", "last"])
def test_fault_22_included_save_points_do_not_add_up(farm, where):
    fragment = farm.directory / "included.conf"
    fragment.write_text("save 100 5\n")
    lines = ["save 900 1", f"include {fragment}"]
    server = farm.server("ours", *(lines if where == "last" else lines[::-1]), base=("bind 127.0.0.1",))
    points = server.config_get("save")
    assert sorted(points.split()) == sorted("900 1 100 5".split())
    for _ in range(3):
        rewritten(server)
        server.restart()
        assert server.config_get("save") == points
    server.config_set("save", "")
    rewritten(server)
    server.restart()
    assert server.config_get("save") == ""


@pytest.mark.lockstep_only("Redis leaves the value to the included file")
def test_fault_22_default_values_survive_an_included_line(farm):
    """A promoted replica does not become a replica again because an included file has the replicaof line."""
    server, _ = including(
        farm, f"replicaof 127.0.0.1 {free_port()}\nmaxmemory 1gb\nclient-output-buffer-limit pubsub 1mb 0 0\n"
    )
    assert server.info("replication")["role"] == "slave"
    server.call("REPLICAOF", "NO", "ONE")
    server.config_set("maxmemory", "0")
    limits = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
    server.config_set("client-output-buffer-limit", limits)
    text = rewritten(server)
    assert "replicaof no one" in text
    server.restart()
    assert server.info("replication")["role"] == "master"
    assert server.config_get("maxmemory") == "0" and server.config_get("client-output-buffer-limit") == limits
    server.call("REPLICAOF", "127.0.0.1", free_port())
    rewritten(server)
    server.restart()
    assert server.info("replication")["role"] == "slave"

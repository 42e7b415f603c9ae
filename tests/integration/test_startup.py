"""Starting and stopping: what a server takes, what it leaves alone, and what it refuses in clear words."""

import socket
import subprocess

import pytest

from harness import OURS, REDIS, SCALE, free_port, wait_for
from wire import Closed, ReplyError, Wire


def start_that_fails(*args, stdin=b""):
    """-> (status, all output)."""
    done = subprocess.run([OURS, *map(str, args)], input=stdin, capture_output=True, timeout=20 * SCALE, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def answers(path):
    try:
        with Wire(str(path)) as wire:
            return wire.call("PING") == "PONG"
    except (OSError, Closed):
        return False


# What is not ours stays


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
    """One that does not answer just now is not dead: its queue takes connections."""
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
    """redis-server unlinks the name without looking. The first server's end does not take it away once more."""
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
    """Each of them finds the socket of a crashed server."""
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
    """Each line goes by the names that those before it have left; CONFIG REWRITE keeps them all."""
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

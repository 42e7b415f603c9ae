"""Starting and stopping: what a server takes, what it leaves alone, and what it refuses in clear words."""

import os
import signal
import socket
import subprocess

import pytest

from harness import OURS, SCALE, is_alive, wait_for
from wire import Closed, Wire


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

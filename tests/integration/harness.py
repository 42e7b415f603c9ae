"""Starts, watches and stops the processes that the integration tests talk to.

Every process gets a directory and a port of its own. A lock on a file holds the port until the test ends, so that
several test runs on one machine do not collide.
"""

import fcntl
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from wire import Closed, ReplyError, Wire

ROOT = Path(__file__).resolve().parents[2]
OURS = os.environ.get("LOCKSTEP_SERVER", str(ROOT / "build" / "lockstep-server"))
REDIS = os.environ.get("REDIS_SERVER", "/usr/bin/redis-server")
SENTINEL = os.environ.get("REDIS_SENTINEL", "/usr/bin/redis-sentinel")
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"

# Multiplies every time limit, for slow builds (sanitizers, coverage).
SCALE = float(os.environ.get("LOCKSTEP_TIMEOUT_SCALE", "1"))

SANITIZER_MARKS = (b"ERROR: AddressSanitizer", b"ERROR: LeakSanitizer", b"runtime error:", b"ThreadSanitizer:")
CRASH_MARKS = (b"BUG REPORT START", b"ASSERTION FAILED", b"crashed by signal")

BASE_LINES = (
    "bind 127.0.0.1",
    'save ""',
    "enable-debug-command yes",
    "repl-diskless-sync-delay 0",
    "shutdown-timeout 0",
    "loglevel verbose",
)


class Timeout(AssertionError):
    """A condition did not become true in time."""


def wait_for(condition, timeout=10.0, what=None, interval=0.01, retry_on=()):
    """Calls condition() until it returns something true, and returns that.

    `what` is a text, or a function that describes the state at the end. Exceptions in `retry_on` count as "not yet".
    """
    deadline = time.monotonic() + timeout * SCALE
    while True:
        problem = None
        try:
            value = condition()
            if value:
                return value
        except retry_on as err:
            value, problem = None, err
        if time.monotonic() > deadline:
            text = what() if callable(what) else what or getattr(condition, "__name__", "condition")
            raise Timeout(f"not within {timeout * SCALE:.1f} s: {text}; last: {problem or value!r}")
        time.sleep(interval)
        interval = min(interval * 1.3, 0.2)


# Ports

_LOCK_DIR = Path("/tmp/lockstep-test-ports")
_held_locks = {}


def free_port():
    """A free loopback port, below the range from which the kernel chooses ports of outgoing connections."""
    _LOCK_DIR.mkdir(exist_ok=True)
    for port in random.sample(range(10000, 32000), 500):
        if port in _held_locks:
            continue
        lock = open(_LOCK_DIR / str(port), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _held_locks[port] = lock
        return port
    raise RuntimeError("no free port")


def release_ports():
    """Releases the ports of a finished test."""
    for lock in _held_locks.values():
        lock.close()
    _held_locks.clear()


# Processes


def version_text(binary):
    return subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout


def is_real_redis(binary):
    """Whether the server under test is the peer (redis-server), on which the suite is checked."""
    text = version_text(binary)
    return text.startswith("Redis server v=") and "lockstep" not in text.lower()


def child_pids(pid):
    """The live children of a process, without zombies."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = proc_stat(int(entry))
            if fields and int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(entry))
    return found


def proc_stat(pid):
    """The fields of /proc/PID/stat after the name: [0] is the state, [1] the parent, [11] utime, [12] stime."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def is_alive(pid):
    fields = proc_stat(pid)
    return fields is not None and fields[0] not in "ZX"


class Process:
    """A process with its own directory, which also holds its output."""

    def __init__(self, name, directory, argv, limits=None, env=None, stdin=None):
        self.name = name
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.argv = [str(arg) for arg in argv]
        self.limits = limits or {}
        self.env = env
        self.stdin = stdin
        self.proc = None
        self.expect_exit = False

    @property
    def pid(self):
        return self.proc.pid

    @property
    def stdout_path(self):
        return self.directory / "stdout.log"

    @property
    def stderr_path(self):
        return self.directory / "stderr.log"

    def launch(self):
        self.expect_exit = False
        env = dict(os.environ, **(self.env or {}))
        with open(self.stdout_path, "ab") as out, open(self.stderr_path, "ab") as err:
            self.proc = subprocess.Popen(
                self.argv,
                cwd=self.directory,
                stdin=self.stdin or subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=env,
                preexec_fn=self._set_limits if self.limits else None,
            )
        return self

    def _set_limits(self):
        if resource.RLIMIT_FSIZE in self.limits:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes beyond the limit then fail, as on a full disk
        for which, value in self.limits.items():
            resource.setrlimit(which, value if isinstance(value, tuple) else (value, value))

    def running(self):
        return self.proc is not None and self.proc.poll() is None

    def signal(self, number):
        self.proc.send_signal(number)

    def pause(self):
        """Stops the process with SIGSTOP, as if its host hung: its sockets stay open. The signal takes a moment."""
        self.signal(signal.SIGSTOP)
        wait_for(self._is_stopped, what=f"{self.name} to stop", retry_on=(FileNotFoundError,))

    def _is_stopped(self):
        threads = Path(f"/proc/{self.proc.pid}/task").glob("*/stat")
        return all(thread.read_text().rsplit(")", 1)[1].split()[0] == "T" for thread in threads)

    def resume(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        """Kills the process with SIGKILL, as in a crash. Its children die of it a moment later; one that was just
        forked may still hold the port."""
        self.expect_exit = True
        if self.running():
            children = child_pids(self.proc.pid)
            self.proc.kill()
            self.proc.wait(10)
            wait_for(lambda: all((proc_stat(pid) or "Z")[0] == "Z" for pid in children), what="its children to die")

    def wait_exit(self, timeout=10.0):
        self.expect_exit = True
        try:
            return self.proc.wait(timeout * SCALE)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.name} did not exit; log tail:\n{self.log_tail()}") from None

    def terminate(self, timeout=15.0):
        """Ends the process with SIGTERM and returns its exit status."""
        self.expect_exit = True
        if self.running():
            self.proc.send_signal(signal.SIGCONT)
            self.proc.terminate()
        return self.wait_exit(timeout)

    def end(self, deadline):
        """Ends the process at the end of a test: with SIGTERM, so that leak checks run, then with SIGKILL."""
        if self.proc is None:
            return
        try:
            self.proc.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait(10)

    def log(self):
        text = b""
        for path in (self.stdout_path, self.stderr_path):
            if path.exists():
                text += path.read_bytes()
        return text.decode(errors="replace")

    def log_tail(self, lines=40):
        return "\n".join(self.log().splitlines()[-lines:])

    def log_contains(self, text):
        return text in self.log()

    def faults(self):
        """Findings of sanitizers and crash reports, which no output of a server may contain."""
        data = self.log().encode(errors="replace")
        return [mark.decode() for mark in SANITIZER_MARKS + CRASH_MARKS if mark in data]


class Server(Process):
    """A server process: the one under test, or the peer."""

    def __init__(self, kind, directory, lines=(), args=(), port=None, name=None, base=BASE_LINES, **process_options):
        self.kind = kind
        self.binary = OURS if kind == "ours" else REDIS
        self.port = port or free_port()
        self.host = "127.0.0.1"
        self.lines = list(lines)
        self.args = [str(arg) for arg in args]
        self.base = base
        self._wire = None
        directory = Path(directory)
        self.conf_path = directory / "redis.conf"
        argv = [self.binary, self.conf_path, *self.args]
        super().__init__(name or f"{kind}-{self.port}", directory, argv, **process_options)

    @property
    def address(self):
        return (self.host, self.port)

    def write_config(self):
        text = [f"port {self.port}", f"dir {self.directory}", *self.base, *self.lines]
        self.conf_path.write_text("\n".join(text) + "\n")

    def start(self, ready=True):
        if not self.conf_path.exists():
            self.write_config()
        self._drop_wire()
        self.launch()
        if ready:
            self.wait_ready()
        return self

    def restart(self, ready=True, how="terminate"):
        """Ends the process in the given way and starts it again with the same file."""
        getattr(self, how)()
        return self.start(ready)

    def wait_ready(self, timeout=15.0):
        """Waits until PING is answered (an error such as NOAUTH counts, LOADING does not)."""
        try:
            wait_for(self._answers, timeout, f"{self.name} to answer PING")
        except Timeout as err:
            raise AssertionError(f"{err}\n{' '.join(self.argv)}\n{self.log_tail()}") from None

    def _answers(self):
        if not self.running():
            raise AssertionError(f"{self.name} ended with {self.proc.returncode} at start-up:\n{self.log_tail()}")
        try:
            with self.connect(2 * SCALE) as wire:
                reply = wire.ask("PING")
        except (OSError, Closed):
            return False
        return not (isinstance(reply, ReplyError) and str(reply).startswith("LOADING"))

    def connect(self, timeout, **options):
        return Wire(self.address, timeout, **options)

    def wire(self, timeout=15.0, **options):
        """A new connection for the caller."""
        return self.connect(timeout * SCALE, **options)

    def session(self, timeout=30.0, database=0):
        """A new, authenticated connection for the caller."""
        wire = self.wire(timeout)
        try:
            if self.password():
                wire.call("AUTH", self.password())
            if database:
                wire.call("SELECT", database)
        except BaseException:
            wire.close()
            raise
        return wire

    def _drop_wire(self):
        if self._wire is not None:
            self._wire.close()
        self._wire = None

    def ask(self, *args):
        """Sends one command on a connection that is kept.

        A failover closes connections (CLIENT KILL), once for each sentinel; then the command is sent again on a new one.
        Tests about the connection itself use wire().
        """
        for _ in range(3):
            try:
                return self._ask_on_new(args) if self._wire is None else self._wire.ask(*args)
            except Closed:
                self._drop_wire()
            except BaseException:
                self._drop_wire()
                raise
        return self._ask_on_new(args)

    def _ask_on_new(self, args):
        self._drop_wire()
        self._wire = self.session()
        try:
            return self._wire.ask(*args)
        except BaseException:
            self._drop_wire()
            raise

    def call(self, *args):
        reply = self.ask(*args)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def password(self):
        for line in reversed(self.lines):
            if line.startswith("requirepass "):
                return line.split()[1].strip('"')
        return None

    def info(self, section=None):
        text = self.call(*(["INFO", section] if section else ["INFO"]))
        rows = (line.split(":", 1) for line in bytes(text).decode(errors="replace").split("\r\n") if ":" in line)
        return {name: value for name, value in rows}

    def config_get(self, name):
        flat = self.call("CONFIG", "GET", name)
        return flat[1].decode() if flat else None

    def config_set(self, *pairs):
        assert self.call("CONFIG", "SET", *pairs) == "OK"

    # CPU and memory of the process

    def cpu_seconds(self):
        fields = proc_stat(self.pid)
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def has_jemalloc(self):
        """Sanitizers bring an allocator of their own, which keeps freed memory and has no statistics."""
        return self.info("memory")["mem_allocator"].startswith("jemalloc")

    def rss_bytes(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0


class Farm:
    """All processes of one test. close() ends them and returns their errors."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.processes = []
        self.helpers = []

    def adopt(self, process):
        self.processes.append(process)
        return process

    def helper(self, thing):
        """Registers an object whose close() is called at the end of the test: a proxy, a fake peer, a connection."""
        self.helpers.append(thing)
        return thing

    def server(self, kind="ours", *lines, args=(), start=True, ready=True, **options):
        directory = self.directory / f"{len(self.processes)}-{kind}"
        server = self.adopt(Server(kind, directory, lines, args, **options))
        return server.start(ready) if start else server

    def close(self):
        for thing in reversed(self.helpers):
            thing.close()
        problems = []
        deadline = time.monotonic() + 5 * SCALE
        for process in self.processes:
            if process.proc is None:
                continue
            if not process.running() and not process.expect_exit:
                problems.append(f"{process.name} ended on its own with status {process.proc.returncode}")
            if process.running():
                process.proc.send_signal(signal.SIGCONT)
                process.proc.terminate()
        for process in self.processes:
            if isinstance(process, Server):
                process._drop_wire()
            process.end(deadline)
            problems += [f"{process.name}: {fault} in its output" for fault in process.faults()]
        return problems

    def stood_still(self):
        """Whether the whole machine did, for seconds: sentinels notice, and then decide nothing for half a minute."""
        return any("+tilt #tilt mode entered" in process.log() for process in self.processes)

    def log_tails(self):
        return [(process.name, process.log_tail()) for process in self.processes]

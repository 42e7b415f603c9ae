"""The servers of a run: who is the master, who follows whom, what is written down about it.

    clients --> front --> node  <-- entrance of B <-- node B
                           |    <-- entrance of C <-- node C
                          disk (a small tmpfs in some runs)

Every link between two nodes passes a proxy of its own (proxy.py), and so do those clients that come through the front.
All changes are made by one thread, that of the run.
"""

import shutil
import subprocess
import threading
import time
from pathlib import Path

import paths  # noqa: F401
from harness import SCALE, Server, Timeout, free_port, wait_for
from histories import Excuse
from proxy import Proxy
from smalldisk import SmallDisk
from watcher import Watcher
from wire import Closed, ReplyError

DATABASE = 9  # of the histories; the random commands never change it
REPL_TIMEOUT = 3
LINKS_WITHIN = 20  # seconds until every link is up after the last fault
DISK_MB = 256
NOT_NOW = (OSError, Closed, ReplyError)
COMMON = (
    f"repl-timeout {REPL_TIMEOUT}",
    "repl-ping-replica-period 1",
    "proto-max-bulk-len 64mb",
)


class Failed(Exception):
    """The run cannot go on."""


class Node:
    """One server, over all its lives."""

    def __init__(self, world, name, kind, settings):
        self.world = world
        self.name = name
        self.kind = kind
        self.settings = dict(settings)
        self.server = world.farm.adopt(Server(kind, world.directory / name, name=name))
        self.front = world.farm.helper(Proxy(self.server.address, free_port()))
        self.upstream = None
        self.life = -1
        self.role = 0  # counts the changes of its role or its master
        self.stopped = False
        self.disk = None
        self.data_at_risk_since = None  # the disk was full, and the log may lack what was answered from then on
        self._entrances = {}

    def __str__(self):
        return f"{self.name} ({'master' if self.world.master is self else 'replica'}{', redis-server' if self.kind == 'redis' else ''})"

    @property
    def reachable(self):
        return self.server.running() and not self.stopped and self.life >= 0

    @property
    def has_log(self):
        """Whether what it answered survives its end: its log is on, and complete."""
        return self.settings["appendonly"] == "yes"

    def entrance(self, peer):
        """The proxy through which that node reaches this one."""
        if peer not in self._entrances:
            self._entrances[peer] = self.world.farm.helper(Proxy(self.server.address, free_port()))
        return self._entrances[peer]

    def proxies(self):
        return [self.front, *self._entrances.values()]

    def put_on_small_disk(self):
        self.disk = SmallDisk(self.server.directory / "data", DISK_MB)
        self.world.disks.append(self.disk)

    # Lives

    def start(self):
        lines = [f"{name} {value}" for name, value in self.settings.items()]
        if self.kind == "redis":  # a replica ends with a bug report if a save has failed
            lines.append("stop-writes-on-bgsave-error no")
        if self.disk:
            lines.append(f"dir {self.disk.path}")
        if self.upstream:
            lines.append(f"replicaof 127.0.0.1 {self.upstream.entrance(self).port}")
        self.server.lines = [*COMMON, *lines]
        self.server.write_config()
        self.life += 1
        self.role += 1
        self.data_at_risk_since = None
        self.server.start()

    def kill(self):
        self.world.changes += 1
        if self.stopped:
            self.resume()
        self.server.kill()

    def terminate(self):
        self.world.changes += 1
        try:
            self.server.terminate(timeout=20)
        except Timeout:
            if self.kind == "redis":  # during a load it may hear of the signal late
                self.server.kill()
                return
            self._describe_threads()
            raise Failed(f"{self} did not end after SIGTERM (see the file `threads` in its directory)") from None

    def _describe_threads(self):
        """What the threads of the process wait for."""
        gdb = shutil.which("gdb")
        text = ""
        for task in sorted(Path(f"/proc/{self.server.pid}/task").iterdir()):
            text += f"{task.name} {(task / 'wchan').read_text()} {(task / 'syscall').read_text()}"
        if gdb:
            command = [gdb, "-p", str(self.server.pid), "-batch", "-ex", "thread apply all bt"]
            text += subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
        (self.server.directory / "threads").write_text(text)

    def pause(self):
        self.stopped = True
        self.server.pause()

    def resume(self):
        self.server.resume()
        self.stopped = False

    # Commands

    def ask(self, *args):
        return self.server.ask(*args)

    def must(self, *args, within=15):
        """Sends a command until it is accepted; a server that loads refuses most of them."""
        return wait_for(lambda: [self.server.call(*args)], within, f"{self} to accept {args}", retry_on=NOT_NOW)[0]

    def info(self, section="replication"):
        return wait_for(lambda: self.server.info(section), 15, f"{self} to answer INFO", retry_on=NOT_NOW)

    def configure(self, name, value):
        """CONFIG SET; the next life has the setting too."""
        self.world.note(f"{self}: CONFIG SET {name} {value}")
        self.must("CONFIG", "SET", name, value)
        self.settings[name] = value

    def follow(self, upstream):
        self.world.changes += 1
        self.role += 1
        self.upstream = upstream
        self.must("REPLICAOF", "127.0.0.1", upstream.entrance(self).port)
        self.role += 1
        self.world.changes += 1

    def follow_nobody(self):
        self.world.changes += 1
        self.role += 1
        self.upstream = None
        self.must("REPLICAOF", "NO", "ONE")
        self.role += 1
        self.world.changes += 1

    def link_is_up(self):
        state = self.server.info("replication")
        return state["role"] == "slave" and state["master_link_status"] == "up"


class World:
    """All nodes and the log of events. close() ends what the farm does not."""

    def __init__(self, farm, settings_of_nodes):
        self.farm = farm
        self.directory = farm.directory
        self.started = time.monotonic()
        self.events = []
        self.excuses = []
        self.problems = []
        self.disks = []
        self.changes = 0  # grows whenever data may move in another way than through a link
        self.clients = []
        self.reign = 0
        self.backlog_is_big = False
        self._lock = threading.Lock()
        self.nodes = [Node(self, name, kind, settings) for name, kind, settings in settings_of_nodes]
        self.master = self.nodes[0]
        self.watcher = None

    def start(self):
        for node in self.nodes:
            node.upstream = None if node is self.master else self.master
            node.start()
        self.watcher = Watcher(self)
        self.wait_links("after the start")

    def close(self):
        """Before the farm is closed: its proxies end the links of the watcher."""
        if self.watcher:
            self.watcher.close()

    def unmount(self):
        """After the farm is closed. The files of a run that failed are kept."""
        for disk in self.disks:
            if self.problems and disk.mounted:
                shutil.copytree(disk.path, disk.path.with_name("data-kept"), ignore=shutil.ignore_patterns("filler"))
            disk.close()

    # What is known

    def now(self):
        return time.monotonic() - self.started

    def note(self, text):
        self.events.append((self.now(), text))

    def fail(self, problem):
        self.problems.append(problem)
        self.note(f"FAILED: {problem}")

    def target(self):
        """(master, reign), as clients see them."""
        with self._lock:
            return self.master, self.reign

    def replicas(self, of=None):
        return [node for node in self.nodes if node.upstream is (of or self.master)]

    def others(self, node):
        return [other for other in self.nodes if other is not node]

    def begin_reign(self, node):
        with self._lock:
            self.master = node
            self.reign += 1

    def excuse(self, covered, why, kept=lambda attempt: False):
        """The data set that goes on may lack what was answered after that time in the reigns before this one."""
        self.excuses.append(Excuse(self.reign - 1, covered, why, kept))
        self.note(f"{why}: what was answered after {covered:.2f} s may be lost")

    # Changes of the master

    def restart_master(self, saved=False):
        """Starts the killed or ended master again; its files decide what is left. With `saved` they hold everything."""
        node, since = self.master, self.master.data_at_risk_since
        self.begin_reign(node)
        node.start()
        self.changes += 1
        if since is None and (node.has_log or saved):
            return
        covered = self._covered_by_fork(node)
        if not node.has_log:
            self.excuse(covered, f"{node} started from its snapshot")
        else:
            synced = (node.name, node.life - 1)
            why = f"{node} started from the log that a full disk left"
            self.excuse(max(covered, since), why, lambda attempt: attempt.on_disk == synced)

    def promote(self, node):
        """Makes a replica the master. The old one is not told."""
        self.begin_reign(node)
        node.follow_nobody()
        life = node.life
        covered = self._covered_by_fork(node)
        self.excuse(covered, f"{node} was promoted", lambda attempt: attempt.on_all.get(node.name) == life)

    def _covered_by_fork(self, node):
        """What the data set held when the node began a history of its own: INFO tells the former one and its end."""
        state = node.info()
        return self.watcher.covered(state["master_replid2"], int(state["second_repl_offset"]) - 1)

    # Waiting

    def wait_links(self, when, nodes=None, within=LINKS_WITHIN):
        for node in nodes or self.nodes:
            if node.upstream is None:
                continue
            try:
                wait_for(node.link_is_up, within, "", retry_on=(*NOT_NOW, KeyError))
            except AssertionError:
                raise Failed(f"{when}: the link of {node} to {node.upstream} is not up after {within * SCALE:.0f} s") from None

    def let_pass(self, commands, at_most=0.6):
        """Lets clients work: until that many more commands are answered, or for that time."""
        goal = self.answered() + commands
        try:
            wait_for(lambda: self.answered() >= goal, at_most / SCALE, "")
        except AssertionError:
            pass

    def answered(self):
        return sum(client.answered for client in self.clients)

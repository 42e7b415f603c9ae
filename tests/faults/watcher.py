"""Asks all nodes for their replication state, over and over, in a thread of its own.

It checks that an offset never goes back while a node is in one life, one role and one history, and that no node's own
verification (replica-verify) has found a difference. And it remembers how far
the stream of the master was at which time, which tells what a data set of a given position contains.
"""

import bisect
import threading
import time

import paths  # noqa: F401
from harness import SCALE
from wire import Closed, ReplyError

PAUSE = 0.06


class Watcher:
    """Watches until close()."""

    def __init__(self, world):
        self.world = world
        self.problems = []
        self.verified = {}  # {(node, life): checks of replica-verify that it has compared}
        self._mismatched = set()
        self._positions = {}  # {id of a history: ([offset], [time])}: answers before that time are within that offset
        self._last = {}  # {(node, life, role, id): offset}
        self._wires = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._stop.set()
        self._thread.join(30)
        for _, wire in self._wires.values():
            wire.close()

    def covered(self, replid, offset):
        """What was answered up to that time is in a data set of that position. 0.0 if nothing is known of it."""
        with self._lock:
            offsets, times = self._positions.get(replid, ([], []))
            at = bisect.bisect_right(offsets, offset)
            return times[at - 1] if at else 0.0

    def _run(self):
        while not self._stop.wait(PAUSE):
            for node in self.world.nodes:
                if node.reachable:
                    self._look(node)

    def _look(self, node):
        before = (node.life, node.role)
        asked = self.world.now()
        is_master = self.world.master is node
        try:
            state = self._ask(node)
        except (OSError, Closed, ReplyError, ValueError):
            self._drop(node)
            return
        if (node.life, node.role) == before and "master_replid" in state:
            self.note(node, before, state)
            # Without a backlog, writes may be missing in the stream.
            streams = state["role"] == "master" and state.get("repl_backlog_active") == "1"
            if is_master and self.world.master is node and streams:
                self.note_position(state["master_replid"], int(state["master_repl_offset"]), asked)

    def note(self, node, life_and_role, state):
        """One look at a node."""
        offset = int(state["master_repl_offset"])
        key = (node.name, *life_and_role, state["master_replid"])
        last = self._last.get(key, 0)
        if offset < last:
            self.problems.append(f"{node}: its offset went back from {last} to {offset} at {self.world.now():.2f} s, in the same role and history")
        self._last[key] = max(offset, last)
        self._note_verification(node, life_and_role[0], state)

    def _note_verification(self, node, life, state):
        """What the server itself has found (replica-verify)."""
        self.verified[(node, life)] = int(state.get("verify_checks", 0))
        if int(state.get("verify_mismatches", 0)) > 0 and (node, life) not in self._mismatched:
            self._mismatched.add((node, life))
            where = f"{state.get('verify_mismatch_range')} at offset {state.get('verify_mismatch_offset')}"
            self.problems.append(f"{node}: verification found other data than the master's: {where}, at {self.world.now():.2f} s")

    def note_position(self, replid, offset, asked):
        with self._lock:
            offsets, times = self._positions.setdefault(replid, ([], []))
            if offsets and offsets[-1] == offset:
                times[-1] = asked
            elif not offsets or offset > offsets[-1]:
                offsets.append(offset)
                times.append(asked)

    def _ask(self, node):
        life, wire = self._wires.get(node, (None, None))
        if life != node.life:
            self._drop(node)
            wire = node.server.connect(0.5 * SCALE)
            self._wires[node] = (node.life, wire)
        text = wire.call("INFO", "replication", "verification").decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)

    def _drop(self, node):
        _, wire = self._wires.pop(node, (None, None))
        if wire is not None:
            wire.close()

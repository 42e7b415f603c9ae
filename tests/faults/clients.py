"""The traffic of a run: threads that write to whichever node they believe to be the master.

Those with a history send one thing at a time, each value once and never again, and write down what became of it. A
connection that breaks, or an answer that does not come in time, leaves the outcome unknown; the client goes on with a new
connection. Others send random commands of tests/differential, or read from any node what must never be seen.
"""

import random
import threading

import paths  # noqa: F401
from generator import Commands, make_epoch
from harness import SCALE
from histories import OK, REFUSED, History
from wire import Closed, ReplyError, Wire, encode_command
from world import DATABASE

PATIENCE = 1.0 * SCALE  # seconds until a client gives up on an answer
BROKEN = (OSError, Closed, AssertionError, ValueError)  # the last two: an answer that was cut
APPEND_TO_BOTH = """
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('INCR', KEYS[3])
return redis.call('RPUSH', KEYS[2], ARGV[1])
"""


class Client:
    """A thread that calls step() until close(); between hold() and go_on() it rests without a connection."""

    def __init__(self, world, name, seed):
        self.world = world
        self.name = name
        self.random = random.Random(seed)
        self.through_front = self.random.random() < 0.5
        self.answered = 0
        self.node, self.reign = None, 0
        self.failure = None
        self._wire = None
        self._go = threading.Event()
        self._go.set()
        self._resting = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=name)
        world.clients.append(self)

    def start(self):
        self._thread.start()
        return self

    def hold(self):
        self._go.clear()

    def wait_held(self):
        if not self._resting.wait(60 * SCALE):
            raise AssertionError(f"the client {self.name} does not come to rest")

    def go_on(self):
        self._go.set()

    def close(self):
        self._end.set()
        self._go.set()
        self._thread.join(60 * SCALE)
        self._drop()

    def _run(self):
        while not self._end.is_set():
            if not self._go.is_set():
                self._drop()
                self._resting.set()
                self._go.wait()
                self._resting.clear()
                continue
            try:
                self.step(self._wire or self._connect())
                self._end.wait(self.pause())
            except BROKEN:
                self._drop()
                self._end.wait(0.03)
            except Exception as err:  # a fault of the test
                self.failure = err
                raise

    def _connect(self):
        node, self.reign = self.world.target()
        self.node = node
        address = node.front.address if self.through_front else node.server.address
        self._wire = Wire(address, timeout=PATIENCE)
        self.begin(self._wire)
        return self._wire

    def _drop(self):
        if self._wire is not None:
            self._wire.close()
        self._wire = None

    def give_up_node(self):
        """The node refuses writes: perhaps another is the master by now."""
        self._drop()
        self._end.wait(0.02)

    def pause(self):
        return self.random.random() * 0.004

    def begin(self, wire):
        wire.call("SELECT", DATABASE)

    def step(self, wire):
        raise NotImplementedError


class Writer(Client):
    """A client with a history."""

    title = "writer"

    def __init__(self, world, name, seed):
        super().__init__(world, name, seed)
        self.history = History(f"{self.title} {name}")

    def new(self):
        number = len(self.history.attempts)
        return self.history.begin(f"{self.name}-{number}".encode(), self.reign, self.node.name)

    def settle(self, attempt, reply):
        """Writes an outcome down. Returns whether the value was appended."""
        self.answered += 1
        attempt.at = self.world.now()
        attempt.outcome = REFUSED if isinstance(reply, ReplyError) else OK
        if attempt.outcome == REFUSED:
            self.give_up_node()
        return attempt.outcome == OK

    def found(self, wire):
        """The values at rest, in order."""
        raise NotImplementedError

    def also_wrong(self, wire, found):
        """What else is wrong at rest."""
        return []


class ListWriter(Writer):
    """Appends to a list of its own, alone or in a pipeline; sometimes asks how safe it is, and checks the answer."""

    title = "list"

    def __init__(self, world, name, seed):
        super().__init__(world, name, seed)
        self.key = f"history:list:{name}"
        self._readers = {}

    def close(self):
        super().close()
        self._drop_readers()

    def step(self, wire):
        if self.random.random() < 0.2:
            return self._pipeline(wire)
        attempt = self.new()
        changes = self.world.changes
        sent_to, life = self.node, self.node.life
        if not self.settle(attempt, wire.ask("RPUSH", self.key, attempt.value)):
            return None
        pick = self.random.random()
        if pick < 0.12 and self.node.kind == "ours":  # redis-server counts a replica twice whose old link is half open
            self._wait(wire, attempt, changes)
        elif pick < 0.2:
            reply = wire.ask("WAITAOF", 1, 0, 300)
            if isinstance(reply, list) and reply[0] == 1:
                attempt.on_disk = (sent_to.name, life)
        return None

    def _pipeline(self, wire):
        attempts = [self.new() for _ in range(self.random.randrange(2, 12))]
        wire.send(b"".join(encode_command("RPUSH", self.key, attempt.value) for attempt in attempts))
        for attempt in attempts:
            reply = wire.read()
            self.answered += 1
            attempt.at = self.world.now()
            attempt.outcome = REFUSED if isinstance(reply, ReplyError) else OK
        if attempts[-1].outcome == REFUSED:
            self.give_up_node()

    def _wait(self, wire, attempt, changes):
        others = self.world.others(self.node)
        lives = {node.name: node.life for node in others}
        reply = wire.ask("WAIT", self.random.randrange(1, len(others) + 1), 300)
        if not isinstance(reply, int) or reply == 0:
            return
        answers = [self._has(node, attempt.value) for node in others]
        lacking = [node for node, has in zip(others, answers) if has is False]
        if self.world.changes != changes:
            return  # what a node held then may be gone, or was asked of another life
        if len(others) - len(lacking) < reply:
            names = ", ".join(map(str, lacking))
            self.world.fail(f"WAIT told that {reply} replicas have {attempt}, but {names} had not")
        if reply == len(others):
            attempt.on_all = lives

    def _has(self, node, value):
        """Whether a node has the value; None if it does not answer."""
        if not node.reachable:
            return None
        try:
            reader = self._readers.get(node) or Wire(node.server.address, timeout=0.5 * SCALE)
            self._readers[node] = reader
            reader.call("SELECT", DATABASE)
            return reader.call("LPOS", self.key, value, "RANK", -1) is not None
        except (*BROKEN, ReplyError):
            self._drop_reader(node)
            return None

    def _drop_reader(self, node):
        reader = self._readers.pop(node, None)
        if reader:
            reader.close()

    def _drop_readers(self):
        for node in list(self._readers):
            self._drop_reader(node)

    def _drop(self):
        super()._drop()
        self._drop_readers()

    def found(self, wire):
        return wire.call("LRANGE", self.key, 0, -1)


class PairWriter(Writer):
    """Appends to two lists and counts, in a transaction or a script: all three or none, everywhere, always."""

    title = "pair"
    keys = ("history:pair:a", "history:pair:b", "history:pair:n")

    def step(self, wire):
        attempt = self.new()
        if self.random.random() < 0.4:
            self.settle(attempt, wire.ask("EVAL", APPEND_TO_BOTH, 3, *self.keys, attempt.value))
            return
        first, second, count = self.keys
        commands = [("RPUSH", first, attempt.value), ("INCR", count), ("RPUSH", second, attempt.value)]
        opened = wire.ask("MULTI")  # by itself: if it is refused, the others must not run
        self.settle(attempt, opened if isinstance(opened, ReplyError) else wire.pipeline([*commands, ("EXEC",)])[-1])

    def found(self, wire):
        return wire.call("LRANGE", self.keys[0], 0, -1)

    def also_wrong(self, wire, found):
        other = wire.call("LRANGE", self.keys[1], 0, -1)
        count = int(wire.call("GET", self.keys[2]) or 0)
        problems = []
        if other != found:
            at = next((at for at, (a, b) in enumerate(zip(found, other)) if a != b), min(len(found), len(other)))
            problems.append(f"half a transaction: the two lists differ from index {at}: {found[at:at + 3]} and {other[at:at + 3]}")
        if count != len(found):
            problems.append(f"half a transaction: {count} counted, {len(found)} in the list")
        return problems


class PairReader(Client):
    """Reads from any node what the writer of pairs has written."""

    def __init__(self, world, name, seed):
        super().__init__(world, name, seed)
        self.through_front = False

    def _connect(self):
        self.node = self.random.choice(self.world.nodes)
        if not self.node.reachable:
            raise Closed("not reachable")
        self._wire = Wire(self.node.server.address, timeout=PATIENCE)
        self._wire.call("SELECT", DATABASE)
        return self._wire

    def pause(self):
        return self.random.random() * 0.02

    def step(self, wire):
        first, second, count = PairWriter.keys
        questions = [("LLEN", first), ("LLEN", second), ("GET", count), ("LINDEX", first, -1), ("LINDEX", second, -1)]
        answers = wire.pipeline([("MULTI",), *questions, ("EXEC",)])[-1]
        if isinstance(answers, ReplyError) or any(isinstance(answer, ReplyError) for answer in answers):
            return self._drop()
        lengths = (answers[0], answers[1], int(answers[2] or 0))
        if len(set(lengths)) != 1 or answers[3] != answers[4]:
            self.world.fail(f"{self.node} showed half a transaction: lists of {lengths[0]} and {lengths[1]}, {lengths[2]} counted, ends {answers[3:]}")
        if self.random.random() < 0.1:
            self._drop()
        return None


class QueueWriter(Writer):
    """Pushes values into a queue, from which a mover takes them."""

    title = "queue"
    queue, done = "history:queue", "history:done"

    def step(self, wire):
        attempt = self.new()
        self.settle(attempt, wire.ask("RPUSH", self.queue, attempt.value))

    def found(self, wire):
        return wire.call("LRANGE", self.done, 0, -1) + wire.call("LRANGE", self.queue, 0, -1)


class Mover(Client):
    """Moves values from the queue to the list of what is done, and mostly waits for them."""

    def step(self, wire):
        reply = wire.ask("BLMOVE", QueueWriter.queue, QueueWriter.done, "LEFT", "RIGHT", "0.3")
        if isinstance(reply, ReplyError):
            self.give_up_node()


class StreamWriter(Writer):
    """Adds entries to a stream."""

    title = "stream"
    key = "history:stream"

    def begin(self, wire):
        super().begin(wire)
        wire.ask("XGROUP", "CREATE", self.key, "group", "0", "MKSTREAM")

    def step(self, wire):
        attempt = self.new()
        self.settle(attempt, wire.ask("XADD", self.key, "*", "v", attempt.value))
        if self.random.random() < 0.3:
            self._consume(wire)

    def _consume(self, wire):
        who = f"consumer{self.random.randrange(3)}"
        reply = wire.ask("XREADGROUP", "GROUP", "group", who, "COUNT", 3, "STREAMS", self.key, ">")
        if isinstance(reply, list) and self.random.random() < 0.7:
            wire.ask("XACK", self.key, "group", *[entry[0] for entry in reply[0][1]])

    def found(self, wire):
        return [fields[1] for _, fields in wire.call("XRANGE", self.key, "-", "+")]


FORBIDDEN = {b"FLUSHALL", b"FLUSHDB", b"DEBUG", b"AUTH", b"HELLO", b"RESET", b"CLIENT", b"SUBSCRIBE", b"QUIT", b"MONITOR",
             b"WAIT", b"CLUSTER", b"NOSUCH", b"PFDEBUG", b"PFSELFTEST"}  # fmt: skip
MAY_BLOCK = {b"BLPOP", b"BRPOP", b"BLMOVE", b"BRPOPLPUSH", b"BLMPOP", b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP", b"XREAD", b"XREADGROUP"}


class GrammarClient(Client):
    """Random commands of the differential fuzzer, and keys that expire soon."""

    def __init__(self, world, name, seed, tables):
        super().__init__(world, name, seed)
        self.tables = tables
        self.number = 0
        self._steps = []
        self._in_multi = False

    def begin(self, wire):
        self._in_multi = False

    def step(self, wire):
        commands = self._next()
        if self.random.random() < 0.2:
            commands += self._short_lived()
        if commands:
            replies = wire.pipeline(commands)
            self.answered += len(replies)
            if any(isinstance(reply, ReplyError) and str(reply).startswith(("READONLY", "MASTERDOWN")) for reply in replies):
                self.give_up_node()

    def _next(self):
        if not self._steps:
            self._steps = make_epoch(self.random.random(), self.number, 200, self.tables).steps[::-1]
            self.number += 1
        step = self._steps.pop()
        return [args for args in step.commands if self._may_send(args)] if isinstance(step, Commands) else []

    def _may_send(self, args):
        name = args[0].upper()
        if name in FORBIDDEN or (name == b"SWAPDB" and b"%d" % DATABASE in args):
            return False
        if name in MAY_BLOCK and not self._in_multi and (name[:1] == b"B" or any(arg.upper() == b"BLOCK" for arg in args)):
            return False
        if name == b"MULTI" and len(args) == 1:
            self._in_multi = True
        elif name in (b"EXEC", b"DISCARD"):
            self._in_multi = False
        return True

    def _short_lived(self):
        if self._in_multi:
            return []
        key = f"short:{self.random.randrange(20)}"
        soon = self.random.randrange(1, 400)
        return [self.random.choice((("SET", key, "1", "PX", soon), ("INCR", key), ("PEXPIRE", key, soon), ("GETEX", key, "PX", soon)))]


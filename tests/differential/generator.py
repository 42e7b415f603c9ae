"""Makes the steps of an epoch from a seed: batches of commands, and scenarios between them.

An epoch begins with empty databases, so it can be repeated and reduced without earlier epochs.
"""

import random
from dataclasses import dataclass, field

import commands
import scenarios
from grammar import read_table
from vocabulary import Vocabulary, is_key

CONNECTIONS = 2

# The defaults, and values at which encodings change often.
LIMITS = {
    b"list-max-listpack-size": (b"-2", b"-2", b"1", b"2", b"4", b"8", b"-1", b"-5"),
    b"list-compress-depth": (b"0", b"0", b"1", b"2"),
    b"set-max-intset-entries": (b"512", b"512", b"0", b"1", b"4", b"8"),
    b"hash-max-listpack-entries": (b"512", b"128", b"0", b"1", b"4", b"8"),
    b"hash-max-listpack-value": (b"64", b"64", b"0", b"1", b"8", b"63"),
    b"zset-max-listpack-entries": (b"128", b"128", b"0", b"1", b"4", b"8"),
    b"zset-max-listpack-value": (b"64", b"64", b"0", b"1", b"8", b"63"),
    b"hll-sparse-max-bytes": (b"3000", b"3000", b"0", b"20", b"60", b"200"),
    b"stream-node-max-entries": (b"100", b"100", b"0", b"1", b"3", b"10"),
    b"stream-node-max-bytes": (b"4096", b"4096", b"0", b"40", b"200"),
    b"set-max-listpack-entries": (b"128", b"128", b"0", b"0", b"1", b"4"),
    b"set-max-listpack-value": (b"64", b"64", b"1", b"8"),
    b"lazyfree-lazy-user-del": (b"no", b"yes"),
    b"lazyfree-lazy-server-del": (b"no", b"yes"),
    b"lazyfree-lazy-expire": (b"no", b"yes"),
    b"notify-keyspace-events": (b"", b"KEA", b"EA", b"KEAmn", b"Kglx"),
}

MISTAKES = [b"", b"abc", b"-1", b"0", b"1", b"2", b"5", b"1.5", b"9223372036854775807", b"-9223372036854775808",
            b"9223372036854775808", b"4294967296", b"+", b"-", b"(", b"[a", b"COUNT", b"LIMIT", b"NX", b"inf", b"nan", b"0-0"]  # fmt: skip
CAREFUL_MISTAKES = [b"", b"abc", b"-1", b"0", b"9223372036854775807", b"9223372036854775808", b"1.5x", b"NX", b"XX", b" 1"]


@dataclass(frozen=True)
class Commands:
    """Commands that one connection sends together."""

    connection: int
    commands: tuple

    def count(self):
        return len(self.commands)


@dataclass(frozen=True)
class Scenario:
    """A step that is more than commands; scenarios.py has it under this name."""

    name: str
    args: tuple

    def count(self):
        return scenarios.SCENARIOS[self.name].cost


@dataclass
class Epoch:
    """The settings of an epoch, and its steps."""

    seed: int
    number: int
    limits: dict
    protocols: tuple
    steps: list = field(default_factory=list)

    def count(self):
        return sum(step.count() for step in self.steps)


class Tables:
    """The templates whose commands both servers have."""

    def __init__(self, has_command):
        def usable(text):
            return [line for line in read_table(text) if all(_known(name, has_command) for name in line.names)]

        groups = {name: usable(text) for name, text in commands.TABLES.items()}
        self.flush = groups.pop("flush")
        self.transactions = groups.pop("transactions")
        self.groups = {name: lines for name, lines in groups.items() if lines}
        self.blocking = usable(commands.BLOCKING)
        self.waking = usable(commands.WAKING)
        self.mixing = usable(commands.MIXING)


def _known(name, has_command):
    return name == "NOSUCH" or has_command(name)


def make_epoch(seed, number, size, tables):
    """Makes an epoch; the same arguments give the same epoch."""
    return _Maker(seed, number, size, tables).make()


class _Maker:
    def __init__(self, seed, number, size, tables):
        self.rng = random.Random(f"{seed}:{number}")
        self.tables = tables
        self.size = size
        self.words = Vocabulary(self.rng, keys=self.rng.choice((2, 3, 4, 6)), variety=self.rng.choice((6, 12, 30, 200)))
        limits = {name: self.rng.choice(values) for name, values in LIMITS.items()}
        protocols = tuple(self.rng.choice((2, 2, 3)) for _ in range(CONNECTIONS))
        self.epoch = Epoch(seed, number, limits, protocols)
        self.lines, self.weights = self._mix()

    def _mix(self):
        """The weights of the groups: all equal, or some higher than others."""
        groups = self.tables.groups
        names = list(groups)
        if self.words.chance(0.6):
            favoured = self.rng.sample(names, k=min(len(names), self.rng.choice((1, 2, 3))))
        else:
            favoured = names
        if self.words.chance(0.5):  # SORT has a side effect there, see accepted.py
            names = [name for name in names if name != "sort"]
        lines, weights = [], []
        for name in names:
            factor = (1.0 if name in favoured else 0.1) * {"keys": 0.5, "heavy": 0.3}.get(name, 1.0)
            for line in groups[name]:
                lines.append(line)
                weights.append(line.weight * factor)
        total = sum(weights)
        for line in self.tables.flush:
            lines.append(line)
            weights.append(total * 0.0004)
        running, cumulative = 0.0, []
        for weight in weights:
            running += weight
            cumulative.append(running)
        return lines, cumulative

    def make(self):
        made, steps = 0, self.epoch.steps
        while made < self.size:
            new = self._some()
            steps.extend(new)
            made += sum(step.count() for step in new)
        return self.epoch

    def _some(self):
        at = self.words.random()
        if at < 0.955:
            connection = 0 if self.words.chance(0.75) else 1
            return [self._single(connection) for _ in range(1 + self.words.below(12))]
        if at < 0.98:
            return self._transaction(0 if self.words.chance(0.75) else 1)
        return [self._scenario()]

    def _line(self, blocking):
        while True:
            line = self.rng.choices(self.lines, cum_weights=self.weights)[0]
            if blocking or not line.blocks:
                return line

    def _single(self, connection, blocking=False):
        line = self._line(blocking)
        return Commands(connection, self._expand(line))

    def _expand(self, line):
        made = line.expand(self.words)
        if not line.exact and self.words.chance(0.05):
            made = [self._mistaken(list(args), line.careful or line.blocks) for args in made]
        return tuple(self._respelled(args) for args in made)

    def _respelled(self, args):
        """Changes the case of names and options, which servers ignore."""
        if not self.words.chance(0.03):
            return args
        return (args[0].lower() if self.words.chance(0.5) else args[0].title(), *args[1:])

    def _mistaken(self, args, careful):
        words, kind = self.words, self.words.below(5)
        at = words.below(len(args) - 1) + 1 if len(args) > 1 else 0
        wrong = words.pick(CAREFUL_MISTAKES if careful else MISTAKES)
        if kind == 0 and at:
            del args[at]
        elif kind == 1:
            args.append(wrong)
        elif kind == 2 and at:
            args[at] = wrong
        elif kind == 3 and not careful:
            args.insert(at + 1, words.word_elem())
        elif at:
            args[at] = args[at].lower()
        return tuple(args)

    def _transaction(self, connection):
        """A transaction, sometimes without its beginning or end, or after a WATCH that another connection may break."""
        words, steps = self.words, []
        if words.chance(0.3):
            others = [self._single(1 - connection) for _ in range(words.below(4))]
            touched = [arg for step in others for args in step.commands for arg in args if is_key(arg)]
            watched = words.word_keys("any") if not touched or words.chance(0.3) else [words.pick(touched)]
            steps += [Commands(connection, ((b"WATCH", *watched),)), *others]
        if words.chance(0.97):
            steps.append(Commands(connection, ((b"MULTI",),)))
        steps += [self._single(connection, blocking=True) for _ in range(words.below(8))]
        if words.chance(0.15):
            steps.append(Commands(connection, self._expand(words.pick(self.tables.transactions))))
        steps.append(Commands(connection, ((b"EXEC",) if words.chance(0.93) else (b"DISCARD",),)))
        return steps

    # Scenarios

    def _scenario(self):
        makers = [
            self._scan_loop,
            self._scan_loop,
            self._random_pick,
            self._random_pick,
            self._random_pick,
            self._copy_by_dump,
            self._copy_by_dump,
            self._expire,
            self._limits,
        ]
        if self.tables.blocking:
            makers += [self._blocking] * 4
        if self.words.chance(0.02):
            return Scenario("reload", ())
        if self.words.chance(0.05):
            return Scenario("random_key", ())
        return self.words.pick(makers)()

    def _scan_loop(self):
        words = self.words
        command, kind = words.pick((("SCAN", None), ("SSCAN", "set"), ("HSCAN", "hash"), ("ZSCAN", "zset")))
        options = [b"COUNT", b"%d" % (1 + words.below(20))] if words.chance(0.7) else []
        if words.chance(0.3):
            options += [b"MATCH", words.word_pattern()]
        if command == "SCAN" and words.chance(0.3):
            options += [b"TYPE", words.pick((b"string", b"hash", b"set", b"zset", b"list", b"stream"))]
        key = (words.key(kind),) if kind else ()
        return Scenario("scan_loop", (command.encode(), key, tuple(options)))

    def _random_pick(self):
        words = self.words
        command, kind = words.pick(
            (("SPOP", "set"), ("SPOP", "set"), ("SRANDMEMBER", "set"), ("HRANDFIELD", "hash"), ("ZRANDMEMBER", "zset"))
        )
        args = []
        if words.chance(0.85):
            args.append(b"%d" % (words.below(30) - (0 if command == "SPOP" else 10)))
            if command in ("HRANDFIELD", "ZRANDMEMBER") and words.chance(0.4):
                args.append(b"WITHVALUES" if command == "HRANDFIELD" else b"WITHSCORES")
        return Scenario("random_pick", (command.encode(), words.key(kind), tuple(args)))

    def _copy_by_dump(self):
        words = self.words
        options = [option for option in (b"REPLACE", b"REPLACE", b"ABSTTL") if words.chance(0.4)]
        time = b"0"
        if words.chance(0.4):
            time = words.word_atms() if b"ABSTTL" in options else words.word_ttl()
        if words.chance(0.2):
            options += words.pick(((b"IDLETIME", b"5"), (b"FREQ", b"7"), (b"IDLETIME", b"-1"), (b"FREQ", b"256"), (b"FREQ", b"7", b"IDLETIME", b"5")))
        kind = "hll" if words.chance(0.1) else "any"
        source, target = (words.word_hll() if kind == "hll" else words.key(kind) for _ in range(2))
        return Scenario("copy_by_dump", (source, target, time, tuple(options)))

    def _expire(self):
        return Scenario("expire", (tuple(self.words.word_keys("any")),))

    def _limits(self):
        names = self.rng.sample(list(LIMITS), k=1 + self.words.below(4))
        return Scenario("limits", tuple((name, self.rng.choice(LIMITS[name])) for name in names))

    def _blocking(self):
        """Some connections block, others supply what they wait for; the rest are unblocked at the end. A client that
        waits for several keys never meets a wrong type: 7.0 ignores it, 7.2 runs the command again and gets its error."""
        words = self.words
        keys, mixes, several = words.keys, words.mixes, words.chance(0.5)
        words.keys, words.mixes = (2, 0) if several else (1, 0)
        waiting = tuple(self._plain(self.tables.blocking)[0] for _ in range(1 + words.below(scenarios.WAITERS)))
        words.keys, words.mixes = (2, 0) if several else (2, mixes)
        lines = self.tables.waking if several else self.tables.waking + self.tables.mixing
        acting = tuple(args for _ in range(1 + words.below(8)) for args in self._plain(lines))
        words.keys, words.mixes = keys, mixes
        return Scenario("blocking", (waiting, acting, words.chance(0.3)))

    def _plain(self, lines):
        line = self.rng.choices(lines, weights=[line.weight for line in lines])[0]
        return line.expand(self.words)

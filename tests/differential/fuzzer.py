"""Runs epochs on a pair of servers, and reduces a difference to a small example."""

import tempfile

import scenarios
from accepted import ACCEPTED
from compare import Comparison
from generator import CONNECTIONS, LIMITS, Commands, Tables, make_epoch
from servers import Difference, Pair, harness, text_of

EPOCH = 4000  # commands between two times at which databases are emptied
OF_THE_OTHER_KIND = ("redis", "ours")
OF_THE_SAME_KIND = ("ours", "redis")
CHECK_EVERY = 1000  # commands between two digests
BATCH = 120
BATCH_BYTES = 60_000
BASE_LIMITS = {name: values[0] for name, values in LIMITS.items()}


class Fuzzer:
    """Owns the servers; starts new ones when one of them has crashed. `replicas` are the kinds of the replicas
    of our server and of the peer."""

    def __init__(self, replicas=None, accepted=ACCEPTED):
        self.replicas = replicas
        self.comparison = Comparison(accepted)
        self.farm = self.pair = self.directory = None
        self.commands = self.digests = 0
        self.start()
        self.tables = Tables(_remember(self.pair.has_command))

    def start(self):
        self.directory = tempfile.TemporaryDirectory(prefix="differential-")
        self.farm = harness.Farm(self.directory.name)
        self.pair = Pair(self.farm, self.comparison, self.replicas, scenarios.WAITERS)

    def stop(self):
        """Returns what was wrong with the processes."""
        self.pair.close()
        problems = self.farm.close()
        if problems:
            problems += [f"{name}:\n{tail}" for name, tail in self.farm.log_tails() if "ours" in name]
        self.directory.cleanup()
        return problems

    def restart(self):
        problems = self.stop()
        self.start()
        return problems

    def epoch(self, seed, number, size=EPOCH):
        return make_epoch(seed, number, size, self.tables)

    # Running

    def begin(self, epoch):
        pair = self.pair
        self.comparison.seen.clear()
        scenarios.set_limits(pair, BASE_LIMITS)
        for side in pair.sides:
            side.must(b"FLUSHALL")
            side.must(b"SELECT", b"0")
            side.must(b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0")
            for at in range(CONNECTIONS):
                side.must(b"RESET", link=side.links[at])
                side.must(b"HELLO", b"%d" % epoch.protocols[at], link=side.links[at])
        pair.take_events()
        scenarios.set_limits(pair, epoch.limits)

    def run(self, epoch):
        """Runs all steps; raises Difference with the index of the step that showed it in `step`."""
        self.begin(epoch)
        done = 0
        for first, end in _batches(epoch.steps):
            self._run_steps(epoch.steps, first, end)
            before, done = done, done + sum(step.count() for step in epoch.steps[first:end])
            if before // CHECK_EVERY < done // CHECK_EVERY:
                self._check(self.pair.compare_digests, end)
        self._check(self.pair.compare_digests, len(epoch.steps))
        self._check(self.pair.compare_details, len(epoch.steps))
        self.commands += done

    def _run_steps(self, steps, first, end):
        step = steps[first]
        try:
            if isinstance(step, Commands):
                self.pair.run(step.connection, [args for part in steps[first:end] for args in part.commands])
            else:
                scenarios.SCENARIOS[step.name](self.pair, *step.args)
        except Difference as found:
            found.step = end - 1
            raise

    def _check(self, check, end):
        self.digests += 1
        try:
            check()
        except Difference as found:
            found.step = end - 1
            raise

    # Shrinking

    def difference_of(self, epoch, steps):
        """The difference that these steps show by themselves, or None."""
        trial = type(epoch)(epoch.seed, epoch.number, epoch.limits, epoch.protocols, steps)
        counted = self.commands
        try:
            self.run(trial)
        except Difference as found:
            if found.what in ("connection", "framing", "replica", "endless scan", "blocking"):
                found.problems = self.restart()
            return found
        finally:
            self.commands = counted
        return None


def _remember(function):
    known = {}

    def remembering(name):
        word = name.split(" ")[0]
        if word not in known:
            known[word] = function(word)
        return known[word]

    return remembering


def _batches(steps):
    """(first, end) of steps that are sent together. A transaction is not split."""
    first = 0
    while first < len(steps):
        end = first + 1
        if isinstance(steps[first], Commands):
            end = _batch_end(steps, first)
        yield first, end
        first = end


def _batch_end(steps, first):
    connection, size, count, in_multi, at = steps[first].connection, 0, 0, False, first
    while at < len(steps) and isinstance(steps[at], Commands) and steps[at].connection == connection:
        if not in_multi and (count >= BATCH or size >= BATCH_BYTES):
            break
        for args in steps[at].commands:
            count += 1
            size += sum(map(len, args)) + 8 * len(args)
            name = args[0].upper()
            in_multi = name == b"MULTI" or in_multi and name not in (b"EXEC", b"DISCARD", b"RESET")
        at += 1
    return at


def describe(epoch):
    """The steps as text, for sending by hand."""
    limits = {name.decode(): value.decode() for name, value in epoch.limits.items() if value != BASE_LIMITS[name]}
    lines = [f"    limits {limits}, protocols {epoch.protocols}"]
    for step in epoch.steps:
        if isinstance(step, Commands):
            lines += [f"    {step.connection}> {text_of([args])}" for args in step.commands]
        else:
            lines.append(f"    -- {step.name} {step.args}")
    return "\n".join(lines)

"""Delta debugging: the fewest steps, limits and arguments that show the same kind of difference."""

import time
from dataclasses import replace

from generator import Commands, Scenario
from vocabulary import is_key

PATIENCE = 90  # seconds for one example


class Shrinker:
    def __init__(self, fuzzer, epoch, found):
        self.fuzzer = fuzzer
        self.epoch = epoch
        self.what = found.what
        self.found = found
        self.deadline = time.monotonic() + PATIENCE

    def shrink(self):
        """Returns (epoch with few steps, its difference); the given steps if the difference does not happen again."""
        steps = self.epoch.steps[: self.found.step + 1]
        if not self._shows(steps):
            return replace(self.epoch, steps=steps), None
        steps = self._related(steps)
        steps = self._fewer(steps)
        steps = self._fewer([single for step in steps for single in _singles(step)])
        self._default_limits(steps)
        steps = self._shorter(steps)
        self._shows(steps)
        return replace(self.epoch, steps=steps), self.found

    def _shows(self, steps):
        found = self.fuzzer.difference_of(self.epoch, steps)
        if found is None or found.what != self.what:
            return False
        self.found = found
        return True

    def _late(self):
        return time.monotonic() > self.deadline

    def _related(self, steps):
        """Only the steps that share keys with the last step, directly or through another step, if they suffice."""
        for depth in (1, 2, 4):
            keys = _keys([steps[-1]])
            for _ in range(depth):
                related = [step for step in steps if not _keys([step]) or _keys([step]) & keys]
                keys = keys.union(*(_keys([step]) for step in related))
            if len(related) < len(steps) and self._shows(related):
                return related
        return steps

    def _fewer(self, steps):
        size = max(1, len(steps) // 2)
        while not self._late():
            at, removed = 0, False
            while at < len(steps) and not self._late():
                rest = steps[:at] + steps[at + size :]
                if rest and self._shows(rest):
                    steps, removed = rest, True
                else:
                    at += size
            if size == 1 and not removed:
                break
            size = max(1, size // 2)
        return steps

    def _default_limits(self, steps):
        from fuzzer import BASE_LIMITS

        for name, value in BASE_LIMITS.items():
            old = self.epoch
            if old.limits[name] != value:
                self.epoch = replace(old, limits={**old.limits, name: value})
                if not self._shows(steps):
                    self.epoch = old

    def _shorter(self, steps):
        """The steps with fewer arguments."""
        for at in range(len(steps)):
            if isinstance(steps[at], Commands) and len(steps[at].commands) == 1:
                steps = self._shorter_command(steps, at)
        return steps

    def _shorter_command(self, steps, at):
        position = len(steps[at].commands[0]) - 1
        while position > 0 and not self._late():
            args = steps[at].commands[0]
            for width in (8, 2, 1):
                shorter = args[: max(1, position - width + 1)] + args[position + 1 :]
                trial = steps[:at] + [Commands(steps[at].connection, (shorter,))] + steps[at + 1 :]
                if self._shows(trial):
                    steps = trial
                    position -= width - 1
                    break
            position -= 1
        return steps


def _singles(step):
    if isinstance(step, Scenario) or b"*" in step.commands[-1]:  # an id that depends on the command before it
        return [step]
    return [Commands(step.connection, (args,)) for args in step.commands]


def _keys(steps):
    found = set()
    for step in steps:
        commands = step.commands if isinstance(step, Commands) else _words(step.args)
        found.update(arg for args in commands for arg in args if is_key(arg))
    return found


def _words(value):
    """The byte strings in the arguments of a scenario, as one command."""
    if isinstance(value, bytes):
        return [(value,)]
    return [word for item in value for word in _words(item)] if isinstance(value, tuple) else []

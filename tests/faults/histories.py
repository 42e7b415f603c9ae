"""What clients did, what became of it, and what must be true of the lists at rest.

Each attempt appends one unique value. Its outcome is OK, REFUSED (an error was answered) or UNKNOWN (no answer came). Who
reads a list later sees what was lost, doubled, reordered, or invented.

    reign     the time in which one life of one node is the master; they are counted from 0
    excuse    an event after which attempts may be missing, and which ones: those of a reign up to that one which were
              answered after the last moment that the surviving data set is known to cover
"""

from dataclasses import dataclass, field
from typing import Callable

OK, REFUSED, UNKNOWN = "answered OK", "refused", "not answered"


@dataclass
class Attempt:
    """One value that one client tried to append."""

    value: bytes
    number: int  # counts the attempts of its client
    reign: int
    node: str
    outcome: str = UNKNOWN
    at: float = 0.0  # when the answer came
    on_all: dict = field(default_factory=dict)  # after WAIT told that all other nodes have it: {node: its life}
    on_disk: tuple = ()  # after WAITAOF told that the node has synced it: (node, its life)

    def __str__(self):
        extra = " and on all nodes (WAIT)" if self.on_all else " and on disk (WAITAOF)" if self.on_disk else ""
        when = f" at {self.at:.2f} s" if self.outcome != UNKNOWN else ""
        return f"{self.value.decode()} ({self.outcome}{extra} by {self.node} in reign {self.reign}{when})"


@dataclass
class Excuse:
    """See above. `kept` tells of attempts that must be there nevertheless."""

    reign: int
    after: float
    why: str
    kept: Callable = lambda attempt: False

    def covers(self, attempt):
        return attempt.reign <= self.reign and attempt.at > self.after and not self.kept(attempt)


class History:
    """The attempts of one client on one list, and which of them were found missing at an earlier rest."""

    def __init__(self, name):
        self.name = name
        self.attempts = []
        self.missing = set()
        self.excuses_seen = 0

    def begin(self, value, reign, node):
        attempt = Attempt(value, len(self.attempts), reign, node)
        self.attempts.append(attempt)
        return attempt

    def check(self, found, excuses):
        """What is wrong with the values `found`, in their order. Called at rest, when all outcomes are final."""
        known = {attempt.value: attempt for attempt in self.attempts}
        problems = [f"nobody wrote {value!r}" for value in found if value not in known]
        problems += self._doubled(found) + self._out_of_order([known[value] for value in found if value in known])
        problems += self._lost(set(found), excuses) + self._returned(set(found), len(excuses))
        return [f"{self.name}: {problem}" for problem in problems]

    @staticmethod
    def _doubled(found):
        seen, problems = set(), []
        for value in found:
            if value in seen:
                problems.append(f"twice: {value.decode(errors='replace')}")
            seen.add(value)
        return problems

    @staticmethod
    def _out_of_order(attempts):
        """An answered attempt stands before every later one. One that was not answered may take effect late."""
        problems, last = [], None
        for attempt in attempts:
            if attempt.outcome == OK and last is not None and attempt.number < last.number:
                problems.append(f"out of order: {attempt} after {last}")
            if last is None or attempt.number > last.number:
                last = attempt
        return problems

    def _lost(self, found, excuses):
        problems = []
        for attempt in self.attempts:
            if attempt.value in found or attempt.outcome != OK:
                continue
            if not any(excuse.covers(attempt) for excuse in excuses):
                problems.append(f"lost: {attempt}")
        return problems

    def _returned(self, found, excuses):
        """Refused ones are never there. What was missing at a rest stays away, unless an older data set has taken over."""
        problems = [f"refused, but there: {one}" for one in self.attempts if one.outcome == REFUSED and one.value in found]
        if excuses == self.excuses_seen:
            problems += [f"was missing at an earlier rest, and came back: {value.decode()}" for value in sorted(self.missing & found)]
        self.excuses_seen = excuses
        self.missing = {attempt.value for attempt in self.attempts} - found
        return problems

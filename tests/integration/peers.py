"""Sends the same commands to the server under test and to redis-server, and compares all they answer."""

import pytest

from dataset import digest
from wire import ReplyError

BATCH_SHOWN = 20


class Side:
    """One of the two servers: a connection for commands, and one that gets keyspace events."""

    def __init__(self, server, proto):
        self.server = server
        self.wire = server.session()
        self.events = server.session()
        self.wire.call("HELLO", proto)
        server.call("CONFIG", "SET", "notify-keyspace-events", "EAm")
        self.events.call("PSUBSCRIBE", "__keyevent*")
        self.events.send_command("SUBSCRIBE", "mark")
        self.events.read()

    def run(self, commands):
        replies = self.wire.pipeline(commands)
        self.wire.call("PUBLISH", "mark", "end")
        heard = []
        while True:
            message = list(self.events.read())
            if message[0] == b"message":
                return replies, heard
            heard.append((message[2], message[3]))

    def close(self):
        self.wire.close()
        self.events.close()


class Twins:
    """The server under test and a redis-server with the same settings and connections."""

    def __init__(self, farm, *lines, proto=2):
        self.ours, self.theirs = (Side(farm.server(kind, *lines), proto) for kind in ("ours", "redis"))
        for side in (self.ours, self.theirs):
            farm.helper(side)
        self.before = []

    def compare(self, commands, normal=lambda command, reply: reply, accepted=lambda command, mine, theirs: False):
        """Checks that replies, after `normal`, are equal or `accepted`, and that events of changed keys are equal."""
        commands = list(commands)
        (replies, events), (wanted, wanted_events) = self.ours.run(commands), self.theirs.run(commands)
        for command, reply, want in zip(commands, replies, wanted, strict=True):
            mine, their = normal(command, reply), normal(command, want)
            same = (type(mine), repr(mine)) == (type(their), repr(their))
            if not same and not accepted(command, reply, want):
                pytest.fail(f"{command}: {mine!r} here, {their!r} there; before: {self.before[-4:]}", pytrace=False)
            self.before.append(command)
        self._compare_events(events, wanted_events)
        return replies

    def _compare_events(self, events, wanted):
        """The events in order; events of look-ups that find nothing may come in any order."""
        misses = [sorted(key for event, key in side if event.endswith(b"keymiss")) for side in (events, wanted)]
        changes = [[pair for pair in side if not pair[0].endswith(b"keymiss")] for side in (events, wanted)]
        for mine, their in (changes, misses):
            for heard, want in zip([*mine, None], [*their, None]):
                if heard != want:
                    pytest.fail(
                        f"event {heard} here, {want} there; before: {self.before[-BATCH_SHOWN:]}", pytrace=False
                    )

    def ask(self, *command):
        """The reply of both servers, which must be the same."""
        return self.compare([command])[0]

    def compare_data(self):
        assert digest(self.ours.server) == digest(self.theirs.server), "no reply told of it, but the data differ"


def errors_among(replies):
    return sum(isinstance(reply, ReplyError) for reply in replies)

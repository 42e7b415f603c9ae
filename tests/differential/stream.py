"""What a server sends to its replicas, read by a replica that only listens.

Each batch ends with a message on a channel of the fuzzer, which passes through the stream and marks the end there.
"""

from accepted import without_told_as_deletions
from fakes import FakeReplica

CHANNEL = b"end of batch"
SLACK_MS = 30_000  # by how much relative times may differ, because of clocks or a busy machine
AN_ABSOLUTE_TIME = 10**12

# Commands that carry no data, or wrap others: servers differ in when they wrap several commands.
SKIPPED = (b"ping", b"replconf", b"publish", b"spublish", b"multi", b"exec")

# This server states what groups have read in its own way (several ids at once, with the count of entries), and a trimmed
# stream by the number of entries that are left. Replicas get the same data.
OWN_WAY = (b"xclaim", b"xgroup", b"xack")
TRIMS = (b"maxlen", b"minid")


class Stream:
    def __init__(self, server):
        self.fake = FakeReplica(server, timeout=60).full_sync()
        self.database = None
        self.serial = 0

    def close(self):
        self.fake.close()

    def take(self, side):
        """What has arrived since the last call: (database, name in lower case, arguments...)"""
        self.serial += 1
        mark = b"%d" % self.serial
        side.must(b"PUBLISH", CHANNEL, mark)
        found = []
        while True:
            command = self.fake.next_command()
            name = command[0].lower()
            if name == b"publish" and command[1:] == [CHANNEL, mark]:
                self.fake.ack()
                return found
            if name == b"select":
                self.database = command[1]
            elif name not in SKIPPED:
                found.append((self.database, name, *command[1:]))


def difference(mine, theirs):
    """The first difference with one command before and after it, of each side; or None."""
    mine, theirs = (_comparable(commands) for commands in (mine, theirs))
    if _first_difference(mine, theirs) is None:
        return None
    mine, theirs = without_told_as_deletions(mine, theirs)
    at = _first_difference(mine, theirs)
    if at is None:
        return None
    return tuple(commands[max(0, at - 1) : at + 2] for commands in (mine, theirs))


def _first_difference(mine, theirs):
    for at in range(max(len(mine), len(theirs))):
        if at >= len(mine) or at >= len(theirs) or not _same(mine[at], theirs[at]):
            return at
    return None


def _comparable(commands):
    """Sorts adjacent deletions: commands that walk over the keys find expired ones in the order of a table."""
    kept, deleted = [], []
    for command in map(_plain, commands):
        if _in_an_own_way(command):
            continue
        if command[1] in (b"del", b"unlink") and len(command) == 3:
            deleted.append(command)
            continue
        kept += [*sorted(deleted), command]
        deleted = []
    return kept + sorted(deleted)


def _plain(command):
    """A command without parts that make no difference to its effect."""
    database, name, *args = command
    if name in (b"lmove", b"set"):
        args = [*args[:2], *map(bytes.lower, args[2:])]
    elif name == b"xadd" and args[1].lower() == b"nomkstream":
        del args[1]
    return (database, name, *args)


def _in_an_own_way(command):
    return command[1] in OWN_WAY or command[1] in (b"xadd", b"xtrim") and command[3].lower() in TRIMS


def _same(one, other):
    return len(one) == len(other) and all(a == b or _same_time(a, b) for a, b in zip(one, other))


def _same_time(a, b):
    if not (isinstance(a, bytes) and isinstance(b, bytes) and a.isdigit() and b.isdigit()):
        return False
    return int(a) > AN_ABSOLUTE_TIME and abs(int(a) - int(b)) <= SLACK_MS

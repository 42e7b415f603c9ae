"""The two servers side by side: both get the same bytes, and every reply is compared.

A batch ends with an ECHO of a unique text, which marks the end of its replies. If the bytes of both sides are equal,
nothing has to be parsed.
"""

import re
import select
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

import harness  # noqa: E402 (starts servers for all tests)
from accepted import reads_newest, unlinks_as_deletions, what_replicas_are_told  # noqa: E402
from compare import command_name  # noqa: E402
from generator import CONNECTIONS  # noqa: E402
from resp import encode, parse, show, split  # noqa: E402
from stream import Stream, difference  # noqa: E402

TIMEOUT = 30 * harness.SCALE
MAY_BLOCK = {b"BLPOP", b"BRPOP", b"BLMOVE", b"BRPOPLPUSH", b"BLMPOP", b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP"}
LINES = ("repl-diskless-sync yes", "client-output-buffer-limit replica 0 0 0", "repl-backlog-size 16mb", "proto-max-bulk-len 64mb")
ENVIRONMENT = {"LC_ALL": "C"}  # SORT ALPHA collates


class Difference(Exception):
    """A difference. `what` is its kind, by which a smaller example is known to show the same difference."""

    def __init__(self, what, text):
        super().__init__(text)
        self.what = what


class Link:
    """A connection to one server."""

    def __init__(self, server):
        self.sock = socket.create_connection(server.address, timeout=TIMEOUT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.name = server.name

    def close(self):
        self.sock.close()

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionError, TimeoutError) as err:
            raise Difference("connection", f"{self.name}: {err}") from err

    def read_until(self, tail):
        """All bytes up to these last ones, without them."""
        buffer = bytearray()
        while not buffer.endswith(tail):
            try:
                chunk = self.sock.recv(1 << 18)
            except (ConnectionError, TimeoutError) as err:
                raise Difference("connection", f"{self.name}: {err} after {bytes(buffer[-200:])!r}") from err
            if not chunk:
                raise Difference("connection", f"{self.name} closed the connection after {bytes(buffer[-200:])!r}")
            buffer += chunk
        return bytes(buffer[: -len(tail)])

    def peek(self):
        """What has arrived; it stays unread."""
        if not select.select([self.sock], [], [], 0)[0]:
            return b""
        return self.sock.recv(1 << 18, socket.MSG_PEEK)


MONITORED = re.compile(rb"\+\d+\.\d+ \[(\d+) ([^\]]*)\] ([^\r]*)\r\n")


class Monitor(Link):
    """The output of MONITOR, for the connections of the fuzzer only."""

    def __init__(self, server, links):
        super().__init__(server)
        self.send(encode((b"MONITOR",)))
        self.read_until(b"+OK\r\n")
        self.names = {b"%s:%d" % (host.encode(), port): at for at, (host, port) in enumerate(link.sock.getsockname() for link in links)}

    def take(self, side):
        """What has arrived since the last call: (connection, database, command as shown)"""
        side.must(b"PING")  # ask() sends an ECHO after it
        data = self.read_until(b'"ECHO" "end of batch %d"\r\n' % side.serial)
        lines = [(self.names.get(peer), int(number), shown) for number, peer, shown in MONITORED.findall(data)]
        return [_without_secrets(line) for line in lines if line[0] is not None and not line[2].startswith(b'"ECHO" "end of batch')]


def _without_secrets(line):
    """Servers differ in which words of a refused login they hide."""
    name = line[2].partition(b" ")[0]
    return (*line[:2], name) if name.upper() in (b'"AUTH"', b'"HELLO"') else line


class Side:
    """One server with the connections of the fuzzer, and its replica if it has one."""

    def __init__(self, server, replica, replica_is_ours, waiters):
        self.server = server
        self.replica = replica
        self.replica_is_ours = replica_is_ours
        self.links = [Link(server) for _ in range(CONNECTIONS)]
        self.waiters = [Link(server) for _ in range(waiters)]
        self.listener = Link(server)
        self.control = Link(server)
        self.replica_link = Link(replica) if replica else None
        self.stream = Stream(server)
        self.serial = 0
        self.monitor = Monitor(server, self.links)

    def tail(self):
        self.serial += 1
        text = b"end of batch %d" % self.serial
        return text, b"$%d\r\n%s\r\n" % (len(text), text)

    def all_links(self):
        return [*self.links, *self.waiters, self.listener, self.control, self.monitor, *([self.replica_link] if self.replica_link else [])]

    def close(self):
        for link in self.all_links():
            link.close()
        self.stream.close()

    def ask(self, *args, link=None):
        """Sends one command that is not compared."""
        link = link or self.control
        text, tail = self.tail()
        link.send(encode(args) + encode((b"ECHO", text)))
        return parse(split(link.read_until(tail), 1)[0])

    def must(self, *args, link=None):
        reply = self.ask(*args, link=link)
        if reply[0] == "-":
            raise AssertionError(f"{self.server.name}: {args}: {reply}")
        return reply[1]

    def info(self, field, link=None, section=b"replication"):
        text = self.must(b"INFO", section, link=link)
        for line in text.split(b"\r\n"):
            if line.startswith(field + b":"):
                return line.split(b":", 1)[1]
        return None

    def changes(self):
        """The number of changes, as `save` counts them."""
        return int(self.info(b"rdb_changes_since_last_save", section=b"persistence"))

    def keys_of(self, number, link):
        """The keys of a database, sorted."""
        self.must(b"SELECT", b"%d" % number, link=link)
        return sorted(key for _, key in self.must(b"KEYS", b"*", link=link))

    def databases(self):
        """The databases that have keys."""
        lines = self.must(b"INFO", b"keyspace").split(b"\r\n")
        return sorted(int(line[2 : line.index(b":")]) for line in lines if line.startswith(b"db"))


class Pair:
    """Both sides, and the known state of their connections."""

    def __init__(self, farm, comparison, replicas, waiters):
        self.comparison = comparison
        self.replicas = replicas
        behind_mine, behind_theirs = replicas or (None, None)
        self.mine = self._side(farm, "ours", behind_mine, waiters)
        self.theirs = self._side(farm, "redis", behind_theirs, waiters)
        self.sides = (self.mine, self.theirs)
        self.waiter_ids = [[int(side.must(b"CLIENT", b"ID", link=link)) for link in side.waiters] for side in self.sides]
        for side in self.sides:
            side.must(b"CONFIG", b"SET", b"notify-keyspace-events", b"")
            side.listener.send(encode((b"PSUBSCRIBE", b"__key*")))
            side.listener.read_until(b":1\r\n")
        self.protocols = [2] * CONNECTIONS
        self.trace = None

    def _side(self, farm, kind, replica_kind, waiters):
        server = farm.server(kind, *LINES, env=ENVIRONMENT)
        replica = None
        if replica_kind:
            replica = farm.server(replica_kind, *LINES, f"replicaof 127.0.0.1 {server.port}", env=ENVIRONMENT)
        return Side(server, replica, replica_kind == "ours", waiters)

    def close(self):
        for side in self.sides:
            side.close()

    def has_command(self, name):
        """Whether both servers have the command. `name` may contain a subcommand."""
        word = name.split(" ")[0].encode()
        return all(side.must(b"COMMAND", b"INFO", word) not in (None, [("*", None)], [("_", b"")]) for side in self.sides)

    # Batches

    def exchange(self, pick, commands):
        """Sends the same to the connection pick(side) of each side; returns the unparsed replies of each."""
        text, tail = self.mine.tail()
        self.theirs.tail()
        data = b"".join(map(encode, commands)) + encode((b"ECHO", text))
        for side in self.sides:
            pick(side).send(data)
        mine, theirs = (pick(side).read_until(tail) for side in self.sides)
        if mine == theirs:
            return None
        return self._split(mine, commands), self._split(theirs, commands)

    def _split(self, data, commands):
        try:
            return split(data, len(commands))
        except ValueError as err:
            raise Difference("framing", f"{err}; {commands[:3]}...") from err

    def run(self, connection, commands, waiting=()):
        """Runs a batch and compares. Commands that would block outside MULTI are left out, and no transaction stays
        open. `waiting` are commands of other connections, for which events may arrive too."""
        commands = _closed(commands)
        self.take_streams()  # output of earlier steps
        self.take_monitored()
        before = [side.changes() for side in self.sides]
        self.comparison.seen.update(args[0].upper() for args in commands)
        if self.trace:
            self.trace(connection, commands)
        replies = self.exchange(lambda side: side.links[connection], commands)
        if replies is not None:
            self.compare(commands, *replies)
        self.compare_events([*waiting, *commands])
        self.compare_streams(commands)
        if not waiting:
            self.compare_monitored(commands)
            self.compare_changes(commands, before)

    def compare(self, commands, mine, theirs):
        queue = None
        for at, args in enumerate(commands):
            if mine[at] == b"+QUEUED\r\n" and queue is not None:
                queue.append(args)
            name = args[0].upper()
            if mine[at] != theirs[at]:
                if name == b"EXEC" and queue is not None:
                    found = self.comparison.same_exec(queue, parse(mine[at]), parse(theirs[at]))
                    if found is not None:
                        raise _reply_difference(*found, commands[:at])
                elif not self.comparison.same(args, mine[at], theirs[at]):
                    raise _reply_difference(args, parse(mine[at]), parse(theirs[at]), commands[:at])
            if name == b"MULTI" and mine[at] == b"+OK\r\n":
                queue = []
            elif name in (b"EXEC", b"DISCARD", b"RESET"):
                queue = None

    def compare_events(self, commands=()):
        """Compares keyspace events. They reach a listener before the reply to a PING that is sent after them."""
        found = self.take_events()
        if found[0] == found[1]:
            return
        mine, theirs = (_events(data) for data in found)
        if _without_expired(mine) != _without_expired(theirs) and not self._events_accepted(mine, theirs, commands):
            at = next((at for at, (one, other) in enumerate(zip(mine, theirs)) if one != other), min(len(mine), len(theirs)))
            raise Difference("events", f"events from {at}: {mine[at:at + 4]} here, {theirs[at:at + 4]} there; after {text_of(commands, 40)}")

    def compare_streams(self, commands):
        mine, theirs = self.take_streams()
        found = difference(mine, theirs)
        if found is not None and any(args[0].upper() == b"SPOP" for args in commands):
            found = difference(*(unlinks_as_deletions(stream) for stream in (mine, theirs)))
            self.comparison.count("stream: a set that SPOP empties is unlinked at replicas as well")
        if found is not None:
            here, there = (text_of(stream, 40) for stream in found)
            raise Difference("stream", f"of database, command: {here} here, {there} there; after {text_of(commands, 40)}")

    def take_streams(self):
        return [side.stream.take(side) for side in self.sides]

    def take_monitored(self):
        return [side.monitor.take(side) for side in self.sides]

    def compare_monitored(self, commands):
        """Compares MONITOR while no client is blocked; of blocked commands the servers show different things."""
        mine, theirs = self.take_monitored()
        if mine == theirs:
            return
        at = next((at for at, (one, other) in enumerate(zip(mine, theirs)) if one != other), min(len(mine), len(theirs)))
        here, there = ([(number, name[:200]) for _, number, name in lines[at : at + 3]] for lines in (mine, theirs))
        raise Difference("monitor", f"MONITOR from {at}: {here} here, {there} there; after {text_of(commands, 40)}")

    def compare_changes(self, commands, before):
        mine, theirs = (side.changes() - count for side, count in zip(self.sides, before))
        if mine != theirs and not self.comparison.same_changes(commands, mine, theirs):
            raise Difference("changes", f"{mine} changes here, {theirs} there; after {text_of(commands, 40)}")

    def _events_accepted(self, mine, theirs, commands):
        if _without_deaths(mine) == _without_deaths(theirs):
            self.comparison.count("events: they say that a key was deleted, and not that it expired, where an empty result replaces it")
        elif any(args[0].upper() in (b"SORT", b"SORT_RO") for args in commands) and _misses_sorted(mine) == _misses_sorted(theirs):
            pass  # BY and GET look up keys in the order of a table
        elif any(reads_newest(args) for args in commands) and _without_misses(mine) == _without_misses(theirs):
            pass  # 7.0 refuses the id + before it looks for the key
        elif any(_sorts_some(args) for args in commands) and _without_misses(mine) == _without_misses(theirs):
            pass  # GET looks up those elements of equal weight that happened to be within LIMIT
        elif any(args[0][:1] in b"Xx" for args in commands) and _without_misses(mine) == _without_misses(theirs):
            self.comparison.count("events: they look for a stream more than once, or before they look at arguments, and tell of each miss")
        else:
            return False
        return True

    def take_events(self):
        """The unparsed events of each side."""
        found = []
        for side in self.sides:
            text, _ = side.tail()
            side.listener.send(encode((b"PING", text)))
            found.append(side.listener.read_until(b"*2\r\n$4\r\npong\r\n$%d\r\n%s\r\n" % (len(text), text)))
        return found

    # Data

    def compare_digests(self):
        digests = [side.must(b"DEBUG", b"DIGEST") for side in self.sides]
        if digests[0] != digests[1]:
            raise Difference("digest", f"no reply told of it, but the data differ: {self.different_keys()}")
        if self.replicas:
            for side in self.sides:
                self._compare_replica(side, digests[0])

    def catch_up(self, side):
        """Waits until the offsets of replica and master are equal."""
        if side.replica_link is None:
            return

        def there():
            offset = side.info(b"master_repl_offset")
            return side.info(b"master_link_status", side.replica_link) == b"up" and side.info(
                b"slave_repl_offset", side.replica_link
            ) == offset

        try:
            harness.wait_for(there, 30, f"{side.replica.name} to catch up with {side.server.name}", interval=0.001)
        except harness.Timeout as err:
            raise Difference("replica", str(err)) from err

    def _compare_replica(self, side, digest):
        self.catch_up(side)
        copied = side.must(b"DEBUG", b"DIGEST", link=side.replica_link)
        if copied != digest:
            keys = _different_keys(_key_digests(side, side.control), _key_digests(side, side.replica_link))
            raise Difference("replica", f"{side.replica.name} is no copy of {side.server.name}: {keys}")

    def compare_details(self):
        """Compares what no digest covers: expiry times, encodings, groups of streams."""
        for number in sorted(set(self.mine.databases()) | set(self.theirs.databases())):
            keys = [side.keys_of(number, side.control) for side in self.sides]
            if keys[0] != keys[1]:
                raise Difference("keys", f"database {number}: {keys[0]} here, {keys[1]} there")
            self.run(0, [(b"SELECT", b"%d" % number)] + [command for key in keys[0] for command in _details(self.mine, key)])
            if self.replicas:
                for side in self.sides:
                    self._compare_replica_details(side, number)
        self.run(0, [(b"SELECT", b"0")])

    def _compare_replica_details(self, side, number):
        links = (side.control, side.replica_link)
        keys = side.keys_of(number, links[0])
        side.must(b"SELECT", b"%d" % number, link=links[1])
        for command in [command for key in keys for command in _details(side, key) if command[0] != b"OBJECT"]:
            replies = [side.ask(*command, link=link) for link in links]
            if side is self.theirs and side.replica_is_ours:
                replies = [what_replicas_are_told(reply) for reply in replies]
            ours_first = replies if side is self.mine else replies[::-1]
            if not (replies[0] == replies[1] or command[0] == b"XINFO" and self.comparison.same_parsed(command, *ours_first)):
                text = f"{text_of([command])}: {show(replies[0])} on {side.server.name}, {show(replies[1])} on its replica"
                raise Difference("replica details", text)

    def different_keys(self):
        return _different_keys(*(_key_digests(side, side.control) for side in self.sides))


def _closed(commands):
    kept, in_multi = [], False
    for args in commands:
        name = args[0].upper()
        if not in_multi and (name in MAY_BLOCK or name in (b"XREAD", b"XREADGROUP") and b"BLOCK" in map(bytes.upper, args)):
            continue
        if name == b"MULTI" and len(args) == 1:
            in_multi = True
        elif name in (b"EXEC", b"DISCARD", b"RESET") and len(args) == 1:
            in_multi = False
        kept.append(args)
    return kept + [(b"DISCARD",)] if in_multi else kept


def _reply_difference(args, mine, theirs, before):
    what = command_name(args).decode("latin-1")
    return Difference(
        f"reply of {what}", f"{text_of([args])}\n    here:  {show(mine)}\n    there: {show(theirs)}\n    before: {text_of(before[-5:], 100)}"
    )


def _events(data):
    """Pairs of channel and message."""
    found, pos = [], 0
    lines = data.split(b"\r\n")
    while pos + 8 < len(lines):
        found.append((lines[pos + 6], lines[pos + 8]))
        pos += 9
    return found


def _details(side, key):
    kind = side.must(b"TYPE", key)
    stream = [(b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0")] if kind == b"stream" else []
    return [(b"PEXPIRETIME", key), (b"OBJECT", b"ENCODING", key), *stream]


def _without_expired(events):
    """Without expirations that a command found while it walked over the keys, in the order of a table."""
    dead = {at for at, (channel, name) in enumerate(events) if b"expired" in (name, channel.partition(b":")[2])}
    return [event for at, event in enumerate(events) if at not in dead], sorted(events[at] for at in dead)


def _sorts_some(args):
    return args[0].upper() in (b"SORT", b"SORT_RO") and {b"BY", b"LIMIT"} <= {arg.upper() for arg in args}


def _is_miss(event):
    return event[1] == b"keymiss" or event[0].endswith(b":keymiss")


def _without_misses(events):
    return _without_deaths([event for event in events if not _is_miss(event)])


def _misses_sorted(events):
    return _without_misses(events), sorted(event for event in events if _is_miss(event))


def _without_deaths(events):
    def unified(event):
        return tuple(b"expired" if word == b"del" else word.replace(b":del", b":expired") for word in event)

    return _without_expired([unified(event) for event in events])


def _key_digests(side, link):
    """{(database, key): digest of its value}"""
    found = {}
    databases = side.databases()
    for number in databases:
        side.must(b"SELECT", b"%d" % number, link=link)
        keys = [key for _, key in side.must(b"KEYS", b"*", link=link)]
        if keys:
            digests = side.must(b"DEBUG", b"DIGEST-VALUE", *keys, link=link)
            found.update({(number, key): digest for key, (_, digest) in zip(keys, digests)})
    side.must(b"SELECT", b"0", link=link)
    return found


def _different_keys(mine, theirs):
    return sorted(key for key in set(mine) | set(theirs) if mine.get(key) != theirs.get(key))[:10] or "in expiries, or keys that have expired"


def text_of(commands, limit=400):
    """Commands as redis-cli takes them."""
    return "; ".join(" ".join(_quoted(arg, limit) for arg in args) for args in commands)


def _quoted(arg, limit):
    text = arg.decode("latin-1")
    if text and all(33 <= ord(ch) < 127 and ch not in "\"'\\;" for ch in text):
        return text if len(text) <= limit else f"{text[:limit]}...({len(text)})"
    body = "".join(ch if 32 <= ord(ch) < 127 and ch not in '"\\' else ("\\" + ch if ch in '"\\' else f"\\x{ord(ch):02x}") for ch in text)
    return f'"{body[:limit]}"' + (f"...({len(text)})" if len(body) > limit else "")

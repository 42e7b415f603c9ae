"""Values that real Redis makes are accepted: no check while loading may refuse a state that a peer can reach.

Random commands go to redis-server only, with limits at which encodings change early. Each new value goes through
    DUMP there -> RESTORE here -> compared -> DUMP here -> RESTORE there -> compared,
and every few rounds the whole data set through SAVE there -> loaded here -> compared. A second source builds payloads as
older versions wrote them (ziplists, zipmaps, plain collections, strings in all forms): what redis-server accepts with
sanitize-dump-payload, this server accepts, and both hold the same. The files of tests/data come first.

Values are compared by DEBUG DIGEST-VALUE, sorted sets by their members, streams by their entries and XINFO STREAM FULL.
"""

import hashlib
import random
import struct
from pathlib import Path

from generator import LIMITS, Tables
from grammar import read_table
from resp import encode, is_error, parse, show, split
from servers import Difference, Link, harness, text_of
from vocabulary import Vocabulary

import rdbfile  # servers has added the helpers of the tests to the path

GROUPS = ("strings", "bits", "lists", "sets", "hashes", "sorted sets", "geo", "hyperloglog", "streams")
ROUND = 400  # commands between two comparisons of values
CHUNK = 100  # values that are sent together
OLD_VALUES = 60  # payloads of older versions per round
FILE_EVERY = 5  # rounds
BACK = 9  # the database into which redis-server restores values
SMALL = {
    b"stream-node-max-entries": (b"1", b"2", b"3", b"100", b"0"),
    b"stream-node-max-bytes": (b"40", b"100", b"4096", b"0"),
}
EXTRA = read_table("""
    6   XTRIM <stream> MINID = <xat>
    3   XTRIM <stream> MAXLEN = (0|1|2)
    6   XDEL <stream> {<xat>}
    5 ! XSETID <stream> <xat>
    5 ! XSETID <stream> <xat> ENTRIESADDED 1000 MAXDELETEDID 0-1
    2 ! XSETID <stream> (18446744073709551615-18446744073709551615|18446744073709551615-5)
    5   XADD <stream> * a b
    9 ! XADD <stream> <xat> c d
    2 ! XGROUP SETID <stream> <group> 0 ENTRIESREAD (9223372036854775807|9223372036854775806|0)
    2   XGROUP DELCONSUMER <stream> <group> <consumer>
    2 ! XCLAIM <stream> <group> <consumer> 0 {<xat>} (TIME 0|TIME 1|IDLE 9223372036854775807|RETRYCOUNT 9223372036854775807) FORCE
    2   RENAME <stream> <stream>
    2   COPY <any> <any> REPLACE
    2   RPUSH <list> <val> <val>
    1   DEL <any>
    2   SADD <set> (-32768|32768|-2147483649|2147483648|9223372036854775807|-9223372036854775808)
    1   SREM <set> (-32768|32768|-2147483649|2147483648|9223372036854775807|-9223372036854775808)
    2   ZADD <zset> (inf|-inf|-0|0|1e308|5e-324|0.1|1e17|123456789012345678) <elem>
""")


class Talker:
    """Sends commands together; returns their unparsed replies."""

    def __init__(self, server):
        self.server = server
        self.link = Link(server)
        self.serial = 0

    def raw(self, commands):
        self.serial += 1
        text = b"end of batch %d" % self.serial
        self.link.send(b"".join(map(encode, commands)) + encode((b"ECHO", text)))
        return split(self.link.read_until(b"$%d\r\n%s\r\n" % (len(text), text)), len(commands))

    def ask(self, commands):
        return [parse(reply) for reply in self.raw(commands)]

    def must(self, *args):
        (reply,) = self.ask([args])
        if is_error(reply):
            raise AssertionError(f"{self.server.name}: {args}: {reply}")
        return reply[1]

    def close(self):
        self.link.close()


class ValueFuzzer:
    """Owns the servers. `values` counts restored values, `loaded` those loaded from files, `old` the restored values
    that were built as older versions write them."""

    def __init__(self, directory, seed):
        self.seed = seed
        self.farm = harness.Farm(directory)
        self.redis = Talker(self.farm.server("redis", "save ''", "sanitize-dump-payload yes", "rdbcompression yes"))
        self.ours = Talker(self.farm.server("ours", "save ''", "enable-debug-command yes"))
        self.back = Talker(self.redis.server)
        self.back.must(b"SELECT", b"%d" % BACK)
        self.talkers = (self.redis, self.ours, self.back)
        self.tables = Tables(lambda name: not is_error(self.redis.ask([(b"COMMAND", b"INFO", name.split(" ")[0].encode())])[0]))
        self.lines = [line for name in GROUPS for line in self.tables.groups[name] if not line.blocks] + EXTRA
        self.values = self.loaded = self.old = self.commands = self.declined = 0
        self.kinds = {}
        self.seen = set()

    def close(self):
        for talker in self.talkers:
            talker.close()
        return self.farm.close()

    def take_data_files(self):
        """Restores the files of tests/data, which real servers wrote."""
        for path in sorted((Path(__file__).resolve().parent.parent / "data").glob("*.rdb")):
            (self.redis.server.directory / "dump.rdb").write_bytes(path.read_bytes())
            self.redis.must(b"DEBUG", b"RELOAD", b"NOSAVE")
            self._take_all(self.redis.must(b"KEYS", b"*"))
            self._take_file()
        for talker in (self.redis, self.ours):
            talker.must(b"FLUSHALL")

    def round(self, number):
        rng = random.Random(f"{self.seed}:{number}")
        self._set_limits(rng)
        self._send_commands(rng)
        self._take_all(self.redis.must(b"KEYS", b"*"))
        self._take_old(rng)
        if number % FILE_EVERY == FILE_EVERY - 1:
            self._take_file()
            self.redis.must(b"FLUSHALL")
            self.ours.must(b"FLUSHALL")

    def _set_limits(self, rng):
        """Each side gets limits of its own, as a replica may have others than its master."""
        for talker in (self.redis, self.ours):
            for name, values in {**LIMITS, **SMALL}.items():
                if name.startswith(b"notify") or name.startswith(b"set-max-listpack"):  # the peer lacks these
                    continue
                talker.must(b"CONFIG", b"SET", name, rng.choice(values))

    def _send_commands(self, rng):
        words = Vocabulary(rng, keys=rng.choice((2, 3, 5)), variety=rng.choice((6, 12, 30, 200)))
        words.serial = rng.choice((0, 0, 30))
        favoured = rng.sample(self.lines, k=min(len(self.lines), 60)) + (EXTRA if rng.random() < 0.6 else [])
        weights = [line.weight for line in favoured]
        commands = []
        while len(commands) < ROUND:
            commands += rng.choices(favoured, weights=weights)[0].expand(words)
        for at in range(0, len(commands), CHUNK):
            self.redis.raw(commands[at : at + CHUNK])
        self.commands += len(commands)

    # Values one by one

    def _take_all(self, keys):
        keys = [key for _, key in keys]
        for at in range(0, len(keys), CHUNK):
            some = keys[at : at + CHUNK]
            self.redis.raw([(b"PERSIST", key) for key in some])
            dumps = [payload for _, payload in self.redis.ask([(b"DUMP", key) for key in some])]
            fresh = [(key, payload) for key, payload in zip(some, dumps) if payload is not None and self._is_new(payload)]
            self._take(fresh)

    def _is_new(self, payload):
        mark = hashlib.blake2b(payload, digest_size=12).digest()
        new = mark not in self.seen
        self.seen.add(mark)
        return new

    def _take(self, fresh):
        """(key, payload) of the values that redis-server holds under these keys."""
        if not fresh:
            return
        keys = [key for key, _ in fresh]
        taken = self.ours.ask([(b"RESTORE", key, b"0", payload, b"REPLACE") for key, payload in fresh])
        for (key, payload), reply in zip(fresh, taken):
            if is_error(reply):
                raise Difference("refused", f"{self._kind(key)} {key!r}: {show(reply)}: {payload!r}; the log: {self.ours.server.log_tail(5)}")
        self._compare(self.ours, keys)
        dumps = [payload for _, payload in self.ours.ask([(b"DUMP", key) for key in keys])]
        given = self.back.ask([(b"RESTORE", key, b"0", payload, b"REPLACE") for key, payload in zip(keys, dumps)])
        for key, payload, reply in zip(keys, dumps, given):
            if is_error(reply):
                raise Difference("refused there", f"{self._kind(key)} {key!r}: {show(reply)}: {payload!r}")
        self._compare(self.back, keys)
        self.values += len(keys)

    def _kind(self, key):
        return self.redis.must(b"TYPE", key).decode()

    def _compare(self, other, keys):
        """Compares the values of both servers under these keys."""
        kinds = [kind for _, kind in self.redis.ask([(b"TYPE", key) for key in keys])]
        commands = [command for key, kind in zip(keys, kinds) for command in _facts_commands(key, kind)]
        replies = [side.ask(commands) for side in (self.redis, other)]
        at = 0
        for key, kind in zip(keys, kinds):
            size = len(_facts_commands(key, kind))
            wanted, found = (_facts(kind, side[at : at + size]) for side in replies)
            if wanted != found:
                shown = [self._show(side, kind, key) for side in (self.redis, other)]
                raise Difference("value", f"{kind.decode()} {key!r}:\n    {shown[0]} there\n    {shown[1]} on {other.server.name}")
            at += size
            self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def _show(self, side, kind, key):
        whole = {b"string": (b"GET", key), b"list": (b"LRANGE", key, b"0", b"-1"), b"set": (b"SMEMBERS", key), b"hash": (b"HGETALL", key)}
        whole[b"zset"] = (b"ZRANGE", key, b"0", b"-1", b"WITHSCORES")
        commands = [whole[kind], (b"OBJECT", b"ENCODING", key)] if kind in whole else _facts_commands(key, kind)
        return " ".join(show(reply, 1500) for reply in side.ask(commands))

    # Payloads of older versions

    def _take_old(self, rng):
        made = [(b"old:%d" % at, rdbfile.dump_payload(old_value(rng), rng.choice((6, 7, 8, 9, 10)))) for at in range(OLD_VALUES)]
        replies = self.redis.ask([(b"RESTORE", key, b"0", payload, b"REPLACE") for key, payload in made])
        good = [pair for pair, reply in zip(made, replies) if not is_error(reply) and self._is_new(pair[1])]
        self.declined += sum(map(is_error, replies))
        self._take(good)
        self.old += len(good)

    # Files

    def _take_file(self):
        self.back.must(b"FLUSHDB")
        self.redis.must(b"SAVE")
        source, target = (side.server.directory / "dump.rdb" for side in (self.redis, self.ours))
        target.write_bytes(source.read_bytes())
        (reply,) = self.ours.ask([(b"DEBUG", b"RELOAD", b"NOSAVE")])
        if is_error(reply):
            raise Difference("refused file", f"{show(reply)}: {source}; the log: {self.ours.server.log_tail(5)}")
        keys = sorted(key for _, key in self.redis.must(b"KEYS", b"*"))
        found = sorted(key for _, key in self.ours.must(b"KEYS", b"*"))
        if keys != found:
            raise Difference("file", f"keys {keys} there, {found} here")
        for at in range(0, len(keys), CHUNK):
            self._compare(self.ours, keys[at : at + CHUNK])
        self.loaded += len(keys)


def _facts_commands(key, kind):
    if kind == b"stream":
        return [(b"XRANGE", key, b"-", b"+"), (b"XLEN", key), (b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0")]
    if kind == b"zset":
        return [(b"ZRANGE", key, b"0", b"-1", b"WITHSCORES")]
    return [(b"DEBUG", b"DIGEST-VALUE", key)]


def _facts(kind, replies):
    if kind == b"stream":
        return _stream_facts(*replies)
    return _zset_facts(*replies) if kind == b"zset" else replies


def _zset_facts(reply):
    """The members of a sorted set; -0 counts as 0, because which of them a score is depends on the encoding."""
    words = [word for _, word in reply[1]]
    return [(member, float(score) + 0.0) for member, score in zip(words[::2], words[1::2])]


def _id(text):
    return tuple(map(int, text.split(b"-")))


def _stream_facts(entries, length, info):
    """The entries of a stream. Entries out of order are sorted here, and the last id is the greatest; then what
    Redis derives from its order (the first id, an entry twice) is not compared."""
    ids = [_id(entry[1][0][1]) for entry in entries[1]]
    values = {id: entry for id, entry in zip(reversed(ids), reversed(entries[1]))}
    fields = _fields(info)
    last = _id(fields[b"last-generated-id"][1])
    odd = ids != sorted(set(ids)) or (ids and last < ids[-1])
    if odd or length[1] != b"%d" % len(ids):
        return sorted(values.items()), max([last, *ids]), "odd"
    groups = [_group(_fields(group)) for group in fields[b"groups"][1]]
    told = [fields[name][1] for name in (b"max-deleted-entry-id", b"entries-added")]
    told += [fields[b"recorded-first-entry-id"][1]] if ids else []  # no first entry: the peer reports what it read, or the greatest id
    return sorted(values.items()), max([last, *ids]), told, groups


def _fields(reply):
    items = reply[1]
    return {name[1]: value for name, value in zip(items[::2], items[1::2])}


def _group(fields):
    read = fields[b"entries-read"][1]
    if read is not None and int(read) < 0:  # the count wrapped around
        read = None
    consumers = [_fields(consumer) for consumer in fields[b"consumers"][1]]
    known = [[consumer[name] for name in (b"name", b"seen-time", b"pel-count", b"pending")] for consumer in consumers]
    return [fields[name] for name in (b"name", b"last-delivered-id", b"pel-count", b"pending")], read, known


# Values as older versions wrote them


def old_value(rng):
    """Type and value as in a file of an older version."""
    return rng.choice(OLD)(rng)


def _word(rng):
    at = rng.random()
    if at < 0.35:
        return b"%d" % (rng.randrange(-5, 20) if rng.random() < 0.5 else rng.choice((1, -1)) * rng.getrandbits(rng.choice((7, 8, 15, 16, 23, 24, 31, 32, 63))))
    if at < 0.85:
        return bytes(rng.choices(b"abcxyz:\x00\xff", k=rng.randrange(1, 12)))
    if at < 0.9:
        return b""
    return rng.randbytes(1) * rng.choice((20, 62, 63, 64, 65, 250, 253, 254, 255, 256, 4095, 4096, 16383, 16384, 20000))


def _words(rng, least=1):
    return [_word(rng) for _ in range(rng.choice((least, 1, 2, 3, 5, 10, 40, 150)))]


def _distinct(rng):
    return list(dict.fromkeys(_words(rng)))


def _packed_score(rng):
    """A score, but not -0: since 7.0 no server writes it in packed form, and this one reads it as 0."""
    return rng.choice((b"0", b"1", b"1.5", b"-2.25", b"inf", b"-inf", b"1e+300", b"0.10000000000000001", b"3", b"17", b"1e17", b"4.9406564584124654e-324"))


def _score(rng):
    return b"-0" if rng.random() < 0.1 else _packed_score(rng)


def _string(rng, data):
    """A string in any of its forms."""
    at = rng.random()
    if at < 0.4 and _is_number(data) and -(1 << 31) <= int(data) < 1 << 31:
        return rdbfile.integer(int(data))
    if len(data) > 30 and at < 0.5:
        return rdbfile.lzf(data)
    if at < 0.65 and len(data) < 1 << 14:
        return rdbfile.wide_string(data, rng.choice((14, 32, 64)))
    return rdbfile.string(data)


def _integer_widths(number):
    """The widths of an integer in a ziplist: at least what it needs; the oldest versions had only 2, 4 and 8 bytes."""
    widths = ((0xFE, 1), (0xC0, 2), (0xF0, 3), (0xD0, 4), (0xE0, 8))
    return [(code, size) for code, size in widths if -(1 << 8 * size - 1) <= number < 1 << 8 * size - 1]


def _is_number(data):
    return 0 < len(data) < 21 and data.lstrip(b"-").isdigit() and data == b"%d" % int(data) and -(2**63) <= int(data) < 2**63


def _ziplist(rng, items):
    """A ziplist with odd but legal parts: the length of the previous entry in five bytes instead of one (as after it
    shrank), integers wider than necessary, an unknown count."""
    body, previous, last = b"", 0, 10
    wide, old = rng.random() < 0.3, rng.random() < 0.3
    for item in items:
        five = previous >= 254 or (wide and rng.random() < 0.5)
        head = b"\xfe" + struct.pack("<I", previous) if five else bytes([previous])
        if not _is_number(item):
            if len(item) < 64:
                tail = bytes([len(item)]) + item
            elif len(item) < 16384:
                tail = struct.pack(">H", 0x4000 | len(item)) + item
            else:
                tail = b"\x80" + struct.pack(">I", len(item)) + item
        elif 0 <= int(item) <= 12 and not old:
            tail = bytes([0xF1 + int(item)])
        else:
            widths = _integer_widths(int(item))
            code, size = rng.choice(widths) if old else widths[0]
            tail = bytes([code]) + int(item).to_bytes(size, "little", signed=True)
        last = 10 + len(body)
        previous = len(head + tail)
        body += head + tail
    count = 65535 if rng.random() < 0.1 else len(items)
    return struct.pack("<IIH", 11 + len(body), last, count) + body + b"\xff"


def _listpack(rng, items):
    packed = rdbfile.listpack([int(item) if _is_number(item) else item for item in items])
    if rng.random() < 0.1:
        packed = packed[:4] + b"\xff\xff" + packed[6:]  # an unknown count
    return packed


def _pairs(rng):
    return [word for first in _distinct(rng) for word in (first, _word(rng))]


def _scored(rng):
    """Members with scores, in order."""
    pairs = [(_packed_score(rng), member) for member in _distinct(rng)]
    return [word for score, member in sorted(pairs, key=lambda pair: (float(pair[0]), pair[1])) for word in (member, score)]


def _zipmap(rng):
    pairs = [(field, _word(rng)) for field in _distinct(rng)]
    packed = rdbfile.zipmap(pairs, rng.choice((0, 0, 1, 4)))
    return bytes([254]) + packed[1:] if rng.random() < 0.1 else packed


def _intset(rng):
    width = rng.choice((2, 4, 8))  # up to the widest
    limit = 1 << 8 * rng.choice([size for size in (1, 2, 4, 8) if size <= width]) - 1
    values = sorted({rng.randrange(-limit, limit) for _ in range(rng.choice((1, 3, 20, 600)))})
    return struct.pack(f"<II{len(values)}{ {2: 'h', 4: 'i', 8: 'q'}[width] }", width, len(values), *values)


def _blob(kind, make):
    return lambda rng: bytes([kind]) + _string(rng, make(rng))


def _collection(kind, make):
    def build(rng):
        items = make(rng)
        return bytes([kind]) + rdbfile.length(len(items)) + b"".join(items)

    return build


def _binary_score(rng):
    return struct.pack("<d", float(_score(rng)))


def _quicklist_node(rng):
    if rng.random() < 0.2:
        return rdbfile.length(1) + _string(rng, _word(rng) or b"x")  # plain
    return rdbfile.length(2) + _string(rng, _listpack(rng, _words(rng)))


def _stream(rng):
    """A stream without or with groups, of whose entries all, some or none are deleted."""
    kind = rng.choice((15, 19))
    nodes, ms = [], 0
    for _ in range(rng.randrange(4)):
        node = []
        for _ in range(rng.randrange(1, 6)):
            ms += rng.randrange(1, 4)
            fields = {b"f": _word(rng)} if rng.random() < 0.6 else {_word(rng): _word(rng) for _ in range(3)}
            pairs = {_typed(name): _typed(value) for name, value in fields.items()}
            node.append(((ms, rng.randrange(3)), pairs, rng.random() < 0.4))
        nodes.append(node)
    groups = []
    for name in rng.sample((b"g", b"h", b""), k=rng.randrange(3)):
        pending = {(at, 0): (rng.randrange(1 << 40), rng.randrange(5)) for at in range(1, 1 + rng.randrange(4))}
        owners = {b"c": (5, 5, list(pending)), b"d": (7, 7, [])}
        groups.append(rdbfile.stream_group(name, (ms, 0), pending, owners, kind, rng.randrange(10)))
    first = next((id for node in nodes for id, _, deleted in node if not deleted), (0, 0))
    return bytes([kind]) + rdbfile.stream(nodes, (ms + rng.randrange(3), 5), groups, kind, first, deleted=(rng.randrange(3), 0), added=50)


def _typed(word):
    return int(word) if _is_number(word) else word


OLD = (
    _blob(0, _word),
    _collection(1, lambda rng: [_string(rng, word) for word in _words(rng)]),
    _collection(2, lambda rng: [_string(rng, word) for word in _distinct(rng)]),
    _collection(3, lambda rng: [_string(rng, word) + rdbfile.score_text(float(_score(rng))) for word in _distinct(rng)]),
    _collection(4, lambda rng: [_string(rng, word) + _string(rng, _word(rng)) for word in _distinct(rng)]),
    _collection(5, lambda rng: [_string(rng, word) + _binary_score(rng) for word in _distinct(rng)]),
    _blob(9, _zipmap),
    _blob(10, lambda rng: _ziplist(rng, _words(rng))),
    _blob(11, _intset),
    _blob(12, lambda rng: _ziplist(rng, _scored(rng))),
    _blob(13, lambda rng: _ziplist(rng, _pairs(rng))),
    _collection(14, lambda rng: [_string(rng, _ziplist(rng, _words(rng, 0))) for _ in range(rng.randrange(1, 5))]),
    _blob(16, lambda rng: _listpack(rng, _pairs(rng))),
    _blob(17, lambda rng: _listpack(rng, _scored(rng))),
    _collection(18, lambda rng: [_quicklist_node(rng) for _ in range(rng.randrange(1, 5))]),
    _stream,
    _stream,
)


def run(directory, seed, values, progress=None):
    """Runs for so many values; returns the fuzzer and what was wrong with the processes. Raises Difference."""
    fuzzer = ValueFuzzer(directory, seed)
    number = 0
    try:
        fuzzer.take_data_files()
        while fuzzer.values < values:
            try:
                fuzzer.round(number)
            except Difference as found:
                raise Difference(found.what, f"seed {seed}, round {number}: {found}") from found
            number += 1
            if progress and number % 50 == 0:
                progress(fuzzer)
    except BaseException:
        fuzzer.close()
        raise
    return fuzzer, fuzzer.close()


def describe(fuzzer):
    kinds = ", ".join(f"{kind.decode()} {count}" for kind, count in sorted(fuzzer.kinds.items()))
    return (
        f"{fuzzer.values} values taken and given back ({fuzzer.old} of them as older versions write them, {fuzzer.declined} more "
        f"that Redis does not take), {fuzzer.loaded} loaded from files; {fuzzer.commands} commands; compared: {kinds}"
    )

"""RDB files built byte by byte: one key in every encoding that ever existed, and damaged files of many kinds.

As a program, it writes them into a directory as seeds for the fuzzers."""

import random
import struct
import sys
from pathlib import Path

from rdbfile import (
    aux,
    entry,
    file,
    integer,
    intset,
    length,
    listpack,
    lzf,
    score_text,
    select_db,
    stream,
    stream_group,
    stream_node,
    string,
    string_entry,
    strings_of,
    wide_string,
    ziplist,
    zipmap,
)

INF = float("inf")
LONG = bytes(random.Random(5).choices(b"abc", k=3000))
NUMBERS = [0, 12, 13, -1, 127, -128, 128, 4095, -4096, 32767, -32768, 1 << 22, -(1 << 23), 1 << 30, -(1 << 31), 1 << 62]
PAIRS = [(b"field", b"value"), (b"", b"empty field"), (b"empty", b""), (b"long", b"v" * 60), (b"7", b"-300")]
SCORES = [(b"low", -INF), (b"neg", -1.5), (b"zero", 0.0), (b"pi", 3.14159), (b"big", 1e300), (b"top", INF)]
MEMBERS = [b"a", b"", b"member:3", b"0x10", b"m" * 60]


def _numbers(items):
    return [b"%d" % item if isinstance(item, int) else item for item in items]


def _hash(pairs):
    return "hash", dict(pairs)


def _zset(pairs):
    return "zset", dict(pairs)


def _flat(pairs):
    return [item for pair in pairs for item in pair]


def _set(items):
    return "set", set(_numbers(items))


FAR = 4102444800000  # 2100-01-01, in milliseconds


def _timed(rows):
    return b"".join(length(time) + string(field) + string(value) for time, field, value in rows)


def _scored(score):
    return b"%.17g" % score if abs(score) != INF else b"inf" if score > 0 else b"-inf"


def _quicklist(nodes):
    return length(len(nodes)) + b"".join(string(ziplist(node)) for node in nodes)


def _quicklist_2(nodes):
    """A list value. A node is a list of items, or the bytes of one plain element."""
    out = length(len(nodes))
    for node in nodes:
        plain = isinstance(node, bytes)
        out += length(1) + string(node) if plain else length(2) + string(listpack(node))
    return out


_NODES = [
    [((5, 1), {b"f": b"v", b"g": 7}, False), ((5, 2), {b"f": b"w", b"g": b""}, True), ((9, 0), {b"other": 1}, False)],
    [((9, 1), {b"x": b"y" * 100}, False), ((1 << 40, 5), {b"x": -1}, False)],
]
_LAST = ((1 << 40) + 7, 3)
_PENDING = {(5, 1): (1600000000000, 3), (9, 0): (1600000000001, 1), (5, 2): (1500000000000, 1)}
_CONSUMERS = {b"alice": (1600000000000, 1600000000000, [(5, 1), (9, 0)]), b"bob": (1500000000000, -1, [(5, 2)]),
              b"": (5, 5, [])}  # fmt: skip
_ENTRIES = [
    [b"5-1", [b"f", b"v", b"g", b"7"]],
    [b"9-0", [b"other", b"1"]],
    [b"9-1", [b"x", b"y" * 100]],
    [b"1099511627776-5", [b"x", b"-1"]],
]


def _stream(kind):
    groups = [
        stream_group("readers", (9, 0), _PENDING, _CONSUMERS, kind, entries_read=3),
        stream_group("nobody", _LAST, {}, {}, kind, entries_read=5),
    ]
    return stream(_NODES, _LAST, groups, kind, first=(5, 1), deleted=(5, 2), added=5)


_MIXED = [b"text", b"", *NUMBERS, b"w" * 300, b"behind a wide one", b"007", LONG]

# name: (first version of files that have it, type number, bytes of the value, (type, value))
GOOD = {
    "string": (1, 0, string(b"hello"), ("string", b"hello")),
    "string-empty": (1, 0, string(b""), ("string", b"")),
    "string-int8": (1, 0, integer(-100), ("string", b"-100")),
    "string-int16": (1, 0, integer(-30000), ("string", b"-30000")),
    "string-int32": (1, 0, integer(-(1 << 31)), ("string", b"-2147483648")),
    "string-lzf": (1, 0, lzf(LONG + b"z" * 500), ("string", LONG + b"z" * 500)),
    "string-length14": (1, 0, wide_string(b"fourteen", 14), ("string", b"fourteen")),
    "string-length32": (1, 0, wide_string(b"thirty-two", 32), ("string", b"thirty-two")),
    "string-length64": (8, 0, wide_string(b"sixty-four", 64), ("string", b"sixty-four")),
    "list": (1, 1, strings_of([b"a", b"", b"a"]), ("list", [b"a", b"", b"a"])),
    "list-long": (1, 1, strings_of(range(1000)), ("list", _numbers(range(1000)))),
    "set": (1, 2, strings_of(MEMBERS), _set(MEMBERS)),
    "set-of-integers": (1, 2, length(3) + integer(5) + integer(-7) + string(b"123456"), _set([5, -7, 123456])),
    "zset": (1, 3, length(6) + b"".join(string(m) + score_text(s) for m, s in SCORES), _zset(SCORES)),
    "hash": (2, 4, length(5) + b"".join(string(x) for x in _flat(PAIRS)), _hash(PAIRS)),
    "zset-binary": (8, 5, length(6) + b"".join(string(m) + struct.pack("<d", s) for m, s in SCORES), _zset(SCORES)),
    "hash-zipmap": (2, 9, string(zipmap(PAIRS)), _hash(PAIRS)),
    "hash-zipmap-free": (2, 9, string(zipmap(PAIRS, free=3)), _hash(PAIRS)),
    "hash-zipmap-wide": (2, 9, string(zipmap([(b"f" * 254, b"v" * 300)])), _hash([(b"f" * 254, b"v" * 300)])),
    "list-ziplist": (2, 10, string(ziplist(_MIXED)), ("list", _numbers(_MIXED))),
    "set-intset16": (2, 11, string(intset([-32768, -1, 0, 32767])), _set([-32768, -1, 0, 32767])),
    "set-intset32": (2, 11, string(intset([-32769, 5, 1 << 30])), _set([-32769, 5, 1 << 30])),
    "set-intset64": (2, 11, string(intset([-(1 << 63), 5, (1 << 63) - 1])), _set([-(1 << 63), 5, (1 << 63) - 1])),
    "zset-ziplist": (2, 12, string(ziplist(_flat([(m, _scored(s)) for m, s in SCORES]))), _zset(SCORES)),
    "hash-ziplist": (4, 13, string(ziplist(_flat(PAIRS) + [-5, 1 << 40])), _hash([*PAIRS, (b"-5", b"%d" % (1 << 40))])),
    "list-quicklist": (7, 14, _quicklist([[b"a", 1], [b"b"], [2, b"c", LONG]]),
                       ("list", [b"a", b"1", b"b", b"2", b"c", LONG])),
    "list-quicklist-lzf": (7, 14, length(1) + lzf(ziplist([b"x" * 400, b"y"])), ("list", [b"x" * 400, b"y"])),
    "hash-listpack": (10, 16, string(listpack(_flat(PAIRS) + [-5, 1 << 40])),
                      _hash([*PAIRS, (b"-5", b"%d" % (1 << 40))])),
    "zset-listpack": (10, 17, string(listpack(_flat([(m, _scored(s)) for m, s in SCORES]))), _zset(SCORES)),
    "list-quicklist-2": (10, 18, _quicklist_2([[b"a", 1], b"alone" * 3000, _MIXED]),
                         ("list", [b"a", b"1", b"alone" * 3000, *_numbers(_MIXED)])),
    "stream": (9, 15, _stream(15), ("stream", _ENTRIES)),
    "stream-2": (10, 19, _stream(19), ("stream", _ENTRIES)),
    "stream-2-empty": (10, 19, stream([], (7, 7), [], 19, deleted=(7, 7), added=9), ("stream", [])),
    "stream-3": (11, 21, _stream(21), ("stream", _ENTRIES)),
    "hash-times": (12, 24, struct.pack("<Q", FAR) + length(3) + _timed([(5000, b"f", b"v"), (0, b"g", b"w"), (1, b"", b"7")]),
                   _hash([(b"f", b"v"), (b"g", b"w"), (b"", b"7")])),
    "hash-times-listpack": (12, 25, struct.pack("<Q", FAR) + string(listpack([b"f", b"v", FAR, b"h", 8, FAR + 7, 1, 2, 0])),
                            _hash([(b"f", b"v"), (b"h", b"8"), (b"1", b"2")])),
    "hash-times-candidate": (12, 22, length(2) + _timed([(FAR, b"f", b"v"), (0, b"g", b"w")]),
                             _hash([(b"f", b"v"), (b"g", b"w")])),
    "hash-times-listpack-candidate": (12, 23, string(listpack([b"f", b"v", FAR, b"g", b"w", 0])),
                                      _hash([(b"f", b"v"), (b"g", b"w")])),
    "set-listpack": (11, 20, string(listpack([*MEMBERS, 5, -70000])), _set([*MEMBERS, 5, -70000])),
}  # fmt: skip


def good_file(version, checksum=True):
    """(bytes, {key: (type, value)}): a file of this version with everything that it can hold."""
    rows = {name: row for name, row in GOOD.items() if row[0] <= version}
    body = aux("redis-ver", "x") + aux("redis-bits", 64) if version >= 7 else b""
    body += select_db(0)
    if version >= 7:
        body += b"\xfb" + length(len(rows)) + length(0)
    for name, (_, kind, value, _) in rows.items():
        body += entry(kind, name, value)
    data = file(body, version, checksum)
    return (data if version >= 5 else data[:-8]), {name.encode(): row[3] for name, row in rows.items()}


def _damaged(data, at, byte):
    return data[:at] + bytes([byte]) + data[at + 1 :]


def _module(name, version=1):
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    number = 0
    for char in name:
        number = number << 6 | alphabet.index(char)
    return b"\x81" + struct.pack(">Q", number << 10 | version)


_ITEMS = length(1) + length(5) + length(4) + b"8 bytes." + length(5) + string(b"text") + length(0)
_NAN = struct.pack("<d", float("nan"))

# name: (version, the bytes in place of a key and value, or None: all of `extra`, ...)
BAD_VALUES = {
    "list-empty": (1, length(0)),
    "set-empty": (2, length(0)),
    "zset-empty": (5, length(0)),
    "hash-empty": (4, length(0)),
    "quicklist-empty": (14, length(0)),
    "listpack-hash-empty": (16, string(listpack([]))),
    "ziplist-hash-empty": (13, string(ziplist([]))),
    "intset-empty": (11, string(struct.pack("<II", 2, 0))),
    "set-twice": (2, strings_of([b"a", b"b", b"a"])),
    "hash-twice": (4, length(2) + b"".join(string(x) for x in (b"f", b"1", b"f", b"2"))),
    "hash-listpack-twice": (16, string(listpack([b"f", 1, b"f", 2]))),
    "hash-ziplist-twice": (13, string(ziplist([b"f", 1, b"f", 2]))),
    "hash-zipmap-twice": (9, string(zipmap([(b"f", b"1"), (b"f", b"2")]))),
    "zset-listpack-twice": (17, string(listpack([b"m", 1, b"m", 2]))),
    "hash-listpack-odd": (16, string(listpack([b"f", 1, b"g"]))),
    "zset-listpack-odd": (17, string(listpack([b"m"]))),
    "zset-nan": (5, length(1) + string(b"m") + _NAN),
    "zset-nan-text": (3, length(1) + string(b"m") + b"\xfd"),
    "intset-unsorted": (11, string(struct.pack("<IIhhh", 2, 3, 1, 3, 2))),
    "intset-twice": (11, string(struct.pack("<IIhh", 2, 2, 1, 1))),
    "intset-width": (11, string(struct.pack("<IIhh", 3, 2, 1, 2))),
    "intset-count": (11, string(struct.pack("<IIhh", 2, 3, 1, 2))),
    "listpack-total": (16, string(_damaged(listpack([b"f", b"v"]), 0, 99))),
    "listpack-entry": (16, string(_damaged(listpack([b"f", b"v"]), 6, 0xBF))),
    "listpack-back": (16, string(_damaged(listpack([b"f", b"v"]), 8, 7))),
    "listpack-end": (16, string(listpack([b"f", b"v"])[:-1] + b"\x00")),
    "listpack-count": (16, string(_damaged(listpack([b"f", b"v"]), 4, 4))),
    "ziplist-total": (10, string(_damaged(ziplist([b"a", b"b"]), 0, 99))),
    "ziplist-tail": (13, string(_damaged(ziplist([b"a", b"b"]), 4, 11))),
    "ziplist-previous": (13, string(_damaged(ziplist([b"a", b"b"]), 13, 9))),
    "ziplist-entry": (13, string(_damaged(ziplist([b"a", b"b"]), 11, 0x3F))),
    "V4073-zipmap-length": (9, string(b"\x01\x01f\xfe\xff\xff\xff\xff\x00v\xff")),
    "zipmap-of-nothing": (9, string(zipmap([]))),
    "zipmap-open": (9, string(b"\x01\x01f\x01\x00v")),
    "quicklist-plain-nothing": (18, length(1) + length(1) + string(b"")),
    "stream-consumer-twice": (
        19,
        stream(
            [],
            (9, 9),
            [stream_group("g", (1, 1), {}, {}, 19)[:-1] + length(2) + (string("c") + bytes(8) + length(0)) * 2],
            19,
        ),
    ),
    "stream-group-twice": (19, stream([], (9, 9), [stream_group("g", (1, 1), {}, {}, 19)] * 2, 19)),
    "stream-CVE-2026-63639-two-owners": (
        19,
        stream(
            [],
            (9, 9),
            [stream_group("g", (1, 1), {(1, 1): (1, 1)}, {b"a": (1, 1, [(1, 1)]), b"b": (1, 1, [(1, 1)])}, 19)],
            19,
        ),
    ),
    "stream-pending-of-nobody": (19, stream([], (9, 9), [stream_group("g", (1, 1), {(1, 1): (1, 1)}, {}, 19)], 19)),
    "stream-claims-nothing": (
        19,
        stream([], (9, 9), [stream_group("g", (1, 1), {}, {b"a": (1, 1, [(1, 1)])}, 19)], 19),
    ),
    "stream-node-damaged": (
        19,
        length(1)
        + stream_node([((5, 1), {b"f": b"v"}, False)])[:-3]
        + b"\x77\x01\xff"
        + length(1)
        + bytes([5, 1, 5, 1, 0, 0, 1, 0]),
    ),
    "stream-node-of-nothing": (19, length(1) + string(bytes(16)) + string(listpack([])) + bytes(9)),
    "stream-nodes-unordered": (19, stream(_NODES[::-1], _LAST, [], 19)),
    "hash-times-empty": (24, bytes(8) + length(0)),
    "hash-times-twice": (24, bytes([1] + [0] * 7) + length(2) + _timed([(1, b"f", b"v"), (2, b"f", b"w")])),
    "hash-times-range": (24, b"\xff" * 8 + length(1) + _timed([(1, b"f", b"v")])),
    "hash-times-listpack-odd": (25, bytes(8) + string(listpack([b"f", b"v", 5, b"g"]))),
    "hash-times-listpack-order": (25, bytes(8) + string(listpack([b"f", b"v", 6, b"g", b"w", 5]))),
    "hash-times-listpack-text": (25, bytes(8) + string(listpack([b"f", b"v", b"soon"]))),
    "string-huge": (0, b"\x81" + b"\x7f" * 8),
    "string-lzf-damaged": (0, b"\xc3" + length(4) + length(30) + b"\xe0\xff\xff\xff"),
    "string-encoding": (0, b"\xc4"),
    "module-old-value": (6, _module("ReJSON-RL") + _ITEMS),
}
# Those that Redis 7.0 accepts: it does not verify what a stream says about itself.
STRICTER = ("stream-nodes-unordered",)


def bad_file(name):
    kind, value = BAD_VALUES[name]
    return file(select_db(0) + string_entry("before", "v") + entry(kind, "the key", value), 12 if kind > 19 else 10)


_ONE = string_entry("a", "b")

# Whole files: name: (bytes, whether a checker accepts them)
FILES = {
    "plain": (file(_ONE), True),
    "nothing": (file(b""), True),
    "version-1": (file(_ONE, 1)[:-8], True),
    "version-4-and-more": (file(_ONE, 4)[:-8] + b"more", True),
    "version-0": (file(_ONE, 0), False),
    "version-13": (file(_ONE, 13), False),
    "no-checksum": (file(_ONE, checksum=False), True),
    "wrong-checksum": (file(_ONE, checksum=7), False),
    "more-behind": (file(_ONE) + b"more", True),
    "no-rdb": (b"SQLite format 3\x00 and so on", False),
    "empty": (b"", False),
    "many-databases": (file(select_db(99) + _ONE), True),
    "opcode": (file(b"\x64" + _ONE), False),
    "expiries": (file(string_entry("a", "b", 5) + b"\xfd" + struct.pack("<I", 77) + _ONE), True),
    "access": (file(b"\xf8" + length(1000) + _ONE + b"\xf9\x07" + string_entry("c", "d")), True),
    "function": (file(b"\xf5" + string("#!lua name=lib\nredis.register_function('f', function() return 1 end)")), True),
    "old-function": (file(b"\xf6" + string("x") + string("LUA") + length(0) + string("return 1")), True),
    "module-value": (file(entry(7, "doc", _module("ReJSON-RL") + _ITEMS)), True),
    "module-data": (file(b"\xf7" + _module("ReJSON-RL") + length(2) + length(1) + _ITEMS), True),
    "module-data-when": (file(b"\xf7" + _module("ReJSON-RL") + length(1) + length(1) + _ITEMS), False),
    **{name: (bad_file(name), False) for name in BAD_VALUES},
    **{f"cut-{at}": (file(aux("x", "y") + select_db(0) + _ONE)[:at], False) for at in range(9, 30)},
}


def write_seeds(directory):
    """Seeds for fuzzers: files, and values as in RESTORE without version and checksum."""
    rdb, restore = Path(directory, "rdb"), Path(directory, "restore")
    for folder in (rdb, restore):
        folder.mkdir(parents=True, exist_ok=True)
    options = bytes(3)  # fuzz_rdb.c reads these first
    for path in (Path(__file__).parents[1] / "data").glob("*.rdb"):
        (rdb / path.name).write_bytes(options + path.read_bytes())
    for version in range(1, 13):
        (rdb / f"version-{version}").write_bytes(options + good_file(version)[0])
    for name, (_, kind, value, _) in GOOD.items():
        (restore / name).write_bytes(bytes([kind]) + value)
        (rdb / name).write_bytes(options + file(entry(kind, "k", value), 12))
    for name, (data, _) in FILES.items():
        (rdb / name).write_bytes(b"\x02" + options[1:] + data)
    for name, (kind, value) in BAD_VALUES.items():
        (restore / name).write_bytes(bytes([kind]) + value)


if __name__ == "__main__":
    write_seeds(sys.argv[1])

"""Builds small RDB files by hand, for fake masters and as damaged files."""

import struct

_POLY = 0x95AC9329AC4BC9B5  # Jones, reflected


def _table():
    rows = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLY if crc & 1 else 0)
        rows.append(crc)
    return rows


_TABLE = _table()


def crc64(data):
    crc = 0
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


def length(count):
    if count < 64:
        return bytes([count])
    if count < 16384:
        return bytes([0x40 | count >> 8, count & 0xFF])
    if count < 1 << 32:
        return b"\x80" + struct.pack(">I", count)
    return b"\x81" + struct.pack(">Q", count)


def string(data):
    data = data if isinstance(data, bytes) else str(data).encode()
    return length(len(data)) + data


def aux(name, value):
    return b"\xfa" + string(name) + string(value)


def select_db(number):
    return b"\xfe" + length(number)


def string_entry(key, value, expire_at_ms=None):
    head = b"" if expire_at_ms is None else b"\xfc" + struct.pack("<q", expire_at_ms)
    return head + b"\x00" + string(key) + string(value)


def dump_payload(body, version=10):
    """A DUMP payload: type byte and value, version, checksum."""
    data = body + struct.pack("<H", version)
    return data + struct.pack("<Q", crc64(data))


def file(body, version=10, checksum=True):
    """A whole file around `body`. checksum: True, False (absent: eight zeros) or a number to write."""
    data = b"REDIS%04d" % version + body + b"\xff"
    if checksum is True:
        return data + struct.pack("<Q", crc64(data))
    return data + struct.pack("<Q", int(checksum))


def strings(databases, stream_db=None, version=10):
    """A file of string keys: {db: {key: value or (value, expire_at_ms)}}."""
    body = aux("redis-ver", "7.0.15") + aux("redis-bits", 64)
    if stream_db is not None:
        body += aux("repl-stream-db", stream_db)
    for number, keys in sorted(databases.items()):
        body += select_db(number)
        for key, value in keys.items():
            value = value if isinstance(value, tuple) else (value, None)
            body += string_entry(key, *value)
    return file(body, version)


# Strings in other forms


def integer(number):
    """A string of digits as 1, 2 or 4 bytes."""
    for kind, form, limit in ((0, "<b", 1 << 7), (1, "<h", 1 << 15), (2, "<i", 1 << 31)):
        if -limit <= number < limit:
            return bytes([0xC0 | kind]) + struct.pack(form, number)
    return string(number)


def wide_string(data, bits):
    """A string whose length is encoded in more bytes than necessary."""
    head = {14: struct.pack(">H", 0x4000 | len(data)), 32: b"\x80" + struct.pack(">I", len(data))}
    return head.get(bits, b"\x81" + struct.pack(">Q", len(data))) + data


def lzf(data):
    """A string compressed with LZF: literal runs, and references to equal bytes within the last 8 KB."""
    out, literals, seen, at = b"", b"", {}, 0

    def flush():
        nonlocal out, literals
        while literals:
            out += bytes([len(literals[:32]) - 1]) + literals[:32]
            literals = literals[32:]

    while at < len(data):
        start = seen.get(data[at : at + 3])
        seen[data[at : at + 3]] = at
        if start is None or at - start > 8191 or at + 3 > len(data):
            literals += data[at : at + 1]
            at += 1
            continue
        size = 3
        while size < 264 and at + size < len(data) and data[start + size] == data[at + size]:
            size += 1
        flush()
        back = at - start - 1
        if size < 9:
            out += bytes([(size - 2) << 5 | back >> 8, back & 0xFF])
        else:
            out += bytes([0xE0 | back >> 8, size - 9, back & 0xFF])
        at += size
    flush()
    return b"\xc3" + length(len(out)) + length(len(data)) + out


# Packed collections; entries are bytes (strings) or int


def _ziplist_entry(item):
    if isinstance(item, bytes):
        if len(item) < 64:
            return bytes([len(item)]) + item
        if len(item) < 16384:
            return struct.pack(">H", 0x4000 | len(item)) + item
        return b"\x80" + struct.pack(">I", len(item)) + item
    if 0 <= item <= 12:
        return bytes([0xF1 + item])
    for code, size in ((0xFE, 1), (0xC0, 2), (0xF0, 3), (0xD0, 4)):
        if -(1 << 8 * size - 1) <= item < 1 << 8 * size - 1:
            return bytes([code]) + item.to_bytes(size, "little", signed=True)
    return b"\xe0" + struct.pack("<q", item)


def ziplist(items):
    body, previous, last = b"", 0, 10
    for item in items:
        head = bytes([previous]) if previous < 254 else b"\xfe" + struct.pack("<I", previous)
        entry = head + _ziplist_entry(item)
        last = 10 + len(body)
        previous = len(entry)
        body += entry
    return struct.pack("<IIH", 11 + len(body), last, len(items)) + body + b"\xff"


def _listpack_entry(item):
    if isinstance(item, bytes):
        if len(item) < 64:
            return bytes([0x80 | len(item)]) + item
        if len(item) < 4096:
            return bytes([0xE0 | len(item) >> 8, len(item) & 0xFF]) + item
        return b"\xf0" + struct.pack("<I", len(item)) + item
    if 0 <= item < 128:
        return bytes([item])
    if -4096 <= item < 4096:
        return bytes([0xC0 | (item & 0x1FFF) >> 8, item & 0xFF])
    for code, size in ((0xF1, 2), (0xF2, 3), (0xF3, 4)):
        if -(1 << 8 * size - 1) <= item < 1 << 8 * size - 1:
            return bytes([code]) + item.to_bytes(size, "little", signed=True)
    return b"\xf4" + struct.pack("<q", item)


def _back_length(size):
    """A length in seven bits per byte, the highest first; all bytes but the first have the top bit set."""
    out = [size & 127 | (128 if size > 127 else 0)]
    while size > 127:
        size >>= 7
        out.append(size & 127 | (128 if size > 127 else 0))
    return bytes(reversed(out))


def listpack(items):
    body = b""
    for item in items:
        entry = _listpack_entry(item)
        body += entry + _back_length(len(entry))
    return struct.pack("<IH", 7 + len(body), len(items)) + body + b"\xff"


def intset(values):
    """An intset: sorted, in the width of the widest element."""
    size, form = next(
        (size, form)
        for size, form in ((2, "h"), (4, "i"), (8, "q"))
        if all(-(1 << 8 * size - 1) <= value < 1 << 8 * size - 1 for value in values)
    )
    return struct.pack(f"<II{len(values)}{form}", size, len(values), *sorted(values))


def zipmap(pairs, free=0):
    """A zipmap in which each value is followed by so many unused bytes."""

    def size(data):
        return bytes([len(data)]) if len(data) < 254 else b"\xfe" + struct.pack("<I", len(data))

    body = b"".join(
        size(field) + field + size(value) + bytes([free]) + value + b"\xaa" * free for field, value in pairs
    )
    return bytes([min(len(pairs), 254)]) + body + b"\xff"


# Keys: the type's number, then the value


def entry(kind, key, value):
    return bytes([kind]) + string(key) + value


def strings_of(items):
    return length(len(items)) + b"".join(string(item) for item in items)


def score_text(score):
    """A score in the format of the oldest sorted sets."""
    special = {float("inf"): b"\xfe", float("-inf"): b"\xff"}
    if score in special:
        return special[score]
    text = b"%.17g" % score
    return bytes([len(text)]) + text


# Streams: nodes of entries (id, {field: value}, deleted), ids as (ms, seq)


def stream_node(entries):
    """A node has the id and fields of its first entry; entries with the same fields do not repeat them."""
    (ms, seq), master = entries[0][0], list(entries[0][1])
    live = sum(not deleted for _, _, deleted in entries)
    items = [live, len(entries) - live, len(master), *master, 0]
    for (entry_ms, entry_seq), pairs, deleted in entries:
        same = list(pairs) == master
        values = list(pairs.values()) if same else [len(pairs), *[x for pair in pairs.items() for x in pair]]
        items += [deleted + 2 * same, entry_ms - ms, entry_seq - seq, *values, len(values) + 3]
    return string(struct.pack(">QQ", ms, seq)) + string(listpack(items))


def stream_id(value):
    return length(value[0]) + length(value[1])


def raw_stream_id(value):
    return struct.pack(">QQ", *value)


def stream_group(name, last, pending, consumers, kind, entries_read=0):
    """pending: {id: (delivery time, deliveries)}; consumers: {name: (seen, active, [ids])}; kind: the value's type."""
    out = string(name) + stream_id(last) + (b"" if kind == 15 else length(entries_read))
    out += length(len(pending))
    for one, (time, deliveries) in pending.items():
        out += raw_stream_id(one) + struct.pack("<q", time) + length(deliveries)
    out += length(len(consumers))
    for consumer, (seen, active, ids) in consumers.items():
        out += string(consumer) + struct.pack("<q", seen) + (struct.pack("<q", active) if kind == 21 else b"")
        out += length(len(ids)) + b"".join(raw_stream_id(one) for one in ids)
    return out


def stream(nodes, last, groups, kind, first=(0, 0), deleted=(0, 0), added=None):
    """A value of type 15, 19 or 21; groups as stream_group() makes them."""
    live = sum(not gone for node in nodes for _, _, gone in node)
    out = length(len(nodes)) + b"".join(stream_node(node) for node in nodes)
    out += length(live) + stream_id(last)
    if kind != 15:
        out += stream_id(first) + stream_id(deleted) + length(live if added is None else added)
    return out + length(len(groups)) + b"".join(groups)

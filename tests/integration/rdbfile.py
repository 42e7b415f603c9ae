"""Builds small RDB files by hand: for fake masters, and for files that are broken on purpose."""

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

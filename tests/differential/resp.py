"""Replies as bytes: where each one ends, and what it contains. Fast, because most replies are only compared as bytes.

A parsed reply is a pair (type byte as text, payload). The payload of an aggregate is a list of replies; that of a map is
flat: key, value, key, value.
"""

AGGREGATES = "*~>%"
BULKS = "$=!"


def encode(args):
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(parts)


def reply_end(data, pos):
    """The position after the reply that starts at pos."""
    waiting = 1
    while waiting:
        waiting -= 1
        line = data.index(b"\r\n", pos)
        kind = data[pos]
        if kind in b"$=!":
            length = int(data[pos + 1 : line])
            pos = line + 2 if length < 0 else line + length + 4
        elif kind in b"*~>":
            waiting += max(0, int(data[pos + 1 : line]))
            pos = line + 2
        elif kind in b"%|":
            waiting += 2 * int(data[pos + 1 : line]) + (kind == ord("|"))
            pos = line + 2
        else:
            pos = line + 2
    return pos


def split(data, count):
    """The bytes of each of `count` replies; nothing may follow them."""
    parts, pos = [], 0
    for _ in range(count):
        end = reply_end(data, pos)
        parts.append(data[pos:end])
        pos = end
    if pos != len(data):
        raise ValueError(f"{len(data) - pos} bytes too many: {data[pos:pos + 100]!r}")
    return parts


def parse(data):
    reply, pos = _parse_at(data, 0)
    if pos != len(data):
        raise ValueError(f"more than one reply: {data[:200]!r}")
    return reply


def _parse_at(data, pos):
    line = data.index(b"\r\n", pos)
    kind, head, pos = chr(data[pos]), data[pos + 1 : line], line + 2
    if kind in BULKS:
        length = int(head)
        return ((kind, None), pos) if length < 0 else ((kind, data[pos : pos + length]), pos + length + 2)
    if kind not in AGGREGATES:
        return (kind, None if kind == "_" else head), pos
    length = int(head) * (2 if kind == "%" else 1)
    if length < 0:
        return (kind, None), pos
    items = []
    for _ in range(length):
        item, pos = _parse_at(data, pos)
        items.append(item)
    return (kind, items), pos


def is_error(reply):
    return reply[0] in "-!"


def is_aggregate(reply):
    return reply[0] in AGGREGATES and reply[1] is not None


def show(reply, limit=300):
    """A reply as text for people."""
    text = _show(reply)
    return text if len(text) <= limit else f"{text[:limit // 2]} ... {text[-limit // 3:]} ({len(text)})"


def _show(reply):
    kind, payload = reply
    if payload is None:
        return f"{kind}-1"
    if kind in AGGREGATES:
        return f"{kind}[" + ", ".join(_show(item) for item in payload) + "]"
    return f"{kind}{payload!r}"[:1] + repr(payload)[1:]

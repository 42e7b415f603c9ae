"""Decides whether two replies count as the same.

Most replies have the same bytes. A rule says what the command leaves open: the order of a set, a clock. Differences
between versions of Redis are in accepted.py, each with a reason.
"""

from accepted import ACCEPTED, CHANGES
from resp import AGGREGATES, is_aggregate, is_error, parse

SLACK_SECONDS = 30  # more than clocks of the two servers differ, even on a busy machine


def exact(mine, theirs):
    return mine == theirs


def alike(mine, theirs, leaf):
    """The same shape, and leaf() accepts all values that are not aggregates."""
    if mine == theirs:
        return True
    if mine[0] in AGGREGATES and mine[0] == theirs[0] and is_aggregate(mine) and is_aggregate(theirs):
        return len(mine[1]) == len(theirs[1]) and all(alike(a, b, leaf) for a, b in zip(mine[1], theirs[1]))
    return leaf(mine, theirs)


# Rules: (mine, theirs, args, leaf) -> bool


def ordered(mine, theirs, _args, leaf):
    return alike(mine, theirs, leaf)


def unordered(mine, theirs, _args, leaf):
    return _same_items(mine, theirs, leaf, 1)


def unordered_pairs(mine, theirs, _args, leaf):
    return _same_items(mine, theirs, leaf, 2)


def _same_items(mine, theirs, leaf, width):
    if not (is_aggregate(mine) and is_aggregate(theirs)) or mine[0] != theirs[0]:
        return alike(mine, theirs, leaf)
    return len(mine[1]) == len(theirs[1]) and alike(_sorted(mine, width), _sorted(theirs, width), leaf)


def _sorted(reply, width):
    """Sorted by the first of each `width` items, which are all different."""
    items = reply[1]
    groups = [items[at : at + width] for at in range(0, len(items), width)]
    return (reply[0], [item for group in sorted(groups, key=lambda group: repr(group[0])) for item in group])


def whole_scan(mine, theirs, args, leaf):
    """A scan that asked for all elements in one reply."""
    if not (is_aggregate(mine) and is_aggregate(theirs)):
        return alike(mine, theirs, leaf)
    width = 2 if args[0].upper() in (b"HSCAN", b"ZSCAN") else 1
    return mine[1][0] == theirs[1][0] and _same_items(mine[1][1], theirs[1][1], leaf, width)


def same_shape(mine, theirs, _args, leaf):
    return is_error(mine) == is_error(theirs) and (mine[1] is None) == (theirs[1] is None)


def random_hash_pick(mine, theirs, args, leaf):
    """All elements of a hash or sorted set, in any order; with values, as pairs."""
    if is_aggregate(mine) and mine[1] and is_aggregate(mine[1][0]):
        return unordered(mine, theirs, args, leaf)
    return _same_items(mine, theirs, leaf, 2 if len(args) > 3 else 1)


def clock_reading(mine, theirs, args, leaf):
    return alike(mine, theirs, _within(SLACK_SECONDS * (1 if args[0].upper() in SECONDS else 1000)))


SECONDS = (b"TTL", b"EXPIRETIME")


def _within(slack):
    def leaf(mine, theirs):
        if mine[0] != ":" or theirs[0] != ":":
            return False
        one, other = int(mine[1]), int(theirs[1])
        return min(one, other) >= 0 and abs(one - other) <= slack

    return leaf


def far_apart_clock(mine, theirs, args, leaf):
    """Idle times and delivery times among other numbers: only large numbers may differ, or times close to now."""
    near = _within(SLACK_SECONDS * 1000)

    def either(a, b):
        return leaf(a, b) or near(a, b)

    return alike(mine, theirs, either)


def stream_info(mine, theirs, args, leaf):
    """The number of nodes of the peer's radix tree is not compared."""
    return far_apart_clock(_without_nodes(mine), _without_nodes(theirs), args, leaf)


def _without_nodes(reply):
    if not is_aggregate(reply):
        return reply
    items = reply[1]
    at = next((at for at, item in enumerate(items) if item[1] == b"radix-tree-nodes"), None)
    return reply if at is None else (reply[0], items[:at] + items[at + 2 :])


def pending(mine, theirs, args, leaf):
    """XPENDING: rows of id, consumer, idle time, count; the summary has no time."""
    rows = mine[1] if is_aggregate(mine) else []
    if len(rows) != len(theirs[1] or []) or not all(is_aggregate(row) and len(row[1]) == 4 for row in rows):
        return alike(mine, theirs, leaf)
    near = _within(SLACK_SECONDS * 1000)
    return all(
        is_aggregate(b) and len(b[1]) == 4 and a[1][:2] + a[1][3:] == b[1][:2] + b[1][3:] and (a[1][2] == b[1][2] or near(a[1][2], b[1][2]))
        for a, b in zip(rows, theirs[1])
    )


def sorting(mine, theirs, args, leaf):
    """SORT: an unsorted set has no order, so LIMIT selects any elements; the same holds for texts of equal weight."""
    upper = [arg.upper() for arg in args]
    got = [args[at + 1] for at, word in enumerate(upper[:-1]) if word == b"GET"]
    if b"ALPHA" in upper and b"STORE" not in upper and set(got) <= {b"#"}:
        mine, theirs = _up_to_zero_bytes(mine), _up_to_zero_bytes(theirs)
    by = args[upper.index(b"BY") + 1] if b"BY" in upper[:-1] else None
    if by is not None and (b"*" not in by or b"ALPHA" in upper):
        if b"LIMIT" in upper or b"GET" in upper:
            return same_shape(mine, theirs, args, leaf)
        return unordered(mine, theirs, args, leaf)
    return alike(mine, theirs, leaf)


def _up_to_zero_bytes(reply):
    """Collation ends at a zero byte, so longer texts come in any order."""
    return (reply[0], [(kind, text.partition(b"\0")[0]) for kind, text in reply[1]]) if is_aggregate(reply) else reply


def geo_search(mine, theirs, args, leaf):
    """Without ASC or DESC the order is undefined, and so is that of places with the same distance; with COUNT, any of
    those may be missing."""
    upper = [arg.upper() for arg in args]
    distances = [_distances(reply, b"WITHDIST" in upper) for reply in (mine, theirs)]
    if b"COUNT" in upper and b"ANY" not in upper:
        return alike(*distances, leaf)
    is_sorted = b"ASC" in upper or b"DESC" in upper
    return unordered(mine, theirs, args, leaf) and (not is_sorted or alike(*distances, leaf))


def _distances(reply, told):
    """The distance of each place, which follows its name; None if the reply has no distances."""
    if not is_aggregate(reply):
        return reply
    return (reply[0], [item[1][1] if told else ("$", b"") for item in reply[1]])


RULES = {
    b"SMEMBERS": unordered,
    b"SINTER": unordered,
    b"SUNION": unordered,
    b"SDIFF": unordered,
    b"KEYS": unordered,
    b"HKEYS": unordered,
    b"HVALS": unordered,
    b"HGETALL": unordered_pairs,
    b"SPOP": unordered,
    b"SRANDMEMBER": unordered,
    b"HRANDFIELD": random_hash_pick,
    b"ZRANDMEMBER": random_hash_pick,
    b"SCAN": whole_scan,
    b"SSCAN": whole_scan,
    b"HSCAN": whole_scan,
    b"ZSCAN": whole_scan,
    b"TTL": clock_reading,
    b"PTTL": clock_reading,
    b"EXPIRETIME": clock_reading,
    b"PEXPIRETIME": clock_reading,
    b"OBJECT IDLETIME": same_shape,  # small numbers are shared there, with the time at which any of them was touched
    b"SORT": sorting,
    b"SORT_RO": sorting,
    b"GEOSEARCH": geo_search,
    b"GEORADIUS": geo_search,
    b"GEORADIUSBYMEMBER": geo_search,
    b"GEORADIUS_RO": geo_search,
    b"GEORADIUSBYMEMBER_RO": geo_search,
    b"XPENDING": pending,
    b"XINFO CONSUMERS": far_apart_clock,
    b"XINFO STREAM": stream_info,
}

CONTAINERS = {b"OBJECT", b"XINFO", b"XGROUP", b"CLIENT", b"COMMAND", b"CONFIG", b"DEBUG", b"PFDEBUG"}


def command_name(args):
    name = args[0].upper()
    return b"%s %s" % (name, args[1].upper()) if name in CONTAINERS and len(args) > 1 else name


class Comparison:
    """Compares replies, and counts accepted differences by reason."""

    def __init__(self, accepted=ACCEPTED):
        self.by_name = {}
        self.general = [entry for entry in accepted if not entry.commands]
        for entry in accepted:
            for name in entry.commands:
                self.by_name.setdefault(name, []).append(entry)
        self.counts = {}
        self.seen = set()  # the names of the commands of this epoch

    def count(self, reason):
        self.counts[reason] = self.counts.get(reason, 0) + 1

    def same(self, args, mine, theirs):
        """Whether the replies of one command, as bytes, are the same."""
        return mine == theirs or self.same_parsed(args, parse(mine), parse(theirs))

    def same_parsed(self, args, mine, theirs):
        name = command_name(args)
        rule = RULES.get(name, ordered)
        if mine == theirs or rule(mine, theirs, args, exact):
            return True
        for entry in self.by_name.get(name, []) + self.general:
            if entry.explains(mine, theirs, args, rule, self.seen):
                self.count(entry.reason)
                return True
        return False

    def same_changes(self, commands, mine, theirs):
        """Whether rdb_changes_since_last_save may have risen by these numbers."""
        for reason, explains in CHANGES:
            if explains(commands, mine, theirs):
                self.count(reason)
                return True
        return False

    def same_exec(self, queue, mine, theirs):
        """The replies of EXEC: None if they are the same, else (args, mine, theirs) of the first that differs."""
        if not (is_aggregate(mine) and is_aggregate(theirs)) or len(mine[1]) != len(theirs[1]) or len(mine[1]) != len(queue):
            return None if mine == theirs else ((b"EXEC",), mine, theirs)
        for args, one, other in zip(queue, mine[1], theirs[1]):
            if not self.same_parsed(args, one, other):
                return args, one, other
        return None

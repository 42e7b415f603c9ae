"""Differences between Lockstep, which answers as Redis 7.2 does, and redis-server 7.0.15: reviewed, each with its reason.

An entry is as narrow as possible. Add one only if the release notes or the tests of Redis show that the later version
answers as this server does; anything else is a fault to be fixed.
"""

import re
from dataclasses import dataclass
from typing import Callable, Optional

from resp import is_error


@dataclass(frozen=True)
class Accepted:
    """One accepted difference. `leaf(mine, theirs)` accepts single values, `reply(mine, theirs, args)` a whole reply.
    `rewrite(mine)` turns our reply into that of 7.0, which the command's rule then compares. With `after`, the entry
    counts only if that command was sent before in the same epoch."""

    reason: str
    commands: tuple
    leaf: Optional[Callable] = None
    reply: Optional[Callable] = None
    rewrite: Optional[Callable] = None
    after: Optional[bytes] = None

    def explains(self, mine, theirs, args, rule, seen):
        if self.after is not None and self.after not in seen:
            return False
        if self.rewrite is not None and rule(self.rewrite(mine), theirs, args, lambda a, b: a == b):
            return True
        if self.reply is not None and self.reply(mine, theirs, args):
            return True
        return self.leaf is not None and rule(mine, theirs, args, self.leaf)


def score_text(mine, theirs):
    """The same number: the peer prints seventeen digits, this server an integer or the digits of repr()."""
    if mine[0] != theirs[0] or mine[0] not in "$," or not mine[1] or not theirs[1]:
        return mine == theirs
    try:
        value = float(mine[1])
    except ValueError:
        return mine == theirs
    if mine == theirs or theirs[1] != b"%.17g" % value:
        return mine == theirs
    whole = abs(value) <= 2.0**62 and mine[1] == b"%d" % value
    return whole or _digits(mine[1]) == _digits(repr(value).encode())


def _digits(text):
    return text.lower().partition(b"e")[0].replace(b".", b"").strip(b"-0")


def without_fields(*names):
    """Removes fields from maps and from flat lists of names and values, at any depth."""

    def rewrite(reply):
        kind, payload = reply
        if kind not in "*%~" or payload is None:
            return reply
        items = [rewrite(item) for item in payload]
        at = 0
        while at + 1 < len(items):
            if items[at][1] in names and items[at][0] in "$+":
                del items[at : at + 2]
            else:
                at += 1
        return kind, items

    return rewrite


def what_replicas_are_told(reply):
    """XINFO STREAM FULL without what 7.0 does not replicate and 7.2 does: how many entries a group has read, and a
    consumer that was named but got nothing."""
    return _without_idle_consumers(without_fields(b"entries-read", b"lag")(reply))


def _without_idle_consumers(reply):
    kind, payload = reply
    if kind not in "*%~" or payload is None:
        return reply
    return kind, [_without_idle_consumers(item) for item in payload if not _is_idle_consumer(item)]


def _is_idle_consumer(reply):
    if reply[0] not in "*%" or reply[1] is None:
        return False
    fields = dict(zip([item[1] for item in reply[1][::2] if item[0] in "$+"], reply[1][1::2]))
    return b"seen-time" in fields and fields.get(b"pel-count") == (":", b"0")


def unlinks_as_deletions(stream):
    """With lazyfree-lazy-server-del, 7.2 sends UNLINK for SPOP, and 7.0 sends DEL."""
    return [(database, b"del" if name == b"unlink" else name, *args) for database, name, *args in stream]


STORES = (b"bitop", b"sort", b"georadius", b"georadiusbymember", b"geosearchstore", b"zrangestore", b"sinterstore", b"sunionstore",
          b"sdiffstore", b"zinterstore", b"zunionstore", b"zdiffstore")  # fmt: skip


def without_told_as_deletions(mine, theirs):
    """Both streams without the deletion of an expired key that an empty result replaces: this server reports that the
    key expired, the peer deletes it with the command."""
    left = list(mine)
    kept = []
    for command in theirs:
        told = [one for one in left if _is_told_as_deletion(one, command) and left.count(one) > theirs.count(one)]
        if told and command not in mine:
            left.remove(told[0])
        else:
            kept.append(command)
    return left, kept


def _is_told_as_deletion(mine, theirs):
    return mine[1] in (b"del", b"unlink") and theirs[1] in STORES and mine[0] == theirs[0] and mine[2] in theirs[2:]


def encoding(names):
    def reply(mine, theirs, args):
        return mine[0] == theirs[0] == "$" and (theirs[1], mine[1]) in names

    return reply


def errors(mine_pattern, theirs_pattern):
    mine_re, theirs_re = (re.compile(pattern.encode(), re.DOTALL) for pattern in (mine_pattern, theirs_pattern))

    def reply(mine, theirs, args):
        return is_error(mine) and is_error(theirs) and bool(mine_re.fullmatch(mine[1]) and theirs_re.fullmatch(theirs[1]))

    return reply


SCORES = (
    b"ZSCORE", b"ZMSCORE", b"ZINCRBY", b"ZADD", b"ZRANGE", b"ZREVRANGE", b"ZRANGEBYSCORE", b"ZREVRANGEBYSCORE",
    b"ZPOPMIN", b"ZPOPMAX", b"ZMPOP", b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP", b"ZUNION", b"ZINTER", b"ZDIFF", b"ZSCAN", b"ZRANDMEMBER",
)  # fmt: skip

# Not sent: BITFIELD ... OVERFLOW FAIL that changes nothing but creates or lengthens the key. This server tells replicas and
# listeners; 7.0 and 7.2 tell nobody, so their replicas differ afterwards. The tables lengthen the string first.
# Not sent: the score -0. A skip list keeps it, a listpack does not, and 7.2 sometimes chooses another encoding than 7.0.


def _last_item(reply):
    """The entries of the last stream in a reply, in RESP2 or RESP3."""
    last = reply[1][-1]
    return last if reply[0] == "%" else last[1][-1]


def reads_newest(args):
    """Whether XREAD has the id + of 7.4."""
    return args[0].upper() == b"XREAD" and b"+" in args


ACCEPTED = (
    Accepted("7.2 prints a score in as few digits as tell it, 7.0 in seventeen", SCORES, leaf=score_text),
    Accepted(
        "7.2 has sets as listpacks, and calls a list of one listpack by its name",
        (b"OBJECT ENCODING",),
        reply=encoding({(b"hashtable", b"listpack"), (b"quicklist", b"listpack")}),
    ),
    Accepted(
        "7.2 chooses the encoding of a set or sorted set by the number of arguments, though some may be the same",
        (b"OBJECT ENCODING",),
        reply=encoding({(b"intset", b"listpack"), (b"intset", b"hashtable"), (b"listpack", b"skiplist")}),
    ),
    Accepted(
        "7.2 chooses the encoding of a hash by the number of arguments, though some may be the same",
        (b"OBJECT ENCODING",),
        reply=encoding({(b"listpack", b"hashtable")}),
    ),
    Accepted(
        "SORT makes a skip list of a small sorted set there; here reading changes nothing",
        (b"OBJECT ENCODING",),
        reply=encoding({(b"skiplist", b"listpack")}),
        after=b"SORT",
    ),
    Accepted(
        "7.2 tells of a consumer when it was active",
        (b"XINFO CONSUMERS", b"XINFO STREAM"),
        rewrite=without_fields(b"inactive", b"active-time"),
    ),
    Accepted(
        "7.2 tells an overflow of a timeout from a negative one",
        (b"BLPOP", b"BRPOP", b"BLMOVE", b"BRPOPLPUSH", b"BLMPOP", b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP"),
        reply=errors("ERR timeout is out of range", "ERR timeout is negative"),
    ),
    Accepted(
        "7.2 tells an overflow of a timeout, 7.0 waits for no time",
        (b"WAIT",),
        reply=lambda mine, theirs, args: mine == ("-", b"ERR timeout is out of range") and theirs[0] == ":",
    ),
    Accepted(
        "7.2 runs a command again that waited for a key which is gone",
        (b"XREADGROUP",),
        reply=errors("NOGROUP No such key .*", "UNBLOCKED the stream key no longer exists|NOGROUP the consumer group this client was blocked on no longer exists"),
    ),
    Accepted(
        "7.2 runs a command again whose stream has changed, 7.0 answers that there is nothing in it",
        (b"XREAD",),
        reply=lambda mine, theirs, args: mine[1] is None and theirs[0] in "*%" and theirs[1] and _last_item(theirs) == ("*", []),
    ),
    Accepted(
        "7.2 names the command, and the id that it may have",
        (b"XREAD", b"XREADGROUP"),
        reply=errors(
            "ERR Unbalanced 'xread(group)?' list of streams: for each stream key an ID or '[$>]' must be specified\\.",
            "ERR Unbalanced XREAD list of streams: for each stream key an ID or '\\$' must be specified\\.",
        ),
    ),
    Accepted(
        "7.4 reads the last entry at the id +",
        (b"XREAD",),
        reply=lambda mine, theirs, args: reads_newest(args)
        and is_error(theirs)
        and theirs[1].startswith(b"ERR Invalid stream ID")
        and (not is_error(mine) or mine[1].startswith(b"WRONGTYPE")),
    ),
    Accepted(
        "7.2 refuses a RANK that cannot be negated",
        (b"LPOS",),
        reply=lambda mine, theirs, args: b"-9223372036854775808" in args
        and mine == ("-", b"ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"),
    ),
)


def consumers_named_in_vain(commands, mine, theirs):
    named = sum(1 for args in commands if args[0].upper() in (b"XREADGROUP", b"XCLAIM", b"XAUTOCLAIM"))
    return 0 < mine - theirs <= 2 * named  # XREADGROUP may name two streams


STORING = {b"BITOP", b"GEOSEARCHSTORE", b"SDIFFSTORE", b"SINTERSTORE", b"SUNIONSTORE"}
STORING |= {b"ZDIFFSTORE", b"ZINTERSTORE", b"ZRANGESTORE", b"ZUNIONSTORE"}
STORING_BY_OPTION = {b"GEORADIUS", b"GEORADIUSBYMEMBER", b"SORT"}


def expired_keys_replaced(commands, mine, theirs):
    """At most one change for each command that stores its result, and deletes the key when the result is empty."""
    names = [args[0].upper() for args in commands]
    return 0 < theirs - mine <= sum(1 for name in names if name in STORING or name in STORING_BY_OPTION)


# Accepted differences of rdb_changes_since_last_save: (reason, function of the commands and both numbers).
CHANGES = (
    ("7.2 makes and counts a consumer that was named but got nothing", consumers_named_in_vain),
    ("they count that an empty result replaces an expired key; here the key has expired, which is no change", expired_keys_replaced),
)

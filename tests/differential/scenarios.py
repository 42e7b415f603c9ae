"""Steps that need more than a batch: loops, other comparisons, or waiting.

Each gets the pair of servers and what the generator chose. The data of both sides are equal afterwards, whatever each
server picked at random.
"""

import time
from collections import Counter

from resp import encode, is_aggregate, is_error, parse, show, split

SCENARIOS = {}
COMMANDS = {b"scan", b"sscan", b"hscan", b"zscan", b"spop", b"srandmember", b"hrandfield", b"zrandmember",
            b"dump", b"restore", b"randomkey"}  # fmt: skip
WAITERS = 3


def scenario(cost):
    def register(function):
        function.cost = cost
        SCENARIOS[function.__name__] = function
        return function

    return register


def _difference(what, text):
    from servers import Difference  # here, because servers imports the generator, which needs the names of the scenarios

    return Difference(what, text)


def _both(pair, *args):
    """Sends one command and compares; returns both parsed replies."""
    replies = [side.ask(*args, link=side.links[0]) for side in pair.sides]
    if not pair.comparison.same_parsed(args, *replies):
        raise _difference(f"reply of {args[0].decode()}", f"{args}\n    here:  {show(replies[0])}\n    there: {show(replies[1])}")
    return replies


@scenario(cost=10)
def scan_loop(pair, command, key, options):
    """A whole iteration in small steps finds every element, whatever the cursors are."""
    found = [_iterate(side, command, key, options) for side in pair.sides]
    if found[0] != found[1]:
        raise _difference(f"loop of {command.decode()}", f"{(command, *key, *options)}: {found[0]} here, {found[1]} there")


def _iterate(side, command, key, options):
    cursor, items = b"0", set()
    for _ in range(100_000):
        reply = side.ask(command, *key, cursor, *options, link=side.links[0])
        if is_error(reply):
            return reply[1]
        cursor, batch = reply[1][0][1], [item[1] for item in reply[1][1][1]]
        items.update(_scanned(command, batch))
        if cursor == b"0":
            return items
    raise _difference("endless scan", f"{(command, *key, *options)} does not end on {side.server.name}")


def _scanned(command, batch):
    if command == b"HSCAN":
        return zip(batch[::2], batch[1::2])
    return ((member, float(score)) for member, score in zip(batch[::2], batch[1::2])) if command == b"ZSCAN" else batch


READ_ALL = {b"SPOP": b"SMEMBERS", b"SRANDMEMBER": b"SMEMBERS", b"HRANDFIELD": b"HGETALL", b"ZRANDMEMBER": b"ZRANGE"}


@scenario(cost=5)
def random_pick(pair, command, key, args):
    """Picked elements exist, and there are as many as requested. What SPOP leaves differs, so it is removed."""
    whole = (READ_ALL[command], key, *((b"0", b"-1", b"WITHSCORES") if command == b"ZRANDMEMBER" else ()))
    before = _both(pair, *whole)
    picked = [side.ask(command, key, *args, link=side.links[0]) for side in pair.sides]
    shapes = [_pick_shape(reply) for reply in picked]
    if shapes[0] != shapes[1]:
        raise _difference(f"pick of {command.decode()}", f"{(command, key, *args)}: {show(picked[0])} here, {show(picked[1])} there")
    for side, old, reply in zip(pair.sides, before, picked):
        if is_aggregate(old) and not is_error(reply):
            _check_pick(side, command, args, old, reply)
    if command == b"SPOP":
        _both(pair, b"SCARD", key)
        for side, old, reply in zip(pair.sides, before, picked):
            _check_left(side, key, old, reply)
        _both(pair, b"DEL", key)
    pair.compare_events()


def _pick_shape(reply):
    """The part of a reply that is not random."""
    if is_aggregate(reply):
        return reply[0], len(reply[1]), len(reply[1][0][1]) if reply[1] and is_aggregate(reply[1][0]) else None
    return reply if is_error(reply) or reply[1] is None else reply[0]


def _flat(reply):
    if not is_aggregate(reply):
        return [] if reply[1] is None else [reply[1]]
    return [payload for item in reply[1] for payload in _flat(item)]


def _pairs_of(reply):
    flat = _flat(reply)
    return list(zip(flat[::2], flat[1::2]))


def _check_pick(side, command, args, old, reply):
    members = _flat(old) if old[0] == "~" or command in (b"SPOP", b"SRANDMEMBER") else [name for name, _ in _pairs_of(old)]
    values = len(args) > 1
    picked = [name for name, _ in _pairs_of(reply)] if values else _flat(reply)
    count = int(args[0]) if args else 1
    expected = min(count, len(members)) if count >= 0 else -count * bool(members)
    ok = len(picked) == expected and set(picked) <= set(members)
    ok = ok and (count < 0 or len(set(picked)) == len(picked))
    ok = ok and (not values or set(_pairs_of(reply)) <= set(_pairs_of(old)))
    if not ok:
        raise _difference(f"pick of {command.decode()}", f"{side.server.name}: {args} of {show(old)} are {show(reply)}")


def _check_left(side, key, old, reply):
    if not is_aggregate(old) or is_error(reply):
        return
    left = _flat(side.ask(b"SMEMBERS", key, link=side.links[0]))
    if Counter(left) + Counter(_flat(reply)) != Counter(_flat(old)):
        raise _difference("pick of SPOP", f"{side.server.name}: of {show(old)} it took {show(reply)} and left {left}")


@scenario(cost=6)
def copy_by_dump(pair, source, target, time_to_live, options):
    """Each side restores the dump of the other side, and its own."""
    dumps = _dumps(pair, source)
    if dumps is None:
        return
    digests = []
    for order in (dumps, dumps[::-1]):
        replies = [side.ask(b"RESTORE", target, time_to_live, dump, *options, link=side.links[0]) for side, dump in zip(pair.sides, order)]
        if replies[0] != replies[1]:
            raise _difference("RESTORE", f"{source} to {target} {time_to_live} {options}: {replies[0]} here, {replies[1]} there; dumps {dumps}")
        digests += [side.must(b"DEBUG", b"DIGEST-VALUE", target, link=side.links[0]) for side in pair.sides]
        if is_error(replies[0]):
            pair.compare_events()
            return
        _both(pair, b"OBJECT", b"ENCODING", target)
    if len({repr(digest) for digest in digests}) > 1:
        raise _difference("dump", f"{source} as {target}: {digests}, dumps {dumps}")
    pair.compare_events()


def _dumps(pair, key):
    replies = [side.ask(b"DUMP", key, link=side.links[0]) for side in pair.sides]
    if (replies[0][1] is None) != (replies[1][1] is None):
        raise _difference("reply of DUMP", f"{key}: {show(replies[0])} here, {show(replies[1])} there")
    return None if replies[0][1] is None else [reply[1] for reply in replies]


@scenario(cost=4)
def expire(pair, keys):
    """Some keys expire. Active expiry is off, so they stay until a command finds them."""
    at = int(time.time() * 1000) + 15
    commands = [(b"PEXPIREAT", key, b"%d" % at) for key in keys]
    replies = pair.exchange(lambda side: side.links[0], commands)
    late = time.time() * 1000 > at - 2
    while time.time() * 1000 < at + 2:
        time.sleep(0.001)
    if late:  # the machine stalled: one side may have seen a time that had passed
        pair.exchange(lambda side: side.links[0], [(b"DEL", *keys)])
        pair.take_events()
        return
    if replies is not None:
        pair.compare(commands, *replies)
    pair.compare_events()


@scenario(cost=2)
def random_key(pair):
    """RANDOMKEY returns an existing key. SCAN first removes expired keys, whose removal would be random."""
    keys = {item[1] for item in _both(pair, b"SCAN", b"0", b"COUNT", b"1000000")[0][1][1][1]}
    for side in pair.sides:
        reply = side.ask(b"RANDOMKEY", link=side.links[0])
        if (reply[1] not in keys) if keys else (reply[1] is not None and reply[0] != "_"):
            raise _difference("pick of RANDOMKEY", f"{side.server.name}: {show(reply)} of {keys}")
    pair.compare_events()


@scenario(cost=1)
def limits(pair, *settings):
    set_limits(pair, dict(settings))


def set_limits(pair, settings):
    """Sets limits on servers and replicas: some of them affect the bytes of a value, and so its digest."""
    for side in pair.sides:
        pair.catch_up(side)
        is_ours = side is pair.mine
        _configure(side, side.control, settings, is_ours)
        if side.replica_link is not None:
            _configure(side, side.replica_link, settings, side.replica_is_ours)


def _configure(side, link, settings, is_ours):
    """Sets a limit; Redis 7.0 has none for listpacks of sets."""
    words = [word for item in settings.items() if is_ours or not item[0].startswith(b"set-max-listpack") for word in item]
    if words:
        side.must(b"CONFIG", b"SET", *words, link=link)


@scenario(cost=20)
def reload(pair):
    """Saves and loads an RDB file; loading leaves expired keys out."""
    for side in pair.sides:
        for number in side.databases():
            side.must(b"SELECT", b"%d" % number)
            side.must(b"SCAN", b"0", b"COUNT", b"1000000")
        side.must(b"DEBUG", b"RELOAD")
    pair.compare_events()
    pair.compare_digests()


@scenario(cost=10)
def blocking(pair, waiting, acting, with_error):
    """Some clients block, in this order; commands follow; then clients that still wait are unblocked."""
    texts = []
    for at, args in enumerate(waiting):
        texts.append([side.tail() for side in pair.sides])
        for side, (text, _) in zip(pair.sides, texts[at]):
            side.waiters[at].send(encode((b"SELECT", b"0")) + encode(args) + encode((b"ECHO", text)))
        for side, ids in zip(pair.sides, pair.waiter_ids):
            _until_settled(side, at, ids[at])
    try:
        pair.run(0, [(b"SELECT", b"0"), *acting], waiting)
    finally:
        ends = [_send_home(pair, at, texts[at], with_error) for at in range(len(waiting))]
    for args, (replies, was_blocked) in zip(waiting, ends):
        if replies[0] == replies[1] and was_blocked[0] != was_blocked[1] or not pair.comparison.same(args, *replies):
            mine, theirs = (show(parse(reply)) for reply in replies)
            raise _difference(f"waiting {args[0].decode()}", f"{args}: {mine} here, {theirs} there; was still blocked: {was_blocked}")
    pair.compare_events(waiting)


def _until_settled(side, at, client):
    """Waits until the client is blocked or has its answer."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        flags = [word for word in side.must(b"CLIENT", b"LIST", b"ID", b"%d" % client, link=side.links[1]).split() if word.startswith(b"flags=")]
        if any(b"b" in word for word in flags):
            return
        data = side.waiters[at].peek()
        if data.count(b"end of batch") or not flags:
            return
        time.sleep(0.0005)
    raise _difference("blocking", f"{side.server.name}: a client is neither blocked nor answered")


def _send_home(pair, at, texts, with_error):
    """Returns the reply of each side's client, and whether it had to be unblocked."""
    was_blocked = []
    for side, ids in zip(pair.sides, pair.waiter_ids):
        how = [b"ERROR"] if with_error else []
        was_blocked.append(side.must(b"CLIENT", b"UNBLOCK", b"%d" % ids[at], *how, link=side.links[1]))
    return [split(side.waiters[at].read_until(tail), 2)[1] for side, (_, tail) in zip(pair.sides, texts)], was_blocked

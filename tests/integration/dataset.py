"""Data sets: one key of every kind, write loads, and the comparison of two servers key by key."""

import random
import threading
import time
from collections import Counter

from harness import OURS, SCALE, Timeout, is_real_redis, wait_for
from wire import Closed, ReplyError, Wire, pairs_to_dict

DATABASES = 16
HOUR_MS = 3_600_000


# Every kind of value


def _members(prefix, count, width=0):
    return [f"{prefix}{number:0{width}d}" for number in range(count)]


def every_encoding():
    """{key: (command, expected encodings)}: one key for each encoding, and unusual contents.

    Two encodings are listed if Redis 7.2 differs from 7.0.
    """
    big = "x" * 3000
    rows = {
        "str:int": (["SET", "12345"], "int"),
        "str:int-min": (["SET", "-9223372036854775808"], "int"),
        "str:not-int": (["SET", "9223372036854775808"], "embstr"),
        "str:leading-zero": (["SET", "007"], "embstr"),
        "str:empty": (["SET", ""], "embstr"),
        "str:embstr": (["SET", "e" * 44], "embstr"),
        "str:raw": (["SET", "r" * 45], "raw"),
        "str:binary": (["SET", bytes(range(256)) * 3], "raw"),
        "str:compressible": (["SET", "abc" * 20000], "raw"),
        "str:incompressible": (["SET", random.Random(7).randbytes(70000)], "raw"),
        "str:1mb": (["SET", random.Random(8).randbytes(1 << 20)], "raw"),
        "list:small": (["RPUSH", "a", "", "-1", "70000", b"\x00\xff"], "quicklist listpack"),
        "list:many": (["RPUSH", *_members("element:", 5000)], "quicklist"),
        "list:big-elements": (["RPUSH", *[f"{n}{big * 4}" for n in range(20)]], "quicklist"),
        "set:intset16": (["SADD", *range(-50, 50)], "intset"),
        "set:intset32": (["SADD", *[n * 100003 for n in range(-50, 50)]], "intset"),
        "set:intset64": (["SADD", *[n * (1 << 56) + n for n in range(-100, 100)]], "intset"),
        "set:small": (["SADD", "a", "b", "", "3", b"\x00"], "hashtable listpack"),
        "set:ints-past-intset": (["SADD", *range(600)], "hashtable"),
        "set:many": (["SADD", *_members("member:", 3000)], "hashtable"),
        "hash:small": (["HSET", "f", "v", "", "empty", "n", "42", "m", "-1"], "listpack"),
        "hash:long-value": (["HSET", "f", "v" * 65], "hashtable"),
        "hash:many": (["HSET", *[x for n in range(2000) for x in (f"field:{n}", f"value:{n}")]], "hashtable"),
        "zset:small": (["ZADD", "1", "a", "-inf", "b", "+inf", "c", "1.5", "d", "0.1", "e", "3e-300", ""], "listpack"),
        "zset:long-member": (["ZADD", "1", "m" * 65], "skiplist"),
        "zset:many": (["ZADD", *[x for n in range(3000) for x in (f"{n * 0.37}", f"member:{n}")]], "skiplist"),
        "stream:few": (["XADD", "1-1", "field", "value", "n", "42", "", b"\x00\xff"], "stream"),
        "stream:later": (["XADD", "MAXLEN", "0", f"{(1 << 64) - 1}-5", "f", "v"], "stream"),
        "zset:same-score": (["ZADD", *[x for n in range(500) for x in ("17179869184.5", f"m{n}")]], "skiplist"),
        b"key\x00with\r\nbinary": (["SET", "v"], "embstr"),
        "k" * 5000: (["SET", "long key"], "embstr"),
    }
    return {key: ([command[0], key, *command[1:]], wanted.split()) for key, (command, wanted) in rows.items()}


def fill_every_encoding(server, databases=(0, 3, 15), expiries=True):
    """Writes one key of every kind into each database; checks the encodings once."""
    rows = every_encoding()
    with server.session(timeout=60) as wire:
        for number in databases:
            wire.call("SELECT", number)
            for key, (command, _) in rows.items():
                wire.call(*command)
            if expiries:
                _fill_expiries(wire)
        wire.call("SELECT", databases[0])
        for key, (_, wanted) in rows.items():
            encoding = wire.call("OBJECT", "ENCODING", key).decode()
            assert encoding in wanted, (key, encoding)


def _fill_expiries(wire):
    now = int(time.time() * 1000)
    wire.call("SET", "ttl:seconds", "v", "EX", 3600)
    wire.call("SET", "ttl:ms", "v", "PX", HOUR_MS + 123)
    wire.call("SET", "ttl:int", "5", "PXAT", now + 2 * HOUR_MS)
    wire.call("SET", "ttl:far", "v", "PXAT", 1 << 45)
    wire.call("SADD", "ttl:set", "a", "b")
    wire.call("PEXPIREAT", "ttl:set", now + HOUR_MS + 7)
    wire.call("ZADD", "ttl:zset", *[x for n in range(300) for x in (n, f"m{n}")])
    wire.call("EXPIRE", "ttl:zset", 5000)
    wire.call("HSET", "ttl:hash", "f", "v")
    wire.call("EXPIREAT", "ttl:hash", now // 1000 + 7000)
    wire.call("RPUSH", "ttl:list", *range(100))
    wire.call("EXPIRE", "ttl:list", 6000)


def fill_strings(server, count, size=100, prefix="key:", database=0):
    """`count` string keys of `size` bytes, quickly."""
    value = "v" * size
    with server.session(60, database) as wire:
        for start in range(0, count, 500):
            batch = range(start, min(start + 500, count))
            for reply in wire.pipeline([("SET", f"{prefix}{number}", value) for number in batch]):
                assert reply == "OK"


# Reading a whole dataset


def _value_command(kind, key):
    return {
        "string": ("GET", key),
        "list": ("LRANGE", key, 0, -1),
        "set": ("SMEMBERS", key),
        "hash": ("HGETALL", key),
        "zset": ("ZRANGE", key, 0, -1, "WITHSCORES"),
        "stream": ("XRANGE", key, "-", "+"),
    }[kind]


def _canonical(kind, reply):
    if kind == "set":
        return sorted(reply)
    if kind == "hash":
        return pairs_to_dict(reply)
    if kind == "zset":  # Redis 7.2 prints the shortest form of a score, 7.0 prints seventeen digits
        return [(member, float(score)) for member, score in zip(reply[::2], reply[1::2])]
    return reply


def _all_keys(wire):
    cursor, keys = b"0", set()
    while True:
        cursor, batch = wire.call("SCAN", cursor, "COUNT", 1000)
        keys.update(batch)
        if cursor == b"0":
            return sorted(keys)


def _in_batches(wire, commands, size=100):
    replies = []
    for start in range(0, len(commands), size):
        replies += wire.pipeline(commands[start : start + size])
    return replies


def read_database(wire, number):
    """{key: (type, value, expiry as absolute ms or -1)} of one database."""
    wire.call("SELECT", number)
    keys = _all_keys(wire)
    kinds = _in_batches(wire, [("TYPE", key) for key in keys])
    expiries = _in_batches(wire, [("PEXPIRETIME", key) for key in keys])
    live = [(key, kind, expiry) for key, kind, expiry in zip(keys, kinds, expiries) if kind != "none"]
    values = _in_batches(wire, [_value_command(kind, key) for key, kind, _ in live], size=20)
    return {key: (kind, _canonical(kind, value), expiry) for (key, kind, expiry), value in zip(live, values)}


def read_everything(server):
    """The contents of all databases that have keys."""
    with server.session(timeout=60) as wire:
        dump = {number: read_database(wire, number) for number in range(DATABASES)}
    return {number: keys for number, keys in dump.items() if keys}


def difference(left, right):
    """The first few differences of two datasets, as text; empty when they are equal."""
    found = []
    for number in sorted(set(left) | set(right)):
        one, other = left.get(number, {}), right.get(number, {})
        for key in sorted(set(one) | set(other)):
            if one.get(key) != other.get(key):
                found.append(f"db {number} {key[:60]!r}: {_short(one.get(key))} != {_short(other.get(key))}")
            if len(found) > 5:
                return found
    return found


def _short(entry):
    text = repr(entry)
    return text if len(text) < 300 else text[:200] + " ... " + text[-80:]


def digest(server):
    return server.call("DEBUG", "DIGEST")


def strict_digest(server):
    """Sees when keys expire, groups and pending entries, too, but only servers of ours have it."""
    return server.call("LOCKSTEP", "DIGEST")


def digests_differ(one, other):
    if digest(one) != digest(other):
        return True
    if "redis" in (one.kind, other.kind) or is_real_redis(OURS):
        return False
    return strict_digest(one) != strict_digest(other)


def assert_same(first, *others, timeout=30.0):
    """Waits until the digests and every key are equal. Keys that are about to expire may need several looks."""
    for other in others:
        found = []

        def equal(peer=other, found=found):
            if digests_differ(first, peer):
                found[:] = ["digests"]
                return False
            found[:] = difference(read_everything(first), read_everything(peer))
            return not found

        try:
            wait_for(equal, timeout)
        except Timeout:
            found = difference(read_everything(first), read_everything(other)) or found
            raise AssertionError(f"{first.name} and {other.name} differ: {found}") from None


# Replication state


def replicate(replica, master):
    """Makes a server follow a server, a proxy or a fake master."""
    assert replica.call("REPLICAOF", "127.0.0.1", master.port) == "OK"


def link_is_up(replica):
    return replica.info("replication").get("master_link_status") == "up"


def wait_link_up(*replicas, timeout=20.0):
    for replica in replicas:
        wait_for(lambda peer=replica: link_is_up(peer), timeout, lambda peer=replica: f"link of {peer.name} to be up")


def wait_link_down(*replicas, timeout=20.0):
    for replica in replicas:
        wait_for(lambda peer=replica: not link_is_up(peer), timeout, lambda peer=replica: f"{peer.name}: link down")


def offset(server):
    return int(server.info("replication")["master_repl_offset"])


def stat(server, name):
    return int(server.info("stats")[name])


def wait_in_sync(master, *replicas, timeout=30.0):
    """Waits until links are up and all offsets are equal. No client may write meanwhile."""
    wait_link_up(*replicas, timeout=timeout)
    for replica in replicas:
        wait_for(
            lambda peer=replica: offset(peer) == offset(master),
            timeout,
            lambda peer=replica: f"{peer.name} at {offset(peer)} to reach {master.name} at {offset(master)}",
        )


# Write loads


class WriteLoad:
    """A thread that writes keys of all types into several databases until stop().

    The seed alone determines the values. Refused writes (during a failover) are counted and not raised; a lost
    connection ends the load unless `reconnect` is set.
    """

    def __init__(
        self, address, seed=1, databases=(0, 3, 9), batch=20, keys=200, rate=None, reconnect=False, short_ttls=True
    ):
        self.address = address
        self.random = random.Random(seed)
        self.databases = databases
        self.batch = batch
        self.keys = keys
        self.rate = rate
        self.reconnect = reconnect
        self.short_ttls = short_ttls
        self.done = 0
        self.errors = Counter()
        self.failure = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def close(self):
        self.stop(check=False)

    def stop(self, check=True):
        self._stop.set()
        self._thread.join(30 * SCALE)
        assert not self._thread.is_alive(), "the write load hangs"
        if check and self.failure:
            raise self.failure

    def wait_done(self, more, timeout=30.0):
        """Waits until that many more commands are answered."""
        goal = self.done + more
        wait_for(lambda: self.done >= goal or self.failure, timeout, f"{more} writes")
        if self.failure:
            raise self.failure

    def _run(self):
        while not self._stop.is_set():
            try:
                with Wire(self.address, timeout=15 * SCALE) as wire:
                    self._write(wire)
            except (Closed, OSError) as err:
                if not self.reconnect:
                    self.failure = err
                    return
                time.sleep(0.02)

    def _write(self, wire):
        while not self._stop.is_set():
            commands = [("SELECT", self.random.choice(self.databases))]
            while len(commands) < self.batch:
                commands += self._one()
            for reply in wire.pipeline(commands):
                self.done += 1
                if isinstance(reply, ReplyError):
                    self.errors[str(reply)[:40]] += 1
            if self.rate:
                self._stop.wait(self.batch / self.rate)

    def _one(self):
        pick = self.random.random()
        if pick < 0.06:
            inner = [command for _ in range(self.random.randrange(1, 4)) for command in self._simple()]
            return [("MULTI",), *inner, ("EXEC",)]
        return self._simple()

    def _key(self, kind):
        return f"load:{kind}:{self.random.randrange(self.keys)}"

    def _value(self):
        rnd = self.random
        pick = rnd.random()
        if pick < 0.3:
            return rnd.randrange(-(10**6), 10**12)
        if pick < 0.95:
            return "v%x" % rnd.getrandbits(rnd.randrange(1, 400))
        return rnd.randbytes(rnd.randrange(1000, 20000))

    def _simple(self):
        kinds = (self._str, self._num, self._list, self._set, self._hash, self._zset, self._stream, self._any_type)
        return [self.random.choice((*kinds, self._any_type))()]

    def _str(self):
        rnd, key = self.random, self._key("str")
        return rnd.choice(
            (
                lambda: ("SET", key, self._value()),
                lambda: ("SET", key, self._value(), "PX", self._ttl()),
                lambda: ("SET", key, self._value(), "KEEPTTL"),
                lambda: ("SETEX", key, 1000, self._value()),
                lambda: ("APPEND", key, self._value()),
                lambda: ("SETRANGE", key, rnd.randrange(200), self._value()),
                lambda: ("SETBIT", key, rnd.randrange(2000), rnd.randrange(2)),
                lambda: ("GETSET", key, self._value()),
                lambda: ("GETEX", key, "EX", 500),
                lambda: ("MSET", key, self._value(), self._key("str"), self._value()),
            )
        )()

    def _num(self):
        key = self._key("num")
        return self.random.choice(
            (
                ("INCR", key),
                ("INCRBY", key, self.random.randrange(-1000, 1000)),
                ("INCRBYFLOAT", key, "0.25"),
                ("DECR", key),
            )
        )

    def _list(self):
        rnd, key = self.random, self._key("list")
        return rnd.choice(
            (
                lambda: ("RPUSH", key, self._value(), self._value(), self._value()),
                lambda: ("LPUSH", key, self._value()),
                lambda: ("LPOP", key),
                lambda: ("RPOP", key, rnd.randrange(1, 4)),
                lambda: ("LTRIM", key, 0, 300),
                lambda: ("LSET", key, 0, self._value()),
                lambda: ("LREM", key, 1, rnd.randrange(100)),
                lambda: ("LMOVE", key, self._key("list"), "LEFT", "RIGHT"),
            )
        )()

    def _set(self):
        rnd, key = self.random, self._key("set")
        return rnd.choice(
            (
                lambda: ("SADD", key, *(rnd.randrange(1000) for _ in range(5))),
                lambda: ("SADD", key, self._value(), self._value()),
                lambda: ("SREM", key, *(rnd.randrange(1000) for _ in range(5))),
                lambda: ("SPOP", key),
                lambda: ("SPOP", key, rnd.randrange(1, 6)),
                lambda: ("SMOVE", key, self._key("set"), rnd.randrange(1000)),
                lambda: ("SUNIONSTORE", self._key("set"), key, self._key("set")),
            )
        )()

    def _hash(self):
        rnd, key = self.random, self._key("hash")
        return rnd.choice(
            (
                lambda: ("HSET", key, f"f{rnd.randrange(300)}", self._value(), f"f{rnd.randrange(300)}", self._value()),
                lambda: ("HDEL", key, f"f{rnd.randrange(300)}"),
                lambda: ("HINCRBY", key, f"n{rnd.randrange(30)}", rnd.randrange(100)),
                lambda: ("HINCRBYFLOAT", key, f"n{rnd.randrange(30)}", "1.5"),
                lambda: ("HSETNX", key, f"f{rnd.randrange(300)}", self._value()),
            )
        )()

    def _zset(self):
        rnd, key = self.random, self._key("zset")
        return rnd.choice(
            (
                lambda: (
                    "ZADD",
                    key,
                    rnd.random(),
                    f"m{rnd.randrange(400)}",
                    rnd.randrange(100),
                    f"m{rnd.randrange(400)}",
                ),
                lambda: ("ZINCRBY", key, "0.1", f"m{rnd.randrange(400)}"),
                lambda: ("ZREM", key, f"m{rnd.randrange(400)}"),
                lambda: ("ZPOPMIN", key),
                lambda: ("ZREMRANGEBYSCORE", key, 0, "0.05"),
                lambda: ("ZUNIONSTORE", self._key("zset"), 2, key, self._key("zset")),
            )
        )()

    def _stream(self):
        rnd, key = self.random, self._key("stream")
        return rnd.choice(
            (
                lambda: ("XADD", key, "*", "item", self._value(), "n", rnd.randrange(100)),
                lambda: ("XADD", key, "MAXLEN", "~", 200, "*", f"f{rnd.randrange(5)}", self._value()),
                lambda: ("XTRIM", key, "MAXLEN", rnd.randrange(300)),
                lambda: ("XGROUP", "CREATE", key, "group", "0", "MKSTREAM"),
                lambda: ("XREADGROUP", "GROUP", "group", f"c{rnd.randrange(4)}", "COUNT", 3, "STREAMS", key, ">"),
                lambda: ("XAUTOCLAIM", key, "group", f"c{rnd.randrange(4)}", 0, "-", "COUNT", 2),
            )
        )()

    def _any_type(self):
        rnd = self.random
        kind = rnd.choice(("str", "list", "set", "hash", "zset", "stream"))
        key, other = self._key(kind), self._key(kind)
        return rnd.choice(
            (
                ("DEL", key),
                ("UNLINK", key, other),
                ("PEXPIRE", key, self._ttl()),
                ("EXPIRE", key, 1000),
                ("PERSIST", key),
                ("RENAME", key, other),
                ("COPY", key, other, "REPLACE"),
                ("MOVE", key, rnd.choice(self.databases)),
            )
        )

    def _ttl(self):
        if self.short_ttls and self.random.random() < 0.3:
            return self.random.randrange(1, 300)
        return self.random.randrange(HOUR_MS, 2 * HOUR_MS)

"""Streams compared with Redis: both servers get the same random commands, valid and invalid, and every reply and event is
compared; the state of groups on replicas, both ways; the shapes of replies; what goes into the replication stream.

The peer is Redis 7.0.15, so changes of 7.2 are left out or made equal first: any command that names a consumer creates
it, XINFO says when it was active, and some errors say more.
"""

import random

import pytest

from dataset import digest, replicate, wait_in_sync, wait_link_up
from hazards import lower, stream_of
from harness import wait_for
from peers import Twins, errors_among
from wire import ReplyError

SEEDS = range(4)
BATCHES, BATCH = 80, 25
SMALL_NODES = ("stream-node-max-entries 4",)
MANY_NODES = ("stream-node-max-bytes 60", "stream-node-max-entries 100")

STREAMS = ["s0", "s1", "s2"]
GROUPS = ["g0", "g1"]
CONSUMERS = ["alice", "bob", "carol"]
# Depends on the time, on inner structure, or is unknown to the peer.
UNLIKE = {b"idle", b"inactive", b"seen-time", b"active-time", b"radix-tree-keys", b"radix-tree-nodes"}


class Generator:
    """Random commands on few streams and groups, so that they meet. Ids are small, so that they often exist."""

    def __init__(self, seed, clock=False):
        self.rnd = random.Random(seed)
        self.clock = clock  # ids from the clock, which differ on the two servers
        self.makers = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("make_")]

    def commands(self):
        made = self.rnd.choice(self.makers)()
        if isinstance(made, list):
            return made
        return [self.damaged(made) if self.rnd.random() < 0.05 else made]

    def damaged(self, command):
        """The command with one argument too many, too few, or misplaced."""
        names = 3 if command[0] in ("XREADGROUP", "XCLAIM", "XAUTOCLAIM") else 0
        kept, args = command[: 1 + names], list(command[1 + names :])
        kind = self.rnd.randrange(3)
        if kind == 0:
            args.insert(
                self.rnd.randrange(len(args) + 1),
                self.rnd.choice(["", "x", "-1", "COUNT", "LIMIT", "~", "*", "IDLE", "FORCE", "$", ">", "STREAMS"]),
            )
        elif kind == 1:
            args.pop(self.rnd.randrange(len(args)))
        else:
            args[self.rnd.randrange(len(args))] = self.rnd.choice(
                [
                    "",
                    "-7",
                    "99999999999999999999",
                    "foo",
                    "(1",
                    "-",
                    "+",
                    "1-",
                    "-1",
                    "1-1-1",
                    "3-*",
                    "0",
                    "007-07",
                    " 4",
                ]
            )
        return (*kept, *args)

    def key(self):
        return self.rnd.choice(["text", "missing"]) if self.rnd.random() < 0.02 else self.rnd.choice(STREAMS)

    def group(self):
        return "nobody's" if self.rnd.random() < 0.02 else self.rnd.choice(GROUPS)

    def consumer(self):
        return self.rnd.choice(CONSUMERS)

    def id(self):
        kind = self.rnd.randrange(12)
        if kind == 0:
            return self.rnd.choice(["0", "0-0", "18446744073709551615-18446744073709551615", "5-18446744073709551615"])
        if kind < 4:
            return str(self.rnd.randrange(60))
        return f"{self.rnd.randrange(60)}-{self.rnd.randrange(4)}"

    def end(self):
        kind = self.rnd.randrange(6)
        return "-+"[kind] if kind < 2 else "(" * (kind == 2) + self.id()

    def count(self):
        return self.rnd.choice([1, 2, 3, 5, 100, 1, 2, 0, -1])

    def options(self, *makers):
        """Each option with some probability, in any order."""
        chosen = [make() for make in makers if self.rnd.random() < 0.35]
        self.rnd.shuffle(chosen)
        return [word for words in chosen for word in words]

    def counted(self):
        return ["COUNT", self.count()]

    def trimming(self):
        rnd = self.rnd
        threshold = rnd.choice([["MAXLEN", rnd.randrange(12)], ["MINID", self.id()]])
        how = rnd.choice([[], ["="], ["~"], ["~"]])
        limit = ["LIMIT", rnd.choice([0, 1, 2, 4, 7, 100])] if how == ["~"] and rnd.random() < 0.5 else []
        return [threshold[0], *how, threshold[1], *limit]

    def pairs(self):
        rnd = self.rnd
        if rnd.random() < 0.5:
            return ["item", rnd.randrange(1000)]  # the same fields as most others
        return [
            word for n in range(rnd.randint(1, 4)) for word in (f"f{rnd.randrange(4)}", rnd.choice(["", n, "v" * 40]))
        ]

    def new_id(self):
        at = self.rnd.randrange(60)
        if self.clock and self.rnd.random() < 0.5:
            return "*"
        return self.rnd.choice([f"{at}-*", f"{at}-*", f"{at}-{self.rnd.randrange(4)}", at])

    # Entries

    def make_xadd(self):
        trim = self.trimming() if self.rnd.random() < 0.15 else []
        no_create = ["NOMKSTREAM"] if self.rnd.random() < 0.1 else []
        return ("XADD", self.key(), *no_create, *trim, self.new_id(), *self.pairs())

    make_xadd2 = make_xadd3 = make_xadd

    def make_run_of_xadds(self):
        """Entries from some id on; most ids of other commands are lower by then."""
        key, at = self.key(), self.rnd.randrange(50)
        return [("XADD", key, f"{at + n}-*", *self.pairs()) for n in range(12)]

    def make_fresh_start(self):
        return ("DEL", self.rnd.choice(STREAMS)) if self.rnd.random() < 0.4 else ("XLEN", self.key())

    def make_xdel(self):
        return ("XDEL", self.key(), *[self.id() for _ in range(self.rnd.randint(1, 6))])

    def make_xtrim(self):
        return ("XTRIM", self.key(), *self.trimming())

    def make_range(self):
        name = self.rnd.choice(["XRANGE", "XREVRANGE"])
        return (name, self.key(), self.end(), self.end(), *self.options(self.counted))

    def make_whole_range(self):
        name, ends = self.rnd.choice([("XRANGE", "-+"), ("XREVRANGE", "+-")])
        return (name, self.key(), *ends)

    def make_xread(self):
        keys = [self.key() for _ in range(self.rnd.randint(1, 3))]
        ids = [self.rnd.choice([self.id(), "0", "$"]) for _ in keys]
        return ("XREAD", *self.options(self.counted), "STREAMS", *keys, *ids)

    def make_xsetid(self):
        if self.rnd.random() < 0.8:
            return ("XLEN", self.key())
        # Greater than the greatest deleted id, which 7.0 does not require.
        at = f"{self.rnd.randrange(60, 66)}-{self.rnd.randrange(4)}"
        added = ["ENTRIESADDED", self.rnd.choice([0, 5, 50, 500])]
        return ("XSETID", self.key(), at, *self.options(lambda: added, lambda: ["MAXDELETEDID", self.id()]))

    def make_other_use(self):
        key = self.rnd.choice(STREAMS)
        return self.rnd.choice(
            [
                ("TYPE", key),
                ("OBJECT", "ENCODING", key),
                ("COPY", key, self.rnd.choice(STREAMS)),
                ("RENAMENX", key, self.rnd.choice(STREAMS)),
                ("HSET", key, "a", "1"),
                ("EXISTS", key),
            ]
        )

    # Groups. All consumers are made at once: when else they come to be is not the same in 7.0.

    def consumers_of(self, key, group):
        return [("XGROUP", "CREATECONSUMER", key, group, name) for name in CONSUMERS]

    def make_group(self):
        key, group = self.key(), self.group()
        position = self.rnd.choice([self.id(), "$", "0", "0"])
        read = ["ENTRIESREAD", self.rnd.choice([-1, 0, 3, 10])]
        options = self.options(lambda: ["MKSTREAM"], lambda: read)
        return [("XGROUP", "CREATE", key, group, position, *options), *self.consumers_of(key, group)]

    make_group2 = make_group

    def make_xgroup(self):
        key, group = self.key(), self.group()
        kind = self.rnd.randrange(6)
        if kind == 0:
            return ("XGROUP", "DESTROY", key, group)
        if kind == 1:
            return [("XGROUP", "DELCONSUMER", key, group, self.consumer()), *self.consumers_of(key, group)]
        read = ["ENTRIESREAD", self.rnd.choice([-1, 0, 3, 10])]
        position = self.rnd.choice([self.id(), "$", "-", "0"])
        return ("XGROUP", "SETID", key, group, position, *self.options(lambda: read))

    def make_xreadgroup(self):
        keys = [self.key() for _ in range(self.rnd.choice([1, 1, 1, 2]))]
        ids = [self.rnd.choice([">", ">", ">", "0", self.id()]) for _ in keys]
        options = self.options(self.counted, lambda: ["NOACK"])
        return ("XREADGROUP", "GROUP", self.group(), self.consumer(), *options, "STREAMS", *keys, *ids)

    make_xreadgroup2 = make_xreadgroup

    def make_xack(self):
        return ("XACK", self.key(), self.group(), *[self.id() for _ in range(self.rnd.randint(1, 4))])

    def make_xpending(self):
        # An idle time that no entry has, or that all have.
        idle = self.rnd.choice([[], [], ["IDLE", 0], ["IDLE", 10**9]])
        who = [self.rnd.choice([*CONSUMERS, "stranger"])] if self.rnd.random() < 0.4 else []
        detail = [*idle, self.end(), self.end(), self.count(), *who] if self.rnd.random() < 0.7 else []
        return ("XPENDING", self.key(), self.group(), *detail)

    def make_xclaim(self):
        ids = [self.id() for _ in range(self.rnd.randint(1, 5))]
        options = self.options(
            lambda: ["IDLE", self.rnd.choice([0, 1000, 10**13, -5])],
            lambda: ["TIME", self.rnd.choice([0, 1000, 10**14, -5])],
            lambda: ["RETRYCOUNT", self.rnd.choice([0, 1, 7])],
            lambda: ["FORCE"],
            lambda: ["JUSTID"],
            lambda: ["LASTID", self.id()],
        )
        return ("XCLAIM", self.key(), self.group(), self.consumer(), self.rnd.choice([0, 10**9, -1]), *ids, *options)

    make_xclaim2 = make_xclaim

    def make_xautoclaim(self):
        start = self.rnd.choice([self.id(), "0", "-", f"({self.id()}"])
        options = self.options(self.counted, lambda: ["JUSTID"])
        return ("XAUTOCLAIM", self.key(), self.group(), self.consumer(), self.rnd.choice([0, 10**9]), start, *options)

    def make_xinfo(self):
        key = self.key()
        full = self.options(lambda: ["FULL", *self.options(self.counted)])
        return self.rnd.choice(
            [
                ("XINFO", "STREAM", key, *full),
                ("XINFO", "STREAM", key, "FULL", "COUNT", 0),
                ("XINFO", "GROUPS", key),
                ("XINFO", "CONSUMERS", key, self.group()),
            ]
        )


# Comparing


def is_named(reply):
    """Whether a list is a map in RESP2."""
    names = {b"radix-tree-keys", b"idle", b"seen-time"}
    return isinstance(reply, list) and any(isinstance(word, bytes) and word in names for word in reply[::2])


def without_unlike(reply):
    if is_named(reply):
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    if isinstance(reply, dict):
        return {name: without_unlike(value) for name, value in reply.items() if name not in UNLIKE}
    return [without_unlike(item) for item in reply] if isinstance(reply, list) else reply


def without_times(full, at):
    """Of XINFO STREAM FULL, times of deliveries left out: they stand before the count."""
    for group in full.get(b"groups", []) if isinstance(full.get(b"groups"), list) else []:
        group = as_map(group)
        for row in [*group[b"pending"], *[row for c in group[b"consumers"] for row in as_map(c)[b"pending"]]]:
            del row[at]
    return full


def as_map(reply):
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


def comparable(command, reply):
    name = str(command[0]).upper()
    if isinstance(reply, ReplyError):
        text = str(reply)
        return ReplyError("ERR Unbalanced") if "Unbalanced" in text else reply
    if name == "XINFO":
        reply = without_unlike(reply)
        return without_times(reply, -2) if isinstance(reply, dict) else reply
    if name == "XPENDING" and isinstance(reply, list) and reply and isinstance(reply[0], list):
        return [[row[0], row[1], row[3]] for row in reply]
    return reply


def reads_newest(command, mine, theirs):
    """The id + is of 7.4: the last entry. 7.0 refuses it; what it would have read is then of the wrong type, or nothing, or
    that one entry."""
    words = [str(word) for word in command]
    if words[0] != "XREAD" or "STREAMS" not in words or not str(theirs).startswith("ERR Invalid stream ID"):
        return False
    named = words[words.index("STREAMS") + 1 :]
    keys, ids = named[: len(named) // 2], named[len(named) // 2 :]
    if "+" not in ids:
        return False
    if isinstance(mine, ReplyError):
        return str(mine).startswith("WRONGTYPE")
    newest = {key.encode() for key, at in zip(keys, ids) if at == "+" and keys.count(key) == 1}
    found = mine.items() if isinstance(mine, dict) else mine or []
    return all(len(entries) == 1 for key, entries in found if key in newest)


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("lines", [(), SMALL_NODES, MANY_NODES], ids=["default", "few-entries", "few-bytes"])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_commands_answer_as_redis_does(farm, seed, lines, proto):
    twins = Twins(farm, *lines, proto=proto)
    twins.ask("CONFIG", "SET", "notify-keyspace-events", "EA")  # the peer looks twice for a key that is not there
    twins.ask("SET", "text", "no stream")
    generator = Generator(f"{seed}-{proto}-{lines}")
    replies = []
    for _ in range(BATCHES):
        replies += twins.compare([c for _ in range(BATCH) for c in generator.commands()], comparable, reads_newest)
    twins.compare_data()
    assert errors_among(replies) < len(replies) * 2 / 3


# Replicas


def everything_about(wire, key, times=True):
    """XINFO STREAM FULL without what is local to a server."""
    full = without_unlike(wire.call("XINFO", "STREAM", key, "FULL", "COUNT", 0))
    return full if times else without_times(full, -2)


def states(server, times=True):
    with server.session() as wire:
        wire.call("HELLO", 3)
        found = {}
        for key in STREAMS:
            if wire.call("TYPE", key) == "stream":
                found[key] = everything_about(wire, key, times)
        return found


class BusyGenerator(Generator):
    """With ids from the clock, and consumers that are created by being named."""

    def __init__(self, seed):
        super().__init__(seed, clock=True)

    def consumer(self):
        return self.rnd.choice([*CONSUMERS, *(f"c{n}" for n in range(20))])

    def consumers_of(self, key, group):
        return []


REPLICAS = {
    "lockstep-to-redis": ("ours", ["redis"]),
    "lockstep-to-lockstep": ("ours", ["ours"]),
    # Redis 7.0 does not replicate everything, so our replica must equal a replica of its own kind.
    "redis-to-both": ("redis", ["redis", "ours"]),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("names", REPLICAS)
def test_X5_replicas_have_the_same_groups(farm, names, seed):
    master_kind, kinds = REPLICAS[names]
    master = farm.server(master_kind, *SMALL_NODES)
    replicas = [farm.server(kind, *(SMALL_NODES if seed % 2 else ())) for kind in kinds]
    generator = BusyGenerator(f"{names}-{seed}")
    with master.session() as wire:
        wire.pipeline([c for _ in range(200) for c in generator.commands()])
        for replica in replicas:
            replicate(replica, master)
        wait_link_up(*replicas)  # so that both have the same snapshot
        for _ in range(20):
            replies = wire.pipeline([c for _ in range(40) for c in generator.commands()])
            assert errors_among(replies) < len(replies)
            wait_in_sync(master, *replicas)
            compared = [*([master] if master_kind == "ours" else []), *replicas]
            wanted = states(compared[0])
            for replica in compared[1:]:
                assert states(replica) == wanted
            assert len({digest(server) for server in compared}) == 1

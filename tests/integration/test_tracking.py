"""Client-side caching: which client is told of which change, on which connection, and when."""

import pytest

from dataset import replicate, wait_in_sync, wait_link_up
from harness import wait_for
from hazards import wait_past_ttl
from wire import Push, ReplyError

CHANNEL = b"__redis__:invalidate"


def invalidation(*keys):
    return Push([b"invalidate", list(keys) or None])


class Tracker:
    """A RESP3 connection that tracks, and the push messages that it gets."""

    def __init__(self, server, *options, on=True):
        self.wire = server.session()
        self.pushed = []
        self.wire.call("HELLO", 3)
        if on:
            self.wire.call("CLIENT", "TRACKING", "ON", *options)

    def __call__(self, *command):
        self.wire.send_command(*command)
        while isinstance(reply := self.wire.read(), Push):
            self.pushed.append(reply)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def told(self):
        """All push messages so far, which precede the reply to a PING."""
        assert self("PING") == "PONG"
        messages, self.pushed = self.pushed, []
        return messages


class Listener:
    """A RESP2 connection to which others redirect."""

    def __init__(self, server):
        self.wire = server.session()
        self.id = self.wire.call("CLIENT", "ID")
        self.wire.call("SUBSCRIBE", CHANNEL)

    def told(self):
        self.wire.send_command("PING")
        messages = []
        while (reply := self.wire.read())[0] != b"pong":
            assert reply[:2] == [b"message", CHANNEL]
            messages.append(reply[2])
        return messages


def refused(client, *command):
    with pytest.raises(ReplyError) as err:
        client(*command)
    return str(err.value)


def keys_of(messages):
    assert all(message[0] == b"invalidate" for message in messages), messages
    return sorted(key for message in messages for key in message[1])


# The default mode


def test_whoever_read_a_key_is_told_once_that_it_changed(server):
    client = Tracker(server)
    server.call("MSET", "a", 1, "b", 2)
    client("MGET", "a", "missing")
    server.call("SET", "b", 3)  # no client caches it
    assert client.told() == []
    server.call("SET", "a", 2)
    server.call("SET", "a", 3)
    server.call("SET", "missing", 1)
    assert client.told() == [invalidation(b"a"), invalidation(b"missing")]
    client("GET", "a")
    server.call("DEL", "a")
    assert client.told() == [invalidation(b"a")]


CHANGES = [
    ("APPEND", "s", "x"),
    ("INCR", "n"),
    ("DEL", "s"),
    ("UNLINK", "s"),
    ("EXPIRE", "s", 100),
    ("PERSIST", "t"),
    ("RENAME", "s", "other"),
    ("RENAME", "other", "s"),
    ("COPY", "other", "s", "REPLACE"),
    ("MOVE", "s", 1),
    ("LPUSH", "l", "x"),
    ("LPOP", "l"),
    ("HSET", "h", "f", "v"),
    ("SORT", "l", "STORE", "s"),
    ("GETDEL", "s"),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: f"{c[0]}-{c[1]}")
def test_every_kind_of_change(server, change):
    server.call("MSET", "s", "text", "n", 1, "other", "x")
    server.call("SET", "t", "text", "EX", 100)
    server.call("RPUSH", "l", 3, 1, 2)
    server.call("HSET", "h", "g", "v")
    client = Tracker(server)
    client("MGET", "s", "n", "t")
    client("LRANGE", "l", 0, -1)
    client("HGETALL", "h")
    server.call(*change)
    wanted = {"n": [b"n"], "t": [b"t"], "l": [b"l"], "h": [b"h"]}.get(change[1], [b"s"])
    if change[0] == "SORT":
        wanted = [b"s"]
    assert keys_of(client.told()) == wanted


def test_a_transaction_is_told_of_behind_its_reply(server):
    client = Tracker(server)
    server.call("MSET", "a", 1, "b", 2)
    client("GET", "a")
    client("MULTI")
    client("INCR", "a")
    client("GET", "b")
    assert client("EXEC") == [2, b"2"]
    assert not client.pushed  # it follows the reply
    assert client.told() == [invalidation(b"a")]


@pytest.mark.parametrize(
    "options",
    [
        (),
        pytest.param(("NOLOOP",), marks=pytest.mark.lockstep_only("not in Redis's default mode, only in broadcasts")),
        ("BCAST", "PREFIX", "lazy", "PREFIX", "active"),
        ("BCAST", "NOLOOP"),
    ],
)
def test_expired_keys(server, options):
    client = Tracker(server, *options)
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    client("SET", "lazy", 1, "PX", 50)
    client("GET", "lazy")
    client.told()
    wait_past_ttl(50)
    assert client("MGET", "other", "lazy") == [None, None]
    assert not client.pushed
    assert client.told() == [invalidation(b"lazy")]
    client("SET", "active", 1, "PX", 50)
    client("GET", "active")
    client.told()
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 1)
    wait_for(lambda: client.told() == [invalidation(b"active")], 10)


def test_evicted_keys(server):
    client = Tracker(server)
    client("SET", "k", "v", "EX", 1000)
    client("GET", "k")
    server.call("CONFIG", "SET", "maxmemory-policy", "volatile-random")
    server.call("CONFIG", "SET", "maxmemory", 1)
    wait_for(lambda: client.told() == [invalidation(b"k")], 10)


@pytest.mark.parametrize("options", [(), ("BCAST",)])
def test_telling_of_evictions_is_no_reason_to_evict_more(server, options):
    clients = [Tracker(server, *options) for _ in range(20)]
    names = [f"{i}:" + "x" * 1000 for i in range(300)]
    for name in names:
        server.call("SET", name, "x")
    for client in clients:
        for name in names:
            client("GET", name)
    server.call("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    for client in clients:  # idle clients have given back their output buffers
        client.told()
    used = int(server.info("memory")["used_memory"])
    server.call("CONFIG", "SET", "maxmemory", used - 40000)
    wait_for(lambda: server.call("DBSIZE") < 300)
    assert server.call("DBSIZE") > 150
    assert clients[0].told()


@pytest.mark.parametrize("flush", ["FLUSHALL", "FLUSHDB"])
def test_a_flush_invalidates_everything(server, flush):
    client, broadcast = Tracker(server), Tracker(server, "BCAST", "PREFIX", "x")
    client("GET", "k")
    server.call(flush)
    assert client.told() == [invalidation()]
    assert broadcast.told() == [invalidation()]
    assert server.info("stats")["tracking_total_keys"] == "0"
    client("MULTI")
    client(flush)
    assert client("EXEC") == ["OK"]
    assert client.told() == [invalidation()]


@pytest.mark.parametrize("options", [(), ("BCAST",), ("BCAST", "PREFIX", "k")])
def test_fault_15_swapdb_invalidates_nothing(server, options):
    """Keys are tracked by name in all databases; none of them changes here."""
    client = Tracker(server, *options)
    server.call("SET", "k", "v")
    client("GET", "k")
    client.told()
    for databases in ((0, 1), (3, 4), (1, 0)):
        server.call("SWAPDB", *databases)
    assert client.told() == []
    server.call("SET", "k", "w")
    assert client.told() == [invalidation(b"k")]


def test_fault_15_a_data_set_that_is_swapped_in_is_told_of_once(farm):
    master, replica = farm.server(), farm.server("ours", "repl-diskless-load swapdb")
    client = Tracker(replica)
    client("GET", "k")
    replicate(replica, master)
    wait_link_up(replica)
    assert client.told() == [invalidation()]


def test_writes_of_a_master_invalidate_what_a_replica_was_asked(farm):
    master, replica = farm.server(), farm.server()
    replicate(replica, master)
    wait_link_up(replica)
    client = Tracker(replica)
    client("GET", "k")
    master.call("SET", "k", "v")
    wait_in_sync(master, replica)
    assert client.told() == [invalidation(b"k")]


def test_the_reply_of_a_command_that_waited_comes_first(server):
    server.call("RPUSH", "to", "a")
    client = Tracker(server)
    client("LRANGE", "to", 0, -1)
    client.wire.send_command("BLMOVE", "from", "to", "LEFT", "LEFT", 0)
    wait_for(lambda: server.info("clients")["blocked_clients"] == "1")
    server.call("RPUSH", "from", "x")
    assert client.wire.read() == b"x"
    assert client.told() == [invalidation(b"to")]


# OPTIN, OPTOUT, NOLOOP


def test_optin(server):
    client = Tracker(server, "OPTIN")
    client("GET", "a")
    client("CLIENT", "CACHING", "YES")
    client("GET", "b")
    client("GET", "c")
    client("CLIENT", "CACHING", "YES")
    client("MULTI")
    client("GET", "d")
    client("GET", "e")
    client("EXEC")
    client("GET", "f")
    server.call("MSET", "a", 1, "b", 1, "c", 1, "d", 1, "e", 1, "f", 1)
    assert keys_of(client.told()) == [b"b", b"d", b"e"]


def test_optout(server):
    client = Tracker(server, "OPTOUT")
    client("GET", "a")
    client("CLIENT", "CACHING", "NO")
    client("GET", "b")
    client("GET", "c")
    server.call("MSET", "a", 1, "b", 1, "c", 1)
    assert keys_of(client.told()) == [b"a", b"c"]


def test_noloop(server):
    client, broadcast = Tracker(server, "NOLOOP"), Tracker(server, "BCAST", "NOLOOP")
    client("MGET", "mine", "theirs")
    client("SET", "mine", 1)
    server.call("SET", "theirs", 1)
    assert client.told() == [invalidation(b"theirs")]
    assert keys_of(broadcast.told()) == [b"mine", b"theirs"]
    broadcast("SET", "own", 1)
    assert broadcast.told() == []


# Broadcasting


def test_broadcast_by_prefixes(server):
    client = Tracker(server, "BCAST", "PREFIX", "user:", "PREFIX", "item:")
    everything = Tracker(server, "BCAST")
    server.call("MULTI")
    for key in ("user:1", "item:1", "user:2", "other", "use", "user:1"):
        server.call("SET", key, 1)
    server.call("EXEC")
    told = sorted(sorted(message[1]) for message in client.told())
    assert told == [[b"item:1"], [b"user:1", b"user:2"]]
    assert keys_of(everything.told()) == [b"item:1", b"other", b"use", b"user:1", b"user:2"]
    client("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "new:")
    server.call("MSET", "new:1", 1, "user:1", 1)
    assert keys_of(client.told()) == [b"new:1", b"user:1"]
    assert server.info("stats")["tracking_total_prefixes"] == "4"
    client.wire.close()
    wait_for(lambda: server.info("stats")["tracking_total_prefixes"] == "1")


# Redirecting


def test_redirect_to_a_subscription(server):
    listener = Listener(server)
    with server.session() as client:
        client.call("CLIENT", "TRACKING", "ON", "REDIRECT", listener.id)
        client.call("MGET", "a", "b")
        server.call("MSET", "a", 1, "b", 1)
        assert listener.told() == [[b"a"], [b"b"]]
        client.call("GET", "a")
        server.call("FLUSHALL")
        assert listener.told() == [None]
        line = next(x for x in server.call("CLIENT", "LIST").decode().splitlines() if " flags=t " in x)
        assert f"redir={listener.id} " in line


def test_redirect_to_one_that_goes(server):
    listener = Listener(server)
    client = Tracker(server, "REDIRECT", listener.id)
    client("GET", "k")
    listener.wire.close()
    wait_for(lambda: f"id={listener.id} " not in server.call("CLIENT", "LIST").decode())
    server.call("SET", "k", 1)
    assert client.told() == [Push([b"tracking-redir-broken", listener.id])]
    assert set(client("CLIENT", "TRACKINGINFO")[b"flags"]) == {b"on", b"broken_redirect"}
    assert " flags=tR " in client("CLIENT", "INFO").decode()


def test_a_resp2_connection_is_told_nothing_itself(server):
    with server.session() as client:
        client.call("CLIENT", "TRACKING", "ON")
        client.call("GET", "k")
        server.call("SET", "k", 1)
        assert client.at_rest()
        assert client.call("GET", "k") == b"1"
        client.call("HELLO", 3)
        server.call("SET", "k", 2)
        assert client.read() == invalidation(b"k")


def test_pushes_pass_a_muted_connection(server):
    client = Tracker(server)
    client("GET", "k")
    client.wire.send_command("CLIENT", "REPLY", "OFF")
    wait_for(lambda: "cmd=client|reply" in server.call("CLIENT", "LIST").decode())
    server.call("SET", "k", 1)
    assert client.wire.read() == invalidation(b"k")


# The table


def test_the_table_is_bounded(server):
    client = Tracker(server)
    server.call("CONFIG", "SET", "tracking-table-max-keys", 10)
    for i in range(50):
        client("GET", f"k{i}")
    wait_for(lambda: server.info("stats")["tracking_total_keys"] == "10")
    assert len(set(keys_of(client.told()))) == 40
    server.call("CONFIG", "SET", "tracking-table-max-keys", 1)
    wait_for(lambda: server.info("stats")["tracking_total_keys"] == "1")
    assert len(keys_of(client.told())) == 9
    server.call("CONFIG", "SET", "tracking-table-max-keys", 0)
    client("MGET", *(f"k{i}" for i in range(50)))
    assert server.info("stats")["tracking_total_items"] == "50"


def test_switched_off_it_says_nothing(server):
    client = Tracker(server)
    client("GET", "k")
    client("CLIENT", "TRACKING", "OFF")
    server.call("SET", "k", 1)
    client("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "x")
    client("GET", "k")
    server.call("SET", "k", 2)
    assert client.told() == []
    client("RESET")
    assert server.info("clients")["tracking_clients"] == "0"
    assert server.info("stats")["tracking_total_prefixes"] == "0"


def test_info(server):
    clients = [Tracker(server), Tracker(server), Tracker(server, "BCAST", "PREFIX", "p")]
    for client in clients[:2]:
        client("MGET", "a", "b")
    stats = server.info("stats")
    assert [stats["tracking_total_" + name] for name in ("keys", "items", "prefixes")] == ["2", "4", "1"]
    assert server.info("clients")["tracking_clients"] == "3"


# What CLIENT answers


def test_trackinginfo_and_getredir(server):
    client, listener = Tracker(server, on=False), Listener(server)

    def state():
        info = client("CLIENT", "TRACKINGINFO")
        assert client("CLIENT", "GETREDIR") == info[b"redirect"]
        return set(info[b"flags"]), info[b"redirect"], sorted(info[b"prefixes"])

    assert state() == ({b"off"}, -1, [])
    client("CLIENT", "TRACKING", "ON", "NOLOOP", "REDIRECT", listener.id)
    assert state() == ({b"on", b"noloop"}, listener.id, [])
    client("CLIENT", "TRACKING", "ON", "OPTIN")
    assert state() == ({b"on", b"optin"}, 0, [])
    client("CLIENT", "CACHING", "YES")
    assert set(client("CLIENT", "TRACKINGINFO")[b"flags"]) == {b"on", b"optin", b"caching-yes"}
    client("PING")
    assert state() == ({b"on", b"optin"}, 0, [])
    client("CLIENT", "TRACKING", "OFF")
    client("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "b", "PREFIX", "a")
    assert state() == ({b"on", b"bcast"}, 0, [b"a", b"b"])
    assert " flags=tB " in client("CLIENT", "INFO").decode()


def test_errors(server):
    client = Tracker(server, on=False)

    def error(*args):
        return refused(client, "CLIENT", *args)

    assert error("TRACKING", "MAYBE") == "ERR syntax error"
    assert error("TRACKING", "ON", "FAST") == "ERR syntax error"
    assert error("TRACKING", "ON", "REDIRECT") == "ERR syntax error"
    assert error("TRACKING", "ON", "PREFIX", "a") == "ERR PREFIX option requires BCAST mode to be enabled"
    assert error("TRACKING", "ON", "REDIRECT", 99999) == "ERR The client ID you want redirect to does not exist"
    assert error("TRACKING", "ON", "BCAST", "OPTIN") == "ERR OPTIN and OPTOUT are not compatible with BCAST"
    assert error("TRACKING", "ON", "OPTIN", "OPTOUT") == "ERR You can't specify both OPTIN mode and OPTOUT mode"
    overlap = "Prefixes for a single client must not overlap."
    assert error("TRACKING", "ON", "BCAST", "PREFIX", "ab", "PREFIX", "a") == (
        f"ERR Prefix 'ab' overlaps with another provided prefix 'a'. {overlap}"
    )
    client("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "ab")
    assert error("TRACKING", "ON", "BCAST", "PREFIX", "abc") == (
        f"ERR Prefix 'abc' overlaps with an existing prefix 'ab'. {overlap}"
    )
    assert error("TRACKING", "ON").startswith("ERR You can't switch BCAST mode on/off before disabling")
    assert error("CACHING", "YES").startswith("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN")
    client("CLIENT", "TRACKING", "OFF")
    assert error("CACHING", "YES").startswith("ERR CLIENT CACHING can be called only when the client is in tracking")
    client("CLIENT", "TRACKING", "ON", "OPTIN")
    assert error("TRACKING", "ON", "OPTOUT").startswith("ERR You can't switch OPTIN/OPTOUT mode before disabling")
    assert error("CACHING", "NO").startswith("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT")
    assert error("CACHING", "MAYBE") == "ERR syntax error"

"""The secret of the key hash: replicas get it with their data set, nobody else does; SCAN goes on after a promotion."""

import hashlib
import threading

import pytest

from dataset import assert_same, fill_every_encoding, fill_strings, link_is_up, replicate, wait_in_sync, wait_link_up
from fakes import FakeReplica
from harness import wait_for
from proxy import Proxy
from wire import Closed

pytestmark = pytest.mark.lockstep_only("a secret that replicas share with their master")

CAPABILITIES = ("eof", "psync2", "lockstep-verify")


def secret_of(server):
    """As a replica that can take it is told it."""
    with FakeReplica(server) as fake:
        fake.handshake(CAPABILITIES)
        assert fake.psync() == "FULLRESYNC"
        assert len(fake.secret) == 32
        return fake.secret


def hash_info(server):
    rows = server.info("replication")
    return rows["key_hash_secret"], rows["key_hash_fingerprint"]


def fingerprint(secret):
    digest = hashlib.sha256(b"lockstep fingerprint 1:" + bytes.fromhex(secret)).digest()
    return digest[7::-1].hex()


def spread(server, *others):
    """All have the same secret, and say that they know it."""
    secret = secret_of(server)
    assert hash_info(server) == ("known", fingerprint(secret))
    for other in others:
        assert hash_info(other) == ("known", fingerprint(secret))
        assert secret_of(other) == secret
    return secret


@pytest.mark.parametrize("load", ["disabled", "on-empty-db", "swapdb"])
@pytest.mark.parametrize("diskless", ["yes", "no"], ids=["socket", "file"])
def test_replicas_and_chains_share_it(farm, load, diskless):
    lines = (f"repl-diskless-load {load}", f"repl-diskless-sync {diskless}")
    master, replica, chained = farm.server("ours", *lines), farm.server("ours", *lines), farm.server("ours", *lines)
    other = farm.server("ours", *lines)
    assert len({secret_of(one) for one in (master, replica, chained, other)}) == 4
    fill_every_encoding(master)
    replicate(replica, master)  # an empty data set is replaced
    wait_link_up(replica)
    replicate(chained, replica)
    wait_link_up(replica, chained)
    first = spread(master, replica, chained)
    fill_strings(other, 500, prefix="other:")
    replicate(replica, other)  # a full data set is replaced; the chained replica follows
    wait_link_up(replica)
    wait_for(lambda: link_is_up(chained) and chained.call("DBSIZE") == 500, 20, "the chained replica to follow")
    wait_in_sync(other, replica, chained)
    assert spread(other, replica, chained) != first
    assert_same(other, replica, chained)
    chained.call("REPLICAOF", "NO", "ONE")
    assert hash_info(chained) == hash_info(other)


def test_it_stays_over_partial_resyncs_and_promotions(farm):
    master = farm.server()
    fill_strings(master, 100)
    first, second = (farm.server("ours", f"replicaof 127.0.0.1 {master.port}") for _ in range(2))
    wait_link_up(first, second)
    secret = spread(master, first, second)
    first.call("REPLICAOF", "NO", "ONE")
    for server in (second, master):
        replicate(server, first)
    wait_link_up(second, master)
    assert spread(first, second, master) == secret
    assert first.info("stats")["sync_partial_ok"] != "0"


@pytest.mark.parametrize("kind, told", [("redis", False), ("ours", True)])
def test_redis_replicas_never_see_it(farm, kind, told):
    master = farm.server()
    fill_strings(master, 100)
    relay = farm.helper(Proxy(master.address, record=True))
    replica = farm.server(kind)
    replica.call("REPLICAOF", "127.0.0.1", relay.port)
    wait_link_up(replica)
    master.call("SET", "later", "v")
    wait_in_sync(master, replica)
    assert_same(master, replica)
    (line,) = (line for line in bytes(relay.recorded).split(b"\r\n") if b"+FULLRESYNC" in line)
    assert len(line.split()) == (4 if told else 3)
    secret = secret_of(master)
    assert (secret.encode() in relay.recorded) == told
    assert bytes.fromhex(secret) not in relay.recorded


def test_the_data_set_of_a_redis_master_has_no_known_secret(farm):
    master = farm.server("redis")
    fill_every_encoding(master)
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_link_up(replica)
    wait_in_sync(master, replica)
    assert hash_info(replica)[0] == "unknown"
    chained = farm.server("ours", f"replicaof 127.0.0.1 {replica.port}")
    wait_link_up(chained)
    assert hash_info(chained) == ("known", hash_info(replica)[1])  # what it becomes if the replica is promoted
    replica.call("REPLICAOF", "NO", "ONE")
    wait_link_up(chained)
    spread(replica, chained)


class Watcher:
    """Keeps everything that MONITOR shows."""

    def __init__(self, server):
        self.wire = server.wire()
        assert self.wire.call("MONITOR") == "OK"
        self.text = bytearray()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while True:
                self.text += str(self.wire.read()).encode()
        except (OSError, Closed):
            pass

    def end(self):
        self.wire.sock.shutdown(2)
        self.thread.join(10)
        self.wire.close()
        return bytes(self.text)


def texts_of(secret):
    """The forms in which it, or a seed derived from it, might be shown."""
    raw = bytes.fromhex(secret)
    texts = {raw, secret.encode(), secret.upper().encode()}
    for label in (b"lockstep hash of keys 1:", b"lockstep hash of elements 1:"):
        seed = hashlib.sha256(label + raw).digest()[:8]
        number = int.from_bytes(seed, "little")
        texts |= {seed, seed[::-1], b"%d" % number, b"%x" % number, b"%016x" % number, seed.hex().encode()}
    return texts


def everything_asked(server):
    replies = [
        server.ask(*command.split())
        for command in (
            "INFO everything debug",
            "CONFIG GET *",
            "CLIENT LIST",
            "ROLE",
            "MEMORY STATS",
            "MEMORY DOCTOR",
            "SLOWLOG GET 100",
            "LATENCY LATEST",
            "ACL LOG",
            "DEBUG HTSTATS 0",
            "DEBUG OBJECT key:1",
            "COMMAND DOCS",
        )
    ]
    return repr(replies).encode()


def files_of(server):
    for path in sorted(server.directory.rglob("*")):
        if path.is_file():
            yield path


def test_it_is_shown_nowhere(farm):
    """Neither it nor what is derived from it, but for the fingerprint, in any log, file or answer."""
    lines = ("loglevel debug", "appendonly yes", "slowlog-log-slower-than 0", "appendfsync always")
    master, replica = farm.server("ours", *lines), farm.server("ours", *lines)
    fill_every_encoding(master)
    watchers = [Watcher(master), Watcher(replica)]
    replicate(replica, master)
    wait_link_up(replica)
    secret = spread(master, replica)
    master.call("SET", "key:1", "watched by monitor")
    wait_in_sync(master, replica)
    for server in (master, replica):
        for command in ("SAVE", "BGREWRITEAOF", "CONFIG REWRITE", "DEBUG RELOAD"):
            server.ask(*command.split())
        wait_for(lambda: server.info("persistence")["aof_rewrite_in_progress"] == "0", 20, "the rewrite to end")  # noqa: B023
    shown = {f"MONITOR of {i}": watcher.end() for i, watcher in enumerate(watchers)}
    assert all(b"watched by monitor" in text for text in shown.values())
    for server in (master, replica):
        shown[f"answers of {server.name}"] = everything_asked(server)
        for path in files_of(server):
            shown[str(path)] = path.read_bytes()
    assert any("dump.rdb" in name for name in shown) and any(".aof" in name for name in shown)
    for name, content in shown.items():
        for text in texts_of(secret):
            if name.endswith(".lineage") and text == secret.encode():
                assert text in content  # the one file that keeps it
            else:
                assert text not in content, name


# SCAN


def scan_some(server, command, cursor, seen, until, step=1):
    """Goes on from the cursor until it is 0 or enough was seen. Returns the cursor."""
    while True:
        cursor, items = server.call(*command, cursor, "COUNT", 7)
        seen.update(items[::step])
        if cursor == b"0" or len(seen) >= until:
            return cursor


@pytest.mark.parametrize(
    "command, fill, step",
    [
        (("SCAN",), lambda i: ("SET", f"stays:{i}", i), 1),
        (("SSCAN", "s"), lambda i: ("SADD", "s", f"stays:{i}"), 1),
        (("HSCAN", "h"), lambda i: ("HSET", "h", f"stays:{i}", i), 2),
        (("ZSCAN", "z"), lambda i: ("ZADD", "z", i, f"stays:{i}"), 2),
    ],
    ids=["keys", "set", "hash", "zset"],
)
def test_a_scan_goes_on_after_a_promotion(farm, command, fill, step):
    """Every key that was there all the time is returned, whatever the sizes of the tables were on either side."""
    count = 3000
    master = farm.server()
    wire = master.session()
    for i in range(count):
        wire.call(*fill(i))
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_link_up(replica)
    for i in range(4000):
        wire.call("SET", f"comes:{i}", "v")
    seen = set()
    cursor = scan_some(master, command, 0, seen, count // 3, step)
    for i in range(4000):
        wire.call("DEL", f"comes:{i}")
    cursor = scan_some(master, command, cursor, seen, count // 2, step)
    assert cursor != b"0"
    wait_in_sync(master, replica)
    wire.close()
    master.kill()
    replica.call("REPLICAOF", "NO", "ONE")
    for i in range(2000):
        replica.call("SET", f"new:{i}", "v")
    before = len(seen)
    assert scan_some(replica, command, cursor, seen, 1 << 30, step) == b"0"
    assert {f"stays:{i}".encode() for i in range(count)} <= seen
    assert before < count

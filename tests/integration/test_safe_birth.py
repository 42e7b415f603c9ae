"""Safe birth: a master that comes up without its data does not wipe the replicas that have them."""

import time

import pytest

from dataset import fill_strings, wait_in_sync, wait_link_down, wait_link_up
from ha import SWIFT, HaSetup, swift
from harness import wait_for
from wire import ReplyError

pytestmark = pytest.mark.lockstep_only("the lineage file")


def remembers(server, *names):
    """Whether the lineage file tells of keys and has lines of these names."""
    path = server.directory / f"dump-{server.port}.lineage"
    lines = path.read_text().splitlines() if path.exists() else ["keys 0"]
    words = dict(line.split(" ", 1) for line in lines)
    return int(words["keys"]) > 0 and set(names) <= set(words)


def call_error(server, *args):
    with server.wire() as wire, pytest.raises(ReplyError) as refused:
        wire.call(*args)
    return str(refused.value)


def known_master(farm, *lines, sentinel=True):
    """A master without persistence, whose lineage file knows keys, a replica, and perhaps a sentinel."""
    master = farm.server("ours", 'save ""', *lines)
    replica = farm.server("ours", 'save ""', f"replicaof 127.0.0.1 {master.port}")
    wait_link_up(replica)
    fill_strings(master, 10)
    wait_in_sync(master, replica)
    if sentinel:
        with master.wire() as wire:
            wire.call("CLIENT", "SETNAME", "sentinel-abcdef12-cmd")
    wait_for(lambda: remembers(master, "replica", *(["sentinel"] if sentinel else [])), 10)
    return master, replica


def restart_empty(master, how="terminate"):
    getattr(master, how)()
    master.start(ready=False)
    wait_for(lambda: "role" in master.info("replication"), 15, retry_on=(OSError,))


def writes(server):
    rows = server.info("replication")
    return rows["writes"], rows["writes_refused_because"]


def test_a_refused_master_until_the_empty_data_set_is_accepted(farm):
    master, replica = known_master(farm)
    restart_empty(master)
    assert writes(master) == ("refused", "came-up-empty")
    assert master.log_contains("had 10 keys, which nobody flushed, and 1 replicas when it ended")
    assert call_error(master, "SET", "a", "b").startswith("NOWRITES ")
    assert call_error(master, "EVAL", "return redis.call('set', 'a', 'b')", "0").find("NOWRITES") >= 0
    assert call_error(master, "PING").startswith("NOWRITES ")
    assert call_error(master, "PSYNC", "?", "-1").startswith("NOMASTERLINK ")
    assert call_error(master, "SYNC").startswith("NOMASTERLINK ")
    assert master.call("GET", "a") is None
    # No balancer and no client takes it for a master; sentinels do.
    assert master.info("replication")["role"] == "slave"
    assert master.call("ROLE")[0] == b"slave"
    with master.wire() as wire:
        wire.call("CLIENT", "SETNAME", "sentinel-abcdef12-cmd")
        assert wire.call("ROLE")[0] == b"master"
        assert b"role:master" in wire.call("INFO", "replication")
    # The replica keeps what it has, and so it does over another restart of the master.
    wait_for(lambda: replica.log_contains("NOWRITES"), 10)
    restart_empty(master, "kill")
    assert writes(master)[0] == "refused"
    wait_link_down(replica)
    assert replica.call("DBSIZE") == 10
    assert call_error(master, "LOCKSTEP", "ACCEPT", "LOSS") == "ERR syntax error"
    assert master.call("LOCKSTEP", "ACCEPT", "EMPTY") == "OK"
    assert call_error(master, "LOCKSTEP", "ACCEPT", "EMPTY").startswith("ERR ")
    assert writes(master) == ("open", "")
    assert master.call("SET", "a", "b") == "OK"
    wait_link_up(replica)
    wait_in_sync(master, replica)
    assert replica.call("DBSIZE") == 1


def test_what_was_accepted_is_remembered(farm):
    master, _ = known_master(farm)
    restart_empty(master)
    assert master.call("LOCKSTEP", "ACCEPT", "EMPTY") == "OK"
    restart_empty(master, "kill")
    assert writes(master) == ("open", "")


def test_following_another_server_ends_it(farm):
    master, replica = known_master(farm)
    restart_empty(master)
    assert replica.call("REPLICAOF", "NO", "ONE") == "OK"
    assert master.call("REPLICAOF", "127.0.0.1", replica.port) == "OK"
    wait_link_up(master)
    assert master.call("DBSIZE") == 10
    assert master.call("REPLICAOF", "NO", "ONE") == "OK"
    assert master.call("SET", "a", "b") == "OK"


@pytest.mark.parametrize("policy, refused", [("auto", False), ("yes", True), ("no", False)])
def test_without_sentinels(farm, policy, refused):
    master, _ = known_master(farm, f"safe-birth {policy}", sentinel=False)
    restart_empty(master)
    assert writes(master)[0] == ("refused" if refused else "open")
    assert master.log_contains("It saw no sentinels") == (policy == "auto")
    master.config_set("safe-birth", "no")
    assert writes(master)[0] == "open"
    assert master.call("SET", "a", "b") == "OK"


def test_a_cache_without_replicas_notices_nothing(farm):
    cache = farm.server("ours", 'save ""')
    with cache.wire() as wire:
        wire.call("CLIENT", "SETNAME", "sentinel-abcdef12-cmd")
    fill_strings(cache, 10)
    wait_for(lambda: remembers(cache, "sentinel"), 10)
    restart_empty(cache)
    assert writes(cache) == ("open", "")
    assert not cache.log_contains("which nobody flushed, and")


def test_flushed_or_expired_is_not_lost(farm):
    master, _ = known_master(farm, "save 3600 1")
    assert master.call("FLUSHALL") == "OK"
    restart_empty(master)
    assert writes(master)[0] == "open"
    assert master.call("SET", "brief", "x", "PX", "1000") == "OK"
    time.sleep(0.1)  # some of its time is over before the shutdown, which saves it
    master.terminate()
    time.sleep(1)
    master.start()
    assert master.call("DBSIZE") == 0
    assert writes(master)[0] == "open"


def lose_everything(master):
    """Restarts it without data and without memory, as in a container without a volume."""
    master.kill()
    (master.directory / f"dump-{master.port}.lineage").unlink(missing_ok=True)
    master.start()
    wait_for(lambda: master.info("replication")["role"] == "master", 15)


def sentinel_names(server):
    with server.wire() as wire:
        wire.call("CLIENT", "SETNAME", "sentinel-abcdef12-cmd")


@pytest.mark.parametrize("way", ["disabled", "on-empty-db", "swapdb"])
@pytest.mark.parametrize("kind", ["ours", "redis"])
def test_a_replica_keeps_its_data_from_an_empty_master(farm, kind, way):
    master = farm.server(kind, 'save ""')
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}", f"repl-diskless-load {way}", "appendonly yes")
    wait_link_up(replica)
    sentinel_names(replica)
    fill_strings(master, 10)
    wait_in_sync(master, replica)
    lose_everything(master)
    wait_for(lambda: replica.info("replication")["empty_master_refused"] == "1", 20)
    assert replica.log_contains("The data set of the master is empty and of another history")
    rows = replica.info("replication")
    assert rows["master_link_status"] == "down" and rows["slave_priority"] == "100"
    assert replica.call("DBSIZE") == 10 and replica.call("GET", "key:1") == b"v" * 100
    replica.restart()
    sentinel_names(replica)
    wait_for(lambda: replica.info("replication")["empty_master_refused"] == "1", 20)
    assert replica.call("DBSIZE") == 10
    assert replica.call("LOCKSTEP", "ACCEPT", "EMPTY") == "OK"
    wait_link_up(replica)
    assert replica.call("DBSIZE") == 0
    assert replica.info("replication")["empty_master_refused"] == "0"


def test_a_replica_takes_a_master_that_has_data_again(farm):
    master = farm.server("ours", 'save ""')
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}", "safe-birth yes")
    wait_link_up(replica)
    fill_strings(master, 10)
    wait_in_sync(master, replica)
    lose_everything(master)
    wait_for(lambda: replica.info("replication")["empty_master_refused"] == "1", 20)
    assert master.call("SET", "a", "b") == "OK"
    wait_in_sync(master, replica)
    assert replica.call("DBSIZE") == 1


def test_a_replica_without_sentinels_follows_as_ever(farm):
    master = farm.server("ours", 'save ""')
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    wait_link_up(replica)
    fill_strings(master, 10)
    wait_in_sync(master, replica)
    lose_everything(master)
    wait_for(lambda: replica.call("DBSIZE") == 0, 20)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "how, replicas, sentinels",
    [
        ("kill", "ours", ("redis",) * 3),
        ("terminate", "ours", ("redis",) * 3),
        ("kill", "redis", ("redis",) * 3),
        ("kill", "ours", ("ours",) * 3),
    ],
)
def test_sentinels_promote_a_replica_instead(farm, how, replicas, sentinels):
    """The master restarts at once and without its data, so that it was never down for the sentinels."""
    setup = HaSetup(farm, ("ours", replicas, replicas), sentinels=sentinels)
    fill_strings(setup.master, 1000)
    replicas = setup.servers[1:]
    for replica in replicas:
        wait_in_sync(setup.master, replica)
    wait_for(lambda: remembers(setup.master, "sentinel", "replica"), 10)
    with swift(setup.sentinels, SWIFT):
        restart_empty(setup.master, how)
        assert setup.master.info("replication")["role"] == "slave"
        wait_for(lambda: any(replica.role() == "master" for replica in replicas), 30)
        promoted = next(replica for replica in replicas if replica.role() == "master")
        assert promoted.call("DBSIZE") == 1000
        setup.wait_all_sentinels_moved(promoted)
        setup.wait_demoted(setup.master, promoted)
    for server in setup.servers:
        wait_for(lambda server=server: server.call("DBSIZE") == 1000, 20)
    assert promoted.call("SET", "after", "1") == "OK"

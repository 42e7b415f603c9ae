"""Our sentinels, alone and in one quorum with Debian's: failovers of servers of both kinds."""

import time

import pytest

from ha import HaSetup, SequenceWriter, swift
from harness import SCALE, wait_for

pytestmark = [pytest.mark.lockstep_only("the sentinel is ours"), pytest.mark.slow, pytest.mark.timeout(240)]

ALL_OURS = ("ours", "ours", "ours")
MIXTURES = {"3+0": ALL_OURS, "2+1": ("ours", "ours", "redis"), "1+2": ("ours", "redis", "redis")}
SERVERS = {"over-lockstep": ("ours", "ours"), "over-redis": ("redis", "redis")}


def mixtures(test):
    test = pytest.mark.parametrize("kinds", SERVERS.values(), ids=SERVERS.keys())(test)
    return pytest.mark.parametrize("sentinels", MIXTURES.values(), ids=MIXTURES.keys())(test)


def kill_and_return(setup, old, new):
    """The master dies and is failed over; it comes back as a replica."""
    with swift(setup.sentinels):
        old.kill()
        setup.wait_promoted(new)
        setup.wait_all_sentinels_moved(new)
    old.start()
    setup.wait_demoted(old, new)


@mixtures
def test_a_killed_master_is_failed_over_and_returns_as_a_replica(farm, sentinels, kinds):
    setup = HaSetup(farm, kinds, sentinels=sentinels)
    writer = farm.helper(SequenceWriter(setup.haproxy.address))
    writer.wait_acked(200)
    kill_and_return(setup, setup.master, setup.replica)
    setup.wait_steady(1, 1)
    writer.wait_acked(200)
    writer.close()
    assert len({sentinel.master()[b"config-epoch"] for sentinel in setup.sentinels}) == 1


def test_each_of_ours_sees_the_others_and_votes_once(farm):
    setup = HaSetup(farm, sentinels=ALL_OURS)
    kill_and_return(setup, setup.master, setup.replica)
    setup.wait_steady(1, 1)
    for sentinel in setup.sentinels:
        votes = [line for line in sentinel.log().splitlines() if "+vote-for-leader" in line]
        epochs = [line.split()[-1] for line in votes]
        assert len(epochs) == len(set(epochs)), votes


@pytest.mark.parametrize("coming", [("redis", "ours"), ("ours", "redis")], ids=["to-ours", "from-ours"])
def test_sentinels_are_exchanged_one_after_another(farm, coming):
    before, after = coming
    setup = HaSetup(farm, sentinels=(before,) * 3)
    ids = [sentinel.call("SENTINEL", "MYID") for sentinel in setup.sentinels]
    for sentinel in setup.sentinels:
        sentinel.become(after)
        setup.wait_steady(0, 1)
    assert [sentinel.call("SENTINEL", "MYID") for sentinel in setup.sentinels] == ids
    kill_and_return(setup, setup.master, setup.replica)
    setup.wait_steady(1, 1)


def test_failover_by_hand(farm):
    setup = HaSetup(farm, sentinels=ALL_OURS)
    assert setup.sentinels[0].call("SENTINEL", "FAILOVER", "mymaster") == "OK"
    setup.wait_promoted(setup.replica)
    setup.wait_all_sentinels_moved(setup.replica)
    setup.wait_demoted(setup.master, setup.replica)
    setup.wait_steady(1, 1)


def test_with_a_password(farm):
    setup = HaSetup(farm, password="a-secret-of-sentinels", sentinels=ALL_OURS)
    kill_and_return(setup, setup.master, setup.replica)
    setup.wait_steady(1, 1)


def test_no_failover_without_a_fault(farm):
    """For several times down-after, while a replica comes and goes."""
    setup = HaSetup(farm, sentinels=ALL_OURS)
    with swift(setup.sentinels):
        setup.replica.pause()
        time.sleep(2 * 2.5 * SCALE)
        setup.replica.resume()
        wait_for(lambda: all(sentinel.sees(1) for sentinel in setup.sentinels), 30, "the replica to be seen")
    assert all(sentinel.master_port() == setup.master.port for sentinel in setup.sentinels)
    assert not any(sentinel.log_contains("+switch-master") for sentinel in setup.sentinels)

"""Some runs of tests/faults (`make faults` makes more), and the proof that each of its checks can fail."""

import re
import sys
from pathlib import Path

import pytest

from harness import OURS, SCALE, is_real_redis, wait_for

sys.path.append(str(Path(__file__).resolve().parent.parent / "faults"))

import rest  # noqa: E402
from histories import OK, REFUSED, UNKNOWN, Excuse, History  # noqa: E402
from runs import Run  # noqa: E402
from world import DATABASE, Failed  # noqa: E402

pytestmark = pytest.mark.skipif(is_real_redis(OURS), reason="the runs are about this server")


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(180 * SCALE)
@pytest.mark.parametrize("seed", (1, 10, 103))
def test_run(seed, tmp_path):
    run = Run(seed, tmp_path)
    assert run.go() == [], run.report()


# Each check fails when it should


class Calm(Run):
    """A master and a replica of ours with traffic, on which nothing happens but what a test does."""

    def __init__(self, directory, count=2):
        super().__init__(1, directory)
        settings = {"appendonly": "yes", "appendfsync": "everysec", "repl-backlog-size": "64mb"}
        self.plan.disks = False
        self.plan.nodes = [(name, "ours", settings) for name in "ABC"[:count]]
        self.prepare()


@pytest.fixture
def calm(tmp_path):
    """A run at its first rest, without an event. What is wrong at its end was made wrong by the test."""
    run = Calm(tmp_path)
    run.world.start()
    run.start_clients()
    run.world.let_pass(1500, 20)
    rest.come_to_rest(run.world)
    rest.check(run.world)
    assert run.world.problems == []
    yield run.world
    run.end()


def problems_at_rest(world, *texts):
    """What the checks say; each text occurs."""
    rest.check(world)
    found, world.problems[:] = list(world.problems), []
    for text in texts:
        assert any(text in problem for problem in found), (text, found)
    return found


def writer(world, title):
    return next(client for client in world.clients if getattr(client, "title", None) == title)


@pytest.fixture
def short_waits(monkeypatch):
    """Waits for what will not come true end soon."""
    monkeypatch.setattr(rest, "SAME_WITHIN", 1)


def test_a_replica_that_differs_is_found(calm, short_waits):
    replica = calm.replicas()[0]
    replica.must("CONFIG", "SET", "replica-read-only", "no")
    with replica.server.session(database=3) as wire:
        wire.call("SET", "one:more", "v")
    problems_at_rest(calm, "data sets of A (master) and B (replica) differ", "strict digests differ")


def test_an_expiry_that_differs_is_found(calm, short_waits):
    with calm.master.server.session(database=3) as wire:
        wire.call("SET", "expires", "v", "PX", 3_600_000)
    replica = calm.replicas()[0]
    rest.wait_for_offsets(calm)
    replica.must("CONFIG", "SET", "replica-read-only", "no")
    with replica.server.session(database=3) as wire:
        wire.call("PEXPIRE", "expires", 3_601_000)
    problems_at_rest(calm, "strict digests differ", "data sets of A (master) and B (replica) differ")


def test_a_difference_that_verification_finds_is_told(calm):
    for node in calm.nodes:
        node.must("CONFIG", "SET", "replica-verify-period", 1)
    calm.master.must("CONFIG", "SET", "replica-verify", "yes")
    replica = calm.replicas()[0]
    wait_for(lambda: int(replica.info("verification")["verify_checks"]) > 0, 10, "a check")
    replica.must("DEBUG", "REPLICA-DAMAGE", "KEY", "one:more")
    wait_for(lambda: calm.watcher.problems, 10, "a mismatch")
    assert "verification found other data" in calm.watcher.problems[0]


def test_a_lost_value_is_found(calm):
    client = writer(calm, "list")
    value = next(attempt.value for attempt in client.history.attempts if attempt.outcome == OK)
    with calm.master.server.session(database=DATABASE) as wire:
        assert wire.call("LREM", client.key, 1, value) == 1
    assert len(problems_at_rest(calm, f"lost: {value.decode()}")) == 1


def test_values_that_are_doubled_or_moved_are_found(calm):
    client = writer(calm, "stream")
    first, second = [attempt.value for attempt in client.history.attempts if attempt.outcome == OK][:2]
    with calm.master.server.session(database=DATABASE) as wire:
        wire.call("XADD", client.key, "*", "v", first)
        wire.call("XADD", client.key, "*", "v", b"nobody")
    queue = writer(calm, "queue")
    with calm.master.server.session(database=DATABASE) as wire:
        moved = wire.call("LPOP", queue.done)
        wire.call("RPUSH", queue.queue, moved)
    found = problems_at_rest(calm, f"twice: {first.decode()}", "nobody wrote b'nobody'", f"out of order: {moved.decode()}")
    named = re.compile(rf"(?<!\w){re.escape(second.decode())}(?!\w)")  # not "7-10" for "7-1"
    assert not any(named.search(problem) for problem in found), found


def test_half_a_transaction_is_found(calm):
    pair = writer(calm, "pair")
    calm.master.server.ask("SELECT", DATABASE)
    calm.master.server.call("INCR", pair.keys[2])
    problems_at_rest(calm, "half a transaction")
    calm.master.server.call("DECR", pair.keys[2])
    assert calm.master.server.call("RPOP", pair.keys[1]) is not None
    problems_at_rest(calm, "half a transaction")


def test_a_link_that_stays_down_is_found(calm):
    replica = calm.replicas()[0]
    replica.upstream.entrance(replica).refuse()
    with pytest.raises(Failed, match="the link of B .* is not up after"):
        calm.wait_links("at rest", within=1)


def test_a_needless_full_synchronization_is_found(calm):
    import events

    calm.backlog_is_big = True

    def forget_history(world, _rng):
        replica = world.replicas()[0]
        replica.must("REPLICAOF", "NO", "ONE")
        replica.must("DEBUG", "CHANGE-REPL-ID")
        replica.follow(world.master)

    events.only_links(calm, None, events.cut_first_link)
    assert calm.problems == []
    events.only_links(calm, None, forget_history)
    assert any("1 full synchronizations of replicas of A" in problem for problem in calm.problems)
    calm.problems.clear()


def test_an_offset_that_goes_back_is_found(calm):
    node = calm.replicas()[0]
    state = node.info()
    calm.watcher.note(node, (node.life, node.role), state)
    calm.watcher.note(node, (node.life, node.role), dict(state, master_repl_offset="7"))
    found = [problem for problem in calm.watcher.problems if "its offset went back" in problem]
    assert len(found) == 1
    problems_at_rest(calm, "its offset went back")


def test_a_server_that_crashes_is_found(calm):
    replica = calm.replicas()[0]
    replica.server.signal(11)
    replica.server.wait_exit()
    replica.server.expect_exit = False
    problems = calm.farm.close()
    assert any("ended on its own" in problem for problem in problems)
    assert any("in its output" in problem for problem in problems)
    calm.farm.processes.clear()


def test_a_false_answer_of_wait_is_found(calm):
    client = writer(calm, "list")
    world, node = calm, calm.master

    class Liar:
        def ask(self, *args):
            return 1

    client.node = node
    attempt = client.history.begin(b"never written", 0, node.name)
    attempt.outcome = REFUSED
    client._wait(Liar(), attempt, world.changes)
    assert any("WAIT told that 1 replicas" in problem for problem in world.problems)
    world.problems.clear()


def test_a_log_that_lacks_data_is_found(calm):
    for node in calm.nodes:
        node.must("CONFIG", "SET", "appendonly", "no")
    calm.master.server.call("SET", "not:in:the:log", "v")
    rest.check_log(calm)
    found, calm.problems[:] = list(calm.problems), []
    assert any("started from its log: other data" in problem for problem in found)


def test_a_stream_that_does_not_fit_is_found(calm):
    assert rest.bad_lines(calm) == []
    calm.master.server.call("SET", "text", "no number")
    calm.master.server.call("DEBUG", "REPLICATE", "INCR", "text")
    rest.wait_for_offsets(calm)
    assert any("B (replica) says: " in line and "== CRITICAL ==" in line for line in rest.bad_lines(calm))


def history(*outcomes):
    made = History("list")
    for number, outcome in enumerate(outcomes):
        attempt = made.begin(b"v%d" % number, 0, "A")
        attempt.outcome, attempt.at = outcome, float(number)
    return made


def test_what_histories_allow():
    made = history(OK, UNKNOWN, OK, REFUSED, UNKNOWN)
    assert made.check([b"v0", b"v2"], []) == []
    made = history(OK, UNKNOWN, OK)
    assert made.check([b"v0", b"v2", b"v1"], []) == []  # what was not answered may take effect late
    assert "out of order" in history(OK, OK).check([b"v1", b"v0"], [])[0]
    assert "refused, but there" in history(REFUSED).check([b"v0"], [])[0]


def test_what_excuses_cover():
    late = Excuse(0, 0.5, "a promotion")
    assert history(OK, OK).check([b"v0"], [late]) == []
    assert "lost: v0" in history(OK, OK).check([], [late])[0]
    of_an_earlier_reign = Excuse(-1, 0.0, "a promotion")
    assert "lost: v1" in history(OK, OK).check([b"v0"], [of_an_earlier_reign])[0]
    but_wait = Excuse(0, 0.5, "a promotion", lambda attempt: attempt.value == b"v1")
    assert "lost: v1" in history(OK, OK).check([b"v0"], [but_wait])[0]


def test_what_was_lost_stays_away():
    made, excuses = history(OK), [Excuse(0, -1.0, "a restart")]
    assert made.check([], excuses) == []
    assert "came back" in made.check([b"v0"], excuses)[0]
    assert made.check([], excuses) == []
    assert made.check([b"v0"], [*excuses, Excuse(0, -1.0, "an older data set")]) == []

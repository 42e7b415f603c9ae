"""Fixtures of the integration tests. LOCKSTEP_SERVER names the binary under test (default build/lockstep-server).

LOCKSTEP_SERVER=/usr/bin/redis-server runs the suite on Redis, to check the tests themselves. Tests marked
`lockstep_only` (behaviour of a later version, or a promise that Redis does not make) are skipped then.
"""

import os

import pytest

import harness


def pytest_configure(config):
    config.addinivalue_line("markers", "lockstep_only(reason): behaviour that Redis 7.0.15 does not have")
    config.addinivalue_line("markers", "slow: takes more than ten seconds")
    config.addinivalue_line("markers", "alone: loads the whole machine, and measures; not beside other tests")
    if not os.access(harness.OURS, os.X_OK):
        pytest.exit(f"no server to test: {harness.OURS} (build it, or set LOCKSTEP_SERVER)", returncode=2)


def slow_ones_first(items, workers):
    """Orders tests so that each worker starts with its share of the slow ones and no worker is left with them at the end.
    (xdist first gives each worker a quarter of its share of all tests.)"""
    slow = [item for item in items if item.get_closest_marker("slow") is not None]
    rest = [item for item in items if item.get_closest_marker("slow") is None]
    share, order = max(len(items) // workers // 4, 2), []
    for worker in range(workers):
        mine = slow[worker::workers]
        fill = max(share - len(mine), 0)
        order += mine + rest[:fill]
        del rest[:fill]
    return order + rest


def pytest_collection_modifyitems(config, items):
    items[:] = slow_ones_first(items, getattr(config, "workerinput", {}).get("workercount", 1))
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(60 * harness.SCALE))
    if not harness.is_real_redis(harness.OURS):
        return
    for item in items:
        mark = item.get_closest_marker("lockstep_only")
        if mark is not None:
            reason = mark.args[0] if mark.args else mark.kwargs.get("reason", "")
            item.add_marker(pytest.mark.skip(reason=f"not in Redis 7.0.15: {reason}"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    farm = getattr(item, "farm", None)
    if report.failed and farm is not None and farm.stood_still():
        report.outcome, report.wasxfail = "skipped", "the machine stood still for seconds, as sentinels have noticed"
    elif report.failed and farm is not None:
        for name, tail in farm.log_tails():
            report.sections.append((f"log of {name}", tail))


@pytest.fixture(autouse=True)
def ports():
    """Is set up before and torn down after all other fixtures."""
    yield
    harness.release_ports()


@pytest.fixture
def farm(request, tmp_path):
    """Starts processes, ends them after the test, and fails the test if one crashed or a sanitizer reported."""
    made = harness.Farm(tmp_path)
    request.node.farm = made
    yield made
    problems = made.close()
    assert not problems, "; ".join(problems)


@pytest.fixture
def server(farm):
    """One server under test, with the base configuration."""
    return farm.server()


@pytest.fixture(scope="session")
def real_redis():
    """True when the server under test is the peer."""
    return harness.is_real_redis(harness.OURS)

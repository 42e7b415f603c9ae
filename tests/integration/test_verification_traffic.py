"""No false alarm: traffic of every kind there is, while a master verifies its replicas."""

import sys
from pathlib import Path

import pytest

import test_commands_geo
import test_commands_hll
import test_commands_sort
from dataset import assert_same, replicate, wait_in_sync
from test_verification import VERIFY, number, verification, wait_rounds
from wire import encode_command

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "differential"))

import fuzzer  # noqa: E402
import generator  # noqa: E402
from servers import Difference, Link  # noqa: E402

pytestmark = pytest.mark.lockstep_only("a feature of this server's own")

OTHER_ENCODINGS = ("hash-max-listpack-entries 3", "set-max-intset-entries 2", "zset-max-listpack-entries 1")


@pytest.fixture
def chain(farm):
    """A master that keeps as little as it can compactly, a replica, and a replica of that."""
    servers = [farm.server("ours", *VERIFY), farm.server("ours"), farm.server("ours", *OTHER_ENCODINGS)]
    for one, other in zip(servers, servers[1:]):
        replicate(other, one)
    wait_in_sync(*servers)
    return servers


def check(servers):
    for replica in servers[1:]:
        wait_rounds(replica, 2)
    wait_in_sync(*servers)
    assert_same(*servers)
    for replica in servers[1:]:
        assert number(replica, "verify_mismatches") == 0, verification(replica)


def send(master, steps):
    links = [Link(master) for _ in range(generator.CONNECTIONS)]
    for first, end in fuzzer._batches(steps):
        link, tail = links[steps[first].connection], b"end of batch %d" % end
        commands = [args for step in steps[first:end] for args in step.commands]
        link.send(b"".join(encode_command(*args) for args in (*commands, ("ECHO", tail))))
        try:
            link.read_until(b"$%d\r\n%s\r\n" % (len(tail), tail))
        except Difference:  # QUIT, or a CLIENT KILL of itself
            link.close()
            links[steps[first].connection] = Link(master)
    for link in links:
        link.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_the_grammar_of_the_differential_fuzzer(chain, seed):
    tables = generator.Tables(lambda name: True)
    for number_of_epoch in range(3):
        epoch = generator.make_epoch(seed, number_of_epoch, 4000, tables)
        with chain[0].session() as control:
            control.call("FLUSHALL")
            for name, value in epoch.limits.items():
                control.call("CONFIG", "SET", name, value)
        for replica in chain[1:]:  # this one is seen in data: GET returns the bytes of a HyperLogLog
            replica.config_set("hll-sparse-max-bytes", epoch.limits[b"hll-sparse-max-bytes"])
        send(chain[0], [step for step in epoch.steps if isinstance(step, generator.Commands)])
        check(chain)


@pytest.mark.parametrize("commands", [test_commands_sort, test_commands_hll, test_commands_geo])
def test_commands_that_compute_what_they_store(chain, commands):
    made = commands.Generator("verification")
    with chain[0].session(60) as wire:
        wire.pipeline(made.setup() if hasattr(made, "setup") else [["SET", "text", "none"]])
        for _ in range(20):
            commands_made = [made.command() for _ in range(50)]
            wire.pipeline(command for command in commands_made if command[0] != "CONFIG")  # limits are not replicated
    check(chain)


def test_eviction_and_expiry_on_the_master(chain):
    master = chain[0]
    master.config_set("maxmemory-policy", "allkeys-random")
    used = int(master.info("memory")["used_memory"])
    master.config_set("maxmemory", used + 3_000_000)
    with master.session(60) as wire:
        for start in range(0, 40_000, 500):
            numbers = range(start, start + 500)
            wire.pipeline([("SET", f"key:{n}", "x" * 200, "PX", 100 + n % 5000) for n in numbers])
            wire.pipeline([("HSET", f"hash:{n % 50}", f"field:{n}", n) for n in numbers])
            wire.pipeline([("HPEXPIRE", f"hash:{n % 50}", 10 + n % 3000, "FIELDS", 1, f"field:{n}") for n in numbers])
    assert int(master.info("stats")["evicted_keys"]) > 0
    check(chain)

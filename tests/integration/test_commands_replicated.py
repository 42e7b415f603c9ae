"""Commands that compute what they store, with Redis as replica and as master: the copies are equal."""

import pytest

import test_commands_geo
import test_commands_hll
import test_commands_sort
from dataset import assert_same, replicate, wait_in_sync

GENERATORS = {
    "sort": test_commands_sort.Generator,
    "hyperloglog": test_commands_hll.Generator,
    "geo": test_commands_geo.Generator,
}


@pytest.mark.parametrize("kinds", [("ours", "redis"), ("redis", "ours"), ("ours", "ours")], ids="-".join)
@pytest.mark.parametrize("what", GENERATORS)
def test_copies_are_equal(farm, what, kinds):
    master, replica = (farm.server(kind) for kind in kinds)
    replicate(replica, master)
    wait_in_sync(master, replica)
    generator = GENERATORS[what]("-".join(kinds))
    with master.session(60) as wire:
        for _ in range(4):
            wire.pipeline(generator.setup() if hasattr(generator, "setup") else [["SET", "text", "none"]])
            for _ in range(10):
                commands = [generator.command() for _ in range(50)]
                wire.pipeline(command for command in commands if command[0] != "CONFIG")  # limits are not replicated
    wait_in_sync(master, replica)
    assert_same(master, replica)

"""What COMMAND says about commands: the facts are those of Redis 7.2, the words are our own.

Debian's redis-server has version 7.0: tests/data/commands-7.2.txt lists what 7.2 says differently, and
tests/data/commands-ours.txt what this server means to say differently from 7.2.
"""

import os
import re
from pathlib import Path

import pytest

import commandfacts
from harness import ROOT
from wire import pairs_to_dict

DESCRIPTIONS = os.environ.get("REDIS_COMMAND_DESCRIPTIONS")


def listed(name):
    """{(command, fact): what this server says} from lines of these three."""
    found = {}
    for line in (ROOT / "tests" / "data" / name).read_text().splitlines():
        if line and not line.startswith("#"):
            command, fact, *value = line.split(" ", 2)
            assert (command, fact) not in found, line
            found[command, fact] = "".join(value)
    return found


def said_otherwise(one, ours, skip=()):
    found = commandfacts.differences(one, ours)
    return {at: mine for at, (_, mine) in found.items() if at[1] not in skip}


@pytest.mark.lockstep_only("compares both")
def test_fault_16_fault_25_commands_are_those_of_redis_7_0_but_for_what_7_2_changed(farm):
    """Arguments are compared without names: 7.2 has renamed most of those that consist of others."""
    ours, theirs = commandfacts.of_server(farm.server("ours")), commandfacts.of_server(farm.server("redis"))
    assert len(theirs) > 350
    meant = listed("commands-7.2.txt") | listed("commands-ours.txt")
    assert said_otherwise(theirs, ours, ["names"]) == {at: said for at, said in meant.items() if at[1] != "names"}


@pytest.mark.skipif(DESCRIPTIONS is None, reason="REDIS_COMMAND_DESCRIPTIONS names no folder of JSON files of 7.2")
def test_fault_16_fault_25_commands_are_as_7_2_describes_them(farm):
    described = commandfacts.of_descriptions(Path(DESCRIPTIONS))
    assert len(described) > 350
    assert said_otherwise(described, commandfacts.of_server(farm.server("ours"))) == listed("commands-ours.txt")


def test_fault_25_list_count_and_docs_are_of_the_same_commands(server):
    facts = commandfacts.of_server(server)
    names = {name.encode() for name in facts}
    assert set(server.call("COMMAND", "LIST")) == names
    assert server.call("COMMAND", "COUNT") == len({name.split("|")[0] for name in facts})
    assert all("group" in fact for fact in facts.values())
    for category in ("admin", "blocking", "stream"):
        members = {name.encode() for name, fact in facts.items() if f"@{category}" in fact["categories"].split()}
        assert set(server.call("COMMAND", "LIST", "FILTERBY", "ACLCAT", category)) == members


def test_both_protocols_tell_the_same(server):
    resp2 = commandfacts.of_server(server)
    with server.wire() as wire:
        wire.call("HELLO", 3)
        assert commandfacts.of_server(wire) == resp2


@pytest.mark.lockstep_only("not in 7.0")
def test_fault_16_arguments_are_told_as_people_see_them(server):
    """redis-cli shows these as hints."""
    args = {}
    for flat in pairs_to_dict(server.call("COMMAND", "DOCS", "georadius")[1])[b"arguments"]:
        arg = pairs_to_dict(flat)
        args[arg[b"name"]] = arg
    assert args[b"radius"][b"display_text"] == b"radius"
    store = args[b"store"]
    assert store[b"type"] == b"oneof" and b"display_text" not in store
    parts = [pairs_to_dict(part) for part in store[b"arguments"]]
    assert [(part[b"token"], part[b"display_text"]) for part in parts] == [(b"STORE", b"key"), (b"STOREDIST", b"key")]


def test_fault_16_histories_are_lists_of_versions_and_sentences(server):
    docs = pairs_to_dict(server.call("COMMAND", "DOCS", "set")[1])
    assert [version for version, _ in docs[b"history"]] == [b"2.6.12", b"6.0.0", b"6.2.0", b"7.0.0"]
    assert all(re.fullmatch(rb"[A-Z].*\.", sentence) for _, sentence in docs[b"history"])


# Subcommands

CONTAINERS = """acl client command config function latency memory module object pubsub script slowlog xgroup
    xinfo""".split()


@pytest.mark.lockstep_only("7.0 leaves some out")
@pytest.mark.parametrize("container", CONTAINERS)
def test_fault_16_help_has_a_line_for_each_subcommand(server, container):
    rows = pairs_to_dict(server.call("COMMAND", "DOCS", container)[1])[b"subcommands"]
    names = {name.decode().split("|")[1].upper() for name in pairs_to_dict(rows)}
    told = {line.split()[0] for line in server.call(container, "HELP") if not line.startswith(" ")}
    assert names - told == set()


def test_fault_25_cluster_subcommands_are_listed_and_refused(server):
    names = server.call("COMMAND", "LIST", "FILTERBY", "PATTERN", "cluster|*")
    assert {b"cluster|slots", b"cluster|nodes", b"cluster|reset"} <= set(names)
    assert server.call("COMMAND", "INFO", "cluster|slots")[0][0] == b"cluster|slots"
    assert b"cluster|slots" in server.call("COMMAND", "DOCS", "cluster|slots")
    for words in (("INFO",), ("SLOTS",), ("NODES",), ("HELP",), ("MEET", "127.0.0.1", "1")):
        assert str(server.ask("CLUSTER", *words)) == "ERR This instance has cluster support disabled"
    assert str(server.ask("CLUSTER", "NOSUCH")) == "ERR unknown subcommand 'NOSUCH'. Try CLUSTER HELP."
    assert str(server.ask("CLUSTER", "INFO", "x")) == "ERR wrong number of arguments for 'cluster|info' command"
    assert str(server.ask("CLUSTER")) == "ERR wrong number of arguments for 'cluster' command"


def test_fault_15_cluster_info_of_a_stale_replica(farm):
    """Clients that probe for a cluster learn that there is none, in whatever state the data are."""
    server = farm.server("ours", "replica-serve-stale-data no", "replicaof 127.0.0.1 1", ready=False)
    server.wait_ready()
    assert str(server.ask("GET", "k")).startswith("MASTERDOWN")
    for name in ("INFO", "NODES", "SLOTS", "MYID"):
        assert str(server.ask("CLUSTER", name)) == "ERR This instance has cluster support disabled"

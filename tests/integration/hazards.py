"""Helpers of the tests of faults: a fake peer attached to a server, and the bytes it gets."""

import time

import rdbfile
from dataset import wait_link_up
from fakes import FakeMaster, FakeReplica
from harness import wait_for
from wire import Closed

EMPTY_RDB = rdbfile.strings({})
EOF_MARK = b"0123456789" * 4


def replication(server):
    return server.info("replication")


def applied(server):
    """The offset that a replica reports."""
    return int(replication(server)["slave_repl_offset"])


def attach(farm, server, **options):
    """A fake replica that is online."""
    return farm.helper(FakeReplica(server)).full_sync(**options)


def attach_to_fake_master(farm, *lines, rdb=EMPTY_RDB, start=0, databases=None):
    """(replica, master, link): a replica under test that follows a fake master and has loaded its snapshot."""
    master = farm.helper(FakeMaster())
    replica = farm.server("ours", *lines, f"replicaof 127.0.0.1 {master.port}")
    link = master.accept()
    link.answer_until_psync()
    link.full_resync(rdb if databases is None else rdbfile.strings(databases), offset=start)
    wait_link_up(replica)
    return replica, master, link


def psync_answer(farm, server, replid, at):
    """What a replica gets if it asks to continue at that byte."""
    fake = farm.helper(FakeReplica(server)).handshake()
    return fake.psync(replid, at), fake


def keys_until_closed(fake, last):
    """The keys of the commands up to that last one, or up to the end of the link (a promotion may end it)."""
    keys = []
    try:
        while last not in keys:
            keys.append(fake.command()[1])
    except Closed:
        pass
    return keys


def stream_of(farm, server, commands, database=0):
    """The commands that a replica gets when a client sends these, without PING and SELECT."""
    fake = attach(farm, server)
    with server.session(database=database) as client:
        replies = [client.ask(*command) for command in commands]
        client.call("SET", "end:of:test", "1")
    return fake.commands_until(b"end:of:test"), replies


def lower(commands):
    """Commands with their names in lower case: both spellings are valid."""
    return [[command[0].lower(), *command[1:]] for command in commands]


def wait_past_ttl(milliseconds):
    """Waits until a TTL that was just set has passed, by the clock that the server reads."""
    end = time.time() + milliseconds / 1000 + 0.005
    wait_for(lambda: time.time() > end, milliseconds / 1000 + 1, "the time to live to be over")

"""How long a name may be: what Redis accepts is accepted, and works."""

import pytest

from harness import wait_for
from wire import ReplyError


def of_length(length, text="pod-0.redis-headless.some-namespace.svc.cluster.local."):
    return (text * (length // len(text) + 1))[:length]


@pytest.mark.parametrize("length", [46, 47, 63, 100, 255])
def test_fault_13_a_replica_announces_a_long_name(farm, length):
    name = of_length(length)
    master = farm.server()
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}", f"replica-announce-ip {name}")
    row = wait_for(lambda: master.info("replication").get("slave0"), what="the replica to be listed")
    assert row.startswith(f"ip={name},port={replica.port},")
    listed = wait_for(lambda: master.call("ROLE")[2], what="the replica to be online")
    assert bytes(listed[0][0]).decode() == name


def test_fault_13_limits_of_announced_names(server):
    wire = server.wire()
    assert wire.call("REPLCONF", "ip-address", of_length(255)) == "OK"
    with pytest.raises(ReplyError, match="is too long: 256 bytes"):
        wire.call("REPLCONF", "ip-address", of_length(256))
    assert wire.call("REPLCONF", "ip-address", "") == "OK"


@pytest.mark.parametrize("length", [31, 32, 40, 128, 1000])
def test_fault_13_a_command_is_renamed_to_a_long_name(farm, length):
    """redis.conf recommends unguessable names of 40 digits."""
    names = {name: name + of_length(length - 1, "b840fc02d524045429941cc15f59e41cb7be6c52") for name in "xy"}
    server = farm.server("ours", f"rename-command CONFIG {names['x']}", f"rename-command SET {names['y']}")
    wire = server.wire()
    assert wire.call(names["x"], "GET", "port") == [b"port", b"%d" % server.port]
    assert wire.call(names["y"].upper(), "k", "v") == "OK"
    assert wire.call("GET", "k") == b"v"
    assert wire.call("COMMAND", "INFO", names["y"])[0] is not None
    with pytest.raises(ReplyError, match="unknown command"):
        wire.call("SET", "k", "v")
    with pytest.raises(ReplyError, match="unknown subcommand 'nothing'"):
        wire.call(names["x"], "nothing")
    with pytest.raises(ReplyError, match="unknown command"):
        wire.call(names["y"] + "x", "k", "v")


def test_fault_13_other_names_have_no_limit_of_their_own(farm):
    text = of_length(10_000)
    server = farm.server("ours", f"masterauth {text}", f"masteruser {text}")
    wire = server.wire()
    assert wire.call("CONFIG", "GET", "masteruser") == [b"masteruser", text.encode()]
    assert wire.call("CLIENT", "SETNAME", text) == "OK"
    assert wire.call("CLIENT", "GETNAME") == text.encode()
    assert f" name={text} ".encode() in wire.call("CLIENT", "LIST")
    assert wire.call("ACL", "SETUSER", text, "on", f">{text}", "~*", "&*", "+@all") == "OK"
    assert wire.call("AUTH", text, text) == "OK"
    assert wire.call("ACL", "WHOAMI") == text.encode()
    host = of_length(300)
    assert wire.call("REPLICAOF", host, 1) == "OK"
    assert server.info("replication")["master_host"] == host


@pytest.mark.lockstep_only("CLIENT SETINFO is of Redis 7.2")
def test_fault_13_a_librarys_name_has_no_limit(server):
    text = of_length(10_000)
    wire = server.wire()
    for what in ("LIB-NAME", "LIB-VER"):
        assert wire.call("CLIENT", "SETINFO", what, text) == "OK"
        assert f" {what.lower()}={text}".encode() in wire.call("CLIENT", "LIST")

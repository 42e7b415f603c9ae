"""Additions of Redis 7.4 to existing commands that clients look for."""

import pytest

from harness import wait_for
from wire import pairs_to_dict

pytestmark = pytest.mark.lockstep_only("Redis 7.4 has it")

SYNTAX = "ERR syntax error"


def field_of(line, name):
    return dict(word.split("=", 1) for word in line.split(" ") if "=" in word)[name]


def client_line(server, wire):
    number = wire.call("CLIENT", "ID")
    (line,) = server.call("CLIENT", "LIST", "ID", number).decode().splitlines()
    return line


# HSCAN NOVALUES


@pytest.mark.parametrize("size", [3, 2000])
def test_fault_32_hscan_without_values(server, size):
    with server.session() as wire:
        wire.pipeline([("HSET", "h", f"f{n}", f"v{n}") for n in range(size)])
        found, cursor = [], b"0"
        while True:
            cursor, fields = wire.call("HSCAN", "h", cursor, "NOVALUES", "COUNT", 100)
            found += fields
            if cursor == b"0":
                break
        assert sorted(set(found)) == sorted(b"f%d" % n for n in range(size))
        assert len(set(found)) == size
        whole = wire.call("HSCAN", "h", 0, "COUNT", 10000)[1]
        assert wire.call("HSCAN", "h", 0, "COUNT", 10000, "novalues")[1] == whole[::2]
        assert wire.call("HSCAN", "h", 0, "MATCH", "f1", "NOVALUES", "COUNT", 10000) == [b"0", [b"f1"]]
        assert wire.call("HSCAN", "nokey", 0, "NOVALUES") == [b"0", []]
        wire.call("SADD", "s", "m")
        wire.call("ZADD", "z", "1", "m")
        for command in (("SSCAN", "s", 0, "NOVALUES"), ("ZSCAN", "z", 0, "NOVALUES"), ("SCAN", 0, "NOVALUES")):
            assert str(wire.ask(*command)) == SYNTAX
        assert str(wire.ask("HSCAN", "h", 0, "NOVALUES", "COUNT")) == SYNTAX


def test_fault_32_hscan_without_values_leaves_out_what_has_expired(server):
    with server.session() as wire:
        wire.call("HSET", "h", "stays", "1", "goes", "2")
        wire.call("HPEXPIRE", "h", 1, "FIELDS", 1, "goes")
        wait_for(lambda: wire.call("HSCAN", "h", 0, "NOVALUES") == [b"0", [b"stays"]], 5, "the field to expire")


# XREAD with "+"


def test_fault_32_xread_of_the_last_entry(server):
    with server.session() as wire:
        for entry in ("1-0", "2-0", "3-18446744073709551615"):
            wire.call("XADD", "s", entry, "f", entry)
        last = [[b"s", [[b"3-18446744073709551615", [b"f", b"3-18446744073709551615"]]]]]
        assert wire.call("XREAD", "STREAMS", "s", "+") == last
        assert wire.call("XREAD", "COUNT", 10, "BLOCK", 10000, "STREAMS", "s", "+") == last
        assert wire.call("XREAD", "STREAMS", "nokey", "+") is None
        wire.call("XADD", "t", "4-0", "a", "b")
        assert wire.call("XREAD", "STREAMS", "nokey", "s", "t", "+", "+", "0") == [*last, [b"t", [[b"4-0", [b"a", b"b"]]]]]
        wire.call("XDEL", "s", "3-18446744073709551615")  # the last entry, and not the last id
        assert wire.call("XREAD", "STREAMS", "s", "+") == [[b"s", [[b"2-0", [b"f", b"2-0"]]]]]
        wire.call("XADD", "s", "4-0", "f", "v")
        wire.call("XADD", "first", "0-1", "f", "v")
        assert wire.call("XREAD", "STREAMS", "first", "+") == [[b"first", [[b"0-1", [b"f", b"v"]]]]]
        wire.call("XDEL", "first", "0-1")
        assert wire.call("XREAD", "STREAMS", "first", "+") is None
        wire.call("XGROUP", "CREATE", "s", "g", "0")
        assert "Invalid stream ID" in str(wire.ask("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", "+"))


@pytest.mark.parametrize("key", ["never", "emptied"])
def test_fault_32_xread_of_the_last_entry_waits_for_the_first(server, key):
    with server.session() as wire, server.wire() as waiting:
        wire.call("XADD", "emptied", "5-0", "f", "v")
        wire.call("XDEL", "emptied", "5-0")
        waiting.send_command("XREAD", "BLOCK", 0, "STREAMS", key, "+")
        wait_for(lambda: server.info("clients")["blocked_clients"] == "1", 10, "the client to wait")
        wire.pipeline([("MULTI",), ("XADD", key, "6-0", "f", "v"), ("XADD", key, "7-0", "f", "w"), ("EXEC",)])
        assert waiting.read() == [[key.encode(), [[b"6-0", [b"f", b"v"]], [b"7-0", [b"f", b"w"]]]]]


# CLIENT LIST


def test_fault_32_client_list_tells_how_many_keys_are_watched(server):
    with server.wire() as wire:
        assert field_of(client_line(server, wire), "watch") == "0"
        wire.call("WATCH", "a", "b", "a")
        wire.call("WATCH", "c")
        line = client_line(server, wire)
        assert field_of(line, "watch") == "3"
        assert " multi=-1 qbuf=" in line, "the order of 7.2"
        wire.call("MULTI")
        assert field_of(client_line_of_other(server, wire), "watch") == "3"
        wire.call("DISCARD")
        assert field_of(client_line(server, wire), "watch") == "0"


def client_line_of_other(server, wire):
    """The field of a client in a transaction, which cannot be asked."""
    port = wire.sock.getsockname()[1]
    return next(line for line in server.call("CLIENT", "LIST").decode().splitlines() if f":{port} " in line)


# ACL LOAD


def test_fault_32_acl_load_keeps_the_clients_of_users_that_stay(farm, tmp_path):
    path = tmp_path / "users.acl"
    rules = "on nopass ~* &* +@all"
    hearing = "on nopass ~* +@all resetchannels"
    lines = [f"user {name} {rules}" for name in ("same", "other", "gone")] + [f"user hears {hearing} &news"]
    path.write_text("\n".join(lines) + "\n")
    server = farm.server("ours", f"aclfile {path}")
    names = ("same", "other", "gone", "hears")
    wires = {name: server.wire() for name in names}
    for name, wire in wires.items():
        assert wire.call("AUTH", name, "x") == "OK"
    wires["hears"].call("SUBSCRIBE", "news")
    with wires["same"], wires["other"], wires["gone"], wires["hears"], server.wire() as nobody:
        lines = [f"user same {rules}", "user other on >pw ~* &* +@all -get", f"user hears {hearing} &old"]
        path.write_text("\n".join(lines) + "\n")
        assert wires["same"].call("ACL", "LOAD") == "OK"
        assert wires["same"].call("ACL", "WHOAMI") == b"same"
        assert wires["other"].call("SET", "k", "v") == "OK"
        assert str(wires["other"].ask("GET", "k")).startswith("NOPERM")
        assert nobody.call("PING") == "PONG"
        assert wires["gone"].is_closed()
        assert wires["hears"].is_closed()
        path.write_text("user default on nopass ~* &* +@all\n")
        assert wires["other"].call("ACL", "LOAD") == "OK"
        assert wires["same"].is_closed() and wires["other"].is_closed()


# MEMORY STATS


def test_fault_32_memory_stats_of_the_databases(server):
    with server.session() as wire:

        def stats():
            return pairs_to_dict(wire.call("MEMORY", "STATS"))

        assert b"db.0" not in stats()
        before = stats()[b"overhead.db.hashtable.lut"]
        wire.pipeline([("SET", f"k{n}", "v") for n in range(5000)])
        wire.call("SELECT", 3)
        wire.call("SET", "k", "v", "EX", 1000)
        found = stats()
        tables = [pairs_to_dict(found[name]) for name in (b"db.0", b"db.3")]
        assert tables[0][b"overhead.hashtable.main"] > 5000 * 8
        assert tables[1][b"overhead.hashtable.expires"] > 0
        assert found[b"overhead.db.hashtable.lut"] - before > 5000 * 8
        assert found[b"overhead.db.hashtable.lut"] >= sum(sum(table.values()) for table in tables)
        assert found[b"overhead.db.hashtable.rehashing"] == found[b"db.dict.rehashing.count"] == 0

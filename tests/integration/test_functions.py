"""Functions: libraries as a part of the data set, in files, in the stream, and in full synchronizations."""

import pytest

from dataset import wait_in_sync, wait_link_up
from harness import wait_for
from hazards import stream_of
from wire import ReplyError, encode_command


def library(name, body="return 1", function=None, flags=None):
    function = function or f"{name}_f"
    listed = ", ".join(f"'{flag}'" for flag in flags or ())
    return (f"#!lua name={name}\nredis.register_function{{function_name='{function}', "
            f"callback=function(keys, args) {body} end, flags={{{listed}}}}}")


def names(server):
    return [entry[1].decode() for entry in server.call("FUNCTION", "LIST")]


def error(server, *command):
    reply = server.ask(*command)
    assert isinstance(reply, ReplyError), reply
    return str(reply)


@pytest.fixture
def server(farm):
    return farm.server("ours", "busy-reply-threshold 10")


def test_calling(server):
    assert server.call("FUNCTION", "LOAD", library("lib", "return {keys[1], args[1], #keys, #args}")) == b"lib"
    assert server.call("FCALL", "LIB_F", 1, "k", "a", "b") == [b"k", b"a", 1, 2]
    assert error(server, "FCALL_RO", "lib_f", 0) == "ERR Can not execute a script with write flag using *_ro command."
    assert error(server, "FCALL", "none", 0) == "ERR Function not found"
    assert error(server, "FCALL", "lib_f", "x") == "ERR Bad number of keys provided"
    assert error(server, "FCALL", "lib_f", 5) == "ERR Number of keys can't be greater than number of args"
    assert server.call("COMMAND", "GETKEYS", "FCALL", "lib_f", 2, "a", "b", "c") == [b"a", b"b"]
    info = server.info("memory")
    assert (info["number_of_libraries"], info["number_of_functions"]) == ("1", "1")
    assert int(info["used_memory_vm_functions"]) > 10000 and int(info["used_memory_functions"]) > 0


def test_functions_share_what_is_local_to_their_library(server):
    server.call("FUNCTION", "LOAD", """#!lua name=lib
        local count = 0
        redis.register_function('more', function() count = count + 1 return count end)
        redis.register_function('all', function() return count end)""")
    assert [server.call("FCALL", name, 0) for name in ("more", "more", "all")] == [1, 2, 2]


def test_a_failed_load_changes_nothing(server):
    server.call("FUNCTION", "LOAD", library("old", "return 'old'"))
    for code in (library("old"), library("new", function="old_f"), "#!lua name=new\nbad(", "#!lua name=new\nreturn 1",
                 "#!lua name=new\nx = 1", "#!lua name=new\nwhile true do end", "#!lua name=new\nredis.call('ping')", "x"):
        assert error(server, "FUNCTION", "LOAD", code)
    bad = "#!lua name=old\nredis.register_function('old_f', function() return 'new' end) nonsense()"
    assert error(server, "FUNCTION", "LOAD", "REPLACE", bad)
    assert names(server) == ["old"] and server.call("FCALL", "old_f", 0) == b"old"
    assert server.call("FUNCTION", "LOAD", "REPLACE", library("old", "return 'newer'")) == b"old"
    assert server.call("FCALL", "old_f", 0) == b"newer"


def test_restore_is_all_or_nothing(server):
    for name in ("a", "b"):
        server.call("FUNCTION", "LOAD", library(name, f"return '{name}'"))
    payload = server.call("FUNCTION", "DUMP")
    server.call("FUNCTION", "DELETE", "a")
    assert error(server, "FUNCTION", "RESTORE", payload) == "ERR Library b already exists"
    assert names(server) == ["b"]
    server.call("FUNCTION", "FLUSH")
    server.call("FUNCTION", "LOAD", library("c", "return 'c'", function="b_f"))
    assert error(server, "FUNCTION", "RESTORE", payload, "REPLACE") == "ERR Function b_f already exists"
    assert names(server) == ["c"] and server.call("FCALL", "b_f", 0) == b"c"
    assert server.call("FUNCTION", "RESTORE", payload, "FLUSH") == "OK"
    assert names(server) == ["a", "b"] and server.call("FCALL", "b_f", 0) == b"b"
    assert "checksum are wrong" in error(server, "FUNCTION", "RESTORE", payload[:-1] + b"x", "FLUSH")
    assert names(server) == ["a", "b"]


def test_changes_are_in_the_stream_as_they_came(farm, server):
    server.call("FUNCTION", "LOAD", library("z"))
    payload = server.call("FUNCTION", "DUMP")
    changes = [["FUNCTION", "LOAD", library("a", "return redis.call('incr', 'n')")], ["FCALL", "a_f", "0"],
               ["FUNCTION", "DELETE", "a"], ["FUNCTION", "FLUSH"], ["FUNCTION", "RESTORE", payload]]
    stream = stream_of(farm, server, changes)[0]
    expected = [[word if isinstance(word, bytes) else word.encode() for word in change] for change in changes]
    expected[1] = [b"incr", b"n"]
    assert stream == expected
    assert stream_of(farm, server, [["FUNCTION", "DELETE", "none"], ["FUNCTION", "LOAD", library("z")]])[0] == []


def test_functions_live_in_files_and_not_in_flushes(farm):
    server = farm.server("ours", "save 3600 1")
    server.call("FUNCTION", "LOAD", library("kept", "return 'here'"))
    server.call("FLUSHALL")
    assert names(server) == ["kept"]
    server.restart()
    assert server.call("FCALL", "kept_f", 0) == b"here"
    server.call("FUNCTION", "FLUSH", "ASYNC")
    server.restart()
    assert names(server) == []


def test_a_file_of_version_9_is_of_10_with_functions(farm):
    server = farm.server("ours", "rdb-version 9", "save 3600 1")
    server.call("FUNCTION", "LOAD", library("kept"))
    server.call("SAVE")
    assert (server.directory / "dump.rdb").read_bytes()[:9] == b"REDIS0010"
    server.restart()
    assert names(server) == ["kept"]


def test_a_library_that_does_not_compile_is_an_error_of_the_file(farm):
    source = farm.server("redis")
    source.call("FUNCTION", "LOAD", library("good", "return cjson.encode(1)"))
    source.call("SAVE")
    data = (source.directory / "dump.rdb").read_bytes()
    server = farm.server("ours", "rdbchecksum no", start=False)
    server.directory.mkdir(parents=True, exist_ok=True)
    (server.directory / "dump.rdb").write_bytes(data.replace(b"register", b"regis(er")[:-8] + bytes(8))
    server.start(ready=False)
    assert server.wait_exit() == 1
    assert server.log_contains("function library 'good': Error compiling function")
    (server.directory / "dump.rdb").write_bytes(data)
    server.start()
    assert server.call("FCALL", "good_f", 0) == b"1"


@pytest.mark.parametrize("load", ["disabled", "on-empty-db", "swapdb"])
@pytest.mark.parametrize("kinds", [("ours", "ours"), ("redis", "ours"), ("ours", "redis")])
def test_a_full_synchronization_brings_them(farm, load, kinds):
    """A replica's functions are replaced with its data, and not before the new data set is complete."""
    master = farm.server(kinds[0])
    master.call("FUNCTION", "LOAD", library("theirs", "return 'theirs'", flags=["no-writes"]))
    master.call("SET", "k", "v")
    replica = farm.server(kinds[1], f"repl-diskless-load {load}")
    replica.call("FUNCTION", "LOAD", library("own"))
    replica.call("REPLICAOF", "127.0.0.1", master.port)
    wait_link_up(replica)
    assert names(replica) == ["theirs"] and replica.call("FCALL_RO", "theirs_f", 0) == b"theirs"
    master.call("FUNCTION", "LOAD", library("later", "return 'later'", flags=["no-writes"]))
    wait_in_sync(master, replica)
    assert replica.call("FCALL_RO", "later_f", 0) == b"later"
    master.call("FUNCTION", "FLUSH")
    wait_for(lambda: names(replica) == [], 10, "the flush on the replica")


def test_a_busy_function(server):
    server.call("FUNCTION", "LOAD", library("slow", "while true do end"))
    wire = server.wire()
    wire.send(encode_command("FCALL", "slow_f", 0))
    busy = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
    wait_for(lambda: str(server.ask("PING")) == busy, 10, "the function to be busy")
    running = server.call("FUNCTION", "STATS")[1]
    assert running[:4] == [b"name", b"slow_f", b"command", [b"FCALL", b"slow_f", b"0"]]
    assert error(server, "SCRIPT", "KILL") == busy and error(server, "FUNCTION", "LOAD", library("x")) == busy
    assert server.call("FUNCTION", "KILL") == "OK"
    assert "killed by user" in str(wire.read())
    assert server.call("FUNCTION", "STATS")[1] is None


def test_functions_cannot_take_themselves_away(server):
    """Even if scripts may run all commands."""
    server.call("DEBUG", "SET-DISABLE-DENY-SCRIPTS", 1)
    server.call("FUNCTION", "LOAD", library("lib", "return redis.call(unpack(args))"))
    for command in (["FUNCTION", "FLUSH"], ["FUNCTION", "DELETE", "lib"], ["FUNCTION", "LOAD", "REPLACE", library("lib")],
                    ["SCRIPT", "FLUSH"], ["FCALL", "lib_f", "0"], ["EVAL", "return 1", "0"]):
        assert isinstance(server.ask("FCALL", "lib_f", 0, *command), ReplyError)
    assert names(server) == ["lib"]


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_functions_live_in_the_append_only_file(farm, preamble):
    """Functions are in the appended commands, and in the base that a rewrite makes."""
    server = farm.server("ours", "appendonly yes", f"aof-use-rdb-preamble {preamble}")
    server.call("FUNCTION", "LOAD", library("a", "return redis.call('incr', 'n')"))
    assert server.call("FCALL", "a_f", 0) == 1
    server.restart()
    assert names(server) == ["a"] and server.call("FCALL", "a_f", 0) == 2
    server.call("BGREWRITEAOF")
    wait_for(lambda: server.info("persistence")["aof_rewrites"] != "0" and
             server.info("persistence")["aof_rewrite_in_progress"] == "0", 10, "the rewrite")
    server.call("FUNCTION", "LOAD", library("b"))
    server.call("DEBUG", "LOADAOF")
    assert names(server) == ["a", "b"]
    server.restart()
    assert names(server) == ["a", "b"] and server.call("FCALL", "a_f", 0) == 3

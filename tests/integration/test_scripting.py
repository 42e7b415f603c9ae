"""Lua scripts: EVAL, EVALSHA, SCRIPT, and their effects on the rest of the server."""

import pytest

import aoffiles

from dataset import assert_same, wait_in_sync, wait_link_up
from harness import wait_for
from hazards import attach, stream_of, wait_past_ttl
from wire import Closed, ReplyError, encode_command

BUSY = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
FOREVER = "while true do end"


def evaluate(server, script, *args, keys=()):
    return server.ask("EVAL", script, len(keys), *keys, *args)


def fails(server, script, *args, keys=()):
    """The error without the position that is added to it."""
    reply = evaluate(server, script, *args, keys=keys)
    assert isinstance(reply, ReplyError), reply
    return str(reply).split(" script: ")[0]


def effects(farm, server, script, *args):
    """What a replica gets of a script."""
    return stream_of(farm, server, [("EVAL", script, *(args or (0,)))])[0]


def start_script(server, script, *args, keys=()):
    """Runs a script on a new connection until it is busy; returns the connection."""
    wire = server.wire()
    wire.send(encode_command("EVAL", script, len(keys), *keys, *args))
    wait_for(lambda: is_busy(server), 10, "the script to be busy")
    return wire


def is_busy(server):
    return str(server.ask("PING")).startswith("BUSY")


@pytest.fixture
def server(farm):
    return farm.server("ours", "busy-reply-threshold 10")


# What it answers


@pytest.mark.parametrize(
    "script",
    [
        b"",
        b"\x00",
        b"\x1bLua\x51\x00\x01\x04\x08\x04\x08\x00" + b"\xff" * 40,
        b"return (",
        b"end",
        b"return '" + b"a" * 100,
        b"--[==[",
        b"local " + b",".join(b"v%d" % number for number in range(300)) + b" = 1",
        b"return " + b"(" * 100_000,
        b"return " + b"{" * 100_000,
        b"return " + b"-" * 2 + b"[" + b"=" * 100_000,
        b"if true then " * 100_000,
    ],
    ids=lambda script: repr(script[:12]),
)
def test_CVE_2022_24736_scripts_that_cannot_be_loaded(server, script):
    """An error, or an empty script: for EVAL, SCRIPT LOAD and a library."""
    for command in (("EVAL", script, 0), ("SCRIPT", "LOAD", script), ("FUNCTION", "LOAD", b"#!lua name=l\n" + script)):
        reply = server.ask(*command)
        assert reply is None or isinstance(reply, (bytes, ReplyError)), reply
    assert server.call("EVAL", "return 1", 0) == 1


def test_arguments_and_results(server):
    assert evaluate(server, "return {KEYS[1], KEYS[2], ARGV[1], #ARGV}", "x", "y", keys=("a", "b")) == [b"a", b"b", b"x", 2]
    assert evaluate(server, "return redis.call('set', KEYS[1], ARGV[1])", "v", keys=("k",)) == "OK"
    assert evaluate(server, "return redis.call('get', 'k')") == b"v"
    assert evaluate(server, "return redis.call('echo', 2^53)") == b"9007199254740992"
    assert evaluate(server, "return redis.call('echo', 1.5)") == b"1.5"
    assert evaluate(server, "return redis.call('lpush', 'l', unpack(loadstring('local t = {} for i = 1, 7900 do t[i] = i end return t')()))") == 7900
    assert evaluate(server, "return redis.REDIS_VERSION") == server.info("server")["redis_version"].encode()
    assert evaluate(server, "return cjson.encode({1, bit.band(6, 3), #cmsgpack.pack(1), #struct.pack('I', 1)})") == b"[1,2,1,4]"


def test_errors_tell_where(server):
    sha = server.call("SCRIPT", "LOAD", "\n return redis.call('incr', 'k', 1)").decode()
    reply = server.ask("EVALSHA", sha, 0)
    assert str(reply) == f"ERR Wrong number of args calling Redis command from script script: {sha}, on @user_script:2."
    assert fails(server, "error('x')") == "ERR user_script:1: x"
    assert fails(server, "error({err = 'CODE text'})") == "CODE text"
    assert fails(server, "error({})") == "ERR table"
    assert fails(server, "return nothing") == "ERR user_script:1: Script attempted to access nonexistent global variable 'nothing'"
    assert fails(server, "return 1 +") == "ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'"
    assert fails(server, "redis.call({})") == "ERR Lua redis lib command arguments must be strings or integers"
    assert fails(server, "redis.call('multi')") == "ERR This Redis command is not allowed from script"
    assert fails(server, "redis.call('nonsense')") == "ERR Unknown Redis command called from script"
    assert evaluate(server, "return redis.pcall('incr', 'k', 1).err") == b"ERR Wrong number of args calling Redis command from script"


@pytest.mark.parametrize("count, text", [("x", "ERR value is not an integer or out of range"),
                                         ("-1", "ERR Number of keys can't be negative"),
                                         ("3", "ERR Number of keys can't be greater than number of args"),
                                         ("9223372036854775807", "ERR Number of keys can't be greater than number of args")])
def test_CVE_2023_36824_counts_of_keys(server, count, text):
    assert str(server.ask("EVAL", "return 1", count, "a", "b")) == text
    assert isinstance(server.ask("COMMAND", "GETKEYS", "EVAL", "return 1", count, "a", "b"), ReplyError)
    assert server.call("COMMAND", "GETKEYS", "EVAL", "return 1", 2, "a", "b") == [b"a", b"b"]


def test_resp3(server):
    with server.wire() as wire:
        wire.call("HELLO", 3)
        wire.call("HSET", "h", "f", "v")
        ask = lambda script: wire.ask("EVAL", script, 0)
        assert ask("redis.setresp(3) return redis.call('hgetall', 'h')") == {b"f": b"v"}
        assert ask("redis.setresp(3) return redis.call('hgetall', 'h').map.f") == b"v"
        assert ask("return redis.call('hgetall', 'h')") == [b"f", b"v"]
        assert ask("redis.setresp(3) return true") is True
        assert ask("return true") == 1
        assert ask("return {double = 0.5}") == 0.5
        assert ask("redis.setresp(3) return redis.call('get', 'none') == nil") is True


def test_script_cache(server):
    sha = server.call("SCRIPT", "LOAD", "return 7").decode()
    assert server.call("EVALSHA", sha.upper(), 0) == 7
    assert server.call("EVALSHA_RO", sha, 0) == 7
    assert server.call("SCRIPT", "EXISTS", sha, "0" * 40) == [1, 0]
    memory = server.info("memory")
    assert memory["number_of_cached_scripts"] == "1"
    assert int(memory["used_memory_lua"]) > 10000 and int(memory["used_memory_scripts_eval"]) > 0
    for how in (["SYNC"], ["ASYNC"], []):
        server.call("EVAL", "return 7", 0)
        assert server.call("SCRIPT", "FLUSH", *how) == "OK"
        assert str(server.ask("EVALSHA", sha, 0)) == "NOSCRIPT No matching script. Please use EVAL."
    assert server.info("memory")["used_memory_lua"] == "0"
    assert isinstance(server.ask("SCRIPT", "FLUSH", "LATER"), ReplyError)
    assert "there is no debugger" in str(server.ask("SCRIPT", "DEBUG", "YES"))
    assert server.call("SCRIPT", "DEBUG", "NO") == "OK"


def test_a_script_has_its_own_database_and_protocol(server):
    assert evaluate(server, "redis.call('select', 5) redis.call('set', 'k', '5') redis.setresp(3) return 1") == 1
    assert server.call("GET", "k") is None
    assert evaluate(server, "return redis.call('get', 'k')") is None
    with server.session(database=5) as other:
        assert other.call("EVAL", "return redis.call('get', 'k')", 0) == b"5"


def test_blocking_commands_do_not_block(server):
    assert evaluate(server, "return redis.call('blpop', 'none', 0)") is None
    assert evaluate(server, "return redis.call('wait', 5, 0)") == 0
    assert "not allowed with BLOCK option" in fails(server, "return redis.call('xread', 'block', 0, 'streams', 's', '$')")
    wire = server.wire()
    wire.send(encode_command("BLPOP", "q", 0))
    wait_for(lambda: server.info("clients")["blocked_clients"] == "1", 5, "BLPOP to wait")
    evaluate(server, "redis.call('lpush', 'q', 'a') redis.call('lpush', 'q', 'b')")
    assert wire.read() == [b"q", b"b"], "served when the script was over"


def test_statistics_count_inner_commands(server):
    server.call("CONFIG", "RESETSTAT")
    evaluate(server, "redis.call('set', 'a', 1) redis.pcall('incr', 'a', 'b') return redis.pcall('lpush', 'a', 1)")
    stats, errors = server.info("commandstats"), server.info("errorstats")
    assert stats["cmdstat_set"].startswith("calls=1,")
    assert stats["cmdstat_incr"].startswith("calls=0,") and "rejected_calls=1" in stats["cmdstat_incr"]
    assert stats["cmdstat_lpush"].endswith("failed_calls=1") and stats["cmdstat_eval"].endswith("failed_calls=1")
    assert errors == {"errorstat_ERR": "count=1", "errorstat_WRONGTYPE": "count=1"}


def test_monitor_shows_the_script_and_then_its_commands(server):
    wire = server.wire()
    wire.call("MONITOR")
    evaluate(server, "redis.call('set', KEYS[1], 'v')", keys=("k",))
    assert '"EVAL"' in wire.read()
    assert wire.read().endswith('[0 lua] "set" "k" "v"')


def test_slowlog_names_the_caller(server):
    server.config_set("slowlog-log-slower-than", "0")
    with server.wire() as wire:
        wire.call("CLIENT", "SETNAME", "caller")
        wire.call("EVAL", "redis.call('set', 'k', 'v')", 0)
    names = [entry[5] for entry in server.call("SLOWLOG", "GET", 10) if entry[3][0].lower() in (b"set", b"eval")]
    assert names == [b"caller", b"caller"]


# What it may do


def test_read_only_scripts(server):
    refused = "ERR Write commands are not allowed from read-only scripts."
    for command in ("EVAL_RO", "EVAL"):
        script = "redis.call('set', 'k', 'v')" if command == "EVAL_RO" else "#!lua flags=no-writes\nredis.call('set', 'k', 'v')"
        assert str(server.ask(command, script, 0)).startswith(refused)
    assert str(server.ask("EVAL_RO", "redis.call('publish', 'c', 'x')", 0)).startswith(refused)
    assert str(server.ask("EVAL_RO", "#!lua\nreturn 1", 0)) == "ERR Can not execute a script with write flag using *_ro command."
    assert server.call("EVAL_RO", "return 1", 0) == 1


def test_out_of_memory(server):
    server.call("SET", "k", "v")
    server.config_set("maxmemory", "1")
    oom = "OOM command not allowed when used memory > 'maxmemory'."
    assert fails(server, "redis.call('set', 'k', 'w')") == oom
    assert evaluate(server, "return redis.call('get', 'k')") == b"v"
    assert str(evaluate(server, "#!lua\nreturn 1")) == oom
    assert evaluate(server, "#!lua flags=allow-oom\nreturn redis.call('set', 'k', 'w')") == "OK"
    assert evaluate(server, "#!lua flags=no-writes\nreturn redis.call('get', 'k')") == b"w"


def test_X12_a_script_that_began_in_time_is_not_stopped_by_memory(server):
    """A script is not refused in the middle, and no keys are evicted while it runs."""
    server.config_set("maxmemory-policy", "allkeys-lru", "maxmemory", str(int(server.info("memory")["used_memory"]) + 2000000))
    server.call("SET", "first", "v")
    script = "for i = 1, 300 do redis.call('set', 'k' .. i, ('x'):rep(20000)) end return redis.call('dbsize')"
    assert evaluate(server, script) == 301
    wait_for(lambda: int(server.info("stats")["evicted_keys"]) > 0, 10, "eviction, once the script is over")


def test_on_a_replica(farm):
    master = farm.server("ours")
    replica = farm.server("ours", f"replicaof {master.host} {master.port}")
    wait_link_up(replica)
    readonly = "READONLY You can't write against a read only replica."
    assert fails(replica, "redis.call('set', 'k', 'v')") == readonly
    assert str(evaluate(replica, "#!lua\nreturn 1")) == readonly
    assert evaluate(replica, "#!lua flags=no-writes\nreturn redis.call('get', 'k')") is None
    replica.config_set("replica-serve-stale-data", "no")
    master.kill()
    stale = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
    wait_for(lambda: str(evaluate(replica, "return 1")) == stale, 15, "the link to be down")
    assert evaluate(replica, "#!lua flags=allow-stale,no-writes\nreturn 1") == 1
    assert "Can not execute the command on a stale replica" in fails(replica, "#!lua flags=allow-stale,no-writes\nreturn redis.call('get', 'k')")


def test_scripts_of_a_log_run_where_clients_get_no_stale_data(farm):
    server = farm.server("ours", "appendonly yes", "replicaof 127.0.0.1 1", "replica-serve-stale-data no")
    server.terminate()
    path = aoffiles.last_incr(server)
    script = "redis.call('set', KEYS[1], redis.call('incr', 'n'))"
    path.write_bytes(path.read_bytes() + aoffiles.command("SELECT", 0) + aoffiles.command("EVAL", script, 1, "k"))
    server.start()
    server.config_set("replica-serve-stale-data", "yes")
    assert server.call("GET", "k") == b"1"


def test_min_replicas(server):
    server.config_set("min-replicas-to-write", "1")
    assert fails(server, "redis.call('set', 'k', 'v')").startswith("NOREPLICAS")
    assert evaluate(server, "return redis.call('get', 'k')") is None


# The stream


def test_effects_are_one_unit(farm, server):
    script = "redis.call('set', KEYS[1], 'v') redis.call('incr', 'n') redis.call('get', 'n') redis.call('publish', 'c', 'm')"
    assert effects(farm, server, script, 1, "k") == [
        [b"MULTI"], [b"set", b"k", b"v"], [b"incr", b"n"], [b"publish", b"c", b"m"], [b"EXEC"]]
    assert effects(farm, server, "redis.call('incr', 'n')") == [[b"incr", b"n"]]
    assert effects(farm, server, "return redis.call('get', 'n')") == []


def test_what_failed_is_in_the_stream_as_far_as_it_came(farm, server):
    script = "redis.call('incr', 'n') redis.call('nonsense')"
    assert effects(farm, server, script) == [[b"incr", b"n"]]


def test_X3_times_in_the_past_are_deletions(farm, server):
    server.call("MSET", "a", 1, "b", 1)
    script = "redis.call('expire', 'a', -1) redis.call('pexpireat', 'b', 1)"
    stream = effects(farm, server, script)
    assert [[word.lower() for word in command] for command in stream] in (
        [[b"multi"], [b"del", b"a"], [b"del", b"b"], [b"exec"]], [[b"multi"], [b"unlink", b"a"], [b"unlink", b"b"], [b"exec"]])


def test_X3_relative_times_are_absolute(farm, server):
    stream = effects(farm, server, "redis.call('set', 'a', 1, 'ex', 100) redis.call('setex', 'b', 100, 1)")
    assert [command[0].lower() for command in stream] == [b"multi", b"set", b"set", b"exec"]
    assert stream[1][3].lower() == stream[2][3].lower() == b"pxat"


def test_X8_a_script_in_a_transaction_does_not_nest(farm, server):
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    server.call("SET", "old", "v", "PX", 1)
    wait_past_ttl(1)
    fake = attach(farm, server)
    with server.wire() as wire:
        wire.call("MULTI")
        wire.call("SET", "a", 1)
        wire.call("EVAL", "redis.call('get', 'old') redis.call('incr', 'a') redis.call('incr', 'a')", 0)
        wire.call("EVAL", "return redis.call('incr', 'a')", 0)
        assert wire.call("EXEC") == ["OK", None, 4]
    server.call("SET", "end", 1)
    seen = []
    while not seen or seen[-1][1:2] != [b"end"]:
        command = fake.command()
        if command[0].upper() not in (b"SELECT", b"PING"):
            seen.append(command)
    names = [command[0].lower() for command in seen]
    assert names.count(b"multi") == names.count(b"exec") == 1
    assert [name for name in names if name not in (b"del", b"unlink")] == [b"multi", b"set", b"incr", b"incr", b"incr", b"exec", b"set"]


def test_set_repl(farm, server):
    script = """redis.call('set', 'a', 1)
    redis.set_repl(redis.REPL_NONE) redis.call('set', 'b', 1) redis.call('expire', 'b', 100) redis.call('spop', 'set')
    redis.set_repl(redis.REPL_ALL) redis.call('set', 'c', 1)"""
    server.call("SADD", "set", "x")
    stream = effects(farm, server, script)
    assert [command[1:2] for command in stream] == [[], [b"a"], [b"c"], []]
    assert server.call("MGET", "a", "b", "c") == [b"1", b"1", b"1"]
    assert "Invalid replication flags" in fails(server, "redis.set_repl(9)")


def test_commands_in_other_databases(farm):
    master = farm.server("ours")
    replica = farm.server("ours", f"replicaof {master.host} {master.port}")
    for _ in range(3):
        evaluate(master, "redis.call('incr', 'a') redis.call('select', 3) redis.call('incr', 'b') redis.call('spop', 'none')")
    wait_in_sync(master, replica)
    assert_same(master, replica)
    with replica.session(database=3) as other:
        assert other.call("GET", "b") == b"3"


def test_time_stands_still(server):
    script = """local before = redis.call('time')
    redis.call('set', 'k', 'v', 'px', 1)
    for i = 1, 300000 do redis.call('ping') end
    local after = redis.call('time')
    return {before[1] == after[1] and before[2] == after[2], redis.call('exists', 'k')}"""
    server.config_set("busy-reply-threshold", "0")
    assert evaluate(server, script) == [1, 1]
    assert server.call("EXISTS", "k") == 0


# Scripts that take too long


def test_a_busy_script_can_be_killed(server):
    wire = start_script(server, "while true do pcall(function() redis.call('ping') end) end")
    assert str(server.ask("PING")) == BUSY
    with server.wire() as other:  # accepted meanwhile
        assert other.call("HELLO", 3)[b"server"] == b"redis"
        assert str(other.ask("GET", "k")) == BUSY
        assert other.call("SCRIPT", "KILL") == "OK"
    assert str(wire.read()).startswith("ERR Script killed by user with SCRIPT KILL...")
    assert server.call("PING") == "PONG"
    assert str(server.ask("SCRIPT", "KILL")) == "NOTBUSY No scripts in execution right now."


def test_answers_from_before_a_busy_script_are_sent(server):
    """A client that was answered in the same turn, before the script began, must not wait for the script's end."""
    for _ in range(20):
        with server.wire() as caller, server.wire() as other:
            other.send(encode_command("ECHO", "hello"))
            caller.send(encode_command("EVAL", FOREVER, 0) + encode_command("ECHO", "later"))
            answer = other.read()
            assert answer == b"hello" or str(answer) == BUSY
            wait_for(lambda: str(other.ask("SCRIPT", "KILL")) == "OK", 10, "the script to be killed")
            assert isinstance(caller.read(), ReplyError) and caller.read() == b"later"


def test_X10_a_transaction_around_a_busy_script_runs_wholly_or_not(server):
    server.call("SET", "x", 1)
    early, late = server.wire(), server.wire()
    early.call("MULTI")
    early.call("INCR", "x")
    wire = start_script(server, FOREVER)
    late.send(b"".join(encode_command(*c) for c in (("MULTI",), ("INCR", "x"))))
    assert late.read() == "OK" and str(late.read()) == BUSY
    assert str(early.ask("INCR", "x")) == BUSY
    assert server.call("SCRIPT", "KILL") == "OK"
    wire.read()
    late.send(encode_command("INCR", "x") + encode_command("EXEC"))
    assert late.read() == "QUEUED"
    assert str(late.read()).startswith("EXECABORT") and str(early.ask("EXEC")).startswith("EXECABORT")
    assert server.call("GET", "x") == b"1"


def test_X10_exec_while_a_script_is_busy(server):
    with server.wire() as early:
        early.call("MULTI")
        early.call("SET", "x", 1)
        wire = start_script(server, FOREVER)
        assert str(early.ask("EXEC")) == f"EXECABORT Transaction discarded because of: {BUSY}"
        server.call("SCRIPT", "KILL")
        wire.read()
        assert early.call("EXISTS", "x") == 0


def test_a_script_that_has_written_goes_on_or_ends_with_the_server(farm, server):
    server.call("SET", "before", 1)
    fake = attach(farm, server)
    wire = start_script(server, "redis.call('set', 'half', 1) while true do end")
    assert str(server.ask("SCRIPT", "KILL")).startswith("UNKILLABLE Sorry the script already executed write commands")
    assert str(server.ask("SHUTDOWN")) == BUSY
    with server.wire() as other:
        other.send(encode_command("SHUTDOWN", "NOSAVE"))
        with pytest.raises(Closed):
            other.read()
    assert server.wait_exit() == 0
    seen = []
    try:
        while True:
            seen.append(fake.command()[0].lower())
    except Closed:
        pass
    assert b"set" not in seen, "half of a script is not told to replicas"
    assert str(wire.read()).startswith("ERR Script killed by user")


def test_replicas_that_leave_are_noticed(farm, server):
    """Connections that end or break during a busy script do no harm."""
    fake = attach(farm, server)
    script = "repeat local i = redis.call('info', 'replication') until i:find('connected_slaves:0') return 'gone'"
    wire = start_script(server, script)
    for _ in range(5):
        with server.wire() as other:
            other.send(b"*1\r\n$4\r\nPI")
        with server.wire() as other:
            other.send(b"*x\r\n")
            assert isinstance(other.read(), ReplyError)
    fake.close()
    assert wire.read() == b"gone"
    assert server.call("PING") == "PONG"


def test_CVE_2026_23631_a_full_sync_waits_for_a_busy_script(farm):
    """The master's stream and snapshots arrive while a script runs on the replica: nothing of the script is freed."""
    master = farm.server("ours")
    replica = farm.server("ours", f"replicaof {master.host} {master.port}", "busy-reply-threshold 10")
    wait_link_up(replica)
    wire = start_script(replica, "local n = 0 while true do n = n + #redis.call('keys', '*') end")
    master.call("SET", "k", "v")
    assert str(replica.ask("REPLICAOF", "NO", "ONE")) == BUSY
    master.call("DEBUG", "CHANGE-REPL-ID")
    master.call("CLIENT", "KILL", "TYPE", "replica")
    assert is_busy(replica)
    assert replica.call("SCRIPT", "KILL") == "OK"
    assert isinstance(wire.read(), ReplyError)
    wait_in_sync(master, replica)
    assert replica.call("GET", "k") == b"v"


def test_the_threshold_zero_means_never(server):
    server.config_set("lua-time-limit", "0")
    with server.wire() as wire, server.wire() as other:
        wire.send(encode_command("EVAL", "for i = 1, 30000000 do end return 'done'", 0))
        other.send(encode_command("PING"))
        assert wire.read() == b"done" and other.read() == "PONG"


def test_random_numbers_come_in_one_sequence(server):
    first = evaluate(server, "math.randomseed(7) return {math.random(1000000), math.random(1000000)}")
    assert evaluate(server, "math.randomseed(7) return {math.random(1000000), math.random(1000000)}") == first
    assert evaluate(server, "return math.random(1000000)") != evaluate(server, "return math.random(1000000)")


def test_log(server):
    evaluate(server, "redis.log(redis.LOG_WARNING, 'from', 'a script')")
    wait_for(lambda: server.log_contains("from a script"), 5, "the line in the log")
    assert fails(server, "redis.log(9, 'x')") == "ERR Invalid debug level."


def test_fault_27_a_slow_script_in_a_log_that_is_loaded(farm):
    """A script of the master's stream cannot be ended, and no client is told to end it."""
    server = farm.server("ours", "appendonly yes", "busy-reply-threshold 10", start=False)
    slow = "local n = 0 for i = 1, 3e8 do n = n + 1 end return redis.call('set', 'after', n)"
    aoffiles.write(server, aoffiles.command("SELECT", 0) + aoffiles.command("EVAL", slow, 0))
    server.start(ready=False)
    wait_for(lambda: server.log_contains("Slow script detected"), 60, "the script to be slow")
    loading = "LOADING Redis is loading the dataset in memory"
    with server.wire(timeout=60) as wire:
        for command in (("PING",), ("GET", "k"), ("SCRIPT", "KILL"), ("FUNCTION", "KILL"), ("INFO",), ("EVAL", "return 1", 0)):
            answer = wire.ask(*command)
            assert str(answer) == loading, (command, answer)
            assert not server.log_contains("DB loaded"), "it was over too soon for this test"
        assert wire.call("HELLO", 3)[b"server"] == b"redis"
    wait_for(lambda: str(server.ask("GET", "after")) == str(b"300000000"), 120, "the log to be loaded")


def test_fault_27_cluster_reset_is_not_for_scripts(server):
    assert fails(server, "return redis.call('cluster', 'reset')") == "ERR This Redis command is not allowed from script"
    assert fails(server, "return redis.call('cluster', 'info')") == "ERR This instance has cluster support disabled"


def test_fault_21_errorstats_names_break_no_line(server):
    server.call("CONFIG", "RESETSTAT")
    for text in ("a:b#c x", "", " x", "NOSPACE", "L" * 31 + " x", "L" * 30 + " x", "l\r\nine x", "tab\there x"):
        evaluate(server, "return {err = ARGV[1]}", text)
        evaluate(server, "return redis.error_reply(ARGV[1])", text)
    lines = server.call("INFO", "errorstats").decode().split("\r\n")
    assert lines[0] == "# Errorstats" and lines[-1] == ""
    stats = dict(line.removeprefix("errorstat_").split(":") for line in lines[1:-1])
    assert all(line.startswith("errorstat_") for line in lines[1:-1])
    assert set(stats) == {"ERR", "a_b_c", "L" * 30, "l__ine", "tab_here"}
    assert stats["a_b_c"] == "count=2"


def test_fault_21_codes_of_scripts_leave_room_for_those_of_the_server(server):
    server.call("CONFIG", "RESETSTAT")
    evaluate(server, "for i = 1, 1 do redis.call('set', 'k', 'v') end")
    for number in range(300):
        evaluate(server, "return {err = ARGV[1]}", f"CODE{number} text")
    server.ask("LPUSH", "k", 1)
    server.ask("EVALSHA", "0" * 40, 0)
    evaluate(server, "return redis.call('lpush', 'k', 1)")
    evaluate(server, "return {err = 'WRONGTYPE of a script'}")
    stats = server.info("errorstats")
    assert stats["errorstat_WRONGTYPE"] == "count=3" and stats["errorstat_NOSCRIPT"] == "count=1"
    assert len([name for name in stats if name.startswith("errorstat_CODE")]) == 128
    assert stats["errorstat_ERRORSTATS_OVERFLOW"] == "count=172"
    assert server.info("stats")["total_error_replies"] == "304"
    assert server.log_contains("ERRORSTATS_OVERFLOW")
    server.call("CONFIG", "RESETSTAT")
    assert server.info("errorstats") == {}


def test_states_of_the_scripts_client_end_with_the_script(server):
    """With the rules for scripts switched off, one script may say MULTI or CLIENT NO-EVICT; the next one starts afresh."""
    server.call("DEBUG", "SET-DISABLE-DENY-SCRIPTS", 1)
    assert server.call("EVAL", "redis.call('multi') return 1", 0) == 1
    assert str(server.ask("EVAL", "return redis.call('exec')", 0)).startswith("ERR EXEC without MULTI")
    assert server.call("EVAL", "return redis.call('client', 'no-evict', 'on')", 0) == "OK"
    assert b" flags=N " in server.call("EVAL", "return redis.call('client', 'info')", 0)
    server.call("DEBUG", "SET-DISABLE-DENY-SCRIPTS", 0)

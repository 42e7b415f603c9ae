"""Hostile scripts: whatever they raise, return or call, the server survives, answers, and can end them."""

import sys

import pytest

from harness import wait_for
from wire import ReplyError, encode_command

ENDLESS = "function() while true do end end"
BOOM = "function() error('boom') end"

# As a script's error, as its result, and as the error of one of its coroutines.
VALUES = {
    "index raises": f"setmetatable({{err = 'x'}}, {{__index = {BOOM}, __newindex = {BOOM}}})",
    "assigning does nothing, index raises": f"setmetatable({{err = 'x'}}, {{__index = {BOOM}, __newindex = function() end}})",
    "assigning does nothing, index never ends": f"setmetatable({{err = 'x'}}, {{__index = {ENDLESS}, __newindex = function() end}})",
    "index never ends": f"setmetatable({{err = 'x'}}, {{__index = {ENDLESS}, __newindex = {ENDLESS}}})",
    "no error, index never ends": f"setmetatable({{}}, {{__index = {ENDLESS}, __newindex = {ENDLESS}}})",
    "tostring never ends": f"setmetatable({{}}, {{__tostring = {ENDLESS}, __concat = {ENDLESS}, __len = {ENDLESS}}})",
    "compares never": f"setmetatable({{err = 'x'}}, {{__eq = {ENDLESS}, __lt = {ENDLESS}, __le = {ENDLESS}}})",
    "frozen": "redis",
    "err is a table": "{err = setmetatable({}, {__tostring = error})}",
    "line and source of its own": "{err = 'x', source = {}, line = setmetatable({}, {__index = error})}",
    "line ends": "{err = 'a\\r\\n$1\\r\\nb', ok = '\\n'}",
    "nil": "nil",
    "function": "error",
    "coroutine": "coroutine.create(error)",
    "long": "('x'):rep(1000000)",
    "long err": "{err = ('x'):rep(1000000)}",
    "nan": "0/0",
    "protected": f"setmetatable({{err = 'x'}}, {{__metatable = false, __index = {ENDLESS}}})",
    "cycle": "(function() local t = {} t[1] = t return t end)()",
    "map of itself": "(function() local t = {} t.map = {[1] = t} return t end)()",
    "set of itself": "(function() local t = {} t.set = {[t] = true} return t end)()",
    "deep": "(function() local t = {} for i = 1, 100000 do t = {t} end return t end)()",
    "deep map": "(function() local t = {} for i = 1, 100000 do t = {map = {k = t}} end return t end)()",
    "verbatim": "{verbatim_string = setmetatable({format = 'a', string = 'b'}, {__index = error})}",
    "big number": "{big_number = '12', [1] = error}",
}


@pytest.fixture
def server(farm):
    return farm.server("ours", "busy-reply-threshold 10")


@pytest.fixture
def deep_replies():
    """The client here reads nested replies by recursion."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(30000)
    yield
    sys.setrecursionlimit(limit)


def is_alive(server):
    with server.wire() as wire:  # a new connection
        assert wire.call("PING") == "PONG"
    assert server.call("EVAL", "return 'fine'", 0) == b"fine"
    assert server.call("EVAL", "return {redis.source == nil, redis.line == nil}", 0) == [1, 1]


def kill(server, timeout=10):
    """Ends the script that is running, or about to run."""
    wait_for(lambda: server.ask("SCRIPT", "KILL") == "OK", timeout, "the script to be killed")


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_fault_3_values_of_scripts_are_read_without_their_metamethods(server, deep_replies, value, protocol):
    is_alive(server)
    uses = [
        f"error({value})",
        f"return {value}",
        f"return {{1, {value}, 2}}",
        f"error({value}, 2)",
        f"coroutine.wrap(function() error({value}) end)()",
        f"return select(2, coroutine.resume(coroutine.create(function() error({value}) end)))",
        f"return select(2, pcall(error, {value}))",
        f"local ok, e = xpcall(function() error({value}) end, function(e) return e end) error(e)",
        f"return redis.pcall('get', {value})",
    ]
    with server.wire() as wire:
        wire.call("HELLO", protocol)
        for use in uses:
            wire.send(encode_command("EVAL", use, 0) + encode_command("ECHO", "next"))
            wire.read()
            assert wire.read() == b"next", use
            library = f"#!lua name=l\nredis.register_function('f', function() {use} end)"
            wire.call("FUNCTION", "LOAD", "REPLACE", library)
            wire.send(encode_command("FCALL", "f", 0) + encode_command("ECHO", "next"))
            wire.read()
            assert wire.read() == b"next", use
            wire.send(encode_command("FUNCTION", "LOAD", "REPLACE", f"#!lua name=l\n{use}") + encode_command("ECHO", "next"))
            assert isinstance(wire.read(), ReplyError), use
            assert wire.read() == b"next", use
    is_alive(server)


def test_fault_3_an_error_keeps_its_text_and_place(server):
    ask = lambda script: str(server.ask("EVAL", script, 0))
    sha = server.call("SCRIPT", "LOAD", "\nerror(setmetatable({err = 'CODE text'}, {__index = error, __newindex = error}))").decode()
    assert str(server.ask("EVALSHA", sha, 0)) == f"CODE text script: {sha}, on @user_script:2."
    assert ask("error(redis)").startswith("ERR table script: ")
    assert ask("error({err = 'X', source = 'liar', line = 7})").endswith(", on @user_script:1.")
    assert "redis.source" in ask("return redis.source == nil and error('redis.source is nil')")
    assert server.info("errorstats")["errorstat_CODE"] == "count=1"


def test_fault_3_errors_where_lua_has_no_room_left(server):
    for script in (
        "local function f() return 1 + f() end f()",
        "local function f() f() f() end f()",
        "local f f = function() error(setmetatable({err = 'x'}, {__index = f})) end f()",
        "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x",
        "local t = {} setmetatable(t, {__index = t, __call = t}) t()",
        "local f f = function() coroutine.wrap(f)() end f()",
        "local f f = function() return pcall(f) end return f()",
        "return redis.call(unpack({}, 1, 7999))",
        "return {unpack({}, 1, 7999)}",
        "return string.gsub('x', 'x', function() return string.gsub('x', 'x', error) end)",
    ):
        with server.wire() as wire:
            wire.send(encode_command("EVAL", script, 0))
            wire.read()
        is_alive(server)


ENDLESS_SCRIPTS = [
    "local f f = function() xpcall(f, f) error('x') end f()",
    f"while true do pcall({ENDLESS}) end",
    f"while true do xpcall({ENDLESS}, {ENDLESS}) end",
    f"while true do coroutine.resume(coroutine.create({ENDLESS})) end",
    f"local t = setmetatable({{}}, {{__index = {ENDLESS}, __eq = {ENDLESS}}}) return t.x",
    f"return tostring(setmetatable({{}}, {{__tostring = {ENDLESS}}}))",
    f"return setmetatable({{}}, {{__concat = {ENDLESS}}}) .. 'x'",
]


@pytest.mark.parametrize("script", ENDLESS_SCRIPTS)
def test_fault_3_scripts_without_an_end_are_killed(server, script):
    with server.wire() as wire:
        wire.send(encode_command("EVAL", f"local function forever() {script} end while true do forever() end", 0))
        kill(server)
        assert isinstance(wire.read(), ReplyError)
    is_alive(server)


# Loops in C, which no instruction of Lua interrupts.
ENDLESS_IN_C = [
    "table.insert({}, -2147483648, 1)",
    "return ('a'):rep(100000):find(('.-'):rep(20) .. 'b')",
    "return ('a'):rep(100000):gsub(('a*'):rep(20) .. 'b', '')",
    "for _ in ('a'):rep(100000):gmatch(('(a-)'):rep(20) .. 'b') do end",
    "local t = {} for i = 1, 900 do t = {t, t} end return cjson.encode(t)",
    "local t = {} t.a = t t.b = t t.c = t t.d = t t.e = t return cmsgpack.pack(t, t, t)",
    "local t = {} for i = 1, 1e5 do t[i] = i end while true do table.foreachi(t, type) end",
    "local t = {} for i = 1, 1e5 do t[i] = i % 7 end while true do table.sort(t) end",
    "local s = ('x'):rep(1e8) while true do local t = s .. 'y' end",
    "local s = ('x'):rep(1e8) while true do redis.sha1hex(s) end",
    "local s = ('x'):rep(1e8) while true do s:reverse() end",
    "local t = {} for i = 1, 1e6 do t[i] = i end while true do collectgarbage() end",
    "local function f(n) for i = 1, 100 do if n > 0 then coroutine.wrap(f)(n - 1) end end end f(50)",
    "local s = ('if x then break end '):rep(1e6) return loadstring('while true do ' .. s .. ' end')",
    "while true do redis.call('ping') end",
    "local s = ('x'):rep(1e8) local t = {} for i = 1, 1e6 do t[i] = s end return t",
]


@pytest.mark.parametrize("script", ENDLESS_IN_C)
def test_fault_4_loops_in_c_are_killed(server, script):
    with server.wire() as wire:
        wire.send(encode_command("EVAL", f"local function forever() {script} end local answer repeat answer = forever() until answer return answer", 0))
        kill(server, 20)
        assert isinstance(wire.read(), ReplyError)
    is_alive(server)


def test_fault_4_a_reply_without_an_end_is_an_error(farm):
    """A few tables, each twice in the next one."""
    server = farm.server("ours", "busy-reply-threshold 0")
    with server.wire(timeout=120) as wire:
        reply = wire.ask("EVAL", "local t = {} for i = 1, 40 do t = {t, t} end return t", 0)
        assert "reply is too large" in str(reply)
        assert wire.call("ECHO", "next") == b"next"
    is_alive(server)


def test_fault_4_CVE_2025_46819_a_long_chunk_is_refused_wherever_it_comes_from(server):
    long = b"return [" + b"=" * (64 * 1024 * 1024)
    assert "chunk is too long" in str(server.ask("EVAL", long, 0))
    assert "chunk is too long" in str(server.ask("FUNCTION", "LOAD", b"#!lua name=l\n" + long))
    assert server.call("EVAL", "return select(2, loadstring('return [' .. ('='):rep(67108864)))", 0) == b"chunk is too long"
    assert server.call("FUNCTION", "LIST") == []
    is_alive(server)


def test_fault_4_a_chunk_that_takes_too_long_to_compile_is_refused(server):
    slow = "while true do " + "if x then break end " * 1_000_000 + "end"
    with server.wire(timeout=60) as wire:
        assert "takes too long" in str(wire.ask("EVAL", slow, 0))
        assert "timeout" in str(wire.ask("FUNCTION", "LOAD", "#!lua name=l\n" + slow))
    is_alive(server)

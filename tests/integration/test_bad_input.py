"""Bad input from clients: the error that Redis gives, a closed connection where Redis closes it, no loss, no crash."""

import os
import random
import re
import resource
import socket
import stat
import threading
import time

import pytest

import rdbfile
from dataset import every_encoding
from harness import SCALE, Timeout, wait_for
from wire import Closed, ReplyError, Wire, encode_command

WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def closes_with(server, data, error):
    """The server answers with that error line and ends the connection."""
    with server.wire() as wire:
        wire.send(data)
        return wire.read_until_closed() == b"-" + error.encode() + b"\r\n"


# Malformed requests

PROTOCOL_ERRORS = {
    "count-no-number": (b"*abc\r\n", "invalid multibulk length"),
    "count-too-big": (b"*2147483648\r\n", "invalid multibulk length"),
    "count-past-64-bits": (b"*99999999999999999999999\r\n", "invalid multibulk length"),
    "count-with-blank": (b"* 1\r\n$4\r\nPING\r\n", "invalid multibulk length"),
    "not-a-bulk": (b"*1\r\n:5\r\n", "expected '$', got ':'"),
    "not-a-bulk-2": (b"*2\r\n$3\r\nGET\r\nfoo\r\n", "expected '$', got 'f'"),
    "length-no-number": (b"*1\r\n$abc\r\n", "invalid bulk length"),
    "length-negative": (b"*1\r\n$-1\r\n", "invalid bulk length"),
    "length-past-limit": (b"*1\r\n$536870913\r\n", "invalid bulk length"),
    "length-past-64-bits": (b"*1\r\n$99999999999999999999999\r\n", "invalid bulk length"),
    "length-empty": (b"*1\r\n$\r\n", "invalid bulk length"),
    "inline-unbalanced": (b'SET k "abc\r\n', "unbalanced quotes in request"),
    "inline-after-quote": (b'SET k "abc"def\r\n', "unbalanced quotes in request"),
    "inline-endless": (b"x" * (70 * 1024), "too big inline request"),
    "count-endless": (b"*" + b"1" * (70 * 1024), "too big mbulk count string"),
    "length-endless": (b"*1\r\n$" + b"1" * (70 * 1024), "too big bulk count string"),
}


@pytest.mark.parametrize("case", PROTOCOL_ERRORS)
def test_protocol_error_closes_with_its_text(server, case):
    data, text = PROTOCOL_ERRORS[case]
    assert closes_with(server, data, f"ERR Protocol error: {text}")
    assert server.call("PING") == "PONG"


SMUGGLED = encode_command("SET", "smuggled", "1")
LINE_ENDS = {
    "behind-a-count": b"*1\rX" + b"$4\r\nPING\r\n",
    "behind-a-count-of-none": b"*0\rX" + SMUGGLED,
    "behind-a-length": b"*2\r\n$3\r\nGET\r\n$1\rXk\r\n",
    "behind-an-argument": b"*2\r\n$3\r\nGET\r\n$1\r\nkXX" + SMUGGLED,
    "behind-an-argument-cr": b"*2\r\n$3\r\nGET\r\n$1\r\nk\rX" + SMUGGLED,
    "behind-an-argument-lf": b"*2\r\n$3\r\nGET\r\n$1\r\nkX\n" + SMUGGLED,
    "behind-a-big-argument": b"*2\r\n$3\r\nGET\r\n$100000\r\n" + b"k" * 100000 + b"XX" + SMUGGLED,
}


@pytest.mark.lockstep_only("Redis skips two bytes, whatever they are")
@pytest.mark.parametrize("case", LINE_ENDS)
def test_fault_30_N3_other_bytes_than_a_line_end_are_an_error(server, case):
    """N3: a proxy that checks line ends would see other requests, so a request could be hidden from it."""
    assert closes_with(server, LINE_ENDS[case], "ERR Protocol error: invalid CRLF in request")
    assert server.call("EXISTS", "smuggled") == 0


def test_fault_30_inline_requests_may_end_in_a_lone_line_feed(server):
    with server.wire() as wire:
        wire.send(b"SET k v\nGET k\n" + encode_command("PING") + b"\n\r\nECHO x\r\n")
        assert [wire.read() for _ in range(4)] == ["OK", b"v", "PONG", b"x"]


def test_commands_before_a_protocol_error_are_answered(server):
    with server.wire() as wire:
        wire.send(
            encode_command("SET", "k", "v") + encode_command("GET", "k") + b"*1\r\n:5\r\n" + encode_command("DEL", "k")
        )
        assert wire.read_until_closed() == b"+OK\r\n$1\r\nv\r\n-ERR Protocol error: expected '$', got ':'\r\n"
    assert server.call("GET", "k") == b"v"


def test_CVE_2026_27623_empty_requests_leave_no_trace(server):
    """Empty lines, *0 and *-1 are skipped, in any mixture, also between the commands of a pipeline."""
    with server.wire() as wire:
        wire.send(
            b"\r\n\n*0\r\n*-1\r\n   \r\n"
            + encode_command("PING")
            + b"*0\r\n\r\n"
            + encode_command("ECHO", "x")
            + b"*-5\r\nPING\r\n"
        )
        assert [wire.read() for _ in range(3)] == ["PONG", b"x", "PONG"]
        assert wire.at_rest()


def test_requests_split_at_every_byte(server):
    """Commands of every form, one byte a packet, then cut in two at each place."""
    stream = (
        encode_command("SET", "k", "value\r\n")
        + b"PING\r\n"
        + encode_command("GET", "k")
        + b"SET \"a b\" 'c'\n*0\r\n"
        + b"GET 'a b'\r\n"
    )
    wanted = ["OK", "PONG", b"value\r\n", "OK", b"c"]
    with server.wire() as wire:
        for byte in stream:
            wire.send(bytes([byte]))
        assert [wire.read() for _ in wanted] == wanted
        for cut in range(1, len(stream)):
            wire.send(stream[:cut])
            wire.send(stream[cut:])
            assert [wire.read() for _ in wanted] == wanted


def test_big_value_split_anywhere(server):
    value = random.Random(2).randbytes(300_000)
    data = encode_command("SET", "k", value) + encode_command("STRLEN", "k")
    for cut in (30, 31, 32, 33, 16384, 32768, 65536, 299_990, len(data) - 30, len(data) - 1):
        with server.wire() as wire:
            wire.send(data[:cut])
            wait_for(lambda: server.call("PING") == "PONG")
            wire.send(data[cut:])
            assert [wire.read(), wire.read()] == ["OK", 300_000]
    assert server.call("GET", "k") == value


def test_inline_commands(server):
    with server.wire() as wire:
        for line, reply in (
            (b"PING\r\n", "PONG"),
            (b"ping\n", "PONG"),
            (b"  SET   k\t v  \r\n", "OK"),
            (b"GET k\r\n", b"v"),
            (b'SET k "\\x41\\n\\"\\\\"\r\n', "OK"),
            (b"GET k\r\n", b'A\n"\\'),
            (b"SET k 'it\\'s \\x41'\r\n", "OK"),
            (b"GET k\r\n", b"it's \\x41"),
            (b'ECHO ""\r\n', b""),
        ):
            wire.send(line)
            assert wire.read() == reply, line


@pytest.mark.lockstep_only("Redis reserves what was announced")
def test_announced_lengths_are_not_allocated(server):
    before = int(server.info("memory")["used_memory"])
    with server.wire() as wire, server.wire() as other:
        wire.send(b"*1048576\r\n$3\r\nDEL\r\n")
        other.send(b"*2\r\n$3\r\nGET\r\n$536870912\r\nabc")
        wait_for(lambda: int(server.info("clients")["connected_clients"]) >= 3)
        assert int(server.info("memory")["used_memory"]) - before < 2 << 20


def test_proto_max_bulk_len(farm):
    server = farm.server("ours", "proto-max-bulk-len 1mb")
    assert closes_with(server, b"*1\r\n$1048577\r\n", "ERR Protocol error: invalid bulk length")
    assert server.call("SET", "k", "x" * (1 << 20)) == "OK"
    for command in (("APPEND", "k", "y"), ("SETRANGE", "k", 1 << 20, "y")):
        assert str(server.ask(*command)) == "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
    assert server.call("STRLEN", "k") == 1 << 20
    server.config_set("proto-max-bulk-len", 2 << 20)
    assert server.call("SET", "k", "x" * (2 << 20)) == "OK"
    assert closes_with(server, b"*1\r\n$2097153\r\n", "ERR Protocol error: invalid bulk length")


def test_query_buffer_limit(farm):
    """A request longer than the limit ends its connection and nothing else."""
    server = farm.server("ours", "client-query-buffer-limit 1mb")
    with server.wire() as wire:
        try:
            wire.send(b"*2\r\n$3\r\nGET\r\n$3000000\r\n" + b"x" * 2_999_999)
            assert wire.is_closed()
        except OSError:
            pass
    assert server.call("PING") == "PONG"


@pytest.mark.parametrize("line", [b"POST / HTTP/1.1\r\n", b"post /\r\n", b"Host: example.org\r\n", b"host: x\r\n"])
def test_CVE_2016_10517_cross_protocol_request_is_dropped(server, line):
    """A request of a browser is not answered, and nothing after it is run."""
    with server.wire() as wire:
        wire.send(
            encode_command("SET", "before", "1") + line + b"SET after 1\r\n" + encode_command("SET", "after", "1")
        )
        assert wire.read_until_closed() in (b"", b"+OK\r\n")
    assert server.call("MGET", "before", "after") == [b"1", None]
    wait_for(lambda: "SECURITY ATTACK" in server.log().upper(), 5, "a warning in the log")


# Before authentication


@pytest.fixture
def locked(farm):
    return farm.server("ours", "requirepass s3cret")


def test_CVE_2021_32675_limits_before_authentication(locked):
    assert closes_with(locked, b"*11\r\n", "ERR Protocol error: unauthenticated multibulk length")
    assert closes_with(locked, b"*2\r\n$16385\r\n", "ERR Protocol error: unauthenticated bulk length")
    with locked.wire() as wire:
        assert str(wire.ask(*["DEL"] * 10)) == "NOAUTH Authentication required."
        assert wire.call("AUTH", "s3cret") == "OK"
        assert wire.call("DEL", *["k"] * 100) == 0
        assert wire.call("SET", "k", "x" * 100_000) == "OK"


def test_CVE_2025_21605_replies_nobody_reads_before_authentication(locked):
    """A client that has not authenticated has a bounded cost."""
    before = int(locked.info("memory")["used_memory"])
    with locked.wire(rcvbuf=4096) as wire:
        wire.sock.settimeout(2)
        chunk = encode_command("GET", "k") * 5000
        try:
            for _ in range(150):
                wire.send(chunk)
        except OSError:
            pass
        assert locked.call("PING") == "PONG"
        assert int(locked.info("memory")["used_memory"]) - before < 1 << 20


def test_what_is_allowed_before_authentication(locked):
    with locked.wire() as wire:
        for command in (
            ("PING",),
            ("GET", "k"),
            ("INFO",),
            ("MULTI",),
            ("CONFIG", "GET", "*"),
            ("SUBSCRIBE", "c"),
            ("DEBUG", "SLEEP", 0),
        ):
            assert str(wire.ask(*command)) == "NOAUTH Authentication required.", command
        assert str(wire.ask("HELLO", 3)).startswith("NOAUTH HELLO must be called with the client already authenticated")
        assert str(wire.ask("AUTH", "wrong")) == "WRONGPASS invalid username-password pair or user is disabled."
        assert (
            str(wire.ask("AUTH", "default", "wrong")) == "WRONGPASS invalid username-password pair or user is disabled."
        )
        assert (
            str(wire.ask("AUTH", "nobody", "s3cret")) == "WRONGPASS invalid username-password pair or user is disabled."
        )
        assert str(wire.ask("AUTH", "a", "b", "c")) == "ERR syntax error"
        assert str(wire.ask("AUTH")) == "ERR wrong number of arguments for 'auth' command"
        assert wire.call("AUTH", "default", "s3cret") == "OK"
        assert wire.call("PING") == "PONG"
        assert wire.call("RESET") == "RESET"
        assert str(wire.ask("PING")) == "NOAUTH Authentication required."
        wire.call("HELLO", 3, "AUTH", "default", "s3cret")
        assert wire.call("PING") == "PONG"
    with locked.wire() as wire:
        assert wire.call("QUIT") == "OK"
        assert wire.is_closed()


def test_auth_without_a_password(server):
    assert str(server.ask("AUTH", "x")).startswith(
        "ERR AUTH <password> called without any password configured for the default user."
    )


def test_protected_mode_refuses_other_hosts(farm):
    """Another address than 127.0.0.1 stands for another host here."""
    server = farm.server("ours", "protected-mode yes")
    with socket.create_connection(server.address, source_address=("127.0.0.2", 0), timeout=10) as sock:
        text = b"".join(iter(lambda: sock.recv(65536), b""))
    assert text.startswith(b"-DENIED Redis is running in protected mode") or text.startswith(b"-DENIED ")
    for line in (("protected-mode", "no"), ("requirepass", "x")):
        server.config_set("protected-mode", "yes")
        server.config_set(*line)
        with socket.create_connection(server.address, source_address=("127.0.0.2", 0), timeout=10) as sock:
            sock.sendall(b"PING\r\n")
            assert sock.recv(100) in (b"+PONG\r\n", b"-NOAUTH Authentication required.\r\n")


# Arity, types, numbers


def test_wrong_arity(server):
    for words in (
        ("GET",),
        ("GET", "a", "b"),
        ("SET", "k"),
        ("MSET", "a"),
        ("DEL",),
        ("LPUSH", "k"),
        ("LRANGE", "k", 0),
        ("SADD", "k"),
        ("HSET", "k", "f"),
        ("ZADD", "k", 1),
        ("EXPIRE", "k"),
        ("SELECT",),
        ("ECHO",),
        ("PING", "a", "b"),
        ("TTL",),
    ):
        wanted = f"ERR wrong number of arguments for '{words[0].lower()}' command"
        assert str(server.ask(*words)) == wanted, words
    assert str(server.ask("MSET", "a", "b", "c")) == "ERR wrong number of arguments for 'mset' command"
    assert str(server.ask("HSET", "k", "f", "v", "g")) == "ERR wrong number of arguments for 'hset' command"
    assert str(server.ask("CLIENT", "GETNAME", "x")) == "ERR wrong number of arguments for 'client|getname' command"
    assert str(server.ask("CONFIG", "GET")) == "ERR wrong number of arguments for 'config|get' command"
    assert str(server.ask("OBJECT", "ENCODING")) == "ERR wrong number of arguments for 'object|encoding' command"
    assert str(server.ask("CLIENT", "NOSUCH")) == "ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP."
    assert str(server.ask("CLIENT")) == "ERR wrong number of arguments for 'client' command"


def test_CVE_2025_67733_unknown_commands_cannot_forge_replies(server):
    """The name and the first arguments come back in the error, without control characters."""
    assert str(server.ask("nosuch", "a", "b")) == "ERR unknown command 'nosuch', with args beginning with: 'a' 'b' "
    long = server.ask("x" * 500, "y" * 500)
    assert str(long).startswith("ERR unknown command 'xxx") and len(str(long)) < 400
    with server.wire() as wire:
        for words in (
            ("a\r\n+OK\r\n",),
            ("nosuch", "b\r\n:1\r\n"),
            ("CLIENT", "x\r\n+y"),
            ("CONFIG", "SET", "a\r\n+b", "c\n"),
        ):
            reply = wire.ask(*words)
            assert isinstance(reply, ReplyError), words
            assert wire.ask("PING") == "PONG", words


TYPE_KEYS = {
    "string": ("SET", "string", "v"),
    "list": ("RPUSH", "list", "a"),
    "set": ("SADD", "set", "a"),
    "hash": ("HSET", "hash", "f", "v"),
    "zset": ("ZADD", "zset", 1, "m"),
}
COMMANDS_BY_TYPE = {
    "string": """
        GET | STRLEN | APPEND k v | INCR | INCRBY k 1 | INCRBYFLOAT k 1 | GETRANGE k 0 1 | SETRANGE k 0 x |
        SETBIT k 0 1 | GETBIT k 0 | BITCOUNT | GETSET k v | GETDEL | GETEX | BITPOS k 1 | DECR | SUBSTR k 0 1 |
        SET k v GET
    """,
    "list": """
        LPUSH k a | RPUSH k a | LPUSHX k a | LPOP | RPOP k 2 | LLEN | LINDEX k 0 | LRANGE k 0 -1 | LSET k 0 x |
        LREM k 0 x | LTRIM k 0 1 | LINSERT k BEFORE a b | LPOS k a | RPOPLPUSH k other | LMOVE k other LEFT LEFT
    """,
    "set": """
        SADD k a | SREM k a | SCARD | SISMEMBER k a | SMISMEMBER k a | SMEMBERS | SPOP | SRANDMEMBER | SUNION |
        SINTER | SDIFF | SMOVE k other a | SSCAN k 0
    """,
    "hash": """
        HSET k f v | HGET k f | HMGET k f | HDEL k f | HLEN | HKEYS | HVALS | HGETALL | HEXISTS k f |
        HINCRBY k f 1 | HINCRBYFLOAT k f 1 | HSTRLEN k f | HSCAN k 0 | HRANDFIELD | HSETNX k f v
    """,
    "zset": """
        ZADD k 1 m | ZREM k m | ZSCORE k m | ZMSCORE k m | ZCARD | ZRANK k m | ZREVRANK k m | ZRANGE k 0 -1 |
        ZRANGEBYSCORE k 0 1 | ZRANGEBYLEX k - + | ZCOUNT k 0 1 | ZLEXCOUNT k - + | ZINCRBY k 1 m | ZPOPMIN |
        ZPOPMAX | ZREMRANGEBYRANK k 0 1 | ZREMRANGEBYSCORE k 0 1 | ZSCAN k 0 | ZRANDMEMBER
    """,
}


@pytest.mark.parametrize("kind", COMMANDS_BY_TYPE)
def test_wrong_type(server, kind):
    for command in TYPE_KEYS.values():
        server.call(*command)
    for other in TYPE_KEYS:
        if other == kind:
            continue
        for text in COMMANDS_BY_TYPE[kind].split("|"):
            words = text.split()
            words = (
                [words[0], *[other if word == "k" else word for word in words[1:]]]
                if len(words) > 1
                else [words[0], other]
            )
            assert str(server.ask(*words)) == WRONGTYPE, words
    for name in TYPE_KEYS:
        assert server.call("TYPE", name) == name


NUMBER_ERRORS = [
    ("SET n 9223372036854775807", "INCR n", "ERR increment or decrement would overflow"),
    ("SET n -9223372036854775808", "DECR n", "ERR increment or decrement would overflow"),
    ("SET n 1", "INCRBY n 9223372036854775807", "ERR increment or decrement would overflow"),
    ("SET n 1", "DECRBY n -9223372036854775808", "ERR decrement would overflow"),
    ("SET n 1", "INCRBY n 9223372036854775808", "ERR value is not an integer or out of range"),
    ("SET n x", "INCR n", "ERR value is not an integer or out of range"),
    ("SET n ' 1'", "INCR n", "ERR value is not an integer or out of range"),
    ("SET n 01", "INCR n", "ERR value is not an integer or out of range"),
    ("SET n x", "INCRBYFLOAT n 1", "ERR value is not a valid float"),
    ("SET n 1", "INCRBYFLOAT n abc", "ERR value is not a valid float"),
    ("SET n 1", "INCRBYFLOAT n nan", "ERR value is not a valid float"),
    ("SET n 1", "INCRBYFLOAT n inf", "ERR increment would produce NaN or Infinity"),
    ("SET n 1e4932", "INCRBYFLOAT n 1e4932", "ERR increment would produce NaN or Infinity"),
    ("HSET h f 9223372036854775807", "HINCRBY h f 1", "ERR increment or decrement would overflow"),
    ("HSET h f x", "HINCRBY h f 1", "ERR hash value is not an integer"),
    ("HSET h f x", "HINCRBYFLOAT h f 1", "ERR hash value is not a float"),
    ("HSET h f 1", "HINCRBYFLOAT h f inf", "ERR value is NaN or Infinity"),
    ("HSET h f 1", "HINCRBYFLOAT h f x", "ERR value is not a valid float"),
    ("ZADD z inf m", "ZINCRBY z -inf m", "ERR resulting score is not a number (NaN)"),
    ("ZADD z inf m", "ZADD z INCR -inf m", "ERR resulting score is not a number (NaN)"),
    ("", "ZADD z nan m", "ERR value is not a valid float"),
    ("", "ZADD z x m", "ERR value is not a valid float"),
    ("", "ZADD z 1 m x", "ERR syntax error"),
    ("", "ZADD z XX NX 1 m", "ERR XX and NX options at the same time are not compatible"),
    ("", "ZADD z GT LT 1 m", "ERR GT, LT, and/or NX options at the same time are not compatible"),
    ("", "ZADD z INCR 1 a 2 b", "ERR INCR option supports a single increment-element pair"),
    ("ZADD z 1 m", "ZRANGEBYSCORE z x 1", "ERR min or max is not a float"),
    ("ZADD z 1 m", "ZRANGEBYLEX z a b", "ERR min or max not valid string range item"),
    ("ZADD z 1 m", "ZRANGE z a b", "ERR value is not an integer or out of range"),
    ("", "SELECT abc", "ERR value is not an integer or out of range"),
    ("", "SELECT 16", "ERR DB index is out of range"),
    ("", "SELECT -1", "ERR DB index is out of range"),
    ("", "SWAPDB 0 99", "ERR DB index is out of range"),
    ("", "SWAPDB a 1", "ERR invalid first DB index"),
    ("", "SWAPDB 99999999999 1", "ERR invalid first DB index"),
    ("", "SWAPDB 99 a", "ERR invalid second DB index"),
    ("", "SELECT 2147483648", "ERR value is out of range, value must between -2147483648 and 2147483647"),
    ("SET n 1", "MOVE n -2147483649", "ERR value is out of range, value must between -2147483648 and 2147483647"),
    ("SET n 1", "COPY n m DB 99999999999", "ERR value is out of range, value must between -2147483648 and 2147483647"),
    ("SADD k m", "GETEX k EX x", "WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("SET k v", "GETEX k EX x", "ERR value is not an integer or out of range"),
    ("SET n 1", "MOVE n 0", "ERR source and destination objects are the same"),
    ("SET n 1", "MOVE n 77", "ERR DB index is out of range"),
    ("SET n 1", "COPY n n", "ERR source and destination objects are the same"),
    ("", "RENAME nosuch x", "ERR no such key"),
    ("", "LSET nosuch 0 x", "ERR no such key"),
    ("RPUSH l a", "LSET l 5 x", "ERR index out of range"),
    ("RPUSH l a", "LINDEX l x", "ERR value is not an integer or out of range"),
    ("RPUSH l a", "LPOP l -1", "ERR value is out of range, must be positive"),
    (
        "RPUSH l a",
        "LPOS l a RANK 0",
        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
    ),
    ("RPUSH l a", "LINSERT l BETWEEN a b", "ERR syntax error"),
    ("SADD s a", "SPOP s -1", "ERR value is out of range, must be positive"),
    ("SADD s a", "SRANDMEMBER s x", "ERR value is not an integer or out of range"),
    ("", "SET k v EX 0", "ERR invalid expire time in 'set' command"),
    ("", "SET k v EX -1", "ERR invalid expire time in 'set' command"),
    ("", "SET k v EX 9223372036854775807", "ERR invalid expire time in 'set' command"),
    ("", "SET k v PX 9223372036854775807", "ERR invalid expire time in 'set' command"),
    ("", "SET k v EX abc", "ERR value is not an integer or out of range"),
    ("", "SET k v EX 10 PX 10", "ERR syntax error"),
    ("", "SET k v EX 10 KEEPTTL", "ERR syntax error"),
    ("", "SET k v NX XX", "ERR syntax error"),
    ("", "SET k v NOSUCH", "ERR syntax error"),
    ("", "SETEX k 0 v", "ERR invalid expire time in 'setex' command"),
    ("", "PSETEX k -5 v", "ERR invalid expire time in 'psetex' command"),
    ("SET k v", "EXPIRE k 9223372036854775807", "ERR invalid expire time in 'expire' command"),
    ("SET k v", "EXPIRE k -9223372036854775808", "ERR invalid expire time in 'expire' command"),
    ("SET k v", "PEXPIRE k 9223372036854770000", "ERR invalid expire time in 'pexpire' command"),
    ("SET k v", "EXPIRE k x", "ERR value is not an integer or out of range"),
    ("SET k v", "EXPIRE k 1 NX XX", "ERR NX and XX, GT or LT options at the same time are not compatible"),
    ("SET k v", "EXPIRE k 1 GT LT", "ERR GT and LT options at the same time are not compatible"),
    ("SET k v", "EXPIRE k 1 NOSUCH", "ERR Unsupported option NOSUCH"),
    ("SET k v", "GETEX k EX 0", "ERR invalid expire time in 'getex' command"),
    ("SET k v", "SETRANGE k -1 x", "ERR offset is out of range"),
    ("SET k v", "SETRANGE k 536870912 x", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
    ("SET k v", "SETBIT k -1 1", "ERR bit offset is not an integer or out of range"),
    ("SET k v", "SETBIT k 4294967296 1", "ERR bit offset is not an integer or out of range"),
    ("SET k v", "SETBIT k 0 2", "ERR bit is not an integer or out of range"),
    ("SET k v", "GETBIT k x", "ERR bit offset is not an integer or out of range"),
    ("SET k v", "BITPOS k 2", "ERR The bit argument must be 1 or 0."),
    ("SET k v", "BITCOUNT k 1", "ERR syntax error"),
    ("SET k v", "BITOP NOT d a b", "ERR BITOP NOT must be called with a single source key."),
    ("SET k v", "BITOP WHAT d a", "ERR syntax error"),
    ("", "SCAN x", "ERR invalid cursor"),
    ("", "SCAN 0 COUNT 0", "ERR syntax error"),
    ("", "SCAN 0 COUNT x", "ERR value is not an integer or out of range"),
    ("", "SCAN 0 NOSUCH 1", "ERR syntax error"),
    ("HSET h f v", "HSCAN h x", "ERR invalid cursor"),
    ("", "EXEC", "ERR EXEC without MULTI"),
    ("", "DISCARD", "ERR DISCARD without MULTI"),
    ("", "HELLO 4", "NOPROTO unsupported protocol version"),
    ("", "HELLO abc", "ERR Protocol version is not an integer or out of range"),
    ("", "HELLO 3 NOSUCH", "ERR Syntax error in HELLO option 'NOSUCH'"),
    ("", "HELLO 3 SETNAME 'a b'", "ERR Client names cannot contain spaces, newlines or special characters."),
    ("", "CLIENT SETNAME 'a b'", "ERR Client names cannot contain spaces, newlines or special characters."),
    ("", "CLIENT KILL ID abc", "ERR client-id should be greater than 0"),
    ("", "CLIENT KILL TYPE nosuch", "ERR Unknown client type 'nosuch'"),
    ("", "CLIENT KILL 1.2.3.4:5", "ERR No such client"),
    ("", "CLIENT LIST TYPE nosuch", "ERR Unknown client type 'nosuch'"),
    ("", "CLIENT REPLY MAYBE", "ERR syntax error"),
    ("", "CLIENT PAUSE abc", "ERR timeout is not an integer or out of range"),
    ("", "OBJECT FREQ nosuch", None),
    (
        "SET k v",
        "OBJECT FREQ k",
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
    ),
    ("", "REPLICAOF 127.0.0.1 abc", "ERR Invalid master port"),
    ("", "REPLICAOF 127.0.0.1 99999", "ERR Invalid master port"),
    ("", "WAIT 1 abc", "ERR timeout is not an integer or out of range"),
    ("", "WAIT abc 0", "ERR value is not an integer or out of range"),
    ("", "SHUTDOWN MAYBE", "ERR syntax error"),
    ("", "FLUSHALL MAYBE", "ERR syntax error"),
    ("", "DEBUG NOSUCH", "ERR unknown subcommand or wrong number of arguments for 'NOSUCH'. Try DEBUG HELP."),
    ("", "ZUNIONSTORE d 0 a", "ERR at least 1 input key is needed for 'zunionstore' command"),
    ("", "ZUNIONSTORE d 99999999 a", "ERR syntax error"),
    ("", "ZUNIONSTORE d 1 a WEIGHTS x", "ERR weight value is not a float"),
    ("", "SINTERCARD 0 a", "ERR numkeys should be greater than 0"),
    ("", "SINTERCARD 5 a", "ERR Number of keys can't be greater than number of args"),
    ("", "LMPOP 0 a LEFT", "ERR numkeys should be greater than 0"),
    ("", "ZMPOP 1 a LEFT", "ERR syntax error"),
]


def inline_words(text):
    return [quoted or plain for quoted, plain in re.findall(r"'([^']*)'|(\S+)", text)]


def test_errors_of_numbers_and_options(server):
    """Checks all cases, so that a failure shows all wrong ones."""
    wrong = []
    for setup, command, wanted in NUMBER_ERRORS:
        server.call("FLUSHALL")
        if setup:
            server.call(*inline_words(setup))
        before = server.call("DEBUG", "DIGEST")
        reply = server.ask(*inline_words(command))
        if wanted is None:
            if reply is not None and not isinstance(reply, ReplyError):
                wrong.append((command, reply))
        elif reply != ReplyError(wanted):
            wrong.append((command, reply, wanted))
        if server.call("DEBUG", "DIGEST") != before:
            wrong.append((command, "changed the data"))
    assert not wrong, "\n".join(map(str, wrong))


def test_transaction_errors(server):
    with server.wire() as wire:
        assert wire.call("MULTI") == "OK"
        assert str(wire.ask("MULTI")) == "ERR MULTI calls can not be nested"
        assert str(wire.ask("WATCH", "k")) == "ERR WATCH inside MULTI is not allowed"
        assert wire.call("EXEC") == []
        wire.call("MULTI")
        assert wire.call("SET", "k", "1") == "QUEUED"
        assert str(wire.ask("SET", "k")) == "ERR wrong number of arguments for 'set' command"
        assert str(wire.ask("EXEC")) == "EXECABORT Transaction discarded because of previous errors."
        wire.call("MULTI")
        wire.call("SET", "k", "1")
        wire.call("LPUSH", "k", "x")
        wire.call("SET", "k", "2")
        assert wire.call("EXEC") == ["OK", ReplyError(WRONGTYPE), "OK"]
        wire.call("MULTI")
        assert str(wire.ask("NOSUCH")).startswith("ERR unknown command 'NOSUCH'")
        assert wire.call("DISCARD") == "OK"
        assert wire.call("GET", "k") == b"2"


def test_commands_refused_while_subscribed(server):
    with server.wire() as wire:
        wire.call("SUBSCRIBE", "c")
        assert str(wire.ask("GET", "k")) == (
            "ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        )
        assert wire.ask("PING") == [b"pong", b""]
        assert wire.ask("PING", "x") == [b"pong", b"x"]
        assert wire.call("RESET") == "RESET"
        assert wire.call("GET", "k") is None


# Overflows with a CVE number


def test_CVE_2022_35977_offsets_and_limits_near_the_end_of_64_bits(server):
    server.call("SET", "k", "v")
    server.call("RPUSH", "l", 1, 2, 3)
    top = "9223372036854775807"
    for words in (
        ("SETRANGE", "k", top, "x"),
        ("SETRANGE", "k", 4294967295, "x"),
        ("SETRANGE", "k", 536870911, "xx"),
        ("SORT", "l", "LIMIT", top, 1),
        ("SORT", "l", "LIMIT", 1, top),
        ("SORT", "l", "LIMIT", "-9223372036854775808", top),
        ("LRANGE", "l", "-9223372036854775808", top),
        ("LTRIM", "l", "-9223372036854775808", top),
        ("GETRANGE", "k", "-9223372036854775808", top),
        ("LPOS", "l", 1, "RANK", "-9223372036854775808"),
        ("LREM", "l", "-9223372036854775808", "zzz"),
        ("ZADD", "z", 1, "a", 2, "b"),
        ("ZRANGE", "z", "-9223372036854775808", top),
        ("ZRANGEBYSCORE", "z", "-inf", "+inf", "LIMIT", top, top),
        ("ZRANGE", "z", 0, top, "REV"),
        ("ZREMRANGEBYRANK", "z", top, top),
        ("BITPOS", "k", 1, "-9223372036854775808", top),
        ("BITCOUNT", "k", "-9223372036854775808", top),
        ("SCAN", "18446744073709551615"),
        ("SCAN", 0, "COUNT", top),
        ("HSCAN", "nosuch", "18446744073709551615"),
    ):
        server.ask(*words)
        assert server.call("PING") == "PONG", words
    assert server.call("LLEN", "l") == 3
    assert server.call("GET", "k") == b"v"


@pytest.mark.parametrize("command", ["HRANDFIELD", "ZRANDMEMBER", "SRANDMEMBER"])
def test_CVE_2023_22458_CVE_2023_25155_extreme_counts_of_random_members(server, command):
    server.call("HSET", "h", "f", "v")
    server.call("ZADD", "z", 1, "m")
    server.call("SADD", "s", "m")
    key = {"H": "h", "Z": "z", "S": "s"}[command[0]]
    limit = "-9223372036854775808"
    extra = () if command == "SRANDMEMBER" else ("WITHVALUES",) if command[0] == "H" else ("WITHSCORES",)
    refused = [limit, "9223372036854775808"]
    if extra:
        refused += ["-4611686018427387905", "-9223372036854775807"]
    for count in refused:
        assert str(server.ask(command, key, count, *extra)).startswith("ERR value is "), count
    assert len(server.call(command, key, "9223372036854775807")) == 1
    assert len(server.call(command, key, "-100")) == 100


def test_CVE_2021_32761_R15433_bit_offsets(server):
    for words in (
        ("SETBIT", "k", 4294967296, 1),
        ("SETBIT", "k", "18446744073709551615", 1),
        ("BITFIELD", "k", "SET", "u8", "#536870912", 1),
        ("BITFIELD", "k", "GET", "u64", 0),
        ("BITFIELD", "k", "GET", "i65", 0),
        ("BITFIELD", "k", "SET", "u8", "9223372036854775807", 1),
        ("BITFIELD", "k", "SET", "u8", "#9223372036854775807", 1),
        ("BITFIELD", "k", "SET", "u8", "#-1", 1),
        ("BITFIELD", "k", "SET", "u8", -1, 1),
        ("BITFIELD", "k", "SET", "i64", "#1152921504606846976", 1),
        ("BITFIELD", "k", "SET", "u1", 4294967296, 1),
    ):
        assert isinstance(server.ask(*words), ReplyError), words
    assert server.call("EXISTS", "k") == 0
    assert server.call("BITFIELD", "k", "SET", "i64", "#1", "-9223372036854775808", "INCRBY", "i64", "#1", -1) == [
        0,
        9223372036854775807,
    ]
    assert server.call("BITFIELD", "k", "OVERFLOW", "FAIL", "INCRBY", "u2", 100, 4) == [None]


def test_CVE_2021_29478_limits_set_very_high_do_not_break_small_encodings(farm):
    """Sizes of the compact encodings have ceilings of their own."""
    huge = "1000000000"
    server = farm.server(
        "ours",
        f"set-max-intset-entries {huge}",
        f"hash-max-listpack-entries {huge}",
        f"hash-max-listpack-value {huge}",
        f"zset-max-listpack-entries {huge}",
        f"zset-max-listpack-value {huge}",
    )
    server.call("SADD", "s", *range(5000))
    assert server.call("SCARD", "s") == 5000
    assert server.call("SISMEMBER", "s", 4999) == 1
    big = "x" * 200_000
    for number in range(5):
        server.call("HSET", "h", f"f{number}", big)
        server.call("ZADD", "z", number, big + str(number))
    server.call("HSET", "h", *[x for n in range(200) for x in (f"g{n}", n)])
    assert server.call("HLEN", "h") == 205
    assert server.call("HGET", "h", "f4") == big.encode()
    assert server.call("ZCARD", "z") == 5


@pytest.mark.parametrize("sizes", [(200_000, 200_000), (65_536, 65_535), (65_536, 65_536), (3_000_000, 1)])
def test_CVE_2021_29477_CVE_2021_32625_lcs_of_long_strings(server, sizes):
    """The table has as many cells as the product of the lengths: past 32 bits, at them, and below."""
    server.call("MSET", "a", "x" * sizes[0], "b", "y" * sizes[1])
    reply = server.ask("LCS", "a", "b", "LEN")
    if sizes[1] == 1:
        assert reply == 0
    else:
        assert isinstance(reply, ReplyError) or reply == 0
    assert server.call("PING") == "PONG"


def test_CVE_2023_28856_float_increments_store_only_what_can_be_loaded(server):
    for value in ("1e308", "-1e308", "17976931348623157e292", "5e-324", "0.1"):
        server.ask("HINCRBYFLOAT", "h", "f", value)
        server.ask("INCRBYFLOAT", "k", value)
        assert server.call("DEBUG", "RELOAD") == "OK"
    server.call("HSET", "h", "nan", "nan")
    assert isinstance(server.ask("HINCRBYFLOAT", "h", "nan", 1), ReplyError)


def test_CVE_2023_28425_one_key_twice(server):
    assert server.call("MSETNX", "k", "1", "k", "2") == 1
    assert server.call("GET", "k") == b"2"
    assert server.call("MSET", "k", "3", "k", "4") == "OK"
    assert server.call("DEL", "k", "k") == 1
    assert server.call("SADD", "s", "a", "a") == 1
    assert server.call("HSET", "h", "f", "1", "f", "2") == 1
    assert server.call("ZADD", "z", 1, "m", 2, "m") == 1
    assert server.call("SUNIONSTORE", "s", "s", "s") == 1
    assert server.call("RENAME", "s", "s") == "OK"
    assert server.call("LMOVE", "nol", "nol", "LEFT", "RIGHT") is None


def test_CVE_2023_36824_key_extraction_stays_inside_the_arguments(server):
    for words in (
        ("COMMAND", "GETKEYS", "ZUNIONSTORE", "d", "99999999999", "a"),
        ("COMMAND", "GETKEYS", "ZUNIONSTORE", "d", "-1", "a"),
        ("COMMAND", "GETKEYS", "LMPOP", "1000", "a", "LEFT"),
        ("COMMAND", "GETKEYS", "SINTERCARD", "9223372036854775807", "a"),
        ("COMMAND", "GETKEYS", "MSET", "a"),
        ("COMMAND", "GETKEYS", "GET"),
        ("COMMAND", "GETKEYS", "PING"),
        ("COMMAND", "GETKEYS", "NOSUCH", "a"),
        ("COMMAND", "GETKEYS"),
    ):
        assert isinstance(server.ask(*words), ReplyError), words
    assert server.call("COMMAND", "GETKEYS", "ZUNIONSTORE", "d", "2", "a", "b", "WEIGHTS", "1", "2") == [
        b"d",
        b"a",
        b"b",
    ]


def test_CVE_2016_8339_client_class_of_buffer_limits(server):
    for value in (
        "nosuch 0 0 0",
        "master 1 1 1",
        "9 1 1 1",
        "-1 0 0 0",
        "normal 1 1",
        "normal -1 0 0",
        "normal 1xb 0 0",
    ):
        assert isinstance(server.ask("CONFIG", "SET", "client-output-buffer-limit", value), ReplyError), value
    server.config_set("client-output-buffer-limit", "normal 10mb 1mb 5 replica 0 0 0")
    assert server.config_get("client-output-buffer-limit").startswith("normal 10485760 1048576 5 slave 0 0 0 pubsub ")


# Patterns


@pytest.mark.parametrize(
    "pattern", ["a*" * 30 + "b", "*a" * 30 + "b", "a*?" * 20 + "b", "[a-z]*" * 25 + "0", "\\a*" * 30 + "b"]
)
def test_CVE_2022_36021_patterns_take_bounded_time(server, pattern):
    for number in range(20):
        server.call("SET", "a" * (100 + number), "v")
    start = time.monotonic()
    assert server.call("KEYS", pattern) == []
    assert server.call("SCAN", 0, "MATCH", pattern, "COUNT", 1000)[1] == []
    assert time.monotonic() - start < 5 * SCALE


@pytest.mark.parametrize("unit", ["*", "*?", "[", "[a", "\\", "*[", "?*", "[^"])
def test_CVE_2024_31228_long_patterns_do_not_crash(server, unit):
    server.call("SET", "a" * 1000, "v")
    pattern = unit * (30_000 // len(unit))
    start = time.monotonic()
    server.ask("KEYS", pattern)
    server.ask("KEYS", pattern + "b")
    server.ask("CONFIG", "GET", pattern)
    server.ask("PUBSUB", "CHANNELS", pattern)
    with server.wire() as wire:
        wire.ask("PSUBSCRIBE", pattern)
        server.ask("PUBLISH", "a" * 100, "m")
    assert server.call("PING") == "PONG"
    assert time.monotonic() - start < 10 * SCALE


# RESTORE


def restore_error(server, payload, key="r", *options):
    return str(server.ask("RESTORE", key, 0, payload, *options))


def test_restore_errors(server):
    server.call("SET", "k", "v")
    good = server.call("DUMP", "k")
    bad_payload = "ERR DUMP payload version or checksum are wrong"
    assert restore_error(server, b"") == bad_payload
    assert restore_error(server, b"x" * 9) == bad_payload
    assert restore_error(server, b"x" * 50) == bad_payload
    assert restore_error(server, good[:-1] + b"\x00") == bad_payload
    assert restore_error(server, rdbfile.dump_payload(good[:-10], version=9999)) == bad_payload
    for body in (b"", b"\x00", b"\x00\x20ab", b"\x63abc", b"\x01\x00", b"\x02\x81" + b"\xff" * 8, b"\xff\x00"):
        assert restore_error(server, rdbfile.dump_payload(body)) in ("ERR Bad data format", bad_payload), body
    assert restore_error(server, good, "k") == "BUSYKEY Target key name already exists."
    assert str(server.ask("RESTORE", "r", -1, good)) == "ERR Invalid TTL value, must be >= 0"
    assert str(server.ask("RESTORE", "r", "abc", good)) == "ERR value is not an integer or out of range"
    assert restore_error(server, good, "r", "IDLETIME", "-1") == "ERR Invalid IDLETIME value, must be >= 0"
    assert restore_error(server, good, "r", "FREQ", "256") == "ERR Invalid FREQ value, must be >= 0 and <= 255"
    assert restore_error(server, good, "r", "NOSUCH") == "ERR syntax error"
    assert server.call("EXISTS", "r") == 0
    assert restore_error(server, good, "k", "REPLACE") == "OK"
    assert server.call("GET", "k") == b"v"


def read_back(server, key):
    """Runs all kinds of commands on a restored value; errors are acceptable, a crash is not."""
    kind = server.call("TYPE", key)
    for words in {
        "string": [("GET", key), ("STRLEN", key)],
        "list": [("LRANGE", key, 0, -1), ("LINDEX", key, -1), ("RPOP", key)],
        "set": [("SMEMBERS", key), ("SISMEMBER", key, "5"), ("SPOP", key)],
        "hash": [("HGETALL", key), ("HGET", key, "f"), ("HDEL", key, "f")],
        "zset": [("ZRANGE", key, 0, -1, "WITHSCORES"), ("ZRANGEBYSCORE", key, 0, 5), ("ZPOPMAX", key)],
        "none": [],
    }.get(kind, [("DUMP", key)]):
        server.ask(*words)
    server.ask("DEBUG", "DIGEST-VALUE", key)
    server.ask("DUMP", key)
    server.call("DEL", key)


@pytest.mark.lockstep_only("Redis works for minutes on sizes that a payload announces")
@pytest.mark.parametrize("seed", range(4))
def test_CVE_2026_25243_damaged_payloads_are_refused_or_harmless(farm, seed):
    """Real payloads of every encoding with changed, cut and moved bytes and a corrected checksum."""
    server = farm.server("ours", "sanitize-dump-payload yes")
    rnd = random.Random(seed)
    payloads = []
    for key, (command, _) in every_encoding().items():
        if sum(map(len, map(str, command))) < 20000:
            server.call(*command)
            payloads.append(server.call("DUMP", key))
    accepted = 0
    for _ in range(400):
        body = bytearray(rnd.choice(payloads)[:-10])
        for _ in range(rnd.randrange(1, 4)):
            at = rnd.randrange(min(len(body), 60)) if rnd.random() < 0.7 else rnd.randrange(len(body))
            how = rnd.random()
            if how < 0.6:
                body[at] = rnd.choice((0, 1, 0x7F, 0x80, 0xC0, 0xFE, 0xFF, rnd.randrange(256)))
            elif how < 0.8:
                del body[at : at + rnd.randrange(1, 9)]
            else:
                body[at:at] = rnd.randbytes(rnd.randrange(1, 9))
            body = body or bytearray(b"\x00")
        if restore_error(server, rdbfile.dump_payload(bytes(body)), "fuzz", "REPLACE") == "OK":
            accepted += 1
            read_back(server, "fuzz")
    assert server.call("PING") == "PONG"
    assert accepted < 400


# Resources


def test_maxclients(farm):
    server = farm.server("ours", "maxclients 5")
    wires = []
    refused = None
    for _ in range(8):
        wire = farm.helper(server.wire())
        try:
            reply = wire.ask("PING")
        except (Closed, OSError):
            refused = refused or "closed"
            continue
        if isinstance(reply, ReplyError):
            refused = str(reply)
            assert wire.is_closed()
        else:
            wires.append(wire)
    assert len(wires) <= 5
    assert refused == "ERR max number of clients reached"
    assert wires[0].call("PING") == "PONG"
    assert int(wires[0].call("INFO", "stats").split(b"rejected_connections:")[1].split()[0]) >= 3
    wires[1].close()
    wait_for(lambda: can_ping(server), 5, "room for one more")


def can_ping(server):
    try:
        with Wire(server.address, timeout=2 * SCALE) as wire:
            return wire.ask("PING") == "PONG"
    except (Closed, OSError):
        return False


def test_CVE_2025_48367_running_out_of_descriptors(farm):
    """accept() fails for a while: connected clients continue, and once there is room new ones are accepted."""
    server = farm.server("ours")
    inside = farm.helper(server.wire())
    assert inside.call("PING") == "PONG"
    open_now = len(list_fds(server.pid))
    set_nofile(server.pid, open_now)
    outside = [farm.helper(server.wire()) for _ in range(5)]
    for wire in outside:
        wire.send_command("PING")
    for _ in range(50):
        assert inside.call("PING") == "PONG"
    cpu = server.cpu_seconds()
    start = time.monotonic()
    wait_for(lambda: time.monotonic() - start > 0.5, 2)
    assert server.cpu_seconds() - cpu < 0.6, "no more than a busy loop's worth"
    set_nofile(server.pid, 20000)
    wait_for(lambda: can_ping(server), 10, "new connections")
    assert inside.call("PING") == "PONG"


def list_fds(pid):
    return os.listdir(f"/proc/{pid}/fd")


def set_nofile(pid, limit):
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))


def test_CVE_2023_45145_unix_socket_permissions(farm):
    """At no moment of the start is the socket open to more than the configured mode says."""
    seen = set()
    stop = threading.Event()
    path = farm.directory / "server.sock"

    def watch():
        while not stop.is_set():
            try:
                seen.add(stat.S_IMODE(os.stat(path).st_mode))
            except OSError:
                pass

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    old = os.umask(0)
    try:
        for _ in range(5):
            server = farm.server("ours", f"unixsocket {path}", "unixsocketperm 700")
            with Wire(str(path)) as wire:
                assert wire.call("PING") == "PONG"
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
            server.terminate()
    finally:
        os.umask(old)
        stop.set()
        watcher.join(5)
    assert 0o700 in seen


def test_output_buffer_limit_ends_the_slow_client_only(farm):
    server = farm.server(
        "ours", "client-output-buffer-limit normal 1mb 0 0", "client-output-buffer-limit pubsub 1mb 0 0"
    )
    server.call("SET", "big", "x" * 100_000)
    slow = farm.helper(server.wire(rcvbuf=4096))
    slow.send(encode_command("GET", "big") * 300)
    subscriber = farm.helper(server.wire(rcvbuf=4096))
    subscriber.call("SUBSCRIBE", "c")
    with server.wire() as wire:
        for _ in range(100):
            wire.call("PUBLISH", "c", "m" * 100_000)
    wait_for(lambda: int(server.info("clients")["connected_clients"]) == 1, 10, "both to be dropped")
    assert int(server.info("stats").get("client_output_buffer_limit_disconnections", 2)) == 2


def test_random_bytes_never_crash(server):
    """Noise that starts like a request, many connections."""
    rnd = random.Random(99)
    starts = [b"", b"*", b"*1\r\n", b"*2\r\n$3\r\n", b"$", b"\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$"]
    for _ in range(150):
        with server.wire() as wire:
            try:
                wire.send(rnd.choice(starts) + rnd.randbytes(rnd.randrange(1, 3000)))
                if rnd.random() < 0.5:
                    wire.sock.settimeout(0.02)
                    wire.read_until_closed(0.02)
            except (OSError, Closed, Timeout):
                pass
    assert server.call("PING") == "PONG"

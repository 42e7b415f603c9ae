"""Clients that people use: redis-cli and redis-benchmark with their options, redis-py with both parsers, raw RESP2
and RESP3; and what a client sees: INFO, CLIENT, COMMAND, pub/sub, transactions, blocking of writes."""

import os
import re
import socket
import subprocess
import threading

import pytest
import redis
from redis.connection import HiredisParser, PythonParser

from dataset import assert_same, fill_every_encoding, fill_strings, stat, wait_in_sync
from harness import SCALE, wait_for
from wire import Push, ReplyError, RespSet, Verbatim, encode_command, pairs_to_dict

# redis-cli


def cli(server, *words, stdin=None, status=0, **options):
    done = subprocess.run(
        ["redis-cli", "-p", str(server.port), *map(str, words)],
        input=stdin,
        capture_output=True,
        timeout=60 * SCALE,
        check=False,
        **options,
    )
    assert done.returncode == status, done.stderr
    return done.stdout


def test_cli_commands(server):
    assert cli(server, "set", "k", "v") == b"OK\n"
    assert cli(server, "get", "k") == b"v\n"
    assert cli(server, "-n", "5", "set", "in5", "v") == b"OK\n"
    assert cli(server, "-n", "5", "dbsize") == b"1\n"
    assert cli(server, "-x", "set", "stdin", stdin=b"from stdin\n") == b"OK\n"
    assert server.call("GET", "stdin") == b"from stdin\n"
    assert cli(server, stdin=b"set a 1\nincr a\nmulti\nincr a\nincr a\nexec\n") == b"OK\n2\nOK\nQUEUED\nQUEUED\n3\n4\n"
    assert cli(server, "-r", "3", "incr", "a") == b"5\n6\n7\n"
    assert cli(server, "--no-raw", "lrange", "none", "0", "-1") == b"(empty array)\n"
    assert cli(server, "--csv", "mget", "a", "k", "none") == b'"7","v",NULL\n'
    assert cli(server, "get").startswith(b"ERR wrong number of arguments for 'get' command")


def test_cli_json_and_resp3(server):
    server.call("HSET", "h", "f", "v", "g", "w")
    assert cli(server, "-3", "--json", "hgetall", "h") == b'{"f":"v","g":"w"}\n'
    assert b"1# " in cli(server, "-3", "--no-raw", "hgetall", "h")
    assert cli(server, "-3", "ping") == b"PONG\n"


def test_cli_scan(server):
    fill_strings(server, 1000)
    server.call("SADD", "set", "a")
    assert len(cli(server, "--scan").split()) == 1001
    assert len(cli(server, "--scan", "--pattern", "key:99*").split()) == 11
    assert cli(server, "--scan", "--pattern", "se?").split() == [b"set"]


def test_cli_bigkeys_and_memkeys(server):
    server.call("SET", "biggest", "x" * 5000)
    server.call("RPUSH", "longest", *range(300))
    server.call("ZADD", "z", 1, "m")
    text = cli(server, "--bigkeys").decode()
    assert '"biggest"' in text and "5000 bytes" in text
    assert '"longest"' in text and "300 items" in text
    text = cli(server, "--memkeys").decode()
    assert '"biggest"' in text
    server.config_set("maxmemory-policy", "allkeys-lfu")
    for _ in range(50):
        server.call("GET", "biggest")
    assert '"biggest"' in cli(server, "--hotkeys").decode()


def test_cli_pipe(server):
    data = b"".join(encode_command("SET", f"pipe:{number}", number) for number in range(20_000))
    text = cli(server, "--pipe", stdin=data).decode()
    assert "errors: 0, replies: 20000" in text
    assert server.call("DBSIZE") == 20_000
    assert "errors: 1, replies: 2" in cli(server, "--pipe", stdin=b"SET k\r\nSET k v\r\n", status=1).decode()


def test_cli_rdb(farm, server):
    """redis-cli --rdb acts as a replica for one snapshot."""
    fill_every_encoding(server)
    path = farm.directory / "cli.rdb"
    cli(server, "--rdb", path)
    check = subprocess.run(["redis-check-rdb", str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert check.returncode == 0, check.stdout
    copy = farm.server("redis", start=False)
    copy.write_config()
    os.rename(path, copy.directory / "dump.rdb")
    assert_same(server, copy.start())
    wait_for(lambda: server.info("replication")["connected_slaves"] == "0", 10, "redis-cli to be forgotten")


def test_cli_slave_mode(server):
    """redis-cli --replica prints the stream."""
    process = subprocess.Popen(
        ["redis-cli", "-p", str(server.port), "--replica"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_for(lambda: "slave0" in server.info("replication"), 10)
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
        reader.start()

        def seen():
            server.call("SET", "watched", "1")
            return any('"watched"' in line for line in lines)

        wait_for(seen, 20, "the command to be printed", interval=0.1)
    finally:
        process.terminate()
        process.wait(10)


LIBRARY = "#!lua name=tool\nredis.register_function('seven', function() return 7 end)"


def test_fault_15_cli_functions_rdb(farm, server):
    """redis-cli --functions-rdb gets a file that holds the libraries and no key."""
    server.call("FUNCTION", "LOAD", LIBRARY)
    fill_strings(server, 1000)
    path = farm.directory / "functions.rdb"
    cli(server, "--functions-rdb", path)
    copy = farm.server("redis", start=False)
    copy.write_config()
    os.rename(path, copy.directory / "dump.rdb")
    copy.start()
    assert copy.call("FCALL", "seven", 0) == 7
    assert copy.call("DBSIZE") == 0
    assert server.call("DBSIZE") == 1000


def test_fault_15_cli_replica_mode_is_sent_no_data(server):
    """redis-cli --replica asks for an empty snapshot; other replicas get everything meanwhile."""
    server.call("FUNCTION", "LOAD", LIBRARY)
    server.config_set("rdbcompression", "no")
    server.call("SET", "big", "x" * 1_000_000)
    process = subprocess.Popen(
        ["redis-cli", "-p", str(server.port), "--replica"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        line = next(line for line in process.stderr if line.startswith("SYNC done after"))
        assert int(line.split()[3]) < 1000
    finally:
        process.terminate()
        process.wait(10)


def test_fault_15_rdb_filter_only_is_read_as_redis_reads_it(server):
    def answer(value):
        return str(server.ask("REPLCONF", "rdb-filter-only", value))

    for words in ("", "functions", "FUNCTIONS", " functions  functions "):
        assert answer(words) == "OK"
    assert answer("keys") == "ERR Unsupported rdb-filter-only option: keys"
    assert answer("functions keys") == "ERR Unsupported rdb-filter-only option: keys"
    assert answer('"functions') == "ERR Missing rdb-filter-only values"
    with server.wire() as wire:
        wire.call("REPLCONF", "rdb-filter-only", "functions")
        for command in (("SYNC",), ("PSYNC", "?", -1)):
            assert str(wire.ask(*command)) == "ERR Filtered replica requires EOF capability"


SUBSCRIBED = (
    "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"  # the end of a refusal
)


def test_fault_15_exec_while_subscribed_ends_the_transaction(server):
    with server.wire() as wire:
        assert wire.call("SUBSCRIBE", "c") == [b"subscribe", b"c", 1]
        text = f"EXECABORT Transaction discarded because of: Can't execute 'exec': {SUBSCRIBED}"
        assert str(wire.ask("EXEC")) == text
        assert str(wire.ask("GET", "k")) == f"ERR Can't execute 'get': {SUBSCRIBED}"
        assert wire.call("UNSUBSCRIBE") == [b"unsubscribe", b"c", 0]
        assert str(wire.ask("EXEC")) == "ERR EXEC without MULTI"


def run_for(seconds, *words):
    """A program that never ends by itself, with its output in lines."""
    words = ["timeout", str(seconds), "stdbuf", "-oL", *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def test_cli_stat_and_latency(server):
    fill_strings(server, 10)
    text = run_for(1, "redis-cli", "-p", server.port, "--stat", "-i", "0.1")
    assert re.search(r"^10 +\d+", text, re.M), text
    text = run_for(1.5, "redis-cli", "-p", server.port, "--latency-history", "-i", "1", "--raw")
    assert re.match(r"^\d+,\d+,[\d.]+,\d+", text) or re.match(r"^\d+ \d+ [\d.]+ \d+", text), text


def test_cli_monitor(server):
    process = subprocess.Popen(["redis-cli", "-p", str(server.port), "monitor"], stdout=subprocess.PIPE, text=True)
    lines = []
    threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True).start()
    try:
        wait_for(lambda: "cmd=monitor" in server.call("CLIENT", "LIST").decode(), 10)
        server.call("SET", "quoted", 'a"b\n')
        wait_for(lambda: any("quoted" in line for line in lines), 10, "the command to be shown")
        shown = next(line for line in lines if "quoted" in line)
        assert re.match(r'^\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "SET" "quoted" "a\\"b\\n"\n$', shown), shown
    finally:
        process.terminate()
        process.wait(10)


# redis-benchmark


def test_benchmark_default_tests(server):
    done = subprocess.run(
        ["redis-benchmark", "-p", str(server.port), "-q", "-n", "1000", "-c", "20"],
        capture_output=True,
        text=True,
        timeout=60 * SCALE,
        check=False,
    )
    text = done.stdout.replace("\r", "\n")
    assert done.returncode == 0, text
    for (
        name
    ) in (
        "PING_INLINE PING_MBULK SET GET INCR LPUSH RPUSH LPOP RPOP SADD HSET SPOP ZADD ZPOPMIN LRANGE_100 MSET".split()
    ):
        assert re.search(rf"^{name}.*requests per second", text, re.M), (name, text)
    assert "rror" not in text


def test_benchmark_with_pipelines_and_random_keys(server):
    done = subprocess.run(
        "redis-benchmark -q -n 20000 -P 64 -c 10 -r 1000000 -d 100 --threads 2 -t set,get,incr,zadd,hset,sadd,lpush,lpop -p".split()
        + [str(server.port)],
        capture_output=True,
        text=True,
        timeout=60 * SCALE,
        check=False,
    )
    assert done.returncode == 0 and "rror" not in done.stdout + done.stderr, done.stdout + done.stderr
    assert server.call("DBSIZE") > 10_000


def test_benchmark_with_a_command_of_its_own(server):
    done = subprocess.run(
        ["redis-benchmark", "-p", str(server.port), "-q", "-n", "1000", "SET", "k:__rand_int__", "v", "EX", "100"],
        capture_output=True,
        text=True,
        timeout=60 * SCALE,
        check=False,
    )
    assert "requests per second" in done.stdout
    assert server.info("stats")["total_error_replies"] in ("0", "1")


# redis-py

PARSERS = pytest.mark.parametrize("parser", [PythonParser, HiredisParser], ids=["python", "hiredis"])


def redis_py(server, parser, **options):
    pool = redis.ConnectionPool(host="127.0.0.1", port=server.port, parser_class=parser, **options)
    return redis.Redis(connection_pool=pool)


@PARSERS
def test_redis_py_types(server, parser):
    client = redis_py(server, parser, decode_responses=True)
    assert client.ping()
    client.set("s", "value", ex=100, nx=True)
    assert (client.get("s"), client.ttl("s") > 90, client.strlen("s")) == ("value", True, 5)
    assert client.mset({"a": 1, "b": 2}) and client.mget("a", "b", "none") == ["1", "2", None]
    assert client.incr("a", 5) == 6 and client.incrbyfloat("f", 1.5) == 1.5
    client.rpush("l", *"abcdef")
    assert client.lrange("l", 1, 2) == ["b", "c"] and client.lpop("l", 2) == ["a", "b"] and client.lpos("l", "e") == 2
    client.sadd("set", 1, 2, 3)
    assert client.smembers("set") == {"1", "2", "3"} and client.smismember("set", 1, 9) == [1, 0]
    client.hset("h", mapping={"f": 1, "g": "x"})
    assert client.hgetall("h") == {"f": "1", "g": "x"} and client.hincrby("h", "f", 2) == 3
    client.zadd("z", {"a": 1, "b": 2.5, "c": float("inf")})
    assert client.zrange("z", 0, -1, withscores=True) == [("a", 1.0), ("b", 2.5), ("c", float("inf"))]
    assert client.zrangebyscore("z", "(1", "+inf") == ["b", "c"] and client.zrank("z", "b") == 1
    assert client.zpopmin("z") == [("a", 1.0)]
    assert sorted(client.scan_iter()) == sorted(["s", "a", "b", "f", "l", "set", "h", "z"])
    assert dict(client.hscan_iter("h")) == {"f": "3", "g": "x"}
    assert client.type("z") == "zset" and client.object("encoding", "a") == "int"
    assert client.copy("s", "s2") and client.rename("s2", "s3") and client.delete("s3") == 1
    assert client.info("server")["redis_version"] and client.config_get("timeout") == {"timeout": "0"}
    assert client.dbsize() == 8 and client.flushdb() and client.dbsize() == 0
    assert client.command_count() > 100 and "get" in client.command()
    assert client.time()[0] > 1_600_000_000 and client.lastsave()
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.set("k", "v")
        client.lpush("k", "x")


@PARSERS
def test_redis_py_pipelines_and_transactions(server, parser):
    client = redis_py(server, parser)
    with client.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.set(f"k{number}", number).get(f"k{number}")
        assert pipe.execute() == [x for n in range(5000) for x in (True, b"%d" % n)]
    with client.pipeline() as pipe:
        pipe.set("a", 1).incr("a").lpush("a", "x").incr("a")
        result = pipe.execute(raise_on_error=False)
        assert result[:2] == [True, 2] and isinstance(result[2], redis.ResponseError) and result[3] == 3
    with client.pipeline() as pipe:
        pipe.watch("a")
        client.set("a", 100)
        pipe.multi()
        pipe.set("a", 5)
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert client.transaction(lambda pipe: (pipe.multi(), pipe.incr("a")), "a") == [101]


@PARSERS
def test_redis_py_pubsub(server, parser):
    client = redis_py(server, parser)
    pubsub = client.pubsub()
    pubsub.subscribe("one", "two")
    pubsub.psubscribe("t*")
    got = [pubsub.get_message(timeout=5) for _ in range(3)]
    assert [(m["type"], m["data"]) for m in got] == [("subscribe", 1), ("subscribe", 2), ("psubscribe", 3)]
    assert client.publish("two", "hello") == 2
    assert client.publish("one", b"\x00\r\n") == 1
    assert client.publish("nobody", "x") == 0
    got = [pubsub.get_message(timeout=5) for _ in range(3)]
    assert {(m["type"], m["channel"], m["data"]) for m in got} == {
        ("message", b"two", b"hello"),
        ("pmessage", b"two", b"hello"),
        ("message", b"one", b"\x00\r\n"),
    }
    assert sorted(client.pubsub_channels()) == [b"one", b"two"]
    assert client.pubsub_numsub("one", "none") == [(b"one", 1), (b"none", 0)]
    assert client.pubsub_numpat() == 1
    pubsub.unsubscribe()
    pubsub.punsubscribe()
    got = [pubsub.get_message(timeout=5) for _ in range(3)]
    assert [m["data"] for m in got] == [2, 1, 0]
    pubsub.close()


@PARSERS
def test_redis_py_big_and_binary_values(server, parser):
    client = redis_py(server, parser)
    value = os.urandom(8 << 20)
    client.set("big", value)
    assert client.get("big") == value
    client.rpush("l", *[os.urandom(100) for _ in range(20_000)])
    assert len(client.lrange("l", 0, -1)) == 20_000
    assert client.echo("") == b""


def test_redis_py_lock_and_reconnect(farm, server):
    client = redis.Redis(port=server.port, retry_on_timeout=True)
    assert client.set("lock", "1", nx=True, px=10_000) is True
    assert client.set("lock", "2", nx=True, px=10_000) is None
    server.call("CLIENT", "KILL", "TYPE", "normal")
    assert client.get("lock") == b"1"
    server.restart()
    assert client.ping()


def test_killed_clients_are_gone_before_the_answer(server):
    """When CLIENT KILL is answered, the end of the killed connection is already there to be read."""
    killer = server.wire()
    for number in range(50):
        victim = server.wire()
        assert victim.call("PING") == "PONG"
        victim.sock.setblocking(False)
        assert killer.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") >= 1, number
        assert victim.sock.recv(1) == b"", number
        victim.close()
    killer.close()


def test_redis_py_monitor(server):
    client = redis.Redis(port=server.port)
    with client.monitor() as monitor:
        server.call("SET", "a", "1")
        while True:
            command = monitor.next_command()
            if command["command"] == "SET a 1":
                break
        assert command["client_type"] == "tcp" and command["db"] == 0


# RESP2 and RESP3


def test_hello(server):
    with server.wire() as wire:
        two = pairs_to_dict(wire.call("HELLO"))
        assert two[b"proto"] == 2 and two[b"server"] == b"redis" and two[b"mode"] == b"standalone"
        three = wire.call("HELLO", 3, "SETNAME", "me")
        assert list(three) == [b"server", b"version", b"proto", b"id", b"mode", b"role", b"modules"]
        assert three[b"proto"] == 3 and three[b"role"] == b"master" and three[b"modules"] == []
        assert wire.call("CLIENT", "GETNAME") == b"me"
        assert wire.call("CLIENT", "ID") == three[b"id"]
        assert wire.call("GET", "none") is None
        two = wire.call("HELLO", 2)
        assert isinstance(two, list)


def test_resp3_types(server):
    server.call("HSET", "h", "f", "v")
    server.call("SADD", "s", "a")
    server.call("ZADD", "z", 1.5, "m", "inf", "n")
    with server.wire() as wire:
        wire.call("HELLO", 3)
        assert wire.call("HGETALL", "h") == {b"f": b"v"}
        members = wire.call("SMEMBERS", "s")
        assert isinstance(members, RespSet) and members == [b"a"]
        score = wire.call("ZSCORE", "z", "m")
        assert isinstance(score, float) and score == 1.5
        assert wire.call("ZRANGE", "z", 0, -1, "WITHSCORES") == [[b"m", 1.5], [b"n", float("inf")]]
        assert wire.call("ZINCRBY", "z", 1, "m") == 2.5
        assert wire.call("ZPOPMIN", "z") == [b"m", 2.5]
        assert wire.call("CONFIG", "GET", "timeout") == {b"timeout": b"0"}
        info = wire.call("INFO", "server")
        assert isinstance(info, Verbatim) and info.format == b"txt" and info.startswith(b"# Server")
        assert wire.call("HRANDFIELD", "h", 1, "WITHVALUES") == [[b"f", b"v"]]
        assert wire.call("DEBUG", "PROTOCOL", "ATTRIB") is not None
        for kind, value in (
            ("STRING", b"Hello World"),
            ("INTEGER", 12345),
            ("DOUBLE", 3.141),
            ("NULL", None),
            ("ARRAY", [0, 1, 2]),
            ("SET", [0, 1, 2]),
            ("TRUE", True),
            ("FALSE", False),
        ):
            assert wire.call("DEBUG", "PROTOCOL", kind) == value, kind
        assert wire.call("DEBUG", "PROTOCOL", "MAP") == {0: False, 1: True, 2: False}
        assert wire.call("DEBUG", "PROTOCOL", "BIGNUM") == 1234567999999999999999999999999999999
        assert wire.call("DEBUG", "PROTOCOL", "VERBATIM") == b"This is a verbatim\nstring"


def test_resp2_shapes_of_the_same(server):
    server.call("HSET", "h", "f", "v")
    server.call("ZADD", "z", 1.5, "m", "inf", "n", 3, "o")
    assert server.call("HGETALL", "h") == [b"f", b"v"]
    assert server.call("ZSCORE", "z", "m") == b"1.5"
    assert server.call("ZSCORE", "z", "n") == b"inf"
    assert server.call("ZRANGE", "z", 0, 1, "WITHSCORES") == [b"m", b"1.5", b"o", b"3"]
    assert server.call("ZPOPMIN", "z") == [b"m", b"1.5"]
    with server.wire() as wire:
        wire.send_command("GET", "none")
        wire.send_command("MULTI")
        wire.send_command("LPOP", "none", 1)
        assert wire.read_exact(5) == b"$-1\r\n"
        assert [wire.read(), wire.read()] == ["OK", "QUEUED"]
        wire.send_command("EXEC")
        assert wire.read_exact(9) == b"*1\r\n*-1\r\n"


def test_resp3_pushes_between_replies(server):
    """A RESP3 client may run commands while it is subscribed."""
    with server.wire() as wire:
        wire.call("HELLO", 3)
        wire.send_command("SUBSCRIBE", "c")
        assert wire.read() == Push([b"subscribe", b"c", 1])
        assert wire.call("SET", "k", "v") == "OK"
        wire.send(encode_command("PUBLISH", "c", "m") + encode_command("GET", "k"))
        replies = [wire.read() for _ in range(3)]
        assert [type(reply) for reply in replies].count(Push) == 1
        assert [reply for reply in replies if not isinstance(reply, Push)] == [1, b"v"]
        wire.send_command("UNSUBSCRIBE")
        assert wire.read() == Push([b"unsubscribe", b"c", 0])


# Transactions, pub/sub and keyspace events on the wire


def test_watch(server):
    with server.wire() as one, server.wire() as two:
        for touch in (
            ("SET", "k", "2"),
            ("DEL", "k"),
            ("EXPIRE", "k", 100),
            ("RENAME", "other", "k"),
            ("FLUSHDB",),
            ("FLUSHALL",),
            ("SWAPDB", 0, 1),
            ("PERSIST", "k"),
        ):
            two.call("SET", "other", "x")
            two.call("SET", "k", "1", "EX", 1000)
            one.call("WATCH", "k")
            two.call(*touch)
            one.call("MULTI")
            one.call("PING")
            assert one.call("EXEC") is None, touch
            two.call("FLUSHALL")
        two.call("SET", "k", "1")
        one.call("WATCH", "k")
        two.call("GET", "k")
        two.call("SETNX", "k", "2")
        one.call("MULTI")
        one.call("GET", "k")
        assert one.call("EXEC") == [b"1"]
        one.call("WATCH", "k")
        two.call("SET", "k", "2")
        one.call("UNWATCH")
        one.call("MULTI")
        one.call("PING")
        assert one.call("EXEC") == ["PONG"]


def test_keyspace_events(server):
    server.config_set("notify-keyspace-events", "KEA")
    with server.wire() as listener, server.wire() as client:
        listener.call("PSUBSCRIBE", "__key*__:*")
        client.call("SET", "k", "v", "EX", 100)
        client.call("DEL", "k")
        client.call("LPUSH", "l", "a")
        client.call("LPOP", "l")
        client.call("SET", "dies", "v", "PX", 1)
        wait_for(lambda: client.call("EXISTS", "dies") == 0, 5)
        seen = []
        while not seen or seen[-1] != (b"__keyevent@0__:expired", b"dies"):
            message = listener.read()
            seen.append((message[2], message[3]))
    assert (b"__keyspace@0__:k", b"set") in seen and (b"__keyspace@0__:k", b"expire") in seen
    assert (b"__keyevent@0__:del", b"k") in seen and (b"__keyevent@0__:del", b"l") in seen
    assert (b"__keyevent@0__:lpush", b"l") in seen and (b"__keyevent@0__:lpop", b"l") in seen


# What clients see of the server

INFO_FIELDS = {
    "server": "redis_version redis_git_sha1 redis_git_dirty redis_build_id redis_mode os arch_bits multiplexing_api"
    " atomicvar_api gcc_version process_id process_supervised run_id tcp_port server_time_usec uptime_in_seconds"
    " uptime_in_days hz configured_hz lru_clock executable config_file io_threads_active",
    "clients": "connected_clients cluster_connections maxclients client_recent_max_input_buffer"
    " client_recent_max_output_buffer blocked_clients tracking_clients clients_in_timeout_table",
    "memory": "used_memory used_memory_human used_memory_rss used_memory_rss_human used_memory_peak used_memory_peak_human"
    " used_memory_peak_perc used_memory_overhead used_memory_startup used_memory_dataset used_memory_dataset_perc"
    " allocator_allocated allocator_active allocator_resident total_system_memory total_system_memory_human"
    " used_memory_lua maxmemory maxmemory_human maxmemory_policy mem_fragmentation_ratio mem_fragmentation_bytes"
    " mem_not_counted_for_evict mem_replication_backlog mem_clients_slaves mem_clients_normal mem_aof_buffer"
    " mem_allocator active_defrag_running lazyfree_pending_objects lazyfreed_objects",
    "persistence": "loading async_loading current_cow_peak current_cow_size current_fork_perc rdb_changes_since_last_save"
    " rdb_bgsave_in_progress rdb_last_save_time rdb_last_bgsave_status rdb_last_bgsave_time_sec"
    " rdb_current_bgsave_time_sec rdb_saves rdb_last_cow_size aof_enabled aof_rewrite_in_progress"
    " aof_rewrite_scheduled aof_last_bgrewrite_status aof_last_write_status",
    "stats": "total_connections_received total_commands_processed instantaneous_ops_per_sec total_net_input_bytes"
    " total_net_output_bytes total_net_repl_input_bytes total_net_repl_output_bytes instantaneous_input_kbps"
    " instantaneous_output_kbps rejected_connections sync_full sync_partial_ok sync_partial_err expired_keys"
    " expired_stale_perc expired_time_cap_reached_count evicted_keys evicted_clients total_eviction_exceeded_time"
    " keyspace_hits keyspace_misses pubsub_channels pubsub_patterns latest_fork_usec total_forks"
    " migrate_cached_sockets slave_expires_tracked_keys active_defrag_hits tracking_total_keys"
    " unexpected_error_replies total_error_replies dump_payload_sanitizations total_reads_processed"
    " total_writes_processed io_threaded_reads_processed",
    "replication": "role connected_slaves master_failover_state master_replid master_replid2 master_repl_offset"
    " second_repl_offset repl_backlog_active repl_backlog_size repl_backlog_first_byte_offset repl_backlog_histlen",
    "cpu": "used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children",
    "cluster": "cluster_enabled",
}


def test_info_sections_and_fields(server):
    server.call("SET", "k", "v", "EX", 100)
    text = server.call("INFO").decode()
    headers = re.findall(r"^# (\w+)\r$", text, re.M)
    assert headers[:4] == ["Server", "Clients", "Memory", "Persistence"]
    assert {"Stats", "Replication", "CPU", "Errorstats", "Cluster", "Keyspace"} <= set(headers)
    for section, names in INFO_FIELDS.items():
        have = server.info(section)
        missing = set(names.split()) - set(have)
        assert not missing, (section, missing)
    assert re.match(r"keys=1,expires=1,avg_ttl=\d+", server.info("keyspace")["db0"])
    assert server.info("server")["tcp_port"] == str(server.port)
    assert re.match(
        r"^calls=\d+,usec=\d+,usec_per_call=[\d.]+,rejected_calls=\d+,failed_calls=\d+$",
        server.info("commandstats")["cmdstat_set"],
    )
    everything = set(re.findall(r"^# (\w+)\r$", server.call("INFO", "everything").decode(), re.M))
    assert {"Commandstats", "Latencystats"} <= everything
    two = re.findall(r"^# (\w+)\r$", server.call("INFO", "server", "cpu").decode(), re.M)
    assert two == ["Server", "CPU"]
    assert server.call("INFO", "nosuch") == b""


@pytest.mark.lockstep_only("the version of the project, and fields of 7.2")
def test_info_of_this_version(server):
    info = server.info("server")
    assert info["redis_version"] == "7.2.4" and "lockstep_version" in info
    assert "pubsub_clients" in server.info("clients") and "total_active_defrag_time" in server.info("stats")


def test_info_replication_as_sentinel_and_haproxy_read_it(farm):
    master = farm.server()
    lines = master.call("INFO", "replication").decode().split("\r\n")
    assert lines[:3] == ["# Replication", "role:master", "connected_slaves:0"]
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}", "replica-priority 7")
    wait_in_sync(master, replica)
    info = replica.info("replication")
    assert {
        name: info[name] for name in ("role", "master_host", "master_port", "master_link_status", "slave_priority")
    } == {
        "role": "slave",
        "master_host": "127.0.0.1",
        "master_port": str(master.port),
        "master_link_status": "up",
        "slave_priority": "7",
    }
    for (
        name
    ) in "master_last_io_seconds_ago master_sync_in_progress slave_read_repl_offset slave_repl_offset slave_read_only replica_announced".split():
        assert name in info, name
    row = master.info("replication")["slave0"]
    assert re.match(rf"^ip=127\.0\.0\.1,port={replica.port},state=online,offset=\d+,lag=[01]$", row), row
    assert master.call("ROLE")[0] == b"master"
    assert master.call("ROLE")[2][0][:2] == [b"127.0.0.1", str(replica.port).encode()]
    assert replica.call("ROLE")[:4] == [b"slave", b"127.0.0.1", master.port, b"connected"]
    master.kill()
    wait_for(lambda: replica.info("replication")["master_link_status"] == "down", 10)
    info = replica.info("replication")
    assert "master_link_down_since_seconds" in info
    assert replica.call("ROLE")[3] in (b"connect", b"connecting", b"handshake")


def test_haproxy_check_in_one_connection(server):
    """PING, info replication and QUIT as inline commands, the way the tcp-check of HAProxy sends them."""
    with server.wire() as wire:
        wire.send(b"PING\r\n")
        assert wire.read() == "PONG"
        wire.send(b"info replication\r\n")
        assert b"\r\nrole:master\r\n" in wire.read()
        wire.send(b"QUIT\r\n")
        assert wire.read_until_closed() == b"+OK\r\n"


def client_rows(server, *words):
    text = server.call("CLIENT", "LIST", *words).decode()
    return [dict(word.split("=", 1) for word in line.split(" ")) for line in text.splitlines()]


def test_client_list_and_info(server):
    with server.wire() as wire:
        wire.call("CLIENT", "SETNAME", "tester")
        wire.call("SELECT", 3)
        own = wire.call("CLIENT", "ID")
        row = next(row for row in client_rows(server) if row["id"] == str(own))
        assert (row["name"], row["db"], row["cmd"], row["flags"], row["resp"]) == ("tester", "3", "client|id", "N", "2")
        assert row["addr"] == "127.0.0.1:%d" % wire.sock.getsockname()[1]
        assert row["laddr"] == f"127.0.0.1:{server.port}"
        names = "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem obl oll omem tot-mem events cmd user redir resp"
        assert set(names.split()) <= set(row)
        wire.call("MULTI")
        assert wire.call("SET", "k", "v") == "QUEUED"
        row = next(row for row in client_rows(server, "ID", own))
        assert (row["multi"], row["flags"]) == ("1", "x")
        wire.call("DISCARD")
        assert wire.call("CLIENT", "INFO").startswith(b"id=%d " % own)
        with server.wire() as subscriber:
            subscriber.call("SUBSCRIBE", "c")
            rows = client_rows(server, "TYPE", "pubsub")
            assert [(row["sub"], row["flags"]) for row in rows] == [("1", "P")]
        assert client_rows(server, "TYPE", "replica") == []


def test_client_kill_filters(server):
    def victims(count):
        wires = [server.wire() for _ in range(count)]
        for number, wire in enumerate(wires):
            wire.call("CLIENT", "SETNAME", f"v{number}")
        return wires, [wire.call("CLIENT", "ID") for wire in wires]

    wires, ids = victims(3)
    assert server.call("CLIENT", "KILL", "ID", ids[0]) == 1
    assert wires[0].is_closed()
    assert server.call("CLIENT", "KILL", "ADDR", "127.0.0.1:%d" % wires[1].sock.getsockname()[1]) == 1
    assert wires[1].is_closed()
    assert server.call("CLIENT", "KILL", "127.0.0.1:%d" % wires[2].sock.getsockname()[1]) == "OK"
    assert wires[2].is_closed()
    assert server.call("CLIENT", "KILL", "ID", ids[0]) == 0
    wires, ids = victims(3)
    assert server.call("CLIENT", "KILL", "TYPE", "normal", "LADDR", f"127.0.0.1:{server.port}") == 3
    assert all(wire.is_closed() for wire in wires)
    wires, ids = victims(2)
    assert server.call("CLIENT", "KILL", "USER", "default", "SKIPME", "yes") == 2
    with server.wire() as wire:
        assert wire.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no") >= 1
        assert wire.is_closed()


@pytest.mark.lockstep_only("7.2: SETINFO, NO-TOUCH, lib-name in CLIENT LIST")
def test_client_setinfo(server):
    with server.wire() as wire:
        assert wire.call("CLIENT", "SETINFO", "LIB-NAME", "redis-py") == "OK"
        assert wire.call("CLIENT", "SETINFO", "lib-ver", "5.0.1") == "OK"
        assert b" lib-name=redis-py lib-ver=5.0.1" in wire.call("CLIENT", "INFO")
        assert isinstance(wire.ask("CLIENT", "SETINFO", "LIB-NAME", "a b"), ReplyError)
        assert isinstance(wire.ask("CLIENT", "SETINFO", "NOSUCH", "x"), ReplyError)
        assert wire.call("CLIENT", "NO-TOUCH", "on") == "OK"


def test_client_pause(server):
    server.call("SET", "k", "v")
    with server.wire() as writer, server.wire() as reader:
        assert server.call("CLIENT", "PAUSE", 60000, "WRITE") == "OK"
        assert reader.call("GET", "k") == b"v"
        writer.send_command("SET", "k", "w")
        assert writer.at_rest(0.2)
        assert reader.call("GET", "k") == b"v"
        wait_for(lambda: int(server.info("clients")["blocked_clients"]) == 1, 5)
        assert server.call("CLIENT", "UNPAUSE") == "OK"
        assert writer.read() == "OK"
        server.call("CLIENT", "PAUSE", 300)
        reader.send_command("GET", "k")
        assert reader.read() == b"w"


def test_client_reply(server):
    with server.wire() as wire:
        wire.send(
            encode_command("CLIENT", "REPLY", "OFF")
            + encode_command("SET", "k", "1")
            + encode_command("CLIENT", "REPLY", "ON")
        )
        assert wire.read() == "OK"
        wire.send(
            encode_command("CLIENT", "REPLY", "SKIP") + encode_command("SET", "k", "2") + encode_command("GET", "k")
        )
        assert wire.read() == b"2"
        assert wire.at_rest()


def test_command_tables(server):
    count = server.call("COMMAND", "COUNT")
    table = server.call("COMMAND")
    assert len(table) == count > 150
    get = server.call("COMMAND", "INFO", "get", "nosuch")
    assert get[1] is None
    name, arity, flags, first, last, step, categories, tips, specs, subcommands = get[0]
    assert (name, arity, first, last, step) == (b"get", 2, 1, 1, 1)
    assert {"readonly", "fast"} <= set(flags) and {"@read", "@string", "@fast"} <= set(categories)
    assert specs and subcommands == [] and tips == []
    for name in (b"client", b"config", b"object"):
        row = next(row for row in table if row[0] == name)
        assert any(sub[0].startswith(name + b"|") for sub in row[9])
    assert b"get" in server.call("COMMAND", "LIST")
    assert set(server.call("COMMAND", "LIST", "FILTERBY", "PATTERN", "zr*")) >= {b"zrange", b"zrem", b"zrank"}
    docs = pairs_to_dict(server.call("COMMAND", "DOCS", "set")[1])
    assert docs[b"group"] == b"string" and docs[b"since"] == b"1.0.0" and b"summary" in docs
    assert server.call("COMMAND", "GETKEYS", "MSET", "a", 1, "b", 2) == [b"a", b"b"]
    assert server.call("COMMAND", "GETKEYSANDFLAGS", "SET", "k", "v")[0][0] == b"k"


def test_memory_and_object_commands(server):
    server.call("SET", "k", "v" * 1000)
    assert server.call("MEMORY", "USAGE", "k") >= 1000
    assert server.call("MEMORY", "USAGE", "none") is None
    stats = pairs_to_dict(server.call("MEMORY", "STATS"))
    assert stats[b"keys.count"] == 1 and stats[b"total.allocated"] > 0
    assert server.call("MEMORY", "PURGE") == "OK"
    assert len(server.call("MEMORY", "DOCTOR")) > 20
    assert server.call("OBJECT", "REFCOUNT", "k") == 1
    assert server.call("OBJECT", "IDLETIME", "k") == 0
    assert server.call("OBJECT", "ENCODING", "k") == b"raw"


def test_slowlog_and_latency(server):
    server.config_set("slowlog-log-slower-than", 0)
    server.call("SET", "k", "v")
    rows = server.call("SLOWLOG", "GET", -1)
    assert all(len(row) == 6 for row in rows)
    commands = [row[3] for row in rows]
    assert [b"SET", b"k", b"v"] in commands
    server.config_set("slowlog-log-slower-than", 1_000_000)
    assert server.call("SLOWLOG", "RESET") == "OK" and server.call("SLOWLOG", "LEN") == 0
    server.config_set("latency-monitor-threshold", 10)
    server.call("DEBUG", "SLEEP", 0.05)
    rows = server.call("LATENCY", "LATEST")
    assert rows and rows[0][0] == b"command" and rows[0][2] >= 50
    assert server.call("LATENCY", "HISTORY", "command")
    assert server.call("LATENCY", "RESET") == 1


def test_wait(farm):
    master = farm.server()
    replicas = [farm.server("redis", f"replicaof 127.0.0.1 {master.port}") for _ in range(2)]
    wait_in_sync(master, *replicas)
    with master.wire() as wire:
        wire.call("SET", "k", "v")
        assert wire.call("WAIT", 2, 5000) == 2
        assert wire.call("WAIT", 3, 50) == 2
        replicas[0].pause()
        wire.call("SET", "k", "w")
        assert wire.call("WAIT", 2, 200) == 1
        replicas[0].resume()
        assert wire.call("WAIT", 2, 10_000) == 2


def test_min_replicas_to_write(farm):
    master = farm.server("ours", "min-replicas-to-write 1", "min-replicas-max-lag 10")
    refused = "NOREPLICAS Not enough good replicas to write."
    assert str(master.ask("SET", "k", "v")) == refused
    replica = farm.server("redis", f"replicaof 127.0.0.1 {master.port}")
    wait_for(lambda: master.ask("SET", "k", "v") == "OK", 10, "writes to be taken")
    assert master.info("replication")["min_slaves_good_slaves"] == "1"
    replica.kill()
    wait_for(lambda: str(master.ask("SET", "k", "v")) == refused, 10, "writes to be refused")
    assert master.call("GET", "k") == b"v"


def test_stale_replica(farm):
    replica = farm.server("ours", "replicaof 127.0.0.1 1", "replica-serve-stale-data no")
    text = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
    assert str(replica.ask("GET", "k")) == text
    assert replica.info("replication")["master_link_status"] == "down"
    replica.config_set("replica-serve-stale-data", "yes")
    assert replica.call("GET", "k") is None


def test_timeout_closes_idle_clients(farm):
    server = farm.server("ours", "timeout 1")
    idle = farm.helper(server.wire())
    idle.call("PING")
    subscriber = farm.helper(server.wire())
    subscriber.call("SUBSCRIBE", "c")
    assert idle.is_closed(10)
    assert subscriber.ask("PING") == [b"pong", b""]


def test_many_connections(server):
    wires = [server.wire() for _ in range(500)]
    try:
        for wire in wires:
            wire.send_command("INCR", "n")
        assert sorted(wire.read() for wire in wires) == list(range(1, 501))
        assert int(server.info("clients")["connected_clients"]) >= 500
    finally:
        for wire in wires:
            wire.close()
    wait_for(lambda: int(server.info("clients")["connected_clients"]) == 1, 10)
    assert stat(server, "total_connections_received") >= 501


def test_last_requests_of_a_client_that_leaves(server):
    """The end of the connection arrives while requests wait: these still run."""
    for count in (10, 65, 200, 1000, 5000) * 3:
        with server.wire() as wire:
            wire.send(b"".join(encode_command("SET", f"key:{i}", "x") for i in range(count)))
            wire.sock.shutdown(socket.SHUT_WR)
            assert wire.is_closed()
        assert server.call("DBSIZE") == count
        server.call("FLUSHALL")


def test_deep_pipeline_in_order(server):
    total = 100_000
    with server.wire(timeout=60) as wire:
        data = b"".join(encode_command("INCR", "n") for _ in range(total))
        assert wire.send_and_read(data, total) == list(range(1, total + 1))


def test_maxmemory_policies(farm):
    for policy in (
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ):
        server = farm.server("ours", f"maxmemory-policy {policy}")
        server.config_set("maxmemory", int(server.info("memory")["used_memory"]) + (2 << 20))
        with server.wire() as wire:
            replies = wire.pipeline([("SET", f"k{n}", "x" * 500, "EX", 1000 + n) for n in range(10_000)])
        assert all(reply == "OK" for reply in replies), policy
        assert stat(server, "evicted_keys") > 1000, policy
        assert int(server.info("memory")["used_memory"]) < int(server.config_get("maxmemory")) * 1.1
        server.kill()


def test_noeviction_refuses_writes_that_need_memory(farm):
    server = farm.server("ours", "maxmemory-policy noeviction")
    server.call("SET", "k", "x" * 1_000_000)
    server.config_set("maxmemory", "1mb")
    refused = "OOM command not allowed when used memory > 'maxmemory'."
    assert str(server.ask("SET", "other", "v")) == refused
    assert str(server.ask("LPUSH", "l", "v")) == refused
    assert server.call("STRLEN", "k") == 1_000_000
    assert server.call("DEL", "k") == 1
    server.config_set("maxmemory", "0")
    assert server.call("SET", "other", "v") == "OK"


def test_cli_against_a_locked_server(farm):
    server = farm.server("ours", "requirepass s3cret")
    assert b"NOAUTH" in cli(server, "get", "k")
    assert cli(server, "-a", "s3cret", "--no-auth-warning", "ping") == b"PONG\n"
    assert cli(server, "ping", env=dict(os.environ, REDISCLI_AUTH="s3cret")) == b"PONG\n"

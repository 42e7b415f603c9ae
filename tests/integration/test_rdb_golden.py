"""RDB files of all versions and in all encodings, built byte by byte or written by Redis, and read by both servers;
and files of this server, read by Redis."""

import pytest

import rdbfile
from dataset import digest, fill_every_encoding, read_everything
from harness import free_port, wait_for
from rdbcases import BAD_VALUES, FAR, bad_file, good_file
from test_config import run_until_exit
from test_persistence import check_rdb, restored_in
from wire import pairs_to_dict

NEWER = pytest.mark.lockstep_only("a version that Redis 7.0 does not read")
OURS_ONLY = pytest.mark.lockstep_only("what Redis does here is its own")
VERSIONS = [*range(1, 11), pytest.param(11, marks=NEWER), pytest.param(12, marks=NEWER)]
EMPTY = [name for name in BAD_VALUES if name.endswith("-empty")]


def started_on(farm, kind, data, *lines):
    server = farm.server(kind, *lines, start=False)
    server.write_config()
    (server.directory / "dump.rdb").write_bytes(data)
    return server.start()


def _digests(server, keys):
    with server.session() as wire:
        return dict(zip(keys, wire.pipeline([("DEBUG", "DIGEST-VALUE", key) for key in keys])))


def _comparable(kind, value):
    return set(value) if kind == "set" else dict(value) if kind == "zset" else value


@pytest.mark.parametrize("version", VERSIONS)
def test_every_encoding_of_every_version(farm, version):
    """What the file says is there, and where Redis 7.0 reads the version, both call every value by the same digest."""
    data, expected = good_file(version)
    ours = started_on(farm, "ours", data)
    found = read_everything(ours)[0]
    assert {key: (kind, _comparable(kind, value)) for key, (kind, value, _) in found.items()} == expected
    if version <= 10:
        redis = started_on(farm, "redis", data)
        keys = sorted(expected)
        assert _digests(ours, keys) == _digests(redis, keys)
        assert digest(ours) == digest(redis)
        with ours.session() as one, redis.session() as other:
            alike = [key for key in keys if not key.startswith((b"set", b"list"))]  # 7.2 has more of them
            ask = [("OBJECT", "ENCODING", key) for key in alike]
            assert one.pipeline(ask) == other.pipeline(ask)
        streams = [key for key in keys if key.startswith(b"stream")]
        assert _stream_facts(ours, streams) == _stream_facts(redis, streams)


def _hyperloglogs(wire):
    wire.call("PFADD", "hll:sparse", *range(50))
    wire.call("PFADD", "hll:dense", *range(20000))


def _streams(wire):
    """Several nodes, deleted entries, groups with and without pending entries; an empty stream; a large last id."""
    wire.call("CONFIG", "SET", "stream-node-max-entries", 10)
    for number in range(1, 40):
        fields = ("f", number, "g", "x" * number) if number % 3 else ("f", number)
        wire.call("XADD", "stream", f"{number // 2}-{number}", *fields)
    wire.call("XDEL", "stream", "5-10", "5-11", "19-39")
    wire.call("XGROUP", "CREATE", "stream", "all", "0")
    wire.call("XGROUP", "CREATE", "stream", "late", "10-20", "ENTRIESREAD", 7)
    wire.call("XGROUP", "CREATECONSUMER", "stream", "late", "idle")
    wire.call("XREADGROUP", "GROUP", "all", "one", "COUNT", 9, "STREAMS", "stream", ">")
    wire.call("XREADGROUP", "GROUP", "all", "two", "COUNT", 7, "STREAMS", "stream", ">")
    wire.call("XACK", "stream", "all", "1-2", "1-3", "6-12")
    wire.call("XCLAIM", "stream", "all", "three", 0, "2-4", "RETRYCOUNT", 77, "TIME", 1600000000000)
    wire.call("XADD", "stream:empty", "5-5", "f", "v")
    wire.call("XDEL", "stream:empty", "5-5")
    wire.call("XADD", "stream:far", "1-1", "f", "v")
    wire.call("XSETID", "stream:far", "18446744073709551615-5", "ENTRIESADDED", 9000000000, "MAXDELETEDID", "1-1")
    wire.call("XGROUP", "CREATE", "stream:none", "g", "$", "MKSTREAM")


def _stream_facts(server, keys=(b"stream", b"stream:empty", b"stream:far", b"stream:none")):
    """All that XINFO says, without times, which advance."""
    facts = {}
    with server.session() as wire:
        for key in keys:
            info = pairs_to_dict(wire.call("XINFO", "STREAM", key, "FULL", "COUNT", 0))
            groups = [pairs_to_dict(group) for group in info.pop(b"groups")]
            for group in groups:
                consumers = [pairs_to_dict(consumer) for consumer in group[b"consumers"]]
                group[b"consumers"] = [
                    {name: consumer[name] for name in (b"name", b"pel-count", b"pending")} for consumer in consumers
                ]
            info = {name: info[name] for name in info if not name.startswith(b"radix-tree")}
            facts[key] = (info, groups)
    return facts


@OURS_ONLY
@pytest.mark.parametrize("compress", ["yes", "no"])
@pytest.mark.parametrize("version", [9, 10, 11])
def test_a_living_redis_to_us_and_back(farm, compress, version):
    """Streams, groups and HyperLogLogs with all other values: Redis's file in ours, our file in Redis."""
    redis = farm.server("redis", f"rdbcompression {compress}")
    fill_every_encoding(redis, databases=(0, 7))
    with redis.session() as wire:
        _hyperloglogs(wire)
        _streams(wire)
    redis.call("SAVE")
    ours = restored_in(
        farm, "ours", redis.directory / "dump.rdb", f"rdbcompression {compress}", f"rdb-version {version}"
    )
    assert digest(ours) == digest(redis)
    assert _stream_facts(ours) == _stream_facts(redis)
    ours.call("SAVE")
    path = ours.directory / "dump.rdb"
    back = restored_in(farm, "redis" if version <= 10 else "ours", path)
    assert digest(back) == digest(redis)
    if version > 9:  # 9 does not say how many entries were added, or read by a group
        assert _stream_facts(back) == _stream_facts(redis)
    if version <= 10:
        check_rdb(path)


@NEWER
def test_times_of_hash_fields(farm):
    """Hashes with expiring fields in all four forms, and again from our own file, whatever version is configured."""
    data, _ = good_file(12)
    first = started_on(farm, "ours", data, "rdb-version 10")
    first.call("SAVE")
    path = first.directory / "dump.rdb"
    assert path.read_bytes()[:9] == b"REDIS0012"
    for server in (first, restored_in(farm, "ours", path)):
        times = {
            key: server.call("HPEXPIRETIME", key, "FIELDS", len(fields), *fields)
            for key, fields in (
                ("hash-times", ["f", "g", ""]),
                ("hash-times-listpack", ["f", "h", "1"]),
                ("hash-times-candidate", ["f", "g"]),
                ("hash-times-listpack-candidate", ["f", "g"]),
            )
        }
        assert times == {
            "hash-times": [FAR + 4999, -1, FAR],
            "hash-times-listpack": [FAR, FAR + 7, -1],
            "hash-times-candidate": [FAR, -1],
            "hash-times-listpack-candidate": [FAR, -1],
        }


@OURS_ONLY
@pytest.mark.parametrize("version", [9, 10, 11, 12])
def test_old_encodings_are_written_as_new_ones(farm, version):
    """All of them again, out of our file, in Redis where it reads that version."""
    data, expected = good_file(max(version, 11))  # with what is in 12, no older version would be written
    ours = started_on(farm, "ours", data, f"rdb-version {version}")
    ours.call("SAVE")
    path = ours.directory / "dump.rdb"
    assert path.read_bytes()[:9] == b"REDIS%04d" % version
    reader = restored_in(farm, "redis" if version <= 10 else "ours", path)
    assert _digests(reader, sorted(expected)) == _digests(ours, sorted(expected))
    assert digest(reader) == digest(ours)
    if version <= 10:
        check_rdb(path)


@OURS_ONLY
@pytest.mark.parametrize("name", [name for name in BAD_VALUES if name not in EMPTY])
def test_CVE_2026_25243_bad_values_stop_the_start(tmp_path, name):
    """Damage inside a value that the checksum covers."""
    (tmp_path / "dump.rdb").write_bytes(bad_file(name))
    status, text = run_until_exit("--port", free_port(), "--bind", "127.0.0.1", "--dir", tmp_path)
    assert status == 1, text
    assert "key 'the key'" in text and "Terminating server after rdb file reading failure." in text


@OURS_ONLY
def test_empty_collections_are_left_out(farm):
    """Old versions wrote such values."""
    body = b"".join(rdbfile.entry(BAD_VALUES[name][0], name, BAD_VALUES[name][1]) for name in EMPTY)
    server = started_on(farm, "ours", rdbfile.file(body + rdbfile.string_entry("k", "v")))
    assert server.call("KEYS", "*") == [b"k"]
    for name in EMPTY:
        assert server.log_contains(f"skipping empty key: {name}")
    assert server.log_contains(f"empty keys skipped: {len(EMPTY)}")


REFUSED = {
    "function": (b"\xf5" + rdbfile.string("#!lua name=mylib\nreturn 1"), "function library 'mylib'"),
    "old-function": (b"\xf6" + rdbfile.string("oldlib") + rdbfile.string("LUA"), "function library 'oldlib'"),
    "module-data": (b"\xf7\x81" + bytes(8), "no matching module 'AAAAAAAAA'"),
    "module-value": (rdbfile.entry(7, "doc", b"\x81" + bytes(8)), "no matching module type 'AAAAAAAAA'"),
    "slot": (b"\xf4" + rdbfile.length(16384) + rdbfile.length(1) * 2, "slot 16384 is out of range"),
}


@OURS_ONLY
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_held_is_refused_by_name(tmp_path, name):
    """Nothing is dropped silently; the file stays as it was."""
    body, text = REFUSED[name]
    data = rdbfile.file(body + rdbfile.string_entry("k", "v"), 12)
    (tmp_path / "dump.rdb").write_bytes(data)
    status, output = run_until_exit("--port", free_port(), "--bind", "127.0.0.1", "--dir", tmp_path)
    assert status == 1 and text in output, output
    assert (tmp_path / "dump.rdb").read_bytes() == data

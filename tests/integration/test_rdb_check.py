"""The server's program as redis-check-rdb: exit codes and lines compared with those of Debian's tool."""

import os
import pty
import re
import subprocess

import pytest

import rdbfile
from dataset import fill_every_encoding
from harness import OURS, SCALE, is_real_redis
from rdbcases import BAD_VALUES, FILES, STRICTER, good_file

pytestmark = [
    pytest.mark.lockstep_only("Redis's own tool is what this is compared with"),
    pytest.mark.skipif(is_real_redis(OURS), reason="compares with itself"),
]

THEIRS = "/usr/bin/redis-check-rdb"


@pytest.fixture
def tool(tmp_path):
    """The program under the name by which it is the tool."""
    path = tmp_path / "bin" / "redis-check-rdb"
    path.parent.mkdir()
    path.symlink_to(os.path.realpath(OURS))
    return path


def run(*words):
    """Returns (exit code, lines of standard output, standard error)."""
    done = subprocess.run([str(word) for word in words], capture_output=True, timeout=60 * SCALE, check=False)
    return done.returncode, done.stdout.decode().splitlines(), done.stderr.decode()


def comparable(lines):
    """Of a good file: the lines that tell what is where, without one that we alone have. A module's data is told a
    byte or two earlier."""
    out = []
    for line in lines:
        if line.startswith("[offset ") and "Bytes after the end" not in line:
            out.append(re.sub(r"\[offset \d+\] (MODULE)", r"\1", line))
    return out


@pytest.mark.parametrize("name", FILES)
def test_verdict_and_lines_are_those_of_redis(tool, tmp_path, name):
    data, good = FILES[name]
    path = tmp_path / name
    path.write_bytes(data)
    code, lines, _ = run(tool, path)
    assert code == (0 if good else 1), lines
    their_code, their_lines, _ = run(THEIRS, path)
    assert code == their_code or name in STRICTER, their_lines
    assert lines[0] == their_lines[0] == f"[offset 0] Checking RDB file {path}"
    ends = [line for line in lines if line.startswith("[info]")]
    if good:
        assert comparable(lines) == comparable(their_lines)
        assert ends[:3] == [line for line in their_lines if line.startswith("[info]")]
    else:
        assert "--- RDB ERROR DETECTED ---" in lines and len(ends) == 3


@pytest.mark.parametrize("name", BAD_VALUES)
def test_what_is_broken_is_named(tool, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(FILES[name][0])
    _, lines, _ = run(tool, path)
    where = ["[additional info] While doing: read-object-value", "[additional info] Reading key 'the key'"]
    assert all(line in lines for line in where)
    assert "[info] 1 keys read" in lines
    if name in STRICTER or BAD_VALUES[name][0] > 20:  # it does not get that far
        return
    _, theirs, _ = run(THEIRS, path)
    assert all(line in theirs for line in where)
    kind = next(line for line in theirs if "Reading type" in line)
    assert kind in lines or "(unknown)" in kind


@pytest.mark.parametrize("version", range(1, 13))
def test_files_of_every_version(tool, tmp_path, version):
    path = tmp_path / "dump.rdb"
    data, expected = good_file(version)
    path.write_bytes(data)
    code, lines, _ = run(tool, path)
    assert code == 0 and f"[info] {len(expected)} keys read" in lines, lines
    if version <= 10:
        their_code, their_lines, _ = run(THEIRS, path)
        assert their_code == 0 and comparable(lines) == comparable(their_lines)


@pytest.mark.parametrize("kind", ["ours", "redis"])
def test_files_of_living_servers(farm, tool, kind):
    server = farm.server(kind)
    fill_every_encoding(server)
    server.call("SAVE")
    path = server.directory / "dump.rdb"
    code, lines, _ = run(tool, path)
    their_code, their_lines, _ = run(THEIRS, path)
    assert code == their_code == 0
    assert comparable(lines) == comparable(their_lines)
    assert lines[-3:] == their_lines[-3:]


def test_every_cut_is_found(tool, tmp_path):
    """Some of the cases, because starting a program each time is slow."""
    data, _ = good_file(11)
    path = tmp_path / "cut.rdb"
    for at in range(0, len(data), len(data) // 40):
        path.write_bytes(data[:at])
        code, lines, _ = run(tool, path)
        assert code == 1 and f"[offset {at}] Unexpected EOF reading RDB file" in lines, (at, lines)


def test_ways_to_call_it(tool, tmp_path):
    path = tmp_path / "dump.rdb"
    path.write_bytes(FILES["plain"][0])
    by_option = run(OURS, "--check-rdb", path)
    assert by_option[0] == 0 and by_option == run(tool, path)
    beside = os.path.join(os.path.dirname(OURS), "lockstep-check-rdb")
    assert run(beside, path) == by_option
    for words in ([tool], [tool, path, path], [OURS, "--check-rdb"]):
        code, lines, errors = run(*words)
        assert code == 1 and lines == [] and errors.startswith("Usage: ") and "<rdb-file-name>" in errors
    assert run(THEIRS)[0] == run(THEIRS, path, path)[0] == 1
    code, lines, _ = run(tool, "--version")
    assert code == 0 and "check-rdb" in lines[0]


def test_files_that_cannot_be_read(tool, tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        code, _, errors = run(tool, path)
        assert code == run(THEIRS, path)[0] == 1
        assert errors.startswith(f"Cannot read {path}: ")


def test_CVE_2025_27151_long_paths(tool):
    """Longer than any path may be, and longer than buffers of that size."""
    for size in (4090, 4096, 5000, 100000):
        path = "/" + "a" * (size - 1)
        code, lines, errors = run(tool, path)
        assert code == 1 and lines == [f"[offset 0] Checking RDB file {path}"] and "File name too long" in errors


def test_text_of_a_file_does_not_reach_the_terminal_as_it_is(tool, tmp_path):
    path = tmp_path / "dump.rdb"
    path.write_bytes(rdbfile.file(rdbfile.aux("x\x1b]0;", "\x07y") + rdbfile.entry(1, "k\r\n\x1b[31m", b"\x00")))
    code, lines, _ = run(tool, path)
    assert code == 1
    assert "[additional info] Reading key 'k\\x0d\\x0a\\x1b[31m'" in lines
    assert not any(char in line for line in lines for char in "\x1b\x07\r")


def test_progress_for_somebody_who_watches(tool, tmp_path):
    """A line on standard error that the next one replaces, if that is a terminal; standard output is as ever."""
    path = tmp_path / "dump.rdb"
    path.write_bytes(FILES["plain"][0])
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run([tool, path], stdout=subprocess.PIPE, stderr=theirs, timeout=60 * SCALE, check=True)
        shown = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    size = len(FILES["plain"][0])
    assert f"\r\x1b[K[offset {size}] 100.0% checked, 1 keys read" in shown and shown.endswith("\r\x1b[K")
    assert done.stdout.decode().splitlines() == run(tool, path)[1]

"""Writes and reads the files of an append-only log."""

import subprocess
from pathlib import Path

from harness import OURS

NAME = "appendonly.aof"


def command(*words):
    """The bytes of one command in the file."""
    out = b"*%d\r\n" % len(words)
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out += b"$%d\r\n%s\r\n" % (len(word), word)
    return out


def directory(server):
    return server.directory / "appendonlydir"


def manifest(server):
    """The lines of the manifest."""
    return (directory(server) / f"{NAME}.manifest").read_text().splitlines()


def listed(server, kind):
    """The files of this type (b, i or h) in the manifest, in order."""
    lines = (line.split() for line in manifest(server))
    return [directory(server) / words[1] for words in lines if words[5] == kind]


def last_incr(server):
    return listed(server, "i")[-1]


def stream_bytes(path):
    """The commands of a file, without the annotations between them."""
    data, out, at = Path(path).read_bytes(), b"", 0
    while at < len(data):
        if data[at : at + 1] == b"#":
            at = data.index(b"\n", at) + 1
            continue
        end = end_of_command(data, at)
        out += data[at:end]
        at = end
    return out


def end_of_command(data, at):
    end = data.index(b"\r\n", at)
    count = int(data[at + 1 : end])
    at = end + 2
    for _ in range(count):
        end = data.index(b"\r\n", at)
        at = end + 2 + int(data[at + 1 : end]) + 2
    return at


def place(path):
    """(id, offset, database) from the last line of a file, or None."""
    lines = Path(path).read_bytes().split(b"\r\n")
    if len(lines) < 2 or not lines[-2].startswith(b"#REPL:"):
        return None
    _, replid, offset, database, _, _ = lines[-2].decode().split(":")
    return replid, int(offset), int(database)


def write(server, *incr, base=None):
    """Writes files before a server starts: a manifest, an incremental file, and perhaps a base."""
    server.write_config()
    target = directory(server)
    target.mkdir()
    lines = []
    if base is not None:
        (target / f"{NAME}.1.base.aof").write_bytes(base)
        lines.append(f"file {NAME}.1.base.aof seq 1 type b\n")
    for number, data in enumerate(incr, 1):
        (target / f"{NAME}.{number}.incr.aof").write_bytes(data)
        lines.append(f"file {NAME}.{number}.incr.aof seq {number} type i\n")
    (target / f"{NAME}.manifest").write_text("".join(lines))


def check(tool, path, *options, answer=None):
    """Runs redis-check-aof ("redis") or lockstep-check-aof ("ours")."""
    program = ["redis-check-aof"] if tool == "redis" else [OURS, "--check-aof"]
    return subprocess.run(
        [*program, *options, str(path)], capture_output=True, text=True, timeout=60, check=False, input=answer
    )

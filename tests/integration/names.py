"""A network of its own, with a name server that the test controls: loopback, /etc/resolv.conf and /etc/hosts are those of a
namespace, so that no other process notices.

Run as a program: names.py DIR. It makes the network, and is its name server until standard input ends.
"""

import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from harness import Server

SILENT = "silent"  # in place of the addresses of a name


class NamedServer(Server):
    """A server in that network, whose clients come through a Unix socket."""

    def __init__(self, network, directory, lines=()):
        super().__init__("ours", directory, ["unixsocket socket", *lines], port=network.next_port())
        self.argv = [*network.enter, *self.argv]

    @property
    def address(self):
        return str(self.directory / "socket")


class Network:
    def __init__(self, farm):
        self.farm = farm
        self.directory = farm.directory / "network"
        self.directory.mkdir()
        self.port = 6999
        self.servers = 0
        self.zone({})
        self.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1\n")
        self.write("hosts", "127.0.0.1 localhost\n127.0.0.1 of-the-hosts-file.test\n")
        self.write("nsswitch.conf", "hosts: files dns\n")
        self.proc = subprocess.Popen(
            ["unshare", "-r", "-m", "-n", sys.executable, __file__, str(self.directory)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        farm.helper(self)
        if self.proc.stdout.readline() != b"ready\n":
            pytest.skip(f"no namespaces here: {self.proc.stderr.read().decode(errors='replace').strip()}")
        self.enter = ["nsenter", "-t", str(self.proc.pid), "-U", "-m", "-n", "--preserve-credentials"]

    def write(self, name, text):
        (self.directory / name).write_text(text)

    def zone(self, names):
        """Names with their addresses, or with SILENT. All others do not exist."""
        temp = self.directory / "zone.new"
        temp.write_text(json.dumps(names))
        temp.rename(self.directory / "zone")

    def queries(self):
        path = self.directory / "queries"
        return path.read_text().split() if path.exists() else []

    def next_port(self):
        self.port += 1
        return self.port

    def server(self, *lines):
        self.servers += 1
        server = self.farm.adopt(NamedServer(self, self.farm.directory / f"n{self.servers}", lines))
        return server.start()

    def close(self):
        self.proc.stdin.close()
        self.proc.wait(10)
        self.proc.stdout.close()
        self.proc.stderr.close()


def loopback_up():
    name_and_flags = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # IFF_UP, IFF_RUNNING
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, name_and_flags)  # SIOCSIFFLAGS


def reply_to(query, names, seen):
    """The reply of one question, or None."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
    name = ".".join(labels).lower()
    print(name, file=seen, flush=True)
    addresses = names.get(name)
    if addresses == SILENT:
        return None
    records = b""
    count = 0
    for address in addresses or ():
        family, of_kind = (socket.AF_INET6, 28) if ":" in address else (socket.AF_INET, 1)
        if kind == of_kind:
            raw = socket.inet_pton(family, address)
            records += struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(raw)) + raw
            count += 1
    flags = 0x8180 if addresses is not None else 0x8183
    return query[:2] + struct.pack("!HHHHH", flags, 1, count, 0, 0) + query[12 : at + 5] + records


def main():
    directory = Path(sys.argv[1])
    loopback_up()
    for name in ("resolv.conf", "hosts", "nsswitch.conf"):
        target = os.path.realpath(f"/etc/{name}")
        subprocess.run(["mount", "--bind", str(directory / name), target], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, open(directory / "queries", "w") as seen:
        server.bind(("127.0.0.1", 53))
        print("ready", flush=True)
        while True:
            ready = select.select([server, sys.stdin], [], [])[0]
            if sys.stdin in ready:
                return
            query, peer = server.recvfrom(512)
            reply = reply_to(query, json.loads((directory / "zone").read_text()), seen)
            if reply is not None:
                server.sendto(reply, peer)


if __name__ == "__main__":
    main()

"""HAProxy as a process of a test, and what it says about its servers."""

import csv
import io
import socket

from harness import HAPROXY, Process

HEAD = """\
global
    maxconn 4000
    stats socket {directory}/stats.sock mode 600 level admin

defaults
    mode tcp
    timeout connect 2s
    timeout client 60s
    timeout server 60s

"""


class Balancer(Process):
    """Runs HAProxy with a configuration without its global and defaults sections, unless it has a global one."""

    def __init__(self, directory, text):
        directory.mkdir(parents=True)
        conf = directory / "haproxy.cfg"
        conf.write_text(text if text.startswith("global") else HEAD.format(directory=directory) + text)
        super().__init__("haproxy", directory, [HAPROXY, "-db", "-f", conf])

    def command(self, line):
        """The answer to a command on the socket for statistics, or None while there is no such socket."""
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5)
                sock.connect(str(self.directory / "stats.sock"))
                sock.sendall(line.encode() + b"\n")
                return b"".join(iter(lambda: sock.recv(65536), b"")).decode()
        except OSError:
            return None

    def rows(self):
        """What `show stat` says of each server, by "backend/server"; None while HAProxy does not answer."""
        text = self.command("show stat")
        if text is None:
            return None
        rows = csv.DictReader(io.StringIO(text.lstrip("# ")))
        return {f"{row['pxname']}/{row['svname']}": row for row in rows if row["svname"] not in ("FRONTEND", "BACKEND")}

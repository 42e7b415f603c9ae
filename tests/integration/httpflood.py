"""httpflood PORT KIND COUNT: a hostile peer of an HTTP port, as a process of its own until it is killed.

    silent     COUNT connections that send nothing; one that the server closes is opened again
    slow       COUNT connections that send a head byte by byte, and never its end
    heads      COUNT connections that send fields without an end, as fast as they can
    requests   COUNT connections that send requests without a pause, and read the answers
    deaf       COUNT connections that send requests without a pause, and read nothing
    logins     COUNT connections that try passwords without a pause

Writes a line once all connections have been opened.
"""

import resource
import selectors
import socket
import sys
import time

GET = b"GET /primary HTTP/1.1\r\nHost: localhost\r\n"
LOGIN = GET.replace(b"/primary", b"/none") + b"Authorization: Basic eDp5\r\n\r\n"
HEAD = GET + b"X: "
CHUNK = {
    "silent": b"",
    "slow": b"a",
    "heads": b"".join(b"X-%d: %s\r\n" % (n, b"a" * 90) for n in range(600)),
    "requests": (GET + b"\r\n") * 500,
    "deaf": (GET + b"\r\n") * 500,
    "logins": LOGIN * 100,
}


class Peer:
    def __init__(self, flood):
        self.flood = flood
        self.began = False
        self.rest = b""
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leaves no TIME_WAIT behind
        self.sock.connect_ex(("127.0.0.1", flood.port))
        flood.selector.register(self.sock, selectors.EVENT_WRITE, self)

    def reopen(self):
        self.flood.selector.unregister(self.sock)
        self.sock.close()
        self.__init__(self.flood)

    def on_event(self, mask):
        try:
            if mask & selectors.EVENT_READ:
                self.read()
            if mask & selectors.EVENT_WRITE:
                self.write()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.reopen()

    def read(self):
        if self.flood.kind == "deaf":
            if not self.sock.recv(1, socket.MSG_PEEK):
                raise OSError
            self.watch(selectors.EVENT_WRITE)
        elif not self.sock.recv(1 << 16):
            raise OSError

    def watch(self, mask):
        self.flood.selector.modify(self.sock, mask, self)

    def write(self):
        if not self.began:
            self.began = True
            self.flood.opened += 1
            if self.flood.kind in ("silent", "slow", "heads"):
                self.rest = b"" if self.flood.kind == "silent" else HEAD
            self.watch(selectors.EVENT_READ | (selectors.EVENT_WRITE if CHUNK[self.flood.kind] else 0))
        chunk = self.rest or CHUNK[self.flood.kind]
        if chunk:
            self.rest = chunk[self.sock.send(chunk):]
        if self.flood.kind == "slow" and not self.rest:
            self.watch(selectors.EVENT_READ)  # the next byte: Flood.run()


class Flood:
    def __init__(self, port, kind, count):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.port, self.kind, self.count = port, kind, min(count, hard - 50)
        self.selector = selectors.DefaultSelector()
        self.opened = 0
        self.peers = []

    def run(self):
        said, next_byte = False, 0.0
        while True:
            for _ in range(min(200, self.count - len(self.peers))):
                self.peers.append(Peer(self))
            for key, mask in self.selector.select(0.05):
                key.data.on_event(mask)
            if self.opened >= self.count and not said:
                said = True
                print(self.count, flush=True)
            if self.kind == "slow" and time.monotonic() >= next_byte:
                next_byte = time.monotonic() + 0.5
                for peer in self.peers:
                    if peer.began:
                        peer.watch(selectors.EVENT_READ | selectors.EVENT_WRITE)


if __name__ == "__main__":
    Flood(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])).run()

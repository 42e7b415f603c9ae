"""A TCP relay between a master and its replicas, whose links can be cut, stalled and slowed."""

import selectors
import socket
import struct
import threading
import time

CHUNK = 1 << 16
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a reset, and drops what was not sent


class _Link:
    def __init__(self, client, upstream):
        self.client, self.upstream = client, upstream
        self.pending = {client: bytearray(), upstream: bytearray()}

    def other(self, sock):
        return self.upstream if sock is self.client else self.client


class Proxy:
    """Relays `address` to `target`. All methods may be called from any thread.

    cut()           ends every link, new ones are accepted
    reset()         the same with a reset, which drops bytes on their way
    cut_after(n)    ends every link when n more bytes have come from the target
    half_open(side) closes one side of every link ("target" or "client"); the other hears nothing more, until resume()
    refuse()        ends every link and accepts no new one until allow()
    unreachable()   the same, but connections are refused by the system; allow() takes the same port again
    stall(way)      stops relaying, the connections stay open, until resume(); way: "down" (from the target), "up" or both
    throttle(n)     lets n bytes a second through from the target to the client, all links together
    split(size)     relays in pieces of size() bytes, both ways; None: as they come

    With `record`, `recorded` holds all bytes that the target sent.
    """

    def __init__(self, target, port=0, record=False):
        self.target = target
        self.recorded = bytearray() if record else None
        self.accepted = 0
        self.bytes_down = 0
        self._links = {}
        self._silent = []
        self._refusing = self._stop = False
        self._stalled = frozenset()
        self._rate = self._cut_at = self._size = None
        self._credit = 0.0
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._listen(port)
        self.address = self.listener.getsockname()
        self.port = self.address[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _listen(self, port):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        self.listener.setblocking(False)
        self._selector.register(self.listener, selectors.EVENT_READ)

    def cut(self):
        with self._lock:
            self._cut_all()

    def reset(self):
        with self._lock:
            for sock in self._links:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._cut_all()

    def cut_after(self, count):
        with self._lock:
            self._cut_at = self.bytes_down + count

    def half_open(self, side):
        with self._lock:
            for link in {id(link): link for link in self._links.values()}.values():
                gone, kept = (link.upstream, link.client) if side == "target" else (link.client, link.upstream)
                self._forget(kept)
                self._forget(gone)
                gone.close()
                self._silent.append(kept)

    def refuse(self):
        with self._lock:
            self._refusing = True
            self._cut_all()

    def unreachable(self):
        with self._lock:
            self._cut_all()
            self._forget(self.listener)
            self.listener.close()

    def allow(self):
        with self._lock:
            self._refusing = False
            if self.listener.fileno() == -1:
                self._listen(self.port)

    def stall(self, way=None):
        with self._lock:
            self._stalled = frozenset((way,) if way else ("down", "up"))

    def resume(self):
        with self._lock:
            self._stalled = frozenset()
            self._cut_at = None
            self._close_silent()

    def split(self, size):
        with self._lock:
            self._size = size

    def throttle(self, bytes_per_second):
        with self._lock:
            self._rate = bytes_per_second
            self._credit = 0.0

    def links(self):
        with self._lock:
            return len(self._links) // 2

    def close(self):
        self._stop = True
        self._thread.join(10)
        with self._lock:
            self._cut_all()
            self._close_silent()
        self.listener.close()
        self._selector.close()

    def _close_silent(self):
        for sock in self._silent:
            sock.close()
        self._silent = []

    def _cut_all(self):
        for link in {id(link): link for link in self._links.values()}.values():
            self._drop(link)

    def _drop(self, link):
        for sock in (link.client, link.upstream):
            self._forget(sock)
            sock.close()

    def _forget(self, sock):
        self._links.pop(sock, None)
        try:
            self._selector.unregister(sock)
        except (KeyError, ValueError):
            pass

    def _run(self):
        last = time.monotonic()
        while not self._stop:
            events = self._selector.select(0.02)
            with self._lock:
                now = time.monotonic()
                if self._rate:
                    self._credit = min(self._credit + (now - last) * self._rate, max(self._rate * 0.1, 1.0))
                last = now
                waiting = self._stalled or (self._rate and self._credit < 1)
                for key, mask in events:
                    if key.fileobj is self.listener:
                        self._accept()
                    elif key.fileobj in self._links:
                        self._relay(key.fileobj, mask)
            if waiting:
                time.sleep(0.01)

    def _accept(self):
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        if self._refusing:
            client.close()
            return
        try:
            upstream = socket.create_connection(self.target, timeout=5)
        except OSError:
            client.close()
            return
        self.accepted += 1
        link = _Link(client, upstream)
        for sock in (client, upstream):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links[sock] = link
            self._selector.register(sock, selectors.EVENT_READ)

    def _relay(self, sock, mask):
        link = self._links[sock]
        reads, writes = ("down", "up") if sock is link.upstream else ("up", "down")
        try:
            if mask & selectors.EVENT_READ and reads not in self._stalled:
                self._read(link, sock)
            if mask & selectors.EVENT_WRITE and writes not in self._stalled and sock in self._links:
                self._flush(link, sock)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(link)

    def _read(self, link, sock):
        limit = CHUNK if self._size is None else self._size()
        if self._rate and sock is link.upstream:
            limit = min(limit, int(self._credit))
            if limit < 1:
                return
        if self._cut_at is not None and sock is link.upstream:
            limit = min(limit, max(self._cut_at - self.bytes_down, 1))
        data = sock.recv(limit)
        if not data:
            raise OSError("end of file")
        if sock is link.upstream:
            self._credit -= len(data)
            self.bytes_down += len(data)
            if self.recorded is not None:
                self.recorded += data
        target = link.other(sock)
        link.pending[target] += data
        self._flush(link, target)
        if self._cut_at is not None and self.bytes_down >= self._cut_at:
            self._cut_at = None
            self._cut_all()

    def _flush(self, link, sock):
        pending = link.pending[sock]
        if pending:
            try:
                sent = sock.send(pending)
                del pending[:sent]
            except BlockingIOError:
                pass
        source = link.other(sock)
        # While one side cannot be sent to, the other is not read: the back pressure of a real network.
        self._watch(sock, selectors.EVENT_WRITE, bool(pending))
        self._watch(source, selectors.EVENT_READ, not pending)

    def _watch(self, sock, event, wanted):
        try:
            now = self._selector.get_key(sock).events
            key_registered = True
        except KeyError:
            now, key_registered = 0, False
        after = now | event if wanted else now & ~event
        if after == now:
            return
        if not after:
            self._selector.unregister(sock)
        elif key_registered:
            self._selector.modify(sock, after)
        else:
            self._selector.register(sock, after)

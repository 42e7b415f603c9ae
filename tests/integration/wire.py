"""A RESP client that shows bytes: it sends anything, parses RESP2 and RESP3 replies, and keeps unread input.

Types of a parsed reply: status -> str, bulk -> bytes, integer -> int, null -> None, array -> list, error -> ReplyError
(returned, not raised, except by call()). RESP3 adds float, bool, dict, RespSet, Push and Verbatim.
"""

import select
import socket
import ssl
import time


class ReplyError(Exception):
    """An error reply; str() is the text after the minus sign."""

    def __eq__(self, other):
        return isinstance(other, ReplyError) and str(self) == str(other)

    def __hash__(self):
        return hash(str(self))


class Push(list):
    """A RESP3 push message."""


class RespSet(list):
    """A RESP3 set, in the order in which it was sent."""


class Verbatim(bytes):
    """A RESP3 verbatim string, with its three-letter format as the attribute `format`."""

    format = b""


class Closed(Exception):
    """The peer closed the connection."""


def encode_command(*args):
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        data = to_bytes(arg)
        out.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(out)


def to_bytes(arg):
    if isinstance(arg, (bytes, bytearray)):
        return bytes(arg)
    if isinstance(arg, float):
        return repr(arg).encode()
    return str(arg).encode()


class Wire:
    """One connection. A wait of more than `timeout` seconds raises socket.timeout. `source`: the local address."""

    def __init__(self, address, timeout=15.0, rcvbuf=None, source=None):
        self.timeout = timeout
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self.sock = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(timeout)
        try:
            if source:
                self.sock.bind((source, 0))
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.pos = 0
        self.consumed = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    # Sending

    def send(self, data):
        self.sock.sendall(data)

    def send_command(self, *args):
        self.send(encode_command(*args))

    def send_and_read(self, data, count):
        """Sends `data` and reads meanwhile, in this thread: an SSL session bears no second one. Returns `count` replies."""
        rest = memoryview(data)
        self.sock.setblocking(False)
        try:
            while rest:
                moved = 0
                try:
                    moved = self.sock.send(rest)
                    rest = rest[moved:]
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
                try:
                    self._fill()
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    if not moved:
                        ready = select.select([self.sock], [self.sock], [], self.timeout)
                        if not any(ready):
                            raise socket.timeout("neither sent nor received") from None
        finally:
            self.sock.settimeout(self.timeout)
        return [self.read() for _ in range(count)]

    # Receiving

    def _fill(self):
        try:
            chunk = self.sock.recv(1 << 18)
        except ConnectionError as err:
            raise Closed(str(err)) from err
        if not chunk:
            raise Closed("end of file")
        if self.pos > 1 << 16:
            del self.buffer[: self.pos]
            self.pos = 0
        self.buffer += chunk

    def read_exact(self, count):
        while len(self.buffer) - self.pos < count:
            self._fill()
        data = bytes(self.buffer[self.pos : self.pos + count])
        self.pos += count
        self.consumed += count
        return data

    def read_line(self):
        """One line without its CRLF (or bare LF)."""
        scan = self.pos
        while True:
            end = self.buffer.find(b"\n", scan)
            if end != -1:
                break
            unread = len(self.buffer) - self.pos
            self._fill()
            scan = self.pos + unread
        line = bytes(self.buffer[self.pos : end])
        self.consumed += end + 1 - self.pos
        self.pos = end + 1
        return line[:-1] if line.endswith(b"\r") else line

    def read(self):
        """The next reply."""
        line = self.read_line()
        kind, rest = line[:1], line[1:]
        if kind == b"|":
            for _ in range(2 * int(rest)):
                self.read()
            return self.read()
        reader = _READERS.get(kind)
        if reader is None:
            raise AssertionError(f"not a reply: {line!r}, then {bytes(self.buffer[self.pos:self.pos + 80])!r}")
        return reader(self, rest)

    def _read_bulk(self, rest):
        length = int(rest)
        if length < 0:
            return None
        data = self.read_exact(length)
        assert self.read_exact(2) == b"\r\n"
        return data

    def _read_verbatim(self, rest):
        data = self._read_bulk(rest)
        text = Verbatim(data[4:])
        text.format = data[:3]
        return text

    def _read_array(self, rest):
        length = int(rest)
        return None if length < 0 else [self.read() for _ in range(length)]

    def _read_map(self, rest):
        return {_hashable(self.read()): self.read() for _ in range(int(rest))}

    def at_rest(self, quiet=0.1):
        """Whether no byte is unread, and none arrives within `quiet` seconds."""
        if len(self.buffer) > self.pos:
            return False
        poll = select.poll()  # select() is limited to 1024 descriptors
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(quiet * 1000)

    def read_until_closed(self, deadline=None):
        """All bytes up to the end of the connection; raises socket.timeout if the peer keeps it open."""
        end = time.monotonic() + (deadline or self.timeout)
        try:
            while time.monotonic() < end:
                self._fill()
            raise socket.timeout("still open")
        except Closed:
            pass
        data = bytes(self.buffer[self.pos :])
        self.pos = len(self.buffer)
        self.consumed += len(data)
        return data

    def is_closed(self, within=5.0):
        """Whether the peer ends the connection within that time; what it still sends is discarded."""
        old = self.sock.gettimeout()
        self.sock.settimeout(within)
        try:
            self.read_until_closed(within)
            return True
        except socket.timeout:
            return False
        finally:
            self.sock.settimeout(old)

    # Requests and replies

    def ask(self, *args):
        """Sends one command and returns its reply; error replies are returned."""
        self.send_command(*args)
        return self.read()

    def call(self, *args):
        """Sends one command and returns its reply; error replies are raised."""
        reply = self.ask(*args)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def pipeline(self, commands):
        """Sends all commands, then reads all replies, which must fit into the socket buffers."""
        commands = list(commands)
        self.send(b"".join(encode_command(*command) for command in commands))
        return [self.read() for _ in commands]


def _hashable(key):
    return tuple(key) if isinstance(key, list) else key


def _read_bool(_wire, rest):
    return {b"t": True, b"f": False}[rest]


_READERS = {
    b"+": lambda _wire, rest: rest.decode(errors="surrogateescape"),
    b"-": lambda _wire, rest: ReplyError(rest.decode(errors="surrogateescape")),
    b":": lambda _wire, rest: int(rest),
    b"$": Wire._read_bulk,
    b"*": Wire._read_array,
    b"_": lambda _wire, rest: None,
    b",": lambda _wire, rest: float(rest),
    b"#": _read_bool,
    b"(": lambda _wire, rest: int(rest),
    b"!": lambda wire, rest: ReplyError(wire._read_bulk(rest).decode()),
    b"=": Wire._read_verbatim,
    b"%": Wire._read_map,
    b"~": lambda wire, rest: RespSet(wire._read_array(rest)),
    b">": lambda wire, rest: Push(wire._read_array(rest)),
}


def pairs_to_dict(flat):
    """A flat [field, value, ...] reply as a dict."""
    return dict(zip(flat[::2], flat[1::2]))

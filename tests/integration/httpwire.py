"""Requests to the HTTP port of a server under test."""

import http.client
import socket
from dataclasses import dataclass

from harness import SCALE, free_port


@dataclass
class Answer:
    status: int
    headers: dict  # by names in lower case
    body: str

    @property
    def line(self):
        return self.body.rstrip("\n")


def answer_of(response):
    body = response.read().decode()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


class HttpPort:
    """The HTTP port of a server, whose configuration gets `lines`."""

    def __init__(self, port=None, context=None):
        self.port = port or free_port()
        self.context = context
        self.lines = [f"http-port {self.port}"]

    def connection(self, timeout=15.0):
        """A connection that is kept between requests."""
        if self.context is not None:
            return http.client.HTTPSConnection("localhost", self.port, timeout=timeout * SCALE, context=self.context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * SCALE)

    def ask(self, target, method="GET", timeout=15.0, **headers):
        conn = self.connection(timeout)
        try:
            conn.request(method, target, headers={name.replace("_", "-"): value for name, value in headers.items()})
            return answer_of(conn.getresponse())
        finally:
            conn.close()

    def status(self, target, **options):
        return self.ask(target, **options).status

    def raw(self, timeout=15.0):
        return RawHttp(self.port, timeout)


class RawHttp:
    """A connection on which a test sends any bytes."""

    def __init__(self, port, timeout=15.0):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout * SCALE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def answer(self, method="GET"):
        """Reads one answer, of the known length."""
        response = http.client.HTTPResponse(_Shared(self.file), method=method)
        response.begin()
        return answer_of(response)

    def ask(self, data):
        self.send(data)
        return self.answer()

    def is_closed(self, timeout=15.0):
        """Whether the server ends the connection, without another byte."""
        self.sock.settimeout(timeout * SCALE)
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


class _Shared:
    """A stand-in for a socket: answers are read from one buffer, one after the other."""

    def __init__(self, file):
        self.file = file

    def makefile(self, *_args):
        return _Unclosed(self.file)


class _Unclosed:
    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def close(self):
        pass

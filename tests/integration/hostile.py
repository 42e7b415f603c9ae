"""Peers that attack a port of TLS before they are anybody, in processes of their own, and the latency that others see.

As a program: hostile.py KIND PORT COUNT, which attacks until its standard input ends."""

import json
import select
import socket
import ssl
import subprocess
import sys
import time


def hello_bytes(version=None):
    """The first message of a client."""
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    try:
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError("a handshake without a peer")


class Flood:
    """`count` sockets at most, which are opened as fast as the server takes them; closed ones are opened again."""

    def __init__(self, port, count):
        self.port, self.count = port, count
        self.poller = select.epoll()
        self.socks = {}
        self.opened = self.closed = 0

    def open_some(self, most=64):
        for _ in range(min(most, self.count - len(self.socks))):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self.port))
            self.socks[sock.fileno()] = sock
            self.poller.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLONESHOT)
            self.opened += 1

    def drop(self, number):
        self.poller.unregister(number)
        self.socks.pop(number).close()
        self.closed += 1

    def connected(self, sock):
        """Does what this kind of attack does first. False: it leaves."""
        return True

    def turn(self):
        """What it does from time to time."""

    def run_once(self):
        self.open_some()
        for number, events in self.poller.poll(0.01):
            try:
                if events & select.EPOLLOUT and not events & (select.EPOLLIN | select.EPOLLHUP):
                    if not self.connected(self.socks[number]):
                        self.drop(number)
                        continue
                    self.poller.modify(number, select.EPOLLIN | select.EPOLLONESHOT)
                elif self.socks[number].recv(65536):
                    self.poller.modify(number, select.EPOLLIN | select.EPOLLONESHOT)
                else:
                    self.drop(number)
            except OSError:
                self.drop(number)
        self.turn()


class Silent(Flood):
    """Half-open connections: nothing is sent."""


class Hellos(Flood):
    """Each connection makes the server sign, and says nothing more."""

    hello = hello_bytes()

    def connected(self, sock):
        sock.send(self.hello)
        return True


class Dripping(Hellos):
    """A hello in records of one byte each, one at a time."""

    def __init__(self, port, count):
        super().__init__(port, count)
        self.rest = {}

    def connected(self, sock):
        self.rest[sock.fileno()] = 0
        return True

    def turn(self):
        for number in list(self.rest):
            at = self.rest[number]
            if number not in self.socks or at >= len(self.hello) - 5:
                del self.rest[number]
                continue
            try:
                self.socks[number].send(b"\x16\x03\x01\x00\x01" + self.hello[5 + at : 6 + at])
                self.rest[number] = at + 1
            except OSError:
                del self.rest[number]


class Garbage(Flood):
    """Text, other protocols, hellos that announce far more than follows, and peers that leave at once."""

    texts = (b"PING\r\n", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x40\x00\x01\x02\x00\x00\x03\x03", b"\x80" * 4000, b"")
    number = 0

    def connected(self, sock):
        self.number += 1
        text = self.texts[self.number % len(self.texts)]
        return bool(text) and sock.send(text) > 0


class TinyRecords(Flood):
    """Clients that are not logged in send records of one byte."""

    def __init__(self, port, count):
        super().__init__(port, count)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.sessions = []

    def run_once(self):
        while len(self.sessions) < self.count:
            into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
            sock = socket.create_connection(("127.0.0.1", self.port), timeout=20)
            tls = self.context.wrap_bio(into, out)
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    sock.sendall(out.read())
                    into.write(sock.recv(65536))
            sock.sendall(out.read())
            sock.setblocking(False)
            self.opened += 1
            self.sessions.append((sock, tls, out, bytearray()))
        for session in self.sessions:
            sock, tls, out, waiting = session
            if len(waiting) < 60_000:
                for _ in range(500):
                    tls.write(b"\n")
                waiting += out.read()
            try:
                del waiting[: sock.send(waiting)]
            except BlockingIOError:
                pass
            except OSError:
                self.closed += 1
                self.sessions.remove(session)
                break


KINDS = {kind.__name__: kind for kind in (Silent, Hellos, Dripping, Garbage, TinyRecords)}


class Attack:
    """An attack that runs in another process at low priority, so that the machine's processors do not run short."""

    def __init__(self, kind, port, count):
        argv = [sys.executable, __file__, kind, str(port), str(count)]
        self.proc = subprocess.Popen(["nice", "-n", "19", *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self):
        """Its counts: {"opened": ..., "closed": ...}."""
        out, _ = self.proc.communicate(timeout=60)
        return json.loads(out)

    def close(self):
        self.proc.kill()
        self.proc.wait()


class Latencies:
    """Times of PING, one after the other on each of these connections, in short phases.

    Other processes of a busy machine delay a request, too, but not in each phase: so the best one shows the server."""

    def __init__(self, wires):
        self.wires = wires
        self.phases = []

    def measure(self, seconds):
        times = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for wire in self.wires:
                start = time.perf_counter()
                assert wire.ask("PING") == "PONG"
                times.append((time.perf_counter() - start) * 1000)
            time.sleep(0.0002)
        self.phases.append(sorted(times))

    def at(self, share):
        """The latency in milliseconds that this share of the requests stays below."""
        return min(times[min(len(times) - 1, int(len(times) * share))] for times in self.phases)

    def __str__(self):
        return f"p50 {self.at(0.5):.2f} ms, p99.9 {self.at(0.999):.2f} ms, {sum(map(len, self.phases))} requests"


def main():
    kind, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    flood = KINDS[kind](port, count)
    while not select.select([sys.stdin], [], [], 0)[0]:
        flood.run_once()
    print(json.dumps({"opened": flood.opened, "closed": flood.closed}))


if __name__ == "__main__":
    main()

"""Peers in Python: a replica that shows every byte of the stream, and a master that sends what a test wants."""

import socket
import threading

from harness import SCALE, wait_for
from wire import Closed, ReplyError, Wire, encode_command

REPLID = "c0ffee" + "0" * 33 + "1"
OTHER_REPLID = "deadbeef" + "0" * 31 + "2"


class FakeReplica(Wire):
    """A replica: it takes part in the handshake and reads the stream.

    `offset` is the replication offset after the last byte of the stream that was read.
    """

    def __init__(self, server, timeout=15.0, **options):
        super().__init__(server.address, timeout * SCALE, **options)
        self.server = server
        self.port = self.sock.getsockname()[1]
        self.replid = None
        self.offset = None
        self._base = 0
        self.rdb = None
        self.secret = None  # of the key hash; told to replicas that announce lockstep-verify

    def handshake(self, capabilities=("eof", "psync2")):
        """Announces its own port, by which INFO shows it."""
        assert self.ask("PING") == "PONG"
        assert self.ask("REPLCONF", "listening-port", self.port) == "OK"
        capa = [word for name in capabilities for word in ("capa", name)]
        if capa:
            assert self.ask("REPLCONF", *capa) == "OK"
        return self

    def psync(self, replid="?", offset=-1):
        """Sends PSYNC. Returns "FULLRESYNC" or "CONTINUE", or the error reply."""
        self.send_command("PSYNC", replid, offset)
        return self.psync_reply(replid, offset)

    def psync_reply(self, replid="?", offset=-1):
        """Reads the reply to a PSYNC that was sent, as psync() does."""
        reply = self.read_status()
        if isinstance(reply, ReplyError):
            return reply
        words = reply.split()
        if words[0] == "FULLRESYNC":
            self.replid, self._start = words[1], int(words[2])
            self.secret = words[3] if len(words) > 3 else None
        else:
            self.replid = words[1] if len(words) > 1 else replid
            self._start = int(offset) - 1
            self._mark()
        return words[0]

    def read_status(self):
        """Reads a status or error line, after newlines that keep the link alive."""
        while True:
            line = self.read_line()
            if line:
                break
        text = line[1:].decode()
        return ReplyError(text) if line[:1] == b"-" else text

    def _mark(self):
        self._base = self.consumed
        self.offset = self._start

    def read_rdb(self):
        """Reads the payload of a full synchronization in either form; the stream follows it."""
        while True:
            line = self.read_line()
            if line:
                break
        assert line[:1] == b"$", line
        if line.startswith(b"$EOF:"):
            mark = line[5:]
            assert len(mark) == 40
            data = bytearray()
            while not data.endswith(mark):
                data += self._more(mark, data)
            self.rdb = bytes(data[:-40])
        else:
            self.rdb = self.read_exact(int(line[1:]))
        self._mark()
        return self.rdb

    def _more(self, mark, data):
        """Reads the next piece, but not beyond the end mark."""
        if len(self.buffer) == self.pos:
            self._fill()
        ready = bytes(self.buffer[self.pos :])
        tail = bytes(data[-39:])
        at = (tail + ready).find(mark)
        take = len(ready) if at == -1 else at + 40 - len(tail)
        return self.read_exact(take)

    def full_sync(self, **options):
        """Does the handshake, PSYNC ? -1 and the snapshot, until the replica is online."""
        self.handshake(**options)
        assert self.psync() == "FULLRESYNC"
        self.read_rdb()
        self.go_online()
        return self

    def is_online(self):
        rows = self.server.info("replication")
        mine = [row for name, row in rows.items() if name.startswith("slave") and f",port={self.port}," in row]
        return any("state=online" in row for row in mine)

    def go_online(self, timeout=10.0):
        """Acknowledges, as a replica does each second, until the master counts it as online."""

        def online():
            self.ack()
            return self.is_online()

        wait_for(online, timeout, "the fake replica to be online", interval=0.02)

    def ack(self, offset=None):
        self.send_command("REPLCONF", "ACK", self.offset if offset is None else offset)

    def next_command(self):
        """The next command of the stream, PINGs included, as a list of bytes."""
        command = self.read()
        self.offset = self._start + self.consumed - self._base
        return command

    def command(self):
        """The next command that is neither PING nor SELECT nor REPLCONF GETACK."""
        while True:
            command = self.next_command()
            if command[0].upper() not in (b"PING", b"SELECT", b"REPLCONF"):
                return command

    def commands_until(self, last_key):
        """The commands before the `SET last_key ...` that a test sends as an end mark."""
        taken = []
        while True:
            command = self.command()
            if command[0].upper() == b"SET" and command[1] == last_key:
                return taken
            taken.append(command)


class FakeMasterLink:
    """One replica's connection to a fake master."""

    def __init__(self, sock):
        self.sock = sock
        self.wire = Wire.__new__(Wire)
        self.wire.sock = sock
        self.wire.timeout = 15.0 * SCALE
        self.wire.buffer = bytearray()
        self.wire.pos = self.wire.consumed = 0
        sock.settimeout(self.wire.timeout)
        self.commands = []
        self.psync_args = None

    def read_command(self):
        """The next command of the replica, also an inline one, after newlines that keep the link alive."""
        while True:
            line = self.wire.read_line()
            if line:
                break
        if line[:1] == b"*":
            command = [self.wire._read_bulk(self.wire.read_line()[1:]) for _ in range(int(line[1:]))]
        else:
            command = line.split()
        self.commands.append(command)
        return command

    def answer_until_psync(self, answers=None):
        """Answers the handshake until PSYNC (or SYNC) arrives; returns its arguments as text.

        `answers` has other replies by command name ("REPLCONF option" for REPLCONF).
        """
        answers = answers or {}
        while True:
            command = self.read_command()
            name = command[0].upper().decode()
            if name in ("PSYNC", "SYNC"):
                self.psync_args = [arg.decode() for arg in command[1:]]
                return self.psync_args
            key = f"{name} {command[1].lower().decode()}" if name == "REPLCONF" else name
            self.send(answers.get(key, b"+PONG\r\n" if name == "PING" else b"+OK\r\n"))

    def send(self, data):
        self.sock.sendall(data)

    def send_command(self, *args):
        """Sends one command of the stream; returns its length, by which the offset grows."""
        data = encode_command(*args)
        self.send(data)
        return len(data)

    def full_resync(self, rdb, replid=REPLID, offset=0, eof_mark=None):
        """Answers +FULLRESYNC and a whole snapshot, of known length or ended by a mark of 40 bytes."""
        self.send(b"+FULLRESYNC %s %d\r\n" % (replid.encode(), offset))
        if eof_mark:
            self.send(b"$EOF:%s\r\n%s%s" % (eof_mark, rdb, eof_mark))
        else:
            self.send(b"$%d\r\n%s" % (len(rdb), rdb))

    def read_ack(self):
        """The offset of the next REPLCONF ACK."""
        while True:
            command = self.read_command()
            if command[0].upper() == b"REPLCONF" and command[1].upper() == b"ACK":
                return int(command[2])

    def wait_ack(self, offset):
        """Reads acknowledgements until the replica reaches that offset."""
        while True:
            got = self.read_ack()
            if got >= offset:
                return got

    def get_ack(self, offset):
        """Requests an acknowledgement; returns it and the length of the request, which is a part of the stream."""
        size = self.send_command("REPLCONF", "GETACK", "*")
        return self.wait_ack(offset + size), size

    def is_closed(self, within=10.0):
        return self.wire.is_closed(within * SCALE)

    def end_of_data(self):
        """Ends this side of the connection; the replica can still send."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


class FakeMaster:
    """A master. It serves each link with a given function in a thread, or the test calls accept()."""

    def __init__(self, serve=None):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.host, self.port = self.address = self.listener.getsockname()
        self.links = []
        self.errors = []
        self.serve = serve
        if serve:
            threading.Thread(target=self._run, daemon=True).start()

    def accept(self, timeout=15.0):
        """The next replica's link."""
        self.listener.settimeout(timeout * SCALE)
        sock, _ = self.listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = FakeMasterLink(sock)
        self.links.append(link)
        return link

    def _run(self):
        self.listener.settimeout(None)
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = FakeMasterLink(sock)
            self.links.append(link)
            threading.Thread(target=self._serve_link, args=(link, len(self.links) - 1), daemon=True).start()

    def _serve_link(self, link, number):
        try:
            self.serve(link, number)
        except (Closed, OSError):
            pass
        except Exception as err:  # pylint: disable=broad-except
            self.errors.append(err)
        finally:
            link.close()

    def wait_links(self, count, timeout=15.0):
        wait_for(lambda: len(self.links) >= count, timeout, f"{count} connections to the fake master")

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for link in self.links:
            link.close()

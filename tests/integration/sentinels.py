"""One sentinel of ours, for tests of its commands, its file and its scripts."""

from ha import sentinel_argv
from harness import Process, free_port, wait_for
from wire import Closed, Wire, pairs_to_dict


class Lone(Process):
    def __init__(self, farm, *lines, wrap=(), host="127.0.0.1"):
        directory = farm.directory / "sentinel"
        directory.mkdir()
        self.port = free_port()
        self.address = (host, self.port)
        self.conf_path = directory / "sentinel.conf"
        super().__init__("sentinel", directory, [*wrap, *sentinel_argv("ours", self.conf_path)])
        self.conf_path.write_text("\n".join((f"port {self.port}", f"dir {directory}", *lines)) + "\n")

    def start(self):
        self.launch()
        wait_for(lambda: self.call("PING") == "PONG", 15, "the sentinel to answer", retry_on=(OSError, Closed))
        return self

    def wire(self):
        return Wire(self.address)

    def call(self, *args):
        with self.wire() as wire:
            return wire.call(*args)

    def ask(self, *args):
        with self.wire() as wire:
            return wire.ask(*args)

    def master(self, name="mymaster"):
        return pairs_to_dict(self.call("SENTINEL", "MASTER", name))

    def flags(self, name="mymaster"):
        return self.master(name)[b"flags"].decode().split(",")

    def lines(self):
        return self.conf_path.read_text().splitlines()

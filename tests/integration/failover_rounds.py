"""Random failovers of a master and two replicas, all with append-only files; all data sets are equal after each round.

As a program: failover_rounds.py ROUNDS SEED [DIRECTORY]
"""

import random
import sys
import tempfile

from dataset import WriteLoad, assert_same, offset, stat, wait_in_sync
from harness import Farm, wait_for
from hazards import replication
from proxy import Proxy
from wire import Closed, ReplyError

LINES = ("appendonly yes", "repl-ping-replica-period 1", "repl-timeout 60", "repl-backlog-size 1mb")
ENDS = ("half open", "half open, with data", "killed", "killed, half open", "stopped", "handed over")


class Rounds:
    """Servers reach each other through one proxy each, whose links can die half-open."""

    def __init__(self, farm, seed):
        self.random = random.Random(seed)
        self.servers = [farm.server("ours", *LINES) for _ in range(3)]
        self.proxies = {server: farm.helper(Proxy(server.address)) for server in self.servers}
        self.master = self.servers[0]
        self.farm = farm
        self.partial = self.full = 0
        for server in self.servers[1:]:
            self.follow(server)
        self.settle()

    def follow(self, server):
        answer = server.call("REPLICAOF", "127.0.0.1", self.proxies[self.master].port)
        assert answer in ("OK", "OK Already connected to specified master")

    def replicas(self):
        return [server for server in self.servers if server is not self.master]

    def settle(self):
        wait_in_sync(self.master, *self.replicas(), timeout=60)
        assert_same(self.master, *self.replicas())

    def messages(self):
        with self.master.session(database=self.random.choice((0, 4))) as wire:
            for _ in range(self.random.randrange(4)):
                wire.call("PUBLISH", "channel", "x" * self.random.randrange(300))

    def load(self, commands):
        load = WriteLoad(self.master.address, seed=self.random.random(), databases=(0, 3, 9), reconnect=True)
        self.farm.helper(load.start())
        load.wait_done(commands)
        return load

    @staticmethod
    def lags(server):
        rows = [text for name, text in replication(server).items() if name.startswith("slave") and ",lag=" in text]
        return [int(text.split(",lag=")[1]) for text in rows]

    def end_master(self, how):
        """Returns how the old master returns."""
        old = self.master
        if how == "killed":
            load = self.load(self.random.randrange(20, 400))
            old.kill()
            load.stop(check=False)
            return old.start
        self.load(self.random.randrange(20, 400)).stop()
        if self.random.random() < 0.7:
            wait_in_sync(old, *self.replicas())
        if how == "stopped":
            old.pause()
            return old.resume
        if how == "handed over":
            return lambda: None
        self.proxies[old].stall()
        self.messages()
        if how == "half open, with data":
            self.load(20).stop()
        ahead = offset(old)
        wait_for(lambda: offset(old) > ahead, 20, "a PING")
        if self.random.random() < 0.8:  # the master notices that the links are dead
            wait_for(lambda: all(lag >= 3 for lag in self.lags(old)), 20, "replicas to be silent")
        if how == "killed, half open":
            old.kill()
            return old.start
        return lambda: None

    def round(self):
        how = self.random.choice(ENDS)
        old = self.master
        come_back = self.end_master(how)
        best = max(self.replicas(), key=lambda server: int(replication(server)["slave_repl_offset"]))
        assert best.call("REPLICAOF", "NO", "ONE") == "OK"
        self.master = best
        for server in self.replicas():
            if server is not old:
                self.follow(server)
        if self.random.random() < 0.8:
            self.load(self.random.randrange(20, 200)).stop()
        before = stat(best, "sync_full")
        come_back()
        self.proxies[old].cut()
        if self.random.random() < 0.3:  # between its return and its demotion
            hello = ("PUBLISH", "__sentinel__:hello", "hello")
            wait_for(lambda: old.call(*hello) is not None, retry_on=(OSError, Closed, ReplyError))
        self.follow(old)
        self.settle()
        fully = stat(best, "sync_full") - before
        self.full += fully
        self.partial += 1 - min(fully, 1)
        if self.random.random() < 0.3:
            again = self.random.choice(self.replicas())
            again.restart(how="kill")
            self.follow(again)  # its configuration file does not name a master
            self.settle()
        for proxy in self.proxies.values():
            proxy.resume()
        return f"{how}: {'full' if fully else 'partial'}"


def run(farm, rounds, seed, report=None):
    both = Rounds(farm, seed)
    for number in range(rounds):
        text = both.round()
        if report:
            report(f"{number} {text}")
    return both


if __name__ == "__main__":
    made = Farm(tempfile.mkdtemp(dir=sys.argv[3] if len(sys.argv) > 3 else None))
    try:
        done = run(made, int(sys.argv[1]), int(sys.argv[2]), lambda text: print(text, flush=True))
        print(f"partial {done.partial}, full {done.full}")
    finally:
        print(made.close())

"""One run: makes a world and its traffic from a seed, lets events happen, comes to rest and checks, several times."""

import random
import shutil
import traceback
from pathlib import Path

import clients
import events
import paths  # noqa: F401
import rest
from generator import Tables
from harness import SCALE, Farm, release_ports
from smalldisk import CannotMount
from world import Failed, World

SECONDS = 20
EVENTS_SHOWN = 45
NAMES = "ABCD"


class Plan:
    """What the seed decides before anything is started."""

    def __init__(self, seed):
        self.seed = seed
        self.rng = random.Random(seed)
        count = self.rng.choice((2, 2, 3, 3, 3, 4))
        self.kinds = self._kinds(count)
        self.big_backlog = self.rng.random() < 0.7
        self.disks = self.rng.random() < 0.4
        verify = self.rng.random() < 0.6
        self.nodes = [(NAMES[at], kind, self._settings(kind, verify)) for at, kind in enumerate(self.kinds)]

    def _kinds(self, count):
        kinds = ["ours"] * count
        if self.rng.random() < 0.3:
            kinds[self.rng.randrange(count)] = "redis"
        return kinds

    def _settings(self, kind, verify):
        pick = self.rng.choice
        settings = {name: pick(values) for name, values in events.CHOICES.items()}
        settings["appendonly"] = pick(("yes", "yes", "no"))
        settings["repl-backlog-size"] = "64mb" if self.big_backlog else pick(("16kb", "100kb", "1mb"))
        if verify and kind == "ours":
            settings["replica-verify"] = "yes"
            settings["replica-verify-period"] = "2"
        return settings

    def __str__(self):
        kinds = ", ".join(f"{name} {'redis-server' if kind == 'redis' else 'ours'}, log {'on' if self._log(settings) else 'off'}" for name, kind, settings in self.nodes)
        return f"{kinds}; backlog {'big' if self.big_backlog else 'small'}{', small disks' if self.disks else ''}"

    @staticmethod
    def _log(settings):
        return settings["appendonly"] == "yes"


class Run:
    """A run in a directory of its own."""

    def __init__(self, seed, directory, seconds=SECONDS):
        self.plan = Plan(seed)
        self.seconds = seconds
        self.directory = Path(directory)
        self.farm = Farm(self.directory)
        self.world = None
        self.no_disks = None
        self.rests = 0

    def prepare(self):
        self.world = World(self.farm, self.plan.nodes)
        self.world.backlog_is_big = self.plan.big_backlog
        if self.plan.disks:
            self._mount()

    def go(self):
        """Returns what is wrong."""
        self.prepare()
        world = self.world
        try:
            world.start()
            self.start_clients()
            self._rounds()
        except (Failed, AssertionError) as err:
            world.fail(str(err).split("\n")[0])
            self._keep(traceback.format_exc())
        except Exception as err:
            world.fail(f"the run itself broke: {err!r}")
            self._keep(traceback.format_exc())
        finally:
            self.end()
        return world.problems

    def _keep(self, text):
        (self.directory / "traceback").write_text(text)

    def _mount(self):
        try:
            for node in self.world.nodes:
                node.put_on_small_disk()
        except CannotMount as err:
            self.no_disks = f"no small disks: a tmpfs cannot be mounted here ({err})"

    def start_clients(self):
        world, rng = self.world, self.plan.rng
        tables = Tables(lambda name: self._has_command(name))
        made = [clients.ListWriter, clients.ListWriter, clients.PairWriter, clients.PairReader, clients.QueueWriter, clients.Mover, clients.StreamWriter]
        for number, kind in enumerate(made):
            kind(world, f"c{number}", rng.random())
        for number in range(2):
            clients.GrammarClient(world, f"g{number}", rng.random(), tables)
        for client in world.clients:
            client.start()

    def _has_command(self, name):
        word = name.split(" ")[0]
        return all(node.must("COMMAND", "INFO", word)[0] for node in self.world.nodes)

    def _rounds(self):
        world, rng = self.world, self.plan.rng
        while True:
            for _ in range(rng.randrange(3, 6)):
                world.let_pass(rng.randrange(600))
                events.happen(world, rng)
            last = world.now() > self.seconds * SCALE
            rest.come_to_rest(world)
            world.note("rest")
            rest.check(world)
            self.rests += 1
            if world.problems:
                return
            if last:
                rest.check_log(world)
                return
            rest.go_on(world)

    def end(self):
        """Ends all threads and processes, and unmounts the disks."""
        world = self.world
        for client in world.clients:
            client.hold()
        for node in world.nodes:
            if node.stopped:
                node.resume()
        for client in world.clients:
            client.close()
        world.close()
        world.problems.extend(self.farm.close())
        world.problems.extend(rest.bad_lines(world))
        world.unmount()
        release_ports()

    def report(self):
        """A page at most: who, when, what, and how to run it again."""
        world = self.world
        lines = [f"seed {self.plan.seed} failed after {world.now():.0f} s: {self.plan}"]
        lines += [f"  {shorten(problem)}" for problem in dict.fromkeys(world.problems)][:15]
        events_before = [(when, text) for when, text in world.events if not text.startswith("FAILED")]
        lines += [f"the last events, of {len(events_before)}:"]
        lines += [f"  {when:7.2f} s  {shorten(text)}" for when, text in events_before[-EVENTS_SHOWN:]]
        lines += [f"logs and data: {self.directory}", f"again: tests/faults/run.py --seed {self.plan.seed} --runs 1"]
        return "\n".join(lines)

    def summary(self):
        answered = self.world.answered()
        written = sum(len(client.history.attempts) for client in self.world.clients if hasattr(client, "history"))
        checks = sum(self.world.watcher.verified.values())
        counts = f"{len(self.world.events)} events, {self.rests} rests, {answered} answers, {written} values, {checks} verified parts"
        return f"{self.world.now():.0f} s, {counts}; {self.plan}"

    def forget(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def shorten(text, limit=240):
    return text if len(text) <= limit else f"{text[:limit]}..."

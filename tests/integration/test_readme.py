"""Runs what README.md tells a reader to paste."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from harness import HAPROXY, OURS, ROOT, SCALE, SENTINEL, free_port, is_alive, wait_for
from wire import Closed, ReplyError, Wire

UNREACHED = (OSError, Closed, ReplyError)

pytestmark = pytest.mark.lockstep_only("the README is of this server")


def blocks():
    text = (ROOT / "README.md").read_text()
    return re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)


def ten_free_ports():
    """The first digits of a row of ports: the text counts three sentinels by their last digit."""
    while True:
        base = free_port() // 10
        taken = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
        if not any(f":{base}{n} " in taken for n in "123"):
            return str(base)


class Reader:
    """Pastes into a shell, with ports and a directory of this test."""

    def __init__(self, directory):
        self.directory = directory
        self.seen = set()
        self.sentinel = str(directory.with_name("lockstep-sentinel"))
        os.symlink(OURS, self.sentinel)
        self.ports = {name: str(free_port()) for name in ("7000", "7001", "7100")}
        self.ports["2700"] = ten_free_ports()

    def adapt(self, text):
        for port, mine in self.ports.items():
            text = re.sub(rf"\b{port}(?=\b|\$n)", mine, text)
        text = re.sub(r"^apt-get .*\n", "", text, flags=re.M)
        return text.replace("/tmp/ha", str(self.directory)).replace("$PWD/build/lockstep-server", OURS).replace("$PWD/build/lockstep-sentinel", self.sentinel)

    def paste(self, text):
        done = subprocess.run(
            ["bash", "-e"],
            input=f"SERVER={OURS}\ncd {self.directory}\n{self.adapt(text)}",
            capture_output=True,
            text=True,
            timeout=60 * SCALE,
            check=False,
        )
        self.pids()
        return done

    def pids(self):
        found = [int(path.read_text()) for path in self.directory.glob("**/*.pid") if path.read_text().strip()]
        self.seen.update(found)
        return found

    def says(self, command, *expected):
        """Waits until the output of a redis-cli command contains all of these."""
        out = ""

        def good():
            nonlocal out
            out = self.paste(command).stdout
            return all(text in out for text in expected)

        wait_for(good, 60, lambda: f"{command}: {out}", interval=0.2)


@pytest.fixture
def reader(tmp_path):
    if not shutil.which(SENTINEL) or not shutil.which(HAPROXY):
        pytest.skip("redis-sentinel or haproxy is not installed")
    made = Reader(tmp_path / "ha")
    made.directory.mkdir()
    yield made
    for pid in filter(is_alive, made.seen):  # of a test that failed
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(240 * SCALE)
def test_fault_23_the_five_minute_setup_works_as_pasted(reader):
    setup, disaster, cleanup = blocks()
    done = reader.paste(setup)
    assert done.returncode == 0, done.stdout + done.stderr
    reader.says("redis-cli -p 7000 info replication", "role:master", "connected_slaves:1", "state=online")
    for n in "123":
        reader.says(
            f"n={n}; redis-cli -p 2700$n sentinel master mymaster", "num-slaves\n1\n", "num-other-sentinels\n2\n"
        )
    # HAProxy sends clients to both servers in turn until its checks have failed on the replica.
    reader.says("for i in 1 2 3 4; do redis-cli -p 7100 role | head -n 1; done", "master\n" * 4)
    before, after, later = re.split(r"sleep 15; ", disaster)
    assert reader.paste(before).stdout == "OK\n"
    get, restart = after.split("\n", 1)
    reader.says(get, "hello")
    assert reader.paste(restart).returncode == 0
    reader.says(later, "role:slave", "master_port:" + reader.ports["7001"], "master_link_status:up")
    cleaned_up_with_what_is_to_be_saved(reader, cleanup)


def cleaned_up_with_what_is_to_be_saved(reader, cleanup):
    """The lines that clean up: the last save takes a while, and its directory must exist until it is done."""
    for name in ("7000", "7001"):
        with Wire(("127.0.0.1", int(reader.ports[name]))) as wire:
            wire.call("CONFIG", "SET", "rdb-key-save-delay", "1000000", "save", "3600 1")
    assert reader.paste("redis-cli -p 7100 set last word").stdout == "OK\n"
    done = reader.paste(cleanup)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [pid for pid in reader.seen if is_alive(pid)] == []
    assert not reader.directory.exists()


@pytest.mark.slow
def test_fault_23_clients_are_cut_off_from_a_master_that_is_none_any_more(farm, reader):
    """The purpose of on-marked-down shutdown-sessions: the old master lives and would accept further writes."""
    setup = blocks()[0]
    ports = {name: int(port) for name, port in reader.ports.items()}
    old, new = (farm.server("ours", port=ports[name]) for name in ("7000", "7001"))
    new.call("REPLICAOF", old.host, old.port)
    (config,) = re.findall(r"^cat >haproxy.cfg <<'END'\n.*?^END\n", setup, re.M | re.S)
    (start,) = re.findall(r"^haproxy .*\n", setup, re.M)
    assert reader.paste(config + start).returncode == 0
    front = ("127.0.0.1", ports["7100"])

    def always_leads_to(server):
        """HAProxy considers both servers healthy until its checks fail, and uses them in turn."""
        for _ in range(6):
            with Wire(front) as wire:
                if f"process_id:{server.pid}\r".encode() not in wire.call("INFO", "server"):
                    return False
        return True

    wait_for(lambda: always_leads_to(old), 20, "the master behind haproxy", retry_on=UNREACHED)
    with Wire(front) as client:
        assert client.call("SET", "k", "v") == "OK"
        new.call("REPLICAOF", "NO", "ONE")
        assert client.call("SET", "k", "lost") == "OK", "nobody has told the old master yet"
        old.call("REPLICAOF", new.host, new.port)
        assert client.is_closed(within=20 * SCALE)
    wait_for(lambda: always_leads_to(new), 20, "the new master behind haproxy", retry_on=UNREACHED)
    (pid,) = reader.pids()
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not is_alive(pid), 20, "haproxy to end")

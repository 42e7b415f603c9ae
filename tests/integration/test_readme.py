"""What README.md tells a reader to paste, pasted."""

import re
import shutil
import subprocess

import pytest

from harness import HAPROXY, OURS, ROOT, SCALE, SENTINEL, free_port, is_alive, wait_for

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
    """Pastes into a shell, on ports and in a directory of the test's own."""

    def __init__(self, directory):
        self.directory = directory
        self.ports = {name: str(free_port()) for name in ("7000", "7001", "7100")}
        self.ports["2700"] = ten_free_ports()

    def adapt(self, text):
        for port, mine in self.ports.items():
            text = re.sub(rf"\b{port}(?=\b|\$n)", mine, text)
        text = re.sub(r"^apt-get .*\n", "", text, flags=re.M)
        return text.replace("/tmp/ha", str(self.directory)).replace("$PWD/build/lockstep-server", OURS)

    def paste(self, text):
        return subprocess.run(
            ["bash", "-e"],
            input=f"SERVER={OURS}\ncd {self.directory}\n{self.adapt(text)}",
            capture_output=True,
            text=True,
            timeout=60 * SCALE,
            check=False,
        )

    def pids(self):
        return [int(path.read_text()) for path in self.directory.glob("**/*.pid") if path.read_text().strip()]

    def says(self, command, *expected):
        """Until the output of a command of redis-cli holds all of these."""
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
    pids = made.pids()
    kill = re.search(r"`(kill .*?); rm -r /tmp/ha`", (ROOT / "README.md").read_text()).group(1)
    made.paste(kill)
    wait_for(lambda: not any(map(is_alive, pids)), 20, "everything to end")


@pytest.mark.slow
@pytest.mark.timeout(240 * SCALE)
def test_the_five_minute_setup_works_as_pasted(reader):
    setup, disaster = blocks()
    done = reader.paste(setup)
    assert done.returncode == 0, done.stdout + done.stderr
    reader.says("redis-cli -p 7000 info replication", "role:master", "connected_slaves:1", "state=online")
    for n in "123":
        reader.says(
            f"n={n}; redis-cli -p 2700$n sentinel master mymaster", "num-slaves\n1\n", "num-other-sentinels\n2\n"
        )
    reader.says("redis-cli -p 7100 role", "master")
    before, after, later = re.split(r"sleep 15; ", disaster)
    assert reader.paste(before).stdout == "OK\n"
    get, restart = after.split("\n", 1)
    reader.says(get, "hello")
    assert reader.paste(restart).returncode == 0
    reader.says(later, "role:slave", "master_port:" + reader.ports["7001"], "master_link_status:up")

"""Clients of Node.js: ioredis and node-redis, which npm installs on demand."""

import fcntl
import os
import re
import shutil
import subprocess

from harness import ROOT, Process, wait_for

SOURCE = ROOT / "tests" / "integration" / "node"


def node_directory():
    """The directory that contains the packages, or the reason why they are not available."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        return None, "npm or node is not installed"
    target = ROOT / "build" / "node"
    target.mkdir(parents=True, exist_ok=True)
    with open(target / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (SOURCE / "package-lock.json").read_bytes()
        installed = target / "installed.json"
        if not installed.exists() or installed.read_bytes() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SOURCE / name, target / name)
            done = subprocess.run(
                [npm, "ci", "--no-audit", "--no-fund"],
                cwd=target,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, f"npm ci fails: {done.stderr}"
            installed.write_bytes(wanted)
    return target, None


class NodeProgram(Process):
    """A program of tests/integration/node/. Its standard input ends with finish()."""

    def __init__(self, name, directory, packages, *args):
        argv = ["node", SOURCE / f"{name}.js", *args]
        read_end, self._stdin = os.pipe()
        super().__init__(name, directory, argv, env={"NODE_TEST_DIR": str(packages)}, stdin=read_end)
        self.launch()
        os.close(read_end)

    def finish(self, timeout=10.0):
        os.close(self._stdin)
        assert self.wait_exit(timeout) == 0, self.log_tail()


class IoredisWriter(NodeProgram):
    """Writes in Sentinel mode and prints "acked N VALUE" for each acknowledged write."""

    def __init__(self, setup, directory, packages):
        options = [f"--password={setup.password}"] if setup.password else []
        if setup.certificates:
            options.append(f"--certificates={setup.certificates.directory}")
        super().__init__("writer", directory, packages, *[s.port for s in setup.sentinels], *options)

    def acked(self):
        text = self.stdout_path.read_text()
        return [tuple(map(int, words)) for words in re.findall(r"^acked (\d+) (\d+)$", text, re.M)]

    def wait_acked(self, more, timeout=30.0):
        goal = len(self.acked()) + more
        wait_for(lambda: len(self.acked()) >= goal, timeout, f"{more} writes of ioredis", interval=0.05)

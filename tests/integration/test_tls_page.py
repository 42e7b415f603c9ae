"""Runs the example of docs/TLS.md: an authority, a master, a replica and a user, with ports and a directory of this test."""

import re
import subprocess

import pytest

from harness import ROOT, SCALE, free_port, wait_for

pytestmark = pytest.mark.lockstep_only("the page is of this server")


def blocks(kind):
    text = (ROOT / "docs/TLS.md").read_text()
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S)


def test_the_example(farm, tmp_path):
    ports = {"7200": str(free_port()), "7201": str(free_port())}

    def run(text):
        done = subprocess.run(
            ["bash", "-e", "-c", adapt(text)], cwd=tmp_path, capture_output=True, text=True, timeout=60 * SCALE, check=False
        )
        return done.stdout.strip() or done.stderr

    def adapt(text):
        text = text.replace("/etc/lockstep", str(tmp_path))
        return re.sub(r"\b720[01]\b", lambda match: ports[match[0]], text)

    (make_certificates,) = blocks("sh")
    run(make_certificates)
    for lines in blocks("redis"):
        farm.server("ours", *adapt(lines).splitlines(), ready=False)
    (session,) = blocks("console")
    pairs = [part.split("\n", 1) for part in re.split(r"^\$ ", session, flags=re.M)[1:]]
    assert len(pairs) == 3
    for command, output in pairs:
        wait_for(lambda: run(command) == output.strip(), 20, lambda: run(command))  # noqa: B023

"""Measures how long a client waits for its replies, from a process of its own.

Run as a program: latency.py PORT. It sends a command each millisecond until its standard input ends, and prints each
latency in microseconds.
"""

import subprocess
import sys
import time

from wire import Wire


class Latency:
    """The latencies of a client, while the block runs: with Latency(port) as latency: ..."""

    def __init__(self, port):
        self.port = port
        self.sorted_us = []

    def __enter__(self):
        self.proc = subprocess.Popen(
            [sys.executable, __file__, str(self.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.proc.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *exc):
        out, _ = self.proc.communicate("", timeout=120)
        self.sorted_us = sorted(int(line) for line in out.split())

    def percentile(self, percent):
        """In seconds."""
        return self.sorted_us[min(len(self.sorted_us) - 1, int(len(self.sorted_us) * percent / 100))] / 1e6


def main():
    import select

    with Wire(("127.0.0.1", int(sys.argv[1])), timeout=60) as wire:
        wire.call("PING")
        print("ready", flush=True)
        found = []
        while not select.select([sys.stdin], [], [], 0)[0]:
            began = time.perf_counter_ns()
            wire.call("SET", "latency", "v")
            found.append((time.perf_counter_ns() - began) // 1000)
            time.sleep(0.001)
        print("\n".join(map(str, found)))


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Runs real servers through faults of network, disks and processes, and checks what is left.

    run.py --seed 1 --runs 30        as `make faults SEED=1 RUNS=30`; run N has the seed SEED + N - 1
    run.py --seed 17 --runs 1        one run again

LOCKSTEP_SERVER and REDIS_SERVER name the programs. A run that fails keeps its directory and prints what happened. The
exit status is 1 then.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from runs import SECONDS, Run


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # everything that was started is ended
    started, failed, told = time.monotonic(), [], set()
    for seed in range(options.seed, options.seed + options.runs):
        run = Run(seed, tempfile.mkdtemp(prefix=f"lockstep-faults-{seed}-", dir=options.directory), options.seconds)
        problems = run.go()
        if run.no_disks and run.no_disks not in told:
            told.add(run.no_disks)
            print(run.no_disks, flush=True)
        if problems:
            failed.append(seed)
            print(run.report(), flush=True)
        else:
            print(f"seed {seed}: {run.summary()}", flush=True)
            if not options.keep:
                run.forget()
    text = f"{len(failed)} failed: seeds {', '.join(map(str, failed))}" if failed else "none failed"
    print(f"faults: {options.runs} runs, {time.monotonic() - started:.0f} s, {text}")
    return 1 if failed else 0


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="after which a run comes to its last rest")
    parser.add_argument("--directory", type=Path, help="where the directories of runs are made")
    parser.add_argument("--keep", action="store_true", help="keep the directories of all runs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

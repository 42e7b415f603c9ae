#!/usr/bin/python3
"""Sends the same random commands to Lockstep and to redis-server and compares all replies.

    run.py --seed 1 --commands 100000            as `make differential SEED=1 COMMANDS=100000`
    run.py --seed 1 --epoch 17                   one epoch of that run again
    run.py --seed 1 --commands 50000 --replica   a Redis replica behind Lockstep, a Lockstep replica behind Redis
    run.py --seed 1 --values 100000              values that Redis makes, through DUMP, RESTORE and files (values.py);
                                                 as `make differential DIFFERENTIAL="--values 100000"`

LOCKSTEP_SERVER and REDIS_SERVER name the binaries. The exit status is 1 after a difference, and 2 when the servers did
not start.
"""

import argparse
import sys
import tempfile
import time

import values
from fuzzer import EPOCH, OF_THE_OTHER_KIND, Fuzzer, describe
from servers import Difference
from shrink import Shrinker


def main():
    options = parse_options()
    if options.values:
        return run_values(options)
    fuzzer = Fuzzer(OF_THE_OTHER_KIND if options.replica else None)
    started = time.monotonic()
    found = []
    numbers = [options.epoch] if options.epoch is not None else range(1 << 30)
    for number in numbers:
        problem = run_epoch(fuzzer, options, number)
        if problem is not None:
            found.append(problem)
        if fuzzer.commands >= options.commands or len(found) >= options.differences:
            break
        if options.progress and number % 25 == 24:
            print(f"  {fuzzer.commands} commands, {time.monotonic() - started:.0f} s", flush=True)
    problems = fuzzer.stop()
    report(fuzzer, options, found, problems, time.monotonic() - started)
    return 1 if found or problems else 0


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", type=int, default=20_000)
    parser.add_argument("--epoch", type=int, help=f"run that epoch only; one is {EPOCH} commands")
    parser.add_argument("--replica", action="store_true", help="with a replica of the other kind behind each of the two")
    parser.add_argument("--values", type=int, help="that many values of Redis instead, taken by us and given back")
    parser.add_argument("--differences", type=int, default=1, help="go on until that many were found")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--progress", action="store_true")
    return parser.parse_args()


def run_values(options):
    started = time.monotonic()

    def progress(fuzzer):
        if options.progress:
            print(f"  {fuzzer.values} values, {time.monotonic() - started:.0f} s", flush=True)

    with tempfile.TemporaryDirectory(prefix="differential-") as directory:
        try:
            fuzzer, problems = values.run(directory, options.seed, options.values, progress)
        except Difference as found:
            print(f"{found.what}: {found}")
            return 1
    for problem in problems:
        print(problem)
    print(f"differential: seed {options.seed}: {values.describe(fuzzer)}; {time.monotonic() - started:.0f} s")
    return 1 if problems else 0


def run_epoch(fuzzer, options, number):
    """Returns a text about the difference, or None."""
    epoch = fuzzer.epoch(options.seed, number)
    try:
        fuzzer.run(epoch)
        return None
    except Difference as difference:
        found = difference
    fuzzer.commands += sum(step.count() for step in epoch.steps[: found.step + 1])
    problems = fuzzer.restart()
    lines = [f"seed {options.seed}, epoch {number}, step {found.step}: {found.what}: {found}", *problems]
    if not options.no_shrink:
        small, again = Shrinker(fuzzer, epoch, found).shrink()
        lines.append(f"  {len(small.steps)} steps show it: {again}" if again else "  it did not happen again")
        lines += [describe(small)] if again else []
        lines += getattr(again, "problems", [])
    text = "\n".join(lines)
    print(text, flush=True)
    return text


def report(fuzzer, options, found, problems, seconds):
    for problem in problems:
        print(problem)
    for reason, count in sorted(fuzzer.comparison.counts.items()):
        print(f"  accepted {count} times: {reason}")
    print(
        f"differential: seed {options.seed}: {fuzzer.commands} commands, {fuzzer.digests} comparisons of all data, "
        f"{len(found)} differences, {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())

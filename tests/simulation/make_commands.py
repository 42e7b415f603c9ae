#!/usr/bin/env python3
"""Writes the commands of the simulator's traffic as a C table: lines of the grammar of tests/differential, expanded.

    make_commands.py OUT

There is one grammar, so a command that is added to tests/differential/commands.py is simulated, too. The generator's seed
is fixed; which of the commands are sent, when and by whom, is drawn in each run.
"""

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "differential"))

import commands  # noqa: E402
from grammar import read_table  # noqa: E402
from vocabulary import Vocabulary  # noqa: E402

KEYS = 3
EXPANSIONS = 6  # of each line, times its weight
BIG = 40_000  # longer commands are rare: a run of the simulator is to be fast

# Not sent at all: they only ask, cannot change a data set or its replicas, and cost time. Clients are the simulator's.
QUIET = {"COMMAND", "HELLO", "CLIENT", "AUTH", "PFSELFTEST", "KEYS", "ECHO", "RESET", "QUIT", "DEBUG", "ASKING|READONLY"}
# These touch keys that other clients count on.
SWEEPING = {"FLUSHALL", "FLUSHDB", "SWAPDB", "(ASKING|READONLY|READWRITE|CLUSTER|QUIT"}


def escape(data):
    out = []
    for byte in data:
        char = chr(byte)
        if char in '"\\?' or byte < 32 or byte > 126:
            out.append(f"\\{byte:03o}")
        else:
            out.append(char)
    return "".join(out)


def resp(args):
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in args)


def group_of(name, line):
    """The groups of the C table."""
    if name == "flush":
        return "SWEEPING"
    if name == "transactions":
        return None
    if name == "heavy":
        return "HEAVY"
    return "BLOCKING" if line.blocks else "PLAIN"


def lines_of(text):
    return [line for line in read_table(text) if line.names[0].split("(")[0] not in QUIET and "QUIT" not in line.names[0]]


def main(out_path):
    words = Vocabulary(random.Random("simulation"), keys=KEYS, variety=12)
    made = {"PLAIN": [], "HEAVY": [], "BLOCKING": [], "SWEEPING": []}
    tables = dict(commands.TABLES)
    tables["blocking"] = commands.BLOCKING
    for name, text in tables.items():
        for line in lines_of(text):
            group = "BLOCKING" if name == "blocking" else group_of(name, line)
            if group is None:
                continue
            if set(line.names) & SWEEPING:
                group = "SWEEPING"
            for _ in range(line.weight * EXPANSIONS):
                steps = line.expand(words)
                data = b"".join(resp(args) for args in steps)
                if len(data) <= BIG or (group == "HEAVY" and len(data) < 200_000 and words.chance(0.05)):
                    made[group].append((len(steps), data))
    with open(out_path, "w") as out:
        out.write("/* Written by tests/simulation/make_commands.py. */\n")
        for group, entries in made.items():
            out.write(f"static const struct made_command made_{group.lower()}[] = {{\n")
            for count, data in entries:
                out.write(f'    {{{count}, {len(data)}, "{escape(data)}"}},\n')
            out.write("};\n")


if __name__ == "__main__":
    main(sys.argv[1])

"""The commands of the peer that are never sent."""

import commands
import scenarios
from grammar import read_table

# The groups in COMMAND DOCS whose commands read or write data.
GROUPS = (
    b"generic", b"string", b"list", b"set", b"sorted-set", b"hash", b"bitmap", b"hyperloglog", b"geo", b"stream", b"transactions",
)  # fmt: skip

# Commands that cannot be compared this way.
LEFT_OUT = {
    b"migrate": "it takes a third server",
    b"pfselftest": "it fails there with some settings; sent with a mistake",
    b"object|help": "its words are our own",
    b"xgroup|help": "its words are our own",
    b"xinfo|help": "its words are our own",
}


def commands_of(side):
    """Names as in COMMAND LIST."""
    sent = _sent()
    return sorted(name for name in _names(side) if name not in sent and name not in LEFT_OUT)


def _names(side):
    """The names of commands and of subcommands."""
    found = set()
    docs = side.must(b"COMMAND", b"DOCS")
    for (_, name), (_, fields) in zip(docs[::2], docs[1::2]):
        doc = {key: value for (_, key), (_, value) in zip(fields[::2], fields[1::2])}
        if doc[b"group"] in GROUPS:
            parts = doc.get(b"subcommands")
            found.update([part[1] for part in parts[::2]] if parts else [name])
    return found


def _sent():
    tables = [*commands.TABLES.values(), commands.BLOCKING, commands.WAKING, commands.MIXING]
    names = {name.lower().encode() for text in tables for line in read_table(text) for name in line.full_names}
    return names | scenarios.COMMANDS

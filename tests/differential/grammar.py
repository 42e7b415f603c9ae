"""The little language of the tables in commands.py: one line is a weight, flags and the shape of a command.

    4   SET <str> <val> [NX|XX] [GET]         [a|b]  one of these, or nothing
    1   HSET <hash> {<field> <val>}           {a}    once, twice, sometimes many times; '' is an empty part
    2   ZADD <zset> (NX|XX) <score> <elem>    (a|b)  exactly one of these
    1 ! XADD <stream> 5-1 a b ;; XLEN <same>  ;;     two commands that stay together; <same> is the last key
    1 ~ EXPIRE <any> <relsec>                        <x>  the word of that name in vocabulary.py: one argument, or more

Flags, which may be combined: `!` the command is sent as it is; `~` only mistakes are made in it whose result depends on no
clock; `b` it may block, so it is sent only inside MULTI.
"""

import re

TOKEN = re.compile(r"<[a-z_]+(?: [a-z_]+)?>|[][(){}|]|[^][(){}|\s]+")


class Template:
    """One line of a table."""

    def __init__(self, weight, flags, commands):
        self.weight = weight
        self.exact = "!" in flags
        self.careful = "~" in flags
        self.blocks = "b" in flags
        self.commands = commands
        self.names = [name for name, _, _ in commands]
        self.full_names = [name for _, names, _ in commands for name in names]

    def expand(self, words):
        """The commands, as tuples of arguments."""
        made = []
        for _, _, node in self.commands:
            out = []
            node(words, out)
            made.append(tuple(out))
        return made


def read_table(text):
    """The templates of a table; `#` starts a comment."""
    templates = []
    for line in text.splitlines():
        line = line.partition(" #")[0].strip()
        if line and not line.startswith("#"):
            templates.append(_read_line(line))
    return templates


def _read_line(line):
    weight, rest = line.split(None, 1)
    first, _, after = rest.partition(" ")
    flags = ""
    if set(first) <= set("!~b"):
        flags, rest = first, after
    return Template(int(weight), flags, [_read_command(part) for part in rest.split(";;")])


def _read_command(text):
    tokens = TOKEN.findall(text)
    node, pos = _sequence(tokens, 0)
    if pos != len(tokens):
        raise ValueError(f"{text!r}: not understood from {tokens[pos]!r}")
    # COMMAND GETKEYS must know the command that follows.
    name = tokens[2 if tokens[0] == "COMMAND" else 0].upper()
    return name, {tokens[0], "|".join(tokens[:2])}, node


# Each part becomes a function (words, out) that appends arguments.


def _sequence(tokens, pos):
    parts = []
    while pos < len(tokens) and tokens[pos] not in "])}|":
        part, pos = _part(tokens, pos)
        parts.append(part)

    def expand(words, out):
        for part in parts:
            part(words, out)

    return expand, pos


def _part(tokens, pos):
    token = tokens[pos]
    if token in "[({":
        choices, pos = _alternatives(tokens, pos + 1, {"[": "]", "(": ")", "{": "}"}[token])
        return {"[": _perhaps, "(": _one_of, "{": _repeated}[token](choices), pos
    if token.startswith("<"):
        return _placeholder(*token[1:-1].split()), pos + 1
    literal = token.encode() if token != "''" else b""
    return (lambda words, out: out.append(literal)), pos + 1


def _alternatives(tokens, pos, close):
    choices = []
    while True:
        choice, pos = _sequence(tokens, pos)
        choices.append(choice)
        if pos == len(tokens) or tokens[pos] not in ("|", close):
            raise ValueError(f"{tokens}: {close} is missing")
        pos += 1
        if tokens[pos - 1] == close:
            return choices, pos


def _perhaps(choices):
    def expand(words, out):
        if words.chance(0.3):
            words.pick(choices)(words, out)

    return expand


def _one_of(choices):
    return lambda words, out: words.pick(choices)(words, out)


def _repeated(choices):
    def expand(words, out):
        for _ in range(words.repetitions()):
            words.pick(choices)(words, out)

    return expand


def _placeholder(name, argument=None):
    method = "word_" + name

    def expand(words, out):
        made = getattr(words, method)() if argument is None else getattr(words, method)(argument)
        if isinstance(made, bytes):
            out.append(made)
        else:
            out.extend(made)

    return expand

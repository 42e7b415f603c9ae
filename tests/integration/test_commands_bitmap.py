"""Bitmaps longer than the blocks in which they are processed; test_differential.py has short ones."""

import random

import pytest

from peers import Twins, errors_among

SIZES = [0, 1, 7, 8, 31, 32, 33, 127, 8191, 8192, 8193, 16384, 20000, 100_003]


def runs(rnd, size):
    """Long stretches of the same byte with something else between them."""
    out = bytearray()
    while len(out) < size:
        kind = rnd.randrange(3)
        out += rnd.randbytes(rnd.randrange(50)) if kind == 0 else bytes([255 * (kind - 1)]) * rnd.randrange(20000)
    return bytes(out[:size])


@pytest.fixture
def twins(farm):
    made = Twins(farm)
    rnd = random.Random(20)
    for number, size in enumerate(SIZES):
        made.ask("SET", f"k{number}", runs(rnd, size))
    return made


def key(rnd):
    return rnd.choice([f"k{rnd.randrange(len(SIZES))}", "missing"])


def test_combinations_of_long_strings(twins):
    rnd = random.Random(21)
    for _ in range(200):
        sources = [key(rnd) for _ in range(rnd.randint(1, 5))]
        verb = rnd.choice(["AND", "OR", "XOR", "NOT"])
        twins.ask("BITOP", verb, rnd.choice(["out", sources[0]]), *(sources if verb != "NOT" else sources[:1]))
        twins.ask("BITCOUNT", "out")
    twins.compare_data()


def test_counts_and_searches_in_long_strings(twins):
    rnd = random.Random(22)
    commands = []
    for _ in range(3000):
        name = key(rnd)
        unit = rnd.choice([[], ["BYTE"], ["BIT"]])
        start, end = (rnd.choice([0, -1, 1, rnd.randint(-900_000, 900_000), rnd.randint(-9000, 9000)]) for _ in "se")
        commands.append(["BITCOUNT", name, start, end, *unit])
        commands.append(["BITPOS", name, rnd.randrange(2), start, end, *unit])
        commands.append(["BITPOS", name, rnd.randrange(2), start])
    for at in range(0, len(commands), 300):
        assert errors_among(twins.compare(commands[at : at + 300])) == 0


def test_fields_at_every_offset_of_a_long_string(twins):
    rnd = random.Random(23)
    for number in range(len(SIZES)):  # FAIL may only lengthen the string: Redis sends no event then
        twins.ask("SETBIT", f"k{number}", 800_100, 1)
    twins.ask("COPY", "k0", "missing")
    for _ in range(300):
        ops = []
        for _ in range(rnd.randint(1, 6)):
            width, at = rnd.choice([("u", 63), ("i", 64)]), rnd.choice(
                [rnd.randrange(70), f"#{rnd.randrange(9)}", 800_000]
            )
            kind = f"{width[0]}{rnd.randint(1, width[1])}"
            ops += rnd.choice([[], ["OVERFLOW", rnd.choice(["WRAP", "SAT", "FAIL"])]])
            value = rnd.choice(
                [0, 1, -1, 2**63 - 1, -(2**63), -(2**63) + 1000, rnd.randrange(-(2**63), 2**63)]
            )
            ops += rnd.choice([["GET", kind, at], ["SET", kind, at, value], ["INCRBY", kind, at, value]])
        twins.ask("BITFIELD", key(rnd), *ops)
    twins.compare_data()


def test_numbers_far_below_a_field_are_taken_as_redis_takes_them(twins):
    for width in (1, 2, 16, 62, 63, 64):
        edge = -(2**63) + 2 ** (width - 1)
        for value in (-(2**63), edge - 1, edge, edge + 1, -(2**62), 2**63 - 1):
            for overflow in ("SAT", "WRAP", "FAIL"):
                if -(2**63) <= value < 2**63:
                    twins.ask(
                        "BITFIELD", "k13", "OVERFLOW", overflow, "SET", f"i{width}", 3, value, "GET", f"i{width}", 3
                    )
                    twins.ask("BITFIELD", "k13", "OVERFLOW", overflow, "INCRBY", f"i{width}", 3, value)
    twins.compare_data()


def test_what_bitfield_says_of_its_key(twins):
    for ops in (
        ["GET", "u8", 0],
        ["GET", "u8", 0, "OVERFLOW", "WRAP", "GET", "u8", 0],
        ["GET", "u8", 0, "SET", "u8", 0, 1],
        ["INCRBY", "u8", 0, 1],
        ["SET", "u8", 0],
        ["GET", "u8"],
        ["WRONG"],
    ):
        twins.ask("COMMAND", "GETKEYSANDFLAGS", "BITFIELD", "k", *ops)
    twins.ask("COMMAND", "GETKEYSANDFLAGS", "BITFIELD_RO", "k", "GET", "u8", 0)
    twins.ask("COMMAND", "GETKEYSANDFLAGS", "BITOP", "AND", "out", "a", "b")

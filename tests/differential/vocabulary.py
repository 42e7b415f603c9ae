"""The words that the placeholders of the tables stand for, all from one seeded random generator.

Sizes are small enough for hundreds of commands per batch. Numbers avoid values for which a command rightly takes seconds
or gigabytes (an offset just below a limit, a huge negative count of random picks).
"""

TYPES = ("str", "list", "nums", "set", "hash", "zset", "geo", "stream", "bits", "any")
FAR_MS = 4_000_000_000_000  # an absolute time far in the future

NUMBERS = [b"%d" % n for n in range(-3, 12)]
BOUNDARIES = [
    b"%d" % n
    for base in (2**7, 2**8, 2**15, 2**16, 2**23, 2**31, 2**32, 2**63)
    for n in (base - 1, base, -base, -base - 1)
]
NOT_QUITE_NUMBERS = [b"", b"abc", b" 1", b"1 ", b"+1", b"01", b"-0", b"0x10", b"1.5", b"1e3", b"--1", b"1\x00", b"9" * 25]
FLOATS = [b"0", b"1", b"-1", b"0.1", b"0.2", b"3.3", b"-2.5", b"1e3", b"1e-5", b"1.0000000000000002", b"3.0e3", b"123456789.123"]
ODD_FLOATS = [b"inf", b"-inf", b"+inf", b"Infinity", b"nan", b"-nan", b"1e400", b"-1e400", b"1e-400", b"1.7e308", b"0x1p4", b"", b"1.5.2", b" 1", b"1 "]
BIG_SIZES = [16384, 32767, 32768, 40000]  # around the size at which an argument gets an allocation of its own
BULK_SIZES = [16000, 32760, 32767, 32768, 32769, 36000, 65536, 70000, 140000]
SIZES = [1, 7, 20, 43, 44, 45, 62, 63, 64, 65, 66, 127, 128]
PATTERNS = [b"*", b"?", b"[a-c]*", b"*1*", b"s*", b"[^a]*", b"\\*", b"[", b"", b"x*y", b"*:*", b"[b-a]", b"a?c", b"**", b"\\"]
DATABASES = [b"0", b"0", b"0", b"1", b"1", b"2"]
ODD_DATABASES = [b"99", b"-1", b"x", b"", b"15", b"16"]
PLACES = [(b"13.361389", b"38.115556"), (b"15.087269", b"37.502669"), (b"12.758489", b"38.788135"), (b"0", b"0"),
          (b"-122.42", b"37.77"), (b"180", b"85"), (b"-180", b"-85.05"), (b"2.3522", b"48.8566"), (b"13.5", b"38.1"), (b"179.9999", b"0.0001")]
ODD_PLACES = [(b"181", b"0"), (b"0", b"86"), (b"x", b"1"), (b"1", b""), (b"nan", b"1")]


def is_key(arg):
    """Whether a word looks like a key that key() makes."""
    return b":" in arg and arg[-1:].isdigit()


class Vocabulary:
    """Arguments for commands. `keys` is the number of keys of each type; with fewer keys, commands meet more often."""

    def __init__(self, rng, keys=4, variety=30):
        self.rng = rng
        self.random = rng.random
        self.keys = keys
        self.variety = variety
        self.last_key = b"any:0"
        self.last_group = b"g1"
        self.serial = 0
        self.mixes = 0.06  # how often a key of another type is used

    # Random choices

    def chance(self, probability):
        return self.random() < probability

    def below(self, limit):
        return int(self.random() * limit)

    def pick(self, options):
        return options[int(self.random() * len(options))]

    def repetitions(self):
        at = self.random()
        if at < 0.5:
            return 1
        if at < 0.75:
            return 2
        return 3 + self.below(4) if at < 0.96 else 8 + self.below(40)

    # Keys

    def key(self, kind):
        if self.random() < self.mixes or kind == "any":
            kind = self.pick(TYPES)
        self.last_key = b"%s:%d" % (kind.encode(), self.below(self.keys))
        return self.last_key

    def word_same(self):
        return self.last_key

    def word_str(self):
        return self.key("str")

    def word_list(self):
        return self.key("list")

    def word_nums(self):
        return self.key("nums")

    def word_set(self):
        return self.key("set")

    def word_hash(self):
        return self.key("hash")

    def word_zset(self):
        return self.key("zset")

    def word_lex(self):
        """A sorted set with one score: with several, ranges by name depend on random heights in a skip list."""
        return b"lex:%d" % self.below(2)

    def word_geo(self):
        return self.key("geo")

    def word_stream(self):
        return self.key("stream")

    def word_hll(self):
        """A key that other commands never write: how the peer treats a damaged HyperLogLog is no model."""
        self.last_key = b"hll:%d" % self.below(self.keys)
        return self.last_key

    def word_bits(self):
        return self.key("bits")

    def word_any(self):
        return self.key("any")

    def word_keys(self, kind):
        method = getattr(self, "word_" + kind)
        return [method() for _ in range(min(self.repetitions(), 6))]

    def word_numkeys(self, kind):
        """A count and that many keys; sometimes a wrong count."""
        keys = self.word_keys(kind)
        count = b"%d" % len(keys) if self.random() < 0.95 else self.pick((b"0", b"-1", b"100", b"x", b"2"))
        return [count, *keys]

    # Values

    def filler(self, size):
        return self.pick((b"x", b"Y", b"z", b"\x00")) * size

    def word_val(self):
        at = self.random()
        if at < 0.3:
            return self.letters()
        if at < 0.5:
            return self.pick(NUMBERS)
        if at < 0.6:
            return self.pick(BOUNDARIES)
        if at < 0.7:
            return self.filler(self.pick(SIZES))
        if at < 0.8:
            return b"%d" % self.below(1000000)
        if at < 0.85:
            return self.pick(FLOATS)
        if at < 0.9:
            return self.pick(NOT_QUITE_NUMBERS)
        if at < 0.95:
            return self.rng.randbytes(self.below(24))
        return self.filler(self.below(700) if at < 0.997 else self.pick(BIG_SIZES))

    def word_heavy(self):
        """A key of a possibly long string. Other commands never use it: some take the square of a length."""
        self.last_key = b"heavy:%d" % self.below(3)
        return self.last_key

    def word_bulk(self):
        """A value that mostly gets an allocation of its own, or replaces one that did."""
        at = self.random()
        if at < 0.35:
            return self.word_val()
        size = self.pick(BULK_SIZES) if at < 0.97 else 500_000 + self.below(550_000)
        return self.pick((b"A", b"B", b"C", b"\r\n")) * size

    def letters(self):
        return bytes(97 + self.below(6) for _ in range(1 + self.below(5)))

    def word_elem(self):
        """An element of a collection, one of few, so that commands meet."""
        at = self.random()
        if at < 0.35:
            return b"e%d" % self.below(self.variety)
        if at < 0.75:
            return b"%d" % self.below(self.variety)
        if at < 0.85:
            return self.pick(BOUNDARIES)
        if at < 0.92:
            return self.filler(self.pick(SIZES))
        return self.word_val()

    word_field = word_elem

    def word_numelem(self):
        """An element that SORT can weigh, mostly."""
        return b"%d" % self.below(12) if self.random() < 0.85 else self.pick((b"1.5", b"-3", b"1e2", b"0.25", b"abc", b""))

    def word_weight(self):
        return self.pick((b"w_%d", b"h_%d")) % self.below(12)

    def word_pattern(self):
        return self.pick(PATTERNS)

    def word_word(self):
        return self.letters()

    # Numbers

    def word_int(self):
        at = self.random()
        if at < 0.8:
            return b"%d" % (self.below(40) - 8)
        return self.pick(BOUNDARIES) if at < 0.95 else self.pick(NOT_QUITE_NUMBERS)

    def word_idx(self):
        at = self.random()
        if at < 0.95:
            return b"%d" % (self.below(30) - 12)
        return self.pick((b"9223372036854775807", b"-9223372036854775808", b"x", b"", b"4294967296", b"9223372036854775808"))

    def word_rank(self):
        return b"%d" % (self.below(7) - 3) if self.chance(0.97) else self.pick((b"x", b"", b"9223372036854775807"))

    def word_count(self):
        at = self.random()
        if at < 0.93:
            return b"%d" % self.below(12)
        return self.pick((b"-1", b"-3", b"x", b"", b"1000000", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808"))

    def word_entries(self):
        """The number of entries a stream has had; not so many that one more overflows in the peer."""
        return self.pick((b"-1", b"-3", b"x", b"", b"9223372036854775808")) if self.random() < 0.07 else b"%d" % self.below(12)

    def word_offset(self):
        """An offset in a string, in bytes."""
        at = self.random()
        if at < 0.95:
            return b"%d" % self.below(90)
        return self.pick((b"-1", b"x", b"536870912", b"9223372036854775807", b"4294967296", b"700"))

    def word_bit(self):
        at = self.random()
        if at < 0.95:
            return b"%d" % self.below(600)
        return self.pick((b"-1", b"x", b"4294967296", b"9223372036854775807", b"5000"))

    def word_float(self):
        at = self.random()
        if at < 0.6:
            return self.pick(FLOATS)
        if at < 0.9:
            return b"%.3f" % (self.random() * 20 - 10)
        return self.pick(ODD_FLOATS)

    def word_score(self):
        at = self.random()
        if at < 0.35:
            return b"0"
        if at < 0.7:
            return b"%d" % (self.below(20) - 5)
        return self.word_float()

    def word_scorebound(self):
        at = self.random()
        if at < 0.15:
            return self.pick((b"-inf", b"+inf", b"inf"))
        score = self.word_score()
        return b"(" + score if at < 0.35 else score

    def word_lexbound(self):
        at = self.random()
        if at < 0.25:
            return self.pick((b"-", b"+"))
        if at < 0.28:
            return self.word_elem()
        return self.pick((b"[", b"(")) + self.word_elem()

    def word_db(self):
        return self.pick(DATABASES) if self.random() < 0.96 else self.pick(ODD_DATABASES)

    # Times. Absolute ones are far away; relative ones differ from each other by more than clocks do.

    def word_atms(self):
        return b"%d" % (FAR_MS + self.below(6) * 1000) if self.random() < 0.95 else self.pick((b"1", b"-1", b"0", b"x", b"9223372036854775807"))

    def word_atsec(self):
        return b"%d" % (FAR_MS // 1000 + self.below(6)) if self.random() < 0.95 else self.pick((b"1", b"-1", b"0", b"x", b"9223372036854775807"))

    def word_relsec(self):
        self.serial += 1
        return b"%d" % (10_000_000 + self.serial * 100) if self.random() < 0.95 else self.pick((b"-1", b"0", b"x", b"9223372036854775807", b""))

    def word_relms(self):
        self.serial += 1
        return b"%d" % (10_000_000_000 + self.serial * 100_000) if self.random() < 0.95 else self.pick((b"-1", b"0", b"x", b"9223372036854775807", b""))

    def word_ttl(self):
        """A TTL for RESTORE; not so long that the sum with the time overflows in the peer and the key expires at once."""
        self.serial += 1
        return b"%d" % (10_000_000_000 + self.serial * 100_000) if self.random() < 0.95 else self.pick((b"-1", b"x", b""))

    def word_expiry(self):
        at = self.below(4)
        if at == 0:
            return [b"PXAT", self.word_atms()]
        if at == 1:
            return [b"EXAT", self.word_atsec()]
        return [b"EX", self.word_relsec()] if at == 2 else [b"PX", self.word_relms()]

    def word_timeout(self):
        """A timeout for commands in MULTI, where nothing waits."""
        return self.pick((b"0", b"0", b"1", b"0.5", b"10", b"-1", b"x", b"", b"1e400", b"9223372036854775807", b"0x1"))

    # BITFIELD

    def word_fieldtype(self):
        if self.random() < 0.95:
            return self.pick((b"u1", b"u8", b"i8", b"i5", b"u63", b"i64", b"i16", b"u7", b"u32", b"i33"))
        return self.pick((b"u64", b"i65", b"u0", b"i0", b"x8", b"u", b"8", b"u-1", b"U8"))

    def word_fieldat(self):
        if self.random() < 0.94:
            return self.pick((b"%d", b"#%d")) % self.below(40)
        return self.pick((b"-1", b"#-1", b"#", b"x", b"4294967296", b"9223372036854775807", b"#9223372036854775807"))

    # Geo

    def word_place(self):
        return self.pick(PLACES) if self.random() < 0.97 else self.pick(ODD_PLACES)

    def word_town(self):
        return self.pick((b"Palermo", b"Catania", b"edge1", b"edge2", b"p%d" % self.below(12), b"", b"nowhere"))

    def word_distance(self):
        return self.pick((b"1", b"100", b"200.5", b"1000", b"50000", b"0", b"0.001")) if self.random() < 0.95 else self.pick((b"-1", b"x", b"", b"nan", b"inf"))

    def word_unit(self):
        return self.pick((b"m", b"km", b"ft", b"mi", b"KM")) if self.random() < 0.97 else self.pick((b"parsec", b""))

    # Streams

    def word_xid(self):
        """An id for XADD; ids of one stream must increase."""
        at = self.random()
        if at < 0.55:
            self.serial += 1
            return b"%d-%d" % (self.serial // 3, self.below(4))
        if at < 0.8:
            return b"%d-*" % (self.serial // 3 + self.below(3))
        if at < 0.9:
            return b"%d" % (self.serial // 3 + self.below(3))
        return self.pick((b"0-0", b"0-1", b"0-*", b"x", b"1-x", b"1-2-3", b"", b"-", b"18446744073709551615-*", b"-1-1", b"1-"))

    def word_xat(self):
        """An id in a stream."""
        at = self.random()
        if at < 0.7:
            return b"%d-%d" % (self.below(self.serial // 3 + 2), self.below(4))
        if at < 0.8:
            return b"%d" % self.below(self.serial // 3 + 2)
        if at < 0.95:
            return self.pick((b"0", b"0-0", b"0-1"))
        return self.pick((b"x", b"", b"1-x", b"1-18446744073709551616", b"18446744073709551615-0", b"$", b">"))

    def word_xdeleted(self):
        """The greatest deleted id, never above what word_xtop() gives."""
        at = self.word_xat()
        return b"0-2" if at.startswith(b"18446744073709551615") else at

    def word_xtop(self):
        """The last id of a stream; not below the greatest deleted id, which 7.2 refuses."""
        return b"%d-%d" % (self.serial // 3 + 2, self.below(3)) if self.random() < 0.95 else self.pick((b"x", b"", b"1-x"))

    def word_xfrom(self):
        at = self.random()
        if at < 0.02:
            return b"18446744073709551615-18446744073709551615"
        if at < 0.3:
            return b"-"
        return b"(" + self.word_xat() if at < 0.45 else self.word_xat()

    def word_xto(self):
        at = self.random()
        if at < 0.3:
            return b"+"
        return b"(" + self.word_xat() if at < 0.45 else self.word_xat()

    def word_group(self):
        self.last_group = self.pick((b"g1", b"g1", b"g2")) if self.random() < 0.97 else self.pick((b"nogroup", b""))
        return self.last_group

    def word_samegroup(self):
        return self.last_group

    def word_consumer(self):
        return self.pick((b"alice", b"bob", b"carol"))

    def word_minidle(self):
        """An idle time that no pending entry has reached, or that every one has."""
        return self.pick((b"0", b"0", b"0", b"1000000000000", b"-1")) if self.random() < 0.96 else self.pick((b"x", b"", b"9223372036854775808"))

    def word_streams(self, kind):
        """The streams of XREAD: keys, then as many ids."""
        keys = [self.key("stream") for _ in range(1 if kind.startswith("one") else 1 + self.below(2))]
        special = b">" if kind.endswith("group") else b"$"
        ids = [special if self.random() < 0.5 else self.word_xat() for _ in keys]
        if self.random() < 0.03:
            ids = ids[:-1]
        return [b"STREAMS", *keys, *ids]

"""The geo commands find the same members as Redis, in the same order, at the same distances."""

import random

import pytest

from dataset import digest, replicate, wait_in_sync
from hazards import lower, stream_of
from peers import Twins, errors_among
from wire import ReplyError

MAX_LAT = 85.05112878
UNITS = ["m", "km", "ft", "mi", "KM", "Mi"]


class Generator:
    """Places of all kinds, all different: Redis sorts with a limit, so equal ones would come in any order."""

    def __init__(self, seed):
        self.rnd = random.Random(seed)
        self.members = [f"m{n}" for n in range(300)]

    def point(self):
        r = self.rnd
        kind = r.random()
        if kind < 0.05:  # at the edges of the map
            return r.choice([-180, 180, 179.999999, 0]), r.uniform(-85, 85)
        if kind < 0.1:
            return r.uniform(-180, 180), r.choice([-MAX_LAT, MAX_LAT, 85, 0, 66.0001, 80.5, -66])
        if kind < 0.4:  # close to each other
            return r.gauss(15, 0.5), r.gauss(37, 0.5)
        if kind < 0.5:  # and across the date line
            return (r.gauss(180, 1) + 180) % 360 - 180, r.gauss(10, 1)
        return r.uniform(-180, 180), r.uniform(-MAX_LAT, MAX_LAT)

    def key(self):
        return f"g{self.rnd.randrange(3)}" if self.rnd.random() < 0.97 else self.rnd.choice(["text", "missing"])

    def member(self):
        return self.rnd.choice(self.members)

    def setup(self):
        for key in ("g0", "g1", "g2"):
            for start in range(0, 300, 50):
                places = {f"m{n}": self.point() for n in range(start, start + 50)}
                yield ["GEOADD", key, *[x for member, point in places.items() for x in (*map(repr, point), member)]]
        yield ["SET", "text", "no places"]

    def size(self):
        r = self.rnd
        odd = [0, 1, 50000, "1e9", "inf", -1, "x", "nan", "1e-9", ""]
        return r.choice(odd) if r.random() < 0.05 else round(10 ** r.uniform(0, 3.9), 3)

    def geoadd(self):
        r = self.rnd
        options = [word for word in ("NX", "XX", "CH", "ch") if r.random() < 0.15]
        triples = []
        for _ in range(r.choice([1, 1, 2, 5])):
            lon, lat = (
                self.point() if r.random() < 0.97 else r.choice([(181, 0), (0, 86), ("x", 1), (1, ""), (0, "nan")])
            )
            triples += [
                lon if isinstance(lon, str) else repr(lon),
                lat if isinstance(lat, str) else repr(lat),
                self.member(),
            ]
        if r.random() < 0.02:
            triples.pop()
        return ["GEOADD", self.key(), *options, *triples]

    def looks(self):
        r = self.rnd
        members = r.choices([*self.members, "missing"], k=r.randrange(4))
        return r.choice(
            [
                ["GEOPOS", self.key(), *members],
                ["GEOHASH", self.key(), *members],
                [
                    "GEODIST",
                    self.key(),
                    self.member(),
                    self.member(),
                    *r.choice([[], [r.choice(UNITS)], ["inch"], ["m", "m"]]),
                ],
                ["ZSCORE", self.key(), self.member()],
            ]
        )

    def details(self, with_allowed=True):
        r = self.rnd
        options = [[word] for word in ("WITHDIST", "WITHHASH", "WITHCOORD") if with_allowed and r.random() < 0.3]
        options += [[r.choice(["ASC", "DESC"])]] if r.random() < 0.5 else []
        if r.random() < 0.4:
            options.append(["COUNT", r.choice([1, 2, 5, 50, 1000, 0, -1, "x"] if r.random() < 0.2 else [1, 2, 5, 50])])
        if r.random() < 0.15:
            options.append(["ANY"])
        if r.random() < 0.02:
            options.append([r.choice(["WRONG", "COUNT", "STORE", "STOREDIST", "FROMMEMBER", "BYBOX", ""])])
        return options

    def center(self):
        return ["FROMMEMBER", self.member()] if self.rnd.random() < 0.5 else ["FROMLONLAT", *map(repr, self.point())]

    def shape(self):
        unit = self.rnd.choice(UNITS) if self.rnd.random() < 0.98 else "parsec"
        if self.rnd.random() < 0.5:
            return ["BYRADIUS", self.size(), unit]
        return ["BYBOX", self.size(), self.size(), unit]

    def search(self):
        r = self.rnd
        stores = r.random() < 0.25
        options = [self.center(), self.shape(), *self.details(not stores or r.random() < 0.05)]
        if stores and r.random() < 0.4:
            options.append(["STOREDIST"])
        if r.random() < 0.03:
            options.append(r.choice([self.center(), self.shape()]))
        if r.random() < 0.03:
            options.pop(r.randrange(2))
        r.shuffle(options)
        words = [word for option in options for word in option]
        return ["GEOSEARCHSTORE", "out", self.key(), *words] if stores else ["GEOSEARCH", self.key(), *words]

    def radius(self):
        r = self.rnd
        read_only = r.random() < 0.4
        stores = not read_only and r.random() < 0.3
        by_member = r.random() < 0.5
        fixed = [self.member()] if by_member else [*map(repr, self.point())]
        options = self.details(not stores or r.random() < 0.05)
        if stores or r.random() < 0.01:
            options.append([r.choice(["STORE", "STOREDIST"]), r.choice(["out", "out2"])])
        r.shuffle(options)
        name = ("GEORADIUSBYMEMBER" if by_member else "GEORADIUS") + ("_RO" if read_only else "")
        return [
            name,
            self.key(),
            *fixed,
            self.size(),
            r.choice(UNITS),
            *[word for option in options for word in option],
        ]

    def command(self):
        return self.rnd.choices([self.geoadd, self.looks, self.search, self.radius], [2, 2, 4, 4])[0]()


@pytest.mark.parametrize("seed", range(4))
def test_random_searches_find_what_redis_finds(farm, seed):
    twins = Twins(farm, proto=2 + seed % 2)
    generator = Generator(seed)
    errors = 0
    twins.compare(generator.setup())
    for _ in range(40):
        errors += errors_among(twins.compare(generator.command() for _ in range(50)))
        twins.compare_data()
    assert 0 < errors < 700


def test_scores_that_are_no_places_are_read_as_redis_reads_them(farm):
    twins = Twins(farm)
    scores = [
        "-1",
        "0",
        "0.5",
        "-1e300",
        "inf",
        "-inf",
        "1e300",
        "4503599627370495",
        "4503599627370496",
        "9e18",
        "1e19",
        "2e19",
    ]
    for number, score in enumerate(scores):
        twins.ask("ZADD", "g", score, f"m{number}")
    members = [f"m{number}" for number in range(len(scores))]
    twins.compare([["GEOPOS", "g", *members], ["GEOHASH", "g", *members]])
    for member in members:
        twins.compare(["GEODIST", "g", member, other] for other in members)
        twins.compare(["GEORADIUSBYMEMBER", "g", member, size, "km", "WITHHASH"] for size in (0, 1, 5000, 50000, "inf"))


def test_errors_are_the_peers(farm):
    twins = Twins(farm)
    twins.ask("GEOADD", "g", 13.361389, 38.115556, "Palermo")
    twins.ask("SET", "text", "no places")
    for key in ("g", "missing", "text"):
        twins.compare(
            [
                ["GEOADD", key, "200", "10", "x"],
                ["GEOADD", key, "a", "10", "x"],
                ["GEOADD", key, "NX", "CH", "CH"],
                ["GEOADD", key, "NX", "XX", "1", "1", "x"],
                ["GEOADD", key, "1", "1", "x", "2"],
                ["GEODIST", key, "Palermo", "Palermo", "inch"],
                ["GEODIST", key, "Palermo", "Palermo", "m", "m"],
                ["GEORADIUS", key, 1, 1, "x", "km"],
                ["GEORADIUS", key, 1, 1, -1, "km"],
                ["GEORADIUS", key, 1, 1, 1, "parsec"],
                ["GEORADIUS", key, 1, 100, 1, "km"],
                ["GEORADIUS", key, 1, 1, 1, "km", "STORE", "out", "WITHDIST"],
                ["GEORADIUS", key, 1, 1, 1, "km", "ANY"],
                ["GEORADIUS", key, 1, 1, 1, "km", "COUNT", 0],
                ["GEORADIUS_RO", key, 1, 1, 1, "km", "STORE", "out"],
                ["GEORADIUSBYMEMBER", key, "x", "y", "z"],
                ["GEORADIUSBYMEMBER", key, "Palermo", 1, "km", "STORE"],
                ["GEORADIUSBYMEMBER_RO", key, "Palermo", 1, "km", "STOREDIST", "out"],
                ["GEOSEARCH", key, "FROMMEMBER", "x", "BYRADIUS", 1, "m"],
                ["GeoSearch", key, "ASC", "WITHDIST", "COUNT", 1, "ANY"],
                ["geosearch", key, "FROMMEMBER", "Palermo", "ASC", "COUNT", 1],
                ["GEOSEARCH", key, "FROMMEMBER", "Palermo", "BYBOX", 1, -1, "m"],
                ["GEOSEARCH", key, "FROMMEMBER", "Palermo", "BYBOX", "x", 1, "m"],
                ["GEOSEARCH", key, "FROMMEMBER", "Palermo", "BYBOX", 1, "x", "m"],
                ["GEOSEARCH", key, "FROMMEMBER", "Palermo", "FROMLONLAT", 1, 1, "BYBOX", 1, 1, "m"],
                ["GEOSEARCHSTORE", "out", key, "FROMMEMBER", "Palermo", "BYBOX", 1, 1, "m", "WITHDIST"],
                ["GEOSEARCHSTORE", "out", key, "FROMMEMBER", "Palermo", "BYBOX", 1, 1, "m", "STOREDIST", "x"],
            ]
        )
    twins.compare_data()


def test_what_reaches_replicas_is_what_redis_sends(farm):
    commands = [
        ["GEOADD", "g", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania"],
        ["GEOADD", "g", "XX", "CH", "13.361389", "38.115556", "Palermo"],
        ["GEOADD", "g", "CH", "13.3", "38.1", "Palermo"],
        ["GEORADIUS", "g", "15", "37", "200", "km"],
        ["GEORADIUS", "g", "15", "37", "200", "km", "STORE", "out"],
        ["GEORADIUS", "g", "15", "37", "200", "km", "STOREDIST", "out"],
        ["GEOSEARCHSTORE", "out", "g", "FROMMEMBER", "Palermo", "BYBOX", "1", "1", "m"],
        ["GEOSEARCHSTORE", "out", "none", "FROMMEMBER", "Palermo", "BYBOX", "1", "1", "m"],
        ["GEOSEARCHSTORE", "out", "none", "FROMMEMBER", "Palermo", "BYBOX", "1", "1", "m"],
    ]
    ours, replies = stream_of(farm, farm.server(), commands)
    theirs, wanted = stream_of(farm, farm.server("redis"), commands)
    assert replies == wanted
    assert lower(ours) == lower(theirs)


def test_stored_results_are_the_same_on_a_replica(farm):
    master, replica = farm.server(), farm.server()
    replicate(replica, master)
    wait_in_sync(master, replica)
    generator = Generator(9)
    with master.session() as wire:
        wire.pipeline(generator.setup())
        for _ in range(20):
            wire.pipeline([generator.search() for _ in range(50)])
    wait_in_sync(master, replica)
    assert digest(master) == digest(replica)


def test_what_the_commands_say_of_their_keys(farm):
    twins = Twins(farm)
    for request in (
        ["GEORADIUS", "g", 1, 1, 1, "m"],
        ["GEORADIUS", "g", 1, 1, 1, "m", "STORE", "out"],
        ["GEORADIUS", "g", 1, 1, 1, "m", "STORE", "out", "STOREDIST", "other"],
        ["GEORADIUSBYMEMBER", "g", "m", 1, "m", "ASC", "STOREDIST", "out"],
        ["GEORADIUS_RO", "g", 1, 1, 1, "m"],
        ["GEOSEARCHSTORE", "out", "g", "FROMMEMBER", "m", "BYBOX", 1, 1, "m"],
        ["GEOADD", "g", 1, 1, "m"],
    ):
        twins.ask("COMMAND", "GETKEYSANDFLAGS", *request)
    names = ["geoadd", "geopos", "geodist", "geohash", "geosearch", "geosearchstore"]
    names += ["georadius", "georadius_ro", "georadiusbymember", "georadiusbymember_ro"]
    for name in names:
        (mine,), (their,) = (side.wire.call("COMMAND", "INFO", name) for side in (twins.ours, twins.theirs))
        assert repr([sorted(x) if isinstance(x, list) else x for x in mine[:7]]) == repr(
            [sorted(x) if isinstance(x, list) else x for x in their[:7]]
        )


@pytest.mark.parametrize("name", ["GEORADIUS", "GEORADIUSBYMEMBER"])
def test_CVE_2023_41053_keys_checked_are_keys_written(server, name):
    """With repeated options in any order, the written key is always among those that the command reports."""
    rnd = random.Random(name)
    words = ["store", "STORE", "storedist", "count", "2", "asc", "any", "out", "x"]
    server.call("GEOADD", "source", 1, 1, "m", 2, 2, "n")
    fixed = ["m"] if name == "GEORADIUSBYMEMBER" else ["1", "1"]
    wrote = 0
    with server.session() as wire:
        for _ in range(3000):
            request = [name, "source", *fixed, 1000, "km", *rnd.choices(words, k=rnd.randrange(1, 7))]
            before = set(wire.call("KEYS", "*"))
            if isinstance(wire.ask(*request), ReplyError):
                continue
            written = set(wire.call("KEYS", "*")) - before
            wrote += len(written)
            assert written <= set(wire.call("COMMAND", "GETKEYS", *request)), request
            for key in written:
                wire.call("DEL", key)
    assert wrote > 20

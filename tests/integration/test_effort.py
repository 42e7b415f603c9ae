"""The cost of a command grows with its input as its documentation says: eight times the input may take about eight
times the processor time, but not 64 times."""

import pytest

SMALL, TIMES, ALLOWED = 8000, 8, 24


def cpu_ms(server):
    with open(f"/proc/{server.pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e6


def names(count):
    return [f"key:{number}" for number in range(count)]


def confirmed(client, count, *command):
    client.send_command(*command)
    for _ in range(count):
        client.read()


def watch(client, count):
    client.call("WATCH", *names(count))
    client.call("UNWATCH")


def watch_one_by_one(client, count):
    client.pipeline([("WATCH", name) for name in names(count)])
    client.call("UNWATCH")


def subscribe(client, count):
    confirmed(client, count, "SUBSCRIBE", *names(count))
    confirmed(client, count, "UNSUBSCRIBE")


def psubscribe(client, count):
    confirmed(client, count, "PSUBSCRIBE", *names(count))
    confirmed(client, count, "PUNSUBSCRIBE")


def ssubscribe(client, count):
    confirmed(client, count, "SSUBSCRIBE", *names(count))
    confirmed(client, count, "SUNSUBSCRIBE")


def prefixes(texts):
    return [word for text in texts for word in ("PREFIX", text)]


def prefixes_at_once(client, count):
    client.call("CLIENT", "TRACKING", "ON", "BCAST", *prefixes(f"{number:06}" for number in range(count)))
    client.call("CLIENT", "TRACKING", "OFF")


def prefixes_one_by_one(client, count):
    client.pipeline([("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", f"{number:06}") for number in range(count)])
    client.call("CLIENT", "TRACKING", "OFF")


def wait_for_keys(client, count):
    client.call("BLPOP", *names(count), "0.001")


def queue(client, count):
    client.call("MULTI")
    client.pipeline([("SET", name, "1") for name in names(count)])
    client.call("EXEC")


@pytest.mark.lockstep_only("some of these are quadratic in Redis")
@pytest.mark.parametrize(
    "work",
    [
        watch,
        watch_one_by_one,
        subscribe,
        psubscribe,
        ssubscribe,
        prefixes_at_once,
        prefixes_one_by_one,
        wait_for_keys,
        queue,
    ],
    ids=lambda work: work.__name__,
)
def test_fault_5_effort_grows_with_the_input(server, work):
    client = server.wire()
    client.call("HELLO", "3")

    def measure(count):
        before = cpu_ms(server)
        work(client, count)
        return cpu_ms(server) - before

    measure(SMALL)  # the first use of memory costs more than later ones
    ratios = []
    for _ in range(4):  # caches and other processes disturb single measurements
        ratios.append(measure(TIMES * SMALL) / measure(SMALL))
        if ratios[-1] < ALLOWED:
            return
    pytest.fail(f"{TIMES} times the input took {[round(r) for r in ratios]} times as long")


@pytest.mark.lockstep_only("Redis looks through all watches of a client")
def test_fault_5_watching_what_many_clients_watch(server):
    """WATCH and UNWATCH of one client do not look through the other clients of a key."""
    clients = [server.wire() for _ in range(400)]
    mine = names(200)
    start = cpu_ms(server)
    for client in clients[:20]:
        client.call("WATCH", *mine)
    few = cpu_ms(server) - start
    for client in clients[20:]:
        client.call("WATCH", *mine)
    assert server.info("clients")["watching_clients"] == "400"
    start = cpu_ms(server)
    for client in clients[:20]:
        client.call("UNWATCH")  # the oldest watches, which are last in each list
        client.call("WATCH", *mine)
    assert cpu_ms(server) - start < 10 * few + 20


@pytest.mark.lockstep_only("Redis has a tree of prefixes")
def test_fault_5_a_key_is_read_once_for_all_lengths_of_prefixes(server):
    """A changed key is compared with 200 prefixes of different lengths for little more than with one of them."""
    client, writer = server.wire(), server.wire()
    client.call("HELLO", "3")
    sets = [("SET", "x" * 256_000, "1")] * 20

    def measure(count):
        texts = (f"{number:06}" + "a" * (250_000 // count * number) for number in range(1, count + 1))
        client.call("CLIENT", "TRACKING", "ON", "BCAST", *prefixes(texts))
        before = cpu_ms(server)
        writer.pipeline(sets)
        took = cpu_ms(server) - before
        client.call("CLIENT", "TRACKING", "OFF")
        return took

    measure(1)
    ratios = []
    for _ in range(4):
        ratios.append(measure(200) / measure(1))
        if ratios[-1] < 4:
            return
    pytest.fail(f"200 lengths took {[round(r) for r in ratios]} times as long as one")

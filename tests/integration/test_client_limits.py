"""Limits of clients: output that waits for one of them, and the memory of all of them together."""

import threading

import pytest

from harness import wait_for
from wire import Closed, encode_command

LIMIT = 100_000


def gets(server, *command):
    """Whether a client gets the whole reply; otherwise it is closed."""
    with server.session() as client:
        try:
            client.call(*command)
            return True
        except Closed:
            return False


@pytest.fixture
def limited(farm):
    return farm.server("ours", f"client-output-buffer-limit normal {LIMIT} 0 0")


def test_fault_28_a_reply_is_measured_by_its_bytes_in_one_piece(limited):
    """The header of a bulk of that length takes eight bytes, and its end two."""
    for size in (1000, 16_000, 70_000, 99_000, LIMIT - 11):
        limited.call("SET", "k", "x" * size)
        assert gets(limited, "GET", "k"), size
    for size in (LIMIT - 10, LIMIT, 2 * LIMIT):
        limited.call("SET", "k", "x" * size)
        assert not gets(limited, "GET", "k"), size


@pytest.mark.parametrize("length", [10, 100, 3000, 17_000, 40_000])
def test_fault_28_a_reply_is_measured_by_its_bytes_in_many_pieces(limited, length):
    """For pieces of every size: those that share blocks, and those with a block of their own."""
    piece = len(encode_command("x" * length)) - 4
    head = 8  # "*NNNN\\r\\n" is no longer
    fit = (LIMIT - head) // piece - (1 if length < 100 else 0)
    limited.call("RPUSH", "k", *["x" * length] * (fit + 20))
    assert gets(limited, "LRANGE", "k", 0, fit - 2)
    assert not gets(limited, "LRANGE", "k", 0, fit + 1)


def test_fault_28_names_of_keys(limited):
    """110,897 bytes are more than 100,000, also where the number of elements is known at the end."""
    limited.call("MSET", *[word for number in range(6000) for word in (f"key:{number:08}", "v")])
    assert len("*6000\r\n") + 6000 * len("$12\r\nkey:00000000\r\n") > LIMIT
    assert not gets(limited, "KEYS", "*")
    assert gets(limited, "KEYS", "key:00000[0-4]*")


def test_fault_28_a_small_limit_does_not_count_the_first_block(farm):
    server = farm.server("ours", "client-output-buffer-limit normal 100 0 0")
    server.call("SET", "k", "x" * 10_000)
    assert gets(server, "GET", "k")


@pytest.mark.parametrize("busy", [0, 1, 4])
def test_fault_29_who_is_over_the_limit_is_gone_before_others_are_answered(farm, busy):
    """Also while other clients keep the server busy, and turns come less often."""
    limit = 440_000
    server = farm.server("ours", f"maxmemory-clients {limit}")
    stop = threading.Event()
    threads = [threading.Thread(target=keep_busy, args=(server, stop)) for _ in range(busy)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(60):
            with server.session() as large:
                name = "%s:%d" % large.sock.getsockname()[:2]
                large.call("PING")
                large.send(b"*1\r\n$%d\r\n" % limit + b"v" * limit)
                assert name not in server.call("CLIENT", "LIST").decode()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert int(server.info("stats")["evicted_clients"]) == 60


def keep_busy(server, stop):
    with server.session() as client:
        while not stop.is_set():
            client.pipeline([("PING",)] * 20)


def test_fault_29_who_is_under_the_limit_stays(farm):
    server = farm.server("ours", "maxmemory-clients 440000")
    with server.session() as half:
        half.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$220000\r\n" + b"v" * 220_000)
        wait_for(lambda: any(int(line.split("tot-mem=")[1].split()[0]) > 220_000 for line in lines(server)), 10, "it to be read")
        half.send(b"\r\n")
        assert half.read() == "OK"


def lines(server):
    return server.call("CLIENT", "LIST").decode().splitlines()

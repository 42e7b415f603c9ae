"""The checks at rest: no client works, every fault is over."""

import paths  # noqa: F401
from dataset import DATABASES, difference, read_everything
from harness import Timeout, wait_for
from world import DATABASE, NOT_NOW

SAME_WITHIN = 20  # seconds
BAD_LINES = ("Protocol error in the stream", "== CRITICAL ==")
MOST = 12  # problems of one kind that are worth reading


def come_to_rest(world):
    """Ends all traffic, including what was on its way."""
    for client in world.clients:
        client.hold()
    for client in world.clients:
        client.wait_held()
    for node in world.nodes:
        node.front.cut()
    for node in world.nodes:
        wait_for(lambda peer=node: clients_of(peer) <= 2, 15, f"clients of {node} to be gone", retry_on=NOT_NOW)


def clients_of(node):
    """Connections of clients; two are of this program."""
    return len(node.server.call("CLIENT", "LIST", "TYPE", "normal").splitlines())


def go_on(world):
    for client in world.clients:
        client.go_on()


def check(world):
    """All checks; what is wrong goes to world.fail()."""
    world.wait_links("at rest")
    wait_for_offsets(world)
    compare_data(world)
    check_histories(world)
    for problem in world.watcher.problems:
        world.fail(problem)
    world.watcher.problems.clear()
    for client in world.clients:
        if client.failure:
            raise client.failure


def wait_for_offsets(world):
    """All nodes are at the same position of the same history."""

    def equal():
        states = [node.server.info("replication") for node in world.nodes]
        return len({(state["master_replid"], state["master_repl_offset"]) for state in states}) == 1

    try:
        wait_for(equal, SAME_WITHIN, "", retry_on=NOT_NOW)
    except Timeout:
        states = {node.name: node.info() for node in world.nodes}
        places = ", ".join(f"{name} at {state['master_replid'][:8]}:{state['master_repl_offset']}" for name, state in states.items())
        world.fail(f"at rest, the nodes do not reach one position: {places}")


def strict_digest(node):
    return node.server.call("LOCKSTEP", "DIGEST")


def compare_data(world):
    """Every key and every expiry; and strict digests if all nodes are ours: redis-server 7.0 tells its replicas less of
    groups than its snapshots do. (Not DEBUG DIGEST, which sees the sign of the score -0; packed values lose it.)"""
    if all(node.kind == "ours" for node in world.nodes):
        compare_strictly(world)
    for node in world.others(world.master):
        try:
            wait_for(lambda peer=node: not different_keys(world.master, peer), SAME_WITHIN, "")
        except Timeout:
            world.fail(f"at rest, data sets of {world.master} and {node} differ: {different_keys(world.master, node)}")


def different_keys(one, other):
    return difference(read_everything(one.server), read_everything(other.server))


def compare_strictly(world):
    try:
        wait_for(lambda: len({strict_digest(node) for node in world.nodes}) == 1, SAME_WITHIN, "")
    except Timeout:
        digests = ", ".join(f"{node} {text(strict_digest(node))}" for node in world.nodes)
        world.fail(f"at rest, strict digests differ: {digests}; {streams_that_differ(world.nodes)}")


def streams_that_differ(nodes):
    """Most of what strict digests see and other comparisons do not: groups of streams."""
    found = []
    for database in range(DATABASES):
        views = [streams(node, database) for node in nodes]
        for key in sorted({key for view in views for key in view}):
            answers = [view.get(key) for view in views]
            if any(answer != answers[0] for answer in answers):
                found.append(f"db {database} {key!r}: {part_that_differs(answers)}")
    return "; ".join(found) or "no stream differs"


def part_that_differs(answers):
    texts = [repr(answer) for answer in answers]
    at = next((at for at, letters in enumerate(zip(*texts)) if len(set(letters)) > 1), min(map(len, texts)))
    return " / ".join(f"...{part[max(0, at - 40) : at + 40]}..." for part in texts)


def streams(node, database):
    """{key: what XINFO tells, without times when consumers were seen}"""
    with node.server.session(database=database) as wire:
        keys = wire.call("SCAN", 0, "COUNT", 100_000, "TYPE", "stream")[1]
        return {key: without_seen_times(wire.call("XINFO", "STREAM", key, "FULL", "COUNT", 0)) for key in keys}


def without_seen_times(reply):
    if not isinstance(reply, list):
        return reply
    kept, skip = [], False
    for item in reply:
        if not skip and item not in (b"seen-time", b"active-time"):
            kept.append(without_seen_times(item))
        skip = item in (b"seen-time", b"active-time")
    return kept


def text(digest):
    return digest.decode() if isinstance(digest, bytes) else str(digest)


def check_histories(world):
    with world.master.server.session(database=DATABASE) as wire:
        for client in world.clients:
            if not hasattr(client, "history"):
                continue
            found = client.found(wire)
            problems = client.history.check(found, world.excuses)
            problems += [f"{client.history.name}: {problem}" for problem in client.also_wrong(wire, found)]
            for problem in problems[:MOST]:
                world.fail(problem)
            if len(problems) > MOST:
                world.fail(f"{client.history.name}: and {len(problems) - MOST} more")


def check_log(world):
    """What is on disk is what is in memory: kills the master, and compares it with itself."""
    node = world.master
    if not node.has_log or node.data_at_risk_since is not None:
        return
    wait_for(lambda: nothing_expires_soon(node), 15, "the short-lived keys to be gone")
    before, digest = read_everything(node.server), digest_if_ours(node)
    world.note(f"{node} is killed at rest")
    node.kill()
    world.restart_master()
    found = difference(before, read_everything(node.server))
    if found or digest != digest_if_ours(node):
        world.fail(f"{node} was killed at rest and started from its log: other data {found or digest_if_ours(node)}")


def bad_lines(world):
    """What no server may say of its stream, which is well formed and fits the data of each replica."""
    found = []
    for node in world.nodes:
        lines = [line for line in node.server.log().splitlines() if any(mark in line for mark in BAD_LINES)]
        found += [f"{node} says: {line}" for line in lines[:1]]
    return found


def digest_if_ours(node):
    return text(strict_digest(node)) if node.kind == "ours" else None


def nothing_expires_soon(node):
    """Whether all keys with a time to live of less than a second are gone."""
    with node.server.session() as wire:
        for database in range(DATABASES):
            wire.call("SELECT", database)
            keys = wire.call("KEYS", "short:*")
            if any(wire.call("PTTL", key) != -1 for key in keys):
                return False
    return True

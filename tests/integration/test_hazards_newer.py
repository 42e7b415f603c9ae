"""Newer faults in servers of this family: N1, N2, N5 to N9 of docs/FAULTS.md. (N3 is in test_bad_input.py and
test_hazards_stream.py, N4 and N10 are in test_interop.py and test_differential.py.)"""

import itertools
import random
import sys
from pathlib import Path

import pytest

import aoffiles
from harness import OURS, is_real_redis, wait_for
from wire import ReplyError, pairs_to_dict

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "differential"))

from generator import Tables  # noqa: E402
from grammar import read_table  # noqa: E402
from values import Talker  # noqa: E402
from vocabulary import Vocabulary  # noqa: E402


def permission_error(reply):
    return isinstance(reply, ReplyError) and str(reply).startswith("NOPERM")


# N1: a log that ends inside MULTI


@pytest.mark.lockstep_only("7.0 cuts a file behind its last whole command")
@pytest.mark.parametrize("rest", [b"", aoffiles.command("SET", "half", 1), aoffiles.command("SET", "half", 1)[:-5]])
def test_N1_what_follows_a_log_that_was_cut_in_a_transaction_stays(farm, rest):
    """The log is cut after the last whole unit, the next write follows, and everything is there after two restarts."""
    server = farm.server("ours", "appendonly yes", "appendfsync always")
    server.call("SET", "before", "1")
    server.kill()
    with open(aoffiles.last_incr(server), "ab") as file:
        file.write(aoffiles.command("MULTI") + rest)
    expected = {b"before"}
    for number in range(3):
        server.start()
        assert set(server.call("KEYS", "*")) == expected
        server.call("SET", f"after{number}", "1")
        with server.session() as wire:
            assert wire.pipeline([("MULTI",), ("SET", f"multi{number}", 1), ("EXEC",)])[-1] == ["OK"]
        expected |= {b"after%d" % number, b"multi%d" % number}
        server.kill()
    server.start()
    assert set(server.call("KEYS", "*")) == expected


# N2: permissions of every key that an argument can name


@pytest.mark.lockstep_only("7.0 asks for the last one alone")
@pytest.mark.parametrize("store", itertools.product(("STORE", "STOREDIST"), repeat=2), ids="-".join)
@pytest.mark.parametrize("order", [("mine", "theirs"), ("theirs", "mine")])
def test_N2_georadius_with_two_targets_asks_for_both(server, store, order):
    server.call("GEOADD", "place", "1", "1", "town")
    server.call("ACL", "SETUSER", "bob", "on", "nopass", "+@all", "~mine", "%R~place")
    with server.wire() as bob:
        bob.call("AUTH", "bob", "x")
        options = [word for pair in zip(store, order) for word in pair]
        assert permission_error(bob.ask("GEORADIUS", "place", "1", "1", "10", "km", *options))
        assert permission_error(bob.ask("GEORADIUSBYMEMBER", "place", "town", "10", "km", *options))
        assert bob.call("GEORADIUS", "place", "1", "1", "10", "km", store[0], "mine") == 1
    assert server.call("EXISTS", "theirs") == 0


# N5: permissions that are withdrawn between MULTI and EXEC


@pytest.mark.parametrize("rule", ["resetkeys", "-get", "off"])
def test_N5_queued_commands_are_checked_again_at_exec(server, rule):
    server.call("SET", "k", "secret")
    server.call("ACL", "SETUSER", "bob", "on", "nopass", "+@all", "allkeys")
    with server.wire() as bob:
        bob.call("AUTH", "bob", "x")
        assert bob.pipeline([("MULTI",), ("GET", "k"), ("PING",)]) == ["OK", "QUEUED", "QUEUED"]
        server.call("ACL", "SETUSER", "bob", rule)
        replies = bob.call("EXEC")
        if rule == "off":  # ends no existing session, as in Redis
            assert replies == [b"secret", "PONG"]
        else:
            assert permission_error(replies[0]) and replies[1] == "PONG"


# N6: a user that is removed while its client waits to be closed


def test_N6_a_client_that_waits_to_be_closed_keeps_its_user(farm, tmp_path):
    path = tmp_path / "users.acl"
    path.write_text("user bob on nopass ~* &* +@all\nuser default on nopass ~* &* +@all\n")
    server = farm.server("ours", f"aclfile {path}")
    server.call("SET", "big", b"x" * (8 << 20))
    path.write_text("user default on nopass ~* &* +@all\n")
    with server.wire(rcvbuf=4096) as slow, server.wire() as killed, server.session() as admin:
        for wire in (slow, killed):
            wire.call("AUTH", "bob", "x")
        slow.send_command("GET", "big")
        slow.send_command("QUIT")  # closed when all is sent
        wait_for(lambda: b"cmd=quit" in server.call("CLIENT", "LIST"), 10, "QUIT to wait for the reply to be read")
        number = killed.call("CLIENT", "ID")
        kill = ("CLIENT", "KILL", "ID", number)
        again = [("CLIENT", "LIST"), ("ACL", "LOAD"), ("ACL", "USERS"), ("CLIENT", "LIST")]
        replies = admin.pipeline([kill, ("ACL", "LOAD"), *again])
        assert replies[0] == 1 and replies[1] == replies[3] == "OK" and replies[4] == [b"default"]
        assert killed.is_closed()
        slow.read_until_closed()
    assert server.call("GET", "big") is not None


# N7: commands of a log and rules of users


def test_N7_a_log_is_loaded_whatever_its_user_may_do(farm, tmp_path):
    path = tmp_path / "users.acl"
    path.write_text("user admin on nopass ~* &* +@all\nuser default on nopass ~* &* +@all\n")
    server = farm.server("ours", f"aclfile {path}", "appendonly yes", "appendfsync always")
    server.call("SET", "k", "v")
    server.call("EVAL", "redis.call('RPUSH', KEYS[1], 'a', 'b')", "1", "l")
    with server.session() as wire:
        wire.pipeline([("MULTI",), ("HSET", "h", "f", "v"), ("EXEC",)])
    server.kill()
    path.write_text("user admin on nopass ~* &* +@all\nuser default off resetkeys resetchannels -@all\n")
    server.start(ready=False)
    with wait_for(server.wire, 20, "the server to listen", retry_on=(ConnectionRefusedError,)) as wire:
        wait_for(lambda: wire.ask("AUTH", "admin", "x") == "OK", 20, "the log to be loaded")
        assert wire.call("GET", "k") == b"v"
        assert wire.call("LRANGE", "l", 0, -1) == [b"a", b"b"]
        assert wire.call("HGETALL", "h") == [b"f", b"v"]
        wire.call("ACL", "SETUSER", "default", "on", "nopass", "allkeys", "+@all")


# N8: what RESET leaves


def seen_of(server, port):
    line = next(line for line in server.call("CLIENT", "LIST").decode().splitlines() if f":{port} " in line)
    fields = dict(word.split("=", 1) for word in line.split(" "))
    names = ("name", "flags", "db", "sub", "psub", "ssub", "multi", "watch", "user", "redir", "resp")
    return {name: fields[name] for name in names}


BEFORE_RESET = {
    "nothing": [],
    "transaction": [("WATCH", "a"), ("MULTI",), ("SET", "a", "1")],
    "broken-transaction": [("MULTI",), ("NOSUCH",)],
    "broken-watch": [("WATCH", "w"), ("SET", "w", "2")],
    "tracking": [("HELLO", "3"), ("CLIENT", "TRACKING", "ON", "OPTIN"), ("CLIENT", "CACHING", "YES")],
    "broadcast": [("HELLO", "3"), ("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a", "NOLOOP")],
    "options": [("CLIENT", "NO-EVICT", "ON"), ("CLIENT", "SETNAME", "me"), ("SELECT", "3"), ("READONLY",)],
    "no-touch": [("CLIENT", "NO-TOUCH", "ON")],
    "subscribed": [("SUBSCRIBE", "c"), ("PSUBSCRIBE", "p*")],
    "monitor": [("MONITOR",)],
    "user": [("AUTH", "bob", "x"), ("HELLO", "3")],
}


@pytest.mark.lockstep_only("NO-TOUCH and watch= are not in 7.0")
@pytest.mark.parametrize("case", BEFORE_RESET)
def test_N8_reset_leaves_a_connection_like_a_new_one(server, case):
    server.call("ACL", "SETUSER", "bob", "on", "nopass", "+@all", "allkeys", "allchannels")
    with server.wire() as fresh, server.wire() as used:
        fresh.call("PING")
        for command in BEFORE_RESET[case]:
            used.send_command(*command)
        used.send_command("RESET")
        used.send_command("ECHO", "end")
        while (reply := used.read()) != b"end":
            last = reply
        assert last == "RESET"
        ports = [wire.sock.getsockname()[1] for wire in (used, fresh)]
        assert seen_of(server, ports[0]) == seen_of(server, ports[1])
        assert used.pipeline([("GET", "k"), ("SET", "k", "v"), ("GET", "k"), ("DEL", "k")]) == [None, "OK", b"v", 1]
        server.call("SET", "k", "other")
        server.call("PUBLISH", "c", "x")
        assert used.at_rest()
        assert str(used.ask("EXEC")) == "ERR EXEC without MULTI"


def test_N8_reset_ends_muted_replies(server):
    with server.wire() as wire:
        for command in (("CLIENT", "REPLY", "OFF"), ("PING",), ("RESET",), ("PING",)):
            wire.send_command(*command)
        assert [wire.read(), wire.read()] == ["RESET", "PONG"]


def test_N8_a_key_is_touched_again_after_reset(server):
    if is_real_redis(OURS):
        pytest.skip("NO-TOUCH is not in 7.0")
    server.config_set("maxmemory-policy", "allkeys-lru")
    server.call("SET", "k", "v")
    with server.wire() as wire:
        wire.pipeline([("CLIENT", "NO-TOUCH", "ON"), ("RESET",)])
        wait_for(lambda: server.call("OBJECT", "IDLETIME", "k") >= 1, 10, "the key to be idle")
        wire.call("GET", "k")
        assert server.call("OBJECT", "IDLETIME", "k") == 0


# N9: one reply for each command

MORE = read_table("""
    3   HEXPIRE <hash> <relsec> FIELDS <count> {<field>}
    3   HPEXPIREAT <hash> <atms> [NX|XX|GT|LT] FIELDS 1 <field>
    2   HTTL <hash> FIELDS <count> {<field>}
    2   HPERSIST <hash> FIELDS 1 <field>
    3   HSCAN <hash> 0 [NOVALUES] [COUNT <count>]
    3   XREAD [COUNT <count>] STREAMS <stream> (+|$|0)
    2   ZRANDMEMBER <zset> <count> [WITHSCORES]
    2   HRANDFIELD <hash> <count> [WITHVALUES]
    2   SRANDMEMBER <set> <count>
    2   SPOP <set> [<count>]
    2   LPOP <list> <count>
    1   EVAL return(redis.call('get',KEYS[1])) 1 <any>
    1   EVAL return({1,{2,3},false,redis.error_reply('x')}) 0
    1   CLIENT (LIST|INFO|ID|GETNAME|TRACKINGINFO|GETREDIR|NO|HELP|KILL ID 0)
    1   MEMORY (USAGE <any>|STATS|DOCTOR|HELP|NO)
    1   COMMAND (COUNT|INFO <word>|DOCS get|LIST|NO)
    1   CONFIG (GET <pattern>|GET|HELP)
    1   LATENCY (LATEST|HISTORY x|HISTOGRAM|RESET|NO)
    1   SLOWLOG (GET <count>|LEN|NO)
    1   FUNCTION (LIST|STATS|DUMP|NO)
    1   SCRIPT (EXISTS x y|NO)
    1   ACL (LIST|WHOAMI|CAT|CAT <word>|GETUSER default|LOG|NO)
    1   INFO [<word>]
    1   ROLE
    1   OBJECT (HELP|FREQ <any>)
    1   XAUTOCLAIM <stream> <group> <consumer> 0 0 [COUNT <count>]
""")


@pytest.mark.lockstep_only("some commands are later ones")
@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("seed", [1, 2])
def test_N9_each_command_answers_one_reply(server, protocol, seed):
    """And nothing else, whatever its arguments are: an error in the middle of a reply that was begun, or a missing or a
    second one, would make the number of replies another."""
    rng = random.Random(f"{seed}:{protocol}")
    words = Vocabulary(rng, keys=2, variety=12)
    tables = Tables(lambda name: True)
    lines = [line for name, group in tables.groups.items() for line in group if not line.blocks] + MORE
    talker = Talker(server)
    talker.must(b"HELLO", b"%d" % protocol)
    sent = 0
    for _ in range(60):
        commands = []
        for line in rng.choices(lines, weights=[line.weight for line in lines], k=100):
            made = line.expand(words)
            if rng.random() < 0.2:
                made = [args[: rng.randrange(1, len(args) + 1)] for args in made]
            commands += [args for args in made if args[0].upper() not in (b"QUIT", b"SUBSCRIBE", b"HELLO")]
        if rng.random() < 0.2:
            commands = [(b"MULTI",), *commands[:20], (b"EXEC",)]
        replies = talker.raw(commands)  # fails if the number of replies differs
        assert len(replies) == len(commands)
        sent += len(commands)
    assert sent > 3000
    talker.close()
    assert pairs_to_dict(server.call("CONFIG", "GET", "port"))

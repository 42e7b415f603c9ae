"""Users and permissions: rules, what they refuse and where, ACL LOG, files, and connections whose user changes."""

import random

import pytest

from harness import wait_for
from test_admin import refused
from test_config import run_until_exit
from wire import Push, ReplyError, pairs_to_dict

SHA256_OF_FOO = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
NO_KEY = "NOPERM No permissions to access a key"
NO_CHANNEL = "NOPERM No permissions to access a channel"


def no_command(user, command):
    return f"NOPERM User {user} has no permissions to run the '{command}' command"


def make_user(server, name, *rules):
    assert server.call("ACL", "SETUSER", name, "reset", "on", "nopass", *rules) == "OK"


def login(server, name, password="any"):
    wire = server.wire()
    assert wire.call("AUTH", name, password) == "OK"
    return wire


def user(server, name):
    return pairs_to_dict(server.call("ACL", "GETUSER", name))


def log_of(server, *args):
    return [pairs_to_dict(entry) for entry in server.call("ACL", "LOG", *args)]


def words(values):
    return [value if isinstance(value, str) else value.decode() for value in values]


# Rules


def test_a_new_user_may_do_nothing(server):
    assert server.call("ACL", "SETUSER", "alice") == "OK"
    assert server.call("ACL", "USERS") == [b"alice", b"default"]
    assert server.call("ACL", "LIST") == [
        b"user alice off sanitize-payload resetchannels -@all",
        b"user default on nopass sanitize-payload ~* &* +@all",
    ]
    alice = user(server, "alice")
    assert set(words(alice[b"flags"])) == {"off", "sanitize-payload"}
    assert (alice[b"commands"], alice[b"keys"], alice[b"channels"], alice[b"selectors"]) == (b"-@all", b"", b"", [])
    assert server.call("ACL", "GETUSER", "nobody") is None


# rules, then the words that are kept of those on commands
COMMAND_RULES = [
    ("+@all -@string +incr", "+@all -@string +incr"),
    ("allcommands -GET", "+@all -get"),
    ("+get +set -@all", "-@all"),
    ("+get +get -get", "-@all -get"),
    ("+@hash -@hash +hget +@HASH", "-@all +hget +@hash"),
    ("+client|id +client|LIST -client", "-@all -client"),
    ("+client -client|kill", "-@all +client -client|kill"),
    ("+select|0 +select|0 +select|1", "-@all +select|0 +select|1"),
    ("+select|0 +select", "-@all +select"),
    ("+@all +client|id", "+@all +client|id"),
    ("+config +config|get -config|set +config", "-@all +config"),
]


@pytest.mark.parametrize(("rules", "kept"), COMMAND_RULES)
def test_words_of_command_rules(server, rules, kept):
    make_user(server, "u", *rules.split())
    assert user(server, "u")[b"commands"] == kept.encode()
    make_user(server, "again", *kept.split())
    assert user(server, "again")[b"commands"] == kept.encode()


MODIFIER = "ERR Error in ACL SETUSER modifier"
UNKNOWN = "Unknown command or category name in ACL"
BAD_RULES = [
    ("+nosuch", f"{MODIFIER} '+nosuch': {UNKNOWN}"),
    ("+@nosuch", f"{MODIFIER} '+@nosuch': {UNKNOWN}"),
    ("+config|nosuch", f"{MODIFIER} '+config|nosuch': {UNKNOWN}"),
    ("-select|0", f"{MODIFIER} '-select|0': {UNKNOWN}"),
    ("+get|a|b", f"{MODIFIER} '+get|a|b': {UNKNOWN}"),
    ("+config|get|x", f"{MODIFIER} '+config|get|x': Allowing first-arg of a subcommand is not supported"),
    ("+get|", f"{MODIFIER} '+get|': Syntax error"),
    ("nonsense", f"{MODIFIER} 'nonsense': Syntax error"),
    ("%X~a", f"{MODIFIER} '%X~a': Syntax error"),
    ("<nothere", f"{MODIFIER} '<nothere': The password you are trying to remove from the user does not exist"),
    ("#abc", f"{MODIFIER} '#abc': The password hash must be exactly 64 characters and contain only lowercase"),
    (f"!{SHA256_OF_FOO.upper()}", f"{MODIFIER} '!{SHA256_OF_FOO.upper()}': The password hash must be exactly 64"),
    ("allkeys ~a", f"{MODIFIER} '~a': Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid"),
    ("&* &a", f"{MODIFIER} '&a': Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid"),
    ("(+get ~a", "ERR Unmatched parenthesis in acl selector starting at '(+get'."),
    ("(on)", f"{MODIFIER} '(on)': Syntax error"),
    ("(~a)_+get)", f"{MODIFIER} '(~a) +get)': Syntax error"),  # one argument, with a blank
    (")", f"{MODIFIER} ')': Syntax error"),
]


@pytest.mark.parametrize(("rules", "error"), BAD_RULES)
def test_bad_rules_change_nothing(server, rules, error):
    """A request changes all or nothing: rules before an invalid one have no effect, and no new user is created."""
    before = server.call("ACL", "LIST")
    rules = [rule.replace("_", " ") for rule in rules.split(" ")]
    refused(server.ask("ACL", "SETUSER", "fresh", "on", "+get", ">x", *rules), error)
    assert server.call("ACL", "LIST") == before
    make_user(server, "old", "+ping", "~old")
    before = server.call("ACL", "LIST")
    refused(server.ask("ACL", "SETUSER", "old", "+get", ">x", "(+set ~x)", *rules), error)
    assert server.call("ACL", "LIST") == before


def test_names_CVE_R14970_V3847(server):
    for name in ("a b", "a\nuser evil on nopass ~* +@all", "a\0b", "a\tb", "a\rb"):
        refused(server.ask("ACL", "SETUSER", name, "on"), "ERR Usernames can't contain spaces or null characters")
    refused(server.ask("ACL", "SETUSER", "", "on"), "ERR Usernames can't be empty")
    refused(server.ask("ACL", "SETUSER", "a\x01b", "on"), "ERR Usernames can't contain control characters")
    assert server.call("ACL", "USERS") == [b"default"]


def test_rules_with_control_bytes_R14970_V3847(farm):
    """What a file could not hold is refused when it is given."""
    server = farm.server("ours")
    evil = "\nuser evil on nopass ~* +@all"
    for start in ("~", "%R~", "&", "+get|", "-", "+@", "(~", "(+get|"):
        for end in (evil, "\x01", "\x7f", "\0x", "\rx"):
            rule = start + "a" + end + (")" if start[0] == "(" else "")
            refused(server.ask("ACL", "SETUSER", "u", "on", rule), MODIFIER)
    assert server.call("ACL", "SETUSER", "u", "on", ">pass\nuser evil on") == "OK"  # only its digest is kept
    assert server.call("CONFIG", "REWRITE") == "OK"
    assert "evil" not in server.conf_path.read_text()
    server.restart()
    assert server.call("ACL", "USERS") == [b"default", b"u"]
    assert server.wire().call("AUTH", "u", "pass\nuser evil on") == "OK"


def test_passwords(server):
    def lets_in(password):
        with server.wire() as wire:
            reply = wire.ask("AUTH", "u", password)
            assert reply == "OK" or str(reply).startswith("WRONGPASS invalid username-password pair or user is disabled.")
            return reply == "OK"

    server.call("ACL", "SETUSER", "u", ">one", f"#{SHA256_OF_FOO}")
    assert not lets_in("one")  # it is off
    server.call("ACL", "SETUSER", "u", "on")
    assert lets_in("one") and lets_in("foo") and not lets_in("two") and not lets_in("")
    server.call("ACL", "SETUSER", "u", "<one", ">two\0with a NUL")
    assert not lets_in("one") and lets_in("two\0with a NUL") and not lets_in("two")
    server.call("ACL", "SETUSER", "u", f"!{SHA256_OF_FOO}", "nopass")
    assert lets_in("anything") and user(server, "u")[b"passwords"] == []
    server.call("ACL", "SETUSER", "u", "resetpass")
    assert not lets_in("") and not lets_in("anything")
    server.call("ACL", "SETUSER", "u", ">new")
    assert lets_in("new") and not lets_in("anything")


# Rules that the documentation of Redis and Sentinel recommends, and other common ones.
RECOMMENDED = [
    "allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info +client|setname +client|kill +script|kill",
    "+psync +replconf +ping",
    "+auth +client|getname +client|id +client|setname +command +hello +ping +publish +subscribe +psubscribe +role",
    "+@all -@admin -@dangerous +info +config|get +client|list +latency|latest +slowlog|get -cluster|slots +cluster|nodes",
    "~* &* +@all -flushall -flushdb -keys -migrate -debug -module -bgrewriteaof -save -shutdown -fcall -function|load -eval +failover",
    "+@read +@write +@stream -swapdb -replicaof -cluster +wait -waitaof -lolwut +memory|usage +object|freq -acl|save",
]


@pytest.mark.parametrize("rules", RECOMMENDED)
def test_recommended_rules_are_taken_and_kept(server, rules):
    make_user(server, "u", *rules.split())
    kept = [word for word in rules.split() if word[0] in "+-"]
    shown = user(server, "u")[b"commands"].decode()
    assert shown == (" ".join(kept) if kept[0] == "+@all" else "-@all " + " ".join(kept))


# Selectors


@pytest.mark.parametrize("rule", ["%~a", "%", "%R", "%W", "%RW", "%R~", "%Q~a", "%RX~a", "%r~a", "%wr~a"])
def test_malformed_selectors_CVE_2024_31227_CVE_2024_51741(server, rule):
    """Every spelling of a pattern is either accepted or refused, within a selector and outside."""
    well_formed = rule in ("%R~", "%r~a", "%wr~a")
    for text in (rule, f"({rule})", f"({rule} +get)", f"(+get {rule}"):
        reply = server.ask("ACL", "SETUSER", "u", text)
        if well_formed and not text.startswith("(+"):
            assert reply == "OK"
        else:
            assert isinstance(reply, ReplyError), (text, reply)
    assert (b"u" in server.call("ACL", "USERS")) == well_formed
    assert server.call("PING") == "PONG"


@pytest.mark.lockstep_only("Redis 7.0 stops at some of these")
@pytest.mark.parametrize("line", ["user bob on (", "user bob on (+get ~x", "user bob on (+get (~x))", "user bob )", "user bob on (%~x)",
                                  "user bob ((", "user bob on () (+get", "user", "usr bob on", "user bob on ~a\x01"])  # fmt: skip
def test_malformed_files_CVE_2024_31227_CVE_2024_51741(farm, tmp_path, line):
    path = tmp_path / "users.acl"
    path.write_text("user alice on >pw ~* +@all\nuser default on nopass ~* &* +@all\n")
    server = farm.server("ours", f"aclfile {path}")
    before = server.call("ACL", "LIST")
    path.write_text(f"user carol on nopass\n{line}\n")
    refused(server.ask("ACL", "LOAD"), "ERR ")
    assert server.call("ACL", "LIST") == before
    status, output = run_until_exit("--port", 0, "--unixsocket", tmp_path / "s", "--dir", tmp_path, "--aclfile", path)
    assert status == 1 and "Aborting startup because of ACL errors" in output


def test_a_request_has_to_fit_into_one_selector(server):
    make_user(server, "u", "%R~r*", "+get", "(+set ~w*)", "(", "+copy", "%R~r*", "%W~w*", ")")
    with login(server, "u") as wire:
        assert wire.call("GET", "r1") is None and wire.call("SET", "w1", 1) == "OK" and wire.call("COPY", "r1", "w2") == 0
        refused(wire.ask("GET", "w1"), NO_KEY)
        refused(wire.ask("SET", "r1", 1), NO_KEY)
        refused(wire.ask("COPY", "w1", "r1"), NO_KEY)
        refused(wire.ask("DEL", "w1"), no_command("u", "del"))
    selectors = [pairs_to_dict(selector) for selector in user(server, "u")[b"selectors"]]
    assert [s[b"keys"] for s in selectors] == [b"~w*", b"%R~r* %W~w*"]
    assert server.call("ACL", "SETUSER", "u", "clearselectors") == "OK" and user(server, "u")[b"selectors"] == []


# Refusals


def test_what_is_refused_and_counted(server):
    make_user(server, "u", "+@all", "-ping", "-config|set", "~own:*", "%R~ro:*", "&news")
    with login(server, "u") as wire:
        refused(wire.ask("PING"), no_command("u", "ping"))
        refused(wire.ask("CONFIG", "SET", "hz", 10), no_command("u", "config|set"))
        assert wire.call("CONFIG", "GET", "hz")
        refused(wire.ask("GET", "other"), NO_KEY)
        refused(wire.ask("MGET", "own:1", "other"), NO_KEY)
        refused(wire.ask("SET", "ro:1", 1), NO_KEY)
        refused(wire.ask("SET", "ro:1", 1, "GET"), NO_KEY)
        refused(wire.ask("PUBLISH", "other", "x"), NO_CHANNEL)
        refused(wire.ask("SUBSCRIBE", "news", "other"), NO_CHANNEL)
        refused(wire.ask("PSUBSCRIBE", "new?"), NO_CHANNEL)
        assert wire.call("GET", "ro:1") is None and wire.call("PUBLISH", "news", "x") == 0
        assert wire.call("PSUBSCRIBE", "news") == [b"psubscribe", b"news", 1]
    stats = server.info("stats")
    denied = {name: int(stats[f"acl_access_denied_{name}"]) for name in ("auth", "cmd", "key", "channel")}
    assert denied == {"auth": 0, "cmd": 2, "key": 4, "channel": 3}
    assert server.info("errorstats")["errorstat_NOPERM"] == "count=9"
    assert "rejected_calls=2" in server.info("commandstats")["cmdstat_set"]


def test_what_leads_to_another_user_is_always_permitted(server):
    make_user(server, "nobody")
    make_user(server, "boss", "+@all")
    with login(server, "nobody") as wire:
        refused(wire.ask("ACL", "WHOAMI"), no_command("nobody", "acl|whoami"))
        wire.call("HELLO", 2, "AUTH", "boss", "x")
        assert wire.call("ACL", "WHOAMI") == b"boss"
        assert wire.call("RESET") == "RESET" and wire.call("ACL", "WHOAMI") == b"default"
        assert wire.call("AUTH", "nobody", "x") == "OK" and wire.call("QUIT") == "OK"


def test_first_arguments(server):
    make_user(server, "u", "+select|0", "+object|help", "+debug|JMAP")
    with login(server, "u") as wire:
        assert wire.call("SELECT", 0) == "OK" and wire.call("OBJECT", "HELP")
        refused(wire.ask("SELECT", 1), no_command("u", "select"))
        refused(wire.ask("OBJECT", "FREQ", "k"), no_command("u", "object|freq"))


def test_transactions_are_checked_when_queued_and_when_run(server):
    make_user(server, "u", "+@all", "~own:*", "&c")
    with login(server, "u") as wire:
        assert wire.call("MULTI") == "OK"
        refused(wire.ask("GET", "other"), NO_KEY)
        refused(wire.ask("EXEC"), "EXECABORT Transaction discarded because of previous errors.")
        wire.pipeline([("MULTI",), ("SET", "own:1", 1), ("INCR", "own:1"), ("SET", "own:2", 2), ("PUBLISH", "c", "x")])
        server.call("ACL", "SETUSER", "u", "-incr", "resetkeys", "~own:1", "resetchannels")
        replies = wire.call("EXEC")
        assert replies[0] == "OK" and server.call("GET", "own:1") == b"1" and server.call("GET", "own:2") is None
        reason = "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: "  # fmt: skip
        refused(replies[1], reason + "no permission to execute the command or subcommand")
        refused(replies[2], reason + "no permission to touch the specified keys")
        refused(replies[3], reason + "no permission to access one of the channels used as arguments to the command")
    assert [(e[b"reason"], e[b"object"], e[b"context"]) for e in log_of(server)][:3] == [
        (b"channel", b"c", b"multi"),
        (b"key", b"own:2", b"multi"),
        (b"command", b"incr", b"multi"),
    ]
    assert b"cmd=exec" in log_of(server)[0][b"client-info"]
    refused_exec = server.wire()
    make_user(server, "v", "+@all", "-exec", "~*")
    refused_exec.pipeline([("AUTH", "v", ""), ("MULTI",), ("SET", "k", 1)])
    refused(refused_exec.ask("EXEC"), "EXECABORT Transaction discarded because of: NOPERM User v has no permissions")
    refused(refused_exec.ask("EXEC"), "EXECABORT Transaction discarded because of: NOPERM User v has no permissions")
    assert server.call("EXISTS", "k") == 0


def test_a_blocked_client_is_asked_again(server):
    make_user(server, "u", "+@all", "allkeys")
    server.call("CONFIG", "RESETSTAT")
    with login(server, "u") as wire:
        wire.send_command("BLPOP", "list", 0)
        wait_for(lambda: server.info("clients")["blocked_clients"] == "1")
        server.call("ACL", "SETUSER", "u", "resetkeys")
        server.call("RPUSH", "list", "x")
        refused(wire.read(), NO_KEY)
    assert server.call("LLEN", "list") == 1
    assert server.info("commandstats")["cmdstat_blpop"].endswith("rejected_calls=1,failed_calls=0")


def test_fault_15_waiting_for_replicas_is_not_blocking_for_rules(server):
    make_user(server, "u", "allkeys", "+@all", "-@blocking")
    assert not {"wait", "waitaof"} & set(words(server.call("ACL", "CAT", "blocking")))
    with login(server, "u") as wire:
        assert wire.call("WAIT", 0, 0) == 0
        assert str(wire.ask("BLPOP", "k", 0.01)).startswith("NOPERM")


def test_fault_15_xautoclaim_only_writes(server):
    make_user(server, "writer", "%W~k", "+@all")
    make_user(server, "reader", "%R~k", "+@all")
    server.call("XGROUP", "CREATE", "k", "g", "$", "MKSTREAM")
    command = ("XAUTOCLAIM", "k", "g", "c", 0, "0-0")
    with login(server, "writer") as writer, login(server, "reader") as reader:
        assert writer.call(*command)[0] == b"0-0"
        assert str(reader.ask(*command)).startswith("NOPERM")


def test_sort_reads_other_keys_for_those_who_may_read_all(server):
    server.call("RPUSH", "l", 2, 1)
    server.call("MSET", "w1", 1, "w2", 2)
    by, get = (f"ERR {option} option of SORT denied due to insufficient ACL permissions." for option in ("BY", "GET"))
    make_user(server, "u", "+sort", "+sort_ro", "~l", "~w*", "(%R~* +get)")
    with login(server, "u") as wire:
        for command in ("SORT", "SORT_RO"):
            assert wire.call(command, "l") == [b"1", b"2"]
            assert wire.call(command, "l", "BY", "nosort") == [b"2", b"1"]
            refused(wire.ask(command, "l", "BY", "w*"), by)
            refused(wire.ask(command, "l", "BY", "w*", "BY", "nosort"), by)
            refused(wire.ask(command, "l", "BY", "nosort", "BY", "w*"), by)
            refused(wire.ask(command, "l", "GET", "w*"), get)
            refused(wire.ask(command, "l", "GET", "#"), get)
        refused(wire.ask("SORT", "l", "STORE", "x"), NO_KEY)
        refused(wire.ask("SORT", "l", "STORE", "w1", "STORE", "x"), NO_KEY)
        server.call("ACL", "SETUSER", "u", "(+sort ~l %R~*)")
        assert wire.call("SORT", "l", "BY", "w*", "GET", "w*", "GET", "#") == [b"1", b"1", b"2", b"2"]
        refused(wire.ask("SORT_RO", "l", "GET", "w*"), get)


def test_patterns_are_matched_in_bounded_time_CVE_2022_36021_CVE_2024_31228(server):
    pattern, key = "*a" * 500 + "b", "a" * 20000
    make_user(server, "u", "+@all", f"~{pattern}", f"&{pattern}", f"~{'[' * 1000}", "~" + "?*" * 2000)
    with login(server, "u") as wire:
        for _ in range(5):
            assert isinstance(wire.ask("GET", key), ReplyError) and isinstance(wire.ask("PUBLISH", key, "x"), ReplyError)
    assert server.call("PING") == "PONG"


# Which keys


def touched(server, wire, command):
    """The keys named in events, and those whose use was counted."""
    frequencies = lambda: {key: server.ask("OBJECT", "FREQ", key) for key in sorted(server.call("KEYS", "*"))}
    before = frequencies()
    with server.wire() as listener:
        listener.call("PSUBSCRIBE", "__keyevent@0__:*")
        reply = wire.ask(*command)
        after = frequencies()
        server.call("PUBLISH", "__keyevent@0__:end", "")
        keys = set()
        while (message := listener.read())[2] != b"__keyevent@0__:end":
            keys.add(message[3])
    return reply, keys | {key for key in before if key not in after or before[key] != after[key]}


KEYED = """
SET k1 v | SET k1 v GET | GET k1 | GETEX k1 EX 100 | GETDEL k1 | MGET k1 k2 k3 | MSET k1 1 k2 2 | MSETNX k4 1 k5 2 | APPEND k1 x
DEL k1 k2 | UNLINK l1 k2 | EXISTS k1 k1 k2 | TOUCH k1 k2 | RENAME k1 k2 | RENAMENX k1 k9 | COPY k1 k2 REPLACE | COPY k1 k9
EXPIRE k1 100 | PERSIST k1 | TTL k1 | TYPE k1 | OBJECT ENCODING k1 | DUMP k1 | MEMORY USAGE k1 | LCS k1 k2 | BITOP AND k9 k1 k2
BITFIELD k1 GET u4 0 | BITFIELD k1 SET u4 0 1 GET u8 0 | BITFIELD_RO k1 GET u4 0 | BITCOUNT k1 | PFADD h9 a | PFMERGE h9 h8 | PFCOUNT h9 h8
LMPOP 2 l1 l2 LEFT | LMPOP 1 l2 RIGHT COUNT 2 | BLMPOP 1 2 l1 l2 LEFT | BLPOP l1 l2 1 | BRPOP l2 l1 1 | LMOVE l1 l2 LEFT RIGHT
BLMOVE l1 l2 LEFT RIGHT 1 | RPOPLPUSH l1 l2 | BRPOPLPUSH l2 l1 1 | LPUSH l1 a | LINSERT l1 BEFORE a x | LPOS l1 a
SMOVE s1 s2 a | SINTER s1 s2 | SINTERSTORE s9 s1 s2 | SINTERCARD 2 s1 s2 LIMIT 1 | SUNIONSTORE s9 s1 s2 | SDIFFSTORE s1 s1 s2 | SPOP s1
ZUNION 2 z1 z2 | ZUNIONSTORE z9 2 z1 z2 WEIGHTS 1 2 | ZUNIONSTORE z9 1 z1 AGGREGATE MIN AGGREGATE MAX | ZINTERCARD 2 z1 z2 LIMIT 1
ZDIFFSTORE z9 2 z1 z2 | ZRANGESTORE z9 z1 0 -1 | ZMPOP 2 z1 z2 MIN | BZMPOP 1 2 z1 z2 MAX | BZPOPMIN z1 z2 1 | ZADD z1 1 a | ZINTER 1 z1 WITHSCORES
SORT l1 | SORT l1 BY w* GET w* GET # | SORT l1 STORE k9 | SORT l1 STORE k8 STORE k9 | SORT l1 BY STORE STORE k9 | SORT l1 GET STORE STORE k9
SORT l1 LIMIT 0 1 STORE k8 BY nosort STORE k9 GET store | SORT_RO l1 BY nosort | SORT l1 STORE | SORT l1 STORE k9 STORE
GEORADIUS g1 15 37 200 km STORE k8 STOREDIST k9 | GEORADIUS g1 15 37 200 km STOREDIST k8 STORE k9 | GEORADIUS g1 15 37 200 km STORE STORE
GEORADIUS g1 15 37 200 km COUNT 1 STORE k9 ASC | GEORADIUSBYMEMBER g1 a 200 km STORE k8 STORE k9 | GEORADIUSBYMEMBER g1 STORE 200 km STORE k9
GEORADIUS_RO g1 15 37 200 km | GEOSEARCH g1 FROMMEMBER a BYRADIUS 10 km | GEOSEARCHSTORE k9 g1 FROMMEMBER a BYRADIUS 10 km STOREDIST
XADD x1 * a 1 | XREAD COUNT 1 STREAMS x1 x2 0 0 | XREAD STREAMS STREAMS x1 0 0 | XREAD BLOCK 1 STREAMS x2 x1 0 0 | XREAD COUNT 1 COUNT 2 STREAMS x1 0
XGROUP CREATE x1 STREAMS 0 | XREADGROUP GROUP STREAMS STREAMS COUNT 1 STREAMS x1 > | XREADGROUP GROUP grp c STREAMS x1 0
XINFO STREAM x1 | XAUTOCLAIM x1 grp c 0 0 | XACK x1 grp 0-1 | XTRIM x1 MAXLEN 1 | XDEL x1 0-1 | HEXPIRE hh 100 FIELDS 1 a | HSET hh a 1
WATCH k1 k2 | RESTORE k9 0 junk | RESTORE k1 0 junk REPLACE | ZUNIONSTORE z9 3 z1 z2 | SINTERCARD 0 s1 | LMPOP -1 l1 LEFT | ZUNION 9999999999 z1
"""  # fmt: skip


# The effects of these on a key cannot be observed by a test.
LOOKS_ON = {"WATCH", "EXISTS", "TTL", "TYPE", "OBJECT", "MEMORY", "DUMP", "XINFO"}


def fill(server):
    server.call("FLUSHALL")
    for key in ("k1", "k2", "k3", "w1", "w2", "w3"):
        server.call("SET", key, "1")
    server.call("RPUSH", "l1", 3, 1, 2)
    server.call("RPUSH", "l2", 1, 2)
    server.call("SADD", "s1", "a", "b")
    server.call("SADD", "s2", "a")
    server.call("ZADD", "z1", 1, "a", 2, "b")
    server.call("ZADD", "z2", 1, "a")
    server.call("PFADD", "h8", "x")
    server.call("HSET", "hh", "a", 1)
    for key in ("g1", "STORE"):
        server.call("GEOADD", key, 15.08, 37.5, "a", 13.36, 38.1, "STORE")
    for key in ("x1", "STREAMS"):
        server.call("XADD", key, "0-1", "a", 1)
        server.call("XGROUP", "CREATE", key, "grp", 0)
        server.call("XGROUP", "CREATE", key, "STREAMS", 0)


@pytest.mark.lockstep_only("events tell of reads that found nothing, and counters of the others")
@pytest.mark.parametrize("line", KEYED.strip().splitlines())
def test_touched_keys_are_checked_keys_CVE_2023_41053_R15478_CVE_2023_36824(farm, line):
    """Whatever a command touches is among the keys that its row tells of, options repeated or misleading included. BY
    and GET of SORT are the exception: they are only for those who may read everything."""
    server = farm.server("ours", "maxmemory-policy allkeys-lfu", "lfu-log-factor 0", "lfu-decay-time 0", "notify-keyspace-events EAmn")
    with server.wire() as wire:
        for text in line.split("|"):
            command = text.split()
            fill(server)
            reply, keys = touched(server, wire, command)
            checked = server.ask("COMMAND", "GETKEYS", *command)
            checked = set() if isinstance(checked, ReplyError) else set(checked)
            if not isinstance(reply, ReplyError) and command[0] not in LOOKS_ON:
                assert keys, (text, "was not seen to touch anything")
            if command[0].startswith("SORT"):
                keys = {key for key in keys if not key.startswith(b"w")}
            assert keys <= checked, (text, reply)
            # so a user who may use only the other keys is refused
            make_user(server, "u", "+@all", *(f"~{key.decode()}" for key in server.call("KEYS", "*") if key not in keys))
            fill(server)
            with login(server, "u") as limited:
                if keys:
                    refused(limited.ask(*command), "NOPERM")


def test_counts_of_keys_are_taken_with_care_CVE_2023_36824(server):
    """Numbers of keys that the request does not have: nothing is read beyond its end, and the handler refuses it."""
    make_user(server, "u", "+@all", "~own*")
    commands = [("ZUNION",), ("SINTERCARD",), ("LMPOP",), ("ZMPOP",), ("ZDIFF",), ("BLMPOP", "1"), ("ZUNIONSTORE", "own")]
    numbers = ["-1", "0", "2", "99", "2147483647", "2147483648", "4294967297", "9223372036854775807", "-9223372036854775808", "x", ""]  # fmt: skip
    with login(server, "u") as wire:
        for name, *before in commands:
            for number in numbers:
                for keys in ([], ["other"], ["own", "LEFT"]):
                    request = (name, *before, number, *keys)
                    reply, found = wire.ask(*request), wire.ask("COMMAND", "GETKEYS", *request)
                    assert isinstance(reply, ReplyError), request
                    assert isinstance(found, ReplyError) or set(found) <= {b"own", b"LEFT", b"other"}
    with login(server, "u") as wire:
        many = [f"own{i}" for i in range(5000)]
        assert wire.call("DEL", *many) == 0
        refused(wire.ask("DEL", *many, "other", *many), NO_KEY)


# DRYRUN and CAT


def test_dryrun_names_what_is_missing(server):
    make_user(server, "u", "+get", "+publish", "+config|get", "~own", "&c")
    dryrun = lambda *args: server.ask("ACL", "DRYRUN", "u", *args)
    assert dryrun("GET", "own") == "OK" and dryrun("PUBLISH", "c", "x") == "OK" and dryrun("CONFIG", "GET", "hz") == "OK"
    assert dryrun("SET", "own", 1) == b"User u has no permissions to run the 'set' command"
    assert dryrun("CONFIG", "SET", "hz", 1) == b"User u has no permissions to run the 'config|set' command"
    assert dryrun("GET", "other") == b"User u has no permissions to access the 'other' key"
    assert dryrun("PUBLISH", "d", "x") == b"User u has no permissions to access the 'd' channel"
    refused(dryrun("GET"), "ERR wrong number of arguments for 'get' command")
    refused(dryrun("NOSUCH"), "ERR Command 'NOSUCH' not found")
    assert log_of(server) == []


def test_every_category_is_a_rule_and_covers_its_commands(server):
    for category in words(server.call("ACL", "CAT")):
        if category == "http":
            continue  # names that COMMAND does not know: test_http.py
        members = words(server.call("ACL", "CAT", category))
        make_user(server, "with", f"+@{category}", "allkeys")
        make_user(server, "without", "+@all", f"-@{category}", "allkeys")
        assert user(server, "with")[b"commands"] == f"-@all +@{category}".encode()
        for name in random.Random(category).sample(members, min(12, len(members))):
            (info,) = server.call("COMMAND", "INFO", name)
            command = [*name.split("|"), *["1"] * (abs(info[1]) - 1 - name.count("|"))]
            denied = f"has no permissions to run the '{name}' command"
            if "no_auth" in words(info[2]) or info[9]:
                continue
            assert denied not in str(server.ask("ACL", "DRYRUN", "with", *command))
            assert denied in str(server.ask("ACL", "DRYRUN", "without", *command)), (category, name)


# The log


def test_the_log_merges_what_is_alike(server):
    make_user(server, "u", "+get", "~own")
    with login(server, "u") as wire:
        for key in ("a", "b", "a", "a"):
            refused(wire.ask("GET", key), NO_KEY)
        refused(wire.ask("SET", "own", 1), no_command("u", "set"))
    refused(server.wire().ask("AUTH", "u2", "x"), "WRONGPASS")
    refused(server.wire().ask("HELLO", 3, "AUTH", "u2", "x"), "WRONGPASS")
    server.wire().pipeline([("MULTI",), ("AUTH", "u2", "x"), ("EXEC",)])
    entries = log_of(server)
    shown = [tuple(e[name] for name in (b"count", b"reason", b"context", b"object", b"username", b"entry-id")) for e in entries]  # fmt: skip
    assert shown == [
        (1, b"auth", b"multi", b"AUTH", b"u2", 5),
        (1, b"auth", b"toplevel", b"HELLO", b"u2", 4),
        (1, b"auth", b"toplevel", b"AUTH", b"u2", 3),
        (1, b"command", b"toplevel", b"set", b"u", 2),
        (3, b"key", b"toplevel", b"a", b"u", 0),
        (1, b"key", b"toplevel", b"b", b"u", 1),
    ]
    assert b" user=u " in entries[3][b"client-info"] and b" cmd=set " in entries[3][b"client-info"]
    assert entries[4][b"timestamp-created"] <= entries[4][b"timestamp-last-updated"]
    assert float(entries[0][b"age-seconds"]) < 60
    assert len(log_of(server, 2)) == 2 and log_of(server, -1) == [] and log_of(server, 0) == []
    refused(server.ask("ACL", "LOG", "x"), "ERR value is not an integer or out of range")
    server.config_set("acllog-max-len", 2)  # takes effect at the next entry
    assert [e[b"entry-id"] for e in log_of(server)] == [5, 4, 3, 2, 0, 1]
    refused(server.wire().ask("AUTH", "u3", "x"), "WRONGPASS")
    assert [e[b"entry-id"] for e in log_of(server)] == [6, 5]
    assert server.call("ACL", "LOG", "RESET") == "OK" and log_of(server) == []
    server.config_set("acllog-max-len", 0)
    refused(server.wire().ask("AUTH", "u2", "x"), "WRONGPASS")
    assert log_of(server) == [] and server.info("stats")["acl_access_denied_auth"] == "5"


@pytest.mark.lockstep_only("Redis keeps all of it")
def test_the_log_does_not_keep_what_is_long(server):
    make_user(server, "u", "+get", "~own")
    with login(server, "u") as wire:
        refused(wire.ask("GET", "k" * 1000000), NO_KEY)
    assert log_of(server)[0][b"object"] == b"k" * 1024


# Connections


def test_deleting_a_user_closes_its_connections(server):
    make_user(server, "u", "+@all")
    make_user(server, "v", "+@all", "~*")
    with login(server, "u") as idle, login(server, "u") as doomed, login(server, "v") as other, login(server, "u") as blocked:
        blocked.send_command("BLPOP", "l", 0)
        refused(server.ask("ACL", "DELUSER", "v", "default"), "ERR The 'default' user cannot be removed")
        assert doomed.call("ACL", "DELUSER", "u", "nobody", "u") == 1
        for wire in (idle, doomed, blocked):
            assert wire.is_closed()
        assert other.call("PING") == "PONG"
    assert server.call("ACL", "USERS") == [b"default", b"v"]
    refused(server.wire().ask("AUTH", "u", "x"), "WRONGPASS")


def test_client_list_and_kill_by_user(server):
    make_user(server, "u", "+@all")
    with login(server, "u") as wire:
        assert b" user=u " in wire.call("CLIENT", "INFO")
        assert server.call("CLIENT", "LIST").count(b" user=u ") == 1
        refused(server.ask("CLIENT", "KILL", "USER", "nobody"), "ERR No such user 'nobody'")
        assert server.call("CLIENT", "KILL", "USER", "u") == 1
        assert wire.is_closed()


def test_listeners_are_closed_when_they_may_no_longer_hear(server):
    make_user(server, "u", "+@all", "&a", "&b*", "&s")
    kinds = [("SUBSCRIBE", "a"), ("SUBSCRIBE", "bb"), ("PSUBSCRIBE", "b*"), ("SSUBSCRIBE", "s")]
    wires = [login(server, "u") for _ in kinds]
    wires[2].call("HELLO", 3)  # a RESP3 connection may send commands while it is subscribed
    for wire, words_ in zip(wires, kinds):
        wire.call(*words_)
    server.call("ACL", "SETUSER", "u", "resetchannels", "&a", "&b*", "&s", "&more")
    server.call("ACL", "SETUSER", "u", "allchannels")
    server.call("ACL", "SETUSER", "u", "resetchannels", "&b*")
    assert wires[0].is_closed() and wires[3].is_closed()
    server.call("PUBLISH", "bb", "x")
    assert wires[1].read() == [b"message", b"bb", b"x"] and wires[2].read() == [b"pmessage", b"b*", b"bb", b"x"]
    assert wires[2].call("ACL", "SETUSER", "u", "resetchannels", "&bb") == "OK"  # the caller still gets its reply
    assert wires[2].is_closed()
    server.call("PUBLISH", "bb", "y")
    assert wires[1].read() == [b"message", b"bb", b"y"]


def test_the_default_user_can_be_restricted_and_switched_off(farm):
    server = farm.server("ours", "user boss on >pw ~* &* +@all")
    with server.wire() as before:
        before.call("PING")
        with login(server, "boss", "pw") as boss:
            boss.call("ACL", "SETUSER", "default", "-@all", "+ping")
            assert before.call("PING") == "PONG"
            refused(before.ask("GET", "k"), no_command("default", "get"))
            boss.call("ACL", "SETUSER", "default", "+@all", "off")
            assert before.call("GET", "k") is None  # existing sessions continue
            with server.wire() as fresh:
                refused(fresh.ask("GET", "k"), "NOAUTH Authentication required.")
                refused(fresh.ask("AUTH", "default", "x"), "WRONGPASS")
                assert fresh.call("AUTH", "boss", "pw") == "OK" and fresh.call("GET", "k") is None
            boss.call("ACL", "SETUSER", "default", "on")
            with server.wire() as fresh:
                assert fresh.call("GET", "k") is None


def test_requirepass_is_the_default_users_password(server):
    server.config_set("requirepass", "pw")
    server.lines.append("requirepass pw")
    with server.wire() as wire:
        refused(wire.ask("GET", "k"), "NOAUTH")
        assert wire.call("AUTH", "pw") == "OK"
        assert len(pairs_to_dict(wire.call("ACL", "GETUSER", "default"))[b"passwords"]) == 1
        wire.call("ACL", "SETUSER", "default", "nopass")
    with server.wire() as wire:
        assert wire.call("GET", "k") is None
        refused(wire.ask("AUTH", "x"), "ERR AUTH <password> called without any password configured for the default user.")


# Sources of users


LINES = [
    "user alice on sanitize-payload #%s ~cache:* %%R~ro resetchannels &news -@all +@read +select|0 (~log:* resetchannels -@all +xadd)"
    % SHA256_OF_FOO,
    "user default on nopass sanitize-payload ~* &* +@all -flushdb",
]


def test_lines_of_the_configuration_and_config_rewrite(farm):
    server = farm.server("ours", *LINES)
    assert words(server.call("ACL", "LIST")) == LINES
    refused(server.ask("FLUSHDB"), no_command("default", "flushdb"))
    server.call("ACL", "SETUSER", "bob", "on", ">pw", "~b*", "( +get", "~c )")
    server.call("ACL", "DELUSER", "alice")
    expected = server.call("ACL", "LIST")
    for _ in range(2):
        assert server.call("CONFIG", "REWRITE") == "OK"
        assert "alice" not in server.conf_path.read_text()
        server.restart()
        assert server.call("ACL", "LIST") == expected


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["user foo on", "user foo on"], "Duplicate user found. A user can only be defined once in config files"),
        (["user default on", "user default on"], "Duplicate user found. A user can only be defined once in config files"),
        (["user foo on nonsense"], "Syntax error"),
        (["user foo on (+get"], ""),
        (["user foo on", "aclfile users.acl"], "but not both"),
        (["aclfile nosuch.acl"], "Error loading ACLs, opening file 'nosuch.acl': No such file or directory"),
    ],
)
def test_bad_users_stop_the_start(tmp_path, lines, message):
    (tmp_path / "users.acl").write_text("")
    arguments = [word for line in lines for word in f"--{line}".split()]
    status, output = run_until_exit("--port", 0, "--unixsocket", tmp_path / "s", "--dir", tmp_path, *arguments)
    assert status == 1 and message in output, output


def test_the_file_is_loaded_and_saved(farm, tmp_path):
    path = tmp_path / "users.acl"
    path.write_text("\n".join(LINES[:1]) + "\n\n")
    server = farm.server("ours", f"aclfile {path}")
    assert words(server.call("ACL", "LIST")) == [LINES[0], "user default on nopass sanitize-payload ~* &* +@all"]
    server.call("ACL", "SETUSER", "bob", "on", "nopass", "+@all", "(%W~x", "+set)")
    assert server.call("ACL", "SAVE") == "OK"
    saved = server.call("ACL", "LIST")
    assert path.read_text().splitlines() == words(saved)
    with login(server, "bob") as bob, server.wire() as nobody:
        server.call("ACL", "SETUSER", "bob", "-@all")
        assert server.call("ACL", "LOAD") == "OK"
        assert server.call("ACL", "LIST") == saved
        assert bob.call("PING") == "PONG" and nobody.call("PING") == "PONG"
    with login(server, "bob") as bob:
        path.write_text(LINES[0] + "\n")
        assert bob.call("ACL", "LOAD") == "OK" and bob.is_closed()
        path.write_text("\n".join(words(saved)) + "\n")
        assert server.call("ACL", "LOAD") == "OK"
    path.write_text("user alice on nopass ~* +@all\nuser alice off\nuser default\nuser default\n")
    error = str(server.ask("ACL", "LOAD"))
    assert "Duplicate user 'alice' found on line 2" in error and "Duplicate user 'default' found on line 4" in error
    assert error.endswith("WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
    assert server.call("ACL", "LIST") == saved
    path.unlink()
    refused(server.ask("ACL", "LOAD"), f"ERR Error loading ACLs, opening file '{path}': No such file or directory")
    assert server.call("ACL", "SAVE") == "OK" and path.exists()
    assert server.call("CONFIG", "REWRITE") == "OK" and "user " not in server.conf_path.read_text()


def test_without_a_file_there_is_nothing_to_load_or_save(server):
    for command in ("LOAD", "SAVE"):
        refused(server.ask("ACL", command), "ERR This Redis instance is not configured to use an ACL file.")


def test_saving_that_fails_leaves_the_file(farm, tmp_path):
    folder = tmp_path / "acl"
    folder.mkdir()
    path = folder / "users.acl"
    path.write_text(LINES[0] + "\n")
    server = farm.server("ours", f"aclfile {path}")
    path.unlink()
    folder.rmdir()
    refused(server.ask("ACL", "SAVE"), "ERR There was an error trying to save the ACLs.")


def test_acl_pubsub_default(server):
    server.config_set("acl-pubsub-default", "allchannels")
    server.call("ACL", "SETUSER", "u")
    assert user(server, "u")[b"channels"] == b"&*"
    refused(server.ask("ACL", "SETUSER", "v", "&a"), f"{MODIFIER} '&a': Adding a pattern after the *")
    server.config_set("acl-pubsub-default", "resetchannels")
    assert user(server, "u")[b"channels"] == b"&*"
    server.call("ACL", "SETUSER", "u", "reset")
    assert user(server, "u")[b"channels"] == b""


# Replication


@pytest.mark.parametrize("rules", ["+psync +replconf +ping", "+@all -psync"])
def test_a_replica_logs_in_as_masteruser(farm, rules):
    master = farm.server("ours", "user rep on >pw " + rules, "repl-diskless-sync-delay 0")
    master.call("SET", "k", 1)
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}", "masteruser rep", "masterauth pw")
    if "-psync" in rules:
        wait_for(lambda: any(e[b"object"] == b"psync" for e in log_of(master)))
        assert replica.info("replication")["master_link_status"] == "down"
        master.call("ACL", "SETUSER", "rep", "+psync")
    wait_for(lambda: replica.ask("GET", "k") == b"1", timeout=30)
    assert b" user=rep " in master.call("CLIENT", "LIST", "TYPE", "replica")
    assert b"user=(superuser)" in replica.call("CLIENT", "LIST", "TYPE", "master")
    replica.call("ACL", "SETUSER", "default", "-set")  # rules are for clients, not for the stream
    master.call("SET", "k", 2)
    wait_for(lambda: replica.ask("GET", "k") == b"2")
    assert master.call("ACL", "DELUSER", "rep") == 1
    wait_for(lambda: replica.info("replication")["master_link_status"] == "down")

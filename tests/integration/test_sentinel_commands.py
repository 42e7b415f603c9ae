"""What a sentinel of ours answers, writes into its file, and runs."""

import json
import os
import time
import urllib.error
import urllib.request

import pytest

from harness import SCALE, free_port, wait_for
from sentinels import Lone
from wire import ReplyError, Wire

pytestmark = pytest.mark.lockstep_only("the sentinel is ours")


@pytest.fixture
def master(farm):
    return farm.server("ours")


def lone(farm, master, *lines):
    watch = f"sentinel monitor mymaster 127.0.0.1 {master.port} 1"
    return farm.adopt(Lone(farm, watch, *lines)).start()


def wait_connected(sentinel):
    wait_for(lambda: "disconnected" not in sentinel.flags(), 15, "the link to the master")


# Commands


def test_other_commands_are_unknown(farm, master):
    sentinel = lone(farm, master)
    for command in ("GET a", "SET a b", "CONFIG GET port", "SAVE", "REPLICAOF no one", "EVAL 1 0", "MULTI", "LOCKSTEP DIGEST"):
        assert str(sentinel.ask(*command.split())).startswith("ERR unknown command"), command
    assert str(sentinel.ask("CLIENT", "NO-TOUCH", "on")).startswith("ERR unknown subcommand")
    names = {name.decode().split("|")[0] for name in sentinel.call("COMMAND", "LIST")}
    assert names == {
        "acl", "auth", "client", "command", "hello", "info", "ping", "psubscribe", "publish", "punsubscribe", "quit", "reset",
        "role", "sentinel", "shutdown", "subscribe", "unsubscribe",
    }  # fmt: skip


def test_role_hello_and_info(farm, master):
    sentinel = lone(farm, master)
    assert sentinel.call("ROLE") == [b"sentinel", [b"mymaster"]]
    hello = sentinel.call("HELLO")
    assert b"role" not in hello and hello[hello.index(b"mode") + 1] == b"sentinel"
    info = sentinel.call("INFO").decode()
    assert "redis_mode:sentinel" in info and "# Keyspace" not in info and "# Memory" not in info
    line = f"master0:name=mymaster,status=ok,address=127.0.0.1:{master.port},slaves=0,sentinels=1"
    assert line in sentinel.call("INFO", "sentinel").decode().splitlines()


def test_only_hellos_are_published(farm, master):
    sentinel = lone(farm, master)
    assert str(sentinel.ask("PUBLISH", "news", "x")) == "ERR Only HELLO messages are accepted by Sentinel instances."
    assert sentinel.call("PUBLISH", "__sentinel__:hello", "not a hello") == 1


def test_events_reach_subscribers(farm, master):
    sentinel = lone(farm, master)
    with sentinel.wire() as wire:
        wire.call("PSUBSCRIBE", "*")
        assert sentinel.call("SENTINEL", "MONITOR", "other", "127.0.0.1", 1, 2) == "OK"
        wanted = [b"pmessage", b"*", b"+monitor", b"master other 127.0.0.1 1 quorum 2"]
        assert wire.read() == wanted
    assert sentinel.call("SENTINEL", "REMOVE", "other") == "OK"


def test_reset_forgets_and_finds_again(farm, master):
    replica = farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    sentinel = lone(farm, master)
    wait_for(lambda: sentinel.master()[b"num-slaves"] == b"1", 20, "the replica to be found")
    with sentinel.wire() as wire:
        replies = wire.pipeline([("SENTINEL", "RESET", "my*"), ("SENTINEL", "REPLICAS", "mymaster")])
    assert replies == [1, []]
    wait_for(lambda: sentinel.master()[b"num-slaves"] == b"1", 20, "the replica to be found again")
    assert replica.running()


@pytest.mark.parametrize("value", ["a\nb", "a\0b", "\x7f"])
def test_H8_control_bytes_are_refused(farm, master, value):
    sentinel = lone(farm, master)
    before = sentinel.lines()
    for words in (("SET", "mymaster", "auth-pass", value), ("CONFIG", "SET", "sentinel-pass", value)):
        assert isinstance(sentinel.ask("SENTINEL", *words), ReplyError), words
    assert sentinel.lines() == before


def test_a_password_is_not_shown(farm, master):
    sentinel = lone(farm, master, "loglevel debug")
    assert sentinel.call("SENTINEL", "SET", "mymaster", "auth-pass", "very-secret") == "OK"
    assert not sentinel.log_contains("very-secret")
    assert "sentinel auth-pass mymaster very-secret" in sentinel.lines()


def test_a_refused_password_is_an_event_once(farm, master):
    master.config_set("requirepass", "right")
    sentinel = lone(farm, master, "sentinel auth-pass mymaster wrong")
    wait_for(lambda: sentinel.log_contains("WRONGPASS"), 15, "the refusal in the log")
    time.sleep(2.5 * SCALE)  # several attempts
    assert sentinel.log().count("WRONGPASS") == 1, sentinel.log()
    assert "disconnected" in sentinel.flags()
    assert sentinel.call("SENTINEL", "SET", "mymaster", "auth-pass", "right") == "OK"
    wait_connected(sentinel)


def test_renamed_commands_and_users(farm):
    renamed = ["SUBSCRIBE HEAR", "PUBLISH SAY", "CLIENT CUSTOMER", "INFO TELL"]
    master = farm.server("ours", *(f"rename-command {pair}" for pair in renamed))
    assert master.call("ACL", "SETUSER", "watcher", "on", ">secret", "~*", "&*", "+@all") == "OK"
    sentinel = lone(
        farm, master, "sentinel auth-user mymaster watcher", "sentinel auth-pass mymaster secret",
        *(f"sentinel rename-command mymaster {pair}" for pair in renamed),
    )  # fmt: skip

    def links():
        lines = master.call("CUSTOMER", "LIST").decode().splitlines()
        rows = [dict(word.split("=", 1) for word in line.split()) for line in lines]
        return {(row["user"], row["sub"]) for row in rows if row["name"].startswith("sentinel-")}

    wait_for(lambda: links() == {("watcher", "0"), ("watcher", "1")}, 15, lambda: f"two links: {links()}")
    wait_for(lambda: sentinel.master()[b"runid"] != b"", 15, "the answer to INFO")


def test_two_masters_share_one_link_between_sentinels(farm, master):
    """A sentinel that watches two masters with us has one connection from us."""
    second = farm.server("ours")
    watch = [f"sentinel monitor {name} 127.0.0.1 {s.port} 2" for name, s in (("a", master), ("b", second))]
    one = farm.adopt(Lone(farm, *watch)).start()
    (farm.directory / "more").mkdir()
    farm_of_two = type("Directory", (), {"directory": farm.directory / "more"})
    two = farm.adopt(Lone(farm_of_two, *watch)).start()
    for name in ("a", "b"):
        wait_for(lambda n=name: one.master(n)[b"num-other-sentinels"] == b"1", 20, "the other sentinel")
        wait_for(lambda n=name: two.master(n)[b"num-other-sentinels"] == b"1", 20, "the other sentinel")

    def links():
        rows = two.call("CLIENT", "LIST").decode().splitlines()
        return len([row for row in rows if "name=sentinel-" in row])

    wait_for(lambda: links() == 1, 10, lambda: f"one link: {links()}")


# The HTTP port


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as err:
        return err.code, err.read().decode()


def test_the_http_port_of_a_sentinel(farm, master):
    farm.server("ours", f"replicaof 127.0.0.1 {master.port}")
    port = free_port()
    sentinel = lone(farm, master, f"http-port {port}", "http-public health metrics page")
    wait_for(lambda: sentinel.master()[b"num-slaves"] == b"1", 20, "the replica to be found")
    assert get(port, "/live") == (200, "live\n") and get(port, "/ready") == (200, "ready\n")
    assert [get(port, path)[0] for path in ("/primary", "/replica", "/", "/status.json")] == [404] * 4
    (row,) = json.loads(get(port, "/masters")[1])
    assert (row["name"], row["port"], row["flags"]) == ("mymaster", str(master.port), "master")
    one = json.loads(get(port, "/master?name=mymaster")[1])
    assert len(one["replicas"]) == 1 and one["sentinels"] == [] and one["replicas"][0]["flags"] == "slave"
    assert [get(port, f"/master{query}")[0] for query in ("", "?name=other", "?nam=mymaster")] == [404] * 3
    labels = f'master_name="mymaster",master_address="127.0.0.1:{master.port}"'
    lines = get(port, "/metrics")[1].splitlines()
    assert f'redis_sentinel_master_status{{{labels},master_status="ok"}} 1' in lines
    assert f"redis_sentinel_master_slaves{{{labels}}} 1" in lines and "redis_sentinel_masters 1" in lines


# The file


def test_comments_stay_and_what_was_learnt_is_added(farm, master):
    sentinel = lone(farm, master, "# how patient", "sentinel down-after-milliseconds mymaster 5000", "", "# the end")
    lines = sentinel.lines()
    at = lines.index("# how patient")
    assert lines[at + 1 : at + 4] == ["sentinel down-after-milliseconds mymaster 5000", "", "# the end"]
    myid = sentinel.call("SENTINEL", "MYID").decode()
    assert f"sentinel myid {myid}" in lines
    assert sentinel.call("SENTINEL", "SET", "mymaster", "down-after-milliseconds", 7000) == "OK"
    assert sentinel.lines()[at + 1] == "sentinel down-after-milliseconds mymaster 7000"
    sentinel.terminate()
    sentinel.start()
    assert sentinel.call("SENTINEL", "MYID").decode() == myid
    assert sentinel.master()[b"down-after-milliseconds"] == b"7000"


@pytest.mark.parametrize(
    "line, reason",
    [
        ("sentinel no-such-thing mymaster 1", "Unrecognized sentinel configuration statement"),
        ("sentinel down-after-milliseconds nobody 1", "No such master"),
        ("sentinel monitor mymaster 127.0.0.1 0 1", "port"),
        ("sentinel notification-script mymaster /no/such/script", "non existing"),
    ],
)
def test_a_wrong_line_ends_the_start(farm, master, line, reason):
    sentinel = Lone(farm, f"sentinel monitor mymaster 127.0.0.1 {master.port} 1", line)
    before = sentinel.lines()
    sentinel.launch()
    assert sentinel.wait_exit() == 1
    assert sentinel.log_contains(reason), sentinel.log()
    assert sentinel.lines() == before


def test_no_sentinel_without_a_file(farm):
    sentinel = Lone(farm)
    sentinel.argv = [sentinel.argv[0], "--sentinel", "--port", str(free_port())]
    sentinel.launch()
    assert sentinel.wait_exit() == 1
    assert sentinel.log_contains("Sentinel needs config file on disk")


# Scripts


def script(farm, text):
    path = farm.directory / "script"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_notification_script_gets_type_and_text(farm, master):
    out = farm.directory / "said"
    path = script(farm, f'echo "$1|$2" >> {out}; ls /proc/self/fd | wc -l >> {out}.fds')
    sentinel = lone(
        farm, master, f"sentinel notification-script mymaster {path}", "sentinel down-after-milliseconds mymaster 500"
    )
    wait_connected(sentinel)
    master.kill()
    wanted = f"+sdown|master mymaster 127.0.0.1 {master.port}"
    wait_for(lambda: out.exists() and wanted in out.read_text().splitlines(), 20, "the script to be told")
    wait_for(lambda: sentinel.call("SENTINEL", "PENDING-SCRIPTS") == [], 20, "the scripts to end")
    assert max(int(n) for n in (farm.directory / "said.fds").read_text().split()) <= 4  # 0, 1, 2 and that of ls


def test_scripts_are_tried_again_and_killed_when_late(farm, master):
    path = script(farm, "[ \"$1\" = +sdown ] && exec sleep 100; exit 1")
    sentinel = lone(
        farm, master, f"sentinel notification-script mymaster {path}", "sentinel down-after-milliseconds mymaster 500"
    )
    assert sentinel.call("SENTINEL", "DEBUG", "script-max-runtime", 1000, "script-retry-delay", 200) == "OK"
    wait_connected(sentinel)
    master.kill()
    wait_for(lambda: sentinel.log_contains(f"-script-timeout {path}"), 20, "a late script to be killed")
    waiting = sentinel.call("SENTINEL", "PENDING-SCRIPTS")
    assert waiting and waiting[0][0] == b"argv" and waiting[0][1][0] == os.fsencode(path)


def test_scripts_cannot_be_set_by_command(farm, master):
    path = script(farm, "exit 0")
    sentinel = lone(farm, master)
    refusal = sentinel.ask("SENTINEL", "SET", "mymaster", "notification-script", str(path))
    assert "denied for security reasons" in str(refusal)


# Links


def test_a_server_that_says_nothing_is_tried_again(farm):
    """It accepts, and answers no handshake."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        sentinel = farm.adopt(Lone(farm, f"sentinel monitor mymaster 127.0.0.1 {port} 1")).start()
        silent.settimeout(20 * SCALE)
        conns = [silent.accept()[0] for _ in range(4)]  # two links, twice
        for conn in conns:
            conn.close()
        assert "disconnected" in sentinel.flags()


@pytest.mark.parametrize("junk", [b"junk\r\n", b"*999999999\r\n", b"$999999999999\r\n", b"*1\r\n" * 20])
def test_a_server_that_talks_nonsense_is_left(farm, junk):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as strange:
        port = strange.getsockname()[1]
        sentinel = farm.adopt(Lone(farm, f"sentinel monitor mymaster 127.0.0.1 {port} 1")).start()
        strange.settimeout(20 * SCALE)
        conn = strange.accept()[0]
        conn.settimeout(10 * SCALE)
        conn.sendall(junk)
        while conn.recv(4096):
            pass  # closed by the sentinel
        assert sentinel.call("PING") == "PONG"
        conn.close()


def test_the_port_answers_while_a_link_is_down(farm):
    sentinel = farm.adopt(Lone(farm, "sentinel monitor mymaster 127.0.0.1 1 1")).start()
    with Wire(sentinel.address) as wire:
        assert wire.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster") == [b"127.0.0.1", b"1"]
    assert "disconnected" in sentinel.flags()

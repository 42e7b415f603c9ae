"""Configuration: the file, the command line, CONFIG GET, SET and REWRITE; every bad value is refused with a reason."""

import os
import re
import socket
import stat
import subprocess

import pytest

from harness import OURS, SCALE, Process, free_port, wait_for
from wire import Closed, ReplyError, Wire, pairs_to_dict


def run_until_exit(*args, stdin=b""):
    """Starts a server that must fail; returns (status, all output)."""
    done = subprocess.run([OURS, *map(str, args)], input=stdin, capture_output=True, timeout=20 * SCALE, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


# Refused starts

BAD_LINES = {
    "nosuchdirective 1": "Bad directive or wrong number of arguments",
    "port abc": "argument couldn't be parsed into an integer",
    "port 70000": "argument must be between 0 and 65535 inclusive",
    "port": "wrong number of arguments",
    "maxmemory 10xb": "argument must be a memory value",
    "maxmemory -1gb": "argument must be a memory value",
    "save 1": "Invalid save parameters",
    "save abc 1": "Invalid save parameters",
    "loglevel loud": "argument(s) must be one of the following: debug, verbose, notice, warning",
    "protected-mode maybe": "argument must be 'yes' or 'no'",
    "maxclients 0": "argument must be between 1 and 4294967295 inclusive",
    "databases 0": "argument must be between 1 and 2147483647 inclusive",
    "timeout -1": "argument must be between 0 and 2147483647 inclusive",
    "hz x": "argument couldn't be parsed into an integer",
    "proto-max-bulk-len 1": "argument must be between 1048576 and 9223372036854775807 inclusive",
    "repl-diskless-load x": "argument(s) must be one of the following: disabled, on-empty-db, swapdb",
    "client-output-buffer-limit foo 1 2 3": "Invalid client class specified in buffer limit configuration.",
    "unixsocketperm 9999": "argument couldn't be parsed as an octal number",
    "dir /nosuch": "No such file or directory",
    "dbfilename a/b": "dbfilename can't be a path, just a filename",
    "slaveof onlyhost": "wrong number of arguments",
    "replicaof host abc": "Invalid master port",
    "replicaof host 6379 x": "wrong number of arguments",
    "min-replicas-max-lag -1": "argument must be between 0 and 2147483647 inclusive",
    "repl-backlog-size x": "argument must be a memory value",
    'requirepass "unbalanced': "Unbalanced quotes in configuration line",
    'requirepass "a"b': "Unbalanced quotes in configuration line",
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_bad_line_in_the_file_is_named(tmp_path, line):
    """The message has the number of the line, its text, and why it is refused."""
    conf = tmp_path / "redis.conf"
    conf.write_text(f"# a comment\n\nport {free_port()}\n{line}\n")
    status, text = run_until_exit(conf)
    assert status == 1
    assert "at line 4" in text
    assert f">>> '{line}'" in text
    assert BAD_LINES[line] in text


@pytest.mark.parametrize("line", [line for line in BAD_LINES if '"' not in line])
def test_bad_value_on_the_command_line_is_named(line):
    name, *values = line.split()
    status, text = run_until_exit("--" + name, *values)
    assert status == 1
    assert ">>> '" + name in text
    assert BAD_LINES[line] in text


def test_option_without_its_value():
    status, text = run_until_exit("--port", free_port(), "--requirepass")
    assert status == 1 and "wrong number of arguments" in text


def test_missing_files(tmp_path):
    status, text = run_until_exit(tmp_path / "nosuch.conf")
    assert status == 1 and "nosuch.conf" in text and "No such file or directory" in text
    conf = tmp_path / "redis.conf"
    conf.write_text("include /nosuch/included.conf\n")
    status, text = run_until_exit(conf)
    assert status == 1 and "/nosuch/included.conf" in text
    status, text = run_until_exit("--port", free_port(), "--logfile", "/nosuch/file.log")
    assert status == 1 and "No such file or directory" in text


def test_port_in_use(farm):
    server = farm.server()
    status, text = run_until_exit("--port", server.port, "--bind", "127.0.0.1", "--save", "")
    assert status == 1
    assert "Address already in use" in text
    assert server.call("PING") == "PONG"


def test_address_that_does_not_exist():
    status, text = run_until_exit("--port", free_port(), "--bind", "192.0.2.1", "--save", "")
    assert status == 1 and "192.0.2.1" in text


@pytest.mark.lockstep_only("what this version refuses")
@pytest.mark.parametrize("words", [("--cluster-enabled", "yes"), ("--loadmodule", "/x.so")])
def test_what_is_not_there_is_refused_and_not_ignored(words):
    status, text = run_until_exit("--port", free_port(), "--bind", "127.0.0.1", *words)
    assert status == 1 and words[0][2:] in text


def test_version_and_help():
    for option in ("--version", "-v"):
        status, text = run_until_exit(option)
        assert status == 0 and re.search(r"v=\d+\.\d+\.\d+", text)
    for option in ("--help", "-h"):
        _, text = run_until_exit(option)
        assert "Usage:" in text and "redis.conf" in text


# The file and the command line


def test_file_syntax(farm):
    """Comments, blanks, quotes, escapes, units, upper case names, and the last of two lines."""
    server = farm.server("ours", start=False)
    server.write_config()
    with open(server.conf_path, "a") as conf:
        conf.write(
            "   # indented comment\n\n"
            "MAXCLIENTS 77\n"
            "\tmaxmemory 100mb  \n"
            "repl-backlog-size 1M\n"
            "client-query-buffer-limit 2GB\n"
            'masterauth "with blank \\x41 \\"quoted\\""\n'
            "masteruser 'single \\x41'\n"
            "timeout 10\ntimeout 20\n"
            "save 900 1\nsave 300 10\nsave 60 10000 30 20000\n"
            "client-output-buffer-limit replica 1mb 512kb 10\r\n"
        )
    server.start()
    for name, value in (
        ("maxclients", "77"),
        ("maxmemory", "104857600"),
        ("repl-backlog-size", "1000000"),
        ("client-query-buffer-limit", str(2 << 30)),
        ("masterauth", 'with blank A "quoted"'),
        ("masteruser", "single \\x41"),
        ("timeout", "20"),
        ("save", "900 1 300 10 60 10000 30 20000"),
    ):
        assert server.config_get(name) == value, name
    assert "slave 1048576 524288 10" in server.config_get("client-output-buffer-limit")


def test_fault_15_a_tiny_backlog_of_the_file_is_shown_as_it_is_written(farm):
    """CONFIG SET raises the value to the minimum; the line of the file is not changed."""
    server = farm.server("ours", "repl-backlog-size 1")
    assert server.config_get("repl-backlog-size") == "1"
    assert server.info("replication")["repl_backlog_size"] == "1"
    server.call("CONFIG", "REWRITE")
    assert "repl-backlog-size 1\n" in server.conf_path.read_text()
    server.config_set("repl-backlog-size", 5)
    assert server.config_get("repl-backlog-size") == "16384"


def test_save_lines_replace_the_default(farm):
    server = farm.server("ours", base=("bind 127.0.0.1",))
    assert server.config_get("save") == "3600 1 300 100 60 10000"
    assert farm.server("ours", "save 5 6", base=("bind 127.0.0.1",)).config_get("save") == "5 6"
    assert farm.server("ours", 'save 5 6\nsave ""').config_get("save") == ""


def test_includes(farm):
    (farm.directory / "a.conf").write_text("timeout 11\nmaxclients 50\n")
    (farm.directory / "z1.conf").write_text("hz 20\n")
    server = farm.server(
        "ours", f"include {farm.directory}/a.conf", "maxclients 60", f"include {farm.directory}/z1.conf"
    )
    assert (server.config_get("timeout"), server.config_get("maxclients"), server.config_get("hz")) == (
        "11",
        "60",
        "20",
    )


def test_include_pattern(farm):
    for number in range(3):
        (farm.directory / f"part{number}.conf").write_text(f"timeout {number + 5}\n")
    server = farm.server("ours", f"include {farm.directory}/part*.conf")
    assert server.config_get("timeout") == "7"


def test_command_line_overrides_the_file(farm):
    master = farm.server()
    args = ["--timeout", "33", "--slaveof", f"127.0.0.1 {master.port}", "--save", "100 1 200 2", "--maxmemory", "5mb"]
    server = farm.server("ours", "timeout 1", args=args)
    assert server.config_get("timeout") == "33"
    assert server.config_get("save") == "100 1 200 2"
    assert server.config_get("maxmemory") == str(5 << 20)
    assert server.config_get("replicaof") == f"127.0.0.1 {master.port}"
    wait_for(lambda: server.info("replication")["master_link_status"] == "up", 10)


def test_several_words_for_one_option(farm):
    master = farm.server()
    server = farm.server("ours", args=["--replicaof", "127.0.0.1", master.port, "--bind", "127.0.0.1", "127.0.0.2"])
    assert server.info("replication")["master_port"] == str(master.port)
    wait_for(lambda: server.info("replication")["master_link_status"] == "up", 10, "the link")
    with Wire(("127.0.0.2", server.port)) as wire:
        assert wire.call("PING") == "PONG"


def test_options_alone_and_standard_input(farm):
    port = free_port()
    alone = farm.adopt(
        Process("alone", farm.directory / "alone", [OURS, "--port", port, "--bind", "127.0.0.1", "--save", ""])
    )
    alone.launch()
    wait_for(lambda: answers(port), 10, "the server started with options alone")
    port2 = free_port()
    read_end, write_end = os.pipe()
    os.write(write_end, f"port {port2}\nbind 127.0.0.1\nsave ''\ntimeout 5\n".encode())
    os.close(write_end)
    piped = farm.adopt(
        Process("piped", farm.directory / "piped", [OURS, "-", "--timeout", "6"], stdin=read_end)
    ).launch()
    os.close(read_end)
    wait_for(lambda: answers(port2), 10, "the server started from standard input")
    with Wire(("127.0.0.1", port2)) as wire:
        assert wire.call("CONFIG", "GET", "timeout") == [b"timeout", b"6"]
    assert piped.running()


def answers(port):
    try:
        with Wire(("127.0.0.1", port)) as wire:
            return wire.ask("PING") == "PONG"
    except (OSError, Closed):
        return False


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def test_bind_addresses(farm):
    """Several addresses, with and without the dash that makes one optional."""
    server = farm.server("ours", base=("bind 127.0.0.1 127.0.0.3 -192.0.2.1 -::1", 'save ""'))
    addresses = ["127.0.0.1", "127.0.0.3"] + (["::1"] if has_ipv6() else [])
    for address in addresses:
        with Wire((address, server.port)) as wire:
            assert wire.call("PING") == "PONG", address
    with pytest.raises(OSError):
        Wire(("127.0.0.2", server.port))


def test_unix_socket_alone(farm):
    path = farm.directory / "s.sock"
    server = farm.server("ours", "port 0", f"unixsocket {path}", "unixsocketperm 750", start=False)
    server.start(ready=False)
    wait_for(path.exists, 10, "the socket")
    with Wire(str(path)) as wire:
        assert wire.call("PING") == "PONG"
        assert b"tcp_port:0" in wire.call("INFO", "server")
        assert b" addr=" in b" " + wire.call("CLIENT", "LIST") and b"/s.sock:0" in wire.call("CLIENT", "LIST")
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert server.terminate() == 0
    assert not path.exists()


def test_daemonize_pidfile_and_logfile(farm):
    pidfile, logfile = farm.directory / "server.pid", farm.directory / "server.log"
    server = farm.server(
        "ours",
        "daemonize yes",
        f"pidfile {pidfile}",
        f"logfile {logfile}",
        "loglevel notice",
        "shutdown-timeout 0",
        start=False,
    )
    server.start(ready=False)
    assert server.wait_exit() == 0, "the parent ends"
    wait_for(lambda: answers(server.port), 10, "the daemon to answer")
    pid = int(pidfile.read_text())
    try:
        with Wire(server.address) as wire:
            assert f"process_id:{pid}".encode() in wire.call("INFO", "server")
        assert os.getsid(pid) == pid
        line = logfile.read_text().splitlines()[-1]
        assert re.match(r"^\d+:[MSCX] \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} [.\-*#] \S", line), line
        assert "Ready to accept connections" in logfile.read_text()
    finally:
        os.kill(pid, 15)
    wait_for(lambda: not pidfile.exists(), 10, "the pid file to be removed")


def test_supervised_by_systemd(farm):
    """The server reports to its supervisor that it is ready, and that it stops."""
    path = str(farm.directory / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(path)
        supervisor.settimeout(10 * SCALE)
        server = farm.server("ours", "supervised systemd", env={"NOTIFY_SOCKET": path})
        said = []
        while not any(b"READY=1" in message for message in said):
            said.append(supervisor.recv(4096))
        assert server.info("server")["process_supervised"] == "systemd"
        assert server.terminate() == 0


# CONFIG


def test_config_get(server):
    assert server.call("CONFIG", "GET", "nosuch") == []
    assert server.call("CONFIG", "GET", "TIMEOUT") in ([b"TIMEOUT", b"0"], [b"timeout", b"0"])
    several = pairs_to_dict(server.call("CONFIG", "GET", "maxmemory*", "time*", "timeout"))
    assert {b"maxmemory", b"maxmemory-policy", b"timeout"} <= set(several)
    everything = server.call("CONFIG", "GET", "*")
    names = everything[::2]
    assert len(names) == len(set(names)) > 120
    assert server.call("CONFIG", "GET", "slave-priority") == [b"slave-priority", b"100"]
    assert server.call("CONFIG", "GET", "replica-priority") == [b"replica-priority", b"100"]
    with server.wire() as wire:
        wire.call("HELLO", 3)
        assert wire.call("CONFIG", "GET", "timeout") == {b"timeout": b"0"}


DOCUMENTED = """
    bind port tcp-backlog unixsocket unixsocketperm timeout tcp-keepalive protected-mode daemonize supervised pidfile
    loglevel logfile syslog-enabled databases always-show-logo save stop-writes-on-bgsave-error rdbcompression rdbchecksum
    dbfilename rdb-del-sync-files dir replicaof masterauth masteruser replica-serve-stale-data replica-read-only
    repl-diskless-sync repl-diskless-sync-delay repl-diskless-sync-max-replicas repl-diskless-load repl-timeout
    repl-ping-replica-period repl-disable-tcp-nodelay repl-backlog-size repl-backlog-ttl replica-priority
    replica-announced min-replicas-to-write min-replicas-max-lag replica-announce-ip replica-announce-port requirepass
    maxclients maxmemory maxmemory-policy maxmemory-samples maxmemory-eviction-tenacity replica-ignore-maxmemory
    active-expire-effort lazyfree-lazy-eviction lazyfree-lazy-expire lazyfree-lazy-server-del replica-lazy-flush
    lazyfree-lazy-user-del lazyfree-lazy-user-flush io-threads oom-score-adj disable-thp appendonly appendfilename
    appendfsync no-appendfsync-on-rewrite auto-aof-rewrite-percentage auto-aof-rewrite-min-size aof-load-truncated
    aof-use-rdb-preamble shutdown-timeout shutdown-on-sigint shutdown-on-sigterm lua-time-limit slowlog-log-slower-than
    slowlog-max-len latency-monitor-threshold notify-keyspace-events hash-max-listpack-entries hash-max-listpack-value
    list-max-listpack-size list-compress-depth set-max-intset-entries zset-max-listpack-entries zset-max-listpack-value
    hll-sparse-max-bytes stream-node-max-bytes stream-node-max-entries activerehashing client-output-buffer-limit
    client-query-buffer-limit proto-max-bulk-len hz dynamic-hz aof-rewrite-incremental-fsync rdb-save-incremental-fsync
    lfu-log-factor lfu-decay-time activedefrag maxmemory-clients enable-debug-command enable-protected-configs
    propagation-error-behavior socket-mark-id sanitize-dump-payload acl-pubsub-default crash-log-enabled
""".split()


def test_every_documented_directive_can_be_read(server):
    have = {name.decode() for name in server.call("CONFIG", "GET", "*")[::2]}
    assert not set(DOCUMENTED) - have


def test_config_set_several_pairs(server):
    assert server.call("CONFIG", "SET", "timeout", 100, "maxmemory", "10mb", "save", "10 20") == "OK"
    assert [server.config_get(name) for name in ("timeout", "maxmemory", "save")] == ["100", str(10 << 20), "10 20"]


def test_config_set_is_all_or_nothing(server):
    server.config_set("timeout", 5)
    for words, reason in (
        (
            ("timeout", 9, "maxmemory", "x"),
            "(possibly related to argument 'maxmemory') - argument must be a memory value",
        ),
        (("timeout", 9, "timeout", 10), "(possibly related to argument 'timeout') - duplicate parameter"),
        (
            ("timeout", 9, "port", "abc"),
            "(possibly related to argument 'port') - argument couldn't be parsed into an integer",
        ),
        (("timeout", 9, "daemonize", "yes"), "(possibly related to argument 'daemonize') - can't set immutable config"),
        (
            ("timeout", 9, "loglevel", "loud"),
            "(possibly related to argument 'loglevel') - argument(s) must be one of the following",
        ),
    ):
        reply = server.ask("CONFIG", "SET", *words)
        assert str(reply).startswith(f"ERR CONFIG SET failed {reason}"), reply
        assert server.config_get("timeout") == "5"
    assert str(server.ask("CONFIG", "SET", "timeout", 9, "nosuch", 1)) == (
        "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'"
    )
    assert str(server.ask("CONFIG", "SET", "timeout")) == "ERR wrong number of arguments for 'config|set' command"
    assert server.config_get("timeout") == "5"


def test_config_set_takes_effect(server):
    server.config_set("requirepass", "pw")
    with server.wire() as wire:
        assert str(wire.ask("PING")).startswith("NOAUTH")
        assert wire.call("AUTH", "pw") == "OK"
        wire.call("CONFIG", "SET", "requirepass", "")
    with server.wire() as wire:
        assert wire.call("PING") == "PONG"
    port = free_port()
    server.config_set("port", port)
    assert answers(port)


def test_dir_and_dbfilename_are_protected(farm):
    server = farm.server("ours")
    assert "protected config" in str(server.ask("CONFIG", "SET", "dir", "/tmp"))
    assert "protected config" in str(server.ask("CONFIG", "SET", "dbfilename", "x"))
    server = farm.server("ours", "enable-protected-configs yes")
    assert server.call("CONFIG", "SET", "dbfilename", "x.rdb") == "OK"
    assert "dbfilename can't be a path" in str(server.ask("CONFIG", "SET", "dbfilename", "a/b"))
    assert "No such file" in str(server.ask("CONFIG", "SET", "dir", "/nosuch"))


def test_config_resetstat(server):
    server.call("GET", "k")
    assert int(server.info("stats")["keyspace_misses"]) == 1
    assert server.call("CONFIG", "RESETSTAT") == "OK"
    assert int(server.info("stats")["keyspace_misses"]) == 0


def test_config_rewrite_keeps_comments_and_order(farm):
    server = farm.server("ours", start=False, base=("bind 127.0.0.1",))
    server.write_config()
    with open(server.conf_path, "a") as conf:
        conf.write(
            "# my own comment\ntimeout 5 \n\n# about memory\nmaxmemory 10mb\nsave 100 1\nsave 200 2\n# the end\n"
        )
    server.start()
    server.config_set("timeout", 77)
    server.config_set("maxmemory-policy", "allkeys-lru")
    server.config_set("masterauth", 'odd "value" with \\ and blank')
    assert server.call("CONFIG", "REWRITE") == "OK"
    text = server.conf_path.read_text()
    assert "# my own comment\ntimeout 77\n\n# about memory\nmaxmemory 10mb\nsave 100 1\nsave 200 2\n# the end\n" in text
    assert "maxmemory-policy allkeys-lru" in text
    assert not list(server.directory.glob("*tmp*"))
    server.restart()
    assert server.config_get("masterauth") == 'odd "value" with \\ and blank'
    assert server.config_get("timeout") == "77"
    assert server.config_get("save") == "100 1 200 2"
    assert server.call("CONFIG", "REWRITE") == "OK"
    again = server.conf_path.read_text()
    assert [line for line in again.split("\n") if line and not line.startswith("user ")] == [
        line for line in text.split("\n") if line and not line.startswith("user ")
    ], "a second rewrite changes nothing"


def test_config_rewrite_adds_and_removes_replicaof(farm):
    master, server = farm.server(), farm.server()
    server.call("REPLICAOF", "127.0.0.1", master.port)
    server.call("CONFIG", "REWRITE")
    assert f"replicaof 127.0.0.1 {master.port}" in server.conf_path.read_text().splitlines()
    server.restart()
    wait_for(lambda: server.info("replication").get("master_link_status") == "up", 10)
    server.call("REPLICAOF", "NO", "ONE")
    server.call("CONFIG", "REWRITE")
    assert "replicaof" not in server.conf_path.read_text()
    server.restart()
    assert server.info("replication")["role"] == "master"


def test_config_rewrite_replaces_the_old_name(farm):
    """A file that says slaveof."""
    master, other = farm.server(), farm.server()
    server = farm.server("ours", f"slaveof 127.0.0.1 {master.port}")
    server.call("SLAVEOF", "127.0.0.1", other.port)
    server.call("CONFIG", "REWRITE")
    lines = [line for line in server.conf_path.read_text().splitlines() if line.startswith(("slaveof", "replicaof"))]
    assert len(lines) == 1 and lines[0].split()[1:] == ["127.0.0.1", str(other.port)]


def test_config_rewrite_without_a_file(farm):
    port = free_port()
    process = farm.adopt(
        Process("nofile", farm.directory / "nofile", [OURS, "--port", port, "--bind", "127.0.0.1"])
    ).launch()
    wait_for(lambda: answers(port), 10)
    with Wire(("127.0.0.1", port)) as wire:
        assert str(wire.ask("CONFIG", "REWRITE")) == "ERR The server is running without a config file"
    assert process.running()


def test_control_characters_in_a_value_cannot_inject_lines(farm):
    """R14970: a rewritten value is one line, whatever it contains, or it is refused."""
    server = farm.server("ours")
    for name in ("masterauth", "requirepass", "masteruser"):
        reply = server.ask("CONFIG", "SET", name, "x\nmaxclients 7\r\ntimeout 3\x00\t")
        assert reply == "OK" or isinstance(reply, ReplyError)
        if name == "requirepass" and reply == "OK":
            with server.wire() as wire:
                wire.call("AUTH", "x\nmaxclients 7\r\ntimeout 3\x00\t")
                wire.call("CONFIG", "SET", "requirepass", "")
    assert server.call("CONFIG", "REWRITE") == "OK"
    assert not [
        line for line in server.conf_path.read_text().splitlines() if line.startswith(("maxclients 7", "timeout 3"))
    ]
    server.restart()
    assert (server.config_get("maxclients") != "7", server.config_get("timeout")) == (True, "0")


def huge_pages_allowed(server):
    with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
        return re.search(r"^THP_enabled:\s*(\d)", status.read(), re.MULTILINE)[1] == "1"


@pytest.mark.parametrize(("line", "allowed"), [("", True), ("disable-thp no", True), ("disable-thp yes", False)])
def test_disable_thp_keeps_huge_pages_away(farm, line, allowed):
    server = farm.server("ours", line)
    assert huge_pages_allowed(server) == allowed

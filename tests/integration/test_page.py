"""The page at / in a browser: it loads, follows the server, shows a failover and the loss of the server, and fits."""

import http.client
import json
import re
import signal

import pytest

from browser import browser, chromium, needs_browser  # noqa: F401 (fixtures)
from harness import free_port, wait_for

pytestmark = [pytest.mark.lockstep_only("the page"), pytest.mark.timeout(120)]

HOSTILE_NAME = b'"><script>alert(1)</script>\\]}\xff\xc3\xe2\x80\xae'
SHOWN_NAME = '"><script>alert(1)</script>\\]}\\xff\\xc3\u202e'


def start(farm, *lines, **options):
    """A server with an HTTP port, as server.http."""
    port = free_port()
    server = farm.server("ours", f"http-port {port}", "http-bind 127.0.0.1", "http-public page", *lines, **options)
    server.http = port
    return server


def follow(replica, master):
    replica.call("REPLICAOF", "127.0.0.1", master.port)
    wait_for(lambda: replica.info("replication")["master_link_status"] == "up", 30, "the link to the master")


def url(server):
    return f"http://127.0.0.1:{server.http}/"


def get(server, path):
    """Status, fields and body of a GET."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def status(server, query=""):
    code, fields, body = get(server, f"/status.json{query}")
    assert code == 200 and fields["Content-Type"] == "application/json"
    return json.loads(body)


def attach_hostile_replica(server):
    """A peer that gives itself a name, and is a replica from then on. Returns its connection."""
    wire = server.wire()
    wire.call("REPLCONF", "ip-address", HOSTILE_NAME)
    wire.call("REPLCONF", "listening-port", 1)
    wire.send_command("PSYNC", "?", -1)
    wait_for(lambda: server.info("replication")["connected_slaves"] == "1", 30, "a replica")
    return wire


# ---- status.json


def test_json_of_a_master_and_a_replica(farm):
    master, replica = start(farm), start(farm)
    follow(replica, master)
    master.call("SET", "a", "b")
    wait_for(lambda: replica.ask("GET", "a") == b"b", 30, "the write on the replica")
    above, below = status(master), status(replica)
    assert above["health"]["role"] == "master" and above["health"]["serves_writes"] is True
    assert above["replication"]["master"] is None
    assert [(r["host"], r["port"], r["state"]) for r in above["replication"]["replicas"]] == [
        ("127.0.0.1", replica.port, "online")
    ]
    assert below["health"]["role"] == "replica" and below["health"]["serves_writes"] is False
    link = below["replication"]["master"]
    assert (link["host"], link["port"], link["state"], link["link_up"]) == ("127.0.0.1", master.port, "connected", True)
    assert above["replication"]["id"] == below["replication"]["id"]
    for server in master, replica:  # the newest sample may be from before the write
        wait_for(lambda: status(server)["keys"] == {"count": 1, "expiring": 0}, 30, "a sample with the key")
    assert "rows" not in above["samples"]


def test_json_of_samples(farm):
    server = start(farm)
    before = wait_for(lambda: status(server)["samples"]["last"], 30, "the first sample")
    server.call("PING")
    wait_for(lambda: status(server)["samples"]["last"] >= before + 2, 30, "the sample with the command")
    answer = status(server, "?after=0")["samples"]
    assert answer["first"] == 1 and len(answer["rows"]) == answer["last"]
    assert all(len(row) == len(answer["fields"]) for row in answer["rows"])
    rows = [dict(zip(answer["fields"], row)) for row in answer["rows"]]
    last = rows[-1]
    assert 900_000 < last["span_us"] < 5_000_000
    assert any(row["commands"] and row["p50_ns"] for row in rows) and 0 <= last["busy_us"] <= 1_000_000
    assert last["role"] == 0 and answer["reasons"][last["reason"]] == "ok"
    number = answer["last"]
    wait_for(lambda: status(server)["samples"]["last"] > number, 30, "one more")
    newer = status(server, f"?after={number}")["samples"]
    assert newer["first"] == number + 1 and newer["rows"][0][0] > answer["rows"][-1][0]
    server.call("CONFIG", "RESETSTAT")
    reset = status(server)["samples"]["last"]
    wait_for(lambda: status(server)["samples"]["last"] > reset, 30, "one more")
    row = status(server, f"?after={reset}")["samples"]["rows"][0]
    assert dict(zip(answer["fields"], row))["commands"] is None  # not a negative rate


def test_json_of_hostile_names(farm):
    server = start(farm, "repl-diskless-sync-delay 100")
    with attach_hostile_replica(server):
        assert status(server)["replication"]["replicas"][0]["host"] == SHOWN_NAME


def test_fields_of_the_answers(farm):
    server = start(farm)
    code, fields, body = get(server, "/")
    assert code == 200 and fields["Content-Type"] == "text/html; charset=utf-8" and b"<script src=" in body
    policy = fields["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in fields["Content-Security-Policy"]
    assert get(server, "/page.css")[1]["Content-Type"] == "text/css; charset=utf-8"
    assert get(server, "/page.js")[1]["Content-Type"] == "text/javascript; charset=utf-8"
    assert get(server, "/status.json?before=1")[0] == 400
    server.call("CONFIG", "SET", "http-public", "health", "requirepass", "x")
    assert {get(server, path)[0] for path in ("/", "/page.css", "/page.js", "/status.json")} == {401}


# ---- In a browser


@needs_browser
def test_loads_and_updates(farm, browser):
    server = start(farm)
    browser.open(url(server))
    browser.wait_text("#role", "Master")
    assert browser.text("#name") == f"127.0.0.1:{server.port}"
    assert browser.text("#health") == "Serves reads and writes."
    assert browser.driver.title == f"Master 127.0.0.1:{server.port} – Lockstep"
    assert browser.texts("#topology .node title") == [f"127.0.0.1:{server.port}"]
    assert browser.text("#replicas") == "No replica is attached."
    for i in range(3):
        server.call("SET", f"key{i}", "value", "EX", 1000)
    wait_for(lambda: "3" in browser.texts("#figures dd.value"), 30, "three keys among the figures")
    before = browser.js("return rows.length")
    wait_for(lambda: browser.js("return rows.length") >= before + 2, 30, "two more samples")

    def commands_are_plotted():
        server.call("PING")
        return re.match(r"run [1-9]", browser.texts(".plot .legend span")[0])

    wait_for(commands_are_plotted, 30, "commands in the first plot")
    assert browser.js("return performance.getEntriesByType('resource').every(e => e.name.startsWith(location.origin))")
    assert browser.complaints() == []


@needs_browser
def test_shows_what_it_has_without_samples(farm, browser):
    """The cron stands, so there are hardly any samples: the state is shown all the same."""
    server = start(farm)
    server.call("DEBUG", "PAUSE-CRON", 1)
    server.call("SET", "a", "b")
    browser.open(url(server))
    browser.wait_text("#role", "Master")
    assert "1" in browser.texts("#figures dd.value")
    before = browser.js("return receivedAt")
    wait_for(lambda: browser.js("return receivedAt") > before, 30, "another answer")
    assert browser.js("return lastSample") <= 2
    assert browser.complaints() == []
    server.call("DEBUG", "PAUSE-CRON", 0)
    wait_for(lambda: browser.js("return lastSample") > 2, 30, "samples")


@needs_browser
def test_shows_a_failover_as_it_happens(farm, browser):
    old, new = start(farm), start(farm)
    follow(new, old)
    browser.open(url(new))
    browser.wait_text("#role", "Replica")
    browser.wait_text("#health", "Serves reads. All that has arrived is applied; the master was heard")
    names = [f"127.0.0.1:{server.port}" for server in (old, new)]
    wait_for(lambda: browser.texts("#topology .node title") == names, 30, "the master above this node")
    assert browser.texts("#topology .link .label") == ["connected"]
    wait_for(lambda: browser.js("return rows.length") >= 2, 30, "samples as a replica")

    new.call("REPLICAOF", "NO", "ONE")
    old.call("REPLICAOF", "127.0.0.1", new.port)
    browser.wait_text("#role", "Master")
    browser.wait_text("#events", "became a master")
    browser.wait_text("#events", "continued with a replica, no copy")
    names.reverse()
    wait_for(lambda: browser.texts("#topology .node title") == names, 30, "the replica below this node")
    browser.wait_text("#replicas tbody", f"127.0.0.1:{old.port}")
    browser.wait_text("#replicas tbody", "online")
    assert browser.js("return rows.some(r => r.role === 1) && rows[rows.length - 1].role === 0")
    assert browser.complaints() == []

    browser.open(url(old))
    browser.wait_text("#role", "Replica")
    browser.wait_text("#events", "became a replica")


@needs_browser
def test_shows_a_broken_link_to_the_master(farm, browser):
    master, replica = start(farm), start(farm)
    follow(replica, master)
    browser.open(url(replica))
    browser.wait_text("#health", "Serves reads.")
    master.kill()
    browser.wait_text("#health", "Not ready: the link to the master has been down for")
    wait_for(lambda: browser.texts("#topology .link.bad .label"), 30, "a broken line to the master")
    assert browser.js("return document.getElementById('dot').className") == "dot bad"
    browser.wait_text("#events", "lost its master")


@needs_browser
def test_says_that_the_server_does_not_answer(farm, browser):
    server = start(farm)
    browser.open(url(server))
    browser.wait_text("#role", "Master")
    assert browser.text("#lost") == ""
    server.pause()
    browser.wait_text("#lost", "No answer from the server for")
    assert "it accepts connections, but does not answer" in browser.text("#lost").lower()
    assert browser.js("return document.body.classList.contains('stale')")
    assert browser.text("#role") == "Master"  # what was known last
    server.resume()
    wait_for(lambda: browser.text("#lost") == "", 30, "an answer")
    assert not browser.js("return document.body.classList.contains('stale')")


@needs_browser
def test_goes_on_after_a_restart(farm, browser):
    server = start(farm)
    browser.open(url(server))
    wait_for(lambda: browser.js("return rows.length") >= 3, 30, "samples")
    samples = browser.js("return lastSample")
    server.terminate()
    browser.wait_text("#lost", "No answer from the server for")
    server.start()
    wait_for(lambda: browser.text("#lost") == "", 30, "an answer of the new process")
    browser.wait_text("#events", "the server started")
    # The new process has fewer samples; the page has them all, and those of the old process before them.
    wait_for(lambda: 0 < browser.js("return lastSample") < samples + 20, 30, "samples of the new process")
    kept, first = browser.js("return [rows.length, rows.filter(r => r.first).length]")
    assert kept > samples and first == 2
    assert browser.js("return rows.every((r, i) => i === 0 || rows[i - 1].t <= r.t)")


@needs_browser
def test_says_when_a_login_is_needed_later(farm, browser):
    server = start(farm)
    browser.open(url(server))
    browser.wait_text("#role", "Master")
    server.call("CONFIG", "SET", "load-balancer-state", "drain")
    browser.wait_text("#health", "Serves reads and writes. Load balancers are told to drain it.")
    server.call("CONFIG", "SET", "http-hosts", "", "http-public", "none")
    server.call("ACL", "SETUSER", "default", "-@http")
    browser.wait_text("#lost", "It answers 403 Forbidden.")


@needs_browser
def test_login_in_the_address(farm, browser):
    server = start(farm, "http-public none", "requirepass secret")
    browser.open(f"http://default:secret@127.0.0.1:{server.http}/")
    browser.wait_text("#role", "Master")
    before = browser.js("return receivedAt")
    wait_for(lambda: browser.js("return receivedAt") > before, 30, "another answer")


@needs_browser
def test_hostile_names_are_text(farm, browser):
    server = start(farm, "repl-diskless-sync-delay 100")
    browser.open(url(server))
    with attach_hostile_replica(server):
        browser.wait_text("#replicas tbody", "<script>alert(1)</script>")
        wait_for(lambda: len(browser.texts("#topology .node title")) == 2, 30, "two nodes")
        assert browser.texts("#topology .node title")[1] == f"{SHOWN_NAME}:1"
        assert browser.js("return document.scripts.length") == 1
    assert browser.complaints() == []


# ---- What it looks like


def background(browser):
    red, green, blue = map(int, re.findall(r"\d+", browser.js("return getComputedStyle(document.documentElement).backgroundColor"))[:3])
    return (red + green + blue) / 3


@needs_browser
def test_light_and_dark(farm, browser):
    server = start(farm)
    browser.open(url(server))
    wait_for(lambda: browser.js("return rows.length") >= 3, 30, "samples")
    drawn = "const c = document.querySelector('.plot canvas'); return c.toDataURL()"
    assert background(browser) > 230
    light = browser.js(drawn)
    browser.prefer("dark")
    wait_for(lambda: background(browser) < 40, 5, "a dark page")
    wait_for(lambda: browser.js(drawn) != light, 5, "plots in other colours")
    assert browser.js("return colour('--ink')") == "#e4e6e8"


OVERFLOWING = """
const limit = document.documentElement.clientWidth;
return [...document.querySelectorAll('body *')]
    .filter(e => e.getBoundingClientRect().right > limit + 0.5 && !e.closest('svg'))
    .map(e => e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 40));
"""


@needs_browser
@pytest.mark.parametrize("width", [320, 360, 768, 1024, 1920])
def test_no_width_needs_sideways_scrolling(farm, browser, width):
    master, replica = start(farm), start(farm, "replica-announce-ip " + "a-very-long-name-of-a-host." * 4)
    follow(replica, master)
    browser.resize(width, 800)
    browser.open(url(master))
    browser.wait_text("#replicas tbody", "online")
    assert browser.js(OVERFLOWING) == []
    assert browser.js("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.js("const s = document.getElementById('topology'); return s.getBBox().x + s.getBBox().width <= s.clientWidth")
    master.signal(signal.SIGSTOP)
    browser.wait_text("#lost", "No answer")
    assert browser.js("return document.documentElement.scrollWidth <= innerWidth")
    master.signal(signal.SIGCONT)


@needs_browser
def test_the_pointer_shows_a_moment_in_all_plots(farm, browser):
    server = start(farm)
    browser.open(url(server))
    wait_for(lambda: browser.js("return rows.length") >= 3, 30, "samples")
    assert browser.text("#cursor") == ""
    point = """
        const canvas = document.querySelector('.plot canvas');
        const box = canvas.getBoundingClientRect();
        const options = {clientX: box.right - Plot.MARGIN - 1, clientY: box.top + 20, bubbles: true};
        canvas.dispatchEvent(new PointerEvent(arguments[0], options));
    """
    browser.js(point, "pointermove")
    assert re.fullmatch(r"\d\d:\d\d:\d\d, master", browser.text("#cursor"))
    browser.js(point, "pointerleave")
    assert browser.text("#cursor") == ""

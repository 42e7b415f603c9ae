"""/metrics: what the exporter for Redis makes of a server, what only this server measures, and what Prometheus makes of it."""

import json
import math
import re
from pathlib import Path

import pytest

from certificates import Certificates
from harness import ROOT, SCALE, free_port, wait_for
from monitoring import Exporter, Metrics, Prometheus, fetch, fresh_metrics, http_server, metrics_of, promtool
from wire import ReplyError, Wire

pytestmark = pytest.mark.lockstep_only("the HTTP port")

MONITORING = ROOT / "docs" / "monitoring"

# Metrics of the exporter that are not in /metrics -> why
NOT_HERE = {
    "redis_exporter_last_scrape_connect_time_seconds": "about the exporter",
    "redis_exporter_last_scrape_duration_seconds": "about the exporter",
    "redis_exporter_last_scrape_error": "about the exporter",
    "redis_exporter_scrape_duration_seconds": "about the exporter",
    "redis_exporter_scrapes_total": "about the exporter",
    "redis_target_scrape_request_errors_total": "about the exporter",
    "redis_last_key_groups_scrape_duration_milliseconds": "about what the exporter finds with SCAN",
}
# Metrics with another type than the exporter's -> why
OTHER_TYPES = {"redis_expired_time_cap_reached_total": "a counter, which the exporter calls a gauge"}
# Names of the exporter that break rules of promtool, and are kept
EXPORTERS_NAMES = {
    "redis_aof_current_rewrite_duration_sec",
    "redis_aof_last_rewrite_duration_sec",
    "redis_dump_payload_sanitizations",
    "redis_io_threaded_reads_processed",
    "redis_io_threaded_writes_processed",
    "redis_migrate_cached_sockets_total",
    "redis_rdb_current_bgsave_duration_sec",
    "redis_rdb_last_bgsave_duration_sec",
    "redis_total_error_replies",
    "redis_total_reads_processed",
    "redis_total_writes_processed",
    "redis_unexpected_error_replies",
}


def use(server):
    """Uses a server so that every metric of the exporter has something to tell."""
    server.call("CONFIG", "SET", "latency-monitor-threshold", 1, "slowlog-log-slower-than", 0)
    for i in range(20):
        server.call("SET", f"key:{i}", "v", "EX", 1000)
    server.call("GET", "key:1")
    server.call("CLIENT", "SETNAME", "me")
    with server.session(database=3) as other:
        other.call("SET", "other", "v")
    for request in (("LPUSH", "key:1", "v"), ("NOSUCH",), ("GET",)):
        with pytest.raises(ReplyError):
            server.call(*request)
    server.call("EVAL", "local t = 0 for i = 1, 1000000 do t = t + i end return t", 0)


def pair(farm, kind):
    make = (lambda *lines: http_server(farm, *lines)) if kind == "ours" else (lambda *lines: farm.server(kind, *lines))
    master = make("appendonly yes", "min-replicas-to-write 0", "maxmemory 1gb")
    replica = make(f"replicaof 127.0.0.1 {master.port}")
    wait_for(lambda: replica.info("replication")["master_link_status"] == "up", 20, "the link")
    for server in (master, replica):
        if server is master:
            use(server)
    wait_for(lambda: replica.call("DBSIZE") == 20, 10, "the data of the replica")
    return master, replica


def test_everything_that_the_exporter_says_is_here(farm, tmp_path):
    exporter = farm.adopt(Exporter(tmp_path / "exporter"))
    for ours, redis in zip(pair(farm, "ours"), pair(farm, "redis")):
        theirs, of_redis = exporter.metrics(ours), exporter.metrics(redis)
        assert theirs.value("redis_up") == of_redis.value("redis_up") == 1
        assert theirs.value("redis_exporter_last_scrape_error", err="") == 0
        here = fresh_metrics(ours)
        for name in theirs.names() | of_redis.names():
            assert (name in here.families) != (name in NOT_HERE), name
        for name in theirs.names() - set(NOT_HERE):
            assert (here.families[name].type == theirs.families[name].type) != (name in OTHER_TYPES), name
            missing = set(theirs.families[name].samples) - set(here.families[name].samples)
            assert not missing, (name, missing, set(here.families[name].samples))


# What does not change between two readings must have the same value. Redis prints hit ratios and the like in its own way.
STEADY = (
    "redis_db_keys redis_db_keys_expiring redis_instance_info redis_slave_info redis_config_maxclients "
    "redis_config_maxmemory redis_memory_max_bytes redis_memory_used_startup_bytes redis_total_system_memory_bytes "
    "redis_keyspace_hits_total redis_keyspace_misses_total redis_replica_resyncs_full redis_aof_enabled redis_process_id "
    "redis_replication_backlog_bytes redis_connected_slaves redis_expired_keys_total redis_latest_fork_seconds "
    "redis_rdb_last_save_timestamp_seconds redis_latency_spike_last redis_latency_spike_duration_seconds "
    "redis_aof_last_write_status redis_rdb_last_bgsave_status redis_master_link_up redis_slave_priority "
    "redis_number_of_cached_scripts redis_aof_base_size_bytes redis_second_repl_offset"
).split()


def test_values_are_those_of_the_exporter(farm, tmp_path):
    exporter = farm.adopt(Exporter(tmp_path / "exporter"))
    for server in pair(farm, "ours"):
        server.call("CONFIG", "SET", "slowlog-log-slower-than", -1)
        theirs, here = exporter.metrics(server), fresh_metrics(server)
        compared = 0
        for name in STEADY:
            for key, value in theirs.families[name].samples.items() if name in theirs.families else ():
                assert math.isclose(here.families[name].samples[key], value, rel_tol=1e-9), key
                compared += 1
        assert compared > 40
        for command in ("set", "get", "eval"):
            labels = {"cmd": command}
            if ("redis_commands_total", frozenset(labels.items())) not in theirs.samples():
                continue
            for name in ("redis_commands_total", "redis_latency_percentiles_usec_count"):
                assert here.value(name, **labels) == theirs.value(name, **labels)
            assert math.isclose(
                here.value("redis_commands_duration_seconds_total", **labels),
                theirs.value("redis_commands_duration_seconds_total", **labels),
                abs_tol=2e-6,
            )
            percentile = {"cmd": command, "quantile": "99.9"}
            assert math.isclose(
                here.value("redis_latency_percentiles_usec", **percentile),
                theirs.value("redis_latency_percentiles_usec", **percentile),
                rel_tol=0.01,
            )
        assert abs(here.value("redis_start_time_seconds") - theirs.value("redis_start_time_seconds")) <= 1


def test_promtool_finds_nothing_but_names_of_the_exporter(farm):
    for server in pair(farm, "ours"):
        result = promtool("check", "metrics", text=fetch(f"http://127.0.0.1:{server.http_port}/metrics"))
        complaints = {line.split()[0] for line in result.stderr.splitlines() if line}
        assert complaints == EXPORTERS_NAMES, result.stderr
        assert "error while linting" not in result.stdout


# ---- What only this server measures ----


def count_of(metrics, name, **labels):
    return metrics.value(f"{name}_count", **labels)


def check_histograms(metrics):
    """Buckets do not decrease, and the last one is the count."""
    for family in metrics.families.values():
        if family.type != "histogram":
            continue
        series = {}
        for (name, labels), value in family.samples.items():
            rest = frozenset(pair for pair in labels if pair[0] != "le")
            series.setdefault(rest, {})[name.rsplit("_", 1)[1], dict(labels).get("le")] = value
        assert series, family.name
        for values in series.values():
            limits = sorted((math.inf if le == "+Inf" else float(le), value) for (kind, le), value in values.items() if le)
            counts = [value for _, value in limits]
            assert counts == sorted(counts), family.name
            assert counts[-1] == values["count", None], family.name
            assert values["sum", None] >= 0


def test_histograms_of_commands_and_turns(farm):
    server = http_server(farm)
    for i in range(100):
        server.call("SET", f"k:{i}", "v")
    server.call("EVAL", "local t = 0 for i = 1, 3000000 do t = t + i end return t", 0)
    server.call("DEBUG", "SLEEP", "0.3")
    metrics = fresh_metrics(server)
    check_histograms(metrics)
    name = "lockstep_commands_duration_seconds"
    assert count_of(metrics, name, family="string") == 100
    assert metrics.value(f"{name}_bucket", family="string", le="0.016384") > 90
    assert metrics.value(f"{name}_bucket", family="server", le="0.262144") < count_of(metrics, name, family="server")
    assert metrics.value(f"{name}_sum", family="server") >= 0.3
    assert metrics.value("lockstep_turn_duration_seconds_sum") >= 0.3
    assert metrics.value("lockstep_turn_duration_seconds_bucket", le="0.262144") < count_of(
        metrics, "lockstep_turn_duration_seconds"
    )
    cycles = metrics.value("redis_eventloop_cycles_total")
    assert cycles - 1 <= count_of(metrics, "lockstep_turn_duration_seconds") <= cycles


def test_syncs_of_the_log_are_measured(farm):
    server = http_server(farm, "appendonly yes", "appendfsync always")
    before = count_of(fresh_metrics(server), "lockstep_aof_fsync_duration_seconds")
    for i in range(10):
        server.call("SET", f"k:{i}", "v")
    metrics = fresh_metrics(server)
    check_histograms(metrics)
    assert count_of(metrics, "lockstep_aof_fsync_duration_seconds") >= before + 10
    assert metrics.value("lockstep_aof_fsync_duration_seconds_sum") > 0
    server.call("CONFIG", "SET", "appendfsync", "everysec")
    before = count_of(metrics, "lockstep_aof_fsync_duration_seconds")

    def worker_has_synced():
        server.call("SET", "k", "v")
        return count_of(metrics_of(server), "lockstep_aof_fsync_duration_seconds") >= before + 2

    wait_for(worker_has_synced, 20, "syncs of the worker thread", interval=0.2)


def synchronizations(server, side, kind):
    return count_of(metrics_of(server), "lockstep_synchronization_duration_seconds", side=side, kind=kind)


def test_synchronizations_and_lag(farm):
    master = http_server(farm)
    master.call("SET", "k", "v")
    replica = http_server(farm, f"replicaof 127.0.0.1 {master.port}")
    wait_for(lambda: synchronizations(replica, "following", "full") == 1, 20, "the full synchronization")
    wait_for(lambda: synchronizations(master, "serving", "full") == 1, 20, "its acknowledgement")
    master.call("CLIENT", "KILL", "TYPE", "replica")
    wait_for(lambda: synchronizations(replica, "following", "partial") == 1, 20, "the partial one")
    wait_for(lambda: synchronizations(master, "serving", "partial") == 1, 20, "its acknowledgement")
    check_histograms(metrics_of(master))
    of_replica = {"replica_ip": "127.0.0.1", "replica_port": str(replica.port), "state": "online"}
    wait_for(lambda: metrics_of(master).value("lockstep_replica_lag_bytes", **of_replica) == 0, 10, "the replica")
    replica.pause()
    try:
        master.call("SET", "k", "v" * 5000)
        wait_for(lambda: metrics_of(master).value("lockstep_replica_lag_bytes", **of_replica) > 5000, 10, "the lag")
        wait_for(
            lambda: metrics_of(master).value(
                "redis_connected_slave_lag_seconds",
                slave_ip="127.0.0.1", slave_port=str(replica.port), slave_state="online",
            ) >= 1,
            20,
            "silence",
        )
    finally:
        replica.resume()
    wait_for(lambda: metrics_of(master).value("lockstep_replica_lag_bytes", **of_replica) == 0, 20, "the replica")
    assert metrics_of(replica).value("lockstep_health_primary") == 0
    assert metrics_of(replica).value("lockstep_health_reason", reason="ok") == 1
    master.kill()
    wait_for(lambda: metrics_of(replica).value("lockstep_health_reason", reason="link-down") == 1, 10, "the link's end")
    wait_for(
        lambda: metrics_of(replica).value(
            "lockstep_link_silent_seconds", master_host="127.0.0.1", master_port=str(master.port)
        ) >= 1,
        10,
        "silence",
    )


def test_a_busy_script_and_a_load_are_seen(farm):
    server = http_server(farm, "busy-reply-threshold 50")
    for i in range(2000):
        server.call("SET", f"k:{i}", "v" * 100)
    with Wire(server.address) as busy:
        busy.send_command("EVAL", "while true do end", 0)
        wait_for(lambda: metrics_of(server).value("lockstep_health_reason", reason="busy") == 1, 20, "a busy script")
        assert metrics_of(server).value("lockstep_health_serves_reads") == 0
        assert metrics_of(server).value("redis_db_keys", db="db0") == 2000
        assert server.call("SCRIPT", "KILL") == "OK"
    wait_for(lambda: metrics_of(server).value("lockstep_health_reason", reason="ok") == 1, 20, "the end of the script")
    assert server.call("SAVE") == "OK"
    server.kill()
    server.argv += ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]
    server.start(ready=False)

    def is_loading():
        metrics = metrics_of(server)
        return metrics.value("redis_loading_dump_file") == 1 and metrics.value("redis_loading_loaded_bytes") > 0

    wait_for(is_loading, 20, "the load", retry_on=(OSError, KeyError))
    assert metrics_of(server).value("lockstep_health_reason", reason="loading") == 1
    server.call("CONFIG", "SET", "key-load-delay", 0)
    wait_for(lambda: metrics_of(server).value("redis_loading_dump_file") == 0, 20, "the end of the load")


def test_no_counter_ever_decreases(farm):
    """Also not while the rate of the tick counter becomes known more exactly."""
    server = http_server(farm)
    use(server)
    before = {}
    for _ in range(6):
        metrics = fresh_metrics(server)
        for family in metrics.families.values():
            if family.type not in ("counter", "histogram"):
                continue
            for key, value in family.samples.items():
                # A bucket may move to another limit in the first seconds, and times in their last digits.
                if key[0].endswith("_bucket"):
                    continue
                assert value >= before.get(key, 0) * (1 - 1e-3), key
                before[key] = value
        server.call("SET", "k", "v")


LEFT_OUT = {"shutdown", "debug", "monitor", "psync", "sync", "replicaof", "slaveof", "failover", "config", "save", "quit"}
LEFT_OUT |= {"bgsave", "bgrewriteaof", "exec", "multi", "client", "migrate", "reset", "acl", "hello", "wait", "waitaof"}
LEFT_OUT |= {"blpop", "brpop", "blmove", "brpoplpush", "blmpop", "bzmpop", "bzpopmin", "bzpopmax"}


def call_every_command(server):
    """Calls nearly every command once, most of them with nonsense."""
    rows = server.call("COMMAND")
    for row in rows:
        name, arity, subcommands = row[0].decode(), abs(row[1]), row[9]
        words = name.split("|")
        if words[0] in LEFT_OUT:
            continue
        if subcommands:
            rows += subcommands
            continue
        with Wire(server.address) as wire:
            wire.ask(*words, *["1"] * (arity - len(words)))


@pytest.mark.skipif(SCALE > 1, reason="a slow build")
def test_the_text_is_made_in_less_than_a_millisecond(farm):
    """With 16 databases and nearly all commands, and many clients. Of several times the least counts: this machine is
    shared."""
    server = http_server(farm)
    call_every_command(server)
    for db in range(16):
        with server.session(database=db) as session:
            session.call("SET", "k", "v")
    with_clients = [Wire(server.address) for _ in range(300)]
    times, shown = [], 0
    for _ in range(6):
        metrics = fresh_metrics(server)
        times.append(metrics.value("lockstep_metrics_write_seconds"))
        shown = len(metrics.families["redis_commands_total"].samples)
    for wire in with_clients:
        wire.close()
    assert shown > 250
    assert metrics.value("redis_connected_clients") >= 300
    assert min(times[1:]) < 0.001, times  # the first text tells no time


def test_without_permission_there_are_no_metrics(farm):
    server = http_server(farm, "user default on nopass ~* &* +@all -@http")
    server.call("CONFIG", "SET", "http-public", "health")
    with pytest.raises(OSError) as refused:
        fetch(f"http://127.0.0.1:{server.http_port}/metrics")
    assert refused.value.code in (401, 403)


# ---- docs/monitoring ----

# Labels that Prometheus adds
OUTER = {"job", "instance"}
METRIC = re.compile(r"\b((?:redis|lockstep)_\w+)(\{[^}]*\})?")
GROUP = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")

# Panels of which a healthy pair of servers has nothing to show
EMPTY = {
    "Fault",
    "Rejected calls per second",
    "Latency events, last duration",
    "Errors per second",
    "Synchronizations per hour",
}


def labels_of(several, name):
    """The labels of all samples of this name, in the metrics of several servers. Empty: there is no such metric."""
    return {
        label
        for metrics in several
        for sample, labels in metrics.samples()
        if sample == name
        for label in {"", *(label for label, _ in labels)}
    }


def check_names(several, expression, shown=()):
    """Fails if the expression uses a metric or a label that no server prints."""
    known = set(OUTER)
    uses = METRIC.findall(expression)
    for name, braces in uses:
        labels = labels_of(several, name)
        assert labels, f"no server prints {name}, which is in: {expression}"
        selected = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', "", braces)))
        assert selected <= labels | OUTER, f"{name} has no label {selected - labels - OUTER}: {expression}"
        known |= labels
    grouped = {label.strip() for group in GROUP.findall(expression) for label in group.split(",")}
    assert grouped | set(shown) <= known, f"no label {(grouped | set(shown)) - known} in: {expression}"
    return len(uses)


def dashboard_queries():
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])


def as_grafana_asks(expression):
    return expression.replace("$job", ".*").replace("$instance", ".*").replace("$__rate_interval", "5s")


@pytest.fixture
def watched(farm, tmp_path):
    """A master with TLS and a log, its replica, and Prometheus with the alert rules."""
    certs = Certificates(tmp_path / "certificates")
    client = (f"tls-client-cert-file {certs.path('client.crt')}", f"tls-client-key-file {certs.path('client.key')}")
    master = http_server(farm, "appendonly yes", "maxmemory 1gb", f"tls-port {free_port()}", *certs.lines(), *client)
    replica = http_server(farm, f"replicaof 127.0.0.1 {master.port}")
    use(master)
    wait_for(lambda: replica.call("DBSIZE") == 20, 20, "the data of the replica")
    prometheus = farm.adopt(Prometheus(tmp_path / "prometheus", (master, replica), MONITORING / "alerts.yml"))
    return master, replica, prometheus


def all_rules(prometheus):
    return [rule for group in prometheus.api("rules")["groups"] for rule in group["rules"]]


@pytest.mark.timeout(120)
def test_prometheus_reads_the_servers_and_the_rules_hold(watched):
    master, replica, prometheus = watched
    wait_for(lambda: len(prometheus.query("up == 1")) == 2, 30, lambda: prometheus.api("targets"))
    wait_for(
        lambda: {rule["health"] for rule in all_rules(prometheus)} == {"ok"}, 30, lambda: all_rules(prometheus), interval=0.5
    )
    several = [fresh_metrics(master), fresh_metrics(replica)]
    rules = all_rules(prometheus)
    assert len(rules) > 20
    for rule in rules:
        shown = re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))
        assert check_names(several, rule["query"], shown) > 0 or rule["name"] == "LockstepDown"
    wait_for(
        lambda: {rule["name"] for rule in all_rules(prometheus) if rule["state"] == "firing"}
        == {"LockstepCertificateExpires"},  # in five days
        20,
        lambda: [rule for rule in all_rules(prometheus) if rule["state"] != "inactive"],
        interval=0.5,
    )
    assert all(target["lastError"] == "" for target in prometheus.api("targets")["activeTargets"])
    for word in ("uplicate", "out of order", "level=error"):
        assert word not in prometheus.log()


@pytest.mark.timeout(120)
def test_every_panel_of_the_dashboard_has_something_to_show(watched):
    master, replica, prometheus = watched
    if not master.has_jemalloc():
        pytest.skip("another allocator, which has no statistics")
    several = [fresh_metrics(master), fresh_metrics(replica)]
    for title, expression, legend in dashboard_queries():
        check_names(several, expression, legend)
    panels = {}
    for title, expression, _ in dashboard_queries():
        panels.setdefault(title, []).append(as_grafana_asks(expression))

    def missing():
        master.call("SET", "key:1", "v")
        master.call("GET", "key:1")
        return [
            (title, expression)
            for title, expressions in panels.items()
            for expression in expressions
            if not prometheus.query(expression) and title not in EMPTY
        ]

    wait_for(lambda: not missing(), 60, missing, interval=0.5)
    assert EMPTY <= set(panels)


def test_the_dashboard_of_the_exporter_finds_its_metrics(farm):
    examples = Path("/usr/share/doc/prometheus-redis-exporter/examples")
    texts = [path.read_text() for path in examples.glob("*.json")]
    if not texts:
        pytest.skip("installed without documents")
    server = http_server(farm)
    use(server)
    names = fresh_metrics(server).names()
    used = {name for text in texts for name in re.findall(r"\bredis_[a-z_]+(?=[{\[) ])", text)}
    assert len(used) > 10
    assert used <= names | {"redis_instance"}, used - names


def test_rules_are_valid_and_do_what_they_say():
    for args in (("check", "rules", MONITORING / "alerts.yml"), ("test", "rules", MONITORING / "alerts-test.yml")):
        result = promtool(*args)
        assert result.returncode == 0, result.stdout + result.stderr


def test_a_wrong_name_or_label_is_found():
    several = [Metrics('# HELP redis_x X.\n# TYPE redis_x gauge\nredis_x{db="db0"} 1\n')]
    assert check_names(several, 'sum by (instance, db) (redis_x{db!="x",job="j"})', ["db"]) == 1
    for expression, shown in (
        ("redis_y", ()),
        ('redis_x{cmd="x"}', ()),
        ("sum by (cmd) (redis_x)", ()),
        ("redis_x", ("cmd",)),
    ):
        with pytest.raises(AssertionError):
            check_names(several, expression, shown)

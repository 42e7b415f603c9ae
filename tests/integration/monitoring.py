"""What the tests of /metrics use: the text taken apart, Prometheus, promtool, and the exporter for Redis."""

import json
import re
import subprocess
import urllib.parse
import urllib.request

from harness import Process, free_port, wait_for

LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")


class Family:
    def __init__(self, name):
        self.name, self.type, self.help, self.samples = name, None, None, {}


class Metrics:
    """A text of Prometheus' format, as families of samples. Fails if a sample comes twice or without a family."""

    def __init__(self, text):
        self.families, family = {}, None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name, _, words = line[7:].partition(" ")
                assert name not in self.families, f"{name} twice"
                family = self.families[name] = Family(name)
                family.help = words
            elif line.startswith("# TYPE "):
                name, _, family.type = line[7:].partition(" ")
                assert name == family.name
            elif line:
                name, labels, value = SAMPLE.match(line).groups()
                assert re.fullmatch(re.escape(family.name) + r"(_bucket|_sum|_count)?", name), line
                key = (name, frozenset(LABEL.findall(labels or "")))
                assert key not in family.samples, f"{line} twice"
                family.samples[key] = float(value)

    def samples(self):
        return {key: value for family in self.families.values() for key, value in family.samples.items()}

    def value(self, name, **labels):
        return self.samples()[(name, frozenset(labels.items()))]

    def names(self):
        return set(self.families)


def fetch(url, timeout=20):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def metrics_of(server):
    """The metrics of a server with http_lines()."""
    return Metrics(fetch(f"http://127.0.0.1:{server.http_port}/metrics"))


def fresh_metrics(server):
    """The same, made after this call: the text is kept for a second."""
    before = metrics_of(server).value("redis_eventloop_cycles_total")
    found = []

    def is_new():
        found[:] = [metrics_of(server)]
        return found[0].value("redis_eventloop_cycles_total") != before

    wait_for(is_new, 10, "another text of /metrics", interval=0.1)
    return found[0]


def http_server(farm, *lines, **options):
    port = free_port()
    server = farm.server("ours", f"http-port {port}", "http-public health metrics", *lines, **options)
    server.http_port = port
    return server


def promtool(*args, text=None):
    return subprocess.run(
        ["promtool", *args], input=text, capture_output=True, text=True, timeout=60, check=False
    )


class Exporter(Process):
    """prometheus-redis-exporter, which reads any server that it is asked for."""

    def __init__(self, directory):
        self.port = free_port()
        super().__init__(
            "exporter",
            directory,
            ["prometheus-redis-exporter", "-web.listen-address", f"127.0.0.1:{self.port}", "-redis-only-metrics",
             "-include-system-metrics", "-redis.addr", ""],
        )
        self.launch()
        wait_for(self._answers, 20, "the exporter", retry_on=(OSError,))

    def _answers(self):
        return fetch(f"http://127.0.0.1:{self.port}/")

    def metrics(self, server):
        return Metrics(fetch(f"http://127.0.0.1:{self.port}/scrape?target=redis://127.0.0.1:{server.port}"))


class Prometheus(Process):
    """Prometheus, which reads these servers twice a second and evaluates these rules."""

    def __init__(self, directory, servers, rules):
        self.port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "prometheus.yml"
        targets = [f"127.0.0.1:{server.http_port}" for server in servers]
        config.write_text(json.dumps({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "400ms", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "lockstep", "static_configs": [{"targets": targets}]}],
        }))
        super().__init__(
            "prometheus",
            directory,
            ["prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{self.port}",
             f"--storage.tsdb.path={directory / 'data'}", "--log.level=info"],
        )
        self.launch()
        wait_for(self._answers, 30, "Prometheus", retry_on=(OSError,))

    def _answers(self):
        return fetch(f"http://127.0.0.1:{self.port}/-/ready")

    def api(self, path, **parameters):
        answer = json.loads(fetch(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, text):
        return self.api("query", query=text)["result"]

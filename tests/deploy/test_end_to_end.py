"""The whole of it, for real: gateways, shipper, Prometheus and Alertmanager with the files that compose mounts.

Addresses are changed, and durations are shortened (in copies of the same files); expressions, routes and receivers are
not touched. Grafana and the other collectors cannot be had here, and Loki's double has no metrics: their jobs are left
out.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from logops_fast.authgw.metrics import LATENCY_EDGES
from tests.deploy import support
from tests.deploy.support import ask, program, until
from tests.loki.server import ThreadedLoki
from tests.support.gateway import Gateway, request, running
from tests.support.ports import free_port
from tests.support.signing import signed

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.process]

SECRET = "test-secret-demo"
EMITTERS = ["json", "csv", "minimal", "noise", "syslog"]
SHORTER = {"1m": "5s", "5m": "8s", "10m": "12s", "15m": "15s", "30m": "20s", "1h": "30s", "2h": "40s", "6h": "50s"}
NOT_HERE = {"loki", "grafana", "promtail", "alloy"}

STEADY = """
name: steady
duration_sec: 8
emitters:
  - {name: json, eps: 15000, args: {batch_size: 500}}
  - {name: csv, eps: 60, args: {batch_size: 20, partial_ratio: 0.3}}
  - {name: minimal, eps: 100, args: {batch_size: 50}}
  - {name: noise, eps: 100, args: {batch_size: 50, chaos: 0.8}}
  - {name: syslog, eps: 100, args: {batch_size: 50}}
"""
OVERLOAD = """
name: flood
duration_sec: 7
emitters:
  - {name: flood, kind: csv, emitter: csv, eps: 3000, args: {batch_size: 100}}
  - {name: batch, kind: json, emitter: json, eps: 12000, args: {batch_size: 12000}, schedule: {stop_after_sec: 3}}
"""


class Webhook:
    """What Alertmanager sends to is a receiver that keeps it, by path."""

    def __init__(self) -> None:
        received = self.received = []  # type: list[tuple[str, Any]]

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((self.path, json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def states(self, alert: str, **labels: str) -> list[str]:
        """The states in which an alert came to the webhook, oldest first."""
        wanted = {"alertname": alert, **labels}
        return [
            one["status"]
            for path, message in self.received
            if path == "/webhook"
            for one in message["alerts"]
            if wanted.items() <= one["labels"].items()
        ]


class Stack(NamedTuple):
    """What runs."""

    auth: Gateway
    ingest: Gateway
    prometheus: int
    alertmanager: int
    webhook: Webhook

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query."""
        return list(ask(self.prometheus, "/api/v1/query", query=expression)["data"]["result"])

    def value(self, expression: str) -> float:
        """The only sample of an instant query."""
        (sample,) = self.query(expression)
        return float(sample["value"][1])


def shorter(text: str) -> str:
    """The durations of ranges and offsets of an expression, shortened; a week or a month stays."""
    return re.sub(r"(?<=\[)\w+(?=\])|(?<=offset )\w+", lambda found: SHORTER.get(found[0], found[0]), text)


def write_prometheus(folder: Path, ports: dict[str, int]) -> Path:
    """prometheus.yml and its rules, with other addresses and shorter durations."""
    config = support.read_yaml(support.DEPLOY / "prometheus" / "prometheus.yml")
    config["global"].update(scrape_interval="1s", scrape_timeout="1s", evaluation_interval="1s")
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{ports['alertmanager']}"]}]}]
    jobs = [job for job in config["scrape_configs"] if job["job_name"] not in NOT_HERE]
    for job in jobs:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
        if job["job_name"] == "node":  # there is no volume here
            job["metric_relabel_configs"] = [
                {"source_labels": ["mountpoint"], "regex": "/", "target_label": "mountpoint", "replacement": "/data"}
            ]
    config["scrape_configs"] = jobs
    for path in support.RULES.glob("*.yml"):
        tree = support.read_yaml(path)
        for rule in (rule for group in tree["groups"] for rule in group["rules"]):
            rule["expr"] = shorter(rule["expr"])
            if "for" in rule:
                rule["for"] = "1s"
        (folder / "rules").mkdir(exist_ok=True)
        (folder / "rules" / path.name).write_text(yaml.safe_dump(tree))
    target = folder / "prometheus.yml"
    target.write_text(yaml.safe_dump(config))
    return target


def write_alertmanager(folder: Path, webhook: Webhook) -> Path:
    """alertmanager-notify.yml with other addresses and without its waits."""
    config = support.read_yaml(support.DEPLOY / "alertmanager" / "alertmanager-notify.yml")
    slack = folder / "slack_url"
    slack.write_text(f"{webhook.url}/slack")
    for receiver in config["receivers"]:
        for one in receiver.get("slack_configs", ()):
            one["api_url_file"] = str(slack)
        for one in receiver.get("webhook_configs", ()):
            one.pop("url_file", None)  # Debian's Alertmanager is older than it
            one["url"] = f"{webhook.url}/webhook"
    for route in (config["route"], *config["route"]["routes"]):
        route.update(group_wait="1s", group_interval="1s")
    target = folder / "alertmanager.yml"
    target.write_text(yaml.safe_dump(config))
    return target


@contextmanager
def process(log: Path, *command: str | Path) -> Iterator[None]:
    """A program that runs until the block ends."""
    with log.open("wb") as output:
        running_program = subprocess.Popen([*map(str, command)], stdout=output, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        running_program.send_signal(signal.SIGTERM)
        try:
            running_program.wait(10)
        except subprocess.TimeoutExpired:
            running_program.kill()
            running_program.wait()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything, started."""
    programs = [
        program("prometheus"),
        program("prometheus-alertmanager", "alertmanager"),
        program("prometheus-node-exporter", "node_exporter"),
    ]
    folder = tmp_path_factory.mktemp("stack")
    clients = {"demo": {"secrets": [SECRET], "emitter": "demo", "emitters": ["demo", *EMITTERS]}}
    with ExitStack() as held:
        webhook = Webhook()
        held.callback(webhook.close)
        ingest = held.enter_context(running(folder / "gateways", "ingest", clients=clients))
        auth = held.enter_context(
            running(
                folder / "gateways",
                "authgw",
                settings={
                    "forward": {"url": f"http://127.0.0.1:{ingest.ingest_port}/v1/logs"},
                    "ratelimit": {"overrides": {"csv": {"capacity": 1000, "refill_per_sec": 100}}},
                },
                clients=clients,
            )
        )
        ports = {"authgw": auth.auth_port, "ingest": ingest.ingest_port}
        ports |= {name: free_port() for name in ("prometheus", "alertmanager", "node", "ship")}
        here = "127.0.0.1"
        loki = held.enter_context(ThreadedLoki())
        logops: list[str | Path] = [sys.executable, "-m", "logops_fast", "--config", ingest.config]
        ship: list[str | Path] = ["ship", "--url", loki.url, "--sink-dir", ingest.sink, "--from", "beginning"]
        held.enter_context(process(folder / "ship.log", "env", f"LOGOPS_ADMIN__PORT={ports['ship']}", *logops, *ship))
        held.enter_context(
            process(
                folder / "alertmanager.log",
                programs[1],
                f"--config.file={write_alertmanager(folder, webhook)}",
                f"--storage.path={folder / 'alertmanager'}",
                "--cluster.listen-address=",
                f"--web.listen-address={here}:{ports['alertmanager']}",
            )
        )
        held.enter_context(
            process(
                folder / "node.log",
                programs[2],
                "--collector.disable-defaults",
                "--collector.filesystem",
                "--collector.filesystem.fs-types-exclude=^$",
                f"--web.listen-address={here}:{ports['node']}",
            )
        )
        held.enter_context(
            process(
                folder / "prometheus.log",
                programs[0],
                f"--config.file={write_prometheus(folder, ports)}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={here}:{ports['prometheus']}",
            )
        )
        running_stack = Stack(auth, ingest, ports["prometheus"], ports["alertmanager"], webhook)
        until("Prometheus answers", lambda: request(ports["prometheus"], "GET", "/-/ready").status == 200)
        yield running_stack


def run_scenario(stack: Stack, folder: Path, text: str) -> list[dict[str, Any]]:
    """Run a scenario with the real command; its telemetry."""
    file, telemetry = folder / "scenario.yaml", folder / "telemetry.jsonl"
    file.write_text(text)
    command = [sys.executable, "-m", "logops_fast", "scenario", "run", str(file), "--log-file", str(telemetry)]
    target = ["--url", f"http://127.0.0.1:{stack.auth.auth_port}/ingest", "--key", "demo", "--secret", SECRET]
    subprocess.run([*command, *target], cwd=folder, capture_output=True, timeout=60, check=False)
    return [json.loads(line) for line in telemetry.read_text("utf-8").splitlines()]


@pytest.mark.timeout(600)
def test_the_stack_measures_alerts_and_recovers(stack: Stack, tmp_path: Path) -> None:
    every_target_is_up(stack)
    telemetry = run_scenario(stack, tmp_path, STEADY)
    percentile_agrees(stack, telemetry)
    with repeated(partial(overload, stack, tmp_path)):
        overload_reaches_the_webhook(stack)
    every_expression_returns_data(stack)
    its_end_resolves_it(stack)
    a_gateway_that_is_down_silences_the_rest(stack)


def every_target_is_up(stack: Stack) -> None:
    jobs = {
        job["job_name"] for job in support.read_yaml(support.DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    }

    def up() -> bool:
        return {s["metric"]["job"]: s["value"][1] for s in stack.query("up")} == dict.fromkeys(jobs - NOT_HERE, "1")

    until("every target is up", up)


def percentile_agrees(stack: Stack, telemetry: list[dict[str, Any]]) -> None:
    end = telemetry[-1]
    assert end["event"] == "scenario.end", end
    own = end["emitters"]["json"]["latency"]["p95"]
    quantile = 'histogram_quantile(0.95, sum by (le) (logops_auth_request_latency_seconds_bucket{emitter="json"}))'
    count = 'sum(logops_auth_request_latency_seconds_count{emitter="json"})'
    sent = end["emitters"]["json"]["batches"]["accepted"]
    until("the last batch was scraped", lambda: stack.query(count) and stack.value(count) >= sent)
    until("its quantile is there", lambda: stack.query(quantile))
    measured = stack.value(quantile)
    edges = (0.0, *LATENCY_EDGES, float("inf"))

    def bucket(seconds: float) -> int:
        return next(i for i, edge in enumerate(edges) if seconds <= edge)

    # The sender's own figure includes its waiting for a busy machine, the gateway's does not.
    assert 0 < bucket(measured) <= bucket(own) + 1, f"own p95 {own}, Prometheus {measured}"


@contextmanager
def repeated(action: Callable[[], None]) -> Iterator[None]:
    """Do ``action`` again and again beside the block: on a busy machine Prometheus may miss what happens once."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.is_set():
            action()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def overload(stack: Stack, folder: Path) -> None:
    """Replays, requests over a rate limit, batches that are too large."""
    body = b'{"msg":"once"}'
    headers = {**signed("demo", SECRET, body), "Content-Type": "application/json"}
    answers = [request(stack.auth.auth_port, "POST", "/ingest", body, headers).status for _ in range(10)]
    assert answers == [200] + [401] * 9
    assert run_scenario(stack, folder, OVERLOAD)[-1]["event"] == "scenario.end"


def overload_reaches_the_webhook(stack: Stack) -> None:
    until(
        "the alert of csv's 429 comes to the webhook",
        lambda: (
            "firing" in stack.webhook.states("LogOpsEmitterRateLimited", emitter="csv")
            or "firing" in stack.webhook.states("LogOpsRateLimited")
        ),
    )
    until("the replays' alert comes too", lambda: "firing" in stack.webhook.states("LogOpsReplayAttempts"))
    until("Slack is sent something", lambda: any(path == "/slack" for path, _ in stack.webhook.received))
    message = next(message for path, message in stack.webhook.received if path == "/slack")
    assert "runbooks.md" in json.dumps(message), "Slack is sent the text with the runbook"


def every_expression_returns_data(stack: Stack) -> None:
    for name in support.recorded():
        until(f"{name} has data", partial(stack.query, name))
    health = {
        rule["name"]: rule.get("lastError", "")
        for group in ask(stack.prometheus, "/api/v1/rules")["data"]["groups"]
        for rule in group["rules"]
        if rule["health"] != "ok"
    }
    assert not health, health
    for name, query in support.queries("prometheus"):
        until(f"the panel {name} has data", partial(stack.query, support.settled(query)))
    # As they are written, with the windows they are written with: what alerts is at least evaluated.
    for rule in support.rules():
        stack.query(rule["expr"])


def is_resolved(stack: Stack, name: str) -> bool:
    return stack.webhook.states(name)[-1] == "resolved"


def its_end_resolves_it(stack: Stack) -> None:
    # Nothing is sent any more: the windows empty, and with them the reason.
    for name in ("LogOpsEmitterRateLimited", "LogOpsRateLimited"):
        if stack.webhook.states(name):
            until(f"{name} is resolved", partial(is_resolved, stack, name))


def a_gateway_that_is_down_silences_the_rest(stack: Stack) -> None:
    # On a busy machine the overload may have made the gateway retry: that alert, rightly sent, has to end first.
    until("no retry alerts any more", lambda: not retry_alerts(stack))
    sent = stack.webhook.states("LogOpsForwardRetries").count("firing")
    stack.ingest.stop()
    until("LogOpsGatewayDown is sent", lambda: "firing" in stack.webhook.states("LogOpsGatewayDown", job="ingest"))
    body = b'{"msg":"the gateway is down"}'

    def suppressed() -> bool:
        headers = {**signed("demo", SECRET, body), "Content-Type": "application/json"}
        assert request(stack.auth.auth_port, "POST", "/ingest", body, headers).status in (502, 503, 504)
        retries = retry_alerts(stack)
        return bool(retries) and all(a["status"]["inhibitedBy"] for a in retries)

    until("what follows from it is inhibited", suppressed)
    assert stack.webhook.states("LogOpsForwardRetries").count("firing") == sent


def retry_alerts(stack: Stack) -> list[dict[str, Any]]:
    """What Alertmanager holds of the alert on forwarding retries."""
    found = ask(stack.alertmanager, "/api/v2/alerts")
    return [alert for alert in found if alert["labels"]["alertname"] == "LogOpsForwardRetries"]

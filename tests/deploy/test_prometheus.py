"""The rules: valid, each alert tried both ways, each with text and a runbook, and nothing named that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.authgw.syslog.metrics import SyslogMetrics
from logops_fast.config.slo import load_slo
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.shipper.metrics import ShipMetrics
from logops_fast.telemetry.families import (
    ProcessMetrics,
    build_info,
    heartbeat_age,
    worker_connections,
    worker_kills,
    worker_restarts,
)
from logops_fast.telemetry.registry import Registry
from tests.deploy import support
from tests.deploy.support import DEPLOY, program, run
from tests.support.tables import each_of
from tests.support.yaml_files import read_yaml

UNIT_TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))
SEVERITIES = {"critical", "warning", "info"}
SUFFIX = re.compile(r"_(bucket|count|sum)$")


def metric_names() -> set[str]:
    """Every family that a gateway has, as the code makes it."""
    registry = Registry()
    AuthMetrics(registry, ["web"])
    IngestMetrics(registry, ["web"])
    ProcessMetrics(registry)
    ShipMetrics(registry)
    SyslogMetrics(registry)
    build_info(registry, "uvloop", "interpreted")
    worker_restarts(registry)
    worker_kills(registry)
    heartbeat_age(registry)
    worker_connections(registry, 0)
    return {snapshot.shape.name for snapshot in registry.collect()}


@pytest.mark.service
def test_the_configuration_and_every_rule_is_valid() -> None:
    promtool = program("promtool")
    run(promtool, "check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    run(promtool, "check", "rules", *sorted(support.RULES.glob("*.yml")))


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_every_alert_fires_when_it_should_and_only_then(path: Path) -> None:
    run(program("promtool"), "test", "rules", path)


def test_each_alert_has_a_case_that_fires_and_one_that_must_not() -> None:
    fires, silent = set(), set()
    for path in UNIT_TESTS:
        for case in support.read_yaml(path)["tests"]:
            for one in case.get("promql_expr_test", ()):
                found = re.fullmatch(r'ALERTS\{alertname="(\w+)",alertstate="firing"\}', one["expr"])
                assert found, one
                assert one["exp_samples"], one
                fires.add(found[1])
            silent |= {one["alertname"] for one in case.get("alert_rule_test", ()) if not one["exp_alerts"]}
    assert fires == set(support.alerts())
    assert silent == set(support.alerts())


@each_of("name", support.alerts())
def test_an_alert_says_what_it_is_and_where_to_read_on(name: str) -> None:
    rule = support.alerts()[name]
    assert rule["labels"]["service"] == "logops"
    assert rule["labels"]["severity"] in SEVERITIES
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor == name.lower()
    text = (support.ROOT / file).read_text("utf-8")
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"{file} has no section {name}"
    for part in ("**What it means.**", "**How to look.**", "**What to do.**"):
        assert part in section[1], f"{name}: {part}"


def test_every_series_that_is_asked_for_exists() -> None:
    known = metric_names() | set(support.recorded())
    asked = [(str(rule.get("alert") or rule["record"]), rule["expr"]) for rule in support.rules()]
    asked += support.queries("prometheus")
    unknown = {
        f"{where}: {name}"
        for where, expression in asked
        for name in support.series_names(expression)
        if name not in known and SUFFIX.sub("", name) not in known
    }
    assert not unknown


def test_the_numbers_of_the_objective_stand_in_one_file() -> None:
    slo = load_slo()
    recorded = {rule["record"]: rule["expr"] for rule in support.rules() if "record" in rule}
    assert recorded["logops:slo_objective:ratio"] == f"vector({slo.objective:g})"
    assert recorded["logops:batches_fast:count"] == f'logops_batch_latency_seconds_bucket{{le="{slo.threshold:g}"}}'
    for path in support.RULES.glob("*.yml"):
        if path.name != "slo.yml":
            for group in read_yaml(path)["groups"]:
                for rule in group["rules"]:
                    assert f"{slo.objective:g}" not in re.sub(r"histogram_quantile\(0\.99", "", rule["expr"]), rule
                    assert 'le="' not in rule["expr"], rule


def test_the_gateways_have_a_bucket_at_the_objective() -> None:
    from logops_fast.ingest.metrics import LATENCY_EDGES

    assert load_slo().threshold in LATENCY_EDGES
    assert load_slo().p95 in LATENCY_EDGES


def test_unit_tests_evaluate_recorded_series_before_what_needs_them() -> None:
    groups = {group["name"] for path in support.RULES.glob("*.yml") for group in support.read_yaml(path)["groups"]}
    for path in UNIT_TESTS:
        order = support.read_yaml(path)["group_eval_order"]
        assert set(order) == groups, "promtool puts a group that is not named before all others"
        assert order.index("logops-slo-recorded") < order.index("logops-slo-burn")

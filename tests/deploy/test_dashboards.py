from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from logops_fast.config.slo import load_slo
from tests.deploy import support
from tests.deploy.support import DASHBOARDS, DEPLOY, ROOT, read_yaml

BOARDS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))}
PROVISIONED = read_yaml(DEPLOY / "grafana" / "provisioning" / "datasources" / "datasources.yml")["datasources"]


@pytest.fixture(params=BOARDS)
def board(request: pytest.FixtureRequest) -> Any:
    """Each dashboard."""
    return BOARDS[request.param]


@pytest.mark.process
def test_the_dashboards_are_those_that_the_script_makes() -> None:
    pytest.importorskip("grafana_foundation_sdk")
    command = [sys.executable, "tools/make_dashboards.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_there_are_the_four() -> None:
    titles = {board["title"] for board in BOARDS.values()}
    assert titles == {"LogOps overview", "Auth gateway", "Live logs", "The way to Loki"}


def test_panels_have_ids_of_their_own_and_do_not_overlap(board: Any) -> None:
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_data_source_is_provisioned(board: Any) -> None:
    provisioned = {(source["type"], source["uid"]) for source in PROVISIONED}
    used = re.findall(r'"datasource": \{"type": "(\w+)", "uid": "(\w+)"\}', json.dumps(board))
    assert used
    assert set(used) <= provisioned


def test_every_variable_that_is_used_is_defined(board: Any) -> None:
    defined = {variable["name"] for variable in board["templating"].get("list", ())}
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            used = set(re.findall(r"\$\{?(\w+)", target["expr"])) - {"__rate_interval", "__auto"}
            assert used <= defined, panel["title"]


def test_links_lead_to_dashboards_that_exist_and_variables_they_have() -> None:
    uids = {board["uid"]: board for board in BOARDS.values()}
    links = [
        link["url"]
        for board in BOARDS.values()
        for panel in board["panels"]
        for link in panel.get("fieldConfig", {}).get("defaults", {}).get("links") or ()
    ]
    assert any("/d/logops-logs?" in link for link in links), "from metrics to logs"
    assert any("/d/logops-overview?" in link for link in links), "from logs to metrics"
    for link in links:
        target = uids[link.removeprefix("/d/").partition("?")[0]]
        variables = {variable["name"] for variable in target["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", link)) <= variables
        assert set(re.findall(r"\$\{(\w+):queryparam\}", link)) <= variables


def test_the_line_of_the_objective_is_that_of_the_rules() -> None:
    panel = next(p for _, p in support.panels("prometheus") if p["title"] == "Batch latency")
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["value"] for step in steps if step["color"] == "red"] == [load_slo().p95]


def test_the_way_to_loki_shows_what_waits_for_each_collector_and_what_is_dropped_or_discarded() -> None:
    expressions = " ".join(target["expr"] for panel in BOARDS["loki"]["panels"] for target in panel.get("targets", ()))
    rules = read_yaml(DEPLOY / "prometheus" / "rules" / "shipping.yml")["groups"][0]["rules"]
    lag = "job_instance:logops_shipping_lag_bytes:sum"
    (recorded,) = (rule["expr"] for rule in rules if rule["record"] == lag)
    assert lag in expressions
    for series in ("logops_ship_lag_bytes", "promtail_file_bytes_total", "loki_source_file_file_bytes_total"):
        assert series in recorded
    dropped = {"logops_ship_refused_entries_total", "promtail_dropped_entries_total", "loki_discarded_samples_total"}
    assert {series for series in dropped if series in expressions} == dropped


def test_live_logs_can_be_chosen_by_emitter_level_and_scenario() -> None:
    names = [variable["name"] for variable in BOARDS["logs"]["templating"]["list"]]
    assert names[:3] == ["emitter", "level", "scenario"]
    queries = [support.settled(query) for _, query in support.queries("loki")]
    # Loki refuses a selector of which every matcher passes the empty value.
    assert all(re.search(r'\w+(=~"[^"]*\.\+"|="[^"]+")', query) for query in queries)


@pytest.mark.parametrize("text", ["`select`", 'say "no"', "it's", "a.*b", r"\\d+", ""])
def test_what_is_typed_into_live_logs_stays_inside_its_string(text: str) -> None:
    """Go's strconv.Unquote, by which Loki reads a string, takes what JSON takes of these."""
    for _, query in support.queries("loki"):
        string = support.settled(query, text=text).partition("|~")[2]
        if string:
            assert json.loads(re.match(r'\s*("(?:[^"\\]|\\.)*")', string)[1]) == text.replace(r"\\", "\\")  # type: ignore[index]

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from logops_fast.config.errors import ConfigError
from logops_fast.config.slo import Slo, load_slo
from tests.support.tables import each_of

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules" / "slo.yml"

# 90 of 100 batches a minute are fast and the rest take up to a second: both alerts must fire; and with no traffic none.
RULE_TESTS = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {{series: 'logops_batch_latency_seconds_bucket{{emitter="web",le="0.5"}}', values: '0+90x60'}}
      - {{series: 'logops_batch_latency_seconds_bucket{{emitter="web",le="1"}}', values: '0+100x60'}}
      - {{series: 'logops_batch_latency_seconds_bucket{{emitter="web",le="+Inf"}}', values: '0+100x60'}}
      - {{series: 'logops_batch_latency_seconds_count{{emitter="web"}}', values: '0+100x60'}}
    alert_rule_test:
      - eval_time: 50m
        alertname: LogOpsSloFastBatchesLow
        exp_alerts:
          - exp_labels: {{service: logops, severity: critical, slo: fast_batches}}
            exp_annotations:
              summary: Fewer batches are fast than the objective asks for
              description: >-
                90% of the batches of the last 30 minutes were answered in time.
                See logops_sink_commit_seconds, logops_inflight and logops_circuit_breaker_state.
              runbook_url: deploy/runbooks.md#logopsslofastbatcheslow
      - eval_time: 50m
        alertname: LogOpsSloP95High
        exp_alerts:
          - exp_labels: {{service: logops, severity: warning, slo: p95}}
            exp_annotations:
              summary: The 95th percentile of batch latency is over the objective
              description: 95% of the batches of the last 5 minutes took up to 750ms.
              runbook_url: deploy/runbooks.md#logopsslop95high
  - interval: 1m
    input_series:
      - {{series: 'logops_batch_latency_seconds_bucket{{emitter="web",le="0.5"}}', values: '7x60'}}
      - {{series: 'logops_batch_latency_seconds_bucket{{emitter="web",le="+Inf"}}', values: '8x60'}}
      - {{series: 'logops_batch_latency_seconds_count{{emitter="web"}}', values: '8x60'}}
    alert_rule_test:
      - {{eval_time: 50m, alertname: LogOpsSloFastBatchesLow, exp_alerts: []}}
      - {{eval_time: 50m, alertname: LogOpsSloP95High, exp_alerts: []}}
"""


def test_the_slo_of_the_rules_is_the_one_of_the_contract() -> None:
    assert load_slo() == Slo(objective=0.99, threshold=0.5, window=1800, p95=0.5, p95_window=300)


def test_the_numbers_are_those_of_the_expressions() -> None:
    text = RULES.read_text().replace('le="0.5"', 'le="0.25"').replace("[30m]", "[1h]").replace("< 0.99", "< 0.995")
    text = text.replace("[5m]))) > 0.5", "[90s]))) > 0.1")
    assert load_slo(text) == Slo(objective=0.995, threshold=0.25, window=3600, p95=0.1, p95_window=90)


@each_of(
    ("before", "after", "message"),
    [
        ("slo: p95", "slo: p99", "slo: p95"),
        ("[30m])) < 0.99", "[20m])) < 0.99", "slo: fast_batches"),
        ("groups:", "rules:", "not a file of alert rules"),
        ("> 0.5", "> bool 0.5", "slo: p95"),
    ],
)
def test_rules_that_do_not_say_the_slo_are_refused(before: str, after: str, message: str) -> None:
    text = RULES.read_text()
    assert before in text
    with pytest.raises(ConfigError, match=message):
        load_slo(text.replace(before, after))


@pytest.mark.service
def test_prometheus_takes_the_rules_and_they_fire_when_they_should(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        from tests.support.services import require_service

        require_service("promtool")
    tests = tmp_path / "slo_test.yml"
    tests.write_text(RULE_TESTS.format(rules=RULES))
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(tests)]):
        done = subprocess.run([str(promtool), *command], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import support
from tests.deploy.support import DEPLOY, program, read_yaml, run

pytestmark = pytest.mark.service

DEFAULT = DEPLOY / "alertmanager" / "alertmanager.yml"
NOTIFY = DEPLOY / "alertmanager" / "alertmanager-notify.yml"
RECEIVER = {"critical": "page", "warning": "notify", "info": "digest"}


@pytest.fixture
def notify(tmp_path: Path) -> Path:
    """The notifying file as Debian's amtool takes it: ``url_file`` of a webhook is younger than it."""
    config = read_yaml(NOTIFY)
    for receiver in config["receivers"]:
        for webhook in receiver.get("webhook_configs", ()):
            webhook.pop("url_file", None)  # the receivers share one list
            webhook["url"] = "http://127.0.0.1:1/"
    path = tmp_path / "notify.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_both_files_are_valid(notify: Path) -> None:
    amtool = program("amtool")
    run(amtool, "check-config", DEFAULT)
    run(amtool, "check-config", notify)


def test_the_two_files_differ_in_their_receivers_alone() -> None:
    one, other = read_yaml(DEFAULT), read_yaml(NOTIFY)
    names = [[receiver["name"] for receiver in config.pop("receivers")] for config in (one, other)]
    assert one == other
    assert names[0] == names[1]


def test_the_default_notifies_no_one_and_needs_no_secret() -> None:
    assert all(set(receiver) == {"name"} for receiver in read_yaml(DEFAULT)["receivers"])


@pytest.mark.parametrize("name", support.alerts())
def test_an_alert_goes_where_its_severity_says(name: str) -> None:
    labels = {"alertname": name, **support.alerts()[name]["labels"]}
    expected = RECEIVER[labels["severity"]]
    words = [f"{key}={value}" for key, value in labels.items()]
    run(
        program("amtool"),
        "config",
        "routes",
        "test",
        f"--config.file={DEFAULT}",
        f"--verify.receivers={expected}",
        *words,
    )


def test_foreign_alerts_are_sent_to_no_one() -> None:
    amtool = program("amtool")
    run(amtool, "config", "routes", "test", f"--config.file={DEFAULT}", "--verify.receivers=null", "alertname=Other")


def test_inhibitions_name_alerts_that_exist() -> None:
    def names(matchers: list[str]) -> Any:
        for matcher in matchers:
            label, _, value = matcher.partition('="' if '="' in matcher else '=~"')
            if label == "alertname" and "=~" not in matcher and "!=" not in matcher:
                yield value.rstrip('"')

    for rule in read_yaml(DEFAULT)["inhibit_rules"]:
        for name in (*names(rule["source_matchers"]), *names(rule["target_matchers"])):
            assert name in support.alerts()

"""What `make coverage` measures: all processes but those that are killed or timed."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.conftest import COVERAGE, pytest_runtest_protocol, unmeasured


def test_the_setting_for_child_processes_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COVERAGE, "a configuration")
    with unmeasured():
        assert COVERAGE not in os.environ
    assert os.environ[COVERAGE] == "a configuration"
    monkeypatch.delenv(COVERAGE)
    with unmeasured():
        pass
    assert COVERAGE not in os.environ


@pytest.mark.parametrize(
    ("mark", "measured"), [("process", True), ("service", True), ("fault", False), ("bench", False), ("slow", False)]
)
def test_a_mark_decides_whether_the_processes_of_a_test_are_measured(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, mark: str, measured: bool
) -> None:
    class Marked:
        config = request.config

        @staticmethod
        def get_closest_marker(name: str) -> bool:
            return name == mark

    item: Any = Marked()
    monkeypatch.setenv(COVERAGE, "a configuration")
    protocol = pytest_runtest_protocol(item)
    next(protocol)
    assert (COVERAGE in os.environ) is measured
    assert list(protocol) == []
    assert os.environ[COVERAGE] == "a configuration"

"""The table of all faults, printed when the tests have run."""

from __future__ import annotations

import pytest

from tests.faults.harness import Row, table

ROWS: pytest.StashKey[list[Row]] = pytest.StashKey()


@pytest.fixture
def rows(request: pytest.FixtureRequest) -> list[Row]:
    """Where a test puts its row of the table."""
    return request.config.stash.setdefault(ROWS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(ROWS, [])
    if found:
        terminalreporter.section("injected faults")
        terminalreporter.write_line(table(found))

"""Tables that tests fill, printed when they have run."""

from __future__ import annotations

import pytest

TABLES: pytest.StashKey[dict[str, list[tuple[str, ...]]]] = pytest.StashKey()
"""By title: the header, then the lines."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for title, lines in config.stash.get(TABLES, {}).items():
        terminalreporter.section(title)
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            terminalreporter.write_line(f"| {' | '.join(cells)} |")

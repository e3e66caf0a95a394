"""The line of progress, at its narrowest and with the largest numbers."""

from __future__ import annotations

import io
import re
import sys

import pytest

from logops_fast.cli.progress import PLAIN_WIDTH, Live, line
from logops_fast.emitters.runner import Progress
from logops_fast.emitters.totals import Count, Latency


def progress(refused: dict[str, int] | None = None, *, events: int = 170_477, lateness: float = 0.0) -> Progress:
    return Progress(
        elapsed=2.0,
        duration=12.0,
        target_eps=events / 10,
        achieved_eps=events / 10,
        sent=Count(events=events),
        accepted=Count(events=events),
        rejected=Count(events=161),
        refused={reason: Count(events=number) for reason, number in (refused or {}).items()},
        in_flight=0,
        latency=Latency(0.001, 0.0024, 0.005),
        lateness=lateness,
    )


def test_what_fits_is_shown() -> None:
    shown = line(progress({"429 rate_limited": 1_050}), 120)
    assert shown == ("10 s left  17,048/17,048 EPS  accepted 170,477  429 rate_limited 1,050  p95 2.4 ms  rejected 161")


def test_80_columns_hold_what_matters_most() -> None:
    many = {"429 rate_limited": 1_050, "503 sink_failed": 300, "connect": 20}
    shown = line(progress(many), 73)
    assert shown == "10 s left  17,048/17,048 EPS  accepted 170,477  refused 1,370  p95 2.4 ms"
    for width in range(40, 120):
        assert len(line(progress(many, events=98_765_432_100, lateness=12.0), width)) <= width
    assert "refused" in line(progress(many, events=98_765_432_100, lateness=12.0), 73)


@pytest.mark.parametrize("terminal", [True, False])
def test_no_line_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", str(PLAIN_WIDTH))
    monkeypatch.setenv("TERM", "dumb" if not terminal else "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with Live("a scenario with a name that is long") as live:
        live.show(progress({"429 rate_limited": 1_050}, events=9_999_999, lateness=3.0))
        if live._rich is not None:
            live._rich.refresh()
    lines = screen.getvalue().replace("\r", "\n").splitlines()
    assert any("accepted" in text for text in lines)
    plain = [_without_colour(text) for text in lines]
    assert max(map(len, plain)) <= PLAIN_WIDTH
    assert any("accepted" in text and "EPS" in text for text in plain)


def _without_colour(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)

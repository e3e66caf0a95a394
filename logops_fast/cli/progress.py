"""The progress of a run that sends events, in 80 columns: a live line on a terminal, else a line every few seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Final

from logops_fast.cli.output import is_fancy
from logops_fast.emitters.runner import Progress
from logops_fast.emitters.scenario import MAX_DURATION
from logops_fast.emitters.totals import Count

PLAIN_WIDTH: Final = 80
"""Columns of a line if there is no terminal to ask."""

_PLAIN_EVERY: Final = 5.0  # seconds
_BAR: Final = 24
_NARROW: Final = 100  # columns
_TITLE: Final = 16
_SEPARATOR: Final = "  "
_REASONS: Final = 4


class Live:
    """Shows the state of a run on standard error."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._rich: Any = None
        self._task: Any = None
        self._written = 0.0

    def __enter__(self) -> Live:
        if is_fancy(sys.stderr):
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            console = Console(stderr=True)
            title = _cut(self._title)
            # Without markup: a refusal's reason and a scenario's name are not ours to format.
            columns: list[Any] = [
                TextColumn("{task.description}", style="bold", markup=False),
                BarColumn(bar_width=_BAR),
                TextColumn("{task.fields[state]}", markup=False),
            ]
            self._state_width = console.width - len(title) - _BAR - 2
            if console.width < _NARROW:
                del columns[1]
                self._state_width += _BAR + 1
            self._rich = Bar(*columns, console=console, transient=True)
            self._rich.start()
            self._task = self._rich.add_task(title, total=1.0, state="starting")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._rich is not None:
            self._rich.stop()

    def note(self, text: str) -> None:
        """Print a message next to the progress."""
        if self._rich is None:
            print(text, file=sys.stderr)
        else:
            self._rich.console.print(text)

    def show(self, progress: Progress) -> None:
        """Show the state at the end of a tick (an ``on_tick`` callback)."""
        if self._rich is not None:
            state = line(progress, self._state_width)
            self._rich.update(self._task, completed=progress.elapsed, total=progress.duration, state=state)
        elif time.monotonic() - self._written >= _PLAIN_EVERY:
            self._written = time.monotonic()
            title = _cut(self._title)
            print(f"{title}: {line(progress, PLAIN_WIDTH - len(title) - 2)}", file=sys.stderr, flush=True)


def line(progress: Progress, width: int) -> str:
    """Return the state in one line of at most ``width`` columns: what matters least is left out if not all fits."""
    reasons = [f"{reason} {_short(count.events)}" for reason, count in by_size(progress.refused)]
    in_all = _short(sum(count.events for count in progress.refused.values()))
    p95 = f"p95 {milliseconds(progress.latency.p95)}"
    parts = [
        f"{progress.left:.0f} s left" if progress.duration < MAX_DURATION else f"{progress.elapsed:.0f} s",
        f"{_short(progress.achieved_eps)}/{_short(progress.target_eps)} EPS",
        f"accepted {_short(progress.accepted.events)}",
    ]
    if reasons and not (len(reasons) <= _REASONS and _fits([*parts, *reasons, p95], width)):
        reasons = [f"refused {in_all}"]
    more = [*reasons, p95]
    if progress.lateness > 1.0:
        more.insert(len(reasons), f"the sender lags by {progress.lateness:.1f} s")
    if progress.rejected.events:
        more.append(f"rejected {_short(progress.rejected.events)}")
    for part in more:
        if _fits([*parts, part], width):
            parts.append(part)
    return _SEPARATOR.join(parts)[:width]


def milliseconds(seconds: float | None) -> str:
    """Return a latency as text, in milliseconds."""
    return "-" if seconds is None else f"{seconds * 1e3:.1f} ms"


def by_size(refused: dict[str, Count]) -> list[tuple[str, Count]]:
    """Return the refusals by reason, the most events first."""
    return sorted(refused.items(), key=lambda item: (-item[1].events, item[0]))


def _fits(parts: list[str], width: int) -> bool:
    return len(_SEPARATOR.join(parts)) <= width


def _short(number: float) -> str:
    """Return a count as at most seven characters: 123,456 as it is, above it 1.2M."""
    if number < 999_999.5:
        return f"{number:,.0f}"
    return f"{number / 1e6:,.1f}M" if number < 1e9 else f"{number / 1e9:,.1f}G"


def _cut(title: str) -> str:
    return title if len(title) <= _TITLE else f"{title[: _TITLE - 3]}..."

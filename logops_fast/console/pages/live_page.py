"""The live page: what arrives, what is stored, how fast, what is refused, and how the parts are."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Final

from nicegui import ui

from logops_fast.console import charts
from logops_fast.console.live import Rates
from logops_fast.console.pages.layout import (
    chart,
    checkbox,
    field,
    heading,
    health,
    html,
    page,
    redraw,
    table,
    text,
    tiles,
)
from logops_fast.console.recent_lines import LEVELS, LineFilter, as_html, recent
from logops_fast.console.services import Services
from logops_fast.emitters.report import milliseconds

REFRESH: Final = 1.0  # seconds


def build(services: Services) -> None:
    """Build the page."""
    monitor = services.monitor
    with page("Live", "/"):
        banner = html("").props("role=status")
        numbers = html("")
        with ui.element("div").classes("grid"):
            with ui.element("section").classes("card"):
                heading("Events a second", 2)
                rates = chart(charts.rates(()), charts.describe_rates(None))
            with ui.element("section").classes("card"):
                heading("Latency of a batch (ms)", 2)
                latency = chart(charts.latency((), monitor.slo), charts.describe_latency(None, monitor.slo))
        with ui.element("div").classes("grid halves"):
            with ui.element("section").classes("card"):
                heading("Health", 2)
                checks = html("")
            with ui.element("section").classes("card"):
                heading("Requests refused in the last five minutes", 2)
                refusals = html("")
        lines = _Lines(services)

    shown = -1

    def refresh() -> None:
        nonlocal shown
        if monitor.version == shown:
            return
        shown = monitor.version
        history = monitor.history
        banner.content = _banner(monitor.problem)
        numbers.content = _tiles(services)
        redraw(rates, charts.rates(history.rates), charts.describe_rates(history.latest))
        redraw(
            latency, charts.latency(history.rates, monitor.slo), charts.describe_latency(history.latest, monitor.slo)
        )
        checks.content = health(monitor.checks())
        refused = [(reason, f"{count:,.0f}") for reason, count in history.refusals()]
        refusals.content = table(("reason", "requests"), refused, (1,)) if refused else "<p>Nothing was refused.</p>"
        lines.refresh()

    ui.timer(REFRESH, refresh)


class _Lines:
    """The panel of stored lines with its filters."""

    def __init__(self, services: Services) -> None:
        self._files = services.files
        self._wanted = LineFilter()
        self._paused = False
        with ui.element("section").classes("card"):
            heading("Last stored lines", 2)
            with ui.element("div").classes("row-of"):
                levels = [("", "all levels"), *((level, f"{level} and worse") for level in LEVELS[1:])]
                field("Level", "", lambda value: self._filter(level=value), choices=levels)
                field("Emitter", "", lambda value: self._filter(emitter=value.strip()))
                field("Text in any field", "", lambda value: self._filter(text=value))
                with ui.element("label").classes("row-of"):
                    checkbox("Pause", False, self._pause)
                    html("Pause", "span")
            self._list = html("", "ul").classes("lines").props('tabindex=0 aria-label="Last stored lines"')
            self._none = text("").classes("quiet")
        self.refresh()

    def refresh(self) -> None:
        """Show the lines as they are now."""
        if self._paused:
            return
        found = recent(self._files, self._wanted)
        self._list.content = as_html(found)
        filtered = self._wanted != LineFilter()
        self._none.content = "" if found else "No line matches." if filtered else "Nothing is stored yet."

    def _filter(self, **change: str) -> None:
        self._wanted = replace(self._wanted, **change)
        self.refresh()

    def _pause(self, paused: bool) -> None:
        self._paused = paused
        self.refresh()


def _banner(problem: str) -> str:
    return f'<div class="card banner bad"><p>{escape(problem)}</p></div>' if problem else ""


def _tiles(services: Services) -> str:
    monitor = services.monitor
    now = monitor.history.latest or Rates(0.0, 0.0, 0.0, 0.0, 0.0, None, None, None)
    slo = monitor.slo
    p95, share = monitor.history.p95(), monitor.history.fast_share()
    kept = "" if p95 is None else "good" if p95 <= slo.p95 else "bad"
    fast = "" if share is None else "good" if share >= slo.objective else "bad"
    return tiles(
        (
            ("offered", f"{now.offered:,.0f}", "events a second", ""),
            ("accepted", f"{now.accepted:,.0f}", "events a second", ""),
            ("stored", f"{now.stored:,.0f}", "events a second", ""),
            ("p95", milliseconds(p95), f"{slo.p95_window / 60:g} min; SLO {slo.p95 * 1e3:g} ms", kept),
            (
                f"under {slo.threshold * 1e3:g} ms",
                "-" if share is None else f"{share:.2%}",
                f"of batches; SLO {slo.objective:.0%}",
                fast,
            ),
            ("refused", f"{now.refused:,.0f}", "requests a second", ""),
        )
    )

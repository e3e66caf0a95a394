"""The live page: what arrives, what is stored, how fast, what is refused, and how the parts are."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Final

from nicegui import ui

from logops_fast.config.slo import Slo
from logops_fast.console import charts
from logops_fast.console.live import Moment, health
from logops_fast.console.pages.layout import (
    chart,
    checkbox,
    field,
    heading,
    health_table,
    html,
    latency_text,
    page,
    redraw,
    table,
    text,
    tiles,
)
from logops_fast.console.recent_lines import LEVELS, LineFilter, as_html, recent
from logops_fast.console.services import Services
from logops_fast.telemetry.overview import Overview

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
        overview = monitor.overview
        if monitor.version == shown or overview is None:
            return
        shown = monitor.version
        moments, now = monitor.timeline.moments, monitor.timeline.latest
        banner.content = "" if monitor.answers else _banner(overview)
        numbers.content = _tiles(monitor.slo, now, overview)
        redraw(rates, charts.rates(moments), charts.describe_rates(now))
        redraw(latency, charts.latency(moments, monitor.slo), charts.describe_latency(now, monitor.slo))
        checks.content = health_table(health(overview))
        refused = [(reason, f"{count:,.0f}") for reason, count in monitor.timeline.refusals()]
        refusals.content = table(("reason", "requests"), refused, (1,)) if refused else "<p>Nothing was refused.</p>"
        lines.refresh()

    refresh()
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


def _banner(overview: Overview) -> str:
    problems = "; ".join(overview.problems)
    return (
        f'<div class="card banner bad"><p>No gateway answers ({escape(problems)}). Start one with '
        "<code>logops up</code>, or name its admin listener with <code>logops console --admin URL</code>.</p></div>"
    )


def _tiles(slo: Slo, now: Moment | None, overview: Overview) -> str:
    offered, accepted, stored, refused = ("-",) * 4
    if now is not None:
        offered, accepted, stored, refused = (f"{value:,.0f}" for value in now[1:5])
    latency = overview.latency
    p95 = None if latency is None else latency.p95
    share = None if latency is None else latency.share_fast
    kept = "" if p95 is None else "good" if p95 <= slo.p95 else "bad"
    fast = "" if share is None else "good" if share >= slo.objective else "bad"
    window = f"{slo.p95_window / 60:g} min"
    return tiles(
        (
            ("offered", offered, "events a second", ""),
            ("accepted", accepted, "events a second", ""),
            ("stored", stored, "events a second", ""),
            ("p95", latency_text(p95), f"in {window}; SLO {slo.p95 * 1e3:g} ms", kept),
            (
                f"under {slo.threshold * 1e3:g} ms",
                "-" if share is None else f"{share:.2%}",
                f"of batches in {window}; SLO {slo.objective:.0%}",
                fast,
            ),
            ("refused", refused, "requests a second", ""),
        )
    )

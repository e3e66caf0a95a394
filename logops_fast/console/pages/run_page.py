"""The run that goes on, or the last one: target against achieved, numbers, and the way to stop it."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from nicegui import ui

from logops_fast.console import charts
from logops_fast.console.pages.layout import (
    button,
    chart,
    enable,
    heading,
    html,
    latency_text,
    page,
    redraw,
    set_text,
    text,
    tiles,
)
from logops_fast.console.run_state import Phase, RunError, RunState
from logops_fast.console.services import Services

REFRESH = 0.5  # seconds

_WORDS = {
    Phase.IDLE: "Nothing has run yet.",
    Phase.RUNNING: "Running",
    Phase.STOPPING: "Stopping: the current tick goes to its end, and its answers are awaited",
    Phase.DONE: "Over",
    Phase.FAILED: "Failed",
}


def build(services: Services) -> None:
    """Build the page."""
    orchestrator = services.orchestrator
    with page("Run", "/run"):
        with ui.element("section").classes("card"):
            title = text("", "h2")
            phase = text("").props("role=status")
            bar = ui.element("progress").props('max=1 value=0 aria-label="How much of the run is over"')
            with ui.element("div").classes("row-of"):
                stopper = button("Stop", lambda: stop(), kind="stop")
                html('<a class="button" href="/scenarios">Choose a scenario</a>').style("display:contents")
            error = text("").classes("error").props("role=alert")
        verdict = html("").props("role=status")
        numbers = html("")
        with ui.element("section").classes("card"):
            heading("Events a second: target and achieved", 2)
            drawn = chart(charts.run(orchestrator.state), charts.describe_run(orchestrator.state))
            text("Answers that come after the end count in the last tick.").classes("quiet")

    def stop() -> None:
        try:
            orchestrator.stop()
        except RunError as problem:
            set_text(error, str(problem))
        refresh()

    shown = -1

    def refresh() -> None:
        nonlocal shown
        state = orchestrator.state
        if state.version == shown:
            return
        shown = state.version
        set_text(title, "No run" if state.scenario is None else state.scenario.name)
        set_text(phase, _WORDS[state.phase])
        bar.props["value"] = f"{state.share:.4f}"
        bar.update()
        enable(stopper, state.phase is Phase.RUNNING)
        verdict.content = _verdict(state)
        numbers.content = _tiles(state)
        redraw(drawn, charts.run(state), charts.describe_run(state))

    refresh()
    ui.timer(REFRESH, refresh)


def _verdict(state: RunState) -> str:
    sentence = state.verdict()
    if not sentence:
        return ""
    good = state.phase is Phase.DONE and not state.unmet
    link = ""
    if state.phase is Phase.DONE:
        link = f'<p><a class="button main" href="/runs/{quote(state.record)}">Show the report</a></p>'
    return f'<div class="card banner {"good" if good else "bad"}"><p>{escape(sentence)}</p>{link}</div>'


def _tiles(state: RunState) -> str:
    now = state.progress
    if now is None:
        return ""
    lost = sum(count.events for count in now.refused.values())
    reasons = ", ".join(sorted(now.refused)) or "refused or never answered"
    return tiles(
        (
            ("time", f"{now.elapsed:g} s", f"of {now.duration:g} s", ""),
            ("sent", f"{now.sent.events:,}", "events", ""),
            ("accepted", f"{now.accepted.events:,}", "events", ""),
            ("unreadable", f"{now.rejected.events:,}", "events", ""),
            ("lost", f"{lost:,}", reasons, "bad" if lost else ""),
            ("p95", latency_text(now.latency.p95), "from when a batch was due", ""),
            ("late", latency_text(now.lateness), "the sender itself", ""),
        )
    )

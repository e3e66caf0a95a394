"""Past runs: the list, the report of one, and the comparison of two."""

from __future__ import annotations

from html import escape
from importlib.util import find_spec
from urllib.parse import quote

from nicegui import ui

from logops_fast.console.history import PastRun
from logops_fast.console.pages.layout import button, checkbox, heading, html, page, set_text, text
from logops_fast.console.profile import duration_text
from logops_fast.console.services import Services
from logops_fast.emitters import report
from logops_fast.emitters.svg_chart import STYLE
from logops_fast.errors import OperatorError

_REPORT_TABLES = """
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.table { overflow-x: auto; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid var(--edge); text-align: right; white-space: nowrap; }
th { font-weight: 400; }
th[scope=col] { font-weight: 600; }
th:first-child { text-align: left; }
"""


def build_list(services: Services) -> None:
    """Build the page of all past runs."""
    runs = services.runs.listed()
    chosen: list[str] = []
    with page("Past runs", "/runs"):
        if not runs:
            text(f"No run is recorded in {services.runs.directory} yet.")
            return
        text("Tick two to compare them. The newest are on top.").classes("quiet")
        with ui.element("div").classes("card table-box"), ui.element("table").classes("plain"):
            html(_head(), "thead")
            with ui.element("tbody"):
                for run in runs:
                    _row(run, chosen)
        error = text("").classes("error").props("role=alert")

        def compare() -> None:
            if len(chosen) != 2:
                set_text(error, f"Tick two runs to compare; {len(chosen)} are ticked.")
                return
            ui.navigate.to(f"/compare/{quote(chosen[0])}/{quote(chosen[1])}")

        button("Compare", compare, kind="main")


def build_report(services: Services, file: str) -> None:
    """Build the report of one run."""
    with page("Report", "/runs"):
        ui.add_css(STYLE + _REPORT_TABLES)
        try:
            record = services.runs.record(file)
        except (OperatorError, OSError) as error:
            text(str(error))
            return
        heading(f"{record.name}, {record.start['ts_iso']}", 2)
        text(report.slo_verdict(record))
        for problem in record.end.get("unmet", ()):
            text(f"Not as expected: {problem}").classes("error")
        if not record.totals:
            text("The run was cut off, or goes on: it has no end.").classes("error")
        name = quote(file)
        links = [("Page (HTML)", "report.html"), ("Telemetry (JSON lines)", "telemetry.jsonl")]
        if find_spec("matplotlib") is not None:
            links.insert(1, ("Picture (PNG)", "report.png"))
        buttons = (f'<a class="button" href="/files/{name}/{path}" target="_blank">{word}</a>' for word, path in links)
        html("".join(buttons)).classes("row-of")
        html(report.charts(record)).classes("card charts")
        html(report.tables(record)).classes("card")


def build_comparison(services: Services, first: str, second: str) -> None:
    """Build the comparison of two runs."""
    with page("Comparison", "/runs"):
        ui.add_css(STYLE + _REPORT_TABLES)
        try:
            records = services.runs.record(first), services.runs.record(second)
        except (OperatorError, OSError) as error:
            text(str(error))
            return
        html(report.body_of_two(*records)).classes("card")


def _head() -> str:
    columns = ("compare", "scenario", "started", "lasted", "sent", "accepted", "lost", "p95", "outcome")
    return "<tr>" + "".join(f"<th scope=col>{column}</th>" for column in columns) + "</tr>"


def _row(run: PastRun, chosen: list[str]) -> None:
    def choose(on: bool) -> None:
        if on:
            chosen.append(run.file)
        else:
            chosen.remove(run.file)

    with ui.element("tr"):
        with ui.element("td"):
            checkbox(f"compare {run.scenario} of {run.started}", False, choose)
        html(f'<a href="/runs/{quote(run.file)}">{escape(run.scenario)}</a>', "th").props("scope=row")
        totals = run.totals
        latency = totals.get("latency", {}).get("p95")
        cells = (
            run.started[:19].replace("T", " "),
            duration_text(run.seconds),
            *(f"{totals[key]:,}" if totals else "-" for key in ("sent", "accepted", "lost")),
            report.milliseconds(latency),
            run.outcome,
        )
        for cell in cells:
            html(escape(cell), "td")

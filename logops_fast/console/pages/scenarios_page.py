"""The library of scenarios with their drawn profiles, and the form that edits one and runs it."""

from __future__ import annotations

from html import escape

from nicegui import ui

from logops_fast.console.edits import EditError, Edits, edited, seed_of, silent
from logops_fast.console.pages.layout import checkbox, field, heading, html, page, plain_input, set_text, text
from logops_fast.console.profile import chart, curve, describe, duration_text, sparkline
from logops_fast.console.run_state import RunError
from logops_fast.console.services import Services
from logops_fast.emitters.scenario import Scenario
from logops_fast.emitters.svg_chart import STYLE
from logops_fast.errors import OperatorError

_NO_SUCH = "There is no scenario of this name."


def build_library(services: Services) -> None:
    """Build the page of all scenarios."""
    with page("Scenarios", "/scenarios"), ui.element("div").classes("grid narrow"):
        for number, (name, scenario) in enumerate(services.scenarios.items()):
            html(_card(name, scenario, number), "article").classes("card scenario")


def build_editor(services: Services, name: str) -> None:
    """Build the form of one scenario."""
    scenario = services.scenarios.get(name)
    with page(name if scenario is not None else "No such scenario", "/scenarios"):
        if scenario is None:
            text(f"{_NO_SUCH} The library has: {', '.join(services.scenarios)}.")
            return
        ui.add_css(STYLE)
        _Editor(services, scenario)


class _Editor:
    """The form: what is typed goes into ``Edits``, and the profile is drawn again."""

    def __init__(self, services: Services, scenario: Scenario) -> None:
        self._services = services
        self._scenario = scenario
        self._edits = Edits.of(scenario)
        text(scenario.description)
        with ui.element("div").classes("card profile"):
            self._drawing = html("")
            self._words = text("").classes("quiet")
        with ui.element("form").classes("card") as form:
            heading("Change and run", 2)
            with ui.element("div").classes("row-of"):
                field(
                    "Duration in seconds",
                    f"{scenario.duration_sec:g}",
                    self._set_duration,
                    kind="number",
                    min="0.1",
                    step="any",
                )
                field("Seed (empty: random)", "", self._set_seed, inputmode="numeric")
            self._emitters()
            self._error = text("").classes("error").props("role=alert")
            with ui.element("div").classes("row-of"):
                with ui.element("button").classes("button main").props("type=submit"):
                    html("Run", "span")
                html('<a class="button" href="/scenarios">Back to the library</a>').style("display:contents")
        form.on("submit", self._run, js_handler="(e) => { e.preventDefault(); emit(); }")
        self._problems: dict[str, str] = {}
        self._draw()

    def _emitters(self) -> None:
        with ui.element("div").classes("table-box"), ui.element("table").classes("plain"):
            columns = ("on", "emitter", "EPS", "what", "batch")
            html("<tr>" + "".join(f"<th scope=col>{column}</th>" for column in columns) + "</tr>", "thead")
            with ui.element("tbody"):
                for plan in self._scenario.emitters:
                    self._emitter(plan.name, plan.kind, plan.eps, plan.batch_size)

    def _emitter(self, name: str, kind: str, eps: float, batch: int) -> None:
        edit = self._edits.emitters[name]

        def switch(on: bool) -> None:
            edit.on = on
            self._draw()

        def set_eps(typed: str) -> None:
            edit.eps = self._number(f"EPS of {name}", typed, edit.eps)
            self._draw()

        with ui.element("tr"):
            with ui.element("td"):
                checkbox(f"{name} takes part", True, switch)
            html(escape(name), "th").props("scope=row")
            with ui.element("td"):
                attributes = {"min": "0", "step": "any", "aria_label": f"EPS of {name}"}
                plain_input("number", f"{eps:g}", set_eps, **attributes)
            html(escape(kind), "td")
            html(f"{batch:,}", "td")

    def _set_duration(self, typed: str) -> None:
        self._edits.duration_sec = self._number("Duration", typed, self._edits.duration_sec)
        self._draw()

    def _set_seed(self, typed: str) -> None:
        self._problems.pop("Seed", None)
        try:
            self._edits.seed = seed_of(typed)
        except EditError as error:
            self._problems["Seed"] = str(error)
        self._draw()

    def _number(self, name: str, typed: str, before: float) -> float:
        """Return what was typed, or note the problem and return the value before."""
        self._problems.pop(name, None)
        try:
            return float(typed)
        except ValueError:
            self._problems[name] = f"{name}: expected a number, got {typed[:40]!r}."
            return before

    def _changed(self) -> Scenario:
        if self._problems:
            raise EditError(next(iter(self._problems.values())))
        return edited(self._scenario, self._edits)

    def _draw(self) -> None:
        try:
            scenario = self._changed()
        except EditError as error:
            set_text(self._error, str(error))
            return
        drawn = curve(scenario)
        self._drawing.content = chart(drawn).svg("profile")
        unheard = silent(scenario)
        note = f" Sends nothing: {', '.join(unheard)}." if unheard else ""
        set_text(self._words, f"{describe(drawn)}.{note}")
        set_text(self._error, "")

    def _run(self) -> None:
        try:
            self._services.orchestrator.start(self._changed(), self._edits.seed)
        except (EditError, RunError, OperatorError, OSError) as error:
            set_text(self._error, str(error))
        else:
            ui.navigate.to("/run")


def _card(name: str, scenario: Scenario, number: int) -> str:
    drawn = curve(scenario)
    emitters = ", ".join(plan.name for plan in scenario.emitters)
    title = escape(name)
    return (
        f"<h2>{title}</h2><p>{escape(scenario.description)}</p>"
        f'<div class="sparkline-box">{sparkline(drawn, f"profile-{number}")}</div>'
        f'<p class="quiet">{duration_text(scenario.duration_sec)}, peak {drawn.peak:,.0f} EPS, '
        f"{drawn.events:,.0f} events<br>{escape(emitters)}</p>"
        f'<p class="foot"><a class="button" href="/scenarios/{title}" aria-label="Edit and run {title}">'
        "Edit and run</a></p>"
    )

"""The console as a person sees it, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import Console
from tests.support.gateway import SECRET, request

pytestmark = [pytest.mark.process, pytest.mark.service, pytest.mark.slow]

FAR = 120_000.0  # ms: for a busy machine
PAGES = {
    "/": "Live",
    "/scenarios": "Scenarios",
    "/scenarios/long": "long",
    "/run": "Run",
    "/runs": "Past runs",
    "/runs/none.jsonl": "Report",
    "/scenarios/none": "No such scenario",
}


class Visit:
    """A page with everything that went wrong in it, and everything that the console sent to it."""

    def __init__(self, console: Console, page: Any) -> None:
        self.console = console
        self.page = page
        self.problems: list[str] = []
        self.received: list[str] = []
        page.set_default_timeout(FAR)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._said)
        page.on("request", self._asked)
        page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: self.received.append(str(frame))))

    def go(self, path: str) -> None:
        self.page.goto(self.console.base + path)
        self.page.get_by_role("heading", level=1).wait_for()

    def fits(self) -> None:
        """Wait until the page is no wider than the window: charts follow a new width a moment later."""
        self.until("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    def until(self, script: str, argument: Any = None) -> None:
        self.page.wait_for_function(script, arg=argument)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def _asked(self, asked: Any) -> None:
        if not asked.url.startswith((self.console.base, "data:")):
            self.problems.append(f"loads {asked.url}")


@pytest.fixture
def visitor(console: Console, chromium: Any) -> Iterator[Visit]:
    context = chromium.new_context(viewport={"width": 1440, "height": 800}, color_scheme="light")
    try:
        visitor = Visit(console, context.new_page())
        visitor.page.goto(console.address)
        assert visitor.page.url == f"{console.base}/"
        yield visitor
        assert visitor.problems == []
        assert SECRET not in "".join(visitor.received)
    finally:
        context.close()


def test_each_page_loads_fits_and_is_accessible(visitor: Visit, tmp_path: Path) -> None:
    page = visitor.page
    shots = []
    for path, title in PAGES.items():
        visitor.go(path)
        assert page.get_by_role("heading", level=1).all_inner_texts() == [title]
        assert page.title().endswith("LogOps console")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            # the theme is set once the page is connected
            visitor.until("scheme => document.body.classList.contains('body--' + scheme)", scheme)
            for width in (360, 1440):
                page.set_viewport_size({"width": width, "height": 800})
                visitor.fits()
                shots.append(tmp_path / f"{title}-{width}-{scheme}.png")
                page.screenshot(path=shots[-1], full_page=True)
            assert violations(page) == [], (path, scheme)
    assert len(shots) == 4 * len(PAGES)
    assert min(shot.stat().st_size for shot in shots) > 5_000


def violations(page: Any) -> list[str]:
    """What axe-core finds: names of controls, contrast, landmarks, headings, tables, ids (WCAG 2.1 A and AA)."""
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
    return [f"{rule['id']}: {rule['nodes'][0]['html'][:200]}" for rule in found.response["violations"]]


def test_without_a_token_a_browser_sees_a_sentence(console: Console, chromium: Any) -> None:
    context = chromium.new_context()
    page = context.new_page()
    answer = page.goto(console.base)
    assert answer.status == 401
    assert "Open the address that `logops console` printed" in page.inner_text("body")
    context.close()


def test_the_cookie_is_not_for_scripts_and_the_token_not_in_the_address(visitor: Visit) -> None:
    assert visitor.page.evaluate("document.cookie") == ""
    (cookie,) = visitor.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert "token" not in visitor.page.evaluate("location.href + document.referrer")


def test_a_scenario_is_edited_run_watched_stopped_and_reported(visitor: Visit) -> None:
    page = visitor.page
    visitor.go("/scenarios")
    page.get_by_role("link", name="Edit and run long").click()
    page.get_by_role("heading", name="long", level=1).wait_for()

    # The form: an impossible value is refused in words, a possible one is drawn.
    page.get_by_label("EPS of web").fill("-1")
    page.get_by_role("alert").filter(has_text="EPS of web: expected 0 to 10,000,000").wait_for()
    page.get_by_label("EPS of web").fill("100")
    page.get_by_label("csv takes part").uncheck()
    page.get_by_label("Duration in seconds").fill("1800")
    page.get_by_label("Seed").fill("7")
    said = "100 events a second at most, 180,000 events in 30 min."
    page.get_by_role("paragraph").filter(has_text=said).wait_for()
    assert page.get_by_label("EPS of web").input_value() == "100"  # what was typed stays
    page.get_by_role("button", name="Run").press("Enter")

    # The run: its chart moves.
    page.wait_for_url("**/run")
    chart = page.get_by_role("img", name=re.compile("After [1-9][0-9.]* of 1800 seconds: target 100"))
    chart.wait_for()
    words, drawing = chart.get_attribute("aria-label"), chart.inner_html()
    visitor.until(
        "([words, drawing]) => [...document.querySelectorAll('[role=img]')].some(e => "
        "e.ariaLabel.startsWith('Target and achieved') && e.ariaLabel !== words && e.innerHTML !== drawing)",
        [words, drawing],
    )
    assert page.get_by_text("Running", exact=True).is_visible()

    # There is one run at a time.
    other = page.context.new_page()
    other.set_default_timeout(FAR)
    other.goto(visitor.console.base + "/scenarios/quiet")
    other.get_by_role("button", name="Run").click()
    other.get_by_role("alert").filter(has_text="long is still running: stop it first").wait_for()
    other.close()

    page.get_by_role("button", name="Stop").click()
    page.get_by_text(re.compile(r"Stopped after [0-9.]+ s: [0-9,]+ of [0-9,]+ accepted")).wait_for()
    assert page.get_by_role("button", name="Stop").is_disabled()

    # The report, and its files.
    page.get_by_role("link", name="Show the report").click()
    page.get_by_role("img", name="Target and achieved rate").wait_for()
    assert violations(page) == []
    assert page.get_by_role("row", name=re.compile("^web ")).count() == 1
    cookie = visitor.console.cookie()
    files = {"Page (HTML)": b"<!doctype html>", "Telemetry (JSON lines)": b'{"event":"scenario.start"'}
    for link, beginning in files.items():
        path = page.get_by_role("link", name=link).get_attribute("href")
        answer = request(visitor.console.port, "GET", path, headers={"Cookie": cookie})
        assert answer.status == 200
        assert answer.body.startswith(beginning)
        assert SECRET.encode() not in answer.body
    assert b'"seed":7' in answer.body
    page.goto(visitor.console.base + page.get_by_role("link", name="Page (HTML)").get_attribute("href"))
    assert violations(page) == []

    # What was accepted is in the files of the gateway.
    accepted = sum(int(line.split(b'"accepted":')[1].split(b",")[0]) for line in answer.body.splitlines()[1:-1])
    assert accepted > 0
    assert sum(line.get("scenario_id") == "long" for line in visitor.console.gateway.stored()) == accepted


def test_past_runs_are_listed_and_two_are_compared(visitor: Visit) -> None:
    page = visitor.page
    for _ in range(2):
        visitor.go("/scenarios/quiet")
        page.get_by_label("Duration in seconds").fill("0.5")
        page.get_by_role("paragraph").filter(has_text="3 events in 0.5 s").wait_for()
        page.get_by_role("button", name="Run").click()
        page.wait_for_url("**/run")
        page.get_by_role("link", name="Show the report").wait_for()
    visitor.go("/runs")
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("alert").filter(has_text="Tick two runs to compare; 0 are ticked.").wait_for()
    for box in page.get_by_role("checkbox", name=re.compile("^compare quiet")).all()[:2]:
        box.check()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/compare/**")
    page.get_by_role("img", name="p95 of the latency, slowest emitter").wait_for()
    assert violations(page) == []
    assert page.get_by_role("row", name=re.compile("^scenario quiet quiet")).count() == 1


def test_the_live_page_shows_what_is_stored_with_filters_as_text(visitor: Visit) -> None:
    gateway = visitor.console.gateway
    events = [
        {"level": "ERROR", "msg": "<img src=x onerror=alert(1)> broke"},
        {"level": "DEBUG", "msg": "quiet words"},
        {"level": "WARN", "msg": "mail for ann@example.org"},
    ]
    assert gateway.send(events, headers={"X-Scenario-Id": "seen"}).status == 200
    page = visitor.page
    visitor.go("/")
    lines = page.get_by_role("list", name="Last stored lines")
    page.get_by_label("Text in any field").fill('scenario_id":"seen')
    visitor.until("document.querySelectorAll('.lines li').length === 3")
    assert "<img src=x onerror=alert(1)> broke" in lines.inner_text()
    assert page.locator(".lines img").count() == 0
    assert "a***@example.org" in lines.inner_text()  # masked when it was stored
    page.get_by_label("Level").select_option("ERROR")
    visitor.until("document.querySelectorAll('.lines li').length === 1")
    page.get_by_label("Emitter").fill("nobody")
    page.get_by_text("No line matches.").wait_for()

    # The figures move: a reading each second.
    chart = page.get_by_role("img", name=re.compile("Events a second over the last five minutes. Now: "))
    chart.wait_for()
    drawing = chart.inner_html()
    visitor.until(
        "drawing => [...document.querySelectorAll('[role=img]')].every(e => e.innerHTML !== drawing)", drawing
    )
    assert page.get_by_role("row", name="worker 0 ok ready").is_visible()
    assert gateway.send([], headers={"X-Scenario-Id": "seen"}).status == 422
    page.get_by_role("row", name=re.compile(r"^no_valid_events [1-9]")).wait_for()


def test_light_and_dark_are_switched_and_remembered(visitor: Visit) -> None:
    page = visitor.page
    visitor.go("/runs")
    visitor.until("document.body.classList.contains('body--light')")
    page.get_by_role("button", name="Light / dark").click()
    visitor.until("document.body.classList.contains('body--dark')")
    visitor.go("/scenarios")
    visitor.until("document.body.classList.contains('body--dark')")


def test_the_keyboard_reaches_everything(visitor: Visit) -> None:
    page = visitor.page
    visitor.go("/scenarios/long")
    visitor.until("document.querySelectorAll('input').length > 0")
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(e => e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText)(document.activeElement)"
            ).strip()
        )
    order = ["Skip to the content", "Live", "Scenarios", "Run", "Past runs", "Light / dark", "Target rate",
             "Duration in seconds", "Seed (empty: random)", "web takes part", "EPS of web", "csv takes part",
             "EPS of csv", "Run"]  # fmt: skip
    assert reached == order

"""What every page has: the style sheet, the navigation, the switch between light and dark; and small HTML helpers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from importlib import resources
from typing import Any, Final

from nicegui import ui

from logops_fast.console.live import Check

PAGES: Final = (("Live", "/"), ("Scenarios", "/scenarios"), ("Run", "/run"), ("Past runs", "/runs"))
THEME_COOKIE: Final = "logops_console_theme"
_THEMES: Final = {"dark": True, "light": False}
_SWITCH: Final = f"""() => {{
  const dark = !document.body.classList.contains('body--dark');
  document.cookie = `{THEME_COOKIE}=${{dark ? 'dark' : 'light'}}; path=/; max-age=31536000; samesite=strict`;
  setDark(dark);
}}"""

Handler = Callable[[], object]


@contextmanager
def page(title: str, current: str) -> Iterator[None]:
    """Build a page around what the ``with`` block adds; ``current`` is its entry in the navigation."""
    ui.page_title(f"{title} - LogOps console")
    ui.add_css(resources.files("logops_fast.console").joinpath("static/console.css").read_text(encoding="utf-8"))
    request = ui.context.client.request
    ui.dark_mode(_THEMES.get(request.cookies.get(THEME_COOKIE, "")) if request is not None else None)
    links = "".join(
        f'<a href="{path}"{" aria-current=page" if path == current else ""}>{name}</a>' for name, path in PAGES
    )
    with ui.header(fixed=False).classes("top"):
        html('<a class="skip" href="#content">Skip to the content</a>').style("display:contents")
        html(f'<span class="name">LogOps console</span><nav aria-label="Pages">{links}</nav>').style("display:contents")
        button("Light / dark", js=_SWITCH)
    with ui.element("div").classes("content").props("id=content tabindex=-1"):
        heading(title)
        yield


def html(content: str, tag: str = "div") -> ui.html:
    """Add HTML that this program made, with everything from outside escaped in it."""
    return ui.html(content, sanitize=False, tag=tag)


def heading(text: str, level: int = 1) -> None:
    """Add a heading."""
    html(escape(text), f"h{level}")


def text(content: str, tag: str = "p") -> ui.html:
    """Add a paragraph of plain text; :func:`set_text` changes it."""
    return html(escape(content), tag)


def set_text(element: ui.html, content: str) -> None:
    """Change the text of an element, if it is another one."""
    element.content = escape(content)


def button(label: str, on_click: Handler | None = None, *, kind: str = "", js: str | None = None) -> ui.element:
    """Add a button that calls ``on_click`` here, or ``js`` in the browser."""
    with ui.element("button").classes(f"button {kind}").props("type=button") as made:
        html(escape(label), "span")
    if js is not None:
        made.on("click", js_handler=js)
    elif on_click is not None:
        made.on("click", lambda _: on_click(), [])
    return made


def enable(element: ui.element, enabled: bool) -> None:
    """Let a control be used, or not."""
    element.props(remove="disabled") if enabled else element.props("disabled")


def field(
    label: str,
    value: str,
    on_change: Callable[[str], object],
    *,
    kind: str = "text",
    choices: Sequence[tuple[str, str]] = (),
    **attributes: str,
) -> ui.element:
    """Add a labelled input, or a select of ``choices`` (value, label); ``on_change`` gets each value that is typed."""
    with ui.element("label").classes("field"):
        html(escape(label), "span")
        if choices:
            with ui.element("select") as made:
                for choice, name in choices:
                    option = html(escape(name), "option").props(f'value="{escape(choice)}"')
                    if choice == value:
                        option.props("selected")
        else:
            made = plain_input(kind, value, on_change=None, **attributes)
    return _changing(made, on_change)


def plain_input(kind: str, value: str, on_change: Callable[[str], object] | None, **attributes: str) -> ui.element:
    """Add an input without a label of its own: give it an ``aria_label``."""
    made = ui.element("input")
    made.props["type"] = kind
    # "^": the attribute, which is where it begins; the property would put it back whenever the page is drawn again
    made.props["^value"] = value
    for name, given in attributes.items():
        made.props[name.replace("_", "-")] = given
    return made if on_change is None else _changing(made, on_change)


def checkbox(name: str, checked: bool, on_change: Callable[[bool], object]) -> ui.element:
    """Add a checkbox; ``name`` is read out, and not seen."""
    made = ui.element("input")
    made.props["type"] = "checkbox"
    made.props["aria-label"] = name
    if checked:
        made.props["^checked"] = "checked"
    made.on("change", lambda event: on_change(bool(event.args)), js_handler="(e) => emit(e.target.checked)")
    return made


def _changing(made: ui.element, on_change: Callable[[str], object]) -> ui.element:
    def changed(event: Any) -> None:
        on_change(str(event.args))

    made.on("input", changed, js_handler="(e) => emit(e.target.value)")
    return made


def chart(options: dict[str, Any], words: str) -> tuple[ui.echart, ui.element]:
    """Add a chart that is read out as ``words``; :func:`redraw` changes both."""
    # role=img: its parts say nothing to who does not see them
    with ui.element("div").props("role=img") as box:
        box.props["aria-label"] = words
        drawn = ui.echart(options, renderer="svg")
    return drawn, box


def redraw(made: tuple[ui.echart, ui.element], options: dict[str, Any], words: str) -> None:
    """Change a chart and its words."""
    drawn, box = made
    drawn.options.clear()
    drawn.options.update(options)
    drawn.update()
    box.props["aria-label"] = words
    box.update()


def latency_text(seconds: float | None) -> str:
    """Return a latency with few digits: ``1.23 ms``, ``45.6 ms``, ``990 ms``, ``2.5 s``; a dash if there is none."""
    if seconds is None:
        return "-"
    if seconds >= 0.9995:
        return f"{seconds:,.1f} s"
    ms = seconds * 1e3
    return f"{ms:.0f} ms" if ms >= 99.95 else f"{ms:.1f} ms" if ms >= 9.995 else f"{ms:.2f} ms"


def tiles(rows: Sequence[tuple[str, str, str, str]]) -> str:
    """Return numbers as HTML: name, value, note, and ``good``, ``bad`` or nothing."""
    found = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd class="{state}">{escape(value)}</dd>'
        f'<dd class="note">{escape(note)}</dd></div>'
        for name, value, note, state in rows
    )
    return f'<dl class="tiles">{found}</dl>'


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Return a table as HTML, its texts escaped; the columns ``numbers`` are aligned to the right."""

    def cells(values: Sequence[str], tag: str, extra: str = "") -> str:
        return "".join(
            f"<{tag}{extra}{' class=number' if number in numbers else ''}>{escape(value)}</{tag}>"
            for number, value in enumerate(values)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    head = f"<tr>{cells(columns, 'th', ' scope=col')}</tr>"
    return (
        f'<div class="table-box" tabindex="0" role="group" aria-label="{escape(columns[0])}">'
        f'<table class="plain"><thead>{head}</thead><tbody>{body}</tbody></table></div>'
    )


def health_table(checks: Sequence[Check]) -> str:
    """Return the lines of the health panel as HTML: the state in a word, not by colour alone."""
    words = {"good": "ok", "warn": "look", "bad": "failed", "off": "off"}
    rows = "".join(
        f'<tr><th scope=row>{escape(check.name)}</th><td><span class="state {check.state}">{words[check.state]}</span>'
        f"</td><td>{escape(check.text)}</td></tr>"
        for check in checks
    )
    return f'<div class="table-box"><table class="plain"><tbody>{rows}</tbody></table></div>'

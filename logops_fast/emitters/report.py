"""Reports of recorded runs, one or two side by side: as text, and as a page that needs nothing but a browser."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from logops_fast.emitters.record import Record
from logops_fast.emitters.svg_chart import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    RED,
    STYLE,
    Chart,
    Series,
    label,
    stairs,
)

COUNTS: Final = ("sent", "accepted", "rejected", "lost")
PERCENTILES: Final = ("p50", "p95", "p99")
REASON_COLOURS: Final = (RED, AMBER, PURPLE, BLUE, GREEN, GREY)
MAX_REASONS: Final = len(REASON_COLOURS) - 1  # the last colour is for all others together
NOTHING_REFUSED: Final = "nothing was refused"
LATENCY_FLOOR_MS: Final = 0.1
_PAIR: Final = ("A", "B")


def text(record: Record) -> str:
    """Return a few lines of text."""
    lines = [f"{record.name}: {record.start['ts_iso']}, {record.seconds:g} s"]
    totals = record.totals
    if not totals:
        return f"{lines[0]}\n  the run was cut off: it has no end"
    lines.append("  " + "  ".join(f"{key} {totals[key]:,}" for key in COUNTS))
    lines += [f"    {reason}: {events:,}" for reason, events in totals["refused"].items()]
    lines.append("  latency " + "  ".join(f"{name} {milliseconds(value)}" for name, value in totals["latency"].items()))
    verdict = slo_verdict(record)
    if verdict:
        lines.append(f"  {verdict}")
    lines += [f"  not as expected: {problem}" for problem in record.end.get("unmet", ())]
    return "\n".join(lines)


def compare(first: Record, second: Record) -> list[tuple[str, str, str, str]]:
    """Return rows of what is compared: its name, the value in each run, and the change in percent."""
    rows = [("scenario", first.name, second.name, ""), ("seconds", f"{first.seconds:g}", f"{second.seconds:g}", "")]
    rows += [
        (key, _whole(first.totals.get(key)), _whole(second.totals.get(key)), _change(first, second, key))
        for key in COUNTS
    ]
    rates = [_rate(first), _rate(second)]
    rows.append(("accepted a second", _whole(rates[0]), _whole(rates[1]), _percent(*rates)))
    for name in PERCENTILES:
        pair = [record.totals.get("latency", {}).get(name) for record in (first, second)]
        rows.append((name, milliseconds(pair[0]), milliseconds(pair[1]), _percent(*pair)))
    reasons = {reason: None for record in (first, second) for reason in record.totals.get("refused", {})}
    for reason in reasons:
        counts = [record.totals.get("refused", {}).get(reason, 0) for record in (first, second)]
        rows.append((reason, f"{counts[0]:,}", f"{counts[1]:,}", _percent(*counts)))
    return rows


def html(record: Record) -> str:
    """Return a self-contained page with the charts and the numbers."""
    unmet = "".join(f"<p class=bad>Not as expected: {escape(problem)}</p>" for problem in record.end.get("unmet", ()))
    verdict = slo_verdict(record)
    return _page(
        record.name,
        f"<p>{escape(str(record.start['ts_iso']))}, {record.start['duration_sec']:g} s, "
        f"seed {escape(str(record.start['seed']))}, {escape(str(record.start.get('url', '')))}</p>"
        f"{_cut_off(record)}{f'<p>{escape(verdict)}</p>' if verdict else ''}{unmet}"
        f"{charts(record)}{tables(record)}",
    )


def html_of_two(first: Record, second: Record) -> str:
    """Return a self-contained page that compares two runs."""
    return _page(f"{first.name} and {second.name}", body_of_two(first, second))


def body_of_two(first: Record, second: Record) -> str:
    """Return the comparison of two runs as a part of a page."""
    runs = "".join(
        f"<li><b>{letter}</b>: {escape(record.name)}, {escape(str(record.start['ts_iso']))}, "
        f"seed {escape(str(record.start['seed']))}{_cut_off(record)}</li>"
        for letter, record in zip(_PAIR, (first, second), strict=True)
    )
    rows = (
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(a)}</td><td>{escape(b)}</td><td>{escape(change)}</td></tr>"
        for name, a, b, change in compare(first, second)
    )
    table = f"{_head('compared', *_PAIR, 'change')}{''.join(rows)}</table></div>"
    return f'<ul>{runs}</ul><div class="charts">{_charts_of_two(first, second)}</div>{table}'


def charts(record: Record, key: str = "run") -> str:
    """Return the charts of one run as HTML: rate, latency, refusals. ``key`` makes their ids unique in a page."""
    drawn = (rate_chart(record), latency_chart(record), refusal_chart(record))
    return "".join(chart.svg(f"{key}-{number}") for number, chart in enumerate(drawn))


def rate_chart(record: Record) -> Chart:
    """Return the chart of target and achieved events a second."""
    accepted = [step.accepted for step in record.steps]
    target = [step.target for step in record.steps]
    return Chart(
        "Target and achieved rate",
        f"Events a second over {record.seconds:g} seconds: the target is {label(round(max(target)))} at most, "
        f"{label(round(max(accepted)))} were accepted at most.",
        record.seconds,
        (
            Series("accepted", stairs(record.edges, accepted), BLUE, "area"),
            Series("target", stairs(record.edges, target), GREY, "dashed"),
        ),
        "events a second",
    )


def latency_chart(record: Record) -> Chart:
    """Return the chart of latencies against the SLO, on a logarithmic axis."""
    # with few batches p95 and p99 are the same: the wider line stays visible below the other
    drawn = (("p99", AMBER, 4.0), ("p95", BLUE, 1.8), ("p50", GREEN, 1.4))
    worst = max((ms for _, ms in _in_ms(record, "p95")), default=None)
    limit = record.slo.p95 * 1e3
    return Chart(
        "Latency from the moment a batch was due, slowest emitter",
        f"Milliseconds, logarithmic. The SLO is a p95 under {limit:g} ms; "
        + ("nothing was answered." if worst is None else f"the highest p95 of a tick is {worst:,.1f} ms."),
        record.seconds,
        tuple(Series(name, _in_ms(record, name), colour, width=width) for name, colour, width in drawn),
        "ms, logarithmic",
        log=True,
        floor=LATENCY_FLOOR_MS,
        limit=(limit, f"SLO: p95 under {limit:g} ms"),
    )


def refusal_chart(record: Record) -> Chart:
    """Return the chart of what was refused or never answered, stacked by reason."""
    base = [0.0] * len(record.steps)
    series = []
    refusals = record.refusals(MAX_REASONS)
    for colour, (reason, rates) in zip(REASON_COLOURS, refusals.items(), strict=False):
        top = [low + rate for low, rate in zip(base, rates, strict=True)]
        series.append(Series(reason, stairs(record.edges, top), colour, "area", stairs(record.edges, base)))
        base = top
    said = f"Events a second by reason: {', '.join(refusals)}." if refusals else f"{NOTHING_REFUSED.capitalize()}."
    return Chart(
        "Refused or unanswered, by reason",
        said,
        record.seconds,
        series,
        "events a second",
        height=180,
        note="" if series else NOTHING_REFUSED,
    )


def tables(record: Record) -> str:
    """Return the numbers of each emitter, and the reasons of refusals, as HTML."""
    totals = record.totals
    if not totals:
        return ""
    rows = "".join(_emitter_row(emitter, one) for emitter, one in record.end.get("emitters", {}).items())
    found = f"{_head('emitter', *COUNTS, *PERCENTILES)}{rows}{_emitter_row('all', totals)}</table></div>"
    if totals["refused"]:
        refused = "".join(
            f"<tr><th scope=row>{escape(reason)}</th><td>{events:,}</td></tr>"
            for reason, events in totals["refused"].items()
        )
        found += f"{_head('refused', 'events')}{refused}</table></div>"
    return found


def slo_verdict(record: Record) -> str:
    """Return a sentence that compares p95 with the SLO; nothing if no batch was answered."""
    p95 = record.totals.get("latency", {}).get("p95")
    if p95 is None:
        return ""
    kept = "within" if p95 <= record.slo.p95 else "over"
    return f"p95 {milliseconds(p95)} is {kept} the SLO of {milliseconds(record.slo.p95)}"


def milliseconds(seconds: float | None) -> str:
    """Return a latency as text; a dash if there is none."""
    return "-" if seconds is None else f"{seconds * 1e3:,.1f} ms"


def _charts_of_two(first: Record, second: Record) -> str:
    runs = tuple(zip(_PAIR, (first, second), (BLUE, AMBER), strict=True))
    seconds = max(first.seconds, second.seconds)
    rates = [
        Series(f"{letter} accepted", stairs(run.edges, [step.accepted for step in run.steps]), colour, width=2.0)
        for letter, run, colour in runs
    ]
    targets = [
        Series(f"{letter} target", stairs(run.edges, [step.target for step in run.steps]), colour, "dashed", width=1.0)
        for letter, run, colour in runs
    ]
    limit = first.slo.p95 * 1e3
    drawn = (
        Chart(
            "Target and achieved rate",
            f"Events a second of both runs: {_peaks(first, second)}.",
            seconds,
            (*rates, *targets),
            "events a second",
        ),
        Chart(
            "p95 of the latency, slowest emitter",
            "Milliseconds, logarithmic, of both runs.",
            seconds,
            [Series(f"{letter} p95", _in_ms(run, "p95"), colour, width=2.0) for letter, run, colour in runs],
            "ms, logarithmic",
            log=True,
            floor=LATENCY_FLOOR_MS,
            limit=(limit, f"SLO: p95 under {limit:g} ms"),
        ),
        Chart(
            "Refused or unanswered",
            "Events a second of both runs.",
            seconds,
            [
                Series(f"{letter} refused", stairs(run.edges, [sum(s.refused.values()) for s in run.steps]), colour)
                for letter, run, colour in runs
            ],
            "events a second",
            height=180,
        ),
    )
    return "".join(chart.svg(f"two-{number}") for number, chart in enumerate(drawn))


def _peaks(first: Record, second: Record) -> str:
    return " and ".join(
        f"{letter} had {label(round(max(step.accepted for step in run.steps)))} accepted at most"
        for letter, run in zip(_PAIR, (first, second), strict=True)
    )


def _in_ms(record: Record, name: str) -> list[tuple[float, float]]:
    return [(at, max(LATENCY_FLOOR_MS, value * 1e3)) for at, value in record.latencies(name)]


def _cut_off(record: Record) -> str:
    return "" if record.totals else '<p class="bad">The run was cut off: it has no end.</p>'


def _head(*columns: str) -> str:
    cells = "".join(f"<th scope=col>{escape(column)}</th>" for column in columns)
    # scrolls by itself on a narrow screen; tabindex: with the keyboard, too
    name = escape(columns[0])
    return f'<div class="table" tabindex="0" role="group" aria-label="{name}"><table><tr>{cells}</tr>'


def _emitter_row(name: str, fields: dict[str, Any]) -> str:
    counts = "".join(f"<td>{fields[key]:,}</td>" for key in COUNTS)
    latency = "".join(f"<td>{milliseconds(fields['latency'][key])}</td>" for key in PERCENTILES)
    return f"<tr><th scope=row>{escape(name)}</th>{counts}{latency}</tr>"


def _rate(record: Record) -> float | None:
    accepted = record.totals.get("accepted")
    return None if accepted is None else float(accepted) / record.seconds


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _change(first: Record, second: Record, key: str) -> str:
    return _percent(first.totals.get(key), second.totals.get(key))


def _percent(before: float | None, after: float | None) -> str:
    if before is None or after is None or not before:
        return ""
    change = (after - before) / before * 100
    return "same" if abs(change) < 0.05 else f"{change:+,.1f}%"


def _page(title: str, body: str) -> str:
    name = escape(title)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{name} - LogOps scenario</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
body {{ color: #1d2125; background: #fff; }}
table {{ border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }}
.table {{ overflow-x: auto; }}
th, td {{ padding: .25rem .8rem; border-bottom: 1px solid #8884; text-align: right; white-space: nowrap; }}
th {{ font-weight: 400; }}
th[scope=col] {{ font-weight: 600; }}
th:first-child {{ text-align: left; }}
.bad {{ color: #b00020; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e4e7ea; background: #16191d; }} .bad {{ color: #ff8a80; }} }}
{STYLE}</style></head><body>
<main><h1>{name}</h1>
{body}
</main></body></html>
"""

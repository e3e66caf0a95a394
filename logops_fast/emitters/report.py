"""Reports of a run's telemetry: as text, as a self-contained page, as a picture.

The drawings are matplotlib's, which the optional extra ``report`` installs; the text needs nothing.
"""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import orjson

from logops_fast.config.errors import ConfigError
from logops_fast.config.slo import Slo, load_slo
from logops_fast.emitters.telemetry import END, START, TICK

MISSING: Final = (
    "a picture needs matplotlib, which is not installed: pip install 'logops-fast[report]' (or pip install matplotlib)"
)

# Colours that differ in brightness too, so that they can be told apart without seeing colour (Okabe and Ito).
_BLUE: Final = "#0072b2"
_ORANGE: Final = "#e69f00"
_GREEN: Final = "#009e73"
_RED: Final = "#d55e00"
_GREY: Final = "#767676"
_REASON_COLOURS: Final = (_RED, _ORANGE, "#cc79a7", "#56b4e9", "#f0e442", _GREY)
_MAX_REASONS: Final = len(_REASON_COLOURS) - 1  # the last colour is for all others together
_LATENCY_FLOOR_MS: Final = 0.1


@dataclass(slots=True)
class Step:
    """One tick of all emitters together. Rates are events a second; latencies in seconds, of the slowest emitter."""

    at: float
    lasted: float
    target: float = 0.0
    accepted: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    latency: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Record:
    """A recorded run. ``end`` is empty if the run was cut off."""

    start: dict[str, Any]
    steps: list[Step]
    end: dict[str, Any]
    slo: Slo

    @property
    def totals(self) -> dict[str, Any]:
        """The totals of all emitters."""
        found: dict[str, Any] = self.end.get("totals", {})
        return found

    @property
    def reasons(self) -> list[str]:
        """Reasons for which events were refused, the most frequent first."""
        summed: Counter[str] = Counter()
        for step in self.steps:
            summed.update(step.refused)
        return [reason for reason, _ in summed.most_common()]


def read(path: Path) -> Record:
    """Read telemetry. Raises ConfigError if it is none, OSError if it cannot be read."""
    start: dict[str, Any] = {}
    end: dict[str, Any] = {}
    steps: dict[int, Step] = {}
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = orjson.loads(line)
            if row["event"] == START:
                start, end, steps = row, {}, {}  # several runs in one file: the last one counts
            elif row["event"] == END:
                end = row
            elif row["event"] == TICK:
                _add(steps, row)
        except (ValueError, KeyError, TypeError, AttributeError):
            if number == len(lines):
                break  # the unfinished line of a killed run
            raise ConfigError("expected the telemetry of a run (--log-file)", f"{path}:{number}") from None
    if not start or not steps:
        raise ConfigError(f"{path}: holds no run; it is what `logops scenario run --log-file` writes")
    if start.get("dry_run"):
        raise ConfigError(f"{path}: is of a dry run, in which nothing was sent")
    return Record(start, [steps[number] for number in sorted(steps)], end, load_slo())


def _add(steps: dict[int, Step], row: dict[str, Any]) -> None:
    number, lasted = row["tick"], row["tick_sec"]
    step = steps.setdefault(number, Step(row["t_rel"], lasted))
    step.target += row["eff_eps"]
    step.accepted += row["accepted"] / lasted
    for reason, events in row["refused"].items():
        step.refused[reason] += events / lasted
    for name, value in row["latency"].items():
        if value is not None:
            step.latency[name] = max(value, step.latency.get(name, 0.0))


def text(record: Record) -> str:
    """Return a few lines of text."""
    lines = [f"{record.start['name']}: {record.start['ts_iso']}, {record.steps[-1].at + record.steps[-1].lasted:g} s"]
    totals = record.totals
    if not totals:
        return f"{lines[0]}\n  the run was cut off: it has no end"
    lines.append("  " + "  ".join(f"{key} {totals[key]:,}" for key in ("sent", "accepted", "rejected", "lost")))
    lines += [f"    {reason}: {events:,}" for reason, events in totals["refused"].items()]
    lines.append("  latency " + "  ".join(f"{name} {_ms(value)}" for name, value in totals["latency"].items()))
    verdict = _slo_verdict(record)
    if verdict:
        lines.append(f"  {verdict}")
    lines += [f"  not as expected: {problem}" for problem in record.end.get("unmet", ())]
    return "\n".join(lines)


def png(record: Record) -> bytes:
    """Return the picture. Raises ConfigError if matplotlib is missing."""
    return _draw(record, "png")


def html(record: Record) -> str:
    """Return a page with the picture and the numbers. Raises ConfigError if matplotlib is missing."""
    drawing = _draw(record, "svg").decode()
    drawing = drawing[drawing.index("<svg") :]  # without the XML declaration, which HTML does not allow
    totals = record.totals
    name = escape(str(record.start["name"]))
    rows = "".join(_emitter_row(emitter, one) for emitter, one in record.end.get("emitters", {}).items())
    refused = "".join(
        f"<tr><td>{escape(reason)}</td><td>{events:,}</td></tr>" for reason, events in totals.get("refused", {}).items()
    )
    unmet = "".join(f"<p class=bad>Not as expected: {escape(problem)}</p>" for problem in record.end.get("unmet", ()))
    verdict = _slo_verdict(record)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{name} - LogOps scenario</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
svg {{ width: 100%; height: auto; }}
table {{ border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: right; }}
th:first-child, td:first-child {{ text-align: left; }}
.bad {{ color: #b00020; }}
</style></head><body>
<h1>{name}</h1>
<p>{escape(str(record.start["ts_iso"]))}, {record.start["duration_sec"]:g} s, seed {escape(str(record.start["seed"]))},
{escape(str(record.start.get("url", "")))}</p>
{"" if totals else '<p class="bad">The run was cut off: it has no end.</p>'}
{f"<p>{escape(verdict)}</p>" if verdict else ""}{unmet}
{drawing}
<table><tr><th>emitter</th><th>sent</th><th>accepted</th><th>rejected</th><th>lost</th><th>p50</th><th>p95</th><th>p99</th></tr>
{rows}{_emitter_row("all", totals) if totals else ""}</table>
{f"<table><tr><th>refused</th><th>events</th></tr>{refused}</table>" if refused else ""}
</body></html>
"""


def _emitter_row(name: str, fields: dict[str, Any]) -> str:
    counts = "".join(f"<td>{fields[key]:,}</td>" for key in ("sent", "accepted", "rejected", "lost"))
    latency = "".join(f"<td>{_ms(value)}</td>" for value in fields["latency"].values())
    return f"<tr><td>{escape(name)}</td>{counts}{latency}</tr>"


def _slo_verdict(record: Record) -> str:
    p95 = record.totals.get("latency", {}).get("p95")
    if p95 is None:
        return ""
    kept = "within" if p95 <= record.slo.p95 else "over"
    return f"p95 {_ms(p95)} is {kept} the SLO of {_ms(record.slo.p95)}"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:,.1f} ms"


def _draw(record: Record, form: str) -> bytes:
    try:
        # not by an import statement: whether there are types for it depends on what is installed
        rc_context = import_module("matplotlib").rc_context
        figure_class = import_module("matplotlib.figure").Figure
    except ImportError:
        raise ConfigError(MISSING) from None
    settings = {
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.3,
        "svg.hashsalt": "logops",
    }
    with rc_context(settings):
        figure = figure_class(figsize=(11, 9.5), layout="constrained")
        rate, latency, refused = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
        edges = [step.at for step in record.steps]
        edges.append(record.steps[-1].at + record.steps[-1].lasted)
        _draw_rates(rate, record, edges)
        _draw_latency(latency, record)
        _draw_refusals(refused, record, edges)
        refused.set_xlabel("time since the start (s)")
        refused.set_xlim(0, edges[-1])
        figure.suptitle(f"{record.start['name']}, {record.start['ts_iso']}", fontweight="bold")
        out = io.BytesIO()
        figure.savefig(out, format=form, dpi=120, metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def _draw_rates(axes: Any, record: Record, edges: list[float]) -> None:
    axes.stairs([step.accepted for step in record.steps], edges, fill=True, color=_BLUE, alpha=0.35, label="accepted")
    axes.stairs([step.accepted for step in record.steps], edges, color=_BLUE, linewidth=1.2)
    axes.stairs(
        [step.target for step in record.steps], edges, color="#222222", linewidth=1.4, linestyle="--", label="target"
    )
    axes.set_ylabel("events a second")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(_thousands)
    axes.set_title("Target and achieved rate", loc="left", fontsize=11)
    _legend(axes)


def _draw_latency(axes: Any, record: Record) -> None:
    steps = [step for step in record.steps if step.latency]
    middle = [step.at + step.lasted / 2 for step in steps]
    # with few batches p95 and p99 are the same: the wider line stays visible below the other
    for name, colour, width in (("p99", _ORANGE, 4.0), ("p95", _BLUE, 1.8), ("p50", _GREEN, 1.2)):
        values = [max(_LATENCY_FLOOR_MS, step.latency[name] * 1e3) for step in steps]
        axes.plot(middle, values, color=colour, linewidth=width, marker="." if len(steps) < 120 else "", label=name)
    threshold = record.slo.p95 * 1e3
    axes.axhline(threshold, color=_RED, linestyle="--", linewidth=1.4, label=f"SLO: p95 under {threshold:g} ms")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(_plain)
    axes.set_ylabel("latency (ms, log)")
    axes.set_title("Latency from the moment a batch was due, slowest emitter", loc="left", fontsize=11)
    _legend(axes)


def _draw_refusals(axes: Any, record: Record, edges: list[float]) -> None:
    axes.set_ylabel("events a second")
    axes.set_title("Refused or unanswered, by reason", loc="left", fontsize=11)
    axes.yaxis.set_major_formatter(_thousands)
    reasons = record.reasons
    if not reasons:
        axes.set_ylim(0, 1)
        axes.set_yticks([0])
        axes.text(0.5, 0.5, "nothing was refused", transform=axes.transAxes, ha="center", va="center", color=_GREY)
        return
    series: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(record.steps))
    for number, step in enumerate(record.steps):
        for reason, rate in step.refused.items():
            series[reason if reason in reasons[:_MAX_REASONS] else "others"][number] += rate
    base = [0.0] * len(record.steps)
    for colour, (reason, rates) in zip(
        _REASON_COLOURS, sorted(series.items(), key=lambda item: -sum(item[1])), strict=False
    ):
        top = [low + rate for low, rate in zip(base, rates, strict=True)]
        axes.stairs(top, edges, baseline=base, fill=True, color=colour, label=reason)
        base = top
    axes.set_ylim(bottom=0)
    _legend(axes)


def _legend(axes: Any) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, borderaxespad=0.3)


def _thousands(value: float, _: int) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _plain(value: float, _: int) -> str:
    return f"{value:g}"

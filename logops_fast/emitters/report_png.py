"""Reports of recorded runs as a picture. It is drawn by matplotlib, which the optional extra ``report`` installs."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any, Final

from logops_fast.config.errors import ConfigError
from logops_fast.emitters.record import Record
from logops_fast.emitters.report import LATENCY_FLOOR_MS, MAX_REASONS, NOTHING_REFUSED, REASON_COLOURS
from logops_fast.emitters.svg_chart import AMBER, BLUE, GREEN, GREY, RED, label

MISSING: Final = (
    "a picture needs matplotlib, which is not installed: pip install 'logops-fast[report]' (--html needs nothing)"
)
_MOST_MINOR_LABELS: Final = 1000.0  # of a latency axis: highest by lowest; above it powers of ten are enough
_SETTINGS: Final = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


def png(record: Record, other: Record | None = None) -> bytes:
    """Return the picture of a run, or of two side by side. Raises ConfigError if matplotlib is missing."""
    try:
        # not by an import statement: whether there are types for it depends on what is installed
        matplotlib = import_module("matplotlib")
        ticker = import_module("matplotlib.ticker")
        figure_class = import_module("matplotlib.figure").Figure
    except ImportError:
        raise ConfigError(MISSING) from None
    with matplotlib.rc_context(_SETTINGS):
        figure = figure_class(figsize=(11, 9.5), layout="constrained")
        axes = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
        runs = (record,) if other is None else (record, other)
        if other is None:
            _rates(axes[0], record)
            _latency(axes[1], record)
            _refusals(axes[2], record)
        else:
            _two(axes, runs)
        rate, latency, refused = axes
        for one in (rate, refused):
            one.set_ylabel("events a second")
            one.set_ylim(bottom=0)
            one.yaxis.set_major_formatter(_as_label)
        _log_axis(latency, ticker)
        refused.set_xlabel("seconds since the start")
        refused.set_xlim(0, max(run.seconds for run in runs))
        for one in axes:
            if one.get_legend_handles_labels()[0]:
                one.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, borderaxespad=0.3)
        figure.suptitle(" and ".join(f"{run.name}, {run.start['ts_iso']}" for run in runs), fontweight="bold")
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=120)
    return out.getvalue()


def _rates(axes: Any, record: Record) -> None:
    accepted = [step.accepted for step in record.steps]
    axes.stairs(accepted, record.edges, fill=True, color=BLUE, alpha=0.35, label="accepted")
    axes.stairs(accepted, record.edges, color=BLUE, linewidth=1.2)
    target = [step.target for step in record.steps]
    axes.stairs(target, record.edges, color="#222222", linewidth=1.4, linestyle="--", label="target")
    axes.set_title("Target and achieved rate", loc="left", fontsize=11)


def _latency(axes: Any, record: Record) -> None:
    # with few batches p95 and p99 are the same: the wider line stays visible below the other
    for name, colour, width in (("p99", AMBER, 4.0), ("p95", BLUE, 1.8), ("p50", GREEN, 1.2)):
        _percentile(axes, record, name, colour, width, name)
    _slo(axes, record)
    axes.set_title("Latency from the moment a batch was due, slowest emitter", loc="left", fontsize=11)


def _percentile(axes: Any, record: Record, name: str, colour: str, width: float, legend: str) -> None:
    points = record.latencies(name)
    marker = "." if len(points) < 120 else ""
    values = [max(LATENCY_FLOOR_MS, value * 1e3) for _, value in points]
    axes.plot([at for at, _ in points], values, color=colour, linewidth=width, marker=marker, label=legend)


def _slo(axes: Any, record: Record) -> None:
    limit = record.slo.p95 * 1e3
    axes.axhline(limit, color=RED, linestyle="--", linewidth=1.4, label=f"SLO: p95 under {limit:g} ms")


def _refusals(axes: Any, record: Record) -> None:
    axes.set_title("Refused or unanswered, by reason", loc="left", fontsize=11)
    refusals = record.refusals(MAX_REASONS)
    if not refusals:
        axes.set_ylim(0, 1)
        axes.set_yticks([0])
        axes.text(0.5, 0.5, NOTHING_REFUSED, transform=axes.transAxes, ha="center", va="center", color=GREY)
        return
    base = [0.0] * len(record.steps)
    for colour, (reason, rates) in zip(REASON_COLOURS, refusals.items(), strict=False):
        top = [low + rate for low, rate in zip(base, rates, strict=True)]
        axes.stairs(top, record.edges, baseline=base, fill=True, color=colour, label=reason)
        base = top


def _two(axes: Any, runs: tuple[Record, ...]) -> None:
    rate, latency, refused = axes
    for letter, run, colour in zip("AB", runs, (BLUE, AMBER), strict=True):
        rate.stairs([s.accepted for s in run.steps], run.edges, color=colour, linewidth=1.6, label=f"{letter} accepted")
        target = [step.target for step in run.steps]
        rate.stairs(target, run.edges, color=colour, linewidth=1.0, linestyle="--", label=f"{letter} target")
        _percentile(latency, run, "p95", colour, 1.8, f"{letter} p95")
        rates = [sum(step.refused.values()) for step in run.steps]
        refused.stairs(rates, run.edges, color=colour, linewidth=1.6, label=f"{letter} refused")
    _slo(latency, runs[0])
    rate.set_title("Target and achieved rate", loc="left", fontsize=11)
    latency.set_title("p95 of the latency, slowest emitter", loc="left", fontsize=11)
    refused.set_title("Refused or unanswered", loc="left", fontsize=11)


def _log_axis(axes: Any, ticker: Any) -> None:
    axes.set_yscale("log")
    axes.set_ylabel("ms, logarithmic")
    axes.yaxis.set_major_formatter(_as_label)
    low, high = axes.get_ylim()
    # matplotlib labels a narrow axis 6x10^2: round values in plain numbers instead
    axes.yaxis.set_minor_locator(ticker.LogLocator(subs=(2.0, 5.0)))
    axes.yaxis.set_minor_formatter(_as_label if high / low <= _MOST_MINOR_LABELS else ticker.NullFormatter())


def _as_label(value: float, _: int) -> str:
    return label(value)

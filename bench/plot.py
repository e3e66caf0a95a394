"""The picture of a sweep: latency and throughput against what was offered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench import report
from bench.step import Step

PERCENTILES = (("p50", "p50", "#7fb3d5"), ("p95", "p95", "#2874a6"), ("p99", "p99", "#1b2631"))
KNEE = "#1e8449"
LIMIT = "#c0392b"


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the PNG: above, batch latency with the SLO's line; below, achieved EPS and the CPU it took."""
    slo, knee = report.slo_of(results), results["knee_eps"]
    best: dict[float | None, Step] = {}
    for done in report.steps_of(results):  # of several tries the undisturbed one that held, if there is one
        known = best.get(done.offered_eps)
        if known is None or (done.disturbed, bool(done.faults(slo))) < (known.disturbed, bool(known.faults(slo))):
            best[done.offered_eps] = done
    steps = sorted(best.values(), key=lambda done: done.offered_eps or 0.0)
    offered = [done.offered_eps or 0.0 for done in steps]

    figure = Figure(figsize=(8, 6.4), dpi=110, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for name, label, colour in PERCENTILES:
        upper.plot(offered, [getattr(done, name) * 1e3 for done in steps], "o-", ms=4, label=label, color=colour)
    gateway = [(done.offered_eps, done.p95_gateway * 1e3) for done in steps if done.p95_gateway is not None]
    if gateway:
        upper.plot(*zip(*gateway, strict=True), "--", lw=1, color="#2874a6", label="p95 by the gateway's histogram")
    upper.axhline(slo.p95 * 1e3, color=LIMIT, lw=1.2, label=f"SLO: p95 under {slo.p95 * 1e3:.0f} ms")
    upper.set_yscale("log")
    worst = max(slo.p95, *(done.p99 for done in steps))
    upper.set_ylim(top=worst * 1e3 * 12)  # room for the legend
    upper.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    upper.set_ylabel("batch latency, ms (from when it was due)")
    upper.set_title(f"LogOps Fast, {report.title(results)}", fontsize=10)

    lower.plot(offered, offered, ":", color="grey", lw=1, label="as offered")
    lower.plot(offered, [done.achieved_eps for done in steps], "o-", ms=4, color="#2874a6", label="achieved")
    lower.set_ylabel("events a second, stored")
    lower.set_xlabel("offered events a second")
    thousands = FuncFormatter(lambda value, _: f"{value / 1e3:,.0f}k")
    lower.xaxis.set_major_formatter(thousands)
    lower.yaxis.set_major_formatter(thousands)
    lower.set_ylim(0, 1.25 * max(done.achieved_eps for done in steps))
    shares = [(done.offered_eps, done.core_share) for done in steps if done.core_share is not None]
    if shares:
        cores = lower.twinx()
        cores.plot(*zip(*shares, strict=True), "--", lw=1, color="#ca6f1e", label="CPU of the gateway, cores (right)")
        cores.set_ylabel("cores")
        cores.set_ylim(0, 1.25 * max(share for _, share in shares))
        handles, labels = (
            a + b for a, b in zip(lower.get_legend_handles_labels(), cores.get_legend_handles_labels(), strict=True)
        )
    else:
        handles, labels = lower.get_legend_handles_labels()
    for axes in (upper, lower):
        axes.grid(True, which="major", alpha=0.3)
        if knee:
            axes.axvline(knee, color=KNEE, lw=1.2, ls="-.")
    if knee:
        upper.annotate(
            f"knee\n{knee / 1e3:,.0f}k EPS", (knee, 0.03), xycoords=("data", "axes fraction"), ha="right", va="bottom",
            xytext=(-6, 0), textcoords="offset points", color=KNEE, fontweight="bold",
        )  # fmt: skip
    upper.legend(loc="upper left", fontsize=8, ncols=2)
    lower.legend(handles, labels, loc="upper left", fontsize=8)
    machine = results["machine"]
    figure.supxlabel(
        f"{machine['cpu']}, {machine['cores']} cores; commit {machine['commit']}", fontsize=7, color="grey"
    )
    figure.savefig(path)

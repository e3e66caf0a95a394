"""The options of the live charts, for ECharts. Pure.

Texts get their colour from the style sheet, so that a chart need not know whether the page is light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from logops_fast.config.slo import Slo
from logops_fast.console.live import Moment
from logops_fast.console.run_state import RunState
from logops_fast.emitters.svg_chart import AMBER, BLUE, GREEN, GREY, RED

Options = dict[str, Any]
FLOOR_MS: Final = 0.1
_GRID_LINE: Final = "rgba(128,128,128,.28)"


def rates(history: Sequence[Moment | None]) -> Options:
    """Return the chart of offered, accepted and stored events a second."""
    # In this order, so that where all is stored its line is the one that is seen.
    drawn = (("offered", GREY, "dashed", 2.5), ("accepted", AMBER, "solid", 2.5), ("stored", BLUE, "solid", 1.6))
    series = [_line(name, _points(history, name), colour, style, width) for name, colour, style, width in drawn]
    series[-1]["areaStyle"] = {"opacity": 0.15}
    return _chart(series, {"type": "time"}, {"type": "value", "min": 0, "minInterval": 1})


def latency(history: Sequence[Moment | None], slo: Slo) -> Options:
    """Return the chart of percentiles in ms, on a logarithmic axis with the SLO as a line."""
    limit = slo.p95 * 1e3
    series = [
        _line(name, _points(history, name, 1e3), colour, "solid", width)
        for name, colour, width in (("p99", AMBER, 3.5), ("p95", BLUE, 1.8), ("p50", GREEN, 1.4))
    ]
    values = [point[1] for one in series for point in one["data"] if point[1] is not None]
    ends = [[point[0], limit] for point in (series[0]["data"][:1] + series[0]["data"][-1:])]
    series.append(_line(f"SLO: p95 under {limit:g} ms", ends, RED, "dashed", 1.6))
    low = 10.0 ** math.floor(math.log10(max(FLOOR_MS, min([*values, limit / 10]))))
    high = 10.0 ** math.ceil(math.log10(max(limit * 1.2, max(values, default=limit))))
    return _chart(series, {"type": "time"}, {"type": "log", "min": low, "max": high})


def run(state: RunState) -> Options:
    """Return the chart of a run: its target over the whole time, and what was achieved so far."""
    target = _line("target", [list(point) for point in state.curve.points], GREY, "dashed", 2.0)
    achieved = _line("achieved", _steps(state.points), BLUE, "solid", 1.8)
    achieved["areaStyle"] = {"opacity": 0.2}
    duration = state.curve.duration
    axis = {"type": "value", "min": 0, "max": duration, "name": "seconds", "nameLocation": "middle", "nameGap": 26}
    return _chart([target, achieved], axis, {"type": "value", "min": 0, "minInterval": 1})


def describe_rates(now: Moment | None) -> str:
    """Return the chart of rates in words."""
    if now is None:
        return "Events a second over the last five minutes: no reading yet."
    return (
        f"Events a second over the last five minutes. Now: {now.offered:,.0f} offered, {now.accepted:,.0f} accepted, "
        f"{now.stored:,.0f} stored."
    )


def describe_latency(now: Moment | None, slo: Slo) -> str:
    """Return the chart of latencies in words."""
    goal = f"Latency of batches in milliseconds, logarithmic; the SLO is a p95 under {slo.p95 * 1e3:g} ms."
    if now is None or now.p50 is None or now.p95 is None or now.p99 is None:
        return f"{goal} Nothing was answered in the last seconds."
    return f"{goal} Now: p50 {now.p50 * 1e3:.1f}, p95 {now.p95 * 1e3:.1f}, p99 {now.p99 * 1e3:.1f}."


def describe_run(state: RunState) -> str:
    """Return the chart of a run in words."""
    if state.progress is None:
        return "Target and achieved events a second: the first tick is not over yet."
    now = state.progress
    return (
        f"Target and achieved events a second. After {now.elapsed:g} of {now.duration:g} seconds: "
        f"target {now.target_eps:,.0f}, achieved {now.achieved_eps:,.0f}."
    )


def _points(history: Sequence[Moment | None], name: str, scale: float = 1.0) -> list[list[float | None]]:
    """Return (epoch ms, value) for each reading; a gap is a point without a value, which ends the line."""
    found: list[list[float | None]] = []
    at = 0.0
    for one in history:
        value = None if one is None else getattr(one, name)
        at = at if one is None else one.at
        found.append([round(at * 1e3), None if value is None else round(value * scale, 3)])
    return found


def _steps(points: Sequence[tuple[float, float, float]]) -> list[list[float]]:
    found: list[list[float]] = []
    begin = 0.0
    for end, _, achieved in points:
        found += [[begin, round(achieved, 1)], [end, round(achieved, 1)]]
        begin = end
    return found


def _line(name: str, data: Sequence[Sequence[float | None]], colour: str, style: str, width: float) -> Options:
    return {
        "name": name,
        "type": "line",
        "data": data,
        "showSymbol": False,
        "color": colour,
        "lineStyle": {"width": width, "type": style},
        "emphasis": {"disabled": True},
    }


def _chart(series: list[Options], x: Options, y: Options) -> Options:
    split = {"splitLine": {"show": True, "lineStyle": {"color": _GRID_LINE}}}
    return {
        "animation": False,  # a chart that moves each second, and nobody who asked for less motion is bothered
        "grid": {"left": 8, "right": 18, "top": 40, "bottom": 34 if "name" in x else 8, "containLabel": True},
        "legend": {"top": 0, "left": 0, "itemWidth": 22, "itemHeight": 8, "icon": "rect"},
        "tooltip": {"trigger": "axis", "className": "chart-tip", "confine": True},
        "xAxis": {**x, "splitLine": {"show": False}, "axisLabel": {"hideOverlap": True}},
        "yAxis": {**y, **split},
        "series": series,
    }

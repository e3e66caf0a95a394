"""Charts as inline SVG, for pages that load nothing: axes with readable labels, a title and a description. Pure.

Text has the colour of the page around it, and the colours of ``PALETTE`` can be seen on white and on black: a page
shows the same chart on a light and on a dark background.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

Points = Sequence[tuple[float, float]]
Style = Literal["line", "dashed", "area"]

# They differ in brightness too, for people who do not see the colours (after Okabe and Ito); each has a
# contrast of 3:1 or more on white and on #16191d (WCAG 1.4.11).
PALETTE: Final = ("#1f78c8", "#b57900", "#009e73", "#d55e00", "#b0609a", "#7b8288")
BLUE, AMBER, GREEN, RED, PURPLE, GREY = PALETTE

WIDTH: Final = 860
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 10, 40
_ROOM: Final = 1.05  # above the largest value
_TICKS: Final = 5
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_KILO: Final = 10_000  # from here on a label is 10k, not 10,000


@dataclass(frozen=True, slots=True)
class Series:
    """A named row of points (x, y), drawn in a colour as a line, a dashed line, or an area down to ``base``."""

    name: str
    points: Points
    colour: str
    style: Style = "line"
    base: Points = ()
    width: float = 1.6


def stairs(edges: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    """Return the outline of steps: ``values[i]`` from ``edges[i]`` to ``edges[i + 1]``."""
    return [(x, value) for left, right, value in zip(edges, edges[1:], values, strict=False) for x in (left, right)]


def label(value: float) -> str:
    """Return a number as an axis has it: ``0.5``, ``2,500``, ``12.5k``, ``3M``."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.10g}M"
    if size >= _KILO:
        return f"{value / 1e3:.10g}k"
    return f"{value:,.0f}" if value == int(value) else f"{value:.10g}"


def linear_ticks(top: float, count: int = _TICKS) -> list[float]:
    """Return about ``count`` round values from 0 to ``top`` or just below it."""
    if top <= 0:
        return [0.0]
    rough = top / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough * (1 - 1e-9))
    return [number * step for number in range(math.floor(top / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return the powers of ten from ``low`` to ``high``; in a narrow range also their double and fivefold."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low <= 1000 else (1,)
    values = [factor * 10.0**power for power in powers for factor in factors]
    return [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart over ``x_max`` seconds. ``describe`` says in words what it shows; ``note`` stands where nothing is drawn.

    ``limit`` is a line across the chart, with its name. ``floor`` is the smallest value of a logarithmic axis.
    """

    title: str
    describe: str
    x_max: float
    series: Sequence[Series]
    unit: str
    height: int = 250
    log: bool = False
    floor: float = 0.1
    limit: tuple[float, str] | None = None
    note: str = ""

    def svg(self, key: str) -> str:
        """Return the ``<figure>`` with the chart and its legend; ``key`` makes its ids unique in the page."""
        return "".join(self._figure(key))

    def _figure(self, key: str) -> Iterator[str]:
        bottom = self.height - _BOTTOM
        low, high = self._range()
        yield f'<figure class="chart"><figcaption>{escape(self.title)}</figcaption>'
        # a narrow screen scrolls the chart rather than shrink its labels; tabindex: with the keyboard, too
        yield f'<div class="chart-scroll" tabindex="0" role="group" aria-label="{escape(self.title)}">'
        yield f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img" aria-labelledby="{key}-t {key}-d">'
        yield f'<title id="{key}-t">{escape(self.title)}</title><desc id="{key}-d">{escape(self.describe)}</desc>'
        for value in self._y_ticks(low, high):
            y = _n(self._y(value, low, high))
            yield f'<path class="grid" d="M{_LEFT} {y}H{WIDTH - _RIGHT}"/>'
            yield f'<text x="{_LEFT - 8}" y="{y}" dy="4" text-anchor="end">{label(value)}</text>'
        for value in linear_ticks(self.x_max, 8):
            x = _n(self._x(value))
            yield f'<path class="tick" d="M{x} {bottom}v5"/>'
            yield f'<text x="{x}" y="{bottom + 19}" text-anchor="middle">{label(value)}</text>'
        yield f'<path class="axis" d="M{_LEFT} {bottom}H{WIDTH - _RIGHT}"/>'
        yield f'<text x="{WIDTH - _RIGHT}" y="{self.height - 4}" text-anchor="end">seconds since the start</text>'
        yield (
            f'<text transform="rotate(-90)" x="{-(_TOP + bottom) // 2}" y="13" text-anchor="middle">'
            f"{escape(self.unit)}</text>"
        )
        for one in self.series:
            yield self._drawn(one, low, high)
        if self.limit is not None:
            y = _n(self._y(self.limit[0], low, high))
            yield f'<path class="limit" d="M{_LEFT} {y}H{WIDTH - _RIGHT}" style="stroke:{RED}"/>'
        if self.note:
            yield f'<text x="{(WIDTH + _LEFT) // 2}" y="{bottom // 2}" text-anchor="middle">{escape(self.note)}</text>'
        yield "</svg></div>"
        yield from self._legend()
        yield "</figure>"

    def _legend(self) -> Iterator[str]:
        named = [(one.name, one.colour, one.style) for one in self.series]
        if self.limit is not None:
            named.append((self.limit[1], RED, "dashed"))
        if not named:
            return
        yield '<ul class="legend">'
        for name, colour, style in named:
            mark = "border-top-style:dashed" if style == "dashed" else ""
            yield f'<li><i style="border-color:{colour};{mark}" class="{style}"></i>{escape(name)}</li>'
        yield "</ul>"

    def _range(self) -> tuple[float, float]:
        values = [y for one in self.series for _, y in one.points]
        if self.limit is not None:
            values.append(self.limit[0])
        top = max(values, default=0.0)
        if not self.log:
            return 0.0, top * _ROOM or 1.0
        low = max(self.floor, min((value for value in values if value > 0), default=self.floor))
        return 10.0 ** math.floor(math.log10(low)), max(top, low * 10.0) * 1.2

    def _y_ticks(self, low: float, high: float) -> list[float]:
        if self.log:
            return log_ticks(low, high)
        return linear_ticks(high) if self.series or self.limit else [0.0]

    def _x(self, x: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * x / (self.x_max or 1.0)

    def _y(self, y: float, low: float, high: float) -> float:
        share = math.log(max(y, low) / low) / math.log(high / low) if self.log else y / high
        return self.height - _BOTTOM - share * (self.height - _BOTTOM - _TOP)

    def _drawn(self, one: Series, low: float, high: float) -> str:
        if not one.points:
            return ""
        path = self._path(one.points, low, high)
        if one.style == "area":
            base = one.base or [(one.points[0][0], low), (one.points[-1][0], low)]
            back = self._path(list(reversed(base)), low, high).replace("M", "L", 1)
            return f'<path d="{path}{back}Z" style="fill:{one.colour};fill-opacity:.32;stroke:{one.colour}"/>'
        dash = "6 4" if one.style == "dashed" else "none"
        if len(one.points) == 1:  # a line of one point is invisible
            x, y = one.points[0]
            at = f'cx="{_n(self._x(x))}" cy="{_n(self._y(y, low, high))}"'
            return f'<circle {at} r="3" style="fill:{one.colour}"/>'
        style = f"stroke:{one.colour};stroke-width:{one.width};stroke-dasharray:{dash}"
        return f'<path d="{path}" style="{style}"/>'

    def _path(self, points: Points, low: float, high: float) -> str:
        return "M" + "L".join(f"{_n(self._x(x))} {_n(self._y(y, low, high))}" for x, y in points)


STYLE: Final = """
.chart { margin: 1.25rem 0; }
.chart figcaption { font-weight: 600; margin-bottom: .25rem; }
.chart-scroll { overflow-x: auto; }
.chart svg { display: block; width: 100%; min-width: 34rem; height: auto; font: 12px system-ui, sans-serif; }
.chart text { fill: currentColor; }
.chart path { fill: none; stroke-width: 1.2; stroke-linejoin: round; }
.chart .grid { stroke: currentColor; stroke-opacity: .15; }
.chart .axis, .chart .tick { stroke: currentColor; stroke-opacity: .5; }
.chart .limit { stroke-dasharray: 7 5; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; margin: .2rem 0 0; padding: 0; }
.legend li { font-size: .875rem; }
.legend i { display: inline-block; width: 1.4rem; margin-right: .4rem; border-top: 3px solid; vertical-align: middle; }
.legend i.area { border-top-width: 9px; opacity: .65; }
"""
"""The style sheet of the charts."""


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

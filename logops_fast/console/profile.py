"""The target rate of a scenario over its duration, as points to draw. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from itertools import pairwise
from typing import Final, NamedTuple

from logops_fast.emitters.scenario import Scenario
from logops_fast.emitters.schedule import Profile
from logops_fast.emitters.svg_chart import BLUE, Chart, Series

MAX_BURSTS: Final = 150
"""Bursts of an emitter that are drawn one by one; more of them are narrower than a pixel, and drawn by their mean."""
_WIDTH, _HEIGHT = 300, 72
_ROOM: Final = 1.08


class Curve(NamedTuple):
    """Events a second over time: points (second, rate) joined by straight lines; a jump is two points at a second."""

    points: Sequence[tuple[float, float]] = ()
    duration: float = 0.0

    @property
    def peak(self) -> float:
        """The highest rate of all points."""
        return max((rate for _, rate in self.points), default=0.0)

    @property
    def events(self) -> float:
        """The number of events: the area below the curve."""
        return sum((right - left) * (low + high) / 2 for (left, low), (right, high) in pairwise(self.points))


def curve(scenario: Scenario) -> Curve:
    """Return the target rate of all emitters together, without jitter."""
    profiles = [_drawable(scenario.profile(plan)) for plan in scenario.emitters]
    duration = scenario.duration_sec
    edges = sorted({0.0, duration, *(edge for profile in profiles for edge in profile.edges() if edge <= duration)})
    points: list[tuple[float, float]] = []
    for left, right in pairwise(edges):
        # Linear in between, so two values inside give those at its ends, on this side of a jump.
        quarter = (right - left) / 4
        low = sum(profile.base_eps(left + quarter) for profile in profiles)
        high = sum(profile.base_eps(right - quarter) for profile in profiles)
        slope = (high - low) / 2
        points += [(left, max(0.0, low - slope)), (right, max(0.0, high + slope))]
    return Curve(points, duration)


def _drawable(profile: Profile) -> Profile:
    bursts = profile.bursts
    if bursts is None or (profile.stop - profile.start) / bursts.every_sec <= MAX_BURSTS:
        return profile
    mean = 1.0 + (bursts.factor - 1.0) * bursts.length_sec / bursts.every_sec
    return replace(profile, eps=profile.eps * mean, bursts=None)


def describe(drawn: Curve) -> str:
    """Return the curve in words, for those who do not see it."""
    return (
        f"{round(drawn.peak):,} events a second at most, {round(drawn.events):,} events "
        f"in {duration_text(drawn.duration)}"
    )


def duration_text(seconds: float) -> str:
    """Return a duration as people say it: ``45 s``, ``1 min 30 s``, ``1 h``."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours:.0f} h"] if hours else []
    parts += [f"{minutes:.0f} min"] if minutes else []
    parts += [f"{rest:g} s"] if rest or not parts else []
    return " ".join(parts)


def chart(drawn: Curve) -> Chart:
    """Return the curve as a chart with axes."""
    series = (Series("target", drawn.points, BLUE, "area"),)
    return Chart("Target rate", f"{describe(drawn)}.", drawn.duration, series, "events a second", height=220)


def sparkline(drawn: Curve, key: str) -> str:
    """Return the curve as a small SVG that fills its box; ``key`` makes its ids unique in the page."""
    top = drawn.peak * _ROOM or 1.0

    def at(point: tuple[float, float]) -> str:
        return f"{point[0] / drawn.duration * _WIDTH:.1f} {_HEIGHT - point[1] / top * _HEIGHT:.1f}"

    line = "L".join(map(at, drawn.points))
    area = f"M0 {_HEIGHT}L{line}L{_WIDTH} {_HEIGHT}Z"
    words = escape(describe(drawn))
    return (
        f'<svg class="sparkline" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-labelledby="{key}"><title id="{key}">{words}</title>'
        f'<path class="fill" d="{area}"/><path class="stroke" vector-effect="non-scaling-stroke" d="M{line}"/></svg>'
    )

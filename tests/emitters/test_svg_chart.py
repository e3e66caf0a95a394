from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from logops_fast.emitters.svg_chart import PALETTE, Chart, Series, label, linear_ticks, log_ticks, stairs
from tests.support.contrast import contrast
from tests.support.tables import each_of


@each_of(
    ("value", "text"),
    [
        (0, "0"), (0.5, "0.5"), (250, "250"), (2500, "2,500"), (9999, "9,999"), (10_000, "10k"), (12_500, "12.5k"),
        (600, "600"), (1e6, "1M"), (2.5e6, "2.5M"),
    ],
)  # fmt: skip
def test_labels_are_numbers_as_people_write_them(value: float, text: str) -> None:
    assert label(value) == text


@given(st.floats(1e-3, 1e9))
def test_linear_ticks_are_even_few_and_reach_nearly_to_the_top(top: float) -> None:
    ticks = linear_ticks(top)
    assert 3 <= len(ticks) <= 7
    assert ticks[0] == 0.0
    step = ticks[1]
    assert ticks[-1] <= top * (1 + 1e-6)
    assert top < ticks[-1] + step * (1 + 1e-6)
    assert all(abs(b - a - step) < step * 1e-6 for a, b in pairwise(ticks))


@given(st.floats(0.1, 1e4), st.floats(10, 1e6))
def test_a_logarithmic_axis_always_has_labels_to_read_it_by(low: float, ratio: float) -> None:
    ticks = log_ticks(low, low * ratio)
    assert ticks
    assert all(low * 0.999 <= tick <= low * ratio * 1.001 for tick in ticks)
    assert not any("e" in label(tick) for tick in ticks)


def test_stairs_outline_each_step() -> None:
    assert stairs([0, 1, 3], [5, 7]) == [(0, 5), (1, 5), (1, 7), (3, 7)]


def test_the_colours_are_seen_on_white_and_on_the_dark_background() -> None:
    poor = [(c, b) for c in PALETTE for b in ("#ffffff", "#16191d") if contrast(c, b) < 3]
    assert poor == []


@each_of("log", [False, True])
@each_of("points", [[], [(0.0, 0.0)], [(0.0, 1.0), (2.0, 30.0)]])
def test_every_chart_is_well_formed_and_says_what_it_is(points: list[tuple[float, float]], log: bool) -> None:
    one = Chart("a <title>", "what & why", 2.0, (Series("<s>", points, PALETTE[0]),), "ms", log=log, limit=(5, "lim"))
    figure = ElementTree.fromstring(one.svg("k"))
    svg = figure.find("div/svg")
    assert svg is not None
    assert svg.get("aria-labelledby") == "k-t k-d"
    assert [svg.findtext("title"), svg.findtext("desc")] == ["a <title>", "what & why"]
    assert [item.text or "".join(item.itertext()) for item in figure.iter("li")] == ["<s>", "lim"]

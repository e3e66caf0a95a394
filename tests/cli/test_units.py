from __future__ import annotations

from logops_fast.cli.units import duration, number, rate, size
from tests.support.tables import each_of


@each_of(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (999, "999"),
        (123456.4, "123,456"),
        (999_999.6, "1.0M"),
        (999.96e6, "1.0G"),
        (2e9, "2.0G"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


@each_of(("value", "text"), [(0, "0"), (0.25, "0.2"), (9.9, "9.9"), (9.96, "10"), (1234, "1,234")])
def test_rates(value: float, text: str) -> None:
    assert rate(value) == text


@each_of(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (45.2e6, "45 MB"),
        (999.6e6, "1.0 GB"),
        (5e12, "5,000 GB"),
    ],
)
def test_sizes(value: float | None, text: str) -> None:
    assert size(value) == text


@each_of(
    ("value", "text"),
    [
        (None, "-"), (0, "0 s"), (0.00025, "0.25 ms"), (0.003, "3 ms"), (0.0123, "12 ms"), (0.9996, "1.0 s"),
        (1.25, "1.2 s"), (12.4, "12 s"), (119, "119 s"), (300, "5 min"), (7200, "2 h"), (200_000, "2 d"),
    ],
)  # fmt: skip
def test_durations(value: float | None, text: str) -> None:
    assert duration(value) == text

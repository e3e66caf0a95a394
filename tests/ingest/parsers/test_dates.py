from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.parsers.dates import Calendar
from tests.support.tables import each_of

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)


def timestamp(day: str, clock: str = "12:34:56", fraction: str = "", zone: str = "") -> str | None:
    return Calendar(NOW.timestamp()).timestamp(day, clock, fraction, zone)


@each_of(
    "day",
    [
        "2023-03-01", "2023/03/01", "2023.03.01", "20230301", "Mar  1 2023", "Mar 01 2023", "Mar 1, 2023",
        "MAR 01 2023",
        "2023 Mar  1", "01/Mar/2023", "01-Mar-2023", "1 Mar 2023", "01-mar-2023",
    ],
)  # fmt: skip
def test_a_day_is_read_in_each_of_its_forms(day: str) -> None:
    assert timestamp(day) == "2023-03-01T12:34:56Z"


@each_of(
    "day",
    ["2023-02-30", "2023-13-01", "2023-03/01", "Foo  1", "Feb 30", "0230", "13-01", "Mar  0", "1 2", "", "0000-01-01"],
)
def test_a_day_that_does_not_exist_is_none(day: str) -> None:
    assert timestamp(day) is None


@pytest.mark.parametrize("clock", ["24:00:00", "12:60:00", "99:00:00"])
def test_a_time_that_does_not_exist_is_none(clock: str) -> None:
    assert timestamp("2023-03-01", clock) is None


@each_of(
    ("day", "clock", "date"),
    [
        ("Nov 25", "10:00:00", "2026-11-25"),
        ("Nov 26", "09:59:59", "2026-11-26"),
        ("Nov 26", "10:00:00", "2026-11-26"),
        ("Nov 26", "10:00:01", "2025-11-26"),
        ("Nov 27", "00:00:00", "2025-11-27"),
        ("11-26", "10:00:01", "2025-11-26"),
        ("1126", "09:00:00", "2026-11-26"),
        ("Jan  1", "00:00:00", "2026-01-01"),
        ("Feb 29", "00:00:00", "2024-02-29"),
    ],
)
def test_a_date_without_a_year_is_the_latest_that_is_not_a_day_ahead(day: str, clock: str, date: str) -> None:
    assert timestamp(day, clock) == f"{date}T{clock}Z"


@given(st.integers(1971, 9998), st.integers(0, 364 * 86400), st.integers(-364 * 86400 + 1, 86400))
def test_a_date_of_the_last_year_gets_its_own_year(year: int, seconds: int, distance: int) -> None:
    now = datetime(year, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    moment = now + timedelta(seconds=distance)
    calendar = Calendar(now.timestamp())
    assert calendar.timestamp(f"{moment:%m-%d}", f"{moment:%H:%M:%S}", "", "") == f"{moment:%Y-%m-%dT%H:%M:%S}Z"


@each_of(
    ("clock", "zone", "ts"),
    [
        ("12:34:56", "Z", "2023-03-01T12:34:56Z"),
        ("12:34:56", "+01:00", "2023-03-01T11:34:56Z"),
        ("12:34:56", "-0530", "2023-03-01T18:04:56Z"),
        ("12:34:56", "+03", "2023-03-01T09:34:56Z"),
        ("00:30:00", "CET", "2023-02-28T23:30:00Z"),
        ("12:34:56", "UTC", "2023-03-01T12:34:56Z"),
        ("12:34:56", "Europe/Berlin", "2023-03-01T11:34:56Z"),
        ("12:34:56", "No/Where", "2023-03-01T12:34:56Z"),
        ("12:34:56", "../../etc/passwd", "2023-03-01T12:34:56Z"),
        ("12:34:56", "America", "2023-03-01T12:34:56Z"),
        ("00:59:60", "+01:00", "2023-02-28T23:59:60Z"),
    ],
)
def test_zones_are_taken_off(clock: str, zone: str, ts: str) -> None:
    assert timestamp("2023-03-01", clock, "", zone) == ts


def test_times_without_a_zone_are_of_the_configured_one() -> None:
    calendar = Calendar(NOW.timestamp(), ZoneInfo("Europe/Berlin"))
    assert calendar.timestamp("2023-07-01", "12:34:56", "5", "") == "2023-07-01T10:34:56.5Z"
    assert calendar.timestamp("2023-01-01", "00:34:56", "", "") == "2022-12-31T23:34:56Z"
    assert calendar.timestamp("2023-07-01", "12:34:56", "", "Z") == "2023-07-01T12:34:56Z"


def test_the_ends_of_the_calendar_raise_nothing() -> None:
    assert timestamp("0001-01-01", "00:00:00", "", "+01:00") == "0001-01-01T00:00:00Z"
    assert timestamp("9999-12-31", "23:59:59", "", "-01:00") == "9999-12-31T23:59:59Z"
    for now in (0.0, 253402300799.0):
        assert Calendar(now).timestamp("Mar  3", "12:00:00", "", "") is not None

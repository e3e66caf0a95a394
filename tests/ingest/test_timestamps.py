from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.timestamps import canonical, of_receipt


@pytest.mark.parametrize(
    ("value", "settled"),
    [
        ("2025-01-02T03:04:05Z", "2025-01-02T03:04:05Z"),
        ("2025-01-02T03:04:05.6Z", "2025-01-02T03:04:05.6Z"),
        ("2025-01-02T03:04:05.123456789Z", "2025-01-02T03:04:05.123456789Z"),
        ("2025-01-02T03:04:05.1234567890123Z", "2025-01-02T03:04:05.1234567890123Z"),
        ("2025-01-02t03:04:05z", "2025-01-02T03:04:05Z"),
        ("2025-01-02 03:04:05", "2025-01-02T03:04:05Z"),
        ("2025-01-02 03:04:05,678", "2025-01-02T03:04:05.678Z"),
        (" 2025-01-02T03:04:05.000 ", "2025-01-02T03:04:05.000Z"),
        ("2025-01-02T03:04:05.120+02:00", "2025-01-02T01:04:05.120Z"),
        ("2025-01-01T00:30:00+01:00", "2024-12-31T23:30:00Z"),
        ("2025-01-02T03:04:05-0530", "2025-01-02T08:34:05Z"),
        ("2025-01-02T03:04:05+02", "2025-01-02T01:04:05Z"),
        ("2025-01-02 03:04:05 +0000", "2025-01-02T03:04:05Z"),
        ("2025-01-02 03:04:05 UTC", "2025-01-02T03:04:05Z"),
        ("2025-01-02T03:04:05-00:00", "2025-01-02T03:04:05Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ("2016-12-31T18:59:60.5-05:00", "2016-12-31T23:59:59.5Z"),
        (1700000000, "2023-11-14T22:13:20Z"),
        (1700000000.123, "2023-11-14T22:13:20.123Z"),
        (1700000000.0, "2023-11-14T22:13:20Z"),
        (1700000000123, "2023-11-14T22:13:20.123Z"),
        (1700000000000, "2023-11-14T22:13:20.000Z"),
        (1700000000123456, "2023-11-14T22:13:20.123456Z"),
        (1700000000123456789, "2023-11-14T22:13:20.123456789Z"),
        (1.7e18, "2023-11-14T22:13:20.000000000Z"),
        (1700000000123.25, "2023-11-14T22:13:20.12325Z"),
        ("1700000000", "2023-11-14T22:13:20Z"),
        ("1700000000.5", "2023-11-14T22:13:20.5Z"),
        ("1700000000123", "2023-11-14T22:13:20.123Z"),
        (0, "1970-01-01T00:00:00Z"),
        (0.5, "1970-01-01T00:00:00.5Z"),
    ],
)
def test_a_readable_value_becomes_utc_with_its_own_precision(value: Any, settled: str) -> None:
    assert canonical(value) == settled


@pytest.mark.parametrize(
    "value",
    [
        "2025-01-02", "2025-W01-1", "2025-W01-1T00:00:00Z", "20250102T030405Z", "20250102", "20250102030405",
        "2025-01-02T03:04Z", "2025-01-02T030405Z", "2025-1-2T3:4:5Z", "2025-13-01T00:00:00Z", "2025-02-29T00:00:00Z",
        "2025-01-02T24:00:00Z", "2025-01-02T03:60:00Z", "2025-01-02T03:04:61Z", "2025-01-02T12:00:60Z",
        "2025-01-02T03:04:05.Z", "2025-01-02T03:04:05+24:00", "2025-01-02T03:04:05+02:60", "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "2025-01-02_03:04:05Z", "2025-01-02T03:04:05Zjunk",
        "\u0662\u0660\u0662\u0665-01-02T03:04:05Z", "2025-01-02T03:04:05.\uff11Z", "now", "", "12", "-1700000000",
        "1e9", "1" * 5000, -1, -0.5, 10**20, 1e300, 1e-7, float("nan"), float("inf"), True, False, None, [], {}, b"x",
    ],
)  # fmt: skip
def test_an_unreadable_value_names_no_instant(value: Any) -> None:
    assert canonical(value) is None


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)),  # noqa: DTZ001
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.sampled_from(["T", "t", " "]),
)
def test_any_zone_is_turned_to_utc(naive: datetime, minutes: int, separator: str) -> None:
    local = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    settled = canonical(local.isoformat(separator))
    assert settled is not None
    assert datetime.fromisoformat(settled) == local
    assert canonical(settled) == settled


@given(st.integers(0, 10**11 - 1), st.sampled_from([0, 3, 6, 9]), st.data())
def test_a_number_is_read_by_its_size(seconds: int, places: int, data: st.DataObject) -> None:
    seconds = max(seconds, 10**8) if places else seconds
    fraction = data.draw(st.integers(0, 10**places - 1))
    settled = canonical(seconds * 10**places + fraction)
    moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").zfill(19)
    assert settled == moment + (f".{fraction:0{places}d}Z" if places else "Z")


@given(st.one_of(st.text(), st.from_regex(r"[0-9TZtz:. +-]{0,40}"), st.floats(), st.integers()))
def test_nothing_raises_and_what_is_taken_is_canonical(value: Any) -> None:
    settled = canonical(value)
    assert settled is None or canonical(settled) == settled


def test_the_time_of_receipt_has_milliseconds() -> None:
    assert of_receipt(1700000000.1239) == "2023-11-14T22:13:20.123Z"

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.epoch import utc_seconds
from logops_fast.ingest.timestamps import canonical
from tests.support.tables import each_of


@each_of(
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
        (10**8, "1973-03-03T09:46:40Z"),
        (100000000.5, "1973-03-03T09:46:40.5Z"),
        ("100000000", "1973-03-03T09:46:40Z"),
        # RFC 1123 (HTTP dates), RFC 5322, the Common Log Format
        ("Wed, 25 Nov 2026 10:00:00 GMT", "2026-11-25T10:00:00Z"),
        ("25 Nov 2026 10:00:00 +0100", "2026-11-25T09:00:00Z"),
        ("25/Nov/2026:10:00:00 +0100", "2026-11-25T09:00:00Z"),
        ("[25/Nov/2026:10:00:00.5 -0030]", "2026-11-25T10:30:00.5Z"),
        ("25-Nov-2026 10:00:00.123", "2026-11-25T10:00:00.123Z"),
        ("1 Nov 2026 10:00:00,123", "2026-11-01T10:00:00.123Z"),
        # C's asctime, date(1), Apache's error log, Ruby
        ("Wed Nov  4 10:00:00 2026", "2026-11-04T10:00:00Z"),
        ("Wed Nov 25 10:00:00 CET 2026", "2026-11-25T09:00:00Z"),
        ("Wed Nov 25 10:00:00.123456 2026", "2026-11-25T10:00:00.123456Z"),
        ("Wed Nov 25 10:00:00 -0700 2026", "2026-11-25T17:00:00Z"),
        # java.util.logging, JavaScript, Cisco
        ("Nov 25, 2026 9:05:07 AM", "2026-11-25T09:05:07Z"),
        ("Nov 25, 2026, 12:05:07\u202fAM", "2026-11-25T00:05:07Z"),
        ("Nov 25, 2026 12:05:07 PM", "2026-11-25T12:05:07Z"),
        ("Wed Nov 25 2026 10:00:00 GMT+0100 (Central European Standard Time)", "2026-11-25T09:00:00Z"),
        ("Feb 08 2026 18:55:31.306", "2026-02-08T18:55:31.306Z"),
        # Go, Java
        ("2026/11/25 10:00:00.123456", "2026-11-25T10:00:00.123456Z"),
        ("2026-11-25 10:00:00 +0000 UTC", "2026-11-25T10:00:00Z"),
        ("2026-11-25 10:00:00.5 +0000 UTC m=+0.000012", "2026-11-25T10:00:00.5Z"),
        ("2026-11-25 10:00:00 -0400 EDT", "2026-11-25T14:00:00Z"),
        ("2026-11-25 10:00:00 +0530 +0530", "2026-11-25T04:30:00Z"),
        ("2026-11-25T10:00:00+01:00[Europe/Berlin]", "2026-11-25T09:00:00Z"),
        ("2026-11-25T10:00:00Z[UTC]", "2026-11-25T10:00:00Z"),
        ("2026-11-25T10:00Z", "2026-11-25T10:00:00Z"),
        ("2026-11-25T10:00+01:00", "2026-11-25T09:00:00Z"),
        ("2026-11-25T10:00", "2026-11-25T10:00:00Z"),
        # ISO 8601's basic form
        ("20261125T100000Z", "2026-11-25T10:00:00Z"),
        ("20261125T100000.123+0100", "2026-11-25T09:00:00.123Z"),
        ("20261125T1000Z", "2026-11-25T10:00:00Z"),
        ("20261125100000Z", "2026-11-25T10:00:00Z"),
        # zones by their abbreviations
        ("2026-07-25 10:00:00.123 CEST", "2026-07-25T08:00:00.123Z"),
        ("2026-07-25 22:00:00 EDT", "2026-07-26T02:00:00Z"),
        ("2026-11-25 10:00:00 MSK", "2026-11-25T07:00:00Z"),
        ("2026-11-25 10:00:00 IST", "2026-11-25T04:30:00Z"),
        ("2026-07-25 10:00:00 BST", "2026-07-25T09:00:00Z"),
        ("2026-11-25 10:00:00 GMT+1", "2026-11-25T09:00:00Z"),
        ("2026-11-25 10:00:00 UTC-05:30", "2026-11-25T15:30:00Z"),
        # objects
        ({"$date": "2020-05-01T15:16:17.180Z"}, "2020-05-01T15:16:17.180Z"),
        ({"$date": 1588346177180}, "2020-05-01T15:16:17.180Z"),
        ({"$date": {"$numberLong": "1588346177180"}}, "2020-05-01T15:16:17.180Z"),
        ({"seconds": 1677674096, "nanos": 7890123}, "2023-03-01T12:34:56.007890123Z"),
        ({"seconds": "1677674096"}, "2023-03-01T12:34:56Z"),
        ({"seconds": 1677674096, "nanos": 0}, "2023-03-01T12:34:56.000000000Z"),
        ({"epochSecond": 1493121664, "nanoOfSecond": 118000000}, "2017-04-25T12:01:04.118000000Z"),
        ({"_seconds": 1677674096, "_nanoseconds": 5}, "2023-03-01T12:34:56.000000005Z"),
        ({"date": "2015-05-03 13:12:24.000000", "timezone_type": 3, "timezone": "UTC"}, "2015-05-03T13:12:24.000000Z"),
        ({"repr": "2023-03-01T12:34:56.789+00:00", "timestamp": 1677674096.789}, "2023-03-01T12:34:56.789Z"),
        ("/Date(1606849858123)/", "2020-12-01T19:10:58.123Z"),
    ],
)
def test_a_readable_value_becomes_utc_with_its_own_precision(value: Any, settled: str) -> None:
    assert canonical(value) == settled


@each_of(
    "value",
    [
        "2025-01-02", "2025-W01-1", "2025-W01-1T00:00:00Z", "20250102", "20250102030405",
        "2025-01-02T030405Z", "2025-1-2T3:4:5Z", "2025-13-01T00:00:00Z", "2025-02-29T00:00:00Z",
        "2025-01-02T24:00:00Z", "2025-01-02T03:60:00Z", "2025-01-02T03:04:61Z", "2025-01-02T12:00:60Z",
        "2025-01-02T03:04:05.Z", "2025-01-02T03:04:05+24:00", "2025-01-02T03:04:05+02:60", "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "2025-01-02_03:04:05Z", "2025-01-02T03:04:05Zjunk",
        "\u0662\u0660\u0662\u0665-01-02T03:04:05Z", "2025-01-02T03:04:05.\uff11Z", "now", "", "12", "-1700000000",
        "1e9", "1" * 5000, -1, -0.5, 10**20, 1e300, 1e-7, float("nan"), float("inf"), True, False, None, [], {}, b"x",
        0, 0.035, 20778, 99999999, 99999999.9, "099999999", "03/04/2026 10:00:00", "20:15:09", "Nov 25 10:00:00",
        "2026/11-25 10:00:00", "30 Feb 2026 10:00:00", "25 Foo 2026 10:00:00", "Nov 25, 2026 13:05:07 PM",
        "Nov 25, 2026 00:05:07 AM", "2026-11-25 10:00:00 XYZ", "2026-11-25 10:00:00 GMT+24",
        {"$date": {"$date": 1588346177180}}, {"$date": None}, {"seconds": 5}, {"seconds": True}, {"seconds": "soon"},
        {"seconds": 1677674096, "nanos": 10**9}, {"seconds": 10**30}, {"date": 5, "timezone_type": 3}, [2026, 11, 25],
        "2026-11-25T10:00:00." + "1" * 200, "/Date(5)/", "/Date(1606849858123", "[2026-11-25T10:00:00Z",
        "2025-12-31T23:59:Z", "2025-12-31 23:59:Z",
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
    seconds = max(seconds, 10**8)
    fraction = data.draw(st.integers(0, 10**places - 1))
    settled = canonical(seconds * 10**places + fraction)
    moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").zfill(19)
    assert settled == moment + (f".{fraction:0{places}d}Z" if places else "Z")


@given(st.one_of(st.text(), st.from_regex(r"[0-9TZtz:. +-]{0,40}"), st.floats(), st.integers()))
def test_nothing_raises_and_what_is_taken_is_canonical(value: Any) -> None:
    settled = canonical(value)
    assert settled is None or canonical(settled) == settled


def test_whole_seconds_are_written_in_utc() -> None:
    assert utc_seconds(1700000000) == "2023-11-14T22:13:20"


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_whole_seconds_are_written_as_datetime_writes_them(seconds: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert utc_seconds(seconds) == moment.isoformat()[:19]


@pytest.mark.parametrize(
    ("zone", "value", "settled"),
    [
        ("Europe/Berlin", "2026-07-25 10:00:00", "2026-07-25T08:00:00Z"),
        ("Europe/Berlin", "2026-11-25 10:00:00,5", "2026-11-25T09:00:00.5Z"),
        ("Europe/Berlin", "Wed Nov  4 10:00:00 2026", "2026-11-04T09:00:00Z"),
        ("Europe/Berlin", "2026-07-25 10:00:00Z", "2026-07-25T10:00:00Z"),
        ("Europe/Berlin", "2026-07-25 10:00:00 +0000", "2026-07-25T10:00:00Z"),
        ("Europe/Berlin", 1700000000, "2023-11-14T22:13:20Z"),
        ("Asia/Kolkata", "2026-11-25 10:00:00", "2026-11-25T04:30:00Z"),
        # On 25 October 2026 the clocks of Berlin show 02:30 twice: the first time counts.
        ("Europe/Berlin", "2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
    ],
)
def test_a_time_without_a_zone_is_of_the_configured_one(zone: str, value: Any, settled: str) -> None:
    assert canonical(value, ZoneInfo(zone)) == settled


@each_of(
    ("digits", "settled"),
    [
        ("99999999", None),
        ("100000000", "1973-03-03T09:46:40Z"),
        ("99999999999", "5138-11-16T09:46:39Z"),
        ("100000000000", "1973-03-03T09:46:40.000Z"),
        ("99999999999999", "5138-11-16T09:46:39.999Z"),
        ("100000000000000", "1973-03-03T09:46:40.000000Z"),
        ("99999999999999999", "5138-11-16T09:46:39.999999Z"),
        ("100000000000000000", "1973-03-03T09:46:40.000000000Z"),
        ("99999999999999999999", "5138-11-16T09:46:39.999999999Z"),
        ("100000000000000000000", None),
    ],
)
def test_the_unit_of_a_number_changes_at_powers_of_ten(digits: str, settled: str | None) -> None:
    assert canonical(digits) == settled
    assert canonical(int(digits)) == settled


@each_of(
    "value",
    [
        "12 Foo 2026 10:00:00", "Foo 12 10:00:00 2026", "Foo 12, 2026 10:00:00 AM", "Friday, 12-Foo-26 10:00:00 GMT",
        "Jan 5, 2026 13:00:00 PM", "Jan 5, 2026 0:00:00 AM", "2026-01-05 13:00:00 PM", "2026-01-05 0:00:00 AM",
        {"seconds": 10**11, "nanos": 0}, {"seconds": 10**8 - 1, "nanos": 0}, {"seconds": 10**9, "nanos": 10**9},
        {"repr": "x"}, {"timestamp": 1767225600},
    ],
)  # fmt: skip
def test_what_no_clock_or_calendar_has_is_no_time(value: Any) -> None:
    assert canonical(value) is None


def test_a_long_text_is_no_time() -> None:
    assert canonical("2026-01-05T10:00:00Z".rjust(128)) == "2026-01-05T10:00:00Z"
    assert canonical("2026-01-05T10:00:00Z".rjust(129)) is None
    assert canonical({"seconds": 10**8, "nanos": 10**9 - 1}) == "1973-03-03T09:46:40.999999999Z"
    assert canonical("Jan 5, 2026 12:00:00 PM") == "2026-01-05T12:00:00Z"
    assert canonical("Jan 5, 2026 12:00:00 AM") == "2026-01-05T00:00:00Z"

from __future__ import annotations

import datetime as dt

from logops_fast.ingest.sink.day_files import DayFile, day_of, file_name, owner, parse_name
from tests.ingest.sink.support import DAY, NOON
from tests.support.tables import each_of


def test_the_day_is_that_of_utc() -> None:
    assert day_of(NOON) == DAY
    assert day_of(NOON + 12 * 3600 - 0.001) == DAY
    assert day_of(NOON + 12 * 3600) == "20241127"


def test_a_worker_is_named_only_if_there_are_several() -> None:
    assert file_name(DAY, 0, 1) == "20241126.ndjson"
    assert file_name(DAY, 0, 2) == "20241126.w0.ndjson"


@each_of(
    ("name", "parsed"),
    [
        ("20241126.ndjson", DayFile(dt.date(2024, 11, 26), None, False)),
        ("20241126.w12.ndjson", DayFile(dt.date(2024, 11, 26), 12, False)),
        ("20241126.w3.ndjson.torn", DayFile(dt.date(2024, 11, 26), 3, True)),
        ("20241131.ndjson", None),
        ("20241126.ndjson.gz", None),
        ("20241126.log", None),
        ("x20241126.ndjson", None),
        ("20241126.w.ndjson", None),
        ("20241126.ndjson\n", None),
        ("٢٠٢٦١١٢٦.ndjson", None),
    ],
)
def test_only_names_of_ours_are_read(name: str, parsed: DayFile | None) -> None:
    assert parse_name(name) == parsed


def test_worker_0_inherits_the_files_of_workers_that_do_not_exist_any_more() -> None:
    assert [owner(worker, 2) for worker in (None, 0, 1, 2, 7)] == [0, 0, 1, 0, 0]

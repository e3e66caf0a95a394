from __future__ import annotations

import sys
from zoneinfo import ZoneInfo, available_timezones

import pytest

from logops_fast.ingest import zones


@pytest.fixture(scope="module")
def opened() -> list[str]:
    """The files that were opened while the list is the last one of the hooks; an audit hook cannot be removed."""
    paths: list[str] = []
    sys.addaudithook(lambda event, args: paths.append(str(args[0])) if event in ("open", "os.listdir") else None)
    return paths


def test_once_the_database_is_loaded_no_name_opens_a_file(opened: list[str]) -> None:
    zones.load()
    names = sorted(available_timezones())
    opened.clear()
    found = [zones.zone_or_none(name) for name in (*names, "Europe/Nowhere", "../../etc/passwd", "")]
    assert opened == []
    assert [str(zone) for zone in found[:-3]] == names
    assert found[-3:] == [None] * 3


def test_a_name_is_the_zone_of_the_database() -> None:
    assert zones.zone_or_none("Asia/Tokyo") == ZoneInfo("Asia/Tokyo")
    with pytest.raises(ValueError, match="Europe/Nowhere"):
        zones.zone_of("Europe/Nowhere")

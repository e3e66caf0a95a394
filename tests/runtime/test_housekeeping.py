from __future__ import annotations

from pathlib import Path

import pytest

from logops_fast.config.sections.storage import HousekeepingSettings, SinkSettings
from logops_fast.config.settings import Settings
from logops_fast.runtime.housekeeping import run
from logops_fast.shipper.positions import Position, Saved, save


@pytest.mark.parametrize(("positions", "left"), [(None, True), (9, True), (10, False), ("damaged", True)])
def test_a_file_is_kept_until_it_is_shipped(tmp_path: Path, positions: int | str | None, left: bool) -> None:
    old = tmp_path / "20200101.ndjson"
    old.write_bytes(b'{"a": 1}\n\n')
    ship = tmp_path / "ship"
    ship.mkdir()
    if isinstance(positions, int):
        save(ship / "positions.json", Saved("m", [Position(old.name, old.stat().st_ino, positions)]))
    elif positions is not None:
        (ship / "positions.json").write_text('{"machine": "m", "fi')
    settings = Settings(
        sink=SinkSettings(dir=str(tmp_path)), housekeeping=HousekeepingSettings(wait_for_shipper=True, archive="delete")
    )
    assert run(settings).outcome == "ok"
    assert old.exists() is left
    if left:
        waiting = Settings(sink=settings.sink, housekeeping=HousekeepingSettings())
        run(waiting)
        assert not old.exists()

from __future__ import annotations

from pathlib import Path

import pytest

from logops_fast.shipper.positions import Position, PositionsError, Saved, foreign_positions, load, save

PROMTAIL = """\
positions:
  /var/lib/logops/ingest/20261125.ndjson: "120"
  /var/lib/logops/ingest/rejected/20261125.w1.ndjson: "30"
  cursor-journal: s=1;i=2
  /var/log/syslog: "9"
"""
ALLOY = """\
positions:
    ? path: /data/ingest/20261125.ndjson
      labels: '{filename="x"}'
    : "120"
    ? path: /data/ingest/20261125.ndjson
      labels: '{}'
    : "100"
    ? path: /data/ingest/rejected/20261125.w1.ndjson
      labels: '{}'
    : "30"
"""


@pytest.mark.parametrize(("text", "first"), [(PROMTAIL, 120), (ALLOY, 100)])
def test_positions_of_promtail_and_alloy(tmp_path: Path, text: str, first: int) -> None:
    path = tmp_path / "positions.yml"
    path.write_text(text)
    assert foreign_positions(path) == {"20261125.ndjson": first, "rejected/20261125.w1.ndjson": 30}


@pytest.mark.parametrize("text", ["", "positions: {}", "a: [", "positions:\n  /var/log/syslog: '1'\n"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "positions.yml"
    path.write_text(text)
    with pytest.raises(PositionsError):
        foreign_positions(path)
    with pytest.raises(PositionsError):
        foreign_positions(tmp_path / "absent.yml")


def test_what_is_saved_is_loaded_and_what_is_damaged_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "positions.json"
    assert load(path) is None
    saved = Saved("m", [Position("20261126.ndjson", 7, 10, 20, 30, 40, "256:abc")])
    save(path, saved)
    assert load(path) == saved
    blob = path.read_bytes()
    for size in range(len(blob)):
        path.write_bytes(blob[:size])
        with pytest.raises(ValueError, match="damaged"):
            load(path)
    path.write_bytes(blob.replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(PositionsError, match="newer version"):
        load(path)

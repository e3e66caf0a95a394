from __future__ import annotations

from pathlib import Path

from logops_fast.shipper import unshippable
from logops_fast.shipper.delivery import Refused
from tests.shipper.support import PLACE, line, made


def test_what_is_kept_after_a_torn_line_is_read(tmp_path: Path) -> None:
    refused = [Refused(entry, "other", "no") for entry in made([line(n=1), line(n=2)])]
    unshippable.keep(tmp_path, PLACE, refused[:1])
    (path,) = unshippable.files(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    unshippable.keep(tmp_path, PLACE, refused)
    assert [kept.offset for kept in unshippable.read(path)] == [one.entry.offset for one in refused]

from __future__ import annotations

import os
from pathlib import Path

import pytest

from logops_fast.runtime.state_place import AUTO, ON_DISK, on_disk_warning, state_place
from logops_fast.state.local_store import Caps
from logops_fast.state.table import Geometry

SMALL = Caps(max_nonces=1000, max_buckets=10, max_batch_ids=100).geometries()


def test_a_directory_that_is_named_is_used(tmp_path: Path) -> None:
    assert state_place("elsewhere", SMALL, tmp_path) == Path("elsewhere")


def test_tmpfs_is_used_by_default_and_each_working_directory_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        found.append(state_place(AUTO, SMALL, tmp_path))
        assert state_place(AUTO, SMALL, tmp_path) == found[-1], "the same after a restart"
    base = tmp_path / f"logops-{os.geteuid()}"
    assert {place.parent for place in found} == {base}
    assert len(set(found)) == 2
    assert base.stat().st_mode & 0o777 == 0o700


def test_without_tmpfs_or_room_on_it_the_disk_is_used(tmp_path: Path) -> None:
    assert state_place(AUTO, SMALL, tmp_path / "none") == ON_DISK
    huge = [Geometry.sized(b"nonces", 10**15, "d", 1)]
    assert state_place(AUTO, huge, tmp_path) == ON_DISK


@pytest.mark.parametrize("kind", ["link", "open to others", "file"])
def test_a_directory_that_someone_else_could_have_prepared_is_not_used(tmp_path: Path, kind: str) -> None:
    base = tmp_path / f"logops-{os.geteuid()}"
    if kind == "link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        base.symlink_to(tmp_path / "theirs")
    elif kind == "file":
        base.write_text("")
    else:
        base.mkdir()
        base.chmod(0o770)
    assert state_place(AUTO, SMALL, tmp_path) == ON_DISK


def test_a_place_on_a_disk_is_warned_of_and_one_in_memory_is_not(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    memory = tmp_path / "in memory"
    memory.mkdir()
    point = str(memory).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\ntmpfs {point} tmpfs rw 0 0\n/dev/sdb1 {tmp_path}/in xfs rw 0 0\n")
    warning = on_disk_warning(tmp_path / "data" / "state", SMALL, mounts)
    assert warning is not None
    assert "is on a disk (ext4)" in warning
    assert "MiB (docker: --shm-size)" in warning
    assert on_disk_warning(memory / "state", SMALL, mounts) is None
    assert on_disk_warning(tmp_path / "data", SMALL, tmp_path / "no such file") is None

from __future__ import annotations

from pathlib import Path

import pytest

from logops_fast.files.replace import move_into_place, replacing, sync_directory


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_the_new_content_appears_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path, mode=0o640) as out:
        out.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["file"]


def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with replacing(path) as out:
            out.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_file_that_appeared_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def overtaken() -> None:
        with replacing(path, overwrite=False) as out:
            out.write(b"mine")
            path.write_bytes(b"another's")

    with pytest.raises(FileExistsError):
        overtaken()
    assert path.read_bytes() == b"another's"
    path.unlink()
    with replacing(path, overwrite=False) as out:
        out.write(b"mine")
    assert path.read_bytes() == b"mine"
    assert names(tmp_path) == ["file"]


def test_a_finished_file_is_moved_into_place(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "file").write_bytes(b"old")
    move_into_place(tmp_path / "new", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_only_a_directory_can_be_synced_as_one(tmp_path: Path) -> None:
    sync_directory(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync_directory(tmp_path / "file")

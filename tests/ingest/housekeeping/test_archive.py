from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path

import pytest

from logops_fast.ingest.housekeeping import archive as archive_module
from logops_fast.ingest.housekeeping.archive import ArchiveError, Kind, StoppedError, archive_file, remove_leftovers

TEXT = b'{"msg":"line"}\n' * 5000
KINDS: list[Kind] = ["gzip", "zip"]


def unpacked(path: Path) -> bytes:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    with zipfile.ZipFile(path) as zipped:
        return zipped.read(zipped.namelist()[0])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "20241101.ndjson"
    path.write_bytes(TEXT)
    path.chmod(0o640)
    os.utime(path, (1_730_500_000, 1_730_500_000))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_holds_every_byte_and_keeps_mode_and_time(tmp_path: Path, source: Path, kind: Kind) -> None:
    target = archive_file(source, tmp_path / "a", kind)
    assert target.name == ("20241101.ndjson.gz" if kind == "gzip" else "20241101.ndjson.zip")
    assert unpacked(target) == TEXT
    assert source.exists(), "the original is the caller's"
    assert target.stat().st_mode & 0o777 == 0o640
    assert target.stat().st_mtime == 1_730_500_000
    assert os.listdir(tmp_path / "a") == [target.name]


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_that_is_there_is_never_overwritten(tmp_path: Path, source: Path, kind: Kind) -> None:
    first = archive_file(source, tmp_path / "a", kind)
    source.write_bytes(b"others\n")
    second = archive_file(source, tmp_path / "a", kind)
    source.write_bytes(b"third\n")
    third = archive_file(source, tmp_path / "a", kind)
    assert [unpacked(path) for path in (first, second, third)] == [TEXT, b"others\n", b"third\n"]
    assert third.name.startswith("20241101.ndjson-2.")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_cut_off_before_the_delete_makes_no_second_archive(
    tmp_path: Path, source: Path, kind: Kind
) -> None:
    first = archive_file(source, tmp_path / "a", kind)
    assert archive_file(source, tmp_path / "a", kind) == first
    assert len(os.listdir(tmp_path / "a")) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_archive_of_that_name_is_not_taken_for_a_good_one(tmp_path: Path, source: Path, kind: Kind) -> None:
    first = archive_file(source, tmp_path / "a", kind)
    os.truncate(first, first.stat().st_size // 2)
    second = archive_file(source, tmp_path / "a", kind)
    assert second != first
    assert unpacked(second) == TEXT


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pieces", range(4))
def test_a_run_that_is_stopped_leaves_nothing_half(tmp_path: Path, source: Path, kind: Kind, pieces: int) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > pieces

    if pieces == 3:  # sum, copy, verify: three pieces of a small file
        archive_file(source, tmp_path / "a", kind, stop)
    else:
        with pytest.raises(StoppedError):
            archive_file(source, tmp_path / "a", kind, stop)
        assert os.listdir(tmp_path / "a") == []


def test_what_does_not_read_back_is_no_archive(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lossy(source: Path, temporary: Path, kind: Kind, stop: object) -> None:
        temporary.write_bytes(gzip.compress(TEXT[:-1]))

    monkeypatch.setattr(archive_module, "_write", lossy)
    with pytest.raises(ArchiveError):
        archive_file(source, tmp_path / "a", "gzip")
    assert os.listdir(tmp_path / "a") == []


def test_temporary_files_of_killed_runs_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".20241101.ndjson.gz.logops-tmp").write_bytes(b"half")
    (tmp_path / "20241101.ndjson.gz").write_bytes(b"whole")
    assert remove_leftovers(tmp_path) == 1
    assert os.listdir(tmp_path) == ["20241101.ndjson.gz"]
    assert remove_leftovers(tmp_path / "none") == 0

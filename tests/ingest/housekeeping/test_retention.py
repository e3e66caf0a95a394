from __future__ import annotations

import datetime as dt
import fcntl
import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.files.locks import locked
from logops_fast.ingest.housekeeping import retention
from logops_fast.ingest.housekeeping.archive import archive_file
from logops_fast.ingest.housekeeping.retention import RUN_LOCK, Mode, OldFile, Report, find_files, plan, run_once
from tests.ingest.sink.support import NOON

TODAY = dt.date(2024, 11, 26)


def old(days: int, size: int = 10, suffix: str = "") -> OldFile:
    day = TODAY - dt.timedelta(days)
    return OldFile(f"{day:%Y%m%d}{suffix}.ndjson", day, size)


files = st.lists(
    st.builds(old, st.integers(-3, 30), st.integers(0, 100), st.sampled_from(["", ".w0", ".w1"])),
    unique_by=lambda f: f.name,
)


@given(files, st.integers(0, 10), st.integers(0, 500))
def test_a_plan_never_touches_today_and_takes_the_oldest_days_whole(
    found: list[OldFile], retention: int, limit: int
) -> None:
    gone = [action.file for action in plan(found, TODAY, retention, "delete", limit)]
    kept = [file for file in found if file not in gone]
    assert len(gone) == len({file.name for file in gone})
    assert all(file.day < TODAY for file in gone)
    assert all((TODAY - file.day).days <= retention for file in kept)
    assert not {file.day for file in gone} & {file.day for file in kept}
    if gone:
        assert all(file.day > max(f.day for f in gone) or file.day >= TODAY for file in kept)
    if limit:
        assert sum(file.size for file in kept) <= limit or all(file.day >= TODAY for file in kept)
    if not limit:
        assert {f.name for f in gone} == {f.name for f in found if (TODAY - f.day).days > retention}


def test_a_file_that_waits_goes_for_its_size_alone() -> None:
    found = [old(9, 40), old(8, 40), old(1, 40), old(0, 40)]
    first, second = old(9).name, old(8).name
    assert [a.file.name for a in plan(found, TODAY, 7, "delete", 0, lambda f: f.name == first)] == [second]
    both = [(a.file.name, a.why) for a in plan(found, TODAY, 7, "delete", 100, lambda f: f.name == first)]
    assert both == [(second, "age"), (first, "size")]


def test_no_more_goes_for_its_size_than_must() -> None:
    found = [old(1, 40), old(2, 40, ".w0"), old(2, 40, ".w1"), old(3, 40), old(0, 40)]
    assert [a.file.name for a in plan(found, TODAY, 7, "gzip", 160)] == [old(3).name]
    assert [(a.file.name, a.why, a.kind) for a in plan(found, TODAY, 7, "gzip", 159)] == [
        (old(3).name, "size", "gzip"),
        (old(2, 0, ".w0").name, "size", "gzip"),
        (old(2, 0, ".w1").name, "size", "gzip"),
    ]


def test_retention_counts_whole_days_beside_todays() -> None:
    found = [old(days) for days in range(10)]
    assert [a.file for a in plan(found, TODAY, 7, "delete")] == [old(9), old(8)]
    assert [a.file for a in plan(found, TODAY, 0, "delete")][-1] == old(1)


@pytest.fixture
def sink(tmp_path: Path) -> Path:
    directory = tmp_path / "ingest"
    (directory / "rejected").mkdir(parents=True)
    for name in (
        "20241110.ndjson",
        "20241110.w1.ndjson",
        "20241110.ndjson.torn",
        "20241125.ndjson",
        "20241126.ndjson",
        "20241127.ndjson",
        "rejected/20241110.ndjson",
        "rejected/20241126.ndjson",
        "notes.txt",
        "20241110.txt",
        "20241199.ndjson",
        "rejected/20241110.csv",
    ):
        (directory / name).write_bytes(f"{name}\n".encode() * 100)
    (directory / "20241109.ndjson").mkdir()
    (directory / "20241108.ndjson").symlink_to(directory / "notes.txt")
    return directory


OLD = ["20241110.ndjson", "20241110.ndjson.torn", "20241110.w1.ndjson", "rejected/20241110.ndjson"]


def names(directory: Path) -> set[str]:
    return {str(p.relative_to(directory)) for p in directory.rglob("*") if p.name != RUN_LOCK}


def once(directory: Path, mode: Mode = "delete", **kw: Any) -> Report:
    kw.setdefault("retention_days", 7)
    return run_once(directory, archive=mode, archive_dir=directory.parent / "archive", now=NOON, **kw)


def test_only_old_files_of_ours_are_deleted(sink: Path) -> None:
    before = names(sink)
    report = once(sink)
    assert before - names(sink) == set(OLD)
    assert (report.outcome, report.counts, report.errors) == ("ok", {"delete": 4}, [])
    assert once(sink).text() == "nothing to do"


def test_a_dry_run_says_the_same_and_does_nothing(sink: Path) -> None:
    before = names(sink)
    report = once(sink, "gzip", dry_run=True)
    assert names(sink) == before
    assert not (sink.parent / "archive").exists()
    assert report.counts == {"gzip": 4}
    assert "would be done" in report.text()
    assert [r.action.file.name for r in report.results] == OLD
    real = once(sink, "gzip")
    assert [r.action for r in real.results] == [r.action for r in report.results]
    assert real.freed == report.freed > 0


@pytest.mark.parametrize("mode", ["gzip", "zip"])
def test_archived_files_keep_their_place_and_bytes(sink: Path, mode: Mode) -> None:
    contents = {name: (sink / name).read_bytes() for name in OLD}
    assert once(sink, mode).counts == {mode: 4}
    archive = sink.parent / "archive"
    suffix = "gz" if mode == "gzip" else "zip"
    assert names(archive) == {f"{name}.{suffix}" for name in OLD} | {"rejected"}
    if mode == "gzip":
        assert {name: gzip.decompress((archive / f"{name}.gz").read_bytes()) for name in OLD} == contents
    assert not any((sink / name).exists() for name in OLD)


def test_the_size_limit_takes_yesterday_but_not_today(sink: Path) -> None:
    report = once(sink, max_total_bytes=1)
    assert not (sink / "20241125.ndjson").exists()
    assert (sink / "20241126.ndjson").exists()
    assert (sink / "20241127.ndjson").exists()
    assert {r.action.why for r in report.results} == {"age", "size"}


@pytest.mark.parametrize("mode", ["delete", "gzip"])
def test_a_file_that_a_gateway_has_open_is_left_for_the_next_run(sink: Path, mode: Mode) -> None:
    with (sink / OLD[0]).open("ab") as gateway:
        fcntl.flock(gateway, fcntl.LOCK_EX)
        report = once(sink, mode)
    assert report.counts == {mode: 3, "in_use": 1}
    assert report.outcome == "ok"
    assert (sink / OLD[0]).exists()
    assert "still has it open" in report.text()
    assert once(sink, mode).counts == {mode: 1}


def test_an_error_stays_with_its_file(sink: Path) -> None:
    blocker = sink.parent / "archive" / "rejected"
    blocker.parent.mkdir()
    blocker.write_text("a file where a folder should be")
    report = once(sink, "gzip")
    assert report.counts == {"gzip": 3, "error": 1}
    assert report.outcome == "failed"
    assert report.errors[0].startswith("rejected/20241110.ndjson: ")
    assert (sink / "rejected" / "20241110.ndjson").exists()
    assert report.as_dict()["errors"] == report.errors


def test_two_runs_do_not_meet(sink: Path) -> None:
    with (sink / RUN_LOCK).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        report = once(sink)
        assert (report.outcome, report.results) == ("busy", [])
        assert once(sink, dry_run=True).counts == {"delete": 4}
    assert (sink / OLD[0]).exists()


def test_a_run_that_is_told_to_stop_stops_between_files(sink: Path) -> None:
    asked = iter([False, True])
    report = once(sink, stop=lambda: next(asked))
    assert report.stopped
    assert report.counts == {"delete": 1}
    assert report.text().endswith("stopped before the end")


def test_a_file_that_changes_while_it_is_archived_is_kept(sink: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = archive_file

    def growing(source: Path, *rest: Any) -> Path:
        archived = real(source, *rest)
        with source.open("ab") as file:
            file.write(b"late\n")
        return archived

    monkeypatch.setattr(retention, "archive_file", growing)
    assert once(sink, "gzip").counts == {"error": 4}
    assert (sink / OLD[0]).exists()


def test_a_directory_that_is_not_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert once(tmp_path / "none").outcome == "ok"
    assert not (tmp_path / "none").exists()


def test_leftovers_of_a_killed_run_are_removed(sink: Path) -> None:
    archive = sink.parent / "archive"
    archive.mkdir()
    (archive / ".20241110.ndjson.gz.logops-tmp").write_bytes(b"half")
    once(sink, "gzip")
    assert [name for name in os.listdir(archive) if name.startswith(".")] == []


def test_links_and_folders_are_not_ours(sink: Path) -> None:
    found = {file.name for file in find_files(sink)}
    assert not found & {"20241108.ndjson", "20241109.ndjson", "20241199.ndjson"}
    assert "rejected/20241110.ndjson" in found


def test_the_report_says_what_became_of_each_file(sink: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = once(sink)
    assert report.text().splitlines()[-1] == f"{len(report.results)} files, {report.freed} bytes removed; 0 errors"
    assert once(sink).text() == "nothing to do"
    with (sink / RUN_LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another run" in once(sink).text()
    report = once(tmp_path / "missing")
    assert report.text() == "nothing to do"

    def unreadable(_path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", unreadable)
    report = once(sink)
    assert report.outcome == "failed"
    assert report.errors == [f"{sink}: Permission denied"]
    assert "Permission denied" in report.text()


def test_a_file_that_is_removed_meanwhile_is_no_error(sink: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = locked

    def removed(path: Path, *, create: bool = True) -> Any:
        if not create:
            path.unlink()
        return real(path, create=create)

    monkeypatch.setattr(retention, "locked", removed)
    report = once(sink)
    assert report.outcome == "ok"
    assert {result.skipped for result in report.results} == {"it was removed meanwhile"}


def test_a_sink_without_rejected_events(tmp_path: Path) -> None:
    (tmp_path / "20241101.ndjson").write_bytes(b"{}\n")
    assert [result.action.file.name for result in once(tmp_path).results] == ["20241101.ndjson"]

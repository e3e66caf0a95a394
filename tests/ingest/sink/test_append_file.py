from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from logops_fast.ingest.sink.append_file import AppendFile, StepFailedError
from tests.ingest.sink.support import FaultyOps


def opened(path: Path, ops: FaultyOps | None = None) -> AppendFile:
    file = AppendFile(path, ops=ops or FaultyOps())
    file.ready()
    return file


def put(file: AppendFile, text: bytes) -> None:
    file.write([text])
    file.sync()
    file.accept(len(text))


def test_more_parts_than_one_writev_takes(tmp_path: Path) -> None:
    file = opened(tmp_path / "f")
    parts = [b"%d\n" % i for i in range(3000)]
    file.write(parts)
    file.accept(sum(map(len, parts)))
    assert (tmp_path / "f").read_bytes() == b"".join(parts)
    assert file.good == (tmp_path / "f").stat().st_size


def test_a_short_write_goes_on_with_the_rest(tmp_path: Path) -> None:
    class Short(FaultyOps):
        def writev(self, fd, parts):  # type: ignore[no-untyped-def]
            return os.write(fd, b"".join(parts)[:3])

    file = opened(tmp_path / "f", Short())
    put(file, b"hello world\n")
    assert (tmp_path / "f").read_bytes() == b"hello world\n"


def test_a_failed_write_is_cut_away_and_the_next_follows_what_was_good(tmp_path: Path) -> None:
    ops = FaultyOps()
    file = opened(tmp_path / "f", ops)
    put(file, b"good\n")
    ops.fail, ops.short = {"write": errno.ENOSPC}, 2
    with pytest.raises(StepFailedError, match="No space left"):
        file.write([b"torn\n"])
    assert (tmp_path / "f").read_bytes() == b"good\nto"
    ops.fail = {}
    file.rollback()
    assert (tmp_path / "f").read_bytes() == b"good\n"
    put(file, b"next\n")
    assert (tmp_path / "f").read_bytes() == b"good\nnext\n"


def test_a_failed_sync_is_told_as_such_and_what_was_written_is_cut_away(tmp_path: Path) -> None:
    ops = FaultyOps()
    file = opened(tmp_path / "f", ops)
    ops.fail = {"sync": errno.EIO}
    with pytest.raises(StepFailedError) as failed:
        put(file, b"lost\n")
    assert failed.value.operation == "sync"
    ops.fail = {}
    file.rollback()
    assert (tmp_path / "f").read_bytes() == b""


def test_what_could_not_be_cut_is_cut_before_anything_else_is_written(tmp_path: Path) -> None:
    ops = FaultyOps()
    file = opened(tmp_path / "f", ops)
    put(file, b"good\n")
    ops.fail, ops.short = {"write": errno.EIO, "truncate": errno.EIO}, 3
    with pytest.raises(StepFailedError):
        file.write([b"torn\n"])
    with pytest.raises(StepFailedError, match="truncate"):
        file.rollback()
    with pytest.raises(StepFailedError, match="truncate"):
        file.ready()
    assert (tmp_path / "f").read_bytes() == b"good\ntor"
    ops.fail = {}
    file.ready()
    put(file, b"next\n")
    assert (tmp_path / "f").read_bytes() == b"good\nnext\n"


def test_a_file_cut_by_hand_is_never_filled_up_with_nuls(tmp_path: Path) -> None:
    ops = FaultyOps()
    file = opened(tmp_path / "f", ops)
    put(file, b"a long line that goes\n")
    os.truncate(tmp_path / "f", 0)
    ops.fail = {"write": errno.EIO}
    with pytest.raises(StepFailedError):
        file.write([b"x\n"])
    ops.fail = {}
    file.rollback()
    assert (tmp_path / "f").read_bytes() == b""
    put(file, b"y\n")
    assert (tmp_path / "f").read_bytes() == b"y\n"


@pytest.mark.parametrize("how", ["removed", "renamed", "replaced"])
def test_a_file_that_was_moved_is_followed(tmp_path: Path, how: str) -> None:
    path = tmp_path / "f"
    file = opened(path)
    put(file, b"old\n")
    if how == "removed":
        path.unlink()
    else:
        path.rename(tmp_path / "f.1")
    if how == "replaced":
        path.write_bytes(b"other\n")
    file.check()
    put(file, b"new\n")
    assert path.read_bytes() == (b"other\nnew\n" if how == "replaced" else b"new\n")
    if how != "removed":
        assert (tmp_path / "f.1").read_bytes() == b"old\n"


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "d" / "f"
    file = opened(path)
    path.unlink()
    path.parent.rmdir()
    file.check()
    put(file, b"new\n")
    assert path.read_bytes() == b"new\n"


def test_a_foreign_torn_line_is_moved_away_before_ours_is_glued_to_it(tmp_path: Path) -> None:
    path = tmp_path / "f"
    file = opened(path)
    put(file, b"ours\n")
    with path.open("ab") as other:
        other.write(b"foreign\nhalf")
    file.check()
    put(file, b"ours too\n")
    assert path.read_bytes() == b"ours\nforeign\nours too\n"
    assert (tmp_path / "f.torn").read_bytes() == b"half\n"


def test_a_torn_last_line_is_moved_when_the_file_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"whole\n" + b"t" * 200_000)
    (tmp_path / "f.torn").write_bytes(b"an older one\n")
    file = opened(path)
    assert file.good == 6
    assert path.read_bytes() == b"whole\n"
    assert (tmp_path / "f.torn").read_bytes() == b"an older one\n" + b"t" * 200_000 + b"\n"


def test_a_file_without_any_newline_is_torn_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100)
    assert opened(tmp_path / "f").good == 0


def test_a_second_opening_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    first = opened(tmp_path / "f")
    with pytest.raises(StepFailedError, match="locked"):
        opened(tmp_path / "f")
    first.close(sync=True)
    opened(tmp_path / "f").close(sync=True)

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from logops_fast.ingest.sink.append_file import WHOLE_BYTES, WRITE_BYTES, AppendFile, EndMovedError
from logops_fast.ingest.sink.file_ops import StepFailedError
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


LINE = b"x" * 9_999 + b"\n"


@pytest.mark.parametrize(
    ("parts", "most"),
    [
        ([LINE * 500], WRITE_BYTES),
        ([LINE, LINE * 450, LINE * 104, LINE, b"", LINE], WRITE_BYTES),
        ([LINE * 60] * 9, WRITE_BYTES),
        ([LINE, b"y" * 3_000_000 + b"\n", LINE * 200], 3_000_001),
        ([b"z" * 5_000_000], 5_000_000),
    ],
    ids=["one batch", "beside small ones", "small ones", "a longer line", "no line"],
)
def test_much_is_written_in_pieces_of_whole_lines(tmp_path: Path, parts: list[bytes], most: int) -> None:
    written: list[bytes] = []

    class Pieces(FaultyOps):
        def writev(self, fd: int, parts: Sequence[bytes]) -> int:
            written.append(b"".join(parts))
            return super().writev(fd, parts)

    file = opened(tmp_path / "f", Pieces())
    file.write(parts)
    assert (tmp_path / "f").read_bytes() == b"".join(written) == b"".join(parts)
    assert max(map(len, written)) <= most
    assert all(piece.endswith(b"\n") for piece in written[:-1])
    assert len(written) <= 2 * (sum(map(len, parts)) // WRITE_BYTES + 1)


def test_a_usual_group_is_one_write(tmp_path: Path) -> None:
    writes: list[int] = []

    class Writes(FaultyOps):
        def writev(self, fd: int, parts: Sequence[bytes]) -> int:
            writes.append(len(parts))
            return super().writev(fd, parts)

    opened(tmp_path / "f", Writes()).write([LINE * 100] * (WHOLE_BYTES // 1_000_000))
    assert writes == [4]


def test_a_piece_that_fails_takes_those_before_it_with_it(tmp_path: Path) -> None:
    class Full(FaultyOps):
        def writev(self, fd: int, parts: Sequence[bytes]) -> int:
            if os.fstat(fd).st_size > WRITE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().writev(fd, parts)

    file = opened(tmp_path / "f", Full())
    put(file, b"good\n")
    with pytest.raises(StepFailedError, match="No space left"):
        file.write([LINE * 500])
    file.rollback()
    assert (tmp_path / "f").read_bytes() == b"good\n"


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


def test_a_failed_sync_is_reported_as_such_and_what_was_written_is_cut_away(tmp_path: Path) -> None:
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


def test_a_file_that_another_program_cut_is_never_filled_up_with_nuls(tmp_path: Path) -> None:
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
def test_a_name_that_leads_elsewhere_is_noticed(tmp_path: Path, how: str) -> None:
    path = tmp_path / "f"
    file = opened(path)
    assert file.named()
    if how == "removed":
        path.unlink()
    else:
        path.rename(tmp_path / "f.1")
    if how == "replaced":
        path.write_bytes(b"other\n")
    assert not file.named()
    file.close(sync=True)


def test_a_name_that_cannot_be_looked_up_is_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    file = opened(folder / "f")
    folder.rename(tmp_path / "e")
    folder.write_bytes(b"a file in place of the folder")
    with pytest.raises(StepFailedError, match="Not a directory"):
        file.named()
    file.close(sync=False)


def test_a_foreign_torn_line_is_moved_away_before_ours_is_appended(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("short", [0, 3])
def test_nothing_of_a_failed_write_is_left_after_another_program_cut_the_file(tmp_path: Path, short: int) -> None:
    ops = FaultyOps()
    file = opened(tmp_path / "f", ops)
    put(file, b"a long line that goes\n")
    os.truncate(tmp_path / "f", 0)
    ops.fail, ops.short = {"write": errno.ENOSPC}, short
    with pytest.raises(StepFailedError):
        file.write([b"refused\n"])
    file.rollback()
    assert (tmp_path / "f").read_bytes() == b""
    ops.fail = {}
    put(file, b"next\n")
    assert (tmp_path / "f").read_bytes() == b"next\n"


class MeddlingOps(FaultyOps):
    """Another program cuts the file in the middle of a write, which is then short."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__()
        self.path = path
        self.size = size
        self.pieces = 0

    def writev(self, fd: int, parts: Sequence[bytes]) -> int:
        self.pieces += 1
        if self.pieces == 2:
            os.truncate(self.path, self.size)
        return os.write(fd, b"".join(parts)[:4])


@pytest.mark.parametrize("size", [0, 5, 7])
def test_a_file_cut_in_the_middle_of_a_write_keeps_what_the_cut_left(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"good\n")
    file = opened(path, MeddlingOps(path, size))
    with pytest.raises(EndMovedError):
        file.write([b"a line in pieces\n"])
    file.rollback()
    assert path.read_bytes() == b"good\n"[:size]
    put(reopened(file), b"x\n")
    assert path.read_bytes() == b"good\n"[:size] + b"x\n"


def reopened(file: AppendFile) -> AppendFile:
    """The same file with system calls that work."""
    file.close(sync=False)
    return opened(file.path)


def test_lines_that_another_program_appended_survive_a_rollback(tmp_path: Path) -> None:
    ops = FaultyOps()
    file = opened(tmp_path / "f", ops)
    put(file, b"ours\n")
    with (tmp_path / "f").open("ab") as other:
        other.write(b"foreign\n")
    with pytest.raises(EndMovedError):
        file.write([b"refused\n"])
    file.rollback()
    put(file, b"next\n")
    assert (tmp_path / "f").read_bytes() == b"ours\nforeign\nnext\n"


def test_a_write_that_takes_no_byte_is_a_failure(tmp_path: Path) -> None:
    class Stuck(FaultyOps):
        def writev(self, fd: int, parts: Sequence[bytes]) -> int:
            return 0

    file = opened(tmp_path / "f", Stuck())
    with pytest.raises(StepFailedError, match="took no byte"):
        file.write([b"a\n"])


def test_a_file_that_grows_again_after_the_cut_is_not_trusted(tmp_path: Path) -> None:
    class Lying(FaultyOps):
        lies = True

        def truncate(self, fd: int, size: int) -> None:
            if not self.lies:
                super().truncate(fd, size)

    ops = Lying()
    file = opened(tmp_path / "f", ops)
    put(file, b"good\n")
    file.write([b"refused\n"])
    with pytest.raises(StepFailedError, match="did not stay cut to 5 bytes"):
        file.rollback()
    assert file.dirty
    assert "dirty" in repr(file)
    ops.lies = False
    file.rollback()
    assert (tmp_path / "f").read_bytes() == b"good\n"
    assert "good=5 good" in repr(file)


def test_a_dirty_file_that_could_not_be_opened_again_is_opened_later(tmp_path: Path) -> None:
    path = tmp_path / "f"
    ops = FaultyOps()
    file = opened(path, ops)
    put(file, b"good\n")
    file.write([b"refused\n"])
    path.rename(tmp_path / "g")
    path.mkdir()
    with pytest.raises(StepFailedError, match="Is a directory"):
        file.rollback()
    assert (tmp_path / "g").read_bytes() == b"good\n"
    file.rollback()
    with pytest.raises(StepFailedError, match="Is a directory"):
        file.ready()
    path.rmdir()
    file.ready()
    put(file, b"next\n")
    assert path.read_bytes() == b"next\n"


def test_a_failed_sync_at_the_close_is_reported_and_the_file_is_closed(tmp_path: Path) -> None:
    ops = FaultyOps()
    file = opened(tmp_path / "f", ops)
    ops.fail = {"sync": errno.EIO}
    with pytest.raises(StepFailedError, match="sync"):
        file.close(sync=True)
    assert "closed" in repr(file)
    file.close(sync=True)


def test_a_check_of_a_closed_or_dirty_file_changes_nothing(tmp_path: Path) -> None:
    ops = FaultyOps()
    file = AppendFile(tmp_path / "f", ops=ops)
    file.check()
    assert file.fd < 0
    file.ready()
    file.write([b"a\n"])
    file.check()
    assert file.dirty
    file.rollback()
    file.rollback()


def test_a_torn_line_that_cannot_be_moved_away_is_a_failure(tmp_path: Path) -> None:
    file = opened(tmp_path / "f")
    put(file, b"good\n")
    (tmp_path / "f.torn").mkdir()
    with (tmp_path / "f").open("ab") as other:
        other.write(b"half")
    with pytest.raises(StepFailedError, match="Is a directory"):
        file.check()
    (tmp_path / "f.torn").rmdir()
    file.check()
    assert file.good == 5


def test_the_size_of_a_file_that_is_not_open_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(StepFailedError, match="Bad file descriptor"):
        AppendFile(tmp_path / "f", ops=FaultyOps()).size()

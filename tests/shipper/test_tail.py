"""The files of a lane, read in chunks: what other programs leave in them."""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from logops_fast.ingest.sink.acknowledged import Acknowledged
from logops_fast.shipper.positions import Position
from logops_fast.shipper.tail import MAX_LINE, MAX_LINES, Chunk, Lane, Tail

LANE = Lane("events", 0)


def tail(directory: Path, chunk_bytes: int = 65_536) -> Tail:
    made = new(directory, Acknowledged(directory), chunk_bytes=chunk_bytes)
    made.refresh(Acknowledged(directory).files())
    return made


def new(directory: Path, source: Acknowledged, positions: Sequence[Position] = (), chunk_bytes: int = 65_536) -> Tail:
    return Tail(
        directory,
        LANE,
        source,
        positions,
        chunk_bytes=chunk_bytes,
        wall=time.time_ns,
        on_lost=lambda name, size: pytest.fail(f"{size} bytes of {name} are lost"),
    )


class Denied(Acknowledged):
    """Renamed files cannot be looked for, at first."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.denied = True

    def find(self, inode: int, *, rejected: bool) -> Path | None:
        if self.denied:
            raise PermissionError(errno.EACCES, "Permission denied")
        return super().find(inode, rejected=rejected)


def chunks(tail: Tail) -> list[Chunk]:
    found = []
    while (chunk := tail.read()) is not None:
        found.append(chunk)
    return found


def test_a_line_that_never_ends_is_taken_in_parts_without_losing_a_byte(tmp_path: Path) -> None:
    text = bytes(range(65, 91)) * (MAX_LINE // 20)
    (tmp_path / "20261126.ndjson").write_bytes(b"first\n" + text)
    made = tail(tmp_path)
    found = chunks(made)
    assert found[0].lines == [b"first"]
    rest = b"".join(line for chunk in found[1:] for line in chunk.lines)
    assert text.startswith(rest)
    assert MAX_LINE <= len(rest) == sum(chunk.end - chunk.start for chunk in found[1:])
    made.close()


def test_a_line_that_is_not_finished_waits(tmp_path: Path) -> None:
    path = tmp_path / "20261126.ndjson"
    path.write_bytes(b"one\ntw")
    made = tail(tmp_path)
    (chunk,) = chunks(made)
    assert (chunk.lines, chunk.end) == ([b"one"], 4)
    with path.open("ab") as file:
        file.write(b"o\n\n")
    made.refresh(Acknowledged(tmp_path).files())
    (chunk,) = chunks(made)
    assert (chunk.lines, chunk.start, chunk.end) == ([b"two", b""], 4, 9)
    made.close()


def test_a_chunk_has_no_more_lines_than_one_question_covers(tmp_path: Path) -> None:
    (tmp_path / "20261126.ndjson").write_bytes(b"x\n" * (MAX_LINES * 2 + 5))
    made = tail(tmp_path)
    assert [len(chunk.lines) for chunk in chunks(made)] == [MAX_LINES, MAX_LINES, 5]
    made.close()


def test_a_renamed_file_that_cannot_be_looked_for_at_first_is_not_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "20261126.ndjson"
    path.write_bytes(b"one\n")
    first = tail(tmp_path)
    assert len(chunks(first)) == 1
    first.close()
    path.rename(tmp_path / "20261126.ndjson.1")
    source = Denied(tmp_path)
    again = new(tmp_path, source, first.positions)
    with pytest.raises(PermissionError):
        again.refresh(source.files())
    source.denied = False
    again.refresh(source.files())
    again.prune(source.files())
    assert [chunk.lines for chunk in chunks(again)] == [[b"one"]]
    again.close()

"""Lines that Loki does not take: kept beside the positions, with the reason, until they are replayed.

One JSON object a line in ``unshippable/<name of the file>``::

    {"seq": …, "reason": …, "text": Loki's words, "stream": …, "instance": …, "stem": …, "offset": …, "line": …}
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from logops_fast.files.replace import sync_directory
from logops_fast.shipper.delivery import Refused
from logops_fast.shipper.entries import Place, Stream, seq_of

FOLDER: Final = "unshippable"
MODE: Final = 0o640
MAX_TEXT: Final = 1000  # characters of Loki's words


class Kept(msgspec.Struct):
    """A line that was kept."""

    seq: str
    reason: str
    text: str
    stream: Stream
    instance: str
    stem: str
    offset: int
    line: str

    @property
    def place(self) -> Place:
        """Where it belongs."""
        return Place(self.stream, self.instance, self.stem)


def keep(directory: Path, place: Place, refused: Sequence[Refused]) -> None:
    """Add entries to the file of their place, durably. Raises OSError."""
    folder = directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{place.stream}.{place.stem}.ndjson"
    created = not path.exists()
    blob = b"".join(
        msgspec.json.encode(
            Kept(
                seq_of(place.stem, one.entry.offset),
                one.reason,
                one.text[:MAX_TEXT],
                place.stream,
                place.instance,
                place.stem,
                one.entry.offset,
                one.entry.line.decode("utf-8", "replace"),
            )
        )
        + b"\n"
        for one in refused
    )
    with open(path, "ab+", opener=lambda name, flags: os.open(name, flags, MODE)) as out:
        if out.tell():  # appending begins at the end
            out.seek(-1, os.SEEK_END)
            if out.read(1) != b"\n":
                blob = b"\n" + blob  # a crash has torn the last line, and the next one must not be part of it
        out.write(blob)
        out.flush()
        os.fsync(out.fileno())
    if created:
        sync_directory(folder)


def files(directory: Path) -> list[Path]:
    """Return the files that hold any, in order."""
    return sorted((directory / FOLDER).glob("*.ndjson"))


def read(path: Path) -> Iterator[Kept]:
    """Yield the lines of a file; a torn last one, which a crash may leave, is written again by the next start."""
    for line in path.read_bytes().split(b"\n"):
        if line:
            try:
                yield msgspec.json.decode(line, type=Kept)
            except msgspec.DecodeError:
                continue


def total(paths: Iterable[Path]) -> int:
    """Return the bytes of the files."""
    return sum(path.stat().st_size for path in paths if path.exists())

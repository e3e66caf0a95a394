"""The commit journal: which batches a group holds and where it lies, written before the group itself.

It is what makes a batch with an id exactly-once across a killed process. The order in a group is: journal record,
rejected lines, data lines (each synced if durability is ``fsync``), answers. So after a crash

* every record but the last is of a complete group: a failed group's record is cut away again before the next;
* the last one is complete if each of its files reaches the end it names; otherwise no batch of it was answered, and
  the whole group is cut out of the files, so that a retry stores it once.

A record without files is a *checkpoint*: it says that the groups before it are complete, and is written before the
files that the last of them lies in are closed, and so may be moved or deleted unnoticed.

The journal itself is not synced: it survives the process, not a loss of power. After a loss of power nothing that was
acknowledged is missing (durability ``fsync``), but a batch whose answer was lost may be stored twice. Syncing it too
would double the time of each group.

Format of a segment ``w<worker>.<number>.log``: MAGIC, then records of a little-endian header (length and CRC-32 of
the payload) and the payload. Segments of version 0.4 begin with OLD_MAGIC, and their entries have no digest.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from logops_fast.files.replace import replacing
from logops_fast.ingest.sink.append_file import AppendFile, EndMovedError
from logops_fast.ingest.sink.file_ops import FileOps

MAGIC: Final = b"LOGOPSJ2"
OLD_MAGIC: Final = b"LOGOPSJ1"
TTL: Final = 600.0  # s: as long as batch ids are remembered

BY_BODY: Final = "body:"
"""Before the digest, in place of a batch id, by which a batch is recognised: no X-Batch-Id holds a colon."""
SEGMENT_BYTES: Final = 16 << 20
MAX_BYTES: Final = 5 * SEGMENT_BYTES  # about 250,000 batches, more than the store of batch ids holds
JOURNAL_MODE: Final = 0o600
NO_DIGEST: Final = 0
"""In place of a body's digest: not known, and equal to any, as in the store of batch ids."""

_HEADER: Final = struct.Struct("<II")
_GROUP: Final = struct.Struct("<dBI")
_PART: Final = struct.Struct("<QQQH")
_ENTRY: Final = struct.Struct("<HHIQ")
_OLD_ENTRY: Final = struct.Struct("<HHI")
_SEGMENT: Final = re.compile(r"w([0-9]{1,4})\.([0-9]{10})\.log")


class LedgerEntry(NamedTuple):
    """A batch that may be sent again: its id belongs to its emitter, a repeat gets the same answer.

    ``digest`` is the ``body_digest`` of its decoded body, or NO_DIGEST: another body under the id is refused.
    """

    emitter: str
    batch_id: str
    answer: bytes
    digest: int = NO_DIGEST


class Part(NamedTuple):
    """The place of a group in one file: ``name`` relative to the sink's directory, bytes ``start`` to ``end``."""

    name: str
    inode: int
    start: int
    end: int


class GroupRecord(NamedTuple):
    """One journalled group; ``wall`` is the time it was written, in seconds since the epoch."""

    wall: float
    parts: tuple[Part, ...]
    entries: tuple[LedgerEntry, ...]


def encode_entry(entry: LedgerEntry) -> bytes:
    """Return an entry as a record holds it. Raises ValueError or struct.error for ids that cannot be written."""
    emitter, batch_id, answer = entry.emitter.encode(), entry.batch_id.encode(), entry.answer
    return b"%b%b%b%b" % (
        _ENTRY.pack(len(emitter), len(batch_id), len(answer), entry.digest),
        emitter,
        batch_id,
        answer,
    )


def encode_record(wall: float, parts: Sequence[Part], entries: Sequence[bytes]) -> bytes:
    """Return a record as a segment holds it; ``entries`` are encoded already."""
    out = [_GROUP.pack(wall, len(parts), len(entries))]
    for part in parts:
        name = part.name.encode()
        out += (_PART.pack(part.inode, part.start, part.end, len(name)), name)
    out += entries
    payload = b"".join(out)
    return _HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def decode_segment(blob: bytes) -> Iterator[GroupRecord]:
    """Yield the valid records of a segment, up to the first that is torn or damaged."""
    if not blob.startswith((MAGIC, OLD_MAGIC)):
        return
    at = len(MAGIC)
    with_digests = blob.startswith(MAGIC)
    while at + _HEADER.size <= len(blob):
        length, crc = _HEADER.unpack_from(blob, at)
        payload = blob[at + _HEADER.size : at + _HEADER.size + length]
        if len(payload) != length or length < _GROUP.size or zlib.crc32(payload) != crc:
            return
        yield _decode_payload(payload, with_digests)
        at += _HEADER.size + length


def _decode_payload(payload: bytes, with_digests: bool) -> GroupRecord:
    wall, part_count, entry_count = _GROUP.unpack_from(payload)
    at = _GROUP.size
    parts = []
    for _ in range(part_count):
        inode, start, end, size = _PART.unpack_from(payload, at)
        at += _PART.size
        parts.append(Part(payload[at : at + size].decode(), inode, start, end))
        at += size
    entries = []
    for _ in range(entry_count):
        emitter_size, id_size, answer_size = _OLD_ENTRY.unpack_from(payload, at)
        digest = NO_DIGEST
        if with_digests:
            digest = _ENTRY.unpack_from(payload, at)[3]
        at += _ENTRY.size if with_digests else _OLD_ENTRY.size
        ids = at + emitter_size
        answer = ids + id_size
        end = answer + answer_size
        entries.append(LedgerEntry(payload[at:ids].decode(), payload[ids:answer].decode(), payload[answer:end], digest))
        at = end
    return GroupRecord(wall, tuple(parts), tuple(entries))


def segments(directory: Path) -> dict[int, list[Path]]:
    """Return the segments in the journal directory by worker, oldest first."""
    found: dict[int, list[Path]] = {}
    if directory.is_dir():
        for path in sorted(directory.iterdir()):
            if match := _SEGMENT.fullmatch(path.name):
                found.setdefault(int(match[1]), []).append(path)
    return found


def rewrite_segment(path: Path, records: Sequence[GroupRecord]) -> None:
    """Replace a segment by one that holds ``records`` only, atomically and durably. Raises OSError."""
    with replacing(path, mode=JOURNAL_MODE) as out:
        out.write(MAGIC)
        out.writelines(encode_record(r.wall, r.parts, [encode_entry(e) for e in r.entries]) for r in records)


class CommitLog:
    """Writes one worker's journal: a new segment each ttl (seconds) or SEGMENT_BYTES, old ones removed.

    Not thread-safe.
    """

    __slots__ = (
        "_current",
        "_damaged",
        "_directory",
        "_number",
        "_open_end",
        "_opened",
        "_ops",
        "_ttl",
        "_wall",
        "_worker",
        "_written",
    )

    def __init__(
        self, directory: Path, worker: int, *, wall: Callable[[], float], ops: FileOps, ttl: float = TTL
    ) -> None:
        """``ttl`` is in seconds."""
        self._directory = directory
        self._worker = worker
        self._wall = wall
        self._ops = ops
        self._ttl = ttl
        existing = segments(directory).get(worker, [])
        self._number = int(existing[-1].name.split(".")[1]) if existing else 0
        self._current: AppendFile | None = None
        self._damaged = False
        self._opened = 0.0
        self._written = 0
        self._open_end = False  # whether the last record is of a group; recovery ends with a checkpoint

    @property
    def dirty(self) -> bool:
        """Whether a record was written that is neither accepted nor cut away."""
        return self._current is not None and self._current.dirty

    def append(self, parts: Sequence[Part], entries: Sequence[bytes]) -> None:
        """Write the record of a group of encoded entries; ``accept`` or ``rollback`` must follow.

        Raises StepFailedError.
        """
        now = self._wall()
        current = self._segment(now)
        record = encode_record(now, parts, entries)
        if current.good == 0:
            record = MAGIC + record
        self._written = len(record)
        try:
            current.write([record])
        except EndMovedError:
            # What is left of a record that another program cut would hide all that follows it in this segment.
            self._damaged = True
            raise
        self._open_end = True

    def accept(self) -> None:
        """Keep the record of the last ``append``, if there was one: its group is stored."""
        if self._current is not None and self._written:
            self._current.accept(self._written)
        self._written = 0

    def rollback(self) -> None:
        """Cut away an ``append`` that was not accepted, if there was one. Raises StepFailedError.

        Call it after the files are cut back, never before: as long as they hold a piece of the group, so must the
        journal.
        """
        self._written = 0
        if self._current is not None:
            self._current.rollback()
            if self._damaged:
                self.close()

    def checkpoint(self) -> None:
        """Record that all groups so far are complete, unless the journal says so already. Raises StepFailedError."""
        if self._open_end:
            self.append([], [])
            self.accept()
            self._open_end = False

    def follow(self) -> None:
        """Start a new segment next if another program removed, renamed or cut this one. Raises StepFailedError."""
        current = self._current
        if current is not None and current.fd >= 0 and not (current.named() and current.size() == current.good):
            self.close()

    def prune(self) -> None:
        """Remove segments that are not needed any more: older than twice the ttl, or past MAX_BYTES in all."""
        oldest = self._wall() - 2 * self._ttl
        current = None if self._current is None else self._current.path
        total = 0
        for path in reversed(segments(self._directory).get(self._worker, [])):
            try:
                status = path.stat()
                total += status.st_size
                if path != current and (total > MAX_BYTES or status.st_mtime < oldest):
                    path.unlink()
            except OSError:
                continue

    def close(self) -> None:
        """Close the segment, unsynced (see above). Raises StepFailedError."""
        if self._current is not None:
            self._current.close(sync=False)
            self._current = None
        self._damaged = False

    def _segment(self, now: float) -> AppendFile:
        current = self._current
        if current is not None:
            if self._lasts(current, now):
                current.ready()
                return current
            self.close()
        self._number += 1
        path = self._directory / f"w{self._worker}.{self._number:010d}.log"
        current = AppendFile(path, ops=self._ops, lines=False, mode=JOURNAL_MODE)
        current.ready()
        self._current = current
        self._opened = now
        self.prune()
        return current

    def _lasts(self, segment: AppendFile, now: float) -> bool:
        # A negative age also starts a new one: the clock was stepped back.
        return 0 <= now - self._opened < self._ttl and segment.good < SEGMENT_BYTES

"""What the shipper needs of the sink; the composition root hands it over, so that neither imports the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class SourceFile(Protocol):
    """A file of the sink."""

    @property
    def name(self) -> str:
        """Its path relative to the sink's directory."""

    @property
    def rejected(self) -> bool:
        """Whether it holds rejected events."""

    @property
    def day(self) -> str:
        """Its UTC day, ``YYYYMMDD``."""

    @property
    def worker(self) -> int:
        """The worker that writes it."""

    @property
    def stem(self) -> str:
        """Its name without folder and suffix."""

    @property
    def inode(self) -> int:
        """Its inode."""

    @property
    def size(self) -> int:
        """Its size in bytes."""


class Source(Protocol):
    """The files of a sink. Every call may wait for the disk, and raise OSError."""

    def files(self) -> Sequence[SourceFile]:
        """Return the files, oldest day first."""

    def moved(self) -> Sequence[tuple[SourceFile, Path]]:
        """Return the files that are written to though they are no longer under their names, and paths to them."""

    def find(self, inode: int, *, rejected: bool) -> Path | None:
        """Return the path of a file that was renamed within its folder."""

    def is_open(self, inode: int) -> bool:
        """Return whether a gateway has the file open, as far as is published."""

    def limit(self, inode: int, size: int, worker: int) -> int:
        """Return how many bytes of a file are acknowledged; ``size`` must have been taken before."""

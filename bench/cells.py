"""What the matrix measures: one cell is one build, corpus, format, batch size and number of workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from bench.corpus import BodyFormat, Kind

Build = Literal["native", "compiled", "interpreted", "interpreted-native"]
"""Compiled with the kernel, compiled without it, pure Python, pure Python with the kernel."""

BUILDS: Final[tuple[Build, ...]] = ("native", "compiled", "interpreted", "interpreted-native")
COMPILED: Final = frozenset({"native", "compiled"})
WITH_KERNEL: Final = frozenset({"native", "interpreted-native"})

FORMATS: Final[tuple[BodyFormat, ...]] = ("ndjson", "csv", "plain", "otlp", "loki")
SIZES: Final = (1, 10, 100, 1000)
COUNTS: Final = (1, 10, 100, 1000, 10_000, 100_000)
"""Events in a body, for the question whether the cost is linear in them."""
EVENT_BYTES: Final = (200, 2_000, 20_000, 200_000)
"""Bytes of an event, for the same question; a body has 200,000."""
BODY_BYTES: Final = 200_000


@dataclass(frozen=True)
class Cell:
    """One cell. ``knee``: the sweep to the knee as well, which takes minutes."""

    build: Build
    corpus: Kind = "mixed"
    body_format: BodyFormat = "json"
    size: int = 100
    workers: int = 1
    event_bytes: int = 0
    """Bytes of each event's message; 0 leaves them as the corpus has them."""
    knee: bool = False

    @property
    def name(self) -> str:
        """The cell in a few words: its key in the results."""
        words = [self.build, self.corpus, self.body_format, f"batches of {self.size:,}"]
        if self.event_bytes:
            words.append(f"events of {self.event_bytes:,} bytes")
        if self.workers > 1:
            words.append(f"{self.workers} workers")
        if self.knee:
            words.append("knee")
        return ", ".join(words)

    @property
    def connections(self) -> int:
        """As many as keep the worker busy without holding gigabytes of bodies."""
        if self.size > 1000:
            return 2 * self.workers
        return (32 if self.size >= 100 or self.event_bytes else 128) * self.workers


@dataclass(frozen=True)
class Group:
    """Cells that answer one question; each round measures all of them, one after the other."""

    key: str
    title: str
    cells: tuple[Cell, ...]


def groups() -> tuple[Group, ...]:
    """All cells, the most important questions first."""
    return (
        Group(
            "targets",
            "The figures that count",
            (
                Cell("native"),
                Cell("native", "field"),
                Cell("compiled"),
                Cell("native", size=1),
                Cell("native", body_format="otlp"),
            ),
        ),
        Group("knee", "The knee by the SLO", (Cell("native", knee=True), Cell("compiled", knee=True))),
        Group("builds", "With and without kernel, compiled and interpreted", tuple(_builds())),
        Group("sizes", "Batches of 1 to 1000", tuple(_sizes())),
        Group(
            "formats",
            "Formats",
            tuple(Cell("native", body_format=one) for one in FORMATS)
            + tuple(Cell("compiled", body_format=one) for one in ("ndjson", "otlp"))
            + (Cell("native", "field", "ndjson"),),
        ),
        Group("workers", "Two workers, which share the cores with the sender", tuple(_workers())),
        Group("counts", "Cost by number of events", tuple(Cell("native", size=count) for count in COUNTS)),
        Group(
            "weights",
            "Cost by size of events",
            tuple(Cell("native", size=BODY_BYTES // size, event_bytes=size) for size in EVENT_BYTES),
        ),
        Group(
            "knees",
            "The knee, elsewhere",
            (
                Cell("native", "field", knee=True),
                Cell("native", size=1, knee=True),
                Cell("native", workers=2, knee=True),
                Cell("interpreted", knee=True),
            ),
        ),
    )


def _builds() -> Iterator[Cell]:
    for kind in ("mixed", "field"):
        for build in BUILDS:
            yield Cell(build, kind)


def _sizes() -> Iterator[Cell]:
    for build in ("native", "compiled"):
        for size in SIZES:
            yield Cell(build, size=size)
    for size in SIZES:
        yield Cell("native", "field", size=size)


def _workers() -> Iterator[Cell]:
    for size in (1, 100):
        for workers in (1, 2):
            yield Cell("native", size=size, workers=workers)

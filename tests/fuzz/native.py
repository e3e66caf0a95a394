"""The kernel against the reference: the same lines, counts, answers and refusals, byte for byte, whatever the body.

    python -m tests.fuzz.native --events 1000000 --seed 1
    python -m tests.fuzz.native --seconds 60
    python -m tests.fuzz.native --events 100000000 --log FILE     # goes on where FILE ends

Most bodies are made in bulk (`native_bulk`), of up to a thousand events of JSON, NDJSON, OTLP or another format; one in
nine has telling pieces side by side (`native_neighbours`), one in fifty is as odd as it gets (`native_maker`). The
kernel begins without any lesson in every round of bodies with the same settings, so each way through it is taken: a
layout that is new, one that it was taught, one that it never may be.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TextIO

from logops_fast.formats.media_type import Format
from logops_fast.ingest.native.reader import NativeReader, open_kernel
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.base import Limits
from tests.fuzz.exports import ExportMaker
from tests.fuzz.native_answers import Pair
from tests.fuzz.native_bulk import BulkMaker
from tests.fuzz.native_bulk_formats import FormatMaker
from tests.fuzz.native_checks import (
    Routes,
    difference,
    events_difference,
    export_difference,
    settings,
    watch,
)
from tests.fuzz.native_log import read_log, table
from tests.fuzz.native_maker import Maker
from tests.fuzz.native_neighbours import neighbours
from tests.fuzz.native_pools import make_pools

ROUND: Final = 500_000
"""Events that are made of the same pools."""

_BODIES: Final = 400  # with the same settings
_NEIGHBOURS: Final = 300  # events of a body
_DISTINCT: Final = 200_000  # events of a round that are compared with each other


class NoKernelError(Exception):
    """The kernel is not installed."""


class Round:
    """The bodies of one seed, and what came of them."""

    def __init__(self, seed: int, more_cases: tuple[Path, ...] = ()) -> None:
        self.seed = seed
        self.events = self.bodies = self.differences = 0
        self.formats: Counter[str] = Counter()
        self.routes = Routes()
        self._seen: set[int] = set()
        self._looked = 0
        self._maker = maker = Maker(seed, more_cases)
        pools = make_pools(maker)
        self._bulk = BulkMaker(maker, pools)
        self._formats = FormatMaker(maker, pools, self._bulk)
        self._exports = ExportMaker(maker.rng, maker.plain)
        self._begin()

    def _begin(self) -> None:
        """Begin with other settings, and a kernel that knows nothing."""
        self._variant = self._maker.rng.randrange(7)
        self._bulk.begin()
        self._normaliser, self._reader = self._opened()
        self._pair = Pair(self._maker.rng, self._normaliser, self._reader)
        self._is_rich = self._maker.rng.random() < 0.7

    def _opened(self) -> tuple[Normaliser, NativeReader]:
        normaliser = settings(self._variant)
        reader = open_kernel(normaliser)
        if reader is None:
            raise NoKernelError
        watch(reader, normaliser, self.routes)
        return normaliser, reader

    def step(self) -> str:
        """Make one body and compare; return what differs, empty if nothing does."""
        if self.bodies and self.bodies % _BODIES == 0:
            self._begin()
        if self._is_rich:
            self._reader._lessons.earn(1000)
        draw = self._maker.rng.random()
        if draw < 0.02:
            kind, count, found = self._odd()
        elif draw < 0.10:
            kind, count, found = self._export()
        elif draw < 0.25:
            kind, count, found = self._parsed()
        elif draw < 0.36:
            kind, count, found = self._neighbours()
        else:
            kind, count, found = self._json()
        self.formats[kind] += count
        self.events += count
        self.bodies += 1
        if found:
            self.differences += 1
            return f"body {self.bodies} of seed {self.seed}, settings {self._variant}: {found}"
        return ""

    def _odd(self) -> tuple[str, int, str]:
        """As `native_maker` makes them: one in three is refused by the reference."""
        maker = self._maker
        draw = maker.rng.random()
        if draw < 0.15:
            export, count = self._exports.body()
            limits = Limits(max_event_bytes=maker.rng.choice((300, 262_144)))
            found = export_difference(self._reader, self._normaliser, export, limits)
            return "odd", count, found and f"{export!r}\n{found}"
        if draw < 0.3:
            body, format, count = maker.lines()
            found = events_difference(self._reader, self._normaliser, body, format, maker.rng.randrange(3))
            return "odd", count, found and f"{body!r}\n{found}"
        body, by_line, count = maker.body()
        if draw < 0.5:
            found = self._pair.difference(body, Format.NDJSON if by_line else Format.JSON)
        else:
            size = maker.rng.choice((0, 0, 0, 300, 2000))
            found = difference(self._reader, self._normaliser, body, by_line, maker.rng.randrange(3), size)
        return "odd", count, found and f"{body!r}\n{found}"

    def _export(self) -> tuple[str, int, str]:
        body, count = self._formats.export()
        if self._maker.rng.random() < 0.15:
            found = self._pair.difference(body, Format.OTLP)
        else:
            found = export_difference(self._reader, self._normaliser, body, Limits())
        return Format.OTLP.label, count, found and f"{body!r}\n{found}"

    def _parsed(self) -> tuple[str, int, str]:
        body, format, count = self._formats.body()
        if self._maker.rng.random() < 0.15:
            found = self._pair.difference(body, format)
        else:
            found = events_difference(self._reader, self._normaliser, body, format, self._maker.rng.randrange(3))
        return format.label, count, found and f"{body!r}\n{found}"

    def _neighbours(self) -> tuple[str, int, str]:
        events = neighbours(self._maker.rng, _NEIGHBOURS)
        found = difference(self._reader, self._normaliser, b"[" + b",".join(events) + b"]", False)
        if found:
            found = self._smallest(events) or found
        return "neighbours", len(events), found

    def _smallest(self, events: Sequence[bytes]) -> str:
        """The first event that differs by itself, as most that differ do, and how."""
        normaliser, reader = self._opened()
        for event in events:
            alone = b"[" + event + b"]"
            smaller = difference(reader, normaliser, alone, False) or difference(reader, normaliser, alone, False)
            if smaller:
                return f"{alone!r}\n{smaller}"
        return ""

    def _json(self) -> tuple[str, int, str]:
        rng = self._maker.rng
        body = self._bulk.body()
        count = len(body.events)
        if self._looked < _DISTINCT:
            self._seen.update(map(hash, body.events))
            self._looked += count
        receipts = rng.randrange(3)
        format = Format.NDJSON if body.by_line else Format.JSON
        if rng.random() < 0.15:
            found = self._pair.difference(body.data, format)
        else:
            size = rng.choice((0, 0, 0, 0, 0, 0, 0, 2000, 20_000))
            found = difference(
                self._reader,
                self._normaliser,
                body.data,
                body.by_line,
                receipts,
                size,
                is_rich=self._is_rich,
                again=rng.random() < 0.3,
            )
        if found:
            found = self._smallest(body.events) or f"{body.data!r}\n{found}"
        return format.label, count, found

    def summary(self) -> dict[str, Any]:
        """Return what came of the round."""
        return {
            "seed": self.seed,
            "events": self.events,
            "bodies": self.bodies,
            "differences": self.differences,
            "distinct": round(len(self._seen) / max(1, self._looked), 4),
            "formats": dict(self.formats),
            "ways": dict(self.routes.ways),
            "masked": dict(self.routes.masked),
            "layouts": self.routes.layouts,
            "left": self.routes.left,
            "refused": self.routes.refused,
        }


def main(words: list[str] | None = None) -> int:
    """Entry point; 1 if there was a difference, 2 if there is no kernel."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.native", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000, help="about how many events to read (1000000)")
    parser.add_argument("--seconds", type=float, help="stop after so many seconds instead")
    parser.add_argument("--seed", type=int, default=1, help=f"of the first {ROUND} events; the next have the next")
    parser.add_argument("--most", type=int, default=5, help="differences that end the run (5)")
    parser.add_argument("--log", type=Path, help="append a line a round to this file, and go on after its last seed")
    parser.add_argument("--commit", default="", help="what is tried, for the log")
    parser.add_argument("--cases", type=Path, nargs="*", default=[], help="more files of cases")
    parser.add_argument("--table", action="store_true", help="print what the log holds, and do nothing else")
    args = parser.parse_args(words)
    before = read_log(args.log)
    if args.table:
        print(table(before))
        return 0
    seed = max([args.seed, *(one["seed"] + 1 for one in before)])
    done = sum(one["events"] for one in before)
    bodies = differences = 0
    began = time.monotonic()
    log = args.log.open("a") if args.log else None
    try:
        while differences < args.most and (
            time.monotonic() - began < args.seconds if args.seconds else done < args.events
        ):
            tried = _round(seed, args, began, log)
            done += tried.events
            bodies += tried.bodies
            differences += tried.differences
            seed += 1
    except NoKernelError:
        print("the kernel is not installed", file=sys.stderr)
        return 2
    finally:
        if log is not None:
            log.close()
    seconds = time.monotonic() - began
    print(f"seeds to {seed - 1}: {done:,} events, {bodies:,} bodies here, {differences} differences, {seconds:.0f} s")
    return 1 if differences else 0


def _round(seed: int, args: argparse.Namespace, began: float, log: TextIO | None) -> Round:
    """Try one seed, to its end or that of the run."""
    started, cpu = time.monotonic(), time.process_time()
    this = Round(seed, tuple(args.cases))
    while this.events < min(ROUND, args.events) and this.differences < args.most:
        if args.seconds and time.monotonic() - began >= args.seconds:
            break
        found = this.step()
        if found:
            print(found, flush=True)
    summary = this.summary()
    summary["seconds"] = round(time.monotonic() - started, 1)
    summary["cpu"] = round(time.process_time() - cpu, 1)
    summary["commit"] = args.commit
    summary["python"] = platform.python_version()
    print(json.dumps(summary), file=log or sys.stderr, flush=True)
    return this


if __name__ == "__main__":
    sys.exit(main())

"""Tries the unshippable lines again, after Loki's limits were changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec

from logops_fast.backoff import Backoff
from logops_fast.files.replace import replacing, sync_directory
from logops_fast.shipper import unshippable
from logops_fast.shipper.answers import TimeLimits
from logops_fast.shipper.delivery import Ask, Delivery, Hold, Push
from logops_fast.shipper.entries import Entry, EntryMaker, Place
from logops_fast.shipper.ledger import LONGEST_DOUBT, ShipOptions
from logops_fast.shipper.loki import Loki, QueryError, encode
from logops_fast.shipper.metrics import ShipMetrics
from logops_fast.shipper.questions import questions
from logops_fast.shipper.shipper import SHIPPED_MARGIN
from logops_fast.shipper.unshippable import Kept
from logops_fast.telemetry.registry import Registry

SLICE: Final = 1000
"""Lines at once."""


async def replay(
    options: ShipOptions, loki: Loki, make_maker: Callable[[], EntryMaker], registry: Registry
) -> tuple[int, int]:
    """Push every kept line again, unless Loki has it; return how many are in Loki now, and how many are still kept.

    It may run beside a shipper, which only adds to the files: what is added meanwhile stays. Raises OSError.
    """
    metrics = ShipMetrics(registry)
    shipped = left = 0
    for path in unshippable.files(options.state):
        size = path.stat().st_size
        kept = list(unshippable.read(path))
        still: list[Kept] = []
        for place, group in groupby(kept, key=lambda one: one.place):
            lines = {one.offset: one for one in group}  # a crash may have kept one twice
            for at in range(0, len(lines), SLICE):
                maker = make_maker()
                entries: list[Entry] = []
                for one in list(lines.values())[at : at + SLICE]:
                    entries += maker.make(place, one.offset, [one.line.encode()], time.time_ns())
                delivery = _delivery(options, entries, metrics)
                if held := await _run(loki, place, delivery):
                    # Whether any of them is in Loki is asked the next time.
                    still += [msgspec.structs.replace(lines[one.offset], text=held) for one in entries]
                    continue
                shipped += len(entries) - len(delivery.refused)
                still += [
                    msgspec.structs.replace(lines[one.entry.offset], reason=one.reason, text=one.text)
                    for one in delivery.refused
                ]
        left += len(still)
        _rewrite(path, still, size)
    return shipped, left


def _delivery(options: ShipOptions, entries: list[Entry], metrics: ShipMetrics) -> Delivery:
    now = time.time_ns()
    return Delivery(
        entries,
        limits=TimeLimits(),
        tally=metrics,
        backoff=Backoff(options.base_delay, options.max_delay, jitter=0.5),
        settle=options.settle,
        query_within=options.query_within,
        shipped=(now - LONGEST_DOUBT, now + SHIPPED_MARGIN),
    )


async def _run(loki: Loki, place: Place, delivery: Delivery) -> str:
    """Deliver; return why Loki takes nothing at all, else nothing."""
    machine = place.instance.rpartition("-")[0]
    denied = False
    while (step := delivery.next(time.time_ns())) is not None:
        if isinstance(step, Hold):
            return step.text or "every line is refused"
        if isinstance(step, Push):
            delivery.answered(await loki.push(encode(step.entries), again=not denied), time.time_ns())
        elif isinstance(step, Ask):
            try:
                found = await loki.ask(questions(place, (machine,), step.entries, step.shipped))
            except QueryError as error:
                denied = error.denied
                delivery.unasked(allowed=not denied, now=time.time_ns())
            else:
                denied = False
                delivery.asked(found, time.time_ns())
        else:
            await asyncio.sleep(step.seconds)
    return ""


def _rewrite(path: Path, still: list[Kept], size: int) -> None:
    """Replace the first ``size`` bytes of a file by what is still kept."""
    with path.open("rb") as file:
        file.seek(size)
        added = file.read()
    if not still and not added:
        path.unlink()
        sync_directory(path.parent)
        return
    with replacing(path, mode=unshippable.MODE) as out:
        out.writelines(msgspec.json.encode(one) + b"\n" for one in still)
        out.write(added)

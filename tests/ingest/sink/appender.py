"""Run as a process, to be killed: appends batches to a real sink and prints which were acknowledged.

Arguments: directory, first batch number, comma-separated numbers to send again. A batch of number n has its own
number of lines, each ``{"b": n, "i": i}`` and padding.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop

from logops_fast.ingest.sink.commit_log import LedgerEntry
from logops_fast.ingest.sink.file_sink import FileSink

IN_FLIGHT = 6


def line_count(number: int) -> int:
    # Every seventh is large: a kill then often hits the middle of a write.
    return 12_000 if number % 7 == 0 else 20 + number % 50


def lines_of(number: int) -> bytes:
    pad = "x" * 200
    return b"".join(b'{"b":%d,"i":%d,"p":"%s"}\n' % (number, i, pad.encode()) for i in range(line_count(number)))


async def main(directory: Path, first: int, again: list[int]) -> None:
    sink = FileSink(directory)
    report = await sink.start()
    known = {int(batch.batch_id) for batch in report.remembered}
    number = first

    def acknowledge(n: int) -> None:
        os.write(1, b"ack %d\n" % n)

    def done(n: int) -> Callable[[bool], None]:
        def on_stored(ok: bool) -> None:
            assert ok
            acknowledge(n)
            send_next()

        return on_stored

    def send(n: int) -> None:
        os.write(1, b"try %d\n" % n)
        sink.append(lines_of(n), done(n), entry=LedgerEntry("web", str(n), b"{}"))

    def send_next() -> None:
        nonlocal number
        number += 1
        send(number - 1)

    for n in again:
        if n in known:
            acknowledge(n)
        else:
            send(n)
    for _ in range(IN_FLIGHT):
        send_next()
    await asyncio.sleep(60)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2]), [int(n) for n in sys.argv[3].split(",") if n]))

"""``csv``: rows under a header line, some partial, some with quoted commas, quotes and line breaks (RFC 4180)."""

from __future__ import annotations

from typing import Final

from logops_fast.emitters.base import Clockwork, Options, Payload
from logops_fast.emitters.pools import Event, Pool, events

_HEADER: Final = b"ts,level,msg,app,host,duration_ms\n"
_CHAOTIC_LEVELS: Final = ("warning", "Information", "LOUD", " err ", "7")


class CsvRows:
    """Columns ts, level, msg, app, host, duration_ms.

    Partial rows lack ts or level, or end after the message; chaotic ones have unusual levels and line breaks in cells.
    """

    content_type = b"text/csv"

    __slots__ = ("_clock", "_pool")

    def __init__(self, options: Options) -> None:
        rng = options.rng()
        rows: list[tuple[bool, bytes]] = []
        levels: list[str | None] = []
        for event in events(rng, options.error_ratio):
            level: str | None = event.level
            stamped = True
            if rng.random() < options.chaos:
                msg = event.msg + rng.choice(('\nat line 2, "column" 7', ' with "quotes"', ", and, commas", ""))
                level = None
                row = _row(event._replace(msg=msg, level=rng.choice(_CHAOTIC_LEVELS)))
            elif rng.random() < options.partial_ratio:
                lacking = rng.choice(("ts", "level", "rest"))
                stamped = lacking != "ts"
                if lacking == "level":
                    level = None
                row = f",{event.level},{_cell(event.msg)}" if lacking == "rest" else _row(event, level or "")
            else:
                row = _row(event)
            rows.append((stamped, row.encode()))
            levels.append(level)
        self._pool = Pool(rows, levels, rng)
        self._clock = Clockwork()

    def batch(self, count: int, now: float) -> Payload:
        """Return a header line and ``count`` rows."""
        text, micros = self._clock.of(now, count)
        run, levels = self._pool.run(count)
        rows = [b"%b.%06dZ%b" % (text, micros + i, row) if stamped else row for i, (stamped, row) in enumerate(run)]
        return Payload(_HEADER + b"\n".join(rows) + b"\n", count, levels)


def _row(event: Event, level: str | None = None) -> str:
    """Return what follows the timestamp."""
    level = event.level if level is None else level
    return f",{level},{_cell(event.msg)},{event.app},{event.host},{event.duration_ms}"


def _cell(text: str) -> str:
    if any(char in text for char in ',"\n'):
        return '"' + text.replace('"', '""') + '"'
    return text

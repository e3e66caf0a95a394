"""The screen of ``logops top`` as lines of styled text, for any size from 80 by 24. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from rich.text import Text

from logops_fast.cli.units import duration, number, rate, size
from logops_fast.config.slo import Slo
from logops_fast.telemetry.logs import escape
from logops_fast.telemetry.overview import EmitterFigures, Overview, Rates, Refusals, WorkerFigures

Sort = Literal["rate", "total", "name"]

SORTS: Final[tuple[Sort, ...]] = ("rate", "total", "name")
BARS: Final = "▁▂▃▄▅▆▇█"
WIDE: Final = 110
"""Columns from which refusals and emitters are beside each other."""

_LABEL: Final = 10
_WORKER_ROWS: Final = 4
_MIN_ROWS: Final = 2
_ROOMY: Final = 10
_NARROWEST: Final = 70
_HEAD, _DIM, _GOOD, _BAD, _WARN = "bold", "dim", "green", "red", "yellow"
_READY: Final = "ready"


@dataclass(frozen=True)
class Controls:
    """What the keys have chosen. ``typing`` is whether letters go to the filter."""

    sort: Sort = "rate"
    filter: str = ""
    typing: bool = False
    quit: bool = False

    def press(self, data: bytes) -> Controls:
        """Return the controls after what a terminal sent."""
        if data.startswith(b"\x1b") and len(data) > 1:  # an arrow or a function key
            return self
        after = self
        for key in data.decode("utf-8", "ignore"):
            after = after._typed(key) if after.typing else after._key(key)
        return after

    def _key(self, key: str) -> Controls:
        match key:
            case "q" | "Q" | "\x03" | "\x04":
                return replace(self, quit=True)
            case "s":
                return replace(self, sort=SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)])
            case "/":
                return replace(self, typing=True)
            case "\x1b":
                return replace(self, filter="")
            case _:
                return self

    def _typed(self, key: str) -> Controls:
        match key:
            case "\r" | "\n":
                return replace(self, typing=False)
            case "\x1b":
                return replace(self, filter="", typing=False)
            case "\x03":
                return replace(self, quit=True)
            case "\x7f" | "\b":
                return replace(self, filter=self.filter[:-1])
            case _:
                return replace(self, filter=self.filter + key) if key.isprintable() else self


def screen(
    overview: Overview,
    rates: Sequence[Rates],
    slo: Slo,
    controls: Controls,
    *,
    where: str,
    width: int,
    height: int,
) -> list[Text]:
    """Return at most ``height`` lines of at most ``width`` columns. ``where`` names the listeners that are asked."""
    room, width = width, max(width, _NARROWEST)  # what is narrower is cut
    if not overview.workers and not overview.version:
        lines = _nothing(overview, where)
    else:
        lines = [
            _header(overview, where, width),
            *_flow(rates, overview.rates, width),
            _latency(overview),
            _objective(overview, slo),
            _sink(overview),
            _gateway(overview),
            _shipper(overview),
            _trouble(overview),
            *_workers(overview.workers, _WORKER_ROWS + max(0, (height - 30) // 3)),
        ]
        if height - 1 - len(lines) > _ROOMY:
            lines.append(Text())
        left = height - 1 - len(lines)
        lines += _tables(overview, controls, width, left)
    lines = lines[: height - 1]
    lines += [Text()] * (height - 1 - len(lines))
    lines.append(_footer(controls))
    for line in lines:
        line.truncate(room)
    return lines


def _nothing(overview: Overview, where: str) -> list[Text]:
    return [
        Text.assemble(("logops top", _HEAD), f"  {where}"),
        Text(),
        Text("Nothing answers:", _BAD),
        *(Text(f"  {escape(problem)}") for problem in overview.problems),
        Text(),
        Text("Is a gateway running here? `logops up` starts one."),
        Text("If its admin listener is elsewhere: logops top --url http://HOST:8089"),
    ]


def _header(overview: Overview, where: str, width: int) -> Text:
    state, style = ("ready", _GOOD) if not overview.unready else ("NOT READY", _BAD)
    version = escape(f"{overview.version} {overview.build}".strip())
    text = Text.assemble(("logops top", _HEAD), f"  {version}  ", (state, style))
    room = width - text.cell_len - 2
    if room >= len(where):
        text.append(f"{where:>{room + 2}}", _DIM)
    return text


def _flow(rates: Sequence[Rates], recent: Rates | None, width: int) -> list[Text]:
    columns = width - _LABEL - 12
    lines = []
    for label, value_of in (("Received", _received), ("Stored", _stored)):
        values = [value_of(one) for one in rates][-columns:]
        now = rate(None if recent is None else value_of(recent))
        lines.append(Text.assemble((label.ljust(_LABEL), _HEAD), f"{now:>8}/s ", (sparkline(values), "cyan")))
    return lines


def _received(rates: Rates) -> float:
    return rates.received


def _stored(rates: Rates) -> float:
    return rates.stored


def sparkline(values: Iterable[float]) -> str:
    """Return a bar for each value, the highest value as the full one."""
    kept = list(values)
    top = max(kept, default=0.0)
    if top <= 0.0:
        return BARS[0] * len(kept)
    return "".join(BARS[min(int(value / top * len(BARS)), len(BARS) - 1)] for value in kept)


def _latency(overview: Overview) -> Text:
    latency = overview.latency
    text = Text("Latency".ljust(_LABEL), _HEAD)
    if latency is None or latency.p50 is None:
        seconds = 0.0 if latency is None else latency.seconds
        return text.append(f"no batch in the last {duration(seconds)}" if seconds else "no batch yet", _DIM)
    for name in ("p50", "p95", "p99"):
        text.append(f"{name} {duration(getattr(latency, name))}".ljust(14), "")
    return text.append(f"{number(latency.batches)} batches in {duration(latency.seconds)}", _DIM)


def _objective(overview: Overview, slo: Slo) -> Text:
    latency = overview.latency
    text = Text("SLO".ljust(_LABEL), _HEAD)
    if latency is None or latency.p95 is None:
        return text.append(f"p95 under {duration(slo.p95)}, {slo.objective:.0%} under {duration(slo.threshold)}", _DIM)
    met = latency.p95 < slo.p95
    text.append(f"p95 under {duration(slo.p95)}: ").append("met" if met else "MISSED", _GOOD if met else _BAD)
    if latency.share_fast is not None:
        met = latency.share_fast >= slo.objective
        text.append(f"   {latency.share_fast:.2%} under {duration(slo.threshold)}, objective {slo.objective:.0%}: ")
        text.append("met" if met else "MISSED", _GOOD if met else _BAD)
    return text


def _sink(overview: Overview) -> Text:
    sink = overview.sink
    text = Text("Sink".ljust(_LABEL), _HEAD)
    if sink is None:
        return text.append("none here", _DIM)
    text.append(f"{size(sink.bytes_per_second)}/s   commit p50 {duration(sink.commit_p50)}")
    text.append(f", p99 {duration(sink.commit_p99)}   ")
    text.append(f"{number(sink.errors)} failed commits", _BAD if sink.errors else "")
    return text.append("   STALLED", _BAD) if sink.stalled else text


def _gateway(overview: Overview) -> Text:
    text = Text("Gateway".ljust(_LABEL), _HEAD)
    text.append(f"{number(overview.inflight)} in flight, {size(overview.inflight_bytes)}   queue ")
    text.append(number(overview.queued))
    if overview.breaker is not None:
        text.append("   breaker ").append(overview.breaker, _GOOD if overview.breaker == "closed" else _BAD)
    if overview.restarts:
        text.append(f"   {number(overview.restarts)} restarts", _WARN)
    return text


def _shipper(overview: Overview) -> Text:
    ship = overview.shipper
    text = Text("Shipper".ljust(_LABEL), _HEAD)
    if ship is None:
        return text.append("none here", _DIM)
    text.append(f"{rate(ship.lines_per_second)} lines/s   ")
    text.append(f"lag {size(ship.lag_bytes)}, {duration(ship.lag_seconds)}", _WARN if ship.lag_seconds >= 60 else "")
    return text.append(f"   {number(ship.refused)} lines refused by Loki", _BAD) if ship.refused else text


def _trouble(overview: Overview) -> Text:
    if overview.unready:
        return Text(escape(overview.unready), _BAD)
    return Text(escape("; ".join(overview.problems)), _WARN)


def _workers(workers: Sequence[WorkerFigures], rows: int) -> list[Text]:
    several = len({worker.door for worker in workers}) > 1
    title = "Worker".ljust(_LABEL + (6 if several else 0))
    lines = [Text(f"{title}{'State':<16}{'Heartbeat':>10}{'CPU':>8}{'Memory':>10}{'Connections':>13}", _HEAD)]
    # What needs attention first; the others in their order.
    ordered = sorted(workers, key=lambda worker: worker.state == _READY)
    shown = ordered if len(ordered) <= rows else ordered[: rows - 1]
    for worker in shown:
        name = f"{worker.number} :{worker.door.rpartition(':')[2]}" if several else worker.number
        text = Text(name.ljust(len(title)))
        text.append(f"{escape(worker.state)[:15]:<16}", _GOOD if worker.state == _READY else _BAD)
        text.append(f"{duration(worker.heartbeat_age):>10}{_percent(worker.cores):>8}")
        text.append(f"{size(worker.resident_bytes):>10}{number(worker.connections):>13}")
        lines.append(text)
    hidden = len(ordered) - len(shown)
    if hidden:
        states = "all ready" if all(one.state == _READY for one in ordered[len(shown) :]) else "not all ready"
        lines.append(Text(f"and {hidden} more, {states}", _DIM))
    return lines


def _percent(cores: float | None) -> str:
    return "-" if cores is None else f"{cores:.0%}"


def _tables(overview: Overview, controls: Controls, width: int, height: int) -> list[Text]:
    refusals = [one for one in overview.refusals if _wanted(controls, one.reason, one.emitter, one.gateway)]
    emitters = [one for one in overview.emitters if _wanted(controls, one.name)]
    refusals.sort(key=_refusal_order(controls.sort))
    emitters.sort(key=_emitter_order(controls.sort))
    if width >= WIDE:
        half = width // 2
        left = _refusal_table(refusals, half - 2, height)
        right = _emitter_table(emitters, width - half, height)
        empty = Text()
        lines = []
        for row in range(max(len(left), len(right))):
            line = left[row].copy() if row < len(left) else Text()
            line.truncate(half - 2)
            line.pad_right(half - line.cell_len)
            lines.append(line.append_text(right[row] if row < len(right) else empty))
        return lines
    # One under the other: each its share of the rows, and what the other one leaves.
    spare = height - 2 - len(refusals) - len(emitters)
    gap = [Text()] if spare >= 1 else []
    rows = max(height - 2 - len(gap), 2 * _MIN_ROWS)
    below = min(len(emitters), max(rows // 2, rows - len(refusals)))
    above = min(max(len(refusals), 1), rows - below)
    return [
        *_refusal_table(refusals, width, above + 1),
        *gap,
        *_emitter_table(emitters, width, max(height - above - 1 - len(gap), 0)),
    ]


def _wanted(controls: Controls, *words: str) -> bool:
    wanted = controls.filter.casefold()
    return any(wanted in word.casefold() for word in words)


def _refusal_order(sort: Sort) -> Callable[[Refusals], tuple[object, ...]]:
    def key(one: Refusals) -> tuple[object, ...]:
        name = (one.reason, one.emitter, one.gateway)
        by_size = {"rate": (-one.per_second, -one.total), "total": (-one.total,), "name": ()}[sort]
        return (*by_size, *name)

    return key


def _emitter_order(sort: Sort) -> Callable[[EmitterFigures], tuple[object, ...]]:
    def key(one: EmitterFigures) -> tuple[object, ...]:
        by_size = {"rate": (-one.stored_per_second, -one.stored), "total": (-one.stored,), "name": ()}[sort]
        return (*by_size, one.name)

    return key


def _refusal_table(refusals: Sequence[Refusals], width: int, height: int) -> list[Text]:
    names = width - 34
    emitter = max(names // 2 - 4, 8)
    reason = names - emitter
    head = f"{'Refused':<{reason}}{'Emitter':<{emitter}}{'Gateway':<9}{'a second':>12}{'in all':>12} "
    rows = [
        Text.assemble(
            (f"{_cut(one.reason, reason)}{_cut(one.emitter, emitter)}{one.gateway:<9}", ""),
            (f"{rate(one.per_second):>12}", _WARN if one.per_second else ""),
            f"{number(one.total):>12}",
        )
        for one in refusals
    ]
    return _table(head, rows or [Text("nothing", _DIM)], height)


def _emitter_table(emitters: Sequence[EmitterFigures], width: int, height: int) -> list[Text]:
    name = width - 48
    head = f"{'Emitter':<{name}}{'stored/s':>11}{'in all':>12}{'refused/s':>12}{'p95':>12} "
    rows = [
        Text.assemble(
            _cut(one.name, name),
            f"{rate(one.stored_per_second):>11}{number(one.stored):>12}",
            (f"{rate(one.refused_per_second):>12}", _WARN if one.refused_per_second else ""),
            f"{duration(one.p95):>12}",
        )
        for one in emitters
    ]
    return _table(head, rows or [Text("none", _DIM)], height)


def _table(head: str, rows: list[Text], height: int) -> list[Text]:
    if height < 2:
        return []
    if len(rows) > height - 1:
        shown = max(height - 2, 0)
        rows = [*rows[:shown], Text(f"and {len(rows) - shown} more", _DIM)]
    return [Text(head, _HEAD), *rows]


def _cut(text: str, width: int) -> str:
    shown = escape(text)
    return f"{shown if len(shown) < width else shown[: width - 4] + '...':<{width}}"


def _footer(controls: Controls) -> Text:
    if controls.typing:
        return Text.assemble(("Filter: ", _HEAD), escape(controls.filter), ("_", "blink"), ("   Enter, Esc", _DIM))
    text = Text.assemble(
        ("q", _HEAD), " quit   ", ("s", _HEAD), f" sort by: {controls.sort}   ", ("/", _HEAD), " filter"
    )
    return text.append(f": {escape(controls.filter)}   Esc clears it") if controls.filter else text

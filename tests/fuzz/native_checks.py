"""How the kernel's reading of a body differs from the reference's."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from logops_fast.formats.media_type import Format
from logops_fast.ingest.native.lessons import Lessons
from logops_fast.ingest.native.reader import NativeReader
from logops_fast.ingest.normaliser import Normalised, Normaliser
from logops_fast.ingest.parsers import registry
from logops_fast.ingest.parsers.base import Limits, MalformedBody

NOW: Final = 1_760_000_000.25
EMITTER: Final = "web"
_REQUEST: Final[dict[str, Any]] = {"emitter": EMITTER, "scenario_id": "na", "received_at": NOW}
# What is asked of an event that is handed back (kernel/src/python.rs).
_LEARN: Final = 1
_MASK: Final = 2
_LEVEL: Final = 3


def by_reference(normaliser: Normaliser, body: bytes, by_line: bool, receipts: int) -> Normalised | str:
    """Return what the parsers and the normaliser make of a body; a text if it is refused or has faults."""
    try:
        parsed = registry.parse(Format.NDJSON if by_line else Format.JSON, body, NOW)
    except MalformedBody as refused:
        return refused.reason
    if parsed.faults:
        return "faults"
    return normaliser.run(parsed.events, emitter=EMITTER, scenario_id="na", received_at=NOW, receipts_before=receipts)


class Routes:
    """Which way the events went that the kernel saw, and what it was taught."""

    def __init__(self) -> None:
        self.ways: Counter[str] = Counter()
        """``alone``: finished; ``masks``: settled, and masked in Python; ``level``: finished but for a level that is
        searched for in the message; ``handed``: read in Python; ``new``: the same, of a layout not yet learnt."""
        self.layouts = 0
        self.left = 0
        """Bodies of JSON that the kernel leaves to the reference as a whole."""
        self.refused = 0
        """Bodies that the reference refuses, or in which it finds faults."""
        self.masked: Counter[str] = Counter()

    def count(self, wanted: Normalised | str) -> None:
        """Count what the reference makes of a body."""
        if isinstance(wanted, str):
            self.refused += 1
        else:
            self.masked.update(wanted.masked)

    def took(self, answer: Any) -> None:
        """Count an answer of ``read`` or ``read_export``."""
        (_, _, handed, count, *_), _ = answer[:2]
        asks = [one[3] for one in handed]
        masks, levels, new = asks.count(_MASK), asks.count(_LEVEL), asks.count(_LEARN)
        ways = self.ways
        ways["alone"] += count - masks - levels
        ways["masks"] += masks
        ways["level"] += levels
        ways["new"] += new
        ways["handed"] += len(asks) - masks - levels - new


class Watched:
    """A kernel, and what became of the events that it saw."""

    def __init__(self, kernel: Any, routes: Routes) -> None:
        self.kernel = kernel
        self.routes = routes
        self.lessons = 0

    def read(self, *request: Any) -> Any:
        answer = self.kernel.read(*request)
        if answer is not None:
            self.routes.took(answer)
        return answer

    def read_export(self, *request: Any) -> Any:
        answer = self.kernel.read_export(*request)
        if answer[0] is not None:
            self.routes.took(answer[0])
        return answer

    def learn(self, *lesson: Any) -> None:
        self.routes.layouts += 1
        self.lessons += 1
        self.kernel.learn(*lesson)

    def learn_name(self, *lesson: Any) -> None:
        self.lessons += 1
        self.kernel.learn_name(*lesson)

    def learn_level(self, *lesson: Any) -> None:
        self.lessons += 1
        self.kernel.learn_level(*lesson)


def watch(reader: NativeReader, normaliser: Normaliser, routes: Routes | None = None) -> Watched:
    """Put a Watched around a reader's kernel, unless it has one; return it."""
    kernel: Any = reader._kernel
    if isinstance(kernel, Watched):
        return kernel
    watched = Watched(kernel, routes or Routes())
    reader._kernel = watched
    reader._lessons = Lessons(watched, normaliser)
    return watched


def in_parts(reader: NativeReader, body: bytes, by_line: bool, receipts: int, size: int) -> Normalised | None:
    """Return what the kernel makes of a body part by part; None if it leaves it to the reference."""
    parts: list[Normalised] = []
    start: int | None = 0
    while start is not None:
        part = reader.read_part(
            body,
            start=start,
            size=size,
            by_line=by_line,
            emitter=EMITTER,
            scenario_id="na",
            received_at=NOW,
            receipts_before=receipts + sum(part.missing_ts for part in parts),
        )
        if part is None:
            return None
        parts.append(part.normalised)
        start = part.end
    return _joined(parts)


def _joined(parts: list[Normalised]) -> Normalised:
    levels: Counter[str] = Counter()
    masked: Counter[str] = Counter()
    for part in parts:
        levels.update(part.levels)
        masked.update(part.masked)
    return Normalised(
        b"".join(part.lines for part in parts),
        sum(part.count for part in parts),
        sum(part.missing_ts for part in parts),
        sum(part.missing_level for part in parts),
        dict(levels),
        dict(masked),
    )


def difference(
    reader: NativeReader,
    normaliser: Normaliser,
    body: bytes,
    by_line: bool,
    receipts: int = 0,
    size: int = 0,
    *,
    is_rich: bool = True,
    again: bool = True,
) -> str:
    """Return how the kernel's reading of a body differs from the reference's; empty if it does not.

    ``size``: of the parts, in bytes, in which it is read once more; 0: it is not. ``is_rich``: whether it may be taught
    as much as there is in a body; otherwise what the bodies before have earned. ``again``: whether a body from which it
    learnt is read a second time.
    """
    wanted = by_reference(normaliser, body, by_line, receipts)
    kernel = watch(reader, normaliser)
    if is_rich:
        reader._lessons.earn(1000)
    lessons = kernel.lessons
    request: dict[str, Any] = {
        "by_line": by_line, "emitter": EMITTER, "scenario_id": "na", "received_at": NOW, "receipts_before": receipts,
    }  # fmt: skip
    found = reader.read(body, **request)
    kernel.routes.count(wanted)
    kernel.routes.left += found is None
    message = _apart("first", found, wanted)
    if not message and again and kernel.lessons != lessons:
        message = _apart("second", reader.read(body, **request), wanted)
    if not message and size:
        message = _apart("in parts", in_parts(reader, body, by_line, receipts, size), wanted)
    return message


def _apart(turn: str, found: Normalised | None, wanted: Normalised | str) -> str:
    """Return how what the kernel made differs from what is wanted; None is never wrong."""
    if found is None:
        return ""
    if isinstance(wanted, str):
        return f"{turn}: read, but the reference says {wanted}"
    if found.lines != wanted.lines:
        pairs = zip(found.lines.split(b"\n"), wanted.lines.split(b"\n"), strict=False)
        ours, theirs = next(((one, other) for one, other in pairs if one != other), (b"", b"more lines"))
        return f"{turn}:\n  kernel    {ours!r}\n  reference {theirs!r}"
    counts = [
        (*one.counts[:-1], {kind: number for kind, number in one.masked.items() if number}) for one in (found, wanted)
    ]
    return "" if counts[0] == counts[1] else f"{turn}: {counts[0]}, the reference {counts[1]}"


def export_difference(reader: NativeReader, normaliser: Normaliser, body: bytes, limits: Limits) -> str:
    """As ``difference``, of an export of OTLP in protobuf; one over what is read in one step is read in several."""
    wanted: Normalised | str
    try:
        parsed = registry.parse(Format.OTLP, body, NOW, limits)
    except MalformedBody as refused:
        wanted = refused.reason
    else:
        wanted = "faults" if parsed.faults else normaliser.run(parsed.events, **_REQUEST)
    kernel = watch(reader, normaliser)
    kernel.routes.count(wanted)
    lessons = kernel.lessons
    message = _apart("first", _export(reader, body, limits), wanted)
    if not message and kernel.lessons != lessons:
        message = _apart("second", _export(reader, body, limits), wanted)
    return message


def _export(reader: NativeReader, body: bytes, limits: Limits) -> Normalised | None:
    parts: list[Normalised] = []
    start: int | None = 0
    while start is not None:
        part = reader.read_export(
            body,
            limits,
            start=start,
            emitter=EMITTER,
            scenario_id="na",
            received_at=NOW,
            receipts_before=sum(part.missing_ts for part in parts),
        )
        if part is None:
            return None
        parts.append(part.normalised)
        start = part.end
    return _joined(parts)


def events_difference(reader: NativeReader, normaliser: Normaliser, body: bytes, format: Format, receipts: int) -> str:
    """As ``difference``, of events that were parsed. The kernel leaves them as they are; the reference comes last."""
    try:
        events = registry.parse(format, body, NOW).events
    except MalformedBody:
        return ""
    if not events:
        return ""
    request: dict[str, Any] = {**_REQUEST, "receipts_before": receipts}
    kernel = watch(reader, normaliser)
    lessons = kernel.lessons
    found = [reader.normalise(events, **request)]
    if kernel.lessons != lessons:
        found.append(reader.normalise(events, **request))
    wanted = normaliser.run(events, **request)
    kernel.routes.count(wanted)
    return next(filter(None, (_apart("parsed", one, wanted) for one in found)), "")


def settings(seed: int) -> Normaliser:
    """Return a normaliser with one of several settings."""
    variants: tuple[dict[str, Any], ...] = (
        {}, {}, {}, {"secrets": False}, {"mask": False}, {"fields": ["user_email", "*name*"]},
        {"fields": ["user_email", "n"], "keep": ["client_ip", "token"]},
    )  # fmt: skip
    return Normaliser(**variants[seed % len(variants)])

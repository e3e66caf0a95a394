"""Reads JSON, exports of OTLP and parsed events with the kernel.

What it hands back goes through the normaliser, and into its place.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, Final, NamedTuple, Protocol

import orjson

from logops_fast.errors import LogOpsError
from logops_fast.ingest.levels import DEFAULT_LEVEL
from logops_fast.ingest.native.lessons import Lessons
from logops_fast.ingest.native.table import digest, table
from logops_fast.ingest.normaliser import Normalised, Normaliser, constants
from logops_fast.ingest.parsers.base import Limits
from logops_fast.ingest.parsers.envelopes import may_be_envelope
from logops_fast.ingest.parsers.json_values import UNREADABLE, check_writable, decode
from logops_fast.ingest.settling import level_in

MODULE: Final = "logops_kernel"
SWITCH: Final = "LOGOPS_NATIVE"
"""The environment variable that switches the kernel off: ``0``."""

_VARIANTS: Final = 4
# What one body may cost in one step: more than so many events are read by the parsers, piece by piece.
_MOST_HANDED: Final = 2048
_LOOKED_AT: Final = 32
# Bytes of JSON that an export becomes in one step.
_MOST_TEXT: Final = 524_288
# What is asked of an event that is handed back (kernel/src/python.rs); 0: to read it.
_LEARN: Final = 1
_MASK: Final = 2
_LEVEL: Final = 3


class _Kernel(Protocol):
    """`logops_kernel.Kernel`, see kernel/src/python.rs."""

    def read(
        self,
        body: bytes,
        by_line: bool,
        constants: list[bytes],
        zone_is_utc: bool,
        receipt: int,
        start: int,
        size: int,
        may_be_envelope: bool,
    ) -> Any: ...
    def read_export(
        self,
        body: bytes,
        constants: list[bytes],
        zone_is_utc: bool,
        receipt: int,
        event_bytes: int,
        stored_bytes: int,
        items: int,
        before: int,
        most: int,
    ) -> Any: ...
    def learn(
        self, names: list[str], items: list[tuple[int, int, int, str]] | None, constants: int, telltale: bool
    ) -> None: ...
    def learn_name(self, name: str, plain: bool) -> None: ...
    def learn_level(self, scale: int, text: str, level: int | None) -> None: ...


_Handed = tuple[int, int, int, int]
"""Where a line, or a level, belongs among the finished ones; start and end of its event, or message; what is asked."""


class Part(NamedTuple):
    """Some events of a body, and where the next part begins; None: this was the last one."""

    normalised: Normalised
    end: int | None


_Request = tuple[str, str, float, int]
"""Emitter, scenario, time of receipt and receipts before, see ``Normaliser.run``; a named tuple would cost more."""


class NativeReader:
    """Reads the bodies of one worker. Not for use by several threads."""

    __slots__ = ("_constants", "_kernel", "_lessons", "_normaliser", "_request")

    def __init__(self, kernel: _Kernel, normaliser: Normaliser) -> None:
        self._kernel = kernel
        self._normaliser = normaliser
        self._lessons = Lessons(kernel, normaliser)
        self._request: tuple[str, str] = ("", "")
        self._constants: list[bytes] = []

    def read(
        self, body: bytes, *, by_line: bool, emitter: str, scenario_id: str, received_at: float, receipts_before: int
    ) -> Normalised | None:
        """Return what ``parse`` and ``Normaliser.run`` make of a body of JSON; None if they have to read it.

        ``by_line``: whether the body is NDJSON. The other arguments are those of ``Normaliser.run``.
        """
        request = (emitter, scenario_id, received_at, receipts_before)
        answer = self._read(body, by_line, request, 0, len(body), may_be_envelope=True)
        return None if answer is None else self._finished(answer, body, request)

    def read_part(
        self,
        body: bytes,
        *,
        start: int,
        size: int,
        by_line: bool,
        emitter: str,
        scenario_id: str,
        received_at: float,
        receipts_before: int,
    ) -> Part | None:
        """Return the events that lie within ``size`` bytes of ``start``; None if the whole body is to be parsed.

        ``start``: 0, or where the part before this one ended.
        """
        request = (emitter, scenario_id, received_at, receipts_before)
        answer = self._read(body, by_line, request, start, size, may_be_envelope=True)
        if answer is None:
            return None
        normalised = self._finished(answer, body, request)
        end: int = answer[1][3]
        return None if normalised is None else Part(normalised, end if end < len(body) else None)

    def read_export(
        self,
        body: bytes,
        limits: Limits,
        *,
        start: int,
        emitter: str,
        scenario_id: str,
        received_at: float,
        receipts_before: int,
    ) -> Part | None:
        """Return records of an export of OTLP in protobuf, as ``read_part`` does; parts begin and end at a record.

        ``start``: how many records were read before.
        """
        request = (emitter, scenario_id, received_at, receipts_before)
        answer, spellings = self._kernel.read_export(
            body,
            self._constants_of(emitter, scenario_id),
            self._normaliser.is_utc(emitter),
            round(received_at * 1e6) + receipts_before,
            limits.max_event_bytes,
            limits.max_stored_bytes,
            limits.max_items,
            start,
            _MOST_TEXT,
        )
        if spellings:
            self._lessons.words([], spellings)
        if answer is None:
            return None
        lines, news, text, following = answer
        normalised = self._finished((lines, news), text, request)
        return None if normalised is None else Part(normalised, following)

    def normalise(
        self,
        events: list[dict[str, Any]],
        *,
        emitter: str,
        scenario_id: str,
        received_at: float,
        receipts_before: int,
    ) -> Normalised | None:
        """Return what ``Normaliser.run`` makes of events; None if it has to. The events are left as they are.

        To write and read them once more costs a quarter of what Python takes to settle and mask them.
        """
        try:
            text = orjson.dumps(events)
        except (TypeError, ValueError, RecursionError):
            return None
        request = (emitter, scenario_id, received_at, receipts_before)
        answer = self._read(text, False, request, 0, len(text), may_be_envelope=False)
        return None if answer is None else self._finished(answer, text, request)

    def _read(
        self, body: bytes, by_line: bool, request: _Request, start: int, size: int, *, may_be_envelope: bool
    ) -> Any:
        """Return the kernel's answer; None if it refuses the body, or finishes nothing of it."""
        emitter, scenario_id, received_at, before = request
        answer = self._kernel.read(
            body,
            by_line,
            self._constants_of(emitter, scenario_id),
            self._normaliser.is_utc(emitter),
            round(received_at * 1e6) + before,
            start,
            size,
            may_be_envelope,
        )
        if answer is not None and not start and not answer[0][3]:
            self._learn_from(answer, body)  # the parsers are faster with the whole of it
            return None
        return answer

    def _constants_of(self, emitter: str, scenario_id: str) -> list[bytes]:
        key = (emitter, scenario_id)
        if self._request != key:
            self._constants = [b',"emitter":' + constants(*key, variant) + b"}\n" for variant in range(_VARIANTS)]
            self._request = key
        return self._constants

    def _finished(self, answer: Any, body: bytes, request: _Request) -> Normalised | None:
        """Return what the kernel made of a part of ``body``, with the events that it handed back in their places."""
        normaliser = self._normaliser
        (
            (lines, unmasked, handed, count, missing_ts, missing_level, levels, masked),
            (first_is_slice, names, spellings, _),
        ) = answer
        self._lessons.earn(count)
        if not handed:
            return Normalised(lines, count, missing_ts, missing_level, levels, masked) if count else None
        if len(handed) > _MOST_HANDED:
            return None
        if names or spellings:
            self._lessons.words(names, spellings)
        emitter, scenario_id, received_at, before = request
        slices = [one for one in handed if one[3] <= _LEARN]
        others = b""
        if slices:
            events = self._events(body, slices, first_is_slice)
            if events is None:
                return None
            rest = normaliser.run(
                events,
                emitter=emitter,
                scenario_id=scenario_id,
                received_at=received_at,
                receipts_before=before + missing_ts,
            )
            for level, number in rest.levels.items():
                levels[level] = levels.get(level, 0) + number
            _add(masked, rest.masked)
            others = rest.lines
            count += rest.count
            missing_ts += rest.missing_ts
            missing_level += rest.missing_level
        if unmasked:
            here: dict[str, int] = {}
            unmasked = normaliser.mask_settled(unmasked, here, emitter=emitter, scenario_id=scenario_id)
            _add(masked, here)
        found: list[str] = []
        for _, begin, stop, ask in handed:
            if ask == _LEVEL:
                named = level_in(decode(b'"' + body[begin:stop] + b'"'))
                missing_level += not named
                level = named or DEFAULT_LEVEL
                levels[level] = levels.get(level, 0) + 1
                found.append(level)
        lines = _merged(lines, handed, others, unmasked, found)
        return Normalised(lines, count, missing_ts, missing_level, levels, masked)

    def _learn_from(self, answer: Any, body: bytes) -> None:
        """Teach the kernel from a body that it handed back as a whole."""
        (_, _, handed, *_), (_, names, spellings, _) = answer
        self._lessons.earn(0)
        self._lessons.words(names, spellings)
        new = [body[start:end] for _, start, end, ask in handed[:_LOOKED_AT] if ask == _LEARN]
        try:
            self._lessons.layouts(tuple(decode(text)) for text in new)
        except UNREADABLE:
            return

    def _events(self, body: bytes, slices: list[_Handed], first_is_slice: bool) -> list[dict[str, Any]] | None:
        """Return the events that the kernel handed back; None if one is not JSON, or may be an envelope."""
        try:
            events: list[dict[str, Any]] = decode(
                b"[" + b",".join([body[start:end] for _, start, end, _ in slices]) + b"]"
            )
            check_writable(events)
        except UNREADABLE:
            return None
        if len(events) != len(slices) or (first_is_slice and may_be_envelope(events[0])):
            return None
        self._lessons.layouts(
            tuple(event) for (_, _, _, ask), event in zip(slices, events, strict=True) if ask == _LEARN
        )
        return events


def _add(counts: dict[str, int], more: dict[str, int]) -> None:
    for kind, number in more.items():
        counts[kind] = counts.get(kind, 0) + number


def _merged(lines: bytes, handed: list[_Handed], others: bytes, masked: bytes, levels: list[str]) -> bytes:
    """Put the lines of the events that were handed back, and levels, where they belong among the finished ones.

    ``others``: the lines of those that were read, ``masked``: of those that were masked; all in order.
    """
    parts: list[bytes] = []
    found = iter(levels)
    at = other = begin = 0
    for place, _, _, ask in handed:
        if place > at:
            parts.append(lines[at:place])
            at = place
        if ask == _MASK:
            end = masked.index(b"\n", begin) + 1
            parts.append(masked[begin:end])
            begin = end
        elif ask == _LEVEL:
            parts.append(b'"' + next(found).encode() + b'"')
        else:
            end = others.index(b"\n", other) + 1
            parts.append(others[other:end])
            other = end
    parts.append(lines[at:])
    return b"".join(parts)


class KernelMismatchError(LogOpsError):
    """The kernel that is installed was built for other masks than these."""


def open_kernel(normaliser: Normaliser) -> NativeReader | None:
    """Return a reader with the kernel; None if it is not installed or switched off, or the settings need the reference.

    Raises KernelMismatchError if it was built for another release.
    """
    if not normaliser.is_plain:
        return None
    module = kernel_module()
    if module is None:
        return None
    return NativeReader(
        module.Kernel(
            table(masks=normaliser.masks, secrets=normaliser.secrets, has_own_names=normaliser.has_own_names)
        ),
        normaliser,
    )


def is_native() -> bool:
    """Return whether the kernel is installed, fits, and is not switched off."""
    try:
        return kernel_module() is not None
    except KernelMismatchError:
        return False


def kernel_module() -> Any:
    """Return the kernel's module; None if it is not installed or switched off.

    Raises KernelMismatchError if it was built for another release.
    """
    if os.environ.get(SWITCH, "") == "0":
        return None
    try:
        module = importlib.import_module(MODULE)
    except ImportError:
        return None
    if digest() != module.DIGEST:
        raise KernelMismatchError(
            f"the native kernel {module.__version__} was built for other masks than this version has, and stays off: "
            "install the kernel of the same release"
        )
    return module

"""Reads JSON bodies with the kernel; what it hands back goes through the normaliser, in order."""

from __future__ import annotations

import importlib
import os
from typing import Any, Final, NamedTuple, Protocol

from logops_fast.errors import LogOpsError
from logops_fast.ingest.levels import DEFAULT_LEVEL, LEVELS, level_of
from logops_fast.ingest.native.plans import plan_of
from logops_fast.ingest.native.table import SCALES, digest, table
from logops_fast.ingest.normaliser import Normalised, Normaliser, constants, level_in
from logops_fast.ingest.parsers.envelopes import may_be_envelope
from logops_fast.ingest.parsers.json_values import UNREADABLE, check_writable, decode

MODULE: Final = "logops_kernel"
SWITCH: Final = "LOGOPS_NATIVE"
"""The environment variable that switches the kernel off: ``0``."""

_VARIANTS: Final = 4
# What one body may cost in one step: more than so many events are read by the parsers, piece by piece, and a body of
# ever new layouts is learnt in part. A layout costs 0.1 ms.
_MOST_HANDED: Final = 2048
_MOST_LEARNT: Final = 16
# What is asked of an event that is handed back (kernel/src/python.rs); 0: to read it.
_LEARN: Final = 1
_MASK: Final = 2
_LEVEL: Final = 3
_KINDS: Final = ("email", "ipv4", "ipv6", "card", "token", "secret")


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
    ) -> Any: ...
    def learn(
        self, names: list[str], items: list[tuple[int, int, int, str]] | None, constants: int, telltale: bool
    ) -> None: ...
    def learn_name(self, name: str, plain: bool) -> None: ...
    def learn_level(self, scale: int, text: str, level: int | None) -> None: ...


_Handed = tuple[int, int, int, int]
"""Where a line, or a level, belongs among the finished ones; start and end of its event, or message; what is asked."""


class Part(NamedTuple):
    """Some events of a body; the next part begins at ``end``."""

    normalised: Normalised
    end: int


class NativeReader:
    """Reads the bodies of one worker. Not for use by several threads."""

    __slots__ = ("_constants", "_kernel", "_normaliser", "_request")

    def __init__(self, kernel: _Kernel, normaliser: Normaliser) -> None:
        self._kernel = kernel
        self._normaliser = normaliser
        self._request: tuple[str, str] = ("", "")
        self._constants: list[bytes] = []

    def read(
        self, body: bytes, *, by_line: bool, emitter: str, scenario_id: str, received_at: float, receipts_before: int
    ) -> Normalised | None:
        """Return what ``parse`` and ``Normaliser.run`` make of a body of JSON; None if they have to read it.

        ``by_line``: whether the body is NDJSON. The other arguments are those of ``Normaliser.run``.
        """
        part = self.read_part(
            body,
            start=0,
            size=len(body),
            by_line=by_line,
            emitter=emitter,
            scenario_id=scenario_id,
            received_at=received_at,
            receipts_before=receipts_before,
        )
        return None if part is None else part.normalised

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

        ``start``: 0, or where the part before this one ended. The body was read once the end of a part is its length.
        """
        if self._request != (emitter, scenario_id):
            self._constants = [
                b',"emitter":' + constants(emitter, scenario_id, variant) + b"}\n" for variant in range(_VARIANTS)
            ]
            self._request = (emitter, scenario_id)
        normaliser = self._normaliser
        receipt = round(received_at * 1e6) + receipts_before
        answer = self._kernel.read(body, by_line, self._constants, normaliser.is_utc(emitter), receipt, start, size)
        if answer is None:
            return None
        (
            (lines, unmasked, handed, count, missing_ts, missing_level, numbers, kinds),
            (first_is_slice, names, spellings, end),
        ) = answer
        levels: dict[str, int] = {level: number for level, number in zip(LEVELS, numbers, strict=True) if number}
        masked: dict[str, int] = {kind: number for kind, number in zip(_KINDS, kinds, strict=True) if number}
        if not handed:
            return Part(Normalised(lines, count, missing_ts, missing_level, levels, masked), end) if count else None
        if len(handed) > _MOST_HANDED:
            return None
        if names or spellings:
            self._learn_words(names, spellings)
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
                receipts_before=receipts_before + missing_ts,
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
        return Part(Normalised(lines, count, missing_ts, missing_level, levels, masked), end)

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
        learnt: set[tuple[str, ...]] = set()
        for (_, _, _, ask), event in zip(slices, events, strict=True):
            if ask == _LEARN and len(learnt) < _MOST_LEARNT:
                keys = tuple(event)
                if keys not in learnt:
                    learnt.add(keys)
                    self._learn(keys)
        return events

    def _learn(self, keys: tuple[str, ...]) -> None:
        plan = plan_of(keys, self._normaliser.aliases)
        if plan is None or not all(self._normaliser.leaves([*keys, *(item[3] for item in plan.items)])):
            self._kernel.learn(list(keys), None, 0, False)
        else:
            self._kernel.learn(list(keys), plan.items, plan.constants, plan.telltale)

    def _learn_words(self, names: list[str], spellings: list[tuple[int, str]]) -> None:
        """Tell the kernel what it does not know of names of nested members, and of spellings of levels."""
        if names:
            for name, plain in zip(names, self._normaliser.leaves(names), strict=True):
                self._kernel.learn_name(name, plain)
        for scale, text in spellings:
            level = level_of(text, SCALES[scale])
            self._kernel.learn_level(scale, text, None if level is None else LEVELS.index(level))


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
    module = _module()
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
        return _module() is not None
    except KernelMismatchError:
        return False


def _module() -> Any:
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

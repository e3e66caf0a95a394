"""Reads JSON bodies with the kernel; what it hands back goes through the normaliser, in order."""

from __future__ import annotations

import importlib
import os
from typing import Any, Final, Protocol

from logops_fast.errors import LogOpsError
from logops_fast.ingest.levels import LEVELS
from logops_fast.ingest.native.plans import plan_of
from logops_fast.ingest.native.table import digest, table
from logops_fast.ingest.normaliser import Normalised, Normaliser, constants
from logops_fast.ingest.parsers.envelopes import may_be_envelope
from logops_fast.ingest.parsers.json_values import UNREADABLE, check_writable, decode

MODULE: Final = "logops_kernel"
SWITCH: Final = "LOGOPS_NATIVE"
"""The environment variable that switches the kernel off: ``0``."""

_VARIANTS: Final = 4
# What one body may cost in one step: more than so many events are read by the parsers, piece by piece, and a body of
# ever new layouts is learnt in part. A layout costs 0.1 ms.
_MOST_SLICES: Final = 2048
_MOST_LEARNT: Final = 16


class _Kernel(Protocol):
    """`logops_kernel.Kernel`, see kernel/src/python.rs."""

    def read(self, body: bytes, by_line: bool, constants: list[bytes], zone_is_utc: bool, receipt: int) -> Any: ...
    def learn(
        self, names: list[str], items: list[tuple[int, int, int, str]] | None, constants: int, telltale: bool
    ) -> None: ...
    def learn_name(self, name: str, plain: bool) -> None: ...


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
        if self._request != (emitter, scenario_id):
            self._constants = [
                b',"emitter":' + constants(emitter, scenario_id, variant) + b"}\n" for variant in range(_VARIANTS)
            ]
            self._request = (emitter, scenario_id)
        normaliser = self._normaliser
        receipt = round(received_at * 1e6) + receipts_before
        answer = self._kernel.read(body, by_line, self._constants, normaliser.is_utc(emitter), receipt)
        if answer is None:
            return None
        lines, slices, count, missing_ts, missing_level, numbers, emails, addresses, first_is_slice, names = answer
        if len(slices) > _MOST_SLICES:
            return None
        if names:
            for name, plain in zip(names, normaliser.leaves(names), strict=True):
                self._kernel.learn_name(name, plain)
        levels: dict[str, int] = {}
        for place, number in enumerate(numbers):
            if number:
                levels[LEVELS[place]] = number
        masked: dict[str, int] = {}
        if emails:
            masked["email"] = emails
        if addresses:
            masked["ipv4"] = addresses
        if not slices:
            return Normalised(lines, count, missing_ts, missing_level, levels, masked) if count else None
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
        for kind, number in rest.masked.items():
            masked[kind] = masked.get(kind, 0) + number
        lines = _merged(lines, slices, rest.lines) if count else rest.lines
        missing_ts += rest.missing_ts
        missing_level += rest.missing_level
        return Normalised(lines, count + rest.count, missing_ts, missing_level, levels, masked)

    def _events(
        self, body: bytes, slices: list[tuple[int, int, int, bool]], first_is_slice: bool
    ) -> list[dict[str, Any]] | None:
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
        for (_, _, _, unknown), event in zip(slices, events, strict=True):
            if unknown and len(learnt) < _MOST_LEARNT:
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


def _merged(lines: bytes, slices: list[tuple[int, int, int, bool]], others: bytes) -> bytes:
    """Put the lines of the events that were handed back where they belong among the finished ones."""
    parts: list[bytes] = []
    at = begin = 0
    for place, _, _, _ in slices:
        end = others.index(b"\n", begin) + 1
        if place > at:
            parts.append(lines[at:place])
            at = place
        parts.append(others[begin:end])
        begin = end
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
    return NativeReader(module.Kernel(table(masks=normaliser.masks, secrets=normaliser.secrets)), normaliser)


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

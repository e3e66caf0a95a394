"""What the kernel is taught: layouts, names of nested members, spellings of levels; and how much of it at a time.

A lesson costs as much as ten events or more, and pays if what was learnt comes again. Senders who make ever new names
must not cost more than without the kernel: so events that the kernel finishes earn the lessons.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from logops_fast.ingest.levels import LEVELS, level_of
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.plans import SCALES, plan_of

_MOST: Final = 16
"""Layouts that are learnt from one body: what it costs in one step."""

# In units of a lesson about eight names: 40 us, as much as ten events cost in Python.
_SAVED: Final = 64.0
_EARNED_BY_EVENT: Final = 1 / 32
_EARNED_BY_BODY: Final = 1 / 8
_COST_OF_NAME: Final = 1 / 8
_COST_OF_SPELLING: Final = 1 / 32


class _Pupil(Protocol):
    """What of `logops_kernel.Kernel` learns, see kernel/src/python.rs."""

    def learn(
        self, names: list[str], items: list[tuple[int, int, int, str]] | None, constants: int, telltale: bool
    ) -> None: ...
    def learn_name(self, name: str, plain: bool) -> None: ...
    def learn_level(self, scale: int, text: str, level: int | None) -> None: ...


class Lessons:
    """Teaches one kernel what the reference knows, as long as it pays."""

    __slots__ = ("_kernel", "_normaliser", "_purse")

    def __init__(self, kernel: _Pupil, normaliser: Normaliser) -> None:
        self._kernel = kernel
        self._normaliser = normaliser
        self._purse = _SAVED

    def earn(self, events: int) -> None:
        """Count a body, and the events of it that the kernel finished."""
        self._purse = min(_SAVED, self._purse + _EARNED_BY_BODY + events * _EARNED_BY_EVENT)

    def layouts(self, layouts: Iterable[tuple[str, ...]]) -> None:
        """Teach what becomes of events with these names, if that is known by their names."""
        for keys in list(dict.fromkeys(layouts))[:_MOST]:
            if self._purse < 1.0:
                return
            self._purse -= max(1.0, len(keys) * _COST_OF_NAME)
            plan = plan_of(keys, self._normaliser.aliases)
            if plan is None or not all(self._normaliser.leaves([*keys, *(item[3] for item in plan.items)])):
                self._kernel.learn(list(keys), None, 0, False)
            else:
                self._kernel.learn(list(keys), plan.items, plan.constants, plan.telltale)

    def words(self, names: list[str], spellings: list[tuple[int, str]]) -> None:
        """Teach names of nested members, and spellings of levels with the places of their scales."""
        if names and self._purse >= 1.0:
            self._purse -= len(names) * _COST_OF_NAME
            for name, plain in zip(names, self._normaliser.leaves(names), strict=True):
                self._kernel.learn_name(name, plain)
        if spellings and self._purse >= 1.0:
            self._purse -= len(spellings) * _COST_OF_SPELLING
            for scale, text in spellings:
                level = level_of(text, SCALES[scale])
                self._kernel.learn_level(scale, text, None if level is None else LEVELS.index(level))

"""Heartbeats and states of the workers in shared memory: written by each worker, read by the supervisor.

Shared memory, because a report must never wait: a pipe that the supervisor does not read would stop the worker, and a
worker that is stopped could not be asked. Each place (one worker process at a time) has a fixed slot::

    | beats: u64 | adopter: u64 | sequence: u64 | length: u64 | reloads: u64 | state as JSON |

The state is guarded by a sequence number that is odd while it is being written: a worker killed or stopped half-way
leaves the last complete state readable.
"""

from __future__ import annotations

import mmap
from typing import Final, NamedTuple

import orjson

SLOT_BYTES: Final = 1024
_WORDS: Final = 5
_BEATS, _ADOPTER, _SEQUENCE, _LENGTH, _RELOADS = range(_WORDS)
_TEXT_AT: Final = _WORDS * 8
_TEXT_BYTES: Final = SLOT_BYTES - _TEXT_AT
_MAX_DETAIL: Final = 400  # characters; escaped as JSON a character takes at most six bytes, and most take one
_ATTEMPTS: Final = 3

STARTING: Final = "starting"
READY: Final = "ready"
DRAINING: Final = "draining"
SINK_STALLED: Final = "sink_stalled"


class WorkerState(NamedTuple):
    """What a worker says of itself: ``ready``, or the reason why it takes no batch, and a sentence."""

    name: str
    detail: str = ""


_STARTING_STATE: Final = WorkerState(STARTING)


class Board:
    """The slots of all places, and which worker indices are in use. Created before the fork."""

    __slots__ = ("_indices", "_last", "_slots", "_words", "places")

    def __init__(self, places: int, indices: int | None = None) -> None:
        self.places = places
        count = places if indices is None else indices
        used_bytes = -(-count // 8) * 8
        memory = memoryview(mmap.mmap(-1, places * SLOT_BYTES + used_bytes))  # MAP_SHARED | MAP_ANONYMOUS
        self._slots = memory[: places * SLOT_BYTES]
        self._words = self._slots.cast("Q")
        self._indices = memory[places * SLOT_BYTES :]
        self._last = [_STARTING_STATE] * places

    def __repr__(self) -> str:
        return f"<Board {[f'{self.beats(place)} {self.state(place).name}' for place in range(self.places)]}>"

    def beat(self, place: int) -> None:
        """Report that the worker's event loop runs."""
        self._words[self._word(place, _BEATS)] += 1

    def beats(self, place: int) -> int:
        """Return how often the workers of ``place`` have reported."""
        return self._words[self._word(place, _BEATS)]

    def count_reload(self, place: int) -> None:
        """Report that the worker has finished a reload, whatever came of it."""
        self._words[self._word(place, _RELOADS)] += 1

    def reloads(self, place: int) -> int:
        """Return how many reloads the workers of ``place`` have finished."""
        return self._words[self._word(place, _RELOADS)]

    def set_state(self, place: int, state: WorkerState) -> None:
        """Publish a worker's state; its detail is cut to what the slot holds."""
        text = orjson.dumps((state.name, state.detail[:_MAX_DETAIL]))
        if len(text) > _TEXT_BYTES:
            text = orjson.dumps((state.name, ""))
        sequence = self._word(place, _SEQUENCE)
        started = self._words[sequence] | 1  # also when a predecessor was killed while it wrote
        self._words[sequence] = started
        at = place * SLOT_BYTES + _TEXT_AT
        self._slots[at : at + len(text)] = text
        self._words[self._word(place, _LENGTH)] = len(text)
        self._words[sequence] = started + 1

    def state(self, place: int) -> WorkerState:
        """Return the state last published for ``place``; while it is being written, the one read before."""
        sequence = self._word(place, _SEQUENCE)
        at = place * SLOT_BYTES + _TEXT_AT
        for _ in range(_ATTEMPTS):
            before = self._words[sequence]
            text = bytes(self._slots[at : at + min(self._words[self._word(place, _LENGTH)], _TEXT_BYTES)])
            if before % 2 == 0 and self._words[sequence] == before:
                if text:
                    self._last[place] = WorkerState(*orjson.loads(text))
                break
        return self._last[place]

    def adopter(self, place: int) -> int | None:
        """Return the place whose worker also accepts the connections of ``place``."""
        adopter = self._words[self._word(place, _ADOPTER)]
        return adopter - 1 if adopter else None

    def set_adopter(self, place: int, adopter: int | None) -> None:
        """Have the worker of ``adopter`` accept the connections of ``place`` too, or no worker."""
        self._words[self._word(place, _ADOPTER)] = 0 if adopter is None else adopter + 1

    def adopted_by(self, place: int) -> frozenset[int]:
        """Return the places whose connections the worker of ``place`` is to accept besides its own."""
        return frozenset(other for other in range(self.places) if self.adopter(other) == place)

    def index_used(self, index: int) -> bool:
        """Return whether a process that may still be alive has this worker index."""
        return index < len(self._indices) and bool(self._indices[index])

    def use_index(self, index: int, used: bool) -> None:
        """Record that a worker index is taken or free."""
        self._indices[index] = int(used)

    @staticmethod
    def _word(place: int, word: int) -> int:
        return place * (SLOT_BYTES // 8) + word

"""Which of the batches that wait are stored together next.

All of a group are answered together, and writing and syncing 20 MB takes a disk a tenth of a second and more. So a
large batch makes a group of its own, and the small ones that wait beside it go before the next large one: a small batch
waits for one large batch at most, and a large one for one group of small ones. Pure.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol, TypeVar

MAX_GROUP_BYTES: Final = 8 << 20
"""More than this is written in several groups: the first need not wait for the last."""

LARGE_BYTES: Final = 1 << 20
"""Lines of a batch that is stored by itself."""


class Waiting(Protocol):
    """A batch that waits to be stored."""

    day: str
    """The day of its file."""
    size: int
    """Bytes of its lines."""


WaitingT = TypeVar("WaitingT", bound=Waiting)


def next_group(pending: deque[WaitingT], *, after_large: bool) -> list[WaitingT]:
    """Take the batches of the next group out of ``pending``, which is not empty; all are of the first one's day.

    ``after_large``: whether the group before was a large batch.
    """
    day = pending[0].day
    small: list[WaitingT] = []
    large: list[WaitingT] = []
    size = 0
    if after_large or pending[0].size <= LARGE_BYTES:
        while pending and pending[0].day == day and size < MAX_GROUP_BYTES:
            batch = pending.popleft()
            if batch.size > LARGE_BYTES:
                large.append(batch)
            else:
                small.append(batch)
                size += batch.size
        pending.extendleft(reversed(large))
    return small or [pending.popleft()]

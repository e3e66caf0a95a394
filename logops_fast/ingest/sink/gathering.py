"""Which of the batches that wait are stored together next.

All of a group are answered together, and writing and syncing 20 MB takes a disk a tenth of a second and more. So a
large batch makes a group of its own, and the small ones that wait beside it go before the next large one: a small batch
waits for one large batch of its day at most, and a large one for one group of small ones. Pure.
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


def move_group(pending: deque[WaitingT], group: list[WaitingT], *, after_large: bool) -> None:
    """Move the batches of the next group from ``pending``, which is not empty; all are of the first one's day.

    ``after_large``: whether the group before was a large batch. If it raises, as without memory, each batch is in one
    of the two.
    """
    first = pending[0]
    size = 0
    if after_large or first.size <= LARGE_BYTES:
        large: list[WaitingT] = []
        try:
            while pending and pending[0].day == first.day and size < MAX_GROUP_BYTES:
                batch = pending[0]
                if batch.size > LARGE_BYTES:
                    large.append(batch)
                else:
                    group.append(batch)
                    size += batch.size
                pending.popleft()
        finally:
            pending.extendleft(reversed(large))
    if not group:
        group.append(first)
        pending.popleft()

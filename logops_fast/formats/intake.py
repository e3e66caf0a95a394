"""From the bytes of a body to what is parsed: out of its content encoding, its items counted.

A small body is done at once; a large one in steps, through the work queue.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import NamedTuple

from logops_fast.formats.batch import BatchHead
from logops_fast.formats.content_encoding import EncodingError
from logops_fast.formats.item_count import at_once, counting
from logops_fast.formats.pieces import PIECE_BYTES
from logops_fast.formats.work_queue import Ticket, WorkQueue
from logops_fast.http.refusal import Refusal

OnDecoded = Callable[[bytes, int | Refusal], None]
"""Takes the decoded body and an upper bound of its items, or why the body is refused."""


class Caps(NamedTuple):
    """Most bytes of a body, on the wire and decoded, and most items in it."""

    max_body_bytes: int
    max_items: int


def take_in(
    queue: WorkQueue, caps: Caps, head: BatchHead, wire: bytes, emitter: str, started: float, done: OnDecoded
) -> Ticket | None:
    """Decode and count a body, and call ``done`` once.

    Returns None if that has happened already, else the ticket of the work, to be cancelled if the client goes.
    """
    if len(wire) <= PIECE_BYTES and not head.must_decode(wire):
        return _count(queue, caps, head, wire, emitter, started, done)
    steps = head.decoding(wire, caps.max_body_bytes)
    try:
        next(steps)
    except StopIteration as end:
        body: bytes = end.value
        return _count(queue, caps, head, body, emitter, started, done)
    except EncodingError as error:
        done(b"", error.refusal)
        return None
    return queue.add(_IntakeJob(head, caps, b"", steps, done), emitter, len(wire), started, large=True)


def _count(
    queue: WorkQueue, caps: Caps, head: BatchHead, body: bytes, emitter: str, started: float, done: OnDecoded
) -> Ticket | None:
    """Count the items of a decoded body: at once if it is small, and one step is enough."""
    items = at_once(head.settled(body).format, body, caps.max_items) if len(body) <= PIECE_BYTES else None
    if items is not None:
        done(body, items)
        return None
    # To count takes so little that it does not wait for the emitter's other batches.
    return queue.add(_IntakeJob(head, caps, body, None, done), emitter, len(body), started, large=False)


class _IntakeJob:
    """Decodes the rest of a body and counts its items."""

    __slots__ = ("_body", "_done", "_steps")

    def __init__(
        self, head: BatchHead, caps: Caps, body: bytes, steps: Generator[None, None, bytes] | None, done: OnDecoded
    ) -> None:
        self._body = body
        self._steps = self._work(head, caps, steps)
        self._done = done

    def _work(
        self, head: BatchHead, caps: Caps, steps: Generator[None, None, bytes] | None
    ) -> Generator[None, None, int | Refusal]:
        if steps is not None:
            try:
                self._body = yield from steps
            except EncodingError as error:
                return error.refusal
            yield
        return (yield from counting(head.settled(self._body).format, self._body, caps.max_items))

    def step(self) -> bool:
        """Decode or count some more."""
        try:
            next(self._steps)
        except StopIteration as end:
            items: int | Refusal = end.value
            body, self._body = self._body, b""
            self._done(body, items)
            return False
        return True

    def refuse(self, refusal: Refusal) -> None:
        """End before the first step."""
        self._done(b"", refusal)

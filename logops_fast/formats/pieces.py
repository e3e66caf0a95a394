"""Pieces of a large body: the unit in which it is worked on, so that no step depends on what the body holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from enum import Enum
from typing import Final, NamedTuple, TypeVar

PIECE_BYTES: Final = 262_144
"""Bytes of a piece: about 3 ms of parsing, normalising and masking."""

PIECE_ITEMS: Final = 2048
"""Most items of a piece: a tiny item costs more for each of its bytes."""

STEP_BYTES: Final = 32_768
"""Bytes read in one step of items that may cost ten times what others of their size do."""

KEPT_BYTES: Final = 65_536
"""Bytes passed on of an item that is too large."""


Item = TypeVar("Item", bound=Sized)


class PieceKind(Enum):
    """What a piece is."""

    ITEMS = 0
    """``text`` holds ``count`` items in the body's own format; JSON items are in an array."""
    TOO_LARGE = 1
    """``text`` is the beginning of one item over the limit."""
    BROKEN = 2
    """``text`` is one item of a sequence of JSON objects that is not JSON."""
    NOTHING = 3
    """A step was made and nothing came of it yet."""


class Piece(NamedTuple):
    """Some items of a body, in order. ``count`` is an upper bound for text formats: blank lines are no items."""

    kind: PieceKind
    text: bytes
    count: int  # type: ignore[assignment]  # hides tuple.count


NOTHING: Final = Piece(PieceKind.NOTHING, b"", 0)


def too_large(text: bytes, pos: int, end: int) -> Piece:
    """Return the piece of an item over the limit: no more of it than will be kept."""
    return Piece(PieceKind.TOO_LARGE, text[pos : min(end, pos + KEPT_BYTES)].rstrip(), 1)


def groups(items: Sequence[Item], most: int) -> Iterator[Sequence[Item]]:
    """Yield items in order in groups of at most ``most``, and of STEP_BYTES unless one alone is longer."""
    first = held = 0
    for at, item in enumerate(items):
        held += len(item)
        if at > first and (held > STEP_BYTES or at - first == most):
            yield items[first:at]
            first, held = at, len(item)
    if first < len(items):
        yield items[first:]

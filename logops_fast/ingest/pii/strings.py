"""Where a place in neutral text stands: in a key, in a value, or outside of every string."""

from __future__ import annotations

_COLON = 0x3A


class KeyWatch:
    """Tells whether any of the hits in a text stood in an object's key.

    In neutral text (see `escapes`) a string ends at the next quote, and only a key's is followed by a colon. Hits come
    in order, and each string's end is looked up once, so a million hits in one string stay linear.
    """

    __slots__ = ("_end", "_text", "in_key")

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._end = -1
        self.in_key = False

    def hit(self, at: int) -> None:
        """Notes a hit inside a string, which ends at ``at``."""
        if at > self._end:
            text = self._text
            end = text.find(b'"', at)
            if end < 0:
                end = len(text)
            self._end = end
            if end + 1 < len(text) and text[end + 1] == _COLON:
                self.in_key = True

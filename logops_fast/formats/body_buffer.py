"""A request body while it arrives."""

from __future__ import annotations


class BodyBuffer:
    """Collects the pieces of one body.

    The common body arrives whole and is passed on uncopied; more pieces go into one bytearray, since a list of
    single bytes would hold forty times what was sent.
    """

    __slots__ = ("_first", "_more", "size")

    def __init__(self) -> None:
        self._first = b""
        self._more: bytearray | None = None
        self.size = 0

    def add(self, data: bytes) -> None:
        """Append a piece."""
        if self._more is not None:
            self._more += data
        elif self.size:
            self._more = bytearray(self._first)
            self._more += data
            self._first = b""
        else:
            self._first = data
        self.size += len(data)

    def take(self) -> bytes:
        """The whole body; the buffer is empty afterwards."""
        body = self._first if self._more is None else bytes(self._more)
        self.clear()
        return body

    def clear(self) -> None:
        """Let go of what was collected."""
        self._first, self._more, self.size = b"", None, 0

"""Backpressure: the caps on bytes and items (SPEC 3, checks 1, 8 and 9)."""

from __future__ import annotations

from logops_fast.formats.item_count import at_most, exact
from logops_fast.formats.media_type import Format
from logops_fast.http.refusal import Refusal


class Backpressure:
    """Size caps of one request: ``max_body_bytes`` on the wire and decompressed, ``max_items`` in a batch.

    413 means that the same request can never pass, so it is used for size alone; load is 429 or 503.
    """

    __slots__ = ("max_body_bytes", "max_items")

    def __init__(self, max_body_bytes: int, max_items: int) -> None:
        self.max_body_bytes = max_body_bytes
        self.max_items = max_items

    def declared(self, content_length: int | None) -> Refusal | None:
        """Check 1: refuse by Content-Length alone, before anything is read."""
        if content_length is None or content_length <= self.max_body_bytes:
            return None
        detail = (
            f"Content-Length is {content_length} bytes and at most {self.max_body_bytes} are accepted: split the batch."
        )
        return Refusal(413, "too_large_hdr", detail)

    def received(self, size: int) -> Refusal | None:
        """Check 8: refuse by the bytes that arrived so far, for bodies that do not declare their length."""
        if size <= self.max_body_bytes:
            return None
        return Refusal(413, "too_large", f"The body is over {self.max_body_bytes} bytes: split the batch.")

    def items(self, body_format: Format, body: bytes) -> int | Refusal:
        """Check 9: return an upper bound of the items in the body, exact only if the bound exceeds the cap.

        Counting at memory speed saves parsing the batch twice; what was counted too much is returned to the
        bucket once the answer has the true number.
        """
        return at_most(body_format, body, self.max_items)

    @staticmethod
    def exact(body_format: Format, body: bytes) -> int:
        """Return the true item count, for a batch whose bound does not fit its bucket."""
        return exact(body_format, body)

"""How many items a body holds, for the gateway that must know before anything is parsed.

``exact`` equals the events and faults that the parsers make of the same body, envelopes aside, which only they open;
``upper_bound`` is never below it. Both are linear; a body within a cap by its bound needs no exact count.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, assert_never

from logops_fast.formats import csv_text, json_text, loki_push, otlp_json, otlp_protobuf, syslog_text
from logops_fast.formats.json_pieces import json_pieces
from logops_fast.formats.line_pieces import filled_lines
from logops_fast.formats.lines import count_filled, frames, is_blank, may_be_framed, without_bom
from logops_fast.formats.media_type import Format
from logops_fast.formats.pieces import PIECE_BYTES
from logops_fast.formats.steps import result_of
from logops_fast.http.refusal import Refusal

FRAMED_BYTES: Final = PIECE_BYTES
"""Up to this size a body is counted in one step; JSON exactly, at 0.08 us an event."""

_BULK_ACTIONS: Final = (b'{"index"', b'{"create"', b'{"update"', b'{"delete"')


def upper_bound(format: Format, body: bytes) -> int:
    """Return a number that the items of no body of this format exceed; one pass at memory speed.

    JSON: the exact count of small bodies; of large and of broken ones, commas and ends of objects. Others: lines.
    """
    match format:
        case Format.JSON:
            framed = json_text.count(body) if len(body) <= FRAMED_BYTES else 0
            return framed or body.count(b",") + body.count(b"}") + body.count(b"\n{") + 1
        case Format.CSV:
            lines = body.count(b"\n") + 1
            return body.count(b"\r") + 1 if lines == 1 else lines  # lines may end in CR alone
        case Format.NDJSON:
            return body.count(b"\n") + 1
        case Format.PLAIN:
            # Octet-counted frames need no newline.
            framed = body.count(b"<") if may_be_framed(without_bom(body)) else 0
            return body.count(b"\n") + framed + 1
        case Format.LOKI:
            return loki_push.count(body)
        case Format.LOKI_JSON:
            return (loki_push.json_count(body) if len(body) <= FRAMED_BYTES else 0) or body.count(b",") + 1
        case Format.SYSLOG | Format.SYSLOG_UDP:
            return body.count(b"\n") + body.count(b"\0") + 1
        case Format.OTLP:
            return otlp_protobuf.count(body)
        case Format.OTLP_JSON:
            framed = otlp_json.count(body) if len(body) <= FRAMED_BYTES else 0
            return framed or body.count(b"{")
        case _:
            assert_never(format)


def exact(format: Format, body: bytes, limit: int | None = None) -> int:
    """Return the number of items: what the parsers will accept and reject together.

    0 for a body that they refuse as a whole, be it empty or (JSON) broken. Above ``limit`` it may be any number
    that is above it too.
    """
    match format:
        case Format.JSON:
            return json_text.count(body)
        case Format.CSV:
            return csv_text.count(body, limit)
        case Format.NDJSON:
            return count_filled(without_bom(body))
        case Format.PLAIN:
            text = without_bom(body)
            found = frames(text)
            return count_filled(text) if found is None else len(found)
        case Format.LOKI:
            return loki_push.count(body, limit)
        case Format.LOKI_JSON:
            return loki_push.json_count(body, limit)
        case Format.SYSLOG | Format.SYSLOG_UDP:
            return syslog_text.count(body)
        case Format.OTLP:
            return otlp_protobuf.count(body)
        case Format.OTLP_JSON:
            return otlp_json.count(body)
        case _:
            assert_never(format)


def at_most(format: Format, body: bytes, cap: int) -> int | Refusal:
    """Return an upper bound of the items, or 413 ``too_many_items``, in one step; see ``counting``."""
    if len(body) <= FRAMED_BYTES and format is not Format.LOKI:
        count = upper_bound(format, body)
        if count <= cap:
            return count
    return result_of(counting(format, body, cap))


def at_once(format: Format, body: bytes, cap: int) -> int | Refusal | None:
    """Return what ``at_most`` does, None if one step is not enough: 256 KiB of protobuf may be 131,000 fields."""
    if format is not Format.OTLP and format is not Format.LOKI:
        return at_most(format, body, cap)
    try:
        next(counting(format, body, cap))
    except StopIteration as end:
        count: int | Refusal = end.value
        return count
    return None


def counting(format: Format, body: bytes, cap: int) -> Generator[None, None, int | Refusal]:
    """Count the items in steps; returns an upper bound, or 413 ``too_many_items`` if there are over ``cap``.

    Large JSON is counted exactly, up to what is broken; lines only if their number is over ``cap``. What the count
    cannot settle cheaply, rows of CSV and pairs of Elasticsearch's _bulk, passes as ``cap``: the parser counts too.
    """
    if format is Format.LOKI:
        count = yield from loki_push.counting(body, cap)
    elif format is Format.OTLP:
        count = yield from otlp_protobuf.counting(body, cap)
    elif len(body) <= FRAMED_BYTES:
        count = upper_bound(format, body)
        if count > cap:
            count = exact(format, body, cap)
    elif format is Format.JSON:
        count = yield from _count_json(body, cap)
    elif format is Format.LOKI_JSON:
        count = upper_bound(format, body)
        if count > cap:
            count = yield from loki_push.json_counting(body, cap)
    elif format is Format.OTLP_JSON:
        count = yield from _count_otlp_json(body, cap)
    else:
        count = upper_bound(format, body)
        if count > cap and (format is Format.CSV or without_bom(body).lstrip().startswith(_BULK_ACTIONS)):
            count = cap
        elif count > cap and format is Format.PLAIN and may_be_framed(without_bom(body)):
            count = exact(format, body)
        elif count > cap:
            count = 0
            for filled in filled_lines(without_bom(body), cap):
                count = filled
                yield
    if count > cap:
        return Refusal(
            413, "too_many_items", f"The batch holds over {cap} events, the most that one may hold: split it."
        )
    return count


def _count_json(body: bytes, cap: int) -> Generator[None, None, int]:
    text = without_bom(body)
    if is_blank(text):
        return 0
    count = 0
    try:
        for piece in json_pieces(text, PIECE_BYTES):
            count += piece.count
            if count > cap:
                break
            yield
    except json_text.BrokenJsonError:
        pass  # the parser says so, and where
    return count


def _count_otlp_json(body: bytes, cap: int) -> Generator[None, None, int]:
    count = 0
    try:
        for group in otlp_json.Cutter(without_bom(body), PIECE_BYTES, cap).groups():
            count += group.piece.count
            if count > cap:
                break
            yield
    except otlp_json.TooManySectionsError:
        return cap + 1
    except json_text.BrokenJsonError:
        pass  # the parser says so, and where
    return count

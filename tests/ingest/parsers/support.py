"""What the parser tests share."""

from __future__ import annotations

from collections.abc import Callable

from logops_fast.ingest.parsers.base import MalformedBody, Parsed


def outcome(parse: Callable[[], Parsed]) -> Parsed | MalformedBody:
    """What a parser gives or refuses with; whatever else it raises passes."""
    try:
        return parse()
    except MalformedBody as refused:
        return refused

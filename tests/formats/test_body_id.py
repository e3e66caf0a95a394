from __future__ import annotations

from typing import Any

from logops_fast.formats.body_id import BODY_ID, body_id
from tests.support.tables import each_of

PARTS = ("web-1", b"/ingest", b"application/json", "na", "", b'[{"msg":"x"}]')


def test_equal_parts_are_one_id() -> None:
    assert body_id(*PARTS) == body_id(*PARTS)
    assert BODY_ID.fullmatch(body_id(*PARTS).encode())


@each_of("part", range(len(PARTS)))
def test_any_part_that_differs_makes_another_id(part: int) -> None:
    other = PARTS[part] + (b"x" if isinstance(PARTS[part], bytes) else "x")  # type: ignore[operator]
    parts: Any = (*PARTS[:part], other, *PARTS[part + 1 :])
    assert body_id(*parts) != body_id(*PARTS)


def test_parts_do_not_run_into_each_other() -> None:
    assert body_id("a", b"b", b"", "", "", b"") != body_id("ab", b"", b"", "", "", b"")
    assert body_id("a", b"", b"", "", "", b"b") != body_id("a", b"", b"", "", "b", b"")

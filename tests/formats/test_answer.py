from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats.answer import MAX_RETRY_AFTER, counts_of, reason_of, retry_after_of
from logops_fast.http.refusal import Refusal
from tests.support.tables import each_of

FOREIGN = [
    b"",
    b"null",
    b"[]",
    b"<html>",
    b'"error"',
    b"\xff",
    b'{"error":7}',
    b'{"error":"Not a reason!"}',
    b'{"x":1}',
]


def test_a_refusal_of_ours_is_read_back() -> None:
    assert reason_of(Refusal(429, "rate_limited", "Later.").body()) == "rate_limited"


@each_of("body", FOREIGN)
def test_anothers_answer_has_no_reason_and_no_counts(body: bytes) -> None:
    assert reason_of(body) == ""
    assert counts_of(body) is None


@each_of("counts", [(True, 0), (1.5, 0), (-1, 0), ("1", 0), (0, None)])
def test_counts_that_are_none_are_not_taken(counts: tuple[object, object]) -> None:
    assert counts_of(orjson.dumps({"accepted": counts[0], "rejected": counts[1]})) is None
    assert counts_of(b'{"accepted":97,"rejected":3}') == (97, 3)


@each_of(
    ("value", "seconds"),
    [
        (b"3", 3),
        (b"", 0),
        (b"-1", 0),
        (b"1.5", 0),
        (b"Wed, 21 Oct 2026 07:28:00 GMT", 0),
        (b"99999999", MAX_RETRY_AFTER),
    ],
)
def test_retry_after_is_whole_seconds_within_a_day(value: bytes, seconds: int) -> None:
    assert retry_after_of({b"retry-after": value}) == seconds
    assert retry_after_of({}) == 0


@given(st.binary(max_size=200))
def test_no_body_raises(body: bytes) -> None:
    reason_of(body)
    counts_of(body)

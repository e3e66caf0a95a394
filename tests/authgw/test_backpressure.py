"""The caps on bytes and items."""

from __future__ import annotations

import pytest

from logops_fast.authgw.backpressure import Backpressure
from logops_fast.formats.batch import BatchHead
from logops_fast.formats.item_count import FRAMED_BYTES
from logops_fast.formats.media_type import Format
from logops_fast.http.refusal import Refusal
from tests.support.tables import each_of
from tests.support.turns import Turns

HEAD = BatchHead.of({b"content-type": b"application/json"})
CAPS = Backpressure(1000, 10)
MEDIA_TYPES = {
    Format.JSON: b"application/json",
    Format.NDJSON: b"application/x-ndjson",
    Format.PLAIN: b"text/plain",
}


def items(body_format: Format, body: bytes) -> int | Refusal:
    """Check 9 of a body that is small enough to be done at once."""
    counted: list[int | Refusal] = []
    head = BatchHead.of({b"content-type": MEDIA_TYPES[body_format]})
    assert CAPS.take_in(head, body, "web", 0.0, lambda _body, count: counted.append(count)) is None
    (count,) = counted
    return count


@each_of("length", [None, 0, 1, 1000])
def test_a_length_up_to_the_cap_passes(length: int | None) -> None:
    assert CAPS.declared(length) is None


def test_a_length_over_the_cap_is_refused_with_both_figures() -> None:
    refusal = CAPS.declared(1001)
    assert refusal is not None
    assert (refusal.status, refusal.reason) == (413, "too_large_hdr")
    assert "1001" in refusal.detail
    assert "1000" in refusal.detail


@pytest.mark.parametrize(("size", "refused"), [(0, False), (1000, False), (1001, True)])
def test_what_arrived_is_held_to_the_same_cap(size: int, refused: bool) -> None:
    refusal = CAPS.received(size)
    assert (refusal is not None) is refused
    if refusal is not None:
        assert (refusal.status, refusal.reason) == (413, "too_large")


@pytest.mark.parametrize(
    ("body_format", "item", "joint"),
    [(Format.NDJSON, b"{}", b"\n"), (Format.PLAIN, b"x", b"\n"), (Format.JSON, b"1", b",")],
)
def test_as_many_items_as_the_cap_pass_and_one_more_does_not(body_format: Format, item: bytes, joint: bytes) -> None:
    def body(count: int) -> bytes:
        joined = joint.join([item] * count)
        return b"[" + joined + b"]" if body_format is Format.JSON else joined

    assert items(body_format, body(10)) == 10
    refusal = items(body_format, body(11))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.reason) == (413, "too_many_items")


def test_a_bound_over_the_cap_is_counted_exactly() -> None:
    assert items(Format.PLAIN, b"\n" * 50 + b"x\n" * 10) == 10
    assert CAPS.exact(Format.PLAIN, b"\n" * 50 + b"x\n" * 3) == 3


def test_limits_can_be_replaced_while_it_is_used() -> None:
    caps = Backpressure(10, 1)
    assert caps.declared(11) is not None
    caps.max_body_bytes = 20
    assert caps.declared(11) is None


def test_a_small_body_is_counted_at_once_and_a_large_one_in_slices() -> None:
    turns = Turns()
    backpressure = Backpressure(10 << 20, 100_000, turns.queue)
    taken: list[tuple[bytes, int | Refusal]] = []
    assert backpressure.take_in(HEAD, b"[1,2]", "web", 0.0, lambda *what: taken.append(what)) is None
    assert taken == [(b"[1,2]", 2)]
    large = b"[" + b'{"msg":"x"},' * 90_000 + b"1]"
    ticket = backpressure.take_in(HEAD, large, "web", 0.0, lambda *what: taken.append(what))
    assert ticket is not None
    assert len(taken) == 1
    turns.run()
    assert taken[1] == (large, 90_001)


def test_a_small_body_of_many_fields_is_counted_in_slices() -> None:
    turns = Turns()
    backpressure = Backpressure(10 << 20, 100_000, turns.queue)
    taken: list[tuple[bytes, int | Refusal]] = []
    head = BatchHead.of({b"content-type": b"application/x-protobuf"})
    body = b"\x0a\x00" * 99_000
    assert backpressure.take_in(head, body, "web", 0.0, lambda *what: taken.append(what)) is not None
    assert not taken
    assert turns.run() >= 99_000 // 20_000
    assert taken == [(body, 0)]


def test_an_estimate_of_protobuf_is_exact_already() -> None:
    record = b"\x0a\x04\x12\x02\x12\x00"
    assert Backpressure.exact(Format.OTLP, record * 5) == 5
    assert Backpressure.exact(Format.OTLP, record * 5, 7) == 7


def test_an_estimate_that_does_not_fit_is_made_exact_for_small_bodies_only() -> None:
    assert Backpressure.exact(Format.PLAIN, b"a\n\n\nb\n") == 2
    large = b"a\n" * FRAMED_BYTES
    assert Backpressure.exact(Format.PLAIN, large, 12) == 12
    assert Backpressure.exact(Format.PLAIN, large) == FRAMED_BYTES + 1

from __future__ import annotations

from logops_fast.authgw.backpressure import Backpressure
from logops_fast.formats.batch import BatchHead
from logops_fast.formats.item_count import FRAMED_BYTES
from logops_fast.formats.media_type import Format
from logops_fast.http.refusal import Refusal
from tests.support.turns import Turns

HEAD = BatchHead.of({b"content-type": b"application/json"})


def test_a_declared_or_received_size_over_the_cap_is_refused() -> None:
    backpressure = Backpressure(100, 10)
    assert backpressure.declared(None) is None
    assert backpressure.declared(100) is None
    assert backpressure.received(100) is None
    declared, received = backpressure.declared(101), backpressure.received(101)
    assert declared is not None
    assert received is not None
    assert (declared[:2], received[:2]) == ((413, "too_large_hdr"), (413, "too_large"))


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


def test_an_estimate_that_does_not_fit_is_made_exact_for_small_bodies_only() -> None:
    assert Backpressure.exact(Format.PLAIN, b"a\n\n\nb\n") == 2
    large = b"a\n" * FRAMED_BYTES
    assert Backpressure.exact(Format.PLAIN, large, 12) == 12
    assert Backpressure.exact(Format.PLAIN, large) == FRAMED_BYTES + 1

from __future__ import annotations

from logops_fast.http.budget import Budget
from logops_fast.http.limits import HttpLimits
from logops_fast.http.receive_buffer import ReceiveBuffer


def test_what_is_held_is_charged_and_what_is_taken_is_released() -> None:
    budget = Budget(HttpLimits(max_inflight_bytes=10))
    buffer = ReceiveBuffer(budget)
    assert buffer.with_next(b"new") == b"new"
    buffer.replace(b"12345678")
    buffer.searched = 5
    assert (budget.inflight_bytes, buffer.size, buffer.with_next(b"9")) == (8, 8, b"123456789")
    assert buffer.fits(b"1234567890")
    assert not buffer.fits(b"12345678901")
    buffer.replace(b"123")
    assert budget.inflight_bytes == 3
    assert repr(buffer) == "<ReceiveBuffer 3 bytes, 5 searched>"
    assert buffer.take() == 5
    assert (budget.inflight_bytes, buffer.size, buffer.searched) == (0, 0, 0)


def test_less_than_before_fits_even_over_the_cap() -> None:
    budget = Budget(HttpLimits(max_inflight_bytes=10))
    buffer = ReceiveBuffer(budget)
    buffer.replace(b"12345")
    budget.inflight_bytes += 100
    assert buffer.fits(b"1234")
    assert not buffer.fits(b"123456")

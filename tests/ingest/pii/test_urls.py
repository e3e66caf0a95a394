from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.pii.urls import find_url_passwords


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:s3cret@cache", "redis://:***@cache"),
        ("nats://u:p@a,nats://u:p@b", "nats://u:***@a,nats://u:***@b"),
        ("https://u:pw\u201cpostgres://n:s3cret@db:6379/0\u201d", "https://u:***@db:6379/0\u201d"),
        ("https://u:a://v:b@h", "https://u:***@h"),
        ("https://u:a://v:b@c@h", "https://u:******@h"),
        ("https://u:a%2F://v:b@h", "https://u:***@h"),
    ],
)
def test_passwords_in_urls_are_masked(text: str, masked: str) -> None:
    """Also if there is a URL in a password, or what looks like one."""
    assert Masker().mask_text(text) == masked


@given(
    st.lists(st.sampled_from(["x://", "u", ":", "@", "/", "?", "h", ".", " ", "%2F", "***"]), max_size=20).map("".join)
)
@example("x://u:x://u:h@h")
def test_cuts_are_in_order_and_do_not_overlap(text: str) -> None:
    cuts = find_url_passwords(text.encode())
    reached = 0
    for start, end, _ in cuts:
        assert reached <= start <= end
        reached = end

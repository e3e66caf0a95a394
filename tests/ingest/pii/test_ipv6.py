from __future__ import annotations

from logops_fast.ingest.pii.ipv6 import find_ipv6
from tests.ingest.pii.support import cut
from tests.support.tables import each_of


@each_of(
    ("text", "masked"),
    [
        (b"::1 up", b"0:0:x:x:x:x:x:x up"),  # at the front of the text
        (b"2001:db8::1 up", b"2001:db8:x:x:x:x:x:x up"),
        (b'"IPv6:::1 up"', b'"IPv6:0:0:x:x:x:x:x:x up"'),
        (b'"label::2001:db8::1 up"', b'"label::2001:db8:x:x:x:x:x:x up"'),
        (b'"label::2:db8::1 up"', b'"label::2:db8:x:x:x:x:x:x up"'),
        (b'"12345:label1:2001:db8:1:2:3:4:5:6 up"', b'"12345:label1:2001:db8:x:x:x:x:x:x up"'),
        (b'"12345:abcde1:2001:db8:1:2:3:4:5:6 up"', b'"12345:abcde1:2001:db8:x:x:x:x:x:x up"'),
        (b'"xab:2001::1 up"', b'"xab:2001:0:x:x:x:x:x:x up"'),
        (b'"xab:20::1 up"', b'"xab:20::1 up"'),
    ],
)
def test_a_label_in_front_of_an_address_stays(text: bytes, masked: bytes) -> None:
    assert cut(text, find_ipv6(text)) == masked

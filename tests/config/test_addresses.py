from __future__ import annotations

from logops_fast.config.addresses import Address, address_of
from tests.support.tables import each_of


@each_of(
    ("text", "address"),
    [
        ("0.0.0.0:5514", Address("0.0.0.0", 5514)),
        ("[::1]:6514", Address("::1", 6514)),
        (":514", Address("", 514)),
        ("logs.example:0", Address("logs.example", 0)),
        ("127.0.0.1", None),
        ("5514", None),
        ("::1:5514", None),
        ("127.0.0.1:65536", None),
        ("127.0.0.1:-1", None),
        ("a b:1", None),
        ("http://x:1", None),
        ("", None),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: Address | None) -> None:
    assert address_of(text) == address

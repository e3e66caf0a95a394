from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.http.proxies import TrustedProxies
from tests.support.tables import each_of

PROXIES = TrustedProxies(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"])


def client(header: str | None, peer: str = "10.0.0.1") -> str:
    headers = {} if header is None else {b"x-forwarded-for": header.encode()}
    return PROXIES.client(peer, headers)


@each_of(
    ("header", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("1.1.1.1, 203.0.113.7", "203.0.113.7"),  # all to the left of the client was written by the client
        ("203.0.113.7, 10.1.2.3, 192.0.2.1", "203.0.113.7"),
        ("10.1.2.3", "10.1.2.3"),  # nothing but proxies: the outermost known one
        ("203.0.113.7:51234", "203.0.113.7"),
        ("[2001:db9::7]:443", "2001:db9::7"),
        ("2001:DB9:0::7", "2001:db9::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("203.0.113.7, unknown", "10.0.0.1"),
        ("203.0.113.7, 10.9.9.9, _hidden", "10.0.0.1"),
        ("203.0.113.7, _hidden, 10.9.9.9", "10.9.9.9"),
        ("", "10.0.0.1"),
        (",", "10.0.0.1"),
        ("\u00e9", "10.0.0.1"),
        (None, "10.0.0.1"),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_no_trusted_proxy(header: str | None, expected: str) -> None:
    assert client(header) == expected


@pytest.mark.parametrize("peer", ["203.0.113.9", "192.0.2.2", "2001:db9::1", ""])
def test_the_field_of_an_untrusted_peer_is_not_believed(peer: str) -> None:
    assert client("198.51.100.1", peer) == peer


def test_without_trusted_proxies_no_one_is_believed() -> None:
    assert TrustedProxies().client("127.0.0.1", {b"x-forwarded-for": b"203.0.113.7"}) == "127.0.0.1"
    assert not TrustedProxies().trusts("127.0.0.1")


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        TrustedProxies(["10.0.0.1/8"])


def test_addresses_are_remembered_up_to_a_bound() -> None:
    proxies = TrustedProxies(["10.0.0.0/8"])
    for number in range(10_000):
        assert proxies.trusts(str(ipaddress.ip_address(0x0A000000 + number)))
    assert len(proxies._trusted) <= 4096


@given(st.binary(max_size=60))
def test_no_header_breaks_it_and_the_answer_is_an_address(header: bytes) -> None:
    ipaddress.ip_address(PROXIES.client("10.0.0.1", {b"x-forwarded-for": header}))


@each_of(
    ("peer", "client", "proto", "tls", "private"),
    [
        ("203.0.113.9", "203.0.113.9", None, True, True),
        ("203.0.113.9", "203.0.113.9", None, False, False),
        ("203.0.113.9", "203.0.113.9", "https", False, False),  # anyone can write that
        ("127.0.0.1", "127.0.0.1", None, False, True),
        ("::1", "::1", None, False, True),
        ("10.0.0.1", "203.0.113.9", "https", False, True),
        ("10.0.0.1", "203.0.113.9", "HTTPS , https", False, True),
        ("10.0.0.1", "203.0.113.9", "https, http", False, False),
        ("10.0.0.1", "203.0.113.9", "http", True, False),  # the last hop was encrypted, the first was not
        ("10.0.0.1", "203.0.113.9", "", True, False),
        ("10.0.0.1", "203.0.113.9", None, False, False),
        ("", "", None, False, False),
        ("localhost", "localhost", None, False, False),
    ],
)
def test_what_is_private_on_its_way(peer: str, client: str, proto: str | None, tls: bool, private: bool) -> None:
    headers = {} if proto is None else {b"x-forwarded-proto": proto.encode()}
    assert PROXIES.private(peer, client, headers, tls) is private

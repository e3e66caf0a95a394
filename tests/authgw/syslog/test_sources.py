from __future__ import annotations

from typing import Any

from logops_fast.authgw.syslog.sources import Sources
from tests.support.tables import each_of

SOURCES = Sources(
    ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"],
    {
        "10.1.0.0/16": "routers",
        "10.1.2.0/24": "core",
        "10.9.9.9": "one",
        "2001:db8:1::/48": "six",
        "Edge-1.example": "edge",
    },
    "syslog",
)


@each_of(
    ("address", "emitter"),
    [
        ("10.2.3.4", "syslog"),
        ("10.1.9.9", "routers"),
        ("10.1.2.9", "core"),
        ("10.9.9.9", "one"),
        ("192.0.2.7", "syslog"),
        ("2001:db8:1::5", "six"),
        ("2001:db8:2::5%eth0", "syslog"),
        ("::ffff:10.1.2.9", "core"),
        ("192.0.2.8", None),
        ("127.0.0.1", None),
        ("", None),
        ("edge-1.example", None),
    ],
)
def test_the_smallest_network_names_the_emitter_of_an_address_that_may_send(address: str, emitter: str | None) -> None:
    assert SOURCES.emitter(address) == emitter
    assert SOURCES.emitter(address) == emitter, "as it was remembered"


@each_of(
    ("certificate", "emitter"),
    [
        (None, "routers"),
        ({}, "routers"),
        ({"subject": ((("commonName", "edge-1.example"),),)}, "routers"),  # the SAN alone counts (RFC 5425, 5.2)
        ({"subjectAltName": (("DNS", "other.example"), ("DNS", "EDGE-1.example"))}, "edge"),
        ({"subjectAltName": (("IP Address", "edge-1.example"),)}, "routers"),
    ],
)
def test_a_name_of_the_certificate_goes_before_the_address(certificate: dict[str, Any] | None, emitter: str) -> None:
    assert SOURCES.emitter_of_certificate(certificate, "routers") == emitter


def test_the_memory_of_addresses_is_bounded() -> None:
    sources = Sources(["0.0.0.0/0"], {}, "syslog")
    for number in range(10_000):
        assert sources.emitter(f"10.0.{number >> 8}.{number & 255}") == "syslog"
    assert len(sources._known) <= 4096

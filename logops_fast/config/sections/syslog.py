"""``syslog``: its listeners, and who may send to them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from logops_fast.config.sections.base import Section


class SyslogSettings(Section, frozen=True):
    """The syslog listener of `logops up` and `logops authgw`; see [operations](operations.md#syslog)."""

    enabled: Annotated[bool, Meta(description="Whether it listens.")] = False
    tcp: Annotated[str, Meta(description="Address and port for TCP, such as `0.0.0.0:5514`; empty: none.")] = (
        "127.0.0.1:5514"
    )
    udp: Annotated[
        str,
        Meta(description='For UDP; empty: none. Events that came by it say `"auth":"none"`: addresses can be forged.'),
    ] = ""
    tls: Annotated[str, Meta(description="For TLS (RFC 5425), with the certificate of `tls`; empty: none.")] = ""
    emitter: Annotated[
        str, Meta(min_length=1, description="The emitter of all senders that `emitters` does not name.")
    ] = "syslog"
    allow: Annotated[
        list[str], Meta(description="Networks (CIDR) that may send; connections and datagrams of others are dropped.")
    ] = field(default_factory=lambda: ["127.0.0.0/8"])
    emitters: Annotated[
        dict[
            str,
            Annotated[
                str,
                Meta(
                    min_length=1,
                    description="The emitter of a network (CIDR), or of a name in the SAN of a client's certificate; "
                    "the smallest network wins.",
                ),
            ],
        ],
        Meta(description="Emitters by network or by name of a certificate."),
    ] = field(default_factory=dict)

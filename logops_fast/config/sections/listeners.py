"""``authgw``, ``ingest``, ``admin``, ``console`` and ``tls``: where each listener is, and its certificate."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from logops_fast.config.sections.base import Host, Port, Section


class AdminListen(Section, frozen=True):
    """The admin listener: /healthz, /readyz and /metrics of all workers, answered by the supervisor."""

    host: Host = "127.0.0.1"
    port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="TCP port; 0 takes a free one. `logops ingest` on its own uses 8090 unless it is set.",
        ),
    ] = 8089
    only: Annotated[
        bool, Meta(description="Whether the three paths are answered here only, and not on the gateways' own ports.")
    ] = False


class AuthGatewayListen(Section, frozen=True):
    """Where the Auth Gateway listens."""

    host: Host = "127.0.0.1"
    port: Port = 8081


class IngestGatewayListen(Section, frozen=True):
    """Where the Ingest Gateway listens."""

    host: Host = "127.0.0.1"
    port: Port = 8080


class ConsoleSettings(Section, frozen=True):
    """Where `logops console` listens, and what it keeps."""

    host: Host = "127.0.0.1"
    port: Port = 8092
    allow_hosts: Annotated[
        list[str],
        Meta(
            description="Host names under which the console may be opened besides IP addresses and `localhost`, such "
            "as that of a reverse proxy; with a port where it is not the default one."
        ),
    ] = []
    runs_dir: Annotated[str, Meta(min_length=1, description="Directory of the telemetry of its runs.")] = "data/runs"


class TlsSettings(Section, frozen=True):
    """TLS on either gateway; with `client_ca_file` clients must show a certificate."""

    cert_file: Annotated[str, Meta(description="Certificate chain, PEM; empty: plain HTTP.")] = ""
    key_file: Annotated[str, Meta(description="Private key, PEM.")] = ""
    client_ca_file: Annotated[str, Meta(description="CA that signs the certificates of clients, PEM; for mTLS.")] = ""

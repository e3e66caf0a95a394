"""The settings: one frozen, typed struct for each section of ``logops.yaml``, with defaults, bounds and units.

The types are the single description of the configuration. The loader checks against them, ``logops config`` prints
them and the reference page is generated from them: every field says in its ``Meta`` what it is and in which unit.
Paths are text and relative to the working directory. ``Meta(extra={"secret": True})`` marks what is never shown.
"""

from __future__ import annotations

import os
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

SECRET: Final = {"secret": True}

Port = Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 takes a free one.")]
Host = Annotated[str, Meta(min_length=1, description="Address to listen on: an IP address or a host name.")]
Mode = Literal["hmac", "api_key", "any", "none"]
Unit = Literal["events", "requests"]
Backend = Literal["auto", "memory", "shared", "redis"]
Durability = Literal["fsync", "written"]
Archive = Literal["delete", "gzip", "zip"]


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all sections: immutable, and a key it does not know is refused."""


class ServerSettings(Section, frozen=True):
    """Processes, and the limits of the HTTP layer of both gateways."""

    workers: Annotated[
        Annotated[int, Meta(ge=1, le=1023)] | Literal["auto"],
        Meta(description="Worker processes; `auto` is one for each core."),
    ] = 1
    drain_timeout: Annotated[
        float, Meta(ge=0, description="Seconds a stopping gateway has to finish what is in flight.")
    ] = 15.0
    max_connections: Annotated[int, Meta(ge=1, description="Open connections for each process and gateway.")] = 10_000
    max_inflight_bytes: Annotated[
        int,
        Meta(
            ge=65_536, description="Bytes of bodies in flight in each process; past it new ones get 503 `overloaded`."
        ),
    ] = 268_435_456
    request_line: Annotated[int, Meta(ge=64, description="Longest request line, bytes.")] = 8192
    header_fields: Annotated[int, Meta(ge=8, description="Most header fields of a request.")] = 64
    header_bytes: Annotated[int, Meta(ge=512, description="Largest header section of a request, bytes.")] = 16_384
    header_timeout: Annotated[
        float, Meta(gt=0, description="Seconds from the first byte of a request to the end of its headers.")
    ] = 10.0
    body_min_rate: Annotated[
        int, Meta(ge=1, description="Slowest rate at which a body may arrive after `body_grace`, bytes a second.")
    ] = 1024
    body_grace: Annotated[float, Meta(ge=0, description="Seconds before `body_min_rate` is asked of a body.")] = 10.0
    idle_timeout: Annotated[
        float, Meta(gt=0, description="Seconds a kept-alive connection may wait for its next request.")
    ] = 75.0


class AuthGatewayListen(Section, frozen=True):
    """Where the Auth Gateway listens."""

    host: Host = "127.0.0.1"
    port: Port = 8081


class IngestGatewayListen(Section, frozen=True):
    """Where the Ingest Gateway listens."""

    host: Host = "127.0.0.1"
    port: Port = 8080


class AuthFailures(Section, frozen=True):
    """The token bucket of failed authentications that each peer address has."""

    capacity: Annotated[int, Meta(ge=1, description="Failures a peer may have in a burst.")] = 100
    refill_per_sec: Annotated[float, Meta(gt=0, description="Failures given back each second.")] = 10.0


class AuthSettings(Section, frozen=True):
    """Who may send: the mode, the clock, the nonce and the keys."""

    mode: Annotated[
        Mode,
        Meta(
            description="`hmac`: signed requests; `api_key`: the secret itself in X-Api-Key; `any`: either; "
            "`none`: everybody."
        ),
    ] = "hmac"
    clock_tolerance: Annotated[
        float, Meta(ge=1, le=86_400, description="Seconds that X-Timestamp may be off, either way.")
    ] = 300.0
    require_nonce: Annotated[
        bool, Meta(description="Whether X-Nonce must be sent. Without a nonce a request can be replayed.")
    ] = True
    keys_file: Annotated[str, Meta(min_length=1, description="The file of clients and secrets; mode 0600.")] = (
        "data/keys.yaml"
    )
    failures: AuthFailures = AuthFailures()


class Bucket(Section, frozen=True):
    """The size of a token bucket."""

    capacity: Annotated[int, Meta(ge=1, description="Tokens in a full bucket: the largest burst.")] = 1_000_000
    refill_per_sec: Annotated[float, Meta(gt=0, description="Tokens given back each second: the lasting rate.")] = (
        500_000.0
    )


def _default_overrides() -> dict[str, Bucket]:
    return {"csv": Bucket(capacity=1000, refill_per_sec=100.0)}


class RateLimitSettings(Section, frozen=True):
    """How much each emitter may send."""

    unit: Annotated[Unit, Meta(description="What a token is: an event of a batch, or a request.")] = "events"
    per_emitter: Bucket = Bucket()
    overrides: Annotated[
        dict[str, Bucket],
        Meta(
            description="Emitters with a bucket of another size; a part left out is that of `per_emitter`. "
            "A mapping in the file replaces the default one."
        ),
    ] = field(default_factory=_default_overrides)


class BackpressureSettings(Section, frozen=True):
    """The largest batch."""

    max_body_bytes: Annotated[
        int, Meta(ge=1, description="Largest body, bytes: as sent, and again after decompression.")
    ] = 4_194_304
    max_items: Annotated[int, Meta(ge=1, description="Most events of a batch.")] = 10_000


class ForwardSettings(Section, frozen=True):
    """From an Auth Gateway on its own to the Ingest Gateway. Not used by `logops up`."""

    url: Annotated[str, Meta(min_length=1, description="Where accepted batches go.")] = "http://127.0.0.1:8080/v1/logs"
    connect_timeout: Annotated[float, Meta(gt=0, description="Seconds to connect.")] = 2.0
    read_timeout: Annotated[float, Meta(gt=0, description="Seconds to wait for an answer, for each try.")] = 5.0
    deadline: Annotated[float, Meta(gt=0, description="Seconds for all tries together.")] = 10.0
    max_attempts: Annotated[int, Meta(ge=1, le=100, description="Tries in all, the first one included.")] = 3
    base_delay: Annotated[
        float, Meta(gt=0, description="Seconds: upper bound of the wait before the first retry; doubles from there.")
    ] = 0.1
    max_delay: Annotated[float, Meta(gt=0, description="Seconds: upper bound of the wait before any retry.")] = 1.5


class BreakerSettings(Section, frozen=True):
    """The circuit breaker in front of the Ingest Gateway."""

    failure_threshold: Annotated[float, Meta(gt=0, le=1, description="Share of failed calls that opens it.")] = 0.2
    window: Annotated[float, Meta(ge=1, description="Seconds that are looked back on.")] = 30.0
    min_calls: Annotated[int, Meta(ge=1, description="Calls in the window before it may open.")] = 20
    open_for: Annotated[float, Meta(gt=0, description="Seconds it stays open.")] = 20.0
    half_open_probes: Annotated[int, Meta(ge=1, description="Calls let through to try whether it may close.")] = 3


class StateSettings(Section, frozen=True):
    """Where nonces, token buckets and batch ids live."""

    backend: Annotated[
        Backend,
        Meta(
            description="`shared`: a file all workers of a machine map; `memory`: one worker, gone at its end; "
            "`redis`: many machines; `auto`: `shared`."
        ),
    ] = "auto"
    redis_url: Annotated[
        str, Meta(description="The Redis or Valkey server, for `redis`; a password in it is never shown.", extra=SECRET)
    ] = "redis://127.0.0.1:6379/0"
    dir: Annotated[str, Meta(min_length=1, description="Directory of the `shared` state.")] = "data/state"
    max_nonces: Annotated[
        int, Meta(ge=1000, description="Nonces remembered at most; past it requests get 503 `state_unavailable`.")
    ] = 2_000_000
    max_batch_ids: Annotated[int, Meta(ge=100, description="Batch ids remembered at most; the oldest go first.")] = (
        100_000
    )


class PiiSettings(Section, frozen=True):
    """Personal data: masking and encryption."""

    mask: Annotated[
        bool, Meta(description="Whether personal data and secrets are masked; see [privacy](privacy.md).")
    ] = True
    secrets: Annotated[
        bool,
        Meta(description="Whether `mask` covers secrets too: values under secrets' names, keys known by their form."),
    ] = True
    fields: Annotated[
        list[str],
        Meta(description="Names or globs (`*`, `?`) of fields that are masked whole, at any depth and in any case."),
    ] = []
    keep: Annotated[
        list[str], Meta(description="Names or globs of fields that no mask touches but that of `fields`.")
    ] = []
    encrypt: Annotated[
        bool, Meta(description="Whether the originals of `encrypt_fields` are kept, encrypted, as `<field>_enc`.")
    ] = False
    encrypt_fields: Annotated[
        list[str], Meta(description="The fields that `encrypt` keeps; each but `msg` is masked whole.")
    ] = field(default_factory=lambda: ["msg", "user_email", "client_ip"])
    fernet_keys_file: Annotated[
        str, Meta(description="File of Fernet keys, one a line: the first encrypts, all decrypt.")
    ] = "data/fernet.keys"
    fernet_key: Annotated[
        str, Meta(description="A Fernet key given here; used in place of the file. Never shown.", extra=SECRET)
    ] = ""


class SinkSettings(Section, frozen=True):
    """Where accepted events are stored."""

    enabled: Annotated[bool, Meta(description='`false` stores nothing, and answers `"stored":false`.')] = True
    dir: Annotated[str, Meta(min_length=1, description="Directory of the NDJSON files, one for each UTC day.")] = (
        "data/ingest"
    )
    durability: Annotated[
        Durability,
        Meta(description="What an answer promises: `fsync`: on the disk; `written`: handed to the operating system."),
    ] = "fsync"


class HousekeepingSettings(Section, frozen=True):
    """What becomes of old files."""

    autorun: Annotated[bool, Meta(description="Whether the gateway does it at its start and every `interval`.")] = True
    interval: Annotated[float, Meta(ge=0, description="Seconds between runs; 0: at the start only.")] = 3600.0
    retention_days: Annotated[int, Meta(ge=0, description="Days that files are kept beside today's.")] = 7
    archive: Annotated[Archive, Meta(description="What is done with older files.")] = "delete"
    archive_dir: Annotated[str, Meta(description="Directory of the archives, for `gzip` and `zip`.")] = "data/archive"
    max_total_bytes: Annotated[
        int, Meta(ge=0, description="Bytes that all files may have; past it the oldest days go first. 0: no limit.")
    ] = 0


class TlsSettings(Section, frozen=True):
    """TLS on either gateway; with `client_ca_file` clients must show a certificate."""

    cert_file: Annotated[str, Meta(description="Certificate chain, PEM; empty: plain HTTP.")] = ""
    key_file: Annotated[str, Meta(description="Private key, PEM.")] = ""
    client_ca_file: Annotated[str, Meta(description="CA that signs the certificates of clients, PEM; for mTLS.")] = ""


class LoggingSettings(Section, frozen=True):
    """The program's own log, on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least severe line that is written.")
    ] = "info"
    format: Annotated[
        Literal["auto", "text", "json"], Meta(description="`auto`: text on a terminal, JSON lines otherwise.")
    ] = "auto"


class Settings(Section, frozen=True):
    """The whole configuration."""

    server: ServerSettings = ServerSettings()
    authgw: AuthGatewayListen = AuthGatewayListen()
    ingest: IngestGatewayListen = IngestGatewayListen()
    auth: AuthSettings = AuthSettings()
    ratelimit: RateLimitSettings = field(default_factory=RateLimitSettings)
    backpressure: BackpressureSettings = BackpressureSettings()
    forward: ForwardSettings = ForwardSettings()
    breaker: BreakerSettings = BreakerSettings()
    state: StateSettings = StateSettings()
    pii: PiiSettings = field(default_factory=PiiSettings)
    sink: SinkSettings = SinkSettings()
    housekeeping: HousekeepingSettings = HousekeepingSettings()
    tls: TlsSettings = TlsSettings()
    logging: LoggingSettings = LoggingSettings()


def worker_count(settings: Settings) -> int:
    """The number of worker processes: `server.workers`, with `auto` as the cores this process may use."""
    workers = settings.server.workers
    if workers != "auto":
        return workers
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1

"""The settings: one frozen, typed struct for each section of ``logops.yaml``, with defaults, bounds and units.

The types are the single description of the configuration. The loader checks against them, ``logops config`` prints
them and the reference page is generated from them: the ``Meta`` of each field has its description and unit.
Paths are text and relative to the working directory. ``Meta(extra={"secret": True})`` marks values never shown.
"""

from __future__ import annotations

import os
from pathlib import Path
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
    """Base of all sections: immutable, and unknown keys are refused."""


class ServerSettings(Section, frozen=True):
    """Processes, and the limits of the HTTP layer of both gateways."""

    workers: Annotated[
        Annotated[int, Meta(ge=1, le=1023)] | Literal["auto"],
        Meta(description="Worker processes; `auto` is one for each core."),
    ] = 1
    pid_file: Annotated[
        str,
        Meta(
            description="File with the number of the process to signal, for `logops reload`; locked while it runs. "
            "Empty: none."
        ),
    ] = "data/logops.pid"
    drain_timeout: Annotated[
        float, Meta(ge=0, description="Seconds a stopping gateway has to finish what is in flight.")
    ] = 15.0
    worker_timeout: Annotated[
        float,
        Meta(
            ge=6,
            description="Seconds without a heartbeat after which a worker is killed and replaced. After 5 s already "
            "its connections go to other workers.",
        ),
    ] = 30.0
    max_connections: Annotated[int, Meta(ge=1, description="Open connections for each process and gateway.")] = 10_000
    max_connections_per_address: Annotated[
        int,
        Meta(
            ge=1,
            description="Open connections from one address, for each process; one more gets 503 "
            "`too_many_connections`. Addresses in `trusted_proxies` are exempt.",
        ),
    ] = 1024
    trusted_proxies: Annotated[
        list[str],
        Meta(
            description="Networks (CIDR) of load balancers whose X-Forwarded-For is believed: requests through them "
            "are told apart, in limits and logs, by the rightmost address that is not in the list."
        ),
    ] = []
    max_inflight_bytes: Annotated[
        int,
        Meta(
            ge=65_536, description="Bytes of bodies in flight in each process; past it new ones get 503 `overloaded`."
        ),
    ] = 268_435_456
    max_large_per_emitter: Annotated[
        int,
        Meta(
            ge=1,
            description="Bodies over 1 MiB of one emitter that a worker works on at the same time; others wait for up "
            "to 5 seconds, then get 503 `overloaded`.",
        ),
    ] = 2
    request_line: Annotated[int, Meta(ge=64, description="Longest request line, bytes.")] = 8192
    header_fields: Annotated[int, Meta(ge=8, description="Most header fields of a request.")] = 64
    header_bytes: Annotated[int, Meta(ge=512, description="Largest header section of a request, bytes.")] = 16_384
    header_timeout: Annotated[
        float, Meta(gt=0, description="Seconds from the first byte of a request to the end of its headers.")
    ] = 10.0
    body_min_rate: Annotated[
        int, Meta(ge=1, description="Slowest rate at which a body may arrive after `body_grace`, bytes a second.")
    ] = 1024
    body_grace: Annotated[float, Meta(ge=0, description="Seconds before `body_min_rate` applies to a body.")] = 10.0
    first_byte_timeout: Annotated[
        float, Meta(gt=0, description="Seconds a new connection may wait before its first byte.")
    ] = 10.0
    idle_timeout: Annotated[
        float, Meta(gt=0, description="Seconds a kept-alive connection may wait for its next request.")
    ] = 75.0


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


class AuthFailures(Section, frozen=True):
    """The token bucket of failed authentications that each peer address has."""

    capacity: Annotated[int, Meta(ge=1, description="Failures a peer may have in a burst.")] = 100
    refill_per_sec: Annotated[float, Meta(gt=0, description="Failures given back each second.")] = 10.0


class AuthSettings(Section, frozen=True):
    """Who may send: the mode, the clock, the nonce and the keys."""

    mode: Annotated[
        Mode,
        Meta(
            description="`hmac`: signed requests; `api_key`: tokens; `any`: either; `none`: no authentication; see "
            "[authentication](authentication.md)."
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
    audience: Annotated[
        str,
        Meta(
            max_length=256,
            pattern=r"^[!-~]*$",
            description="What requests of signature version 2 must name as their receiver; they are good nowhere else.",
        ),
    ] = ""
    secrets_as_keys: Annotated[
        bool,
        Meta(description="Whether a client's signing secret may be sent as its token, as in LogOps v0.4."),
    ] = False
    allow_plaintext_tokens: Annotated[
        bool,
        Meta(
            description="Whether tokens are accepted over plain HTTP from other machines; otherwise 403 `tls_required`."
        ),
    ] = False
    watch_keys: Annotated[bool, Meta(description="Whether a changed keys file is reloaded without a signal.")] = True
    failures: AuthFailures = AuthFailures()


class Bucket(Section, frozen=True):
    """The size of a token bucket."""

    capacity: Annotated[int, Meta(ge=1, description="Tokens in a full bucket: the largest burst.")] = 1_000_000
    refill_per_sec: Annotated[float, Meta(gt=0, description="Tokens given back each second: the lasting rate.")] = (
        500_000.0
    )


class RateLimitSettings(Section, frozen=True):
    """How much each emitter may send."""

    unit: Annotated[
        Unit,
        Meta(description="What a token is: an event of a batch (or a KiB, if it has more of those), or a request."),
    ] = "events"
    per_emitter: Bucket = Bucket()
    overrides: Annotated[
        dict[str, Bucket],
        Meta(description="Emitters with a bucket of another size; a part left out is that of `per_emitter`."),
    ] = field(default_factory=dict)


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


class BackpressureSettings(Section, frozen=True):
    """The largest batch."""

    max_body_bytes: Annotated[
        int, Meta(ge=1, description="Largest body, bytes: as sent, and again after decompression.")
    ] = 16_777_216
    max_items: Annotated[int, Meta(ge=1, description="Most events of a batch.")] = 100_000
    max_event_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            description="Largest event, bytes: as sent, and as the line that is stored; Loki's own limit of a line is "
            "262144. A larger one goes to the rejected file, cut.",
        ),
    ] = 262_144


class ForwardSettings(Section, frozen=True):
    """From an Auth Gateway on its own to the Ingest Gateway. Not used by `logops up`."""

    url: Annotated[str, Meta(min_length=1, description="Where accepted batches go.")] = "http://127.0.0.1:8080/v1/logs"
    connect_timeout: Annotated[float, Meta(gt=0, description="Seconds to connect.")] = 2.0
    read_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="Seconds to wait for an answer, for each try; the Ingest Gateway lets a large batch wait for 5 "
            "before it answers 503 `overloaded`.",
        ),
    ] = 8.0
    deadline: Annotated[float, Meta(gt=0, description="Seconds for all tries together.")] = 10.0
    max_attempts: Annotated[int, Meta(ge=1, le=100, description="Tries in all, the first one included.")] = 3
    base_delay: Annotated[
        float, Meta(gt=0, description="Seconds: upper bound of the wait before the first retry; doubles from there.")
    ] = 0.1
    max_delay: Annotated[float, Meta(gt=0, description="Seconds: upper bound of the wait before any retry.")] = 1.5


class BreakerSettings(Section, frozen=True):
    """The circuit breaker in front of the Ingest Gateway."""

    failure_threshold: Annotated[float, Meta(gt=0, le=1, description="Share of failed calls that opens it.")] = 0.2
    window: Annotated[float, Meta(ge=1, description="Length of the sliding window, in seconds.")] = 30.0
    min_calls: Annotated[int, Meta(ge=1, description="Calls in the window before it may open.")] = 20
    open_for: Annotated[float, Meta(gt=0, description="Seconds it stays open.")] = 20.0
    half_open_probes: Annotated[int, Meta(ge=1, description="Calls let through to test whether it may close.")] = 3


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
    redis_password_file: Annotated[
        str, Meta(description="A file with the password of `redis_url`, instead of one in the URL. Read at the start.")
    ] = ""
    dir: Annotated[
        str,
        Meta(
            min_length=1,
            description="Directory of the `shared` state. `auto`: on tmpfs (`/dev/shm`) if it has room, so that no "
            "worker waits for a disk, else `data/state`.",
        ),
    ] = "auto"
    max_request_rate: Annotated[
        int, Meta(ge=1, description="Signed requests a second of all clients that the sizes below are derived from.")
    ] = 20_000
    max_nonces: Annotated[
        int,
        Meta(
            ge=0,
            description="Nonces remembered; past it the client that holds the most gets 429 `too_many_nonces`. "
            "0: `max_request_rate` over twice `auth.clock_tolerance`.",
        ),
    ] = 0
    max_batch_ids: Annotated[
        int,
        Meta(
            ge=0,
            description="Batch ids remembered at most; the oldest go first. 0: `max_request_rate` over three times "
            "`forward.deadline`, at least 100000.",
        ),
    ] = 0
    redis_allow_eviction: Annotated[
        bool,
        Meta(description="Whether a Redis that may evict keys, and with them nonces, is used: replays may then pass."),
    ] = False


class DedupSettings(Section, frozen=True):
    """Batches that are sent again without an X-Batch-Id; see [the contract](contract.md#3-auth-gateway)."""

    by_body: Annotated[
        list[str],
        Meta(
            description="Emitters whose batches without an X-Batch-Id are recognised by their bodies, if each event "
            "brings a time of its own. Off by default: equal bodies can be intended."
        ),
    ] = []
    window: Annotated[
        float,
        Meta(
            ge=1,
            le=600,
            description="Seconds in which an equal body is the same batch; at most 600, the lifetime of batch ids.",
        ),
    ] = 600.0


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


Zone = Annotated[
    str, Meta(min_length=1, description="IANA name of the time zone of times that carry none, such as `Europe/Berlin`.")
]


class ParseOverride(Section, frozen=True):
    """How the batches of one emitter are read."""

    timezone: Zone = "UTC"


class ParseSettings(Section, frozen=True):
    """How events are read."""

    timezone: Zone = "UTC"
    overrides: Annotated[
        dict[str, ParseOverride], Meta(description="Emitters whose batches are read in another way.")
    ] = field(default_factory=dict)
    multiline: Annotated[
        list[str],
        Meta(
            description="Emitters whose continuation lines (indented, `Caused by:`, `Traceback`, `... 3 more`) and "
            "partial CRI lines are joined to the event before them."
        ),
    ] = []


class NormaliseSettings(Section, frozen=True):
    """Names of your own for the fields that are settled; they go before those of [field formats](field-formats.md).

    They match in any case; a dot means a nested object, or is part of the name. An event's own `ts`, `level`, `msg` and
    `app` go before them, if they read.
    """

    ts_fields: Annotated[list[str], Meta(description="Names of the time, the preferred one first.")] = []
    level_fields: Annotated[list[str], Meta(description="Names of the level, the preferred one first.")] = []
    msg_fields: Annotated[list[str], Meta(description="Names of the message, the preferred one first.")] = []
    app_fields: Annotated[
        list[str], Meta(description="Names of the application, the preferred one first, such as `service.name`.")
    ] = []


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


class ShipSettings(Section, frozen=True):
    """Shipping to Loki, with `logops ship`."""

    url: Annotated[
        str,
        Meta(min_length=1, description="Loki. Without a path, that of its push API, `/loki/api/v1/push`, is added."),
    ] = "http://127.0.0.1:3100"
    tenant: Annotated[str, Meta(description="Sent as X-Scope-OrgID, if it is not empty.")] = ""
    username: Annotated[str, Meta(description="User name for Basic authentication.")] = ""
    password: Annotated[
        str, Meta(description="Its password, or a token of a hosted Loki. Never shown.", extra=SECRET)
    ] = ""
    password_file: Annotated[
        str,
        Meta(description="A file with the password; read again when Loki answers 401 or 403, and on SIGHUP."),
    ] = ""
    token: Annotated[str, Meta(description="A Bearer token, instead of Basic. Never shown.", extra=SECRET)] = ""
    token_file: Annotated[
        str, Meta(description="A file with the token; read again when Loki answers 401 or 403, and on SIGHUP.")
    ] = ""
    ca_file: Annotated[str, Meta(description="CA of Loki's certificate, PEM; empty: those that the system trusts.")] = (
        ""
    )
    proxy: Annotated[
        str,
        Meta(
            description="An HTTP proxy that opens tunnels (CONNECT), as `http://user:password@host:port`. Never shown.",
            extra=SECRET,
        ),
    ] = ""
    dir: Annotated[
        str,
        Meta(
            description="Directory of positions and of entries that Loki does not take. Empty: `ship` in `sink.dir`, "
            "where housekeeping finds it."
        ),
    ] = ""
    machine: Annotated[
        str,
        Meta(
            description="The machine in the label `instance`. Empty: that of the positions, at first the host's name."
        ),
    ] = ""
    start: Annotated[
        Literal["end", "beginning"],
        Meta(description="Where to begin in files that exist at the very first start, if no positions are imported."),
    ] = "end"
    app_labels: Annotated[
        list[str],
        Meta(description="Names of applications that become the label `app`; of others `app` is structured metadata."),
    ] = []
    metadata: Annotated[
        list[str], Meta(description="Fields of an event that become structured metadata, beside `seq`.")
    ] = field(
        default_factory=lambda: [
            "app", "source", "scenario_id", "trace_id", "span_id", "request_id", "user_id", "host", "pid", "msgid",
            "tenant", "batch_id", "reason", "ts_raw", "level_raw",
        ]
    )  # fmt: skip
    max_emitters: Annotated[int, Meta(ge=1, description="Emitters that become a label; others are `other`.")] = 1000
    batch_bytes: Annotated[
        int, Meta(ge=4096, le=2_097_152, description="Bytes of lines in one push, before compression.")
    ] = 1_048_576
    poll_interval: Annotated[
        float, Meta(gt=0, le=60, description="Seconds between looks at files that have not grown.")
    ] = 0.25
    connect_timeout: Annotated[float, Meta(gt=0, description="Seconds to connect.")] = 5.0
    timeout: Annotated[float, Meta(gt=0, description="Seconds to wait for the answer to a push or a query.")] = 30.0
    settle: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds to wait after a push without an answer, before Loki is asked about it: longer "
            "than Loki may go on with it. Its `ingester_client.remote_timeout` is 5 s.",
        ),
    ] = 6.0
    base_delay: Annotated[float, Meta(gt=0, description="Seconds to wait after the first failure; doubles.")] = 0.5
    max_delay: Annotated[float, Meta(gt=0, description="Seconds to wait after a failure at most.")] = 30.0
    query: Annotated[
        bool,
        Meta(
            description="Whether Loki may be asked what it has, after a push whose outcome is unknown. If not, such "
            "entries are pushed again, and counted as doubtful."
        ),
    ] = True
    query_limit: Annotated[
        int, Meta(ge=1, description="Entries that a query may return: Loki's `max_entries_limit_per_query`.")
    ] = 5000
    query_within: Annotated[
        float,
        Meta(
            ge=0,
            description="Loki's `querier.query_ingesters_within` in seconds: older entries may be in Loki and not be "
            "found. 0: Loki finds all, as it does with the setting in deploy/loki.",
        ),
    ] = 10_800.0


class HousekeepingSettings(Section, frozen=True):
    """Retention and archiving of old files."""

    autorun: Annotated[bool, Meta(description="Whether the gateway runs it at start-up and every `interval`.")] = True
    interval: Annotated[float, Meta(ge=0, description="Seconds between runs; 0: at the start only.")] = 3600.0
    retention_days: Annotated[int, Meta(ge=0, description="Days that files are kept, not counting today.")] = 7
    archive: Annotated[Archive, Meta(description="What to do with older files.")] = "delete"
    archive_dir: Annotated[str, Meta(description="Directory of the archives, for `gzip` and `zip`.")] = "data/archive"
    wait_for_shipper: Annotated[
        bool,
        Meta(
            description="Whether a file is kept until `logops ship` has shipped it; `max_total_bytes` takes precedence."
        ),
    ] = False
    max_total_bytes: Annotated[
        int, Meta(ge=0, description="Bytes that all files may have; past it the oldest days go first. 0: no limit.")
    ] = 0


class TlsSettings(Section, frozen=True):
    """TLS on either gateway; with `client_ca_file` clients must show a certificate."""

    cert_file: Annotated[str, Meta(description="Certificate chain, PEM; empty: plain HTTP.")] = ""
    key_file: Annotated[str, Meta(description="Private key, PEM.")] = ""
    client_ca_file: Annotated[str, Meta(description="CA that signs the certificates of clients, PEM; for mTLS.")] = ""


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
    admin: AdminListen = AdminListen()
    authgw: AuthGatewayListen = AuthGatewayListen()
    ingest: IngestGatewayListen = IngestGatewayListen()
    auth: AuthSettings = AuthSettings()
    ratelimit: RateLimitSettings = field(default_factory=RateLimitSettings)
    backpressure: BackpressureSettings = BackpressureSettings()
    syslog: SyslogSettings = field(default_factory=SyslogSettings)
    forward: ForwardSettings = ForwardSettings()
    breaker: BreakerSettings = BreakerSettings()
    state: StateSettings = StateSettings()
    dedup: DedupSettings = field(default_factory=DedupSettings)
    parse: ParseSettings = field(default_factory=ParseSettings)
    normalise: NormaliseSettings = field(default_factory=NormaliseSettings)
    pii: PiiSettings = field(default_factory=PiiSettings)
    sink: SinkSettings = SinkSettings()
    ship: ShipSettings = field(default_factory=ShipSettings)
    housekeeping: HousekeepingSettings = HousekeepingSettings()
    tls: TlsSettings = TlsSettings()
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    logging: LoggingSettings = LoggingSettings()


def worker_count(settings: Settings) -> int:
    """Return the number of worker processes: `server.workers`, with `auto` as the cores this process may use."""
    workers = settings.server.workers
    if workers != "auto":
        return workers
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def ship_dir(settings: Settings) -> Path:
    """Return where the shipper keeps its positions and unshippable lines."""
    return Path(settings.ship.dir) if settings.ship.dir else Path(settings.sink.dir) / "ship"

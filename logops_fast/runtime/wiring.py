"""From settings to components: the only module that knows both."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from logops_fast.authgw.backpressure import Backpressure
from logops_fast.authgw.circuit_breaker import CircuitBreaker, SenderBreakers
from logops_fast.authgw.forwarder import Forwarder
from logops_fast.authgw.gateway import AuthGateway
from logops_fast.authgw.hmac_auth import HmacAuth
from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.authgw.nonce_store import NonceGuard
from logops_fast.authgw.syslog.lane import Shared
from logops_fast.authgw.syslog.metrics import SyslogMetrics
from logops_fast.authgw.syslog.server import SyslogServer
from logops_fast.authgw.syslog.sources import Sources
from logops_fast.authgw.token_auth import TokenAuth
from logops_fast.authgw.token_bucket import AuthFailureLimiter, EmitterBuckets, Limit
from logops_fast.backoff import Backoff
from logops_fast.config.keys_file import Keyring
from logops_fast.config.sections.limits import Bucket
from logops_fast.config.settings import Settings
from logops_fast.errors import StartupError
from logops_fast.formats.answer_encoding import encoder_of
from logops_fast.formats.batch import Downstream, ReadAhead
from logops_fast.formats.signature import SigningKey, digest_of
from logops_fast.formats.work_queue import WorkQueue
from logops_fast.http.budget import Budget
from logops_fast.http.head import SINGLE_FIELDS as HTTP_FIELDS
from logops_fast.http.head import PlainReader
from logops_fast.http.limits import HttpLimits
from logops_fast.http.pool import HttpPool
from logops_fast.http.proxies import TrustedProxies
from logops_fast.http.routes import Router
from logops_fast.http.server import HttpServer
from logops_fast.http.tls import server_context
from logops_fast.ingest.encryption import Encryptor, load_keys
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.names import SETTLED_AS
from logops_fast.ingest.native.reader import KernelMismatchError, NativeReader, kernel_module, open_kernel
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.base import Limits, TextOptions
from logops_fast.ingest.pipeline import IngestPipeline
from logops_fast.ingest.sink.interface import Sink
from logops_fast.ingest.zones import zone_of
from logops_fast.state.interface import StateStore
from logops_fast.telemetry.registry import Registry

MIN_STORED_BYTES: Final = 1 << 20
"""Bytes that the lines of one batch may always take, however small a body must be."""

SINGLE_FIELDS: Final = frozenset(
    {
        b"x-api-key",
        b"x-timestamp",
        b"x-nonce",
        b"x-content-sha256",
        b"x-signature",
        b"x-signature-version",
        b"x-scope-orgid",
        b"x-emitter",
        b"x-batch-id",
        b"x-body-id",
        b"x-scenario-id",
        b"x-scenario",
        b"content-type",
        b"content-encoding",
    }
)
"""Fields of the gateways that must not be repeated: two values for one field are an attack, or a mistake."""


def _of_kernel(name: str) -> Any:
    """Return a class or function of the native kernel; None if there is no kernel, which ``native_reader`` says."""
    try:
        return getattr(kernel_module(), name, None)
    except KernelMismatchError:
        return None


USUAL_FIELDS: Final = frozenset({b"accept", b"accept-encoding", b"connection", b"user-agent"})
"""Further fields that most senders send."""


def http_limits(settings: Settings) -> HttpLimits:
    """Return the limits of the HTTP layer."""
    server = settings.server
    return HttpLimits(
        request_line=server.request_line,
        header_fields=server.header_fields,
        header_bytes=server.header_bytes,
        header_timeout=server.header_timeout,
        body_min_rate=server.body_min_rate,
        body_grace=server.body_grace,
        first_byte_timeout=server.first_byte_timeout,
        idle_timeout=server.idle_timeout,
        max_connections=server.max_connections,
        max_connections_per_address=server.max_connections_per_address,
        max_inflight_bytes=server.max_inflight_bytes,
    )


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context of both gateways, None for plain HTTP. Raises StartupError."""
    tls = settings.tls
    if not tls.cert_file:
        return None
    try:
        return server_context(tls.cert_file, tls.key_file, tls.client_ca_file)
    except ValueError as error:
        raise StartupError(str(error)) from None


def http_server(router: Router, limits: HttpLimits, budget: Budget, trusted_proxies: Sequence[str] = ()) -> HttpServer:
    """Return the server of one gateway.

    Its clock is finer than the loop's, whose milliseconds would blur the latency histograms.
    """
    proxies = TrustedProxies(trusted_proxies)
    return HttpServer(
        router,
        limits,
        budget,
        single=SINGLE_FIELDS,
        clock=time.monotonic,
        proxies=proxies,
        encoder_of=encoder_of,
        plain_reader=plain_reader(limits),
    )


def plain_reader(limits: HttpLimits) -> PlainReader | None:
    """Return the native kernel's reader of heads; None if there is none."""
    heads = _of_kernel("Heads")
    if heads is None:
        return None
    read: PlainReader = heads(
        limits.request_line,
        limits.header_fields,
        limits.header_bytes,
        sorted(SINGLE_FIELDS | HTTP_FIELDS | USUAL_FIELDS),
    ).read
    return read


def work_queue(settings: Settings) -> WorkQueue:
    """Return the queue through which a worker works on large bodies."""
    return WorkQueue(max_large_per_emitter=settings.server.max_large_per_emitter)


def known_emitters(settings: Settings, keyring: Keyring | None) -> frozenset[str]:
    """Return the emitters that may be labels of metrics."""
    named = frozenset(settings.ratelimit.overrides)
    if settings.syslog.enabled:
        named |= {settings.syslog.emitter, *settings.syslog.emitters.values()}
    return named if keyring is None else named | keyring.emitters()


def limit(bucket: Bucket) -> Limit:
    """Return the size of a bucket as the component takes it."""
    return Limit(bucket.capacity, bucket.refill_per_sec)


def overrides(settings: Settings) -> dict[str, Limit]:
    """Return the emitters whose buckets have a size of their own."""
    return {emitter: limit(bucket) for emitter, bucket in settings.ratelimit.overrides.items()}


def failure_limit(settings: Settings) -> Limit:
    """Return the size of a peer's bucket of failed authentications."""
    failures = settings.auth.failures
    return Limit(failures.capacity, failures.refill_per_sec)


def auth_gateway(
    settings: Settings,
    keyring: Keyring,
    state: StateStore,
    downstream: Downstream,
    metrics: AuthMetrics,
    queue: WorkQueue,
    read_ahead: ReadAhead | None = None,
) -> AuthGateway:
    """Return the Auth Gateway with its components; ``read_ahead`` is that of a pipeline in the same process."""
    auth = settings.auth
    return AuthGateway(
        auth=HmacAuth(
            keyring,
            mode=auth.mode,
            tolerance=auth.clock_tolerance,
            require_nonce=auth.require_nonce,
            wall=time.time,
            anonymous_emitters=known_emitters(settings, keyring),
            audience=auth.audience,
            signer=_of_kernel("SigningKey") or SigningKey,
        ),
        tokens=TokenAuth(
            keyring,
            mode=auth.mode,
            allow_plaintext=auth.allow_plaintext_tokens,
            secrets_as_keys=auth.secrets_as_keys,
        ),
        failures=AuthFailureLimiter(state.buckets, failure_limit(settings)),
        nonces=NonceGuard(
            state.nonces, auth.clock_tolerance, on_unavailable=lambda _verdict: metrics.state_error("nonces")
        ),
        buckets=EmitterBuckets(
            state.buckets,
            limit(settings.ratelimit.per_emitter),
            overrides(settings),
            settings.ratelimit.unit,
            on_local=lambda: metrics.state_error("buckets"),
        ),
        backpressure=Backpressure(settings.backpressure.max_body_bytes, settings.backpressure.max_items, queue),
        downstream=downstream,
        metrics=metrics,
        dedup=frozenset(settings.dedup.by_body),
        read_ahead=read_ahead,
        digest_of=_of_kernel("sha256_hex") or digest_of,
    )


def syslog_server(
    settings: Settings, gateway: AuthGateway, auth_metrics: AuthMetrics, registry: Registry, *, repeatable: bool
) -> SyslogServer:
    """Return the syslog server in front of what the Auth Gateway's batches go to. ``repeatable``: over a network."""
    syslog = settings.syslog
    shared = Shared(
        gateway.downstream,
        gateway.buckets,
        SyslogMetrics(registry),
        auth_metrics,
        _call_later,
        repeatable=repeatable,
    )
    sources = Sources(syslog.allow, syslog.emitters, syslog.emitter)
    return SyslogServer(sources, shared, Budget(http_limits(settings)), settings.backpressure.max_event_bytes)


def _call_later(delay: float, callback: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(delay, callback)


def reload_auth(gateway: AuthGateway, settings: Settings, keyring: Keyring) -> None:
    """Replace the keys and limits of a running gateway; the content of buckets and the used nonces stay."""
    gateway.auth.replace_keyring(keyring)
    gateway.tokens.replace_keyring(keyring)
    gateway.failures.replace_limit(failure_limit(settings))
    gateway.buckets.replace_limits(limit(settings.ratelimit.per_emitter), overrides(settings), settings.ratelimit.unit)
    gateway.backpressure.max_body_bytes = settings.backpressure.max_body_bytes
    gateway.backpressure.max_items = settings.backpressure.max_items
    gateway.dedup = frozenset(settings.dedup.by_body)


def forwarder(settings: Settings, metrics: AuthMetrics) -> tuple[Forwarder, HttpPool]:
    """Return the forwarder of a split deployment and its connections. Raises StartupError if the URL is none."""
    forward, breaker = settings.forward, settings.breaker
    try:
        pool = HttpPool(forward.url, connect_timeout=forward.connect_timeout, read_timeout=forward.read_timeout)
    except ValueError as error:
        raise StartupError(f"forward.url: {error}") from None
    make_breaker = partial(
        CircuitBreaker,
        failure_threshold=breaker.failure_threshold,
        window=breaker.window,
        min_calls=breaker.min_calls,
        open_for=breaker.open_for,
        half_open_probes=breaker.half_open_probes,
    )
    return (
        Forwarder(
            pool,
            SenderBreakers(make_breaker, breaker.window),
            target=pool.endpoint.target,
            deadline=forward.deadline,
            max_attempts=forward.max_attempts,
            backoff=Backoff(base_delay=forward.base_delay, max_delay=forward.max_delay),
            on_attempt=metrics.forward_attempt,
        ),
        pool,
    )


def fernet_keys(settings: Settings) -> list[str]:
    """Return the Fernet keys, checked. Raises StartupError if there is none or one is not a key."""
    pii = settings.pii
    try:
        keys = [pii.fernet_key] if pii.fernet_key else load_keys(Path(pii.fernet_keys_file))
        Encryptor(keys)
    except (ValueError, OSError) as error:
        raise StartupError(f"pii.fernet_keys_file: {error}") from None
    return keys


def encryptor(settings: Settings) -> Encryptor | None:
    """Return the encryptor, or None if ``pii.encrypt`` is off.

    Raises StartupError if encryption is on and there is no valid key: it is never silently off.
    """
    if not settings.pii.encrypt:
        return None
    return Encryptor(fernet_keys(settings), fields=settings.pii.encrypt_fields, aliases=SETTLED_AS)


def normaliser(settings: Settings, encryptor: Encryptor | None) -> Normaliser:
    """Return the normaliser, with names, time zones, masking and encryption as configured."""
    pii, names = settings.pii, settings.normalise
    return Normaliser(
        mask=pii.mask,
        fields=pii.fields,
        keep=pii.keep,
        secrets=pii.secrets,
        encryptor=encryptor,
        ts_fields=names.ts_fields,
        level_fields=names.level_fields,
        msg_fields=names.msg_fields,
        app_fields=names.app_fields,
        zone=zone_of(settings.parse.timezone),
        zones={emitter: zone_of(own.timezone) for emitter, own in settings.parse.overrides.items()},
    )


def pipeline(
    settings: Settings, normaliser: Normaliser, sink: Sink, state: StateStore, metrics: IngestMetrics, queue: WorkQueue
) -> IngestPipeline:
    """Return the ingest pipeline, with its limits and the options of plain text by emitter."""
    text, text_of = text_options(settings)
    return IngestPipeline(
        normaliser=normaliser,
        sink=sink,
        batch_ids=state.batch_ids,
        metrics=metrics,
        limits=batch_limits(settings),
        text=text,
        text_of=text_of,
        queue=queue,
        window=settings.dedup.window,
        native=native_reader(normaliser),
    )


def native_reader(normaliser: Normaliser) -> NativeReader | None:
    """Return the reader with the native kernel, if it is installed and fits the settings and the masks."""
    try:
        return open_kernel(normaliser)
    except KernelMismatchError as mismatch:
        logging.getLogger(__name__).warning("%s", mismatch)
        return None


def batch_limits(settings: Settings) -> Limits:
    """Return what one batch may hold."""
    backpressure = settings.backpressure
    return Limits(
        backpressure.max_event_bytes, backpressure.max_items, max(4 * backpressure.max_body_bytes, MIN_STORED_BYTES)
    )


def text_options(settings: Settings) -> tuple[TextOptions, dict[str, TextOptions]]:
    """Return how plain text is read, and how that of emitters with options of their own is."""
    parse = settings.parse
    zone = zone_of(parse.timezone)
    emitters = {*parse.overrides, *parse.multiline}
    return TextOptions(zone), {
        emitter: TextOptions(
            zone_of(parse.overrides[emitter].timezone) if emitter in parse.overrides else zone,
            emitter in parse.multiline,
        )
        for emitter in emitters
    }

"""From settings to parts: the only place that knows both the configuration and the components."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Final

from logops_fast.authgw.backpressure import Backpressure
from logops_fast.authgw.circuit_breaker import CircuitBreaker
from logops_fast.authgw.forwarder import Forwarder
from logops_fast.authgw.gateway import AuthGateway
from logops_fast.authgw.hmac_auth import HmacAuth
from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.authgw.nonce_store import NonceGuard
from logops_fast.authgw.retry import Backoff
from logops_fast.authgw.token_bucket import AuthFailureLimiter, EmitterBuckets, Limit
from logops_fast.config.keys_file import Keyring
from logops_fast.config.settings import Bucket, Settings
from logops_fast.formats.batch import Downstream
from logops_fast.http.budget import Budget
from logops_fast.http.limits import HttpLimits
from logops_fast.http.pool import HttpPool
from logops_fast.http.routes import Router
from logops_fast.http.server import HttpServer
from logops_fast.http.tls import server_context
from logops_fast.ingest.encryption import Encryptor, load_keys
from logops_fast.ingest.normaliser import MSG_NAMES, Normaliser
from logops_fast.runtime.worker import StartupError
from logops_fast.state.interface import StateStore
from logops_fast.state.local_store import Caps

SINGLE_FIELDS: Final = frozenset(
    {
        b"x-api-key",
        b"x-timestamp",
        b"x-nonce",
        b"x-content-sha256",
        b"x-signature",
        b"x-emitter",
        b"x-batch-id",
        b"x-scenario-id",
        b"x-scenario",
        b"content-type",
        b"content-encoding",
    }
)
"""Fields of ours that must not come twice: two answers to one question are an attack, or a mistake."""


def http_limits(settings: Settings) -> HttpLimits:
    """The HTTP layer's limits."""
    server = settings.server
    return HttpLimits(
        request_line=server.request_line,
        header_fields=server.header_fields,
        header_bytes=server.header_bytes,
        header_timeout=server.header_timeout,
        body_min_rate=server.body_min_rate,
        body_grace=server.body_grace,
        idle_timeout=server.idle_timeout,
        max_connections=server.max_connections,
        max_inflight_bytes=server.max_inflight_bytes,
    )


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """The TLS of both doors, None for plain HTTP. Raises StartupError."""
    tls = settings.tls
    if not tls.cert_file:
        return None
    try:
        return server_context(tls.cert_file, tls.key_file, tls.client_ca_file)
    except ValueError as error:
        raise StartupError(str(error)) from None


def http_server(router: Router, limits: HttpLimits, budget: Budget, tls: ssl.SSLContext | None) -> HttpServer:
    """One door. Its clock is finer than the loop's, whose milliseconds would blur the latency histograms."""
    return HttpServer(router, limits, budget, single=SINGLE_FIELDS, tls=tls, clock=time.monotonic)


def known_emitters(settings: Settings, keyring: Keyring | None) -> frozenset[str]:
    """The emitters that may be labels of metrics."""
    named = frozenset(settings.ratelimit.overrides)
    return named if keyring is None else named | keyring.emitters()


def limit(bucket: Bucket) -> Limit:
    """The size of a bucket as the component takes it."""
    return Limit(bucket.capacity, bucket.refill_per_sec)


def overrides(settings: Settings) -> dict[str, Limit]:
    """The emitters whose buckets have a size of their own."""
    return {emitter: limit(bucket) for emitter, bucket in settings.ratelimit.overrides.items()}


def failure_limit(settings: Settings) -> Limit:
    """The size of a peer's bucket of failed authentications."""
    failures = settings.auth.failures
    return Limit(failures.capacity, failures.refill_per_sec)


def auth_gateway(
    settings: Settings, keyring: Keyring, state: StateStore, downstream: Downstream, metrics: AuthMetrics
) -> AuthGateway:
    """The Auth Gateway with its components."""
    auth = settings.auth
    return AuthGateway(
        auth=HmacAuth(
            keyring,
            mode=auth.mode,
            tolerance=auth.clock_tolerance,
            require_nonce=auth.require_nonce,
            wall=time.time,
            anonymous_emitters=known_emitters(settings, keyring),
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
        backpressure=Backpressure(settings.backpressure.max_body_bytes, settings.backpressure.max_items),
        downstream=downstream,
        metrics=metrics,
    )


def reload_auth(gateway: AuthGateway, settings: Settings, keyring: Keyring) -> None:
    """Take other keys and limits into a running gateway; what buckets hold and which nonces were used stays."""
    gateway.auth.replace_keyring(keyring)
    gateway.failures.replace_limit(failure_limit(settings))
    gateway.buckets.replace_limits(limit(settings.ratelimit.per_emitter), overrides(settings), settings.ratelimit.unit)
    gateway.backpressure.max_body_bytes = settings.backpressure.max_body_bytes
    gateway.backpressure.max_items = settings.backpressure.max_items


def forwarder(settings: Settings, metrics: AuthMetrics) -> tuple[Forwarder, HttpPool]:
    """The forwarder of a split deployment, and the connections under it. Raises StartupError for a bad URL."""
    forward, breaker = settings.forward, settings.breaker
    try:
        pool = HttpPool(forward.url, connect_timeout=forward.connect_timeout, read_timeout=forward.read_timeout)
    except ValueError as error:
        raise StartupError(f"forward.url: {error}") from None
    return (
        Forwarder(
            pool,
            CircuitBreaker(
                failure_threshold=breaker.failure_threshold,
                window=breaker.window,
                min_calls=breaker.min_calls,
                open_for=breaker.open_for,
                half_open_probes=breaker.half_open_probes,
            ),
            target=pool.endpoint.target,
            deadline=forward.deadline,
            max_attempts=forward.max_attempts,
            backoff=Backoff(base_delay=forward.base_delay, max_delay=forward.max_delay),
            on_attempt=metrics.forward_attempt,
        ),
        pool,
    )


def normaliser(settings: Settings) -> Normaliser:
    """The normaliser, with masking and encryption as configured.

    Raises StartupError where encryption is asked for and no valid key is there: it is never silently off.
    """
    pii = settings.pii
    encryptor = None
    if pii.encrypt:
        try:
            keys = [pii.fernet_key] if pii.fernet_key else load_keys(Path(pii.fernet_keys_file))
            encryptor = Encryptor(keys, fields=pii.encrypt_fields, aliases=MSG_NAMES)
        except (ValueError, OSError) as error:
            raise StartupError(f"pii.fernet_keys_file: {error}") from None
    return Normaliser(mask=pii.mask, fields=pii.fields, keep=pii.keep, secrets=pii.secrets, encryptor=encryptor)


def state_dir(settings: Settings, role: str) -> Path:
    """Where the shared state lies. The Ingest Gateway alone needs batch ids only, and shares none with authgw."""
    folder = Path(settings.state.dir)
    return folder / "ingest" if role == "ingest" else folder


def state_caps(settings: Settings, role: str) -> Caps:
    """How much the state store may remember; what a role does not use takes no room."""
    state = settings.state
    if role == "ingest":
        return Caps(max_nonces=1, max_buckets=1, max_batch_ids=state.max_batch_ids)
    if role == "authgw":
        return Caps(max_nonces=state.max_nonces, max_batch_ids=1)
    return Caps(max_nonces=state.max_nonces, max_batch_ids=state.max_batch_ids)

"""From settings to components: the only module that knows both."""

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
from logops_fast.errors import StartupError
from logops_fast.formats.batch import Downstream
from logops_fast.http.budget import Budget
from logops_fast.http.limits import HttpLimits
from logops_fast.http.pool import HttpPool
from logops_fast.http.routes import Router
from logops_fast.http.server import HttpServer
from logops_fast.http.tls import server_context
from logops_fast.ingest.encryption import Encryptor, load_keys
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.runtime.state_place import state_place
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
"""Fields of the gateways that must not be repeated: two values for one field are an attack, or a mistake."""


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
        idle_timeout=server.idle_timeout,
        max_connections=server.max_connections,
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


def http_server(router: Router, limits: HttpLimits, budget: Budget) -> HttpServer:
    """Return the server of one gateway.

    Its clock is finer than the loop's, whose milliseconds would blur the latency histograms.
    """
    return HttpServer(router, limits, budget, single=SINGLE_FIELDS, clock=time.monotonic)


def known_emitters(settings: Settings, keyring: Keyring | None) -> frozenset[str]:
    """Return the emitters that may be labels of metrics."""
    named = frozenset(settings.ratelimit.overrides)
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
    settings: Settings, keyring: Keyring, state: StateStore, downstream: Downstream, metrics: AuthMetrics
) -> AuthGateway:
    """Return the Auth Gateway with its components."""
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
    """Replace the keys and limits of a running gateway; the content of buckets and the used nonces stay."""
    gateway.auth.replace_keyring(keyring)
    gateway.failures.replace_limit(failure_limit(settings))
    gateway.buckets.replace_limits(limit(settings.ratelimit.per_emitter), overrides(settings), settings.ratelimit.unit)
    gateway.backpressure.max_body_bytes = settings.backpressure.max_body_bytes
    gateway.backpressure.max_items = settings.backpressure.max_items


def forwarder(settings: Settings, metrics: AuthMetrics) -> tuple[Forwarder, HttpPool]:
    """Return the forwarder of a split deployment and its connections. Raises StartupError if the URL is none."""
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
    return Encryptor(fernet_keys(settings), fields=settings.pii.encrypt_fields)


def normaliser(settings: Settings, encryptor: Encryptor | None) -> Normaliser:
    """Return the normaliser, with masking and encryption as configured."""
    return Normaliser(mask=settings.pii.mask, fields=settings.pii.fields, encryptor=encryptor)


def state_dir(settings: Settings, role: str) -> Path:
    """Return the directory of the shared state. A lone Ingest Gateway needs batch ids only, and shares none."""
    folder = state_place(settings.state.dir, state_caps(settings, role).geometries())
    return folder / "ingest" if role == "ingest" else folder


def state_caps(settings: Settings, role: str) -> Caps:
    """Return how much the state store may remember; what a role does not use takes no room."""
    state = settings.state
    if role == "ingest":
        return Caps(max_nonces=1, max_buckets=1, max_batch_ids=state.max_batch_ids)
    if role == "authgw":
        return Caps(max_nonces=state.max_nonces, max_batch_ids=1)
    return Caps(max_nonces=state.max_nonces, max_batch_ids=state.max_batch_ids)

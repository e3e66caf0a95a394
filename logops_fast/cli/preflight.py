"""The parts of ``logops check``: what would go wrong at the start, by the start's own checks, without starting."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import resource
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from logops_fast.cli.findings import Finding, fail, ok, warn
from logops_fast.cli.preflight_storage import storage
from logops_fast.cli.serve import Address, Role, addresses
from logops_fast.cli.units import number
from logops_fast.config.errors import did_you_mean
from logops_fast.config.file_mode import mode_warnings
from logops_fast.config.keys_file import Keyring
from logops_fast.config.loader import Loaded
from logops_fast.config.settings import Settings, ship_dir, worker_count
from logops_fast.errors import LogOpsError, OperatorError
from logops_fast.runtime import pid_file, services, shipping, state_size, wiring
from logops_fast.state.redis_check import TIMEOUT as REDIS_TIMEOUT
from logops_fast.state.redis_password import url_with_password
from logops_fast.state.redis_wire import eviction_fault

CheckedRole = Role | Literal["ship"]

EXPIRES_SOON: Final = 21.0  # days; certificates of ACME are renewed before
OLDEST_REDIS: Final = (5, 0)
"""The scripts read the server's clock before they write, which older servers refuse."""
HTTP_TIMEOUT: Final = 3.0
_DAY: Final = 86_400.0
_SPARE_FILES: Final = 200  # descriptors of a worker besides those of connections


def check(loaded: Loaded, role: CheckedRole, *, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Yield what is found of each part. ``now`` is the wall clock, in seconds."""
    settings = loaded.settings
    running = _running(settings)
    yield from _settings(loaded)
    if role == "ship":
        yield from _ship(settings, needed=True)
        yield from storage(settings, role, running)
        return
    if role != "ingest":
        keyring = yield from _keys(loaded, role)
        yield from _names(settings, keyring)
    if role != "authgw":
        yield from _fernet(settings)
    yield from _tls(settings, now())
    yield from _ports(addresses(loaded, role), worker_count(settings), running)
    yield from _limits(settings)
    yield from storage(settings, role, running)
    if settings.state.backend == "redis":
        yield from _redis(settings)
    if role == "authgw":
        yield from _forward(loaded)
    if role == "up":
        yield from _ship(settings, needed=False)


def _running(settings: Settings) -> int | None:
    """Return the gateway of this directory that runs already, by its pid file."""
    with contextlib.suppress(OSError):
        if settings.server.pid_file:
            return pid_file.running(Path(settings.server.pid_file))
    return None


def _settings(loaded: Loaded) -> Iterator[Finding]:
    changed = sum(source != "default" for source in loaded.provenance.values())
    source = str(loaded.path) if loaded.path is not None else "no file"
    yield ok("settings", f"{source}, {changed} values that are not defaults (logops config --changed)")
    for warning in (*loaded.warnings, *state_size.sizing_warnings(loaded.settings)):
        yield warn("settings", warning)


def _keys(loaded: Loaded, role: Role) -> Generator[Finding, None, Keyring | None]:
    settings = loaded.settings
    path = Path(settings.auth.keys_file)
    if role == "up" and not path.exists() and loaded.provenance["auth.keys_file"] == "default":
        yield ok("keys", f"{path} does not exist yet; the start makes it, with one random client")
        return None
    try:
        keyring = services.read_keyring(settings)
    except OperatorError as error:
        yield fail("keys", f"{error.located}; `logops keys add NAME` makes a client")
        return None
    clients = len(keyring.clients)
    if clients:
        yield ok("keys", f"{path}, {clients} client{'s' if clients > 1 else ''}")
    elif settings.auth.mode != "none":
        yield warn("keys", f"{path} has no client, so every request is refused; `logops keys add NAME` makes one")
    for warning in keyring.warnings:
        yield warn("keys", warning)
    tokens = any(client.tokens for client in keyring.clients.values())
    if settings.auth.mode == "api_key" and clients and not tokens and not settings.auth.secrets_as_keys:
        yield fail("keys", "auth.mode is api_key and no client has a token: `logops keys token CLIENT` makes one")
    return keyring


def _names(settings: Settings, keyring: Keyring | None) -> Iterator[Finding]:
    """Find emitters in the settings that no client may send as: most likely misspelled."""
    if keyring is None or settings.auth.mode == "none":
        return
    known = keyring.emitters()
    if settings.syslog.enabled:
        known |= {settings.syslog.emitter, *settings.syslog.emitters.values()}
    named: tuple[tuple[str, Iterable[str]], ...] = (
        ("ratelimit.overrides", settings.ratelimit.overrides),
        ("parse.overrides", settings.parse.overrides),
        ("parse.multiline", settings.parse.multiline),
        ("dedup.by_body", settings.dedup.by_body),
    )
    unknown = [(path, name) for path, names in named for name in names if name not in known]
    for path, name in unknown:
        yield warn("names", f"{path} names {name}, and no client may send as it{did_you_mean(name, known)}")
    if not unknown:
        yield ok("names", f"{number(len(known))} emitters, and every one that the settings name is among them")


def _fernet(settings: Settings) -> Iterator[Finding]:
    if not settings.pii.encrypt:
        return
    try:
        keys = wiring.fernet_keys(settings)
    except OperatorError as error:
        yield fail("fernet", f"{error}; `logops keys fernet` makes a key")
        return
    yield ok("fernet", f"{len(keys)} key{'s' if len(keys) > 1 else ''}; the first one encrypts")
    if not settings.pii.fernet_key:
        for warning in mode_warnings(Path(settings.pii.fernet_keys_file), 0o077):
            yield warn("fernet", warning)


def _tls(settings: Settings, now: float) -> Iterator[Finding]:
    tls = settings.tls
    if not tls.cert_file:
        return
    try:
        wiring.tls_context(settings)
    except OperatorError as error:
        yield fail("tls", str(error))
        return
    for warning in mode_warnings(Path(tls.key_file), 0o007):
        yield warn("tls", warning)
    for path in filter(None, (tls.cert_file, tls.client_ca_file)):
        yield _expiry(path, now)


def _expiry(path: str, now: float) -> Finding:
    """Judge the first certificate of a file: a server shows that one."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificates(Path(path).read_bytes())[0]
    except (ValueError, OSError) as error:
        return warn("tls", f"{path}: its dates cannot be read: {error}")
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    if moment < certificate.not_valid_before_utc:
        return fail("tls", f"{path} is valid only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on")
    ends = f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    left = (certificate.not_valid_after_utc - moment).total_seconds() / _DAY
    if left <= 0:
        return fail("tls", f"{path} expired at {ends}: renew it; a reload takes the new one over")
    if left < EXPIRES_SOON:
        return warn("tls", f"{path} expires at {ends}, in {left:.0f} days: renew it; a reload takes the new one over")
    return ok("tls", f"{path}, valid until {ends}")


def _ports(listening: list[Address], workers: int, running: int | None) -> Iterator[Finding]:
    free = []
    for one in listening:
        try:
            for sock in one.bind(workers):
                sock.close()
        except OperatorError as error:
            if running is not None and "in use" in str(error):
                yield warn("ports", f"{one.name.setting}: {one.port} is in use, with the gateway running as {running}")
            else:
                yield fail("ports", str(error))
        else:
            free.append(f"{one.host}:{one.port}" if one.port else f"{one.host}:any")
    if free:
        yield ok("ports", f"{', '.join(free)} can be listened on")


def _limits(settings: Settings) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.server.max_connections + _SPARE_FILES
    if soft in (resource.RLIM_INFINITY, -1) or soft >= needed:
        yield ok("limits", f"{number(soft) if soft > 0 else 'any number of'} open files for each worker")
        return
    hint = (
        f"ulimit -n {needed}" if hard in (resource.RLIM_INFINITY, -1) or hard >= needed else "LimitNOFILE= in the unit"
    )
    yield warn(
        "limits",
        f"a worker may open {soft} files and server.max_connections is {settings.server.max_connections}: "
        f"beyond {soft} no connection is accepted; raise the limit ({hint}) or lower the setting",
    )


def _redis(settings: Settings) -> Iterator[Finding]:
    """Ask the server for its version and policy."""
    from redis import AuthenticationError, Redis, RedisError

    state = settings.state
    try:
        url = state.redis_url
        if state.redis_password_file:
            url = url_with_password(url, Path(state.redis_password_file))
        client = Redis.from_url(
            url, protocol=2, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT,
            single_connection_client=True,
        )  # fmt: skip
        with contextlib.closing(client):
            info: Any = client.info()
    except ValueError as error:
        yield fail("redis", f"state.redis_url: {error}")
        return
    except AuthenticationError:
        yield fail("redis", "refuses the password: see state.redis_url and state.redis_password_file")
        return
    except (RedisError, OSError) as error:
        # The address may hold a password: only where it is, and the kind of the error.
        place = urlsplit(state.redis_url)
        where = place.path if place.scheme == "unix" else f"{place.hostname}:{place.port or 6379}"
        yield fail("redis", f"{where} does not answer ({type(error).__name__}): without it requests get 503")
        return
    yield from judge_redis(info, allow_eviction=state.redis_allow_eviction)


def judge_redis(info: dict[str, Any], *, allow_eviction: bool) -> Iterator[Finding]:
    """Judge the answer to INFO: version, role, policy."""
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    good = True
    if numbers and numbers < OLDEST_REDIS:
        good = False
        oldest = ".".join(map(str, OLDEST_REDIS))
        yield fail("redis", f"version {version} is too old for the scripts: {oldest} or newer is needed")
    if info.get("role") == "slave":
        good = False
        yield fail("redis", "it is a replica, which takes no writes: name the primary in state.redis_url")
    fault = eviction_fault(info)
    if fault is not None:
        good = False
        yield (
            warn("redis", f"{fault.partition(';')[0]}; state.redis_allow_eviction accepts that")
            if allow_eviction
            else fail("redis", fault)
        )
    if good:
        name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
        version = str(info.get("valkey_version", version))
        yield ok("redis", f"{name} {version}, {info.get('maxmemory_policy', 'noeviction')}")


def _forward(loaded: Loaded) -> Iterator[Finding]:
    """Ask the Ingest Gateway whether it is there; and refuse a loop."""
    settings = loaded.settings
    url = urlsplit(settings.forward.url)
    own = settings.authgw
    port = url.port or (443 if url.scheme == "https" else 80)
    if port == own.port and url.hostname in (own.host, "localhost", "127.0.0.1", "::1"):
        yield fail("forward", f"forward.url is the Auth Gateway itself ({url.netloc}): it must be the Ingest Gateway's")
        return
    status = _status(f"{url.scheme}://{url.netloc}/healthz")
    if isinstance(status, str):
        yield warn("forward", f"{url.netloc}: {status}; until the Ingest Gateway is there, batches get 503")
    else:
        yield ok("forward", f"{url.netloc} answers {status}")


def _ship(settings: Settings, *, needed: bool) -> Iterator[Finding]:
    """Check the settings of the shipper, and whether Loki is there, if the shipper is used here."""
    if not needed and not settings.housekeeping.wait_for_shipper and not ship_dir(settings).exists():
        return
    try:
        shipping.loki(settings)
    except LogOpsError as error:
        yield fail("ship", str(error))
        return
    base = urlsplit(settings.ship.url)
    status = _status(f"{base.scheme}://{base.netloc}/ready")
    if isinstance(status, str):
        yield warn("ship", f"Loki at {base.netloc}: {status}; lines wait in the files until it is there")
    elif status == http.client.SERVICE_UNAVAILABLE:
        yield warn("ship", f"Loki at {base.netloc} is not ready yet; lines wait in the files until it is")
    else:
        yield ok("ship", f"Loki at {base.netloc} answers {status}")


def _status(url: str) -> int | str:
    """Return the status of a GET, or why there is no answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=HTTP_TIMEOUT) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return str(getattr(reason, "strerror", None) or reason or type(error).__name__).lower()

"""Load the settings from defaults, file, environment and flags, check them, and record the source of each value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from logops_fast.config import schema
from logops_fast.config.addresses import address_of
from logops_fast.config.environment import from_environment
from logops_fast.config.errors import ConfigError, shown
from logops_fast.config.names import NAME_RULE, is_name
from logops_fast.config.patterns import PatternError, check_patterns
from logops_fast.config.settings import Settings, worker_count
from logops_fast.config.yaml_tree import Tree, as_mapping, read_tree

DEFAULT_FILE: Final = "logops.yaml"

_OVERRIDES: Final[schema.Path] = ("ratelimit", "overrides")
_PARSE_OVERRIDES: Final[schema.Path] = ("parse", "overrides")
_LOOPBACK: Final = re.compile(r"127\.\d+\.\d+\.\d+|::1|localhost")


class Loaded(NamedTuple):
    """The effective configuration.

    ``provenance`` has, for each dotted path, ``default``, ``file logops.yaml:7``, ``env NAME`` or ``flag``.
    ``warnings`` are sentences for the log about settings that are allowed but risky.
    """

    settings: Settings
    provenance: dict[str, str]
    path: Path | None
    warnings: tuple[str, ...]


class _Value(NamedTuple):
    value: Any
    source: str  # for people: file logops.yaml:7
    where: str  # before an error: logops.yaml:7


def config_path(given: str | None, directory: Path | None = None) -> Path | None:
    """Return the file to read: the given one, else ``logops.yaml`` in the working directory if it exists, else None."""
    if given:
        return Path(given)
    # without a directory the path stays relative, which keeps messages short
    found = (directory or Path()) / DEFAULT_FILE
    return found if found.exists() else None


def load(path: Path | None, env: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Loaded:
    """Load the configuration: defaults, then the file, then the environment, then flags.

    ``overrides`` are values of command-line flags by dotted path (``{"server.workers": 4}``); None means not given.
    Raises ConfigError: one line with the path and what was expected.
    """
    values = {key: _Value(value, "default", "") for key, value in _defaults()}
    if path is not None:
        _apply_file(values, read_tree(path))
    emitters = {path: {key[2] for key in values if key[:2] == path} for path in (_OVERRIDES, _PARSE_OVERRIDES)}
    for key, value, name in from_environment(env, emitters):
        values[key] = _Value(value, f"env {name}", name)
    for dotted, value in (overrides or {}).items():
        if value is not None:
            values[tuple(dotted.split("."))] = _Value(value, "flag", "command line")
    _complete_overrides(values)
    checked = {key: schema.leaf_at(key).check(item.value, key, item.where) for key, item in values.items()}
    settings = schema.to_settings(checked)
    provenance = {".".join(key): item.source for key, item in values.items()}
    _check_together(settings, values)
    return Loaded(settings, provenance, path, tuple(_warnings(settings)))


def flat(settings: Settings) -> dict[str, Any]:
    """Return every value by its dotted path, in the order of the types."""
    return {".".join(path): value for path, value in _flatten(msgspec.to_builtins(settings), ())}


def shown_value(path: str, value: Any) -> Any:
    """Return a value as it may be shown: never a secret, and of a URL everything but its password."""
    if not schema.leaf_at(tuple(path.split("."))).secret or value == "":
        return value
    return mask_url(value) if "://" in value else "***"


def mask_url(url: str) -> str:
    """Return the URL with ``***`` for its password, before the host or in the query."""
    # by text and not by urlsplit: a password may contain / ? # unescaped
    url = re.sub(r"(?<=://)([^/@:]*):.*@", r"\1:***@", url)
    return re.sub(r"([?&]password=)[^&]*", r"\1***", url, flags=re.IGNORECASE)


def _defaults() -> Iterator[tuple[schema.Path, Any]]:
    return _flatten(msgspec.to_builtins(Settings()), ())


def _flatten(value: Any, path: schema.Path) -> Iterator[tuple[schema.Path, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten(item, (*path, key))
    else:
        yield path, value


def _apply_file(values: dict[schema.Path, _Value], tree: Tree) -> None:
    root = as_mapping(tree.value, tree.name, tree.name)
    ratelimit = root.get(_OVERRIDES[0])
    if isinstance(ratelimit, dict) and _OVERRIDES[1] in ratelimit:
        # A list of overrides in the file replaces the default one.
        for key in [key for key in values if key[:2] == _OVERRIDES]:
            del values[key]

    def walk(node: schema.Branch | schema.Open, mapping: dict[str, Any], path: schema.Path) -> None:
        for key, value in mapping.items():
            where = tree.where((*path, key))
            child = schema.child_of(node, key, path, where)
            if isinstance(child, schema.Leaf):
                values[(*path, key)] = _Value(value, f"file {where}", where)
            else:
                walk(child, as_mapping(value, ".".join((*path, key)), where), (*path, key))

    walk(schema.schema(), root, ())


def _complete_overrides(values: dict[schema.Path, _Value]) -> None:
    """Fill in what an override leaves out from ``per_emitter``, or from ``parse``."""
    for emitter, where in {key[2]: item.where for key, item in values.items() if key[:2] == _OVERRIDES}.items():
        if not is_name(emitter):
            raise ConfigError(f"ratelimit.overrides: expected the name of an emitter ({NAME_RULE})", where)
        for part in ("capacity", "refill_per_sec"):
            values.setdefault((*_OVERRIDES, emitter, part), values[("ratelimit", "per_emitter", part)])
    for emitter, where in {key[2]: item.where for key, item in values.items() if key[:2] == _PARSE_OVERRIDES}.items():
        if not is_name(emitter):
            raise ConfigError(f"parse.overrides: expected the name of an emitter ({NAME_RULE})", where)
        values.setdefault((*_PARSE_OVERRIDES, emitter, "timezone"), values[("parse", "timezone")])


def _check_together(settings: Settings, values: Mapping[schema.Path, _Value]) -> None:
    """Check values that are valid on their own but not together. Raises ConfigError at the one more likely wrong."""

    def refuse(path: str, message: str) -> None:
        raise ConfigError(f"{path}: {message}", values[tuple(path.split("."))].where)

    s = settings
    if s.state.backend == "memory" and (workers := worker_count(s)) > 1:
        refuse("state.backend", f"memory serves one worker and server.workers is {workers}; use shared or redis")
    if s.state.backend == "redis" and not s.state.redis_url.startswith(("redis://", "rediss://", "unix://")):
        refuse("state.redis_url", "expected a URL that starts with redis://, rediss:// or unix://")
    if (s.authgw.host, s.authgw.port) == (s.ingest.host, s.ingest.port) and s.authgw.port:
        refuse("authgw.port", f"{s.authgw.port} is ingest.port too; each gateway needs a port of its own")
    for gateway, listen in (("authgw", s.authgw), ("ingest", s.ingest)):
        if (s.admin.host, s.admin.port) == (listen.host, listen.port) and s.admin.port:
            refuse("admin.port", f"{s.admin.port} is {gateway}.port too; the admin listener needs a port of its own")
    if s.pii.encrypt and not (s.pii.fernet_keys_file or s.pii.fernet_key):
        refuse("pii.encrypt", "needs a Fernet key; set pii.fernet_keys_file or pii.fernet_key")
    if s.pii.encrypt and not s.pii.encrypt_fields:
        refuse("pii.encrypt_fields", "is empty, so pii.encrypt would encrypt nothing; name the fields")
    for name in s.pii.encrypt_fields if s.pii.encrypt else ():
        if name in ("ts", "level"):
            refuse("pii.encrypt_fields", f"names {name}, which every event needs in the clear; remove it")
    try:
        check_patterns(s.pii.fields, s.pii.keep)
    except PatternError as error:
        path, _, message = str(error).partition(": ")
        refuse(path, message)
    if s.tls.cert_file and not s.tls.key_file:
        refuse("tls.key_file", "is needed with tls.cert_file")
    if s.tls.key_file and not s.tls.cert_file:
        refuse("tls.cert_file", "is needed with tls.key_file")
    if s.tls.client_ca_file and not s.tls.cert_file:
        refuse("tls.client_ca_file", "needs tls.cert_file and tls.key_file: client certificates need TLS")
    if s.forward.base_delay > s.forward.max_delay:
        refuse(
            "forward.base_delay", f"{s.forward.base_delay:g} is more than forward.max_delay, {s.forward.max_delay:g}"
        )
    if s.forward.connect_timeout > s.forward.deadline:
        refuse(
            "forward.connect_timeout",
            f"{s.forward.connect_timeout:g} is more than forward.deadline, {s.forward.deadline:g}",
        )
    if s.syslog.enabled:
        _check_syslog(s, refuse)
    for network in s.server.trusted_proxies:
        if not _is_network(network):
            refuse("server.trusted_proxies", f"expected networks such as 10.0.0.0/8, got {network!r}")
    zones: dict[schema.Path, str] = {("parse", "timezone"): s.parse.timezone}
    zones |= {(*_PARSE_OVERRIDES, emitter, "timezone"): own.timezone for emitter, own in s.parse.overrides.items()}
    for place, zone in zones.items():
        if not _is_zone(zone):
            raise ConfigError(
                f"{'.'.join(place)}: expected a time zone of the IANA database, such as Europe/Berlin, "
                f"got {shown(zone)} (if the system has no tzdata: pip install tzdata)",
                values[place].where,
            )
    if not _is_http_url(s.forward.url):
        refuse("forward.url", "expected a URL such as http://127.0.0.1:8080/v1/logs")
    if s.backpressure.max_body_bytes > s.server.max_inflight_bytes:
        refuse(
            "backpressure.max_body_bytes", "is more than server.max_inflight_bytes: the largest batch could never pass"
        )
    if s.housekeeping.archive != "delete" and not s.housekeeping.archive_dir:
        refuse("housekeeping.archive_dir", f"is needed with housekeeping.archive: {s.housekeeping.archive}")


def _check_syslog(s: Settings, refuse: Callable[[str, str], None]) -> None:
    syslog = s.syslog
    if not (syslog.tcp or syslog.udp or syslog.tls):
        refuse("syslog.enabled", "is true and syslog.tcp, syslog.udp and syslog.tls are all empty: name an address")
    for transport in ("tcp", "udp", "tls"):
        text = getattr(syslog, transport)
        if text and address_of(text) is None:
            refuse(f"syslog.{transport}", f"expected an address and a port such as 0.0.0.0:5514, got {shown(text)}")
    if syslog.tls and not s.tls.cert_file:
        refuse("syslog.tls", "needs tls.cert_file and tls.key_file")
    for network in syslog.allow:
        if not _is_network(network):
            refuse("syslog.allow", f"expected networks such as 10.0.0.0/8, got {network!r}")
    for source, emitter in syslog.emitters.items():
        path = f"syslog.emitters.{source}"
        if is_loose_network(source) and not _is_network(source):
            raise ConfigError(f"{path}: expected a network such as 10.0.0.0/8, or a name of a certificate")
        if not is_name(emitter):
            raise ConfigError(f"{path}: expected the name of an emitter ({NAME_RULE}), got {shown(emitter)}")
    if not is_name(syslog.emitter):
        refuse("syslog.emitter", f"expected the name of an emitter ({NAME_RULE}), got {shown(syslog.emitter)}")


def is_loose_network(text: str) -> bool:
    """Return whether a text is meant as a network: an address with a mask, however wrong, or without one."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:  # 10.0.0.1/8, with host bits, is a mistake as well
        return False
    return True


def _is_zone(name: str) -> bool:
    if name == "UTC":
        return True
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return False
    return True


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port != 0  # reading it raises for one that is no port
    except ValueError:
        return False
    printable = url.isascii() and url.isprintable() and " " not in url
    return printable and port_is_valid and parts.scheme in ("http", "https") and bool(parts.hostname)


def _warnings(settings: Settings) -> Iterator[str]:
    if settings.auth.mode == "none" and not _LOOPBACK.fullmatch(settings.authgw.host):
        yield f"auth.mode is none and the gateway listens on {settings.authgw.host}: anyone who can reach it may send"
    if not settings.auth.require_nonce and settings.auth.mode in ("hmac", "any"):
        yield "auth.require_nonce is false: a request without a nonce can be replayed"
    if not settings.pii.mask:
        yield "pii.mask is false: personal data is stored unmasked"

"""The keys file: who may send, with which secrets, for which emitters.

    clients:
      web-1: {secrets: [s3cr3t-now, s3cr3t-before], emitter: web, emitters: [web, batch], signature_version: 2}
      otel: {tokens: ["sha256:9f86d0..."], emitter: otel}

A secret is text or ``{file: path}`` (relative to the keys file; the line end at its end is not part of it). A client
has one secret, or two while one is being rotated. A token is text, ``{file: path}`` or ``sha256:`` and the hash of it;
a client has secrets, tokens, or both. ``modes`` holds it to ``hmac`` or ``api_key``. ``emitter`` defaults to the
client's own name; ``emitters``, those that X-Emitter may name, to the emitter alone. ``signature_version: 2`` refuses
the client's requests that are signed otherwise. No message and no repr in this module ever holds a secret or a token.
"""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from logops_fast.config.errors import ConfigError, did_you_mean, shown
from logops_fast.config.file_mode import mode_warnings
from logops_fast.config.names import NAME_RULE, is_name
from logops_fast.config.tokens import Token, TokenError, new_token, token_of
from logops_fast.config.yaml_tree import Tree, parse_tree, read_tree

MAX_SECRETS: Final = 2
MAX_TOKENS: Final = 16
DEMO_CLIENT: Final = "demo"
# What the demo's emitters and scenarios send as.
DEMO_EMITTERS: Final = ("demo", "json", "csv", "field", "minimal", "noise", "syslog", "web", "batch", "api", "payments")

_KEYS: Final = ("secrets", "tokens", "modes", "emitter", "emitters", "signature_version")
_SHORT_SECRET: Final = 8  # bytes; a shorter one can be guessed
_NEW_SECRET_BYTES: Final = 32
_HEADER: Final = "# Clients and their secrets. Mode 0600. Edited by `logops keys`; comments are not kept.\n"


ClientMode = Literal["hmac", "api_key"]

CLIENT_MODES: Final[tuple[ClientMode, ...]] = ("hmac", "api_key")


@dataclass(frozen=True, slots=True)
class Client:
    """One sender: its name (X-Api-Key), its active secrets, its emitter and the emitters it may name."""

    id: str
    secrets: tuple[bytes, ...] = field(repr=False)
    emitter: str
    emitters: frozenset[str]
    signature_version: int = 1
    """The lowest version of the signature that is accepted: 1 or 2."""
    tokens: tuple[Token, ...] = field(default=(), repr=False)
    modes: frozenset[ClientMode] = frozenset(CLIENT_MODES)
    """How it may authenticate: by signatures (``hmac``), by tokens (``api_key``), or both."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """All clients of a keys file, and the warnings that it deserves."""

    clients: Mapping[str, Client]
    warnings: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Keyring:
        """Read and check a keys file. Raises ConfigError with the path of the fault."""
        tree = read_tree(path)
        clients, warnings = _clients(tree, path.parent)
        return cls(clients, (*mode_warnings(path), *warnings))

    @classmethod
    def parse(cls, text: str, directory: Path, name: str = "keys.yaml") -> Keyring:
        """Check the text of a keys file; ``{file: path}`` is relative to ``directory``."""
        clients, warnings = _clients(parse_tree(text, name), directory)
        return cls(clients, warnings)

    @classmethod
    def of(cls, clients: Iterable[Client]) -> Keyring:
        """Return a keyring of the given clients."""
        return cls({client.id: client for client in clients})

    def emitters(self) -> frozenset[str]:
        """Return every emitter that some client may send as."""
        return frozenset[str]().union(*(client.emitters for client in self.clients.values()))


def new_secret() -> str:
    """Return a random secret: 256 bits as text that needs no quoting anywhere."""
    return secrets.token_urlsafe(_NEW_SECRET_BYTES)


def make_demo_keys(path: Path, *, token: bool = False) -> Client:
    """Write a keys file with one random client ``demo``, mode 0600, creating directories; with a token if asked for.

    Raises FileExistsError.
    """
    entry: dict[str, Any] = {"secrets": [new_secret()], "emitter": DEMO_CLIENT, "emitters": list(DEMO_EMITTERS)}
    if token:
        entry["tokens"] = [new_token()]  # as text: `logops emit` reads it from here
    text = dump_clients({DEMO_CLIENT: entry})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, text, replace=False)
    return Keyring.parse(text, path.parent).clients[DEMO_CLIENT]


def dump_clients(clients: Mapping[str, Any]) -> str:
    """Return the text of a keys file."""
    return _HEADER + yaml.safe_dump({"clients": dict(clients)}, sort_keys=False, default_flow_style=None, width=120)


def write_private(path: Path, text: str, *, replace: bool) -> None:
    """Write a file as a whole or not at all: with mode 0600, or with the mode of the file it replaces.

    Raises FileExistsError if it exists and ``replace`` is false.
    """
    mode = stat.S_IMODE(path.stat().st_mode) if replace and path.exists() else 0o600
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as out:
            os.fchmod(out.fileno(), mode)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)  # fails if the file was created in the meantime
            os.unlink(temporary)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _clients(tree: Tree, directory: Path) -> tuple[dict[str, Client], tuple[str, ...]]:
    root = _mapping(tree.value, tree.name, tree.name)
    for key in root:
        if key != "clients":
            raise ConfigError(f"{key}: unknown key{did_you_mean(key, ['clients'])}", tree.where((key,)))
    if "clients" not in root:
        # An empty file is a template that failed; `clients: {}` is intended.
        raise ConfigError("clients: expected a mapping of client names, got nothing", tree.name)
    clients: dict[str, Client] = {}
    warnings: list[str] = []
    # A secret may be sent as a token (auth.secrets_as_keys), alone or as client:secret: each must lead to one client.
    taken: dict[bytes, str] = {}
    tokens: dict[bytes, str] = {}
    for name, body in _mapping(root.get("clients"), "clients", tree.where(("clients",))).items():
        client = _client(name, body, tree, directory, warnings)
        clients[name] = client
        for number, secret in enumerate(client.secrets):
            where = tree.where(("clients", name, "secrets", str(number)))
            for token in (secret, name.encode() + b":" + secret):
                owner = taken.setdefault(token, name)
                if owner != name or (token is secret and secret in client.secrets[:number]):
                    other = "another of its secrets" if owner == name else f"one of client {owner}"
                    raise ConfigError(f"clients.{name}.secrets.{number}: is the same as {other}", where)
        for number, one in enumerate(client.tokens):
            if (owner := tokens.setdefault(one.digest, name)) != name or one in client.tokens[:number]:
                other = "another of its tokens" if owner == name else f"one of client {owner}"
                at = tree.where(("clients", name, "tokens", str(number)))
                raise ConfigError(f"clients.{name}.tokens.{number}: is the same as {other}", at)
    secrets_hashed = {sha256(secret).digest(): owner for secret, owner in taken.items()}
    for digest, name in tokens.items():
        if digest in secrets_hashed:
            where = tree.where(("clients", name, "tokens"))
            raise ConfigError(
                f"clients.{name}.tokens: one is a signing secret of client {secrets_hashed[digest]}, which must never "
                f"be sent; `logops keys token {name}` makes a token",
                where,
            )
    if not clients:
        warnings.append(f"{tree.name} names no client: no one can send")
    return clients, tuple(warnings)


def _mapping(value: Any, path: str, where: str) -> dict[str, Any]:
    # Unlike in the settings, the value is not shown: it may be a bare secret.
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a mapping, got {'a list' if isinstance(value, list) else 'text'}", where)
    return value


def _client(name: str, body: Any, tree: Tree, directory: Path, warnings: list[str]) -> Client:
    at = f"clients.{name}"

    def where(*path: str) -> str:
        return tree.where(("clients", name, *path))

    if not is_name(name):
        raise ConfigError(f"clients: expected the name of a client ({NAME_RULE}), got {shown(name)}", where())
    # A client's value is never shown: it may be a secret put one level too high.
    if not isinstance(body, dict):
        raise ConfigError(f"{at}: expected a mapping with secrets or tokens", where())
    for key in body:
        if key not in _KEYS:
            raise ConfigError(f"{at}.{key}: unknown key{did_you_mean(key, _KEYS)}", where(key))
    held = body.get("tokens", [])
    if not isinstance(held, list) or len(held) > MAX_TOKENS:
        raise ConfigError(f"{at}.tokens: expected a list of up to {MAX_TOKENS} tokens", where("tokens"))
    listed = body.get("secrets", [] if held else None)
    if not isinstance(listed, list) or not (0 if held else 1) <= len(listed) <= MAX_SECRETS:
        raise ConfigError(f"{at}.secrets: expected a list of 1 to {MAX_SECRETS} secrets", where("secrets"))
    found = tuple(
        _secret(item, f"{at}.secrets.{i}", where("secrets", str(i)), directory, warnings)
        for i, item in enumerate(listed)
    )
    tokens = tuple(
        _token(item, f"{at}.tokens.{i}", where("tokens", str(i)), directory, warnings) for i, item in enumerate(held)
    )
    modes = body.get("modes", list(CLIENT_MODES))
    if not isinstance(modes, list) or not modes or any(mode not in CLIENT_MODES for mode in modes):
        raise ConfigError(f"{at}.modes: expected a list of hmac, api_key or both", where("modes"))
    emitter = body.get("emitter", name)
    if not is_name(emitter):
        raise ConfigError(
            f"{at}.emitter: expected the name of an emitter ({NAME_RULE}), got {shown(emitter)}", where("emitter")
        )
    emitters = body.get("emitters", [emitter])
    if not isinstance(emitters, list) or not all(map(is_name, emitters)):
        raise ConfigError(f"{at}.emitters: expected a list of names of emitters ({NAME_RULE})", where("emitters"))
    version = body.get("signature_version", 1)
    if type(version) is not int or version not in (1, 2):
        expected = f"{at}.signature_version: expected 1 or 2, got {shown(version)}"
        raise ConfigError(expected, where("signature_version"))
    return Client(name, found, emitter, frozenset((emitter, *emitters)), version, tokens, frozenset(modes))


def _token(item: Any, at: str, where: str, directory: Path, warnings: list[str]) -> Token:
    try:
        return token_of(_text(item, at, where, directory, warnings))
    except TokenError as error:
        raise ConfigError(f"{at}: {error}", where) from None


def _secret(item: Any, at: str, where: str, directory: Path, warnings: list[str]) -> bytes:
    secret = _text(item, at, where, directory, warnings)
    if len(secret) < _SHORT_SECRET:
        warnings.append(
            f"{at} is shorter than {_SHORT_SECRET} bytes and can be guessed; `logops keys rotate` makes one"
        )
    return secret


def _text(item: Any, at: str, where: str, directory: Path, warnings: list[str]) -> bytes:
    """Return text, or the content of ``{file: path}``, never empty."""
    if isinstance(item, str):
        text = item.encode()
    elif isinstance(item, dict):
        if set(item) != {"file"} or not isinstance(item["file"], str):
            raise ConfigError(f"{at}: expected text or {{file: path}}", where)
        path = directory / item["file"]
        try:
            text = path.read_bytes()
        except OSError as exc:
            raise ConfigError(f"{at}.file: {path} cannot be read: {exc.strerror or exc}", where) from None
        text = text.removesuffix(b"\n").removesuffix(b"\r")
        warnings.extend(mode_warnings(path))
    else:
        raise ConfigError(
            f"{at}: expected text or {{file: path}}; put a secret that looks like a number in quotes", where
        )
    if not text:
        raise ConfigError(f"{at}: is empty", where)
    return text

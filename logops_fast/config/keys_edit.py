"""Edits a keys file: each new version is checked as a whole before it replaces the old one.

The file is rewritten, so comments in it are lost. A new secret is returned once and stored nowhere else.
"""

from __future__ import annotations

import fcntl
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from logops_fast.config.errors import ConfigError, did_you_mean, shown
from logops_fast.config.keys_file import MAX_SECRETS, MAX_TOKENS, Keyring, dump_clients, new_secret, write_private
from logops_fast.config.names import NAME_RULE, is_name
from logops_fast.config.tokens import hashed, new_token
from logops_fast.config.yaml_tree import read_tree


def add_client(path: Path, name: str, emitter: str | None, emitters: Sequence[str]) -> str:
    """Add a client with a new secret, which is returned; creating the file if there is none. Raises ConfigError."""
    for what, given in (("a client", name), *(("an emitter", one) for one in (emitter or name, *emitters))):
        if not is_name(given):
            raise ConfigError(f"expected the name of {what} ({NAME_RULE}), got {shown(given)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = new_secret()
    with _edited(path) as clients:
        if name in clients:
            raise ConfigError(f"{path} has a client {name} already; `logops keys rotate {name}` gives it a new secret")
        entry: dict[str, Any] = {"secrets": [secret], "emitter": emitter or name}
        if emitters:
            entry["emitters"] = list(emitters)
        clients[name] = entry
    return secret


def rotate_client(path: Path, name: str, *, drop_oldest: bool = False) -> str:
    """Give a client a new secret, which is returned; its current one stays valid.

    Of two current ones the newer stays valid, and only with ``drop_oldest``: senders may still use the older.

    Raises:
        ConfigError: if there is no such client, its secret is in a file of its own, or it has two already.
    """
    secret = new_secret()
    with _edited(path) as clients:
        entry = _entry(clients, name, path)
        if not entry.get("secrets"):
            raise ConfigError(f"{name} has no secret, only tokens; `logops keys token {name}` makes one more")
        newest = entry["secrets"][0]
        if isinstance(newest, dict):
            raise ConfigError(f"the secret of {name} is in the file {newest['file']}; rotate it there")
        if len(entry["secrets"]) >= MAX_SECRETS and not drop_oldest:
            raise ConfigError(
                f"{name} has two valid secrets, and senders may still use the older; end that rotation with "
                f"`logops keys revoke {name} --old`, or drop it now with --drop-oldest"
            )
        entry["secrets"] = [secret, newest][:MAX_SECRETS]
    return secret


def revoke_client(path: Path, name: str) -> None:
    """Remove a client: none of its secrets is valid any longer. Raises ConfigError."""
    with _edited(path) as clients:
        _entry(clients, name, path)
        del clients[name]


def revoke_old_secret(path: Path, name: str) -> bool:
    """End a rotation: keep only the newest secret; return False if there was no other. Raises ConfigError."""
    with _edited(path) as clients:
        entry = _entry(clients, name, path)
        secrets = entry.get("secrets", [])
        had_another = len(secrets) > 1
        if had_another:
            entry["secrets"] = secrets[:1]
    return had_another


def add_token(path: Path, name: str) -> str:
    """Give a client a new token, which is returned; the file gets its hash, and the others stay valid.

    Raises ConfigError.
    """
    token = new_token()
    with _edited(path) as clients:
        entry = _entry(clients, name, path)
        tokens = [hashed(token), *entry.get("tokens", [])]
        if len(tokens) > MAX_TOKENS:
            raise ConfigError(
                f"{name} has {MAX_TOKENS} tokens already; `logops keys revoke {name} --tokens --old` leaves the newest"
            )
        entry["tokens"] = tokens
    return token


def revoke_tokens(path: Path, name: str, *, keep: int) -> int:
    """Remove a client's tokens but the newest ``keep``; return how many are left. Raises ConfigError.

    A client without secrets must keep one, or be revoked.
    """
    with _edited(path) as clients:
        entry = _entry(clients, name, path)
        left = list(entry.get("tokens", []))[:keep]
        if not left and not entry.get("secrets"):
            raise ConfigError(f"{name} has nothing but tokens; `logops keys revoke {name}` removes the client")
        entry.pop("tokens", None)
        if left:
            entry["tokens"] = left
    return len(left)


def add_fernet_key(path: Path) -> None:
    """Put a new Fernet key first in the file of keys: it encrypts from now on, the others still decrypt."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        before = path.read_text("utf-8") if path.exists() else ""
        key = urlsafe_b64encode(os.urandom(32)).decode()  # the Fernet specification's key
        write_private(path, f"{key}\n{before}", replace=True)


@contextmanager
def _edited(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the clients of the file as written, to be changed in place; check and write them back."""
    path = path.resolve()  # replaces the file that a link leads to, not the link
    with _locked(path):
        clients: dict[str, Any] = {}
        if path.exists():
            Keyring.load(path)  # a file with a mistake is not overwritten
            clients = (read_tree(path).value or {}).get("clients") or {}
        yield clients
        text = dump_clients(clients)
        Keyring.parse(text, path.parent, str(path))
        write_private(path, text, replace=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Allow one editor at a time. The directory is locked: the file itself is replaced by each change."""
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _entry(clients: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    if name not in clients:
        raise ConfigError(f"{path} has no client {name}{did_you_mean(name, clients)}")
    entry: dict[str, Any] = clients[name]
    return entry

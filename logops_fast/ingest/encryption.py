"""Encrypted originals: what the masks take away, kept as Fernet tokens for whoever holds a key."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from logops_fast.ingest.serialiser import to_text

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

DEFAULT_FIELDS: Final = ("msg", "user_email", "client_ip")
SUFFIX: Final = "_enc"
_KEY_BYTES: Final = 32


class Encryptor:
    """Adds ``<field>_enc`` tokens to events, and reads them back.

    ``keys`` are Fernet keys (32 bytes in base64url): the first encrypts, all decrypt, so a new key is put in front and
    the old one stays until the last file it wrote is gone. Raises ValueError with a sentence for a person when there
    is none or one is not a key.
    """

    __slots__ = ("_fernet", "_fields", "_invalid")

    def __init__(self, keys: Sequence[str | bytes], fields: Sequence[str] = DEFAULT_FIELDS) -> None:
        if not keys:
            raise ValueError("encryption needs at least one Fernet key")
        for number, key in enumerate(keys, 1):
            check_key(key, f"Fernet key {number}")
        # 12 MiB of OpenSSL that a gateway without encryption does not load.
        from cryptography.fernet import Fernet, InvalidToken, MultiFernet

        self._fernet: MultiFernet = MultiFernet([Fernet(key) for key in keys])
        self._invalid: type[Exception] = InvalidToken
        self._fields = [(field, field + SUFFIX) for field in fields]

    def replace_keys(self, keys: Sequence[str | bytes]) -> None:
        """Use other keys from now on: the first encrypts, all decrypt.

        Raises ValueError, and keeps the keys it has, if there is none or one is not a key.
        """
        self._fernet = Encryptor(keys)._fernet

    def add_tokens(self, event: dict[str, Any]) -> None:
        """Adds, for each of the fields that the event has, the token of its value; one that is no text as JSON text.

        A ``<field>_enc`` that the client sent itself is kept as ``<field>_enc_raw``.
        """
        for field, name in self._fields:
            value = event.get(field)
            if value is None:
                continue
            if name in event:
                raw = name + "_raw"
                while raw in event:
                    raw += "_raw"
                event[raw] = event.pop(name)
            text = value if isinstance(value, str) else to_text(value)
            event[name] = self._fernet.encrypt(text.encode("utf-8", "replace")).decode()

    def decrypt_event(self, event: dict[str, Any]) -> dict[str, Any]:
        """A copy in which every ``<field>_enc`` that one of the keys opens has become ``<field>``, the original.

        Tokens that no key opens stay as they are.
        """
        opened = dict(event)
        for name, token in event.items():
            if not name.endswith(SUFFIX) or not isinstance(token, str):
                continue
            try:
                original = self._fernet.decrypt(token.encode()).decode()
            except self._invalid:
                continue
            del opened[name]
            opened[name.removesuffix(SUFFIX)] = original
        return opened


def load_keys(path: str | Path) -> list[str]:
    """The keys of a file: one a line; blank lines and lines that begin with ``#`` are passed over.

    Raises ValueError with a sentence that names the file, and the line but never the key.
    """
    try:
        text = Path(path).read_text(encoding="ascii")
    except OSError as error:
        raise ValueError(f"the Fernet keys file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"the Fernet keys file {path} holds something else than keys in base64url") from None
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        key = line.partition("#")[0].strip()
        if key:
            check_key(key, f"line {number} of the Fernet keys file {path}")
            keys.append(key)
    if not keys:
        raise ValueError(f"the Fernet keys file {path} holds no key; `logops keys fernet` makes one")
    return keys


def check_key(key: str | bytes, where: str) -> None:
    """Raises ValueError, naming ``where`` it stands, for a key that is not 32 bytes in base64url."""
    try:
        raw = base64.b64decode(key, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise ValueError(f"{where} is not a Fernet key: expected 32 bytes in base64url (44 characters)")

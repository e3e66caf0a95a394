"""Encrypted originals: what the masks take away, kept as Fernet tokens that the holder of a key can open."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from logops_fast.ingest.serialiser import to_text

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

DEFAULT_FIELDS: Final = ("msg", "user_email", "client_ip")
SUFFIX: Final = "_enc"
MASK: Final = "***"
_KEY_BYTES: Final = 32
_MSG: Final = "msg"
# In front of a value that is not text, as JSON. A text that begins with it is written as JSON too.
_JSON: Final = "\x00"


class Encryptor:
    """Adds ``<field>_enc`` tokens to events, and reads them back.

    ``keys`` are Fernet keys (32 bytes in base64url): the first encrypts, all decrypt, so a new key is put in front and
    the old one stays until the last file it wrote is gone. ``fields`` are names of an event's own members, ``aliases``
    other names of settled ones: ``message`` means ``msg``. Raises ValueError with an actionable sentence if
    there is no key or one is not a key.
    """

    __slots__ = ("_fernet", "_fields", "_invalid")

    def __init__(
        self,
        keys: Sequence[str | bytes],
        fields: Sequence[str] = DEFAULT_FIELDS,
        *,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        from cryptography.fernet import InvalidToken

        self._invalid: type[Exception] = InvalidToken
        self._fernet = _multi_fernet(keys)
        settled = dict.fromkeys((aliases or {}).get(field.lower(), field) for field in fields)
        self._fields = [(field, field + SUFFIX) for field in settled]

    def replace_keys(self, keys: Sequence[str | bytes]) -> None:
        """Encrypt with the first of ``keys`` from now on, decrypt with any of them; for a reload.

        Raises ValueError as the constructor does, and keeps the keys it has.
        """
        self._fernet = _multi_fernet(keys)

    def add_tokens(self, event: dict[str, Any]) -> None:
        """Add, for each of the fields that the event has, the token of its value; mask the value unless it is ``msg``.

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
            is_plain = isinstance(value, str) and not value.startswith(_JSON)
            text: str = value if is_plain else _JSON + to_text(value)
            event[name] = self._fernet.encrypt(text.encode("utf-8", "replace")).decode()
            if field != _MSG:
                # Masked by name: a pattern would leave what it does not know beside the token.
                event[field] = MASK

    def decrypt_event(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return a copy in which every ``<field>_enc`` that a key opens has become ``<field>``, of its original type.

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
            opened[name.removesuffix(SUFFIX)] = _value(original)
        return opened


def _value(original: str) -> Any:
    if original.startswith(_JSON):
        try:
            return orjson.loads(original.removeprefix(_JSON))
        except ValueError:
            pass  # a text that an earlier version encrypted as it came
    return original


def _multi_fernet(keys: Sequence[str | bytes]) -> MultiFernet:
    if not keys:
        raise ValueError("encryption needs at least one Fernet key")
    for number, key in enumerate(keys, 1):
        check_key(key, f"Fernet key {number}")
    # 12 MiB of OpenSSL that a gateway without encryption does not load.
    from cryptography.fernet import Fernet, MultiFernet

    return MultiFernet([Fernet(key) for key in keys])


def load_keys(path: str | Path) -> list[str]:
    """Return the keys of a file: one a line; blank lines and lines that begin with ``#`` are skipped.

    Raises ValueError with a sentence that names the file, and the line but never the key.
    """
    try:
        text = Path(path).read_text(encoding="ascii")
    except OSError as error:
        raise ValueError(f"the Fernet keys file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"the Fernet keys file {path} holds something other than keys in base64url") from None
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
    """Raise ValueError, naming ``where`` the key comes from, unless it is 32 bytes in base64url."""
    try:
        raw = base64.b64decode(key, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise ValueError(f"{where} is not a Fernet key: expected 32 bytes in base64url (44 characters)")

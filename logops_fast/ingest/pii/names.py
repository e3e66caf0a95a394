"""Which member names are masked whole, which are secrets, and which are left alone.

One published list of secret names (`SECRET_NAMES`, shown in docs/privacy.md), and the configuration's ``pii.fields``
and ``pii.keep``: names or globs, in any case, with the aliases of the settled fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from logops_fast.config.patterns import check_patterns, matcher

FIELD: Final = "field"
SECRET: Final = "secret"  # noqa: S105 - a kind of name
KEEP: Final = "keep"
OTHER: Final = ""

SECRET_NAMES: Final = (
    "password", "password1", "password2", "password_confirmation", "passwd", "passphrase", "passcode", "pwd",
    "password_confirm", "db_pass", "user_pass", "smtp_pass", "ssh_pass", "require_pass",
    "secret", "secrets", "client_secret",
    "token", "jwt", "otp",
    "access_token", "auth_token", "refresh_token", "id_token", "csrf_token", "session_token", "api_token",
    "api_key", "access_key", "secret_key", "secret_access_key", "private_key", "signing_key", "encryption_key",
    "master_key", "account_key", "storage_key", "subscription_key", "application_key", "auth_key", "ssh_key",
    "authorization", "credential", "credentials",
    "cookie", "cookies",
    "card_number", "credit_card", "credit_card_number", "debit_card", "cc_number",
    "pan", "cvv", "cvv2", "cvc", "cvc2", "security_code",
    "ssn", "social_security_number",
)  # fmt: skip
"""The names whose values are secret, in lower case with ``_`` between words.

A name matches with any separators or none between its words, in any case, and with other words in front if a
separator or a capital letter begins it (``db.password``, ``userPassword``).
"""

GLUED_NAMES: Final = (
    "password", "passwd", "passphrase", "token", "secret", "apikey", "secretkey", "privatekey",
    "creditcard", "cardnumber",
)  # fmt: skip
"""Names that are secret even with letters directly in front (``pgpassword``): no English word ends in them."""

QUERY_NAMES: Final = ("sig", "signature", "hmac", "auth", "sas", "pass")
"""Names that are secret only as a parameter of a URL's query."""

_PUBLIC: Final = "publickeytoken"  # in the names of .NET's assemblies: part of a public key's digest

_COMPACT: Final = frozenset(name.replace("_", "") for name in SECRET_NAMES)
_QUERY: Final = frozenset(QUERY_NAMES)
_MOST_WORDS: Final = 4
# Words begin after a separator, after a lower-case letter or digit (`userPassword`), before the last capital of several
# (`APIKey`).
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z0-9]+|[0-9]+|[^\x00-\x7f]+")
_LONGEST_NAME: Final = 128
_REMEMBERED: Final = 4096


_LONGEST_ENDING: Final = 4
ENDINGS: Final = tuple(sorted({name.rpartition("_")[2][-_LONGEST_ENDING:] for name in SECRET_NAMES}))
"""How every secret name ends, in letters without a separator between (`session` is no `authorization`): what the
triggers ask for."""


def is_secret(name: str, *, in_query: bool = False) -> bool:
    """Whether ``name``, of a member or a parameter, is that of a secret."""
    if len(name) > _LONGEST_NAME:
        name = name[-_LONGEST_NAME:]
    words: list[str] = [word.lower() for word in _WORD.findall(name)]
    tail = ""
    last_words: list[str] = words[-_MOST_WORDS:]
    if "".join(last_words).endswith(_PUBLIC):
        return False
    for word in reversed(last_words):
        tail = word + tail
        if tail in _COMPACT:
            return True
    if not words:
        return False
    return words[-1].endswith(GLUED_NAMES) or (in_query and (words[-1] in _QUERY))


class NameRules:
    """Answers, for the name of a member, whether its value is a named field, a secret, kept, or neither.

    ``fields`` and ``keep`` are names or globs, matched in any case against the whole name. ``aliases`` maps other names
    of a settled field to its own, so that ``message`` finds ``msg``. Fields are stronger than kept names, kept names
    stronger than secrets.

    Raises PatternError if a pattern is empty or malformed, or if one of ``fields`` is shadowed by one of ``keep``.
    """

    __slots__ = ("_fields", "_keep", "_known", "has_keep", "has_secrets", "patterns")

    def __init__(
        self,
        fields: Sequence[str] = (),
        keep: Sequence[str] = (),
        *,
        secrets: bool = True,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        check_patterns(fields, keep)
        self._fields = matcher(_with_aliases(fields, aliases or {}))
        self._keep = matcher(_with_aliases(keep, aliases or {}))
        self._known: dict[str, str] = {}
        self.has_keep = bool(keep)
        self.has_secrets = secrets
        self.patterns = tuple(_with_aliases([*fields, *keep], aliases or {}))

    def kind(self, name: str) -> str:
        """FIELD, KEEP, SECRET or OTHER."""
        known = self._known.get(name)
        if known is None:
            known = self._kind(name)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[name] = known
        return known

    def _kind(self, name: str) -> str:
        folded = name.lower()
        if self._fields is not None and self._fields.fullmatch(folded):
            return FIELD
        if self._keep is not None and self._keep.fullmatch(folded):
            return KEEP
        return SECRET if self.has_secrets and is_secret(name) else OTHER


def _with_aliases(patterns: Sequence[str], aliases: Mapping[str, str]) -> list[str]:
    """The patterns, and the settled name of each that is an alias or a glob that matches one."""
    found = [matcher([pattern]) for pattern in patterns]
    settled = [name for one in found for alias, name in aliases.items() if one and one.fullmatch(alias.lower())]
    return list(dict.fromkeys([*patterns, *settled]))

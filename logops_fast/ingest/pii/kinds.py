"""The kinds of personal data and secrets, in the order of the passes: what asks for each, what it masks and leaves.

Every kind looks at the text as it came, so that no mask hides from one kind what another kind masked next to it. What
two kinds find in one place is masked once: of cuts that overlap the earlier and longer one counts. So the order
decides nothing but what is asked first: secrets known by their form, HTTP credentials, then what is recognised by
itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from logops_fast.ingest.pii import signs
from logops_fast.ingest.pii.cards import find_cards
from logops_fast.ingest.pii.cuts import Cut
from logops_fast.ingest.pii.emails import find_emails
from logops_fast.ingest.pii.ipv4 import find_ipv4
from logops_fast.ingest.pii.ipv6 import find_ipv6
from logops_fast.ingest.pii.keyforms import find_keys
from logops_fast.ingest.pii.tokens import find_basic, find_bearer, find_digest, find_jwts
from logops_fast.ingest.pii.urls import find_url_passwords


class Kind(NamedTuple):
    """One kind of personal data.

    ``label`` is that of the metric. ``sign`` is the bit of `Signs.found` that says whether it may be there at all.
    ``find`` returns the places to mask. The texts are shown in docs/privacy.md.
    """

    label: str
    sign: int
    find: Callable[[bytes], list[Cut]]
    trigger: str
    leaves: str
    never: str


SECRETS: Final = (
    Kind(
        "secret",
        signs.KEY,
        find_keys,
        "a capital `A` or `K`; a separator followed by 16 letters or digits",
        "`***`",
        "certificates and public keys; words that only begin like a key (`npm_config_registry`)",
    ),
    Kind(
        "secret",
        signs.URL,
        find_url_passwords,
        "`://` and an `@`",
        "scheme, user, host and path",
        "a user without a password (`ssh://git@host`), ports",
    ),
)
"""Secrets known by their form. What depends on how text is delimited is looked for at every level of encoding."""

CREDENTIALS: Final = (
    Kind(
        "token",
        signs.BEARER,
        find_bearer,
        "`bearer` in any case",
        "the scheme: `Bearer ***`",
        "English and radio networks' words: `the bearer will pay`, `bearer setup failed`",
    ),
    Kind(
        "token",
        signs.BASIC,
        find_basic,
        "`basic` in any case",
        "the scheme: `Basic ***`",
        "what is no base64 of a user and a password: `basic auth disabled`",
    ),
    Kind(
        "token",
        signs.DIGEST,
        find_digest,
        "`digest` in any case, and an `=`",
        "the scheme: `Digest ***`",
        "challenges, and digests of content (`Digest: sha256:...`)",
    ),
    Kind(
        "token",
        signs.JWT,
        find_jwts,
        "`eyJ`, `eyA`, `ewo` and the like",
        "`***jwt***`",
        "base64 without the dots of a token",
    ),
)
"""Credentials known by what is in front of them, or by their form; looked for at every level of encoding, too."""

PLAIN: Final = (
    Kind(
        "email",
        signs.EMAIL,
        find_emails,
        "an `@`",
        "the first character of the local part, and the domain",
        "package versions (`lodash@4.17.21`), systemd units (`user@1000.service`), `@user`, `user@localhost`",
    ),
    Kind(
        "card",
        signs.CARD,
        find_cards,
        "13 digits in a row, or two groups as cards print them",
        "the last four digits",
        "numbers without a network's beginning and length or that fail Luhn, fractions, hex identifiers, HDFS blocks",
    ),
    Kind(
        "ipv4",
        signs.IPV4,
        find_ipv4,
        "a dot between two numbers",
        "the first two octets",
        "versions and object identifiers known by what is next to them, three or five numbers",
    ),
    Kind(
        "ipv6",
        signs.IPV6,
        find_ipv6,
        "`::`, or three groups between colons",
        "the first two groups",
        "pairs of digits (MAC, WWN, fingerprints), times, paths of C++ and Rust",
    ),
)
"""The kinds that are recognised by themselves: they are looked for in text that is decoded."""

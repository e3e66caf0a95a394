"""The kinds of personal data and secrets, in the order of the passes. docs/privacy.md says what each masks and leaves.

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
    ``find`` returns the places to mask.
    """

    label: str
    sign: int
    find: Callable[[bytes], list[Cut]]


SECRETS: Final = (
    Kind("secret", signs.KEY, find_keys),
    Kind("secret", signs.URL, find_url_passwords),
)
"""Secrets known by their form. What depends on how text is delimited is looked for at every level of encoding."""

CREDENTIALS: Final = (
    Kind("token", signs.BEARER, find_bearer),
    Kind("token", signs.BASIC, find_basic),
    Kind("token", signs.DIGEST, find_digest),
    Kind("token", signs.JWT, find_jwts),
)
"""Credentials known by what is in front of them, or by their form; looked for at every level of encoding, too."""

PLAIN: Final = (
    Kind("email", signs.EMAIL, find_emails),
    Kind("card", signs.CARD, find_cards),
    Kind("ipv4", signs.IPV4, find_ipv4),
    Kind("ipv6", signs.IPV6, find_ipv6),
)
"""The kinds that are recognised by themselves: they are looked for in text that is decoded."""

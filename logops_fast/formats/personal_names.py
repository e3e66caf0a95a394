"""Names that clients give, and whether they hold personal data: they become labels and file content as they are sent.

A name is made of ``A-Z a-z 0-9 . _ ~ -``, so it can hold an IPv4 address or a card number, but no e-mail address (no
``@``) and no IPv6 address (no ``:``). A refusal here costs the client its batch, so only what is certain counts:
versions, UUIDs, hashes and numeric identifiers are names.
"""

from __future__ import annotations

import re
from typing import Final

_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_ADDRESS: Final = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
# Alone, or after a word for what has an address: `web-1.2.3.4` may be a version.
_IPV4: Final = re.compile(
    rf"{_ADDRESS}|(?:[A-Za-z0-9._~-]*[._~-])?(?:ip|ipv4|addr|address|client|host|peer|from|src|dst|remote|user)[._~-]?"
    rf"{_ADDRESS}(?:[_~-][A-Za-z0-9._~-]*)?",
    re.IGNORECASE,
)
# After any other word only what is no version: a private or loopback network, or two large numbers, of which one leads.
_AFTER_WORD: Final = re.compile(
    rf"[A-Za-z0-9._~-]*[A-Za-z][._~-](?={_ADDRESS}(?![0-9.]))"
    r"(?:(?:192\.168|127\.0\.0|169\.254|172\.(?:1[6-9]|2[0-9]|3[01]))\.|[12][0-9]{2}\.(?:[0-9]{1,2}\.)*[12][0-9]{2}(?![0-9]))"
    r"[A-Za-z0-9._~-]*"
)
_DIGITS: Final = re.compile(r"(?<![A-Za-z0-9])[0-9]{13,16}(?![A-Za-z0-9])")
_GROUPS: Final = re.compile(r"[0-9]{4}([._~-])(?:[0-9]{4}\1[0-9]{4}\1[0-9]{4}|[0-9]{6}\1[0-9]{4,5})")
# Beginnings and lengths of the networks' numbers; 19 digits are left out, which are rather an identifier's.
_CARD: Final = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15})|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}|3(?:0[0-5]|[689][0-9])[0-9]{11}|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}"
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}|62[0-9]{14}"
)
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # the digit sum of each digit's double


def personal_data_in_name(name: str) -> bool:
    """Whether a scenario, batch or emitter name holds an IPv4 address or a payment card number."""
    if len(name) < 7:
        return False
    if "." in name and (_IPV4.fullmatch(name) is not None or _AFTER_WORD.fullmatch(name) is not None):
        return True
    grouped = _GROUPS.fullmatch(name)
    if grouped is not None and _is_card(name.replace(grouped[1], "")):
        return True
    return any(_is_card(found[0]) for found in _DIGITS.finditer(name))


def _is_card(digits: str) -> bool:
    if _CARD.fullmatch(digits) is None:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total += _DOUBLED[int(digit)] if place % 2 else int(digit)
    return total % 10 == 0

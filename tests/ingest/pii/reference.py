"""What must not be left in a stored string, found by other means than the masks use: slow, plain, one word at a time.

A text is decoded with the standard library, cut into words, and each word judged by what defines the kind: an address
by `ipaddress`, a card by its network and the textbook's Luhn, an e-mail address and a token by their grammar. It finds
less than the masks do (only what is alone between blanks and quotes), and what it finds is a leak without doubt.
"""

from __future__ import annotations

import html
import ipaddress
import json
import re
from collections.abc import Iterator
from urllib.parse import unquote

SEPARATORS = re.compile(r"[\s\"'`<>()\[\]{}|,;]+")
VERSION_BEFORE = re.compile(
    r"(?:ver|version|versions|oid|build|release|revision|firmware|objectid)\W*\Z", re.IGNORECASE
)


def decoded(text: str) -> str:
    """The text with percent-encoding, JSON's escapes and character references undone, at most thrice."""
    for _ in range(3):
        before = text
        text = html.unescape(unquote(text, errors="replace"))
        text = re.sub(r"\\(u[0-9a-fA-F]{4}|[\"\\/bfnrt])", _unescaped, text)
        if text == before:
            break
    return text


def _unescaped(found: re.Match[str]) -> str:
    try:
        char: str = json.loads(f'"{found[0]}"')
    except ValueError:
        return " "
    return char if not 0xD800 <= ord(char[0]) < 0xE000 else "\ufffd"


def leaks(text: str) -> Iterator[str]:
    """Each word of a stored string that is personal data or a secret."""
    before = ""
    for word in SEPARATORS.split(text):
        if is_email(word) or is_card(word) or is_address(word, before):
            yield word
        if before.lower() == "bearer" and re.fullmatch(r"[A-Za-z0-9]*[0-9][A-Za-z0-9]*[A-Za-z][A-Za-z0-9]{4,}", word):
            yield word
        before = word


def is_email(word: str) -> bool:
    local, _, domain = word.partition("@")
    if not re.fullmatch(r"[a-z][a-z0-9]{2,}(?:[._+-][a-z0-9]{2,})*", local):
        return False
    labels = domain.split(".")
    return (
        len(labels) > 1 and labels[-1] in ("com", "org", "net", "example") and all(label.isalpha() for label in labels)
    )


def is_address(word: str, before: str) -> bool:
    try:
        address = ipaddress.ip_address(word)
    except ValueError:
        return False
    if address.version == 4:
        return not VERSION_BEFORE.search(before)
    groups = [group for group in word.split(":") if group]
    # Pairs of digits and two groups of at most two digits are what else is written so.
    return any(len(group) > 2 for group in groups) and any(char.isdigit() for char in word) and "%" not in word


NETWORKS = {
    16: r"4|5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|6011|64[4-9]|65|35(?:2[89]|[3-8])|62|220[0-4]",
    13: "4",
    14: r"30[0-5]|3095|36|38|39",
    15: "34|37",
    19: r"4|6011|64[4-9]|65|62",
}


def is_card(word: str) -> bool:
    if not word.isascii() or not word.isdecimal() or not re.match(NETWORKS.get(len(word), r"(?!)"), word):
        return False
    odd, even = word[-1::-2], word[-2::-2]
    return (sum(map(int, odd)) + sum(sum(map(int, str(2 * int(digit)))) for digit in even)) % 10 == 0

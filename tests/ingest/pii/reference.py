"""The masks once more, from the contract and by other means: slow, on characters, one rule after the other.

A text is decoded character by character, each with its source; rules find spans in the decoded text by the standard
library (`ipaddress`), by the textbook's Luhn, and by whole words; what is masked is replaced in the source. The masks
must give the same output for the texts that `contexts` builds. Of any other text `leaks` says what is a leak for sure.
"""

from __future__ import annotations

import html
import ipaddress
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

LEVELS = 5


class Char(NamedTuple):
    """A decoded character and the text that it was written as."""

    char: str
    source: str


Span = tuple[int, int, str]
"""Start and end in the decoded text, and the mask."""


def masked(text: str) -> str:
    """The text as it must be stored."""
    chars = [Char(char, char) for char in text]
    for _ in range(LEVELS):
        again = _decoded_once(chars)
        if len(again) == len(chars):
            break
        chars = again
    plain = "".join(char for char, _ in chars)
    out: list[str] = []
    at = 0
    for start, end, mask in _without_overlaps(sorted(spans(plain))):
        out += [source for _, source in chars[at:start]]
        if mask[0] == '"':  # written as the quotes around it are
            quote = next(source for char, source in reversed(chars[:start]) if char == '"')
            mask = quote + mask[1:-1] + quote
        out.append(mask)
        at = end
    return "".join(out) + "".join(source for _, source in chars[at:])


def _without_overlaps(found: list[Span]) -> list[Span]:
    out: list[Span] = []
    for span in found:
        if not out or span[0] >= out[-1][1]:
            out.append(span)
    return out


def _decoded_once(chars: list[Char]) -> list[Char]:
    out: list[Char] = []
    at = 0
    text = "".join(char for char, _ in chars)
    while at < len(chars):
        for pattern, decode in ESCAPES:
            found = pattern.match(text, at)
            if found is not None:
                decoded = decode(found[0])
                for char in decoded:
                    width = 3 * len(char.encode()) if found[0][0] == "%" else found.end() - at
                    out.append(Char(char, "".join(source for _, source in chars[at : at + width])))
                    at += width
                break
        else:
            out.append(chars[at])
            at += 1
    return out


# Track 1 of a magnetic stripe, `%B4111...^`, begins like an encoded byte.
ESCAPES = (
    (re.compile(r"(?:%(?![Bb]\d[\d ]{11,22}(?:\^|%(?:25)?5[Ee]))[0-9A-Fa-f]{2})+"), unquote),
    (re.compile(r"\\u[0-9a-fA-F]{4}"), lambda text: chr(int(text[2:], 16))),
    (re.compile(r"\\[\\\"/bfnrt]"), lambda text: json.loads(f'"{text}"')),
    (re.compile(r"\x1b\[[0-9;:?]*[A-Za-z]"), lambda _: " "),  # a terminal's colours count as a blank
    (re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|lt|gt|amp|quot|apos);"), html.unescape),
)


def spans(text: str) -> Iterator[Span]:
    """What is masked of a decoded text."""
    yield from emails(text)
    yield from ipv4s(text)
    yield from ipv6s(text)
    yield from cards(text)
    yield from bearers(text)
    yield from pairs(text)
    yield from url_passwords(text)
    yield from keys(text)
    yield from jwts(text)


def emails(text: str) -> Iterator[Span]:
    for sign in (at for at, char in enumerate(text) if char == "@"):
        if not re.match(
            r"(?!v?\d+\.\d+)(?!\d+\.service)[\w-]+(?:\.[\w-]+)*\.[a-z]{2}", text[sign + 1 :], re.IGNORECASE
        ):
            continue
        start = sign
        while start and _is_local(text[start - 1]):
            start -= 1
        while start < sign and text[start] in ".-+%'!#$^~":
            start += 1
        if start < sign:
            yield start + 1, sign, "***"


def _is_local(char: str) -> bool:
    if char.isascii():
        return char.isalnum() or char in "_.-+%'!#$^~"
    return unicodedata.category(char) not in ("Zs", "Zl", "Zp", "Ps", "Pe", "Pi", "Pf", "Po", "Cc")


VERSION_BEFORE = re.compile(r"(?:\bv|version\W*|\boid\W*|[a-z]+/)\Z", re.IGNORECASE)


def ipv4s(text: str) -> Iterator[Span]:
    for found in re.finditer(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\d)", text):
        before = text[: found.start()]
        if re.search(r"(?:version|oid)\W*\Z", before, re.IGNORECASE) or re.search(r"[Cc]hrome/\Z", before):
            continue
        if is_ipv4(found[0]) and not re.match(r"\.\d{1,2}(?!\d)", text[found.end() :]):
            first = found[0].split(".")
            yield found.start() + len(f"{first[0]}.{first[1]}"), found.end(), ".x.x"


def is_ipv4(text: str) -> bool:
    return all(int(octet) < 256 for octet in text.split("."))


def ipv6s(text: str) -> Iterator[Span]:
    for found in re.finditer(r"[0-9A-Fa-f:]+", text):
        if found[0].count(":") < 2:
            continue
        glued = found.start() > 0 and (text[found.start() - 1].isalpha() and text[found.start() - 1].isascii())
        best: tuple[int, int] | None = None
        borders = [0, *(at.end() for at in re.finditer(":", found[0]))]
        for start in borders:
            if glued and not start:
                continue
            for end in (*(at.start() for at in re.finditer(":", found[0])), len(found[0])):
                if end > start and _is_ipv6(found[0][start:end]) and (best is None or end - start > best[1] - best[0]):
                    best = (start, end)
        if best is not None:
            yield found.start() + best[0], found.start() + best[1], _ipv6_mask(found[0][best[0] : best[1]])


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    groups = [group for group in text.split(":") if group]
    # Pairs of digits (MAC, WWN) and two groups of at most two digits (`b::1`, a path) are what else is written so.
    return text == "::1" or (any(len(group) > 2 for group in groups) and any(map(str.isdigit, text)))


def _ipv6_mask(text: str) -> str:
    head, gap, tail = text.partition("::")
    groups = head.split(":") if head else []
    if gap:
        groups += ["0"] * (8 - len(groups) - (len(tail.split(":")) if tail else 0))
    groups += tail.split(":") if tail else []
    return f"{groups[0]}:{groups[1]}" + ":x" * 6


NETWORKS = {
    16: r"4|5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|6011|64[4-9]|65|35(?:2[89]|[3-8])|62|220[0-4]",
    13: "4",
    14: r"30[0-5]|3095|36|38|39",
    15: "34|37",
    19: r"4|6011|64[4-9]|65|62",
}
MARK = r"[ .\-\u00a0\u2010-\u2015]"
CARD = re.compile(
    rf"(?<!\d)(?<!\d\.)(?:\d{{13,19}}|\d{{4}}(?:{MARK}\d{{4}}){{3}}(?:{MARK}\d{{3}})?|\d{{4}}{MARK}\d{{6}}{MARK}\d{{4,5}})(?!\d)"
)


IDENTIFIERS = (16, 24, 32, 40, 64)
"""The usual lengths of identifiers in hex: `cc36232721624176` may be one."""


def cards(text: str) -> Iterator[Span]:
    for found in CARD.finditer(text):
        if text[: found.start()].endswith(("blk_", "blk_-")):
            continue
        left = re.search(r"(?<![A-Za-z0-9])[a-f]*\Z", text[: found.start()], re.IGNORECASE)
        is_track = text[found.end() : found.end() + 1] == "^"
        letters = left[0] if left is not None else ""
        if letters and found[0].isdigit() and not is_track and len(letters + found[0]) in IDENTIFIERS:
            continue
        if is_card(re.sub(r"\D", "", found[0])):
            end = found.end()
            while len(re.sub(r"\D", "", text[end : found.end()])) < 4:
                end -= 1
            mask = re.sub(r"\d", "*", text[found.start() : end])
            if re.search(r"\"[ \t\n]*:[ \t\n]*\Z", text[: found.start()]) and re.match(
                r"[ \t\n]*[,}\]]", text[found.end() :]
            ):
                yield found.start(), found.end(), f'"{mask}{text[end : found.end()]}"'  # a number of JSON text
            else:
                yield found.start(), end, mask


def is_card(word: str) -> bool:
    if not word.isascii() or not word.isdecimal() or not re.match(NETWORKS.get(len(word), r"(?!)"), word):
        return False
    odd, even = word[-1::-2], word[-2::-2]
    return (sum(map(int, odd)) + sum(sum(map(int, str(2 * int(digit)))) for digit in even)) % 10 == 0


ENDS = r"[^\s\"'`,;&<>()\[\]{}\\]"


def bearers(text: str) -> Iterator[Span]:
    for found in re.finditer(rf"(?<![A-Za-z0-9_])bearer +({ENDS}+)", text, re.IGNORECASE):
        if re.search(r"\d", found[1]):  # `the bearer will pay`
            yield found.start(1), found.end(1), "***"


PAGE = Path(__file__).parents[3] / "docs" / "privacy.md"
NAMES = {
    name.replace("_", "")
    for name in re.findall(
        r"`(\w+)`", PAGE.read_text(encoding="utf-8").split("<!-- names -->")[1].split("<!-- /names -->")[0]
    )
}
"""The published list of secrets' names."""


def is_secret(name: str) -> bool:
    """Whether a published name ends here that begins with a word."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    parts = re.split(r"[^a-z0-9]+", words.lower())
    return any("".join(parts[at:]) in NAMES for at in range(len(parts)))


NOTHING = ("null", "true", "false", "none", "yes", "no", "***")


def pairs(text: str) -> Iterator[Span]:
    quoted = r"\"[^\"]*+|'[^'\"\n]*+|`[^`\"\n]*+"
    value = rf"[\"'`]?[ \t]*(?:=>|=|:)[ \t]*({quoted}|{ENDS}+)"
    # The value is looked ahead at: one pair may be the value of another.
    for found in re.finditer(rf"(?<![A-Za-z0-9_.$-])([A-Za-z0-9_.$-]+)(?={value})", text):
        value = found[2]
        start = found.start(2)
        if value[0] in "\"'`":
            value, start = value[1:], start + 1
        if not is_secret(found[1]) or value.lower() in NOTHING or not value or value[0] in "/:":
            continue
        if found[1].lower().endswith("authorization"):
            scheme = re.match(r"[A-Za-z-]+ +(?=[^ ])", text[start:])
            start += scheme.end() if scheme is not None else 0
            value = re.match(rf"{ENDS}*", text[start:])[0]  # type: ignore[index]  # matches the empty string
        elif re.search(r"cookies?\Z", found[1], re.IGNORECASE) and ":" in text[found.end(1) : start]:
            value = re.match(r"[^\s\",;'`<>]+(?:; *[^\s\",;'`<>]+)*", text[start:])[0]  # type: ignore[index]
        yield start, start + len(value), "***"
    for found in re.finditer(r"<([A-Za-z0-9_.-]+)>([^<\"]+)(?=</)", text):
        if is_secret(found[1]):
            yield found.start(2), found.end(2), "***"


def url_passwords(text: str) -> Iterator[Span]:
    for found in re.finditer(r"://[^\s/?#<>'\"`\\@:]+:([^\s/?#<>'\"`\\@]+)@", text):
        yield found.start(1), found.end(1), "***"


KEYS = (
    r"ghp_[A-Za-z0-9]{36}", r"AKIA[A-Z0-9]{16}", r"glpat-[A-Za-z0-9]{20}", r"sk_live_[A-Za-z0-9]{24}",
    r"npm_[A-Za-z0-9]{36}", r"AIza[A-Za-z0-9]{35}",
)  # fmt: skip


def jwts(text: str) -> Iterator[Span]:
    for found in re.finditer(r"(?<![A-Za-z0-9])eyJ[\w-]*(?:\.[\w-]*){2}", text, re.ASCII):
        yield found.start(), found.end(), "***jwt***"


def keys(text: str) -> Iterator[Span]:
    for found in re.finditer(rf"(?<![A-Za-z0-9])(?:{'|'.join(KEYS)})(?![A-Za-z0-9])", text):
        yield found.start(), found.end(), "***"


# What is a leak in any text.

SEPARATORS = re.compile(r"[\s\"'`<>()\[\]{}|,;]+")
WORD_OF_VERSION = re.compile(
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
        return not WORD_OF_VERSION.search(before)
    groups = [group for group in word.split(":") if group]
    # Pairs of digits and two groups of at most two digits are what else is written so.
    return any(len(group) > 2 for group in groups) and any(char.isdigit() for char in word) and "%" not in word

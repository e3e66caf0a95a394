"""A second masker: slow, plain, one decoded string at a time. The fast one must say the same of every event."""

from __future__ import annotations

import ipaddress
import itertools
import re
import unicodedata
from typing import Any

STOP_WORDS = """
    and as auth authentication authorization authorisation credential credentials error expired failed flow for from has
    header headers in invalid is missing not of on or realm rejected required scheme scope schemes the to token tokens
    type was with without
""".split()  # noqa: SIM905


def mask_string(text: str) -> str:
    for mask in (tokens, lambda t: emails(t, "@"), lambda t: emails(t, "%40"), cards, ipv4, ipv6):
        text = mask(text)
    return text


def mask_key(text: str) -> str:
    """Masked until it stays: data without anything between may show more of itself once its neighbour is masked."""
    for _ in range(8):
        text, before = mask_string(text), text
        if text == before:
            break
    return text


def mask_value(value: Any) -> Any:
    """The value with every string masked; the keys are left to the caller."""
    if isinstance(value, str):
        return mask_string(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return mask_number(value)
    if isinstance(value, list):
        return [mask_value(item) for item in value]
    return {key: mask_value(item) for key, item in value.items()}


def mask_number(value: float) -> Any:
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e16):
        digits = str(int(value))
        if value >= 0 and 13 <= len(digits) <= 19 and is_card(digits):
            return "*" * (len(digits) - 4) + digits[-4:]
    return value


def tokens(text: str) -> str:
    def bearer(found: re.Match[str]) -> str:
        if found[2].rstrip(".=-").lower() in STOP_WORDS:
            return found[0]
        return found[1] + "***"

    text = re.sub(r"(?<![A-Za-z])([Bb](?:earer|EARER)(?:[ :=\t]|%20)++)([A-Za-z0-9._~+/=-]+)", bearer, text)
    return re.sub(r"eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){2,4}", "***jwt***", text)


ASCII_LOCAL = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-+%'!#$^~")
MARKS = ".-+%'!#$^~"
ODD = "=/?&{}|`*"
DOMAIN = re.compile(
    r"(?:[A-Za-z0-9_\u0080-\U0010ffff-]+\.)+(?:[A-Za-z]{2}|[\u0080-\U0010ffff])"
    r"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])"
    r"|\[(?:IPv6:|[0-9]{1,3}\.[0-9]{1,3}\.)"
)


def is_local(char: str) -> bool:
    if char < "\x80":
        return char in ASCII_LOCAL
    return unicodedata.category(char) not in ("Zs", "Zl", "Zp", "Ps", "Pe", "Pi", "Pf", "Po", "Cc")


def local_run(text: str) -> str:
    start = len(text)
    while start and is_local(text[start - 1]):
        start -= 1
    return text[start:]


def emails(text: str, at: str) -> str:
    parts = text.split(at)
    out = []
    for left, right in itertools.pairwise(parts):
        out.append(mask_local(left) if DOMAIN.match(right) else left)
    return at.join([*out, parts[-1]])


def mask_local(left: str) -> str:
    local = local_run(left)
    if not local:
        # Masked already: at most one character of a local part, and three stars.
        if left.endswith("***") and len(local_run(left[:-3]).lstrip(MARKS)) <= 1:
            return left
        core = left.rstrip(ODD)
        local = left[len(core) - len(local_run(core)) :]
        if not local:
            return left
    word = local.lstrip(MARKS)
    return left[: len(left) - len(word or local)] + word[:1] + "***"


def ipv6(text: str) -> str:
    def address(found: re.Match[str]) -> str:
        run = found[0]
        if len(run) > 48:
            return run
        before, after = text[: found.start()][-1:], text[found.end() :][:1]
        head = tail = ""
        if run.startswith(":") and not run.startswith("::"):
            head, run, before = ":", run[1:], ""
        if run.endswith(":") and not run.endswith("::"):
            tail, run, after = ":", run[:-1], ""
        try:
            ipaddress.IPv6Address(run)
        except ValueError:
            return found[0]
        groups = [group for group in run.split(":") if group]
        glued = any(char and (char.isalpha() or char == "_" or char > "\x7f") for char in (before, after))
        if not groups or (glued and len(groups) < 3):
            return found[0]
        if not re.search(r"[0-9]", run) and len(run.split(":")[0]) != 4:
            return found[0]
        last = text[: found.end() - len(tail)].rpartition(":")[2] + text[found.end() - len(tail) :]
        if (
            "::" in run
            and not run.endswith("::")
            and re.match(r"[0-9]{1,3}\.[0-9]{1,3}\.(?:[0-9]{1,3}\.[0-9]|x\.x)", last)
        ):
            return found[0]
        left, gap, right = run.partition("::")
        whole = [group for group in left.split(":") if group]
        if gap:
            rest = [group for group in right.split(":") if group]
            whole += ["0"] * (8 - len(whole) - len(rest)) + rest
        first, second = whole[:2]
        return f"{head}{first}:{second}:x:x:x:x:x:x{tail}"

    return re.sub(r"[0-9A-Fa-f:]+", address, text)


def ipv4(text: str) -> str:
    def address(found: re.Match[str]) -> str:
        left, right = text[: found.start()], text[found.end() :]
        octets = found[0].split(".")
        longer = re.search(r"[0-9]\.\Z", left) or re.match(r"\.[0-9]", right)
        version = re.search(r"(?<![A-Za-z0-9\u0080-\U0010ffff])[vV]\Z", left)
        if longer or version or any(int(octet) > 255 for octet in octets):
            return found[0]
        return f"{octets[0]}.{octets[1]}.x.x"

    return re.sub(r"(?<![0-9])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])", address, text)


def luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_card(digits: str) -> bool:
    network = digits[0] in "3456" or 2221 <= int(digits[:4]) <= 2720
    return network and 13 <= len(digits) <= 19 and luhn(digits)


FORMS = [
    re.compile(rf"(?<![0-9]){form}(?![0-9])")
    for form in (
        r"[0-9]{13,19}",
        r"[0-9]{4}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{1,3}",
        r"[0-9]{4}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{1,4}",
        r"[0-9]{4}[ -][0-9]{6}[ -][0-9]{4,5}",
    )
]


def cards(text: str) -> str:
    card = [False] * len(text)
    for at in range(len(text)):
        for form in FORMS:
            found = form.match(text, at)
            if found is not None and is_card_at(text, at, found.end()):
                card[at : found.end()] = [True] * len(found[0])
                break
    out = ""
    for in_card, run in itertools.groupby(range(len(text)), key=card.__getitem__):
        piece = "".join(text[at] for at in run)
        last_four = re.search(r"(?:[0-9][ -]?){4}\Z", piece) if in_card else None
        keep = last_four.start() if last_four is not None else 0
        out += re.sub("[0-9]", "*", piece[:keep]) + piece[keep:]
    return out


def is_card_at(text: str, start: int, end: int) -> bool:
    fraction = re.search(r"[0-9]\.\Z", text[:start])
    before, after = re.search(r"[A-Za-z]{0,16}\Z", text[:start]), re.match(r"[A-Za-z]{0,16}", text[end:])
    letters = "".join(found[0] for found in (before, after) if found is not None)
    word_of_hex = letters and not re.search("[G-Zg-z]", letters)
    return is_card(re.sub("[ -]", "", text[start:end])) and not fraction and not word_of_hex

"""Personal data and secrets in the surroundings that the field has, with what must vanish and what must stay.

A case is built, not searched: the oracle knows what it put where. Each item is written as it is, with a label, a port
or a parameter around it, then perhaps percent-encoded, escaped as JSON, quoted, or put into JSON text inside a string.
"""

from __future__ import annotations

import html
import json
import random
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote


class Item(NamedTuple):
    """A text, and what of it must not be stored."""

    text: str
    core: str


Writer = Callable[[random.Random], Item]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = "alpha beta gamma delta session worker queue order payment upstream".split()  # noqa: SIM905


def _word(rng: random.Random, low: int = 4, high: int = 9) -> str:
    return "".join(rng.choice(LETTERS) for _ in range(rng.randint(low, high)))


def email(rng: random.Random) -> Item:
    local = _word(rng) + rng.choice(["", ".", "_", "+", "-"]) + _word(rng)
    return Item(f"{local}@{_word(rng)}.{rng.choice(['com', 'org', 'co.uk', 'example'])}", local)


def ipv4(rng: random.Random) -> Item:
    a, b, c, d = rng.randint(11, 223), rng.randint(1, 99), rng.randint(100, 255), rng.randint(100, 255)
    return Item(f"{a}.{b}.{c}.{d}", f"{c}.{d}")


def ipv6(rng: random.Random) -> Item:
    groups = [f"{rng.randint(0x1000, 0xFFFF):x}" for _ in range(6)]
    full = ":".join(["2001", "db8", *groups])
    short = f"2001:db8::{groups[0]}:{groups[1]}:{groups[2]}"
    return Item(full, ":".join(groups[2:4])) if rng.random() < 0.5 else Item(short, ":".join(groups[:2]))


def card(rng: random.Random) -> Item:
    head, length = rng.choice([("4", 16), ("51", 16), ("37", 15), ("6011", 16), ("2223", 16), ("36", 14), ("4", 13)])
    body = head + "".join(str(rng.randint(0, 9)) for _ in range(length - 1 - len(head)))
    total = 0
    for place, digit in enumerate(reversed(body)):
        double = int(digit) * (1 if place % 2 else 2)
        total += double - 9 if double > 9 else double
    digits = body + str(-total % 10)
    if length == 16 and rng.random() < 0.4:
        mark = rng.choice([" ", "-", ".", "\u00a0"])
        return Item(mark.join(digits[at : at + 4] for at in range(0, 16, 4)), digits[4:8] + mark + digits[8:12])
    return Item(digits, digits[:8])


def track(rng: random.Random) -> Item:
    """The tracks of a magnetic stripe (ISO/IEC 7813): the number is written in one."""
    item = card(rng)
    while not item.text.isdecimal():
        item = card(rng)
    return Item(
        rng.choice([f"%B{item.text}^FAKE/CAROL^2912101", f";{item.text}=2912101123?", f"{item.text}=2912101"]),
        item.core,
    )


def bearer(rng: random.Random) -> Item:
    token = f"Tk{rng.randint(10**8, 10**9)}{_word(rng)}"
    return Item(f"{rng.choice(['Bearer', 'bearer', 'BEARER'])} {token}", token[3:])


SECRETS = (
    "password", "passwd", "passphrase", "secret", "client_secret", "token", "access_token", "api_key",
    "secret_access_key", "private_key", "credentials", "card_number", "credit_card", "cvv", "ssn", "pwd",
    "security_code",
)  # fmt: skip
"""Some of the contract's names, in words."""


def _name(rng: random.Random) -> str:
    words = [rng.choice(["", "", "db", "user", "x"]), *rng.choice(SECRETS).split("_")]
    words = [word for word in words if word]
    form = rng.randrange(5)
    if form == 0:
        return words[0] + "".join(word.capitalize() for word in words[1:])
    joined = rng.choice("_-. ".strip()).join(words)
    return joined.upper() if form == 1 else joined


def password(rng: random.Random) -> Item:
    value = f"Pw{rng.randint(10**8, 10**9)}{_word(rng)}"
    name = _name(rng)
    form = rng.randrange(8)
    if form == 0:
        return Item(f'"{name}": "{value} {value}"', value)
    if form == 1:
        return Item(f"'{name}' => '{value}'", value)
    if form == 2:
        return Item(f"<{name}>{value}</{name}>", value)
    return Item(f"{name}{rng.choice(['=', ': ', ' = ', '= ', ':', ' : '])}{value}", value)


def header(rng: random.Random) -> Item:
    value = f"Hd{rng.randint(10**8, 10**9)}{_word(rng)}"
    return Item(
        rng.choice(
            [
                f"Authorization: Token {value}",
                f"authorization: {value}",
                f"Cookie: sid={value}; theme=dark",
                f"X-Api-Key: {value}",
            ]
        ),
        value,
    )


def url(rng: random.Random) -> Item:
    value = f"Pw{rng.randint(10**8, 10**9)}"
    return Item(f"{rng.choice(['redis', 'postgres', 'https'])}://{_word(rng)}:{value}@{_word(rng)}:6379/0", value)


def key(rng: random.Random) -> Item:
    tail = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(36))
    prefix, length = rng.choice(
        [("ghp_", 36), ("AKIA", 16), ("glpat-", 20), ("sk_live_", 24), ("npm_", 36), ("AIza", 35)]
    )
    return Item(prefix + tail[:length], tail[:length])


def jwt(rng: random.Random) -> Item:
    tail = "".join(rng.choice(LETTERS + "0123456789") for _ in range(20))
    return Item(f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{tail}", tail)


WRITERS: tuple[Writer, ...] = (email, ipv4, ipv6, card, track, bearer, password, header, url, key, jwt)

STAY = (
    "version 1.2.3.4", "Chrome/120.0.0.0", "user@1000.service", "50:06:01:60:3b:20:1f:2e", "std::fade", "b::1",
    "lodash@4.17.21", "1732480000123", "639166104605084040", "the bearer will pay", "secret santa", "token bucket",
    "550e8400-e29b-41d4-a716-446655440000", "4bf92f3577b34da6a3ce929d0e0e4736", "12:34:56", "blk_-4030942512590941181",
    "session_id=abc123", "00:00:5e:00:53:af", "prompt_tokens=512", "OID 2.5.29.15",
)  # fmt: skip

# What is around an item. None glues a letter to it but where the field does (a label and a colon).
FRAMES: tuple[tuple[str, str], ...] = (
    ("", ""), (" ", " "), ("from=", " "), ("(", ")"), ("[", "]"), ("<", ">"), ("'", "'"), ('"', '"'), ("to ", ", done"),
    ("\t", "\n"), ("地址、", "、"), ("“", "”"), ("?q=", "&n=1"), ("\x1b[31m", "\x1b[0m"), ("{", "}"), ("|", "|"),
    ("a=1;b=", ";c=2"), ("msg='", "' n=1"), ("\r\n", "\r\n"), ("`", "`"),
)  # fmt: skip
FRAMES_OF: dict[Writer, tuple[tuple[str, str], ...]] = {
    ipv4: (("/", ":51234"), ("source:", " up"), ("node:", ":443 ok"), ("host/", ":80 "), ("IP ", ".51234 > ")),
    ipv6: (("/", ":51234"), ("source:", " up"), ("v6(en0:", ")"), ("[", "]:443"), ("", "%eth0 "), ("[IPv6:", "]")),
    card: (("card:", " "), ("card", "."), ('"id":', ",")),
    email: (("mailto:", "?subject=hi"), ("user:", ";"), ("To: Bob <", ">")),
    url: (("nats ", ","),),
}


def plain(text: str) -> str:
    return text


def percent(text: str) -> str:
    return quote(text, safe="")


def twice(text: str) -> str:
    return quote(quote(text, safe=""), safe="")


def escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


def fully_escaped(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" if not char.isalnum() and char < "\x80" else char for char in text)


def references(text: str) -> str:
    return html.escape(text).replace("@", "&#64;")


def json_text(text: str) -> str:
    return json.dumps({"k": 1, "m": text, "n": [1]})


def json_in_json(text: str) -> str:
    return json.dumps({"log": json.dumps({"m": text, "n": 1})})


ENCODINGS: tuple[Callable[[str], str], ...] = (
    plain, plain, percent, twice, escaped, fully_escaped, references, json_text, json_in_json,
)  # fmt: skip


class Case(NamedTuple):
    """A string to store, what must not be in it afterwards, what must, and whether it is JSON."""

    text: str
    gone: list[str]
    stays: list[str]
    is_json: bool


def case(seed: int) -> Case:
    """The case of a seed: one to three items in frames, in one encoding."""
    rng = random.Random(seed)
    encode = rng.choice(ENCODINGS)
    parts: list[str] = []
    gone: list[str] = []
    stays: list[str] = []
    for _ in range(rng.randint(1, 3)):
        if rng.random() < 0.3:
            text = rng.choice(STAY)
            stays.append(text)
            parts.append(f" {text} ")
            continue
        writer = rng.choice(WRITERS)
        item = writer(rng)
        left, right = rng.choice(FRAMES + 3 * FRAMES_OF.get(writer, ()))
        gone.append(item.core)
        parts.append(f"{left}{item.text}{right}")
    text = encode(f" {rng.choice(WORDS)} ".join(parts))
    if encode is not plain:
        stays = []
    return Case(text, gone, stays, encode in (json_text, json_in_json))

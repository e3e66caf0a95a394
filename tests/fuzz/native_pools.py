"""Pools of pieces that events are put together from in bulk: made once for a seed, taken in slices from random places.

To draw pieces one by one costs a tenth of a microsecond each, and an event has ten; a slice costs a tenth of that. Two
pools sliced at places of their own form new pairs nearly always.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from logops_fast.ingest.levels import BY_NAME
from tests.fuzz.native_maker import Maker
from tests.fuzz.native_values import NAMES, PARTS, WRITABLE, is_writable
from tests.ingest.pii import contexts
from tests.ingest.pii.strategies import NEAR, PII

# What is not cut in two: a pair of surrogates, an escape, a character.
_UNIT: Final = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|[^\\]", re.DOTALL)
_MARKS: Final = " .,:;=@-_/%&+'`()[]<>|#?!*~^$0123456789"
_ZONES: Final = (
    ("Z",) * 120
    + ("+00:00", "+02:00", "-05:00") * 3
    + (
        "",
        "z",
        "+00:00",
        "+02:00",
        "-05:30",
        "+0200",
        " UTC",
        "+24:00",
        "-00:00",
        "+14:00",
        "ZZ",
    )
)
# Docker's json-file and loguru keep the line end of a message; what looks like one in JSON may be none.
_LINE_ENDS: Final = (
    "\\n",
    "\\r\\n",
    "\\\\n",
    "\\\\\\n",
    "\\\\r\\n",
    "\\r\\\\n",
    "\\u000a",
    "\\u000d\\n",
    "\\r",
    "\\n\\n",
)
_IN_TOKENS: Final = (
    "", "", "", "-AKIAIOSFODNN7EXAMPLE", "_ghp_0123456789abcdef01234567", "4111111111111111", "-", "-sk-", ".x",
)  # fmt: skip
_STRING: Final = '"{}"'
_LONG: Final = 24  # characters
_LEVELS: Final = ("INFO", "WARN", "ERROR", "DEBUG", "info", "warning", "Error", "err", "debug", "Information") * 12

PIECES: Final = 12_000
"""Pieces of each pool of texts."""


class Pool:
    """Pieces in random order; ``calm``: those that traffic mostly has."""

    __slots__ = ("_calm", "_items", "_random")

    def __init__(self, rng: random.Random, items: list[bytes], calm: list[bytes] | None = None) -> None:
        self._items = items
        self._calm = calm or items
        self._random = rng.random
        rng.shuffle(items)
        if calm:
            rng.shuffle(calm)

    def take(self, count: int, every: int = 1) -> list[bytes]:
        """Return ``count`` pieces that follow each other, from a random one on.

        ``every``: in how many pieces there is one of any kind; the others are as traffic has them.
        """
        if every == 1:
            return self._slice(self._items, count)
        found = self._slice(self._calm, count)
        first = int(self._random() * every)
        odd = len(found[first::every])
        if odd:
            found[first::every] = self._slice(self._items, odd)
        return found

    def _slice(self, items: list[bytes], count: int) -> list[bytes]:
        at = int(self._random() * len(items))
        found = items[at : at + count]
        while len(found) < count:
            found += items[: count - len(found)]
        return found


class Pools(NamedTuple):
    """Pieces of JSON, as bytes of UTF-8.

    ``marks`` are what the rules of the masks look at: any number of them is the inside of a string. So are ``heads``,
    ``parts`` and ``tails`` together, and ``words`` by themselves. The others are values.
    """

    marks: Pool
    heads: Pool
    parts: Pool
    tails: Pool
    words: Pool
    times: Pool
    levels: Pool
    numbers: Pool
    values: Pool


def units(text: str) -> list[str]:
    """Return the inside of a JSON string in parts that belong together."""
    return _UNIT.findall(text)


def make_pools(maker: Maker) -> Pools:
    """Return the pools of a seed: 0.3 s."""
    rng = maker.rng

    def pool(make: Callable[[], str], calm: Callable[[], str], count: int = PIECES, form: str = "{}") -> Pool:
        # One piece that cannot be stored as it is leaves a whole body to the reference: `native_maker` has those.
        texts = [text for text in (make() for _ in range(count)) if is_writable(form.format(text))]
        return Pool(rng, [text.encode() for text in texts], [calm().encode() for _ in range(count)])

    pieces = Pieces(maker)
    calm = CalmPieces(maker)
    return Pools(
        marks=Pool(rng, [part.encode() for part in PARTS * 8], [f"{word} ".encode() for word in contexts.WORDS]),
        heads=pool(pieces.head, calm.head, form=_STRING),
        parts=pool(pieces.part, str, form=_STRING),
        tails=pool(pieces.tail, str, form=_STRING),
        words=pool(pieces.word, calm.word, PIECES // 2, _STRING),
        times=pool(pieces.time, calm.time, PIECES // 2),
        levels=pool(pieces.level, calm.level, 2000),
        numbers=pool(pieces.number, calm.number, PIECES // 2),
        values=pool(pieces.value, calm.number, PIECES // 2),
    )


class CalmPieces:
    """Makes pieces as the corpora have them."""

    def __init__(self, maker: Maker) -> None:
        self._rng = maker.rng
        texts = [value[1:-1] for event in maker.usual for _, value in event if value[:1] == '"']
        self._long = [units(text) for text in texts if len(text) > _LONG]
        self._short = [text for text in texts if 0 < len(text) <= _LONG]

    def head(self) -> str:
        """Return a text, or the beginning of one."""
        text = self._rng.choice(self._long)
        return "".join(text if self._rng.random() < 0.7 else text[: self._rng.randrange(1, len(text))])

    def word(self) -> str:
        """Return a short text."""
        return self._rng.choice(self._short) if self._rng.random() < 0.5 else f"{self._rng.getrandbits(64):016x}"

    def time(self) -> str:
        """Return a time in order."""
        rng = self._rng
        if rng.random() < 0.15:
            return str(rng.randrange(1_600_000_000_000, 1_900_000_000_000))
        day = f"{rng.randrange(2020, 2030)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
        fraction = rng.choice(("", f".{rng.randrange(1000):03d}", f".{rng.randrange(10**6):06d}"))
        return f'"{day}T{rng.randrange(24):02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d}{fraction}Z"'

    def level(self) -> str:
        """Return a level in order."""
        return f'"{self._rng.choice(_LEVELS)}"'

    def number(self) -> str:
        """Return a number in order."""
        rng = self._rng
        return str(rng.randrange(10 ** rng.randrange(1, 6))) if rng.random() < 0.8 else f"{rng.random() * 100:.2f}"


class Pieces:
    """Makes pieces one by one."""

    def __init__(self, maker: Maker) -> None:
        self._rng = maker.rng
        self._maker = maker
        self._texts = [units(text) for text in maker.texts]
        self._short = [text for text in maker.texts if 0 < len(text) <= _LONG]
        self._personal = [json.dumps(text, ensure_ascii=False)[1:-1] for text in (*PII, *NEAR)]

    def head(self) -> str:
        """Return the beginning of a text: all of it, some, or nothing."""
        draw = self._rng.random()
        if draw < 0.15:
            return ""
        text = self._rng.choice(self._texts)
        if draw < 0.55:
            text = text[: self._rng.randrange(len(text) + 1)]
        return self._changed(text) if draw > 0.9 else "".join(text)

    def tail(self) -> str:
        """Return the end of a text, or nothing."""
        draw = self._rng.random()
        if draw < 0.55:
            return ""
        if draw < 0.6:
            return self._rng.choice(_LINE_ENDS)
        text = self._rng.choice(self._texts)
        text = text[self._rng.randrange(len(text) + 1) :]
        return self._changed(text) if draw > 0.95 else "".join(text)

    def part(self) -> str:
        """Return what is between the two."""
        rng = self._rng
        draw = rng.random()
        if draw < 0.4:
            return ""
        if draw < 0.46:
            return self._plain_form()
        if draw < 0.7:
            return "".join(rng.choices(PARTS, k=rng.choice((1, 1, 1, 2, 3, 5, 8, 11))))
        if draw < 0.78:
            return self._personal_data()
        if draw < 0.85:
            return rng.choice(self._personal)
        if draw < 0.9:
            return json.dumps(contexts.case(rng.randrange(1 << 30)).text, ensure_ascii=rng.random() < 0.5)[1:-1]
        return self._changed(units(rng.choice(self._personal)))

    def _plain_form(self) -> str:
        """Return a card's number, an IPv6 address or a bearer token as the kernel masks it alone, or nearly."""
        rng = self._rng
        draw = rng.randrange(3)
        if draw == 0:
            sizes = rng.choice(((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (16,), (4, 4, 4, 1), (4, 4, 4, 4, 4)))
            number = "".join(filter(str.isdigit, contexts.card(rng).text))
            digits = iter(number + rng.choice(("4111", "5555", "1234")))
            groups = ["".join(digit for digit, _ in zip(digits, range(size), strict=False)) for size in sizes]
            return f" card {rng.choice('  -').join(groups)}{rng.choice(('', ' x', ' 4111', ' 1'))}"
        if draw == 1:
            groups = [f"{rng.getrandbits(rng.choice((4, 12, 16))):x}" for _ in range(rng.randrange(1, 9))]
            groups.insert(rng.randrange(len(groups) + 1), rng.choice(("", "", ":", "0")))
            return f" via {':'.join(groups)}{rng.choice(('', ' x', '%eth0', ']', '.'))}"
        parts = ["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJkZW1vIn0", rng.choice(("c2lnbmVkLWJ5LW5vYm9keQ", "eyJ", ""))]
        parts[rng.randrange(3)] += rng.choice(_IN_TOKENS)
        return f"{rng.choice(('', ' ', 'a'))}Authorization: Bearer {'.'.join(parts)}{rng.choice(('', ' x', ',', '.'))}"

    def _personal_data(self) -> str:
        writer = self._rng.choice(contexts.WRITERS)
        left, right = self._rng.choice(contexts.FRAMES + 3 * contexts.FRAMES_OF.get(writer, ()))
        text = left + writer(self._rng).text + right
        return json.dumps(text, ensure_ascii=False)[1:-1]

    def _changed(self, text: list[str]) -> str:
        """Return a text with some characters changed, left out, written twice or in another way."""
        rng = self._rng
        text = list(text)
        for _ in range(rng.randrange(1, 4)):
            if not text:
                break
            at = rng.randrange(len(text))
            draw = rng.randrange(6)
            if draw == 0:
                del text[at]
            elif draw == 1:
                text[at] *= 2
            elif draw == 2:
                text[at] = rng.choice(_MARKS)
            elif draw == 3 and len(text[at]) == 1 and text[at] < "\uffff":
                text[at] = f"\\u{ord(text[at]):04x}"
            elif draw == 4:
                text[at] = text[at].swapcase() if len(text[at]) == 1 else text[at]
            else:
                text.insert(at, rng.choice(PARTS))
        return "".join(text)

    def word(self) -> str:
        """Return a short text of one field: a name, an identifier, an address."""
        rng = self._rng
        draw = rng.random()
        if draw < 0.3:
            return rng.choice(self._short)
        if draw < 0.5:
            return f"{rng.getrandbits(64):0{rng.choice((8, 16, 16, 32))}x}"
        if draw < 0.6:
            return f"10.{rng.randrange(300)}.{rng.randrange(256)}.{rng.randrange(1, 256)}"
        if draw < 0.7:
            return f"{rng.choice(self._short)}@{rng.choice(('example.com', 'mail.example.org', 'x.co'))}"
        if draw < 0.8:
            return f"{rng.choice(('checkout', 'api', 'db'))}-{rng.randrange(1000)}"
        return self._changed(units(rng.choice(self._short))) if draw < 0.9 else self.part()

    def time(self) -> str:
        """Return a time as a JSON value, in order or not."""
        rng = self._rng
        draw = rng.random()
        if draw < 0.01:
            return rng.choice(WRITABLE)
        if draw < 0.02:  # a date without its separators, or a number that looks like one
            return f'"{rng.choice((19, 20, 20, 21))}{rng.randrange(10**12):012d}"'
        if draw < 0.25:
            whole = str(rng.randrange(1_600_000_000, 1_900_000_000)) + rng.choice(
                ("", "", "000", "250", "250091", "250091007")
            )
            if rng.random() < 0.1:
                whole += "." + str(rng.randrange(10 ** rng.randrange(1, 10)))
            elif rng.random() < 0.05:
                whole = str(rng.randrange(10 ** rng.randrange(1, 20)))
            return f'"{whole}"' if rng.random() < 0.1 else whole
        odd = rng.random() < 0.03
        month, day, hour, second = (14, 33, 26, 62) if odd else (13, 29, 24, 60)
        fraction = (
            ""
            if rng.random() < 0.3
            else rng.choice("." * 19 + ",") + str(rng.randrange(10**9))[: rng.choice((1, 2, 3, 3, 6, 9, 9))]
        )
        if rng.random() < 0.3:
            fraction = f".{rng.randrange(1000):03d}"
        mark = "T" if rng.random() < 0.97 else rng.choice(" t_")
        year = rng.randrange(2020, 2030) if rng.random() < 0.95 else rng.choice((1970, 9999, 1))
        return (
            f'"{year:04d}-{rng.randrange(1, month):02d}-{rng.randrange(1, day):02d}{mark}'
            f'{rng.randrange(hour):02d}:{rng.randrange(60):02d}:{rng.randrange(second):02d}{fraction}{rng.choice(_ZONES)}"'
        )

    def level(self) -> str:
        """Return a level as a JSON value, in order or not."""
        rng = self._rng
        draw = rng.random()
        if draw < 0.84:
            return f'"{rng.choice(_LEVELS)}"'
        if draw < 0.94:
            word = rng.choice(tuple(BY_NAME))
            return json.dumps(
                rng.choice((word, word.lower(), word.title(), f" {word}", word + rng.choice("123456789")))
            )
        if draw < 0.98:
            return str(rng.randrange(rng.choice((8, 25, 70, 700))))
        return rng.choice(WRITABLE)

    def number(self) -> str:
        """Return a number as a JSON value."""
        rng = self._rng
        draw = rng.random()
        if draw < 0.75:
            return str(rng.randrange(10 ** rng.randrange(1, 6)))
        if draw < 0.79:
            return str(rng.randrange(-(10 ** rng.randrange(1, 19)), 10 ** rng.randrange(1, 20)))
        if draw < 0.89:
            return f"{rng.random() * 10 ** rng.randrange(-6, 9):.{rng.choice((1, 1, 2, 2, 3, 6, 17))}f}"
        if draw < 0.9:
            return repr(rng.random() * 10.0 ** rng.randrange(-300, 300))
        if draw < 0.91:
            power = rng.choice(("e", "E", ".5e", ".0E")) + rng.choice(("", "+", "-")) + str(rng.randrange(40))
            return f"{rng.randrange(1000)}{power}"
        if draw < 0.94:
            digits = contexts.card(rng).text
            return digits if digits.isdecimal() else "0." + digits[:4]
        return rng.choice(("0", "-0", "1", "7", "200", "0.0", "-0.0", "1.50", "1e3", "true", "false", "null"))

    def value(self) -> str:
        """Return any JSON value."""
        rng = self._rng
        draw = rng.random()
        if draw < 0.4:
            return rng.choice(WRITABLE)
        if draw < 0.6:
            return f'"{self.head()}{self.part()}"'
        return self._nested(0)

    def _nested(self, depth: int) -> str:
        rng = self._rng
        draw = rng.random()
        if depth > 2 or draw < 0.4:
            return self.number() if draw < 0.1 else f'"{self.word() if draw < 0.3 else self.head()}"'
        blank = rng.choice(("", "", "", " "))
        count = rng.randrange(4)
        if draw < 0.55:
            return "[" + f",{blank}".join(self._nested(depth + 1) for _ in range(count)) + "]"
        names = (json.dumps(rng.choice(NAMES), ensure_ascii=False) for _ in range(count))
        return "{" + f",{blank}".join(f"{name}:{blank}{self._nested(depth + 1)}" for name in names) + "}"

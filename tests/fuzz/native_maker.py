"""Makes bodies for the kernel and the reference one by one: as odd as it gets, and slowly (see `native_bulk`)."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Final

from bench import corpus
from logops_fast.formats.media_type import Format
from tests.fuzz.native_values import LAYOUTS, NAMES, PARTS, VALUES, WRITABLE, cases
from tests.ingest.pii import contexts
from tests.ingest.pii.strategies import NEAR, PII

KINDS: Final[tuple[corpus.Kind, ...]] = ("mixed", "clean", "field")

Members = list[tuple[str, str]]
"""Names, and values as JSON."""


@cache
def _samples(more_cases: tuple[Path, ...]) -> tuple[list[Members], list[Members], list[str]]:
    """Return events of the corpora and of the cases, and the texts in both; half a second."""
    usual = [
        [(name, json.dumps(value, ensure_ascii=False)) for name, value in event.items()]
        for kind in KINDS
        for event in corpus.events(1200, kind)
    ]
    odd = [[(name, json.dumps(value)) for name, value in event.items()] for event in cases(more_cases)]
    texts = [value[1:-1] for event in (*usual, *odd) for _, value in event if value[:1] == '"']
    texts += [json.dumps(text, ensure_ascii=False)[1:-1] for text in (*PII, *NEAR)]
    return usual, odd, texts


class Maker:
    """Makes bodies; the same ones for the same seed."""

    def __init__(self, seed: int, more_cases: tuple[Path, ...] = ()) -> None:
        """``more_cases``: files of cases beside those of ``tests/data``."""
        self.rng = random.Random(seed)
        self.values: tuple[str, ...] = VALUES
        self.usual, self.odd, self.texts = _samples(more_cases)

    def body(self) -> tuple[bytes, bool, int]:
        """Return a body, whether it is NDJSON, and about how many events it has."""
        rng = self.rng
        count = rng.choice((1, 1, 2, 3, 5, 8, 20, 130, 400))
        # One value that is no JSON leaves the whole body to the reference: large ones have none.
        is_wild = count < 20 or rng.random() < 0.1
        self.values = VALUES if is_wild else WRITABLE
        if rng.random() < 0.4:
            layout = rng.choice(LAYOUTS)
            events = [layout.format(self.text(), self.text()) for _ in range(count)]
        else:
            events = [self.event() for _ in range(count)]
        if rng.random() < 0.3:
            # Some layouts again: only what was seen before is finished by the kernel.
            events += [rng.choice(events) for _ in range(rng.randrange(1, 4))]
        by_line = rng.random() < 0.3
        if by_line:
            text = rng.choice(("\n", "\n", "\r\n", "\n\n", "\n ")).join(events) + rng.choice(("", "\n"))
        elif len(events) == 1 and rng.random() < 0.5:
            text = events[0]
        else:
            comma = rng.choice((",", ",", ", ", ",\n"))
            text = "[" + comma.join(events) + "]"
        data = text.encode("utf-8", "surrogatepass")
        if is_wild and rng.random() < 0.05:
            at = rng.randrange(len(data) + 1)
            data = data[:at] + bytes((rng.randrange(256),)) * rng.randrange(2) + data[at + rng.randrange(3) :]
        return data, by_line, len(events)

    def event(self) -> str:
        """Return the JSON text of an event."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.1:
            members = [(rng.choice(NAMES), rng.choice(self.values)) for _ in range(rng.randrange(1, 8))]
        else:
            members = list(rng.choice(self.usual if draw < 0.85 else self.odd))
        for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 3))):
            self.change(members)
        if rng.random() < 0.1:
            rng.shuffle(members)
        blank = rng.choice(("", "", "", " "))
        names = (json.dumps(name, ensure_ascii=False) for name, _ in members)
        pairs = zip(names, (value for _, value in members), strict=True)
        return "{" + ("," + blank).join(f"{name}:{blank}{value}" for name, value in pairs) + "}"

    def change(self, members: Members) -> None:
        """Change a name or a value, or add or drop a member."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.1 or not members:
            members.insert(rng.randrange(len(members) + 1), (rng.choice(NAMES), rng.choice(self.values)))
            return
        at = rng.randrange(len(members))
        name, value = members[at]
        if draw < 0.15:
            del members[at]
        elif draw < 0.2:
            members[at] = (rng.choice(NAMES), value)
        elif draw < 0.35:
            members[at] = (name, rng.choice(self.values))
        elif value[:1] == '"':
            members[at] = (name, f'"{self.text()}"')

    def lines(self) -> tuple[bytes, Format, int]:
        """Return a body of another format, which it is, and about how many events it has."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.3:
            body, by_line, count = self.body()
            return body, Format.NDJSON if by_line else Format.JSON, count
        texts = [self.plain().replace("\n", " ") for _ in range(rng.choice((1, 3, 20, 100)))]
        if draw < 0.6:
            head = rng.choice(("", "2026-03-01T00:00:01Z ERROR ", "<134>1 2026-03-01T00:00:01.5Z host app 7 ID - "))
            text = "\n".join(head + one for one in texts)
            return text.encode("utf-8", "replace"), Format.PLAIN, len(texts)
        if draw < 0.8:
            text = "ts,level,msg,app\n" + "\n".join(f"2026-03-01T00:00:01Z,info,{json.dumps(one)},a" for one in texts)
            return text.encode("utf-8", "replace"), Format.CSV, len(texts)
        values = [[str(1_764_064_811_000_000_000 + place), one] for place, one in enumerate(texts)]
        push = {"streams": [{"stream": {"app": "a", "level": "warn"}, "values": values}]}
        return json.dumps(push).encode(), Format.LOKI_JSON, len(texts)

    def plain(self) -> str:
        """Return a text."""
        text = self.text()
        try:
            return str(json.loads(f'"{text}"', strict=False))
        except ValueError:
            return text

    def text(self) -> str:
        """Return the inside of a JSON string."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.05:
            case = contexts.case(rng.randrange(1 << 30)).text
            return json.dumps(case, ensure_ascii=rng.random() < 0.5)[1:-1]
        if draw < 0.25:
            return "".join(rng.choices(PARTS, k=rng.randrange(1, 12)))
        text = rng.choice(self.texts)
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            cut = rng.randrange(len(text) + 1)
            if text[max(0, cut - 6) : cut].count("\\"):
                continue  # no escape is cut in two
            end = cut + rng.randrange(3) if "\\" not in text[cut:] else cut
            text = text[:cut] + rng.choice(PARTS) + text[end:]
        return text

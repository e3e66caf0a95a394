"""Masks personal data in serialised lines, one pass a kind over the whole batch.

In serialised text a nested string lies as open as a top-level one, and in neutral text (see `escapes`) no pattern can
leave its string, since none matches a quote. Each kind first asks a question that a body without it answers at the
speed of memory. Only an object key that holds personal data takes its event the careful way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import orjson

from logops_fast.ingest.pii.addresses import mask_ipv4, mask_ipv6
from logops_fast.ingest.pii.cards import mask_cards, may_hold_cards
from logops_fast.ingest.pii.emails import mask_emails
from logops_fast.ingest.pii.escapes import neutralise, restore
from logops_fast.ingest.pii.fields import FieldMasker
from logops_fast.ingest.pii.folded import fold
from logops_fast.ingest.pii.keys import keys_of, rename_keys
from logops_fast.ingest.pii.tokens import mask_tokens
from logops_fast.ingest.serialiser import to_json, to_lines

# What a mask leaves, in a key. Only used where a kind said that it masked one.
_KEY: Final = re.compile(rb'"([^"]*+)":')
_SETTLED: Final = 8
_LEFT_BY_MASK: Final = re.compile(rb"\*\*\*|\.x\.x|:x:x")
# Raw text that was never parsed may hold `\u0040` for `@`: ASCII that was escaped without need.
_NEEDLESS_ESCAPE: Final = re.compile(r"\\u00([2-7][0-9a-fA-F])")


class Masker:
    """Masks e-mail addresses, IP addresses, card numbers, tokens and the fields named in ``fields``."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Sequence[str] = ()) -> None:
        self._fields = FieldMasker(fields) if fields else None

    def mask_lines(self, lines: bytes, events: list[dict[str, Any]], hits: dict[str, int]) -> bytes:
        """Lines as orjson wrote them from ``events``, with every string masked; adds to ``hits`` by kind.

        An event with personal data in a key has its keys renamed, in place.
        """
        masked, in_key = self._mask(lines, hits)
        if in_key:
            return self._rename(masked, events)
        return masked

    def mask_text(self, text: str) -> str:
        """Raw text, masked as a string value is; named fields as far as the text looks like JSON."""
        if "\\u00" in text:
            text = _NEEDLESS_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
        neutral = neutralise(to_json(text))
        if self._fields is not None:
            neutral, _ = self._fields.mask_loose(neutral)
        masked: str = orjson.loads(restore(_mask_neutral(neutral, {})[0]))
        return masked

    def _mask(self, text: bytes, hits: dict[str, int]) -> tuple[bytes, bool]:
        escaped = b"\\" in text
        if escaped:
            text = neutralise(text)
        if self._fields is not None:
            text, n = self._fields.mask(text)
            if n:
                hits["field"] = hits.get("field", 0) + n
        text, in_key = _mask_neutral(text, hits)
        return (restore(text) if escaped else text), in_key

    def _rename(self, masked: bytes, events: list[dict[str, Any]]) -> bytes:
        """The lines again, with those events' keys renamed that hold a masked one."""
        lines = masked.split(b"\n")
        found = [
            index
            for index, line in enumerate(lines)
            if any(_LEFT_BY_MASK.search(key) for key in _KEY.findall(neutralise(line)))
        ]
        renamed = [events[index] for index in found]
        names = _masked_names(list(dict.fromkeys(keys_of(renamed))))
        rename_keys(renamed, names)
        again, _ = self._mask(to_lines(renamed), {})
        for index, line in zip(found, again.split(b"\n"), strict=False):
            lines[index] = line
        return b"\n".join(lines)


def _masked_names(keys: list[str]) -> dict[str, str]:
    """Each key, and its masked name.

    Masked until it stays as it is, so that the masks of the line leave the names as they were told from each other.
    """
    names = keys
    for _ in range(_SETTLED):
        masked: list[str] = orjson.loads(restore(_mask_neutral(neutralise(to_json(names)), {})[0]))
        if masked == names:
            break
        names = masked
    return dict(zip(keys, names, strict=True))


def _mask_neutral(text: bytes, hits: dict[str, int]) -> tuple[bytes, bool]:
    """Neutral text with every kind masked, and whether one of them stood in a key."""
    folded = fold(text)
    cards = may_hold_cards(text, folded)  # asked before the text changes, so that one copy serves
    text, n, in_key = mask_tokens(text, folded)
    if n:
        hits["token"] = hits.get("token", 0) + n
    if b"@" in text:
        text, n, key = mask_emails(text)
        if n:
            hits["email"] = hits.get("email", 0) + n
            in_key = in_key or key
    if b"%" in text and b"%40" in text:
        text, n, key = mask_emails(text, b"%40")
        if n:
            hits["email"] = hits.get("email", 0) + n
            in_key = in_key or key
    if cards:
        text, n, key = mask_cards(text)
        if n:
            hits["card"] = hits.get("card", 0) + n
            in_key = in_key or key
    text, n, key = mask_ipv4(text)
    if n:
        hits["ipv4"] = hits.get("ipv4", 0) + n
        in_key = in_key or key
    text, n, key = mask_ipv6(text)
    if n:
        hits["ipv6"] = hits.get("ipv6", 0) + n
        in_key = in_key or key
    return text, in_key

"""Masks personal data and secrets in serialised lines, one pass a kind over the whole batch.

In serialised text a nested string lies as open as a top-level one, and in neutral text (see `escapes`) no pattern can
leave its string, since none matches a quote. Each kind first asks a question that text without it answers at little
cost (see `kinds`). Strings that hold anything encoded are taken out, looked at decoded (see `encodings`), and put back;
only an object key that holds personal data takes its event through Python objects again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from logops_fast.formats.csv_text import MSG_NAMES
from logops_fast.ingest.pii.cuts import any_in_key, replaced
from logops_fast.ingest.pii.encodings import MOST_LEVELS, Decoded, encoded_strings
from logops_fast.ingest.pii.escapes import neutralise, restore
from logops_fast.ingest.pii.keys import keys_of, rename_keys
from logops_fast.ingest.pii.kinds import CREDENTIALS, PLAIN, SECRETS, Kind
from logops_fast.ingest.pii.members import Members
from logops_fast.ingest.pii.names import FIELD, SECRET, NameRules
from logops_fast.ingest.pii.pairs import Pairs
from logops_fast.ingest.pii.signs import Signs, Triggers
from logops_fast.ingest.pii.triggers import endings_of
from logops_fast.ingest.serialiser import to_json, to_lines

ALIASES: Final = dict.fromkeys(MSG_NAMES[1:], MSG_NAMES[0])
"""Other names of ``msg``: a field that is named by one is masked though it is renamed on the way."""

# What a mask leaves, in a key. Only used if a kind masked something in one.
_KEY: Final = re.compile(rb'"([^"]*+)":')
_SETTLED: Final = 8
_LEFT_BY_MASK: Final = re.compile(rb"\*\*\*|\.x\.x|:x:x")
# Bytes that UTF-8 never uses and no escape stands for (see `escapes`): a string, or a value, that was taken out.
_STRING_OUT: Final = b"\xc0"
_VALUE_OUT: Final = b"\xc1"


class Masker:
    """Masks e-mail addresses, IP addresses, card numbers, credentials and named fields.

    ``fields`` and ``keep`` are names or globs of members: masked whole, or left as sent. ``secrets``: whether values
    under secrets' names, and keys known by their form, are masked. Raises PatternError as `NameRules` does.
    """

    __slots__ = ("_members", "_pairs", "_secrets", "_triggers")

    def __init__(
        self,
        fields: Sequence[str] = (),
        keep: Sequence[str] = (),
        *,
        secrets: bool = True,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        rules = NameRules(fields, keep, secrets=secrets, aliases=ALIASES if aliases is None else aliases)
        endings = endings_of(rules)
        self._triggers = Triggers(rules)
        self._members = None if endings is None else Members(rules, endings)
        self._pairs = None if endings is None else Pairs(rules, endings)
        self._secrets = SECRETS if secrets else ()

    def mask_lines(self, lines: bytes, events: list[dict[str, Any]], hits: dict[str, int]) -> bytes:
        """Lines as orjson wrote them from ``events``, with every string masked; adds to ``hits`` by kind.

        An event with personal data in a key has its keys renamed, in place.
        """
        masked, in_key = self._mask(lines, hits)
        if in_key:
            return self._rename(masked, events)
        return masked

    def mask_text(self, text: str) -> str:
        """Raw text, such as an event that could not be parsed, masked as a string value is."""
        masked: str = orjson.loads(restore(self._mask_strings(neutralise(to_json(text)), {})[0]))
        return masked

    def _mask(self, text: bytes, hits: dict[str, int]) -> tuple[bytes, bool]:
        escaped = b"\\" in text
        if escaped:
            text = neutralise(text)
        text, in_key = self._mask_strings(text, hits)
        return (restore(text) if escaped else text), in_key

    def _mask_strings(self, text: bytes, hits: dict[str, int]) -> tuple[bytes, bool]:
        """Neutral text with every member and string masked, and whether anything was masked in a key."""
        signs = Signs(text, self._triggers)
        kept: list[bytes] = []
        if signs.names and self._members is not None:
            text, kept = self._mask_members(self._members, text, hits)
        strings: list[bytes] = []
        in_key = False
        if b"%" in text or b"\xfc" in text or b"&" in text:
            spans = encoded_strings(text)
            if spans:
                strings, in_key = self._mask_encoded(text, spans, hits)
                text = replaced(text, [(start, end, _STRING_OUT) for start, end in spans])
        text, key = self._structured(text, signs, hits)
        in_key = in_key or key
        text, key = _passes(text, signs, PLAIN, hits)
        if strings:
            text = _put_back(text, _STRING_OUT, strings)
        if kept:
            text = _put_back(text, _VALUE_OUT, kept)
        return text, in_key or key

    def _structured(self, text: bytes, signs: Signs, hits: dict[str, int]) -> tuple[bytes, bool]:
        """The passes over what depends on how text is delimited."""
        text, in_key = _passes(text, signs, self._secrets, hits)
        if self._pairs is not None and (signs.names or b"=" in text):
            cuts, fields, secrets = self._pairs.cuts(text, colons=signs.names)
            if cuts:
                _count(hits, FIELD, fields)
                _count(hits, SECRET, secrets)
                in_key = in_key or any_in_key(text, cuts)
                text = replaced(text, cuts)
        text, key = _passes(text, signs, CREDENTIALS, hits)
        return text, in_key or key

    def _mask_members(self, members: Members, text: bytes, hits: dict[str, int]) -> tuple[bytes, list[bytes]]:
        """The text with the values of named members masked and those of kept ones taken out, and the latter."""
        cuts, fields, secrets, kept = members.cuts(text)
        _count(hits, FIELD, fields)
        _count(hits, SECRET, secrets)
        if cuts:
            text = replaced(text, cuts)
            if kept:
                kept = members.cuts(text)[3]
        values = [text[start:end] for start, end in kept]
        if kept:
            text = replaced(text, [(start, end, _VALUE_OUT) for start, end in kept])
        return text, values

    def _mask_encoded(
        self, text: bytes, spans: list[tuple[int, int]], hits: dict[str, int]
    ) -> tuple[list[bytes], bool]:
        """The strings at ``spans`` masked as they read at each level of decoding, and whether one of them is a key."""
        strings = [text[start:end] for start, end in spans]
        raw = b'"' + b'","'.join(strings) + b'"'
        level = 0
        decoded = Decoded(raw)
        while True:
            raw, decoded = self._mask_level(raw, decoded, level, False, hits)
            if level == MOST_LEVELS or not decoded.decode():
                break
            level += 1
        raw, _ = self._mask_level(raw, decoded, level, True, hits)
        masked = raw.split(b'"')[1::2]
        in_key = any(
            text[end + 1 : end + 2] == b":" and new != old
            for (_, end), old, new in zip(spans, strings, masked, strict=True)
        )
        return masked, in_key

    def _mask_level(
        self, raw: bytes, decoded: Decoded, level: int, plain: bool, hits: dict[str, int]
    ) -> tuple[bytes, Decoded]:
        """``raw`` masked as ``decoded`` reads, for the plain kinds or for the others; and decoded again, as often."""
        signs = Signs(decoded.text, self._triggers)
        if plain:
            return _decoded_passes(raw, decoded, level, signs, PLAIN, hits)
        raw, decoded = _decoded_passes(raw, decoded, level, signs, self._secrets, hits)
        if self._pairs is not None and (signs.names or b"=" in decoded.text):
            cuts, fields, secrets = self._pairs.cuts(decoded.text, colons=signs.names)
            _count(hits, FIELD, fields)
            _count(hits, SECRET, secrets)
            if cuts:
                raw = replaced(raw, decoded.originals(cuts))
                decoded = _decoded(raw, level)
        return _decoded_passes(raw, decoded, level, signs, CREDENTIALS, hits)

    def _rename(self, masked: bytes, events: list[dict[str, Any]]) -> bytes:
        """The lines again, with those events' keys renamed that hold a masked one."""
        lines = masked.split(b"\n")
        found = [
            index
            for index, line in enumerate(lines)
            if any(_LEFT_BY_MASK.search(key) for key in _KEY.findall(neutralise(line)))
        ]
        renamed = [events[index] for index in found]
        names = self._masked_names(list(dict.fromkeys(keys_of(renamed))))
        rename_keys(renamed, names)
        again, _ = self._mask(to_lines(renamed), {})
        for index, line in zip(found, again.split(b"\n"), strict=False):
            lines[index] = line
        return b"\n".join(lines)

    def _masked_names(self, keys: list[str]) -> dict[str, str]:
        """Each key, and its masked name.

        Masked until it stays as it is, so that the masks of the line leave the names as they were told apart.
        """
        names = keys
        for _ in range(_SETTLED):
            masked: list[str] = orjson.loads(restore(self._mask_strings(neutralise(to_json(names)), {})[0]))
            if masked == names:
                break
            names = masked
        return dict(zip(keys, names, strict=True))


def _passes(text: bytes, signs: Signs, kinds: tuple[Kind, ...], hits: dict[str, int]) -> tuple[bytes, bool]:
    """The text with ``kinds`` masked, each in what the one before left, and whether one was in a key."""
    in_key = False
    for kind in kinds:
        if kind.asks(text, signs):
            cuts = kind.find(text)
            if cuts:
                _count(hits, kind.label, len(cuts))
                in_key = in_key or any_in_key(text, cuts)
                text = replaced(text, cuts)
    return text, in_key


def _decoded_passes(
    raw: bytes, decoded: Decoded, level: int, signs: Signs, kinds: tuple[Kind, ...], hits: dict[str, int]
) -> tuple[bytes, Decoded]:
    """As `_passes`, for text that is masked as ``decoded`` reads."""
    for kind in kinds:
        if kind.asks(decoded.text, signs):
            cuts = kind.find(decoded.text)
            if cuts:
                _count(hits, kind.label, len(cuts))
                raw = replaced(raw, decoded.originals(cuts))
                decoded = _decoded(raw, level)
    return raw, decoded


def _count(hits: dict[str, int], label: str, count: int) -> None:
    if count:
        hits[label] = hits.get(label, 0) + count


def _decoded(raw: bytes, level: int) -> Decoded:
    decoded = Decoded(raw)
    for _ in range(level):
        decoded.decode()
    return decoded


def _put_back(text: bytes, place: bytes, pieces: list[bytes]) -> bytes:
    parts = text.split(place)
    out = [parts[0]]
    for piece, part in zip(pieces, parts[1:], strict=True):
        out.append(piece)
        out.append(part)
    return b"".join(out)

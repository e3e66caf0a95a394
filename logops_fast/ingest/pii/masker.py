"""Masks personal data and secrets in serialised lines, one pass a kind over the whole batch.

In serialised text a nested string lies as open as a top-level one, and in neutral text (see `escapes`) no pattern can
leave its string, since none matches a quote. Each kind first asks a question that text without it answers at little
cost (see `kinds`). Strings that hold anything encoded are taken out, looked at decoded (see `encodings`), and put back;
only a line with personal data in a key is parsed again, to tell keys apart that became equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from logops_fast.ingest.pii.cuts import Cut, applied, merged, replaced
from logops_fast.ingest.pii.encodings import Layers, encoded_strings
from logops_fast.ingest.pii.escapes import has_controls, neutralise, restore
from logops_fast.ingest.pii.keys import with_different_names
from logops_fast.ingest.pii.kinds import CREDENTIALS, PLAIN, SECRETS
from logops_fast.ingest.pii.members import Members
from logops_fast.ingest.pii.names import FIELD, OTHER, SECRET, NameRules
from logops_fast.ingest.pii.pairs import Pairs
from logops_fast.ingest.pii.signs import FREQUENT, Signs, Triggers
from logops_fast.ingest.pii.top_level import TopLevelNames, values_text
from logops_fast.ingest.pii.triggers import endings_of
from logops_fast.ingest.pii.walk import newlines, row_spans
from logops_fast.ingest.serialiser import to_json

# What a mask leaves, in a key. Only used if a kind masked something in one.
_KEY: Final = re.compile(rb'"([^"]*+)":')
_LEFT_BY_MASK: Final = re.compile(rb"\*\*\*|\.x\.x|:x:x")
# Bytes that UTF-8 never uses and no escape stands for (see `escapes`): a string, or a value, that was taken out.
_STRING_OUT: Final = b"\xc0"
_VALUE_OUT: Final = b"\xc1"
_SHORT: Final = 256  # bytes
_QUOTE: Final = 0xFD
_NULL_END: Final = b"null}"

_Finder = tuple[int, str, Callable[[bytes], list[Cut]]]
"""Of a `Kind`: sign, label and find."""


class Masker:
    """Masks e-mail addresses, IP addresses, card numbers, credentials and named fields.

    ``fields`` and ``keep`` are names or globs of members: masked whole, or left as sent. ``secrets``: whether values
    under secrets' names, and keys known by their form, are masked. ``aliases`` maps other names of a settled field to
    its own: a field that is named by one is masked though it is renamed on the way. Raises PatternError as
    `NameRules` does.
    """

    __slots__ = ("_delimited", "_frequent", "_members", "_names", "_pairs", "_plain", "_rare", "_rules", "_triggers")

    def __init__(
        self,
        fields: Sequence[str] = (),
        keep: Sequence[str] = (),
        *,
        secrets: bool = True,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        rules = NameRules(fields, keep, secrets=secrets, aliases=aliases)
        endings = endings_of(rules)
        self._rules = rules
        self._triggers = Triggers(rules)
        self._members = None if endings is None else Members(rules, endings)
        self._pairs = None if endings is None else Pairs(rules, endings)
        self._names = TopLevelNames(self.is_named, self._are_clean)
        delimited = (*SECRETS, *CREDENTIALS) if secrets else CREDENTIALS
        # Bare tuples: an attribute of a named one costs as much as asking a small text for its sign.
        self._delimited = tuple((kind.sign, kind.label, kind.find) for kind in delimited)
        plain = tuple((kind.sign, kind.label, kind.find) for kind in PLAIN)
        self._plain = plain
        self._frequent = tuple(kind for kind in plain if kind[0] & FREQUENT)
        self._rare = (*self._delimited, *plain)

    @property
    def has_own_names(self) -> bool:
        """Whether names beside those of secrets matter: ``fields`` or ``keep``."""
        return bool(self._rules.patterns)

    def is_named(self, name: str) -> bool:
        """Whether the values of members with this name are masked or kept whole, whatever they are."""
        return self._rules.kind(name) != OTHER

    def mask_lines(self, lines: bytes, events: list[dict[str, Any]], hits: dict[str, int]) -> bytes:
        """Lines as orjson wrote them from ``events``, with every string masked; adds to ``hits`` by kind.

        ``events`` may lack members that need no look; the last member of each is a placeholder. Without them, or
        without placeholders, the masks look at the whole of the lines. Names of one object that a mask makes equal are
        distinguished by ``#2``, ``#3``.
        """
        # A short line by itself is asked whole: its values apart cost more than its names.
        values = values_text(events, len(lines)) if len(events) > 1 or len(lines) > _SHORT else None
        named = None if values is None else self._names.named_rows(events)
        if 0x5C in lines:
            if named is None or values is None:
                masked, in_key = self._mask_strings(neutralise(lines), None, (), hits)
            else:
                values = neutralise(values) if 0x5C in values else values
                masked, in_key = self._mask_strings(neutralise(lines), values, named, hits)
            masked = restore(masked, controls=has_controls(lines))
        else:
            masked, in_key = self._mask_strings(lines, None if named is None else values, named or (), hits)
            if _QUOTE in masked:  # that of a number which became a string, in JSON text without any other
                masked = restore(masked, controls=False)
        return self._rename(masked) if in_key else masked

    def leaves(self, names: list[str]) -> list[bool]:
        """Whether each member's name is stored as it came, and its value is no named field, no secret and not kept."""
        return [clean and not self.is_named(name) for name, clean in zip(names, self._are_clean(names), strict=True)]

    def mask_text(self, text: str) -> str:
        """Raw text, such as an event that could not be parsed, masked as a string value is."""
        masked: str = orjson.loads(restore(self._mask_strings(neutralise(b" " + to_json(text)), None, (), {})[0]))
        return masked

    def _are_clean(self, names: list[str]) -> list[bool]:
        """Whether each of some names of members holds nothing that is masked, as a name."""
        lines = neutralise(b"\n".join([to_json({name: None}) for name in names]))
        masked, _ = self._mask_strings(lines, None, (), {})
        return [
            new.startswith(old[: -len(_NULL_END)])
            for old, new in zip(lines.split(b"\n"), masked.split(b"\n"), strict=True)
        ]

    def _mask_strings(
        self, text: bytes, values: bytes | None, named: Sequence[int], hits: dict[str, int]
    ) -> tuple[bytes, bool]:
        """Neutral lines with every member and string masked, and whether anything was masked in a key.

        ``values``: the neutral values of each line, line by line; None: the lines' own names need a look, too.
        ``named``: the numbers of the lines with a top-level name that matters.
        """
        signs = Signs(text if values is None else values, self._triggers)
        rows: Sequence[int] = sorted({*signs.rows, *named}) if named else signs.rows
        if not rows:
            return self._mask_frequent(text, values, signs.found, hits)
        signs.named = signs.named or bool(named)
        ended = newlines(text, 0, len(text))
        # A row of the values is of the line with its number only if each event has ended its row.
        if 2 * len(rows) > ended or (values is not None and newlines(values, 0, len(values)) != ended):
            return self._mask_thoroughly(text, signs, hits)
        spans = row_spans(text, rows)
        chosen, in_key = self._mask_thoroughly(b"\n".join([text[start:end] for start, end in spans]), signs, hits)
        text = replaced(text, [(start, end, _STRING_OUT) for start, end in spans])
        text, in_other_key = self._mask_frequent(text, values, signs.found, hits)
        return _put_back(text, _STRING_OUT, chosen.split(b"\n")), in_key or in_other_key

    def _mask_frequent(self, text: bytes, values: bytes | None, found: int, hits: dict[str, int]) -> tuple[bytes, bool]:
        """Neutral text without anything but the FREQUENT kinds, masked, and whether anything was masked in a key."""
        if not found & FREQUENT:
            return text, False
        cuts: list[Cut] = []
        several = self._add_cuts(self._frequent, text, found, cuts, hits)
        if not cuts:
            return text, False
        # Of the names in `values`, only those of nested members are left to be masked.
        return applied(text, cuts, sort=several, names=values is None or values.find(b'":') >= 0)

    def _mask_thoroughly(self, text: bytes, signs: Signs, hits: dict[str, int]) -> tuple[bytes, bool]:
        """Neutral text that may hold any of the ``signs``, masked, and whether anything was masked in a key."""
        kept: list[bytes] = []
        if signs.named and self._members is not None:
            text, kept = self._mask_members(self._members, text, hits)
        strings: list[bytes] = []
        in_key = False
        if signs.encoded:
            spans = encoded_strings(text)
            if spans:
                strings, in_key = self._mask_encoded(text, spans, hits)
                text = replaced(text, [(start, end, _STRING_OUT) for start, end in spans])
        cuts = self._named_cuts(text, signs, hits)
        several = self._add_cuts(self._rare, text, signs.found, cuts, hits)
        if cuts:
            text, in_other_key = applied(text, cuts, sort=several, names=not in_key)
            in_key = in_key or in_other_key
        if strings:
            text = _put_back(text, _STRING_OUT, strings)
        if kept:
            text = _put_back(text, _VALUE_OUT, kept)
        return text, in_key

    def _cuts(self, text: bytes, signs: Signs, kinds: tuple[_Finder, ...], hits: dict[str, int]) -> list[Cut]:
        """What is masked of a text: all that any kind finds in it as it is, whatever another kind finds next to it."""
        cuts = self._named_cuts(text, signs, hits)
        return merged(cuts) if self._add_cuts(kinds, text, signs.found, cuts, hits) else cuts

    def _named_cuts(self, text: bytes, signs: Signs, hits: dict[str, int]) -> list[Cut]:
        """The values of names in strings, in order."""
        if not signs.named or self._pairs is None:
            return []
        cuts, fields, secrets = self._pairs.cuts(text)
        _count(hits, FIELD, fields)
        _count(hits, SECRET, secrets)
        return cuts

    def _add_cuts(
        self, kinds: tuple[_Finder, ...], text: bytes, found: int, cuts: list[Cut], hits: dict[str, int]
    ) -> bool:
        """Add to ``cuts`` those of the kinds that are ``found``; whether they are of several, and need merging."""
        several = False
        for sign, label, find in kinds:
            if found & sign:
                more = find(text)
                if more:
                    _count(hits, label, len(more))
                    several = several or bool(cuts)
                    cuts += more
        return several

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
        # Led by a blank: a pattern for a name of one letter looks at the byte before the quote.
        layers = Layers(b' "' + b'","'.join(strings) + b'"')
        while True:
            # What is delimited is looked for at each level: `p%2Fw` in a URL is a password until it is decoded.
            signs = Signs(layers.text, self._triggers)
            cuts = self._cuts(layers.text, signs, self._delimited, hits)
            changed = bool(cuts)
            if cuts:
                layers.replace(cuts)
            if not layers.decode():
                break
        if changed:
            signs = Signs(layers.text, self._triggers)
            cuts = self._cuts(layers.text, signs, self._rare, hits)
        else:  # nothing that is delimited is in it
            cuts = []
            if self._add_cuts(self._plain, layers.text, signs.found, cuts, hits):
                cuts = merged(cuts)
        raw = layers.masked(cuts) if cuts else layers.raw
        masked = raw.split(b'"')[1::2]
        in_key = any(
            text[end + 1 : end + 2] == b":" and new != old
            for (_, end), old, new in zip(spans, strings, masked, strict=True)
        )
        return masked, in_key

    def _rename(self, masked: bytes) -> bytes:
        """The lines again, with the names told apart that a mask made equal."""
        lines = masked.split(b"\n")
        for index, line in enumerate(lines):
            if any(_LEFT_BY_MASK.search(key) for key in _KEY.findall(neutralise(line))):
                lines[index] = with_different_names(line)
        return b"\n".join(lines)


def _count(hits: dict[str, int], label: str, count: int) -> None:
    if count:
        hits[label] = hits.get(label, 0) + count


def _put_back(text: bytes, place: bytes, pieces: list[bytes]) -> bytes:
    """The text with each ``place`` replaced by the next of the ``pieces``, of which there are as many."""
    # Not `split`, which walks each byte: there are few places.
    out: list[bytes] = []
    done = 0
    for piece in pieces:
        at = text.index(place, done)
        out.append(text[done:at])
        out.append(piece)
        done = at + 1
    out.append(text[done:])
    return b"".join(out)

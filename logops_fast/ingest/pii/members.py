"""Members of objects, by name: masked whole (``"password":"hunter2"`` becomes ``"password":"***"``) or kept as sent."""

from __future__ import annotations

import re
from typing import Final

import orjson

from logops_fast.ingest.pii.cuts import Cut
from logops_fast.ingest.pii.escapes import PLACES, restore
from logops_fast.ingest.pii.names import FIELD, KEEP, OTHER, SECRET, NameRules
from logops_fast.ingest.pii.triggers import Endings, member_pattern
from logops_fast.patterns import compile_possessive

_PLACES: Final = b"".join(PLACES)
_MASK: Final = b'"***"'
_SCALAR: Final = re.compile(rb'"[^"]*+"|[^"\[\]{},]++')
_TOKEN: Final = compile_possessive(rb'[^"\[\]{}]*+(?:"[^"]*+"[^"\[\]{}]*+)*+([\[\]{}])')
# Values that reveal nothing: a secret's name over them stays as it is, a named field is masked all the same.
_EMPTY: Final = frozenset((b'""', b"null", b"true", b"false", b"[]", b"{}", _MASK))


class Members:
    """Finds the values of named members in neutral text (see `escapes`)."""

    __slots__ = ("_end", "_rules")

    def __init__(self, rules: NameRules, endings: Endings) -> None:
        self._rules = rules
        self._end = member_pattern(endings)

    def cuts(self, text: bytes) -> tuple[list[Cut], int, int, list[tuple[int, int]]]:
        """Return the values to mask, how many are fields and how many secrets, and the spans of values to keep.

        A named field inside a kept value is masked; a member inside a masked value is part of it.
        """
        cuts: list[Cut] = []
        kept: list[tuple[int, int]] = []
        fields = secrets = masked_to = kept_to = 0
        for found in self._end.finditer(text):
            start = found.end()
            if start < masked_to:
                continue
            name_end = found.start()
            name_start = text.rfind(b'"', 0, name_end) + 1
            if name_start < masked_to or text[start] in _PLACES:
                continue
            kind = self._kind(text[name_start:name_end])
            if kind == OTHER:
                continue
            if kind == KEEP:
                if start >= kept_to:
                    kept_to = value_end(text, start)
                    kept.append((start, kept_to))
                continue
            if kind == SECRET and start < kept_to:
                continue
            end = value_end(text, start)
            value = text[start:end]
            if kind == SECRET and value in _EMPTY:
                continue
            masked_to = end
            if value == _MASK:
                continue
            fields += kind == FIELD
            secrets += kind == SECRET
            cuts.append((start, end, _MASK))
        return cuts, fields, secrets, kept

    def _kind(self, name: bytes) -> str:
        try:
            return self._rules.kind(name.decode())
        except UnicodeDecodeError:  # an escape in the name
            return self._rules.kind(orjson.loads(b'"' + restore(name) + b'"'))


def value_end(text: bytes, start: int) -> int:
    """Return where the JSON value that begins at ``start`` of neutral text ends."""
    scalar = _SCALAR.match(text, start)
    if scalar is not None:
        return scalar.end()
    depth = 1
    end = start + 1
    while depth:
        token = _TOKEN.match(text, end)
        if token is None:
            return len(text)
        end = token.end()
        depth += 1 if token[1] in b"[{" else -1
    return end

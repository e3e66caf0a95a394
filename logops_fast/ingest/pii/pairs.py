"""Secrets written in text: ``password=...``, ``"apiKey": "..."``, ``Cookie: ...``, ``<password>...</password>``.

A name is looked for before each separator, its value after it (see `secret_values`).
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.pii.cuts import Cut
from logops_fast.ingest.pii.names import FIELD, OTHER, QUERY_NAMES, SECRET, SECRET_NAMES, NameRules, is_secret
from logops_fast.ingest.pii.secret_values import (
    AUTHORIZATION,
    COOKIE_PAIRS,
    OPENS,
    QUOTES,
    cookie_read_to,
    cut_of,
    element_before,
    form_of,
    is_open,
    read_to,
)
from logops_fast.ingest.pii.triggers import Endings, element_pattern, endings_of, pair_pattern

_NAME: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$-"
_CLOSERS: Final = b":]' `\xfd\xff"  # what may part a name from its separator
_FORM_CLOSERS: Final = (b"]", b" ")  # `"user[password]"`, a field of a form
_LONGEST_NAME: Final = 128
# The window of text around a separator by which a value is recognised as one that was seen before. It shows the name
# and `_EDGE` bytes before it, the value and `_EDGE` bytes after it: no look-ahead of a value's pattern goes further,
# but for credentials, for cookies after `&` and `;`, and for numbers of JSON text after blanks.
_BEFORE: Final = 32
_AFTER: Final = 48
_EDGE: Final = 8
_REMEMBERED: Final = 512
# `API key: ...`: what may be in front of the last word of a name of several words.
_WORDS: Final = re.compile(rb"(?:[A-Za-z]{1,20} ){1,3}\Z")
_LAST_WORDS: Final = frozenset(
    name.rpartition("_")[2].encode() for name in SECRET_NAMES if "_" in name and not is_secret(name.rpartition("_")[2])
)
# `arn:aws:secretsmanager:eu-west-1:123456789012:secret:...`: what kind of resource it is, no name of a value.
_RESOURCE: Final = re.compile(rb"\barn:[a-z0-9:-]{1,80}\Z")
_DIGIT: Final = re.compile(rb"[0-9]")
_CLOSING: Final = re.compile(rb"</(?:[A-Za-z0-9_.-]{1,32}:)?\Z")  # before the name of an element that ends


_Seen = tuple[str, int, int, bytes]
"""Kind, start and end of the cut from the separator on, and the mask; `OTHER`: nothing is masked."""


class Pairs:
    """Finds the values of secrets' names, and of named fields in JSON text, in the strings of neutral text."""

    __slots__ = ("_colon", "_element", "_equals", "_rules")

    def __init__(self, rules: NameRules, endings: Endings) -> None:
        self._rules = rules
        self._equals = pair_pattern(endings_of(rules, QUERY_NAMES) or endings, b"=")
        self._colon = pair_pattern(endings, b":")
        self._element = element_pattern(endings)

    def cuts(self, text: bytes) -> tuple[list[Cut], int, int]:
        """Return the values to mask, how many of them are fields and how many secrets."""
        patterns = [self._colon]
        if 0x3D in text:
            patterns.append(self._equals)
        if 0x3C in text and text.find(b"</") >= 0:
            patterns.append(self._element)
        cuts: list[Cut] = []
        names: dict[bytes, tuple[str, str, int]] = {}
        seen: dict[bytes, _Seen] = {}
        fields = secrets = last = 0
        stop = 0
        size = len(text)
        while stop < size:
            # Step by step: a value may end far after the separators that are in it.
            begin = last if last > stop else stop
            stop = begin + 4096
            places: list[int] = []
            for pattern in patterns:
                places += [match.start() for match in pattern.finditer(text, begin, stop)]
            places.sort()
            for at in places:
                if at < last:
                    continue
                # What is masked at a place is mostly decided by the text next to it, which is often the same again.
                window = text[at - _BEFORE : at + _AFTER] if at >= _BEFORE else b""
                one = seen.get(window)
                if one is None:
                    found, reach = self._value(text, at, names)
                    if found is None:
                        one = (OTHER, 0, 0, b"")
                    else:
                        kind, (start, end, mask) = found
                        one = (kind, start - at, end - at, mask)
                    if window and 0 < reach <= _BEFORE and len(seen) < _REMEMBERED:
                        seen[window] = one
                kind, start, end, mask = one
                start += at
                if kind == OTHER or start < last:
                    continue
                last = end + at
                fields += kind == FIELD
                secrets += kind == SECRET
                cuts.append((start, last, mask))
        return cuts, fields, secrets

    def _value(
        self, text: bytes, at: int, names: dict[bytes, tuple[str, str, int]]
    ) -> tuple[tuple[str, Cut] | None, int]:
        """The kind and the cut of the value whose separator is at ``at``; ``names``: those seen before.

        Also how far before ``at`` the text was read; 0 if more was read after it than a window shows (see `_AFTER`).
        """
        separator = text[at]
        quote = text[at - 1] if at else 0
        if quote not in _NAME and (quote not in _CLOSERS or (quote == 0x3A and separator != 0x3D)):
            return None, 1
        head = text[max(0, at - _LONGEST_NAME) : at]
        size = len(head)
        if quote not in _NAME:
            if separator == 0x3D and quote == 0x3A:  # `:=`
                head = head[:-1]
            head = head.rstrip(b" \xff")
            quote = head[-1] if head else 0
        escaped = of_words = False
        if quote in _NAME:  # the usual case: nothing parts them
            quote = 0
            name = head[len(head.rstrip(_NAME)) :]
        elif quote in QUOTES:
            head = head[:-1]
            escaped = quote == 0xFD and head.endswith(b"\xfc")
            if head[-1:] in _FORM_CLOSERS:
                head = head.rstrip(b"[] ")
            name = head[head.rfind(quote) + 1 :]
            if (0x22 in name or name.strip(_NAME)) and not self._is_secret_of_words(name):
                name = name[len(name.rstrip(_NAME)) :]
        else:
            quote = 0
            while head.endswith(b"[]"):  # `password[]=`, an array in a query
                head = head[:-2]
            head = head.rstrip(b"]")
            name = head[len(head.rstrip(_NAME)) :]
        begin = len(head) - len(name)
        reach = size - begin + _EDGE
        if not name:
            return None, reach
        edge = head[begin - 1] if begin else 0
        if edge == 0x20 and name.lower() in _LAST_WORDS:
            words = _WORDS.search(head, 0, begin)
            if words is not None:
                reach += begin - words.start()
                if self._is_secret_of_words(words[0] + name):
                    name = words[0] + name
                    of_words = True
        if separator == 0x3A and edge == 0x2F and head.endswith(b"://", 0, begin):
            return None, reach  # the user of a URL, whose password is masked by now
        if edge == 0x3A and separator == 0x3A and _RESOURCE.search(head, 0, begin) is not None:
            return None, size
        query = edge in b"?&#" or (edge == 0x3B and head.endswith(b"&amp;", 0, begin))
        known = names.get(name)
        if known is None:
            kind = in_query = self._rules.kind(name.decode("utf-8", "replace"))
            if (
                kind in (FIELD, OTHER)
                and self._rules.has_secrets
                and is_secret(name.decode("ascii", "replace"), in_query=True)
            ):
                in_query = SECRET
            known = names[name] = (kind, in_query, form_of(name.lower()))
        kind, in_query, form = known
        if kind == FIELD and not quote:
            return None, reach
        if query:
            kind = in_query
        if kind not in (FIELD, SECRET):
            return None, reach
        if separator == 0x3E and _CLOSING.search(head, 0, begin) is not None:
            cut = element_before(text, at)
            return None if cut is None or not cut[2] else (kind, cut), 0
        cut = cut_of(text, at, separator, quote, form, query)
        if cut is None:
            return None, reach if is_open(text, at + 1, at + _AFTER - _EDGE) else 0
        if escaped and text[cut[0] - 1] == 0xFD and text[cut[0] - 2] != 0xFC:
            return None, 0  # `\\"token\\":"`: the quote is that of the string that the name is in
        end = cut[1]
        if of_words and _DIGIT.search(text, cut[0], end) is None:
            # `private key: no such file`, `API key: missing`
            return None, reach if end - at <= _AFTER - _EDGE else 0
        following = text[end] if end < len(text) else 0
        if (
            form == AUTHORIZATION
            or end - at > _AFTER - _EDGE
            or (form == COOKIE_PAIRS and (following in b"&;\xfd" or cookie_read_to(text, end) - at > _AFTER - _EDGE))
            or (following in OPENS and read_to(text, cut[0], end) - at > _AFTER - _EDGE)
            or (quote and following in b" \xfe\xff\xf5")
        ):
            reach = 0
        return ((kind, cut) if cut[2] else None), reach

    def _is_secret_of_words(self, name: bytes) -> bool:
        """Whether ``name``, of words parted by blanks, is that of a secret."""
        return not name.strip(_NAME + b" ") and self._rules.kind(name.decode("ascii", "replace")) == SECRET

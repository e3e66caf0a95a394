"""Secrets written in text: ``password=...``, ``"apiKey": "..."``, ``Cookie: ...``, ``<password>...</password>``.

A name and its value are looked for around each separator. A value that is quoted ends with its quote, one in brackets
with the bracket that closes it, any other where a parameter, a list or a sentence would go on.
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.pii.cuts import Cut, is_masked
from logops_fast.ingest.pii.names import FIELD, OTHER, QUERY_NAMES, SECRET, NameRules, is_secret
from logops_fast.ingest.pii.triggers import Endings, element_pattern, endings_of, pair_pattern
from logops_fast.patterns import compile_possessive

_MASK: Final = b"***"
_QUOTE: Final = 0xFD
_BACKSLASH: Final = 0xFC
_QUOTES: Final = b"\xfd'`"
_NAME: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$-"
_CLOSERS: Final = b":]' `\xfd\xff"  # what may part a name from its separator
_LONGEST_NAME: Final = 128
# The window of text around a separator by which a value is recognised as one that was seen before. It shows the name
# and `_EDGE` bytes before it, the value and `_EDGE` bytes after it: no look-ahead of a value's pattern goes further,
# but for credentials, for cookies after `&` and `;`, and for numbers of JSON text after blanks.
_BEFORE: Final = 32
_AFTER: Final = 48
_EDGE: Final = 8
_REMEMBERED: Final = 512
# How values of some names are written.
_ANY_FORM: Final = 0
_DIRECTORY: Final = 1
_AUTHORIZATION: Final = 2
_COOKIE_PAIRS: Final = 3
_BLANKS: Final = re.compile(rb"[=>]{0,2}[ \xff]{0,8}")
# An escape of JSON that this text holds undecoded ends a bare value: `\n` in a JSON text of JSON text.
_ESCAPE: Final = rb"\xfc(?![nrtbfu/\xfc\xfd\x22])"
_ENDS: Final = rb"\x00-\x20\x22\xf5-\xfb\xfc\xfd\xfe\xff'`,;&<>()\[\]{}"
_BARE: Final = compile_possessive(rb"(?:[^" + _ENDS + rb"]|" + _ESCAPE + rb")++")
_PARAMETER: Final = compile_possessive(rb"(?:[^" + _ENDS + rb"#]|" + _ESCAPE + rb")++")
_ELEMENT: Final = re.compile(rb"[^<\x22\xfd]++(?=</)")
_QUOTED: Final = {
    0xFD: compile_possessive(rb"(?:[^\xfd\xfc\x22]|\xfc[^\x22])*+"),
    0x27: compile_possessive(rb"(?:[^'\xfc\x22\xfd\xfe]|\xfc[^\x22])*+"),
    0x60: compile_possessive(rb"(?:[^`\xfc\x22\xfd\xfe]|\xfc[^\x22])*+"),
}
_TOKEN: Final = compile_possessive(
    rb"[^\xfd\[\]{}\x22]*+(?:\xfd(?:[^\xfd\xfc\x22]|\xfc[^\x22])*+\xfd[^\xfd\[\]{}\x22]*+)*+([\[\]{}])"
)
_STRING_END: Final = re.compile(rb'[^"]*+')
_NUMBER: Final = re.compile(rb"-?[0-9][0-9.eE+-]*+(?=[ \xfe\xff\xf5]*+[,}\]])")
# Reveals nothing; `(using password: YES)` is MySQL's.
_PLAIN: Final = frozenset(
    (b"null", b"true", b"false", b"none", b"None", b"True", b"False", b"nil", b"YES", b"NO", b"yes", b"no", _MASK)
)

# RFC 9110, 11.4: a scheme, then one token or parameters. The scheme stays; a word with a digit in it is no scheme but a
# bare key, except for Amazon's.
_SCHEME: Final = re.compile(rb"(?:AWS4-[A-Z0-9-]{1,32}|[A-Za-z][A-Za-z-]{0,31})[ +]++(?=[^ +])")
_PARAMETER_BEGINS: Final = re.compile(rb"[A-Za-z0-9_-]++=")
_PARAMETERS: Final = compile_possessive(
    rb"(?:[A-Za-z0-9_-]++=(?:\xfd[^\xfd\x22]*+\xfd|[^" + _ENDS + rb"]++)(?:[,;] *+| ++(?=[A-Za-z0-9_-]++=))?)++"
)
_CREDENTIALS: Final = re.compile(rb"[^\x00-\x20\x22\xf5-\xff'`,;&<>()\[\]{}]++")
# RFC 6265: pairs parted by `; `. They end at a quote, or a bracket, that is written as a character reference.
_COOKIE: Final = rb"(?:[^\x00-\x20\x22;,'`&\xf5-\xff]|&(?!(?:quot|apos|lt|gt|#0*(?:34|39)|#[xX]0*2[27]);))++"
_COOKIES: Final = compile_possessive(_COOKIE + rb"(?:; *+" + _COOKIE + rb")*+")


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
        if quote in _NAME:  # the usual case: nothing parts them
            quote = 0
            name = head[len(head.rstrip(_NAME)) :]
        elif quote in _QUOTES:
            head = head[:-1]
            name = head[head.rfind(quote) + 1 :]
            if 0x22 in name or name.strip(_NAME):
                name = name[len(name.rstrip(_NAME)) :]
        else:
            quote = 0
            head = head.rstrip(b"]")
            name = head[len(head.rstrip(_NAME)) :]
        begin = len(head) - len(name)
        reach = size - begin + _EDGE
        if not name:
            return None, reach
        edge = head[begin - 1] if begin else 0
        if separator == 0x3A and edge == 0x2F and head.endswith(b"://", 0, begin):
            return None, reach  # the user of a URL, whose password is masked by now
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
            known = names[name] = (kind, in_query, _form(name.lower()))
        kind, in_query, form = known
        if kind == FIELD and not quote:
            return None, reach
        if query:
            kind = in_query
        if kind not in (FIELD, SECRET):
            return None, reach
        cut = _cut(text, at, separator, quote, form, query)
        if cut is None:
            return None, 0
        end = cut[1]
        following = text[end] if end < len(text) else 0
        if (
            form == _AUTHORIZATION
            or end - at > _AFTER - _EDGE
            or (form == _COOKIE_PAIRS and following in b"&;")
            or (quote and following in b" \xfe\xff\xf5")
        ):
            reach = 0
        return ((kind, cut) if cut[2] else None), reach


def _form(name: bytes) -> int:
    """How the value of a name, in lower case, is written."""
    if name.endswith(b"pwd"):
        return _DIRECTORY
    if name.endswith(b"authorization"):
        return _AUTHORIZATION
    return _COOKIE_PAIRS if name.endswith((b"cookie", b"cookies")) else _ANY_FORM


def _cut(text: bytes, at: int, separator: int, quote: int, form: int, query: bool) -> Cut | None:
    """The cut of the value after a separator, perhaps without a mask; None if there is no value."""
    if separator == 0x3E:  # <password>...</password>
        found = _ELEMENT.match(text, at + 1)
        return None if found is None else _scalar(text, at + 1, found.end())
    start = at + 1
    if start >= len(text):
        return None
    first = text[start]
    if first in b"=> \xff":
        start = _BLANKS.match(text, start).end()  # type: ignore[union-attr]  # matches the empty string
        if start >= len(text):
            return None
        first = text[start]
    if first in _QUOTES:
        return _scalar(text, start + 1, _QUOTED[first].match(text, start + 1).end())  # type: ignore[union-attr]
    if first in b"[{" and (quote or separator == 0x3D):
        wrap = bytes((quote,)) if quote else b""
        return (start, brackets_end(text, start), wrap + _MASK + wrap)
    if first in b"/:" and separator == 0x3A and not quote:  # `token://`, `secret::path`
        return None
    if form == _DIRECTORY and first in b"/~":  # PWD=/home/..., the working directory
        return None
    if form == _AUTHORIZATION:
        return _authorization(text, start)
    if form == _COOKIE_PAIRS and separator == 0x3A:
        found = _COOKIES.match(text, start)
        return None if found is None else _scalar(text, start, found.end())
    if quote:
        found = _NUMBER.match(text, start)
        if found is not None:  # in JSON text a number becomes a string
            wrap = bytes((quote,))
            return (start, found.end(), wrap + _MASK + wrap)
    if not query:
        # What `_BARE` is made of, but for escapes: `re` matches it, where the package `regex` takes 0.1 us a byte.
        found = _CREDENTIALS.match(text, start)
        end = start if found is None else found.end()
        if end == len(text) or text[end] != _BACKSLASH:
            return None if found is None else _scalar(text, start, end)
    found = (_PARAMETER if query else _BARE).match(text, start)
    return None if found is None else _scalar(text, start, found.end())


def _scalar(text: bytes, start: int, end: int) -> Cut:
    """The cut of a value; without a mask if it reveals nothing."""
    value = text[start:end]
    if not value or value in _PLAIN or is_masked(value):
        return (start, end, b"")
    return (start, end, _MASK)


def _authorization(text: bytes, start: int) -> Cut | None:
    scheme = _SCHEME.match(text, start)
    if scheme is not None:
        start = scheme.end()
    # Asked with `re` first: `regex` looks for the `=` that its pattern needs in all of the text, each time.
    found = _PARAMETERS.match(text, start) if _PARAMETER_BEGINS.match(text, start) is not None else None
    if found is None:
        if text[start : start + 1] and text[start] in _QUOTES:
            return _scalar(text, start + 1, _QUOTED[text[start]].match(text, start + 1).end())  # type: ignore[union-attr]
        found = _CREDENTIALS.match(text, start)
    return None if found is None else _scalar(text, start, found.end())


def brackets_end(text: bytes, start: int) -> int:
    """Return where the brackets that open at ``start``, in JSON text inside a string, close, or the string's end."""
    depth = 1
    end = start + 1
    while depth:
        token = _TOKEN.match(text, end)
        if token is None:
            return _STRING_END.match(text, end).end()  # type: ignore[union-attr]  # matches the empty string
        end = token.end()
        depth += 1 if token[1] in b"[{" else -1
    return end

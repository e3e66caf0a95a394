"""How the value of a secret's name is written in text, and so where it ends.

One that is quoted ends with its quote, one in brackets with the bracket that closes it, any other where a parameter, a
list or a sentence would go on.
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.pii.cuts import Cut, is_masked
from logops_fast.patterns import compile_possessive

QUOTES: Final = b"\xfd'`"
_MASK: Final = b"***"
_QUOTE: Final = 0xFD
_BACKSLASH: Final = 0xFC
# How values of some names are written.
_ANY_FORM: Final = 0
_DIRECTORY: Final = 1
AUTHORIZATION: Final = 2
COOKIE_PAIRS: Final = 3
_BLANKS: Final = re.compile(rb"[=>]{0,2}[ \xff]{0,8}")
# `Some("...")`, `Optional[...]`, `Password(value=...)`, as programs print a value with its type; `b'...'`, `u"..."`.
OPENS: Final = b"('[\xfd"
_WRAPPED: Final = re.compile(
    rb"[A-Za-z_][A-Za-z0-9_.:]{0,64}+(?:\((?:[^()\x20\x22\xfd\xfe]{0,256}+|\xfd[^\xfd\x22\xfe]{0,256}+\xfd"
    rb"|[A-Za-z_][A-Za-z0-9_.:]{0,64}+\((?:[^()\x20\x22\xfd\xfe]{0,256}+|\xfd[^\xfd\x22\xfe]{0,256}+\xfd)\))\)"
    rb"|\[(?:[^\[\]\x20\x22\xfd\xfe]{0,256}+|\xfd[^\xfd\x22\xfe]{0,256}+\xfd)\])"
)
_TYPE: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_.:]{0,64}+")
_CONTENT: Final = re.compile(rb"[^()\[\]\x22\xfd\xfe]{0,256}+")
_AFTER_QUOTE: Final = frozenset((b"", b'"', *(bytes((byte,)) for byte in b" ,:;)]}\xfc\xfd\xfe\xff'`")))
_CLOSES: Final = frozenset((b"", b'"', b",", b":", b"}", b"]", b")"))
_PREFIXES: Final = b"bBfFrRuU"
# `X-Api-Key:[...]`, as Go prints a header. Placeholders are not masked again.
_BRACKETED: Final = re.compile(rb"\[([^\[\]\x22\xfd\xfe]{1,512}+)\]")
_SLICE: Final = re.compile(rb"[A-Za-z0-9_.*]{1,64}\{")  # `[]string{"..."}`
_PLACEHOLDERS: Final = frozenset(
    (b"filtered", b"redacted", b"masked", b"hidden", b"removed", b"empty", b"nil", b"null", b"none")
)
# How far before the end of an element its beginning is looked for.
_LONGEST_ELEMENT: Final = 1024
_ATTRIBUTES: Final = compile_possessive(
    rb"(?:[ \xfe\xff]++[A-Za-z_:][A-Za-z0-9_.:-]*+"
    rb"(?:=(?:\xfd[^\xfd<>]*+\xfd|'[^'\xfd<>]*+'|[^ '\xfd\xfe\xff<>=]++))?)++ ?"
)
_CDATA: Final = b"<![CDATA["
_CDATA_END: Final = b"]]>"
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
    rb"(?:[^\xfd\xfc\[\]{}\x22]|\xfc[^\x22])*+(?:\xfd(?:[^\xfd\xfc\x22]|\xfc[^\x22])*+\xfd(?:[^\xfd\xfc\[\]{}\x22]|\xfc[^\x22])*+)*+([\[\]{}])"
)
_STRING_END: Final = re.compile(rb'[^"]*+')
_NUMBER: Final = re.compile(rb"-?[0-9][0-9.eE+-]*+(?=[ \xfe\xff\xf5]*+[,}\]])")
# Reveals nothing; `(using password: YES)` is MySQL's.
_PLAIN: Final = frozenset(
    (
        *(b"null", b"true", b"false", b"none", b"None", b"True", b"False", b"nil", b"YES", b"NO", b"yes", b"no", _MASK),
        *(b",", b":", b", ", b": "),  # between two strings of JSON text
    )
)

# RFC 9110, 11.4: a scheme, then one token or parameters. The scheme stays; a word with a digit in it is no scheme but a
# bare key, except for Amazon's.
_SCHEME: Final = re.compile(rb"(?:AWS4-[A-Z0-9-]{1,32}|[A-Za-z][A-Za-z-]{0,31})[ +]++(?=[^ +])")
_PARAMETER_BEGINS: Final = re.compile(rb"[A-Za-z0-9_-]++=")
_PARAMETERS: Final = compile_possessive(
    rb"(?:[A-Za-z0-9_-]++=(?:\xfd[^\xfd\x22]*+\xfd|[^" + _ENDS + rb"]++(?:;[A-Za-z0-9_-]++(?!=))*+)"
    rb"(?:[,;] *+| ++(?=[A-Za-z0-9_-]++=))?)++"
)
_CREDENTIALS: Final = re.compile(rb"[^\x00-\x20\x22\xf5-\xff'`,;&<>()\[\]{}]++")
# RFC 6265: pairs parted by `; `. They end at a quote, or a bracket, that is written as a character reference. A value
# may be in quotes, or JSON as scripts set it; in `expires=Wed, 25 Nov` a blank goes on with the date.
_COOKIE: Final = (
    rb"(?:[^\x00-\x20\x22;,'`&={\xf5-\xff]|&(?!(?:quot|apos|lt|gt|#0*(?:34|39)|#[xX]0*2[27]);)"
    rb"|=(?:\xfd[!#-+.-:<-\[\]-~-]*+\xfd(?=[; \x22\xfe]|\Z))?"
    rb"|\{(?:\xfd[^\x22{}\xfd;\xfc\xfe]++\xfd:(?:[^\x22{}\xfd;\xfc\xfe]++|\xfd[^\x22{}\xfd;\xfc\xfe]*+\xfd)*+\}"
    rb"(?=[; \x22\xfe]|\Z))?"
    rb"|,(?=[^ \x22,:=;\xf5-\xff]{1,256};)"
    rb"|(?<==[MTWFS][a-z][a-z]), [0-9]{1,2}[ -][A-Z][a-z]{2}[ -][0-9]{2,4} [0-9:]{8} GMT"
    rb"|(?<=GMT), (?=[A-Za-z0-9_.-]{1,64}=))++"
)
_AFTER_COMMA: Final = re.compile(rb"[^ \x22,:=;\xf5-\xff]{0,256}+")
_LONGEST_DATE: Final = 68  # and the name after it
_COOKIES: Final = compile_possessive(_COOKIE + rb"(?:; *+" + _COOKIE + rb")*+")


def form_of(name: bytes) -> int:
    """How the value of a name, in lower case, is written."""
    if name.endswith(b"pwd"):
        return _DIRECTORY
    if name.endswith(b"authorization"):
        return AUTHORIZATION
    return COOKIE_PAIRS if name.endswith((b"cookie", b"cookies")) else _ANY_FORM


def cut_of(text: bytes, at: int, separator: int, quote: int, form: int, query: bool) -> Cut | None:
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
    if first == _QUOTE and quote != _QUOTE and text[start + 1 : start + 2] in _CLOSES:
        return None  # that of a string that ends after the separator
    if first in QUOTES:
        return _scalar(text, start + 1, _QUOTED[first].match(text, start + 1).end())  # type: ignore[union-attr]
    if first in b"[{" and (quote or separator == 0x3D):
        wrap = bytes((quote,)) if quote else b""
        end = _brackets_end(text, start, in_json=bool(quote))
        if end == start + 2 and text[end - 1] == 0x5D:
            values = _SLICE.match(text, end)
            if values is not None:
                end = _brackets_end(text, values.end() - 1, in_json=bool(quote))
        return (start, end, wrap + _MASK + wrap)
    if first == 0x5B and start == at + 1:  # after a blank it is a list, or a thread's name, of a sentence
        found = _BRACKETED.match(text, start)
        if found is not None:
            if found[1].lower() in _PLACEHOLDERS or is_masked(found[1]):
                return (start, found.end(), b"")
            return (start, _glued_end(text, found.end()), _MASK)
    if first in b"/:" and separator == 0x3A and not quote:  # `token://`, `secret::path`
        return None
    if form == _DIRECTORY and first in b"/~":  # PWD=/home/..., the working directory
        return None
    if form in (AUTHORIZATION, COOKIE_PAIRS):
        found = _CREDENTIALS.match(text, start)
        if found is not None and found.end() < len(text):
            end = _wrapped_end(text, start, found.end())
            if end > found.end():
                return _scalar(text, start, end)
    if form == AUTHORIZATION:
        return _authorization(text, start)
    if form == COOKIE_PAIRS and separator == 0x3A:
        if text.startswith(_MASK, start):
            return (start, start + len(_MASK), b"")
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
            if found is None:
                return None
            return _scalar(text, start, _wrapped_end(text, start, end) if end < len(text) else end)
    found = (_PARAMETER if query else _BARE).match(text, start)
    return None if found is None else _scalar(text, start, found.end())


def _wrapped_end(text: bytes, start: int, end: int) -> int:
    """Where a value ends that is in quotes or brackets after a prefix or its type; ``end`` if it is not."""
    opens = text[end]
    if opens not in OPENS:
        return end
    if opens in QUOTES:
        if end - start > 2 or text[start:end].strip(_PREFIXES) or text[end + 1 : end + 2] in _AFTER_QUOTE:
            return end  # the quote closes a string that the pair is in
        close = _QUOTED[opens].match(text, end + 1).end()  # type: ignore[union-attr]  # matches the empty string
        return _glued_end(text, close + 1) if close < len(text) and text[close] == opens else end
    found = _WRAPPED.match(text, start)
    return end if found is None else _glued_end(text, found.end())


def _glued_end(text: bytes, end: int) -> int:
    """Where what directly follows a value ends: it would be part of the value once that is masked."""
    found = _CREDENTIALS.match(text, end)
    return end if found is None else found.end()


def read_to(text: bytes, start: int, end: int) -> int:
    """How far text is read to know that a value ends at ``end``, where quotes or brackets open; at the least."""
    if text[end] in QUOTES:
        closes = start and text[start - 1] == text[end]
        if closes or end - start > 2 or text[start:end].strip(_PREFIXES):
            return end
        return end + 2 if text[end + 1 : end + 2] in _AFTER_QUOTE else len(text)
    stop = _CONTENT.match(text, end + 1).end()  # type: ignore[union-attr]  # matches the empty string
    goes_on = text[stop : stop + 1]
    inner = goes_on == b"(" and _TYPE.fullmatch(text, end + 1, stop) is not None
    return len(text) if inner or goes_on == b"\xfd" else stop + 1


def is_open(text: bytes, start: int, limit: int) -> bool:
    """Whether a bracket opens at ``start`` that something else before ``limit`` keeps from being closed."""
    if text[start : start + 1] != b"[":
        return False
    stop = _CONTENT.match(text, start + 1).end()  # type: ignore[union-attr]  # matches the empty string
    return stop < limit and text[stop : stop + 1] not in (b"(", b")")


def cookie_read_to(text: bytes, end: int) -> int:
    """How far text is read to know that a cookie ends at ``end``, at the least."""
    if text[end : end + 1] != b",":
        return end
    if text[end - 4 : end - 3] == b"=" or text.endswith(b"GMT", 0, end):
        return end + _LONGEST_DATE
    return _AFTER_COMMA.match(text, end + 1).end()  # type: ignore[union-attr]  # matches the empty string


def element_before(text: bytes, at: int) -> Cut | None:
    """The cut of the content of the element that ends at ``at``, if it has attributes or is a CDATA section."""
    first = max(at - _LONGEST_ELEMENT, 0)
    first = max(first, text.rfind(b'"', first, at) + 1)  # no other string of the batch
    closing = text.rfind(b"</", first, at)
    end = closing
    if text.endswith(_CDATA_END, 0, closing):
        end -= len(_CDATA_END)
        content = text.rfind(_CDATA, first, end)
        start = content + len(_CDATA)
    else:
        start = content = text.rfind(b">", first, closing) + 1
    opening = text.rfind(b"<", first, max(content - 1, 0))
    if content <= 0 or opening < 0 or text[content - 1] != 0x3E:
        return None
    tag, name = text[opening + 1 : content - 1], text[closing + 2 : at]
    if not tag.startswith(name) or (len(tag) == len(name) and start == content):
        return None  # another element's, or one whose beginning says it all
    if len(tag) > len(name) and _ATTRIBUTES.fullmatch(tag, len(name)) is None:
        return None
    value = text[start:end]
    if _QUOTE in value or (0x3C in value and start == content):  # of JSON text: another string's
        return None
    return _scalar(text, start, end)


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
        if text[start : start + 1] and text[start] in QUOTES:
            return _scalar(text, start + 1, _QUOTED[text[start]].match(text, start + 1).end())  # type: ignore[union-attr]
        found = _CREDENTIALS.match(text, start)
    return None if found is None else _scalar(text, start, found.end())


def _brackets_end(text: bytes, start: int, *, in_json: bool) -> int:
    """Where the brackets that open at ``start``, in JSON text inside a string, close, or the string's end.

    Not ``in_json``, brackets that do not close end where a quote does, perhaps that of a string they are in.
    """
    depth = 1
    end = start + 1
    while depth:
        token = _TOKEN.match(text, end)
        if token is None:
            pattern = _STRING_END if in_json else _QUOTED[_QUOTE]
            return pattern.match(text, start + 1).end()  # type: ignore[union-attr]  # matches the empty string
        end = token.end()
        depth += 1 if token[1] in b"[{" else -1
    return end

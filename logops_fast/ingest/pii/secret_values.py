"""How the value of a secret's name is written in text, and so where it ends.

One that is quoted ends with its quote, one in brackets with the bracket that closes it, any other where a parameter, a
list or a sentence would go on.
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.pii.cuts import Cut, is_masked
from logops_fast.ingest.pii.json_spans import CLOSES, brackets_end, escaped_end
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
_MAY_WRAP: Final = OPENS + b"\xfc"
_ESCAPED_WRAP: Final = re.compile(
    rb"(?:[bBfFrRuU]{1,2}+|[A-Za-z_][A-Za-z0-9_.:]{0,64}+(?:\(|\[))\xfc++(?:\xfd|u002[27])(?!\xfd?+[ ,:;)\]}\x22]|\Z)"
)
_TYPE: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_.:]{0,64}+")
_CONTENT: Final = re.compile(rb"[^()\[\]\x22\xfd\xfe]{0,256}+")
_AFTER_QUOTE: Final = frozenset((b"", b'"', *(bytes((byte,)) for byte in b" ,:;)]}\xfc\xfd\xfe\xff'`")))
_PREFIXES: Final = b"bBfFrRuU"
# `X-Api-Key:[...]`, as Go prints a header. Placeholders are not masked again.
_BRACKETED: Final = re.compile(rb"\[([^\[\]\x22\xfd\xfe]{1,512}+)\]")


def _strings(most: int) -> bytes:
    """Alternatives: a string of up to so many bytes in either kind of quotes."""
    return rb"'[^'\xfc\xfd\xfe\x22]{0,%d}+'|\xfd[^\xfc\xfd\x22]{0,%d}+\xfd" % (most, most)


# `cookies: {'session': '...'}`, `secret: ["...", "..."]`: after a blank only what is made of strings is a value,
# and not a list of a sentence. Bounded, as a text may be full of those that do not close.
_ITEMS: Final = (
    rb"(?=['\xfd\xfc])(?: ?(?:" + _strings(256) + rb"|\xfc\xfd[^\xfc\xfd\x22]{0,256}+\xfc\xfd"
    rb"|[^ '\xfc\xfd\xfe\x22\[\]{},:]{1,64}+) ?(?:,|:|=>|(?=[\]}]))){1,32}+"
)
_STRING: Final = rb"(?:" + _strings(64) + rb")"
_NOT_OF_STRINGS: Final = re.compile(  # as is seen at its beginning
    rb"[\[{](?:" + _STRING + rb" ?[^ ,:=\]}]"
    rb"|(?: ?(?:" + _STRING + rb"|[A-Za-z0-9_.-]{1,64}) ?(?:,|:|=>)){1,3} ?[\[{(;])"
)  # fmt: skip
_OF_STRINGS: Final = compile_possessive(rb"\[" + _ITEMS + rb"\]|\{" + _ITEMS + rb"\}")
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
# An escape of JSON that this text holds undecoded is what it stands for: `\n`, `\"` and `\u0027` end a bare value,
# Gson's `\u003d` and PHP's `\/` are part of it.
_PLAIN_ESCAPE: Final = (
    rb"\xfc{1,4}+(?:/|u(?!00(?:[01][0-9A-Fa-f]|2[026789cC]|3[bBcCeE]|5[bBdD]|60|7[bBdD]))[0-9A-Fa-f]{4})"
)
_ESCAPE: Final = rb"(?:\xfc(?![nrtbfu/\xfc\xfd\x22])|" + _PLAIN_ESCAPE + rb")"
_ENDS: Final = rb"\x00-\x20\x22\xf5-\xfb\xfc\xfd\xfe\xff'`,;&<>()\[\]{}"
_BARE: Final = compile_possessive(rb"(?:[^" + _ENDS + rb"]|" + _ESCAPE + rb")++")
_PARAMETER: Final = compile_possessive(rb"(?:[^" + _ENDS + rb"#]|" + _ESCAPE + rb")++")
_ELEMENT: Final = re.compile(rb"[^<\x22\xfd]++(?=</)")
_QUOTED: Final = {
    0xFD: compile_possessive(rb"(?:[^\xfd\xfc\x22]|\xfc[^\x22])*+"),
    # An escaped quote ends them as a quote does: it is that of a string in JSON text that is a string of JSON text.
    0x27: compile_possessive(rb"(?:[^'\xfc\x22\xfd\xfe]|\xfc(?!\xfc{0,32}+\xfd)[^\x22])*+"),
    0x60: compile_possessive(rb"(?:[^`\xfc\x22\xfd\xfe]|\xfc(?!\xfc{0,32}+\xfd)[^\x22])*+"),
}
_ESCAPED_QUOTE: Final = re.compile(rb"\xfc++\xfd")
_NUMBER: Final = re.compile(rb"-?[0-9][0-9.eE+-]*+(?=[ \xfe\xff\xf5]*+[,}\]])")
# Reveals nothing; `(using password: YES)` is MySQL's.
_PLAIN: Final = frozenset(
    (
        *(b"null", b"true", b"false", b"none", b"None", b"True", b"False", b"nil", b"YES", b"NO", b"yes", b"no", _MASK),
        *(b",", b":", b", ", b": "),  # between two strings of JSON text
    )
)

# Words that follow `token: ` in a sentence. As a password one of them protects nothing.
_STATUS: Final = frozenset(
    b"a an and are at bad be cannot changed connection context could created deleted denied did does empty error "
    b"expired failed failure for forbidden found from had has have illegal in incorrect invalid is loaded malformed "
    b"mismatch missing must not of ok on or permission received refreshed rejected required revoked rotated set should "
    b"the to too unauthorized unexpected unknown unset unsupported updated valid was were will with wrong".split()
)

# RFC 9110, 11.4: a scheme, then one token or parameters. The scheme stays; a word with a digit in it is no scheme but a
# bare key, except for Amazon's.
_SCHEME: Final = re.compile(rb"(?:AWS4-[A-Z0-9-]{1,32}|[A-Za-z][A-Za-z-]{0,31})(?:[ +\xff]|\xfc{1,3}t)++(?=[^ +\xff])")
_EQUALS: Final = rb"(?:=|\xfc{1,4}+u003[dD])"
_PARAMETER_BEGINS: Final = re.compile(rb"[A-Za-z0-9_-]++" + _EQUALS)
_PARAMETERS: Final = compile_possessive(
    rb"(?:[A-Za-z0-9_-]++" + _EQUALS + rb"(?:\xfd[^\xfd\x22]*+\xfd"
    rb"|\xfc\xfd[^\xfc\xfd\x22]*+\xfc\xfd|\xfc{3}\xfd[^\xfc\xfd\x22]*+\xfc{3}\xfd"
    rb"|(?:[^" + _ENDS + rb"]|" + _PLAIN_ESCAPE + rb")++(?:;[A-Za-z0-9_-]++(?!" + _EQUALS + rb"))*+)"
    rb"(?:[,;] *+| ++(?=[A-Za-z0-9_-]++" + _EQUALS + rb"))?)++"
)
_CREDENTIALS: Final = re.compile(rb"[^\x00-\x20\x22\xf5-\xff'`,;&<>()\[\]{}]++")
# RFC 6265: pairs parted by `; `. They end at a quote, or a bracket, that is written as a character reference. A value
# may be in quotes, or JSON as scripts set it; in `expires=Wed, 25 Nov` a blank goes on with the date.
_COOKIE: Final = (
    rb"(?:[^\x00-\x20\x22;,'`&<>={\xf5-\xff]|&(?!(?:quot|apos|lt|gt|#0*(?:34|39)|#[xX]0*2[27]);)"
    rb"|" + _EQUALS + rb"(?:\xfd[!#-+.-:<-\[\]-~-]*+\xfd(?=[; \x22\xfe]|\Z)"
    rb"|\xfc\xfd[!#-+.-:<-\[\]-~-]*+\xfc\xfd(?=[; \x22\xfd])"
    rb"|\xfc{3}\xfd[!#-+.-:<-\[\]-~-]*+\xfc{3}\xfd(?=[; \x22\xfc\xfd]))?|"
    + _PLAIN_ESCAPE
    + rb"|\{(?:\xfd[^\x22{}\xfd;\xfc\xfe]++\xfd:(?:[^\x22{}\xfd;\xfc\xfe]++|\xfd[^\x22{}\xfd;\xfc\xfe]*+\xfd)*+\}"
    rb"(?=[; \x22\xfe]|\Z))?"
    rb"|,(?=[^ \x22,:=;\xf5-\xff]{1,256};)"
    rb"|, (?=[A-Za-z0-9_.-]{1,64}=[^ \x22,;=\xf5-\xff]{1,256};)"
    rb"|(?<==[MTWFS][a-z][a-z]), [0-9]{1,2}[ -][A-Z][a-z]{2}[ -][0-9]{2,4} [0-9:]{8} GMT"
    rb"|(?<=GMT), (?=[A-Za-z0-9_.-]{1,64}=))++"
)
_AFTER_COMMA: Final = re.compile(rb"[^ \x22,:=;\xf5-\xff]{0,256}+")
_AFTER_JOIN: Final = re.compile(rb"[A-Za-z0-9_.-]{0,64}(?:=[^ \x22,;=\xf5-\xff]{0,256})?")
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
    if first == _QUOTE and quote != _QUOTE and text[start + 1 : start + 2] in CLOSES:
        return None  # that of a string that ends after the separator
    if first in QUOTES:
        return _scalar(text, start + 1, _QUOTED[first].match(text, start + 1).end())  # type: ignore[union-attr]
    if first == _BACKSLASH:
        opening = _ESCAPED_QUOTE.match(text, start)
        if opening is not None:
            if quote != _QUOTE and text[opening.end() : opening.end() + 1] in CLOSES:
                return None
            return _scalar(text, opening.end(), escaped_end(text, opening.start(), opening.end()))
    if first in b"[{" and (quote or separator == 0x3D):
        wrap = bytes((quote,)) if quote else b""
        end = brackets_end(text, start, in_json=bool(quote))
        if end == start + 2 and text[end - 1] == 0x5D:
            values = _SLICE.match(text, end)
            if values is not None:
                end = brackets_end(text, values.end() - 1, in_json=bool(quote))
        return (start, end, wrap + _MASK + wrap)
    if first in b"[{" and start > at + 1:
        found = _OF_STRINGS.match(text, start)
        if found is not None:
            return (start, found.end(), _MASK)
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
    is_sentence = separator == 0x3A and not quote and start > at + 1
    if form == COOKIE_PAIRS and separator == 0x3D:
        form = _ANY_FORM
    return _bare(text, start, quote, form, query, is_sentence=is_sentence)


def _bare(text: bytes, start: int, quote: int, form: int, query: bool, *, is_sentence: bool) -> Cut | None:
    """The cut of a value that is in no quotes or brackets; ``is_sentence``: it may be a word of one."""
    # What `_BARE` is made of, but for escapes: `re` matches it, where the package `regex` takes 0.1 us a byte.
    plain = _CREDENTIALS.match(text, start)
    end = start if plain is None else plain.end()
    follows = text[end] if end < len(text) else 0
    if plain is not None:
        if is_sentence and plain[0] in _STATUS:
            return (start, end, b"")
        if follows in _MAY_WRAP:
            if _ESCAPED_WRAP.match(text, start) is not None:
                return None  # `Some(\\"`, `b\\u0027` in JSON text: how it goes on is seen once it is decoded
            wrapped = end if query else _wrapped_end(text, start, end)
            if wrapped > end:
                return _scalar(text, start, wrapped)
    if form == AUTHORIZATION:
        return _authorization(text, start)
    if form == COOKIE_PAIRS:
        if text.startswith(_MASK, start):
            return (start, start + len(_MASK), b"")
        found = _COOKIES.match(text, start)
        return None if found is None else _scalar(text, start, found.end())
    if quote:
        found = _NUMBER.match(text, start)
        if found is not None:  # in JSON text a number becomes a string
            wrap = bytes((quote,))
            return (start, found.end(), wrap + _MASK + wrap)
    if not query and follows != _BACKSLASH:
        return None if plain is None else _scalar(text, start, end)
    found = (_PARAMETER if query else _BARE).match(text, start)
    return None if found is None else _scalar(text, start, found.end())


def _wrapped_end(text: bytes, start: int, end: int) -> int:
    """Where a value ends that is in quotes or brackets after a prefix or its type; ``end`` if it is not."""
    opens = text[end]
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
    if text[start : start + 1] == b" ":
        found = _NOT_OF_STRINGS.match(text, start + 1)
        return found is not None and found.end() <= limit
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
    if text[end + 1 : end + 2] == b" ":
        return _AFTER_JOIN.match(text, end + 2).end() + 1  # type: ignore[union-attr]  # matches the empty string
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

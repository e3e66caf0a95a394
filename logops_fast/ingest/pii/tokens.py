"""Credentials of HTTP, wherever they stand: ``Bearer ***``, ``Basic ***``, ``Digest ***``, and JSON Web Tokens."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from logops_fast.ingest.pii.cuts import Cut, is_masked
from logops_fast.ingest.pii.keyforms import LONG_WORD, SHAPE
from logops_fast.patterns import compile_possessive

_MASK: Final = b"***"
_JWT_MASK: Final = b"***jwt***"

# RFC 6750, 2.1 asks for a token68; what is sent is often more (`17|...`, `client:secret`), so a token ends as text
# does: at a blank, a quote, a bracket, `,`, `;` or `&`. 0xFF is a tab, 0xFC a backslash that begins no escape.
_TOKEN: Final = rb"(?:[^\x00-\x20\x22\xf5-\xff'`,;&<>()\[\]{}]|\xfc(?![nrtbfu/\xfc\xfd\x22]))++"
_SCHEME: Final = re.compile(rb"bearer(?<![a-z0-9_]bearer)")  # in text of lower case; so are the others
# The window of text around the end of a scheme by which a token is recognised as one that was seen before.
_BEFORE: Final = 32
_AFTER: Final = 48
_REMEMBERED: Final = 512
_SCHEME_LENGTH: Final = len(b"bearer")
# Blanks, the no-break one too, or what assigns.
_BEARER_AT: Final = compile_possessive(
    rb"((?:[ \xff+]|\xc2\xa0)++|[ \xff]*+[:=][ \xff]*+)(['`\xfd]?+)(" + _TOKEN + rb")"
)
# English and the radio networks' words: bearer bonds, bearer setup, bearer token expired, `Bearer realm="api"`.
WORDS: Final = frozenset(
    b"activated activation and as auth authentication authorization authorisation capability channel check "
    b"cheque bond bonds certificate credential credentials context deactivated deactivation error "
    b"establishment expired failed failure flow for from has have header headers id in independent invalid is "
    b"lost may missing modified must modification must not of on or plane rejected released release realm "
    b"required response scheme scope schemes service services setup shall share shares should supported the to "
    b"token tokens type was were will with without".split()
)
_WORD: Final = compile_possessive(rb"[A-Za-z]?[a-z]++(?:-[a-z]++)*+")
_LONGEST_WORD: Final = 16
_IS_KIND: Final = re.compile(rb"(?:[Tt]ype|TYPE|[Mm]ethod|[Ss]cheme)[\xfd']? ?[:=] ?\Z")
_SHORT_NUMBER: Final = re.compile(rb"[0-9]{1,5}")
_STOPS: Final = b".:!?-"
_ASSIGNS: Final = b":=\xfd'"

# RFC 7617: base64 of `user:password`. Words such as "basic auth disabled" are no base64 of that.
_BASIC: Final = re.compile(rb"basic(?<![a-z0-9_]basic)")
_BASIC_AT: Final = compile_possessive(rb"(?:[ +\xff]|\xc2\xa0)++['`\xfd]?+([A-Za-z0-9+/_-]{4,}+=*+)")
# RFC 7616: the parameters of credentials; a challenge has neither `username` nor `response`.
_DIGEST: Final = re.compile(rb"digest(?<![a-z0-9_]digest)")
_DIGEST_BEGINS: Final = re.compile(rb" ++(?=[a-z]++=)")
_DIGEST_PARAMETERS: Final = compile_possessive(
    rb"[a-z]++=(?:\xfd[^\xfd\x22]*+\xfd|[^\x00-\x20\x22,;'`\xf5-\xff]++)"
    rb"(?:, *+[a-z]++=(?:\xfd[^\xfd\x22]*+\xfd|[^\x00-\x20\x22,;'`\xf5-\xff]++))*+"
)
_DIGEST_ANSWER: Final = re.compile(rb"(?:username|response)=")
_DIGEST_REACH: Final = 2048  # how far after its beginning a credential has one of them

# RFC 7519: base64url of a JOSE header, a JSON object: `{"` begins eyJ, `{ ` eyA, with a line end ewo or ew0. JWS has
# three parts, JWE five, of which some may be empty; of one that was cut the claims are left: two parts, both objects.
_OBJECT: Final = rb"(?:eyJ|eyA|ewo|ew0|ewk|e30)"
# A word may end in `eyJ` (`keyJson.a.b`): with a letter in front the header is at least as long as one can be.
# `ewo` may also begin a word (`ewords.co.uk`): without `eyJ` the second part must be an object, too.
_JWT: Final = compile_possessive(
    rb"e(?:yJ(?:(?<![A-Za-z0-9]eyJ)[A-Za-z0-9_-]*+|[A-Za-z0-9_-]{12,}+)"
    rb"((?:\.[A-Za-z0-9_-]*+){2,4}+|\." + _OBJECT + rb"[A-Za-z0-9_-]{4,}+)?"
    rb"|(?<![A-Za-z0-9].)(?:yA|wo|w0|wk)[A-Za-z0-9_-]{8,}+(\." + _OBJECT + rb"[A-Za-z0-9_-]*+(?:\.[A-Za-z0-9_-]*+)*+)?)"
)
_USUAL_BEGINNING: Final = b"eyJ"
_SECOND_OBJECT: Final = re.compile(rb"\.(?=e(?:y[JA]|w[o0k]|30))")


def _places(text: bytes, word: re.Pattern[bytes]) -> list[int]:
    """Where ``word`` ends in the text, as a word of its own, in any case."""
    return [found.end() for found in word.finditer(text.lower())]


# What the text of a token is by itself.
_NONE: Final = 0
_TOKEN_OR_WORD: Final = 1
_SURELY: Final = 2


def find_bearer(text: bytes) -> list[Cut]:
    """Bearer tokens in neutral text."""
    cuts: list[Cut] = []
    known: dict[bytes, int] = {}
    seen: dict[bytes, tuple[int, int]] = {}
    size = len(text)
    for at in _places(text, _SCHEME):
        if at == size or text[at] not in b" \xff+:=\xc2":
            continue  # what `_BEARER_AT` begins with is not there: the package `regex` takes 0.4 us to say so
        window = text[at - _BEFORE : at + _AFTER] if at >= _BEFORE else b""
        span = seen.get(window)
        if span is None:
            span = _bearer(text, at, known)
            if window and span[1] < _AFTER - 1 and len(seen) < _REMEMBERED:
                seen[window] = span
        if span[0]:
            cuts.append((at + span[0], at + span[1], _MASK))
    return cuts


def _bearer(text: bytes, at: int, known: dict[bytes, int]) -> tuple[int, int]:
    """Start and end of the token after the scheme that ends at ``at``, counted from there.

    Without a token the start is 0, and the end says how far was read.
    """
    found = _BEARER_AT.match(text, at)
    if found is None:
        return 0, _AFTER
    gap, quote, token = found.groups()
    judged = known.get(token)
    if judged is None:
        judged = known[token] = _judge(token)
    end = found.end()
    blank = not quote and gap.strip(b" \xff\xc2\xa0") == b""
    if blank and _IS_KIND.search(text, max(0, at - _BEFORE), at - _SCHEME_LENGTH) is not None:
        return 0, end - at  # `token_type=bearer expires_in=3600`
    if judged == _NONE or (
        judged == _TOKEN_OR_WORD
        and not quote
        and gap in (b" ", b"\xc2\xa0")
        and not _is_value(text, at - _SCHEME_LENGTH, end)
    ):
        return 0, end - at
    return end - len(token) - at, end - at


def _judge(token: bytes) -> int:
    """What a token is by its text: none, perhaps a word of a sentence, or surely one."""
    bare = token.rstrip(_STOPS)
    if not bare or is_masked(token) or bare.lower() in WORDS or bare.partition(b"=")[0].lower() in WORDS:
        return _NONE
    return _TOKEN_OR_WORD if _reads_as_word(bare) else _SURELY


def _is_value(text: bytes, start: int, end: int) -> bool:
    """Whether ``Bearer ...`` is a value: something assigns it, or it is a string of its own."""
    before = text[start - 1 : start]
    if before == b'"':
        return text[end : end + 1] == b'"'
    if before == b" ":
        before = text[max(0, start - 4) : start].rstrip(b" ")[-1:]
    return before in _ASSIGNS and before != b""


def _reads_as_word(token: bytes) -> bool:
    if _SHORT_NUMBER.fullmatch(token) is not None:
        return True
    return len(token) < _LONGEST_WORD and _WORD.fullmatch(token) is not None


def find_basic(text: bytes) -> list[Cut]:
    """Basic credentials in neutral text."""
    cuts: list[Cut] = []
    known: dict[bytes, bool] = {}
    for at in _places(text, _BASIC):
        found = _BASIC_AT.match(text, at)
        if found is None:
            continue
        token = found[1]
        judged = known.get(token)
        if judged is None:
            judged = known[token] = _is_user_and_password(token)
        if judged:
            end = found.end()
            cuts.append((end - len(token), end, _MASK))
    return cuts


def _is_user_and_password(token: bytes) -> bool:
    token = token.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return b":" in base64.b64decode(token + b"=" * (-len(token) % 4))
    except binascii.Error:
        return False


def find_digest(text: bytes) -> list[Cut]:
    """The parameters of Digest credentials in neutral text."""
    cuts: list[Cut] = []
    answers: list[int] = []
    last = following = 0
    for at in _places(text, _DIGEST):
        if at < last:
            continue
        # Asked with `re` first: `regex` looks for the `=` that its pattern needs in all of the text, each time.
        begins = _DIGEST_BEGINS.match(text, at)
        if begins is None:
            continue
        start = begins.end()
        if not answers:  # once for all credentials: to look ahead from each costs 2.8 s a MiB of challenges
            answers = [found.start() for found in _DIGEST_ANSWER.finditer(text, start)]
            answers.append(len(text) + _DIGEST_REACH)
        while answers[following] < start:
            following += 1
        answer = answers[following]
        if answer - start > _DIGEST_REACH or text.find(b'"', start, answer) >= 0:
            continue
        found = _DIGEST_PARAMETERS.match(text, start)
        if found is not None:
            last = found.end()
            cuts.append((start, last, _MASK))
    return cuts


def find_jwts(text: bytes) -> list[Cut]:
    """Return the JSON Web Tokens in neutral text."""
    # The usual beginning first: the pattern alone would stop at each `e`, the most frequent of letters.
    cuts: list[Cut] = []
    at = text.find(_USUAL_BEGINNING)
    while at >= 0:
        found = _JWT.match(text, at)
        end = at + len(_USUAL_BEGINNING) if found is None else found.end()
        if found is not None and found.lastindex is not None:
            cuts.append((at, end, _JWT_MASK))
        at = text.find(_USUAL_BEGINNING, end)
    # A token that begins in another way has a second object, after a dot. The string that it is in is read once more,
    # and only that one, so that no string's mask depends on its neighbours.
    again: list[Cut] = []
    strings: list[tuple[int, int]] = []
    known = done = 0
    second = _SECOND_OBJECT.search(text)
    while second is not None:
        at = second.start()
        while known < len(cuts) and cuts[known][1] <= at:
            known += 1
        if known < len(cuts) and cuts[known][0] <= at:
            done = cuts[known][1]  # within a token that is known
        else:
            start = text.rfind(b'"', 0, at) + 1
            done = text.find(b'"', at)
            if done < 0:
                done = len(text)
            strings.append((start, done))
            again += _of_any_beginning(text, start, done)
        second = _SECOND_OBJECT.search(text, done)
    if not strings:
        return cuts
    kept: list[Cut] = []
    known = 0
    for cut in cuts:
        while known < len(strings) and strings[known][1] <= cut[0]:
            known += 1
        if known == len(strings) or cut[0] < strings[known][0]:
            kept.append(cut)
    return sorted(kept + again)


def _of_any_beginning(text: bytes, start: int, end: int) -> list[Cut]:
    """The tokens of one string. The trigger asks for the usual beginning or a long word."""
    shape = text[start:end].translate(SHAPE)
    return [
        (*found.span(), _JWT_MASK)
        for found in _JWT.finditer(text, start, end)
        if found.lastindex is not None
        and (
            _USUAL_BEGINNING in found[0]
            or shape.find(LONG_WORD, max(0, found.start() - start - 1), found.end() - start) >= 0
        )
    ]

"""Keys that their form gives away: those of cloud providers and services, and PEM blocks of private keys."""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.pii.cuts import Cut
from logops_fast.patterns import compile_possessive

_MASK: Final = b"***"
_WORD: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_TOKEN: Final = _WORD + b"_-."
_PREFIX: Final = 64  # three numbers of Slack's and more

# Each after something that is no letter or digit.
FORMS: Final[dict[str, bytes]] = {
    "AWS access key id": rb"A(?:KIA|SIA|GPA|IDA|ROA|IPA|NPA|NVA|BIA|CCA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    "GitHub token": rb"gh[pousr]_[A-Za-z0-9]{20,255}",
    "GitHub fine-grained token": rb"github_pat_[A-Za-z0-9_]{22,255}",
    "GitLab token": rb"(?:gl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|soat|ffct|imt|agent|wt)-|GR1348941)[A-Za-z0-9_.-]{20,255}",
    "Slack token": rb"xox[a-z][.-][A-Za-z0-9.%-]{10,255}|xapp-[0-9]-[A-Za-z0-9-]{10,255}",
    "Stripe key": rb"[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}|whsec_[A-Za-z0-9]{20,255}",
    "Google API key": rb"AIza[A-Za-z0-9_-]{35}",
    "Google OAuth token or secret": rb"GOCSPX-[A-Za-z0-9_-]{20,64}|ya29\.[A-Za-z0-9_-]{20,2048}"
    rb"|1//0[A-Za-z0-9_-]{30,512}",
    "npm token": rb"npm_[A-Za-z0-9]{36,64}",
    "PyPI token": rb"pypi-A[A-Za-z0-9_-]{20,1024}",
    "SendGrid key": rb"SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}",
    "OpenAI or Anthropic key": rb"sk-(?:[a-z0-9]{2,12}-)?[A-Za-z0-9_-]*[A-Z0-9][A-Za-z0-9_-]{19,255}",
    "Hugging Face token": rb"hf_[A-Za-z0-9]{30,64}",
    "DigitalOcean token": rb"do[opr]_v1_[a-f0-9]{64}",
    "Vault token": rb"hv[sbr]\.[A-Za-z0-9_-]{24,255}",
    "Shopify token": rb"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    "Docker Hub token": rb"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,64}",
    "Grafana token": rb"gl(?:sa|c)_[A-Za-z0-9_+/=-]{32,400}",
    "Sentry token": rb"sntry[su]_[A-Za-z0-9_+/=-]{40,512}",
    "RubyGems key": rb"rubygems_[a-f0-9]{48}",
    "Linear key": rb"lin_(?:api|oauth)_[A-Za-z0-9]{32,64}",
    "New Relic key": rb"NRAK-[A-Z0-9]{27}",
    "Postman key": rb"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
    "Slack or Discord webhook": rb"(?:(?<=hooks\.slack\.com/services/)|(?<=hooks\.slack\.com/workflows/)"
    rb"|(?<=hooks\.slack\.com/triggers/))[A-Za-z0-9_/-]{20,255}|(?<=/api/webhooks/)[0-9]{15,21}/[A-Za-z0-9_-]{40,100}",
    "age identity": rb"AGE-SECRET-KEY-1[0-9A-Z]{58}",
}
"""The forms by issuer, as patterns; shown in docs/privacy.md."""

_FORM: Final = re.compile(rb"(?<![A-Za-z0-9])(?:" + b"|".join(FORMS.values()) + rb")")
# Without a separator before the long part: found by their first letter, which is rare as a capital.
CAPITAL_A: Final = re.compile(rb"A(?:[KSGRBI][IOPDZz][ABa]|IDA|NPA|NVA|CCA)")
# Forms that begin before a slash: by how they start.
_REFRESH: Final = b"1//0"
_WEBHOOK: Final = b"hooks"
_WEBHOOK_AT: Final = re.compile(rb"hooks(?:\.slack\.com/(?:services|workflows|triggers))?/")

# RFC 7468; the text between, with line ends in any spelling, is masked. Without an end, what is base64.
_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?)-----")
_PEM_BODY: Final = compile_possessive(rb"(?:[A-Za-z0-9+/=:,. \xfe\xff\xf5-]|\xfc[nrt])*+")
_PEM_END: Final = b"-----END "
PRIVATE_KEY: Final = b"PRIVATE KEY"

SHAPE: Final = bytes(
    0x61 if byte in _WORD else 0x5F if byte in b"_-./" else byte if byte == 0x0A else 0x20 for byte in range(256)
)
"""For a copy with the same lines in which each letter and digit is `a`, what parts a key's pieces `_`."""
LONG_WORD: Final = b"_" + b"a" * 16
"""16 letters or digits in a row after a separator or a slash, as most keys and tokens have them, in a shape."""
SHORT: Final = (b"glpat-", b"GOCSPX-", b"dckr_")
"""How keys of 20 to 28 characters begin, of which a fifth to a third have a separator in each 16."""


def find_keys(text: bytes) -> list[Cut]:
    """The keys and private key blocks in neutral text."""
    cuts = _private_keys(text) if 0x4B in text and text.rfind(PRIVATE_KEY) >= 0 else []
    spans: list[tuple[int, int]] = []
    shape = text.translate(SHAPE)
    at = shape.find(LONG_WORD)
    reached = 0
    while at >= 0:
        start, end = _token(text, at + 1)
        if start < reached:
            start = reached
        spans += [found.span() for found in _FORM.finditer(text, start, end)]
        reached = end
        at = shape.find(LONG_WORD, end)
    if 0x41 in text:
        for found in CAPITAL_A.finditer(text):
            exact = _FORM.match(text, found.start())
            if exact is not None:
                spans.append(exact.span())
    for beginning in SHORT:
        for at in _places(text, beginning):
            exact = _FORM.match(text, at)
            if exact is not None:
                spans.append(exact.span())
    begins = _places(text, _REFRESH)
    if text.rfind(_WEBHOOK) >= 0:
        begins += [found.end() for found in _WEBHOOK_AT.finditer(text)]
    for at in begins:
        exact = _FORM.match(text, at)
        # Either has a long word somewhere: the trigger asks for one.
        if exact is not None and shape.find(LONG_WORD, at - 1, exact.end()) >= 0:
            spans.append(exact.span())
    if spans:
        cuts += [(start, end, _MASK) for start, end in _merged(spans)]
        cuts.sort()
        cuts = _without_overlaps(cuts)
    return cuts


def _places(text: bytes, needle: bytes) -> list[int]:
    """Where ``needle`` is in the text."""
    found: list[int] = []
    at = text.find(needle)
    while at >= 0:
        found.append(at)
        at = text.find(needle, at + 1)
    return found


def _token(text: bytes, at: int) -> tuple[int, int]:
    """The word around ``at``: letters, digits, and what parts the pieces of a key."""
    head = text[max(0, at - _PREFIX) : at]
    start = at - len(head) + len(head.rstrip(_TOKEN))
    end = at
    size = 64
    while True:
        tail = text[end : end + size]
        rest = tail.lstrip(_TOKEN)
        end += len(tail) - len(rest)
        if rest or len(tail) < size:
            return start, end
        size *= 2


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    spans.sort()
    out: list[tuple[int, int]] = []
    for start, end in spans:
        if out and start < out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out


def _without_overlaps(cuts: list[Cut]) -> list[Cut]:
    out: list[Cut] = []
    for cut in cuts:
        if not out or cut[0] >= out[-1][1]:
            out.append(cut)
    return out


def _private_keys(text: bytes) -> list[Cut]:
    cuts: list[Cut] = []
    last = open_until = 0
    for found in _PEM.finditer(text):
        start = found.end()
        if start < last:
            continue
        end = -1
        if start >= open_until:
            limit = text.find(b'"', start)
            limit = limit if limit >= 0 else len(text)
            end = text.find(_PEM_END, start, limit)
            if end < 0:
                open_until = limit  # no block of this string has an end: it is not looked for again
        if end < 0:
            end = _PEM_BODY.match(text, start).end()  # type: ignore[union-attr]  # matches the empty string
        last = end
        if text[start:end].strip(b"*"):
            cuts.append((start, end, _MASK))
    return cuts

"""IPv4 addresses: ``10.1.2.3`` becomes ``10.1.x.x``; versions and object identifiers of the same form stay.

The pattern is anchored at a dot, which is rare, and looks back over a fixed distance.
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.pii.cuts import Cut

_OCTET3: Final = rb"(?:[01][0-9][0-9]|2[0-4][0-9]|25[0-5])"
_OCTET: Final = rb"(?:" + _OCTET3 + rb"|[0-9][0-9]?)(?![0-9])"
_DIGITS: Final = b"0123456789"


def _octet_before() -> bytes:
    """Zero-width: an octet and a dot end here that do not go on to the left.

    Left of the octet is no digit, no ``digit.`` (a longer dotted number), and no ``v`` that is a word of its own:
    ``v1.2.3.4`` is a version, ``dev1.2.3.4`` a name and an address. Any other letter is taken for a neighbour, not for
    a part. A look-behind has one width, so there is one for each length, and the usual neighbours come first.
    """
    octets = (rb"[0-9][0-9]", _OCTET3, rb"[0-9]")
    usual = [rb"(?<=[^0-9.vV]" + octet + rb"\.)" for octet in octets]
    rare = [
        rb"(?<=" + edge + octet + rb"\.)" for octet in octets for edge in (rb"[^0-9]\.", rb"[A-Za-z0-9\x80-\xf4][vV]")
    ]
    return rb"(?:" + b"|".join(usual + rare) + rb")"


# From the first dot on. What is ahead is looked at first, and what is before only if an address is nearly certain.
# Group 1 begins with the octets that are masked; group 2 is there for a fifth number.
_IPV4: Final = re.compile(
    rb"\.(?=[0-9]{1,3}+\.[0-9]{1,3}+\.[0-9])" + _octet_before() + _OCTET + rb"(\." + _OCTET + rb"\." + _OCTET + rb")"
    rb"(\.[0-9]++)?"
)
MAY_BE_IPV4: Final = re.compile(rb"\.(?=[0-9]{1,3}+\.[0-9]{1,3}+\.[0-9])")
"""What every address holds: how the pattern begins, without what is before the dot."""
_MASK: Final = b".x.x"

# What may be a version is looked at closely: the byte before it, and the last letter of the word before a blank.
PLAIN_BEFORE: Final = b"[<|,;@!\xfe\xf5?&{\x00"
SUSPECT: Final = b".nNrRsSdDeEvVfFkK:=\"'\xfd\xff "
_CONTEXT: Final = 40
_VERSION_WORD: Final = re.compile(
    rb"(?:[Vv]ersions?|VERSIONS?|(?<![A-Za-z])(?:[Vv]er|VER|[Bb]uild|BUILD|[Rr]elease|RELEASE|[Rr]evision|[Ff]irmware"
    rb"|[Oo]id|OID|[Oo]bject ?[Ii][Dd](?:entifier)?)|[a-z_](?:Ver|Build|Release|Firmware|Oid|OID))"
    rb"(?:_|-|>|\.?+[ \xff]*+[\xfd'\x22]?+[ \xff]*+[:=]?+[ \xff]*+[\xfd'\x22]?+|\([\xfd'\x22]?+)\Z"
)
# How those words end, and what may be between one and the numbers: the pattern costs five times as much.
_VERSION_ENDS: Final = (b"n", b"N", b"s", b"S", b"r", b"R", b"d", b"D", b"se", b"SE", b"re")
NAME_ENDS: Final = b"nNsSrRdDeE. \xff>(_-"
_BEFORE_WORD_ENDS: Final = b" \xff\xfd'\":"
_BETWEEN: Final = _BEFORE_WORD_ENDS + b"=("
# A pinned package, `example==1.2.3.4`, `example>=1.2.3.4`; not a comparison of addresses, `ip.src == 10.1.2.3`.
_PINNED: Final = re.compile(
    rb"(?<![A-Za-z0-9_.-])(?!(?:ip|src|dst|host|addr|peer|client|remote|server)[a-z_]*[=~<>!]=)[A-Za-z][A-Za-z0-9_.-]*+(?:==|~=|>=|<=|!=)\Z",
    re.IGNORECASE,
)
# Products that a User-Agent names (RFC 9110, 10.1.5) with four numbers.
_PRODUCT: Final = re.compile(rb"(?:\A|[\x00-\x22(;,'\xf5-\xff])([A-Za-z][A-Za-z_+-]*+)/\Z")
_PRODUCTS: Final = frozenset(
    b"chrome headlesschrome chromium opr opera edg edge edga edgios firefox fxios crios safari version "
    b"yabrowser vivaldi samsungbrowser ucbrowser brave electron webview applewebkit trident msie thunderbird "
    b"postmanruntime okhttp curl wget go-http-client python-requests python-urllib aiohttp axios nginx apache "
    b"openssl java dalvik whatsapp qqbrowser micromessenger silk puffin duckduckgo instagram slackbot teams "
    b"slack zoom skype outlook kube-probe aws-cli aws-sdk-java boto libcurl node node-fetch undici jakarta "
    b"netscape seamonkey palemoon whale miuibrowser huaweibrowser cfnetwork darwin coc_coc_browser iron "
    b"epiphany konqueror maxthon sogoumobilebrowser".split()
)
_FILE: Final = re.compile(
    rb"[A-Za-z0-9._+~-]{0,48}?\.(?:deb|rpm|udeb|apk|whl|egg|jar|war|ear|zip|tgz|tbz2?|txz|tar|7z|gz|bz2|xz|zst|exe|msi"
    rb"|msu|cab|dmg|pkg|gem|nupkg|vsix|crate|iso|img|so|dll|snap|flatpak|appimage|AppImage|conda|pom|rar|bin|hex)"
    rb"(?![A-Za-z0-9])"
)
# What follows the version of a package in the names of RPM, and what is before that of an installed gem.
_RPM_RELEASE: Final = re.compile(
    rb"-[0-9][A-Za-z0-9_.~+^]{0,48}?[._](?:el|fc|amzn|x86_64|aarch64|noarch|i[3-6]86|src|ppc64le|s390x)(?![A-Za-z])"
)
_GEM: Final = re.compile(rb"/gems/[A-Za-z0-9_.-]{1,30}-\Z")
_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOCAL: Final = re.compile(rb"(?:127|169\.254|192\.168|172\.(?:1[6-9]|2[0-9]|3[01]))\.")
_HIGHEST_PORT: Final = 65535
_HIGHEST_OCTET: Final = 255


def find_ipv4(text: bytes) -> list[Cut]:
    """The last two octets of each IPv4 address in neutral text."""
    cuts: list[Cut] = []
    for found in _IPV4.finditer(text):
        start, end = found.span(1)
        dot = found.start()
        if found.lastindex == 2 and not _is_port(text, found[2][1:], dot, found.end()):
            continue
        # The octet before the dot has one to three digits.
        first = dot - 2
        if text[first] in _DIGITS:
            first -= 1
            if text[first] in _DIGITS:
                first -= 1
        before = text[first]
        if before == 0x20:
            if text[first - 1] not in SUSPECT or not _is_version(text, first + 1, end):
                cuts.append((start, end, _MASK))
        elif before == 0x22 and text[first - 1] == 0x3A and text[first - 3] not in NAME_ENDS:
            cuts.append((start, end, _MASK))  # `"client_ip":"10.1.2.3"`, whose name does not end as a version's
        elif before == 0x3A and text[first - 1] not in NAME_ENDS and text[first - 1] not in _BETWEEN:
            cuts.append((start, end, _MASK))  # `peer:10.1.2.3`, `::ffff:10.1.2.3`: no word of a version ends so
        elif before in PLAIN_BEFORE or not _is_version(text, first + 1, end):
            cuts.append((start, end, _MASK))
    return cuts


def _is_port(text: bytes, port: bytes, start: int, end: int) -> bool:
    """Whether the fifth number is a port, as tcpdump writes it: too large for a version's, or next to an arrow."""
    if len(port) > 5 or (text[end : end + 1] == b"." and text[end + 1 : end + 2].isdigit()):
        return False
    number = int(port)
    if _HIGHEST_OCTET < number <= _HIGHEST_PORT:
        return True
    head = text[max(0, start - 6) : start].rstrip(_DIGITS).rstrip(b" ")
    return head.endswith(b">") or text[end : end + 2].lstrip(b" ").startswith(b">")


def _is_version(text: bytes, start: int, end: int) -> bool:
    """Whether the four numbers at ``start`` are a version or an object identifier by what is around them."""
    before = text[start - 1]
    head = text[max(0, start - _CONTEXT) : start]
    if before == 0x7E and head.rstrip(b"~")[-1:].isalnum():  # `amd64~~6.1.1.0`, in Windows' names of packages
        return True
    if before == 0x2E and head.endswith(b".so."):  # a shared library
        return True
    if before == 0x2F:
        found = _PRODUCT.search(head)
        if found is None or text[end : end + 1] == b":":
            return False
        return found[1].lower() in _PRODUCTS or (
            text[start:end].endswith(b".0.0.0") or (found[1].istitle() and _LOCAL.match(text, start) is None)
        )
    if before in _BEFORE_WORD_ENDS and not head.rstrip(_BETWEEN).rstrip(b".").endswith(_VERSION_ENDS):
        return False
    if before in b"-_" and text[start - 2] in _LETTERS + _DIGITS and _FILE.match(text, end) is not None:
        return True
    if before == 0x2D and (_RPM_RELEASE.match(text, end) is not None or _GEM.search(head) is not None):
        return True
    if before == 0x40 and text[start - 2] in _LETTERS and _FILE.match(text, end) is not None:
        return True
    return _VERSION_WORD.search(head) is not None or (before == 0x3D and _PINNED.search(head) is not None)

"""Passwords in URLs: ``redis://user:secret@host`` becomes ``redis://user:***@host``.

RFC 3986, 3.2: the authority ends with ``/``, ``?`` or ``#``; the last ``@`` in it ends the user information.
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.pii.cuts import Cut, merged

# Looked ahead at, so that of a list (`nats://u:p@a,nats://u:p@b`) each is found.
_AUTHORITY: Final = re.compile(rb"://(?=([^\x00-\x20\x22/?#<>'`\\\xf5-\xff]*+))")
# A password with `/`, `?` or `#` in it that was not encoded: what comes after the colon is no port.
_UNENCODED: Final = re.compile(
    rb"[^\x00-\x20\x22/?#@:\[\]<>'`\\\xf5-\xff]*+:(?![0-9]*+[/?#])[^\x00-\x20\x22@<>'`\\\xf5-\xff]{1,128}@"
)
_MASK: Final = b"***"


def find_url_passwords(text: bytes) -> list[Cut]:
    """The passwords in the URLs of neutral text."""
    cuts: list[Cut] = []
    reached = 0
    overlap = False  # a URL in the password of another: `https://u:x://v:y@h`
    for found in _AUTHORITY.finditer(text):
        authority = found[1]
        user, at, _ = authority.rpartition(b"@")
        if not at:
            unencoded = _UNENCODED.match(text, found.end()) if 0x3A in authority else None
            if unencoded is None:
                continue
            user = unencoded[0][:-1]
        colon = user.find(b":")
        if colon < 0:
            continue
        password = user[colon + 1 :]
        if not password.strip(b"*"):
            continue
        start = found.start(1) + colon + 1
        overlap = overlap or start < reached
        reached = start + len(password)
        cuts.append((start, reached, _MASK))
    return merged(cuts) if overlap else cuts

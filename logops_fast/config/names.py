"""The names that clients, emitters and scenarios may have."""

from __future__ import annotations

import re
from typing import Final

NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
NAME_RULE: Final = "1 to 64 characters of A-Z a-z 0-9 . _ -"


def is_name(text: object) -> bool:
    """Return whether ``text`` may name a client or an emitter: safe in headers, labels, file names and log lines."""
    return isinstance(text, str) and NAME.fullmatch(text) is not None

"""The level of a line of free text, by a word that stands in it."""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.levels import level_of

# Without a look-behind in front: it would cost the engine its search for first letters, four times the time. What
# stands before a word is looked at afterwards.
_WORDS: Final = b"TRACE|DEBUG|INFO|NOTICE|WARNING|WARN|ERROR|ERR|SEVERE|CRITICAL|CRIT|ALERT|FATAL|EMERGENCY|EMERG|PANIC"
# In small letters the others are words of prose more often than levels.
_SMALL_WORDS: Final = b"trace|debug|info|warning|warn|error|err|critical|crit|fatal"
_END: Final = rb"(?![\w/@-]|\.\w)"
_CAPITALS: Final = re.compile(b"(?:" + _WORDS + b")" + _END)
_SMALL: Final = re.compile(b"(?:" + _SMALL_WORDS + b")" + _END)
# A word of its own: in "/error", "no-error", "x.error", "my_error" it is part of another name.
_JOINING: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./@-")
_NAMED: Final = re.compile(rb"(?:level|lvl|severity)[\"']?[=:] ?[\"']?(" + _WORDS.lower() + rb")\b")
_COLOUR: Final = re.compile(rb"\x1b\[[0-9;]*+m")  # ECMA-48 SGR; container logs are full of it
_KLOG: Final = re.compile(r"([IWEF])[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}\.")
_LOOKED_AT: Final = 1024  # characters: a level stands in front


def level_word(text: str) -> str | None:
    """The word as it stands, or None. First of: ``level=<word>``, a word in capitals, a word in any case.

    Of several the leftmost.
    """
    raw = text[:_LOOKED_AT].encode("utf-8", "replace")
    if b"\x1b" in raw:
        raw = _COLOUR.sub(b" ", raw)
    lowered = raw.lower()  # of ASCII alone: positions stay
    if b"level" in lowered or b"lvl" in lowered or b"severity" in lowered:
        named = _NAMED.search(lowered)
        if named:
            return raw[named.start(1) : named.end(1)].decode()
    for pattern, searched in ((_CAPITALS, raw), (_SMALL, lowered)):
        for found in pattern.finditer(searched):
            start = found.start()
            if not start or raw[start - 1] not in _JOINING:
                return raw[start : found.end()].decode()
    return None


def find_level(text: str) -> str | None:
    """Return the level that a text names (TRACE to FATAL), or None."""
    word = level_word(text)
    if word is None:
        klog = _KLOG.match(text)
        word = None if klog is None else klog[1]
    return None if word is None else level_of(word)

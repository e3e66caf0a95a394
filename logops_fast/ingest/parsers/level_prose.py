"""The level of a line by the words of its text: one in capitals or in brackets anywhere, or one in front of a colon.

A word in a path, a name, a value or a sentence is none.
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.parsers.level_vocabulary import BY_CAPITALS, CAPITALS, POSTGRES, WORDS

_A: Final = re.ASCII
_AFTER: Final = r"(?![\w/@=-]|\.\w)"
# Each alternative begins with a letter of its own, so that the engine skips to the next candidate.
_ANYWHERE: Final = re.compile(
    "|".join(
        [rf"{word}{_AFTER}" for word in sorted(CAPITALS, reverse=True)]
        + [rf"{word}(?=:  )" for word in POSTGRES]
        + [rf"\{opening} {{0,2}}(?:\w{{0,64}}:)?(?i:{'|'.join(WORDS)}) {{0,6}}[\]>|]" for opening in "[<|"]
    ),
    _A,
)
_WORD: Final = re.compile(r"[A-Za-z0-9]+(?= *[\]>|]?\Z)", _A)
_JOINING: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./@-\"'=`")
# Words that make a level in front of ": ", " - " or a tab, by their last three letters: one look-up for each mark.
_MARKED: Final = (
    "trace", "debug", "info", "notice", "warning", "warn", "error", "err", "critical", "crit", "alert", "fatal",
    "panic",
)  # fmt: skip
_ENDINGS: Final = frozenset(end for word in _MARKED for end in (word[-3:], word[-3:].upper(), word.capitalize()[-3:]))
_SEPARATORS: Final = frozenset(" :])>|-,}")  # a blank before the blank: a column
_MARKS: Final = (": ", " - ", "\t")
_PHRASE: Final = re.compile(r"(?:php |fatal |parse |syntax )\Z", _A)

_LONGEST: Final = 12  # letters of a level


def level_in_prose(text: str) -> str | None:
    """Return the level that the words of a text name (TRACE to FATAL), or None."""
    return _anywhere(text) or _marked(text)


def _anywhere(text: str) -> str | None:
    found = _ANYWHERE.search(text)
    while found is not None:
        start = found.start()
        word = found[0]
        if word[0] in "[<|":
            # "<error>" with a word after it is a tag of HTML or XML
            if word[-1] != ">" or text.startswith((" ", ": "), found.end()):
                inner = _WORD.search(word)
                return None if inner is None else WORDS.get(inner[0].lower())
        elif not start or (text[start - 1] not in _JOINING and not text.startswith(("no ", "No "), start - 3)):
            return BY_CAPITALS[word]
        found = _ANYWHERE.search(text, found.end())
    return None


def _marked(text: str) -> str | None:
    for mark in _MARKS:
        at = text.find(mark)
        while at >= 0:
            if text[at - 3 : at] in _ENDINGS:
                level = _word_before(text, at)
                if level is not None:
                    return level
            at = text.find(mark, at + 1)
    if text[-1:] == ":" and text[-4:-1] in _ENDINGS:
        return _word_before(text, len(text) - 1)
    return None


def _word_before(text: str, end: int) -> str | None:
    """Return the level of the word that ends at ``end``, if nothing but a separator is before it."""
    start = end
    while start and text[start - 1].isalpha() and end - start < _LONGEST:
        start -= 1
    word = text[start:end].lower()
    if word not in _MARKED:
        return None
    if start:
        before = text[start - 1]
        if before == " ":
            if text[start - 2 : start - 1] not in _SEPARATORS:
                phrase = _PHRASE.search(text[max(0, start - 7) : start].lower())
                if phrase is None:
                    return None
                if phrase[0] == "fatal ":
                    return "FATAL"
        elif before not in "\t]>|":
            return None
    return WORDS[word]

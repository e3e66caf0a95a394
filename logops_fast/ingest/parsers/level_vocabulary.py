"""The words that lines of text use for levels, and where each of them is one."""

from __future__ import annotations

from typing import Final

SPELLED: Final = {
    "TRACE": "trace trace1 trace2 trace3 trace4 trace5 trace6 trace7 trace8 trc trce trac verbose vrb finest finer",
    "DEBUG": "debug dbg dbug debu fine debug1 debug2 debug3 debug4 debug5",
    "INFO": "info inf information informational notice note success",
    "WARN": "warn warning wrn",
    "ERROR": "error err eror erro severe fail",
    "FATAL": "fatal ftl fata critical crit alert emerg emergency panic pani pnc dpanic",
}
WORDS: Final[dict[str, str]] = {word: level for level, words in SPELLED.items() for word in words.split()}
# In capitals anywhere. The others are names of other things more often than levels.
CAPITALS: Final = frozenset((
    "TRACE", "DEBUG", "INFO", "NOTICE", "WARNING", "WARN", "ERROR", "ERR", "SEVERE", "CRITICAL", "CRIT", "ALERT",
    "FATAL", "EMERGENCY", "EMERG", "PANIC",
))  # fmt: skip
# PostgreSQL's words for what belongs to another message, or was logged on request.
POSTGRES: Final = ("LOG", "STATEMENT", "DETAIL", "HINT", "CONTEXT", "QUERY", "LOCATION")
BY_CAPITALS: Final = {word: WORDS.get(word.lower(), "INFO") for word in (*CAPITALS, *POSTGRES)}


def is_level(word: str) -> bool:
    """Return whether a word by itself is a level."""
    return word.lower() in WORDS

"""The level of a line of text, found by the rules of those who write such lines.

In this order: the place that a format gives its level (in front, or after the time), a named field (``level=warn``),
a word in capitals or in brackets, a word in front of a colon. A word in a path, a name, a value or a sentence is none.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from logops_fast.ingest.parsers.line_time import scan
from logops_fast.ingest.parsers.syslog import LEVELS

_LOOKED_AT: Final = 1024  # characters: a level is written near the front
_A: Final = re.ASCII

_SPELLED: Final = {
    "TRACE": "trace trc trce verbose vrb finest finer",
    "DEBUG": "debug dbg dbug fine debug1 debug2 debug3 debug4 debug5",
    "INFO": "info inf information informational notice note success",
    "WARN": "warn warning wrn",
    "ERROR": "error err eror severe fail",
    "FATAL": "fatal ftl critical crit alert emerg emergency panic dpanic",
}
_WORDS: Final[dict[str, str]] = {word: level for level, words in _SPELLED.items() for word in words.split()}
# In capitals anywhere. The others are names of other things more often than levels.
_CAPITALS: Final = (
    "TRACE", "DEBUG", "INFO", "NOTICE", "WARNING", "WARN", "ERROR", "ERR", "SEVERE", "CRITICAL", "CRIT", "ALERT",
    "FATAL", "EMERGENCY", "EMERG", "PANIC",
)  # fmt: skip
# In small letters after a time, without any mark: the rest are words of prose more often than levels.
_PLAIN: Final = frozenset(
    ("trace", "debug", "info", "warn", "warning", "error", "err", "crit", "critical", "fatal", "verbose", "information")
)
# What makes of "error" the first word of a name: "error rate", "warning threshold", "debug mode".
_NOUNS: Final = re.compile(
    r" (?:count|counter|rate|ratio|handl|page|log|message|code|budget|free|level|mode|flag|report|threshold|light|sign|"
    r"correct|list|number|total|metric|of|is|was|were|are|and|or)",
    _A,
)
_LETTERS: Final = {
    "V": "TRACE", "T": "TRACE", "D": "DEBUG", "I": "INFO", "N": "INFO", "A": "INFO", "W": "WARN", "E": "ERROR",
    "F": "FATAL", "C": "FATAL", "S": "INFO",
}  # fmt: skip
_REDIS_MARKS: Final = {".": "DEBUG", "-": "DEBUG", "*": "INFO", "#": "WARN"}
# PostgreSQL's words for what belongs to another message, or was logged on request.
_POSTGRES: Final = ("LOG", "STATEMENT", "DETAIL", "HINT", "CONTEXT", "QUERY", "LOCATION")

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*+m")  # ECMA-48 SGR; container logs are full of it
_FRONT: Final = re.compile(
    r"(?:([IWEF])\d{4}(?:\d{4})? \d\d:\d\d:\d\d\.|([DIWEFA]), \[|\[([DIWECF]) (?=\d{4,6}[-: ]))", _A
)
_REDIS: Final = re.compile(r"(?:\d{1,10}:[A-Z]|\[\d{1,10}\]) \d\d [A-Z][a-z]{2} (?:\d{4} )?[\d:.]{8,15} ([.\-*#]) ", _A)
# After the time: separators, up to three numbers (process, thread), perhaps a bracket, a word, perhaps a word after
# "." or ":" (a channel, a module).
_PLACE: Final = re.compile(
    r"[\s\]|,:>)-]*+((?:[\[(]?\d{1,20}(?:#\d{1,20})?[\])]?:?[ \t]*+(?=[\[(<|\dA-Za-z])){0,3})([\[(<|]?)\s{0,3}"
    r"([A-Za-z]\w*+)(?:([.:])([A-Za-z]\w*+))?",
    _A,
)
_CLOSING: Final = re.compile(r"\s{0,10}[\])>|]", _A)
_LOGCAT_TAG: Final = re.compile(r"/[^(]{1,64}\( *\d{1,10}\): ", _A)
_MONGOD: Final = re.compile(r"\s{1,4}(?:[A-Z_]{3,12}|-)\s{1,12}\[", _A)
_CAPNSLOG: Final = re.compile(r" \| ", _A)

_KEYS: Final = re.compile(
    r"(?:level(?:_?name)?|lvl|severity(?:_?text)?|loglevel)(?:[\"']?(?:=|: ?)[\"']?|\s=\s)([a-z]++)(?![\w.-])", _A
)
_BEFORE_KEY: Final = frozenset(" \t\"'{,[(|;")
_AFTER: Final = r"(?![\w/@=-]|\.\w)"
# Each alternative begins with a letter of its own, so that the engine skips to the next candidate.
_ANYWHERE: Final = re.compile(
    "|".join(
        [rf"{word}{_AFTER}" for word in _CAPITALS]
        + [rf"{word}(?=:  )" for word in _POSTGRES]
        + [rf"\{opening} {{0,2}}(?:\w{{1,64}}:)?(?i:{'|'.join(_WORDS)}) {{0,6}}[\]>|]" for opening in "[<|"]
    ),
    _A,
)
_WORD: Final = re.compile(r"[A-Za-z0-9]+(?= *[\]>|]?\Z)", _A)
_JOINING: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./@-\"'=`")
# In front of a colon, a dash between blanks or a tab.
_MARKED: Final = re.compile(
    r"(?:trace|debug|info|notice|warning|warn|error|err|critical|crit|alert|fatal|panic)(?=:(?:\s|\Z)| [-|] |\t)", _A
)
_PHRASE: Final = re.compile(r"(?:php |pg::|fatal |parse |syntax )\Z", _A)

_JSON_LEVELS: Final = (
    "level", "lvl", "severity", "loglevel", "log.level", "levelname", "level_name", "severitytext", "severity_text",
    "@l", "@level",
)  # fmt: skip
_NUMBERED: Final = {1: "TRACE", 2: "DEBUG", 3: "INFO", 4: "WARN", 5: "ERROR", 6: "FATAL"}
_JSON_MESSAGES: Final = ("msg", "message", "log", "text", "@m", "@message", "event")
_decode: Final = msgspec.json.Decoder().decode


def find_level(text: str) -> str | None:
    """Return the level that a message names (TRACE to FATAL), or None."""
    if text[:1] == "{":
        found, level = _of_json(text)
        if found:
            return level
    head = text[:_LOOKED_AT]
    if "\x1b" in head:
        head = without_colours(head)
    time = scan(head)
    return level_after(head, 0 if time is None else time[4])


def is_level(word: str) -> bool:
    """Return whether a word by itself is a level."""
    return word.lower() in _WORDS


def without_colours(text: str) -> str:
    """Return the text with a blank for each colour code, none in front."""
    return _COLOUR.sub(" ", text).lstrip(" ")


def level_after(text: str, end: int) -> str | None:
    """Return the level of a line whose time ends at ``end`` (0: it has none), or None."""
    if len(text) > _LOOKED_AT:
        text = text[:_LOOKED_AT]
    level = _in_front(text, end) or _at_place(text, end)
    if level is not None:
        return level
    lowered = text.lower()
    if len(lowered) != len(text):  # a letter whose small form is longer: positions would differ
        lowered = text.translate(_ASCII_LOWER)
    if "lvl" in lowered or "level" in lowered or "severity" in lowered:
        level = _named(lowered)
        if level is not None:
            return level
    return _anywhere(text) or _marked(lowered)


_ASCII_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def _in_front(text: str, end: int) -> str | None:
    first = text[:1]
    if first in "IWEFDA[C" and first:
        found = _FRONT.match(text)
        if found is not None:
            return _LETTERS[found[1] or found[2] or found[3]]
    if end and text[end + 1 : end + 2] in ".-*#" and text[end + 2 : end + 3] == " ":
        found = _REDIS.match(text)
        if found is not None:
            return _REDIS_MARKS[found[1]]
    return None


def _at_place(text: str, end: int) -> str | None:
    found = _PLACE.match(text, end)
    if found is None:
        return None
    numbers, opening, word, joint, second = found.groups()
    after = found.end(3)
    if len(word) <= 2:
        level = _letter(text, end, numbers, opening, word, after)
        if level is not None:
            return level
    if second is not None:
        # request.CRITICAL: [core:error] local.ERROR:
        following = text[found.end() : found.end() + 1]
        level = _WORDS.get(second.lower())
        if level is not None and (following == ":" if joint == "." else following == "]" and opening == "["):
            return level
        if joint == ".":
            return None
    level = _WORDS.get(word.lower())
    if level is None:
        return "INFO" if word in _POSTGRES and text.startswith(":  ", after) else None
    if opening and _CLOSING.match(text, after) is not None:
        return level
    following = text[after : after + 1]
    if word.isupper():
        if following == "/":
            return level if end else None
        return level if word in _CAPITALS and (not following or following in ' \t:]|)>,[(!;"') else None
    if not following or following in "]|)>\t":
        return level
    if following == ":":
        return level if text[after + 1 : after + 2] in ("", " ", "\t") else None
    if following != " " or (opening and opening != "|"):
        return None
    if text[after + 1 : after + 2] in (" ", "-", "|", "[", ""):
        return level
    if word.lower() not in _PLAIN or _NOUNS.match(text, after) is not None:
        return None
    # Without a time in front, a small letter goes on with a sentence: "error in line 3".
    return level if end or not text[after + 1].islower() else None


def _letter(text: str, end: int, numbers: str, opening: str, word: str, after: int) -> str | None:
    level = _LETTERS.get(word[0])
    if level is None or (len(word) == 2 and not word[1].isdigit()):
        return None
    if not end:
        return level if len(word) == 1 and _LOGCAT_TAG.match(text, after) is not None else None
    if opening == "[":
        return level if text[after : after + 2] == "] " else None
    if len(numbers.split()) >= 2:  # logcat: process, thread, letter, tag
        return level if text[after : after + 1] == " " else None
    if numbers or opening:
        return None
    if _MONGOD.match(text, after) is not None or _CAPNSLOG.match(text, after) is not None:
        return level
    return level if _LOGCAT_TAG.match(text, after) is not None else None


def _named(lowered: str) -> str | None:
    for found in _KEYS.finditer(lowered):
        level = _WORDS.get(found[1])
        if level is None:
            continue
        start = found.start()
        if start >= 4 and lowered.startswith(("log.", "log_", "log-"), start - 4):
            start -= 4
        if start and lowered[start - 1] not in _BEFORE_KEY:
            continue
        # 'level: debug' in front, or after a separator, is a field; "log level: debug" is a sentence.
        separator = lowered[found.start(1) - 2 : found.start(1)]
        if separator == ": " and lowered[start - 2 : start] not in ("", ", ", "| ", "{ ", "; "):
            continue
        return level
    return None


def _anywhere(text: str) -> str | None:
    for found in _ANYWHERE.finditer(text):
        start = found.start()
        word = found[0]
        if word[0] in "[<|":
            if word[0] == "<" and word[-1] == ">" and not text.startswith(" ", found.end()):
                continue  # a tag of HTML or XML
            inner = _WORD.search(word)
            return None if inner is None else _WORDS.get(inner[0].lower())
        if start and (text[start - 1] in _JOINING or text[max(0, start - 3) : start].lower() == "no "):
            continue
        return _WORDS.get(word.lower(), "INFO")
    return None


def _marked(lowered: str) -> str | None:
    for found in _MARKED.finditer(lowered):
        start = found.start()
        if start:
            before = lowered[start - 1]
            if before == " ":
                if lowered[start - 2 : start - 1] not in (":", "]", ")", ">", "|", "-", ",", "}"):
                    phrase = _PHRASE.search(lowered, max(0, start - 7), start)
                    if phrase is None:
                        continue
                    if phrase[0] == "fatal ":
                        return "FATAL"
            elif before not in "\t]>|":
                continue
        return _WORDS[found[0]]
    return None


def _of_json(text: str) -> tuple[bool, str | None]:
    """Return whether the text is a JSON object, and its level: by its keys, else by its message."""
    try:
        value = _decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False, None
    if not isinstance(value, dict):
        return False, None
    event: dict[str, Any] = {key.lower(): member for key, member in value.items()}
    for name in _JSON_LEVELS:
        level = _of_value(event.get(name))
        if level is not None:
            return True, level
    for name in _JSON_MESSAGES:
        message = event.get(name)
        if isinstance(message, str) and message[:1] != "{":
            return True, find_level(message)
    return True, None


def _of_value(value: Any) -> str | None:
    if isinstance(value, str):
        return _WORDS.get(value.strip(" []()<>:").lower())
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    if 0 <= value <= 7:  # syslog
        return LEVELS[value]
    return _NUMBERED.get(value // 10)  # pino, bunyan

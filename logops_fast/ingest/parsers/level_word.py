"""The level of a line of text, found by the rules of those who write such lines.

In this order: the place that a format gives its level (in front, or after the time), a named field (``level=warn``),
a word in capitals or in brackets, a word in front of a colon. A word in a path, a name, a value or a sentence is none.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from logops_fast.ingest import names
from logops_fast.ingest.levels import MONOLOG, SYSLOG, USUAL, level_of
from logops_fast.ingest.parsers.level_prose import level_in_prose
from logops_fast.ingest.parsers.level_vocabulary import BY_CAPITALS, CAPITALS, POSTGRES, WORDS
from logops_fast.ingest.parsers.line_time import scan

_LOOKED_AT: Final = 1024  # characters: a level is written near the front
_A: Final = re.ASCII

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
# In capitals, after a time or in logrus' form in front: console writers of zerolog, Serilog and logrus.
_SHORT: Final = frozenset(("TRC", "DBG", "INF", "WRN", "FTL", "PNC", "VRB", "TRAC", "DEBU", "ERRO", "FATA", "PANI"))
_JAVA: Final = frozenset(("FINE", "FINER", "FINEST"))
_LETTERS: Final = {
    "V": "TRACE", "T": "TRACE", "D": "DEBUG", "I": "INFO", "N": "INFO", "A": "INFO", "W": "WARN", "E": "ERROR",
    "F": "FATAL", "C": "FATAL", "S": "INFO",
}  # fmt: skip
_REDIS_MARKS: Final = {".": "DEBUG", "-": "DEBUG", "*": "INFO", "#": "WARN"}
_PLACED: Final = frozenset((*POSTGRES, "CONFIG"))

# A time of day in front, without a date: what follows is at the place of a level.
_CLOCK: Final = re.compile(r"\[?(?:\d\d?:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?[AP]M)?|\d\d?:\d\d ?[AP]M)(?=[\] ])", _A)
_LOGCAT_USER: Final = re.compile(r" +[a-z_]\w{0,31} +\d{1,10} +\d{1,10} ([VDIWEFS]) ", _A)
_LOGCAT_FRONT: Final = re.compile(r"([VDIWEF])(?:/[A-Za-z][\w.-]{2,64} *: |\( *\d{1,10}(?:: *\w{1,10})?\) )", _A)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*+m")  # ECMA-48 SGR; container logs are full of it
_FRONT: Final = re.compile(
    r"(?:([DIWEF])\d{4}(?:\d{4})? \d\d:\d\d:\d\d\.|([DIWEFA]), \[|\[([DIWECF]) (?=\d{4,6}[-: ]|\d\d:\d\d:\d\d))", _A
)
_OTP: Final = re.compile(r"=([A-Z]{4,9}) REPORT====")
_REDIS: Final = re.compile(r"(?:\d{1,10}:[A-Z]|\[\d{1,10}\]) \d\d [A-Z][a-z]{2} (?:\d{4} )?[\d:.]{8,15} ([.\-*#]) ", _A)
# After the time: separators, up to three numbers (process, thread), perhaps a bracket, a word, perhaps a word after
# "." or ":" (a channel, a module).
_PLACE: Final = re.compile(
    r"[\s\]|,:>)-]*+((?:[\[(]?\d{1,20}+(?:#\d{1,20}+)?[\])]?:?[ \t]*+(?=[\[(<|\dA-Za-z])){0,3})([\[(<|]?)\s{0,3}"
    r"([A-Za-z]\w*+)(?:([.:])([A-Za-z]\w*+))?",
    _A,
)
_CLOSING: Final = re.compile(r"\s{0,10}[\])>|]", _A)
_LOGCAT_TAG: Final = re.compile(r"/[^(]{1,64}\( *\d{1,10}\): ", _A)
_MONGOD: Final = re.compile(r"\s{1,4}(?:[A-Z_]{3,12}|-)\s{1,12}\[", _A)
_CAPNSLOG: Final = re.compile(r" \| ", _A)
_SOURCE_LINE: Final = re.compile(r" [\w./-]{1,256}:\d{1,7}\] ", _A)  # TensorFlow

_KEYS: Final = ("level", "lvl", "severity")
_VALUE: Final = re.compile(r"(?:_?(?:name|text))?(?:[\"']?(?:=|: ?)[\"']?|\s=\s)([a-z]++)(?![\w.-])", _A)
_SEPARATED: Final = (", ", "| ", "{ ", "; ")
_BEFORE_KEY: Final = frozenset(" \t\"'{,[(|;")
_FIELD: Final = 24  # characters in which a field of logfmt has its "="
# The names of `names`, each as the path to its value.
_JSON_LEVELS: Final = tuple((alias.name.lower(), alias.rule, alias.beside) for alias in names.LEVEL)
_JSON_MESSAGES: Final = tuple(alias.name.lower() for alias in names.MSG)
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


def without_colours(text: str) -> str:
    """Return the text with a blank for each colour code, none in front."""
    return _COLOUR.sub(" ", text).lstrip(" ")


def level_after(text: str, end: int) -> str | None:
    """Return the level of a line whose time ends at ``end`` (0: it has none), or None."""
    if end < 0:  # an access log: words of requests are no levels
        return None
    if len(text) > _LOOKED_AT:
        text = text[:_LOOKED_AT]
    level = _in_front(text, end)
    if level is not None:
        return level
    if not end and (text[:1] < ":" or text[0] == "[") and ":" in text[1:4]:
        clock = _CLOCK.match(text)
        if clock is not None:
            end = clock.end()
    # Most lines: a blank, a word, a blank. Only what is not of that form needs the pattern.
    start = end + 1 if end else 0
    blank = text.find(" ", start, start + _FIELD)
    word = text[start:blank] if blank >= 0 else text[start : start + _FIELD]
    if word in CAPITALS and (not end or text[end] == " "):
        return BY_CAPITALS[word]
    bare = word[:-1] if word[-1:] == ":" else word
    if len(bare) > 2 and bare.isalpha():
        if bare.lower() in WORDS or bare in _PLACED:
            level = _at_place(text, end)
    elif "=" not in word and word != "-":
        level = _at_place(text, end)
    if level is not None:
        return level
    if "evel" in text or "everity" in text or "lvl" in text or "LEVEL" in text:
        lowered = text.lower()
        # A letter whose small form is longer would move what follows.
        level = _named(lowered if len(lowered) == len(text) else text.translate(_ASCII_LOWER))
        if level is not None:
            return level
    return level_in_prose(text)


_ASCII_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def _in_front(text: str, end: int) -> str | None:
    first = text[:1]
    if first > "[" or first < "0":
        return None
    if first <= "9":
        if not end or text[4:5] == "-":
            return None
        if text[2:3] != "-":
            return _redis(text, end)
        user = _LOGCAT_USER.match(text, end)
        return None if user is None else _LETTERS[user[1]]
    if first < "A":
        report = _OTP.match(text)
        return None if report is None else WORDS.get(report[1].lower())
    if text[1:2] in "/(":
        front = _LOGCAT_FRONT.match(text)
        return None if front is None else _LETTERS[front[1]]
    if text[:4] in _SHORT and text[4:6].lstrip(" ")[:1] == "[":
        return WORDS[text[:4].lower()]
    if first in "IWEFDAC[":
        found = _FRONT.match(text)
        if found is not None:
            return _LETTERS[found[1] or found[2] or found[3]]
    return _redis(text, end) if end and first == "[" else None


def _redis(text: str, end: int) -> str | None:
    if text[end + 1 : end + 2] in ".-*#" and text[end + 2 : end + 3] == " ":
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
        level = WORDS.get(second.lower())
        if level is not None and (following == ":" if joint == "." else following == "]" and opening == "["):
            return level
        if joint == ".":
            return None
    level = WORDS.get(word.lower())
    if level is None:
        if word == "CONFIG" and end:  # java.util.logging
            return "INFO"
        if word == "System" and opening and numbers and text.startswith("] [", after):  # MySQL
            return "INFO"
        return "INFO" if word in POSTGRES and text.startswith(":  ", after) else None
    if opening:
        closing = _CLOSING.match(text, after)
        # "<error>" with a word after it is a tag of HTML or XML.
        if closing is not None and (opening != "<" or text.startswith((" ", ": "), closing.end())):
            return level
        if opening == "<":
            return None
    following = text[after : after + 1]
    if word.isupper():
        if following == "/":
            return level if end else None
        if word in _JAVA and (end or following == ":"):
            return level
        return (
            level
            if opening != "<"
            and (word in CAPITALS or (end and word in _SHORT))
            and (not following or following in ' \t:]|)>,[(!;"')
            else None
        )
    if not following:
        return level if end else None
    if following in "]|)>\t":
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
        return level if text[after : after + 2] in ("] ", "][") else None
    if len(numbers.split()) >= 2:  # logcat: process, thread, letter, tag
        return level if text[after : after + 1] in (" ", "/") else None
    if numbers or opening:
        return None
    for form in (_MONGOD, _CAPNSLOG, _LOGCAT_TAG, _SOURCE_LINE):
        if form.match(text, after) is not None:
            return level
    return None


def _named(lowered: str) -> str | None:
    for key in _KEYS:
        at = lowered.find(key)
        while at >= 0:
            found = _VALUE.match(lowered, at + len(key))
            if found is not None:
                level = WORDS.get(found[1])
                if level is not None and _is_key(lowered, at, found.start(1)):
                    return level
            at = lowered.find(key, at + 1)
    return None


def _is_key(lowered: str, start: int, value: int) -> bool:
    """Return whether the key at ``start`` is the name of a field, and not a word of a sentence, path or query."""
    if start >= 4 and lowered.startswith(("log.", "log_", "log-"), start - 4):
        start -= 4
    elif start >= 3 and lowered.startswith("log", start - 3):
        start -= 3
    if start:
        before = lowered[start - 1]
        if before not in _BEFORE_KEY:
            return False
        # In JSON a quote before it is a name's; after "=" it begins the first word of a value.
        if before == '"' and lowered[start - 2 : start - 1] == "=":
            return False
        quotes = lowered.count('"', 0, start) if before != '"' else 0
        if quotes and (quotes - lowered.count('\\"', 0, start)) % 2:
            return False  # inside a quoted value
    # 'level: debug' in front, or after a separator, is a field; "log level: debug" is a sentence.
    return not start or lowered[value - 2 : value] != ": " or lowered[start - 2 : start] in _SEPARATED


def _of_json(text: str) -> tuple[bool, str | None]:
    """Return whether the text is a JSON object, and its level: by its keys, else by its message."""
    try:
        value = _decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False, None
    if not isinstance(value, dict):
        return False, None
    event: dict[str, Any] = {key.lower(): member for key, member in value.items()}
    scale = MONOLOG if "level_name" in event else SYSLOG if "short_message" in event else USUAL
    for name, rule, beside in _JSON_LEVELS:
        found = _below(event, name)
        if found is None or found == "" or (beside and not any(other in event for other in beside)):
            continue
        if rule == names.MONGODB and not (isinstance(event.get("t"), dict) and "$date" in event["t"]):
            continue
        level = level_of(found, scale if rule == USUAL else rule)
        if level is not None:
            return True, level
    if "@t" in event:  # CLEF leaves the level out when it is Information
        return True, "INFO"
    for name in _JSON_MESSAGES:
        message = _below(event, name)
        if isinstance(message, str) and message and message[:1] != "{":
            return True, find_level(message)
    return True, None


def _below(event: dict[str, Any], path: str) -> Any:
    """The value under a name, or below it under the names that its dots separate."""
    found: Any = event.get(path)
    if found is None and "." in path:
        found = event
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
    return found

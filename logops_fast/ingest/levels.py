"""Levels: any logger's word or number for one, as TRACE, DEBUG, INFO, WARN, ERROR or FATAL."""

from __future__ import annotations

import re
from typing import Any, Final

LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
DEFAULT_LEVEL: Final = "INFO"

# Syslog (RFC 5424, 6.2.1), java.util.logging (as SLF4J maps it), .NET (also its console's four letters), Go's zap,
# zerolog (three letters) and logrus (four), klog's and logcat's letters, winston's npm levels, PostgreSQL's severities,
# MySQL, Google Cloud, Aruba.
WORDS: Final = {
    "TRACE": "trace trc trac trce finest finer verbose vrb verb silly spam all v t",
    "DEBUG": "debug dbg dbug debu deb fine http d",
    "INFO": "info inf information informational informative notice noti note notification config success log system"
    " statement default i n",
    "WARN": "warn warning warnings wrn w",
    "ERROR": "error err eror erro errors severe fail failure e",
    "FATAL": "fatal ftl fata critical crit crt emergency emerg emer alert alrt panic pani pnc dpanic assert f c a",
}

# Which numbers a field holds goes by its name (`names`).
USUAL: Final = "usual"  # 0 to 7: syslog; 10 to 69: pino and bunyan
SYSLOG: Final = "syslog"  # RFC 5424: 0 to 7
OTEL: Final = "otel"  # the OpenTelemetry log data model: 1 to 24
MONOLOG: Final = "monolog"  # 100 to 600
PYTHON: Final = "python"  # the logging package: 10 to 50
NO_NUMBERS: Final = "none"

_SYSLOG_LEVELS: Final = ("FATAL", "FATAL", "FATAL", "ERROR", "WARN", "INFO", "INFO", "DEBUG")
_MONOLOG_STEPS: Final = ((550, "FATAL"), (500, "FATAL"), (400, "ERROR"), (300, "WARN"), (200, "INFO"), (100, "DEBUG"))
_PYTHON_STEPS: Final = ((50, "FATAL"), (40, "ERROR"), (30, "WARN"), (20, "INFO"), (10, "DEBUG"), (1, "TRACE"))

# The spellings that loggers use, each of them, so that the usual case is one look-up.
BY_NAME: Final[dict[str, str]] = {
    spelt: level
    for level, names in WORDS.items()
    for name in names.split()
    for spelt in (name, name.upper(), name.capitalize())
}

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")  # ECMA-48 SGR: winston, and others that believe they write to a terminal
# slog's and OTel's steps between two levels (INFO+2, ERROR2, PostgreSQL's DEBUG5), the names of protobuf's enumeration
# (SEVERITY_NUMBER_WARN2), Python's name of a level that has none (Level 25).
_STEPPED: Final = re.compile(r"(?:severity_number_)?([a-z]+)(?:[+-]?[0-9]{1,2})?")
_PYTHON_LEVEL: Final = re.compile(r"level ([0-9]{1,3})")
_NUMBER: Final = re.compile(r"[0-9]{1,3}")
FRONT: Final = frozenset(name[:3] for names in WORDS.values() for name in names.split())
_CAPITALS: Final = (
    "TRACE DEBUG INFO NOTICE WARNING WARN ERROR ERR SEVERE CRITICAL CRIT ALERT FATAL EMERGENCY EMERG PANIC"
)
_SMALL: Final = "trace debug info warning warn error err critical crit fatal"  # in brackets
LEADING: Final[dict[str, str]] = {
    form.format(word): BY_NAME[word] for word in _CAPITALS.split() for form in ("{}", "{}:", "[{}]", "[{}]:")
} | {f"[{word}]": BY_NAME[word] for word in _SMALL.split()}
LONGEST_LEADING: Final = 14  # with the blank that follows it
_AROUND: Final = " \t\r\n[]()<>:|\"'"
_LONGEST: Final = 64  # characters


def level_of(value: Any, numbers: str = USUAL) -> str | None:
    """Return the level that ``value`` names, or None for an unknown one.

    Words are read in any case, with blanks, brackets or ANSI colours around them. ``numbers`` is the scale of a number,
    or of a text of digits: one of the constants above. A number between two steps counts as the lower step.
    """
    if isinstance(value, str):
        known = BY_NAME.get(value)
        if known is not None:
            return known
        if len(value) > _LONGEST:
            return None
        if "\x1b" in value:
            value = _COLOUR.sub("", value)
        name = value.strip(_AROUND).lower()
        known = BY_NAME.get(name)
        if known is not None:
            return known
        if _NUMBER.fullmatch(name) is not None:
            return _of_number(int(name), numbers)
        stepped = _STEPPED.fullmatch(name)
        if stepped is not None:
            return BY_NAME.get(stepped[1])
        python = _PYTHON_LEVEL.fullmatch(name)
        return None if python is None else _of_number(int(python[1]), PYTHON)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return _of_number(value, numbers)
    if isinstance(value, float) and value.is_integer():
        return _of_number(int(value), numbers)
    return None


def leading_level(text: str) -> str | None:
    """Return the level of a text that begins with its word in capitals or brackets, or None.

    The same answer as a search (`level_word.find_level`) gives, at a twentieth of its cost.
    """
    return LEADING.get(text[:LONGEST_LEADING].partition(" ")[0])


def may_name_level(text: str) -> bool:
    """Return whether a search of ``text`` (not empty) for its level can find one; false for most messages.

    The search, `level_word.find_level`, costs several microseconds, this 0.4. A level is a word in front, a letter in
    front that begins no word, a word in capitals, or a word with a mark: a bracket, a colon, ``=``, a tab or a dash.
    """
    return (
        not text[:2].isalpha()
        or text[:3].lower() in FRONT
        or "[" in text
        or "=" in text
        or "|" in text
        or "<" in text
        or "\t" in text
        or (":" in text and (": " in text or _has_marked_name(text)))
        or ("-" in text and " - " in text)
        # Single characters first: they are found at memory speed, and each word in capitals has one of these.
        or ("R" in text and ("ERR" in text or "WARN" in text or _has_rare_capitals(text)))
        or ("F" in text and ("INFO" in text or "FATAL" in text))
        or ("C" in text and ("NOTICE" in text or "PANIC" in text))
        or ("G" in text and "DEBUG" in text)
    )


def _has_marked_name(text: str) -> bool:
    """Whether a colon without a blank may follow a name (``level:warn``), a channel (``app.err:``) or end the text."""
    return text[-1] == ":" or "." in text[:16] or "lvl" in text or "evel" in text.lower() or "everity" in text.lower()


def _has_rare_capitals(text: str) -> bool:
    return "CRIT" in text or "ALERT" in text or "EMERG" in text or "SEVERE" in text or "TRACE" in text


def _of_number(number: int, numbers: str) -> str | None:
    if number < 0:
        return None
    if numbers == USUAL:
        if number < len(_SYSLOG_LEVELS):
            return _SYSLOG_LEVELS[number]
        return LEVELS[number // 10 - 1] if 10 <= number < 70 else None
    if numbers == SYSLOG:
        return _SYSLOG_LEVELS[number] if number < len(_SYSLOG_LEVELS) else None
    if numbers == OTEL:
        return LEVELS[(number - 1) // 4] if 1 <= number <= 24 else None
    if numbers == MONOLOG:
        return _step(number, _MONOLOG_STEPS) if number <= 600 else None
    if numbers == PYTHON:
        return _step(number, _PYTHON_STEPS) if number < 100 else None
    return None


def _step(number: int, steps: tuple[tuple[int, str], ...]) -> str | None:
    for least, level in steps:
        if number >= least:
            return level
    return None

"""Levels: whatever a logger calls them, one of TRACE DEBUG INFO WARN ERROR FATAL."""

from __future__ import annotations

from typing import Any, Final

LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
DEFAULT_LEVEL: Final = "INFO"

# Syslog (RFC 5424, 6.2.1), java.util.logging (as SLF4J maps it), .NET, Go's zap and zerolog, klog's letters.
_NAMES: Final = {
    "TRACE": "trace trc finest finer verbose vrb v t",
    "DEBUG": "debug dbg dbug fine d",
    "INFO": "info inf information informational notice config success i n",
    "WARN": "warn warning wrn w",
    "ERROR": "error err eror severe e",
    "FATAL": "fatal ftl critical crit emergency emerg alert panic dpanic f c",
}
# Syslog severities 0 to 7; above, the numbers of bunyan and pino. Python's own (30 is WARNING there) look the same and
# are written by name in practice.
_NUMBERS: Final = {
    0: "FATAL", 1: "FATAL", 2: "FATAL", 3: "ERROR", 4: "WARN", 5: "INFO", 6: "INFO", 7: "DEBUG",
    10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR", 60: "FATAL",
}  # fmt: skip

# The spellings that loggers use, each of them, so that the usual case is one look-up.
BY_NAME: Final[dict[str, str]] = {
    spelt: level
    for level, names in _NAMES.items()
    for name in names.split()
    for spelt in (name, name.upper(), name.capitalize())
}


def level_of(value: Any) -> str | None:
    """The level that a value names, in any case and with blanks or brackets around it; None for an unknown one."""
    if isinstance(value, str):
        name = value.strip(" \t\r\n[]()<>:").lower()
        known = BY_NAME.get(name)
        if known is not None or not (name.isdecimal() and name.isascii() and len(name) <= 2):
            return known
        value = int(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return _NUMBERS.get(value)  # type: ignore[arg-type]  # 30.0 is 30

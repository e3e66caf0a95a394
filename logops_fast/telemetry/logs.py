"""The program's own log, on stderr: text for people at a terminal, JSON lines for machines.

The standard library's logging underneath; fields go in as ``extra``. Everything that reaches a line may hold a
stranger's text: control characters are escaped, so that nobody writes lines of his own or drives a terminal.
Secrets are the caller's duty: they are never passed in.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import orjson

LogFormat = Literal["auto", "text", "json"]

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
NAME_WIDTH: Final = 10
MAX_KEYS: Final = 1024  # of RateLimited, whose keys may hold a stranger's words

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# C0, DEL, C1, line and paragraph separators, bidirectional controls, surrogates.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_COLOURS: Final[Mapping[int, str]] = {
    logging.DEBUG: "\x1b[2m",
    logging.INFO: "\x1b[32m",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[1;31m",
}
_DIM: Final = "\x1b[2m"
_RESET: Final = "\x1b[0m"
_PLAIN_VALUE: Final = re.compile(r"[^\s\"=]+")


def configure(level: str = "info", log_format: LogFormat = "auto", stream: TextIO | None = None) -> None:
    """Send the root logger to ``stream`` (stderr) in ``log_format``; may be called again.

    :raises KeyError: no such level.
    """
    out = sys.stderr if stream is None else stream
    terminal = out.isatty()
    formatter: _Formatter
    if log_format == "json" or (log_format == "auto" and not terminal):
        formatter = JsonFormatter()
    else:
        colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        formatter = TextFormatter(colour=colour)
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    logging.raiseExceptions = False  # a closed stderr must not become a stream of tracebacks


def bind(**fields: object) -> None:
    """Put ``fields`` (the worker's index) on every line of this process from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, _Formatter):
            handler.formatter.bound.update(fields)


def escape(text: str) -> str:
    """``text`` on one line, with every character that could drive a terminal or start a line written as its code."""
    return _UNSAFE.sub(_code, text)


def _code(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class _Formatter(logging.Formatter):
    """What both forms share: the time in UTC and the structured fields of a record."""

    def __init__(self) -> None:
        super().__init__()
        self.bound: dict[str, object] = {}

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        """The bound fields and the record's ``extra``."""
        own = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        return {**self.bound, **own}

    @staticmethod
    def timestamp(record: logging.LogRecord) -> str:
        """RFC 3339, UTC, milliseconds."""
        return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(record.msecs):03d}Z"

    def trace(self, record: logging.LogRecord) -> str:
        """The traceback and stack, if any."""
        parts = []
        if record.exc_info:
            parts.append(self.formatException(record.exc_info))
        if record.stack_info:
            parts.append(record.stack_info)
        return "\n".join(parts)


class JsonFormatter(_Formatter):
    """One JSON object a line: ``ts``, ``level``, ``logger``, ``msg``, the fields, ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        line: dict[str, Any] = {
            "ts": self.timestamp(record),
            "level": record.levelname,
            "logger": record.name,
            "msg": record.getMessage(),
        }
        for name, value in self.fields(record).items():
            line.setdefault(name, value)
        if trace := self.trace(record):
            line["exception"] = trace
        # JSON escapes C0 itself; what it lets through is escaped as JSON does it: it can only stand in a string.
        return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", _to_json(line))


class TextFormatter(_Formatter):
    """``time LEVEL logger message key=value``, aligned; a traceback follows indented, so that no line is forged."""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line or lines, without the last newline."""
        level = f"{record.levelname:<7}"
        name = f"{record.name.rpartition('.')[2]:<{NAME_WIDTH}}"
        stamp = self.timestamp(record)
        fields = "".join(f" {escape(key)}={_value(value)}" for key, value in self.fields(record).items())
        if self._colour:
            level = f"{_COLOURS.get(record.levelno, '')}{level}{_RESET}"
            stamp, name = f"{_DIM}{stamp}{_RESET}", f"{_DIM}{name}{_RESET}"
            fields = fields and f"{_DIM}{fields}{_RESET}"
        line = f"{stamp} {level} {name} {escape(record.getMessage())}{fields}"
        for text in self.trace(record).splitlines():
            line += f"\n    {escape(text)}"
        return line


def _value(value: object) -> str:
    text = escape(str(value))
    return text if _PLAIN_VALUE.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'


def _to_json(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except (orjson.JSONEncodeError, RecursionError):  # a lone surrogate, an integer over 64 bits, a cycle
        return orjson.dumps({escape(str(key)): escape(str(value)) for key, value in line.items()}).decode()


class RateLimited:
    """At most one line a key in ``interval`` seconds; the next one says how many were kept back."""

    __slots__ = ("_clock", "_interval", "_keys", "_logger")

    def __init__(
        self, logger: logging.Logger, *, interval: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._interval = interval
        self._clock = clock
        self._keys: dict[str, tuple[float, int, int, str]] = {}  # key: when told, kept back, level, message

    def log(
        self, level: int, key: str, message: str, *, exc_info: BaseException | None = None, **fields: object
    ) -> bool:
        """Log ``message`` with ``fields`` unless ``key`` has spoken within the interval; whether it was logged."""
        if not self._logger.isEnabledFor(level):
            return False
        if key not in self._keys and len(self._keys) >= MAX_KEYS:
            key = "other"
        now = self._clock()
        last, kept_back, _, _ = self._keys.get(key, (-self._interval, 0, 0, ""))
        if now - last < self._interval:
            self._keys[key] = (last, kept_back + 1, level, message)
            return False
        self._keys[key] = (now, 0, level, message)
        if kept_back:
            fields["suppressed"] = kept_back
        self._logger.log(level, message, extra=fields, exc_info=exc_info)
        return True

    def flush(self) -> None:
        """Say what is still kept back, as a process that ends must."""
        for key, (last, kept_back, level, message) in self._keys.items():
            if kept_back:
                self._keys[key] = (last, 0, level, message)
                self._logger.log(level, message, extra={"suppressed": kept_back})

"""The program's own log, on stderr: text for people at a terminal, JSON lines for machines.

It uses the standard library's logging; fields are passed as ``extra``. Anything in a line may come from a client, so
control characters are escaped: no client can forge a line or drive a terminal. Callers never pass secrets.
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

from logops_fast.telemetry.log_output import NonBlockingHandler

LogFormat = Literal["auto", "text", "json"]

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
NAME_WIDTH: Final = 10
MAX_KEYS: Final = 1024  # of RateLimited, whose keys may hold text from clients

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


def configure(
    level: str = "info", log_format: LogFormat = "auto", stream: TextIO | None = None, *, blocking: bool = True
) -> None:
    """Send the root logger to ``stream`` (default: stderr) in ``log_format``. May be called again.

    With ``blocking=False``, which needs a stream with a file descriptor, a full pipe costs log lines instead of time
    (see ``log_output``). Raises KeyError if there is no such level.
    """
    out = sys.stderr if stream is None else stream
    terminal = out.isatty()
    formatter: _Formatter
    if log_format == "json" or (log_format == "auto" and not terminal):
        formatter = JsonFormatter()
    else:
        colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        formatter = TextFormatter(colour=colour)
    handler: logging.Handler = logging.StreamHandler(out) if blocking else NonBlockingHandler(out.fileno())
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    logging.raiseExceptions = False  # a closed stderr must not become a stream of tracebacks


def bind(**fields: object) -> None:
    """Add ``fields`` (the worker's index) to every line of this process from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, _Formatter):
            handler.formatter.bound.update(fields)


def escape(text: str) -> str:
    """Return ``text`` on one line, with every character that could drive a terminal or start a line escaped."""
    return _UNSAFE.sub(_code, text)


def _code(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class _Formatter(logging.Formatter):
    """The part that both formats share: the time in UTC and the structured fields of a record."""

    def __init__(self) -> None:
        super().__init__()
        self.bound: dict[str, object] = {}

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        """Return the bound fields and the record's ``extra``."""
        own = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        return {**self.bound, **own}

    @staticmethod
    def timestamp(record: logging.LogRecord) -> str:
        """Return the time in RFC 3339, UTC, milliseconds."""
        return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(record.msecs):03d}Z"

    def trace(self, record: logging.LogRecord) -> str:
        """Return the traceback and stack, if any."""
        parts = []
        if record.exc_info:
            parts.append(self.formatException(record.exc_info))
        if record.stack_info:
            parts.append(record.stack_info)
        return "\n".join(parts)


class JsonFormatter(_Formatter):
    """One JSON object a line: ``ts``, ``level``, ``logger``, ``msg``, the fields, ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its newline."""
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
        # JSON escapes C0 itself; the rest can only be inside a string and is escaped the way JSON does.
        return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", _to_json(line))


class TextFormatter(_Formatter):
    """``time LEVEL logger message key=value``, aligned; a traceback follows indented, so that it cannot forge lines."""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the line or lines, without the last newline."""
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
    """Logs at most one line per key in ``interval`` seconds; the next one says how many were suppressed."""

    __slots__ = ("_clock", "_interval", "_keys", "_logger")

    def __init__(
        self, logger: logging.Logger, *, interval: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._interval = interval
        self._clock = clock
        self._keys: dict[str, tuple[float, int, int, str]] = {}  # key: time logged, suppressed, level, message

    def log(
        self, level: int, key: str, message: str, *, exc_info: BaseException | None = None, **fields: object
    ) -> bool:
        """Log ``message`` unless ``key`` was logged within the interval; return whether it was."""
        if not self._logger.isEnabledFor(level):
            return False
        if key not in self._keys and len(self._keys) >= MAX_KEYS:
            key = "other"
        now = self._clock()
        last, suppressed, _, _ = self._keys.get(key, (-self._interval, 0, 0, ""))
        if now - last < self._interval:
            self._keys[key] = (last, suppressed + 1, level, message)
            return False
        self._keys[key] = (now, 0, level, message)
        if suppressed:
            fields["suppressed"] = suppressed
        self._logger.log(level, message, extra=fields, exc_info=exc_info)
        return True

    def flush(self) -> None:
        """Log what is still suppressed; call it when the process ends."""
        for key, (last, suppressed, level, message) in self._keys.items():
            if suppressed:
                self._keys[key] = (last, 0, level, message)
                self._logger.log(level, message, extra={"suppressed": suppressed})

"""A ``logging.LogRecord`` as an event of LogOps, written as JSON."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

import orjson

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# What the gateway gives a meaning of its own; an ``extra`` of that name goes beside it.
_SETTLED: Final = frozenset({"ts", "level", "msg", "logger", "pid", "exc", "stack"})
_LEVELS: Final = ((50, "FATAL"), (40, "ERROR"), (30, "WARN"), (20, "INFO"), (10, "DEBUG"))
_EXC: Final = logging.Formatter()
_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def level_of(number: int) -> str:
    """The level of a record, also of a level that an application has made up."""
    for least, name in _LEVELS:
        if number >= least:
            return name
    return "TRACE"


def encode(record: logging.LogRecord, app: str | None) -> bytes:
    """One line of NDJSON without its end. Never raises for what an application logs, but for its ``%`` mistakes."""
    event: dict[str, Any] = {
        "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": level_of(record.levelno),
        "msg": record.getMessage(),
        "logger": record.name,
        "pid": record.process,
    }
    if app is not None:
        event["app"] = app
    if record.exc_info or record.exc_text:
        event["exc"] = record.exc_text or _EXC.formatException(record.exc_info)  # type: ignore[arg-type]
    if record.stack_info:
        event["stack"] = record.stack_info
    for key, value in record.__dict__.items():
        if key not in _STANDARD:
            event[f"extra_{key}" if key in _SETTLED else key] = value
    return dumps(event)


def dumps(event: Any) -> bytes:
    """JSON of anything: what JSON has no form for becomes its ``repr``."""
    try:
        return orjson.dumps(event, repr, _OPTIONS)
    except (TypeError, ValueError):
        # lone surrogates, integers over 64 bits, things nested too deeply: text, field by field
        return orjson.dumps({_clean(str(key)): _plain(value) for key, value in dict(event).items()})


def _plain(value: Any) -> Any:
    try:
        orjson.dumps(value, repr, _OPTIONS)
    except (TypeError, ValueError):
        return _clean(value if isinstance(value, str) else repr(value))
    return (
        value
        if isinstance(value, (str, int, float, bool, type(None)))
        else orjson.Fragment(orjson.dumps(value, repr, _OPTIONS))
    )


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()

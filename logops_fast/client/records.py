"""Encodes a ``logging.LogRecord`` as a LogOps event in JSON."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

import orjson

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# Names that the gateway gives a meaning of its own; an ``extra`` of that name is renamed.
_SETTLED: Final = frozenset({"ts", "level", "msg", "logger", "pid", "exc", "stack"})
_LEVELS: Final = ((50, "FATAL"), (40, "ERROR"), (30, "WARN"), (20, "INFO"), (10, "DEBUG"))
_EXC: Final = logging.Formatter()
_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def level_of(number: int) -> str:
    """Return the level name for a record's number, including numbers of an application's own levels."""
    for least, name in _LEVELS:
        if number >= least:
            return name
    return "TRACE"


def encode(record: logging.LogRecord, app: str | None) -> bytes:
    """Return one line of NDJSON without its line end. Raises only if the ``%`` arguments do not fit the message."""
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
    """Return the JSON of anything: values without a JSON form become their ``repr``."""
    try:
        return orjson.dumps(event, repr, _OPTIONS)
    except (TypeError, ValueError):
        # Lone surrogates, integers over 64 bits, values nested too deeply: convert to text, field by field.
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

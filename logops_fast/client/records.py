"""Encodes a ``logging.LogRecord`` as a LogOps event in JSON.

A message that is a mapping, and JSON that a formatter writes (python-json-logger, structlog, ecs-logging), are events
already: their members are the event's, and the record adds what they lack. The gateway knows the usual names of time,
level and message.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

# Not an ``extra`` of the application: the record's own attributes, and two that structlog leaves on it.
_STRUCTLOG: Final = frozenset({"_logger", "_name"})
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"} | _STRUCTLOG
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


def encode(record: logging.LogRecord, app: str | None, formatter: logging.Formatter | None = None) -> bytes:
    """Return one line of NDJSON without its line end, with the formatter's text as the message if there is one.

    Raises what the formatter raises; without one, only if the ``%`` arguments do not fit the message.
    """
    event: dict[str, Any] = {
        "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": level_of(record.levelno),
        "msg": "",
        "logger": record.name,
        "pid": record.process,
    }
    if app is not None:
        event["app"] = app
    if formatter is not None:
        text = formatter.format(record)
        if members := _members(text):
            return _lifted(event, members)
        event["msg"] = text  # with the traceback, if the formatter writes it
    else:
        if record.exc_info or record.exc_text:
            event["exc"] = record.exc_text or _EXC.formatException(record.exc_info)  # type: ignore[arg-type]
        if record.stack_info:
            event["stack"] = record.stack_info
        # A text first: asking whether a value is a Mapping costs a tenth of all this.
        if not isinstance(record.msg, str) and isinstance(record.msg, Mapping) and not record.args:
            return _lifted(_with_extras(event, record), record.msg)
        event["msg"] = record.getMessage()
    return dumps(_with_extras(event, record))


def _with_extras(event: dict[str, Any], record: logging.LogRecord) -> dict[str, Any]:
    for key, value in record.__dict__.items():
        if key not in _STANDARD:
            event[f"extra_{key}" if key in _SETTLED else key] = value
    return event


def _members(text: str) -> dict[str, Any] | None:
    """Return the members of a JSON object; None for any other text."""
    if not text.startswith("{"):
        return None
    try:
        found: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _lifted(event: dict[str, Any], members: Mapping[Any, Any]) -> bytes:
    # Without a message of the record's: it is under a name of the logger's own, such as `event`.
    del event["msg"]
    return dumps(event | {str(name): value for name, value in members.items()})


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

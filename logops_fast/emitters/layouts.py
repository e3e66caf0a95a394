"""The JSON layouts of twelve loggers and collectors, as they write them with their usual settings.

A layout asks ``when(form)`` for the time in one of the forms below: an emitter leaves a gap there, and fills it in for
each batch. The corpus that the benchmarks are measured on (``bench/corpus.py``)
is made of these layouts and frozen: add layouts, change none.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from logops_fast.emitters.pools import Event

# Forms of a time.
ISO_MS: Final = "iso_ms"  # 2026-11-25T10:00:00.123Z
ISO_US: Final = "iso_us"  # 2026-11-25T10:00:00.123456Z
OFFSET: Final = "offset"  # 2026-11-25T10:00:00.123456+00:00
COMMA: Final = "comma"  # 2026-11-25 10:00:00,123
EPOCH_MS: Final = "epoch_ms"  # 1764064800123
EPOCH_S: Final = "epoch_s"  # 1764064800.123456
EPOCH_NS: Final = "epoch_ns"  # "1764064800123456000"

When = Callable[[str], Any]


class Draft(NamedTuple):
    """What a layout writes: the event, further fields of the application's own, and how its time is written."""

    rng: random.Random
    event: Event
    extra: dict[str, Any]
    is_epoch: bool
    """Whether the time is to be a number; only EPOCH_LAYOUTS can."""
    when: When


Layout = Callable[[Draft], dict[str, Any]]

_NUMBERS: Final = {"TRACE": 10, "DEBUG": 20, "INFO": 30, "WARN": 40, "ERROR": 50, "FATAL": 60}
_GO: Final = {
    "TRACE": ("trace",), "DEBUG": ("debug",), "INFO": ("info",), "WARN": ("warning", "warn"), "ERROR": ("error",),
    "FATAL": ("fatal", "panic"),
}  # fmt: skip
_PYTHON: Final = {
    "TRACE": ("TRACE",), "DEBUG": ("DEBUG",), "INFO": ("INFO",), "WARN": ("WARNING",), "ERROR": ("ERROR",),
    "FATAL": ("CRITICAL",),
}  # fmt: skip
_SERILOG: Final = {
    "TRACE": "Verbose", "DEBUG": "Debug", "INFO": "Information", "WARN": "Warning", "ERROR": "Error", "FATAL": "Fatal",
}  # fmt: skip
_NPM: Final = {
    "TRACE": ("silly", "verbose"), "DEBUG": ("debug",), "INFO": ("info",), "WARN": ("warn",), "ERROR": ("error",),
    "FATAL": ("crit", "emerg"),
}  # fmt: skip
_OTEL_NUMBERS: Final = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}


def _pino(draft: Draft) -> dict[str, Any]:
    event = draft.event
    level = _NUMBERS[event.level] if draft.rng.random() < 0.8 else event.level.lower()
    time = draft.when(EPOCH_MS if draft.is_epoch else ISO_MS)
    return {
        "level": level,
        "time": time,
        "pid": event.pid,
        "hostname": event.host,
        "reqId": event.request_id,
        **draft.extra,
        "responseTime": event.duration_ms,
        "msg": event.msg,
    }


def _bunyan(draft: Draft) -> dict[str, Any]:
    event = draft.event
    return {
        "name": event.app,
        "hostname": event.host,
        "pid": event.pid,
        "level": _NUMBERS[event.level],
        "req_id": event.request_id,
        **draft.extra,
        "msg": event.msg,
        "time": draft.when(ISO_MS),
        "v": 0,
    }


def _zap(draft: Draft) -> dict[str, Any]:
    event = draft.event
    level = draft.rng.choice(("fatal", "dpanic") if event.level == "FATAL" else (event.level.lower(), event.level))
    return {
        "level": level,
        "ts": draft.when(EPOCH_S if draft.is_epoch else ISO_MS),
        "logger": event.app,
        "caller": f"{event.app}/handler.go:{event.pid % 400}",
        "msg": event.msg,
        "request_id": event.request_id,
        **draft.extra,
        "duration": event.duration_ms / 1000,
    }


def _logrus(draft: Draft) -> dict[str, Any]:
    event = draft.event
    return {
        **draft.extra,
        "duration_ms": event.duration_ms,
        "level": draft.rng.choice(_GO[event.level]),
        "msg": event.msg,
        "request_id": event.request_id,
        "service": event.app,
        "time": draft.when(OFFSET),
    }


def _structlog(draft: Draft) -> dict[str, Any]:
    event = draft.event
    level = "critical" if event.level == "FATAL" else draft.rng.choice(_GO[event.level])
    return {
        **draft.extra,
        "request_id": event.request_id,
        "duration_ms": event.duration_ms,
        "event": event.msg,
        "level": level,
        "logger": f"{event.app}.views",
        "timestamp": draft.when(ISO_US),
    }


def _json_logger(draft: Draft) -> dict[str, Any]:
    event = draft.event
    return {
        "asctime": draft.when(COMMA),
        "levelname": draft.rng.choice(_PYTHON[event.level]),
        "name": f"{event.app}.api",
        "process": event.pid,
        "message": event.msg,
        "request_id": event.request_id,
        **draft.extra,
    }


def _serilog(draft: Draft) -> dict[str, Any]:
    event = draft.event
    properties = {"RequestId": event.request_id, "Elapsed": event.duration_ms, **draft.extra}
    return {
        "Timestamp": draft.when(OFFSET),
        "Level": _SERILOG[event.level],
        "RenderedMessage": event.msg,
        "Properties": properties,
    }


def _ecs(draft: Draft) -> dict[str, Any]:
    event = draft.event
    level = draft.rng.choice((event.level, event.level.lower()))
    return {
        "@timestamp": draft.when(ISO_MS),
        "log.level": level,
        "message": event.msg,
        "ecs.version": "1.6.0",
        "service.name": event.app,
        "process.thread.name": f"http-{event.pid % 64}",
        "trace.id": event.request_id,
        **draft.extra,
    }


def _winston(draft: Draft) -> dict[str, Any]:
    event = draft.event
    return {
        **draft.extra,
        "durationMs": event.duration_ms,
        "level": draft.rng.choice(_NPM[event.level]),
        "message": event.msg,
        "requestId": event.request_id,
        "service": event.app,
        "timestamp": draft.when(ISO_MS),
    }


def _docker(draft: Draft) -> dict[str, Any]:
    event = draft.event
    level = draft.rng.choice(_PYTHON[event.level])
    flat = "".join(f" {key}={value}" for key, value in draft.extra.items() if not isinstance(value, dict))
    attrs = {key: value for key, value in draft.extra.items() if isinstance(value, dict)}
    line = f"{level} [{event.app}] {event.msg} request_id={event.request_id}{flat}\n"
    stream = "stderr" if event.level in ("WARN", "ERROR", "FATAL") else "stdout"
    return {"log": line, "stream": stream, **({"attrs": attrs} if attrs else {}), "time": draft.when(ISO_US)}


def _otel(draft: Draft) -> dict[str, Any]:
    event = draft.event
    number = _OTEL_NUMBERS[event.level] + draft.rng.randrange(4)
    step = number - _OTEL_NUMBERS[event.level]
    text = draft.rng.choice(
        (
            event.level,
            _SERILOG[event.level],
            f"{event.level}{step + 1}" if step else event.level,
        )
    )
    time = {"timeUnixNano": draft.when(EPOCH_NS)} if draft.is_epoch else {"timestamp": draft.when(ISO_US)}
    return {
        **time,
        "severityText": text,
        "severityNumber": number,
        "body": event.msg,
        "traceId": event.request_id * 2,
        "service.name": event.app,
        **draft.extra,
    }


def _fluent_bit(draft: Draft) -> dict[str, Any]:
    event = draft.event
    level = draft.rng.choice(_PYTHON[event.level])
    return {
        "date": draft.when(EPOCH_S if draft.is_epoch else ISO_US),
        "stream": "stdout",
        "log": f"[{level}] {event.msg} request_id={event.request_id}",
        "kubernetes_pod": f"{event.app}-{event.pid}",
        "kubernetes_host": event.host,
        **draft.extra,
    }


LAYOUTS: Final[tuple[Layout, ...]] = (
    _pino,
    _bunyan,
    _zap,
    _logrus,
    _structlog,
    _json_logger,
    _serilog,
    _ecs,
    _winston,
    _docker,
    _otel,
    _fluent_bit,
)
EPOCH_LAYOUTS: Final = frozenset((_pino, _zap, _otel, _fluent_bit))
"""Layouts that can write their time as a number."""
TS_NAMES: Final = ("time", "ts", "timestamp", "@timestamp", "asctime", "Timestamp", "timeUnixNano", "date")
LEVEL_NAMES: Final = ("level", "levelname", "Level", "log.level", "severityText", "severityNumber")
"""The names of time and level in all of the layouts, for events that are to lack one."""

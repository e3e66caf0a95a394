from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from logops_fast.client.records import dumps, encode, level_of
from tests.support.tables import each_of


def event(app: str | None = None, **fields: Any) -> dict[str, Any]:
    record = logging.makeLogRecord({"name": "shop", "levelno": 30, "msg": "hello", "created": 1e9 + 0.25, **fields})
    found: dict[str, Any] = orjson.loads(encode(record, app))
    return found


def test_a_record_becomes_an_event_with_its_settled_fields() -> None:
    found = event("checkout", msg="paid %d of %s", args=(3, "four"))
    assert found["ts"] == "2001-09-09T01:46:40.250000Z"
    assert (found["level"], found["msg"], found["logger"], found["app"]) == (
        "WARN",
        "paid 3 of four",
        "shop",
        "checkout",
    )


@each_of(
    ("number", "level"),
    [(0, "TRACE"), (5, "TRACE"), (10, "DEBUG"), (25, "INFO"), (40, "ERROR"), (50, "FATAL"), (99, "FATAL")],
)
def test_levels_also_of_an_applications_own(number: int, level: str) -> None:
    assert level_of(number) == level


def test_extra_fields_are_kept_and_cannot_take_the_place_of_settled_ones() -> None:
    found = event(order=17, ts="mine", level="mine", when=datetime(2026, 1, 1, tzinfo=UTC))
    assert (found["order"], found["extra_ts"], found["extra_level"], found["level"]) == (17, "mine", "mine", "WARN")
    assert found["when"] == "2026-01-01T00:00:00+00:00"


def test_an_exception_is_told_with_its_traceback() -> None:
    try:
        dict[str, str]()["gone"]
    except KeyError:
        found = event(exc_info=sys.exc_info())
    assert "KeyError: 'gone'" in found["exc"]
    assert "test_records.py" in found["exc"]


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


@each_of(
    ("value", "written"),
    [(Odd(), "<odd>"), ({1: Odd()}, {"1": "<odd>"}), ("\ud800", "\\ud800"), (2**70, str(2**70)), (float("nan"), None)],
)
def test_what_json_has_no_form_for_is_kept_as_text(value: Any, written: Any) -> None:
    assert orjson.loads(dumps({"a": value, "b": 1})) == {"a": written, "b": 1}


def test_a_value_that_holds_itself_is_kept_as_text() -> None:
    ring: list[Any] = []
    ring.append(ring)
    assert orjson.loads(dumps({"ring": ring, "b": [1]})) == {"ring": "[[...]]", "b": [1]}


def test_a_formatters_text_is_the_message() -> None:
    formatter = logging.Formatter("%(name)s says %(message)s")
    record = logging.makeLogRecord({"name": "shop", "levelno": 30, "msg": "hello", "order": 17})
    found = orjson.loads(encode(record, "checkout", formatter))
    assert (found["msg"], found["level"], found["app"], found["order"]) == ("shop says hello", "WARN", "checkout", 17)


def test_a_formatter_writes_the_traceback_once() -> None:
    try:
        dict[str, str]()["gone"]
    except KeyError:
        record = logging.makeLogRecord({"levelno": 40, "msg": "failed", "exc_info": sys.exc_info()})
    found = orjson.loads(encode(record, None, logging.Formatter()))
    assert "KeyError: 'gone'" in found["msg"]
    assert "exc" not in found


@each_of("text", ["[1]", "{not json", '{"a": NaN}', "{}", '"text"'])
def test_a_formatters_other_text_stays_text(text: str) -> None:
    record = logging.makeLogRecord({"levelno": 20, "msg": text})
    assert orjson.loads(encode(record, None, logging.Formatter("%(message)s")))["msg"] == text


def test_a_message_that_is_a_mapping_is_the_event() -> None:
    found = event("checkout", msg={"event": "paid", "level": "notice", "order": 17, 5: "five"}, tenant="eu")
    assert found == {
        "ts": "2001-09-09T01:46:40.250000Z",
        "level": "notice",
        "logger": "shop",
        "pid": found["pid"],
        "app": "checkout",
        "event": "paid",
        "order": 17,
        "5": "five",
        "tenant": "eu",
    }


def test_the_members_of_a_json_formatter_are_the_events() -> None:
    from pythonjsonlogger.json import JsonFormatter

    record = logging.makeLogRecord({"name": "shop", "levelno": 30, "levelname": "WARNING", "msg": "paid", "order": 17})
    found = orjson.loads(encode(record, None, JsonFormatter("%(levelname)s %(message)s")))
    assert (found["message"], found["levelname"], found["order"], found["level"]) == ("paid", "WARNING", 17, "WARN")
    assert "msg" not in found


@pytest.mark.parametrize("renderer", ["json", "console"])
def test_structlogs_processor_formatter(renderer: str) -> None:
    import structlog

    lines: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(orjson.loads(encode(record, None, self.formatter)))

    final: Any = structlog.processors.JSONRenderer()
    if renderer == "console":
        final = structlog.dev.ConsoleRenderer(colors=False)
    handler = Keep()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=final))
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    bound = structlog.wrap_logger(
        logger,
        processors=[structlog.stdlib.add_log_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    bound.warning("paid", order=17)
    logger.error("a foreign %s", "record")
    first, second = lines
    assert not {"_logger", "_name", "_record"} & (first.keys() | second.keys())
    assert (first["logger"], second["level"]) == ("shop", "ERROR")
    if renderer == "json":
        assert (first["event"], first["order"], first["level"]) == ("paid", 17, "warning")
        assert second["event"] == "a foreign record"
    else:
        assert "paid" in first["msg"]
        assert "order=17" in first["msg"]

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.telemetry import logs
from tests.support.tables import each_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def root_restored() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.raiseExceptions)
    yield
    root.handlers[:], level, logging.raiseExceptions = before
    root.setLevel(level)


def formatted(formatter: logging.Formatter, message: str, **extra: object) -> str:
    record = logging.getLogger("logops_fast.test").makeRecord(
        "logops_fast.test", logging.INFO, __file__, 1, message, (), None, extra=extra
    )
    return formatter.format(record)


def test_a_terminal_gets_coloured_text_and_a_pipe_gets_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for stream, start in ((Terminal(), "\x1b["), (io.StringIO(), "{")):
        logs.configure("info", "auto", stream)
        logging.getLogger("logops_fast.test").info("hello")
        assert stream.getvalue().startswith(start)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(name, value)
    stream = Terminal()
    logs.configure("info", "text", stream)
    logging.getLogger("logops_fast.test").info("hello")
    assert "\x1b" not in stream.getvalue()
    assert "INFO    test       hello" in stream.getvalue()


def test_lines_below_the_level_are_not_written_and_an_unknown_level_is_an_error() -> None:
    stream = io.StringIO()
    logs.configure("warning", "json", stream)
    logging.getLogger("logops_fast.test").info("hello")
    assert stream.getvalue() == ""
    with pytest.raises(KeyError):
        logs.configure("loud", "json", stream)


def test_a_json_line_holds_time_level_logger_message_fields_and_what_was_bound() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    logs.bind(worker=3)
    logging.getLogger("logops_fast.test").info("hello %s", "you", extra={"port": 8081})
    line = json.loads(stream.getvalue())
    assert line.pop("ts").endswith("Z")
    assert line == {"level": "INFO", "logger": "logops_fast.test", "msg": "hello you", "worker": 3, "port": 8081}


def test_fields_of_text_are_quoted_where_they_need_it() -> None:
    line = formatted(logs.TextFormatter(), "hello", a=1, b="two words", c='q"', d="")
    assert line.endswith('hello a=1 b="two words" c="q\\"" d=""')


def test_the_time_is_rfc_3339_utc_with_milliseconds() -> None:
    record = logging.makeLogRecord({"created": 1_700_000_000.9996, "msecs": 999.6, "msg": "x", "name": "x"})
    assert logs.TextFormatter().format(record).startswith("2023-11-14T22:13:20.999Z ")


@given(st.text())
def test_no_text_adds_a_line_or_reaches_a_terminals_controls(text: str) -> None:
    line = formatted(logs.TextFormatter(), text, field=text)
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in line)
    assert len(line.splitlines()) == 1


@given(st.text(st.characters(codec=None)))
def test_every_json_line_is_one_line_and_gives_the_text_back(text: str) -> None:
    line = formatted(logs.JsonFormatter(), text, field=text)
    assert len(line.splitlines()) == 1
    if not any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        assert json.loads(line)["msg"] == text
    assert "msg" in json.loads(line)


def test_controls_are_written_as_their_codes() -> None:
    assert logs.escape("a\nb\x1b[31m\x9b\u202e\u2028\ud800") == r"a\x0ab\x1b[31m\x9b\u202e\u2028\ud800"


def fail(message: str) -> None:
    raise ValueError(message)


def test_an_exceptions_text_cannot_forge_a_line() -> None:
    stream = io.StringIO()
    for log_format in ("text", "json"):
        logs.configure("info", log_format, stream)
        try:
            fail("x\n2026-01-01T00:00:00.000Z ERROR   forged\x1b[2J")
        except ValueError:
            logging.getLogger("logops_fast.test").exception("failed")
    *text, as_json = stream.getvalue().splitlines()
    assert all(line.startswith("    ") for line in text[1:])
    assert "\x1b" not in stream.getvalue()
    assert "forged" in json.loads(as_json)["exception"]


@each_of("value", [2**70, "\ud800", {1: 2}, object(), b"bytes", float("nan")])
def test_no_field_value_loses_the_line(value: object) -> None:
    assert json.loads(formatted(logs.JsonFormatter(), "hello", field=value))["msg"] == "hello"


def test_a_rate_limited_key_speaks_once_an_interval_and_says_what_it_kept_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    limited = logs.RateLimited(logging.getLogger("logops_fast.test"), clock=lambda: now[0])
    logged = []
    for now[0] in (0.0, 1.0, 59.9, 60.0, 61.0, 200.0):
        logged.append(limited.log(logging.WARNING, "redis", "store unreachable", store="redis"))
    assert logged == [True, False, False, True, False, True]
    assert [getattr(record, "suppressed", 0) for record in caplog.records] == [0, 2, 1]
    assert limited.log(logging.WARNING, "another", "other things")


def test_suppressed_lines_are_summed_up_once_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    limited = logs.RateLimited(logging.getLogger("logops_fast.test"), clock=lambda: 0.0)
    for _ in range(4):
        limited.log(logging.WARNING, "redis", "store unreachable")
    limited.flush()
    limited.flush()
    assert [getattr(record, "suppressed", 0) for record in caplog.records] == [0, 3]


def test_keys_of_strangers_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    limited = logs.RateLimited(logging.getLogger("logops_fast.test"), clock=lambda: 0.0)
    for i in range(logs.MAX_KEYS + 100):
        limited.log(logging.WARNING, f"k{i}", "x")
    assert len(caplog.records) == logs.MAX_KEYS + 1
    assert len(limited._keys) == logs.MAX_KEYS + 1


def test_a_disabled_level_costs_no_key() -> None:
    logger = logging.getLogger("logops_fast.quiet")
    logger.setLevel(logging.ERROR)
    limited = logs.RateLimited(logger)
    assert not limited.log(logging.INFO, "k", "x")
    assert limited._keys == {}

"""What real logging libraries write is read: their own code makes the lines that are parsed and normalised here."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import time
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from logops_fast.formats.media_type import Format
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.registry import parse
from tests.support.services import require_service

MESSAGE = "payment of order 7 refused"
NPM_DEADLINE = 100.0  # s


def module(name: str) -> ModuleType:
    """A library of the dev group; where it is missing the test is skipped, or fails under LOGOPS_REQUIRE_SERVICES=1."""
    if os.environ.get("LOGOPS_REQUIRE_SERVICES") == "1":
        return __import__(name, fromlist=["x"])
    return pytest.importorskip(name, reason=f"{name} is in the dev group and not installed")  # type: ignore[no-any-return]


def check(lines: str, levels: list[str], began: float) -> None:
    """Each line is an event with the message, its level, and a time between ``began`` and now."""
    parsed = parse(Format.NDJSON, lines.encode(), time.time())
    assert parsed.faults == []
    done = Normaliser().run(parsed.events, emitter="web", scenario_id="na", received_at=0)
    assert (done.missing_ts, done.missing_level) == (0, 0)
    events = [json.loads(line) for line in done.lines.splitlines()]
    assert [event["level"] for event in events] == levels
    for event in events:
        assert event["msg"] == MESSAGE
        moment = datetime.fromisoformat(event["ts"]).timestamp()
        assert began - 1 <= moment <= time.time() + 1  # some write whole seconds


def logger_to(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    return logger


def log_all(logger: Any, *names: str) -> None:
    for name in names:
        getattr(logger, name)(MESSAGE)


PYTHON = ("debug", "info", "warning", "error", "critical")
PYTHON_LEVELS = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL"]


@pytest.mark.parametrize("stamp", [{"fmt": "iso"}, {"fmt": "iso", "key": "ts"}, {"fmt": None}])
def test_structlog(stamp: dict[str, Any]) -> None:
    structlog = module("structlog")
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(**stamp),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.BoundLogger,
    )
    began = time.time()
    log_all(logger.bind(order=7), *PYTHON)
    check(out.getvalue(), PYTHON_LEVELS, began)


@pytest.mark.parametrize("fields", ["%(asctime)s %(levelname)s %(message)s", "%(created)f %(levelno)d %(message)s"])
def test_python_json_logger(fields: str) -> None:
    formatter: Any = module("pythonjsonlogger.json").JsonFormatter(fields)
    formatter.converter = time.gmtime  # asctime carries no zone
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    began = time.time()
    log_all(logger_to(handler), *PYTHON)
    check(out.getvalue(), PYTHON_LEVELS, began)


def test_ecs_logging() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(module("ecs_logging").StdlibFormatter())
    began = time.time()
    log_all(logger_to(handler), *PYTHON)
    check(out.getvalue(), PYTHON_LEVELS, began)


def test_loguru() -> None:
    module("loguru")
    from loguru import logger

    logger.remove()  # the handler that writes to standard error
    out = io.StringIO()
    logger.add(out, serialize=True, level=0, format="{message}")
    began = time.time()
    log_all(logger, "trace", *PYTHON[:2], "success", *PYTHON[2:])
    check(out.getvalue(), ["TRACE", "DEBUG", "INFO", "INFO", "WARN", "ERROR", "FATAL"], began)


SCRIPTS: dict[str, tuple[str, list[str]]] = {
    "pino": (
        "const pino = require('pino');"
        # To a file: what goes to a pipe that is full comes later.
        "const log = pino({level: 'trace'}, pino.destination({dest: 'out.ndjson', sync: true}));"
        "for (const l of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) log[l]({order: 7}, MESSAGE);",
        ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"],
    ),
    "pino-labels": (
        "const pino = require('pino');"
        "const log = pino({timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'message',"
        " formatters: {level: label => ({level: label})}}, pino.destination({dest: 'out.ndjson', sync: true}));"
        "for (const l of ['info', 'warn', 'error', 'fatal']) log[l](MESSAGE);",
        ["INFO", "WARN", "ERROR", "FATAL"],
    ),
    "bunyan": (
        "const log = require('bunyan').createLogger({name: 'shop', level: 'trace'});"
        "for (const l of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) log[l]({order: 7}, MESSAGE);",
        ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"],
    ),
    "winston": (
        "const {createLogger, format, transports} = require('winston');"
        "const log = createLogger({level: 'silly', format: format.combine(format.timestamp(), format.json()),"
        " transports: [new transports.Console()]});"
        "const names = ['silly', 'debug', 'verbose', 'http', 'info', 'warn', 'error'];"
        "for (const l of names) log.log(l, MESSAGE, {order: 7});",
        ["TRACE", "DEBUG", "TRACE", "DEBUG", "INFO", "WARN", "ERROR"],
    ),
    "winston-colour": (
        "const {createLogger, format, transports} = require('winston');"
        "const log = createLogger({format: format.combine(format.colorize(), format.timestamp(), format.json()),"
        " transports: [new transports.Console()]});"
        "for (const l of ['info', 'warn', 'error']) log.log(l, MESSAGE);",
        ["INFO", "WARN", "ERROR"],
    ),
}


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the Node.js loggers, from npm's registry."""
    npm = require_service("npm")
    require_service("node")
    folder = tmp_path_factory.mktemp("node")
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    try:
        done = subprocess.run(
            [*command, "pino", "bunyan", "winston"], capture_output=True, text=True, timeout=NPM_DEADLINE, check=False
        )
        failure = done.stderr if done.returncode else ""
    except subprocess.TimeoutExpired:
        failure = f"npm did not finish within {NPM_DEADLINE:g} s"
    if failure:
        if os.environ.get("LOGOPS_REQUIRE_SERVICES") == "1":
            pytest.fail(f"npm's registry cannot be reached: {failure}")
        pytest.skip("npm's registry cannot be reached")
    return folder


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_node_loggers(name: str, node_modules: Path) -> None:
    script, levels = SCRIPTS[name]
    path = node_modules / f"{name}.js"
    path.write_text(f"const MESSAGE = {json.dumps(MESSAGE)};\n{script}\n")
    (node_modules / "out.ndjson").unlink(missing_ok=True)
    began = time.time()
    done = subprocess.run(
        ["node", path.name], cwd=node_modules, capture_output=True, text=True, timeout=NPM_DEADLINE, check=True
    )
    written = node_modules / "out.ndjson"
    check(done.stdout + (written.read_text() if written.exists() else ""), levels, began)

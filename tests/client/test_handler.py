"""The handler over real sockets, against a server with scripted answers."""

from __future__ import annotations

import http.server
import json
import logging
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from logops_fast.client.handler import LogOpsHandler

Reply = Callable[[list[dict[str, Any]], dict[str, str]], tuple[int, dict[str, Any]]]


class Server(http.server.ThreadingHTTPServer):
    """Answers by ``reply(events, headers)`` and keeps what it was sent."""

    daemon_threads = True

    def __init__(self, reply: Reply) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = reply
        self.requests: list[tuple[list[dict[str, Any]], dict[str, str]]] = []
        self.stored: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/ingest"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        events = [json.loads(line) for line in body.splitlines()]
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((events, headers))
        status, answer = self.server.reply(events, headers)
        if status == 200:
            self.server.stored += events
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def accept(events: list[dict[str, Any]], _: dict[str, str]) -> tuple[int, dict[str, Any]]:
    return 200, {"accepted": len(events), "rejected": 0}


@contextmanager
def serving(reply: Reply) -> Iterator[Server]:
    server = Server(reply)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def logging_to(url: str, **options: Any) -> Iterator[tuple[logging.Logger, LogOpsHandler]]:
    handler = LogOpsHandler(url, "k", "s" * 8, **{"flush_interval": 0.02, "close_timeout": 5.0, **options})
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    try:
        yield logger, handler
    finally:
        handler.close()


def test_records_arrive_in_order_in_batches() -> None:
    with serving(accept) as server, logging_to(server.url, batch_size=40) as (logger, handler):
        for number in range(100):
            logger.info("number %d", number)
        handler.flush()
        assert [event["msg"] for event in server.stored] == [f"number {number}" for number in range(100)]
        assert max(len(events) for events, _ in server.requests) <= 40
        assert (handler.delivered, handler.dropped) == (100, Counter())


def test_a_few_records_do_not_wait_for_a_full_batch() -> None:
    arrived = threading.Event()

    def reply(events: list[dict[str, Any]], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        arrived.set()
        return accept(events, headers)

    with serving(reply) as server, logging_to(server.url) as (logger, _):
        logger.info("alone")
        assert arrived.wait(5)


def test_a_batch_is_sent_again_under_its_own_id_until_it_is_stored() -> None:
    answers = iter([(503, {"error": "sink_failed"}), (500, {"error": "internal_error"})])

    def reply(events: list[dict[str, Any]], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        return next(answers, None) or accept(events, headers)

    with serving(reply) as server, logging_to(server.url) as (logger, handler):
        logger.info("once")
        handler.flush()
        assert len(server.requests) == 3
        assert len({headers["x-batch-id"] for _, headers in server.requests}) == 1
        assert len({headers["x-nonce"] for _, headers in server.requests}) == 3
        assert [event["msg"] for event in server.stored] == ["once"]


def test_a_batch_that_is_too_large_goes_in_halves_under_ids_of_their_own() -> None:
    def reply(events: list[dict[str, Any]], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        return (413, {"error": "too_many_items"}) if len(events) > 3 else accept(events, headers)

    with serving(reply) as server, logging_to(server.url, flush_interval=60) as (logger, handler):
        for number in range(10):
            logger.info("%d", number)
        handler.flush()
        assert [event["msg"] for event in server.stored] == [str(number) for number in range(10)]
        ids = [headers["x-batch-id"] for _, headers in server.requests]
        assert len(ids) == len(set(ids))


def test_what_is_refused_for_good_is_dropped_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    def reply(*_: object) -> tuple[int, dict[str, Any]]:
        return 401, {"error": "bad_signature", "detail": "The signature does not match."}

    with serving(reply) as server, logging_to(server.url, flush_interval=60) as (logger, handler):
        logger.info("one")
        logger.info("two")
        handler.flush()
        assert handler.dropped == Counter({"401 bad_signature": 2})
    said = capsys.readouterr().err
    assert said.startswith("logops: log records dropped: ")
    assert " for 401 bad_signature (The signature does not match.)\n" in said


def test_what_cannot_be_sent_yet_is_said_too(capsys: pytest.CaptureFixture[str]) -> None:
    tries = threading.Semaphore(0)

    def reply(*_: object) -> tuple[int, dict[str, Any]]:
        tries.release()
        return 503, {"error": "sink_failed"}

    with serving(reply) as server, logging_to(server.url, close_timeout=0.2) as (logger, handler):
        logger.info("kept")
        for _ in range(4):  # it is said after the third
            assert tries.acquire(timeout=60)
        assert capsys.readouterr().err == "logops: log records waiting: 1; 503 sink_failed; trying again\n"
    assert handler.dropped == Counter({"closed_before_delivery: 503 sink_failed": 1})


def test_a_formatter_and_a_mapping_reach_the_gateway() -> None:
    with serving(accept) as server, logging_to(server.url) as (logger, handler):
        logger.info({"msg": "paid", "order": 17})
        handler.setFormatter(logging.Formatter("<%(message)s>"))
        logger.info("formatted")
        handler.flush()
        first, second = server.stored
        assert (first["msg"], first["order"], second["msg"]) == ("paid", 17, "<formatted>")


def test_a_token_takes_the_place_of_the_signature() -> None:
    with serving(accept) as server:
        handler = LogOpsHandler(server.url, token="t0k3n", flush_interval=0.02)
        handler.handle(logging.makeLogRecord({"levelno": 20, "msg": "hello"}))
        handler.close()
        (_, headers), *_ = server.requests
        assert headers["authorization"] == "Bearer t0k3n"
        assert "x-signature" not in headers


def test_a_full_queue_drops_and_never_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    release = threading.Event()

    def reply(events: list[dict[str, Any]], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        release.wait(10)
        return accept(events, headers)

    with serving(reply) as server, logging_to(server.url, max_queue=50, batch_size=10) as (logger, handler):
        for number in range(200):  # nothing is answered meanwhile: were this to wait, it would wait for ever
            logger.info("%d", number)
        assert handler.dropped == Counter({"queue_full": 150})
        release.set()
        handler.flush()
        assert len(server.stored) == 50
    assert capsys.readouterr().err.count("logops: log records dropped") <= 2


def test_closing_without_a_gateway_ends_in_time_and_says_what_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to("http://127.0.0.1:1/ingest", close_timeout=0.2) as (logger, handler):
        for _ in range(3):
            logger.info("nobody hears this")
    assert handler.dropped.total() == 3
    assert "logops: log records dropped: 3 for closed_before_delivery" in capsys.readouterr().err


def test_a_record_that_cannot_be_formatted_does_not_stop_the_application(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(accept) as server, logging_to(server.url) as (logger, handler):
        logger.info("%d", "no number")
        logger.info("next")
        handler.flush()
        assert [event["msg"] for event in server.stored] == ["next"]
    assert "Logging error" in capsys.readouterr().err


def test_a_batch_the_gateway_partly_rejects_is_not_sent_again() -> None:
    def reply(events: list[dict[str, Any]], _: dict[str, str]) -> tuple[int, dict[str, Any]]:
        return 200, {"accepted": len(events) - 1, "rejected": 1}

    with serving(reply) as server, logging_to(server.url, flush_interval=60) as (logger, handler):
        logger.info("a")
        logger.info("b")
        handler.flush()
        assert sum(len(events) for events, _ in server.requests) == 2
        assert handler.rejected == len(server.requests)
        assert (handler.delivered + handler.rejected, handler.dropped) == (2, Counter())


def test_what_cannot_be_used_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENTRYPOINT_URL", raising=False)
    with pytest.raises(ValueError, match="ENTRYPOINT_URL"):
        LogOpsHandler(None, "k", "s")
    with pytest.raises(ValueError, match="expected http"):
        LogOpsHandler("gw", "k", "s")


def test_no_message_shows_the_secret() -> None:
    handler = LogOpsHandler("http://127.0.0.1:1/", "k", "hidden-secret")
    assert "hidden-secret" not in repr(handler)
    assert "hidden-secret" not in repr(vars(handler))
    handler.close()


@pytest.mark.process
def test_a_url_that_cannot_be_used_is_one_traceback() -> None:
    program = "from logops_fast.client.handler import LogOpsHandler\nLogOpsHandler('gw', 'k', 's')\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.endswith("ValueError: gw: expected http://host[:port]/path or https://host[:port]/path\n")


@pytest.mark.process
@pytest.mark.slow
def test_what_was_logged_at_the_end_of_a_program_is_delivered() -> None:
    program = (
        "import logging, sys\n"
        "from logops_fast.client.handler import LogOpsHandler\n"
        "logging.getLogger().addHandler(LogOpsHandler(sys.argv[1], 'k', 'ssssssss', flush_interval=60))\n"
        "logging.warning('the last words')\n"
    )
    with serving(accept) as server:
        subprocess.run([sys.executable, "-c", program, server.url], check=True, timeout=30)
        assert [event["msg"] for event in server.stored] == ["the last words"]


@pytest.mark.process
@pytest.mark.slow
def test_a_forked_child_sends_its_own_records_and_not_its_parents() -> None:
    program = (
        "import logging, os, sys\n"
        "from logops_fast.client.handler import LogOpsHandler\n"
        "logging.getLogger().addHandler(LogOpsHandler(sys.argv[1], 'k', 'ssssssss', flush_interval=60))\n"
        "logging.warning('parent')\n"
        "child = os.fork()\n"
        "logging.warning('after, in %s', 'parent' if child else 'child')\n"
        "if child: os.waitpid(child, 0)\n"
    )
    with serving(accept) as server:
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program, server.url], check=True, timeout=30, env={**os.environ}
        )
        found = Counter(event["msg"] for event in server.stored)
    assert found == Counter({"parent": 1, "after, in parent": 1, "after, in child": 1})

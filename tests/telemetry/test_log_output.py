"""A log whose reader does not read: on real pipes, sockets and files."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from logops_fast.telemetry import logs
from logops_fast.telemetry.families import ProcessMetrics
from logops_fast.telemetry.log_output import BUFFER_BYTES, NonBlockingHandler, non_blocking_handler
from logops_fast.telemetry.registry import Registry

PIPE_BYTES = 65_536
LINE = "x" * 1000


OPEN: list[NonBlockingHandler] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def handler_of(fd: int) -> NonBlockingHandler:
    handler = NonBlockingHandler(fd)
    handler.setFormatter(logging.Formatter("%(message)s"))
    OPEN.append(handler)
    return handler


def emit(handler: NonBlockingHandler, text: str, times: int = 1) -> None:
    for _ in range(times):
        handler.emit(logging.makeLogRecord({"msg": text, "levelno": logging.INFO}))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read_end, write_end = os.pipe()
    yield read_end, write_end
    for fd in (read_end, write_end):
        os.close(fd)


def drained(fd: int) -> bytes:
    os.set_blocking(fd, False)
    found = b""
    try:
        while piece := os.read(fd, 65_536):
            found += piece
    except BlockingIOError:
        pass
    return found


def test_a_full_pipe_costs_lines_and_no_time_and_whole_lines_alone_arrive(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    handler = handler_of(write_end)
    emit(handler, LINE, 1000)  # a blocking write would never return from this
    kept = (PIPE_BYTES + BUFFER_BYTES) // (len(LINE) + 1)
    assert 1000 - kept - 2 <= handler.dropped <= 1000 - kept + 6
    received = b""
    while piece := drained(read_end):
        received += piece
        handler.flush()
    assert received == (LINE + "\n").encode() * (1000 - handler.dropped)
    emit(handler, "after")
    assert drained(read_end) == b"after\n"


def test_the_descriptor_of_others_stays_blocking(pipe: tuple[int, int]) -> None:
    handler_of(pipe[1])
    if sys.platform == "linux":
        assert os.get_blocking(pipe[1])


def test_a_pipe_that_cannot_be_reopened_is_made_non_blocking_itself(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container the pipe behind standard error may belong to root, and there is no /proc on macOS."""

    def denied(path: str, flags: int) -> int:
        raise PermissionError(path)

    monkeypatch.setattr(os, "open", denied)
    handler = handler_of(pipe[1])
    monkeypatch.undo()
    emit(handler, LINE, 1000)
    assert handler.dropped > 0
    assert drained(pipe[0]).startswith(LINE.encode())


def test_a_line_that_cannot_be_formatted_is_no_error(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler = handler_of(pipe[1])
    handler.emit(logging.makeLogRecord({"msg": "%d", "args": ("x",)}))
    assert drained(pipe[0]) == b""
    assert "buffered=0 dropped=0" in repr(handler)


def test_a_line_longer_than_the_buffer_is_written_where_nothing_waits(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    handler = handler_of(write_end)
    found = bytearray()

    def read() -> None:
        while not found.endswith(b"\n"):
            found.extend(os.read(read_end, 65_536))

    reader = threading.Thread(target=read)
    reader.start()
    emit(handler, "y" * (BUFFER_BYTES * 2))
    while reader.is_alive():
        handler.flush()
        reader.join(0.001)
    assert bytes(found) == b"y" * (BUFFER_BYTES * 2) + b"\n"


def test_a_reader_that_is_gone_is_no_error(pipe: tuple[int, int]) -> None:
    read_end, write_end = os.pipe()
    handler = handler_of(write_end)
    os.close(read_end)
    emit(handler, "nobody reads this", 3)
    assert handler.dropped == 3
    os.close(write_end)


def test_a_socket_as_systemd_gives_it() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        handler = handler_of(ours.fileno())
        emit(handler, "hello")
        assert theirs.recv(100) == b"hello\n"
        emit(handler, LINE, 5000)
        assert handler.dropped > 0


def test_a_regular_file_gets_every_line(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as out:
        emit(handler_of(out.fileno()), LINE, 1000)
    assert (tmp_path / "log").read_bytes().count(b"\n") == 1000


def test_what_was_buffered_before_a_fork_is_the_parents(pipe: tuple[int, int]) -> None:
    handler = handler_of(pipe[1])
    emit(handler, LINE, 100)
    handler.forget_buffered()
    drained(pipe[0])
    handler.flush()
    assert drained(pipe[0]) == b""


def test_dropped_lines_are_counted_in_a_metric(pipe: tuple[int, int]) -> None:
    with os.fdopen(os.dup(pipe[1]), "w") as stream:
        logs.configure("info", "text", stream, blocking=False)
        handler = non_blocking_handler()
        assert handler is not None
        registry = Registry()
        metrics = ProcessMetrics(registry)
        for _ in range(2000):
            logging.getLogger("logops_fast.test").info(LINE)
        metrics.sample()
        metrics.sample()
        assert registry.sums("logops_log_lines_dropped_total") == {(): (float(handler.dropped),)}
        assert handler.dropped > 1000

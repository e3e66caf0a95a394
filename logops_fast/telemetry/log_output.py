"""Log lines written to a file descriptor without ever waiting for its reader.

A log collector that stops reading fills the pipe behind standard error, and a blocking write would then stop an event
loop, or the supervisor, for as long as the collector likes. Here a full pipe costs log lines instead: what does not fit
is kept up to ``BUFFER_BYTES``, and the lines after that are dropped and counted.

No thread is involved, because the supervisor forks: buffered bytes are retried with the next line and by ``flush``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import stat
from typing import Final

BUFFER_BYTES: Final = 256 * 1024
"""Bytes of lines that may wait for the reader; a full pipe holds another 64 KiB."""


class NonBlockingHandler(logging.Handler):
    """Writes lines to ``fd`` in non-blocking mode. A line is written completely or not at all.

    The descriptor itself is never made non-blocking unless it is a pipe that cannot be reopened: its open file
    description may be shared with the shell that started the program.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.dropped = 0
        """Lines dropped in this process since its start."""
        self._buffer = bytearray()
        self._socket: socket.socket | None = None
        self._fd = fd
        self._reopened = False
        self._open()

    def __repr__(self) -> str:
        return f"<NonBlockingHandler fd={self._fd} buffered={len(self._buffer)} dropped={self.dropped}>"

    def _open(self) -> None:
        kind = os.fstat(self._fd).st_mode
        if stat.S_ISSOCK(kind):  # systemd's journal
            self._socket = socket.socket(fileno=os.dup(self._fd))
        elif stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            try:
                # A new open file description: O_NONBLOCK then concerns nobody else.
                self._fd = os.open(f"/proc/self/fd/{self._fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
                self._reopened = True
            except OSError:
                # No /proc (macOS), or a container's pipe that belongs to root. Its other end is the runtime's.
                if stat.S_ISFIFO(kind):
                    os.set_blocking(self._fd, False)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line, buffer it, or drop it."""
        try:
            line = (self.format(record) + "\n").encode("utf-8", "replace")
        except Exception:
            self.handleError(record)
            return
        self._write_buffered()
        if self._buffer and len(self._buffer) + len(line) > BUFFER_BYTES:
            self.dropped += 1
            return
        self._buffer += line
        self._write_buffered()

    def flush(self) -> None:
        """Retry what is buffered; call it regularly, as nothing else does while no lines are logged."""
        with self.lock or contextlib.nullcontext():
            self._write_buffered()

    def close(self) -> None:
        """Close what this handler opened; the descriptor it was given stays open."""
        if self._socket is not None:
            self._socket.close()
        elif self._reopened:
            os.close(self._fd)
            self._reopened = False
        super().close()

    def forget_buffered(self) -> None:
        """Discard the buffer: after a fork it belongs to the parent, which will write it."""
        self._buffer.clear()
        self.dropped = 0

    def _write_buffered(self) -> None:
        while self._buffer:
            try:
                if self._socket is not None:
                    written = self._socket.send(self._buffer, socket.MSG_DONTWAIT)
                else:
                    written = os.write(self._fd, self._buffer)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # the reader is gone for good
                self.dropped += self._buffer.count(b"\n")
                self._buffer.clear()
                return
            del self._buffer[:written]


def non_blocking_handler() -> NonBlockingHandler | None:
    """Return the root logger's handler if it is a ``NonBlockingHandler``."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, NonBlockingHandler):
            return handler
    return None

"""``LogOpsHandler``: delivers the standard library's logging to a LogOps gateway, from a thread of its own.

    import logging
    from logops_fast.client.handler import LogOpsHandler

    logging.getLogger().addHandler(LogOpsHandler("http://127.0.0.1:8081/ingest", "web-1", "s3cr3t", app="shop"))

The application never waits for the network: a record is encoded as JSON and put into a bounded queue. The thread sends
signed batches, and retries each under its own batch id until the gateway has confirmed that it is stored. What does not
fit into the queue, or is refused for good, is dropped and counted, and reported with its reason on standard error, once
a minute.

Children of ``fork`` begin with an empty queue and a thread of their own. Those of ``multiprocessing`` end without
``atexit``, and deliver by a ``multiprocessing.util.Finalize``. What is killed by a signal, as the workers of
``Pool.terminate()`` are, loses its last ``flush_interval``.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import ssl as ssl_module
import sys
import threading
import time
import weakref
from collections import Counter
from typing import Final

from logops_fast.client.failures import cause_of
from logops_fast.client.outbox import Outbox
from logops_fast.client.records import encode
from logops_fast.client.request import CLOSING, RETRY_FOR, TOO_LONG, Credentials, Signer, Verdict, judge, unanswered

SAY_EVERY: Final = 60.0
"""Minimum interval between two lines on standard error, in seconds."""
MAX_ANSWER: Final = 1_048_576

_JUST_NOW: Final = 1.0
_CLOSING_PAUSE: Final = 0.1
_LEAST_TIMEOUT: Final = 0.05
_NEVER: Final = float("inf")
_TRIES_BEFORE_SAYING: Final = 3
# After the finalizers of multiprocessing's own queues (-5), whose threads may still log.
_FINALIZE_LAST: Final = -100


class LogOpsHandler(logging.Handler):
    """Delivers records to a gateway; times are in seconds.

    ``url``, ``key``, ``secret`` and ``token`` default to the environment's (ENTRYPOINT_URL, LOGOPS_API_KEY,
    LOGOPS_SECRET, LOGOPS_TOKEN). A ``token`` takes the place of key and secret, for gateways in mode ``api_key`` or
    ``any``; over plain HTTP it is sent to this machine only, unless ``plaintext_token``.

    The text of a formatter (``setFormatter``) is the message; if it is a JSON object, or the message is a mapping, its
    members are the event's.

    A batch is sent with ``batch_size`` records, or ``flush_interval`` after its first. ``max_queue`` and
    ``max_queue_bytes`` bound what is queued; ``close_timeout`` bounds ``flush()`` and the wait at the end of the
    process; ``retry_for`` bounds the retries of one batch. ``audience`` is the gateway's ``auth.audience``;
    ``signature_version=1`` is for gateways before 0.5.

    Raises:
        ValueError: for an argument that cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        secret: str | None = None,
        *,
        token: str | None = None,
        level: int | str = logging.NOTSET,
        app: str | None = None,
        emitter: str | None = None,
        scenario_id: str | None = None,
        batch_size: int = 500,
        flush_interval: float = 1.0,
        max_queue: int = 100_000,
        max_queue_bytes: int = 67_108_864,
        timeout: float = 10.0,
        close_timeout: float = 5.0,
        retry_for: float = RETRY_FOR,
        ssl: ssl_module.SSLContext | None = None,
        audience: str = "",
        signature_version: int = 2,
        plaintext_token: bool = False,
    ) -> None:
        # Before logging knows the handler: at the end of the process it flushes all it knows, half-made ones too.
        self._signer = Signer(
            Credentials.of(url, key, secret, token),
            emitter,
            scenario_id,
            audience=audience,
            signature_version=signature_version,
            plaintext_token=plaintext_token,
        )
        super().__init__(level)
        self._app = app
        self._batch_size = batch_size
        self._flush_interval = flush_interval
        self._timeout = timeout
        self._close_timeout = close_timeout
        self._retry_for = retry_for
        self._ssl = ssl
        self._outbox = Outbox(max_queue, max_queue_bytes)
        self._connection: http.client.HTTPConnection | None = None
        self._said: Counter[str] = Counter()
        self._said_at = float("-inf")
        self._details: dict[str, str] = {}
        self._flush_failed_at = float("-inf")
        self.delivered = 0
        self.rejected = 0
        self._begin()
        if hasattr(os, "register_at_fork"):
            me = weakref.ref(self)

            def forked() -> None:
                handler = me()
                if handler is not None:
                    handler._forked()

            os.register_at_fork(after_in_child=forked)

    @property
    def dropped(self) -> Counter[str]:
        """The records dropped so far, by reason."""
        return Counter(self._outbox.dropped)

    # ------------------------------------------------------------------------------------------ the application's side

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; never blocks and never raises."""
        try:
            if threading.current_thread() is self._thread or self._closing.is_set():
                return
            kept = self._outbox.put(encode(record, self._app, self.formatter))
            if self._thread is None:
                self._start()
            waiting = len(self._outbox)
            if not kept or waiting == 1 or waiting >= self._batch_size:
                self._wake.set()
        except Exception:
            self.handleError(record)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything logged so far is delivered or dropped, for ``timeout`` (``close_timeout``) at most."""
        deadline = time.monotonic() + (self._close_timeout if timeout is None else timeout)
        self._flushing = True
        try:
            while self._thread is not None and self._thread.is_alive() and not self._outbox.empty:
                left = deadline - time.monotonic()
                if left <= 0:
                    self._flush_failed_at = time.monotonic()
                    return
                self._wake.set()
                self._settled.wait(min(left, 0.05))
                self._settled.clear()
        finally:
            self._flushing = False

    def close(self) -> None:
        """Deliver what can be delivered within ``close_timeout``, report the rest, and end the thread."""
        # logging.shutdown() calls flush() just before: if that has timed out, do not wait a second time.
        spent = time.monotonic() - self._flush_failed_at < _JUST_NOW
        if not self._closing.is_set():
            self._close_by = time.monotonic() + (0.0 if spent else self._close_timeout)
            self._closing.set()
        thread = self._thread
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, self._close_by - time.monotonic()) + 0.2)
        self._abandon()
        super().close()

    # -------------------------------------------------------------------------------------------------- thread and fork

    def _begin(self) -> None:
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._settled = threading.Event()
        self._closing = threading.Event()
        self._close_by = _NEVER
        self._flushing = False
        self._last_failure = ""

    def _start(self) -> None:
        multiprocessing = sys.modules.get("multiprocessing")
        if multiprocessing is not None and multiprocessing.parent_process() is not None:
            # A child of multiprocessing ends by os._exit: atexit does not run, its finalizers do.
            finalize_in_child(self)
        # A daemon thread: an application that never closes its logging must be able to exit.
        self._thread = threading.Thread(target=self._run, name="logops", daemon=True)
        self._thread.start()

    def _forked(self) -> None:
        """Start over in a forked child: the thread, the queued records and the connection are the parent's."""
        self._outbox.renew()
        self._signer.renew()
        self._connection = None
        self._said.clear()
        self._begin()

    def _run(self) -> None:
        while True:
            self._wait_for_batch()
            batch = self._outbox.take(self._batch_size)
            if batch:
                self._deliver(batch)
                self._settled.set()
            elif self._closing.is_set():
                break
            self._say()
        self._disconnect()

    def _wait_for_batch(self) -> None:
        """Wait until a batch is full or old enough, or ``flush`` waits for it; return now and then without one."""
        due = 0.0
        while not self._closing.is_set() and (waiting := len(self._outbox)) < self._batch_size:
            if waiting and self._flushing:
                return
            now = time.monotonic()
            if waiting and not due:
                due = now + self._flush_interval
            if waiting and now >= due:
                return
            if not self._wake.wait(due - now if waiting else SAY_EVERY) and not waiting:
                return
            self._wake.clear()

    # -------------------------------------------------------------------------------------------------------- delivery

    def _deliver(self, batch: list[bytes]) -> None:
        """Send a batch until it is settled; one that is too large is split in halves."""
        todo = [batch]
        while todo:
            part = todo.pop()
            verdict = self._send(part)
            if verdict.outcome == "split" and len(part) > 1:
                middle = len(part) // 2
                todo += [part[middle:], part[:middle]]
                continue
            if verdict.outcome == "stored":
                self.delivered += len(part) - verdict.rejected
                self.rejected += verdict.rejected
            elif verdict.detail:
                self._details[verdict.reason] = verdict.detail
            self._outbox.settle(part, "" if verdict.outcome == "stored" else verdict.reason)

    def _send(self, batch: list[bytes]) -> Verdict:
        """Send one batch under one id, repeatedly, until it is stored, refused, or out of time."""
        body = b"\n".join(batch)
        batch_id = self._signer.batch_id()
        give_up = time.monotonic() + self._retry_for
        attempts = 0
        while True:
            attempts += 1
            verdict = self._try(body, batch_id, attempts)
            self._last_failure = verdict.reason if verdict.outcome == "again" else ""
            if verdict.outcome != "again":
                return verdict
            self._say(waiting=attempts >= _TRIES_BEFORE_SAYING)
            self._pause(min(verdict.wait, give_up - time.monotonic()))
            if time.monotonic() >= give_up:
                return verdict.given_up(TOO_LONG)
            if time.monotonic() >= self._close_by:
                return verdict.given_up(CLOSING)

    def _pause(self, seconds: float) -> None:
        """Wait before the next try; closing cuts the wait short, so that each batch gets one more try."""
        if seconds > 0 and self._closing.wait(seconds):
            time.sleep(max(0.0, min(seconds, _CLOSING_PAUSE, self._close_by - time.monotonic())))

    def _try(self, body: bytes, batch_id: bytes, attempts: int) -> Verdict:
        timeout = max(_LEAST_TIMEOUT, min(self._timeout, self._close_by - time.monotonic()))
        fields = {name.decode(): value.decode() for name, value in self._signer.headers(body, batch_id)}
        try:
            connection = self._connect(timeout)
            connection.request("POST", self._signer.endpoint.target.decode(), body, fields)
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            self._disconnect()
            return unanswered(cause_of(error), attempts)
        if response.will_close or not response.isclosed():
            self._disconnect()
        headers = {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in response.getheaders()}
        return judge(response.status, headers, answer, attempts)

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        connection = self._connection
        if connection is None:
            endpoint = self._signer.endpoint
            if endpoint.tls:
                context = self._ssl or ssl_module.create_default_context()
                connection = http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=timeout, context=context)
            else:
                connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=timeout)
            self._connection = connection
        elif connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    # --------------------------------------------------------------------------------------------------------- reports

    def _abandon(self) -> None:
        """Count what is left as dropped, and report it."""
        self._outbox.abandon(f"{CLOSING}: {self._last_failure}" if self._last_failure else CLOSING)
        self._say(at_once=True)

    def _say(self, *, at_once: bool = False, waiting: bool = False) -> None:
        """Report on standard error, once a minute, what was dropped since the last report and what cannot be sent."""
        dropped = self._outbox.dropped
        if dropped == self._said and not waiting:
            return
        now = time.monotonic()
        if not at_once and now - self._said_at < SAY_EVERY:
            return
        self._said_at = now
        current = Counter(dropped)
        news = current - self._said
        self._said = current
        lines = []
        if news:
            reasons = ", ".join(f"{count} for {self._explained(reason)}" for reason, count in sorted(news.items()))
            lines.append(f"logops: log records dropped: {reasons}\n")
        if waiting:
            lines.append(f"logops: log records waiting: {self._outbox.unsettled}; {self._last_failure}; trying again\n")
        with contextlib.suppress(OSError, ValueError):  # standard error may be closed
            sys.stderr.write("".join(lines))

    def _explained(self, reason: str) -> str:
        return f"{reason} ({self._details[reason]})" if reason in self._details else reason


def finalize_in_child(handler: LogOpsHandler) -> None:
    """Deliver what the handler holds at the end of this ``multiprocessing`` child."""
    from multiprocessing import util

    me = weakref.ref(handler)  # the registry of finalizers must not keep the handler

    def finish() -> None:
        if (living := me()) is not None:
            living.flush()
            living._abandon()

    util.Finalize(handler, finish, exitpriority=_FINALIZE_LAST)

"""One pipelined connection to Redis or Valkey: commands submitted while an exchange runs go out with the next one.

A pool would take a connection, a system call and a wake-up per command; the server runs its scripts one at a
time anyway. Answers go to callbacks, and no command raises into its caller: while the server is gone each is answered
at once with ``None``, and a task tries to reach it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from logops_fast.backoff import Backoff
from logops_fast.state.redis_wire import (
    Argument,
    UnusableServerError,
    connection_pool,
    error_text,
    eviction_fault,
    exchange,
    is_no_script,
    parse_info,
    reason_of,
    whole,
)

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

MAX_PIPELINE: Final = 256
"""Commands of one exchange; more wait for the next, so that one timeout covers a bounded amount of work."""

MAX_COMPENSATIONS: Final = 10_000
"""Commands kept for when the server is back."""

CHECK_EVERY: Final = 1.0
"""Seconds between two checks of the server: whether it answers, takes writes, and has memory left."""

COMPENSATION_PAUSE: Final = 1.0
"""Seconds before a compensation that was refused is sent again."""

NEARLY_FULL: Final = 0.9
"""Share of ``maxmemory`` in use from which on the largest holder of nonces is refused."""

WRONG_SERVER: Final = ("READONLY", "LOADING", "CLUSTERDOWN", "MASTERDOWN")
"""Errors of a server that cannot be written to for now, or no longer: its address may lead to another one by now."""

RECONNECT: Final = Backoff(0.05, 1.0, jitter=0.5)

logger: Final = logging.getLogger(__name__)

OnAnswer = Callable[[Any], None]


class Command:
    """One command, and what to do with its answer.

    ``done`` gets the answer, or None if there is none. ``compensation`` is sent once the server is back if the command
    may have failed after it was sent.
    """

    __slots__ = ("args", "compensation", "done")

    def __init__(
        self, args: tuple[Argument, ...], done: OnAnswer | None = None, compensation: Command | None = None
    ) -> None:
        self.args = args
        self.done = done
        self.compensation = compensation

    def __repr__(self) -> str:
        return f"<Command {self.args[0]!r}{', compensated' if self.compensation is not None else ''}>"

    def settle(self, answer: Any) -> None:
        """Hand the answer on; a callback that fails must not take the other commands with it."""
        done, self.done = self.done, None
        if done is None:
            return
        try:
            done(answer)
        except Exception:
            logger.exception("a callback of the state store failed")


class RedisPump:
    """The connection, its queue and its recovery. Everything happens on one event loop, from the first command on.

    ``timeout`` (seconds) bounds each exchange and each attempt to connect, so a command is answered within
    twice that. ``scripts`` are loaded on connecting, and again if the server says that it lost them. ``greeting``
    makes the first command of each connection from the server's run id (another one after a restart or a failover);
    ``on_greeted`` gets its answer. ``probe`` is a write that is tried every second while the server refuses writes.
    A server that may evict keys is not used unless ``allow_eviction``.

    Raises:
        ValueError: if the URL is none of Redis.
    """

    def __init__(
        self,
        url: str,
        scripts: tuple[str, ...],
        greeting: Callable[[bytes], tuple[Argument, ...]],
        on_greeted: OnAnswer,
        probe: tuple[Argument, ...],
        *,
        timeout: float,
        max_inflight: int,
        allow_eviction: bool = False,
    ) -> None:
        self._pool = connection_pool(url, timeout)
        self._scripts = scripts
        self._greeting = greeting
        self._on_greeted = on_greeted
        self._probe = probe
        self._allow_eviction = allow_eviction
        self._timeout = timeout
        self._max_inflight = max_inflight
        self._queue: deque[Command] = deque()
        self._sent: list[Command] = []
        self._compensations: deque[Command] = deque(maxlen=MAX_COMPENSATIONS)
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._down: str | None = None
        self._refused: str | None = None
        self._connected = False
        self._unusable: str | None = None
        self._closed = False
        self.nearly_full = False
        """The server uses ``NEARLY_FULL`` of its ``maxmemory``, as of the last check."""

    def __repr__(self) -> str:
        state = self._down or self._refused or ("connected" if self._connected else "not connected")
        return f"<RedisPump {state}: {len(self._queue)} queued, {len(self._sent)} sent>"

    def submit(self, command: Command) -> None:
        """Send a command with the next exchange, or answer it with None at once if that is not possible."""
        if self._closed or self._down is not None or len(self._queue) + len(self._sent) >= self._max_inflight:
            self._fail(command, sent=False)
            return
        self._queue.append(command)
        if self._task is None:
            self.start()
        else:
            self._wake.set()

    def start(self) -> None:
        """Connect. Needs a running loop; done by the first command otherwise."""
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="redis state store")

    def healthy(self) -> str | None:
        """Return None, or the reason why commands are refused."""
        if self._down is None and not self._connected:
            return "Redis is not connected yet"
        return self._down or self._refused

    async def close(self) -> None:
        """Stop; commands under way are answered with None."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._fail_all()

    def _fail(self, command: Command, *, sent: bool) -> None:
        compensation = command.compensation
        # What surely did not happen needs no undoing; a result that must be kept is sent again either way.
        if compensation is not None and (sent or compensation is command):
            self._compensations.append(compensation)
        command.settle(None)

    def _fail_all(self) -> None:
        sent, self._sent = self._sent, []
        for command in sent:
            self._fail(command, sent=True)
        while self._queue:
            self._fail(self._queue.popleft(), sent=False)

    async def _run(self) -> None:
        try:
            await self._keep_connected()
        finally:
            # Also if the loop ends without a close: later commands must be answered too.
            self._closed = True
            self._fail_all()

    async def _keep_connected(self) -> None:
        from redis.exceptions import RedisError

        failures = 0
        while True:
            connection: AbstractConnection | None = None
            try:
                async with asyncio.timeout(self._timeout):
                    connection = await self._connect()
                self._back()
                failures = 0
                await self._serve(connection)
            except (OSError, EOFError, RedisError, TimeoutError, UnusableServerError) as error:
                self._lost(reason_of(error, self._timeout))
            except Exception as error:  # whatever else goes wrong, callers must be answered
                self._lost(reason_of(error, self._timeout), error)
            finally:
                self._connected = False
                if connection is not None:
                    with contextlib.suppress(Exception):
                        await connection.disconnect(nowait=True)
            self._fail_all()
            failures += 1
            await asyncio.sleep(RECONNECT.delay(failures))

    def _back(self) -> None:
        if self._down is not None:
            logger.info("Redis can be used again")
        self._connected, self._down, self._refused = True, None, None

    def _lost(self, reason: str, bug: Exception | None = None) -> None:
        if reason != self._down:
            logger.warning("%s", reason, exc_info=bug)
        self._down = reason

    async def _connect(self) -> AbstractConnection:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            loads: list[tuple[Argument, ...]] = [("SCRIPT", "LOAD", script) for script in self._scripts]
            answers = whole(await exchange(connection, [("INFO",), *loads]))
            info = parse_info(answers[0])
            self._require_usable(info)
            self._on_greeted(whole(await exchange(connection, [self._greeting(info.get("run_id", "").encode())]))[0])
        except BaseException:
            with contextlib.suppress(Exception):
                await connection.disconnect(nowait=True)
            raise
        return connection

    async def _serve(self, connection: AbstractConnection) -> None:
        loop = asyncio.get_running_loop()
        compensate_at = 0.0  # on a new connection compensations come first
        check_at = loop.time() + CHECK_EVERY
        while True:
            now = loop.time()
            if self._compensations and now >= compensate_at:
                self._queue.extendleft(reversed(self._compensations))
                self._compensations.clear()
                compensate_at = now + COMPENSATION_PAUSE
            if now >= check_at or not (self._queue or await self._wait(check_at - now)):
                check_at = loop.time() + CHECK_EVERY
                self._queue.append(Command(("INFO", "memory"), self._checked))
                if self._refused is not None:
                    self._queue.append(Command(self._probe, self._probed))
            self._sent = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_PIPELINE))]
            async with asyncio.timeout(self._timeout):
                answers = await exchange(connection, [command.args for command in self._sent])
                if any(is_no_script(answer) for answer in answers):
                    answers = await self._again(connection, answers)
            self._settle(answers)

    async def _wait(self, seconds: float) -> bool:
        """Wait for a command; return False if none comes within ``seconds``."""
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return bool(self._queue)
        return True

    def _checked(self, answer: Any) -> None:
        if answer is not None:
            self._unusable = self._unsuitable(parse_info(answer))

    def _probed(self, answer: Any) -> None:
        if answer is not None and self._refused is not None:
            logger.info("Redis takes writes again")
            self._refused = None

    def _require_usable(self, info: dict[str, str]) -> None:
        """Note how full the server is. Raises UnusableServerError for a replica, and if it may evict nonces."""
        if info.get("role") == "slave":
            raise UnusableServerError("Redis cannot be written to: the server at this address is a replica")
        self._unusable = self._unsuitable(info)
        if self._unusable is not None:
            raise UnusableServerError(self._unusable)

    def _unsuitable(self, info: dict[str, str]) -> str | None:
        limit = int(info.get("maxmemory", "0") or 0)
        self.nearly_full = limit > 0 and int(info.get("used_memory", "0")) >= NEARLY_FULL * limit
        return None if self._allow_eviction else eviction_fault(info)

    async def _again(self, connection: AbstractConnection, answers: list[Any]) -> list[Any]:
        """Load the scripts again (they were flushed) and repeat the commands that were refused for lack of them."""
        loads: list[tuple[Argument, ...]] = [("SCRIPT", "LOAD", script) for script in self._scripts]
        refused = [index for index, answer in enumerate(answers) if is_no_script(answer)]
        repeated = await exchange(connection, loads + [self._sent[index].args for index in refused])
        for index, answer in zip(refused, repeated[len(loads) :], strict=True):
            answers[index] = answer
        return answers

    def _settle(self, answers: list[Any]) -> None:
        sent, self._sent = self._sent, []
        wrong_server: str | None = None
        for command, answer in zip(sent, answers, strict=True):
            if not isinstance(answer, Exception):
                command.settle(answer)
                continue
            # The server is there and did not do it.
            self._fail(command, sent=False)
            text = error_text(answer)
            if any(word in text for word in WRONG_SERVER):
                wrong_server = text
            elif self._refused != (reason := f"Redis refuses a command: {text}"):
                logger.warning("%s", reason)
                self._refused = reason
        if wrong_server is not None:
            raise UnusableServerError(f"Redis cannot be written to: {wrong_server}")
        if self._unusable is not None:
            raise UnusableServerError(self._unusable)

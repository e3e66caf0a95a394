"""One pipelined connection to Redis or Valkey: whatever was asked while an exchange ran goes out with the next.

A pool would take a connection, a system call and a wake-up per command; the server runs its scripts one at a
time anyway. Commands are given as packed by the caller, answers go to callbacks. Nothing here raises into the caller:
with the server gone every command is answered at once with ``None``, and a task tries to reach it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from logops_fast.backoff import Backoff

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool
    from redis.asyncio.connection import AbstractConnection

Argument = bytes | str | int | float
"""What may stand in a command."""

MAX_PIPELINE: Final = 256
"""Commands of one exchange; more wait for the next, so that one timeout covers no mountain of work."""

MAX_OWED: Final = 10_000
"""Commands kept for when the server is back."""

IDLE_PING: Final = 1.0
"""Seconds of silence after which the server is asked whether it is there."""

OWED_PAUSE: Final = 1.0
"""Seconds before what is owed, and was refused, is sent again."""

RECONNECT: Final = Backoff(0.05, 2.0, jitter=0.5)

_log = logging.getLogger(__name__)


class Command:
    """One command, and what to do with its answer.

    ``done`` gets the answer, or None where there is none. ``owed`` is sent once the server is back, in place of a
    command that may have failed after it was sent.
    """

    __slots__ = ("args", "done", "owed")

    def __init__(
        self, args: tuple[Argument, ...], done: Callable[[Any], None] | None = None, owed: Command | None = None
    ) -> None:
        self.args = args
        self.done = done
        self.owed = owed

    def settle(self, answer: Any) -> None:
        """Hand the answer on; a callback that fails must not take the other commands with it."""
        done, self.done = self.done, None
        if done is None:
            return
        try:
            done(answer)
        except Exception:
            _log.exception("a callback of the state store failed")


class RedisPump:
    """The connection, its queue and its recovery. Everything happens on one event loop, from the first command on.

    ``timeout`` (seconds) bounds each exchange and each attempt to connect, so a command is answered within
    twice that. ``scripts`` are loaded on connecting, and again where the server says that it lost them. ``greeting``
    makes the first command of each connection from the server's run id: another after a restart or a take-over.

    Raises ValueError for a URL that cannot be one.
    """

    def __init__(
        self,
        url: str,
        scripts: tuple[str, ...],
        greeting: Callable[[bytes], tuple[Argument, ...]],
        *,
        timeout: float,
        max_inflight: int,
    ) -> None:
        self._pool = _pool(url, timeout)
        self._scripts = scripts
        self._greeting = greeting
        self._timeout = timeout
        self._max_inflight = max_inflight
        self._queue: deque[Command] = deque()
        self._sent: list[Command] = []
        self._owed: deque[Command] = deque(maxlen=MAX_OWED)
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._down: str | None = None
        self._connected = False
        self._closed = False

    def submit(self, command: Command) -> None:
        """Send a command with the next exchange, or answer it with None at once where that cannot be."""
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
        """None, or why commands are refused."""
        if self._down is None and not self._connected:
            return "Redis is not connected yet"
        return self._down

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
        owed = command.owed
        # What surely did not happen needs no undoing; a result that must be kept is owed either way.
        if owed is not None and (sent or owed is command):
            self._owed.append(owed)
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
            # Also where the loop ends without a close: whoever asks from now on is answered.
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
            except (OSError, EOFError, RedisError, TimeoutError) as failure:
                self._lost(_reason(failure, self._timeout))
            except Exception as failure:  # whatever else goes wrong, callers must be answered
                self._lost(_reason(failure, self._timeout), failure)
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
            _log.info("Redis answers again")
        self._connected, self._down = True, None

    def _lost(self, reason: str, bug: Exception | None = None) -> None:
        if reason != self._down:
            _log.warning("%s", reason, exc_info=bug)
        self._down = reason

    async def _connect(self) -> AbstractConnection:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            loads: list[tuple[Argument, ...]] = [("SCRIPT", "LOAD", script) for script in self._scripts]
            answers = _whole(await _exchange(connection, [("INFO", "server"), *loads]))
            _whole(await _exchange(connection, [self._greeting(_run_id(answers[0]))]))
        except BaseException:
            with contextlib.suppress(Exception):
                await connection.disconnect(nowait=True)
            raise
        return connection

    async def _serve(self, connection: AbstractConnection) -> None:
        loop = asyncio.get_running_loop()
        due = 0.0  # on a new connection what is owed comes first
        while True:
            now = loop.time()
            if self._owed and now >= due:
                self._queue.extendleft(reversed(self._owed))
                self._owed.clear()
                due = now + OWED_PAUSE
            if not self._queue and not await self._wait():
                self._queue.append(Command(("PING",)))
            self._sent = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_PIPELINE))]
            async with asyncio.timeout(self._timeout):
                answers = await _exchange(connection, [command.args for command in self._sent])
                if any(_is_no_script(answer) for answer in answers):
                    answers = await self._again(connection, answers)
            self._settle(answers)

    async def _wait(self) -> bool:
        """Wait for a command; False where none came for a while."""
        self._wake.clear()
        try:
            async with asyncio.timeout(IDLE_PING):
                await self._wake.wait()
        except TimeoutError:
            return bool(self._queue)
        return True

    async def _again(self, connection: AbstractConnection, answers: list[Any]) -> list[Any]:
        """Load the scripts anew (somebody flushed them) and repeat what was refused for their want."""
        loads: list[tuple[Argument, ...]] = [("SCRIPT", "LOAD", script) for script in self._scripts]
        refused = [index for index, answer in enumerate(answers) if _is_no_script(answer)]
        repeated = await _exchange(connection, loads + [self._sent[index].args for index in refused])
        for index, answer in zip(refused, repeated[len(loads) :], strict=True):
            answers[index] = answer
        return answers

    def _settle(self, answers: list[Any]) -> None:
        sent, self._sent = self._sent, []
        for command, answer in zip(sent, answers, strict=True):
            if isinstance(answer, Exception):
                # Such as OOM or READONLY: the server is there and will not do this.
                _log.debug("Redis refused a command: %s", answer)
                self._fail(command, sent=False)
            else:
                command.settle(answer)


def _pool(url: str, timeout: float) -> ConnectionPool:
    """What makes connections. Without timeouts and retries of redis-py's own: one deadline covers an exchange."""
    # redis costs start-up memory that only this back-end should pay
    from redis.asyncio import ConnectionPool
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    try:
        return ConnectionPool.from_url(
            url, protocol=2, socket_timeout=None, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
        )
    except ValueError:
        # Not from the cause: its words may hold a part of the password.
        raise ValueError("state.redis_url: expected a redis://, rediss:// or unix:// URL.") from None


async def _exchange(connection: AbstractConnection, commands: list[tuple[Argument, ...]]) -> list[Any]:
    """Send commands in one piece and read their answers; an error the server answers with is an answer."""
    from redis.exceptions import ResponseError

    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    answers: list[Any] = []
    for _ in commands:
        try:
            answers.append(await connection.read_response(disconnect_on_error=False))
        except ResponseError as refused:
            answers.append(refused)
    return answers


def _is_no_script(answer: Any) -> bool:
    from redis.exceptions import NoScriptError

    return isinstance(answer, NoScriptError)


def _whole(answers: list[Any]) -> list[Any]:
    """The answers, where none is a refusal."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def _run_id(info: bytes) -> bytes:
    for line in info.splitlines():
        if line.startswith(b"run_id:"):
            return line[7:].strip()
    return b""


def _reason(failure: BaseException, timeout: float) -> str:
    """Why the server cannot be used. The address may hold a password, so the words are the error's class's own."""
    from redis.exceptions import AuthenticationError, BusyLoadingError, ResponseError
    from redis.exceptions import TimeoutError as RedisTimeoutError

    if isinstance(failure, (TimeoutError, RedisTimeoutError)):
        return f"Redis did not answer within {timeout:g} s"
    if isinstance(failure, BusyLoadingError):
        return "Redis is loading its data"
    if isinstance(failure, AuthenticationError):
        return "Redis refuses the user or password of state.redis_url"
    if isinstance(failure, ResponseError):
        return f"Redis refuses to work: {str(failure)[:200]}"
    return f"Redis is not reachable ({type(failure).__name__})"

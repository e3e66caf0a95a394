"""Exchanges with a Redis or Valkey server over one connection of redis-py, and what its answers and errors mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from logops_fast.errors import LogOpsError

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool
    from redis.asyncio.connection import AbstractConnection

Argument = bytes | str | int | float
"""The types a command may consist of."""

_CODES: Final = {
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "BusyLoadingError": "LOADING",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
    "NoPermissionError": "NOPERM",
}
"""The codes that redis-py takes off an error's text to choose a class by them."""


class UnusableServerError(LogOpsError):
    """The server answers, but must not be used; the message says why."""


def connection_pool(url: str, timeout: float) -> ConnectionPool:
    """Return what makes connections, without redis-py's own timeouts and retries: one deadline covers an exchange."""
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


async def exchange(connection: AbstractConnection, commands: list[tuple[Argument, ...]]) -> list[Any]:
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


def is_no_script(answer: Any) -> bool:
    """Return whether the server refused a command because it does not have its script."""
    from redis.exceptions import NoScriptError

    return isinstance(answer, NoScriptError)


def whole(answers: list[Any]) -> list[Any]:
    """Return the answers. Raises the first that is a refusal."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def error_text(error: Exception) -> str:
    """Return the server's error with its code, without the place in a script where it came up."""
    text = str(error).partition(" script: ")[0].rstrip(".")[:200]
    code = _CODES.get(type(error).__name__, "")
    return f"{code} {text}" if code else text


def parse_info(answer: bytes) -> dict[str, str]:
    """Return the fields of an INFO answer."""
    lines = answer.decode("utf-8", "replace").splitlines()
    return {name: value for name, colon, value in (line.partition(":") for line in lines) if colon}


def eviction_fault(info: dict[str, str]) -> str | None:
    """Return None, or why a server with these INFO fields may forget nonces."""
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return None
    return (
        f"Redis may evict nonces, which lets replays in: its maxmemory-policy is {policy}; set it to noeviction, or "
        "set state.redis_allow_eviction: true"
    )


def reason_of(error: BaseException, timeout: float) -> str:
    """Return why the server cannot be used. The address may hold a password, so the text is built from the class."""
    from redis.exceptions import AuthenticationError, BusyLoadingError, ResponseError
    from redis.exceptions import TimeoutError as RedisTimeoutError

    if isinstance(error, UnusableServerError):
        return str(error)
    if isinstance(error, (TimeoutError, RedisTimeoutError)):
        return f"Redis did not answer within {timeout:g} s"
    if isinstance(error, BusyLoadingError):
        return "Redis is loading its data"
    if isinstance(error, AuthenticationError):
        return "Redis refuses the user or password of state.redis_url"
    if isinstance(error, ResponseError):
        return f"Redis refuses to work: {error_text(error)}"
    return f"Redis is not reachable ({type(error).__name__})"

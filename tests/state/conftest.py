from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from logops_fast.state.factory import open_state
from logops_fast.state.interface import StateStore
from logops_fast.state.redis_store import RedisStore
from tests.state.redis_steps import TIMEOUT
from tests.state.support import Asker
from tests.support.services import RedisServer, redis_server

TOLERANCE = 300.0


@pytest.fixture(scope="session")
def redis_service() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(params=["memory", "shared", pytest.param("redis", marks=pytest.mark.service)])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def asker(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Asker]:
    """Each back-end in turn, empty."""
    url = ""
    if backend == "redis":
        server = request.getfixturevalue("redis_service")
        server.ask(b"FLUSHALL")
        url = server.url
    store: StateStore
    if backend == "redis":
        store = RedisStore(url, TOLERANCE, timeout=30)  # a busy machine is no server that does not answer
    else:
        store = open_state(backend, workers=1, directory=tmp_path / "state", redis_url=url, tolerance=TOLERANCE)
    asker = Asker(store)
    yield asker
    asker.close()


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis server of the test's own, which may do with it what it likes."""
    with redis_server() as server:
        yield server


@pytest.fixture
def remote(server: RedisServer) -> Iterator[Asker]:
    asker = Asker(RedisStore(server.url, 300, timeout=TIMEOUT))
    yield asker
    asker.close()

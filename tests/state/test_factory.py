from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from logops_fast.state.factory import open_state
from logops_fast.state.local_store import LocalStore
from logops_fast.state.redis_store import RedisStore


@pytest.mark.parametrize("workers", [1, 4])
def test_auto_is_shared_for_any_number_of_workers(tmp_path: Path, workers: int) -> None:
    store = open_state("auto", workers=workers, directory=tmp_path / "s", redis_url="", tolerance=300)
    assert isinstance(store, LocalStore)
    assert (tmp_path / "s" / "nonces.table").exists()
    asyncio.run(store.close())


def test_memory_for_many_workers_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^state\.backend: memory holds the state of one worker and there are 4"):
        open_state("memory", workers=4, directory=tmp_path, redis_url="", tolerance=300)


def test_an_unknown_back_end_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='one of auto, memory, shared, redis, got "etcd"'):
        open_state("etcd", workers=1, directory=tmp_path, redis_url="", tolerance=300)


def test_a_redis_that_is_not_there_is_no_error_at_the_start(tmp_path: Path) -> None:
    store = open_state("redis", workers=4, directory=tmp_path, redis_url="redis://127.0.0.1:1/0", tolerance=300)
    assert isinstance(store, RedisStore)
    asyncio.run(store.close())


@pytest.mark.parametrize("url", ["", "http://127.0.0.1", "redis://:pass/word@127.0.0.1:6379/0"])
def test_a_url_that_is_none_is_refused_without_showing_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(
        ValueError, match=r"^state\.redis_url: expected a redis://, rediss:// or unix:// URL\.$"
    ) as error:
        open_state("redis", workers=1, directory=tmp_path, redis_url=url, tolerance=300)
    assert error.value.__suppress_context__


@pytest.mark.process
def test_redis_is_not_imported_for_the_other_back_ends(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from logops_fast.state.factory import open_state\n"
        f"open_state('auto', workers=1, directory=Path({str(tmp_path)!r}), redis_url='', tolerance=300)\n"
        "sys.exit(any(name.partition('.')[0] in ('redis', 'asyncio') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

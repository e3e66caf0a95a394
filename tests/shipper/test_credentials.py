"""A token that is rotated while the shipper runs: it is read again, and costs neither a line nor a second copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logops_fast.config.sections.ship import ShipSettings
from logops_fast.config.settings import Settings
from logops_fast.errors import StartupError
from logops_fast.runtime import shipping
from tests.loki.real import real_loki
from tests.loki.store import Answer, Limits
from tests.shipper.world import World, play, until

pytestmark = pytest.mark.skipif(real_loki() is not None, reason="a real Loki takes every token")

HARD = Limits(block_size=1, shards=2)  # a line that is pushed twice is there twice


def world_with(tmp_path: Path, token: str) -> tuple[World, Path]:
    """A world whose shipper has its token in a file, and that file."""
    path = tmp_path / "token"
    path.write_text(f"{token}\n")
    world = World(tmp_path, HARD, token_file=str(path))
    world.loki.token = token
    return world, path


def after_next_push(world: World, do: Callable[[], None]) -> None:
    """Do something as soon as Loki has stored the next push, before it is answered."""
    push = world.loki._push

    async def pushed(body: bytes) -> Answer:
        world.loki._push = push  # type: ignore[method-assign]
        answer = await push(body)
        do()
        return answer

    world.loki._push = pushed  # type: ignore[method-assign]


def test_a_rotated_token_is_read_again_and_nothing_is_said_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        world, path = world_with(tmp_path, "first")
        async with world:
            world.put(10)
            shipper = await world.start()
            await world.arrive()
            troubles: list[object] = []
            shipper._note = lambda *trouble: troubles.append(trouble)  # type: ignore[method-assign]
            path.write_text("second\n")
            world.loki.token = "second"
            world.put(10, rejected=10)  # two lanes at once
            await world.arrive()
            assert not troubles
            assert world.metric("logops_ship_doubtful_entries_total") == 0

    play(main)


def test_what_was_asked_with_the_old_token_is_asked_again_before_it_is_pushed(tmp_path: Path) -> None:
    async def main() -> None:
        world, path = world_with(tmp_path, "first")
        async with world:
            shipper = await world.start()
            world.put(3)
            await world.arrive()

            def rotate() -> None:
                path.write_text("second\n")
                world.loki.token = "second"

            after_next_push(world, rotate)
            world.loki.faults.append("cut after")
            world.put(20)
            await world.arrive()  # by the push that is not answered
            await until(lambda: shipper.pending == 0)
            await world.arrive()
            assert not world.loki.faults
            assert world.metric("logops_ship_doubtful_entries_total") == 0

    play(main)


def test_a_token_that_comes_late_between_a_question_and_its_push_is_asked_with_first(tmp_path: Path) -> None:
    async def main() -> None:
        world, path = world_with(tmp_path, "first")
        async with world:
            shipper = await world.start()
            world.put(3)
            await world.arrive()

            def expire() -> None:
                world.loki.token = "second"

            after_next_push(world, expire)
            world.loki.faults.append("cut after")
            ask = shipper._loki.ask

            async def asked(questions: object) -> set[int]:
                try:
                    return await ask(questions)  # type: ignore[arg-type]
                finally:  # the question is refused: then the new token is there, before the push
                    path.write_text("second\n")

            shipper._loki.ask = asked  # type: ignore[method-assign]
            world.put(20)
            await world.arrive()
            await until(lambda: shipper.pending == 0)
            await world.arrive()
            assert world.metric("logops_ship_questions_total") > 1
            assert world.metric("logops_ship_doubtful_entries_total") == 0

    play(main)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff"])
def test_a_file_that_cannot_be_read_leaves_the_old_token(tmp_path: Path, content: bytes | None) -> None:
    async def main() -> None:
        world, path = world_with(tmp_path, "first")
        async with world:
            shipper = await world.start()
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)
            with pytest.raises(ValueError, match=str(path)):
                await shipper.renew_credentials()
            world.put(5)
            await world.arrive()
            world.loki.token = "second"
            world.put(5)
            await until(lambda: shipper.trouble is not None)
            assert shipper.trouble is not None
            assert shipper.trouble.reason == "loki_refuses"
            path.write_text("second")
            await world.arrive()
            await until(lambda: shipper.trouble is None)

    play(main)


@pytest.mark.parametrize("name", ["token_file", "password_file"])
def test_an_empty_file_stops_the_start(tmp_path: Path, name: str) -> None:
    path = tmp_path / "secret"
    path.write_text("\n")
    ship: dict[str, Any] = {"username": "u", name: str(path)}
    with pytest.raises(StartupError, match="secret is empty"):
        shipping.loki(Settings(ship=ShipSettings(**ship)))

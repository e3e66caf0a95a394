"""What operators and strangers do to a shipper: answers that are not Loki's, files that are none, disks that fail."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from pathlib import Path
from typing import Any

import pytest

from logops_fast.errors import StartupError
from logops_fast.runtime import shipping
from logops_fast.shipper import ledger
from logops_fast.shipper.shipper import Shipper
from logops_fast.telemetry.registry import Registry
from tests.loki.real import real_loki
from tests.loki.server import seqs
from tests.loki.store import Limits
from tests.shipper.world import World, day, play, until
from tests.support.certificates import make_certificates

pytestmark = pytest.mark.skipif(real_loki() is not None, reason="not about Loki itself")


def answer(status: int, body: bytes = b"", *fields: bytes) -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n%b\r\n%b" % (status, len(body), lines, body)


def shown(shipper: Shipper) -> tuple[str, str]:
    return (shipper.trouble.reason, shipper.trouble.text) if shipper.trouble else ("", "")


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        (answer(400, b"<html>Bad Request</html>"), "400 <html>Bad Request"),
        (answer(200, b"<html>Please log in</html>"), "200 <html>Please log in"),
        (answer(260, b"ingestion blocked for user fake until 'tomorrow' with status code '260'"), "ingestion blocked"),
        (answer(301, b"", b"location: https://loki.example/"), "redirect to https://loki.example/"),
        (answer(401, b"token expired"), "401 token expired"),
        (answer(403, b"no permission to push"), "403 no permission"),
        (answer(404, b"404 page not found"), "404 page not found"),
        (answer(413, b"Request Entity Too Large"), "413 Request Entity"),
    ],
)
@pytest.mark.parametrize("query", [True, False])
def test_an_answer_that_loki_does_not_give_is_shown_and_waited_for(
    tmp_path: Path, instead: bytes, words: str, query: bool
) -> None:
    async def main() -> None:
        async with World(tmp_path, Limits(block_size=1, shards=2)) as world:
            world.loki.instead, world.loki.instead_query = instead, query
            world.put(20, rejected=3)
            shipper = await world.start()
            await until(lambda: shown(shipper)[0] == "loki_refuses")
            assert words in shown(shipper)[1]
            # Not only once: whatever is refused again and again stays where it is.
            before = world.loki.requests.total()
            await until(lambda: world.loki.requests.total() > before + 20)
            assert shown(shipper)[0] == "loki_refuses"
            assert not (world.dir / "ship" / "unshippable").exists()
            world.loki.instead = None
            await world.arrive()
            await until(lambda: shipper.trouble is None)
            assert world.metric("logops_ship_refused_entries_total") == 0
            if not query:
                assert world.metric("logops_ship_doubtful_entries_total") == 0

    play(main)


def test_an_answer_that_comes_byte_by_byte_is_not_waited_for_forever(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, Limits(block_size=1, shards=2), timeout=0.2) as world:
            world.loki.drip = 0.05
            world.put(20)
            shipper = await world.start()
            await until(lambda: shown(shipper)[0] == "loki_unreachable")
            assert "no complete answer in time" in shown(shipper)[1]
            world.loki.drip = 0.0
            await world.arrive()

    play(main)


def test_an_answer_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "MAX_ANSWER", 1 << 20)

    async def main() -> None:
        async with World(tmp_path) as world:
            world.loki.instead = answer(500, b"x" * (2 << 20))
            world.put(20)
            shipper = await world.start()
            await until(lambda: "body is over" in shown(shipper)[1])
            world.loki.instead = None
            await world.arrive()

    play(main)


def test_a_certificate_that_has_expired_is_shown_and_waited_for(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)

    def context(name: str) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        return made

    async def main() -> None:
        async with World(tmp_path, tls=context("expired"), ca_file=str(certificates / "ca.pem")) as world:
            world.put(5)
            shipper = await world.start()
            await until(lambda: shown(shipper)[0] == "loki_unreachable")
            assert "certificate has expired" in shown(shipper)[1]
            await world.loki.stop()
            world.loki.tls = context("server")
            await world.loki.start()
            await world.arrive()

    play(main)


def test_what_is_no_file_of_the_sink_is_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            today = day(world.wall)
            world.put(3)
            expected = world.expected()
            for name in (f"{today}.w1.ndjson", f"rejected/{today}.ndjson"):
                (world.dir / name).parent.mkdir(exist_ok=True)
                (world.dir / name).touch()  # empty
            os.mkfifo(world.dir / f"{today}.w2.ndjson")
            (world.dir / f"{today}.w3.ndjson").mkdir()
            (world.dir / f"{today}.w4.ndjson").symlink_to("/etc/passwd")
            (world.dir / f"{today}.w5.ndjson").symlink_to(world.dir / f"{today}.w5.ndjson")
            shipper = await world.start()
            await world.arrive(expected)
            await until(lambda: shipper.pending == 0)  # Loki has the lines before its answer is here
            assert shipper.trouble is None

    play(main)


def test_a_directory_that_comes_later(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path / "not" / "there") as world:
            shipper = await world.start()
            world.put(3, rejected=1)
            await world.arrive()
            assert shipper.trouble is None

    play(main)


def test_lines_of_another_program_arrive_once_whatever_is_in_them(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, Limits(block_size=1, shards=2)) as world:
            now = world.loki.store.wall()
            # No gateway runs, so that the whole file counts.
            world.dir.mkdir()
            path = world.dir / f"{day(now / 1e9)}.ndjson"
            path.write_bytes(b'{"msg":"caf\xe9"}\n\xff\xfe\n\n\x00\nplain\n' + "gr\u00fc\u00df\n".encode())
            world.loki.faults += ["cut after", "500 after"]
            await world.start()
            await until(lambda: len(world.loki.store.entries()) == 5)
            await world.stop()
            assert set(seqs(world.loki.store).values()) == {1}
            assert world.metric("logops_ship_doubtful_entries_total") == 0
            assert {entry.line for entry in world.loki.store.entries()} == {
                '{"msg":"caf\ufffd"}', "\ufffd\ufffd", "\x00", "plain", "gr\u00fc\u00df"
            }  # fmt: skip

    play(main)


def test_while_positions_cannot_be_saved_nothing_is_pushed_that_they_do_not_cover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "RESERVE", 0)

    async def main() -> None:
        async with World(tmp_path, Limits(block_size=1, shards=2)) as world:
            world.put(5)
            shipper = await world.start()
            await world.arrive()
            state = world.dir / "ship"
            await until(lambda: not shipper._ledger._dirty)
            state.rename(state.with_name("aside"))
            state.write_text("a file in its place")
            world.put(5)
            failures: list[Any] = []
            monkeypatch.setattr("logops_fast.shipper.shipper.logger.error", lambda *args, **_: failures.append(args))
            await until(lambda: len(failures) > 3)  # tried again and again
            assert shown(shipper)[0] == "ship_failed"
            assert len(world.loki.store.entries()) == 5
            state.unlink()
            state.with_name("aside").rename(state)
            await world.arrive()
            await until(lambda: shipper.trouble is None)

    play(main)


def test_a_file_that_cannot_be_opened_keeps_only_its_own_lane_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open
    locked = True

    def opened(path: Any, *args: Any, **options: Any) -> int:
        if locked and str(path).endswith(".w0.ndjson"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **options)

    async def main() -> None:
        nonlocal locked
        async with World(tmp_path) as world:
            for worker in (0, 1):
                world.put(5, worker=worker, workers=2)
            monkeypatch.setattr(os, "open", opened)
            shipper = await world.start()
            await until(lambda: len(world.loki.store.entries()) == 5)
            await until(lambda: shipper.trouble is not None)
            assert shown(shipper) == ("files_unreadable", f"{world.dir / day(world.wall)}.w0.ndjson: Permission denied")
            world.put(5, worker=1, workers=2)
            await until(lambda: len(world.loki.store.entries()) == 10)
            locked = False
            await world.arrive()
            await until(lambda: shipper.trouble is None)

    play(main)


def test_looking_at_very_many_files_takes_a_tenth_of_the_time_at_most(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            shipper = shipping.shipper(world.settings(), Registry())
            world.shipper = shipper
            now, slept = 0.0, asyncio.Queue[float]()

            def refresh() -> None:
                nonlocal now
                now += 2.0

            async def sleep(seconds: float) -> None:
                slept.put_nowait(seconds)
                await asyncio.sleep(0)

            shipper._clock = lambda: now
            shipper._ledger.refresh = refresh  # type: ignore[method-assign]
            shipper._sleep = sleep  # type: ignore[method-assign]
            scanning = asyncio.ensure_future(shipper._scan_forever())
            assert await slept.get() == 18.0
            scanning.cancel()

    play(main)


def test_once_says_which_file_it_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            world.put(5)
            shipper = shipping.shipper(world.settings(), Registry())
            world.shipper = shipper

            def broken() -> None:
                raise PermissionError(errno.EACCES, "Permission denied", "20261126.ndjson")

            monkeypatch.setattr(shipper._ledger, "refresh", broken)
            with pytest.raises(StartupError, match=r"20261126\.ndjson: Permission denied"):
                await shipper.run_once(lambda shipped, left: None)

    play(main)

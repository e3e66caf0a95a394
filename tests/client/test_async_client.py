from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from logops_fast.client.async_client import AsyncLogOpsClient, DeliveryError, Stored
from tests.emitters.support import FakeGateway, Request, refused, stored
from tests.support.scripted_server import LOOPS
from tests.support.scripted_server import run as run_on_loop


def events(request: Request) -> list[dict[str, Any]]:
    return [json.loads(line) for line in request.body.splitlines()]


def accept(request: Request, _: int = 0) -> bytes:
    return stored(len(events(request)))


def against(
    reply: Callable[[Request, int], bytes | None],
    use: Callable[[AsyncLogOpsClient], Awaitable[Any]],
    loop: str = "uvloop",
    **options: Any,
) -> tuple[Any, list[Request]]:
    async def main() -> tuple[Any, list[Request]]:
        async with FakeGateway(reply) as gateway:
            settings = {"flush_interval": 0.02, **options}
            async with AsyncLogOpsClient(gateway.target.url, "k", "s", **settings) as client:
                result = await use(client)
            return result, gateway.requests

    found: tuple[Any, list[Request]] = run_on_loop(loop, main)
    return found


@pytest.mark.parametrize("loop", LOOPS)
def test_sent_events_are_stored_when_it_returns(loop: str) -> None:
    result, requests = against(
        accept, lambda client: client.send([{"msg": str(i)} for i in range(5)]), loop, batch_size=2
    )
    assert result == Stored(5, 0)
    assert [event["msg"] for request in requests for event in events(request)] == ["0", "1", "2", "3", "4"]


def test_queued_events_go_out_together_with_the_time_of_now() -> None:
    async def use(client: AsyncLogOpsClient) -> bool:
        for number in range(30):
            assert client.log({"msg": str(number)})
        return await client.flush()

    flushed, requests = against(accept, use, batch_size=10, flush_interval=60)
    assert flushed
    assert [event["msg"] for request in requests for event in events(request)] == [str(number) for number in range(30)]
    assert all(event["ts"].endswith("Z") for event in events(requests[0]))


def test_leaving_delivers_what_is_queued() -> None:
    async def use(client: AsyncLogOpsClient) -> None:
        client.log({"msg": "the last words"})

    _, requests = against(accept, use, flush_interval=60)
    assert [event["msg"] for event in events(requests[0])] == ["the last words"]


def test_a_batch_is_sent_again_under_its_own_id() -> None:
    def reply(request: Request, number: int) -> bytes:
        return accept(request) if number > 2 else refused(b"503 Service Unavailable", b"sink_failed")

    result, requests = against(reply, lambda client: client.send([{"msg": "once"}]))
    assert result == Stored(1, 0)
    assert len({request.headers["x-batch-id"] for request in requests}) == 1
    assert len({request.headers["x-nonce"] for request in requests}) == 3


def test_what_is_refused_is_raised_with_its_reason() -> None:
    with pytest.raises(DeliveryError, match="2 events were not stored: 403 emitter_not_allowed"):
        against(
            lambda *_: refused(b"403 Forbidden", b"emitter_not_allowed"),
            lambda client: client.send([{"a": 1}, {"a": 2}]),
        )


def test_a_batch_that_is_too_large_goes_in_halves() -> None:
    def reply(request: Request, _: int) -> bytes:
        return refused(b"413 Content Too Large", b"too_many_items") if len(events(request)) > 2 else accept(request)

    result, requests = against(reply, lambda client: client.send([{"msg": str(i)} for i in range(5)]))
    assert result == Stored(5, 0)
    assert len({request.headers["x-batch-id"] for request in requests}) == len(requests)


def test_a_full_queue_says_so_and_never_blocks() -> None:
    async def use(client: AsyncLogOpsClient) -> tuple[list[bool], Counter[str]]:
        return [client.log({"msg": "x"}) for _ in range(5)], client.dropped

    (kept, dropped), _ = against(accept, use, max_queue=3)
    assert kept == [True, True, True, False, False]
    assert dropped == Counter({"queue_full": 2})


def test_leaving_without_an_answer_ends_in_time_and_counts_what_is_lost() -> None:
    async def main() -> Counter[str]:
        async with FakeGateway(lambda *_: None) as gateway:
            client = AsyncLogOpsClient(gateway.target.url, "k", "s", close_timeout=0.1, flush_interval=0.01)
            client.log({"msg": "unheard"})
            await client.aclose()
            assert not client.log({"msg": "too late"})
            await asyncio.sleep(0)
            return client.dropped

    assert run_on_loop("uvloop", main) == Counter({"closed_before_delivery": 1})

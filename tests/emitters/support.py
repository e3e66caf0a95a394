"""A scenario in a few words, and a gateway that gives the answers a test asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from logops_fast.emitters.scenario import Scenario, parse
from logops_fast.emitters.target import Target
from tests.support.scripted_server import Peer, ScriptedServer, answer

KEY, SECRET = "web-1", "s3cr3t-of-web-1"


class Request:
    """What arrived: the head's fields in lower case, and the body."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.line, *fields = head.decode().rstrip("\r\n").split("\r\n")
        pairs = (field.partition(": ") for field in fields)
        self.headers = {name.lower(): value for name, _, value in pairs}
        self.head = head
        self.body = body


def stored(events: int, rejected: int = 0) -> bytes:
    return answer(b'{"accepted":%d,"rejected":%d}' % (events, rejected))


def refused(status: bytes, reason: bytes, fields: bytes = b"") -> bytes:
    return answer(b'{"error":"%b","detail":"No."}' % reason, status, fields)


class FakeGateway(ScriptedServer):
    """Keeps every request; ``reply(request, number)`` gives the answer's bytes, or None to say nothing."""

    def __init__(self, reply: Callable[[Request, int], bytes | None]) -> None:
        super().__init__(self._script)
        self.requests: list[Request] = []
        self._reply = reply

    async def _script(self, peer: Peer) -> None:
        while True:
            request = Request(*await peer.request())
            self.requests.append(request)
            reply = self._reply(request, len(self.requests))
            if reply is None:
                await asyncio.sleep(3600)
            else:
                await peer.write(reply)

    @property
    def target(self) -> Target:
        return Target(self.url.replace("/v1/logs", "/ingest"), KEY, SECRET.encode())


def scenario(**emitter: Any) -> Scenario:
    """One json emitter, 40 events in 0.4 s in batches of 10, but for what is said."""
    fields = {"name": "json", "eps": 100, "args": {"batch_size": 10, "seed": 1}, **emitter}
    return parse(f"name: test\nduration_sec: 0.4\ntick_sec: 0.1\nemitters: [{fields!r}]".replace("'", '"'))

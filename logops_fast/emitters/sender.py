"""Signs batches and sends them over pooled connections, without waiting for anything: answers come to callbacks.

Requests are signed by version 2, which every client may use and some are held to, or carry the target's token.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Final

from logops_fast.backoff import Backoff
from logops_fast.emitters.base import Emitter
from logops_fast.emitters.scenario import EmitterPlan
from logops_fast.emitters.target import Target
from logops_fast.emitters.totals import LatencyRecorder, Totals
from logops_fast.formats.answer import counts_of, reason_of, retry_after_of
from logops_fast.formats.signature import SigningKey, canonical_v2
from logops_fast.http.pool import HttpPool
from logops_fast.http.response_reader import ClientError, ClientResponse

MAX_CONNECTIONS: Final = 64
MAX_UNANSWERED_BYTES: Final = 268_435_456
"""Most bytes of bodies kept for answers and retries; past it a batch that is due counts as ``not_sent``."""
ANSWER_TIMEOUT: Final = 30.0  # seconds
RETRIED: Final = frozenset({429, 502, 503, 504})
BACKOFF: Final = Backoff(0.2, 5.0, jitter=0.0)  # seconds, for a failure without Retry-After
MAX_WAIT: Final = 3600  # seconds; a longer Retry-After is cut to it
_SPREAD: Final = 0.25  # of a wait, so that batches refused together are not retried together


class Lane:
    """One emitter of a run: what it makes, the header fields of its requests, and the outcomes.

    ``fields`` are those that are signed and the same in each request, by lower-case name.
    """

    __slots__ = ("attacked", "emitter", "fields", "latency", "plan", "tick_latency", "total", "window")

    def __init__(self, plan: EmitterPlan, emitter: Emitter, fields: dict[bytes, bytes]) -> None:
        self.plan = plan
        self.emitter = emitter
        self.fields = fields
        self.window = Totals()
        self.total = Totals()
        self.latency = LatencyRecorder()
        self.tick_latency = LatencyRecorder()
        self.attacked = 0

    def close_window(self) -> Totals:
        """Return what happened since the last call, and begin a new window."""
        done, self.window = self.window, Totals()
        done.latency = self.tick_latency.latency()
        self.tick_latency = LatencyRecorder()  # five times faster than to clear the old one
        self.total.add(done)
        return done


class _Flight:
    """A batch that was sent and has no outcome yet."""

    __slots__ = ("attempts", "batch_id", "body", "digest", "due", "events", "lane", "reason")

    def __init__(self, lane: Lane, body: bytes, events: int, due: float, batch_id: bytes) -> None:
        self.lane = lane
        self.body = body
        self.digest = sha256(body).hexdigest().encode()
        self.events = events
        self.due = due
        self.batch_id = batch_id
        self.attempts = 0
        self.reason = "no_answer"


class Sender:
    """Sends for all lanes of a run. Times are those of ``clock``, in seconds. Belongs to one loop."""

    def __init__(self, target: Target, scenario_id: str, *, clock: Callable[[], float]) -> None:
        self._target = target
        self._pool = HttpPool(
            target.url,
            read_timeout=ANSWER_TIMEOUT,
            max_connections=MAX_CONNECTIONS,
            max_waiting=1 << 30,  # MAX_UNANSWERED_BYTES is the bound
        )
        self._path = self._pool.endpoint.target
        self._key = SigningKey(target.secret) if target.secret else None
        self._credentials = {b"authorization": b"Bearer " + target.token} if target.token else {}
        self._key_id = target.key.encode()
        self._audience = os.fsencode(target.audience)
        self._scenario_id = scenario_id.encode()
        self._clock = clock
        self._run = secrets.token_hex(8).encode()
        self._number = 0
        self._nonces = 0
        self._flights: set[_Flight] = set()
        self._unanswered = 0
        self._retry_until = float("inf")
        self._replays = 0
        self._settled: asyncio.Event | None = None
        self.latency = LatencyRecorder()

    @property
    def in_flight(self) -> int:
        """Number of batches sent that have no outcome yet."""
        return len(self._flights)

    def lane(self, plan: EmitterPlan, claim: str | None) -> Lane:
        """Return a lane for an emitter that sends ``claim`` as X-Emitter (None: no such header)."""
        emitter = plan.make()
        fields = {b"content-type": emitter.content_type, b"x-scenario-id": self._scenario_id}
        if claim is not None:
            fields[b"x-emitter"] = claim.encode()
        return Lane(plan, emitter, fields)

    def send(self, lane: Lane, count: int, due: float, wall: float) -> None:
        """Make and send a batch of ``count`` events that is due at ``due``, which was ``wall`` on the wall clock."""
        payload = lane.emitter.batch(count, wall)
        window = lane.window
        window.sent = window.sent.plus(payload.events)
        levels = window.levels
        for level, found in payload.levels.items():
            levels[level] += found
        if self._unanswered + len(payload.body) > MAX_UNANSWERED_BYTES:
            window.refuse("not_sent", payload.events)
            return
        self._number += 1
        flight = _Flight(lane, payload.body, payload.events, due, b"%b-%x" % (self._run, self._number))
        self._flights.add(flight)
        self._unanswered += len(payload.body)
        self._post(flight)

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109 - a bound, not an error
        """Wait until every batch has an outcome, at most ``timeout`` seconds; others count by their last failure."""
        self._retry_until = self._clock() + timeout
        self._settled = asyncio.Event()
        self._look_settled()
        try:
            async with asyncio.timeout(timeout):
                await self._settled.wait()
        except TimeoutError:
            for flight in self._flights:
                flight.lane.window.refuse(flight.reason, flight.events)
        self._flights.clear()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    # -------------------------------------------------------------------------------------------------------- requests

    def _post(self, flight: _Flight) -> None:
        """Sign and send, with a new nonce and timestamp each time, and always the same batch id."""
        flight.attempts += 1
        fields = {**flight.lane.fields, b"x-batch-id": flight.batch_id}
        if self._key is None:
            fields |= self._credentials
        else:
            self._sign(self._key, flight.digest, fields)
        headers = b"".join([b"%b: %b\r\n" % field for field in fields.items()])
        self._pool.send(
            b"POST", self._path, headers, flight.body, partial(self._answered, flight, headers), timeout=ANSWER_TIMEOUT
        )

    def _sign(self, key: SigningKey, digest: bytes, fields: dict[bytes, bytes]) -> None:
        """Add the fields of the signature to those that it covers."""
        self._nonces += 1
        stamp = b"%d" % time.time()
        nonce = b"%b.%x" % (self._run, self._nonces)
        message = canonical_v2(b"POST", self._path, digest, stamp, nonce, fields, self._audience)
        fields |= {
            b"x-api-key": self._key_id,
            b"x-timestamp": stamp,
            b"x-nonce": nonce,
            b"x-content-sha256": digest,
            b"x-signature-version": b"2",
            b"x-signature": key.signature(message),
        }

    def _answered(self, flight: _Flight, headers: bytes, answer: ClientResponse | ClientError) -> None:
        if flight not in self._flights:
            return  # given up
        lane = flight.lane
        if isinstance(answer, ClientError):
            status, wait = 0, 0.0
            flight.reason = answer.kind
        else:
            status = answer.status
            if 200 <= status < 300:
                self._accepted(flight, answer.body, headers)
                return
            flight.reason = f"{status} {reason_of(answer.body) or 'unknown'}"
            wait = float(min(MAX_WAIT, retry_after_of(answer.headers)))
        if lane.plan.on_refusal == "retry" and (not status or status in RETRIED):
            wait = wait or BACKOFF.delay(flight.attempts)
            wait *= 1 + _SPREAD * random.random()
            if self._clock() + wait < self._retry_until:
                lane.window.retries += 1
                asyncio.get_running_loop().call_later(wait, self._again, flight)
                return
        lane.window.refuse(flight.reason, flight.events)
        self._settle(flight, headers if status else None)

    def _again(self, flight: _Flight) -> None:
        if flight in self._flights:
            self._post(flight)

    def _accepted(self, flight: _Flight, body: bytes, headers: bytes) -> None:
        window = flight.lane.window
        accepted, rejected = counts_of(body) or (flight.events, 0)  # an answer without counts means that all were taken
        window.accepted = window.accepted.plus(accepted)
        if rejected:
            window.rejected = window.rejected.plus(rejected)
        self._settle(flight, headers)

    def _settle(self, flight: _Flight, headers: bytes | None) -> None:
        """End a batch. ``headers``: its request's, if it was answered, so that it has a latency and may be replayed."""
        lane = flight.lane
        self._flights.discard(flight)
        self._unanswered -= len(flight.body)
        if headers is not None:
            seconds = self._clock() - flight.due
            self.latency.record(seconds)
            lane.latency.record(seconds)
            lane.tick_latency.record(seconds)
            if lane.plan.attack is not None:
                self._attack(flight, headers)
        self._look_settled()

    def _look_settled(self) -> None:
        if self._settled is not None and not self._flights and not self._replays:
            self._settled.set()

    # --------------------------------------------------------------------------------------------------------- attacks

    def _attack(self, flight: _Flight, headers: bytes) -> None:
        """Send exactly the same request again, as an eavesdropper would."""
        attack = flight.lane.plan.attack
        flight.lane.attacked += 1
        if attack is None or flight.lane.attacked % attack.every:
            return
        loop = asyncio.get_running_loop()
        for _ in range(attack.copies):
            self._replays += 1
            loop.call_later(attack.delay_sec, self._replay, flight, headers)

    def _replay(self, flight: _Flight, headers: bytes) -> None:
        done = partial(self._replayed, flight.lane)
        self._pool.send(b"POST", self._path, headers, flight.body, done, timeout=ANSWER_TIMEOUT)

    def _replayed(self, lane: Lane, answer: ClientResponse | ClientError) -> None:
        self._replays -= 1
        if isinstance(answer, ClientError):
            lane.window.replays_refused[answer.kind] += 1
        elif answer.status < 300:
            lane.window.replays_accepted += 1
        else:
            lane.window.replays_refused[f"{answer.status} {reason_of(answer.body) or 'unknown'}"] += 1
        self._look_settled()

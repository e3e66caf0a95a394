"""Lines, entries and a Loki without a network for the tests of the shipper."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cramjam

from logops_fast.shipper import push_request
from logops_fast.shipper.answers import Answer, Effect, answer_of
from logops_fast.shipper.delivery import Ask, Delivery, Hold, Pause, Push, Step
from logops_fast.shipper.entries import Entry, EntryMaker, Place
from logops_fast.shipper.questions import found_in, questions
from tests.loki.answers import query_body
from tests.loki.store import SECOND, Store
from tests.loki.store import Answer as LokiAnswer
from tests.loki.wire import decode_push

NOW = 1_795_608_000 * SECOND  # 2026-11-26T06:00:00Z... a Thursday
PLACE = Place("events", "m-0", "20261126")
METADATA = ("app", "scenario_id", "source", "trace_id", "host")


def line(ts: str = "2026-11-25T12:00:00Z", **fields: Any) -> bytes:
    return json.dumps({"ts": ts, "level": "INFO", "emitter": "web", "app": "shop", "msg": "hello", **fields}).encode()


def made(lines: Sequence[bytes], place: Place = PLACE, *, start: int = 0, **options: Any) -> list[Entry]:
    return EntryMaker(METADATA, **options).make(place, start, lines, NOW)


def encoded(entries: Sequence[Entry]) -> bytes:
    streams: dict[str, list[bytes]] = {}
    for entry in entries:
        streams.setdefault(entry.stream_labels, []).append(push_request.entry(entry.time, entry.line, entry.metadata))
    return bytes(cramjam.snappy.compress_raw(push_request.request(streams)))


class Tally:
    """Counts, for assertions."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def doubtful(self, entries: int) -> None:
        self.counts["doubtful"] += entries

    def retimed(self, reason: str, entries: int) -> None:
        self.counts[f"retimed {reason}"] += entries

    def refused(self, reason: str) -> None:
        self.counts[f"refused {reason}"] += 1


class Held(Exception):  # noqa: N818
    """The batch is held."""


class World:
    """A store, and a link to it that may fail: ``script`` names what happens to the next pushes, then all is well."""

    def __init__(self, store: Store, script: Sequence[str] = (), *, may_query: bool = True, ahead: int = 0) -> None:
        """``ahead``: by how many ns the shipper's clock is ahead of Loki's."""
        self.ahead = ahead
        self.store = store
        self.script = list(script)
        self.may_query = may_query
        self.pushes = 0
        self.asked = 0

    def deliver(self, delivery: Delivery, place: Place = PLACE, steps: int = 100_000) -> None:
        for _ in range(steps):
            step = delivery.next(self.store.wall() + self.ahead)
            if step is None:
                return
            self.step(delivery, step, place)
        raise AssertionError("the delivery does not end")

    def step(self, delivery: Delivery, step: Step, place: Place = PLACE) -> None:
        """Do one step. Raises Held."""
        now = self.store.wall() + self.ahead
        if isinstance(step, Pause):
            assert step.seconds > 0
        elif isinstance(step, Push):
            delivery.answered(self.push(step.entries), now)
        elif isinstance(step, Hold):
            raise Held(step.text)
        else:
            assert step is not None
            self.ask(delivery, step, place, now)

    def push(self, entries: Sequence[Entry]) -> Answer:
        self.pushes += 1
        fault = self.script.pop(0) if self.script else "ok"
        if fault == "refused connection":
            return Answer(Effect.UNREACHABLE)
        if fault == "cut before":
            return Answer(Effect.UNKNOWN)
        if fault == "500 before":
            return answer_of(500, "boom")
        if fault == "401":
            return answer_of(401, "expired")
        answer = self.store.push(decode_push(encoded(entries)))
        if fault == "cut after":
            return Answer(Effect.UNKNOWN)
        if fault == "500 after":
            return answer_of(500, "boom")
        return answer_of(answer.status, answer.text)

    def ask(self, delivery: Delivery, step: Ask, place: Place, now: int) -> None:
        self.asked += 1
        if not self.may_query:
            delivery.unasked(allowed=False, now=now)
            return
        found: set[int] = set()
        for question in questions(place, ("m",), step.entries, step.shipped):
            target = question.target(5000)
            query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
            answer = self.store.query(query["query"], int(query["start"]), int(query["end"]), int(query["limit"]))
            assert not isinstance(answer, LokiAnswer), answer
            found |= found_in(question, query_body(answer, categorized=self.asked % 2 == 0)).offsets
        delivery.asked(found, now)


def seqs(store: Store) -> Counter[str]:
    return Counter(dict(entry.metadata)["seq"] for entry in store.entries())

"""Names at the Ingest Gateway's door that hold personal data, without a process or a socket."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from logops_fast.http.exchange import Request, Response
from logops_fast.ingest.gateway import IngestGateway
from tests.support.tables import each_of

pytestmark = pytest.mark.interpreted  # stand-ins for classes that compiled code checks


class Counts:
    """Stands in for the metrics: which reasons were counted."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def rejected(self, reason: str, _: str) -> None:
        self.reasons.append(reason)

    def answered(self, *_: object) -> None:
        pass


def handled(**names: str) -> tuple[list[Response], list[str], bool]:
    """What the door answers to a request with these names as headers, what it counts, and whether it takes the body."""
    answers: list[Response] = []
    taken: list[object] = []
    counts = Counts()
    headers = {b"content-type": b"application/json"}
    headers |= {name.replace("_", "-").encode(): value.encode() for name, value in names.items()}
    request: Any = SimpleNamespace(
        path=b"/v1/logs",
        headers=headers,
        content_length=2,
        received_at=0.0,
        respond=answers.append,
        accept_body=taken.append,
    )
    gateway = IngestGateway(pipeline=cast("Any", None), metrics=cast("Any", counts), max_body_bytes=100, max_items=10)
    gateway.handle(cast("Request", request))
    return answers, counts.reasons, bool(taken)


@each_of("name", ["x_emitter", "x_scenario_id", "x_batch_id"])
@each_of("value", ["203.0.113.77", "4111111111111111"])
def test_a_name_that_holds_personal_data_is_refused_and_counted(name: str, value: str) -> None:
    (answer,), reasons, taken = handled(**{name: value})
    assert (answer.status, orjson.loads(answer.body)["error"]) == (400, "personal_data_in_name")
    assert value.encode() not in answer.body
    assert reasons == ["personal_data_in_name"]
    assert not taken


def test_other_names_are_taken() -> None:
    assert handled(x_emitter="web-1", x_scenario_id="release-1.2.3.4", x_batch_id="1732480000123456789") == (
        [],
        [],
        True,
    )

"""The kernel reads as the reference does: `make test-native` runs these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import corpus
from logops_fast.formats.media_type import Format
from logops_fast.ingest.encryption import Encryptor
from logops_fast.ingest.native import reader as native
from logops_fast.ingest.native.reader import KernelMismatchError, NativeReader, is_native, open_kernel
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers import registry
from logops_fast.ingest.parsers.base import Inherited, Limits
from tests.fuzz.exports import ExportMaker
from tests.fuzz.native_checks import (
    Watched,
    by_reference,
    difference,
    events_difference,
    export_difference,
    in_parts,
    settings,
)
from tests.fuzz.native_maker import Maker
from tests.support.field_cases import cases

pytestmark = pytest.mark.native

FINISHED_OF_THE_CORPUS = {"mixed": 1.0, "clean": 1.0, "field": 0.99}
REQUEST: dict[str, Any] = {"emitter": "web", "scenario_id": "na", "received_at": 1e9, "receipts_before": 0}


def opened(normaliser: Normaliser) -> NativeReader:
    reader = open_kernel(normaliser)
    assert reader is not None, "the kernel is not installed: make test-native installs it"
    return reader


@pytest.mark.parametrize("kind", ["mixed", "clean", "field"])
def test_the_corpora(kind: corpus.Kind) -> None:
    normaliser = Normaliser()
    reader = opened(normaliser)
    for body in corpus.bodies(16, 100, kind):
        assert difference(reader, normaliser, body, False) == ""
    for body in corpus.bodies(16, 100, kind, "ndjson"):
        assert difference(reader, normaliser, body, True) == ""


@pytest.mark.parametrize("kind", ["mixed", "clean", "field"])
def test_most_events_are_finished_by_the_kernel(kind: corpus.Kind) -> None:
    normaliser = Normaliser()
    reader = opened(normaliser)
    bodies = corpus.bodies(16, 100, kind)
    for body in (*bodies, *bodies):
        reader.read(body, by_line=False, **REQUEST)
    asked = 0
    run = normaliser.run

    class Counting:
        """Counts the events that the kernel hands back."""

        def __getattr__(self, name: str) -> Any:
            return getattr(normaliser, name)

        def run(self, events: list[dict[str, Any]], **more: Any) -> Any:
            nonlocal asked
            asked += len(events)
            return run(events, **more)

    reader._normaliser = Counting()  # type: ignore[assignment]
    for body in bodies:
        reader.read(body, by_line=False, **REQUEST)
    assert 1 - asked / 1600 >= FINISHED_OF_THE_CORPUS[kind]


@pytest.mark.parametrize("seed", [11, 12])
def test_bodies_of_the_fuzzer(seed: int) -> None:
    maker = Maker(seed)
    for variant in range(7):
        normaliser = settings(variant)
        reader = opened(normaliser)
        for _ in range(60):
            body, by_line, _ = maker.body()
            found = difference(reader, normaliser, body, by_line, maker.rng.randrange(3))
            assert found == "", (body, found)


def test_the_shared_cases() -> None:
    normaliser = Normaliser()
    reader = opened(normaliser)
    for case in (*cases("json.jsonl"), *cases("pii.jsonl")):
        if case.get("content_type", "application/json") in ("application/json", "application/x-ndjson"):
            body = case["body"].encode()
            by_line = case.get("content_type") == "application/x-ndjson"
            assert difference(reader, normaliser, body, by_line) == "", case["id"]


BODIES = {
    "an empty array": b"[]",
    "nothing": b"",
    "no object": b"[1]",
    "a byte order mark": b'\xef\xbb\xbf{"msg":"a"}',
    "two objects": b'{"msg":"a"}{"msg":"b"}',
    "cut": b'[{"ts":"2026-03-01T00:00:01Z","level":"INFO","msg":"a"',
    "brackets that do not match": b'[{"msg":"a","x":[}]}]',
    "text that is no UTF-8": b'[{"msg":"\xff\xfe"}]',
    "a name twice": b'[{"msg":"a","msg":"b"},{"msg":"a","msg":"b"}]',
    "deep": b'{"msg":"a","x":' + b"[" * 40 + b"]" * 40 + b"}",
    "a line over two": b'{"msg":\n"a"}',
    "OTLP traces": b'{"resourceSpans":[{"scopeSpans":[]}]}',
    "OTLP metrics": b'[{"resource_metrics":[]},{"msg":"a"}]',
    "Loki": b'{"streams":[{"stream":{"a":"b"},"values":[["1764064811000000000","a"]]}]}',
    "CloudWatch": b'{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","timestamp":1764064811000,"message":"a"}]}',
    "HEC": b'{"event":"a","time":1764064811}',
    "New Relic": b'{"common":{},"logs":[{"message":"a"}]}',
    "bulk": b'{"index":{}}\n{"msg":"a"}\n',
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("by_line", [False, True])
def test_bodies_of_other_forms(name: str, by_line: bool) -> None:
    normaliser = Normaliser()
    assert difference(opened(normaliser), normaliser, BODIES[name], by_line) == ""


def test_times_of_receipt_count_on() -> None:
    normaliser = Normaliser()
    reader = opened(normaliser)
    events = [{"level": "INFO", "msg": f"n{number}"} for number in range(4)]
    odd = {"level": "INFO", "msg": "a \\ b"}  # read by the reference, among the others
    body = json.dumps([*events, odd, *events]).encode()
    assert difference(reader, normaliser, body, False, 5) == ""


def test_settings_that_need_the_reference() -> None:
    assert open_kernel(Normaliser(ts_fields=["when"])) is None
    assert open_kernel(Normaliser(encryptor=Encryptor([b"0" * 43 + b"="], fields=["msg"]))) is None


def test_it_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_native()
    monkeypatch.setenv(native.SWITCH, "0")
    assert not is_native()
    assert open_kernel(Normaliser()) is None


@pytest.mark.interpreted
def test_a_kernel_of_other_masks_stays_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "digest", lambda: "other")
    assert not is_native()
    with pytest.raises(KernelMismatchError, match="stays off"):
        open_kernel(Normaliser())


def test_golden_files() -> None:
    normaliser = Normaliser()
    reader = opened(normaliser)
    data = Path(__file__).parents[2] / "data"
    for name, by_line in (("events.json", False), ("events.ndjson", True)):
        body = (data / name).read_bytes()
        assert difference(reader, normaliser, body, by_line) == ""
        assert by_reference(normaliser, body, by_line, 0)


def test_a_body_of_many_events_to_hand_back_is_left_to_the_parsers() -> None:
    reader = opened(Normaliser())
    event = b'{"msg":"a","level":"INFO","ts":"2026-03-01T00:00:01Z"}'
    body = b"[" + b",".join([event] + [b"{}"] * 3000) + b"]"
    assert difference(reader, Normaliser(), b"[" + event + b"]", False) == ""
    assert reader.read(body, by_line=False, **REQUEST) is None


def test_nothing_is_learnt_again() -> None:
    normaliser = Normaliser()
    reader = opened(normaliser)
    bodies = corpus.bodies(8, 100, "field")
    for _ in range(6):
        for body in bodies:
            assert difference(reader, normaliser, body, False) == ""
    assert isinstance(reader._kernel, Watched)
    lessons = reader._kernel.lessons
    for body in bodies:
        assert difference(reader, normaliser, body, False) == ""
    assert reader._kernel.lessons == lessons


SETTLED = {
    "escapes": r'"level":"INFO","msg":"a \"b\" \n\t\/ C:\\Users \u00e9\u0000\ud83d\ude00"',
    "an address after a line end": r'"level":"INFO","msg":"it broke\n  at main for bob@example.com from 10.1.2.3"',
    "a card": '"level":"INFO","msg":"card 4111 1111 1111 1111 x"',
    "an IPv6 address": '"level":"INFO","msg":"via 2001:db8::beef:cafe"',
    "a bearer token": '"level":"INFO","msg":"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmVk"',
    "a value that is assigned": '"level":"INFO","msg":"client_ip=10.1.2.3 peer: 10.1.2.4"',
    "a step of a level": '"level":"DEBUG2","msg":"a"',
    "a level in the message": '"msg":"it broke: level=error"',
    "a secret": '"level":"INFO","msg":"password=hunter2"',
    "a number of a card": '"level":"INFO","msg":"a","n":4111111111111111',
}


@pytest.mark.parametrize("name", SETTLED)
def test_what_the_kernel_settles(name: str) -> None:
    """None of these goes through the whole of the Python way, once its layout is known."""
    normaliser = Normaliser()
    reader = opened(normaliser)
    body = ('[{"ts":"2026-03-01T00:00:01Z",' + SETTLED[name] + "}]").encode()
    assert difference(reader, normaliser, body, False) == ""
    reader._normaliser = Refusing(normaliser)  # type: ignore[assignment]
    assert difference(reader, normaliser, body, False) == ""
    assert reader.read(body, by_line=False, **REQUEST) is not None


@pytest.mark.parametrize(
    "after",
    [
        "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
        "-----BEGIN RSA PRIVATE KEY----- MIIEvQIBADANBgkqhkiG9w0BAQEFAASC -----END RSA PRIVATE KEY-----",
        "-4111 1111 1111 1111",
        "-bearer c2lnbmVkLWJ5LW5vYm9keQ",
        "_Basic dXNlcjpwYXNzd29yZA==",
        "-Digest username=bob, response=0123456789abcdef",
        "-password: hunter2",
        ".sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "-AKIAIOSFODNN7EXAMPLE",
        " AKIAIOSFODNN7EXAMPLE",
        "-10.1.2.3",
        "@example.com",
    ],
)
def test_what_begins_within_a_token_and_goes_on_after_it(after: str) -> None:
    """A private key in text was found by the fuzzer: its first dashes are letters of a token."""
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmVkLWJ5LW5vYm9keQ"
    normaliser = Normaliser()
    reader = opened(normaliser)
    body = f'[{{"ts":"2026-03-01T00:00:01Z","level":"INFO","msg":"Authorization: Bearer {token}{after}"}}]'.encode()
    for _ in range(2):
        assert difference(reader, normaliser, body, False) == ""


class Refusing:
    """A normaliser that runs nothing."""

    def __init__(self, normaliser: Normaliser) -> None:
        self.normaliser = normaliser

    def __getattr__(self, name: str) -> Any:
        assert name != "run"
        return getattr(self.normaliser, name)


@pytest.mark.parametrize(
    "text",
    [
        "{'user_email': 'bob'} x",
        "a `user_email`: bob",
        'x {"user_email":"bob"} y',
        "x 'user_email' = '5' y",
        "a user_email=bob",
    ],
)
def test_fields_of_the_settings_are_masked_within_strings(text: str) -> None:
    normaliser = Normaliser(fields=["user_email"])
    reader = opened(normaliser)
    body = json.dumps([{"ts": "2026-03-01T00:00:01Z", "level": "INFO", "msg": text, "app": "x"}]).encode()
    for _ in range(2):
        assert difference(reader, normaliser, body, False) == ""


@pytest.mark.parametrize("by_line", [False, True])
def test_a_body_is_read_part_by_part(by_line: bool) -> None:
    normaliser = Normaliser()
    reader = opened(normaliser)
    (body,) = corpus.bodies(1, 300, "field", "ndjson" if by_line else "json")
    for size in (450, 1000, 4096, 100_000):
        assert difference(reader, normaliser, body, by_line, 3, size) == ""
    assert in_parts(reader, body, by_line, 0, 1000) is not None
    assert in_parts(reader, body, by_line, 0, 100) is None  # no event has so few bytes


@pytest.mark.parametrize("seed", [21, 22])
def test_exports_of_the_fuzzer(seed: int) -> None:
    maker = Maker(seed)
    exports = ExportMaker(maker.rng, maker.plain)
    for variant in range(3):
        normaliser = settings(2 + variant)
        reader = opened(normaliser)
        for _ in range(80):
            body, _ = exports.body()
            found = export_difference(reader, normaliser, body, Limits())
            assert found == "", (body, found)


def test_exports_of_the_corpus_are_read() -> None:
    normaliser = Normaliser()
    reader = opened(normaliser)
    for body in corpus.bodies(8, 100, "mixed", "otlp"):
        assert export_difference(reader, normaliser, body, Limits()) == ""
    found = reader.read_export(body, Limits(), start=0, **REQUEST)
    assert found is not None
    assert (found.normalised.count, found.end) == (100, None)


@pytest.mark.parametrize(
    "limits", [Limits(max_event_bytes=200), Limits(max_stored_bytes=10_000), Limits(max_items=1)], ids=str
)
def test_an_export_over_a_limit_is_left_to_the_parser(limits: Limits) -> None:
    (body,) = corpus.bodies(1, 100, "mixed", "otlp")
    reader = opened(Normaliser())
    assert reader.read_export(body, limits, start=0, **REQUEST) is None


@pytest.mark.parametrize("format", [Format.CSV, Format.PLAIN, Format.LOKI_JSON], ids=lambda one: one.name)
def test_events_that_were_parsed_are_settled(format: Format) -> None:
    normaliser = Normaliser()
    reader = opened(normaliser)
    kind: corpus.BodyFormat = "csv" if format is Format.CSV else "plain" if format is Format.PLAIN else "loki_json"
    for body in corpus.bodies(4, 100, "mixed", kind):
        assert events_difference(reader, normaliser, body, format, 2) == ""
    events = registry.parse(format, body, 1e9).events
    assert reader.normalise(events, **REQUEST) is not None


def test_events_that_json_does_not_hold_are_left_to_the_normaliser() -> None:
    reader = opened(Normaliser())
    for value in (chr(0xD800), 2**70, Inherited("2026")):
        assert reader.normalise([{"ts": value, "level": "INFO", "msg": "a"}], **REQUEST) is None

"""The kernel reads as the reference does: `make test-native` runs these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import corpus
from logops_fast.ingest.encryption import Encryptor
from logops_fast.ingest.native import reader as native
from logops_fast.ingest.native.reader import KernelMismatchError, NativeReader, is_native, open_kernel
from logops_fast.ingest.normaliser import Normaliser
from tests.fuzz.native import Maker, by_reference, difference, settings
from tests.support.field_cases import cases

pytestmark = pytest.mark.native

FINISHED_OF_THE_CORPUS = {"mixed": 1.0, "clean": 1.0, "field": 0.9}


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
    for body in bodies:
        reader.read(body, by_line=False, emitter="web", scenario_id="na", received_at=1e9, receipts_before=0)
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
        reader.read(body, by_line=False, emitter="web", scenario_id="na", received_at=1e9, receipts_before=0)
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


def test_a_body_of_layouts_of_its_own_is_not_learnt_as_a_whole() -> None:
    normaliser = Normaliser()
    reader = opened(normaliser)
    learnt: list[list[str]] = []
    kernel = reader._kernel

    class Counting:
        """Counts the layouts that the kernel is taught."""

        def __getattr__(self, name: str) -> Any:
            return getattr(kernel, name)

        def learn(self, names: list[str], *more: Any) -> None:
            learnt.append(names)
            kernel.learn(names, *more)

    reader._kernel = Counting()
    same = [{"msg": "a", "same": 1}] * 50
    body = json.dumps([*same, *({"msg": "a", f"n{number}": 1} for number in range(1000))]).encode()
    read = reader.read(body, by_line=False, emitter="web", scenario_id="na", received_at=1e9, receipts_before=0)
    assert read is not None
    assert read.count == 1050
    assert learnt[0] == ["msg", "same"]
    assert len(learnt) == native._MOST_LEARNT


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
    body = b"[" + b",".join([b"{}"] * 3000) + b"]"
    kwargs: dict[str, Any] = {"emitter": "web", "scenario_id": "na", "received_at": 1e9, "receipts_before": 0}
    assert reader.read(body, by_line=False, **kwargs) is None


def test_a_body_of_ever_new_layouts_is_learnt_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    normaliser = Normaliser()
    reader = opened(normaliser)
    learnt: list[tuple[str, ...]] = []
    monkeypatch.setattr(NativeReader, "_learn", lambda _self, keys: learnt.append(keys))
    body = json.dumps([{"msg": "a", f"n{number}": 1} for number in range(500)]).encode()
    assert difference(reader, normaliser, body, False) == ""
    assert 0 < len(learnt) <= 32  # read twice

"""The fuzzer finds what it is made for: `make test-native` runs these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import corpus
from logops_fast.formats.media_type import Format
from logops_fast.ingest.native.reader import NativeReader, open_kernel
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.base import Limits
from tests.fuzz import native
from tests.fuzz.native import Round
from tests.fuzz.native_answers import Pair
from tests.fuzz.native_checks import Routes, Watched, difference, events_difference, export_difference, watch
from tests.fuzz.native_maker import Maker

pytestmark = pytest.mark.native


class Faulty:
    """A kernel that changes its answers in one way."""

    def __init__(self, kernel: Any, fault: str) -> None:
        self.kernel = kernel
        self.fault = fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kernel, name)

    def changed(self, answer: Any) -> Any:
        lines, unmasked, handed, count, missing_ts, missing_level, levels, masked = answer
        if self.fault == "a line":
            lines = lines.replace(b"INFO", b"WARN", 1)
        elif self.fault == "a line is lost":
            lines = lines[lines.index(b"\n") + 1 :]
        elif self.fault == "a count":
            missing_level += 1
        elif self.fault == "a level":
            levels = {"INFO": count}
        elif self.fault == "what was masked":
            masked = {**masked, "ipv4": masked.get("ipv4", 0) + 1}
        return lines, unmasked, handed, count, missing_ts, missing_level, levels, masked

    def read(self, *request: Any) -> Any:
        answer = self.kernel.read(*request)
        return answer and (self.changed(answer[0]), *answer[1:])

    def read_export(self, *request: Any) -> Any:
        answer, spellings = self.kernel.read_export(*request)
        return answer and (self.changed(answer[0]), *answer[1:]), spellings


FAULTS = ("a line", "a line is lost", "a count", "a level", "what was masked")


def taught(normaliser: Normaliser) -> NativeReader:
    """A reader whose kernel knows the corpus."""
    reader = open_kernel(normaliser)
    assert reader is not None, "the kernel is not installed: make test-native installs it"
    for body in corpus.bodies(3, 100):
        assert difference(reader, normaliser, body, False) == ""
    for export in corpus.bodies(10, 100, "mixed", "otlp"):  # of each event one new name is learnt
        reader._lessons.earn(1000)
        assert export_difference(reader, normaliser, export, Limits()) == ""
    return reader


def spoil(reader: NativeReader, fault: str) -> None:
    watched: Any = reader._kernel
    watched.kernel = Faulty(watched.kernel, fault)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_kind_of_difference_is_found(fault: str) -> None:
    normaliser = Normaliser()
    body = corpus.bodies(1, 100)[0]
    (export,) = corpus.bodies(1, 100, "mixed", "otlp")
    (rows,) = corpus.bodies(1, 100, "mixed", "csv")
    reader = taught(normaliser)
    assert export_difference(reader, normaliser, export, Limits()) == ""
    assert events_difference(reader, normaliser, rows, Format.CSV, 0) == ""
    spoil(reader, fault)
    assert difference(reader, normaliser, body, False) != ""
    assert difference(reader, normaliser, body, False, 0, 5000) != ""
    assert export_difference(reader, normaliser, export, Limits()) != ""
    assert events_difference(reader, normaliser, rows, Format.CSV, 0) != ""


@pytest.mark.parametrize("fault", FAULTS[:4])
@pytest.mark.parametrize("format", [Format.JSON, Format.OTLP, Format.CSV], ids=lambda one: one.name)
def test_an_answer_that_differs_is_found(fault: str, format: Format) -> None:
    normaliser = Normaliser()
    reader = taught(normaliser)
    name: Any = format.name.lower()
    (body,) = corpus.bodies(1, 100, "mixed", name)
    for seed in range(4):
        assert Pair(Maker(seed).rng, normaliser, reader, Limits()).difference(body, format) == ""
    spoil(reader, fault)
    assert all(Pair(Maker(seed).rng, normaliser, reader, Limits()).difference(body, format) for seed in range(4))


def test_what_is_refused_and_read_all_the_same_is_found() -> None:
    normaliser = Normaliser()
    reader = taught(normaliser)
    (body,) = corpus.bodies(1, 20)
    spoilt = body[:-1] + b",7]"
    assert difference(reader, normaliser, spoilt, False) == ""
    watched: Any = reader._kernel
    watched.kernel = Other(watched.kernel, body)
    assert "but the reference says faults" in difference(reader, normaliser, spoilt, False)


class Other:
    """A kernel that reads another body."""

    def __init__(self, kernel: Any, body: bytes) -> None:
        self.kernel = kernel
        self.body = body

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kernel, name)

    def read(self, _body: bytes, by_line: bool, constants: Any, utc: bool, receipt: int, *_part: Any) -> Any:
        return self.kernel.read(self.body, by_line, constants, utc, receipt, 0, len(self.body), True)


def test_a_round_takes_every_way_and_masks_every_kind() -> None:
    this = Round(5)
    formats = {"json", "ndjson", "otlp", "plain", "csv"}
    # Half of a round has all of them, whatever is drawn at random.
    while this.events < 25_000 or (this.events < 250_000 and not formats <= set(this.formats)):
        assert this.step() == ""
    found = this.summary()
    assert set(found["ways"]) == {"alone", "masks", "level", "new", "handed"}
    assert min(found["ways"].values()) > 100
    assert set(found["masked"]) >= {"email", "ipv4", "ipv6", "card", "token", "secret"}
    assert found["distinct"] > 0.9
    assert set(found["formats"]) >= formats


def test_a_difference_is_brought_down_to_one_event() -> None:
    this = Round(6)
    opened = this._opened

    def spoilt() -> Any:
        normaliser, reader = opened()
        spoil(reader, "a level")
        return normaliser, reader

    this._opened = spoilt  # type: ignore[method-assign]
    this._begin()
    found = ""
    while not found.startswith("body"):
        found = this.step()
    assert this.differences == 1
    while "b'[{" not in found or len(found) > 6000:
        found = this.step()


def test_lessons_are_counted_once() -> None:
    normaliser = Normaliser()
    reader = open_kernel(normaliser)
    assert reader is not None
    routes = Routes()
    watched = watch(reader, normaliser, routes)
    assert watch(reader, normaliser) is watched
    assert isinstance(watched, Watched)
    assert difference(reader, normaliser, b'[{"ts":"2026-03-01T00:00:01Z","level":"INFO","msg":"a"}]', False) == ""
    assert (routes.layouts, routes.ways["new"], routes.ways["alone"]) == (1, 1, 1)


def test_a_run_goes_on_where_its_log_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "runs.jsonl"
    words = ["--events", "2000", "--log", str(log), "--seed", "40", "--commit", "abc"]
    assert native.main(words) == 0
    assert native.main(["--events", "5000", *words[2:]]) == 0
    rounds = [json.loads(line) for line in log.read_text().splitlines()]
    assert [one["seed"] for one in rounds] == list(range(40, 40 + len(rounds)))
    assert len(rounds) >= 2
    assert {one["commit"] for one in rounds} == {"abc"}
    assert sum(one["events"] for one in rounds) >= 5000
    assert native.main(words) == 0  # there is nothing left to do
    assert len(log.read_text().splitlines()) == len(rounds)
    assert "0 differences" in capsys.readouterr().out

"""The screen of ``logops top``, at every size, of figures made up for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from logops_fast.cli.top_screen import BARS, Controls, screen, sparkline
from logops_fast.config.slo import load_slo
from logops_fast.telemetry.overview import (
    EmitterFigures,
    Latency,
    Overview,
    Rates,
    Refusals,
    ShipperFigures,
    SinkFigures,
    WorkerFigures,
)
from tests.support.tables import each_of

SLO = load_slo()
WHERE = "http://127.0.0.1:8089"
RATES = [Rates(float(n * 10), float(n)) for n in range(200)]


def busy(workers: int = 2, emitters: int = 3, refusals: int = 3) -> Overview:
    return Overview(
        version="0.5.0",
        build="native",
        problems=(),
        unready="",
        rates=Rates(12345.0, 12000.0),
        latency=Latency(0.003, 0.012, 0.02, 0.9998, 1234.0, 300.0),
        refusals=tuple(Refusals("auth", f"reason_{n}", f"emitter-{n}", float(n), 100.0 - n) for n in range(refusals)),
        emitters=tuple(EmitterFigures(f"emitter-{n}", float(n), 1000.0 - n, 0.5, 0.012) for n in range(emitters)),
        workers=tuple(WorkerFigures(WHERE, str(n), "ready", "", 0.2, 0.34, 4.5e7, 12.0) for n in range(workers)),
        sink=SinkFigures(1.2e6, 0.0003, 0.0011, 0.0, stalled=False),
        shipper=ShipperFigures(2048.0, 1.5, 1000.0, 0.0),
        breaker="closed",
        inflight=3.0,
        inflight_bytes=1_200_000.0,
        queued=0.0,
        restarts=0.0,
    )


def drawn(overview: Overview, controls: Controls | None = None, width: int = 80, height: int = 24) -> str:
    lines = screen(overview, RATES, SLO, controls or Controls(), where=WHERE, width=width, height=height)
    assert len(lines) == height
    assert max(line.cell_len for line in lines) <= width
    assert not any("\n" in line.plain for line in lines)
    return "\n".join(line.plain for line in lines)


def test_everything_is_on_a_screen_of_80_by_24() -> None:
    text = drawn(busy())
    for words in (
        "0.5.0 native", "ready", WHERE,
        "Received    12,345/s", "Stored      12,000/s", "▆", "█",
        "p50 3 ms", "p95 12 ms", "p99 20 ms", "1,234 batches in 5 min",
        "p95 under 500 ms: met", "99.98% under 500 ms, objective 99%: met",
        "1.2 MB/s", "commit p50 0.3 ms, p99 1.1 ms", "0 failed commits",
        "3 in flight, 1.2 MB", "queue 0", "breaker closed",
        "1,000 lines/s", "lag 2.0 kB, 1.5 s",
        "34%", "45 MB", "12",
        "reason_2", "emitter-2", "q quit", "sort by: rate",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize(("width", "height"), [(80, 24), (109, 24), (110, 24), (132, 43), (200, 50), (20, 3)])
@pytest.mark.parametrize("many", [0, 1, 40])
def test_any_size_holds_what_it_can(width: int, height: int, many: int) -> None:
    text = drawn(busy(many, many, many), width=width, height=height)
    assert text.split("\n")[-1].startswith("q quit")


def test_more_than_fits_is_counted() -> None:
    text = drawn(busy(workers=40, emitters=40, refusals=40))
    assert "and 37 more, all ready" in text
    assert text.count("more") == 3
    assert drawn(busy(40, 40, 40), height=60).count("emitter-") > text.count("emitter-")


def test_a_worker_in_trouble_is_shown_before_the_others() -> None:
    overview = busy(workers=40)
    stalled = replace(overview.workers[-1], state="sink_stalled")
    text = drawn(
        replace(overview, workers=(*overview.workers[:-1], stalled), unready="sink_stalled: The disk is slow.")
    )
    assert text.index("sink_stalled  ") < text.index("ready  ", text.index("Heartbeat"))
    assert "NOT READY" in text
    assert "sink_stalled: The disk is slow." in text
    assert "and 37 more, all ready" in text


@each_of(
    ("change", "words"),
    [
        ({"latency": Latency(0.1, 0.6, 0.9, 0.97, 10.0, 300.0)}, "p95 under 500 ms: MISSED"),
        ({"latency": Latency(0.1, 0.6, 0.9, 0.97, 10.0, 300.0)}, "objective 99%: MISSED"),
        ({"latency": None}, "no batch yet"),
        ({"latency": Latency(None, None, None, None, 0.0, 26.0)}, "no batch in the last 26 s"),
        ({"sink": SinkFigures(0.0, None, None, 7.0, stalled=True)}, "7 failed commits   STALLED"),
        ({"sink": None}, "none here"),
        ({"breaker": "open"}, "breaker open"),
        ({"restarts": 2.0}, "2 restarts"),
        ({"shipper": ShipperFigures(5e9, 7200.0, 0.0, 9.0)}, "lag 5.0 GB, 2 h   9 lines refused by Loki"),
        ({"problems": ("http://127.0.0.1:8090: connection refused",)}, "8090: connection refused"),
    ],
)
def test_what_is_wrong_is_in_words(change: dict[str, object], words: str) -> None:
    assert words in drawn(replace(busy(), **change))  # type: ignore[arg-type]


def test_without_an_answer_the_screen_says_so_and_what_to_do() -> None:
    nothing = replace(busy(0, 0, 0), version="", build="", problems=(f"{WHERE}: connection refused",))
    text = drawn(nothing)
    assert "Nothing answers:\n  http://127.0.0.1:8089: connection refused" in text
    assert "logops up" in text
    assert "--url" in text


def test_words_of_strangers_are_escaped() -> None:
    hostile = EmitterFigures("\x1b[31mred\n", 1.0, 1.0, 0.0, None)
    text = drawn(replace(busy(), emitters=(hostile,)))
    assert "\x1b" not in text
    assert "\\x1b[31mred\\x0a" in text


def names(text: str, word: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if line.startswith(word)]


def test_the_keys_sort_and_filter() -> None:
    controls = Controls()
    assert names(drawn(busy(), controls), "reason_") == ["reason_2", "reason_1", "reason_0"]
    controls = controls.press(b"s")
    assert names(drawn(busy(), controls), "reason_") == ["reason_0", "reason_1", "reason_2"]  # by the total
    assert controls.press(b"s").sort == "name"
    assert controls.press(b"ss").sort == "rate"
    controls = controls.press(b"/EMITTER-1x")
    assert controls.typing
    assert "Filter: EMITTER-1x" in drawn(busy(), controls)
    controls = controls.press(b"\x7f\r")
    assert (controls.filter, controls.typing) == ("EMITTER-1", False)
    text = drawn(busy(), controls)
    assert names(text, "reason_") == ["reason_1"]
    assert names(text, "emitter-") == ["emitter-1"]
    assert controls.press(b"\x1b[A") == controls  # an arrow key
    assert controls.press(b"\x1b").filter == ""
    assert not controls.press(b"x").quit


@each_of("keys", [b"q", b"Q", b"\x03", b"sq", b"/ab\x03", b"/q\rq"])
def test_q_quits_but_not_in_the_filter(keys: bytes) -> None:
    assert Controls().press(keys).quit
    assert not Controls().press(b"/q").quit


def test_the_highest_value_is_the_full_bar() -> None:
    assert sparkline([0.0, 1.0, 2.0, 4.0]) == f"{BARS[0]}{BARS[2]}{BARS[4]}{BARS[7]}"
    assert sparkline([0.0, 0.0]) == BARS[0] * 2
    assert sparkline([]) == ""

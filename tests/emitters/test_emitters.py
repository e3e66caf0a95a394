"""Every kind of emitter, read back by the gateway's own parsers and normaliser."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from logops_fast.config.errors import ConfigError
from logops_fast.emitters.base import Clockwork, Emitter, Options
from logops_fast.emitters.registry import KINDS, make, make_from_script
from logops_fast.formats.media_type import format_of
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers import registry
from tests.support.tables import each_of

NOW = 1_767_225_600.25  # 2026-01-01T00:00:00.25Z


def read(emitter: Emitter, body: bytes) -> Any:
    body_format = format_of(emitter.content_type)
    assert body_format is not None
    return registry.parse(body_format, body, now=NOW)


@each_of("kind", KINDS)
@each_of("ratios", [{}, {"partial_ratio": 0.5}, {"chaos": 1.0}, {"partial_ratio": 0.3, "chaos": 0.3}])
def test_every_event_is_found_by_the_gateways_parsers(kind: str, ratios: dict[str, float]) -> None:
    emitter = make(kind, Options(seed=3, **ratios))  # type: ignore[arg-type]
    for count in (1, 7, 100, 1500):
        payload = emitter.batch(count, NOW)
        parsed = read(emitter, payload.body)
        assert payload.events == count
        assert len(parsed.events) + len(parsed.faults) == count
        if kind != "noise":
            assert not parsed.faults


@pytest.mark.parametrize("kind", KINDS)
def test_levels_are_counted_as_the_gateway_counts_them(kind: str) -> None:
    emitter = make(kind, Options(seed=4))
    payload = emitter.batch(1000, NOW)
    if kind == "minimal":
        assert payload.levels == {}
        return
    normalised = Normaliser().run(read(emitter, payload.body).events, emitter="e", scenario_id="s", received_at=NOW)
    assert {level: n for level, n in normalised.levels.items() if n} == payload.levels
    assert sum(payload.levels.values()) == 1000
    assert normalised.missing_ts == normalised.missing_level == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(kind: str) -> None:
    def bodies(seed: int) -> list[bytes]:
        emitter = make(kind, Options(seed=seed, partial_ratio=0.2, chaos=0.2))
        return [emitter.batch(count, NOW + count).body for count in (50, 3, 200)]

    assert bodies(1) == bodies(1)
    assert bodies(1) != bodies(2)


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_personal_data_to_be_masked(kind: str) -> None:
    emitter = make(kind, Options(seed=5))
    normalised = Normaliser().run(
        read(emitter, emitter.batch(1000, NOW).body).events, emitter="e", scenario_id="s", received_at=NOW
    )
    assert {"email", "ipv4", "ipv6", "card", "token"} <= set(normalised.masked)


@pytest.mark.parametrize("kind", ["json", "csv", "syslog"])
def test_events_carry_the_time_of_their_batch(kind: str) -> None:
    emitter = make(kind, Options(seed=6, form="rfc5424" if kind == "syslog" else ""))
    events = read(emitter, emitter.batch(20, NOW).body).events
    assert [event["ts"] for event in events] == [f"2026-01-01T00:00:00.{250000 + i}Z" for i in range(20)]


@pytest.mark.parametrize("kind", KINDS)
def test_loki_takes_every_time_that_is_sent(kind: str) -> None:
    """None is older than the newest by an hour, or ahead: a stream of Loki's takes no others."""
    now = NOW + 300 * 86_400
    emitter = make(kind, Options(seed=8, partial_ratio=0.1, chaos=0.8))
    events = read(emitter, emitter.batch(4096, now).body).events
    lines = Normaliser().run(events, emitter="e", scenario_id="s", received_at=now).lines.splitlines()
    assert {orjson.loads(line)["ts"][:19] for line in lines} == {f"{dt.datetime.fromtimestamp(int(now), dt.UTC):%FT%T}"}


def test_a_batch_that_would_pass_the_end_of_its_second_starts_earlier() -> None:
    assert Clockwork().of(NOW + 0.74999, 100) == (b"2026-01-01T00:00:00", 999_900)


def test_field_events_are_read_in_all_their_layouts_and_carry_the_time_of_their_batch() -> None:
    events = orjson.loads(make("field", Options(seed=6)).batch(4096, NOW).body)
    names = {name for event in events for name in event}
    assert {"reqId", "v", "caller", "time", "event", "asctime", "RenderedMessage", "log.level", "durationMs"} <= names
    assert {"stream", "severityText", "timeUnixNano", "date", "kubernetes_pod"} <= names
    lines = Normaliser().run(events, emitter="e", scenario_id="s", received_at=0).lines.splitlines()
    stored = [json.loads(line) for line in lines]
    assert {event["ts"][:20] for event in stored} == {"2026-01-01T00:00:00."}
    assert all(event["ts"][20:23] in ("250", "251", "252", "253", "254") for event in stored)
    assert all(event["msg"] for event in stored)


def test_partial_field_events_lack_their_time_or_level() -> None:
    events = orjson.loads(make("field", Options(seed=6, partial_ratio=1.0)).batch(4096, NOW).body)
    normalised = Normaliser().run(events, emitter="e", scenario_id="s", received_at=0)
    assert normalised.missing_ts > 1500
    assert normalised.missing_level > 1200


def test_json_events_are_numbered_through() -> None:
    emitter = make("json", Options(seed=1))
    numbers = [event["seq"] for _ in range(3) for event in orjson.loads(emitter.batch(40, NOW).body)]
    assert numbers == list(range(1, 121))


def test_minimal_events_hold_a_message_only() -> None:
    emitter = make("minimal", Options(seed=1))
    lines = emitter.batch(50, NOW).body.split(b"\n")
    assert all(list(json.loads(line)) == ["msg"] for line in lines)


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_partial_events_lack_their_time_or_level(kind: str) -> None:
    emitter = make(kind, Options(seed=1, partial_ratio=1.0))
    normalised = Normaliser().run(
        read(emitter, emitter.batch(900, NOW).body).events, emitter="e", scenario_id="s", received_at=NOW
    )
    assert normalised.missing_ts > 200
    assert normalised.missing_level > 200


def test_partial_minimal_events_lack_even_their_message() -> None:
    assert make("minimal", Options(partial_ratio=1.0)).batch(3, NOW).body == b"{}\n{}\n{}"


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_the_error_ratio_is_the_share_of_grave_events(ratio: float) -> None:
    payload = make("json", Options(seed=1, error_ratio=ratio)).batch(4096, NOW)
    grave = payload.levels.get("ERROR", 0) + payload.levels.get("FATAL", 0)
    assert grave / payload.events == pytest.approx(ratio, abs=0.05)


def test_noise_has_aliases_wrong_types_nesting_and_elements_that_are_no_events() -> None:
    emitter = make("noise", Options(seed=1, chaos=1.0))
    elements = orjson.loads(emitter.batch(4096, NOW).body)
    objects = [element for element in elements if isinstance(element, dict)]
    assert 20 < len(elements) - len(objects) < 200
    names = {name for event in objects for name in event}
    assert {"timestamp", "@timestamp", "time", "lvl", "severity", "loglevel", "message", "log", "text"} <= names
    assert any(isinstance(event.get("msg"), dict) for event in objects)
    assert any("context" in event for event in objects)


@pytest.mark.parametrize(("form", "share"), [("rfc5424", 1.0), ("logops", 0.0), ("mixed", 0.5)])
def test_syslog_lines_are_of_the_form_asked_for(form: str, share: float) -> None:
    lines = make("syslog", Options(seed=1, form=form)).batch(2000, NOW).body.splitlines()
    assert sum(line.startswith(b"<") for line in lines) / len(lines) == pytest.approx(share, abs=0.05)


SCRIPT = """
from __future__ import annotations
from dataclasses import dataclass
from logops_fast.emitters.base import Options, Payload

@dataclass
class Heartbeat:
    word: str
    content_type = b"text/plain"

    def batch(self, count: int, now: float) -> Payload:
        return Payload(b"\\n".join([self.word.encode()] * count), count, {})

def make(options: Options) -> Heartbeat:
    return Heartbeat(options.extra["word"])
"""


def test_a_user_can_bring_an_emitter_of_his_own(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.py"
    path.write_text(SCRIPT)
    emitter = make_from_script(path, Options(extra={"word": "alive"}))
    assert emitter.batch(2, NOW).body == b"alive\nalive"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "failed while it was loaded: ZeroDivisionError"),
        ("x = 1", r"expected a function make\(options\)"),
        ("def make(options): return 1", "must return an object with content_type"),
    ],
)
def test_a_script_that_cannot_be_used_is_said_in_words(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        make_from_script(path, Options())

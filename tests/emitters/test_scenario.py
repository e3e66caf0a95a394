from __future__ import annotations

from pathlib import Path

import pytest

from logops_fast.config.errors import ConfigError
from logops_fast.emitters.scenario import Replay, find, library, load, parse
from logops_fast.emitters.schedule import Bursts, Schedule
from tests.support.tables import each_of

FULL = """
name: spike
description: all there is
duration_sec: 60
tick_sec: 0.5
emitters:
  - name: json
    eps: 500
    args: {batch_size: 50, partial_ratio: 0.05, chaos: 0.1, error_ratio: 0.2, seed: 7, on_refusal: retry}
    schedule: {start_after_sec: 1, stop_after_sec: 50, ramp_up_sec: 5, ramp_down_sec: 6, jitter_pct: 10}
    bursts: {every_sec: 20, length_sec: 5, factor: 4}
    attack: {kind: replay, every: 2, copies: 3, delay_sec: 0.5}
  - {name: front, kind: syslog, emitter: web, eps: 1.5, args: {form: logops}}
expect: {refused_with: [401], all_accepted: [json]}
"""


def test_all_fields_are_read() -> None:
    found = parse(FULL)
    assert (found.name, found.duration_sec, found.tick_sec) == ("spike", 60.0, 0.5)
    json_plan, front = found.emitters
    assert json_plan.schedule == Schedule(1, 50, 5, 6, 10)
    assert json_plan.bursts == Bursts(20, 5, 4)
    assert json_plan.attack == Replay(2, 3, 0.5)
    assert (json_plan.batch_size, json_plan.on_refusal, json_plan.seeded) == (50, "retry", True)
    assert (front.kind, front.emitter, front.eps, front.options.form) == ("syslog", "web", 1.5, "logops")
    assert found.expect is not None
    assert found.expect.refused_with == (401,)


def test_the_kinds_own_defaults_hold_where_nothing_is_said() -> None:
    found = parse("name: x\nduration_sec: 1\nemitters: [{name: csv, eps: 1}, {name: noise, eps: 1}]")
    assert found.emitters[0].options.partial_ratio > 0
    assert found.emitters[1].options.chaos > 0


@each_of(
    ("old", "new", "said"),
    [
        ("eps: 500", "eps: fast", r'emitters.0.eps: expected a number from 0 to 1e\+07, got "fast"'),
        ("eps: 500", "eps: .nan", "emitters.0.eps: expected a number"),
        ("eps: 500", "eps: true", "emitters.0.eps: expected a number"),
        ("eps: 500", "epz: 500", "emitters.0.epz: unknown key; did you mean eps"),
        ("eps: 500", "kind: json", "emitters.0.eps: expected a number .*; it is missing"),
        ("batch_size: 50", "batch_sise: 50", "emitters.0.args.batch_sise: unknown key; did you mean batch_size"),
        ("batch_size: 50", "batch_size: 0", "emitters.0.args.batch_size: expected an integer from 1"),
        ("batch_size: 50", "batch_size: 1.5", "emitters.0.args.batch_size: expected an integer"),
        (
            "partial_ratio: 0.05",
            "partial_ratio: 5",
            "emitters.0.args.partial_ratio: expected a number from 0 to 1, got 5",
        ),
        ("on_refusal: retry", "on_refusal: cry", 'emitters.0.args.on_refusal: expected one of drop, retry, got "cry"'),
        (
            "stop_after_sec: 50",
            "stop_after_sec: 1",
            "emitters.0.schedule.stop_after_sec: expected a number > 1, which is start_after_sec, got 1",
        ),
        (
            "start_after_sec: 1, stop_after_sec: 50,",
            "start_after_sec: 60,",
            "schedule.start_after_sec: expected a number below",
        ),
        ("jitter_pct: 10", "jitter_pct: 101", "emitters.0.schedule.jitter_pct: expected"),
        (
            "length_sec: 5",
            "length_sec: 21",
            "emitters.0.bursts.length_sec: expected a number <= 20, which is every_sec, got 21",
        ),
        ("kind: replay", "kind: ddos", 'emitters.0.attack.kind: expected replay, got "ddos"'),
        (
            "kind: syslog",
            "kind: xml",
            "emitters.1.kind: expected one of json, csv, field, minimal, noise, syslog, script",
        ),
        ("name: front", "name: json", "emitters.1.name: json is the name of another emitter too"),
        ("name: front", "name: a b", "emitters.1.name: expected a name"),
        ("emitter: web", "emitter: a/b", "emitters.1.emitter: expected a name"),
        ("duration_sec: 60", "duration_sec: 0", "duration_sec: expected a number > 0"),
        ("tick_sec: 0.5", "tick_sec: 61", "tick_sec: expected a number <= duration_sec, 60, got 61"),
        ("name: spike\n", "", "name: expected text; it is missing"),
        (
            "refused_with: [401]",
            "refused_with: [200]",
            "expect.refused_with.0: expected an integer from 400 to 599, got 200",
        ),
        ("all_accepted: [json]", "all_accepted: [xml]", "expect.all_accepted.0: expected the name of an emitter"),
        ("form: logops", "form: rfc3164", "emitters.1.args.form: expected one of rfc5424, logops, mixed"),
        ("chaos: 0.1", "form: logops", "emitters.0.args.form: expected no form, which only syslog has; kind is json"),
        ("args: {form: logops}", "args: [1]", "emitters.1.args: expected a mapping, got a list"),
        ("refused_with: [401]", "refused_with: 401", "expect.refused_with: expected a list of values, got 401"),
        ("expect:", "expects:", "expects: unknown key; did you mean expect"),
        ("kind: syslog", "kind: syslog, script: x.py", "emitters.1.script: expected no script, as kind is syslog"),
        ("kind: syslog", "kind: script", "emitters.1.script: expected the path of a Python file"),
        ("kind: syslog", "script: gone.py", "emitters.1.script: expected a Python file"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(old: str, new: str, said: str) -> None:
    assert old in FULL
    with pytest.raises(ConfigError, match=said):
        parse(FULL.replace(old, new))


def test_an_error_names_the_line() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(FULL.replace("eps: 500", "eps: -1"), "my.yaml")
    assert caught.value.where == "my.yaml:8"


def test_no_emitters_are_no_scenario() -> None:
    with pytest.raises(ConfigError, match="emitters: expected a list of at least one mapping"):
        parse("name: x\nduration_sec: 1\nemitters: []")


def test_a_seed_of_the_command_line_goes_before_those_of_the_file() -> None:
    found = parse(FULL)
    own = found.seeded(None, 99)
    assert [plan.options.seed for plan in own.emitters] == [7, "99/1/front"]
    assert [plan.options.seed for plan in found.seeded(3, 99).emitters] == ["3/0/json", "3/1/front"]


def test_a_script_is_found_beside_its_scenario_and_gets_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "class E:\n"
        "    content_type = b'text/plain'\n"
        "    def __init__(self, o): self.word = o.extra['word']\n"
        "    def batch(self, count, now): return (self.word.encode(), count, {})\n"
        "make = E\n"
    )
    path = tmp_path / "mine.yaml"
    path.write_text("name: m\nduration_sec: 1\nemitters: [{name: mine, script: mine.py, eps: 1, args: {word: hello}}]")
    emitter = load(path).emitters[0].make()
    assert emitter.batch(1, 0.0)[0] == b"hello"


def test_the_library_has_the_scenarios_of_the_documentation_and_all_are_sound() -> None:
    names = {"default", "quiet", "spike", "burst-then-ramp", "high-errors", "replay-attack", "overload", "soak"}
    assert names <= set(library())
    for name, path in library().items():
        found = load(path)
        assert found.name == name
        assert found.description
        assert all(plan.make() for plan in found.emitters)


def test_a_scenario_is_found_by_its_file_or_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("spike") == library()["spike"]
    Path("spike").write_text("a file goes first")
    assert find("spike") == Path("spike")
    with pytest.raises(ConfigError, match="did you mean default"):
        find("defualt")
    with pytest.raises(ConfigError, match="no such file"):
        find("gone.yaml")

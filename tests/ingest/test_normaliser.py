from __future__ import annotations

import copy
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.levels import BY_NAME, LEVELS
from logops_fast.ingest.names import LEVEL_NAMES, MSG_NAMES, TS_NAMES
from logops_fast.ingest.normaliser import Normalised, Normaliser
from logops_fast.ingest.parsers.base import NOT_FOUND, Inherited
from logops_fast.ingest.timestamps import canonical
from tests.ingest.pii.strategies import texts, values
from tests.support.tables import each_of

RECEIVED = 1700000000.25
RECEIPT = "2023-11-14T22:13:20.250000Z"
TS = "2025-01-02T03:04:05.678Z"


def run(*events: dict[str, Any], emitter: str = "web", scenario_id: str = "s1", **how: Any) -> Normalised:
    return Normaliser(**how).run(list(events), emitter=emitter, scenario_id=scenario_id, received_at=RECEIVED)


def stored(event: dict[str, Any], **how: Any) -> dict[str, Any]:
    line = run(event, **how).lines
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    return json.loads(line, object_pairs_hook=without_doubles)  # type: ignore[no-any-return]


def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), "a key occurs twice"
    return dict(pairs)


CONSTANTS = {"emitter": "web", "scenario_id": "s1", "app": "logops", "source": "ingest"}


def test_an_event_in_order_is_stored_as_it_came() -> None:
    event = {"ts": TS, "level": "WARN", "msg": "x", "app": "shop", "source": "eu", "n": {"a": [1, None, True, 1.5]}}
    assert stored(copy.deepcopy(event)) == {**event, "emitter": "web", "scenario_id": "s1"}


def test_an_empty_event_gets_every_settled_field() -> None:
    assert stored({}) == {**CONSTANTS, "ts": RECEIPT, "level": "INFO", "msg": ""}
    assert run({}).counts == (1, 1, 1, {"INFO": 1}, {})


def test_an_empty_batch_has_no_lines() -> None:
    assert run() == Normalised(b"", 0, 0, 0, {}, {})


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (("ts", *TS_NAMES), ["2025-01-02T03:04:05Z", 1700000000, "2025-01-02 03:04:05,5", "1700000000123"]),
        (("level", *LEVEL_NAMES), ["ERROR", "err", "Warning", "DEBUG"]),
        (("msg", *MSG_NAMES), ["one", "two", "three", "four"]),
    ],
)
def test_the_first_alias_that_has_a_value_wins_and_the_others_stay(names: tuple[str, ...], value: list[Any]) -> None:
    def settle(item: Any) -> Any:
        return {"ts": canonical(item), "level": BY_NAME.get(str(item)), "msg": item}[names[0]]

    for winner in range(len(names)):
        for nothing in (None, "", "absent"):
            event = dict(zip(reversed(names[winner:]), reversed(value[winner:]), strict=True))
            if nothing != "absent":
                event.update(dict.fromkeys(names[:winner], nothing))
            out = stored(dict(event))
            assert out[names[0]] == settle(value[winner]), event
            for name in names[winner + 1 :]:
                assert out[name] == event[name]
            if winner:
                assert names[winner] not in out


@each_of(
    "ts",
    [
        "yesterday", "2025-01-02", "2025-02-30T00:00:00Z", "2025-01-02T03:04:05.Z", True, -5, [1], {"a": 1},
        "2025-01-02T03:04:05.1234567890x2Z", "2025-W01-1T00:00:00Z", "2025-01-02T03:04:05.5+01Z",
        "2025-01-02T03:04:05.123456x89Z", "2025-01-02T03:04:05.12345678²Z",
    ],
)  # fmt: skip
def test_an_unreadable_ts_is_counted_and_kept(ts: Any) -> None:
    assert stored({"time": ts, "level": "INFO"}) == {
        **CONSTANTS, "ts": RECEIPT, "ts_raw": ts, "level": "INFO", "msg": "",
    }  # fmt: skip
    assert run({"ts": ts, "level": "INFO"}).missing_ts == 1


@pytest.mark.parametrize("ts", ["2025-01-02T03:04:05Z", "2025-01-02T03:04:05.1Z", "2025-01-02T03:04:05.123456789Z"])
def test_a_canonical_ts_stays_to_the_letter(ts: str) -> None:
    assert stored({"ts": ts})["ts"] == ts


@pytest.mark.parametrize("level", ["loud", 99, True, [], {"a": 1}, 30.5])
def test_an_unknown_level_is_info_counted_and_kept(level: Any) -> None:
    out = stored({"severity": level, "ts": TS})
    assert (out["level"], out["level_raw"]) == ("INFO", level)
    assert run({"severity": level, "ts": TS}).counts == (1, 0, 1, {"INFO": 1}, {})


@pytest.mark.parametrize(
    ("msg", "text"),
    [({"a": "é"}, '{"a":"é"}'), ([1, "x"], '[1,"x"]'), (5, "5"), (0, "0"), (False, "false"), (1.5, "1.5")],
)
def test_a_msg_that_is_no_text_is_written_as_json(msg: Any, text: str) -> None:
    assert stored({"msg": msg})["msg"] == text
    assert stored({"message": msg})["msg"] == text


@pytest.mark.parametrize("name", ["log", "text"])
def test_log_and_text_are_messages_only_as_text(name: str) -> None:
    for value in ({"level": "error"}, ["a"], 5, True):
        out = stored({"ts": TS, "level": "WARN", name: value})
        assert (out["msg"], out[name]) == ("", value)


def test_the_requests_emitter_and_scenario_win_and_others_are_kept_beside_them() -> None:
    out = stored({"emitter": "root", "scenario_id": 7, "app": "a", "source": "b"}, emitter='w"\\b', scenario_id="é")
    assert (out["emitter"], out["emitter_raw"]) == ('w"\\b', "root")
    assert (out["scenario_id"], out["scenario_id_raw"]) == ("é", 7)
    assert (out["app"], out["source"]) == ("a", "b")
    assert "emitter_raw" not in stored({"emitter": "web", "scenario_id": None})


@each_of("name", ["app", "source"])
@each_of("own", [None, "", 5, ["x"], {"a": 1}, False])
def test_an_app_or_source_that_is_no_text_is_the_default_and_kept_if_it_says_something(name: str, own: Any) -> None:
    out = stored({name: own})
    assert out[name] == CONSTANTS[name]
    assert out.get(name + "_raw") == (None if own in (None, "") else own)


def test_a_raw_field_of_the_clients_own_is_not_lost() -> None:
    out = stored({"ts": "bad", "ts_raw": 1, "level": "bad", "level_raw": 2, "emitter": "x", "emitter_raw": 3})
    assert (out["ts_raw"], out["ts_raw_raw"]) == (1, "bad")
    assert (out["level_raw"], out["level_raw_raw"]) == (2, "bad")
    assert (out["emitter_raw"], out["emitter_raw_raw"]) == (3, "x")


def test_a_batch_is_counted_and_keeps_its_order() -> None:
    out = run(
        {"ts": TS, "level": "ERROR", "msg": "a@b.com"}, {"msg": "1"}, {"lvl": "crit", "ts": "x"}, {"level": "?",
        "ts": 5},
        {"ts": TS, "level": "info", "msg": "10.1.2.3 ::1 Bearer x1 4111111111111111", "pin": 1}, fields=["pin"],
    )  # fmt: skip
    assert out.counts == (
        5, 3, 2, {"INFO": 3, "ERROR": 1, "FATAL": 1},
        {"email": 1, "ipv4": 1, "ipv6": 1, "card": 1, "token": 1, "field": 1},
    )  # fmt: skip
    assert [json.loads(line)["level"] for line in out.lines.splitlines()] == ["ERROR", "INFO", "FATAL", "INFO", "INFO"]


def test_without_masks_nothing_is_masked() -> None:
    event = {"msg": "a@b.com 10.1.2.3", "k": 4111111111111111}
    assert stored(dict(event), mask=False) == {**CONSTANTS, **event, "ts": RECEIPT, "level": "INFO"}
    assert Normaliser(mask=False).mask_text("a@b.com") == "a@b.com"
    assert Normaliser().mask_text("a@b.com") == "a***@b.com"


def test_the_requests_own_fields_are_not_masked() -> None:
    assert stored({}, emitter="a@b.com")["emitter"] == "a@b.com"


def test_a_key_with_personal_data_takes_no_constant_field_with_it() -> None:
    out = stored({"a@b.com": 1, "app": 5, "msg": "x\n"})
    assert out == {**CONSTANTS, "a***@b.com": 1, "app_raw": 5, "msg": "x\n", "ts": RECEIPT, "level": "INFO"}


def test_a_masked_field_of_the_requests_name_masks_the_events_own_and_not_the_requests() -> None:
    out = stored({"n": {"emitter": "x"}, "emitter": "y"}, fields=["emitter", "scenario_id", "app"])
    assert out == {
        **CONSTANTS, "n": {"emitter": "***"}, "emitter_raw": "y", "ts": RECEIPT, "level": "INFO", "msg": "",
    }  # fmt: skip


def test_integers_of_any_size_and_lone_surrogates_are_stored() -> None:
    out = stored({"n": 2**80, "msg": "\ud800 a@b.com"})
    assert (out["n"], out["msg"]) == (str(2**80), "\ufffd a***@b.com")


field_names = st.one_of(
    st.sampled_from(
        ["ts", "level", "msg", "emitter", "scenario_id", "app", "source", "ts_raw", "level_raw", "emitter_raw"]
    ),
    st.sampled_from([*TS_NAMES, *LEVEL_NAMES, *MSG_NAMES]),
    texts,
)
field_values = st.one_of(
    values,
    st.sampled_from(["", None, TS, "err", "INFO", 1700000000, "2025-01-02T03:04:05+01:00", "web", "shop", 2**70]),
)


@given(st.lists(st.dictionaries(field_names, field_values, max_size=5), max_size=4))
def test_every_line_parses_and_has_its_settled_fields_and_no_key_twice(batch: list[dict[str, Any]]) -> None:
    out = run(*copy.deepcopy(batch))
    assert out.count == len(batch) == sum(out.levels.values())
    lines = out.lines.decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(batch)
    for line, event in zip(lines, batch, strict=True):
        settled = json.loads(line, object_pairs_hook=without_doubles)
        assert canonical(settled["ts"]) == settled["ts"]
        assert settled["level"] in LEVELS
        assert isinstance(settled["msg"], str)
        assert (settled["emitter"], settled["scenario_id"]) == ("web", "s1")
        assert all(isinstance(settled[name], str) and settled[name] for name in ("app", "source"))
        # Whatever said something is still there, under its own name or another.
        said = [name for name, value in event.items() if value not in ("", None, "web", "s1")]
        assert len(settled) >= len(said)


def test_what_a_continuation_line_inherits_is_stored_and_counted_as_missing() -> None:
    out = run(
        {"ts": Inherited("2025-01-02 03:04:05,5"), "level": Inherited("err"), "msg": "  at a.b"},
        {"ts": Inherited(None), "level": Inherited(None), "msg": "ERROR is not searched for"},
        {"ts": TS, "level": NOT_FOUND, "msg": "ERROR is not searched for"},
    )
    events = [json.loads(line) for line in out.lines.splitlines()]
    assert [(event["ts"], event["level"]) for event in events] == [
        ("2025-01-02T03:04:05.5Z", "ERROR"), (RECEIPT, "INFO"), (TS, "INFO"),
    ]  # fmt: skip
    assert (out.missing_ts, out.missing_level, out.levels) == (2, 3, {"INFO": 2, "ERROR": 1})


def test_each_time_of_receipt_is_a_microsecond_later_also_across_parts_of_a_batch() -> None:
    batch: list[dict[str, Any]] = [{"msg": str(n)} for n in range(300)]
    batch[7]["ts"] = TS
    whole = run(*copy.deepcopy(batch))
    times = [json.loads(line)["ts"] for line in whole.lines.splitlines()]
    assert times.pop(7) == TS
    assert times == [f"2023-11-14T22:13:20.{250000 + n:06d}Z" for n in range(299)]
    normaliser = Normaliser()
    first = normaliser.run(copy.deepcopy(batch[:100]), emitter="web", scenario_id="s1", received_at=RECEIVED)
    rest = normaliser.run(
        copy.deepcopy(batch[100:]),
        emitter="web",
        scenario_id="s1",
        received_at=RECEIVED,
        receipts_before=first.missing_ts,
    )
    assert first.lines + rest.lines == whole.lines


def test_the_time_of_receipt_runs_on_over_the_end_of_a_second() -> None:
    out = Normaliser().run([{}, {}, {}], emitter="web", scenario_id="s1", received_at=1700000000.999999)
    assert [json.loads(line)["ts"] for line in out.lines.splitlines()] == [
        "2023-11-14T22:13:20.999999Z", "2023-11-14T22:13:21.000000Z", "2023-11-14T22:13:21.000001Z",
    ]  # fmt: skip


OWN: dict[str, Any] = {
    "ts_fields": ["When", "meta.at"],
    "level_fields": ["status"],
    "msg_fields": ["detail"],
    "app_fields": ["service.name", "svc"],
}


@pytest.mark.parametrize(
    ("event", "expect"),
    [
        # In front of the aliases, and of the exact names other than ts, level and msg.
        (
            {"when": TS, "timestamp": "2020-01-01T00:00:00Z", "status": "error", "severity": "info", "detail": "d",
             "message": "m"},
            {"ts": TS, "timestamp": "2020-01-01T00:00:00Z", "level": "ERROR", "severity": "info", "msg": "d",
             "message": "m"},
        ),
        # Behind ts, level, msg and app.
        (
            {"ts": TS, "when": "2020-01-01T00:00:00Z", "level": "info", "status": "error", "msg": "m", "detail": "d",
             "app": "a", "svc": "b"},
            {"ts": TS, "when": "2020-01-01T00:00:00Z", "level": "INFO", "status": "error", "msg": "m", "detail": "d",
             "app": "a", "svc": "b"},
        ),
        # Unless those do not read.
        (
            {"ts": "soon", "when": TS, "level": "banana", "status": "WARN", "msg": "m"},
            {"ts": TS, "ts_raw": "soon", "level": "WARN", "level_raw": "banana"},
        ),
        # What does not read is passed over.
        (
            {"when": "soon", "meta": {"at": TS}, "status": 200, "severity": "error", "detail": "", "message": "m"},
            {"ts": TS, "when": "soon", "meta": {"at": TS}, "status": 200, "level": "ERROR", "msg": "m"},
        ),
        ({"ts": TS, "level": "INFO", "msg": "m", "service": {"name": "shop"}}, {"app": "shop"}),
        ({"ts": TS, "level": "INFO", "msg": "m", "service.name": "shop"}, {"app": "shop"}),
        ({"ts": TS, "level": "INFO", "msg": "m", "SVC": "shop"}, {"app": "shop"}),
        ({"ts": TS, "level": "INFO", "msg": "m", "svc": 5}, {"app": "logops", "svc": 5}),
    ],
)  # fmt: skip
def test_names_of_the_settings_go_in_front(event: dict[str, Any], expect: dict[str, Any]) -> None:
    out = stored(event, **OWN)
    assert {name: out.get(name) for name in expect} == expect


def test_a_time_without_a_zone_is_of_the_emitters() -> None:
    how: dict[str, Any] = {"zone": ZoneInfo("Europe/Berlin"), "zones": {"tokyo": ZoneInfo("Asia/Tokyo")}}
    for emitter, ts in (("web", "2025-01-02T02:04:05Z"), ("tokyo", "2025-01-01T18:04:05Z")):
        out = run({"datetime": "2025-01-02 03:04:05"}, emitter=emitter, **how)
        assert json.loads(out.lines)["ts"] == ts


def test_names_are_found_in_any_number_of_layouts_and_in_long_ones() -> None:
    normaliser = Normaliser()
    batch = [{f"k{n}": n, "Timestamp": TS, "LEVEL": "err", "Event": "m"} for n in range(1500)]
    batch += [{**dict.fromkeys([f"{'k' * 50}{n}{i}" for i in range(100)], 1), "@t": TS} for n in range(5)]
    batch.append({"x" * 300: 1, "@T": TS, "@M": "m"})
    out = normaliser.run(batch, emitter="web", scenario_id="s1", received_at=RECEIVED)
    assert (out.missing_ts, out.missing_level, out.levels) == (0, 0, {"ERROR": 1500, "INFO": 6})
    assert len(normaliser.aliases.layouts) <= 512

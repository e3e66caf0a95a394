from __future__ import annotations

import io
import json
from typing import Any

import pytest

from logops_fast.cli.parse import guess
from logops_fast.formats.media_type import Format
from tests.cli.conftest import Logops
from tests.support.field_cases import cases, differences
from tests.support.tables import each_of

TS = "2026-11-25T10:00:00Z"


def parsed(logops: Logops, text: str, *options: str, name: str = "events.ndjson") -> list[dict[str, Any]]:
    (logops.folder / name).write_text(text, "utf-8")
    return [json.loads(line) for line in logops("parse", name, "--json", *options).out.splitlines()]


@pytest.mark.parametrize(
    ("event", "sources"),
    [
        ({"ts": TS, "level": "INFO", "msg": "m"}, ("ts", "level", "msg")),
        ({"timestamp": TS, "severity": "err", "message": "m"}, ("timestamp", "severity", "message")),
        ({"time": 0.5, "@timestamp": TS, "lvl": 30, "text": "m"}, ("@timestamp", "lvl", "text")),
        ({"@t": TS, "@mt": "m"}, ("@t", "absence of @l", "@mt")),
        ({"log": {"level": "warn"}, "fields": {"message": "m"}}, ("time of receipt", "log.level", "fields.message")),
        ({"log.level": "warn", "ts": "soon", "DateTime": TS}, ("DateTime", "log.level", "nowhere")),
        ({"ts": TS, "message": "ERROR m"}, ("ts", "text of msg", "message")),
        ({"ts": TS, "level": "banana", "message": "ERROR m"}, ("ts", "default", "message")),
        ({"t": {"$date": TS}, "s": "E", "msg": "m"}, ("t", "s", "msg")),
    ],
)
def test_it_says_where_ts_level_and_msg_came_from(
    logops: Logops, event: dict[str, Any], sources: tuple[str, str, str]
) -> None:
    (item,) = parsed(logops, json.dumps(event))
    assert item["from"] == dict(zip(("ts", "level", "msg"), sources, strict=True))


def joined(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cases, those of one object each put together as one array: a command takes longer than many events."""
    alone: list[dict[str, Any]] = []
    together: list[dict[str, Any]] = []
    for case in given:
        is_object = case["content_type"] == "application/json" and case["body"].lstrip()[:1] == "{"
        (together if is_object and len(case["expect"]) == 1 else alone).append(case)
    array = "[" + ",".join(case["body"] for case in together) + "]"
    counts = {
        name: sum(case[name] for case in together)
        for name in ("missing_ts", "missing_level")
        if all(name in case for case in together)
    }
    expect = [case["expect"][0] for case in together]
    return [*alone, {"content_type": "application/json", "body": array, "expect": expect, **counts}]


@pytest.mark.parametrize("group", dict.fromkeys(case["group"] for case in cases("json.jsonl")))
def test_it_shows_what_a_gateway_stores(logops: Logops, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1795608000.0)
    names = {"application/json": "events.json", "application/x-ndjson": "events.ndjson", "text/csv": "events.csv"}
    for case in joined([case for case in cases("json.jsonl") if case["group"] == group]):
        items = parsed(logops, case["body"], name=names[case["content_type"]])
        assert [
            text
            for item, expect in zip(items, case["expect"], strict=True)
            for text in differences(item["event"], expect)
        ] == []
        default = [item["from"]["level"] == "default" for item in items]
        assert sum(default) == case.get("missing_level", sum(default))
        receipt = [item["from"]["ts"] == "time of receipt" for item in items]
        assert sum(receipt) == case.get("missing_ts", sum(receipt))


def test_it_says_what_was_masked_and_by_which_kind(logops: Logops) -> None:
    (logops.folder / "logops.yaml").write_text("pii: {fields: [pin]}")
    event = {
        "ts": TS, "level": "INFO", "msg": "bob@example.com from 10.1.2.3", "user": {"card": "4111111111111111", "n": 1},
        "pin": "1234", "list": [{"a": "10.1.2.3"}], "bob@example.com": 1,
    }  # fmt: skip
    (item,) = parsed(logops, json.dumps(event))
    masked = {entry["field"]: entry["kinds"] for entry in item["masked"]}
    assert masked["msg"] == ["email", "ipv4"]
    assert masked["user.card"] == ["card"]
    assert masked["pin"] == ["field"]
    assert masked["list"] == ["ipv4"]
    assert masked["bob@example.com"] == ["email"]
    assert len(masked) == 5
    assert item["event"]["msg"] == "b***@example.com from 10.1.x.x"


def test_items_that_would_be_rejected_are_shown_in_their_place_masked(logops: Logops) -> None:
    lines = ['{"msg":"a"}', "nope bob@example.com", '{"msg":"b"}', "[1]"]
    (logops.folder / "events.ndjson").write_text("\n".join(lines))
    done = logops("parse", "events.ndjson", "--json")
    assert done.code == 1
    items = [json.loads(line) for line in done.out.splitlines()]
    assert [item["index"] for item in items] == [0, 1, 2, 3]
    assert items[1] == {"index": 1, "rejected": "bad_json", "text": "nope b***@example.com"}
    assert items[3]["rejected"] == "not_an_object"
    assert items[0]["event"]["ts"] < items[2]["event"]["ts"]


def test_for_people(logops: Logops) -> None:
    (logops.folder / "app.log").write_text("ERROR no route to 10.1.2.3\n")
    done = logops("parse", "app.log")
    assert done.code == 0
    first, *rest = done.out.splitlines()
    assert first.endswith(" ERROR ERROR no route to 10.1.x.x")
    assert [line.split(None, 1) for line in rest[:4]] == [
        ["ts", "from time of receipt"],
        ["level", "from the line"],
        ["msg", "from the line"],
        ["masked", "msg: ipv4"],
    ]
    (logops.folder / "bad.ndjson").write_text("x" * 500)
    done = logops("parse", "bad.ndjson")
    assert (done.code, done.out) == (1, f"   1 rejected bad_json: {'x' * 200}...\n")


def test_it_reads_standard_input(logops: Logops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ts,level,msg\n2026-11-25 10:00:00,warn,m\n")))
    done = logops("parse", "--format", "csv", "--json")
    assert json.loads(done.out)["event"]["ts"] == TS


def test_the_settings_of_an_emitter_apply(logops: Logops) -> None:
    (logops.folder / "logops.yaml").write_text(
        "parse: {overrides: {berlin: {timezone: Europe/Berlin}}}\nnormalise: {msg_fields: [detail]}"
    )
    event = '{"ts":"2026-11-25 10:00:00","level":"info","detail":"d"}'
    (item,) = parsed(logops, event, "--emitter", "berlin")
    assert (item["event"]["ts"], item["event"]["msg"], item["from"]["msg"]) == ("2026-11-25T09:00:00Z", "d", "detail")
    assert parsed(logops, event)[0]["event"]["ts"] == TS


def test_encrypted_originals_are_not_taken_for_masked_fields(logops: Logops) -> None:
    (logops.folder / "logops.yaml").write_text(
        "pii: {encrypt: true, fernet_key: 7kTCxC6vJPPJ6FcHQqa3bLSzYDFAIzZfUTyfvQUR3Ko=}"
    )
    (item,) = parsed(logops, '{"msg":"bob@example.com"}')
    assert item["event"]["msg_enc"].startswith("gAAAA")
    assert [entry["field"] for entry in item["masked"]] == ["msg"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["missing.log"], 2, "logops: missing.log: cannot be read: No such file or directory\n"),
        (["empty.log"], 1, "logops: empty.log: empty: The body is empty; send at least one event.\n"),
    ],
)
def test_what_cannot_be_read_is_said(logops: Logops, options: list[str], code: int, message: str) -> None:
    (logops.folder / "empty.log").write_text("")
    done = logops("parse", *options)
    assert (done.code, done.err) == (code, message)


@each_of(
    ("name", "body", "format"),
    [
        ("a.json", b"x", Format.JSON), ("a.NDJSON", b"x", Format.NDJSON), ("a.jsonl", b"x", Format.NDJSON),
        ("a.csv", b"x", Format.CSV), ("a.log", b"{}", Format.PLAIN), ("-", b" [{}]", Format.JSON),
        ("-", b"{}", Format.JSON),
        ("-", b'{"a":1}\n{"b":2}', Format.NDJSON), ("-", b'{\n  "a":1\n}', Format.JSON), ("-", b"hello", Format.PLAIN),
        ("a", b"", Format.PLAIN),
    ],
)  # fmt: skip
def test_the_format_is_guessed_by_name_then_by_content(name: str, body: bytes, format: Format) -> None:
    assert guess(name, body) is format

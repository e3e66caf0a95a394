"""What the bodies of the kernel's fuzzer are made of: names, values, layouts, parts of texts, events of the cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from logops_fast.ingest import names
from logops_fast.ingest.parsers.json_values import UNREADABLE, decode

DATA: Final = Path(__file__).parent.parent / "data"


def is_writable(text: str) -> bool:
    """Return whether a value is JSON that can be stored as it is."""
    try:
        decode(text.encode())
    except UNREADABLE:
        return False
    return True


NAMES: Final = tuple(
    sorted(
        {
            *(alias.name for table in (names.TS, names.LEVEL, names.MSG, names.APP, names.HOST) for alias in table),
            *names.TS_NAMES, *names.LEVEL_NAMES, *names.MSG_NAMES,
            "ts", "level", "msg", "app", "source", "host", "pid", "emitter", "scenario_id", "ts_raw", "level_raw",
            "user", "userId", "password", "api_key", "token", "card_number", "session_id", "Properties", "http",
    "tags",
            "log", "stream", "events", "logs", "index", "data", "a b", "x.y", "10.1.2.3", "bob@example.com",
            "k\u00e9y", "",
        }
    )
)  # fmt: skip
VALUES: Final[tuple[str, ...]] = (
    '"2026-03-01T00:00:01.5Z"', '"2026-03-01T00:00:01Z"', '"2026-03-01 00:00:01,250"', '"2026-02-30T00:00:00Z"',
    '"2026-03-01T00:00:01.123456789+02:00"', '"2026-03-01T24:00:00Z"', '"0001-01-01T00:00:00+01:00"', '"1764064811"',
    "1764064811", "1764064811450", "1764064811.450091", "1764064811450091007", "99999999", "1e9", "-1", "0", "-0",
    "30",
    "1.50", "0.1", "12345678901234567890", "4111111111111111", "5555555555554444.0", "0.00001", "1E400", "007", "1.",
    "30.0", "7", "true", "false", "null", '""', '"-"', "{}", "[]", '{"level":"warn","message":"x"}',
    '["a","10.1.2.3"]',
    '{"a":1,"a":2}', '{"name":"x","level":{"name":"err"}}', '"INFO"', '"warning"', '"Error"', '"DEBUG2"', '" info "',
    '"line\\n"', '"line\\r\\n"', '"\\n"', '"a\\\\n"', '"a\\\\\\n"',
    '"a\\u000a"', '"a\\u000d\\n"', '"tab\\there"', '"say \\"no\\""', '"\\u0041\\u00e9"',
    '"\\ud800"', '"gr\u00fc\u00dfe"',
    '"4111\u00a01111\u00a01111\u00a01111"', '"https://bob:secret@example.com/x?sig=1"', '"ERROR: it broke"',
    '"[WARN] it broke"',
    '"request failed, level=error"', '"connection refused"', '"a password: hunter2 b"', '"pass word=x"',
    '"version 1.2.3.4"',
    '"v1.2.3.4"', '"10.1.2.3:8080"', '"10.1.2.3.4"', '"300.1.2.3"', '"bob@example.com"', '"a@b.co, c@d.org"',
    '"bob@localhost"',
    '"user@1000.service"', '"::1"', '"12:34:56:78"', '"fe80::beef"', '"a%40b.co"', '"x&#64;y.org"',
    '"Bearer abc.def"',
    '"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2ln"', '"AKIAIOSFODNN7EXAMPLE"', '"sk_live_0123456789abcdef"',
    '"/api/0123456789abcdef01234567"', '"4111 1111 1111 1111"', '"3782-822463-10005"', '"2026-11-25 order 4111"',
    '"https://hooks.slack.com/services/T0/B0/x"', '"-----BEGIN PRIVATE KEY-----abc"',
    '"1//0abcdefghijklmnopqrstuvwxyz0123456789"', '"a\\/b\\u002fc"', '"C:\\\\Users\\\\x"',
    '"\\u001b[31mERROR\\u001b[0m x"',
    '"{\\"user_email\\": \\"bob\\", \\"n\\": 5}"', "\"{'user_email': 'bob', 'n': 5}\"", '"a user_email=\'bob\'"',
    '"INFO+2"', '"WARN-1"',
    '"Level 25"', '"card 4111 1111 1111 1111"', '"card 5555555555554444 x"', '"card 3782-822463-10005 of ann"',
    '"via 2001:db8::beef:cafe"', '"via 2001:db8:0:1::1 x"', '"via fe80::1"', '"10:20:30: x"', '"std::fmt"',
    '"a Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmVkLWJ5LW5vYm9keQ"',
    '"authorization: bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2ln x\\n at y"', '"\\ud83d\\ude00 x"',
    '"\\n   at handler \\"main\\" for bob@example.com from 10.1.2.3"', '"bob@example.com\\\\x"', '"x\\t10.1.2.3"',
)  # fmt: skip
WRITABLE: Final = tuple(value for value in VALUES if is_writable(value))
LAYOUTS: Final = (
    '{{"ts":"2026-03-01T00:00:01.5Z","level":"INFO","msg":"{}","app":"{}"}}',
    '{{"time":1764064811450,"severity":"warn","message":"{}","version":"{}","n":1}}',
    '{{"log":"{}","stream":"stdout","time":"2026-03-01T00:00:01.5Z","labels":{{"note":"{}"}}}}',
    '{{"level":30,"msg":"{}","tags":["{}"]}}',
    '{{"@timestamp":"2026-03-01T00:00:01.5Z","message":"{}","error.type":"{}"}}',
)
PARTS: Final = (
    " ", ",", ".service", ".path.x", "@host.", "crit ", "fine ", "TRACE", ":", "=", "@", ".", "-", "/", "_", "::",
    "//", "\\n", "\\\"", "%3D", "&amp;", "key", "password", "token=", "Bearer ",
    "basic ", "10.", "1.2.3.4", "10.1.2.3", "bob@example.com", "4111111111111111", "4111 ", "1111", "A", "AKIA",
    "eyJ", "v",
    "version ", "\u00e9", "\u00a0", "x", "INFO ", "ERROR", ": ", " - ", "[", "]", "e", ".e", "J", "0123456789abcdef",
    "sig", "code", "\\\\", "\\t", "\\/", "\\u0041", "\\u00e9", "\\u001b[", " card ", "4111 1111 1111 1111",
    "5555555555554444", "3782-822463-10005",
    " via ", "2001:db8::", "beef", "::1", "2001:db8:", "Authorization: Bearer ", "authorization: ", "'", "`",
    "user_email", "'user_email': '",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmVkLWJ5LW5vYm9keQ", ".sk-", "_ghp_", "4222222222222", "0000", "+",
    "12:34:56", "app - info - ", " - Warning - ", "lvl:warn ", "\\n   at ",
)  # fmt: skip


def cases(more: tuple[Path, ...] = ()) -> list[dict[str, Any]]:
    """Return the events of every case file, and of these."""
    found: list[dict[str, Any]] = []
    for path in (DATA / "field" / "json.jsonl", DATA / "field" / "pii.jsonl", *more):
        for line in path.read_text("utf-8").splitlines():
            body = json.loads(line).get("body")
            try:
                value = json.loads(body) if isinstance(body, str) else body
            except ValueError:
                continue
            found += [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]
    for name in ("events.json", "events.ndjson"):
        text = (DATA / name).read_text("utf-8", "replace")
        for line in text.splitlines():
            try:
                value = json.loads(line.strip().strip(","))
            except ValueError:
                continue
            found += [value] if isinstance(value, dict) else []
    return found

"""The kernel against the reference: the same lines, counts and refusals, byte for byte, whatever the body.

    python -m tests.fuzz.native --events 1000000 --seed 1
    python -m tests.fuzz.native --seconds 60

Bodies are made of events of every corpus and case file, with names, values and bytes changed, joined as an array, one
event, or one a line. Each is read twice by the kernel: at first it knows few of the layouts, then all of them.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from bench import corpus
from logops_fast.formats.media_type import Format
from logops_fast.ingest import names
from logops_fast.ingest.native.lessons import Lessons
from logops_fast.ingest.native.reader import NativeReader, open_kernel
from logops_fast.ingest.normaliser import Normalised, Normaliser
from logops_fast.ingest.parsers import registry
from logops_fast.ingest.parsers.base import Limits, MalformedBody
from logops_fast.ingest.parsers.json_values import UNREADABLE, decode
from tests.fuzz.exports import ExportMaker
from tests.ingest.pii import contexts
from tests.ingest.pii.strategies import NEAR, PII

DATA: Final = Path(__file__).parent.parent / "data"
NOW: Final = 1_760_000_000.25
EMITTER: Final = "web"


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
    "12:34:56",
)  # fmt: skip


def cases() -> list[dict[str, Any]]:
    """Events of every case file."""
    found: list[dict[str, Any]] = []
    for name in ("json.jsonl", "pii.jsonl"):
        for line in (DATA / "field" / name).read_text("utf-8").splitlines():
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


class Maker:
    """Makes bodies; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.values: tuple[str, ...] = VALUES
        self.usual = [
            [(name, json.dumps(value, ensure_ascii=False)) for name, value in event.items()]
            for kind in ("mixed", "clean", "field")
            for event in corpus.events(1200, kind)
        ]
        self.odd = [[(name, json.dumps(value)) for name, value in event.items()] for event in cases()]
        self.texts = [value[1:-1] for event in (*self.usual, *self.odd) for _, value in event if value[:1] == '"']
        self.texts += [json.dumps(text, ensure_ascii=False)[1:-1] for text in (*PII, *NEAR)]

    def body(self) -> tuple[bytes, bool, int]:
        """Return a body, whether it is NDJSON, and about how many events it has."""
        rng = self.rng
        count = rng.choice((1, 1, 2, 3, 5, 8, 20, 130, 400))
        # One value that is no JSON leaves the whole body to the reference: large ones have none.
        is_wild = count < 20 or rng.random() < 0.1
        self.values = VALUES if is_wild else WRITABLE
        if rng.random() < 0.4:
            layout = rng.choice(LAYOUTS)
            events = [layout.format(self.text(), self.text()) for _ in range(count)]
        else:
            events = [self.event() for _ in range(count)]
        if rng.random() < 0.3:
            # Some layouts again: only what was seen before is finished by the kernel.
            events += [rng.choice(events) for _ in range(rng.randrange(1, 4))]
        by_line = rng.random() < 0.3
        if by_line:
            text = rng.choice(("\n", "\n", "\r\n", "\n\n", "\n ")).join(events) + rng.choice(("", "\n"))
        elif len(events) == 1 and rng.random() < 0.5:
            text = events[0]
        else:
            comma = rng.choice((",", ",", ", ", ",\n"))
            text = "[" + comma.join(events) + "]"
        data = text.encode("utf-8", "surrogatepass")
        if is_wild and rng.random() < 0.05:
            at = rng.randrange(len(data) + 1)
            data = data[:at] + bytes((rng.randrange(256),)) * rng.randrange(2) + data[at + rng.randrange(3) :]
        return data, by_line, len(events)

    def event(self) -> str:
        """Return the JSON text of an event."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.1:
            members = [(rng.choice(NAMES), rng.choice(self.values)) for _ in range(rng.randrange(1, 8))]
        else:
            members = list(rng.choice(self.usual if draw < 0.85 else self.odd))
        for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 3))):
            self.change(members)
        if rng.random() < 0.1:
            rng.shuffle(members)
        blank = rng.choice(("", "", "", " "))
        names = (json.dumps(name, ensure_ascii=False) for name, _ in members)
        pairs = zip(names, (value for _, value in members), strict=True)
        return "{" + ("," + blank).join(f"{name}:{blank}{value}" for name, value in pairs) + "}"

    def change(self, members: list[tuple[str, str]]) -> None:
        """Change a name or a value, or add or drop a member."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.1 or not members:
            members.insert(rng.randrange(len(members) + 1), (rng.choice(NAMES), rng.choice(self.values)))
            return
        at = rng.randrange(len(members))
        name, value = members[at]
        if draw < 0.15:
            del members[at]
        elif draw < 0.2:
            members[at] = (rng.choice(NAMES), value)
        elif draw < 0.35:
            members[at] = (name, rng.choice(self.values))
        elif value[:1] == '"':
            members[at] = (name, f'"{self.text()}"')

    def lines(self) -> tuple[bytes, Format, int]:
        """Return a body of another format, which it is, and about how many events it has."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.3:
            body, by_line, count = self.body()
            return body, Format.NDJSON if by_line else Format.JSON, count
        texts = [self.plain().replace("\n", " ") for _ in range(rng.choice((1, 3, 20, 100)))]
        if draw < 0.6:
            head = rng.choice(("", "2026-03-01T00:00:01Z ERROR ", "<134>1 2026-03-01T00:00:01.5Z host app 7 ID - "))
            text = "\n".join(head + one for one in texts)
            return text.encode("utf-8", "replace"), Format.PLAIN, len(texts)
        if draw < 0.8:
            text = "ts,level,msg,app\n" + "\n".join(f"2026-03-01T00:00:01Z,info,{json.dumps(one)},a" for one in texts)
            return text.encode("utf-8", "replace"), Format.CSV, len(texts)
        values = [[str(1_764_064_811_000_000_000 + place), one] for place, one in enumerate(texts)]
        push = {"streams": [{"stream": {"app": "a", "level": "warn"}, "values": values}]}
        return json.dumps(push).encode(), Format.LOKI_JSON, len(texts)

    def plain(self) -> str:
        """Return a text."""
        text = self.text()
        try:
            return str(json.loads(f'"{text}"', strict=False))
        except ValueError:
            return text

    def text(self) -> str:
        """Return the inside of a JSON string."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.05:
            case = contexts.case(rng.randrange(1 << 30)).text
            return json.dumps(case, ensure_ascii=rng.random() < 0.5)[1:-1]
        if draw < 0.25:
            return "".join(rng.choices(PARTS, k=rng.randrange(1, 12)))
        text = rng.choice(self.texts)
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            cut = rng.randrange(len(text) + 1)
            if text[max(0, cut - 6) : cut].count("\\"):
                continue  # no escape is cut in two
            end = cut + rng.randrange(3) if "\\" not in text[cut:] else cut
            text = text[:cut] + rng.choice(PARTS) + text[end:]
        return text


def by_reference(normaliser: Normaliser, body: bytes, by_line: bool, receipts: int) -> Normalised | str:
    """Return what the parsers and the normaliser make of a body; a text if it is refused or has faults."""
    try:
        parsed = registry.parse(Format.NDJSON if by_line else Format.JSON, body, NOW)
    except MalformedBody as refused:
        return refused.reason
    if parsed.faults:
        return "faults"
    return normaliser.run(parsed.events, emitter=EMITTER, scenario_id="na", received_at=NOW, receipts_before=receipts)


class Watched:
    """A kernel, and how often it was taught anything."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.read = kernel.read
        self.read_export = kernel.read_export
        self.lessons = 0

    def __getattr__(self, name: str) -> Any:
        self.lessons += 1
        return getattr(self.kernel, name)


def in_parts(reader: NativeReader, body: bytes, by_line: bool, receipts: int, size: int) -> Normalised | None:
    """Return what the kernel makes of a body part by part; None if it leaves it to the reference."""
    lines: list[bytes] = []
    count = missing_ts = missing_level = 0
    end: int | None = 0
    levels: Counter[str] = Counter()
    masked: Counter[str] = Counter()
    while end is not None:
        part = reader.read_part(
            body,
            start=end,
            size=size,
            by_line=by_line,
            emitter=EMITTER,
            scenario_id="na",
            received_at=NOW,
            receipts_before=receipts + missing_ts,
        )
        if part is None:
            return None
        here, end = part
        lines.append(here.lines)
        count += here.count
        missing_ts += here.missing_ts
        missing_level += here.missing_level
        levels += Counter(here.levels)
        masked += Counter(here.masked)
    return Normalised(b"".join(lines), count, missing_ts, missing_level, dict(levels), dict(masked))


def difference(
    reader: NativeReader, normaliser: Normaliser, body: bytes, by_line: bool, receipts: int = 0, size: int = 0
) -> str:
    """Return how the kernel's reading of a body differs from the reference's; empty if it does not.

    ``size``: of the parts, in bytes, in which it is read once more; 0: it is not.
    """
    wanted = by_reference(normaliser, body, by_line, receipts)
    kernel = reader._kernel
    if not isinstance(kernel, Watched):
        kernel = reader._kernel = Watched(kernel)
        reader._lessons = Lessons(kernel, normaliser)
    reader._lessons.earn(1000)  # enough for all that is in a body
    lessons = kernel.lessons
    for turn in ("first", "second", "in parts"):
        if turn == "second" and kernel.lessons == lessons:
            continue
        if turn == "in parts":
            if not size:
                break
            found = in_parts(reader, body, by_line, receipts, size)
        else:
            found = reader.read(
                body, by_line=by_line, emitter=EMITTER, scenario_id="na", received_at=NOW, receipts_before=receipts
            )
        if found is None:
            continue
        if isinstance(wanted, str):
            return f"{turn}: read, but the reference says {wanted}"
        if found.lines != wanted.lines:
            pairs = zip(found.lines.split(b"\n"), wanted.lines.split(b"\n"), strict=False)
            ours, theirs = next(((one, other) for one, other in pairs if one != other), (b"", b"more lines"))
            return f"{turn}:\n  kernel    {ours!r}\n  reference {theirs!r}"
        counted = {kind: number for kind, number in wanted.masked.items() if number}
        if found.counts[:-1] != wanted.counts[:-1]:
            return f"{turn}: {found.counts} and {wanted.counts}"
        if {kind: number for kind, number in found.masked.items() if number} != counted:
            return f"{turn}: masked {found.masked}, the reference {wanted.masked}"
    return ""


def export_difference(reader: NativeReader, normaliser: Normaliser, body: bytes, limits: Limits) -> str:
    """As ``difference``, of an export of OTLP in protobuf."""
    wanted: Normalised | None = None
    try:
        parsed = registry.parse(Format.OTLP, body, NOW, limits)
    except MalformedBody:
        pass
    else:
        if not parsed.faults:
            wanted = normaliser.run(parsed.events, emitter=EMITTER, scenario_id="na", received_at=NOW)
    for turn in ("first", "second"):
        part = reader.read_export(
            body, limits, start=0, emitter=EMITTER, scenario_id="na", received_at=NOW, receipts_before=0
        )
        if part is not None and (part.end is not None or part.normalised != wanted):
            return f"{turn}:\n  kernel    {part}\n  reference {wanted}"
    return ""


def events_difference(reader: NativeReader, normaliser: Normaliser, body: bytes, format: Format, receipts: int) -> str:
    """As ``difference``, of events that were parsed."""
    try:
        ours, theirs = (registry.parse(format, body, NOW).events for _ in range(2))
    except MalformedBody:
        return ""
    if not ours:
        return ""
    request: dict[str, Any] = {
        "emitter": EMITTER, "scenario_id": "na", "received_at": NOW, "receipts_before": receipts,
    }  # fmt: skip
    found = [reader.normalise(ours, **request) for _ in range(2)]
    wanted = normaliser.run(theirs, **request)
    for one in found:
        if one is not None and one != wanted:
            return f"parsed:\n  kernel    {one}\n  reference {wanted}"
    return ""


def settings(seed: int) -> Normaliser:
    """Return a normaliser with one of several settings."""
    variants: tuple[dict[str, Any], ...] = (
        {}, {}, {}, {"secrets": False}, {"mask": False}, {"fields": ["user_email", "*name*"]},
        {"fields": ["user_email", "n"], "keep": ["client_ip", "token"]},
    )  # fmt: skip
    return Normaliser(**variants[seed % len(variants)])


def json_difference(maker: Maker, reader: NativeReader, normaliser: Normaliser) -> tuple[bytes, int, str]:
    """Make a body of JSON; return it, how many events it has, and the difference."""
    body, by_line, count = maker.body()
    size = maker.rng.choice((0, 0, 0, 0, 0, 0, 300, 2000))
    return body, count, difference(reader, normaliser, body, by_line, maker.rng.randrange(3), size)


def main(words: list[str] | None = None) -> int:
    """Entry point; 1 if there was a difference."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.native", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000, help="about how many events to read (1000000)")
    parser.add_argument("--seconds", type=float, help="stop after so many seconds instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=5, help="differences that end the run (5)")
    args = parser.parse_args(words)
    maker = Maker(args.seed)
    exports = ExportMaker(maker.rng, maker.plain)
    done = bodies = differences = 0
    began = said = time.monotonic()
    while time.monotonic() - began < args.seconds if args.seconds else done < args.events:
        if bodies % 2000 == 0:
            normaliser = settings(bodies // 2000)
            opened = open_kernel(normaliser)
            if opened is None:
                print("the kernel is not installed", file=sys.stderr)
                return 2
            reader = opened
        if maker.rng.random() < 0.1:
            body, count = exports.body()
            limits = Limits(max_event_bytes=maker.rng.choice((300, 262_144)))
            found = export_difference(reader, normaliser, body, limits)
        elif maker.rng.random() < 0.15:
            body, format, count = maker.lines()
            found = events_difference(reader, normaliser, body, format, maker.rng.randrange(3))
        else:
            body, count, found = json_difference(maker, reader, normaliser)
        done += count
        bodies += 1
        if found:
            differences += 1
            print(
                f"body {bodies} of seed {args.seed}, settings {(bodies - 1) // 2000 % 7}: {body!r}\n{found}", flush=True
            )
            if differences == args.most:
                break
        if time.monotonic() - said > 10:
            said = time.monotonic()
            print(f"{done:,} events in {bodies:,} bodies, {differences} differences", file=sys.stderr, flush=True)
    seconds = time.monotonic() - began
    print(f"seed {args.seed}: {done:,} events in {bodies:,} bodies, {differences} differences, {seconds:.0f} s")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())

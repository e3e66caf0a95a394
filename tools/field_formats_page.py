"""The page of the names, times and levels that are read of JSON, with the tests' own examples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from logops_fast.ingest import names
from logops_fast.ingest.levels import MONOLOG, NO_NUMBERS, OTEL, PYTHON, SYSLOG, USUAL, WORDS
from tools.markdown import table

ROOT: Final = Path(__file__).resolve().parents[1]
CASES: Final = ROOT / "tests" / "data" / "field" / "json.jsonl"

INTRO: Final = """\
# Field formats

What applications, loggers and collectors send as JSON is read as its writer meant it: `ts`, `level` and `msg` are found
under the names, and in the forms, of this page. Every example is a test. `logops parse` shows what becomes of a file,
without a gateway:

```console run
$ echo '{"@t":"2026-11-25T10:00:00Z","@m":"Cart 12 is full","@l":"Warning"}' | logops parse --format json
   1 2026-11-25T10:00:00Z WARN  Cart 12 is full
     ts     from @t
     level  from @l
     msg    from @m
     fields {"emitter":"unknown","scenario_id":"na","app":"logops","source":"ingest"}
```
"""

RULES: Final = """\
## Which name wins

1. `ts`, `level` and `msg` themselves, if they are there, not empty, and can be read.
2. The names of `normalise.ts_fields`, `level_fields`, `msg_fields` and `app_fields`, in their order
   (see [configuration](configuration.md#normalise)).
3. `timestamp`, `time`, `@timestamp`; `lvl`, `severity`, `loglevel`; `message`, `log`, `text`, written exactly so.
4. The names of the tables below, from top to bottom, in any case. A dot nests (`{"log":{"level":"info"}}`) or is part
   of the name (`{"log.level":"info"}`).

The first one that can be read wins, and its field is renamed; a nested object stays whole. A `ts` or `level` that loses
is kept as `ts_raw` or `level_raw`, every other loser under its own name. If none can be read, `ts` is the time of
receipt (a microsecond later for each event of a batch) and `level` is INFO; both are counted, in the answer and in
[the metrics](metrics.md). Without a level field the message is searched for one, as a line of plain text is.
"""

TIME_INTRO: Final = """\
## Times

The input's fraction digits are kept, and the zone is turned into UTC. A time without a zone is of `parse.timezone`,
which may be set for each emitter in `parse.overrides`. Numbers are seconds, milliseconds, microseconds or nanoseconds
by their size; one under 100000000 is no time. What could mean two things is not guessed: 03/04/2026, a date without a
year, a date or a time of day alone.
"""

SCALES: Final = (
    (USUAL, "any other field", "0 to 7 as syslog; 10 to 69 as pino and bunyan, rounded down to the next ten"),
    (SYSLOG, "fields of syslog (below), and `level` beside `short_message` (GELF)", "0 to 7, RFC 5424"),
    (OTEL, "`severityNumber`, `severity_number`", "1 to 24, four for each level"),
    (MONOLOG, "`level` beside `level_name`", "100 DEBUG, 200 INFO, 300 WARN, 400 ERROR, 500 and more FATAL"),
    (PYTHON, "`levelno`, `record.level.no`", "10 DEBUG, 20 INFO, 30 WARN, 40 ERROR, 50 FATAL"),
    (NO_NUMBERS, "`severityLevel`, `LevelDisplayName`", "words alone"),
)


def page() -> str:
    """Return the text of docs/field-formats.md, without the line that says who made it."""
    cases = [orjson.loads(line) for line in CASES.read_bytes().splitlines()]
    parts = [INTRO, RULES]
    for title, aliases in (
        ("ts", names.TS),
        ("level", names.LEVEL),
        ("msg", names.MSG),
        ("app", names.APP),
        ("host", names.HOST),
        ("pid", names.PID),
    ):
        parts.append(f"### Names of `{title}`\n")
        parts.append(table(("Name", "Written by", "Read if"), map(_alias, aliases)))
    parts.append(
        f"In the header of a CSV file also {_codes(names.CSV_TS)} for `ts` and {_codes(names.CSV_MSG)} for `msg`.\n"
    )
    parts.append(TIME_INTRO)
    parts.append(table(("Written by", "Sent", "`ts`"), _examples(cases, "timestamp", ("ts",))))
    parts.append("## Levels\n\nWords, in any case, with blanks, brackets, a colon or ANSI colours around them:\n")
    parts.append(table(("Level", "Words"), ((level, _codes(words.split())) for level, words in WORDS.items())))
    parts.append("A number after the word is dropped (`INFO+2`, `ERROR2`, `DEBUG5`). Numbers go by their field:\n")
    parts.append(table(("Field", "Numbers"), ((where, what) for _, where, what in SCALES)))
    parts.append(table(("Written by", "Sent", "`level`"), _examples(cases, "level-word", ("level",))))
    parts.append("### Levels in messages\n")
    parts.append(table(("Written by", "Sent", "`level`"), _examples(cases, "json-level", ("level",))))
    parts.append("## Events of loggers and collectors\n")
    fields = ("ts", "level", "msg")
    parts.append(table(("Written by", "Sent", *(f"`{f}`" for f in fields)), _examples(cases, "json-fields", fields)))
    return "\n".join(parts)


def _alias(alias: names.Alias) -> tuple[str, ...]:
    conditions = []
    if alias.rule == names.TEXT:
        conditions.append("it is text")
    if alias.rule == names.BODY:
        conditions.append("it is text, or the event has OpenTelemetry's other names")
    if alias.rule == names.SECONDS:
        conditions.append("with `timestampNanos`, if it is there")
    if alias.rule == names.MONGODB:
        conditions.append('`t` is `{"$date": ...}`')
    elif alias.beside:
        conditions.append(f"beside one of {_codes(alias.beside)}")
    if alias.cased:
        conditions.append("in this case alone")
    return f"`{alias.name}`", alias.writers, ", ".join(conditions)


def _codes(words: Any) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _examples(cases: list[dict[str, Any]], group: str, fields: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """A row for each event of a group of the tests' cases: who writes it, the event as sent, what is stored."""
    for case in cases:
        if case["group"] == group and case["content_type"] != "text/csv":
            body = case["body"]
            sent = orjson.loads(body) if case["content_type"] == "application/json" else None
            events = sent if isinstance(sent, list) else [sent] if sent else map(orjson.loads, body.splitlines())
            for event, expect in zip(events, case["expect"], strict=True):
                shown = orjson.dumps(event).decode().replace("`", "'")
                yield case["source"], f"`{shown}`", *(_stored(expect.get(field)) for field in fields)


def _stored(value: Any) -> str:
    if value == "receipt":
        return "time of receipt"
    return f"`{orjson.dumps(value)[1:-1].decode()}`" if value else ""

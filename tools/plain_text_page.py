"""The page of all forms of text that are read, from the cases and generators that the tests use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from logops_fast.formats.media_type import Format
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.registry import parse
from tests.data.field.loghub import SYSTEMS, lines
from tools.markdown import table

ROOT: Final = Path(__file__).resolve().parents[1]
CASES: Final = ROOT / "tests" / "data" / "field" / "text.jsonl"
NOW: Final = 1795600800.0  # 2026-11-25T10:00:00Z
LONGEST: Final = 110  # characters of an example

INTRO: Final = """\
# Plain text, syslog and CSV

What is read of a `text/plain` or `text/csv` body, by example. Each example is a test; it was received on 25 November
2026 at 10:00 UTC.

- A line is one event. A line of no known structure is stored whole in `msg`; its time and level are read beside it.
- A time is read at the front of a line, or at the known place of its format, and nowhere else. What could mean two
  things is not read: `03/04/2026`, a date without a year that is no syslog, logcat, klog or Redis line,
  `081109 203615`.
- A date without a year is the latest one that is not more than a day ahead. A time without a zone is UTC, or
  `parse.timezone`.
- A line that begins with a blank, `Caused by:`, `Traceback` or `... N more` continues the line before: it takes over
  its time and level, which count as missing. With `parse.multiline` it is joined to it; so are the parts (`P`) of a
  Kubernetes line. An indented line that has a time of its own is an event of its own.
- A line that is a JSON object is an event of that object.
- A level is a word at the place that the format gives it, a named field (`level=warn`), a word in capitals or
  brackets, or in front of a colon; never a word in a path, a value or a sentence.
- The header line of CSV names its delimiter: comma, semicolon, tab or bar. Columns `date` and `time` make the time.
- Other character sets than UTF-8: `charset=` us-ascii, utf-16, iso-8859-1, windows-1252; a UTF-16 byte order mark
  decides by itself.
"""

TITLES: Final = {
    "plain-time": "Times in lines",
    "plain-level": "Levels in lines",
    "rfc3164": "RFC 3164 (BSD syslog)",
    "rfc5424": "RFC 5424",
    "rsyslog-iso": "rsyslog's files",
    "cisco": "Cisco",
    "cri": "Kubernetes (CRI)",
    "framing": "Octet-counted frames",
    "continuation": "Continuation lines",
    "json-line": "JSON in lines",
    "csv": "CSV",
}


def page() -> str:
    """Return the text of docs/plain-text.md, without the line that says who made it."""
    cases = [json.loads(line) for line in CASES.read_text("utf-8").splitlines()]
    parts = [INTRO]
    for group, title in TITLES.items():
        seen: set[str] = set()
        rows = []
        for case in cases:
            if case["group"] != group or "body" not in case or not case["expect"]:
                continue
            source = case["source"].partition(";")[0]
            if source and source in seen:
                continue
            seen.add(source)
            rows.append((source or "", _code(case["body"]), _fields(case["expect"])))
        parts.append(f"## {title}\n\n" + table(("Writer", "Body", "Stored"), rows))
    parts.append(_loghub())
    return "\n".join(parts)


REAL_SAMPLES = """\
The real samples of loghub (commit `dd61d09`, 2,000 lines of each system, not shipped here) were read once and each
line compared with the time and level in loghub's own tables of columns, on 26 November 2026. No time and no level
differs from them. The same ten systems and HealthApp bring their own time in every line; a level was read in 18,151 of
32,000 lines: in all lines of Android, Apache, BGL, HDFS, Hadoop, OpenStack, Spark, Windows and ZooKeeper, and in 151
lines of the seven others. Those that are not INFO were looked at one by one (`error: Bind to port`, `WARNING:`).
"""


def _loghub() -> str:
    rows = []
    totals = [0, 0, 0]
    for system in SYSTEMS:
        made = lines(system)
        body = "\n".join(line.text for line in made).encode()
        result = Normaliser().run(parse(Format.PLAIN, body, NOW).events, emitter="e", scenario_id="na", received_at=NOW)
        counts = (result.count, result.count - result.missing_ts, result.count - result.missing_level)
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        rows.append((system, *(f"{count:,}" for count in counts)))
    rows.append(("**all**", *(f"{total:,}" for total in totals)))
    return (
        "## The sixteen systems of loghub\n\n"
        "Lines of the shape of [loghub](https://github.com/logpai/loghub)'s samples, made by\n"
        "`tests/data/field/loghub.py`: how many bring a time, and name a level, that is read. HDFS and Spark\n"
        "write two digits for the year, HPC and OpenStack's archive have the time in a later column, Proxifier\n"
        "has no year: none of these is guessed. HPC, HealthApp, Linux, Mac, OpenSSH, Proxifier and Thunderbird\n"
        "name a level in few lines or none.\n\n"
        + table(("System", "Lines", "Own time", "Level"), rows)
        + "\n"
        + REAL_SAMPLES
    )


def _code(text: str) -> str:
    """Return the text as code on one line, cut if it is long."""
    shown = text.rstrip("\n").replace("\x1b", "\\e").replace("\t", "\\t").replace("\r", "\\r").replace("\0", "\\0")
    shown = shown.replace("\n", "\u23ce").replace("\ufeff", "")
    if len(shown) > LONGEST:
        shown = shown[:LONGEST] + "…"
    ticks = "``" if "`" in shown else "`"
    return f"{ticks}{shown}{ticks}"


def _fields(expected: list[dict[str, Any]]) -> str:
    """Return what is stored, without the message and absent fields."""
    shown = []
    for event in expected:
        fields = [
            f"{name} `{value if isinstance(value, str) else json.dumps(value)}`"
            for name, value in event.items()
            if name != "msg" and value is not None and name.isidentifier() and value != "logops"
        ]
        shown.append(", ".join(fields))
    return "<br>".join(text for text in shown if text) or "as it is"

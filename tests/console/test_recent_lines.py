from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from logops_fast.console.recent_lines import READ_BYTES, SHOWN, LineFilter, as_html, recent


def line(number: int, **fields: object) -> bytes:
    event = {"ts": f"2026-11-26T10:00:{number:02}Z", "level": "INFO", "emitter": "web", "msg": f"event {number}"}
    return orjson.dumps(event | fields, option=orjson.OPT_APPEND_NEWLINE)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("20261125.ndjson", "20261126.w0.ndjson", "20261126.w1.ndjson")]
    paths[0].write_bytes(line(0, msg="of yesterday"))
    paths[1].write_bytes(line(1) + line(3, level="ERROR") + line(5, emitter="csv"))
    paths[2].write_bytes(line(2, level="WARN") + line(4, user="Zoë"))
    return paths


def shown(files: list[Path], **wanted: str) -> list[str]:
    return [event["msg"] for event in recent(lambda: files, LineFilter(**wanted))]


def test_the_newest_of_the_day_come_first_whatever_file_they_are_in(files: list[Path]) -> None:
    assert shown(files) == ["event 5", "event 4", "event 3", "event 2", "event 1"]
    assert shown([]) == []


def test_filters(files: list[Path]) -> None:
    assert shown(files, level="WARN") == ["event 3", "event 2"]
    assert shown(files, emitter="csv") == ["event 5"]
    assert shown(files, text="zOË") == ["event 4"]
    assert shown(files, text="event", level="FATAL") == []


def test_a_line_that_is_being_written_is_left_out(files: list[Path]) -> None:
    with files[2].open("ab") as out:
        out.write(line(9)[:-1])
    assert "event 9" not in shown(files)


def test_however_long_the_file_the_end_alone_is_read(files: list[Path]) -> None:
    with files[1].open("ab") as out:
        out.write(line(7, msg="x" * READ_BYTES) + line(8) * 200)
    found = shown(files)
    assert len(found) == SHOWN
    assert set(found) == {"event 8"}


def test_a_file_that_is_gone_is_no_error(files: list[Path]) -> None:
    files[2].unlink()
    assert shown(files) == ["event 5", "event 3", "event 1"]


def test_what_was_sent_cannot_become_markup() -> None:
    found = as_html(
        [
            {
                "ts": "<i>",
                "level": "<b>",
                "emitter": "<u>",
                "msg": "<script>alert(1)</script>\r\n\u2028",
                "k<": {"v": "<&>"},
            }
        ]
    )
    assert "<script" not in found
    assert "<i>" not in found
    assert "k&lt;=" in found
    assert 'class="level info"' in found  # an unknown level brings no class of its own
    assert not set(found) & set("\r\n\u2028")


def test_a_line_of_any_length_is_cut() -> None:
    assert len(as_html([{"msg": "y" * 1_000_000}])) < 10_000


def test_a_line_that_is_no_event_is_shown_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "20261126.ndjson"
    path.write_bytes(b"[1]\nnot json \xff\n")
    assert {event["msg"] for event in recent(lambda: [path], LineFilter())} == {"[1]", "not json \ufffd"}

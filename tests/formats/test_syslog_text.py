from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats.item_count import exact, upper_bound
from logops_fast.formats.media_type import Format
from logops_fast.formats.syslog_text import count, counted, joined, messages, parts_of
from logops_fast.ingest.parsers import registry
from logops_fast.ingest.parsers.base import Limits, MalformedBody, Parsed

NOW = 1_800_000_000.0


def parse(body: bytes, format: Format = Format.SYSLOG, limits: Limits = Limits()) -> Parsed:  # noqa: B008
    return registry.parse(format, body, NOW, limits)


def test_senders_are_kept_apart_and_lines_that_stand_for_themselves_are_not() -> None:
    texts = [b"<34>a\n", b"<34>b\n", b"\tat c\n", b"<34>d\n", counted(b"<34>e\nf"), b"<34>g\n"]
    body = joined(texts)
    assert parts_of(body) == [b"<34>a\n<34>b\n", b"\tat c\n<34>d\n", b"7 <34>e\nf\n", b"<34>g\n"]
    assert messages(b"7 <34>e\nf\n7 <34>g\nh\nrest\n") == [b"<34>e\nf", b"<34>g\nh", b"rest"]
    assert count(body) == 6
    assert [event["msg"] for event in parse(body).events] == ["a", "b", "\tat c", "d", "e\nf", "g"]


def test_a_continuation_line_belongs_to_its_own_sender() -> None:
    first = b"<34>2026-01-02T03:04:05Z host app: failed\n"
    alone, behind = parse(joined([first, b"\tat a.b(C.java:1)\n"])), parse(joined([first + b"\tat a.b(C.java:1)\n"]))
    assert "ts" not in alone.events[1]
    assert "ts" in behind.events[1]


def test_events_of_datagrams_say_that_nobody_has_proved_them_whatever_they_say_themselves() -> None:
    body = joined([b"<34>one\n", b'{"msg":"two","auth":"root"}\n'])
    assert [event["auth"] for event in parse(body, Format.SYSLOG_UDP).events] == ["none", "none"]
    assert [event.get("auth") for event in parse(body).events] == [None, "root"]


def test_a_message_that_is_too_large_is_set_aside_and_its_neighbours_are_read() -> None:
    long = b"<34>" + b"x" * 2000
    body = joined([b"<34>a\n" + long + b"\n<34>b\n", counted(long + b"\ny"), b"<34>c\n"])
    for format in (Format.SYSLOG, Format.SYSLOG_UDP):
        events, faults = parse(body, format, Limits(1024, 100))
        assert [event["msg"] for event in events] == ["a", "b", "c"]
        assert [fault.reason for fault in faults] == ["event_too_large"] * 2


def test_a_frame_too_long_for_a_count_becomes_one_line() -> None:
    assert counted(b"<34>a\n" + b"x" * 1_000_000) == b"<34>a#012" + b"x" * 1_000_000 + b"\n"


WORDS = [b"<34>", b"<34>one\n", b"\n", b"\0", b"\0\0", b" ", b"12 <34>", b"7 <34>abc\n", b"\tat\n"]


@given(st.lists(st.sampled_from(WORDS) | st.binary(max_size=12), max_size=30), st.sampled_from([16, 262_144]))
def test_the_count_is_what_the_parser_makes(words: list[bytes], limit: int) -> None:
    body = b"".join(words)
    counted_messages = exact(Format.SYSLOG, body)
    assert count(body) == counted_messages <= upper_bound(Format.SYSLOG, body)
    if counted_messages == 0:
        with pytest.raises(MalformedBody, match="empty"):
            parse(body)
        return
    events, faults = parse(body, limits=Limits(limit, 100_000))
    assert len(events) + len(faults) == counted_messages

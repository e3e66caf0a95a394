"""Framing by bytes: what is one message, however the bytes of a connection are split."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from logops_fast.authgw.syslog.framer import MAX_LINES, Framer, Segment, datagram
from logops_fast.formats.syslog_text import count, messages
from tests.support.tables import each_of

LIMIT = 64


def messages_of(segments: list[Segment]) -> list[bytes]:
    """The messages of segments, as the parser separates them."""
    found: list[bytes] = []
    for text, lines in segments:
        assert text.endswith(b"\n")
        counted = messages(text)
        some = text.split(b"\n")[:-1] if counted is None else counted
        assert len(some) == lines <= MAX_LINES
        found += [one for one in some if one.strip()]
    return found


def feed(*pieces: bytes, limit: int = LIMIT) -> list[bytes]:
    framer = Framer(limit)
    segments = [segment for piece in pieces for segment in framer.feed(piece)]
    return messages_of(segments + framer.finish())


@each_of(
    ("sent", "expected"),
    [
        (b"<34>one\n<34>two\n", [b"<34>one", b"<34>two"]),
        (b"<34>one\0<34>two\0", [b"<34>one", b"<34>two"]),
        (b"<34>one\r\n\n\n<34>two", [b"<34>one\r", b"<34>two"]),
        (b"7 <34>one7 <34>two", [b"<34>one", b"<34>two"]),
        (b"7 <34>one\n7 <34>two\n", [b"<34>one", b"<34>two"]),  # a relay that writes both
        (b"<34>one\n7 <34>two<34>three\n", [b"<34>one", b"<34>two", b"<34>three"]),
        (b"9 <34>a\nbcd<34>e\n", [b"<34>a\nbcd", b"<34>e"]),  # a newline inside a counted message is its own
        (b"9 <34>a\0bcd", [b"<34>a#000bcd"]),
        (b"6 <34>a\n7 <34>bc\n6 <34>d\n", [b"<34>a", b"<34>bc", b"<34>d"]),  # rsyslog counts its newline
        (b"4 <a\nb<34>c\n", [b"<13><a\nb", b"<34>c"]),  # no priority: RFC 3164, 4.3.3
        (b"12 apples\n34\n5 \n", [b"12 apples", b"34", b"5 "]),  # a number alone is no count
        (b"007 <34>one\n", [b"007 <34>one"]),  # a count has no leading zero
        (b"1234567 <34>x\n", [b"1234567 <34>x"]),  # nor seven digits
        (b"9 <34>cut", [b"<34>cut"]),  # the connection ended before the count was reached
        (b"34 ", [b"34 "]),
        (b"\n\0\r\n \n", []),
        (b"\tat a.b(C.java:1)\n", [b"\tat a.b(C.java:1)"]),
        (b"", []),
    ],
)
def test_each_frame_shows_by_its_first_bytes_where_it_ends(sent: bytes, expected: list[bytes]) -> None:
    assert feed(sent) == expected
    assert feed(*(bytes([byte]) for byte in sent)) == expected


@each_of("over", [1, 7, 8, 9, 200])
@each_of("counted", [False, True], ids=["line", "counted"])
def test_a_message_over_the_limit_is_cut_to_one_byte_more_and_the_next_one_is_whole(over: int, counted: bool) -> None:
    long = b"<34>" + b"x" * (LIMIT - 4 + over)
    sent = b"%d %b<34>next\n" % (len(long), long) if counted else long + b"\n<34>next\n"
    expected = [long[: LIMIT + 1], b"<34>next"]
    assert feed(sent) == expected
    assert feed(*(bytes([byte]) for byte in sent)) == expected


def test_a_message_of_the_very_limit_is_whole() -> None:
    line = b"<34>" + b"x" * (LIMIT - 4)
    assert feed(line + b"\n%d %b" % (LIMIT, line)) == [line, line]


def test_a_line_that_never_ends_is_passed_on_once_and_not_kept() -> None:
    framer = Framer(LIMIT)
    found = messages_of([segment for _ in range(1000) for segment in framer.feed(b"x" * 50)])
    assert found == [b"x" * (LIMIT + 1)]
    assert len(framer._rest) == 0
    assert messages_of(framer.feed(b"x\n<34>next\n")) == [b"<34>next"]


def test_many_lines_at_once_are_segments_of_a_thousand() -> None:
    segments = Framer(LIMIT).feed(b"<34>x\n" * (2 * MAX_LINES + 1))
    assert [lines for _, lines in segments] == [MAX_LINES, MAX_LINES, 1]


def test_a_counted_frame_that_comes_byte_by_byte_is_searched_once() -> None:
    """Each byte of a megabyte that looked at all before it would take hours."""
    framer = Framer(900_000)
    assert framer.feed(b"900000 <34>") == []
    assert framer._need == len(b"900000 ") + 900_000


WORDS = [
    b"<34>",
    b"<34>one",
    b"a",
    b"\n",
    b"\0",
    b"\r\n",
    b" ",
    b"1",
    b"7 ",
    b"12 <34>",
    b"5 <3",
    b"40 <34>",
    b"x" * 70,
]


@given(st.lists(st.sampled_from(WORDS) | st.binary(max_size=12), max_size=30), st.data())
def test_the_messages_do_not_depend_on_how_the_bytes_were_split(words: list[bytes], data: st.DataObject) -> None:
    sent = b"".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert feed(*pieces) == feed(sent)


@given(
    st.lists(st.binary(min_size=1, max_size=LIMIT).filter(lambda text: text.strip(b" \t\r\n\x0b\x0c\0")), max_size=20)
)
def test_octet_counted_messages_arrive_as_they_were(texts: list[bytes]) -> None:
    sent = [(b"<34>" + text)[:LIMIT] for text in texts]
    found = feed(b"".join(b"%d %b" % (len(text), text) for text in sent))
    # A NUL is written as rsyslog writes it; a line's blank end may be its own.
    assert found == [text.rstrip(b"\r\n\0").replace(b"\0", b"#000") for text in sent]


@each_of(
    ("sent", "expected"),
    [
        (b"<34>one", [b"<34>one"]),
        (b"<34>one\n", [b"<34>one"]),
        (b"<34>one\r\n\0", [b"<34>one"]),
        (b"<34>one\ntwo\n", [b"<34>one\ntwo"]),
        (b"no priority", [b"<13>no priority"]),
        (b"7 <34>one", [b"<13>7 <34>one"]),
        (b"<34>" + b"x" * 100, [b"<34>" + b"x" * (LIMIT - 3)]),
        (b" \n\0", None),
        (b"", None),
    ],
)
def test_a_datagram_is_one_message(sent: bytes, expected: list[bytes] | None) -> None:
    segment = datagram(sent, LIMIT)
    if expected is None:
        assert segment is None
    else:
        assert segment is not None
        assert messages_of([segment]) == expected
        assert count(segment.text) == 1

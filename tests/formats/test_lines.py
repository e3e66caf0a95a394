from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats.item_count import exact, upper_bound
from logops_fast.formats.lines import count_filled, frames
from logops_fast.formats.media_type import Format
from tests.support.tables import each_of


@each_of(
    ("body", "parts"),
    [
        (b"5 <34>x", [b"<34>x"]),
        (b"5 <34>x5 <35>y", [b"<34>x", b"<35>y"]),
        (b"5 <34>x\n\n5 <35>y\n", [b"<34>x", b"<35>y"]),
        (b"6 <34>x\n5 <35>y", [b"<34>x", b"<35>y"]),
        (b"7 <34>x\ny\nplain\n5 <35>y", [b"<34>x\ny", b"plain", b"<35>y"]),
        (b"5 <34>x\0005 <35>y\0", [b"<34>x", b"<35>y"]),
        ("6 <34>é5 <35>y".encode(), ["<34>é".encode(), b"<35>y"]),
        (b"9 <34>x", None),
        (b"4 <34>x", None),
        (b"0 <34>x", None),
        (b"5 <b>x", None),
        (b"x 5 <34>x", None),
        (b"<34>x", None),
        (b"", None),
    ],
)
def test_octet_counted_frames_are_split_by_their_counts(body: bytes, parts: list[bytes] | None) -> None:
    assert frames(body) == parts


framed = st.lists(
    st.sampled_from([b"5 <34>x", b"6 <34>x\n", b"4 <3>", b"\n", b"\0", b" ", b"9 <34>", b"x"]), max_size=12
)


@given(framed.map(b"".join))
def test_frames_count_as_items(body: bytes) -> None:
    parts = frames(body)
    assert (
        exact(Format.PLAIN, body)
        == (count_filled(body) if parts is None else len(parts))
        <= upper_bound(Format.PLAIN, body)
    )
    if parts is not None:
        assert all(part.strip() for part in parts)
        assert b"".join(parts).count(b"x") == body.count(b"x")


@given(st.lists(st.binary(min_size=1, max_size=30).map(lambda text: b"<13>" + text), min_size=1, max_size=5))
def test_what_is_framed_comes_out_again(messages: list[bytes]) -> None:
    body = b"".join(b"%d %s" % (len(message), message) for message in messages)
    assert frames(body) == [message.rstrip(b"\r\n\0") for message in messages]

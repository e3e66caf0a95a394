from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats.batch import BatchHead, BatchHeaderError
from logops_fast.formats.charset import UTF_8, charset_of, to_utf8
from logops_fast.formats.content_encoding import EncodingError
from tests.support.tables import each_of

TEXT = "café 5 € \u2013 “low” 注 😀"


@each_of(
    ("content_type", "codec"),
    [
        (b"text/plain", UTF_8),
        (b"text/plain; charset=utf-8", UTF_8),
        (b"text/plain; charset=UTF8", UTF_8),
        (b"text/plain;charset=us-ascii", UTF_8),
        (b"text/plain; charset=", UTF_8),
        (b"text/plain; charset=utf-16", "utf-16"),
        (b"text/csv; header=present; charset=UTF-16LE", "utf-16-le"),
        (b'text/plain; charset="utf-16be"', "utf-16-be"),
        (b"text/plain; charset = ISO-8859-1", "latin-1"),
        (b"text/plain; CHARSET=Latin1; x=y", "latin-1"),
        (b'text/plain; charset="windows-1252"', "cp1252"),
        (b"text/plain; charset='cp1252'", "cp1252"),
        (b"text/plain; xcharset=koi8-r", UTF_8),
        (b"text/plain; charset=shift_jis", None),
        (b"text/plain; charset=koi8-r", None),
        (b"text/plain; charset=\xff", None),
        (b"text/plain; charset=utf-7", None),
    ],
)
def test_a_charset_is_known_by_its_usual_names(content_type: bytes, codec: str | None) -> None:
    assert charset_of(content_type) == codec


@each_of(
    ("body", "codec", "text"),
    [
        (b"caf\xe9", "latin-1", "café"),
        (b"\x80 \x96 \x93low\x94", "cp1252", "€ \u2013 “low”"),
        (b"\x81", "cp1252", "\ufffd"),
        (TEXT.encode("utf-16-le"), "utf-16", TEXT),
        (TEXT.encode("utf-16-be"), "utf-16-be", TEXT),
        ("a".encode("utf-16-be"), "utf-16", "a"),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), UTF_8, TEXT),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16-le", TEXT),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), "latin-1", TEXT),
        (b"a\0b", "utf-16-le", "a\ufffd"),
        (b"\x00\xd8a\x00", "utf-16-le", "\ufffda"),
        (b"caf\xe9", UTF_8, None),
    ],
)
def test_a_body_becomes_utf_8(body: bytes, codec: str, text: str | None) -> None:
    assert to_utf8(body, codec, 1000) == (body if text is None else text.encode())


def test_the_cap_is_on_what_comes_out() -> None:
    assert to_utf8(b"\x80" * 10, "cp1252", 30) == "€".encode() * 10
    with pytest.raises(EncodingError) as caught:
        to_utf8(b"\x80" * 10, "cp1252", 29)
    assert caught.value.refusal[:2] == (413, "too_large")


@given(st.binary(max_size=50), st.sampled_from(["utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"]))
def test_any_bytes_become_utf_8(body: bytes, codec: str) -> None:
    assert isinstance(to_utf8(body, codec, 1000).decode("utf-8"), str)


def test_the_head_of_a_batch_decodes_once_for_all_formats() -> None:
    head = BatchHead.of({b"content-type": b"application/json; charset=iso-8859-1"})
    assert head.decode('{"msg":"é"}'.encode("latin-1"), 100) == '{"msg":"é"}'.encode()
    plain = BatchHead.of({b"content-type": b"application/json"})
    assert plain.decode(b"\xff\xfe" + '{"msg":"é"}'.encode("utf-16-le"), 100) == '{"msg":"é"}'.encode()
    body = b'{"msg":"m"}'
    assert plain.decode(body, 100) is body


def test_an_unknown_charset_is_415() -> None:
    with pytest.raises(BatchHeaderError) as caught:
        BatchHead.of({b"content-type": b"text/plain; charset=big5"})
    assert caught.value.refusal[:2] == (415, "unsupported_charset")
    assert caught.value.refusal.detail.endswith(".")

"""Bodies for properties: arbitrary bytes, and near-misses of each format."""

from __future__ import annotations

from functools import partial
from typing import Final

from hypothesis import strategies as st

from logops_fast.formats.protobuf_wire import bytes_field, int_field

_BYTES: Final = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\n", b"\r\n", b"\r", b" ", b"\t", b"\x0b", b"\x00", b"\xff",
    b"\xef\xbb\xbf", b"\xc2\x85", b"\xe2\x80\xa8", "é注😀".encode(),
]  # fmt: skip
_JSON: Final = [
    b'{"a":1}', b'{"ts":"x","level":"INFO","msg":"m"}', b'{"resourceLogs":[]}', b"null", b"-1", b"1e999", b"NaN",
    b"99999999999999999999", rb"\ud800", rb"\ud83d\ude00", rb"\\",
    b"[" * 300, b"]" * 300, b'{"a":' * 300, b"}" * 300, b"[" * 2000,
]  # fmt: skip
_TEXT: Final = [
    b"ts,level,msg", b"2025-03-03T12:00:00Z", b"INFO", b'""', b'"a,b\nc"',
    b"<34>", b"<34>1 ", b"<165>1 2025-03-03T12:00:00Z h a p m ", b'[x y="z"]', b"- - ", b"Mar  3 12:00:00 host ",
    b"Feb 30 99:99:99 h ", b"app[1]: ", b"2025-03-03 12:00:00 INFO host app[1]: text",
    b"5 <34>x", b"6 <34>x\n", b"<189>1: Mar  3 12:00:00: %A-1-B: x", b"2025-03-03T12:00:00Z stdout P x",
    b"Caused by: x", b"2025-03-03T12:00:00Z h-1 a: x", b"10.0.0.1 - - [03/Mar/2025:12:00:00 +0000] ",
    b"ts=1741003200 level=info ",
    b"\x1b[31m", b"ts;level;msg", b"ts\tmsg", b"date|time|x", b";", b"|", b', "a"', b"_time,_raw", b"Date,Line",
]  # fmt: skip
_JSON_LINES: Final = [
    b'{"a":1}', b"{}", b"[1", b"2]", b'{"a":1', b'"b":2}', b'{"x":1},{"y":2}', b'{"x":1}{"y":2}', b'{"a":"x', b'y"}',
    b"[", b"]", b"", b" ", b"1", b"null,", b",", b'{"k":[1', b'{"a":1}\r', b"\xef\xbb\xbf{}",
    b'{"big":18446744073709551616}', rb'{"s":"\ud800"}', b'{"b":"\xff"}', b'{"f":1e999}',
    *(b'{"d":' + b"[" * depth + b"]" * depth + b"}" for depth in (251, 252, 253, 260, 1500)),
]  # fmt: skip

_ENTRIES: Final = [
    bytes_field(2, b'{"msg":"x","ts":1}'), bytes_field(2, b"\xff"), bytes_field(2, b"{"), b"\x0a", b"\x0a\x7f",
    b"\x50\x01", bytes_field(1, int_field(1, 1_741_003_200) + int_field(2, 5)), bytes_field(1, int_field(1, 2**64 - 1)),
    bytes_field(1, b"\x08"), bytes_field(3, bytes_field(1, b"k") + bytes_field(2, b"v")), bytes_field(3, b"\x0a"),
]  # fmt: skip
_PUSH_PARTS: Final = [
    bytes_field(1, b'{a="b"}'), bytes_field(1, b"{"), bytes_field(1, b""), bytes_field(1, b'{ts="1", a="\xff"}'),
    *map(partial(bytes_field, 2), _ENTRIES), bytes_field(2, b"".join(_ENTRIES[::5])), bytes_field(15, b"x"),
    int_field(3, 2**64 - 1), b"\x1d1234", b"\x19", b"\x0b", b"\xff" * 11,
]  # fmt: skip

loki_pushes = st.lists(
    st.one_of(
        st.lists(st.sampled_from(_PUSH_PARTS), max_size=6).map(lambda parts: bytes_field(1, b"".join(parts))),
        st.sampled_from(_PUSH_PARTS),
    ),
    max_size=5,
).map(b"".join)

near_misses = st.lists(st.sampled_from(_BYTES + _JSON + _TEXT), max_size=14).map(b"".join)

json_lines = st.lists(st.sampled_from(_JSON_LINES), max_size=8)

json_pushes = json_lines.map(
    lambda lines: b'{"streams":[{"stream":{"a":"b"},"values":[["1","x"],' + b",".join(lines) + b"]}]}"
)

any_body = st.one_of(
    st.binary(max_size=60),
    near_misses,
    json_lines.map(b"\n".join),
    json_lines.map(lambda lines: b"[" + b",".join(lines) + b"]"),
    loki_pushes,
)

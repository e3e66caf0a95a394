"""Events full of personal data, of near misses, and of what may be next to either."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

EMAILS = [
    "alice@example.com", "bob.smith+tag@mail.example.co.uk", "a@b.co", "jörg.müller@exämple.de", "用户@例子.公司",
    "o'brien@example.org", "x_y-z%w@sub.example.com", "ab=@x.com", "!#$@x.com", "nn@xn--bcher.example", "1@2.museum",
    "jose\u0301@example.com", "root@[10.1.2.3]", "ops@10.9.8.7", "bob%40example.com", "..@x.org", "cd*@x.io",
]  # fmt: skip
IPV4S = ["10.1.2.3", "0.0.0.0", "255.255.255.255", "192.168.001.001", "8.8.8.8"]
IPV6S = [
    "2001:db8::7", "fe80::1", "::1", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", "::ffff:10.1.2.3", "dead::beef",
    "1:2:3:4:5:6:7:8", "ff02::", "2001:db8:1:2:3:4:5::", "64:ff9b::8.8.8.8",
]  # fmt: skip
CARDS = [
    "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005", "3782 822463 10005",
    "30569309025904", "3056 930902 5904", "2223000048400011", "6011111111111117", "4222222222222",
    "4000000000000000006", "5555 5555-5555 4444", "6200000000000005", "4111.1111.1111.1111",
]  # fmt: skip
TOKENS = [
    "Bearer abc.def-123", "bearer x9", "BEARER tok+en/==", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "Bearer%20zz9",
    "eyJhbGciOiJub25lIn0.e30.", "eyJlbmMiOiJBIn0..aXY.Y3Q.dGFn",
]  # fmt: skip
NEAR = [
    "1.2.3", "v1.2.3.4", "V9.9.9.9", "dev1.2.3.4", "1.2.3.4.5", "256.1.1.1", "10.1.2", "12:34:56", "aa:bb:cc:dd:ee:ff",
    "std::fade", "a::b", "id::date", "::", "x@y", "@", "@@", "lodash@4.17.21", "a@b", "***@x.com", "a***@x.com",
    "550e8400-e29b-41d4-a716-446655440000", "4111111111111112", "1700000000000", "1700000000000000000",
    "0.4111111111111111",
    "4bf4111111111111111ace", "2025-01-02T03:04:05.678Z", "2025-01-02 03:04:05", "bearer token", "Bearer", "eyJ",
    "eyJx.y",
    "10.1.x.x", "2001:db8:x:x:x:x:x:x", "************1111", "Bearer ***", "***jwt***", "%40", "password",
    "1:2:3:4:5:6:7:8:9", "[4111111111111111,1]", '{"user[password]":"q"}', "/gems/x-1.2.3.4/", "a-1.2.3.4-1.el9.x86_64",
    "token: expired", "cookies: {'a': 'b'}",
]  # fmt: skip
GLUE = list("abcdefntuvVxX019.:,;@-_ /=\"\\'{}[]()<>%*é，“ \t\n\r\b\f\x00\x01\x1f\x7f\x80\u2028😀")  # noqa: RUF001
PII = EMAILS + IPV4S + IPV6S + CARDS + TOKENS

pieces = st.one_of(
    st.sampled_from(PII),
    st.sampled_from(NEAR),
    st.sampled_from(GLUE),
    st.sampled_from(["\t", "\\", '"', "\x01", "é", " ", "\n", ""]),
    st.text(max_size=6),
    st.from_regex(r"[0-9.]{1,12}|[0-9a-f:]{1,20}|[0-9 -]{10,24}|[a-z.@]{1,12}", fullmatch=True),
)
texts = st.lists(pieces, max_size=6).map("".join)
names = st.one_of(
    st.sampled_from(["a", "b", "user", "ip", "nested", "msg", "password", "Password", "k8s.pod.name"]), texts
)
numbers = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [4111111111111111, 378282246310005, -4111111111111111, 4111111111111111.0, 1700000000123, 0.4111111111111111]
    ),
)
values = st.recursive(
    st.one_of(texts, texts, texts, numbers, st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=6,
)
events = st.dictionaries(names, values, min_size=1, max_size=5)


def strings(value: Any) -> list[str]:
    """Every string of a value, keys among them."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *strings(item))]
    return []

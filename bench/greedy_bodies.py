"""Bodies made to cost a gateway as much as possible: each is a body and the headers that go with it."""

from __future__ import annotations

import gzip
from typing import Final

import zstandard

MIB: Final = 1 << 20
MAX_BODY: Final = 4 * MIB

Made = tuple[bytes, dict[str, str]]


def gzip_bomb() -> Made:
    return gzip.compress(bytes(400 * MIB), 6), {"Content-Encoding": "gzip"}


def zstd_bomb() -> Made:
    return zstandard.compress(bytes(2000 * MIB), 3), {"Content-Encoding": "zstd"}


def zstd_bomb_of_unknown_size() -> Made:
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return b"".join(compressor.compress(bytes(MIB)) for _ in range(1000)) + compressor.flush(), {
        "Content-Encoding": "zstd"
    }


def zstd_with_a_huge_window() -> Made:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress(b"[" + b" " * 500_000 + b"]") + compressor.flush(), {"Content-Encoding": "zstd"}


def many_gzip_members() -> Made:
    return gzip.compress(b"") * (MAX_BODY // 20), {"Content-Encoding": "gzip"}


def deeply_nested() -> Made:
    return b"[" * 2_000_000 + b"]" * 2_000_000, {}


def nested_objects() -> Made:
    return b'{"a":' * 600_000 + b"1" + b"}" * 600_000, {}


def nested_below_the_limit() -> Made:
    one = b'{"msg":' + b"[" * 900 + b'"bob@example.com"' + b"]" * 900 + b"}"
    return b"[" + b",".join([one] * 2000) + b"]", {}


def million_numbers() -> Made:
    return b"[" + b",".join([b"1"] * 1_000_000) + b"]", {}


def million_fields() -> Made:
    return b"{" + b",".join(b'"%d":1' % i for i in range(380_000)) + b"}", {}


def million_nested_items() -> Made:
    return b'[{"msg":[' + b",".join([b"{}"] * 1_000_000) + b"]}]", {}


def mebibyte_strings() -> Made:
    text = ("a@b." * (MIB // 4)).encode()
    return b'[{"msg":"' + text + b'"},{"msg":"' + b"1" * MIB + b'"},{"msg":"' + b"1.2.3.4:" * (MIB // 8) + b'"}]', {}


def huge_integers() -> Made:
    return b'[{"ts":' + b"9" * 1_000_000 + b',"n":' + b"9" * 1_000_000 + b'},{"n":1e999999}]', {}


def invalid_utf8() -> Made:
    return b'[{"msg":"' + b"\xff\xfe\xc0\x80" * 500_000 + b'"}]', {}


def lone_surrogates() -> Made:
    return b'[{"msg":"' + b"\\ud800" * 500_000 + b'"}]', {}


def duplicate_keys() -> Made:
    return b"[{" + b",".join([b'"msg":"x"'] * 300_000) + b"}]", {}


def quadratic_csv() -> Made:
    return b'ts,level,msg\n,,"' + b'""' * 1_900_000, {"Content-Type": "text/csv"}


def one_long_line() -> Made:
    return b"<34>1 " + b"a" * (MAX_BODY - 10), {"Content-Type": "text/plain"}


def structured_data() -> Made:
    line = b"<34>1 2026-01-01T00:00:00Z h a - - " + b'[x@1 a="' * 10_000 + b"\n"
    return line * 30, {"Content-Type": "text/plain"}


def escaped_quotes() -> Made:
    """4 kB on the wire: one RFC 5424 line whose structured data is 2,000,000 escaped quotes."""
    line = b'<165>1 2026-01-01T00:00:00Z h a p m [x y="' + rb"\"" * 2_000_000 + b'"] m\n'
    return gzip.compress(line), {"Content-Type": "text/plain", "Content-Encoding": "gzip"}


def at_signs() -> Made:
    """An address that never begins, as one event over the limit and in events just under it."""
    one = b'{"msg":"' + b"@" * 250_000 + b'"}'
    return b"[" + b",".join([b'{"msg":"' + b"@" * (4 * MIB) + b'"}', *[one] * 16]) + b"]", {}


def half_addresses_in_keys() -> Made:
    """Keys that look like IPv6 addresses."""
    one = b"{" + b",".join(b'"1:: %d":1' % number for number in range(15_000)) + b"}"
    return b"[" + b",".join([one] * 20) + b"]", {}


def empty_arrays() -> Made:
    """16 MiB of the smallest elements."""
    return b"[" + b"[]," * ((16 * MIB - 8) // 3) + b"[]]", {}


def five_million_objects_in_one_event() -> Made:
    """16 MiB of one event."""
    return b'[{"msg":[' + b"{}," * 5_000_000 + b"{}]}]", {}


def events_below_the_limit() -> Made:
    """16 MiB of ordinary events, which all are stored."""
    one = b'{"ts":"2026-01-01T00:00:00Z","level":"INFO","msg":"' + b"m" * 200 + b'"}'
    return b"[" + b",".join([one] * (16_000_000 // (len(one) + 1))) + b"]", {}


def escaped_quotes_below_the_limit() -> Made:
    """RFC 5424 lines that are taken apart, each a value of 120,000 escaped quotes."""
    line = b'<165>1 2026-01-01T00:00:00Z h a p m [x y="' + rb"\"" * 120_000 + b'"] m\n'
    return gzip.compress(line * 60), {"Content-Type": "text/plain", "Content-Encoding": "gzip"}


def rows_of_commas() -> Made:
    """Rows of 4,000 and of 100,000 empty cells, after a header of as many names as one may have."""
    header = b"ts,level,msg," + b",".join(b"c%d" % number for number in range(4000)) + b"\n"
    return header + (b"," * 4000 + b"\n") * 500 + (b"," * 100_000 + b"\n") * 100, {"Content-Type": "text/csv"}


def parameters() -> Made:
    """Structured data of as many parameters as are read of one line."""
    line = b"<165>1 2026-01-01T00:00:00Z h a p m [x" + b' a="b"' * 4000 + b"] m\n"
    return gzip.compress(line * 400), {"Content-Type": "text/plain", "Content-Encoding": "gzip"}


def encoded_addresses() -> Made:
    """Events just under the limit of an event, of the text that costs the masks most (`bench.hostile`)."""
    one = b'{"msg":"' + b"a%40b.co" * 32_000 + b'"}'
    return b"[" + b",".join([one] * 62) + b"]", {}

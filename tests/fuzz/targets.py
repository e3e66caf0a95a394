"""What is fuzzed: each target takes bytes and raises where a promise is broken. They know nothing of the engine."""

# ruff: noqa: PT017 - no refusal is expected, and none is wrong: each must only be of its form

from __future__ import annotations

import gzip
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import zstandard

from logops_fast.authgw.hmac_auth import HmacAuth
from logops_fast.authgw.token_auth import TokenAuth
from logops_fast.config.errors import ConfigError
from logops_fast.config.keys_file import Client, Keyring
from logops_fast.config.loader import load
from logops_fast.config.tokens import token_of
from logops_fast.formats import item_count
from logops_fast.formats.batch import BatchHead, BatchHeaderError
from logops_fast.formats.content_encoding import EncodingError, decode
from logops_fast.formats.media_type import Format
from logops_fast.http.refusal import Refusal
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers import registry
from logops_fast.ingest.parsers.base import MalformedBody
from logops_fast.ingest.pii.escapes import PLACES
from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.serialiser import to_lines
from tests.formats import bodies
from tests.http.cases import BAD, GOOD
from tests.http.support import Echo, Wire
from tests.ingest.pii import contexts, reference
from tests.ingest.pii.strategies import NEAR, PII
from tests.support.signing import signed

NOW: Final = 1_760_000_000.0
FORMATS: Final = tuple(Format)
CAP: Final = 4096
SHORT_ANSWERS: Final = 60_000  # bytes: past it a connection pauses, which a fake client without a socket cannot see


class Target(NamedTuple):
    """A target with inputs to begin from and words to put into them."""

    run: Callable[[bytes], None]
    seeds: list[bytes]
    words: list[bytes]


# HTTP bytes: the answer depends on the bytes, not on how they come.


def http(data: bytes) -> None:
    """The first two bytes say where the rest is cut."""
    cuts, stream = data[:2], data[2:SHORT_ANSWERS]
    one, other = Echo(), Echo()
    whole = Wire(one)
    whole.send(stream)
    if not whole.transport.reading:
        return
    pieces = Wire(other)
    at = 0
    while at < len(stream):
        step = 1 + (cuts[at % 2] % 29 if len(cuts) == 2 else 0)
        pieces.send(stream[at : at + step])
        at += step
    assert pieces.output == whole.output
    assert pieces.fate == whole.fate
    assert one.bodies == other.bodies
    assert whole.fate in ("open", "ending", "closed")
    for wire in (whole, pieces):
        for _ in range(3):  # past every deadline there is, and past the one that follows it
            wire.now += 200
            wire.server.sweep()
            wire.settle()
        assert wire.transport.closed, "a silent connection must end"
        assert wire.server.budget.inflight_bytes == 0
        assert wire.server.budget.connections == 0


# Bodies.


def parsers(data: bytes) -> None:
    """The first byte chooses the format. Nothing but MalformedBody, every item counted, everything storable."""
    format, body = FORMATS[data[0] % len(FORMATS)] if data else Format.JSON, data[1:]
    bound = item_count.upper_bound(format, body)
    exact = item_count.exact(format, body)
    assert bound >= exact
    try:
        parsed = registry.parse(format, body, now=NOW)
    except MalformedBody as bad:
        assert bad.reason in ("empty", "malformed", "otlp_not_supported", "too_large", "unsupported_envelope")
        return
    # An export of OTLP is one item of JSON, and holds any number of records.
    assert len(parsed.events) + len(parsed.faults) == exact or b"resource" in body
    orjson.dumps(parsed.events, default=list)
    assert all(type(event) is dict for event in parsed.events)
    for fault in parsed.faults:
        fault.text.encode()


NORMALISERS: Final = (Normaliser(), Normaliser(mask=True, fields=["secret", "user"]), Normaliser(mask=False))
PLAIN_EMAIL: Final = re.compile(r"(?<![\w.%+*'-])[a-z]{3,20}@[a-z]{3,20}\.(?:com|org|net)(?![\w.@-])")


def normaliser(data: bytes) -> None:
    """The first byte chooses the settings. A line for each event, each parses, no key twice, no plain e-mail left."""
    if not data:
        return
    chosen = NORMALISERS[data[0] % len(NORMALISERS)]
    try:
        parsed = registry.parse(FORMATS[data[0] // 4 % len(FORMATS)], data[1:], now=NOW)
    except MalformedBody:
        return
    count = len(parsed.events)
    result = chosen.run(parsed.events, emitter="web", scenario_id="s", received_at=NOW)
    assert result.count == count
    lines = result.lines.split(b"\n")
    assert lines.pop() == b""
    assert len(lines) == count
    for line in lines:
        stored = json.loads(line, object_pairs_hook=_without_doubles)
        assert stored["emitter"] == "web"
        assert stored["scenario_id"] == "s"
        assert stored["level"] in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
        assert isinstance(stored["msg"], str)
        if chosen is not NORMALISERS[2]:
            for text in _texts(stored):
                assert not PLAIN_EMAIL.search(text), text
    for fault in parsed.faults:
        chosen.mask_text(fault.text)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), "a key appears twice"
    return dict(pairs)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *_texts(item))]
    return []


def masks(data: bytes) -> None:
    """A case of the field is stored as the reference says; of any text beside it nothing is left that it knows.

    The first four bytes are the seed of the case, the rest is text in a value, in a key and after the case. The lines
    stay JSON, and they are the same whether the names are asked with the values or by themselves.
    """
    case = contexts.case(int.from_bytes(data[:4], "big"))
    text = data[4:].decode("utf-8", "replace")
    assert MASKER.mask_text(case.text) == reference.masked(case.text), case.text
    event = {"k": text, "l": [case.text, f"{case.text} {text}"], "o": {text: 1, "m": {text: text}}}
    stored = orjson.loads(MASKER.mask_lines(to_lines([event]), [event], {}))
    known = [text for text in _texts(stored) if any(reference.leaks(text))]
    assert not known, known
    plain = reference.decoded(stored["l"][0])
    assert not [core for core in case.gone if core in plain]
    if case.is_json:
        json.loads(stored["l"][0])
    MASKER.mask_text(text)
    hits: dict[str, int] = {}
    whole = MASKER.mask_lines(to_lines([event]), [], hits)
    event["emitter"] = orjson.Fragment(PLACES[0])
    hits_apart: dict[str, int] = {}
    apart = MASKER.mask_lines(to_lines([event]), [event], hits_apart)
    assert apart.replace(b',"emitter":' + PLACES[0], b"") == whole
    assert hits_apart == hits


MASKER: Final = Masker(["account_*", "nick"], ["kept"])


def encodings(data: bytes) -> None:
    """Nothing but EncodingError, never more than the cap."""
    for coding in (b"gzip", b"zstd"):
        try:
            assert len(decode(data, coding, CAP)) <= CAP
        except EncodingError as bad:
            assert bad.refusal.status in (400, 413)


# Headers.

AUTHS: Final = [
    HmacAuth(
        Keyring.of([Client("web-1", (b"secret-of-web-1",), "web", frozenset({"web"}))]),
        mode=mode,
        tolerance=300,
        require_nonce=mode == "hmac",
        wall=lambda: NOW,
    )
    for mode in ("hmac", "none")
]
TOKENS: Final = TokenAuth(
    Keyring.of([Client("web-1", (), "web", frozenset({"web"}), 1, (token_of(b"kX2vQ9bT7mLs4RzW8nYp3c"),))]), mode="any"
)
HEADERS: Final = (
    b"x-api-key", b"x-timestamp", b"x-nonce", b"x-content-sha256", b"x-signature",
    b"x-emitter", b"x-scenario-id", b"x-batch-id", b"content-type", b"content-encoding", b"authorization",
)  # fmt: skip


def headers(data: bytes) -> None:
    """One line for each header the gateway looks at. A stranger is never verified in hmac mode, and nothing raises."""
    fields = {name: value for name, value in zip(HEADERS, data.split(b"\n"), strict=False) if value}
    for auth in AUTHS:
        verified = auth.verify("POST", b"/ingest", fields)
        if isinstance(verified, Refusal):
            assert verified.status == 401
            verified.body()
            continue
        if auth is AUTHS[0]:
            assert fields[b"x-signature"] == GOOD_SIGNATURE, "let in without the secret"
        emitter = auth.choose_emitter(verified.client, fields.get(b"x-emitter"))
        assert isinstance(emitter, Refusal) or emitter in ("web", "unknown")
    credential = TOKENS.credential(fields)
    if credential is not None:
        found = TOKENS.verify(credential, fields, private=True)
        if isinstance(found, Refusal):
            assert found.status == 401
        else:
            assert credential.token == b"kX2vQ9bT7mLs4RzW8nYp3c"
    try:
        BatchHead.of(fields)
    except BatchHeaderError as bad:
        assert 400 <= bad.refusal.status < 500


_SIGNED: Final = signed("web-1", "secret-of-web-1", b"{}", timestamp=str(int(NOW)), nonce="nonce-of-a-seed")
GOOD_SIGNATURE: Final = _SIGNED["X-Signature"].encode()


# Configuration.

SCRATCH: Final = Path(tempfile.gettempdir())


def config(data: bytes) -> None:
    """A settings file: nothing but ConfigError, in one line."""
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(data)
        file.flush()
        try:
            load(Path(file.name), {})
        except ConfigError as bad:
            assert bad.located.isprintable(), "a message must be one line that forges nothing"


def environment(data: bytes) -> None:
    """Environment variables, one a line: nothing but ConfigError."""
    pairs = (line.partition("=")[::2] for line in data.decode("utf-8", "surrogateescape").split("\n"))
    try:
        load(None, {name: value for name, value in pairs if name})
    except ConfigError as bad:
        assert bad.located.isprintable(), "a message must be one line that forges nothing"


def keys(data: bytes) -> None:
    """A keys file: nothing but ConfigError, in one line."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    try:
        Keyring.parse(text, SCRATCH / "nowhere")
    except ConfigError as bad:
        assert bad.located.isprintable(), "a message must be one line that forges nothing"


_JSON_SEEDS: Final = [
    b'[{"ts":"2026-01-02T03:04:05.678Z","level":"warn","msg":"mail bob@example.com from 10.1.2.3","n":1}]',
    rb'{"message":{"a":["\u0040 bob\u0040example.com","2001:db8::1"]},"@timestamp":1700000000123,"lvl":"E"}',
    b'{"msg":"card 4111 1111 1111 1111 Bearer abc.def","user":"x","secret":{"a":1}}\n{"msg":"y"}\nnot json\n',
    b'ts,level,msg,extra\n2026-01-01T00:00:00Z,INFO,"a, ""quoted""\nnewline",bob@example.com\n,,,\n',
    b'<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [x@1 a="b\\"c"] text\n<13>Oct 11 22:14:15 host app[1]: text\n',
    b"2026-01-02 03:04:05 ERROR host app[9]: bob@example.com failed from 192.168.1.1\nanything else at all\n",
    b'{"resourceLogs":[]}',
    b'{"resourceLogs":[{"resource":{"attributes":[{"key":"a","value":{"intValue":"1"}}]},"scopeLogs":[{"scope":{"name":'
    b'"s"},"logRecords":[{"timeUnixNano":"1760000000000000000","body":{"stringValue":"m"},"traceId":"00ff"}]}]}]}',
    b"\x0a\x23\x0a\x0b\x0a\x09\x0a\x01a\x12\x04\x0a\x02bc\x12\x14\x0a\x03\x0a\x01s\x12\x0d\x10\x09\x2a\x06\x0a\x04text\x52\x01\xff",
    rb'[{"msg":"\ud800 lone","big":123456789012345678901234567890,"f":1e400}]',
]
_WORDS: Final = [*bodies._BYTES, *bodies._JSON, *bodies._TEXT, *bodies._JSON_LINES, b"bob@example.com", b"%40", b"::1"]
_FILE: Final = b"""server: {workers: 1, drain_timeout: 15}
auth: {mode: hmac, clock_tolerance: 300, failures: {capacity: 10}}
ratelimit: {unit: events, per_emitter: {capacity: 10, refill_per_sec: 0.5}, overrides: {csv: {capacity: 1000}}}
pii: {fields: [a, b], encrypt: false}
tls: {cert_file: ""}
state: {backend: redis, redis_url: "redis://:pw@host:6379/0"}
"""
_KEYS: Final = b"""clients:
  web-1: {secrets: [TOP-SECRET-now, TOP-SECRET-before], emitter: web, emitters: [web, batch]}
  app: {secrets: [{file: elsewhere}], emitter: app}
"""

TARGETS: Final[dict[str, Target]] = {
    "masks": Target(
        masks,
        [number.to_bytes(4, "big") + text.encode() for number, text in enumerate(PII + NEAR)],
        [text.encode() for text in PII + NEAR]
        + [
            b"%3D",
            b"%20",
            b"%2540",
            b"%",
            b"\\u0040",
            b"\\n",
            b"\\",
            b'"',
            b"&#64;",
            b"&lt;",
            b"password=",
            b"token: ",
            b":",
            b"://u:p@",
            b"Cookie: ",
            b"Authorization: ",
            b"-----BEGIN PRIVATE KEY-----",
            b"ghp_",
            b"AKIA",
            b"^",
            b"\xc2\xa0",
        ],
    ),
    "http": Target(
        http,
        [
            b"\x00\x07" + data
            for data in (*(case.data for case in BAD), *(data for _, data in GOOD))
            if len(data) < 3000
        ],
        [
            b"\r\n",
            b"\r",
            b"\n",
            b"\0",
            b" ",
            b"\t",
            b":",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"0\r\n\r\n",
            b"5\r\nhello\r\n",
            b"Expect: 100-continue\r\n",
            b"Connection: close\r\n",
            b"HTTP/1.0",
            b"Host: a\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\xff",
            b";",
            b",",
            b"_",
            b"-",
            b"HEAD",
            b"Connection: keep-alive\r\n",
        ],
    ),
    "parsers": Target(parsers, [bytes([n]) + seed for seed in _JSON_SEEDS for n in range(len(FORMATS))], _WORDS),
    "normaliser": Target(normaliser, [bytes([n]) + seed for seed in _JSON_SEEDS for n in range(16)], _WORDS),
    "encodings": Target(
        encodings,
        [
            gzip.compress(b"hello" * 9, mtime=0),
            gzip.compress(b"", mtime=0) * 3,
            gzip.compress(bytes(9000), mtime=0),
            zstandard.compress(b"hello" * 9),
            zstandard.compress(b"a") + zstandard.compress(bytes(9000)),
            zstandard.ZstdCompressor(write_content_size=False, write_checksum=True).compress(b"abc" * 50),
        ],
        [b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"\0\0\0\0", b"\xff\xff\xff\xff"],
    ),
    "headers": Target(
        headers,
        [
            b"\n".join(
                value.encode()
                for value in (
                    _SIGNED["X-Api-Key"],
                    _SIGNED["X-Timestamp"],
                    _SIGNED["X-Nonce"],
                    _SIGNED["X-Content-SHA256"],
                    _SIGNED["X-Signature"],
                    "web",
                    "s1",
                    "b1",
                    "application/json",
                    "gzip",
                )
            ),
            b"kX2vQ9bT7mLs4RzW8nYp3c",
            b"web-1:kX2vQ9bT7mLs4RzW8nYp3c",
            b"\n" * 10 + b"Bearer kX2vQ9bT7mLs4RzW8nYp3c",
            b"\n" * 10 + b"Basic d2ViLTE6a1gydlE5YlQ3bUxzNFJ6Vzhuk",
            b"web-1\n2025-10-09T08:53:20Z\n\n" + b"a" * 64 + b"\n" + b"A" * 43 + b"=",
        ],
        [b"9999-12-31T23:59:59-23:59", b"0001-01-01T00:00:00+23:59", b"\xff", b"\xc3\xa9", b"1_0", b"=", b"\0", b"%0a"],
    ),
    "config": Target(
        config,
        [_FILE, b"{}", b"", b"server:\n  workers: auto\n"],
        [
            b"&a ",
            b"*a",
            b"<<: ",
            b"!!python/object ",
            b"!!binary ",
            b"---\n",
            b"...\n",
            b"? ",
            b"- ",
            b": ",
            b"{",
            b"}",
            b"[",
            b"]",
            b".nan",
            b".inf",
            b"-.inf",
            b"1e999",
            b"0x10",
            b"0o7",
            b"1_000",
            b"2024-99-99",
            b"null",
            b"~",
            b"yes",
            b"'",
            b'"',
            b"|\n",
            b"\t",
            b"\xff",
            b"\xef\xbb\xbf",
            b"ratelimit",
            b"overrides",
            b"9" * 400,
            b"\0",
        ],
    ),
    "environment": Target(
        environment,
        [
            b"LOGOPS_SERVER__WORKERS=2\nLOGOPS_RATELIMIT__PER_EMITTER__CAPACITY=500\nLOGOPS_SINK_DIR=/x\nPATH=/bin",
            b"LOGOPS_PII__FIELDS=[a, b]\nLOGOPS_ENCRYPT_PII=true\nLOGOPS_SECRET_KEY=k\nLOGOPS_ENCRYPT_FIELDS=a,b",
            b"LOGOPS_RATELIMIT__OVERRIDES__CSV__CAPACITY=1\nLOGOPS_RETENTION_DAYS=3\nLOGOPS_ARCHIVE_MODE=zip",
            b"LOGOPS_RATELIMIT__OVERRIDES={csv: {capacity: 1}}\nLOGOPS_HOUSEKEEP_INTERVAL_SEC=9",
        ],
        [
            b"LOGOPS_",
            b"__",
            b"=",
            b"\n",
            b"AUTH",
            b"nan",
            b"inf",
            b"[",
            b"{",
            b"}",
            b"]",
            b"'",
            b"\xff",
            b"1e999",
            b"\0",
        ],
    ),
    "keys": Target(
        keys,
        [_KEYS, b"clients: {}"],
        [
            b"&a ",
            b"*a",
            b"<<: ",
            b"secrets",
            b"emitter",
            b"emitters",
            b"tokens",
            b"modes",
            b"sha256:",
            b"file",
            b"[",
            b"]",
            b"{",
            b"}",
            b"- ",
            b": ",
            b"\n",
            b"TOP-SECRET",
            b"'",
            b'"',
            b"\xc3\xa9",
            b"\0",
            b"!!binary ",
            b"|\n",
            b"123",
        ],
    ),
}

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats.signature import (
    SIGNED_FIELDS,
    SigningKey,
    canonical,
    canonical_v2,
    sign,
    signed_headers,
    target_of,
)
from tests.support.signing import signed, signed_v2
from tests.support.tables import each_of

ROOT = Path(__file__).parents[2]
VECTORS: list[dict[str, Any]] = json.loads((ROOT / "tests/data/signature_vectors.json").read_text("utf-8"))
each_vector = pytest.mark.parametrize("vector", VECTORS, ids=[v["name"] for v in VECTORS])


@each_of("vector", VECTORS)
def test_the_vectors_are_ours(vector: dict[str, Any]) -> None:
    if vector.get("version") == 2:
        message = canonical_v2(
            vector["method"].encode(),
            vector["target"].encode(),
            vector["content_sha256"].encode(),
            vector["timestamp"].encode(),
            vector["nonce"].encode(),
            {name.lower().encode(): value.encode() for name, value in vector["fields"].items()},
            vector["audience"].encode(),
        )
        assert SigningKey(vector["secret"].encode()).signature(message).decode() == vector["signature"]
        return
    signature = sign(
        vector["secret"].encode(),
        vector["method"].encode(),
        vector["target"].encode(),
        vector["content_sha256"].encode(),
        vector["timestamp"].encode(),
        vector["nonce"].encode(),
    )
    assert signature.decode() == vector["signature"]


@each_vector
@pytest.mark.service
def test_the_vectors_are_those_of_openssl(vector: dict[str, Any]) -> None:
    if shutil.which("openssl") is None:
        from tests.support.services import require_service

        require_service("openssl")
    options: list[str] = []
    if vector.get("version") == 2:
        fields = dict(vector["fields"])
        options = ["--v2", "--audience", vector["audience"], "-t", fields.pop("Content-Type")]
        options += [word for name, value in fields.items() for word in ("-H", f"{name.lower()}:  {value} ")]
    done = subprocess.run(
        [str(ROOT / "tools/hmac_curl.sh"), "--print", "-k", "web-1", "-s", vector["secret"], "-X", vector["method"],
         *options,
         "--ts", vector["timestamp"], "--nonce", vector["nonce"], "http://127.0.0.1:8081" + vector["target"], "@-"],
        input=vector["body"].encode(), capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = dict(line.split(": ", 1) for line in done.stdout.decode().splitlines())
    assert printed.pop("X-Nonce", "") == vector["nonce"]
    assert printed.pop("X-Signature-Version", "1") == str(vector.get("version", 1))
    assert printed == {
        "X-Api-Key": "web-1",
        "X-Timestamp": vector["timestamp"],
        "X-Content-SHA256": vector["content_sha256"],
        "X-Signature": vector["signature"],
    }


@given(st.text(min_size=1), st.binary(max_size=200))
def test_signed_headers_are_those_of_the_standard_library(secret: str, body: bytes) -> None:
    key = SigningKey(secret.encode("utf-8", "replace"))
    ours = signed_headers("web-1", key, b"POST", b"/ingest?a=1", body, timestamp=b"1735689600", nonce=b"nonce-0001")
    theirs = signed(
        "web-1",
        secret.encode("utf-8", "replace").decode(),
        body,
        target="/ingest?a=1",
        timestamp="1735689600",
        nonce="nonce-0001",
    )
    assert {name.decode(): value.decode() for name, value in ours} == theirs


def test_signed_headers_of_version_2_are_those_of_the_standard_library() -> None:
    fields = {"Content-Type": "text/csv", "X-Batch-Id": "b-1", "X-Other": "not signed"}
    ours = signed_headers(
        "web-1",
        SigningKey(b"secret"),
        b"POST",
        b"/ingest",
        b"x",
        timestamp=b"1735689600",
        nonce=b"nonce-0001",
        fields={name.lower().encode(): value.encode() for name, value in fields.items()},
        audience=b"here",
    )
    theirs = signed_v2("web-1", "secret", b"x", fields, timestamp="1735689600", nonce="nonce-0001", audience="here")
    assert {name.decode(): value.decode() for name, value in ours} == theirs


def test_no_value_can_move_to_another_line_of_version_2() -> None:
    """Each field has its line, sent or not: a value of one is never that of another."""
    parts = (b"POST", b"/ingest", b"a" * 64, b"1735689600", b"nonce-0001")
    messages = {canonical_v2(*parts, {name: b"value"}) for name in SIGNED_FIELDS}
    messages |= {canonical_v2(*parts, {}, b"value"), canonical_v2(*parts, {}), canonical(*parts)}
    assert len(messages) == len(SIGNED_FIELDS) + 3
    assert {message.count(b"\n") for message in messages} == {4, 12}


def test_a_key_signs_many_messages_independently() -> None:
    key = SigningKey(b"s3cr3t-now")
    message = canonical(b"POST", b"/ingest", b"a" * 64, b"1", b"")
    assert key.signature(message) == key.signature(message) != key.signature(message + b"x")


def test_without_a_nonce_none_is_sent_and_the_last_line_is_empty() -> None:
    fields = dict(signed_headers("a", SigningKey(b"k"), b"POST", b"/", b"", timestamp=b"1"))
    assert b"X-Nonce" not in fields
    assert fields[b"X-Signature"] == sign(b"k", b"POST", b"/", fields[b"X-Content-SHA256"], b"1", b"")


@each_of(
    ("url", "target"),
    [
        ("http://h:1/ingest", b"/ingest"),
        ("http://h", b"/"),
        ("http://h?x=1", b"/?x=1"),
        ("http://h/a?b=c&d=%20#part", b"/a?b=c&d=%20"),
        ("/ingest?x", b"/ingest?x"),
        ("http://h/a b/ż", b"/a%20b/%C5%BC"),
        ("http://h/%2e%2E//a", b"/%2e%2E//a"),
    ],
)
def test_the_target_of_a_url_is_path_and_query(url: str, target: bytes) -> None:
    assert target_of(url) == target

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.authgw.diagnosis import Finding, Signed, diagnose
from logops_fast.authgw.hmac_auth import HmacAuth, Verified
from logops_fast.config.keys_file import Client, Keyring
from tests.support.signing import signed, signed_v2
from tests.support.tables import each_of

NOW = 1735689600.0
SECRET = "s3cr3t-now"
RING = Keyring.of(
    [
        Client("web-1", (SECRET.encode(), b"s3cr3t-before"), "web", frozenset({"web"})),
        Client("app-1", (b"another-secret",), "app", frozenset({"app"})),
    ]
)


def findings(
    headers: dict[str, str],
    *,
    method: str = "POST",
    target: str = "/ingest?a=1",
    body: bytes | None = b'{"a":1}',
    require_nonce: bool = True,
) -> dict[str, Finding]:
    lower = {name.lower().encode(): value.encode() for name, value in headers.items()}
    request = Signed(method.encode(), target.encode(), lower, body)
    found = diagnose(request, RING, tolerance=300, require_nonce=require_nonce, now=NOW)
    return {finding.part: finding for finding in found}


def head(secret: str = SECRET, key: str = "web-1", **parts: Any) -> dict[str, str]:
    parts = {"target": "/ingest?a=1", "timestamp": "1735689600", "nonce": "nonce-0001", **parts}
    return signed(key, secret, parts.pop("body", b'{"a":1}'), **parts)


def wrong(found: dict[str, Finding]) -> dict[str, str]:
    return {part: finding.detail for part, finding in found.items() if finding.ok is False}


def test_a_right_request_has_nothing_wrong() -> None:
    assert [finding.ok for finding in findings(head()).values()] == [True] * 6
    assert findings(head("s3cr3t-before"))["signature"].detail == "matches the client's second secret"


@each_of(
    ("headers", "expected"),
    [
        (head(timestamp="1735689000"), {"clock": "X-Timestamp is 600 s behind this clock; 300 s are allowed"}),
        (head(timestamp="1735690000"), {"clock": "X-Timestamp is 400 s ahead of this clock; 300 s are allowed"}),
        (
            head(timestamp="1735689600000"),
            {"timestamp": "X-Timestamp must be whole seconds; this looks like milliseconds"},
        ),
        (
            head(timestamp="today"),
            {"timestamp": "X-Timestamp must be ISO 8601 with Z or an offset, or whole epoch seconds"},
        ),
        (head(nonce="short"), {"nonce": "X-Nonce must be 8 to 128 characters of A-Z a-z 0-9 . _ ~ -"}),
        (head(nonce=""), {"nonce": "X-Nonce is missing"}),
        (
            head(body=b"other"),
            {"digest": "X-Content-SHA256 is not that of the body's 7 bytes as sent"},
        ),
        (
            head(body=b'{"a":1}\n'),
            {"digest": "X-Content-SHA256 is that of the body followed by a line end"},
        ),
        (head(body=b""), {"digest": "X-Content-SHA256 is that of an empty body"}),
        (head(digest="f" * 63), {"digest": "X-Content-SHA256 must be 64 hexadecimal digits"}),
        (
            head(key="web-2"),
            {
                "client": "X-Api-Key names no client of the keys file",
                "signature": "was made with the secret of client web-1",
            },
        ),
        (
            head("nobody's-secret", key="web-2"),
            {"client": "X-Api-Key names no client of the keys file", "signature": "matches no client of the keys file"},
        ),
        (head("another-secret"), {"signature": "was made with the secret of client app-1"}),
        (
            head("wrong-secret"),
            {"signature": "does not match: a wrong secret, or more than one part differs from what was signed"},
        ),
        (head(SECRET + "\n"), {"signature": "was made with a line end after the secret"}),
        (head(method="GET"), {"signature": "was made over another method, GET"}),
        (head(method="post"), {"signature": "was made over another method, post"}),
        (head(target="/ingest"), {"signature": "was made over the target without its query"}),
        (head(target="/v1/logs"), {"signature": "was made over another target, '/v1/logs'"}),
    ],
)
def test_the_part_that_is_wrong_is_found(headers: dict[str, str], expected: dict[str, str]) -> None:
    assert wrong(findings(headers)) == expected


def test_each_missing_header_is_found() -> None:
    assert wrong(findings({})) == {
        "timestamp": "X-Timestamp is missing",
        "nonce": "X-Nonce is missing",
        "digest": "X-Content-SHA256 is missing",
        "client": "X-Api-Key is missing",
        "signature": "X-Signature is missing",
    }


@pytest.mark.parametrize(
    "spell",
    [
        lambda raw: raw.hex(),
        lambda raw: base64.b64encode(raw).decode().rstrip("="),
        lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
    ],
)
def test_a_right_signature_in_a_wrong_spelling_is_told(spell: Any) -> None:
    headers = head()
    headers["X-Signature"] = spell(base64.b64decode(headers["X-Signature"]))
    assert wrong(findings(headers))["signature"].startswith("is the right HMAC")
    headers["X-Signature"] = "not base64!"
    assert wrong(findings(headers))["signature"] == "X-Signature is not the base64 of 32 bytes"


def test_without_the_body_its_digest_is_not_judged() -> None:
    assert findings(head(), body=None)["digest"].ok is None


def test_a_nonce_that_is_not_required_need_not_be_sent() -> None:
    assert wrong(findings(head(nonce=""), require_nonce=False)) == {}


def test_a_signature_over_the_digest_in_upper_case_is_told() -> None:
    lower = head()
    upper = lower["X-Content-SHA256"].upper()
    message = "\n".join(("POST", "/ingest?a=1", upper, "1735689600", "nonce-0001"))
    import hmac

    mac = hmac.digest(SECRET.encode(), message.encode(), "sha256")
    headers = {**lower, "X-Content-SHA256": upper, "X-Signature": base64.b64encode(mac).decode()}
    assert wrong(findings(headers)) == {"signature": "was made over the digest in upper case"}


NAMES = ["X-Api-Key", "X-Timestamp", "X-Nonce", "X-Content-SHA256", "X-Signature"]


@given(st.sampled_from(NAMES), st.binary(max_size=70), st.booleans())
def test_what_the_gateway_refuses_is_found_wrong_and_the_other_way_round(
    name: str, value: bytes, require_nonce: bool
) -> None:
    headers = {key.lower().encode(): text.encode() for key, text in head().items()}
    headers[name.lower().encode()] = value
    auth = HmacAuth(RING, mode="hmac", tolerance=300, require_nonce=require_nonce, wall=lambda: NOW)
    verdict = auth.verify("POST", b"/ingest?a=1", headers)
    request = Signed(b"POST", b"/ingest?a=1", headers, None)
    found = diagnose(request, RING, tolerance=300, require_nonce=require_nonce, now=NOW)
    assert isinstance(verdict, Verified) is all(finding.ok is not False for finding in found)


FIELDS = {"Content-Type": "application/json", "X-Batch-Id": "b-1"}


def head_v2(fields: dict[str, str] | None = None, **parts: Any) -> dict[str, str]:
    parts = {"target": "/ingest?a=1", "timestamp": "1735689600", "nonce": "nonce-0001", **parts}
    return {**FIELDS, **signed_v2("web-1", SECRET, b'{"a":1}', FIELDS if fields is None else fields, **parts)}


def test_a_right_request_of_version_2_has_nothing_wrong() -> None:
    assert wrong(findings(head_v2())) == {}


@each_of(
    ("headers", "cause"),
    [
        (head_v2({"Content-Type": "application/json"}), "was made over an empty X-Batch-Id"),
        (head_v2({"X-Batch-Id": "b-1"}), "was made over an empty Content-Type"),
        (head_v2(target="/ingest"), "was made over the target without its query"),
        ({**FIELDS, **head(), "X-Signature-Version": "2"}, "was made over the string of version 1"),
        (head_v2() | {"X-Signature-Version": "1"}, "was made over the string of version 2"),
        (head_v2({}), "does not match: a wrong secret, or more than one part differs from what was signed"),
    ],
)
def test_what_went_wrong_with_version_2_is_found(headers: dict[str, str], cause: str) -> None:
    assert wrong(findings(headers)) == {"signature": cause}


def test_a_forgotten_audience_is_found() -> None:
    lower = {name.lower().encode(): value.encode() for name, value in head_v2().items()}
    request = Signed(b"POST", b"/ingest?a=1", lower, b'{"a":1}')
    found = diagnose(request, RING, tolerance=300, require_nonce=True, now=NOW, audience="eu")
    assert [finding.detail for finding in found if finding.ok is False] == ["was made over no audience"]


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        (head() | {"X-Signature-Version": "3"}, "X-Signature-Version must be 1 or 2, or left out"),
        (head_v2() | {"X-Scenario": "s"}, "version 2 does not cover X-Scenario: send X-Scenario-Id in its place"),
    ],
)
def test_what_is_wrong_with_the_version_is_found(headers: dict[str, str], detail: str) -> None:
    assert wrong(findings(headers))["version"] == detail

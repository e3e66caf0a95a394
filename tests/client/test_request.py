from __future__ import annotations

import pytest

from logops_fast.client.request import MAX_WAIT, Credentials, Signer, judge, unanswered
from tests.support.signing import signed, signed_v2
from tests.support.tables import each_of


def body(reason: str) -> bytes:
    return b'{"error":"%b","detail":"No."}' % reason.encode()


@each_of(
    ("status", "reason", "outcome"),
    [
        (429, "rate_limited", "again"),
        (500, "internal_error", "again"),
        (502, "downstream_error", "again"),
        (503, "overloaded", "again"),
        (504, "downstream_timeout", "again"),
        (401, "replay", "again"),
        (401, "bad_signature", "refused"),
        (403, "emitter_not_allowed", "refused"),
        (413, "too_many_items", "split"),
        (413, "too_large", "split"),
        (415, "unsupported_media_type", "refused"),
        (422, "no_valid_events", "refused"),
    ],
)
def test_what_an_answer_means(status: int, reason: str, outcome: str) -> None:
    verdict = judge(status, {}, body(reason), 1)
    assert (verdict.outcome, verdict.reason) == (outcome, f"{status} {reason}")
    assert (verdict.wait > 0) == (outcome == "again")


def test_a_stored_batch_says_how_many_events_were_accepted() -> None:
    verdict = judge(200, {}, b'{"accepted":7,"rejected":2}', 1)
    assert (verdict.outcome, verdict.accepted, verdict.rejected) == ("stored", 7, 2)


@pytest.mark.parametrize(
    ("value", "least", "most"), [(b"7", 7, 7), (b"99999", MAX_WAIT, MAX_WAIT), (b"soon", 0.05, 0.3)]
)
def test_retry_after_is_obeyed_within_reason(value: bytes, least: float, most: float) -> None:
    assert least <= judge(503, {b"retry-after": value}, b"", 1).wait <= most


@each_of("attempts", [1, 2, 5, 10_000])
def test_the_backoff_grows_to_its_bound(attempts: int) -> None:
    verdict = unanswered("ConnectionRefusedError", attempts)
    assert verdict.outcome == "again"
    assert 0 < verdict.wait <= min(5.0, 0.1 * 2 ** min(attempts, 20))


@each_of("text", [b"<html>", b"[]", b'{"error":5}', b'{"error":"two words\\n"}'])
def test_a_foreign_body_becomes_no_word_of_ours(text: bytes) -> None:
    assert judge(400, {}, text, 1).reason == "400 unknown"


def test_each_try_is_signed_anew_and_keeps_its_batch_id() -> None:
    signer = Signer(Credentials("http://h:1/in?x=1", "k", "secret"), "web", "sc-1")
    batch_id = signer.batch_id()
    first, second = (dict(signer.headers(b"{}", batch_id)) for _ in range(2))
    assert first[b"X-Batch-Id"] == second[b"X-Batch-Id"] == batch_id
    assert first[b"X-Nonce"] != second[b"X-Nonce"]
    assert (first[b"X-Emitter"], first[b"X-Scenario-Id"]) == (b"web", b"sc-1")
    text = {name.decode(): value.decode() for name, value in first.items()}
    expected = signed_v2(
        "k", "secret", b"{}", text, target="/in?x=1", timestamp=text["X-Timestamp"], nonce=text["X-Nonce"]
    )
    assert expected.items() <= text.items()


def test_a_signer_may_name_an_audience_or_sign_for_an_older_gateway() -> None:
    credentials = Credentials("http://h/", "k", "secret")
    text = {n.decode(): v.decode() for n, v in Signer(credentials, None, None, audience="eu").headers(b"{}", b"b-1")}
    stamps = {"timestamp": text["X-Timestamp"], "nonce": text["X-Nonce"]}
    assert signed_v2("k", "secret", b"{}", text, target="/", audience="eu", **stamps).items() <= text.items()
    text = {n.decode(): v.decode() for n, v in Signer(credentials, None, None, signature_version=1).headers(b"", b"b")}
    assert "X-Signature-Version" not in text
    stamps = {"timestamp": text["X-Timestamp"], "nonce": text["X-Nonce"]}
    assert signed("k", "secret", b"", target="/", **stamps).items() <= text.items()
    with pytest.raises(ValueError, match="signature_version"):
        Signer(credentials, None, None, signature_version=3)


def test_batch_ids_never_repeat_also_after_a_fork() -> None:
    signer = Signer(Credentials("http://h/", "k", "s"), None, None)
    ids = {signer.batch_id() for _ in range(100)}
    signer.renew()
    assert len(ids | {signer.batch_id() for _ in range(100)}) == 200


def test_the_environment_fills_in_what_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENTRYPOINT_URL", "LOGOPS_API_KEY", "LOGOPS_SECRET"):
        monkeypatch.setenv(name, name.lower())
    found = Credentials.of("http://h/", None, None)
    assert found == Credentials("http://h/", "logops_api_key", "logops_secret")
    assert "logops_secret" not in repr(found)
    monkeypatch.setenv("LOGOPS_TOKEN", "of-env")
    assert Credentials.of("http://h/", None, None).token == ""
    assert Credentials.of("http://h/", None, None, "given") == Credentials("http://h/", token="given")
    monkeypatch.delenv("LOGOPS_SECRET")
    assert Credentials.of("http://h/", None, None) == Credentials("http://h/", token="of-env")
    assert Credentials.of("http://h/", None, "a-secret").token == ""
    monkeypatch.delenv("LOGOPS_TOKEN")
    with pytest.raises(ValueError, match="LOGOPS_SECRET"):
        Credentials.of(None, None, None)
    with pytest.raises(ValueError, match="or token alone"):
        Credentials.of(None, "k", None, "a-token")


def test_names_are_checked_at_once() -> None:
    with pytest.raises(ValueError, match="X-Emitter"):
        Signer(Credentials("http://h/", "k", "s"), "a\r\nb", None)


def test_a_token_is_sent_in_place_of_a_signature() -> None:
    fields = dict(Signer(Credentials("https://h/", token="t0k3n"), "web", None).headers(b"{}", b"b-1"))
    assert fields == {
        b"Content-Type": b"application/x-ndjson",
        b"X-Emitter": b"web",
        b"Authorization": b"Bearer t0k3n",
        b"X-Batch-Id": b"b-1",
    }


@each_of("host", ["127.0.0.1", "127.8.8.8", "localhost", "[::1]"])
def test_a_token_may_go_over_plain_http_to_this_machine(host: str) -> None:
    assert Signer(Credentials(f"http://{host}:8081/ingest", token="t"), None, None).headers(b"", b"b")


@each_of("host", ["gateway", "10.1.2.3", "localhost.example.com", "[2001:db8::1]"])
def test_a_token_goes_nowhere_else_unencrypted_unless_allowed(host: str) -> None:
    credentials = Credentials(f"http://{host}/ingest", token="hidden-token")
    with pytest.raises(ValueError, match="unencrypted") as caught:
        Signer(credentials, None, None)
    assert "hidden-token" not in str(caught.value)
    assert Signer(credentials, None, None, plaintext_token=True).headers(b"", b"b")


def test_a_token_cannot_add_a_header() -> None:
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        Signer(Credentials("https://h/", token="hidden\r\nX-Emitter: other"), None, None)
    assert "hidden" not in str(caught.value)


def test_a_refusal_keeps_the_gateways_sentence_on_one_line() -> None:
    verdict = judge(403, {}, b'{"error":"tls_required","detail":"Use\\nhttps."}', 1)
    assert (verdict.reason, verdict.detail) == ("403 tls_required", "Use\\nhttps.")
    assert judge(403, {}, b'{"error":"x","detail":5}', 1).detail == ""
    assert len(judge(403, {}, b'{"error":"x","detail":"%b"}' % (b"a" * 5000), 1).detail) == 300


def test_a_batch_given_up_says_what_stopped_it() -> None:
    given_up = unanswered("timed out", 3).given_up("retried_too_long")
    assert (given_up.outcome, given_up.reason) == ("refused", "retried_too_long: timed out")

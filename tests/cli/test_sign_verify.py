from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Logops
from tests.support.signing import signed, signed_v2


def headers(out: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in out.splitlines())


def test_sign_prints_what_the_standard_library_would(logops: Logops, keys: Path) -> None:
    done = logops("sign", "POST", "http://h:1/ingest?a=1", "{}", "--ts", "1735689600", "--nonce", "nonce-0001")
    expected = signed("demo", "demo-secret", b"{}", target="/ingest?a=1", timestamp="1735689600", nonce="nonce-0001")
    assert done.code == 0
    assert headers(done.out) == expected


@pytest.mark.parametrize(
    ("options", "env", "key", "secret"),
    [
        ([], {}, "demo", "demo-secret"),
        (["--key", "web-1"], {}, "web-1", "s3cr3t-now"),
        (["--key", "new", "--secret", "given"], {}, "new", "given"),
        (["--key", "new", "--secret-file", "s.txt"], {}, "new", "of-a-file"),
        (["--secret", "wrong"], {}, "demo", "wrong"),
        ([], {"LOGOPS_API_KEY": "web-1"}, "web-1", "s3cr3t-now"),
        ([], {"LOGOPS_API_KEY": "env", "LOGOPS_SECRET": "of-env"}, "env", "of-env"),
        (["--key", "web-1"], {"LOGOPS_API_KEY": "env", "LOGOPS_SECRET": "of-env"}, "web-1", "s3cr3t-now"),
    ],
)
def test_sign_takes_the_nearest_credentials(
    logops: Logops,
    keys: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    env: dict[str, str],
    key: str,
    secret: str,
) -> None:
    (logops.folder / "s.txt").write_text("of-a-file\n")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    done = logops("sign", "POST", "/ingest", "{}", "--ts", "1", "--nonce", "nonce-0001", *options)
    assert headers(done.out) == signed(key, secret, b"{}", timestamp="1", nonce="nonce-0001")


def test_sign_without_a_keys_file_says_how_to_get_one(logops: Logops) -> None:
    done = logops("sign", "POST", "/", "{}")
    assert done.code == 2
    assert "data/keys.yaml is not there: start `logops up` in this folder" in done.err


def test_sign_says_what_it_misses(logops: Logops, keys: Path) -> None:
    assert logops("sign", "POST", "/", "--key", "nobody").err.startswith("logops: data/keys.yaml has no client nobody")
    keys.write_text("clients: {a: {secrets: [aaaaaaaa]}, b: {secrets: [bbbbbbbb]}}")
    assert logops("sign", "POST", "/").err == "logops: data/keys.yaml has 2 clients; say which with --key\n"


def test_sign_as_json_and_as_curl(logops: Logops, keys: Path) -> None:
    stamps = ("--ts", "1", "--nonce", "nonce-0001")
    expected = signed("demo", "demo-secret", b"@'{}", timestamp="1", nonce="nonce-0001")
    as_json = json.loads(logops("sign", "POST", "http://h/ingest", "@'{}", *stamps, "--json").out)
    assert as_json == {"method": "POST", "url": "http://h/ingest", "headers": expected}
    words = shlex.split(logops("sign", "POST", "http://h/ingest", "@'{}", *stamps, "--curl").out)
    assert words[:6] == ["curl", "-sS", "--path-as-is", "--globoff", "-X", "POST"]
    assert words[-4:] == ["--data-raw", "@'{}", "--", "http://h/ingest"]
    assert {f"{name}: {value}" for name, value in expected.items()} < set(words)


def test_the_url_for_curl_is_the_one_that_was_signed(logops: Logops, keys: Path) -> None:
    stamps = ("--ts", "1", "--nonce", "nonce-0001")
    words = shlex.split(logops("sign", "POST", "http://h:1/ingest/a b?q=ü|%20#part", "{}", *stamps, "--curl").out)
    assert words[-1] == "http://h:1/ingest/a%20b?q=%C3%BC%7C%20"
    expected = signed(
        "demo", "demo-secret", b"{}", target="/ingest/a%20b?q=%C3%BC%7C%20", timestamp="1", nonce="nonce-0001"
    )
    assert f"X-Signature: {expected['X-Signature']}" in words


def test_the_body_may_be_a_file(logops: Logops, keys: Path) -> None:
    (logops.folder / "b.json").write_bytes(b"\xff\n")
    done = logops("sign", "POST", "/ingest", "--body-file", "b.json", "--ts", "1", "--nonce", "nonce-0001")
    assert headers(done.out) == signed("demo", "demo-secret", b"\xff\n", timestamp="1", nonce="nonce-0001")


def test_every_signature_has_another_nonce(logops: Logops, keys: Path) -> None:
    nonces = {headers(logops("sign", "POST", "/", *more).out)["X-Nonce"] for more in ([], [], ["--nonce"], ["--nonce"])}
    assert len(nonces) == 4
    assert "X-Nonce" not in headers(logops("sign", "POST", "/", "--nonce", "").out)


@pytest.mark.parametrize(
    ("sign", "method", "url", "body", "wrong", "answer"),
    [
        ([], "POST", "/ingest", "{}", [], "the gateway would accept it"),
        (["--ts-offset", "-900"], "POST", "/ingest", "{}", ["clock"], "the gateway would answer 401 clock_skew"),
        (["--ts", "soon"], "POST", "/ingest", "{}", ["timestamp"], "the gateway would answer 401 bad_timestamp"),
        (["--nonce", "short"], "POST", "/ingest", "{}", ["nonce"], "the gateway would answer 401 bad_nonce"),
        (["--nonce", ""], "POST", "/ingest", "{}", ["nonce"], "the gateway would answer 401 missing_headers"),
        ([], "POST", "/ingest", "{ }", ["digest"], "the gateway would answer 401 bad_content_sha256"),
        (
            ["--key", "nobody", "--secret", "x"],
            "POST", "/ingest", "{}", ["client", "signature"], "the gateway would answer 401 unknown_client",
        ),
        (["--secret", "wrong"], "POST", "/ingest", "{}", ["signature"], "the gateway would answer 401 bad_signature"),
        ([], "PUT", "/ingest", "{}", ["signature"], "the gateway would answer 401 bad_signature"),
        ([], "POST", "/v1/logs", "{}", ["signature"], "the gateway would answer 401 bad_signature"),
    ],
)  # fmt: skip
def test_verify_names_the_part_that_is_wrong(
    logops: Logops, keys: Path, sign: list[str], method: str, url: str, body: str, wrong: list[str], answer: str
) -> None:
    head = logops("sign", "POST", "/ingest", "{}", *sign).out
    (logops.folder / "head.txt").write_text("POST /ingest HTTP/1.1\nHost: h\n" + head)
    done = logops("verify", method, url, body, "--headers", "head.txt")
    lines = done.out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("WRONG")] == wrong
    assert lines[-1] == answer
    assert done.code == (1 if wrong else 0)


@pytest.mark.parametrize(
    ("token", "wrong", "answer"),
    [
        ("kX2vQ9bT7mLs4RzW8nYp3c", [], "the gateway would accept it"),
        ("kX2vQ9bT7mLs4RzW8nYp3d", ["token"], "the gateway would answer 401 unknown_client"),
    ],
)
def test_verify_judges_a_token_too(logops: Logops, keys: Path, token: str, wrong: list[str], answer: str) -> None:
    keys.write_text("clients: {app-2: {tokens: [kX2vQ9bT7mLs4RzW8nYp3c]}}")
    (logops.folder / "logops.yaml").write_text("auth: {mode: any}\n")
    done = logops("verify", "POST", "/ingest", "{}", "-H", f"Authorization: Bearer {token}")
    lines = done.out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("WRONG")] == wrong
    assert lines[-1] == answer
    assert done.code == (1 if wrong else 0)
    assert token not in done.out


STAMPS = ("--ts", "1735689600", "--nonce", "nonce-0001")


def test_sign_by_version_2_covers_the_headers_that_are_given(logops: Logops, keys: Path) -> None:
    fields = {"X-Batch-Id": "b-1", "Content-Type": "text/csv"}
    options = ["--signature-version", "2", "-H", "X-Batch-Id: b-1", "-H", "Content-Type:text/csv", "--audience", "eu"]
    done = logops("sign", "POST", "/ingest", "{}", *STAMPS, *options)
    expected = signed_v2(
        "demo", "demo-secret", b"{}", fields, timestamp="1735689600", nonce="nonce-0001", audience="eu"
    )
    assert headers(done.out) == {**fields, **expected}
    words = shlex.split(logops("sign", "POST", "http://h/ingest", "{}", *STAMPS, *options, "--curl").out)
    assert "Content-Type: text/csv" in words
    assert "Content-Type: application/json" not in words
    assert logops("sign", "POST", "/", "-H", "nonsense").err == "logops: a header must be written as Name: value\n"


def test_a_client_held_to_version_2_is_signed_for_so(logops: Logops, keys: Path) -> None:
    keys.write_text("clients: {web-1: {secrets: [s3cr3t-now], signature_version: 2}}")
    (logops.folder / "logops.yaml").write_text("auth: {audience: eu}")
    head = logops("sign", "POST", "/ingest", "{}").out
    assert headers(head)["X-Signature-Version"] == "2"
    (logops.folder / "head.txt").write_text(head)
    assert logops("verify", "POST", "/ingest", "{}", "--headers", "head.txt").code == 0
    (logops.folder / "head.txt").write_text(logops("sign", "POST", "/ingest", "{}", "--signature-version", "1").out)
    done = logops("verify", "POST", "/ingest", "{}", "--headers", "head.txt")
    assert done.out.splitlines()[-1] == "the gateway would answer 401 bad_signature_version"
    assert "held to version 2" in done.out


def test_verify_takes_headers_as_options_and_answers_in_json(logops: Logops, keys: Path) -> None:
    head = logops("sign", "POST", "/ingest", "{}", "--ts", "1735689600").out.splitlines()
    options = [word for line in head for word in ("-H", line)]
    done = logops("verify", "POST", "/ingest", "{}", *options, "--now", "1735689600", "--json")
    answer = json.loads(done.out)
    assert answer["answer"] == "accepted"
    assert {finding["part"]: finding["ok"] for finding in answer["findings"]} == dict.fromkeys(
        ("timestamp", "nonce", "digest", "client", "clock", "signature"), True
    )
    assert logops("verify", "POST", "/", "-H", "nonsense").err == "logops: a header must be written as Name: value\n"


def test_a_sender_without_a_keys_file_verifies_with_its_own_secret(
    logops: Logops, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (logops.folder / "head.txt").write_text(logops("sign", "POST", "/ingest", "{}", "--key", "web-1").out)
    (logops.folder / "own.txt").write_text("s3cr3t-now\n")
    verify = ("verify", "POST", "/ingest", "{}", "--headers", "head.txt")
    assert logops(*verify, "--key", "demo").out.splitlines()[-1] == "the gateway would answer 401 unknown_client"
    keys.unlink()
    assert logops(*verify).code == 2
    assert logops(*verify, "--secret-file", "own.txt").code == 0
    assert logops(*verify, "--key", "web-1", "--secret", "s3cr3t-now").code == 0
    done = logops(*verify, "--secret", "another-secret")
    assert (done.code, done.out.splitlines()[-1]) == (1, "the gateway would answer 401 bad_signature")
    monkeypatch.setenv("LOGOPS_SECRET", "s3cr3t-now")
    assert logops(*verify).code == 0


def test_neither_prints_a_secret(logops: Logops, keys: Path) -> None:
    for argv in (["sign", "POST", "/"], ["verify", "POST", "/"], ["keys", "list"], ["keys", "check"]):
        done = logops(*argv)
        assert "s3cr3t" not in done.out + done.err
        assert "demo-secret" not in done.out + done.err


def test_sign_prints_a_token_where_the_gateway_takes_nothing_else(logops: Logops, keys: Path) -> None:
    keys.write_text("clients: {demo: {secrets: [demo-secret], tokens: [kX2vQ9bT7mLs4RzW8nYp3c]}}")
    (logops.folder / "logops.yaml").write_text("auth: {mode: api_key}")
    assert logops("sign", "POST", "/ingest", "{}").out == "Authorization: Bearer kX2vQ9bT7mLs4RzW8nYp3c\n"
    words = shlex.split(logops("sign", "POST", "http://h/ingest", "{}", "--curl", "--token", "given").out)
    assert "Authorization: Bearer given" in words
    assert "Content-Type: application/json" in words
    assert "X-Signature" in logops("sign", "POST", "/ingest", "{}", "--secret", "s").out


def test_a_token_of_the_environment_is_printed_where_there_is_no_secret(
    logops: Logops, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGOPS_TOKEN", "of-env")
    assert logops("sign", "POST", "/ingest", "{}").out == "Authorization: Bearer of-env\n"
    monkeypatch.setenv("LOGOPS_API_KEY", "demo")
    monkeypatch.setenv("LOGOPS_SECRET", "s")
    assert "X-Signature" in logops("sign", "POST", "/ingest", "{}").out

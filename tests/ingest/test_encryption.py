from __future__ import annotations

import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from logops_fast.ingest.encryption import Encryptor, load_keys
from logops_fast.ingest.names import SETTLED_AS
from logops_fast.ingest.normaliser import Normaliser
from tests.support.tables import each_of

OLD = urlsafe_b64encode(b"o" * 32).decode()  # fixed: parallel test processes must see the same parameters
NEW = urlsafe_b64encode(b"n" * 32).decode()


def test_the_original_comes_back_and_the_token_is_not_it() -> None:
    encryptor = Encryptor([NEW], ["msg", "n", "absent"])
    event = {"msg": "from é@x.com", "n": {"a": [1]}, "other": "x"}
    encryptor.add_tokens(event)
    assert event.keys() == {"msg", "n", "other", "msg_enc", "n_enc"}
    stored = {**event, "msg": "masked", "n": "masked"}
    assert encryptor.decrypt_event(stored) == {"msg": "from é@x.com", "n": {"a": [1]}, "other": "x"}
    assert stored["msg"] == "masked"


@each_of("value", ["", "text", "7", "\x00", "\x00null", 7, -1.5, True, False, [], [1, "a"], {"a": {"b": 1}}])
def test_a_value_comes_back_with_its_type(value: object) -> None:
    encryptor = Encryptor([NEW], ["account"])
    event = {"account": value}
    encryptor.add_tokens(event)
    assert event["account"] == "***"
    opened = encryptor.decrypt_event(event)["account"]
    assert (opened, type(opened)) == (value, type(value))


def test_the_clear_value_beside_a_token_is_masked_whole_but_for_msg() -> None:
    event = {"msg": "Carol", "customer": "Carol", "absent": None}
    Encryptor([NEW], ["message", "customer", "absent"], aliases=SETTLED_AS).add_tokens(event)
    assert (event["msg"], event["customer"], event["absent"]) == ("Carol", "***", None)
    assert event.keys() == {"msg", "customer", "absent", "msg_enc", "customer_enc"}


def test_new_keys_take_over_and_bad_ones_do_not() -> None:
    encryptor, after = Encryptor([OLD], ["m"]), Encryptor([NEW], ["m"])
    with pytest.raises(ValueError, match="Fernet key"):
        encryptor.replace_keys(["x"])
    first = {"m": "a"}
    encryptor.add_tokens(first)
    encryptor.replace_keys([NEW, OLD])
    second = {"m": "b"}
    encryptor.add_tokens(second)
    assert after.decrypt_event(second) == {"m": "b"}
    assert encryptor.decrypt_event(first) == {"m": "a"}


def test_a_token_of_an_earlier_version_that_begins_like_json_stays_text() -> None:
    token = Fernet(NEW).encrypt(b"\x00not json").decode()
    assert Encryptor([NEW]).decrypt_event({"msg_enc": token}) == {"msg": "\x00not json"}


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    before, both, after = Encryptor([OLD], ["m"]), Encryptor([NEW, OLD], ["m"]), Encryptor([NEW], ["m"])
    old, new = {"m": "x"}, {"m": "x"}
    before.add_tokens(old)
    both.add_tokens(new)
    assert both.decrypt_event(old) == {"m": "x"}
    assert after.decrypt_event(new) == {"m": "x"}
    assert after.decrypt_event(old) == old
    assert before.decrypt_event(new) == new


@each_of("token", ["", "no token", "é", 5, None, ["x"]])
def test_what_is_no_token_stays_as_it_is(token: object) -> None:
    assert Encryptor([NEW]).decrypt_event({"msg_enc": token, "msg": "x"}) == {"msg_enc": token, "msg": "x"}


def test_a_clients_own_enc_field_is_kept_beside_ours() -> None:
    event = {"msg": "x", "msg_enc": "theirs", "msg_enc_raw": "also theirs"}
    Encryptor([NEW], ["msg"]).add_tokens(event)
    assert (event["msg_enc_raw"], event["msg_enc_raw_raw"]) == ("also theirs", "theirs")


def test_the_normaliser_encrypts_what_it_then_masks() -> None:
    encryptor = Encryptor([NEW], ["msg", "client_ip"])
    events: list[dict[str, Any]] = [{"message": "to bob@x.com", "client_ip": "10.1.2.3"}, {"msg": {"a": 1}}]
    lines = Normaliser(encryptor=encryptor).run(events, emitter="e", scenario_id="s", received_at=0).lines.splitlines()
    first, second = map(json.loads, lines)
    assert (first["msg"], first["client_ip"]) == ("to b***@x.com", "***")
    assert encryptor.decrypt_event(first)["msg"] == "to bob@x.com"
    assert encryptor.decrypt_event(first)["client_ip"] == "10.1.2.3"
    assert encryptor.decrypt_event(second)["msg"] == '{"a":1}'
    assert "client_ip_enc" not in second


def test_any_field_may_be_encrypted_even_the_requests_own() -> None:
    encryptor = Encryptor([NEW], ["emitter", "ts", "app"])
    run = Normaliser(encryptor=encryptor).run([{"emitter": "own"}], emitter="e", scenario_id="s", received_at=0)
    stored = json.loads(run.lines)
    assert stored["emitter"] == "e"
    assert encryptor.decrypt_event(stored)["emitter"] == "own"


def test_a_keys_file_has_one_key_a_line_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "fernet.keys"
    path.write_text(f"# newest first\n{NEW}  # since May\n\n  {OLD}\n")
    assert load_keys(path) == [NEW, OLD]


@pytest.mark.parametrize("text", ["", "# none\n", "short\n", "=" * 44, OLD[:-2], f"{OLD}\n{'!' * 44}\n", "é" * 44])
def test_a_bad_keys_file_is_named_and_its_keys_are_not(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fernet.keys"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"fernet\.keys") as caught:
        load_keys(path)
    assert not any(line and line in str(caught.value) for line in text.split() if len(line) > 8)


def test_a_missing_keys_file_is_a_readable_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        load_keys(tmp_path / "none.keys")


@each_of("keys", [[], ["x"], [b"\xff" * 44], [NEW, "y"]])
def test_encryption_without_a_valid_key_never_starts(keys: list[str | bytes]) -> None:
    with pytest.raises(ValueError, match="Fernet key"):
        Encryptor(keys)


@pytest.mark.process
def test_cryptography_is_loaded_only_where_it_is_used() -> None:
    code = "import sys, logops_fast.ingest.normaliser as n; n.Normaliser(); sys.exit('cryptography' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

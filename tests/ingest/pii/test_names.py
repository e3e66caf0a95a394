from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from logops_fast.ingest.names import SETTLED_AS
from logops_fast.ingest.pii.keyforms import FORMS
from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.pii.names import QUERY_NAMES, SECRET_NAMES, is_secret
from logops_fast.ingest.serialiser import to_lines
from tests.support.tables import each_of

PAGE = (Path(__file__).parents[3] / "docs" / "privacy.md").read_text(encoding="utf-8")


@cache
def masker(fields: tuple[str, ...], keep: tuple[str, ...], secrets: bool) -> Masker:
    return Masker(fields, keep, secrets=secrets, aliases=SETTLED_AS)


def mask(event: dict[str, Any], *fields: str, keep: tuple[str, ...] = (), secrets: bool = True) -> dict[str, Any]:
    lines = masker(fields, keep, secrets).mask_lines(to_lines([event]), [event], {})
    stored: dict[str, Any] = json.loads(lines)
    return stored


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@each_of("name", SECRET_NAMES)
def test_every_published_name_is_found_in_members_and_in_text_however_it_is_written(name: str) -> None:
    spelt = {name, name.upper(), name.replace("_", "-"), camel(name), f"db.{name}", f"x_{name}", f"X-{name.title()}"}
    spelt.add("user" + camel(f"x_{name}")[1:])
    for key in spelt:
        assert is_secret(key), key
        assert mask({key: "v4lue"}) == {key: "***"}, key
        assert mask({"o": [{key: {"a": 7}}]}) == {"o": [{key: "***"}]}, key
        for text in (f"{key}=v4lue", f'{{"{key}": "v4lue"}}', f"'{key}': 'v4lue'", f"?a=1&{key}=v4lue&b=2"):
            assert "v4lue" not in mask({"m": text})["m"], text
        assert "v4lue" not in mask({"m": f"{key}: v4lue"})["m"], key
    assert mask({name: "v4lue"}, secrets=False) == {name: "v4lue"}


@each_of(
    "name",
    [
        "session_id", "prompt_tokens", "token_type", "secretName", "secretary", "password_expires_at", "span", "japan",
        "timespan", "company", "key", "keys", "monkey", "pass", "bypass", "tokenizer", "author", "cookiecutter",
    ],
)  # fmt: skip
def test_names_that_only_look_like_one_are_others(name: str) -> None:
    assert not is_secret(name)
    assert mask({name: "v4lue", "m": f"{name}=v4lue"}) == {name: "v4lue", "m": f"{name}=v4lue"}


@pytest.mark.parametrize("name", QUERY_NAMES)
def test_some_names_are_secret_in_a_query_alone(name: str) -> None:
    text = f"/x?{name}=v4lue&b=2 {name}=v4lue {name}: v4lue"
    assert mask({name: "v4lue", "m": text}) == {name: "v4lue", "m": f"/x?{name}=***&b=2 {name}=v4lue {name}: v4lue"}


def test_what_reveals_nothing_stays_under_a_secrets_name_but_not_in_a_named_field() -> None:
    event = {"token": None, "has_password": True, "secret": "", "password": False}
    assert mask(event) == event
    assert mask(event, "token", "secret") == {**event, "token": "***", "secret": "***"}


def test_fields_are_stronger_than_keep_and_keep_than_secrets() -> None:
    event = {
        "host": "10.1.2.3",
        "token": "10.1.2.4",
        "ip": "10.1.2.5",
        "o": {"host": {"ip": "10.1.2.6", "m": "a@b.co"}},
    }
    assert mask(event, "*p", keep=("host", "token")) == {
        **event, "ip": "***", "o": {"host": {"ip": "***", "m": "a@b.co"}},
    }  # fmt: skip


def test_an_alias_of_msg_names_msg() -> None:
    assert mask({"msg": "text", "k": "v"}, "Message") == {"msg": "***", "k": "v"}
    assert mask({"msg": "10.1.2.3", "k": "10.1.2.3"}, keep=("text",)) == {"msg": "10.1.2.3", "k": "10.1.x.x"}


def test_the_page_lists_the_names_and_the_forms() -> None:
    names = re.search(r"<!-- names -->(.*?)<!-- /names -->", PAGE, re.DOTALL)
    forms = re.search(r"<!-- forms -->(.*?)<!-- /forms -->", PAGE, re.DOTALL)
    assert names is not None
    assert forms is not None
    assert tuple(re.findall(r"`([^`]+)`", names[1])) == SECRET_NAMES
    assert [form.strip() for form in " ".join(forms[1].split()).split(",")] == list(FORMS)
    assert all(f"`{name}`" in PAGE for name in QUERY_NAMES)


def test_a_field_that_a_dotted_alias_names_is_masked_under_the_settled_name() -> None:
    assert mask({"msg": "hello", "fields.message": "hello"}, "fields.message") == {
        "msg": "***",
        "fields.message": "***",
    }

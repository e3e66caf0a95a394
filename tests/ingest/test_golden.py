"""The corpus, from bytes to stored lines, against outputs that were read line by line."""

from __future__ import annotations

import json

import pytest

from logops_fast.formats.item_count import exact
from tests.data.regen import CORPUS, DATA, stored, stored_path


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_is_stored_as_reviewed(name: str) -> None:
    assert stored(name).decode().splitlines() == stored_path(name).read_text("utf-8").splitlines()


@pytest.mark.parametrize("name", [name for name in CORPUS if name != "events_no_header.csv"])
def test_each_format_has_at_least_sixty_events_and_none_vanishes(name: str) -> None:
    lines = stored(name).decode().split("\n")[:-1]
    assert len(lines) >= 60
    assert len(lines) == exact(CORPUS[name], (DATA / name).read_bytes())
    for line in lines:
        event = json.loads(line)
        assert {"ts", "emitter", "scenario_id"} <= set(event)


@pytest.mark.parametrize("name", CORPUS)
def test_no_address_of_the_corpus_survives(name: str) -> None:
    text = stored(name).decode()
    for secret in ("alice@", "bob@", "carol@", "10.1.2.3", "4111 1111", "4111111111111111", "eyJhbGci"):
        assert secret not in text

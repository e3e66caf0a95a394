"""The table and the digest that the kernel is made with."""

from __future__ import annotations

import subprocess
import sys

import pytest

from logops_fast.ingest import levels
from logops_fast.ingest.native.table import KNOWN_BY_HEART, digest, table
from logops_fast.ingest.pii import ipv4
from logops_fast.ingest.pii.kinds import CREDENTIALS, PLAIN, SECRETS
from logops_fast.ingest.plans import SCALES
from tools import kernel_digest


def test_the_kernel_was_last_compared_with_these_masks() -> None:
    """After a change of the masks: `python -m tools.kernel_digest`, then `make test-native`; commit once both agree."""
    assert kernel_digest.PATH.read_text().strip() == digest()


@pytest.mark.process
def test_the_digest_is_the_same_in_another_process() -> None:
    code = "from logops_fast.ingest.native.table import digest; print(digest())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == digest()


@pytest.mark.interpreted
def test_a_changed_constant_changes_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    monkeypatch.setattr(ipv4, "SUSPECT", ipv4.SUSPECT + b"!")
    assert digest() != before


def test_numbers_and_words_are_those_of_the_reference() -> None:
    made = table(masks=True, secrets=True)
    for scale, numbers in zip(SCALES, made["scales"], strict=True):
        for number in (0, 7, 10, 30, 35, 69, 100, 400, 600, 999):
            level = levels.level_of(number, scale)
            assert numbers[number] == (None if level is None else levels.LEVELS.index(level)), (scale, number)
    assert dict(made["spellings"])["Warning"] == levels.LEVELS.index("WARN")
    assert dict(made["cards"])["4111"] == 1 << 13 | 1 << 16 | 1 << 19


def test_names_end_in_small_letters_without_what_parts_their_words() -> None:
    endings = table(masks=True, secrets=True)["endings"]
    assert {"password", "apikey", "sig"} <= set(endings)
    assert all(ending.isalnum() and ending == ending.lower() for ending in endings)
    assert table(masks=True, secrets=False)["endings"] == []


def test_each_kind_of_personal_data_is_in_the_digest() -> None:
    """A new kind must keep an older kernel off: that copies what it would mask."""
    known = {module.__name__ for module in KNOWN_BY_HEART}
    assert {kind.find.__module__ for kind in (*SECRETS, *CREDENTIALS, *PLAIN)} <= known

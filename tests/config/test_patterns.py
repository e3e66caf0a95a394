from __future__ import annotations

from pathlib import Path

import pytest

from logops_fast.config.errors import ConfigError
from logops_fast.config.loader import load
from logops_fast.config.patterns import PatternError, check_patterns, matcher
from tests.support.tables import each_of


@each_of(
    ("pattern", "yes", "no"),
    [
        ("nick", ["nick"], ["nickname", "a.nick"]),
        ("NICK", ["nick"], ["nic"]),
        ("*nick*", ["nick", "user_nick", "nicks"], ["nic"]),
        ("acct_?", ["acct_1"], ["acct_", "acct_12"]),
        ("acct_[ab]", ["acct_a", "acct_b"], ["acct_c", "acct_[ab]"]),
        ("acct_[!ab]", ["acct_c"], ["acct_a"]),
        ("k8s.pod(x)", ["k8s.pod(x)"], ["k8sxpod(x)"]),
    ],
)
def test_a_pattern_matches_whole_names(pattern: str, yes: list[str], no: list[str]) -> None:
    compiled = matcher([pattern, "other"])
    assert compiled is not None
    assert all(compiled.fullmatch(name) for name in yes)
    assert not any(compiled.fullmatch(name) for name in no)


@each_of(
    ("fields", "keep", "message"),
    [
        ([""], [], "is empty"),
        (["  "], [], "is empty"),
        (["*"], [], "matches every field"),
        ([], ["**"], "matches every field"),
        (["a[b"], [], "not a glob"),
        (["a]b"], [], "not a glob"),
        (["{a,b}"], [], "not a glob"),
        ([" a"], [], "blanks"),
        (["a\tb"], [], "blanks"),
        (["host"], ["HOST"], "shadowed"),
        (["host_name"], ["host*"], "shadowed"),
    ],
)
def test_what_can_never_match_is_an_error(fields: list[str], keep: list[str], message: str) -> None:
    with pytest.raises(PatternError, match=message):
        check_patterns(fields, keep)


def test_a_glob_of_fields_is_stronger_than_a_kept_name() -> None:
    check_patterns(["*_ip"], ["client_ip", "host"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pii: {fields: ['']}", "pii.fields"),
        ("pii: {keep: ['a[']}", "pii.keep"),
        ("pii: {fields: [a], keep: [a]}", "pii.fields"),
        ("pii: {encrypt: true, encrypt_fields: [level]}", "pii.encrypt_fields"),
    ],
)
def test_the_start_stops_at_it(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "logops.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load(path, {})

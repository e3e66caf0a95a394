"""Hostile text: the work grows with the text, counted and never timed.

What is counted is the Python lines that run while a text is masked. Of twice as much text they are about twice as many;
quadratic work would take four times as many. What the patterns themselves do is linear by their form (possessive
repeats, bounded look-around).
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.serialiser import to_lines
from tests.support.tables import each_of

SMALL = 1_200
MASKER = Masker(["nick", "acct_*"], ["kept"])

HOSTILE = [
    "a", "@", ".", "1", ":", "a@", "a@b.", "a@b.co", "=@b.co", "1.", "1.1.1.1 ", "1.1.1.1", "1.1.1.1.1 ", "a.b.c.d",
    "::", "a::", "1:: ", "::1 ", "1:2:3:4:5:6:7:8 ", "2001:db8::1 ", "50:06:01:60:3b:20:1f:2e:", "4", "4444-",
    "4444 4444 ", "4111111111111111 ", "4111 1111 1111 1111 ", "4111\xa0", "4a", "eyJ", "eyJ.", "eyJa.b.c ",
    "Bearer ", "bearer a9 ", "Basic ", "Basic QTpi ", "Digest username=a ", "password=", "password=x ",
    "password: ", 'password:"', '"password":', '{"password":[', '"nick":{', "[", "authorization: ", "cookie: a=b; ",
    "<password>", "://", "://a:b@c ", "a:b@", "-----BEGIN PRIVATE KEY-----", "AKIA", "AKIAEXAMPLEEXAMPLE12 ",
    "ghp_", "_aaaaaaaaaaaaaaaa", "%", "%41", "%25", "%2541", "a%40b.co ", "&lt;", "&#64;", "\\", "\\n", "\\u0041",
    '\\"', '"', "é@", "***", "***@b.co ", ".x.x", "10.1.x.x ", "\n", "=",
]  # fmt: skip


def lines_run(event: dict[str, Any]) -> int:
    """How many lines of the package run while the event is masked."""
    count = 0

    def trace(frame: FrameType, what: str, _: object) -> Any:
        nonlocal count
        if "logops_fast" not in frame.f_code.co_filename:
            return None
        if what == "line":
            count += 1
        return trace

    batch = [event]
    lines = to_lines(batch)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        MASKER.mask_lines(lines, batch, {})
    finally:
        sys.settrace(before)
    return count


@pytest.mark.interpreted
@pytest.mark.parametrize("where", ["value", "key", "many"])
@each_of("unit", HOSTILE)
def test_twice_the_text_takes_about_twice_the_work(unit: str, where: str) -> None:
    def event(size: int) -> dict[str, Any]:
        text = (unit * (size // len(unit) + 1))[:size]
        if where == "many":
            return {"l": [unit] * (size // (len(unit) + 3))}
        return {text: 1} if where == "key" else {"k": text, "o": {"p": [text]}}

    first = lines_run(event(SMALL))
    assert lines_run(event(2 * SMALL)) < 2.6 * first + 100

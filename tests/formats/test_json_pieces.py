from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats import json_pieces
from logops_fast.formats.json_text import BrokenJsonError, items, replace_lone_surrogates
from logops_fast.formats.pieces import KEPT_BYTES, PIECE_BYTES, PIECE_ITEMS, Piece, PieceKind
from tests.formats.bodies import any_body
from tests.support.tables import each_of

LIMIT = 262_144


def cut(text: bytes, limit: int = LIMIT) -> list[Piece]:
    return [piece for piece in json_pieces.json_pieces(text, limit) if piece.kind is not PieceKind.NOTHING]


def texts(pieces: list[Piece]) -> list[bytes]:
    """The items of all pieces, what is too large or broken included."""
    found: list[bytes] = []
    for piece in pieces:
        if piece.kind is PieceKind.ITEMS:
            raw = items(piece.text)
            assert len(raw) == piece.count
            found += raw
        else:
            assert piece.count == 1
            found.append(piece.text)
    return found


def is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


COUNT = 5000
NAMES = (
    "compact", "pretty", "spaces", "numbers", "arrays", "mixed", "nested candidates", "lone surrogates",
    "invalid UTF-8", "sequence", "lines", "pretty sequence",
)  # fmt: skip


@cache
def bodies() -> dict[str, bytes]:
    """The bodies by name; made for the tests that run, not whenever this file is imported."""
    events = [
        {"ts": f"2026-01-01T00:00:{i % 60:02}Z", "msg": f'text }},{{ {i} \\ "', "n": [{"ts": i}, {}]}
        for i in range(COUNT)
    ]
    written = [compact(event) for event in events]
    made = (
        compact(events),
        json.dumps(events, indent=2).encode(),
        b" [ " + b" , ".join(written) + b" ] \n",
        b"[" + b",".join([b"1"] * 150_000) + b"]",
        b"[" + b",".join([b"[]"] * 100_000) + b"]",
        compact([x for e in events for x in (e, 7, None, "}", [1, [2]])]),
        compact([{"a": [{"a": 1}, {"a": 2}, {"a": 3}] * 50, "b": i} for i in range(500)]),
        b"[" + b",".join([rb'{"msg":"\ud800 \\\ud800 \\ud800"}'] * 12_000) + b"]",
        b"[" + b",".join([b'{"msg":"\xff"}'] * 25_000) + b"]",
        b"".join(written),
        b"\n".join(written) + b"\n",
        b"\n".join(json.dumps(event, indent=1).encode() for event in events),
    )
    return dict(zip(NAMES, made, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_pieces_hold_the_items_of_the_whole_body_in_order(name: str) -> None:
    body = bodies()[name]
    assert len(body) > PIECE_BYTES
    pieces = cut(body)
    assert texts(pieces) == items(body)
    assert max(len(piece.text) for piece in pieces) <= 2 * PIECE_BYTES
    assert max(piece.count for piece in pieces) <= PIECE_ITEMS
    assert len(pieces) > len(body) // (2 * PIECE_BYTES)


FILLERS = {
    # More than two pieces, or one would do.
    "objects": b'{"msg":[' + b"{}," * 200_000 + b"1]}",
    "deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "quotes": b'{"a":"' + rb"\"" * 300_000 + b'"}',
    "backslashes": b'{"a":"' + rb"\\" * 300_001 + b'"}',
    "brackets in text": b'{"a":"' + b"]}" * 300_000 + b'"}',
    "strings": b'{"a":[' + b'"]",' * 150_000 + b'"\\"]"]}',
    "text": b'"' + b"x" * 600_000 + b'"',
    "digits": b"9" * 600_000,
    "a string of escaped quotes in pieces": b'{"a":["' + b'","'.join([rb"\"\\\"]" * 100] * 1000) + b'"]}',
}


@pytest.mark.parametrize("name", FILLERS)
@each_of("gap", [b"", b" ", b"\n  "], everyday=0.3)
def test_an_item_over_the_limit_is_skipped_and_its_neighbours_are_whole(name: str, gap: bytes) -> None:
    large = FILLERS[name]
    parts = [b'{"msg":"first"}', large, b'{"msg":"]"}', b"7", large, large, b'{"msg":"last"}']
    pieces = cut(b"[" + (gap + b"," + gap).join(parts) + gap + b"]")
    found = texts(pieces)
    assert len(found) == len(parts)
    assert [len(piece.text) for piece in pieces if piece.kind is PieceKind.TOO_LARGE] == [KEPT_BYTES] * 3
    assert found[0] == parts[0]
    assert found[2:4] == parts[2:4]
    assert found[-1] == parts[-1]


@pytest.mark.interpreted
def test_the_end_of_what_is_skipped_is_looked_for_in_few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets one by one take 150 ns each: 64 KiB of them 10 ms in one step."""
    looked: list[int] = []
    token = json_pieces._TOKEN

    class Token:
        @staticmethod
        def finditer(text: bytes, at: int, stop: int) -> Any:
            looked.append(stop - at)
            return token.finditer(text, at, stop)

    monkeypatch.setattr(json_pieces, "_TOKEN", Token)
    for large in FILLERS.values():
        for shift in (0, 30_000):
            body = b"[" + large + b',"' + b"x" * shift + b'",' + large + b"]"
            assert [piece.kind for piece in cut(body) if piece.kind is not PieceKind.ITEMS] == [PieceKind.TOO_LARGE] * 2
    assert looked
    assert max(looked) <= json_pieces._CLOSE_BYTES + 1


def test_an_object_over_the_limit_in_a_sequence_is_skipped() -> None:
    large = FILLERS["quotes"]
    kinds = [piece.kind for piece in cut(b'{"a":1}\n' + large + b'\n{"b":2}' + large)]
    assert kinds == [PieceKind.ITEMS, PieceKind.TOO_LARGE, PieceKind.ITEMS, PieceKind.TOO_LARGE]


def test_an_item_of_just_the_limit_is_kept() -> None:
    limit = 5000
    fits = b'{"a":"' + b"x" * (limit - 8) + b'"}'
    assert len(fits) == limit
    for gap in (b"", b" " * 10_000):
        pieces = cut(b"[" + gap + b",".join([fits, b"12", fits, fits + gap, b"34"]) + gap + b"]", limit)
        assert texts(pieces) == [fits, b"12", fits, fits, b"34"]
        (kept, large, more) = cut(b"[1," + fits.replace(b"x", b"xx", 1) + b",2]", limit)
        assert (kept.text, large.kind, more.text) == (b"[1]", PieceKind.TOO_LARGE, b"[2]")


def test_nothing_of_an_item_over_the_limit_is_looked_at_in_one_step() -> None:
    body = b"[" + FILLERS["objects"] * 8 + b"]"
    steps = list(json_pieces.json_pieces(b"[" + b",".join([FILLERS["objects"]] * 4) + b"]", LIMIT))
    assert sum(step.kind is PieceKind.NOTHING for step in steps) >= 4
    with pytest.raises(BrokenJsonError):
        list(json_pieces.json_pieces(body, LIMIT))


@pytest.mark.parametrize(
    "tail", [b"", b",]", b"]]", b"] x", b"nope]", b",{]", b"}", b'"', b",1 2]", b"," + b"[" * 3000 + b"]", b',"\\ud800']
)
def test_an_array_broken_at_its_end_is_malformed(tail: bytes) -> None:
    body = bodies()["compact"]
    with pytest.raises(BrokenJsonError):
        cut(body[:-1] + tail)


def test_an_open_item_over_the_limit_makes_the_body_malformed() -> None:
    with pytest.raises(BrokenJsonError):
        cut(b'[{"a":1},{"a":["' + b"x" * 600_000 + b"]}]")


def test_text_that_is_not_json_spoils_one_item_of_a_sequence() -> None:
    good = bodies()["lines"]
    pieces = cut(good + b"{'python': 1}\n" + good + b'{"cut":')
    broken = [piece.text for piece in pieces if piece.kind is PieceKind.BROKEN]
    assert broken == [b"{'python': 1}", b'{"cut":']
    assert sum(piece.count for piece in pieces) == 2 * COUNT + 2


@given(any_body, st.sampled_from([16, 64, LIMIT]))
def test_pieces_agree_with_the_items_of_any_body(body: bytes, limit: int) -> None:
    text = body.removeprefix(b"\xef\xbb\xbf")
    if not text.strip() or text.startswith(b"\xef\xbb\xbf"):
        return  # the caller has dealt with these
    try:
        expected = items(text)
    except BrokenJsonError:
        if limit == LIMIT:
            with pytest.raises(BrokenJsonError):
                cut(text)
        return
    pieces = cut(text, limit)
    if any(piece.kind is PieceKind.TOO_LARGE and not is_json(piece.text) for piece in pieces):
        return  # an item over the limit is not parsed: what is broken in it is not known
    found = texts(pieces)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert replace_lone_surrogates(one) == replace_lone_surrogates(other) or len(other) > limit

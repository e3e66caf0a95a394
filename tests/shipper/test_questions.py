from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.shipper.answers import Effect, TimeLimits, answer_of, only_for_time, reason_of
from logops_fast.shipper.entries import rfc3339_ns
from logops_fast.shipper.questions import MAX_ANSWER_BYTES, found_in, number_range, questions
from tests.loki.answers import query_body
from tests.loki.store import HOUR, SECOND, Store, go_time, parse_query
from tests.loki.wire import decode_push
from tests.shipper.support import NOW, PLACE, encoded, line, made
from tests.support.tables import each_of


@given(st.integers(0, 10**12 - 1), st.integers(0, 10**12 - 1), st.integers(-20, 20))
def test_a_range_of_numbers_matches_these_alone(a: int, b: int, near: int) -> None:
    first, last = sorted((a, b))
    pattern = re.compile("|".join(f"(?:{part})" for part in number_range(first, last)))
    for edge in (first, last, (first + last) // 2, a ^ b):
        number = edge + near
        if 0 <= number < 10**12:
            assert bool(pattern.fullmatch(f"{number:012d}")) == (first <= number <= last)


def test_the_question_is_short_and_finds_its_lines_alone() -> None:
    entries = made([line(rfc3339_ns(NOW - at), n=at) for at in range(100)])
    store = Store(lambda: NOW)
    store.push(decode_push(encoded(entries)))
    (question,) = questions(PLACE, ("m",), entries[10:20], None)
    target = question.target(5000)
    assert len(target) < 1500
    matchers, filters = parse_query('{a="b"} | seq=~"x"')
    assert (matchers, filters) == ([("a", "=", "b")], [("seq", "=~", "x")])
    from urllib.parse import parse_qs, urlsplit

    query = parse_qs(urlsplit(target).query)
    found = store.query(query["query"][0], int(query["start"][0]), int(query["end"][0]), 5000)
    assert isinstance(found, list)
    assert found_in(question, query_body(found, categorized=True)).offsets == {e.offset for e in entries[10:20]}


def test_an_entry_counts_if_its_line_is_the_same() -> None:
    (one,) = made([line(n=1)])
    (other,) = made([line(n=2)])
    store = Store(lambda: NOW)
    store.push(decode_push(encoded([one])))
    (question,) = questions(PLACE, ("m",), [other], None)
    assert question.first == one.offset
    assert found_in(question, query_body(store.entries(), categorized=True)) == (set(), 1)


def test_questions_are_cut_by_time_and_by_size() -> None:
    times = made([line(rfc3339_ns(NOW - back)) for back in (0, HOUR, 400 * HOUR, 401 * HOUR, 9000 * HOUR)])
    assert [len(question.entries) for question in questions(PLACE, ("m",), times, None)] == [1, 2, 2]
    large = made([line(msg="x" * (MAX_ANSWER_BYTES // 4), n=n) for n in range(12)])
    assert len(questions(PLACE, ("m",), large, None)) == 3


@pytest.mark.parametrize("body", [b"", b"{}", b'{"data":{"result":[{"stream":{},"values":[["1"]]}]}}', b"[]"])
def test_what_is_no_answer(body: bytes) -> None:
    (question,) = questions(PLACE, ("m",), made([line()]), None)
    with pytest.raises(ValueError, match="cannot be read"):
        found_in(question, body)


@each_of(
    ("status", "text", "effect"),
    [
        (204, "", Effect.STORED),
        (200, "", Effect.IGNORED),
        (202, "queued", Effect.IGNORED),
        (260, "ingestion blocked for user fake until '2027-01-01' with status code '260'", Effect.IGNORED),
        (403, "ingestion blocked for user fake until '2027-01-01' with status code '403'", Effect.IGNORED),
        (400, "entry for stream", Effect.REFUSED),
        (413, "", Effect.TOO_LARGE),
        (429, "ingestion rate limit exceeded for user fake", Effect.LIMITED),
        (429, "Ingestion rate limit exceeded for user fake", Effect.LIMITED),
        (429, "entry with timestamp x ignored, reason: 'Per stream rate limit exceeded", Effect.UNKNOWN),
        (429, "maximum active stream limit exceeded", Effect.UNKNOWN),
        (401, "", Effect.DENIED),
        (404, "", Effect.DENIED),
        (302, "", Effect.DENIED),
        (500, "", Effect.UNKNOWN),
        (503, "", Effect.UNKNOWN),
        (504, "", Effect.UNKNOWN),
    ],
)
def test_what_an_answer_means(status: int, text: str, effect: Effect) -> None:
    assert answer_of(status, text).effect is effect


@pytest.mark.parametrize("added", ['__stream_shard__="3"', 'service_name="unknown \\"service\\""'])
def test_times_are_learned_for_a_stream_with_the_labels_that_loki_adds_and_forgotten(added: str) -> None:
    limits = TimeLimits()
    (entry,) = made([line(rfc3339_ns(NOW - 2 * HOUR))])
    assert limits.refuses(entry, NOW) is None
    stream = entry.labels.text.replace("}", f", {added}}}")
    text = (
        f"entry with timestamp {go_time(entry.ns)} ignored, reason: 'entry too far behind, entry timestamp is: "
        f"{rfc3339_ns(entry.ns)}, oldest acceptable timestamp is: {rfc3339_ns(NOW - HOUR)}',\n"
        f"user 'fake', total ignored: 1 out of 1 for stream: {stream}\n"
    )
    assert limits.learn(text, NOW)
    assert limits.refuses(entry, NOW) == "too_far_behind"
    (other,) = made([line(rfc3339_ns(NOW - 2 * HOUR), emitter="batch")])
    assert limits.refuses(other, NOW) is None
    assert limits.refuses(entry, NOW + 601 * SECOND) is None
    assert only_for_time(text)
    assert not only_for_time(text + " max entry size '5' bytes exceeded")
    assert reason_of("something else") == "other"

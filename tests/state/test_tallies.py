"""Who holds how many nonces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.state import tallies
from logops_fast.state.memory import memory_table
from logops_fast.state.table import Geometry
from logops_fast.state.tallies import ROWS, TALLY_BYTES, Tallies

NOW = 1_800_000_000


def make(lifetime: float = 602.0) -> Tallies:
    return Tallies(memory_table(Geometry(b"test", 1, "I", 1, TALLY_BYTES, 8)), lifetime)


def test_each_client_has_a_row_of_its_own() -> None:
    counts = make()
    rows = [counts.row(b"client-%d" % index) for index in range(1000)]
    assert len(set(rows)) == 1000
    assert [counts.row(b"client-%d" % index) for index in range(1000)] == rows


def test_two_workers_agree_on_the_rows() -> None:
    table = memory_table(Geometry(b"test", 1, "I", 1, TALLY_BYTES, 8))
    one, other = Tallies(table, 602), Tallies(table, 602)
    assert one.row(b"web") == other.row(b"web")
    one.add(one.row(b"web"), NOW + 300)
    assert other.held(other.row(b"web"), NOW) == 1


def test_clients_past_the_last_row_share_one() -> None:
    counts = make()
    rows = {counts.row(b"client-%d" % index) for index in range(ROWS + 100)}
    assert len(rows) == ROWS - 1
    assert counts.row(b"one more") == counts.row(b"another") == tallies.SHARED
    counts.add(counts.row(b"one more"), NOW + 300)
    assert counts.most(NOW) == 1


def test_what_is_taken_back_before_it_was_added_does_not_go_below_zero() -> None:
    counts = make()
    row = counts.row(b"web")
    counts.take_back(row, NOW)
    assert counts.held(row, NOW) == 0


@pytest.mark.parametrize("lifetime", [4.0, 602.0, 172_802.0])
@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.floats(0, 1), st.floats(0, 0.2)), max_size=60))
def test_against_a_list_no_entry_is_missed_and_none_counts_much_too_long(
    lifetime: float, steps: list[tuple[bytes, float, float]]
) -> None:
    counts = make(lifetime)
    entries: list[tuple[bytes, int]] = []
    now = float(NOW)
    for owner, share, passed in steps:
        now += passed * lifetime
        expiry = int(now + share * lifetime)
        counts.add(counts.row(owner), expiry)
        entries.append((owner, expiry))
        for client in (b"a", b"b", b"c"):
            alive = sum(1 for who, until in entries if who == client and until > now)
            at_most = sum(1 for who, until in entries if who == client and until > now - lifetime / 30 - 2)
            assert alive <= counts.held(counts.row(client), now) <= at_most
        assert counts.total(now) == sum(counts.held(counts.row(client), now) for client in (b"a", b"b", b"c"))
        assert counts.most(now) == max(counts.held(counts.row(client), now) for client in (b"a", b"b", b"c"))

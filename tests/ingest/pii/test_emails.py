"""Local parts of any length, seen once or many times: the short ones are decided by the few bytes before the sign."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from logops_fast.ingest.pii.masker import Masker

MASKER = Masker()
LENGTHS = (1, 2, 14, 15, 16, 17, 30, 31, 47, 48, 49, 100)
addresses = st.builds(
    "{}{}@example.com".format,
    st.sampled_from(["", ".", "=", "é"]),
    st.sampled_from(LENGTHS).map(lambda size: "b" * size),
)


def test_a_local_part_of_any_length_keeps_its_first_letter() -> None:
    for size in LENGTHS:
        assert MASKER.mask_text("c" + "b" * (size - 1) + "@example.com") == "c***@example.com", size


@given(st.lists(addresses, min_size=2, max_size=12), st.sampled_from([" ", ",", ";to:", "<", " a@b.co "]))
@example(["b" * 16 + "@example.com", "b" * 17 + "@example.com"], ",")
@example(["b" * 17 + "@example.com", "b" * 16 + "@example.com"], ",")
def test_addresses_in_a_row_are_masked_as_each_by_itself(found: list[str], glue: str) -> None:
    masked = [MASKER.mask_text(glue + one) for one in found]
    assert MASKER.mask_text("".join(glue + one for one in found)) == "".join(masked)

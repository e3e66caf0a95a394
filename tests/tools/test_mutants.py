"""The changes that tools/mutants.py makes, and its page, which keeps the modules that a run leaves out."""

from __future__ import annotations

import ast

from tools.mutant_table import NOT_JUDGED, Row, Survivor, judgments, parse, render
from tools.mutants import CORES, JUDGED, OUT, ROOT, chosen, mutants, remaining

SOURCE = """
def f(a: int = 1, *, b: bool = True) -> int:
    if a < 2 and not b:
        return a + 3
    return 0
"""
ROWS = {
    "http/head.py": Row(
        120,
        40,
        (Survivor(31, "if size < 1:  # `a`: b", "size <= 1"), Survivor(7, "return x", "1")),
        "0123456789",
    ),
    "authgw/retry.py": Row(23, 23, (), "9876543210+"),
}


def test_each_place_is_changed_once_and_every_mutant_can_be_read() -> None:
    found = list(mutants(SOURCE))
    assert {one.after for one in found} == {"2", "False", "a <= 2", "a < 2 or not b", "b", "3", "a - 3", "4", "1"}
    assert len(found) == len({one.source for one in found}) == 9
    assert all(ast.dump(ast.parse(one.source)) != ast.dump(ast.parse(SOURCE)) for one in found)
    assert {(one.line, one.before) for one in found if one.after == "a - 3"} == {(4, "return a + 3")}


def test_what_survived_is_tried_again_and_nothing_else() -> None:
    found = list(mutants(SOURCE))
    again = Row(9, 9, (Survivor(99, "return a + 3", "a - 3"), Survivor(4, "gone", "1")), "c")
    assert [one.after for one in chosen(found, 2, 1, again)] == ["a - 3"]
    assert chosen(found, 0, 1, None) == found
    assert len(chosen(found, 2, 1, None)) == 2


def test_of_changes_that_read_alike_no_more_survive_than_were_tried_before() -> None:
    alike = [Survivor(line, "return -1", "2") for line in (5, 9, 30)]
    other = Survivor(6, "return 0", "1")
    assert remaining([alike[0]], [*alike, other]) == (alike[0],)
    assert remaining([*alike, other], [alike[2], other]) == (alike[2], other)
    assert remaining(alike, []) == ()


def test_the_page_is_read_back_as_it_was_written() -> None:
    page = render(ROWS, {("http/head.py", "return x", "1"): "It is never called."}, "a machine")
    assert parse(page) == ROWS
    assert "61 of 63 killed (96.8%). 1 of the others\nwere judged to change nothing" in page
    assert "98.4% of the rest are killed." in page
    assert "| http/head.py | 120 | 40 | 38 | 95.0% | 0123456789 |" in page
    assert page.index("authgw/retry.py") < page.index("http/head.py")
    assert "`return x`: `1`. It is never called." in page
    assert f"`size <= 1`. {NOT_JUDGED}" in page
    assert page.endswith("a machine\n")


def test_the_committed_page_and_judgments_are_those_of_modules_that_are_there() -> None:
    page = OUT.read_text("utf-8")
    rows, judged = parse(page), judgments(JUDGED.read_text("utf-8"))
    assert rows
    assert rows.keys() | {module for module, _, _ in judged} <= CORES.keys()
    assert all((ROOT / "logops_fast" / module).is_file() for module in CORES)
    assert all((ROOT / test).is_file() for tests in CORES.values() for test in tests)
    assert render(rows, judged, page.splitlines()[-1]) == page

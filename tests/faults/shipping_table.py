"""``python -m tests.faults.shipping_table --out TABLE``: every fault on the way to Loki, and what arrived.

With ``LOGOPS_LOKI_URL`` a real Loki is at its end, whose version and flags ``--about`` adds to the table.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("LOGOPS_FAULT_RUNS", "1")  # before the kinds are read: the long runs

from tests.faults.__main__ import header
from tests.faults.shipping import Total, Way
from tests.faults.shipping_kinds import GROUPS, Group, Kind
from tests.loki.real import real_loki

TITLE = """# Injected faults on the way to Loki

Written by `python -m tests.faults.shipping_table`; [how it is made and read](README.md#the-way-to-loki)."""


@dataclass
class Row:
    """What came of one kind of fault. Seconds: from the healing until everything acknowledged was in Loki."""

    kind: Kind
    group: str
    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    seconds: list[float] = field(default_factory=list)


def inject(group: Group, kind: Kind, made: Way) -> Row:
    """Inject one kind as often as it says."""
    row = Row(kind, group.name)
    before = made.events
    for _ in range(kind.times):
        kind.inject(made)
        healed = time.monotonic()
        made.more(20)
        total, row.lost, row.twice = made.arrived()
        row.seconds.append(time.monotonic() - healed)
        row.acknowledged = total - before
        assert (row.lost, row.twice) == (0, 0), (kind.name, row)
    return row


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| fault | times | events acknowledged | lost | twice | s until all were in Loki, worst |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row.kind.name} | {row.kind.times} | {row.acknowledged:,} | {row.lost} | {row.twice} "
        f"| {max(row.seconds):.1f} |"
        for row in rows
    ]
    times, acknowledged = sum(row.kind.times for row in rows), sum(row.acknowledged for row in rows)
    lost, twice = sum(row.lost for row in rows), sum(row.twice for row in rows)
    lines.append(f"| all | {times} | {acknowledged:,} | {lost} | {twice} | |")
    return "\n".join(lines)


def totals(groups: list[tuple[str, Total]]) -> str:
    """The lines of each group at its end as Markdown."""
    lines = ["| group | lines in the files | in Loki | counted by Loki | after a flush |", "|---|--:|--:|--:|--:|"]
    lines += [f"| {name} | {t.files:,} | {t.loki:,} | {t.counted:,} | {t.flushed:,} |" for name, t in groups]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.shipping_table", description=__doc__)
    parser.add_argument("--out", type=Path, help="where the table goes besides standard output")
    parser.add_argument("--about", default="", help="version and flags of the real Loki")
    parser.add_argument("--group", action="append", help="only groups whose name contains this; may be repeated")
    options = parser.parse_args()
    rows: list[Row] = []
    ends: list[tuple[str, Total]] = []
    failed = ""
    where = options.about or ("a real Loki" if real_loki() else "the double of Loki, tests/loki")
    for group in GROUPS:
        if options.group and not any(word in group.name for word in options.group):
            continue
        with tempfile.TemporaryDirectory(prefix="logops-shipping-") as folder:
            try:
                with group.build(Path(folder)) as made:
                    for kind in group.kinds:
                        print(f"{group.name}: {kind.name}", file=sys.stderr, flush=True)
                        rows.append(inject(group, kind, made))
                    ends.append((group.name, made.settle()))
            except AssertionError as error:
                failed = f"\nFAILED {group.name}: {error}\n"
        # After each group, so that a run that is interrupted leaves what it has found.
        text = f"{header(0)}, {where}\n\n{table(rows)}\n\n{totals(ends)}\n{failed}"
        if options.out is not None:
            options.out.write_text(f"{TITLE}\n\n{text}")
        if failed:
            break
    print(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The stages as a table: what each costs for an event and for a request, from a saved run of the micro suite.

pytest bench/micro --benchmark-json=build/micro.json && python -m bench.stages build/micro.json
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

SIZES: Final = (1, 10, 100, 1000)
INSTEAD: Final = "instead: "


def tables(saved: dict[str, Any]) -> str:
    """Markdown: stages whose cost grows with the batch, and those that cost the same for each request.

    The least of each stage's rounds counts: it is the one the rest of the machine disturbed least.
    """
    grown: dict[str, dict[int, float]] = defaultdict(dict)
    fixed: dict[str, float] = {}
    weighed: dict[str, float] = {}
    for one in saved["benchmarks"]:
        stage, least = one["group"], one["stats"]["min"] * 1e6
        events, parameters = one["extra_info"].get("events", 0), one.get("params") or {}
        if stage.startswith(INSTEAD):
            weighed[stage.removeprefix(INSTEAD)] = least / (events or 1)
        elif events:
            grown[stage][parameters.get("size", events)] = least / events
        elif "size" in parameters:
            fixed[f"{stage}, {parameters['size']} events"] = least
        else:
            fixed[stage] = least
    text = []
    if grown:
        text += [
            "| us per event, in batches of | " + " | ".join(map(str, SIZES)) + " |",
            "|---|" + "---:|" * len(SIZES),
        ]
    for stage in sorted(grown):
        cells = (_number(grown[stage].get(size)) for size in SIZES)
        text.append(f"| {stage} | " + " | ".join(cells) + " |")
    for title, rows in (("us per request", fixed), ("weighed against each other, us", weighed)):
        if rows:
            text += ["", f"| {title} | |", "|---|---:|", *(f"| {stage} | {_number(rows[stage])} |" for stage in rows)]
    text += ["", _machine(saved), ""]
    return "\n".join(text).lstrip()


def _machine(saved: dict[str, Any]) -> str:
    info, commit = saved["machine_info"], saved["commit_info"]
    changed = "+" if commit.get("dirty") else ""
    return (
        f"{info['cpu'].get('brand_raw', info['machine'])}, {info['system']}, {info['python_implementation']} "
        f"{info['python_version']}; commit {str(commit.get('id'))[:10]}{changed}, {saved['datetime'][:16]}."
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def main() -> int:
    """Entry point."""
    if len(sys.argv) != 2:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    print(tables(json.loads(Path(sys.argv[1]).read_text())), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

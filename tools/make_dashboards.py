"""Writes the Grafana dashboards of deploy/grafana/dashboards; ``--check`` says whether those there are current.

The line of the objective is read from the alert rules (logops_fast/config/slo.py): its number is defined only there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from logops_fast.config.slo import load_slo  # noqa: E402
from tools.dashboards.auth import auth  # noqa: E402
from tools.dashboards.live_logs import live_logs  # noqa: E402
from tools.dashboards.overview import overview  # noqa: E402
from tools.dashboards.way_to_loki import way_to_loki  # noqa: E402

TARGET: Final = ROOT / "deploy" / "grafana" / "dashboards"


def dashboards() -> dict[str, str]:
    """File names and contents."""
    slo = load_slo()
    return {
        "overview.json": overview(slo).json(),
        "auth.json": auth().json(),
        "logs.json": live_logs().json(),
        "loki.json": way_to_loki().json(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files, or compare them; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a file is not current")
    check = parser.parse_args(argv).check
    made = dashboards()
    stale = [name for name, text in made.items() if not (TARGET / name).exists() or (TARGET / name).read_text() != text]
    if check:
        for name in stale:
            print(f"{TARGET / name} is not current: python -m tools.make_dashboards", file=sys.stderr)
        return 1 if stale else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (TARGET / name).write_text(made[name])
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

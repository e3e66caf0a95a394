"""The service level objective, read from the Prometheus alert rules.

The numbers are taken from the expressions themselves, so that the alerts, the benchmarks and ``logops demo`` cannot
disagree.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

from logops_fast.config.errors import ConfigError
from logops_fast.config.yaml_tree import parse_tree

_PACKAGED: Final = "_data/slo.yml"  # put into the wheel from the path below
_IN_REPOSITORY: Final = "deploy/prometheus/rules/slo.yml"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}

_FAST: Final = re.compile(
    r'_bucket\{le="(?P<threshold>[\d.]+)"\}\[(?P<window>\d+[smh])\].*_count\[(?P=window)\].*<\s*(?P<objective>[\d.]+)\s*$',
    re.DOTALL,
)
_P95: Final = re.compile(
    r"histogram_quantile\(\s*0\.95\s*,.*_bucket\[(?P<window>\d+[smh])\].*>\s*(?P<threshold>[\d.]+)\s*$", re.DOTALL
)


class Slo(NamedTuple):
    """The objective: a share of batches under a latency over a window, and a 95th percentile over another."""

    objective: float  # share of batches, 0 to 1
    threshold: float  # seconds
    window: int  # seconds
    p95: float  # seconds
    p95_window: int  # seconds


def load_slo(text: str | None = None) -> Slo:
    """Return the SLO of the alert rules, or of the rules in ``text``. Raises ConfigError if it cannot be read."""
    tree = parse_tree(_rules() if text is None else text, "slo.yml")
    found: dict[str, str] = {}
    try:
        for group in tree.value["groups"]:
            for rule in group["rules"]:
                slo = rule.get("labels", {}).get("slo")
                if slo:
                    found[slo] = rule["expr"]
    except (KeyError, TypeError, AttributeError):
        raise ConfigError("slo.yml: is not a file of alert rules") from None
    fast = _FAST.search(found.get("fast_batches", "").strip())
    p95 = _P95.search(found.get("p95", "").strip())
    if fast is None or p95 is None:
        missing = "fast_batches" if fast is None else "p95"
        raise ConfigError(f"slo.yml: no rule with the label slo: {missing} in the form the SLO is read from")
    return Slo(
        objective=float(fast["objective"]),
        threshold=float(fast["threshold"]),
        window=_seconds(fast["window"]),
        p95=float(p95["threshold"]),
        p95_window=_seconds(p95["window"]),
    )


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _UNITS[duration[-1]]


def _rules() -> str:
    package = resources.files("logops_fast")
    packaged = package / _PACKAGED
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    source = Path(str(package)).parent / _IN_REPOSITORY
    try:
        return source.read_text(encoding="utf-8")
    except OSError:
        raise ConfigError("slo.yml: is neither in the package nor in deploy/prometheus/rules") from None

"""Reads the Prometheus text exposition: samples, what they grew by, and quantiles of histograms. Pure.

``prometheus_client`` has a parser for it, which takes seven times as long (12 us a line, measured on a gateway's own
exposition): too much for a screen that is drawn again every second. The tests compare the two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Final

Labels = tuple[tuple[str, str], ...]
"""The labels of a series, sorted by name."""

_LINE: Final = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ \n]+)(?: -?\d+)?$", re.MULTILINE | re.ASCII)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"', re.ASCII)
_ESCAPED: Final = re.compile(r"\\(.)")
_EDGE: Final = "le"


@dataclass(frozen=True)
class Scrape:
    """The samples of one scrape: by name, then by labels. ``at`` is the time of the scrape, in seconds."""

    at: float
    samples: Mapping[str, Mapping[Labels, float]] = field(repr=False)

    def total(self, name: str, **where: str) -> float | None:
        """Return the sum of the series with these label values; None if there is none."""
        values = [value for _, value in self._series(name, where)]
        return sum(values) if values else None

    def by(self, label: str, name: str, **where: str) -> dict[str, float]:
        """Return the sums of the series with these label values, by the values of ``label``."""
        sums: dict[str, float] = {}
        for labels, value in self._series(name, where):
            word = dict(labels).get(label, "")
            sums[word] = sums.get(word, 0.0) + value
        return sums

    def buckets(self, name: str, **where: str) -> dict[float, float]:
        """Return a histogram's cumulative counts by upper edge, ``inf`` among them, summed over its series."""
        return {float(edge): count for edge, count in self.by(_EDGE, f"{name}_bucket", **where).items()}

    def buckets_by(self, label: str, name: str) -> dict[str, dict[float, float]]:
        """Return a histogram's cumulative counts by upper edge, for each value of ``label``."""
        found: dict[str, dict[float, float]] = {}
        for labels, count in self.samples.get(f"{name}_bucket", {}).items():
            of = dict(labels)
            edges = found.setdefault(of.get(label, ""), {})
            edge = float(of[_EDGE])
            edges[edge] = edges.get(edge, 0.0) + count
        return found

    def quantile(self, quantile: float, name: str, **where: str) -> float | None:
        """Return a quantile of a histogram, as :func:`histogram_quantile` does."""
        return histogram_quantile(quantile, self.buckets(name, **where))

    def since(self, before: Scrape) -> Scrape:
        """Return what each series grew by since ``before``, as a scrape whose ``at`` is the seconds between the two.

        A series that is lower than before was reset, and one that was not there began at 0: both grew by their value.
        The result has a meaning for counters and histograms alone.
        """
        grown = {
            name: {
                labels: _growth(before.samples.get(name, {}).get(labels, 0.0), value)
                for labels, value in series.items()
            }
            for name, series in self.samples.items()
        }
        return Scrape(self.at - before.at, grown)

    def rate(self, name: str, **where: str) -> float | None:
        """Return :meth:`total` a second; call it on what :meth:`since` returns. None if there is no such series."""
        total = self.total(name, **where)
        return None if total is None or self.at <= 0.0 else total / self.at

    def _series(self, name: str, where: Mapping[str, str]) -> list[tuple[Labels, float]]:
        wanted = where.items()
        return [
            (labels, value) for labels, value in self.samples.get(name, {}).items() if wanted <= dict(labels).items()
        ]


def parse(text: str, at: float) -> Scrape:
    """Read an exposition in the text format (version 0.0.4), scraped at ``at``. Raises ValueError if it is not one."""
    samples: dict[str, dict[Labels, float]] = {}
    found = 0
    for name, labels, value in _LINE.findall(text):
        found += 1
        samples.setdefault(name, {})[_labels(labels)] = float(value)
    if found != sum(1 for line in text.split("\n") if line and not line.startswith("#")):
        raise ValueError("not metrics in the Prometheus text format")
    return Scrape(at, samples)


def histogram_quantile(quantile: float, buckets: Mapping[float, float]) -> float | None:
    """PromQL's ``histogram_quantile``: linear within a bucket, the last finite edge for what is above it.

    ``buckets`` are cumulative by upper edge, ``inf`` among them. Returns None if nothing was observed.
    """
    edges = sorted(buckets.items())
    total = edges[-1][1] if edges else 0.0
    if total <= 0:
        return None
    rank = quantile * total
    for (low, below), (high, count) in pairwise([(0.0, 0.0), *edges]):
        if count >= rank:
            if math.isinf(high):
                return low
            return low + (high - low) * (rank - below) / (count - below) if count > below else high
    return edges[-1][0]


@lru_cache(maxsize=1 << 14)  # each scrape has the same ones: a third of its time
def _labels(text: str) -> Labels:
    if not text:
        return ()
    return tuple(sorted((name, _unescape(value)) for name, value in _LABEL.findall(text)))


def _unescape(value: str) -> str:
    return _ESCAPED.sub(lambda match: "\n" if match[1] == "n" else match[1], value) if "\\" in value else value


def _growth(before: float, now: float) -> float:
    return now if now < before else now - before

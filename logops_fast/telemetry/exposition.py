"""``/metrics``: the families of all workers in the text format, or in OpenMetrics if Accept prefers it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from logops_fast.telemetry.slab import COUNTER, GAUGE

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from logops_fast.telemetry.registry import FamilySnapshot, Registry

# Fixed, never built from the request: an Accept header is the client's text and must not be echoed.
TEXT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE: Final = b"application/openmetrics-text; version=1.0.0; charset=utf-8"


def render(registry: Registry, accept: bytes | None = None) -> tuple[bytes, bytes]:
    """Return the exposition and its content type. Safe to call outside the event loop's thread."""
    # Imported here because it brings http.server, which commands that serve nothing do not need.
    collector = _Collector(registry)
    if accept is not None and wants_openmetrics(accept):
        from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

        return openmetrics(collector), OPENMETRICS_TYPE  # type: ignore[no-untyped-call]
    from prometheus_client.exposition import generate_latest as text

    return text(collector), TEXT_TYPE


def preload() -> None:
    """Import what :func:`render` needs, so that the first scrape does not block an event loop."""
    import prometheus_client.exposition
    import prometheus_client.openmetrics.exposition  # noqa: F401


def wants_openmetrics(accept: bytes) -> bool:
    """Return whether Accept (RFC 9110, 12.5.1) rates OpenMetrics at least as high as text/plain. Never raises."""
    openmetrics = text = 0.0
    for choice in accept.split(b","):
        media_type, *parameters = (part.strip().lower() for part in choice.split(b";"))
        if media_type == b"application/openmetrics-text":
            openmetrics = max(openmetrics, _quality(parameters))
        elif media_type == b"text/plain":
            text = max(text, _quality(parameters))
    return openmetrics > 0.0 and openmetrics >= text


def _quality(parameters: list[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name == b"q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


class _Collector:
    """The interface that prometheus_client's encoders expect: an object with ``collect``."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for snapshot in self._registry.collect():
            if snapshot.series:
                yield _metric(snapshot)


def _metric(snapshot: FamilySnapshot) -> Metric:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.utils import floatToGoString

    shape = snapshot.shape
    if shape.kind in (COUNTER, GAUGE):
        simple = CounterMetricFamily if shape.kind == COUNTER else GaugeMetricFamily
        family = simple(shape.name, snapshot.help, labels=shape.labelnames)
        for labels, (value,) in snapshot.series.items():
            family.add_metric(labels, value)
        return family
    histogram = HistogramMetricFamily(shape.name, snapshot.help, labels=shape.labelnames)
    edges = [*(floatToGoString(edge) for edge in shape.edges), "+Inf"]  # type: ignore[no-untyped-call]
    for labels, values in snapshot.series.items():
        *counts, total = values
        histogram.add_metric(labels, list(zip(edges, accumulate(counts), strict=True)), total)
    return histogram

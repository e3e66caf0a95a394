"""Counter, gauge and histogram families over a slab: as cheap as a dict counter, summed over all workers.

On a hot path keep a reference to a series (``hits = family.labels("web")``, later ``hits.inc()``): ``labels`` costs a
dict look-up. A worker writes its series from one thread, the event loop's; :meth:`Registry.collect` may run in any.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

import orjson

from logops_fast.telemetry.slab import COUNTER, FAMILY, GAUGE, HISTOGRAM, SLOT_BYTES, DirectoryReader, Slab

OTHER: Final = "other"
OVERFLOW_METRIC: Final = "logops_telemetry_overflow_total"
MAX_LABEL_CHARS: Final = 128  # a longer word from outside is OTHER

GaugeMode = Literal["sum", "max"]
ValuesT = tuple[float, ...]


class Counter:
    """A value that only grows."""

    __slots__ = ("_slot", "_values")

    def __init__(self, values: memoryview[float], slot: int) -> None:
        self._values = values
        self._slot = slot

    def inc(self, n: float = 1.0) -> None:
        """Add ``n``, which is not negative."""
        self._values[self._slot] += n


class Gauge(Counter):
    """A value that goes up and down; it starts at 0 in each new worker."""

    __slots__ = ()

    def set(self, value: float) -> None:
        """Set it to ``value`` in this worker."""
        self._values[self._slot] = value

    def dec(self, n: float = 1.0) -> None:
        """Subtract ``n``."""
        self._values[self._slot] -= n


class Histogram:
    """Counts per bucket, and the sum of the observations. Slots: one per bucket, the overflow bucket, the sum."""

    __slots__ = ("_edges", "_slot", "_sum", "_values")

    def __init__(self, values: memoryview[float], slot: int, edges: tuple[float, ...]) -> None:
        self._values = values
        self._slot = slot
        self._sum = slot + len(edges) + 1
        self._edges = edges

    def observe(self, value: float) -> None:
        """Count ``value`` in its bucket (edges are inclusive, as Prometheus's ``le`` is). It must not be a NaN."""
        values = self._values
        values[self._slot + bisect_left(self._edges, value)] += 1.0
        values[self._sum] += value


SeriesT = TypeVar("SeriesT")


class FamilyShape(NamedTuple):
    """What must agree when a family is registered twice. ``edges`` are a histogram's; ``mode`` is a gauge's."""

    name: str
    kind: int
    labelnames: tuple[str, ...]
    edges: tuple[float, ...] = ()
    mode: GaugeMode = "sum"

    @property
    def slots(self) -> int:
        """Slots of one series."""
        return len(self.edges) + 2 if self.kind == HISTOGRAM else 1


class Family(Generic[SeriesT]):
    """All series of one name. Created by the registry."""

    __slots__ = ("_make", "_overflow", "_registry", "_series", "help", "shape")

    def __init__(
        self,
        registry: Registry,
        shape: FamilyShape,
        help_text: str,
        make: Callable[[memoryview[float], int], SeriesT],
    ) -> None:
        self.shape = shape
        self.help = help_text
        self._registry = registry
        self._make = make
        # Placed first, so that a series exists that keeps the totals right once the region is full.
        other = (OTHER,) * len(shape.labelnames)
        slot = registry.place((shape.name, *other), shape.kind, shape.slots)
        if slot >= 0:
            self._overflow = make(registry.values, slot)
        else:
            self._overflow = make(memoryview(bytearray(shape.slots * SLOT_BYTES)).cast("d"), 0)
        self._series: dict[tuple[str, ...], SeriesT] = {other: self._overflow}

    def labels(self, *values: str) -> SeriesT:
        """Return the series of these label values; the all-``other`` one if the region is full.

        Raises ValueError if the number of values is not the family's.
        """
        series = self._series.get(values)
        return self._new(values) if series is None else series

    def _new(self, values: tuple[str, ...]) -> SeriesT:
        shape = self.shape
        if len(values) != len(shape.labelnames):
            raise ValueError(f"{shape.name}: {len(values)} label values for the labels {shape.labelnames}")
        slot = self._registry.place((shape.name, *values), shape.kind, shape.slots)
        if slot < 0:
            self._registry.overflow.inc()
            return self._overflow  # not remembered: a full region must not make the dict grow instead
        series = self._series[values] = self._make(self._registry.values, slot)
        return series


class FamilySnapshot(NamedTuple):
    """A family with its series, each summed over the workers: label values to slot values."""

    shape: FamilyShape
    help: str
    series: dict[tuple[str, ...], ValuesT]


class Registry:
    """The families of one worker, over its region of ``slab``; without a slab, a private one (one worker, tests)."""

    def __init__(self, slab: Slab | None = None, index: int = 0) -> None:
        self._slab = Slab(1) if slab is None else slab
        region = self._slab.regions[index]
        region.attach()
        self.place = region.place
        self.values = region.values
        self._families: dict[str, Family[Any]] = {}
        self._lock = threading.Lock()
        self._readers = [(DirectoryReader(r), r.values) for r in self._slab.regions]
        # Families that another process registered, and perhaps this one did not.
        self._declared: dict[str, tuple[FamilyShape, str]] = {}
        # family -> label values -> the places of the series, one for each region that has it
        self._places: dict[str, dict[tuple[str, ...], list[tuple[memoryview[float], int, int]]]] = {}
        self.overflow = self.counter(
            OVERFLOW_METRIC, "Look-ups of series that found no room in the counters' memory and went to `other`."
        ).labels()

    def counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Family[Counter]:
        """Return the counter family ``name``, which ends with ``_total``; an existing one if the labels agree.

        Raises ValueError if the name does not end with ``_total`` or is another family's.
        """
        if not name.endswith("_total"):
            raise ValueError(f"{name}: a counter's name ends with _total")
        return self._family(FamilyShape(name, COUNTER, tuple(labels)), help_text, Counter)

    def gauge(self, name: str, help_text: str, labels: Sequence[str] = (), *, mode: GaugeMode = "sum") -> Family[Gauge]:
        """Return the gauge family ``name``; over the workers it is their sum or their maximum.

        Raises ValueError if the name is another family's.
        """
        return self._family(FamilyShape(name, GAUGE, tuple(labels), (), mode), help_text, Gauge)

    def histogram(
        self, name: str, help_text: str, labels: Sequence[str] = (), *, edges: Sequence[float]
    ) -> Family[Histogram]:
        """Return the histogram family ``name`` with upper bucket ``edges``, ascending and without +Inf.

        Raises ValueError if the edges do not ascend or the name is another family's.
        """
        bounds = tuple(float(edge) for edge in edges)
        if not bounds or any(a >= b for a, b in pairwise(bounds)):
            raise ValueError(f"{name}: bucket edges must ascend")
        return self._family(
            FamilyShape(name, HISTOGRAM, tuple(labels), bounds),
            help_text,
            lambda values, slot: Histogram(values, slot, bounds),
        )

    def _family(
        self, shape: FamilyShape, help_text: str, make: Callable[[memoryview[float], int], SeriesT]
    ) -> Family[SeriesT]:
        family = self._families.get(shape.name)
        if family is None:
            self.place(_declaration(shape, help_text), FAMILY, 0)
            family = self._families[shape.name] = Family(self, shape, help_text, make)
        elif family.shape != shape:
            raise ValueError(f"{shape.name} exists with another type, labels or edges")
        return family

    def label_values(self, name: str, label: str) -> set[str]:
        """Return every value that ``label`` of the family ``name`` has in any worker."""
        position = self._families[name].shape.labelnames.index(label)
        with self._lock:
            self._refresh()
            return {values[position] for values in self._places.get(name, ())}

    def sums(self, name: str) -> dict[tuple[str, ...], ValuesT]:
        """Return the series of the family ``name``: label values to slot values, over all workers."""
        with self._lock:
            self._refresh()
            return self._sum(self._families[name].shape)

    def collect(self) -> list[FamilySnapshot]:
        """Return all families, summed over all workers, counts of dead ones included.

        This registry's own families come first, in the order of registration; then those that only other processes
        have registered, so that the supervisor exposes the gateways' metrics without knowing them.
        """
        with self._lock:
            self._refresh()
            found = [(family.shape, family.help) for family in list(self._families.values())]
            found += [declared for name, declared in self._declared.items() if name not in self._families]
            return [FamilySnapshot(shape, help_text, self._sum(shape)) for shape, help_text in found]

    def _refresh(self) -> None:
        for reader, values in self._readers:
            for entry in reader.new():
                if entry.kind == FAMILY:
                    declared = _declared(entry.key)
                    self._declared.setdefault(declared[0].name, declared)
                    continue
                name, *labels = entry.key
                series = self._places.setdefault(name, {})
                series.setdefault(tuple(labels), []).append((values, entry.slot, entry.slots))

    def _sum(self, shape: FamilyShape) -> dict[tuple[str, ...], ValuesT]:
        sums: dict[tuple[str, ...], ValuesT] = {}
        fold = max if shape.mode == "max" else sum
        for labels, places in self._places.get(shape.name, {}).items():
            rows = [values[slot : slot + slots] for values, slot, slots in places if slots == shape.slots]
            if not rows or len(labels) != len(shape.labelnames):
                continue
            if shape.slots == 1:
                total: ValuesT = (fold([row[0] for row in rows]),)
            else:
                total = tuple(map(sum, zip(*rows, strict=True)))
            # The series kept for a full region shows only once it holds something.
            if any(total) or not labels or any(label != OTHER for label in labels):
                sums[labels] = total
        return sums


def _declaration(shape: FamilyShape, help_text: str) -> tuple[str, ...]:
    """Return the directory key that declares a family; no series has an empty name."""
    details = orjson.dumps([shape.kind, shape.labelnames, shape.edges, shape.mode]).decode()
    return ("", shape.name, help_text, details)


def _declared(key: tuple[str, ...]) -> tuple[FamilyShape, str]:
    _, name, help_text, details = key
    kind, labels, edges, mode = orjson.loads(details)
    return FamilyShape(name, int(kind), tuple(labels), tuple(edges), "max" if mode == "max" else "sum"), help_text


class Bounded:
    """Bounds label values that come from outside: a known word is itself, any other is ``other``.

    ``known`` come from the configuration; up to ``limit`` further words are learned, first come, first served.
    ``elsewhere`` returns what other workers have learned, so that the limit holds for the machine, not each worker.
    """

    __slots__ = ("_elsewhere", "_known", "_learned", "_limit", "_other")

    def __init__(
        self,
        known: Iterable[str] = (),
        *,
        limit: int = 0,
        other: str = OTHER,
        elsewhere: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._known = set(known)
        self._learned: set[str] = set()
        self._limit = limit
        self._other = other
        self._elsewhere = elsewhere

    def __call__(self, word: str) -> str:
        """Return ``word``, or ``other``."""
        if word in self._known or word in self._learned:
            return word
        if len(self._learned) >= self._limit or len(word) > MAX_LABEL_CHARS:
            return self._other
        self._learned.update(w for w in self._elsewhere() if w not in self._known and w != self._other)
        if word in self._learned:
            return word
        if len(self._learned) >= self._limit:
            return self._other
        self._learned.add(word)
        return word

    def add(self, words: Iterable[str]) -> None:
        """Add known words (a reload brought new clients); those known before stay, as their series do."""
        self._known.update(words)

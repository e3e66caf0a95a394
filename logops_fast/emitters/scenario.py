"""Scenarios: several emitters with their schedules, read strictly from YAML.

name: spike
duration_sec: 60
tick_sec: 1
emitters:
  - name: json            # also its kind and its X-Emitter, unless given
    eps: 500
    args: {batch_size: 100, partial_ratio: 0.05, chaos: 0, error_ratio: 0.02, seed: 1, on_refusal: drop}
    schedule: {start_after_sec: 0, stop_after_sec: 50, ramp_up_sec: 5, ramp_down_sec: 5, jitter_pct: 10}
    bursts: {every_sec: 20, length_sec: 5, factor: 4}
expect: {all_accepted: [json]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

from logops_fast.config.errors import ConfigError, did_you_mean
from logops_fast.config.names import NAME_RULE, is_name
from logops_fast.config.yaml_tree import Tree, parse_tree, read_tree
from logops_fast.emitters.base import Emitter, Options
from logops_fast.emitters.reader import Section
from logops_fast.emitters.registry import DEFAULT_RATIOS, KINDS, make, make_from_script
from logops_fast.emitters.schedule import ALWAYS, Bursts, Profile, Schedule
from logops_fast.emitters.syslog import FORMS

DEFAULT_BATCH_SIZE: Final = 100
MAX_BATCH_SIZE: Final = 1_000_000
MAX_EPS: Final = 10_000_000
MAX_DURATION: Final = 31 * 86_400
MIN_TICK: Final = 0.01

OnRefusal = Literal["drop", "retry"]

_PACKAGED: Final = "_data/scenarios"  # the wheel has them there, copied from the path below
_IN_REPOSITORY: Final = "deploy/scenarios"


@dataclass(frozen=True, slots=True)
class Replay:
    """An attack: each ``every``-th signed request is sent again as it was, ``copies`` times, ``delay_sec`` later."""

    every: int = 1
    copies: int = 1
    delay_sec: float = 0.0


@dataclass(frozen=True, slots=True)
class EmitterPlan:
    """One emitter of a scenario. ``emitter``, if given, is sent as X-Emitter instead of ``name``."""

    name: str
    eps: float
    kind: str = "json"
    script: Path | None = None
    emitter: str | None = None
    batch_size: int = DEFAULT_BATCH_SIZE
    on_refusal: OnRefusal = "drop"
    options: Options = field(default_factory=Options)
    seeded: bool = False
    """Whether ``args.seed`` is given."""
    schedule: Schedule = ALWAYS
    bursts: Bursts | None = None
    attack: Replay | None = None

    def make(self) -> Emitter:
        """Return its emitter. Raises ConfigError if a script has none."""
        return make(self.kind, self.options) if self.script is None else make_from_script(self.script, self.options)


@dataclass(frozen=True, slots=True)
class Expect:
    """What must be true at the end: each of these statuses was answered, these emitters lost nothing."""

    refused_with: tuple[int, ...] = ()
    all_accepted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole scenario; its name is sent as X-Scenario-Id."""

    name: str
    duration_sec: float
    emitters: tuple[EmitterPlan, ...]
    tick_sec: float = 1.0
    description: str = ""
    expect: Expect | None = None

    def profile(self, plan: EmitterPlan) -> Profile:
        """Return the rate of one of its emitters."""
        return Profile(plan.eps, self.duration_sec, plan.schedule, plan.bursts)

    def seeded(self, seed: int | None, fallback: int) -> Scenario:
        """Return a copy with a seed for each emitter: from ``seed``, else its own, else from ``fallback``."""
        plans = []
        for number, plan in enumerate(self.emitters):
            if seed is not None or not plan.seeded:
                chosen = f"{fallback if seed is None else seed}/{number}/{plan.name}"
                plan = replace(plan, options=replace(plan.options, seed=chosen))
            plans.append(plan)
        return replace(self, emitters=tuple(plans))

    def lasting(self, duration_sec: float) -> Scenario:
        """Return a copy of another duration: cut off, or with its open-ended emitters prolonged."""
        return replace(self, duration_sec=duration_sec)


def load(path: Path) -> Scenario:
    """Read a scenario file. Raises ConfigError: ``file:line``, the path and what was expected."""
    return _scenario(read_tree(path), path.parent)


def parse(text: str, name: str = "scenario", directory: Path | None = None) -> Scenario:
    """Read the text of a scenario; ``directory`` is what ``script:`` is relative to. Raises ConfigError."""
    return _scenario(parse_tree(text, name), directory or Path())


def library() -> dict[str, Path]:
    """Return the scenarios that come with the package, by name."""
    package = Path(str(resources.files("logops_fast")))
    for folder in (package / _PACKAGED, package.parent / _IN_REPOSITORY):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def find(name: str) -> Path:
    """Return the path of a scenario file, by its path or by a name of the library. Raises ConfigError."""
    path = Path(name)
    if path.is_file():
        return path
    known = library()
    if name in known:
        return known[name]
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise ConfigError(f"{path}: no such file")
    raise ConfigError(
        f"{name}: no file and no scenario of the library{did_you_mean(name, known)}; see logops scenario list"
    )


def _scenario(tree: Tree, directory: Path) -> Scenario:
    root = Section.root(tree)
    name = root.text("name", None)
    if not is_name(name):
        raise root.wrong("name", f"a name ({NAME_RULE})")
    duration = root.number("duration_sec", None, above=0, most=MAX_DURATION)
    tick = root.number("tick_sec", 1.0, least=MIN_TICK, most=duration)
    plans = tuple(_plan(section, directory, duration) for section in root.sections("emitters"))
    names = [plan.name for plan in plans]
    for number, found in enumerate(names):
        if found in names[:number]:
            raise ConfigError(f"emitters.{number}.name: {found} is the name of another emitter too", root.where())
    description = root.text("description", "")
    expect = _expect(root, names)
    root.end()
    return Scenario(name, duration, plans, tick, description, expect)


def _plan(section: Section, directory: Path, duration: float) -> EmitterPlan:
    name = section.text("name", None)
    if not is_name(name):
        raise section.wrong("name", f"a name ({NAME_RULE})")
    script = section.text("script", "")
    kind = section.choice("kind", name if name in KINDS else "script" if script else None, (*KINDS, "script"))
    if bool(script) != (kind == "script"):
        raise section.wrong(
            "script", "the path of a Python file, with kind: script or none" if not script else "none with this kind"
        )
    path = None
    if script:
        path = directory / script
        if not path.is_file():
            raise section.wrong("script", f"a Python file; {path} is not one")
    emitter = section.text("emitter", "") or None
    if emitter is not None and not is_name(emitter):
        raise section.wrong("emitter", f"a name ({NAME_RULE})")
    eps = section.number("eps", None, least=0, most=MAX_EPS)
    args = section.section("args")
    defaults = DEFAULT_RATIOS.get(kind, {})
    batch_size = args.integer("batch_size", DEFAULT_BATCH_SIZE, least=1, most=MAX_BATCH_SIZE)
    on_refusal = args.choice("on_refusal", "drop", ("drop", "retry"))
    seeded = args.has("seed")
    options = Options(
        seed=args.integer("seed", 0, least=-(2**63), most=2**63 - 1),
        partial_ratio=args.number("partial_ratio", defaults.get("partial_ratio", 0.0), least=0, most=1),
        chaos=args.number("chaos", defaults.get("chaos", 0.0), least=0, most=1),
        error_ratio=args.number("error_ratio", 0.0, least=0, most=1) if args.has("error_ratio") else None,
        form=args.choice("form", "mixed", FORMS) if kind == "syslog" else "",
        extra=args.rest() if script else {},
    )
    args.end()
    plan = EmitterPlan(
        name, eps, kind, path, emitter, batch_size,
        "retry" if on_refusal == "retry" else "drop",
        options, seeded, _schedule(section.section("schedule"), duration), _bursts(section), _attack(section),
    )  # fmt: skip
    section.end()
    return plan


def _schedule(section: Section, duration: float) -> Schedule:
    start = section.number("start_after_sec", 0.0, least=0)
    stop = section.number("stop_after_sec", duration, above=start) if section.has("stop_after_sec") else None
    schedule = Schedule(
        start,
        stop,
        section.number("ramp_up_sec", 0.0, least=0),
        section.number("ramp_down_sec", 0.0, least=0),
        section.number("jitter_pct", 0.0, least=0, most=100),
    )
    if start >= duration:
        raise section.wrong("start_after_sec", f"a number below duration_sec, {duration:g}")
    section.end()
    return schedule


def _bursts(parent: Section) -> Bursts | None:
    if not parent.has("bursts"):
        return None
    section = parent.section("bursts")
    every = section.number("every_sec", None, least=0.1)
    bursts = Bursts(
        every,
        section.number("length_sec", None, above=0, most=every),
        section.number("factor", None, least=0, most=1000),
    )
    section.end()
    return bursts


def _attack(parent: Section) -> Replay | None:
    if not parent.has("attack"):
        return None
    section = parent.section("attack")
    section.choice("kind", None, ("replay",))
    attack = Replay(
        section.integer("every", 1, least=1),
        section.integer("copies", 1, least=1, most=1000),
        section.number("delay_sec", 0.0, least=0),
    )
    section.end()
    return attack


def _expect(root: Section, names: list[str]) -> Expect | None:
    if not root.has("expect"):
        return None
    section = root.section("expect")
    statuses = section.items(
        "refused_with", lambda item: isinstance(item, int) and 400 <= item <= 599, "statuses from 400 to 599"
    )
    accepted = section.items("all_accepted", lambda item: item in names, "names of emitters of this scenario")
    section.end()
    return Expect(tuple(statuses), tuple(accepted))


def as_fields(scenario: Scenario) -> Mapping[str, Any]:
    """Return what ``scenario.start`` says about it."""
    return {
        "name": scenario.name,
        "duration_sec": scenario.duration_sec,
        "tick_sec": scenario.tick_sec,
        "emitters": [
            {
                "name": plan.name,
                "kind": plan.kind,
                "eps": plan.eps,
                "batch_size": plan.batch_size,
                "seed": plan.options.seed,
            }
            for plan in scenario.emitters
        ],
    }

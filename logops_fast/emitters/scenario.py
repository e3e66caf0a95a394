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
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from logops_fast.config.errors import ConfigError, did_you_mean
from logops_fast.config.names import NAME_RULE, is_name
from logops_fast.config.typed_yaml import decode, decode_at, wrong
from logops_fast.config.yaml_tree import Tree, parse_tree, read_tree
from logops_fast.emitters.base import Emitter, Options
from logops_fast.emitters.registry import DEFAULT_RATIOS, KINDS, make, make_from_script
from logops_fast.emitters.schedule import ALWAYS, Bursts, Profile, Schedule
from logops_fast.emitters.syslog import FORMS

DEFAULT_BATCH_SIZE: Final = 100
MAX_BATCH_SIZE: Final = 1_000_000
MAX_EPS: Final = 10_000_000
MAX_DURATION: Final = 31 * 86_400
MIN_TICK: Final = 0.01

OnRefusal = Literal["drop", "retry"]
Ratio = Annotated[float, Meta(ge=0, le=1)]

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


class _ScheduleFile(msgspec.Struct, frozen=True):
    start_after_sec: Annotated[float, Meta(ge=0)] = 0.0
    stop_after_sec: float | None = None
    ramp_up_sec: Annotated[float, Meta(ge=0)] = 0.0
    ramp_down_sec: Annotated[float, Meta(ge=0)] = 0.0
    jitter_pct: Annotated[float, Meta(ge=0, le=100)] = 0.0


class _BurstsFile(msgspec.Struct, frozen=True):
    every_sec: Annotated[float, Meta(ge=0.1)]
    length_sec: Annotated[float, Meta(gt=0)]
    factor: Annotated[float, Meta(ge=0, le=1000)]


class _AttackFile(msgspec.Struct, frozen=True):
    kind: Literal["replay"]
    every: Annotated[int, Meta(ge=1)] = 1
    copies: Annotated[int, Meta(ge=1, le=1000)] = 1
    delay_sec: Annotated[float, Meta(ge=0)] = 0.0


class _ArgsFile(msgspec.Struct, frozen=True):
    batch_size: Annotated[int, Meta(ge=1, le=MAX_BATCH_SIZE)] = DEFAULT_BATCH_SIZE
    on_refusal: OnRefusal = "drop"
    seed: int | None = None
    partial_ratio: Ratio | None = None
    chaos: Ratio | None = None
    error_ratio: Ratio | None = None
    form: str = ""


class _EmitterFile(msgspec.Struct, frozen=True):
    name: str
    eps: Annotated[float, Meta(ge=0, le=MAX_EPS)]
    kind: str = ""
    script: str = ""
    emitter: str | None = None
    args: dict[str, Any] = {}
    schedule: _ScheduleFile = _ScheduleFile()
    bursts: _BurstsFile | None = None
    attack: _AttackFile | None = None


class _ExpectFile(msgspec.Struct, frozen=True):
    refused_with: tuple[Annotated[int, Meta(ge=400, le=599)], ...] = ()
    all_accepted: tuple[str, ...] = ()


class _ScenarioFile(msgspec.Struct, frozen=True):
    name: str
    duration_sec: Annotated[float, Meta(gt=0, le=MAX_DURATION)]
    emitters: Annotated[tuple[_EmitterFile, ...], Meta(min_length=1)]
    tick_sec: Annotated[float, Meta(ge=MIN_TICK)] = 1.0
    description: str = ""
    expect: _ExpectFile | None = None


def _scenario(tree: Tree, directory: Path) -> Scenario:
    file = decode(tree, _ScenarioFile)
    _check_name(tree, ("name",), file.name)
    if file.tick_sec > file.duration_sec:
        raise wrong(tree, ("tick_sec",), f"a number <= duration_sec, {file.duration_sec:g}")
    names = [plan.name for plan in file.emitters]
    for number, name in enumerate(names):
        if name in names[:number]:
            path = ("emitters", str(number), "name")
            raise ConfigError(f"{'.'.join(path)}: {name} is the name of another emitter too", tree.where(path))
    plans = tuple(
        _plan(tree, ("emitters", str(number)), plan, directory, file.duration_sec)
        for number, plan in enumerate(file.emitters)
    )
    expect = None
    if file.expect is not None:
        for number, name in enumerate(file.expect.all_accepted):
            if name not in names:
                raise wrong(tree, ("expect", "all_accepted", str(number)), "the name of an emitter of this scenario")
        expect = Expect(file.expect.refused_with, file.expect.all_accepted)
    return Scenario(file.name, file.duration_sec, plans, file.tick_sec, file.description, expect)


def _check_name(tree: Tree, path: tuple[str, ...], name: str) -> None:
    if not is_name(name):
        raise wrong(tree, path, f"a name ({NAME_RULE})")


def _plan(tree: Tree, path: tuple[str, ...], file: _EmitterFile, directory: Path, duration: float) -> EmitterPlan:
    _check_name(tree, (*path, "name"), file.name)
    if file.emitter is not None:
        _check_name(tree, (*path, "emitter"), file.emitter)
    kind = file.kind or (file.name if file.name in KINDS else "script" if file.script else "")
    if kind not in (*KINDS, "script"):
        raise wrong(tree, (*path, "kind"), "one of " + ", ".join((*KINDS, "script")))
    script = None
    if kind == "script":
        if not file.script:
            raise wrong(tree, (*path, "script"), "the path of a Python file, as kind is script")
        script = directory / file.script
        if not script.is_file():
            raise wrong(tree, (*path, "script"), f"a Python file; {script} is not one")
    elif file.script:
        raise wrong(tree, (*path, "script"), f"no script, as kind is {kind}")
    known = _ArgsFile.__struct_fields__
    extra = {key: value for key, value in file.args.items() if key not in known} if script else {}
    own = {key: value for key, value in file.args.items() if key not in extra}
    args = decode_at(tree, (*path, "args"), own, _ArgsFile)
    return EmitterPlan(
        name=file.name,
        eps=file.eps,
        kind=kind,
        script=script,
        emitter=file.emitter,
        batch_size=args.batch_size,
        on_refusal=args.on_refusal,
        options=_options(tree, (*path, "args"), args, kind, extra),
        seeded=args.seed is not None,
        schedule=_schedule(tree, (*path, "schedule"), file.schedule, duration),
        bursts=None if file.bursts is None else _bursts(tree, (*path, "bursts"), file.bursts),
        attack=None if file.attack is None else Replay(file.attack.every, file.attack.copies, file.attack.delay_sec),
    )


def _options(tree: Tree, path: tuple[str, ...], args: _ArgsFile, kind: str, extra: dict[str, Any]) -> Options:
    form = args.form
    if kind == "syslog":
        form = form or "mixed"
        if form not in FORMS:
            raise wrong(tree, (*path, "form"), "one of " + ", ".join(FORMS))
    elif form:
        raise wrong(tree, (*path, "form"), f"no form, which only syslog has; kind is {kind}")
    defaults = DEFAULT_RATIOS.get(kind, {})
    return Options(
        seed=args.seed or 0,
        partial_ratio=defaults.get("partial_ratio", 0.0) if args.partial_ratio is None else args.partial_ratio,
        chaos=defaults.get("chaos", 0.0) if args.chaos is None else args.chaos,
        error_ratio=args.error_ratio,
        form=form,
        extra=extra,
    )


def _schedule(tree: Tree, path: tuple[str, ...], file: _ScheduleFile, duration: float) -> Schedule:
    if file.start_after_sec >= duration:
        raise wrong(tree, (*path, "start_after_sec"), f"a number below duration_sec, {duration:g}")
    if file.stop_after_sec is not None and file.stop_after_sec <= file.start_after_sec:
        raise wrong(tree, (*path, "stop_after_sec"), f"a number > {file.start_after_sec:g}, which is start_after_sec")
    return Schedule(file.start_after_sec, file.stop_after_sec, file.ramp_up_sec, file.ramp_down_sec, file.jitter_pct)


def _bursts(tree: Tree, path: tuple[str, ...], file: _BurstsFile) -> Bursts:
    if file.length_sec > file.every_sec:
        raise wrong(tree, (*path, "length_sec"), f"a number <= {file.every_sec:g}, which is every_sec")
    return Bursts(file.every_sec, file.length_sec, file.factor)


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

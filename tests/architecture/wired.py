"""Which component holds an object of which, in gateways built by the real wiring: the arrows that no import shows."""

from __future__ import annotations

import asyncio
import functools
import types
from pathlib import Path
from typing import Any, Literal

from logops_fast.config.keys_file import Client, Keyring
from logops_fast.config.loader import load
from logops_fast.runtime.services import GatewayService, Plan
from logops_fast.runtime.worker import WorkerContext
from logops_fast.state.factory import open_state
from logops_fast.telemetry.slab import Slab

Edge = tuple[str, str]
RUNTIME = "logops_fast.runtime"


def built(role: Literal["up", "authgw", "ingest"], directory: Path) -> GatewayService:
    """A gateway as a worker builds it, with nothing opened yet."""
    flags = {
        "sink.dir": str(directory / "ingest"),
        "housekeeping.archive_dir": str(directory / "archive"),
        "state.dir": str(directory / "state"),
        "syslog.enabled": True,
    }
    settings = load(None, {}, flags).settings
    state = open_state("memory", workers=1, directory=directory, redis_url="", tolerance=300.0)
    keyring = Keyring.of([Client("web-1", (b"a-secret-of-a-test",), "web", frozenset({"web"}))])

    async def build() -> GatewayService:
        plan = Plan(role, settings, keyring, state, None, {})
        return GatewayService(plan, WorkerContext(0, 1, Slab(1), -1, -1))

    return asyncio.run(build())


def wired_edges(root: Any, owner: dict[str, str]) -> set[Edge]:
    """Component to component, wherever an object of the one reaches one of the other: by an attribute, in a
    container, in a closure or a partial, or through one method of the composition root, of which only what its code
    names counts.
    """
    edges: set[Edge] = set()
    seen: set[tuple[int, str]] = set()
    # (object, the component that holds it, whether the composition root lies between)
    pending: list[tuple[Any, str, bool]] = [(root, "", False)]
    keep = []  # ids stay taken while their objects live
    while pending:
        thing, holder, through_root = pending.pop()
        kind = type(thing)
        component = owner.get(kind.__module__, "")
        if component:
            if holder and component != holder:
                edges.add((holder, component))
            holder, through_root = component, False
        elif kind.__module__.startswith(RUNTIME) and holder:
            continue  # the composition root knows everything; that is not the component's doing
        elif isinstance(thing, types.MethodType) and type(thing.__self__).__module__.startswith(RUNTIME):
            if not through_root and holder:
                named = thing.__func__.__code__.co_names
                held = vars(thing.__self__)
                pending += [(held[name], holder, True) for name in named if name in held]
                continue
        elif not kind.__module__.startswith(("logops_fast", "builtins", "functools")):
            continue
        if (id(thing), holder) not in seen:
            seen.add((id(thing), holder))
            keep.append(thing)
            pending += [(held, holder, through_root) for held in _held(thing)]
    return edges


def _held(thing: Any) -> list[Any]:
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, types.MethodType):
        return [thing.__self__]
    if isinstance(thing, types.FunctionType):
        return [cell.cell_contents for cell in thing.__closure__ or ()]
    if isinstance(thing, (list, tuple, set, frozenset)):
        return list(thing)
    if isinstance(thing, dict):
        return list(thing.values())
    if isinstance(thing, type) or type(thing).__module__ == "builtins":
        return []
    held = list(getattr(thing, "__dict__", {}).values())
    for cls in type(thing).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(thing, name):
                held.append(getattr(thing, name))
    return held

"""Emitters by their kind, and those of a user's own file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from typing import Final, cast

from logops_fast.config.errors import ConfigError
from logops_fast.emitters.base import Emitter, Options

_MODULES: Final = {
    "json": ("logops_fast.emitters.json_server", "JsonServer"),
    "csv": ("logops_fast.emitters.csv_rows", "CsvRows"),
    "field": ("logops_fast.emitters.field", "Field"),
    "minimal": ("logops_fast.emitters.minimal", "Minimal"),
    "noise": ("logops_fast.emitters.noise", "Noise"),
    "syslog": ("logops_fast.emitters.syslog", "Syslog"),
}
KINDS: Final = tuple(_MODULES)
DEFAULT_RATIOS: Final = {"csv": {"partial_ratio": 0.1}, "noise": {"chaos": 0.6}}
"""Where a kind's own defaults differ from 0."""


def make(kind: str, options: Options) -> Emitter:
    """An emitter of one of ``KINDS``."""
    module, name = _MODULES[kind]
    return cast(Emitter, getattr(import_module(module), name)(options))


def make_from_script(path: Path, options: Options) -> Emitter:
    """The emitter that ``make(options)`` of a Python file returns. Raises ConfigError where there is none.

    The file is run: it may do whatever its owner may.
    """
    name = f"logops_script_{path.stem}"
    loader = SourceFileLoader(name, str(path))
    module = module_from_spec(ModuleSpec(name, loader, origin=str(path)))
    sys.modules[name] = module  # where dataclasses look up their annotations
    try:
        loader.exec_module(module)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror or exc}") from None
    except Exception as exc:
        raise ConfigError(f"{path}: failed while it was loaded: {type(exc).__name__}: {exc}") from exc
    factory = cast("Callable[[Options], Emitter] | None", getattr(module, "make", None))
    if not callable(factory):
        raise ConfigError(f"{path}: expected a function make(options) that returns an emitter")
    emitter = factory(options)
    if not callable(getattr(emitter, "batch", None)) or not isinstance(getattr(emitter, "content_type", None), bytes):
        raise ConfigError(f"{path}: make() must return an object with content_type (bytes) and batch(count, now)")
    return emitter

"""Emitters by kind, and those of a user's own Python file."""

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
"""Default ratios of the kinds, if not 0."""


def make(kind: str, options: Options) -> Emitter:
    """Return an emitter of one of ``KINDS``."""
    module, name = _MODULES[kind]
    return cast(Emitter, getattr(import_module(module), name)(options))


def make_from_script(path: Path, options: Options) -> Emitter:
    """Return the emitter that ``make(options)`` of a Python file returns.

    The file is executed, with all rights of this process.

    Raises ConfigError if the file cannot be read, fails, or returns no emitter.
    """
    name = f"logops_script_{path.stem}"
    loader = SourceFileLoader(name, str(path))
    module = module_from_spec(ModuleSpec(name, loader, origin=str(path)))
    sys.modules[name] = module  # dataclasses look up their annotations there
    try:
        loader.exec_module(module)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:
        raise ConfigError(f"{path}: failed while it was loaded: {type(error).__name__}: {error}") from error
    factory = cast("Callable[[Options], Emitter] | None", getattr(module, "make", None))
    if not callable(factory):
        raise ConfigError(f"{path}: expected a function make(options) that returns an emitter")
    emitter = factory(options)
    if not callable(getattr(emitter, "batch", None)) or not isinstance(getattr(emitter, "content_type", None), bytes):
        raise ConfigError(f"{path}: make() must return an object with content_type (bytes) and batch(count, now)")
    return emitter

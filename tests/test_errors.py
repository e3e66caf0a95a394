from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import logops_fast
from logops_fast.config.errors import ConfigError
from logops_fast.errors import LogOpsError, OperatorError, StartupError
from logops_fast.ingest.sink.file_sink import SinkStartError
from logops_fast.state.shared import StateError
from tests.support.tables import each_of


def exceptions() -> list[type[BaseException]]:
    found = []
    for module in pkgutil.walk_packages(logops_fast.__path__, "logops_fast."):
        if module.name == "logops_fast.__main__":
            continue  # runs the command when imported
        members = vars(importlib.import_module(module.name)).values()
        found += [one for one in members if inspect.isclass(one) and issubclass(one, BaseException)]
    return [one for one in found if one.__module__.startswith("logops_fast")]


@pytest.mark.process  # NiceGUI, which the console imports, starts ldconfig
def test_every_exception_of_the_project_is_a_logops_error() -> None:
    found = exceptions()
    assert ConfigError in found
    assert [one for one in found if not issubclass(one, LogOpsError)] == []


@each_of("kind", [StartupError, ConfigError, SinkStartError, StateError])
def test_what_an_operator_can_fix_is_one_escaped_line(kind: type[OperatorError]) -> None:
    error = kind("no such\nfile \x1b[31m")
    assert isinstance(error, OperatorError)
    assert str(error) == error.located == "no such\\nfile \\x1b[31m"


def test_a_configuration_error_names_its_place() -> None:
    assert ConfigError("sink.dir: expected text", "logops.yaml:7").located == "logops.yaml:7: sink.dir: expected text"

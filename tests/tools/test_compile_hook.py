"""The build hook: what it compiles, what it needs, and what it says when it cannot.

Native code silently behaves differently from the interpreter in a few ways: those stay out of the compiled modules.
"""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

from tests.support.tables import each_of
from tools.compile_hook import C_FAILED, TYPES_FAILED, cause, modules, not_installed

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONFIG: dict[str, Any] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
COMPILED = modules(ROOT / "", CONFIG)
# mypyc puts a "_" before the name of an attribute: GCC's own words begin with two.
WORDS_OF_C = frozenset(
    {"_alignof", "_asm", "_attribute", "_imag", "_inline", "_int128", "_null", "_real", "_thread", "_typeof"}
)


def faults(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.AsyncFunctionDef, ast.Await)):
            yield f"line {node.lineno}: a coroutine, whose throw() warns from Python 3.12 on"
        if isinstance(node, ast.Compare):
            for operator, right in zip(node.ops, node.comparators, strict=True):
                if isinstance(operator, (ast.Is, ast.IsNot)) and ast.unparse(right) in ("inf", "math.inf", "nan"):
                    yield f"line {node.lineno}: a float has no identity in native code"
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in WORDS_OF_C:
            yield f"line {node.lineno}: {node.attr} is a word of C with the underscore that native code puts before it"
        if isinstance(node, ast.FunctionDef):
            caught: dict[str, str] = {}
            for handler in ast.walk(node):
                if isinstance(handler, ast.ExceptHandler) and handler.name and handler.type:
                    kind = ast.unparse(handler.type)
                    if caught.setdefault(handler.name, kind) != kind:
                        yield f"line {handler.lineno}: {handler.name} is of two types, and the second is not taken"


def test_the_hot_packages_are_compiled() -> None:
    assert {"logops_fast/ingest/normaliser.py", "logops_fast/authgw/gateway.py", "logops_fast/http/connection.py"} <= {
        *COMPILED
    }
    assert not any("redis" in module or module.endswith("__init__.py") for module in COMPILED)


@each_of("module", COMPILED)
def test_a_compiled_module_means_the_same(module: str) -> None:
    assert list(faults((ROOT / module).read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "async def f() -> None: ...",
        "def f(x: float) -> bool:\n    return x is inf",
        "def f() -> None:\n    try:\n        g()\n    except KeyError as error:\n        h(error)\n"
        "    except OSError as error:\n        h(error)",
        "class C:\n    def __init__(self) -> None:\n        self._thread = 1",
    ],
)
def test_each_fault_is_seen(source: str) -> None:
    assert len(list(faults(source))) == 1


def requires(root: Path) -> list[str]:
    """What pip installs into the isolated environment of a build."""
    return list(WheelBuilder(str(root)).config.dependencies)


def names(requirements: list[str]) -> set[str]:
    return {requirement.split(">")[0].split("[")[0] for requirement in requirements}


@pytest.mark.parametrize("value", [None, "", "0"])
def test_a_plain_build_needs_nothing_but_hatchling(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("LOGOPS_COMPILE", raising=False)
    if value is not None:
        monkeypatch.setenv("LOGOPS_COMPILE", value)
    assert requires(ROOT) == []
    assert names(PROJECT["build-system"]["requires"]) == {"hatchling"}


def test_a_compiled_build_needs_mypyc_and_the_types_of_every_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOPS_COMPILE", "1")
    needed = names(requires(ROOT))
    assert {"mypy", "setuptools", "types-PyYAML"} <= needed
    assert names(PROJECT["project"]["dependencies"]) <= needed


def test_what_a_compiled_build_needs_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image installs these files and builds without isolation."""
    monkeypatch.setenv("LOGOPS_COMPILE", "1")
    locked = {
        line.split("==")[0].lower()
        for name in ("requirements.lock", "requirements-compile.lock")
        for line in (ROOT / name).read_text("utf-8").splitlines()
        if "==" in line
    }
    assert {name.lower() for name in names(requires(ROOT))} - locked == set()


# A build of one small module, by the real hook: mypyc and the C compiler run.

RIGHT = "def double(number: int) -> int:\n    return 2 * number\n"


def project(tmp_path: Path, source: str) -> None:
    text = (
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "logops-fast"\nversion = "1"\ndependencies = []\n'
        "[dependency-groups]\ncompile = []\n"
        "[tool.hatch.build.targets.wheel.hooks.custom]\n"
        'path = "compile_hook.py"\ninclude = ["logops_fast/*.py"]\nexclude = []\n'
        "[tool.mypy]\nstrict = true\n"
    )
    (tmp_path / "pyproject.toml").write_text(text)
    shutil.copy(ROOT / "tools" / "compile_hook.py", tmp_path)
    (tmp_path / "logops_fast").mkdir()
    (tmp_path / "logops_fast" / "__init__.py").touch()
    (tmp_path / "logops_fast" / "small.py").write_text(source)


def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, **env: str) -> Path:
    project(tmp_path, source)
    for name, value in {"LOGOPS_COMPILE": "1", **env}.items():
        monkeypatch.setenv(name, value)
    return Path(next(iter(WheelBuilder(str(tmp_path)).build(directory=str(tmp_path / "out"), versions=["standard"]))))


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_wheel_holds_the_extension_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = build(tmp_path, monkeypatch, RIGHT)
    assert "none-any" not in wheel.name
    listing = subprocess.run(["unzip", "-l", wheel], capture_output=True, text=True, check=True).stdout
    assert "logops_fast/small." in listing
    assert ".so" in listing


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "env", "said"),
    [
        ("import no_such_package\n", {}, "mypy lacks the types of a dependency"),
        ("def double(number):\n    return 2 * number\n", {}, "mypyc does not accept the source"),
        (RIGHT, {"CC": "/nonexistent/cc"}, "needs a C compiler"),
        (RIGHT, {"CC": "false"}, "the C compiler failed"),
    ],
)
def test_a_build_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, env: dict[str, str], said: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        build(tmp_path, monkeypatch, source, **env)
    assert said in str(stopped.value).splitlines()[-1], stopped.value


# In place of mypyc: a compilation that goes on, in a process of its own as compilers are.
ENDLESS = """
import os, subprocess
def mypycify(*_, **__):
    compiler = subprocess.Popen(["sleep", "600"])
    with open(os.environ["STARTED"] + ".new", "w") as started:
        started.write(str(compiler.pid))
    os.rename(os.environ["STARTED"] + ".new", os.environ["STARTED"])
    compiler.wait()
"""


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_neither_files_nor_compilers(tmp_path: Path, number: signal.Signals) -> None:
    project(tmp_path, RIGHT)
    endless, temporary, started = tmp_path / "endless", tmp_path / "tmp", tmp_path / "started"
    (endless / "mypyc").mkdir(parents=True)
    (endless / "mypyc" / "__init__.py").touch()
    (endless / "mypyc" / "build.py").write_text(ENDLESS)
    temporary.mkdir()
    env = {**os.environ, "LOGOPS_COMPILE": "1", "PYTHONPATH": str(endless), "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    with subprocess.Popen(command, cwd=tmp_path, env=env | {"STARTED": str(started)}, stderr=subprocess.PIPE) as build:
        deadline = time.monotonic() + 120
        while not started.exists():
            assert build.poll() is None, build.stderr and build.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert [path.name.startswith("logops-compile-") for path in temporary.iterdir()] == [True]
        build.send_signal(number)
        build.communicate(timeout=120)
    assert build.returncode != 0
    assert list(temporary.iterdir()) == []
    while runs(int(started.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process is there that is not a zombie, which its new parent may leave for long."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


# In place of hatchling: a build that takes a moment to end.
TIDY = """
import os, signal, sys, time
def end(*_):
    time.sleep(0.5)
    open(os.environ["ENDED"], "w").close()
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
open(os.environ["STARTED"], "w").close()
time.sleep(600)
"""


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_make_compiled_lets_an_interrupted_build_end(tmp_path: Path, number: signal.Signals) -> None:
    started, ended = tmp_path / "started", tmp_path / "ended"
    (tmp_path / "hatchling").mkdir()
    (tmp_path / "hatchling" / "__init__.py").touch()
    (tmp_path / "hatchling" / "__main__.py").write_text(TIDY)
    program = "import pathlib, sys; from tools.make_compiled import build; build(pathlib.Path(sys.argv[1]))"
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "STARTED": str(started), "ENDED": str(ended)}
    with subprocess.Popen([sys.executable, "-c", program, tmp_path / "out"], cwd=tmp_path, env=env) as make:
        deadline = time.monotonic() + 120
        while not started.exists():
            assert make.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        make.send_signal(number)
        assert make.wait(120) != 0
    assert ended.exists()


def test_each_cause_has_a_line_of_its_own() -> None:
    headers = "build/__native.h:3:10: fatal error: Python.h: No such file or directory\nerror: command '/usr/bin/gcc'"
    lines = [
        cause(TYPES_FAILED, "a.py:1: error: Cannot find implementation or library stub [import-not-found]"),
        cause(TYPES_FAILED, 'a.py:1: error: Library stubs not installed for "yaml"'),
        cause(TYPES_FAILED, "a.py:1: error: Incompatible types"),
        cause(C_FAILED, headers),
        cause(C_FAILED, "error: command 'gcc' failed: No such file or directory"),
        cause(C_FAILED, "error: command 'gcc' failed with exit code 1"),
        cause(-9, ""),
        not_installed(["mypyc"]),
    ]
    assert lines[0] == lines[1]
    assert len({*lines}) == len(lines) - 1
    assert "python3-dev" in lines[3]
    assert all(line.startswith("LOGOPS_COMPILE=1") and "\n" not in line for line in lines)

"""What the tests of deploy/ share: the files, read once, and short ways to ask running programs."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from tests.support.services import require_service
from tests.support.yaml_files import read_yaml as read_yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "rules"
DASHBOARDS = DEPLOY / "grafana" / "dashboards"

T = TypeVar("T")


VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
COLLECTORS = ("promtail", "ship", "alloy")


def filled(text: str, **values: str) -> str:
    """A value of a compose file with its variables put in, or their defaults."""
    return VARIABLE.sub(lambda found: values.get(found[1], found[2]), text)


def compose(collector: str = "promtail") -> Any:
    """docker-compose.yml with anchors, merges and ``extends`` resolved, all other variables as written."""
    tree = read_yaml(ROOT / "docker-compose.yml")
    for service in tree["services"].values():
        if extends := service.pop("extends", None):
            base = ROOT / extends["file"]
            name = filled(extends["service"], LOGOPS_COLLECTOR=collector)
            extended = read_yaml(base)["services"][name]
            environment = {**extended.get("environment", {}), **service.get("environment", {})}
            # Paths of a file are relative to it.
            volumes = [v.replace("../", "./deploy/", 1) for v in extended.get("volumes", ())]
            more: dict[str, Any] = {"environment": environment} if environment else {}
            if volumes:
                more["volumes"] = volumes
            service.update({**extended, **service, **more})
    return tree


def rules() -> Iterator[dict[str, Any]]:
    """Every rule of every rule file."""
    for path in sorted(RULES.glob("*.yml")):
        for group in read_yaml(path)["groups"]:
            yield from group["rules"]


def alerts() -> dict[str, dict[str, Any]]:
    """The alert rules by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recorded() -> list[str]:
    """The names of the recorded series."""
    return [rule["record"] for rule in rules() if "record" in rule]


def panels(datasource: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each panel of a kind of data source, with its place."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        board = json.loads(path.read_text("utf-8"))
        for panel in board["panels"]:
            if panel["type"] != "row" and panel["datasource"]["type"] == datasource:
                yield f"{board['title']}: {panel['title']}", panel


def queries(datasource: str) -> list[tuple[str, str]]:
    """(panel, expression) of each query."""
    return [(name, target["expr"]) for name, panel in panels(datasource) for target in panel["targets"]]


def settled(expression: str, *, text: str = "") -> str:
    """A panel's expression with its variables put in, the text as Grafana's format ``doublequote`` does it."""
    quoted = '"{}"'.format(text.replace('"', '\\"'))
    values = {"$__rate_interval": "10s", "$__auto": "10s", "$emitter": ".*", "$level": ".+", "$scenario": ".*"}
    for name, value in {**values, "${text:doublequote}": quoted}.items():
        expression = expression.replace(name, value)
    return expression


def program(*names: str) -> str:
    """The first of these programs that is installed; skips, or fails, where none is."""
    return next((path for name in names if (path := shutil.which(name))), None) or require_service(names[0])


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run to the end; its output, or a failure that shows it."""
    # A fifth of promtool's time is Go's collection of garbage, which a run this short can do without.
    env = {**os.environ, "GOGC": "800"}
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=600, check=False, cwd=cwd, env=env
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ask(port: int, path: str, **parameters: str) -> Any:
    """GET of a JSON API on this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", f"{path}?{urlencode(parameters)}" if parameters else path)
        response = connection.getresponse()
        text = response.read()
        assert response.status == 200, f"{path} {parameters}: {response.status} {text[:300]!r}"
        return json.loads(text)
    finally:
        connection.close()


def until(what: str, probe: Callable[[], T], timeout: float = 300.0) -> T:
    """Poll ``probe`` until its answer is true, and return it; fails with the last one after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    answer: Any = None
    while time.monotonic() < deadline:
        try:
            answer = probe()
        except (OSError, http.client.HTTPException) as error:
            answer = error
        else:
            if answer:
                return answer  # type: ignore[no-any-return]
        time.sleep(0.1)
    raise AssertionError(f"{what}: not in {timeout} s; last: {answer!r}")


_WORD = re.compile(r"[a-zA-Z_:][\w:]*")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def series_names(expression: str) -> set[str]:
    """Names of series in a PromQL expression that are ours: logops_*, or recorded."""
    text = _QUOTED.sub("", expression)
    return {word for word in _WORD.findall(text) if word.startswith("logops_") or ":" in word}


UNITS = {"": 1, "k": 10**3, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30, "mi": 1 << 20, "gi": 1 << 30}


def size(text: str) -> int:
    """Bytes, as compose, Kubernetes and Valkey write them."""
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit.lower()]

"""The pipelines of Promtail and Alloy, read from their files and carried out on lines, for the stages that are used.

Written from the documentation and the source of the stages (grafana/loki, clients/pkg/logentry/stages): what is absent
or null is skipped, numbers and booleans are text, a regex adds its named groups where it matches, and labels of the
target are extracted values from the start.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass
class Job:
    """Sets of files and what is done with their lines."""

    paths: list[str]
    stages: list[tuple[str, dict[str, Any]]]


@dataclass
class Entry:
    """A line as it is sent to Loki."""

    line: str
    labels: dict[str, str]
    extracted: dict[str, Any]
    metadata: dict[str, str] = field(default_factory=dict)
    ts: dt.datetime | None = None


def promtail_job(path: Path, **environment: str) -> Job:
    """The only job of a Promtail configuration; ``environment`` is what -config.expand-env puts in."""
    text = path.read_text("utf-8")
    for name, value in environment.items():
        text = text.replace(f"${{{name}}}", value)
    (job,) = yaml.safe_load(text)["scrape_configs"]
    stages = []
    for stage in job["pipeline_stages"]:
        ((name, options),) = stage.items()
        if name in ("labels", "structured_metadata"):
            options = {key: source or key for key, source in options.items()}
        elif name == "labeldrop":
            options = {"names": options}
        stages.append((name, options))
    return Job(_paths(config["labels"] for config in job["static_configs"]), stages)


def alloy_job(path: Path, **environment: str) -> Job:
    """The only way of an Alloy configuration: a file_match, a source and a process of one name."""
    blocks = parse_alloy(path.read_text("utf-8"), environment)
    ((_, match),) = blocks['local.file_match "logops"']
    ((_, source),) = blocks['loki.source.file "logops"']
    assert source["targets"] == "local.file_match.logops.targets"
    assert source["forward_to"] == ["loki.process.logops.receiver"]
    ((inner, process),) = blocks['loki.process "logops"']
    assert process["forward_to"] == ["loki.write.loki.receiver"]
    stages = []
    for stage, (_, options) in inner:
        kind = stage.removeprefix("stage.").replace("label_drop", "labeldrop")
        if kind in ("labels", "structured_metadata"):
            options = {key: value or key for key, value in options["values"].items()}
        elif kind == "labeldrop":
            options = {"names": options["values"]}
        stages.append((kind, options))
    return Job(_paths(match["path_targets"]), stages)


def _paths(targets: Iterable[dict[str, str]]) -> list[str]:
    """The paths of targets that have nothing else: what has labels, Alloy does not find in Promtail's positions."""
    targets = list(targets)
    assert all(set(target) == {"__path__"} for target in targets)
    return [target["__path__"] for target in targets]


Block = tuple[list[tuple[str, Any]], dict[str, Any]]
"""Inner blocks by name, in order, and attributes."""

_TOKEN = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"|[\w.]+|[{}\[\]()=,+]')


def parse_alloy(text: str, environment: Mapping[str, str] | None = None) -> dict[str, list[Block]]:
    """Top-level blocks by their header."""
    return _Alloy(text, environment or {}).blocks()


class _Alloy:
    """Reads Alloy's syntax, as far as it is used."""

    def __init__(self, text: str, environment: Mapping[str, str]) -> None:
        self._tokens = [token for token in _TOKEN.findall(text) if not token.startswith("//")]
        self._environment = environment

    def blocks(self) -> dict[str, list[Block]]:
        found: dict[str, list[Block]] = {}
        while self._tokens:
            header, block = self._block()
            found.setdefault(header, []).append(block)
        return found

    def _next(self, expected: str = "") -> str:
        token: str = self._tokens.pop(0)
        assert not expected or token == expected, f"{token}, not {expected}"
        return token

    def _block(self) -> tuple[str, Block]:
        header = self._next()
        if self._tokens[0].startswith('"'):
            header += f" {self._next()}"
        self._next("{")
        inner: list[tuple[str, Any]] = []
        attributes: dict[str, Any] = {}
        while self._tokens[0] != "}":
            if self._tokens[1] == "=":
                name = self._next()
                self._next("=")
                attributes[name] = self._value()
            else:
                inner.append(self._block())
        self._next("}")
        return header, (inner, attributes)

    def _value(self) -> Any:
        value = self._term()
        while self._tokens[0] == "+":
            self._next()
            value += self._term()
        return value

    def _term(self) -> Any:
        token = self._next()
        if token == "[":
            items = []
            while self._tokens[0] != "]":
                items.append(self._value())
                if self._tokens[0] == ",":
                    self._next()
            self._next("]")
            return items
        if token == "{":
            pairs = {}
            while self._tokens[0] != "}":
                key = json.loads(self._next())
                self._next("=")
                pairs[key] = self._value()
                if self._tokens[0] == ",":
                    self._next()
            self._next("}")
            return pairs
        if token == "sys.env":
            self._next("(")
            name = json.loads(self._next())
            self._next(")")
            return self._environment.get(name, "")
        if token.startswith('"'):
            return json.loads(token)
        return {"true": True, "false": False}.get(token, int(token) if token.isdigit() else token)


def carry_out(job: Job, path: str, line: str) -> Entry:
    """A line of a file as a job makes it."""
    assert any(fnmatch.fnmatch(path, one) and path.count("/") == one.count("/") for one in job.paths), path
    entry = Entry(line, {"filename": path}, {"filename": path})
    for name, options in job.stages:
        _STAGES[name](entry, options)
    return entry


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return json.dumps(value, separators=(",", ":"))


def _json(entry: Entry, options: dict[str, Any]) -> None:
    data = json.loads(entry.line)
    for name, expression in options["expressions"].items():
        assert re.fullmatch(r"\w+", expression or name), "a plain name, which is its own JMESPath"
        entry.extracted[name] = data.get(expression or name)


def _regex(entry: Entry, options: dict[str, Any]) -> None:
    text = _text(entry.extracted.get(options["source"]))
    if text is not None and (found := re.search(options["expression"].replace("$", r"\Z"), text)):
        entry.extracted.update(found.groupdict(default=""))


def _template(entry: Entry, options: dict[str, Any]) -> None:
    def choice(found: re.Match[str]) -> str:
        name, if_so, if_not = found.groups()
        return branch(if_so if entry.extracted.get(name) else if_not)

    def branch(text: str) -> str:
        return re.sub(r"\{\{ \.(\w+) \}\}", lambda found: _text(entry.extracted[found[1]]) or "", text)

    text = re.sub(r"\{\{ if \.(\w+) \}\}(.*?)\{\{ else \}\}(.*?)\{\{ end \}\}", choice, options["template"])
    assert "{{" not in text, "one condition is all that is understood here"
    entry.extracted[options["source"]] = text


def _timestamp(entry: Entry, options: dict[str, Any]) -> None:
    assert options["format"] == "RFC3339Nano"
    text = _text(entry.extracted.get(options["source"]))
    entry.ts = dt.datetime.fromisoformat(text) if text else None


def _labels(entry: Entry, options: dict[str, Any]) -> None:
    entry.labels |= {n: t for n, source in options.items() if (t := _text(entry.extracted.get(source))) is not None}


def _metadata(entry: Entry, options: dict[str, Any]) -> None:
    entry.metadata |= {n: t for n, source in options.items() if (t := _text(entry.extracted.get(source))) is not None}


def _labeldrop(entry: Entry, options: dict[str, Any]) -> None:
    for name in options["names"]:
        entry.labels.pop(name, None)


_STAGES = {
    "json": _json,
    "regex": _regex,
    "template": _template,
    "timestamp": _timestamp,
    "labels": _labels,
    "structured_metadata": _metadata,
    "labeldrop": _labeldrop,
}

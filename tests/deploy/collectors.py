"""The pipelines of Promtail and Alloy, read from their files and carried out on lines, for the stages that are used.

Written from the documentation and the source of the stages: what is absent or null is skipped, numbers and booleans are
written as text, and a regex adds its named groups where it matches.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.yaml_files import read_yaml


@dataclass
class Job:
    """One set of files and what is done with their lines."""

    path: str
    labels: dict[str, str]
    stages: list[tuple[str, dict[str, Any]]]


@dataclass
class Entry:
    """A line as it is sent to Loki."""

    line: str
    labels: dict[str, str]
    extracted: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    ts: dt.datetime | None = None


def promtail_jobs(path: Path) -> list[Job]:
    """The jobs of a Promtail configuration."""
    jobs = []
    for job in read_yaml(path)["scrape_configs"]:
        labels = dict(job["static_configs"][0]["labels"])
        stages = []
        for stage in job["pipeline_stages"]:
            ((name, options),) = stage.items()
            if name in ("labels", "structured_metadata"):
                options = {key: source or key for key, source in options.items()}
            elif name == "labeldrop":
                options = {"names": options}
            stages.append((name, options))
        jobs.append(Job(labels.pop("__path__"), labels, stages))
    return jobs


def alloy_jobs(path: Path) -> list[Job]:
    """The jobs of an Alloy configuration: a file_match, a source and a process of one name each."""
    blocks = parse_alloy(path.read_text("utf-8"))
    jobs = []
    for name in ("events", "rejected"):
        ((_, match),) = blocks[f'local.file_match "{name}"']
        labels = dict(match["path_targets"][0])
        ((_, source),) = blocks[f'loki.source.file "{name}"']
        assert source["targets"] == f"local.file_match.{name}.targets"
        assert source["forward_to"] == [f"loki.process.{name}.receiver"]
        ((inner, process),) = blocks[f'loki.process "{name}"']
        assert process["forward_to"] == ["loki.write.loki.receiver"]
        stages = []
        for stage, options in inner:
            kind = stage.removeprefix("stage.").replace("label_drop", "labeldrop")
            if kind in ("labels", "structured_metadata"):
                options = {key: value or key for key, value in options["values"].items()}
            elif kind == "labeldrop":
                options = {"names": options["values"]}
            stages.append((kind, options))
        jobs.append(Job(labels.pop("__path__"), labels, stages))
    return jobs


Block = tuple[list[tuple[str, dict[str, Any]]], dict[str, Any]]
_TOKEN = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"|[\w.]+|[{}\[\]=,]')


def parse_alloy(text: str) -> dict[str, list[Block]]:
    """Top-level blocks by their header; each with its inner blocks, in order, and its attributes."""
    tokens = [token for token in _TOKEN.findall(text) if not token.startswith("//")]
    blocks: dict[str, list[Block]] = {}
    while tokens:
        header, block = _block(tokens)
        blocks.setdefault(header, []).append(block)
    return blocks


def _block(tokens: list[str]) -> tuple[str, Block]:
    header = tokens.pop(0)
    if tokens[0].startswith('"'):
        header += f" {tokens.pop(0)}"
    assert tokens.pop(0) == "{", header
    inner: list[tuple[str, dict[str, Any]]] = []
    attributes: dict[str, Any] = {}
    while tokens[0] != "}":
        if tokens[1] == "=":
            name = tokens.pop(0)
            tokens.pop(0)
            attributes[name] = _value(tokens)
        else:
            name, (_, options) = _block(tokens)
            inner.append((name, options))
    tokens.pop(0)
    return header, (inner, attributes)


def _value(tokens: list[str]) -> Any:
    token = tokens.pop(0)
    if token == "[":
        items = []
        while tokens[0] != "]":
            items.append(_value(tokens))
            if tokens[0] == ",":
                tokens.pop(0)
        tokens.pop(0)
        return items
    if token == "{":
        pairs = {}
        while tokens[0] != "}":
            key = json.loads(tokens.pop(0))
            assert tokens.pop(0) == "="
            pairs[key] = _value(tokens)
            if tokens[0] == ",":
                tokens.pop(0)
        tokens.pop(0)
        return pairs
    if token.startswith('"'):
        return json.loads(token)
    return int(token) if token.isdigit() else token


def carry_out(jobs: list[Job], path: str, line: str) -> Entry:
    """A line of a file, as its job makes it."""
    (job,) = (job for job in jobs if fnmatch.fnmatch(path, job.path) and path.count("/") == job.path.count("/"))
    entry = Entry(line, {**job.labels, "filename": path})
    for name, options in job.stages:
        _STAGES[name](entry, options)
    return entry


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return json.dumps(value, separators=(",", ":"))


def _json(entry: Entry, options: dict[str, Any]) -> None:
    data = json.loads(entry.line)
    for name, expression in options["expressions"].items():
        assert re.fullmatch(r"\w+", expression or name), "a plain name, which is its own JMESPath"
        entry.extracted[name] = data.get(expression or name)


def _regex(entry: Entry, options: dict[str, Any]) -> None:
    text = _text(entry.extracted.get(options["source"]))
    if text is not None and (found := re.search(options["expression"].replace("$", r"\Z"), text)):
        entry.extracted.update(found.groupdict())


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
    "timestamp": _timestamp,
    "labels": _labels,
    "structured_metadata": _metadata,
    "labeldrop": _labeldrop,
}

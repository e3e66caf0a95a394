"""The file to start from, and the schema of it: they agree with the loader and with each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from logops_fast.config.errors import ConfigError
from logops_fast.config.loader import flat, load
from logops_fast.config.settings import Settings
from logops_fast.config.template import json_schema, yaml_template

SETTING = re.compile(r"^( *)#(?! )", re.MULTILINE)


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_file_loads_as_it_is_and_changes_nothing(
    tmp_path: Path, validator: jsonschema.Draft202012Validator
) -> None:
    path = tmp_path / "logops.yaml"
    path.write_text(yaml_template())
    loaded = load(path, {})
    assert loaded.settings == Settings()
    assert set(loaded.provenance.values()) == {"default"}
    validator.validate(yaml.safe_load(yaml_template()))


def test_every_setting_is_in_it_with_its_default(tmp_path: Path, validator: jsonschema.Draft202012Validator) -> None:
    path = tmp_path / "logops.yaml"
    # The blank lines keep `#` and prose apart: what is a setting has no blank after the mark.
    text = SETTING.sub(r"\1", "\n".join(line for line in yaml_template().split("\n") if not re.match(r" *# |#$", line)))
    path.write_text(text)
    loaded = load(path, {})
    assert loaded.settings == Settings()
    missing = [name for name, source in loaded.provenance.items() if source == "default"]
    assert missing == []
    assert set(flat(Settings())) <= set(loaded.provenance)
    validator.validate(yaml.safe_load(text))


def test_the_lines_are_short_and_without_links() -> None:
    lines = yaml_template().splitlines()
    assert max(len(line) for line in lines if not SETTING.match(line)) <= 120
    assert not [line for line in lines if "](" in line or line != line.rstrip()]


@pytest.mark.parametrize(
    "text",
    [
        "sever: {workers: 1}",
        "server: {worker: 1}",
        "server: {workers: 0}",
        "server: {workers: many}",
        "server: [1]",
        "admin: {port: 65536}",
        "auth: {mode: open}",
        "dedup: {by_body: ['']}",
        "ratelimit: {overrides: {web: {capacity: 0}}}",
        "state: {redis_url: 1}",
    ],
)
def test_what_the_schema_refuses_the_loader_refuses_too(
    tmp_path: Path, text: str, validator: jsonschema.Draft202012Validator
) -> None:
    assert not validator.is_valid(yaml.safe_load(text))
    path = tmp_path / "logops.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load(path, {})


@pytest.mark.parametrize(
    "text",
    [
        "server:",
        "server: {workers: auto, drain_timeout: 5}",
        "ratelimit: {overrides: {web: {capacity: 10}}}",
        "parse: {overrides: {web: {timezone: Europe/Berlin}}, multiline: [web]}",
        "syslog: {enabled: true, emitters: {10.1.0.0/16: routers}}",
    ],
)
def test_what_is_right_passes_both(tmp_path: Path, text: str, validator: jsonschema.Draft202012Validator) -> None:
    tree: Any = yaml.safe_load(text)
    validator.validate(tree)
    path = tmp_path / "logops.yaml"
    path.write_text(text)
    load(path, {})

"""The pictures are those of the workspace: a PNG carries the text it was drawn from, and that text is the export's."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.model import ARCHITECTURE, ROOT, load
from tests.support.services import require_service
from tests.support.tables import each_of

NAMED = ("C1", "C2", "C3_auth", "C3_ingest")
EXPORT = ARCHITECTURE / "export"
WIDEST = 1600
PAGE = "#ffffff"
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        yield kind, png[at + 8 : at + 8 + size]
        at += size + 12


def drawn_from(png: bytes) -> str:
    """The PlantUML text in a picture's iTXt chunk, without the version behind it."""
    for kind, data in chunks(png):
        if kind == b"iTXt" and data.startswith(b"plantuml\0"):
            compressed = data[len(b"plantuml\0")]
            text = data[len(b"plantuml\0") + 2 :].split(b"\0", 2)[2]
            return (zlib.decompress(text) if compressed else text).decode().rpartition("@enduml")[0]
    raise AssertionError("the picture does not say what it was drawn from")


def views() -> list[str]:
    return sorted(path.stem for path in EXPORT.glob("*.puml"))


def test_the_four_pictures_of_the_architecture_are_there_and_so_are_the_other_views() -> None:
    assert {path.stem for path in ARCHITECTURE.glob("*.png")} == set(views())
    assert set(NAMED) < set(views())
    kinds = {"deployment": 0, "sequence": 0}
    for name in views():
        kinds["deployment"] += name.startswith("deployment_")
        kinds["sequence"] += "participant" in (EXPORT / f"{name}.puml").read_text("utf-8")
    assert kinds == {"deployment": 3, "sequence": 3}


@each_of("name", views())
def test_a_picture_is_drawn_from_the_exported_text(name: str) -> None:
    text = (EXPORT / f"{name}.puml").read_text("utf-8").rpartition("@enduml")[0]
    assert drawn_from((ARCHITECTURE / f"{name}.png").read_bytes()) == text, "run `make diagrams`"


@each_of("name", views())
def test_a_picture_fits_a_page_and_has_a_legend(name: str) -> None:
    width = struct.unpack(">I", next(data for kind, data in chunks((ARCHITECTURE / f"{name}.png").read_bytes()))[:4])[0]
    assert width <= WIDEST
    assert "\nlegend " in (EXPORT / f"{name}.puml").read_text("utf-8")


@each_of("name", views())
def test_words_stand_out_from_their_boxes(name: str) -> None:
    text = (EXPORT / f"{name}.puml").read_text("utf-8")
    boxes = re.findall(r"\.Element-.*?BackgroundColor: (#\w{6});.*?FontColor: (#\w{6});", text, re.DOTALL)
    assert boxes
    faint = [(box, words) for box, words in boxes if contrast(box, words) < LEAST_CONTRAST]
    if "participant" in text:
        # In a sequence diagram a store's name is beside its symbol, on the page.
        faint = [(box, words) for box, words in faint if contrast(PAGE, words) < LEAST_CONTRAST]
    assert faint == []


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def export(folder: Path) -> Path:
    """Return the folder of what Structurizr's own parser and exporter make of the workspace."""
    maven = require_service("mvn")
    copy = folder / "architecture"
    shutil.copytree(ARCHITECTURE, copy, ignore=shutil.ignore_patterns("*.png", "export"))
    done = subprocess.run(
        [
            *(maven, "-q", "-f", str(copy / "tools"), "compile", "exec:java"),
            f"-Dexec.args={copy}/workspace.dsl {copy}/export",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "export"


@pytest.mark.slow
@pytest.mark.service
def test_the_parser_of_structurizr_makes_the_same_pictures_and_reads_the_same_model(tmp_path: Path) -> None:
    exported = export(tmp_path)
    # Texts are compared, not pixels: those depend on the fonts of the machine.
    again = {path.name: path.read_text("utf-8") for path in exported.glob("*.puml")}
    committed = {path.name: path.read_text("utf-8") for path in EXPORT.glob("*.puml")}
    assert again == committed, "what the pictures show has changed: run `make diagrams`"
    same_model(json.loads((exported / "model.json").read_text("utf-8")))


def same_model(data: dict[str, Any]) -> None:
    """Compare with what the other tests read: they have a small parser of their own, which needs no Java."""

    def short(canonical: str) -> str:
        return canonical.partition("://")[2].removeprefix("LogOps Fast.")

    model = load()
    components = [element for element in data["elements"] if element["kind"] == "Component"]
    assert {short(one["name"]): one["properties"].get("module") for one in components} == {
        component.name: component.module for component in model.components.values()
    }
    assert {short(one["name"]): tuple(one["properties"].get("parts", "").split()) for one in components} == {
        component.name: component.parts for component in model.components.values()
    }
    relations = {
        (short(one["from"]), short(one["to"]), frozenset(one["tags"].split(",")) - {"Relationship"})
        for one in data["relations"]
    }
    inner = {(one.source, one.target, one.tags) for name in model.containers for one in model.between(name)}
    assert len(inner) > 50
    assert inner <= relations
    drawn = {(source, target) for source, target, _ in relations if source in model.components}
    assert {(s, t) for s, t in drawn if t in model.components and s.split(".")[0] == t.split(".")[0]} == {
        (source, target) for source, target, _ in inner
    }

"""The model is the code: boxes are modules, arrows are imports or objects handed over; neither has more of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.architecture.model import (
    PACKAGE,
    ROOT,
    Code,
    Component,
    Edge,
    Model,
    describe,
    import_edges,
    load,
    owners,
)
from tests.architecture.wired import built, wired_edges

GATEWAYS = ("Auth Gateway", "Ingest Gateway")
ROLES = {"Auth Gateway": "authgw", "Ingest Gateway": "ingest"}
MAY_IMPORT = {("emitters", "client"), ("client", "emitters"), ("console", "emitters")}
"""Of the programs that are no gateway: a sender may use the other's parts, and the console drives the emitters."""


@pytest.fixture(scope="module")
def model() -> Model:
    return load()


@pytest.fixture(scope="module")
def code() -> Code:
    return Code()


def edges(model: Model, container: str, *, wired: bool) -> set[Edge]:
    return {(r.source, r.target) for r in model.between(container) if ("Wired" in r.tags) is wired}


def missing_modules(model: Model, code: Code) -> list[str]:
    claims = [claim for component in model.components.values() for claim in component.claims]
    claims += [p["module"] for p in model.containers.values() if "module" in p]
    claims += model.composition_root
    return sorted({claim for claim in claims if claim not in code.files})


def unclaimed_modules(components: list[Component], code: Code, package: str) -> list[str]:
    claimed = owners(components, code)
    return [name for name in code.modules() if name.startswith(f"{package}.") and name not in claimed]


def test_each_component_names_a_module_that_exists(model: Model, code: Code) -> None:
    assert [c.name for c in model.components.values() if not c.module] == []
    assert missing_modules(model, code) == []


@pytest.mark.parametrize("container", GATEWAYS)
def test_each_module_of_a_gateway_belongs_to_one_component(model: Model, code: Code, container: str) -> None:
    package = model.containers[container]["module"]
    assert unclaimed_modules(model.of(container), code, package) == []


def test_each_package_is_a_container_a_component_or_the_composition_root(model: Model, code: Code) -> None:
    claims = {claim for component in model.components.values() for claim in component.claims}
    claims |= {p["module"] for p in model.containers.values() if "module" in p} | set(model.composition_root)
    homes = {".".join(claim.split(".")[:2]) for claim in claims}
    parts = {".".join(name.split(".")[:2]) for name in code.modules() if name != PACKAGE}
    assert parts == homes


@pytest.mark.parametrize("container", GATEWAYS)
def test_every_import_between_components_is_a_relation_and_the_other_way_round(
    model: Model, code: Code, container: str
) -> None:
    drawn = edges(model, container, wired=False)
    found = import_edges(model.of(container), code)
    assert found - drawn == set(), f"imports that the model lacks: {describe(found - drawn)}"
    assert drawn - found == set(), f"relations that no import backs: {describe(drawn - found)}"


@pytest.mark.parametrize("container", GATEWAYS)
def test_every_object_handed_over_is_a_relation_and_the_other_way_round(
    model: Model, code: Code, container: str, tmp_path: Path
) -> None:
    service = built(ROLES[container], tmp_path)  # type: ignore[arg-type]
    held = wired_edges(service, owners(model.of(container), code))
    drawn = edges(model, container, wired=True)
    known = drawn | edges(model, container, wired=False)
    assert held - known == set(), f"objects handed over that the model lacks: {describe(held - known)}"
    assert drawn - held == set(), f"Wired relations that the wiring does not make: {describe(drawn - held)}"


@pytest.mark.parametrize("container", GATEWAYS)
def test_a_relation_is_an_import_or_wired_and_not_drawn_as_both(model: Model, code: Code, container: str) -> None:
    assert edges(model, container, wired=True) & import_edges(model.of(container), code) == set()


def test_only_arrows_to_the_vocabulary_are_left_out_of_the_pictures_as_vocabulary(model: Model) -> None:
    tagged = {r.target.rpartition(".")[2] for r in model.relations if "Vocabulary" in r.tags}
    assert tagged == {"Vocabulary"}


def test_programs_speak_to_each_other_over_the_wire_alone(model: Model, code: Code) -> None:
    packages = [p["module"] for p in model.containers.values() if "module" in p]
    crossings = {
        f"{module} imports {imported}"
        for mine in packages
        for module in code.below(mine)
        for imported in code.imports(module)
        for theirs in packages
        if theirs != mine
        and (mine.removeprefix(f"{PACKAGE}."), theirs.removeprefix(f"{PACKAGE}.")) not in MAY_IMPORT
        and (imported == theirs or imported.startswith(f"{theirs}."))
    }
    assert crossings == set()


def test_the_library_below_the_gateways_knows_nothing_of_them(model: Model, code: Code) -> None:
    above = ("authgw", "ingest", "emitters", "client", "console", "runtime", "cli")
    looks_up = {
        f"{module} imports {imported}"
        for below in ("http", "state", "telemetry", "config", "files", "formats")
        for module in code.below(f"{PACKAGE}.{below}")
        for imported in code.imports(module)
        if imported.split(".")[1:2] and imported.split(".")[1] in above
    }
    assert looks_up == set()


# The checks above can fail: each kind of drift, made in a copy of the code, is found.


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / PACKAGE, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_a_renamed_module_is_found(model: Model, copied: Path) -> None:
    folder = copied / PACKAGE / "authgw"
    (folder / "token_bucket.py").rename(folder / "leaky_bucket.py")
    changed = Code(copied)
    assert missing_modules(model, changed) == ["logops_fast.authgw.token_bucket"]
    assert unclaimed_modules(model.of("Auth Gateway"), changed, "logops_fast.authgw") == [
        "logops_fast.authgw.leaky_bucket"
    ]


def test_a_new_module_without_a_component_is_found(model: Model, copied: Path) -> None:
    (copied / PACKAGE / "ingest" / "kafka_sink.py").write_text("TOPIC = 'logs'\n")
    found = unclaimed_modules(model.of("Ingest Gateway"), Code(copied), "logops_fast.ingest")
    assert found == ["logops_fast.ingest.kafka_sink"]


def test_a_new_import_without_a_relation_is_found(model: Model, copied: Path) -> None:
    path = copied / PACKAGE / "authgw" / "backpressure.py"
    path.write_text(path.read_text() + "\nfrom logops_fast.authgw import token_bucket\n")
    found = import_edges(model.of("Auth Gateway"), Code(copied)) - edges(model, "Auth Gateway", wired=False)
    assert found == {("Auth Gateway.Backpressure", "Auth Gateway.Token bucket")}


def test_a_relation_without_its_import_is_found(model: Model, copied: Path) -> None:
    path = copied / PACKAGE / "authgw" / "retry.py"
    path.write_text(path.read_text().replace("from logops_fast.authgw.circuit_breaker", "from somewhere"))
    found = edges(model, "Auth Gateway", wired=False) - import_edges(model.of("Auth Gateway"), Code(copied))
    assert found == {("Auth Gateway.Retry", "Auth Gateway.Circuit breaker")}

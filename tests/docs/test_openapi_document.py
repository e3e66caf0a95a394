"""docs/openapi.yaml is valid OpenAPI 3.1, of this version, with the code's reasons.

Apart from test_openapi.py, so that `make unit` need not import schemathesis.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from logops_fast import __version__
from logops_fast.config.sections.limits import BackpressureSettings
from tests.docs.reasons import reasons
from tests.support.yaml_files import read_yaml

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    data: dict[str, Any] = read_yaml(DOCUMENT)
    return data


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator  # slow to import

    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == __version__
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_the_document_says_the_limits_and_that_a_signature_is_one(document: dict[str, Any]) -> None:
    text = document["components"]["requestBodies"]["Batch"]["description"]
    limits = BackpressureSettings()
    assert {int(number) for number in re.findall(r"\d{4,}", text)} == {
        limits.max_body_bytes,
        limits.max_items,
        limits.max_event_bytes,
    }
    assert document["components"]["securitySchemes"]["signature"]["description"].startswith("A signature")


def test_the_document_names_every_reason_of_the_code_and_no_other(document: dict[str, Any]) -> None:
    assert document["components"]["schemas"]["Reason"]["enum"] == sorted(reasons())

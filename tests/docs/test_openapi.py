"""The real gateways do nothing that docs/openapi.yaml does not say."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.support.examples import examples
from tests.support.gateway import KEY, SECRET, Gateway, running
from tests.support.signing import signed

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
)
BATCHES = re.compile("ingest|logs")

# A body of lines is text to the generator, whatever its media type.
schemathesis.serializer.alias("application/x-ndjson", "text/plain")
schemathesis.serializer.alias("application/x-protobuf", "text/plain")

# Cases that cover each constraint are made while tests are collected, in every process of a run: CI alone tries them.
COVERAGE = os.environ.get("HYPOTHESIS_PROFILE") == "ci"
schema = schemathesis.openapi.from_path(
    DOCUMENT, config=SchemathesisConfig.from_dict({"phases": {"coverage": {"enabled": COVERAGE}}})
)
few = settings(
    max_examples=examples(0.3),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    # What is tried here is wrong on purpose: the limit on failures would answer everything else.
    settled = {"auth": {"failures": {"capacity": 1_000_000}}}
    with running(tmp_path_factory.mktemp("openapi"), settings=settled) as gateway:
        yield gateway
        # What the clients' tests tried means something only if some of it passed all checks.
        if signed_by_clients := gateway.metric("logops_auth_requests_total", emitter="web"):
            stored = sum(
                gateway.metric("logops_auth_requests_total", emitter="web", status=status) for status in ("200", "204")
            )
            assert stored > signed_by_clients / 20


class Sign(requests.auth.AuthBase):
    """Signs the bytes that are sent, whatever was generated."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        content = body.encode() if isinstance(body, str) else body
        assert isinstance(content, bytes)
        request.headers.update(signed(KEY, SECRET, content, method=str(request.method), target=request.path_url))
        request.headers.pop("X-Emitter", None)
        return request


def call(case: Case[Any], port: int, **options: Any) -> None:
    case.call_and_validate(base_url=f"http://127.0.0.1:{port}", checks=list(CHECKS), timeout=10, **options)


@pytest.mark.slow
@pytest.mark.process
@schema.parametrize()
@few
def test_a_stranger_at_the_auth_gateway_gets_documented_answers(case: Case[Any], gateways: Gateway) -> None:
    call(case, gateways.auth_port)


@pytest.mark.slow
@pytest.mark.process
@schema.include(operation_id_regex=BATCHES).parametrize()
@few
def test_a_client_at_the_auth_gateway_gets_documented_answers(case: Case[Any], gateways: Gateway) -> None:
    call(case, gateways.auth_port, auth=Sign())


@pytest.mark.slow
@pytest.mark.process
@schema.exclude(path="/ingest").parametrize()
@few
def test_the_ingest_gateway_gives_documented_answers(case: Case[Any], gateways: Gateway) -> None:
    call(case, gateways.ingest_port)

"""The Auth Gateway's checks, each alone."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from bench import corpus
from bench.micro.conftest import Stage
from bench.micro.test_http import one_request
from logops_fast.authgw.hmac_auth import HmacAuth, Verified
from logops_fast.authgw.nonce_store import NonceGuard
from logops_fast.authgw.token_bucket import BucketGrant, EmitterBuckets, Limit
from logops_fast.config.keys_file import Client, Keyring
from logops_fast.formats import item_count
from logops_fast.formats.batch import BatchHead
from logops_fast.formats.media_type import format_of
from logops_fast.formats.signature import SigningKey, canonical
from logops_fast.http.head import parse_head
from logops_fast.http.limits import HttpLimits
from logops_fast.http.refusal import Refusal
from logops_fast.state.factory import open_state
from logops_fast.state.interface import StateStore

KEYRING = Keyring.of([Client("bench", (b"bench-secret",), "bench", frozenset({"bench"}))])


@pytest.fixture(params=("memory", "shared"))
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    store = open_state(request.param, workers=1, directory=tmp_path, redis_url="", tolerance=300.0)
    yield store
    asyncio.run(store.close())


def test_signature(stage: Stage) -> None:
    key, message = SigningKey(b"secret"), canonical(b"POST", b"/ingest", b"0" * 64, b"1735689600", b"1234567890abcdef")
    assert len(stage("auth: HMAC of the canonical string", key.signature, message)) == 44


def test_verify(stage: Stage) -> None:
    head = parse_head(one_request(1)[0], HttpLimits())
    auth = HmacAuth(KEYRING, mode="hmac", tolerance=300.0, require_nonce=True, wall=time.time)
    found = stage("auth: checks 2 to 5 (headers, clock, signature)", auth.verify, "POST", head.target, head.headers)
    assert isinstance(found, Verified)


def test_batch_head(stage: Stage) -> None:
    head = parse_head(one_request(1)[0], HttpLimits())
    assert stage("auth: form of the batch's headers", BatchHead.of, head.headers).batch_id


def test_body_digest(stage: Stage, size: int) -> None:
    body = corpus.bodies(1, size)[0]
    assert len(stage("auth: SHA-256 of the body", lambda: hashlib.sha256(body).hexdigest(), events=size)) == 64


@pytest.mark.parametrize("body_format", ["json", "ndjson", "csv", "plain", "otlp"])
def test_item_count(stage: Stage, size: int, body_format: corpus.BodyFormat) -> None:
    body = corpus.bodies(1, size, "mixed", body_format)[0]
    found_format = format_of(corpus.CONTENT_TYPES[body_format])
    assert found_format is not None
    items = stage(f"auth: item count, {body_format}", item_count.at_most, found_format, body, 10_000, events=size)
    assert items >= size


def test_nonce(stage: Stage, state: StateStore, request: pytest.FixtureRequest) -> None:
    guard, numbers, refusals = NonceGuard(state.nonces, 300.0), count(), list[Refusal | None]()
    moment = time.time() + 60.0  # past the horizon of a new store

    def insert() -> None:
        guard.insert("bench", b"%020d" % next(numbers), moment, refusals.append)

    stage(f"auth: nonce insert, {request.node.callspec.params['state']}", insert)
    assert set(refusals) == {None}


def test_bucket(stage: Stage, state: StateStore, request: pytest.FixtureRequest) -> None:
    buckets, grants = EmitterBuckets(state.buckets, Limit(1e12, 1e12), {}), list[BucketGrant]()

    def take() -> None:
        buckets.take("bench", 100, grants.append)

    stage(f"auth: token bucket, {request.node.callspec.params['state']}", take)
    assert all(grant.refusal is None for grant in grants)

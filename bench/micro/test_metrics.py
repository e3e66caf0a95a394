"""Counting a request and its batch, and a scrape."""

from __future__ import annotations

from bench.micro.conftest import Stage
from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.normaliser import Normalised
from logops_fast.telemetry.exposition import render
from logops_fast.telemetry.registry import Registry

BATCH = Normalised(b"", 100, 5, 5, {"INFO": 60, "WARN": 20, "ERROR": 10, "DEBUG": 10}, {"email": 30, "ipv4": 30})


def test_request_counted(stage: Stage) -> None:
    metrics = AuthMetrics(Registry(), {"bench"})
    stage("metrics: an answered request", metrics.request_done, 200, "bench", 0.002)


def test_batch_counted(stage: Stage) -> None:
    metrics = IngestMetrics(Registry(), {"bench"})

    def count() -> None:
        metrics.stored("bench", "na", BATCH)
        metrics.answered("bench", 0.002)

    stage("metrics: a stored batch", count)


def test_scrape(stage: Stage) -> None:
    registry = Registry()
    AuthMetrics(registry, {"bench"}).request_done(200, "bench", 0.002)
    IngestMetrics(registry, {"bench"}).stored("bench", "na", BATCH)
    content_type, body = stage("metrics: a scrape", render, registry)
    assert b"logops_accepted_total" in body + content_type

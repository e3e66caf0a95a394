"""Memory limits of containers and pods agree with what the settings let a gateway hold."""

from __future__ import annotations

import pytest

from logops_fast.config.loader import load
from logops_fast.config.settings import Settings, worker_count
from tests.deploy.support import size
from tests.deploy.test_compose import SERVICES, environment
from tests.deploy.test_k8s import BASE, pods, sidecar

SUPERVISOR = 64 << 20
"""Measured: 34 MiB."""
WORKING = 256 << 20
"""What a worker may take besides bytes in flight, whatever is sent (the contract's bound); idle it is 30 MiB."""
SHIPPER = 100 << 20
"""What the shipper takes at most, whatever the backlog (contract 12)."""
NONCE = 32
"""Bytes of a nonce in the shared tables, which count as the container's memory where they are on tmpfs."""


def needed(settings: Settings) -> int:
    tables = 0 if settings.state.backend == "redis" else settings.state.max_nonces * NONCE
    return SUPERVISOR + tables + worker_count(settings) * (WORKING + settings.server.max_inflight_bytes)


@pytest.mark.parametrize("name", ["authgw", "ingest"])
def test_a_pod_has_the_memory_that_its_settings_may_take(name: str) -> None:
    settings = load(BASE / "logops.yaml", {}).settings
    (container,) = pods()[name]["containers"]
    assert needed(settings) <= size(container["resources"]["limits"]["memory"])


@pytest.mark.parametrize("name", ["authgw", "ingest"])
def test_a_container_has_the_memory_that_its_settings_may_take(name: str) -> None:
    settings = load(None, environment(name)).settings
    assert needed(settings) <= size(SERVICES[name]["deploy"]["resources"]["limits"]["memory"])


def test_the_shipper_has_room() -> None:
    for limits in (SERVICES["ship"]["deploy"]["resources"]["limits"], sidecar()["resources"]["limits"]):
        assert size(limits["memory"]) >= SUPERVISOR + SHIPPER


def test_valkey_has_room_beside_its_data() -> None:
    """Its own advice: half as much again, for buffers of clients and fragmentation."""
    (pod,) = pods()["redis"]["containers"]
    service = SERVICES["redis"]
    for command, limit in (
        (pod["args"], pod["resources"]["limits"]["memory"]),
        (service["command"], service["deploy"]["resources"]["limits"]["memory"]),
    ):
        assert size(command[command.index("--maxmemory") + 1]) * 3 // 2 <= size(limit)

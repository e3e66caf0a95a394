from __future__ import annotations

import pytest

from logops_fast.emitters import pools


@pytest.fixture(autouse=True)
def _small_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepare fewer events: 4,096 take 40 ms, and most tests make an emitter."""
    monkeypatch.setattr(pools.events, "__defaults__", (512,))

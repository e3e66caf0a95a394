from __future__ import annotations

import pytest

from bench.redis_rate import measure
from tests.support.services import require_service


@pytest.mark.bench
@pytest.mark.service
def test_batches_are_counted() -> None:
    require_service("redis-server")
    figures = measure(3000)
    assert figures.batches == 3000
    assert figures.cpu > 0
    assert "3,000 batches" in figures.text()

"""The two ways in which the sink syncs."""

from __future__ import annotations

import sys

import pytest

from logops_fast.ingest.sink.file_ops import FileOps


@pytest.fixture(params=["kernel", "thread"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with the kernel syncing, and again with the thread."""
    if request.param == "thread":
        monkeypatch.setattr(FileOps, "kernel_sync", lambda _ops, _loop: None)
    elif sys.platform != "linux":
        pytest.skip("only Linux has such a queue")
    return str(request.param)

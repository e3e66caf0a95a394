"""The two ways of the sink."""

from __future__ import annotations

import sys

import pytest

from logops_fast.ingest.sink.append_file import FileOps


@pytest.fixture(params=["kernel", "thread"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who syncs: a test that uses it runs with both."""
    if request.param == "thread":
        monkeypatch.setattr(FileOps, "kernel_sync", lambda _ops, _loop: None)
    elif sys.platform != "linux":
        pytest.skip("only Linux syncs by itself")
    return str(request.param)

"""Forked children and promtool for the tests of this package."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest


def run_in_fork(child: Callable[[], None]) -> int:
    """Run ``child`` in a forked process; its exit status, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            child()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def in_fork() -> Callable[[Callable[[], None]], int]:
    return run_in_fork


@pytest.fixture
def promtool() -> str:
    path = shutil.which("promtool")
    if path is None:
        if os.environ.get("LOGOPS_REQUIRE_SERVICES") == "1":
            pytest.fail("promtool is required (LOGOPS_REQUIRE_SERVICES=1) and not installed")
        pytest.skip("promtool is not installed")
    return path

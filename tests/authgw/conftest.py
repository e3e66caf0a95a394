from __future__ import annotations

import pytest

from tests.authgw.doors import Door


@pytest.fixture
def door() -> Door:
    return Door()

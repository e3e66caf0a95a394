"""The way to Loki under faults: whatever is acknowledged is in Loki, once.

Each group has its own gateways, clients and shippers; each kind of fault is injected a few times. ``shipping_table``
is the long form, which also runs against a real Loki.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.shipping_kinds import GROUPS, Group
from tests.faults.shipping_table import inject

pytestmark = [pytest.mark.process, pytest.mark.fault, pytest.mark.slow]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_what_is_acknowledged_is_in_loki_once(group: Group, tmp_path: Path) -> None:
    with group.build(tmp_path) as made:
        acknowledged = 0
        for kind in group.kinds:
            acknowledged += inject(group, kind, made).acknowledged
        assert made.settle().files > acknowledged > 100

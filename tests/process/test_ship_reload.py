"""A running `logops ship` takes over a rotated token at SIGHUP, which `logops reload` sends once the file is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loki.server import loki
from tests.support.shipping import Ship

pytestmark = pytest.mark.process


def test_a_reload_takes_over_the_token_and_refuses_a_broken_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    with loki() as server:
        server.server.token = "first"
        with Ship.running(tmp_path, server, token) as ship:
            ship.put("one")
            ship.until(lambda: server.count() == 1)
            token.write_text("")
            refused = ship.reload()
            assert (refused.returncode, refused.stdout) == (2, "")
            assert refused.stderr == f"logops: not reloaded: ship: {token} is empty\n"
            assert ship.reload("--force").returncode == 0
            ship.logged(f"reload refused, nothing was changed: ship: {token} is empty")
            token.write_text("second\n")
            done = ship.reload()
            assert (done.returncode, done.stderr) == (0, "")
            ship.logged("reloaded: the credentials of Loki have changed")
            server.server.token = "second"
            ship.put("two")
            ship.until(lambda: server.count() == 2)
            # Taken over by the signal, and not because Loki refused the old one.
            heads = [head for head in server.server.heads if head.startswith(b"POST")]
            assert [b"Bearer first" in head for head in heads] == [True, False]

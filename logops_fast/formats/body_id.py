"""What a batch without an id of its own is recognised by if it is sent again (``dedup.by_body``, contract 3)."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

BODY_ID: Final = re.compile(rb"[0-9a-f]{64}")
"""The form of an X-Body-Id, which travels between the gateways alone."""


def body_id(client: str, path: bytes, content_type: bytes, scenario_id: str, tenant: str, body: bytes) -> str:
    """Return the id of a batch: a digest of who sent it, where, as what, and of the decoded body.

    SHA-256, unlike the digest that goes with an X-Batch-Id: lines are written by strangers, and an attacker who could
    make two bodies with one id would make the second vanish.
    """
    digest = sha256(b"\0".join((client.encode(), path, content_type, scenario_id.encode(), tenant.encode(), b"")))
    digest.update(body)
    return digest.hexdigest()

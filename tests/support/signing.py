"""The signature, written again from contract 3 with the standard library alone, so that it can disagree with ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time


def signed(
    key: str,
    secret: str,
    body: bytes,
    *,
    method: str = "POST",
    target: str = "/ingest",
    timestamp: str | None = None,
    nonce: str | None = None,
    digest: str | None = None,
) -> dict[str, str]:
    """Headers of a signed request. ``nonce=""`` leaves the nonce out."""
    timestamp = str(int(time.time())) if timestamp is None else timestamp
    nonce = secrets.token_hex(12) if nonce is None else nonce
    digest = hashlib.sha256(body).hexdigest() if digest is None else digest
    canonical = "\n".join((method, target, digest.lower(), timestamp, nonce))
    mac = hmac.new(secret.encode(), canonical.encode(), hashlib.sha256).digest()
    headers = {
        "X-Api-Key": key,
        "X-Timestamp": timestamp,
        "X-Content-SHA256": digest,
        "X-Signature": base64.b64encode(mac).decode(),
    }
    if nonce:
        headers["X-Nonce"] = nonce
    return headers


V2_FIELDS = ("Content-Type", "Content-Encoding", "X-Emitter", "X-Scenario-Id", "X-Batch-Id", "X-Scope-OrgID")


def signed_v2(
    key: str,
    secret: str,
    body: bytes,
    fields: dict[str, str],
    *,
    method: str = "POST",
    target: str = "/ingest",
    timestamp: str | None = None,
    nonce: str | None = None,
    audience: str = "",
) -> dict[str, str]:
    """Headers of a request signed by version 2; ``fields`` are those that are signed and sent beside them."""
    timestamp = str(int(time.time())) if timestamp is None else timestamp
    nonce = secrets.token_hex(12) if nonce is None else nonce
    digest = hashlib.sha256(body).hexdigest()
    others = [fields.get(name, "") for name in V2_FIELDS]
    canonical = "\n".join(("logops-v2", method, target, digest, timestamp, nonce, *others, audience))
    mac = hmac.new(secret.encode(), canonical.encode(), hashlib.sha256).digest()
    headers = {
        "X-Api-Key": key,
        "X-Timestamp": timestamp,
        "X-Content-SHA256": digest,
        "X-Signature-Version": "2",
        "X-Signature": base64.b64encode(mac).decode(),
    }
    if nonce:
        headers["X-Nonce"] = nonce
    return headers

"""Reads a gateway's answer on the sender's side: it is not trusted, and nothing here raises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import orjson

from logops_fast.errors import one_line

OWN_FORM: Final = "application/vnd.logops+json"
"""In Accept: answer in the gateway's own form, whatever the protocol of the body."""

MAX_RETRY_AFTER: Final = 86_400
_MAX_REFUSAL: Final = 65_536
_MAX_DETAIL: Final = 300
_REASON: Final = re.compile(r"[a-z0-9_]{1,40}")
_SECONDS: Final = re.compile(rb"[0-9]{1,8}")


def reason_of(body: bytes) -> str:
    """The fixed reason of a refusal; empty if the body is not of that form."""
    if len(body) > _MAX_REFUSAL:
        return ""
    try:
        reason = orjson.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    return reason if isinstance(reason, str) and _REASON.fullmatch(reason) else ""


def detail_of(body: bytes) -> str:
    """The sentence of a refusal, on one line and at most 300 characters; empty where there is none."""
    if len(body) > _MAX_REFUSAL:
        return ""
    try:
        detail = orjson.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        return ""
    return one_line(detail)[:_MAX_DETAIL] if isinstance(detail, str) else ""


def counts_of(body: bytes) -> tuple[int, int] | None:
    """Events accepted and rejected, by the summary of a stored batch; None where this is none."""
    try:
        summary = orjson.loads(body)
        accepted, rejected = summary["accepted"], summary["rejected"]
    except (ValueError, KeyError, TypeError):
        return None
    if type(accepted) is not int or type(rejected) is not int or accepted < 0 or rejected < 0:
        return None
    return accepted, rejected


def retry_after_of(headers: Mapping[bytes, bytes]) -> int:
    """Seconds of Retry-After, at most a day; 0 where there is none, or a date (RFC 9110, 10.2.3)."""
    value = headers.get(b"retry-after", b"")
    return min(int(value), MAX_RETRY_AFTER) if _SECONDS.fullmatch(value) else 0

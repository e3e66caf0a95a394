"""What ``logops check`` finds: a verdict on one part, and a sentence that says what to do."""

from __future__ import annotations

from typing import Literal, NamedTuple

Verdict = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """One line of the check."""

    part: str
    verdict: Verdict
    detail: str


def ok(part: str, detail: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(part, "ok", detail)


def warn(part: str, detail: str) -> Finding:
    """Return a finding that does not stop the start and should be looked at."""
    return Finding(part, "warn", detail)


def fail(part: str, detail: str) -> Finding:
    """Return a finding that stops the start, or every batch after it."""
    return Finding(part, "fail", detail)

"""Every reason with which the code can refuse, read from its syntax trees."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import get_args

from logops_fast.ingest.pipeline import MALFORMED_STATUS
from logops_fast.shipper.shipper import TroubleReason

ROOT = Path(__file__).resolve().parents[2]

# `Refusal(status, reason, detail)` whose reason is no literal, and where its words come from.
COMPUTED = {
    "logops_fast/ingest/pipeline.py": frozenset(MALFORMED_STATUS),
    # Reported by another worker, which has it from a literal of its own, or a state that the supervisor has found.
    "logops_fast/runtime/probes.py": frozenset(
        {"sink_failed", "sink_stalled", "state_unavailable", "circuit_open", "draining"}
        | {"starting", "restarting", "loop_stalled"}
        | set(get_args(TroubleReason))
    ),
    "logops_fast/runtime/parts.py": frozenset({"sink_failed", "sink_stalled"}),
}


@cache
def trees(root: Path) -> list[tuple[str, ast.Module]]:
    """The path of each module of the package that makes or changes a refusal, and its syntax tree.

    The others are not parsed: it takes a second for all of them, in each process of a parallel run.
    """
    texts = {path: path.read_text("utf-8") for path in sorted((root / "logops_fast").rglob("*.py"))}
    return [
        (path.relative_to(root).as_posix(), ast.parse(text))
        for path, text in texts.items()
        if "Refusal(" in text or "._replace(" in text
    ]


@cache
def reasons(root: Path = ROOT) -> dict[str, set[str]]:
    """Reason to the files that give it; fails on a reason that cannot be read from the code."""
    found: dict[str, set[str]] = {}
    for name, tree in trees(root):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (word := _reason(node)) is not None:
                words = {word.value} if isinstance(word, ast.Constant) else COMPUTED.get(name)
                assert words, f"{name}:{node.lineno}: a reason that is no literal"
                for each in words:
                    found.setdefault(str(each), set()).add(name)
    return found


def statuses(root: Path = ROOT) -> dict[str, set[int]]:
    """Reason to the statuses it is given with, where both are literals."""
    found: dict[str, set[int]] = {}
    for _, tree in trees(root):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal":
                word = _reason(node)
                status = node.args[0] if node.args else None
                if isinstance(word, ast.Constant) and isinstance(status, ast.Constant):
                    found.setdefault(str(word.value), set()).add(int(str(status.value)))
    return found


def _reason(call: ast.Call) -> ast.expr | None:
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    if isinstance(call.func, ast.Name) and call.func.id == "Refusal":
        return named.get("reason", call.args[1] if len(call.args) > 1 else None)
    if isinstance(call.func, ast.Attribute) and call.func.attr == "_replace":
        return named.get("reason")
    return None

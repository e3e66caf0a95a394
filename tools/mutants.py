"""``python tools/mutants.py [MODULE ...]``: change the pure cores one place at a time; a test must notice each change.

Works on a copy of the checkout. Each mutant runs the tests that mirror its module (CORES) in a forked process, until
one fails. What no test notices is listed in tests/mutants.md, to be read: it lacks a test, or changes nothing that can
be observed. The latter are judged so, with the reason, in tests/mutants_judged.txt: module, line, change and
reason, separated by tabs. ``--again`` tries those that survived, with the tests that were written since.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.machine import commit, facts, one_line  # noqa: E402
from tools.mutant_table import Row, Survivor, judgments, parse, render  # noqa: E402

OUT: Final = ROOT / "tests" / "mutants.md"
JUDGED: Final = ROOT / "tests" / "mutants_judged.txt"
MOST_MEMORY: Final = 4 << 30  # bytes of address space for one run of tests
SLOWEST: Final = 10.0  # times the unchanged tests' time, before a mutant counts as one that never ends

PII: Final = tuple(
    f"tests/ingest/pii/test_{name}.py" for name in ("field_cases", "masker", "contexts", "escapes", "names")
)
# Module to the tests that must notice a change of it.
CORES: Final[dict[str, tuple[str, ...]]] = {
    "authgw/circuit_breaker.py": ("tests/authgw/test_circuit_breaker.py", "tests/authgw/test_sender_breakers.py"),
    "authgw/hmac_auth.py": ("tests/authgw/test_hmac_auth.py",),
    "authgw/retry.py": ("tests/authgw/test_retry.py",),
    "authgw/token_bucket.py": ("tests/authgw/test_token_bucket.py",),
    "emitters/schedule.py": ("tests/emitters/test_schedule.py",),
    "formats/csv_text.py": ("tests/formats/test_csv_text.py", "tests/ingest/parsers/test_csv_rows.py"),
    "formats/item_count.py": ("tests/formats/test_item_count.py",),
    "formats/media_type.py": ("tests/formats/test_media_type.py",),
    "formats/signature.py": ("tests/formats/test_signature.py",),
    "http/body.py": ("tests/http/test_body.py", "tests/http/test_connection.py", "tests/http/test_connection_ends.py"),
    "http/head.py": ("tests/http/test_head.py", "tests/http/test_connection.py"),
    "ingest/levels.py": ("tests/ingest/test_levels.py",),
    "ingest/normaliser.py": ("tests/ingest/test_normaliser.py", "tests/ingest/test_field_json.py"),
    "ingest/settling.py": ("tests/ingest/test_normaliser.py", "tests/ingest/test_field_json.py"),
    "ingest/timestamps.py": ("tests/ingest/test_timestamps.py",),
    "ingest/pii/cards.py": ("tests/ingest/pii/test_cards.py", *PII),
    "ingest/pii/emails.py": PII,
    "ingest/pii/encodings.py": PII,
    "ingest/pii/ipv4.py": PII,
    "ingest/pii/ipv6.py": ("tests/ingest/pii/test_ipv6.py", *PII),
    "ingest/pii/keys.py": PII,
    "ingest/pii/members.py": ("tests/ingest/pii/test_members.py", *PII),
    "ingest/pii/pairs.py": ("tests/ingest/pii/test_pairs.py", *PII),
    "ingest/pii/secret_values.py": ("tests/ingest/pii/test_pairs.py", *PII),
    "ingest/pii/tokens.py": PII,
    "ingest/sink/commit_log.py": ("tests/ingest/sink/test_commit_log.py", "tests/ingest/sink/test_recovery.py"),
    "ingest/sink/recovery.py": ("tests/ingest/sink/test_recovery.py",),
    "state/buckets.py": ("tests/state/test_buckets.py", "tests/state/test_interface.py"),
    "state/nonces.py": tuple(f"tests/state/test_{name}.py" for name in ("nonces", "interface", "upgrade", "growth")),
    "state/table.py": ("tests/state/test_table.py", "tests/state/test_shared.py"),
}

COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.Mod: ast.FloorDiv,
}


class Mutant(NamedTuple):
    """A changed source, and what was changed: the line as it was and as it is."""

    line: int
    before: str
    after: str
    source: str


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node may be replaced by; the children are those of the original."""
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            if (other := COMPARISONS.get(type(operator))) is not None:
                changed = copy.copy(node)
                changed.ops = [*node.ops[:number], other(), *node.ops[number + 1 :]]
                yield changed
    elif isinstance(node, ast.BoolOp):
        changed_bool = copy.copy(node)
        changed_bool.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield changed_bool
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in OPERATORS:
        changed_op = copy.copy(node)
        changed_op.op = OPERATORS[type(node.op)]()
        yield changed_op
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.Pass()
    elif isinstance(node, ast.Break):
        yield ast.Continue()
    elif isinstance(node, ast.Continue):
        yield ast.Break()


def _annotations(tree: ast.AST) -> set[int]:
    """Return the ids of nodes that only type checkers read."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.Assert):
            parts.append(node)
        for part in parts:
            if part is not None:
                found |= {id(inner) for inner in ast.walk(part)}
    return found


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    tree = ast.parse(source)
    skipped = _annotations(tree)
    lines = source.splitlines()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        for variant in variants(node):
            changed = ast.unparse(ast.fix_missing_locations(_shallow(tree, node, variant)))
            line = getattr(node, "lineno", 0)
            after = ast.unparse(ast.fix_missing_locations(copy.deepcopy(variant)))
            yield Mutant(line, lines[line - 1].strip(), after, changed)


def _shallow(tree: ast.Module, target: ast.AST, by: ast.AST) -> ast.Module:
    memo: dict[int, object] = {id(target): by}
    return copy.deepcopy(tree, memo)


class Runner:
    """Runs tests in forked children: what pytest itself needs is imported once."""

    def __init__(self, folder: Path) -> None:
        import hypothesis  # noqa: F401
        import pytest

        self._folder = folder
        self._main = pytest.main

    def run(self, tests: tuple[str, ...], timeout: float) -> int | None:
        """Return pytest's exit code, or None if the time ran out."""
        pid = os.fork()
        if pid == 0:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))  # a mutant may allocate without end
            os.chdir(self._folder)
            sys.path[:] = [str(self._folder), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT)]
            for name in [name for name in sys.modules if name.split(".")[0] in ("logops_fast", "tests", "bench")]:
                del sys.modules[name]
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            # hypothesis is imported already, before pytest could rewrite its assertions: it has none that matter here.
            quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning", "-p", "no:schemathesis"]
            pure = "not (process or service or fault or bench or long or release)"
            words = ["-x", "-q", "--no-header", "-m", pure, *quiet, *tests]
            os._exit(int(self._main(words)))
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return None


def copied(folder: Path) -> Path:
    """Copy the checkout's files, those that are not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def chosen(tried: list[Mutant], sample: int, seed: int, again: Row | None) -> list[Mutant]:
    """Return the mutants to try: those that survived before (``again``), else a sample, or all if it is 0."""
    if again is not None:
        known = {(one.before, one.after) for one in again.survived}
        return [mutant for mutant in tried if (mutant.before, first_line(mutant.after)) in known]
    if sample and len(tried) > sample:
        return sorted(random.Random(seed).sample(tried, sample), key=lambda mutant: mutant.line)
    return tried


def remaining(before: Sequence[Survivor], now: Sequence[Survivor]) -> tuple[Survivor, ...]:
    """Return what survived again: of changes that read alike no more than before, as the others were not in the sample.

    A mutant is known by its line and its change, since numbers of lines move; a module may have several alike.
    """
    left = Counter((one.before, one.after) for one in before)
    kept = []
    for one in now:
        if left[one.before, one.after]:
            left[one.before, one.after] -= 1
            kept.append(one)
    return tuple(kept)


def first_line(text: str) -> str:
    """Return what the page shows of a change."""
    return text.splitlines()[0]


def examine(module: str, folder: Path, runner: Runner, sample: int, seed: int, again: Row | None) -> Row:
    """Try a module's mutants; return what became of them, of ``again`` with fewer survivors."""
    path = folder / "logops_fast" / module
    source, tests = path.read_text("utf-8"), CORES[module]
    started = time.monotonic()
    if (code := runner.run(tests, 600)) != 0:
        raise SystemExit(f"{module}: its tests fail without any change (exit code {code})")
    timeout = 10 + SLOWEST * (time.monotonic() - started)
    there_are = list(mutants(source))
    tried = chosen(there_are, sample, seed, again)
    survived = []
    try:
        for number, mutant in enumerate(tried, 1):
            path.write_text(mutant.source)
            if runner.run(tests, timeout) == 0:
                survived.append(Survivor(mutant.line, mutant.before, first_line(mutant.after)))
            if sys.stdout.isatty():
                print(f"\r{module}: {number}/{len(tried)}, {len(survived)} survived", end="", flush=True)
    finally:
        path.write_text(source)
    print(f"\r{module}: {len(tried) - len(survived)} of {len(tried)} killed", flush=True)
    if again is not None:
        return again._replace(survived=remaining(again.survived, survived))
    return Row(len(there_are), len(tried), tuple(survived), commit())


def main() -> int:
    """Examine the modules asked for, or all of CORES."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(CORES)}")
    parser.add_argument("--sample", type=int, default=0, help="mutants a module at most (default: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="only those that survived, with the tests written since")
    parser.add_argument("--out", type=Path, default=OUT, help="the page; modules that are not examined stay in it")
    options = parser.parse_args()
    if unknown := set(options.modules) - set(CORES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    os.environ["HYPOTHESIS_PROFILE"] = "ci"
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    rows = parse(options.out.read_text("utf-8")) if options.out.exists() else {}
    with tempfile.TemporaryDirectory(prefix="logops-mutants-") as name:
        machine = one_line(facts(Path(name)))
        folder = copied(Path(name))
        runner = Runner(folder)
        for module in options.modules or (list(rows) if options.again else list(CORES)):
            again = rows.get(module) if options.again else None
            rows[module] = examine(module, folder, runner, options.sample, options.seed, again)
            # after each: a run takes hours
            options.out.write_text(render(rows, judgments(JUDGED.read_text("utf-8")), machine))
    return 0


if __name__ == "__main__":
    sys.exit(main())

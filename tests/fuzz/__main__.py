"""``python -m tests.fuzz TARGET [SECONDS] [SEED]``: the built-in engine; ``--atheris``: coverage-guided.

atheris is not a dependency of the project: install it separately (``pip install atheris``).
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path


def guided(name: str, seconds: int) -> None:
    import atheris  # type: ignore[import-untyped]

    with atheris.instrument_imports(include=["logops_fast"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds):
            (Path(folder) / f"seed{number}").write_bytes(seed)
        words = Path(folder + ".dict")
        escaped = ("".join(f"\\x{byte:02x}" for byte in word[:60]) for word in target.words if word)
        words.write_text("".join(f'"{word}"\n' for word in escaped))
        options = [
            f"-max_total_time={seconds}",
            "-timeout=10",
            f"-dict={words}",
            "-max_len=4096",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], folder, *options], target.run)
        atheris.Fuzz()


def mutating(name: str, seconds: float, seed: int) -> int:
    from tests.fuzz.engine import fuzz, shrink
    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    outcome = fuzz(target, seed, seconds=seconds)
    print(f"{name}: {outcome.runs} inputs in {seconds:g} s, seed {seed}")
    if outcome.data is None:
        return 0
    print(f"broken by {shrink(target, outcome.data)!r}: {outcome.error!r}")
    return 1


if __name__ == "__main__":
    arguments = [word for word in sys.argv[1:] if word != "--atheris"]
    limit = float(arguments[1]) if len(arguments) > 1 else 60
    if "--atheris" in sys.argv:
        guided(arguments[0], int(limit))
    else:
        sys.exit(mutating(arguments[0], limit, int(arguments[2]) if len(arguments) > 2 else random.randrange(1 << 30)))

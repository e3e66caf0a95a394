"""``python -m tests.fuzz [TARGET ...] [--minutes N]``: each target in a process of its own, for N minutes.

Coverage-guided by atheris if that is installed (``pip install atheris``; it is no dependency of the project), else by
the built-in engine. Inputs that break a target are kept in build/fuzz; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import subprocess
import sys
import tempfile
from pathlib import Path

FOUND = Path(__file__).parents[2] / "build" / "fuzz"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--minutes", type=float, default=2.0, metavar="N", help="of each target (2)")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 1 << 30), metavar="N")
    parser.add_argument("--engine", choices=("atheris", "built-in"), help="default: atheris if it is installed")
    parser.add_argument("--in-process", action="store_true", help="run one target in this process")
    args = parser.parse_args()
    FOUND.mkdir(parents=True, exist_ok=True)
    engine = args.engine or ("atheris" if importlib.util.find_spec("atheris") else "built-in")
    if args.in_process:
        (name,) = args.targets
        run = guided if engine == "atheris" else mutating
        return run(name, args.minutes * 60, args.seed)
    from tests.fuzz.targets import TARGETS

    unknown = set(args.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    broken = [name for name in args.targets or TARGETS if _apart(name, args.minutes, args.seed, engine)]
    print(f"{engine}, seed {args.seed}, {args.minutes:g} minutes each: {', '.join(broken) or 'nothing'} broken")
    return 1 if broken else 0


def _apart(name: str, minutes: float, seed: int, engine: str) -> int:
    """Run one target in another process; return its exit code."""
    options = ["--minutes", str(minutes), "--seed", str(seed), "--engine", engine, "--in-process"]
    return subprocess.run([sys.executable, "-m", "tests.fuzz", name, *options], check=False).returncode


def guided(name: str, seconds: float, seed: int) -> int:
    """Fuzz by atheris, which ends the process."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    with atheris.instrument_imports(include=["logops_fast"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(target.seeds):
            (Path(folder) / f"seed{number}").write_bytes(data)
        words = Path(folder + ".dict")
        escaped = ("".join(f"\\x{byte:02x}" for byte in word[:60]) for word in target.words if word)
        words.write_text("".join(f'"{word}"\n' for word in escaped))
        options = [
            f"-max_total_time={max(1, int(seconds))}",
            f"-seed={seed}",
            "-timeout=10",
            f"-dict={words}",
            f"-artifact_prefix={FOUND}/{name}-",
            "-max_len=4096",
            "-print_final_stats=1",
            "-verbosity=0",
        ]
        print(f"{name}:", flush=True)
        atheris.Setup([sys.argv[0], folder, *options], target.run)
        atheris.Fuzz()
    return 0


def mutating(name: str, seconds: float, seed: int) -> int:
    """Fuzz by the built-in engine; return 1 if it broke the target."""
    from tests.fuzz.engine import fuzz, shrink
    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    outcome = fuzz(target, seed, seconds=seconds)
    print(f"{name}: {outcome.runs} inputs in {seconds:g} s, seed {seed}", flush=True)
    if outcome.data is None:
        return 0
    data = shrink(target, outcome.data)
    (FOUND / f"{name}-{seed}").write_bytes(data)
    print(f"{name}: broken by {data!r}: {outcome.error!r}", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())

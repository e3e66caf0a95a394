"""``logops completion``: the completion script of a shell, made from the parsers."""

from __future__ import annotations

import argparse
from typing import Final

from logops_fast.cli import completion_scripts
from logops_fast.cli.options import example

SHELLS: Final = {"bash": completion_scripts.bash, "zsh": completion_scripts.zsh, "fish": completion_scripts.fish}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    example(
        parser,
        "source <(logops completion bash)                 # in ~/.bashrc\n"
        "logops completion zsh > ~/.zfunc/_logops         # in a directory of $fpath, before compinit\n"
        "logops completion fish > ~/.config/fish/completions/logops.fish",
    )


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from logops_fast.cli.reference import commands

    print(SHELLS[args.shell](commands()), end="")
    return 0

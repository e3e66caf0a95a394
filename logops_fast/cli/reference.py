"""All commands as their parsers describe them: what the man page and the completion scripts are made of."""

from __future__ import annotations

from logops_fast.cli.main import COMMANDS, load_command
from logops_fast.cli.parsers import Description, describe


def commands() -> list[Description]:
    """Return every command. It imports them all."""
    return [describe(name, summary, load_command(name)[1]) for name, (_, summary) in COMMANDS.items()]

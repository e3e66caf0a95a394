"""The argument parsers of the commands: made alike, with suggestions, and described for the man page and completion."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

CUTOFF: Final = 0.5
"""How alike two words must be for one to be suggested, from 0 to 1."""

_UNKNOWN_OPTION: Final = "unrecognized arguments: "
_MISSING: Final = "the following arguments are required: "
_NOT_AN_INTEGER: Final = re.compile("invalid int value: (.*)")
_UNKNOWN_WORD: Final = re.compile(r"invalid choice: '([^']*)'")
_FILES: Final = re.compile(r"\b(FILE|DIR)\b")


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help with one column of options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)


class Parser(argparse.ArgumentParser):
    """A parser whose complaint about an unknown word suggests the right one."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with code 2. For a missing action the actions are listed too."""
        actions = next((one for one in self._actions if isinstance(one, argparse._SubParsersAction)), None)
        if actions is not None and message.endswith(f": {actions.metavar}"):
            width = max(map(len, actions.choices))
            listed = "".join(f"  {one.dest.ljust(width)}  {one.help}\n" for one in actions._choices_actions)
            self.print_usage(sys.stderr)
            self.exit(2, f"\nactions:\n{listed}\n{self.prog}: error: name an action: {', '.join(actions.choices)}\n")
        super().error(_NOT_AN_INTEGER.sub(r"expected an integer, got \1", message) + self._hint(message))

    def check_options(self, words: Sequence[str]) -> None:
        """Complain about an unknown long option, before its value is taken for an argument that is wrong."""
        known = frozenset(_options(self))
        for word in words:
            if word == "--":
                return
            if word.startswith("--") and word.partition("=")[0] not in known:
                self.error(_UNKNOWN_OPTION + word)

    def _hint(self, message: str) -> str:
        if message.startswith(_UNKNOWN_OPTION):
            words = message.removeprefix(_UNKNOWN_OPTION).split()
            option = next((word.partition("=")[0] for word in words if word.startswith("-")), None)
            return "" if option is None else suggestion(option, _options(self))
        missing = message.removeprefix(_MISSING)
        if missing != message:
            known = [map(str, action.choices) for action in self._actions if action.choices and action.dest == missing]
            return "".join(f": {', '.join(choices)}" for choices in known)
        unknown = _UNKNOWN_WORD.search(message)
        if unknown is None:
            return ""
        return suggestion(unknown[1], (word for action in self._actions for word in map(str, action.choices or ())))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?``, or nothing if no known word is like it."""
    near = difflib.get_close_matches(word, [*known], n=1, cutoff=CUTOFF)
    return f"; did you mean {near[0]}?" if near else ""


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _options(below)


@dataclass(frozen=True)
class Argument:
    """An option (with ``flags``) or a positional argument. ``value`` is its placeholder, empty for a switch."""

    flags: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    help: str
    optional: bool = True

    @property
    def completes(self) -> str:
        """What its value is, for a shell: ``file``, ``directory``, or nothing that it knows."""
        match = _FILES.search(self.value)
        return "" if match is None else {"FILE": "file", "DIR": "directory"}[match[1]]


@dataclass(frozen=True)
class Description:
    """A command, or an action of one, as its parser has it."""

    name: str
    summary: str
    options: tuple[Argument, ...]
    positionals: tuple[Argument, ...]
    actions: tuple[Description, ...]
    example: str


def describe(name: str, summary: str, parser: argparse.ArgumentParser) -> Description:
    """Return what a parser takes."""
    options: list[Argument] = []
    positionals: list[Argument] = []
    actions: list[Description] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {choice.dest: choice.help or "" for choice in action._choices_actions}
            actions = [describe(word, summaries.get(word, ""), below) for word, below in action.choices.items()]
        elif action.help != argparse.SUPPRESS:
            (options if action.option_strings else positionals).append(_argument(action))
    example = (parser.epilog or "").partition("Example:\n")[2]
    return Description(name, summary, tuple(options), tuple(positionals), tuple(actions), example)


def _argument(action: argparse.Action) -> Argument:
    choices = tuple(map(str, action.choices)) if action.choices is not None else ()
    value = ""
    if action.nargs != 0:
        shown = action.metavar if isinstance(action.metavar, str) else None
        value = shown or ("{" + ",".join(choices) + "}" if choices else action.dest.upper())
    flags = tuple(sorted(action.option_strings, key=len))
    text = (action.help or "").replace("%%", "%")
    return Argument(flags, value, choices, text, action.nargs in ("?", "*") or not action.required)

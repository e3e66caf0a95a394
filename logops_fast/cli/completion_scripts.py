"""Completion scripts of bash, zsh and fish. Pure: from the descriptions of the commands to text.

The scripts hold all words themselves, so that nothing is started when the tab key is pressed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from logops_fast.cli.parsers import Argument, Description

_TOP: Final = (
    Argument(("--config",), "FILE", (), "settings"),
    Argument(("--help",), "", (), "show the help and exit"),
    Argument(("--version",), "", (), "show the version and exit"),
)

_BASH: Final = """\
# bash completion of logops; made by `logops completion bash`.
_logops() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= action= word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      --config) ((i++)) ;;
      -*) ;;
      *) if [[ -z $command ]]; then command=$word; elif [[ -z $action ]]; then action=$word; fi ;;
    esac
  done
  COMPREPLY=()
  case "$command $prev" in
%VALUES%
  esac
  local words=
  case $command in
    "") words="%TOP%" ;;
%WORDS%
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [[ ${#COMPREPLY[@]} -eq 0 && $cur != -* ]]; then compopt -o default 2>/dev/null; fi
}
complete -F _logops logops
"""


def bash(commands: Sequence[Description]) -> str:
    """Return the script for bash (4.4 or newer)."""
    values = ['    *" --config") compopt -o default 2>/dev/null; return ;;']
    words = []
    for command in commands:
        values += _bash_values(command)
        flags = _flags(command.options)
        if command.actions:
            words.append(f"    {command.name})\n      case $action in")
            words += [
                f'        {action.name}) words="{" ".join(_flags((*action.options, *command.options)))}" ;;'
                for action in command.actions
            ]
            names = " ".join(action.name for action in command.actions)
            words.append(f'        *) words="{names} {" ".join(flags)}" ;;\n      esac ;;')
        else:
            choices = [choice for one in command.positionals for choice in one.choices]
            words.append(f'    {command.name}) words="{" ".join((*_named(command, commands), *choices, *flags))}" ;;')
    top = " ".join([*(command.name for command in commands), *_flags(_TOP)])
    return _BASH.replace("%VALUES%", "\n".join(values)).replace("%WORDS%", "\n".join(words)).replace("%TOP%", top)


def _bash_values(command: Description) -> Iterator[str]:
    for option in _distinct(command):
        if not option.value:
            continue
        pattern = "|".join(f'"{command.name} {flag}"' for flag in option.flags)
        if option.choices:
            yield f'    {pattern}) COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$cur")); return ;;'
        elif option.completes:
            kind = "dirnames" if option.completes == "directory" else "default"
            yield f"    {pattern}) compopt -o {kind} 2>/dev/null; return ;;"
        else:
            yield f"    {pattern}) return ;;"


def zsh(commands: Sequence[Description]) -> str:
    """Return the script for zsh."""
    lines = [
        "#compdef logops",
        "# zsh completion of logops; made by `logops completion zsh`.",
        "_logops() {",
        "  local context state state_descr line",
        "  typeset -A opt_args",
        f"  _arguments -C {_zsh_options(_TOP)} '1:command:->command' '*::argument:->argument'",
        "  case $state in",
        "    command)",
        "      local -a commands",
        "      commands=(",
        *(f"        {_quoted(f'{command.name}:{command.summary}')}" for command in commands),
        "      )",
        "      _describe command commands ;;",
        "    argument)",
        "      case $words[1] in",
    ]
    for command in commands:
        lines.append(f"        {command.name})")
        options = _zsh_options(command.options)
        if command.actions:
            described = _quoted(f"1:action:(({_zsh_described(command)}))")
            lines.append(f"          _arguments -C {options} {described} '*::argument:->action'")
            lines.append("          case $words[1] in")
            for action in command.actions:
                own = " ".join((_zsh_options(action.options), *_zsh_positionals(action, commands)))
                lines.append(f"            {action.name}) _arguments {own} ;;")
            lines.append("          esac ;;")
        else:
            lines.append(f"          _arguments {' '.join((options, *_zsh_positionals(command, commands)))} ;;")
    lines += [
        "      esac ;;",
        "  esac",
        "}",
        'if [[ $funcstack[1] == _logops ]]; then _logops "$@"; else compdef _logops logops; fi',
        "",
    ]
    return "\n".join(lines)


def _zsh_described(command: Description) -> str:
    return " ".join(f'{action.name}\\:"{_zsh_text(action.summary)}"' for action in command.actions)


def _zsh_options(options: Iterable[Argument]) -> str:
    return " ".join(_zsh_option(option) for option in options)


def _zsh_option(option: Argument) -> str:
    value = f":{_zsh_text(option.value)}:{_zsh_value(option)}" if option.value else ""
    text = f"[{_zsh_text(option.help)}]{value}"
    if len(option.flags) == 1:
        return _quoted(option.flags[0] + text)
    return f"'({' '.join(option.flags)})'{{{','.join(option.flags)}}}{_quoted(text)}"


def _zsh_positionals(command: Description, commands: Sequence[Description]) -> Iterator[str]:
    named = _named(command, commands)
    for one in command.positionals:
        values = f"({' '.join(named)})" if named else _zsh_value(one)
        yield _quoted(f":{':' if one.optional else ''}{_zsh_text(one.value)}:{values}")


def _zsh_value(argument: Argument) -> str:
    if argument.choices:
        return f"({' '.join(argument.choices)})"
    return {"file": "_files", "directory": "_files -/", "": ""}[argument.completes]


def _zsh_text(text: str) -> str:
    for special in '\\[]:"':
        text = text.replace(special, f"\\{special}")
    return text


def fish(commands: Sequence[Description]) -> str:
    """Return the script for fish."""
    lines = ["# fish completion of logops; made by `logops completion fish`.", "complete -c logops -f"]
    lines += [_fish(option, "__fish_use_subcommand") for option in _TOP]
    for command in commands:
        lines.append(
            f"complete -c logops -n __fish_use_subcommand -a {command.name} -d {_fish_quoted(command.summary)}"
        )
        seen = f"__fish_seen_subcommand_from {command.name}"
        lines += [_fish(option, seen) for option in command.options]
        names = " ".join(action.name for action in command.actions)
        for action in command.actions:
            none_yet = f"{seen}; and not __fish_seen_subcommand_from {names}"
            lines.append(f"complete -c logops -n '{none_yet}' -a {action.name} -d {_fish_quoted(action.summary)}")
            both = f"{seen}; and __fish_seen_subcommand_from {action.name}"
            lines += [_fish(option, both) for option in action.options if option not in command.options]
        words = _named(command, commands) or [choice for one in command.positionals for choice in one.choices]
        if words:
            lines.append(f"complete -c logops -n '{seen}' -a {_fish_quoted(' '.join(words))}")
        if any(one.completes for one in command.positionals):
            lines.append(f"complete -c logops -n '{seen}' -F")
    return "\n".join(lines) + "\n"


def _fish(option: Argument, condition: str) -> str:
    words = [f"complete -c logops -n '{condition}'"]
    words += [f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags]
    if option.choices:
        words.append(f"-x -a {_fish_quoted(' '.join(option.choices))}")
    elif option.completes:
        words.append("-r -F")
    elif option.value:
        words.append("-x")
    return " ".join((*words, f"-d {_fish_quoted(option.help)}"))


def _flags(options: Iterable[Argument]) -> list[str]:
    return list(dict.fromkeys(flag for option in options for flag in option.flags))


def _distinct(command: Description) -> list[Argument]:
    """Return the options of a command and of its actions; of two with the same flags the first."""
    found: dict[tuple[str, ...], Argument] = {}
    for option in (*command.options, *(one for action in command.actions for one in action.options)):
        found.setdefault(option.flags, option)
    return [option for option in found.values() if option.flags != ("--config",)]


def _named(command: Description, commands: Sequence[Description]) -> list[str]:
    """Return the names of the commands where a command takes one: `logops help`."""
    return [one.name for one in commands] if any(one.value == "COMMAND" for one in command.positionals) else []


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

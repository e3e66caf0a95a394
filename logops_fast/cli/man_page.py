r"""The man page ``logops.1``, made from the parsers. Pure: from the descriptions of the commands to roff (man(7)).

Every text is escaped: a backslash and a hyphen that is to be copied as one (``\-``), and a line that would begin with
a request's dot or quote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from logops_fast import __version__
from logops_fast.cli.parsers import Argument, Description

_ABOUT: Final = """\
logops runs a log gateway in front of Loki: it authenticates who sent a batch, limits rates, masks personal data, and
acknowledges a batch once it is on the disk. logops up needs nothing else; the other commands send, sign, watch and
steer."""

_FILES: Final = (
    ("logops.yaml", "The settings, if it is in the working directory; logops config --yaml prints one to start from."),
    ("data/keys.yaml", "Clients and their secrets, mode 0600; edited by logops keys."),
    ("data/ingest/YYYYMMDD.ndjson", "Stored events, a file for each day; rejected/ beside them has what was not read."),
    ("data/logops.pid", "The process that logops reload signals."),
)
_ENVIRONMENT: Final = (
    ("LOGOPS_SECTION__SETTING", "Any setting: LOGOPS_SERVER__WORKERS=4. It wins over the file."),
    ("ENTRYPOINT_URL, LOGOPS_API_KEY, LOGOPS_SECRET", "Where emit, scenario and sign send to, and as whom."),
    ("NO_COLOR", "If it is set, output has no colour."),
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "Set by systemd: start, reload and end are reported, and its watchdog is fed."),
)
_EXIT: Final = (
    ("0", "Success."),
    ("1", "The command ran and failed: events were lost, a check failed, nothing answered."),
    ("2", "Wrong usage or configuration."),
    ("130", "Interrupted."),
)
_SIGNALS: Final = (
    ("SIGTERM, SIGINT", "Finish what is in flight and end, within server.drain_timeout; a second one ends at once."),
    ("SIGHUP", "Read keys, limits and certificates again; what does not validate changes nothing."),
)


def man_page(commands: Sequence[Description]) -> str:
    """Return the page."""
    lines = [
        f'.TH LOGOPS 1 "" "LogOps Fast {__version__}" "User Commands"',
        ".SH NAME",
        r"logops \- a fast, strict log gateway in front of Loki",
        ".SH SYNOPSIS",
        r".B logops",
        r"[\fB\-\-config\fR \fIFILE\fR] \fICOMMAND\fR ...",
        ".SH DESCRIPTION",
        *_text(_ABOUT),
        ".PP",
        r"\fB\-\-config\fR may be anywhere on the line. Without it logops.yaml in the working directory is read, if",
        "there is one.",
        ".SH COMMANDS",
    ]
    for command in commands:
        lines += _command(command)
    for title, pairs in (
        ("SIGNALS", _SIGNALS), ("FILES", _FILES), ("ENVIRONMENT", _ENVIRONMENT), ("EXIT STATUS", _EXIT),
    ):  # fmt: skip
        lines.append(f".SH {title}")
        for name, text in pairs:
            lines += [".TP", f".B {_escaped(name)}", *_text(text)]
    return "\n".join(lines) + "\n"


def _command(command: Description) -> Iterator[str]:
    yield f".SS logops {_escaped(command.name)} {_usage(command)}".rstrip()
    yield from _text(f"{command.summary[0].upper()}{command.summary[1:]}.")
    for argument in (*command.positionals, *command.options):
        yield from _argument(argument)
    for action in command.actions:
        yield ".TP"
        yield rf"\fB{_escaped(action.name)}\fR {_usage(action)}".rstrip()
        yield from _text(f"{action.summary}.")
        yield ".RS"
        for argument in (*action.positionals, *action.options):
            yield from _argument(argument)
        yield ".RE"
    if command.example:
        yield from (".PP", "For example:", ".PP", ".RS 4", ".nf")
        yield from (_line(_escaped(line.removeprefix("  "))) for line in command.example.splitlines())
        yield from (".fi", ".RE")


def _usage(command: Description) -> str:
    words = [r"[\fIoptions\fR]"]
    words += [
        rf"\fI{_escaped(one.value)}\fR" if not one.optional else rf"[\fI{_escaped(one.value)}\fR]"
        for one in command.positionals
    ]
    return " ".join([*words, *([r"\fIACTION\fR ..."] if command.actions else [])])


def _argument(argument: Argument) -> Iterator[str]:
    if argument.flags in (("-h", "--help"), ("--config",)) or not argument.help:  # as of every command; or plain
        return
    yield ".TP"
    value = rf" \fI{_escaped(argument.value)}\fR" if argument.value else ""
    if argument.flags:
        yield ", ".join(rf"\fB{_escaped(flag)}\fR" for flag in argument.flags) + value
    else:
        yield value.strip()
    yield from _text(argument.help)


def _text(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield _line(_escaped(line))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\e").replace("-", r"\-")


def _line(text: str) -> str:
    return rf"\&{text}" if text.startswith((".", "'")) else text

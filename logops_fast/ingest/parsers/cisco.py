"""Cisco system messages: ``[SEQ: ][HOST: ][*]TIME: %FACILITY-SEVERITY-MNEMONIC: TEXT`` (IOS, IOS XR, NX-OS, ASA).

With or without a syslog priority in front. ``*`` and ``.`` mark a clock that is not synchronised.
"""

from __future__ import annotations

import re
from typing import Any, Final

from logops_fast.ingest.parsers.dates import Calendar
from logops_fast.ingest.parsers.syslog import LEVELS
from logops_fast.patterns import compile_possessive

_MESSAGE: Final = re.compile(r"(%[A-Za-z][\w-]{0,63}?-([0-7])-\w{1,64}) ?: ?", re.ASCII)
_MNEMONIC: Final = re.compile(r"%[A-Za-z][\w-]{0,63}?-([0-7])-\w{1,64}", re.ASCII)
_HEAD_LENGTH: Final = 256  # characters in front of the message
_SEQUENCE: Final = re.compile(r"(\d{1,12}):(?: |(?=\D))", re.ASCII)
_HOST: Final = compile_possessive(r"(?a)([A-Za-z0-9](?:[\w.-]|:(?! ))*+): ")
_NODE: Final = re.compile(
    r"([A-Z]{1,4}/[\w/]{1,32}):(?=[*.]?(?:\d{4} )?[A-Z][a-z]{2} )", re.ASCII
)  # IOS XR: RP/0/RSP0/CPU0
_TIME: Final = re.compile(
    r"[*.]?(?:(\d{4}) )?([A-Z][a-z]{2} {1,2}\d{1,2})(?: (\d{4}))? (\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?"
    r"(?: ([A-Z]{1,5}))? ?: ?",
    re.ASCII,
)
# NX-OS: a blank after the time, and the host.
_NXOS: Final = re.compile(
    r"(\d{4} [A-Z][a-z]{2} {1,2}\d{1,2}) (\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?: ([A-Z]{1,5}))? ([\w.-]{1,255}) (?=%)",
    re.ASCII,
)
_UPTIME: Final = re.compile(r"((?:\d{1,4}:)?\d\d:\d\d|(?:\d{1,3}[ywdh]){1,4}): ", re.ASCII)
_PROCESS: Final = re.compile(r"([\w.-]{1,64})\[(\d{1,10})\]: ", re.ASCII)


def severity_of(tag: str) -> str | None:
    """Return the level that a tag such as ``%ASA-4-106023`` holds, or None."""
    found = _MNEMONIC.fullmatch(tag) if tag[0] == "%" else None
    return None if found is None else LEVELS[int(found[1])]


def begins(line: str, start: int) -> bool:
    """Return whether a message without anything in front begins at ``start``."""
    return _MESSAGE.match(line, start) is not None


def parse_line(line: str, start: int, calendar: Calendar) -> dict[str, Any] | None:
    """Return the event of the message that begins at ``start``, after a priority, or None if it is not of this form.

    ``level`` is the severity of the mnemonic; a priority, if there was one, is stronger. An uptime is no time.
    """
    message = _MESSAGE.search(line, start, start + _HEAD_LENGTH)
    if message is None:
        return None
    event: dict[str, Any] = {"level": LEVELS[int(message[2])]}
    position = start
    end = message.start()
    while line.startswith((" ", ":"), position) and position < end:
        position += 1
    nxos = _NXOS.match(line, position, end + 1)
    if nxos is not None:
        ts = calendar.timestamp(nxos[1], nxos[2], nxos[3] or "", nxos[4] or "")
        if ts is not None:
            event["ts"] = ts
        event["host"] = nxos[5]
        position = nxos.end()
    sequence = _SEQUENCE.match(line, position, end)
    if sequence is not None:
        event["seq"] = sequence[1]
        position = sequence.end()
        again = _SEQUENCE.match(line, position, end)
        if again is not None:
            position = again.end()
        if line.startswith(": ", position):  # NX-OS: a colon of its own
            position += 2
    node = _NODE.match(line, position, end)
    if node is not None:
        event["host"] = node[1]
        position = node.end()
    elif line[position : position + 1] not in ("*", "."):
        host = _HOST.match(line, position, end)
        if host is not None and _UPTIME.match(line, position, end) is None:
            event["host"] = host[1]
            position = host.end()
    time = _TIME.match(line, position, end)
    if time is not None:
        year_first, day, year, clock, fraction, zone = time.groups()
        year = year or year_first
        ts = calendar.timestamp(f"{day} {year}" if year else day, clock, fraction or "", zone or "")
        if ts is not None:
            event["ts"] = ts
        position = time.end()
    else:
        uptime = _UPTIME.match(line, position, end)
        if uptime is not None:
            event["uptime"] = uptime[1]
            position = uptime.end()
    process = _PROCESS.match(line, position, end)
    if process is not None:
        event["process"] = process[1]
        event["pid"] = process[2]
        position = process.end()
    if line[position:end].strip(" :"):
        return None  # something else is in front: a sentence that quotes a message
    event["app"] = message[1]
    event["msg"] = line[message.end() :]
    return event

"""RFC 5424 syslog lines: ``<PRI>1 TIMESTAMP HOST APP PROCID MSGID STRUCTURED-DATA MSG``."""

from __future__ import annotations

import re
from typing import Any, Final

from logops_fast.ingest.parsers.syslog import PRIORITIES

# Nothing can backtrack: fields are separated by what they cannot hold, repetitions are possessive. Structured data
# that does not fit the grammar is left to the message, so that a careless sender loses nothing.
# A "]" inside a value ought to be escaped (6.3.3); within quotes it is unambiguous, and taken.
# A possessive group that fails half-way keeps what it took before CPython 3.11.5: the last optional one is a plain `?`.
_LINE: Final = re.compile(
    r"<(\d{1,3})>\d{1,2} (\S++) (\S++) (\S++) (\S++) (\S++)"
    r'(?: (?:-|((?:\[[^ =\]"]++(?: ++[^ =\]"]++="[^"\\]*+(?:\\.[^"\\]*+)*+")*+ ?\])++))(?= |\Z))? ?(.*)',
    re.DOTALL,
)
_ELEMENT: Final = re.compile(r'\[([^ =\]"]++)((?: ++[^ =\]"]++="[^"\\]*+(?:\\.[^"\\]*+)*+")*+) ?\]', re.DOTALL)
_PARAM: Final = re.compile(r'([^ =\]"]++)="([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_ESCAPED: Final = re.compile(r'\\(["\\\]])')  # 6.3.3: a backslash before anything else stands for itself


def parse_line(line: str) -> dict[str, Any] | None:
    """The event of one line, or None where it is not of this form. ``-`` (nil) fields are left out."""
    found = _LINE.match(line)
    if found is None:
        return None
    pri, ts, host, app, pid, msgid, data, msg = found.groups()
    priority = PRIORITIES.get(pri)
    if priority is None:
        return None
    event: dict[str, Any] = {"level": priority[0], "facility": priority[1]}
    if ts != "-":
        event["ts"] = ts
    if host != "-":
        event["host"] = host
    if app != "-":
        event["app"] = app
    if pid != "-":
        event["pid"] = pid
    if msgid != "-":
        event["msgid"] = msgid
    if data is not None:
        event["sd"] = _structured_data(data)
    event["msg"] = msg.removeprefix("\ufeff")  # 6.4: UTF-8 messages may begin with a byte order mark
    return event


def _structured_data(text: str) -> dict[str, dict[str, Any]]:
    """Nested by SD-ID and parameter; a parameter that stands several times (6.3.3) becomes a list."""
    elements: dict[str, dict[str, Any]] = {}
    for name, written in _ELEMENT.findall(text):
        params = _PARAM.findall(written)
        if "\\" in written:
            params = [(key, _ESCAPED.sub(r"\1", value)) for key, value in params]
        element = elements.get(name)
        if element is None:
            element = elements[name] = dict(params)
            if len(element) == len(params):
                continue
            element.clear()
        for key, value in params:
            if key not in element:
                element[key] = value
            elif isinstance(element[key], list):
                element[key].append(value)
            else:
                element[key] = [element[key], value]
    return elements

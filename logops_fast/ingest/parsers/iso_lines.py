"""Lines that begin with an ISO 8601 time and go on in a known form: Kubernetes' CRI, and rsyslog's own files."""

from __future__ import annotations

import re
from typing import Any, Final

from logops_fast.ingest.parsers.json_values import read_event
from logops_fast.ingest.parsers.level_vocabulary import is_level

_TIME: Final = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d))"
_CRI: Final = re.compile(_TIME + r" (stdout|stderr) ([FP](?::[^\s:]{1,64}){0,4})(?: (.*))?", re.ASCII | re.DOTALL)
_RSYSLOG: Final = re.compile(
    _TIME + r" (?:([^\s:\[\]]{1,255}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}) )?"
    r"([^\s:\[\]]{1,255})(?:\[([^\]\s]{0,64})\])?:(?: |\Z)(.*)",
    re.ASCII | re.DOTALL,
)
_HOST_LIKE: Final = re.compile(r"[\d.-]", re.ASCII)


def parse_cri(line: str) -> dict[str, Any] | None:
    """Return the event of a line of a Kubernetes container's log file, or None if it is not of this form.

    ``TIME stdout|stderr F|P TEXT``; P marks a part of a longer line. A text that is a JSON object is an event of that
    object, at the runtime's time; the object's own ``ts`` is kept as ``ts_raw``.
    """
    found = _CRI.fullmatch(line)
    if found is None:
        return None
    ts, stream, logtag, text = found.groups()
    event: dict[str, Any] = {}
    if text and text[0] == "{":
        inner = read_object(text)
        if inner is not None:
            for name in ("ts", "stream", "logtag"):
                if name in inner:
                    inner[name + "_raw"] = inner.pop(name)
            event = inner
    if not event:
        event["msg"] = text or ""
    event["ts"] = ts
    event["stream"] = stream
    event["logtag"] = logtag
    return event


def parse_rsyslog(line: str) -> dict[str, Any] | None:
    """Return the event of a line of rsyslog's file format, or None: ``TIME HOST TAG[PID]: TEXT`` without a priority.

    Many loggers begin their lines with such a time. It is rsyslog's only if a tag with ``[pid]:`` follows, or a word
    like a host's (with a digit, dot or dash) and ``tag:``.
    """
    found = _RSYSLOG.fullmatch(line)
    if found is None:
        return None
    ts, host, tag, pid, msg = found.groups()
    if pid is None and (host is None or host.isdigit() or _HOST_LIKE.search(host) is None):
        return None
    if host is not None and not host.strip("-."):
        return None
    if (host is not None and is_level(host)) or is_level(tag):
        return None
    event: dict[str, Any] = {"ts": ts, "app": tag, "msg": msg}
    if host is not None:
        event["host"] = host
    if pid:
        event["pid"] = pid
    return event


def read_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a text is, or None if it is something else, or empty."""
    event = read_event(text.encode("utf-8", "surrogatepass"))
    return event if isinstance(event, dict) and event else None

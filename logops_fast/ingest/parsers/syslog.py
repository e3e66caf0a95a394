"""What both syslog forms share: the priority (RFC 5424, 6.2.1)."""

from __future__ import annotations

import re
from typing import Any, Final

PRI_MAX: Final = 191

FACILITIES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip

# emerg, alert, crit, err, warning, notice, info, debug: eight severities onto six levels
LEVELS: Final = ("FATAL", "FATAL", "FATAL", "ERROR", "WARN", "INFO", "INFO", "DEBUG")

_PRI: Final = re.compile(r"<(\d{1,3})>")

# One look-up a line: the number of "<134>" -> level and facility. "007" or "300" is no priority.
PRIORITIES: Final = {str(pri): (LEVELS[pri & 7], FACILITIES[pri >> 3]) for pri in range(PRI_MAX + 1)}


def parse_bare(line: str) -> dict[str, Any] | None:
    """Return the event of a line that has a priority and nothing else of syslog, or None.

    RFC 3164, 4.3.3: all that follows the PRI is content. Kernel buffers and services under systemd write ``<3>text``.
    """
    found = _PRI.match(line)
    priority = PRIORITIES.get(found[1]) if found else None
    if found is None or priority is None:
        return None
    return {"level": priority[0], "facility": priority[1], "msg": line[found.end() :].removeprefix(" ")}

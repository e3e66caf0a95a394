"""The time of a line of text, read only where its writer puts it: at the front, or at the known place of its format.

A time anywhere else is the subject of a sentence. Nothing ambiguous is read: ``03/04/2026`` has two meanings, a time
of day has no date, and ``081109 203615`` could be any two numbers.
"""

from __future__ import annotations

import re
from typing import Final

from logops_fast.ingest.parsers.dates import MONTHS, Calendar
from logops_fast.ingest.zones import STARTS, ZONES

Found = tuple[str, str, str, str, int]
"""A time as it is written: day, clock, fraction, zone (see Calendar.timestamp), and the index after it.

With an empty day, clock is a number of seconds, milli-, micro- or nanoseconds since 1970. The index is -1 for an access
log, where no level follows.
"""

# Each pattern is anchored, and its repetitions are bounded or possessive: nothing is read twice.
_A: Final = re.ASCII  # other scripts' digits are no time
_TIME: Final = r"(\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*+)?"
_MONTH: Final = r"[A-Z][A-Za-z]{2}"

_USUAL: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,](\d{1,9})\d*+)?(?![\d:.,])", _A)
# A blank, T, "_" (svlogd), "-", ", " (Airflow) or "][" (fern) before the clock; milliseconds after a colon (WebSphere).
_ISO: Final = re.compile(
    r"(\d{4}([-/.])\d\d\2\d\d)(?:[Tt _-]|\]\[| {2}|, )(\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*+|:(\d{3})(?!\d))?", _A
)
_ISO_SINGLE_HOUR: Final = re.compile(r"(\d{4}([-/])\d\d\2\d\d)  ?(\d:\d\d:\d\d)(?!\d)", _A)  # MariaDB
_HALF_DAY: Final = re.compile(r" ([AaPp])[Mm](?!\w)", _A)
_ISO_MINUTES: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?=[\sZ\]]|\Z)", _A)  # pacman, ISO 8601
_DB2: Final = re.compile(r"(\d{4}-\d\d-\d\d)-(\d\d)\.(\d\d)\.(\d\d)(?:\.(\d{1,9}))?(?=\s|[+-]\d{1,3}\s)", _A)
_BASIC: Final = re.compile(r"(\d{8})[T-](\d\d):?(\d\d):?(\d\d)(?:[.,:](\d{1,9}))?(?=[Z\s|]|\Z)", _A)
_BASIC_DAY: Final = re.compile(rf"(\d{{8}}) {_TIME}(?![\w:])", _A)
_UNPADDED: Final = re.compile(r"(\d{8})-(\d{1,2}):(\d{1,2}):(\d{1,2}):(\d{1,3})\|", _A)  # HealthApp
# After a blank two digits alone are an offset only in front of PostgreSQL's "[pid]".
_OFFSET: Final = re.compile(
    r" ?([+-][01]\d:?(?:00|15|30|45))(?![\d:.])|([+-][01]\d)(?![\d:.])| ([+-][01]\d)(?= \[)", _A
)
_ZONE_WORD: Final = re.compile(r" ([A-Z]{1,5})(?!\w)", _A)
_LOGCAT: Final = re.compile(
    r"(\d\d-\d\d) (\d\d:\d\d:\d\d)\.(\d{3,6})(?: ([+-]\d{4}))?"
    r"(?=(?: +[a-z_]\w{0,31})?(?: +\d+:?){2,3} +[VDIWEFAS][ /]| +[VDIWEFAS]/)",
    _A,
)
_DAY_FIRST: Final = re.compile(rf"(\d\d([-/ ]){_MONTH}\2\d{{4}})[: ]{_TIME}", _A)
_REDIS: Final = re.compile(rf"(?:\d{{1,10}}:[A-Z]|\[\d{{1,10}}\]) (\d\d {_MONTH}(?: \d{{4}})?) {_TIME}(?= [.*#-] )", _A)
# A number in front that counts something is no time.
_EPOCH: Final = re.compile(
    r"([12]\d{9}(?:\d{3}|\d{6}|\d{9})?)(?:\.(\d{1,9}))?(?=:?(?:\s|\Z)|\|)"
    r"(?! (?:bytes?|[kKMG]?i?B|rows?|items?|records?|events?|messages?|lines?|files?|times|[mun]s)\b)",
    _A,
)
_CLF: Final = re.compile(rf"\[(\d\d/{_MONTH}/\d{{4}})[: ]{_TIME}(?: ([+-]\d{{4}}))?\]", _A)
_HOST: Final = re.compile(r"[\d.:-]", _A)  # what an address or a host's name has and a word of prose has not
_CLF_REACH: Final = 512  # characters before the bracket
_CLF_WORDS: Final = 6
_WEEKDAY: Final = re.compile(
    rf"[A-Z][a-z]{{2}} ({_MONTH} [ \d]?\d) {_TIME}(?: ([A-Z]{{1,5}}|[+-]\d{{4}}))?(?: (\d{{4}}))?(?![\w:])", _A
)
_RFC_1123: Final = re.compile(rf"(?:[A-Z][a-z]{{2}}, )?(\d{{1,2}} {_MONTH} \d{{4}}) {_TIME}", _A)
_WEEKDAY_ISO: Final = re.compile(r"[A-Z][a-z]{2} (?=\d{4}-)", _A)  # journalctl -o short-full
_MONTH_FIRST: Final = re.compile(
    rf"({_MONTH} \d{{1,2}},? \d{{4}}),? (\d{{1,2}}):(\d\d:\d\d)(?:[.,](\d{{1,9}}))?(?: ?([AP])M)?(?!\w)", _A
)
_BSD: Final = re.compile(rf"({_MONTH} [ \d]?\d) {_TIME}(?![\w:])", _A)
_KLOG: Final = re.compile(r"[DIWEF](\d{4}(?:\d{4})?) (\d\d:\d\d:\d\d)\.(\d{1,9})(?= )", _A)
# A level, or its first letter, in front of the time: Ruby, Django, Dropwizard, Jupyter, logrus.
_LEVEL_FIRST: Final = re.compile(
    r"(?:[A-Z], \[|\[[DIWECF] |\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|SEVERE|CRITICAL|FATAL|"
    r"DEBU|ERRO|FATA|PANI|PANIC)(?: {0,3}\]?[ :|-]{1,3}\[?|\[)|=[A-Z]{4,9} REPORT==== )(?=\d)",
    _A,
)
_OTP: Final = re.compile(rf"(\d{{1,2}}-{_MONTH}-\d{{4}})::{_TIME}", _A)
_NAGIOS: Final = re.compile(r"([12]\d{9})(?:\.(\d{1,9}))?(?=\])", _A)
# The Blue Gene/L and Thunderbird archives: an alert's name or "-", the time, the date once more.
_LABELLED: Final = re.compile(r"(?:-|[A-Z][A-Z0-9_]{1,31}) ([12]\d{9})(?= \d{4}\.\d\d\.\d\d )|- ([12]\d{9})(?= )", _A)
_UWSGI: Final = re.compile(r"\[pid: \d{1,10}\|app: [^\[]{1,256}(?=\[)", _A)
_AUDIT: Final = re.compile(r"(?:node=\S{1,255} )?type=\S{1,64} msg=audit\(([12]\d{9})\.(\d{1,9}):\d", _A)
_KEY_LENGTH: Final = 130
_LOGFMT: Final = re.compile(r"[A-Za-z_@][\w.@/-]{0,127}=", _A)
_LOGFMT_TIME: Final = re.compile(r"(?:ts|time|timestamp|@timestamp|t|datetime)=(\"?)(?=\d)", _A)
_LOGFMT_KEYS: Final = (" ts=", " time=", " t=", " timestamp=", " @timestamp=", " datetime=")
_FORTIGATE: Final = re.compile(rf"date=(\d{{4}}-\d\d-\d\d) time={_TIME}(?![\w:])", _A)
_FORTIGATE_ZONE: Final = re.compile(r" tz=\"([+-]\d{4})\"", _A)
_FORTIGATE_REACH: Final = 1024
_NUMBER: Final = re.compile(r"([12]\d{9}(?:\d{3}|\d{6}|\d{9})?)(?:\.(\d{1,9}))?(?![\w.])", _A)
_PHP_ZONE: Final = re.compile(r" ([A-Z][A-Za-z_]{1,31}(?:/[A-Za-z_+-]{1,31}){1,2}|[A-Z]{2,5})\]", _A)


def find_time(line: str, calendar: Calendar) -> str | None:
    """Return the timestamp that a line brings, in a form that the normaliser reads, or None."""
    found = scan(line)
    return None if found is None else written(found, calendar)


def written(found: Found, calendar: Calendar) -> str | None:
    """Return what ``scan`` found as a timestamp, or None if there is no such day or time."""
    day, clock, fraction, zone, _ = found
    if not day:
        return f"{clock}.{fraction}" if fraction else clock
    return calendar.timestamp(day, clock, fraction, zone)


def scan(line: str, start: int = 0) -> Found | None:
    """Return the time that the line has at ``start`` or at its format's known place, or None."""
    first = line[start : start + 1]
    if "0" <= first <= "9":
        return _digits(line, start)
    if first == "[":
        return _bracket(line, start)
    if "A" <= first <= "Z":
        return _capital(line, start)
    if "a" <= first <= "z" or first == "@":
        return _small(line, start)
    if first == "-":
        return _labelled(line, start) or _access_log(line, start)
    if first == "=":
        return _level_first(line, start)
    if first == "(":
        return iso(line, start + 1)
    if first == "<":  # "< %m >", the prefix that PostgreSQL's packages set up
        return iso(line, start + 2 if line[start + 1 : start + 2] == " " else start + 1)
    if first == "#":
        return iso(line, start + 8) if line.startswith("# Time: ", start) else None  # MySQL's slow query log
    if first == ":":  # an IPv6 client
        return _access_log(line, start)
    return _logfmt(line, start) if first == "_" else None


def _digits(line: str, start: int) -> Found | None:
    fifth = line[start + 4 : start + 5]
    if fifth in ("-", "/", ".") and line[start : start + 4].isdigit():
        found = iso(line, start)
        if found is not None:
            return found
    third = line[start + 2 : start + 3]
    if third == "-":
        match = _LOGCAT.match(line, start)
        if match is not None:
            return match[1], match[2], match[3], match[4] or "", match.end()
    if third in ("-", "/", " "):
        match = _DAY_FIRST.match(line, start)
        if match is not None:
            return _with_zone(line, match[1], match[3], match[4] or "", match.end())
    if third == " " or fifth == ":" or ":" in line[start + 1 : start + 11]:
        match = _REDIS.match(line, start)
        if match is not None:
            return match[1], match[2], match[3] or "", "", match.end()
    if line[start + 9 : start + 10].isdigit():
        match = _EPOCH.match(line, start)
        if match is not None:
            return "", match[1], match[2] or "", "", match.end()
    if line[start + 8 : start + 9] == " ":
        match = _BASIC_DAY.match(line, start)
        if match is not None:
            return _with_zone(line, match[1], match[2], match[3] or "", match.end())
    elif line[start + 8 : start + 9] in ("T", "-"):
        match = _UNPADDED.match(line, start)
        if match is not None:
            clock = f"{match[2]:0>2}:{match[3]:0>2}:{match[4]:0>2}"
            return match[1], clock, f"{match[5]:0>3}", "", match.end()
        match = _BASIC.match(line, start)
        if match is not None:
            return _with_zone(line, match[1], f"{match[2]}:{match[3]}:{match[4]}", match[5] or "", match.end())
    return _access_log(line, start)


def iso(line: str, start: int) -> Found | None:
    """Return the date, time and zone of ISO 8601's order that begin at ``start``, or None."""
    match = _USUAL.match(line, start)
    if match is not None:
        end = match.end()
        day, clock = line[start : start + 10], line[start + 11 : start + 19]
        # Most loggers write a zone at once or none at all.
        following = line[end : end + 1]
        if following == "Z":
            if not line[end + 1 : end + 2].isalnum():
                return day, clock, match[1] or "", "Z", end + 1
        elif following not in ("+", "-", " "):
            return day, clock, match[1] or "", "", end
        elif following == " ":
            if line[end + 1 : end + 2] in ("+", "-"):
                if not line[end + 2 : end + 3].isdigit():
                    return day, clock, match[1] or "", "", end
            elif line[end + 1 : end + 4].rstrip(" ]:") not in STARTS:
                if line[end + 2 : end + 3] in ("M", "m"):
                    return _with_half_day(line, day, clock, match[1] or "", end)
                return day, clock, match[1] or "", "", end
        return _with_zone(line, day, clock, match[1] or "", end)
    match = _ISO.match(line, start)
    if match is not None:
        end = match.end()
        if line[end + 2 : end + 3] in ("M", "m"):
            return _with_half_day(line, match[1], match[3], match[4] or match[5] or "", end)
        return _with_zone(line, match[1], match[3], match[4] or match[5] or "", end)
    match = _ISO_MINUTES.match(line, start)
    if match is not None:
        return _with_zone(line, match[1], match[2] + ":00", "", match.end())
    match = _ISO_SINGLE_HOUR.match(line, start)
    if match is not None:
        return _with_half_day(line, match[1], "0" + match[3], "", match.end())
    match = _DB2.match(line, start)
    if match is not None:
        return match[1], f"{match[2]}:{match[3]}:{match[4]}", match[5] or "", "", match.end()
    return None


def _with_half_day(line: str, day: str, clock: str, fraction: str, end: int) -> Found:
    """Return a time whose clock may be one of twelve hours, with AM or PM after it."""
    match = _HALF_DAY.match(line, end)
    if match is None or not "01" <= clock[:2] <= "12":
        return day, clock, fraction, "", end
    return _with_zone(line, day, _in_24_hours(clock, match[1]), fraction, match.end())


def _in_24_hours(clock: str, half: str) -> str:
    return f"{int(clock[:2]) % 12 + (12 if half in 'Pp' else 0):02}{clock[2:]}"


def _with_zone(line: str, day: str, clock: str, fraction: str, end: int) -> Found:
    following = line[end : end + 1]
    if following in ("Z", "z"):
        return (
            (day, clock, fraction, "", end)
            if line[end + 1 : end + 2].isalnum()
            else (day, clock, fraction, "Z", end + 1)
        )
    if following in ("+", "-") or (following == " " and line[end + 1 : end + 2] in ("+", "-")):
        match = _OFFSET.match(line, end)
        if match is not None:
            return day, clock, fraction, match[1] or match[2] or match[3], match.end()
    elif following == " " and line[end + 1 : end + 4].rstrip(" ]:") in STARTS:
        match = _ZONE_WORD.match(line, end)
        if match is not None and match[1] in ZONES:
            return day, clock, fraction, match[1], match.end()
    return day, clock, fraction, "", end


def _bracket(line: str, start: int) -> Found | None:
    second = line[start + 1 : start + 2]
    if "0" <= second <= "9":
        if line[start + 5 : start + 6] in ("-", "/", "."):
            found = iso(line, start + 1)
            if found is not None:
                return found
        match = _DAY_FIRST.match(line, start + 1)
        if match is not None:
            end = match.end()
            zone = _PHP_ZONE.match(line, end)
            if zone is not None:
                return match[1], match[3], match[4] or "", zone[1], zone.end(1)
            return _with_zone(line, match[1], match[3], match[4] or "", end)
        match = _NAGIOS.match(line, start + 1)
        if match is not None:
            return "", match[1], match[2] or "", "", match.end()
        match = _REDIS.match(line, start)
        if match is not None:
            return match[1], match[2], match[3] or "", "", match.end()
        return None
    if "A" <= second <= "Z":
        match = _WEEKDAY.match(line, start + 1)
        if match is not None:
            return _of_weekday(match)
        return _level_first(line, start)
    if second == " ":  # logcat's long form
        match = _LOGCAT.match(line, start + 2)
        return None if match is None else (match[1], match[2], match[3], match[4] or "", match.end())
    if second == "p":
        match = _UWSGI.match(line, start)
        if match is not None:
            match = _WEEKDAY.match(line, match.end() + 1)
            return None if match is None else (*_of_weekday(match)[:4], -1)
    return None


def _capital(line: str, start: int) -> Found | None:
    second = line[start + 1 : start + 2]
    if "0" <= second <= "9":
        match = _KLOG.match(line, start)
        if match is not None:
            return match[1], match[2], match[3], "", match.end()
    elif line[start + 3 : start + 4] == " " and "a" <= second <= "z":
        match = _WEEKDAY.match(line, start)
        if match is not None:
            return _of_weekday(match)
        if line[start : start + 3] in MONTHS:
            return _month_first(line, start)
        match = _WEEKDAY_ISO.match(line, start)
        if match is not None:
            return iso(line, match.end())
    elif line[start + 3 : start + 5] == ", ":
        match = _RFC_1123.match(line, start)
        if match is not None:
            return _with_zone(line, match[1], match[2], match[3] or "", match.end())
    elif not "a" <= second <= "z":  # capitals, or "I, ["
        found = _level_first(line, start) or _labelled(line, start)
        if found is not None:
            return found
    return _access_log(line, start) or _logfmt(line, start)


def _of_weekday(match: re.Match[str]) -> Found:
    day, clock, fraction, zone, year = match.groups()
    end = match.end()
    if zone is not None and zone[0] not in "+-" and zone not in ZONES:
        zone, end = "", match.start(4) - 1
    return f"{day} {year}" if year else day, clock, fraction or "", zone or "", end


def _month_first(line: str, start: int) -> Found | None:
    match = _MONTH_FIRST.match(line, start)
    if match is None:
        match = _BSD.match(line, start)
        return None if match is None else (match[1], match[2], match[3] or "", "", match.end())
    clock = f"{match[2]:0>2}:{match[3]}"
    if match[5] is not None:
        clock = _in_24_hours(clock, match[5])
    return match[1], clock, match[4] or "", "", match.end()


def _level_first(line: str, start: int) -> Found | None:
    match = _LEVEL_FIRST.match(line, start)
    if match is None:
        return None
    end = match.end()
    if line[start] == "=":
        otp = _OTP.match(line, end)
        return None if otp is None else (otp[1], otp[2], otp[3] or "", "", otp.end())
    return iso(line, end)


def _labelled(line: str, start: int) -> Found | None:
    match = _LABELLED.match(line, start)
    return None if match is None else ("", match[1] or match[2], "", "", match.end())


def _access_log(line: str, start: int) -> Found | None:
    bracket = line.find("[", start, start + _CLF_REACH)
    # An earlier bracket holds a client's address (ingress-nginx).
    while bracket > 0 and line[bracket + 3 : bracket + 4] != "/":
        bracket = line.find("[", bracket + 1, start + _CLF_REACH)
    if bracket <= 0:
        return None
    match = _CLF.match(line, bracket)
    if match is None:
        return None
    front = line[start:bracket].split()
    # A host (or "-") and a few words, never a quoted request: else it is a sentence that mentions a time.
    if len(front) > _CLF_WORDS or '"' in line[start:bracket]:
        return None
    if _HOST.search(front[0]) is None and front[1:2] != ["-"]:
        return None
    return match[1], match[2], match[3] or "", match[4] or "", -1


def _small(line: str, start: int) -> Found | None:
    found = _logfmt_value(line, start)
    if found is not None:
        return found
    if line.startswith(("type=", "node="), start):
        match = _AUDIT.match(line, start)
        if match is not None:
            return "", match[1], match[2], "", match.end()
    return _logfmt(line, start) or _access_log(line, start)


def _logfmt(line: str, start: int) -> Found | None:
    if line.find("=", start, start + _KEY_LENGTH) < 0 or _LOGFMT.match(line, start) is None:
        return None
    if line.startswith("date=", start):
        match = _FORTIGATE.match(line, start)
        if match is not None:
            zone = _FORTIGATE_ZONE.search(line, match.end(), match.end() + _FORTIGATE_REACH)
            return match[1], match[2], match[3] or "", zone[1] if zone is not None else "", match.end()
    for key in _LOGFMT_KEYS:
        at = line.find(key, start)
        # A key inside a quoted value is text: quotes in front of it are in pairs.
        if at >= 0 and (line.count('"', start, at) - line.count('\\"', start, at)) % 2 == 0:
            found = _logfmt_value(line, at + 1)
            if found is not None:
                return found
    return None


def _logfmt_value(line: str, start: int) -> Found | None:
    match = _LOGFMT_TIME.match(line, start)
    if match is None:
        return None
    end = match.end()
    found = iso(line, end)
    if found is not None:
        return found
    number = _NUMBER.match(line, end)
    return None if number is None else ("", number[1], number[2] or "", "", number.end())

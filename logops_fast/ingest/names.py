"""The names under which loggers and collectors write the fields that the normaliser settles: one table for all.

``docs/field-formats.md`` is generated from it. Names are written in lower case and match in any case, unless ``cased``;
a dotted name matches a key with that dot as well as nested objects. The order is the order of preference.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from logops_fast.ingest.levels import NO_NUMBERS, OTEL, PYTHON, SYSLOG, USUAL

TS_NAMES: Final = ("timestamp", "time", "@timestamp")
LEVEL_NAMES: Final = ("lvl", "severity", "loglevel")
MSG_NAMES: Final = ("message", "log", "text")
"""The exact names beside ``ts``, ``level`` and ``msg``, tried before all of the table below."""

# What a value must be to count as a message.
TEXT: Final = "text"  # text
ANY: Final = "any"  # anything; an object or array is written as JSON
BODY: Final = "body"  # text, an OTLP AnyValue, or anything in a record of the OpenTelemetry log data model


# How a level is read, beside the scales of `levels`: a letter, where ``t`` is MongoDB's ``{"$date": ...}``.
MONGODB: Final = "mongodb"

# How a time is read: whole seconds, with the nanoseconds under ``timestampNanos`` beside them.
SECONDS: Final = "seconds"


class Alias(NamedTuple):
    """One name of a field.

     ``rule``: how the value is read: for a level the scale of its numbers (see `levels`), for a message TEXT, ANY or
     BODY, for a time SECONDS.
    ``beside``: keys of which the event must have one, in lower case; none: the name alone is enough. ``cased``:
     the name matches only as it is written here.
    """

    name: str
    writers: str
    rule: str = ""
    beside: tuple[str, ...] = ()
    cased: bool = False


_ANY_CASE: Final = "the exact names in any case"
_RSYSLOG: Final = ("programname", "timereported", "timegenerated", "syslogseverity", "syslogseverity-text")
_SYSLOG_NG: Final = ("isodate", "program", "facility", "priority")
_JOURNALD: Final = ("__realtime_timestamp", "__cursor", "_hostname", "_transport")

TS: Final = (
    Alias("ts", _ANY_CASE),
    Alias("timestamp", _ANY_CASE),
    Alias("time", _ANY_CASE),
    Alias("@timestamp", _ANY_CASE),
    Alias("@t", "CLEF (Serilog)"),
    Alias("asctime", "python-json-logger"),
    Alias("datetime", "Monolog, common JSON loggers"),
    Alias("date_time", "common JSON loggers"),
    Alias("isodate", "syslog-ng"),
    Alias("timereported", "rsyslog"),
    Alias("timegenerated", "rsyslog, Azure Monitor"),
    Alias("__realtime_timestamp", "systemd-journald"),
    Alias("_source_realtime_timestamp", "systemd-journald"),
    Alias("instant", "log4j2 JsonLayout"),
    Alias("timemillis", "log4j2 JsonLayout before 2.11"),
    Alias("timeunixnano", "OpenTelemetry"),
    Alias("time_unix_nano", "OpenTelemetry"),
    Alias("observedtimeunixnano", "OpenTelemetry"),
    Alias("observed_time_unix_nano", "OpenTelemetry"),
    Alias("observedtimestamp", "OpenTelemetry"),
    Alias("observed_timestamp", "OpenTelemetry"),
    Alias("t", "MongoDB 4.4 and later, log15, zap (development)"),
    Alias("record.time", "loguru"),
    Alias("eventtime", "Google Cloud, AWS CloudTrail"),
    Alias("event_time", "common JSON loggers"),
    Alias("eventtimestamp", "common JSON loggers"),
    Alias("event_timestamp", "common JSON loggers"),
    Alias("timestamp_ms", "common JSON loggers"),
    Alias("timestampms", "common JSON loggers"),
    Alias("time_iso8601", "nginx"),
    Alias("time_local", "nginx"),
    Alias("msec", "nginx"),
    Alias("start_time", "Envoy"),
    Alias("startutc", "Traefik"),
    Alias("startlocal", "Traefik"),
    Alias("requestreceivedtimestamp", "Kubernetes audit"),
    Alias("stagetimestamp", "Kubernetes audit"),
    Alias("written_at", "Cloud Foundry"),
    Alias("log_time", "common JSON loggers"),
    Alias("logtime", "common JSON loggers"),
    Alias("log_timestamp", "common JSON loggers"),
    Alias("logged_at", "common JSON loggers"),
    Alias("dt", "Logtail (Better Stack)"),
    Alias("receivetimestamp", "Google Cloud"),
    Alias("event.created", "Elastic Common Schema"),
    Alias("date", "Fluent Bit", cased=True),
    Alias("created", "python-json-logger"),
    Alias("timestampSeconds", "Google Cloud", SECONDS, cased=True),
)

LEVEL: Final = (
    Alias("level", _ANY_CASE, USUAL),
    Alias("lvl", _ANY_CASE, USUAL),
    Alias("severity", _ANY_CASE, USUAL),
    Alias("loglevel", _ANY_CASE, USUAL),
    Alias("log.level", "Elastic Common Schema", USUAL),
    Alias("log_level", "structlog, common JSON loggers", USUAL),
    Alias("levelname", "python-json-logger", USUAL),
    Alias("level_name", "Monolog", USUAL),
    Alias("_level_name", "Spring Boot's GELF", USUAL),
    Alias("severitytext", "OpenTelemetry", USUAL),
    Alias("severity_text", "OpenTelemetry", USUAL),
    Alias("severitynumber", "OpenTelemetry", OTEL),
    Alias("severity_number", "OpenTelemetry", OTEL),
    Alias("@l", "CLEF (Serilog)", USUAL),
    Alias("@level", "hclog (HashiCorp)", USUAL),
    Alias("priority", "systemd-journald, syslog-ng", SYSLOG),
    Alias("error_severity", "PostgreSQL jsonlog", USUAL),
    Alias("syslogseverity-text", "rsyslog", USUAL),
    Alias("syslogpriority-text", "rsyslog", USUAL),
    Alias("syslogseverity", "rsyslog", SYSLOG),
    Alias("syslogpriority", "rsyslog", SYSLOG),
    Alias("log.syslog.severity.name", "Elastic Common Schema", USUAL),
    Alias("log.syslog.severity.code", "Elastic Common Schema", SYSLOG),
    Alias("syslog_severity", "Logstash", SYSLOG),
    Alias("syslog_severity_code", "Logstash", SYSLOG),
    Alias("severity_label", "Logstash", USUAL),
    Alias("record.level.name", "loguru", USUAL),
    Alias("record.level.no", "loguru", PYTHON),
    Alias("level.name", "log4j2 templates", USUAL),
    Alias("s", "MongoDB 4.4 and later", MONGODB, ("t",)),
    Alias("levelno", "python-json-logger", PYTHON),
    Alias("detected_level", "Loki", NO_NUMBERS),
    Alias("severitylevel", "Azure", NO_NUMBERS),
    Alias("leveldisplayname", "Windows event log", NO_NUMBERS),
    Alias("L", "zap, development", NO_NUMBERS, ("m", "t"), cased=True),
)

MSG: Final = (
    Alias("msg", _ANY_CASE, ANY),
    Alias("message", _ANY_CASE, ANY),
    Alias("@m", "CLEF (Serilog)", TEXT),
    Alias("renderedmessage", "Serilog", TEXT),
    Alias("@message", "hclog (HashiCorp)", TEXT),
    Alias("short_message", "GELF", TEXT),
    Alias("full_message", "GELF", TEXT),
    Alias("event", "structlog, Splunk HEC", TEXT),
    Alias("fields.message", "tracing-subscriber", TEXT),
    Alias("textpayload", "Google Cloud", TEXT),
    Alias("jsonpayload.message", "Google Cloud", TEXT),
    Alias("jsonpayload.msg", "Google Cloud", TEXT),
    Alias("body", "OpenTelemetry", BODY),
    Alias("@mt", "CLEF (Serilog)", TEXT),
    Alias("messagetemplate", "Serilog", TEXT),
    Alias("log", _ANY_CASE, TEXT),
    Alias("text", _ANY_CASE, TEXT),
    Alias("record.message", "loguru", TEXT),
    Alias("record", "AWS Lambda", TEXT),
    Alias("log_message", "common JSON loggers", TEXT),
    Alias("logmessage", "common JSON loggers", TEXT),
    Alias("event_message", "common JSON loggers", TEXT),
    Alias("log_s", "Azure Container Apps", TEXT),
    Alias("properties.message", "Azure", TEXT),
    Alias("properties.log", "Azure", TEXT),
    Alias("M", "zap, development", TEXT, ("l", "t"), cased=True),
)

APP: Final = (
    Alias("syslog_identifier", "systemd-journald"),
    Alias("program", "syslog-ng", beside=("isodate", "message", "host")),
    Alias("programname", "rsyslog"),
    Alias("app-name", "rsyslog", beside=_RSYSLOG),
    Alias("_comm", "systemd-journald", beside=_JOURNALD),
)

HOST: Final = (
    Alias("_hostname", "systemd-journald"),
    Alias("HOST", "syslog-ng", beside=_SYSLOG_NG, cased=True),
    Alias("hostname", "rsyslog", beside=_RSYSLOG),
)

PID: Final = (
    Alias("_pid", "systemd-journald", beside=_JOURNALD),
    Alias("PID", "syslog-ng", beside=_SYSLOG_NG, cased=True),
    Alias("procid", "rsyslog", beside=_RSYSLOG),
)

CSV_TS: Final = ("date",)
CSV_MSG: Final = ("line", "_raw")
"""Names, in lower case, that are the time or the message in the header of a CSV file and nowhere else."""

SETTLED_AS: Final = {
    name.lower(): field
    for field, named in (("msg", MSG), ("app", APP), ("host", HOST), ("pid", PID))
    for name in (alias.name for alias in named)
}
"""The field that each name becomes, in lower case: what is said of a name, such as that it is masked, holds for it."""

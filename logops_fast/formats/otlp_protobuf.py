"""Counts the log records of an OTLP export in protobuf by its lengths alone; no record is read.

Source: opentelemetry-proto, collector/logs/v1/logs_service.proto and logs/v1/logs.proto.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from logops_fast.formats.protobuf_wire import WireError, read_length, read_varint, skip
from logops_fast.formats.steps import result_of

_RESOURCE_LOGS: Final = 0x0A  # ExportLogsServiceRequest.resource_logs = 1
_SCOPE_LOGS: Final = 0x12  # ResourceLogs.scope_logs = 2
_LOG_RECORDS: Final = 0x12  # ScopeLogs.log_records = 2
_STEP_FIELDS: Final = 20_000


def count(body: bytes) -> int:
    """Return the number of records in one step; 0 if the body is broken."""
    return result_of(counting(body, len(body)))


def counting(body: bytes, cap: int) -> Generator[None, None, int]:
    """Count the records in steps, until there are over ``cap``; 0 if the body is broken before that.

    Resources and scopes are bounded by ``cap`` as well: over it the result is over it too.
    """
    total = sections = looked = 0
    size = len(body)
    pos = 0
    try:
        while pos < size:
            tag, pos = read_varint(body, pos, size)
            if tag != _RESOURCE_LOGS:
                pos = skip(body, tag & 7, pos, size)
            else:
                pos, end = read_length(body, pos, size)
                sections += 1
                while pos < end:
                    tag, pos = read_varint(body, pos, end)
                    if tag != _SCOPE_LOGS:
                        pos = skip(body, tag & 7, pos, end)
                    else:
                        pos, scope_end = read_length(body, pos, end)
                        sections += 1
                        while pos < scope_end:
                            tag, pos = read_varint(body, pos, scope_end)
                            if tag == _LOG_RECORDS:
                                total += 1
                                _, pos = read_length(body, pos, scope_end)
                            else:
                                pos = skip(body, tag & 7, pos, scope_end)
                            looked += 1
                            if total > cap:
                                return total
                            if looked >= _STEP_FIELDS:
                                looked = 0
                                yield
                    looked += 1
                    if looked >= _STEP_FIELDS:
                        looked = 0
                        yield
            looked += 1
            if sections > cap:
                return sections
            if looked >= _STEP_FIELDS:
                looked = 0
                yield
    except WireError:
        return 0
    return total

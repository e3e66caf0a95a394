"""Makes exports of OTLP in protobuf: records, resources and scopes of all kinds, whole and spoilt."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Final

from logops_fast.formats.protobuf_wire import bytes_field, int_field, varint

_NAMES: Final = (
    "service.name", "host.name", "schema_url", "dropped_attributes_count", "http.method", "user.email", "password",
    "n", "n", "a b", "code.lineno", "", "k\u00e9y", "token", "client_ip", "10.1.2.3",
)  # fmt: skip
_SEVERITIES: Final = (
    "INFO", "warn", "Error", "Information", "INFO2", "DEBUG3", "SEVERITY_NUMBER_WARN2", " info ", "unheard of", "",
    "30", "\u00e9", "x" * 80, "\x1b[31mERROR\x1b[0m",
)  # fmt: skip
_NUMBERS: Final = (0, 1, 5, 9, 10, 13, 17, 24, 25, 2**63, 2**64 - 1)
_DOUBLES: Final = (0.0, -0.0, 1.5, 0.1, 1e16, 1e-7, 1e300, 5e-324, float("nan"), float("inf"), -float("inf"), 123456.0)
_MOMENTS: Final = (
    0,
    1,
    1_764_064_811_450_091_007,
    1_764_064_811_000_000_000,
    2**64 - 1,
    253_402_300_800_000_000_000 % 2**64,
)


class ExportMaker:
    """Makes bodies; ``text`` makes texts."""

    def __init__(self, rng: random.Random, text: Callable[[], str]) -> None:
        self.rng = rng
        self._text = text

    def body(self) -> tuple[bytes, int]:
        """Return a body, and how many records it has."""
        rng = self.rng
        count = 0
        parts = []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            scopes = []
            for _ in range(rng.choice((1, 1, 2))):
                records = rng.choice((0, 1, 2, 5, 30))
                count += records
                kind = [self.record() for _ in range(4)]
                scopes.append(
                    self.scope([rng.choice(kind) if rng.random() < 0.5 else self.record() for _ in range(records)])
                )
            fields = [bytes_field(2, scope) for scope in scopes]
            if rng.random() < 0.9:
                fields.append(bytes_field(1, self.resource()))
            if rng.random() < 0.1:
                fields.append(bytes_field(3, rng.choice((b"https://x/1", "h\u00e9".encode(), b""))))
            rng.shuffle(fields)
            parts.append(bytes_field(1, b"".join(fields)))
        data = b"".join(parts)
        if rng.random() < 0.05 and data:
            at = rng.randrange(len(data))
            data = data[:at] + bytes((rng.randrange(256),)) * rng.randrange(2) + data[at + rng.randrange(3) :]
        return data, count

    def resource(self) -> bytes:
        """Return a Resource."""
        rng = self.rng
        fields = [self.attribute(1) for _ in range(rng.randrange(5))]
        if rng.random() < 0.8:
            fields.append(_attribute(1, "service.name", bytes_field(1, b"checkout")))
        if rng.random() < 0.1:
            fields.append(int_field(2, rng.choice(_NUMBERS)))
        return b"".join(fields)

    def scope(self, records: list[bytes]) -> bytes:
        """Return a ScopeLogs with these records."""
        rng = self.rng
        fields = [bytes_field(2, record) for record in records]
        if rng.random() < 0.7:
            scope = bytes_field(1, rng.choice((b"shop", b""))) + bytes_field(2, b"1.2")
            if rng.random() < 0.3:
                scope += self.attribute(3) + int_field(4, rng.choice(_NUMBERS))
            fields.insert(rng.randrange(len(fields) + 1), bytes_field(1, scope))
        if rng.random() < 0.1:
            fields.append(bytes_field(3, b"https://x/2"))
        return b"".join(fields)

    def record(self) -> bytes:
        """Return a LogRecord."""
        rng = self.rng
        fields = [self.moments(), self.severity()]
        if rng.random() < 0.95:
            fields.append(bytes_field(5, self.value() if rng.random() < 0.2 else bytes_field(1, self.text())))
        fields += [self.attribute(6) for _ in range(rng.randrange(4))]
        fields.append(self.rest())
        if rng.random() < 0.2:
            rng.shuffle(fields)
        return b"".join(fields)

    def moments(self) -> bytes:
        """Return the times of a record."""
        rng = self.rng
        fields: list[bytes] = []
        if rng.random() < 0.9:
            fields.append(b"\x09" + rng.choice(_MOMENTS).to_bytes(8, "little"))
        if rng.random() < 0.5:
            fields.append(b"\x59" + rng.choice(_MOMENTS).to_bytes(8, "little"))
        return b"".join(fields)

    def severity(self) -> bytes:
        """Return the severity of a record: number, text, both or neither."""
        rng = self.rng
        fields: list[bytes] = []
        if rng.random() < 0.7:
            fields.append(int_field(2, rng.choice(_NUMBERS)))
        if rng.random() < 0.7:
            fields.append(bytes_field(3, rng.choice(_SEVERITIES[: rng.choice((3, len(_SEVERITIES)))]).encode()))
        return b"".join(fields)

    def rest(self) -> bytes:
        """Return the other fields of a record."""
        rng = self.rng
        fields: list[bytes] = []
        if rng.random() < 0.5:
            fields.append(bytes_field(9, rng.randbytes(rng.choice((0, 8, 16))) if rng.random() < 0.9 else bytes(16)))
            fields.append(bytes_field(10, rng.randbytes(8)))
        if rng.random() < 0.3:
            fields.append(b"\x45" + rng.choice((0, 1, 2**32 - 1)).to_bytes(4, "little"))
        if rng.random() < 0.1:
            fields.append(int_field(7, rng.choice(_NUMBERS)))
        if rng.random() < 0.1:
            fields.append(bytes_field(12, self.text()))
        if rng.random() < 0.02:
            fields.append(rng.choice((bytes_field(4, b"old"), bytes_field(15, b"new"), b"\x0d\0\0\0\0", b"\x0b")))
        return b"".join(fields)

    def attribute(self, field: int) -> bytes:
        """Return a KeyValue as a field."""
        rng = self.rng
        draw = rng.random()
        value = b"" if draw < 0.02 else self.value()
        return _attribute(field, rng.choice(_NAMES), value)

    def value(self, depth: int = 0) -> bytes:
        """Return an AnyValue."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.5 or depth > 3:
            return bytes_field(1, self.text())
        if draw < 0.65:
            return int_field(3, rng.choice(_NUMBERS))
        if draw < 0.7:
            return int_field(2, rng.randrange(3))
        if draw < 0.8:
            return b"\x21" + struct.pack("<d", rng.choice(_DOUBLES))
        if draw < 0.87:
            return bytes_field(5, b"".join(bytes_field(1, self.value(depth + 1)) for _ in range(rng.randrange(3))))
        if draw < 0.95:
            pairs = (_attribute(1, rng.choice(_NAMES), self.value(depth + 1)) for _ in range(rng.randrange(3)))
            return bytes_field(6, b"".join(pairs))
        if draw < 0.98:
            return bytes_field(7, rng.randbytes(rng.randrange(6)))
        return rng.choice((b"", int_field(3, 1) + int_field(3, 2), varint(0x48)))

    def text(self) -> bytes:
        """Return text in UTF-8, now and then none."""
        if self.rng.random() < 0.005:
            return b"a\xffb"
        return self._text().encode("utf-8", "replace")


def _attribute(field: int, name: str, value: bytes) -> bytes:
    return bytes_field(field, bytes_field(1, name.encode()) + bytes_field(2, value))

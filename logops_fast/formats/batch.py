"""What travels between the gateways: a batch on its way in, a reply on its way out."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator
from typing import Final, Protocol

from logops_fast.errors import LogOpsError
from logops_fast.formats import charset, content_encoding, otlp_json, snappy_block
from logops_fast.formats.answer import reason_of
from logops_fast.formats.media_type import LOKI_PATH, Format, format_of, loki_format_of
from logops_fast.formats.personal_names import personal_data_in_name
from logops_fast.formats.steps import result_of
from logops_fast.http.refusal import Refusal

BATCH_ID: Final = re.compile(rb"[A-Za-z0-9._~-]{1,128}")
"""The form of an X-Batch-Id; it becomes part of a key, a log line and a header."""

NAME: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""The form of an emitter or a scenario id; both become metric labels and fields of each line."""

TENANT: Final = re.compile(rb"(?!\.{1,2}\Z)[A-Za-z0-9!_.*'()-]{1,150}")
"""The form of an X-Scope-OrgID: that of Loki's tenant ids."""

NO_SCENARIO: Final = "na"

UNKNOWN_EMITTER: Final = "unknown"

UNSUPPORTED_MEDIA_TYPE: Final = Refusal(
    415,
    "unsupported_media_type",
    "Send application/json, application/x-ndjson, text/csv, text/plain, or OTLP as application/x-protobuf.",
)
UNSUPPORTED_ENCODING: Final = Refusal(
    415, "unsupported_encoding", "Content-Encoding must be gzip, deflate or zstd, or left out."
)
BAD_SCENARIO_ID: Final = Refusal(
    400, "bad_scenario_id", "X-Scenario-Id must be 1 to 64 characters of A-Z a-z 0-9 . _ -"
)
TWO_SCENARIOS: Final = Refusal(
    400, "bad_scenario_id", "X-Scenario-Id and X-Scenario name two scenarios: send X-Scenario-Id alone."
)
PERSONAL_DATA_IN_NAME: Final = Refusal(
    400,
    "personal_data_in_name",
    "X-Scenario-Id, X-Batch-Id or X-Emitter holds an IP address or a card number, and would be stored as it is: "
    "use another name, for example a UUID.",
)
UNSUPPORTED_LOKI_TYPE: Final = Refusal(
    415,
    "unsupported_media_type",
    "Loki's push takes application/x-protobuf (protobuf in snappy) or application/json.",
)
BAD_TENANT: Final = Refusal(
    400,
    "bad_tenant",
    "X-Scope-OrgID must be 1 to 150 characters of A-Z a-z 0-9 ! - _ . * ' ( ), and not . or .. only.",
)
BAD_BATCH_ID: Final = Refusal(400, "bad_batch_id", "X-Batch-Id must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ -")


# Plain classes with slots, not named tuples: one of each is made for every request, and compiled code takes seven times
# as long to make a named tuple, which is a call of Python.


class Batch:
    """A body whose sender is known, decoded from its content encoding, not yet parsed."""

    __slots__ = (
        "batch_id",
        "body",
        "body_id",
        "emitter",
        "format",
        "items",
        "repeatable",
        "scenario_id",
        "started",
        "tenant",
    )

    def __init__(
        self,
        body: bytes,
        format: Format,
        emitter: str,
        scenario_id: str,
        batch_id: str,
        repeatable: bool,
        started: float,
        items: int = 0,
        tenant: str = "",
        body_id: str = "",
    ) -> None:
        self.body = body
        self.format = format
        self.emitter = emitter
        self.scenario_id = scenario_id
        self.batch_id = batch_id
        self.repeatable = repeatable
        """True if the client chose the batch id and may send it again: it must then be remembered."""
        self.started = started
        """Monotonic seconds of the request's first byte, from which batch latency is counted."""
        self.items = items
        """Upper bound of the items in the body, if the gateway has counted them; 0 if it has not."""
        self.tenant = tenant
        """Loki's tenant, which each event gets as a field; empty if there is none."""
        self.body_id = body_id
        """What the batch is recognised by if all its events bring times of their own; empty if it is not to be."""

    def replaced(
        self, *, body: bytes | None = None, body_id: str | None = None, repeatable: bool | None = None
    ) -> Batch:
        """Return a copy with other values; the sender may still hold this one, to send it again."""
        return Batch(
            self.body if body is None else body,
            self.format,
            self.emitter,
            self.scenario_id,
            self.batch_id,
            self.repeatable if repeatable is None else repeatable,
            self.started,
            self.items,
            self.tenant,
            self.body_id if body_id is None else body_id,
        )

    def __repr__(self) -> str:
        return f"<Batch {self.batch_id} of {self.emitter}: {len(self.body)} bytes of {self.format.label}>"


class Reply:
    """What becomes of a batch: an HTTP status and body, and how many items were counted in it."""

    __slots__ = ("body", "doubtful", "headers", "items", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        items: int | None = None,
        doubtful: bool = False,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.items = items
        """Events accepted and rejected together, if they were counted; None if the batch did not get that far."""
        self.doubtful = doubtful
        """True if an earlier try of the batch may have been stored: the outcome is not known."""

    def __repr__(self) -> str:
        return f"<Reply {self.status} {self.body[:200]!r}>"

    @classmethod
    def of(cls, refusal: Refusal) -> Reply:
        """The reply that a refusal makes."""
        return cls(refusal.status, refusal.body(), tuple(refusal.headers()))

    @property
    def reason(self) -> str:
        """The fixed reason of a refusal, read from its body; empty for a success or a foreign body."""
        return "" if self.status < 400 else reason_of(self.body)


class Downstream(Protocol):
    """Where an accepted batch goes: the ingest pipeline in process, or the forwarder over HTTP."""

    def send(self, batch: Batch, reply: Callable[[Reply], None]) -> None:
        """Take the batch; call ``reply`` exactly once, perhaps before returning."""


class ReadBatch(Protocol):
    """A batch that was read before it was charged to its emitter; nothing of it is stored yet."""

    @property
    def items(self) -> int:
        """The items in it, exactly."""

    def store(self, reply: Callable[[Reply], None]) -> None:
        """Go on as ``Downstream.send`` does. Call it once, or drop the batch."""


ReadAhead = Callable[[Batch], ReadBatch | None]
"""Reads a batch at once, if that takes about as long as counting its items; None if it has to be counted first."""


class BatchHeaderError(LogOpsError):
    """A header of a batch is not of its form; carries the refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class BatchHead:
    """What the headers of a batch say about it, each in its form."""

    __slots__ = ("batch_id", "charset", "encoding", "format", "repeatable", "scenario_id", "snappy", "tenant")

    def __init__(
        self,
        format: Format,
        encoding: bytes | None,
        scenario_id: str,
        batch_id: str,
        repeatable: bool,
        charset: str = charset.UTF_8,
        snappy: bool = False,
        tenant: str = "",
    ) -> None:
        self.format = format
        self.encoding = encoding
        self.scenario_id = scenario_id
        self.batch_id = batch_id
        self.repeatable = repeatable
        self.charset = charset
        """The codec of the body's text; empty for UTF-8."""
        self.snappy = snappy
        """Whether the body is a block of snappy, besides its content encoding."""
        self.tenant = tenant

    @classmethod
    def of(cls, headers: dict[bytes, bytes], path: bytes = b"") -> BatchHead:
        """Read Content-Type, Content-Encoding, X-Scenario-Id (or X-Scenario) and X-Batch-Id.

        For Loki's push, by its path or by the type that it has between the gateways, also X-Scope-OrgID.

        Raises BatchHeaderError: 415 ``unsupported_media_type``, ``unsupported_charset`` or ``unsupported_encoding``,
        400 ``bad_scenario_id``, ``bad_batch_id``, ``bad_tenant`` or ``personal_data_in_name``.
        """
        content_type = headers.get(b"content-type")
        at_loki = path == LOKI_PATH
        body_format = loki_format_of(content_type) if at_loki else format_of(content_type)
        if body_format is None:
            raise BatchHeaderError(UNSUPPORTED_LOKI_TYPE if at_loki else UNSUPPORTED_MEDIA_TYPE)
        snappy = at_loki and body_format is Format.LOKI
        codec = charset.charset_of(content_type) if content_type and b";" in content_type else charset.UTF_8
        if codec is None:
            raise BatchHeaderError(charset.UNSUPPORTED_CHARSET)
        encoding = headers.get(b"content-encoding")
        if snappy and encoding == b"snappy":
            encoding = None  # some senders name it, and Loki has it so
        if encoding is not None and not content_encoding.supported(encoding):
            raise BatchHeaderError(UNSUPPORTED_ENCODING)
        scenario, other = headers.get(b"x-scenario-id"), headers.get(b"x-scenario")
        if scenario and other and scenario != other:
            raise BatchHeaderError(TWO_SCENARIOS)
        scenario = scenario or other
        if scenario and NAME.fullmatch(scenario) is None:
            raise BatchHeaderError(BAD_SCENARIO_ID)
        batch_id = headers.get(b"x-batch-id")
        if batch_id and BATCH_ID.fullmatch(batch_id) is None:
            raise BatchHeaderError(BAD_BATCH_ID)
        if (scenario and personal_data_in_name(scenario.decode("ascii"))) or (
            batch_id and personal_data_in_name(batch_id.decode("ascii"))
        ):
            raise BatchHeaderError(PERSONAL_DATA_IN_NAME)
        return cls(
            body_format,
            encoding,
            scenario.decode("ascii") if scenario else NO_SCENARIO,
            # Not a secret: it only has to differ from all others for ten minutes.
            batch_id.decode("ascii") if batch_id else random.getrandbits(128).to_bytes(16, "big").hex(),
            bool(batch_id),
            codec,
            snappy,
            _tenant(headers) if body_format is Format.LOKI or body_format is Format.LOKI_JSON else "",
        )

    def settled(self, body: bytes) -> BatchHead:
        """Return the head with the format that the decoded body turns out to have: JSON may be an OTLP export."""
        if self.format is Format.JSON and otlp_json.is_export(body):
            return BatchHead(
                Format.OTLP_JSON,
                self.encoding,
                self.scenario_id,
                self.batch_id,
                self.repeatable,
                self.charset,
                self.snappy,
                self.tenant,
            )
        return self

    def must_decode(self, body: bytes) -> bool:
        """Return whether the body is in a content encoding or a character set other than UTF-8."""
        return self.snappy or self.encoding is not None or bool(self.charset) or charset.has_utf16_mark(body)

    def decode(self, body: bytes, cap: int) -> bytes:
        """Return the body without its content encoding, out of its block and as UTF-8, at most ``cap`` bytes.

        Raises EncodingError: 413 ``too_large`` or 400 ``malformed``.
        """
        return result_of(self.decoding(body, cap))

    def decoding(self, body: bytes, cap: int) -> Generator[None, None, bytes]:
        """Decode in steps of about a megabyte; see ``decode``."""
        decoded = yield from content_encoding.decoding(body, self.encoding, cap)
        if self.snappy:
            return (yield from snappy_block.decoding(decoded, cap))
        return self._as_utf8(decoded, cap)

    def _as_utf8(self, decoded: bytes, cap: int) -> bytes:
        if self.format is Format.OTLP or self.format is Format.LOKI:
            return decoded  # no text
        if self.charset or charset.has_utf16_mark(decoded):
            return charset.to_utf8(decoded, self.charset, cap)
        return decoded

    def batch(self, body: bytes, emitter: str, started: float, items: int = 0, body_id: str = "") -> Batch:
        """Return the batch that these headers and this decoded body make."""
        return Batch(
            body,
            self.format,
            emitter,
            self.scenario_id,
            self.batch_id,
            self.repeatable,
            started,
            items,
            self.tenant,
            body_id,
        )


def _tenant(headers: dict[bytes, bytes]) -> str:
    tenant = headers.get(b"x-scope-orgid")
    if not tenant:
        return ""
    if TENANT.fullmatch(tenant) is None:
        raise BatchHeaderError(BAD_TENANT)
    return tenant.decode("ascii")

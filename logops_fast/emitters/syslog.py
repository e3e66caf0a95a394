"""``syslog``: lines of RFC 5424, of the LogOps form, or both mixed."""

from __future__ import annotations

from typing import Final

from logops_fast.emitters.base import Clockwork, Options, Payload
from logops_fast.emitters.pools import Event, Pool, events

FORMS: Final = ("rfc5424", "logops", "mixed")

_FACILITY: Final = 16  # local0
_SEVERITIES: Final = {"TRACE": 7, "DEBUG": 7, "INFO": 6, "WARN": 4, "ERROR": 3, "FATAL": 2}
_READ_AS: Final = {"TRACE": "DEBUG"}  # RFC 5424 has no level below debug
_STRAY: Final = (
    "Traceback (most recent call last):",
    "    at com.example.Checkout.pay(Checkout.java:17)",
    "<999>1 not a priority - - - -",
    "panic: runtime error: index out of range [7]",
)


class Syslog:
    """``form``: rfc5424, logops or mixed. Partial lines lack their time or have no structured data.

    Chaotic ones are lines without a structure, such as those of a stack trace.
    """

    content_type = b"text/plain"

    __slots__ = ("_clock", "_pool")

    def __init__(self, options: Options) -> None:
        rng = options.rng()
        form = options.form or "mixed"
        # What precedes the timestamp, and what follows it (None: the line has no timestamp). The LogOps form has a
        # blank between day and time.
        lines: list[tuple[bytes, bytes | None, bool]] = []
        levels: list[str | None] = []
        for event in events(rng, options.error_ratio):
            if rng.random() < options.chaos:
                lines.append((rng.choice(_STRAY).encode(), None, False))
                levels.append(None)
                continue
            partial = rng.random() < options.partial_ratio
            if form == "rfc5424" or (form == "mixed" and rng.random() < 0.5):
                head, tail = _rfc5424(event, partial)
                lines.append((head + b" -" + tail, None, False) if partial else (head + b" ", tail, False))
                levels.append(_READ_AS.get(event.level, event.level))
            else:
                tail = f" {event.level} {event.host} {event.app}[{'' if partial else event.pid}]: {event.msg}".encode()
                lines.append((b"", tail, True))
                levels.append(event.level)
        self._pool = Pool(lines, levels, rng)
        self._clock = Clockwork()

    def batch(self, count: int, now: float) -> Payload:
        """Return ``count`` lines."""
        text, micros = self._clock.of(now, count)
        blank = text.replace(b"T", b" ")
        run, levels = self._pool.run(count)
        lines = [
            head
            if tail is None
            else b"%b%b" % (blank, tail)
            if logops
            else b"%b%b.%06dZ%b" % (head, text, micros + i, tail)
            for i, (head, tail, logops) in enumerate(run)
        ]
        return Payload(b"\n".join(lines) + b"\n", count, levels)


def _rfc5424(event: Event, partial: bool) -> tuple[bytes, bytes]:
    head = f"<{_FACILITY * 8 + _SEVERITIES[event.level]}>1"
    data = "-" if partial else f'[req@32473 id="{event.request_id}" ms="{event.duration_ms}"]'
    return head.encode(), f" {event.host} {event.app} {event.pid} REQ {data} {event.msg}".encode()

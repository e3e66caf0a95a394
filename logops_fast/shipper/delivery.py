"""Brings the entries of one batch to Loki, each once, whatever Loki answers: a state machine without I/O.

``next`` returns what to do; ``answered``, ``asked`` or ``unasked`` takes the outcome. The entries are on a stack of
pieces, each to be pushed, or to be asked for first:

* stored: the piece is done. Not stored for certain (unreachable, limited, not let in): pushed again after a pause.
* outcome unknown: Loki is asked which of the piece it has, and what is missing is pushed.
* refused: Loki has stored the good neighbours, so it is asked too. Of the missing, those that are out of the times
  that Loki takes are pushed with the time of shipping; a remainder that does not shrink is halved, until a single
  entry is refused: it is unshippable.

Times are wall time in nanoseconds, pauses seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Literal, NamedTuple, Protocol

from logops_fast.backoff import Backoff
from logops_fast.shipper.answers import LATEST, Answer, Effect, TimeLimits, only_for_time, reason_of
from logops_fast.shipper.entries import Entry, retime


class Push(NamedTuple):
    """Push these entries."""

    entries: Sequence[Entry]


class Ask(NamedTuple):
    """Ask which of these entries Loki has; ``shipped`` as in ``questions``."""

    entries: Sequence[Entry]
    shipped: tuple[int, int] | None


class Pause(NamedTuple):
    """Wait this many seconds."""

    seconds: float


Step = Push | Ask | Pause | None
"""None: the batch is done."""


class Refused(NamedTuple):
    """An entry that Loki does not take, and why: a fixed word, and Loki's own text."""

    entry: Entry
    reason: str
    text: str


class Tally(Protocol):
    """Counts what becomes of entries."""

    def doubtful(self, entries: int) -> None:
        """These were pushed again although Loki may have them."""

    def retimed(self, reason: str, entries: int) -> None:
        """These were given the time of shipping."""

    def refused(self, reason: str) -> None:
        """An entry is unshippable."""


class _Piece(NamedTuple):
    entries: Sequence[Entry]
    ask: Literal["", "unknown", "refused"] = ""
    """Whether Loki is asked before the piece is pushed, and after what."""
    text: str = ""
    shipped: tuple[int, int] | None = None


_NS: Final = attrgetter("ns")
LIMITED_PAUSE: Final = 1.0
"""Seconds to wait at least after 429: Loki's limits are rates, and refill within a second."""


class Delivery:
    """The delivery of one batch."""

    def __init__(
        self,
        entries: Sequence[Entry],
        *,
        limits: TimeLimits,
        tally: Tally,
        backoff: Backoff,
        settle: float,
        query_within: int = 0,
        shipped: tuple[int, int] | None = None,
    ) -> None:
        """``settle``: seconds after which a push that was cut off is over in Loki.

        ``query_within``: Loki may not find entries older than this many ns, if they are in no flushed chunk; 0: it
        finds all. ``shipped``: an earlier process may have pushed the entries, and given them times in this range.
        """
        self._limits = limits
        self._too_late = max(map(_NS, entries), default=0) > LATEST
        self._tally = tally
        self._backoff = backoff
        self._settle = settle
        self._query_within = query_within
        self._pieces = [_Piece(entries, "unknown" if shipped else "", shipped=shipped)] if entries else []
        self._pause = 0.0
        self._failures = 0
        self.refused: list[Refused] = []
        """The unshippable entries so far."""

    def __repr__(self) -> str:
        return f"<Delivery pieces={[len(piece.entries) for piece in self._pieces]} refused={len(self.refused)}>"

    def next(self, now: int) -> Step:
        """Return what to do next."""
        if self._pause > 0:
            pause, self._pause = self._pause, 0.0
            return Pause(pause)
        if not self._pieces:
            return None
        piece = self._pieces[-1]
        if piece.ask:
            return Ask(piece.entries, piece.shipped)
        if (self._too_late or self._limits.known) and self._set_apart(piece, now):
            piece = self._pieces[-1]
        return Push(piece.entries)

    def answered(self, answer: Answer, now: int) -> None:
        """Take the answer to a push."""
        piece = self._pieces.pop()
        effect = answer.effect
        if effect is Effect.STORED:
            self._failures = 0
        elif effect in (Effect.UNREACHABLE, Effect.LIMITED, Effect.DENIED):
            self._pieces.append(piece)
            least = LIMITED_PAUSE if effect is Effect.LIMITED else 0.0
            self._wait(max(answer.retry_after, least))
        elif effect is Effect.UNKNOWN:
            self._pieces.append(piece._replace(ask="unknown", text=answer.text))
            self._wait(max(answer.retry_after, self._settle))
        elif len(piece.entries) > 1 and effect is Effect.TOO_LARGE:
            self._halve(piece.entries)
        elif len(piece.entries) > 1:
            self._limits.learn(answer.text, now)
            self._pieces.append(piece._replace(ask="refused", text=answer.text))
        else:
            self._alone(piece.entries[0], answer, now)

    def asked(self, found: set[int], now: int) -> None:
        """Take the offsets of the entries that Loki has."""
        piece = self._pieces.pop()
        missing = [entry for entry in piece.entries if entry.offset not in found]
        if piece.ask == "refused":
            self._sort_refused(piece, missing, now)
        elif missing:
            if self._query_within:
                oldest = now - self._query_within
                if not_found := sum(1 for entry in missing if not entry.retimed and entry.ns < oldest):
                    self._tally.doubtful(not_found)
            self._pieces.append(_Piece(missing))

    def unasked(self, *, allowed: bool, now: int) -> None:
        """Note that Loki could not be asked: for now, or because this shipper is not ``allowed`` to."""
        if allowed:
            self._wait(0.0)
            return
        piece = self._pieces.pop()
        if piece.ask == "refused" and only_for_time(piece.text):
            # Loki has stored all others, and says so by refusing these alone.
            late = [entry for entry in piece.entries if self._limits.refuses(entry, now)]
            if late:
                self._retime(late, now)
                return
        self._tally.doubtful(len(piece.entries))
        if piece.ask == "refused":
            self._halve(piece.entries)
        else:
            self._pieces.append(_Piece(piece.entries))

    def _alone(self, entry: Entry, answer: Answer, now: int) -> None:
        """Deal with an entry that was refused although nothing else was in its push."""
        for_time = self._limits.learn(answer.text, now) and answer.effect is Effect.REFUSED
        if for_time and not entry.retimed:
            self._retime([entry], now, reason_of(answer.text))
            return
        reason = "too_large" if answer.effect is Effect.TOO_LARGE else reason_of(answer.text)
        self._tally.refused(reason)
        self.refused.append(Refused(entry, reason, answer.text))

    def _sort_refused(self, piece: _Piece, missing: list[Entry], now: int) -> None:
        if not missing:
            return
        late = [entry for entry in missing if self._limits.refuses(entry, now)]
        rest = [entry for entry in missing if not self._limits.refuses(entry, now)] if late else missing
        if rest:
            if len(rest) == len(piece.entries):
                self._halve(rest)
            else:
                self._pieces.append(_Piece(rest))
        if late:
            self._retime(late, now)

    def _set_apart(self, piece: _Piece, now: int) -> bool:
        """Give the time of shipping at once to entries that Loki is known to refuse; return whether there are any."""
        late = [entry for entry in piece.entries if self._limits.refuses(entry, now)]
        if not late:
            return False
        self._pieces.pop()
        if len(late) < len(piece.entries):
            self._pieces.append(_Piece([entry for entry in piece.entries if not self._limits.refuses(entry, now)]))
        self._retime(late, now)
        return True

    def _retime(self, entries: Sequence[Entry], now: int, reason: str | None = None) -> None:
        for entry in entries:
            self._tally.retimed(reason or self._limits.refuses(entry, now) or "other", 1)
        # A nanosecond of its own for each: equal lines stay apart, and in order.
        self._pieces.append(_Piece([retime(entry, now + at) for at, entry in enumerate(entries)]))

    def _halve(self, entries: Sequence[Entry]) -> None:
        middle = (len(entries) + 1) // 2
        self._pieces += [_Piece(part) for part in (entries[middle:], entries[:middle]) if part]

    def _wait(self, least: float) -> None:
        self._failures += 1
        self._pause = max(least, self._backoff.delay(self._failures))

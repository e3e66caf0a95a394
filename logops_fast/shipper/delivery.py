"""Brings the entries of one batch to Loki, each once, whatever Loki answers: a state machine without I/O.

``next`` returns what to do; ``answered``, ``asked`` or ``unasked`` takes the outcome. The entries are on a stack of
pieces, each to be pushed, or to be asked for first:

* stored: the piece is done. Not stored for certain (unreachable, limited, not let in): pushed again after a pause.
* outcome unknown: Loki is asked which of the piece it has, and what is missing is pushed.
* refused: Loki has stored the good neighbours, so it is asked too. Of the missing, those that are out of the times
  that Loki takes are pushed with the time of shipping; a remainder that does not shrink is halved, until a single
  entry is refused: it is unshippable.
* refused, but not for what the entry is: the text is not one of Loki's, or is about its configuration. That makes the
  entry a *suspect*. It is unshippable if Loki has taken others of the batch, answers an empty push as only Loki does,
  and then refuses it again. Otherwise the whole batch is *held*: a proxy that answers 400 to everything, or a forgotten
  setting of Loki's, must not empty the files into ``unshippable/``.

Times are wall time in nanoseconds, pauses seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Literal, NamedTuple, Protocol

from logops_fast.backoff import Backoff
from logops_fast.shipper.answers import LATEST, Answer, Effect, TimeLimits, of_entries, only_for_time, reason_of
from logops_fast.shipper.entries import Entry, retime


class Push(NamedTuple):
    """Push these entries; none: to see who answers."""

    entries: Sequence[Entry]


class Ask(NamedTuple):
    """Ask which of these entries Loki has; ``shipped`` as in ``questions``."""

    entries: Sequence[Entry]
    shipped: tuple[int, int] | None


class Pause(NamedTuple):
    """Wait this many seconds."""

    seconds: float


class Hold(NamedTuple):
    """Give the batch up for now, and read it again later: Loki takes nothing of it, for a reason that is not in it."""

    text: str


Step = Push | Ask | Pause | Hold | None
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
    doubtful: bool = False
    """Loki may have some of it, and could not be asked."""
    last: bool = False
    """A suspect's second trial."""


_NS: Final = attrgetter("ns")
LIMITED_PAUSE: Final = 1.0
"""Seconds to wait at least after 429: Loki's limits are rates, and refill within a second."""
MAX_REFUSALS: Final = 32
"""Pushes that may be refused in a row, with a text that does not blame the entries, until it is seen who answers."""
NO_STREAM: Final = "at least one valid stream is required"
"""What Loki answers to an empty push (pkg/validation/validate.go, MissingStreamsErrorMsg)."""
MAX_RETIMED: Final = 3
"""Times that entries are given another time of shipping before the batch is held."""


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
        self._taken = False  # Loki has something of this batch
        self._probing = False
        self._refusals = 0
        self._suspects: list[Refused] = []
        self._hold = ""
        self._retimed = 0
        self._done = False
        self.refused: list[Refused] = []
        """The unshippable entries so far."""

    def __repr__(self) -> str:
        return f"<Delivery pieces={[len(piece.entries) for piece in self._pieces]} refused={len(self.refused)}>"

    def next(self, now: int) -> Step:
        """Return what to do next."""
        if self._pause > 0:
            pause, self._pause = self._pause, 0.0
            return Pause(pause)
        if self._hold:
            return Hold(self._hold)
        if self._suspects and (not self._pieces or self._refusals >= MAX_REFUSALS):
            if not self._taken:
                return Hold(self._suspects[-1].text)
            self._probing = True
            return Push(())
        if not self._pieces:
            if not self._done:
                self._done = True
                for one in self.refused:
                    self._tally.refused(one.reason)
            return None
        piece = self._pieces[-1]
        if piece.ask:
            return Ask(piece.entries, piece.shipped)
        if (self._too_late or self._limits.known) and self._set_apart(piece, now):
            piece = self._pieces[-1]
        return Push(piece.entries)

    def answered(self, answer: Answer, now: int) -> None:
        """Take the answer to a push."""
        effect = answer.effect
        if self._probing:
            self._probed(answer)
            return
        piece = self._pieces.pop()
        if effect in (Effect.UNREACHABLE, Effect.LIMITED, Effect.DENIED):
            # If it could not be asked for, perhaps for an expired token, it may be possible now.
            self._pieces.append(piece._replace(ask="unknown", doubtful=False) if piece.doubtful else piece)
            least = LIMITED_PAUSE if effect is Effect.LIMITED else 0.0
            self._wait(max(answer.retry_after, least))
            return
        if effect is Effect.STORED:
            if piece.doubtful:
                self._tally.doubtful(len(piece.entries))
            self._failures = 0
            self._take()
        elif effect in (Effect.UNKNOWN, Effect.IGNORED):
            self._pieces.append(_Piece(piece.entries, "unknown", answer.text, piece.shipped))
            self._wait(max(answer.retry_after, self._settle))
        else:
            self._refuse(piece, answer, now)

    def _refuse(self, piece: _Piece, answer: Answer, now: int) -> None:
        entries = piece.entries
        if not of_entries(answer.text):
            self._refusals += 1
            if self._refusals >= MAX_REFUSALS and not (self._taken and self._suspects):
                self._hold = answer.shown
        learned = self._limits.learn(answer.text, now)
        if learned and entries[0].retimed and not any(self._limits.refuses(entry, now) for entry in entries):
            self._hold = (
                f"the time of shipping is refused, so a clock is wrong, this machine's or Loki's: {answer.text}"
            )
        elif len(entries) == 1:
            self._alone(piece, answer, now)
        elif answer.effect is Effect.TOO_LARGE:
            self._halve(entries, doubtful=piece.doubtful)
        else:
            self._pieces.append(_Piece(piece.entries, "refused", answer.text))

    def _probed(self, answer: Answer) -> None:
        """Take the answer to an empty push: if it is Loki's, the suspects are tried once more, each alone."""
        self._probing = False
        if answer.effect is Effect.STORED or NO_STREAM in answer.text:
            self._refusals = 0
            self._pieces += [_Piece([one.entry], last=True) for one in self._suspects]
            self._suspects.clear()
        elif answer.effect in (Effect.REFUSED, Effect.TOO_LARGE):
            self._hold = answer.shown
        else:
            self._wait(answer.retry_after)

    def _take(self) -> None:
        """Note that Loki has entries of this batch."""
        self._taken = True
        self._refusals = 0

    def asked(self, found: set[int], now: int) -> None:
        """Take the offsets of the entries that Loki has."""
        piece = self._pieces.pop()
        missing = [entry for entry in piece.entries if entry.offset not in found]
        if len(missing) < len(piece.entries):
            self._take()
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
        if piece.ask == "refused":
            self._halve(piece.entries, doubtful=True, text=piece.text)
        else:
            self._pieces.append(piece._replace(ask="", doubtful=True))

    def _alone(self, piece: _Piece, answer: Answer, now: int) -> None:
        """Deal with an entry that was refused although nothing else was in its push."""
        entry = piece.entries[0]
        if only_for_time(answer.text) and (not entry.retimed or self._limits.refuses(entry, now)):
            self._retime([entry], now, reason_of(answer.text))
            return
        reason = "too_large" if answer.effect is Effect.TOO_LARGE else reason_of(answer.text)
        one = Refused(entry, reason, answer.shown)
        if of_entries(answer.text) or (piece.last and reason in ("other", "too_large")):
            self.refused.append(one)
        elif piece.last:  # Loki's configuration
            self._hold = answer.shown
        else:
            self._suspects.append(one)

    def _sort_refused(self, piece: _Piece, missing: list[Entry], now: int) -> None:
        if not missing:
            return
        late = [entry for entry in missing if self._limits.refuses(entry, now)]
        rest = [entry for entry in missing if not self._limits.refuses(entry, now)] if late else missing
        if rest:
            if len(rest) == len(piece.entries):
                self._halve(rest, text=piece.text)
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
        if any(entry.retimed for entry in entries):
            self._retimed += 1
            if self._retimed > MAX_RETIMED:
                self._hold = "every time of shipping is refused"
        for entry in entries:
            if not entry.retimed:
                self._tally.retimed(reason or self._limits.refuses(entry, now) or "other", 1)
        made = [retime(entry, now + at) for at, entry in enumerate(entries)]
        # After a clock was set back, the stream of retimed entries is ahead of it.
        if (first := max(self._limits.not_before(entry, now) for entry in made)) > now:
            made = [retime(entry, first + at) for at, entry in enumerate(made)]
        # A nanosecond of its own for each: equal lines stay apart, and in order.
        self._pieces.append(_Piece(made))

    def _halve(self, entries: Sequence[Entry], *, doubtful: bool = False, text: str = "") -> None:
        middle = (len(entries) + 1) // 2
        halves = [_Piece(part, doubtful=doubtful) for part in (entries[middle:], entries[:middle]) if part]
        if not self._refusals or not text or of_entries(text):
            self._pieces += halves
        else:  # the other parts first: whether Loki takes anything at all is seen sooner
            self._pieces[:0] = halves

    def _wait(self, least: float) -> None:
        self._failures += 1
        self._pause = max(least, self._backoff.delay(self._failures))

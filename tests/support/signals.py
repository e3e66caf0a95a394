"""The usual signals for the programs that tests start."""

from __future__ import annotations

import signal


def let_children_be_interrupted() -> None:
    """Give programs that a test starts the usual SIGINT, though this run may ignore it.

    A shell without job control starts ``make test &`` with SIGINT ignored, which programs inherit (POSIX, 2.11): they
    would not end where a test interrupts them. A handler is not inherited: after exec() the action is the default one.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda _number, _frame: None)  # this run goes on ignoring it

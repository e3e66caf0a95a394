from __future__ import annotations

import os
import select
import signal
import threading

from logops_fast.runtime.signals import SignalPipe, held_back


def test_a_signal_makes_the_pipe_readable_and_is_read_once() -> None:
    with SignalPipe(frozenset({signal.SIGHUP})) as pipe:
        os.kill(os.getpid(), signal.SIGHUP)
        assert select.select([pipe.read_end], [], [], 5)[0]
        assert pipe.read() == [signal.SIGHUP]
        assert pipe.read() == []


def test_the_handlers_that_were_there_come_back() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with SignalPipe(frozenset({signal.SIGHUP})):
        assert signal.getsignal(signal.SIGHUP) != before
    assert signal.getsignal(signal.SIGHUP) == before


def test_a_signal_held_back_comes_through_afterwards() -> None:
    with SignalPipe(frozenset({signal.SIGTERM})) as pipe:
        with held_back():
            # To this thread: one that another test left behind does not hold the process's signals back.
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            assert pipe.read() == []
        assert select.select([pipe.read_end], [], [], 5)[0]
        assert pipe.read() == [signal.SIGTERM]

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


def test_a_second_stop_signal_may_come_after_the_end() -> None:
    before, hangup = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGHUP)
    try:
        with SignalPipe(frozenset({signal.SIGINT, signal.SIGHUP}), until_exit=True) as pipe:
            os.kill(os.getpid(), signal.SIGINT)
            assert select.select([pipe.read_end], [], [], 5)[0]
            assert pipe.read() == [signal.SIGINT]
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGHUP) is hangup
    finally:
        signal.signal(signal.SIGINT, before)


def test_without_a_stop_signal_the_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with SignalPipe(frozenset({signal.SIGINT}), until_exit=True):
        pass
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_held_back_comes_through_afterwards() -> None:
    with SignalPipe(frozenset({signal.SIGTERM})) as pipe:
        with held_back():
            # To this thread: one that another test left behind does not hold the process's signals back.
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            assert pipe.read() == []
        assert select.select([pipe.read_end], [], [], 5)[0]
        assert pipe.read() == [signal.SIGTERM]

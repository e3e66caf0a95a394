from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from logops_fast.config.sections.forward import ForwardSettings
from logops_fast.formats.work_queue import LARGE_BYTES, MAX_WAITING_BYTES, PATIENCE, PUT_OFF_SECONDS, WorkQueue
from logops_fast.http.refusal import Refusal
from tests.support.turns import Turns

LARGE = LARGE_BYTES + 1


class Steps:
    """A job of some steps that writes down what happens to it."""

    def __init__(self, log: list[str], name: str, steps: int) -> None:
        self.log = log
        self.name = name
        self.left = steps

    def step(self) -> bool:
        self.log.append(self.name)
        self.left -= 1
        return self.left > 0

    def refuse(self, refusal: Refusal) -> None:
        self.log.append(f"{self.name}: {refusal.reason}")


def test_jobs_take_turns() -> None:
    turns, log = Turns(), list[str]()
    for name in "abc":
        turns.queue.add(Steps(log, name, 3), "web", 1, 0.0)
    assert len(turns.queue) == 3
    assert turns.run() == 9
    assert "".join(log) == "abcabcabc"
    assert len(turns.queue) == 0


def test_a_slice_is_several_steps_if_they_are_short() -> None:
    log: list[str] = []
    scheduled: list[object] = []
    now = iter([0.0, 0.001, 0.0019, 0.0021, 1.0, 1.1]).__next__
    queue = WorkQueue(call_soon=scheduled.append, clock=now)
    queue.add(Steps(log, "a", 4), "web", 1, 0.0)
    scheduled.pop(0)()  # type: ignore[operator]
    assert log == ["a"] * 3
    scheduled.pop(0)()  # type: ignore[operator]
    assert log == ["a"] * 4
    assert not scheduled


def test_an_emitter_has_two_large_jobs_in_work_and_the_oldest_is_next() -> None:
    turns, log = Turns(), list[str]()
    for name, started in (("a", 1.0), ("b", 2.0), ("young", 9.0), ("old", 3.0)):
        turns.queue.add(Steps(log, name, 2), "web", LARGE, started)
    turns.queue.add(Steps(log, "small", 1), "web", LARGE_BYTES, 10.0)
    turns.queue.add(Steps(log, "other", 2), "csv", LARGE, 10.0)
    assert len(turns.queue) == 6
    turns.run()
    assert log == ["a", "b", "small", "other", "a", "b", "other", "old", "young", "old", "young"]
    turns.queue.add(Steps(log, "last", 1), "web", LARGE, 0.0)
    turns.run()
    assert log[-1] == "last"


def test_an_auth_gateway_waits_for_the_refusal_of_one_that_waited_too_long() -> None:
    forward = ForwardSettings()
    assert PATIENCE < forward.read_timeout < forward.deadline


def test_one_that_waits_too_long_is_overloaded() -> None:
    turns, log = Turns(max_large_per_emitter=1), list[str]()
    for name in ("a", "b", "c"):
        turns.queue.add(Steps(log, name, 2), "web", LARGE, 0.0)
    assert [timer.delay for timer in turns.timers] == [PATIENCE] * 2
    turns.timers[0].callback()
    assert log == ["b: overloaded"]
    turns.run()
    assert log[1:] == ["a", "a", "c", "c"]
    assert turns.timers[1].cancelled


def test_what_waits_is_bounded_in_bytes() -> None:
    turns, log = Turns(max_large_per_emitter=1), list[str]()
    for name in ("a", "b", "c", "d"):
        turns.queue.add(Steps(log, name, 1), "web", MAX_WAITING_BYTES // 2, 0.0)
    assert log == ["d: overloaded"]
    turns.run()
    turns.queue.add(Steps(log, "e", 1), "web", MAX_WAITING_BYTES // 2, 0.0)
    turns.run()
    assert log[1:] == ["a", "b", "c", "e"]


def test_a_cancelled_job_makes_no_step_and_leaves_its_place() -> None:
    turns, log = Turns(max_large_per_emitter=1), list[str]()
    tickets = [turns.queue.add(Steps(log, name, 2), "web", LARGE, 0.0) for name in "abc"]
    turns.make()
    tickets[0].cancel()
    tickets[1].cancel()
    assert turns.timers[0].cancelled
    assert len(turns.queue) == 2
    turns.run()
    assert log == ["a", "c", "c"]
    tickets[2].cancel()
    assert "a" in repr(turns.queue) or "WorkQueue" in repr(turns.queue)
    assert "web" in repr(tickets[0])


def test_on_a_real_loop_what_arrives_and_what_it_schedules_goes_before_the_next_slice() -> None:
    """A batch that arrives during a slice is read and its commit begun, both before the next one."""
    log: list[str] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        queue = WorkQueue(clock=iter(range(1000)).__next__, max_large_per_emitter=1)
        ours, theirs = socket.socketpair()

        def arrived() -> None:
            ours.recv(1)
            log.append("read")
            loop.call_soon(log.append, "commit")

        loop.add_reader(ours, arrived)
        queue.add(Arrivals(log, "job", 4, theirs), "web", LARGE, 0.0)
        waiting = queue.add(Steps(log, "waits", 1), "web", LARGE, 1.0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not len(queue)
        waiting.cancel()
        loop.remove_reader(ours)
        ours.close()
        theirs.close()

    asyncio.run(run())
    assert log[:12] == ["job", "read", "commit"] * 4
    assert log[-1] == "waits"


def test_other_threads_may_run_between_two_steps_of_a_slice() -> None:
    log: list[str] = []
    scheduled: list[object] = []
    now = iter([0.0, 0.001, 0.0011, 0.0021]).__next__
    queue = WorkQueue(call_soon=scheduled.append, clock=now, give_way=lambda: log.append("gave way"))
    queue.add(Steps(log, "step", 4), "web", 1, 0.0)
    scheduled.pop(0)()  # type: ignore[operator]
    assert log == ["step", "gave way", "step", "gave way", "step"], "and none after the last: the loop does so itself"


def test_a_slice_is_put_off_for_no_longer_than_the_one_before_took() -> None:
    log: list[str] = []
    scheduled: list[Callable[[], None]] = []
    now = [100.0]

    class Takes(Steps):
        def step(self) -> bool:
            now[0] += float(self.name)
            return super().step()

    def turn(later: float = 0.0) -> int:
        now[0] += later
        scheduled.pop(0)()
        return len(log)

    put_off = True
    queue = WorkQueue(call_soon=scheduled.append, clock=lambda: now[0])
    queue.before_each_slice(lambda: put_off)
    queue.add(Steps(log, "first", 1), "web", 1, 0.0)
    assert turn() == 1, "there was none before"
    queue.add(Takes(log, "0.003", 2), "web", 1, 0.0)
    queue.add(Takes(log, "0.5", 2), "web", 1, 0.0)
    assert turn() == 2
    assert turn() == 2, "put off"
    assert turn(0.002) == 2
    assert len(scheduled) == 1
    assert turn(0.0015) == 3
    assert turn(PUT_OFF_SECONDS * 0.9) == 3
    assert turn(PUT_OFF_SECONDS * 0.2) == 4
    put_off = False
    assert turn() == 5
    assert log == ["first", "0.003", "0.5", "0.003", "0.5"]
    assert not scheduled


class Arrivals(Steps):
    """A job during each of whose steps a byte arrives on a socket."""

    def __init__(self, log: list[str], name: str, steps: int, sender: socket.socket) -> None:
        super().__init__(log, name, steps)
        self.sender = sender

    def step(self) -> bool:
        self.sender.send(b"x")
        return super().step()

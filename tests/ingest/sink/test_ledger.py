from __future__ import annotations

from logops_fast.ingest.sink.ledger import replay
from logops_fast.ingest.sink.recovery import RecoveryReport, Remembered


class Answers:
    def __init__(self) -> None:
        self.finished: list[tuple[str, str, bytes]] = []

    def finish(self, emitter: str, batch_id: str, answer: bytes) -> None:
        self.finished.append((emitter, batch_id, answer))


def test_every_stored_batch_is_finished_with_its_first_answer() -> None:
    answers = Answers()
    report = RecoveryReport((Remembered("web", "a", b"1", 5.0), Remembered("app", "a", b"2", 1.0)))
    assert replay(report, answers) == 2
    assert answers.finished == [("web", "a", b"1"), ("app", "a", b"2")]

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.cli.tail import moment
from logops_fast.cli.tail_files import Follower, last_lines, lines_since
from tests.cli.conftest import Logops
from tests.support.tables import each_of


def event(i: int, level: str = "INFO", emitter: str = "web", **more: object) -> bytes:
    ts = f"2025-01-31T12:00:{i:02}Z"
    fields = {"emitter": emitter, "scenario_id": "na", "app": "logops", "source": "ingest", "ts": ts, "level": level}
    return orjson.dumps({**fields, "msg": f"event {i}", **more}) + b"\n"


@pytest.fixture
def stored(logops: Logops) -> Path:
    directory = logops.folder / "data" / "ingest"
    directory.mkdir(parents=True)
    (directory / "20250130.ndjson").write_bytes(event(59, "FATAL"))
    (directory / "20250131.w0.ndjson").write_bytes(event(1) + event(3, "ERROR", user="ann") + event(5, "WARN"))
    (directory / "20250131.w1.ndjson").write_bytes(event(2, emitter="app") + event(4, "DEBUG") + b'{"torn')
    (directory / "notes.ndjson").write_bytes(b"not ours\n")
    return directory


def test_the_last_events_of_the_day_are_shown_in_their_order(logops: Logops, stored: Path) -> None:
    assert logops("tail", "--no-follow", "-n", "4").out.splitlines() == [
        "2025-01-31T12:00:02Z INFO  app event 2",
        "2025-01-31T12:00:03Z ERROR web event 3 user=ann",
        "2025-01-31T12:00:04Z DEBUG web event 4",
        "2025-01-31T12:00:05Z WARN  web event 5",
    ]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--level", "warn"], [3, 5]),
        (["--level", "TRACE"], [1, 2, 3, 4, 5]),
        (["--emitter", "app"], [2]),
        (["--emitter", "app", "--emitter", "web"], [1, 2, 3, 4, 5]),
        (["--grep", "event [12]"], [1, 2]),
        (["--grep", '"user":"ann"'], [3]),
        (["--level", "error", "--emitter", "app"], []),
        (["-n", "0"], []),
        (["-n", "1", "--level", "info", "--emitter", "web"], [5]),
    ],
)
def test_filters_choose(logops: Logops, stored: Path, options: list[str], shown: list[int]) -> None:
    done = logops("tail", "--no-follow", "--json", *options)
    assert [orjson.loads(line)["msg"] for line in done.out.splitlines()] == [f"event {i}" for i in shown]


def test_json_is_the_line_as_it_is_stored(logops: Logops, stored: Path) -> None:
    assert logops("tail", "--no-follow", "-n", "1", "--json").out.encode() == event(5, "WARN")


def test_a_stored_line_cannot_drive_the_terminal(logops: Logops, stored: Path) -> None:
    (stored / "20250201.ndjson").write_bytes(event(1, msg="a\x1b[2Jb\nc", **{"k\x07": "\u202e"}) + b"\x1b[31m torn\n")
    out = logops("tail", "--no-follow").out
    assert out.splitlines() == ["2025-01-31T12:00:01Z INFO  web a\\x1b[2Jb\\x0ac k\\x07=\\u202e", "\\x1b[31m torn"]


def test_nothing_stored_is_nothing_shown(logops: Logops) -> None:
    assert logops("tail", "--no-follow") == (0, "", "warning: data/ingest does not exist\n")
    (logops.folder / "data" / "ingest").mkdir(parents=True)
    assert logops("tail", "--no-follow") == (0, "", "")


def test_a_directory_that_is_not_there_is_one_line(logops: Logops) -> None:
    done = logops("tail", "--dir", "/nonexistent")
    assert done == (2, "", "logops: --dir: /nonexistent is not a directory\n")


def test_wrong_options_are_one_line(logops: Logops) -> None:
    assert logops("tail", "--grep", "(").err.startswith("logops: --grep: not a regular expression")
    assert logops("tail", "-n", "-1").err == "logops: --lines must be 0 or more\n"
    assert logops("tail", "--level", "loud").code == 2


def test_what_is_added_follows_and_a_torn_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "20250131.ndjson"
    path.write_bytes(b"old\n")
    follower = Follower(tmp_path)
    assert follower.poll() == []
    with path.open("ab", buffering=0) as out:
        out.write(b"a\nb\nhal")
        assert follower.poll() == [b"a", b"b"]
        out.write(b"f\n")
        assert follower.poll() == [b"half"]
    follower.close()


def test_a_new_file_is_followed_from_its_beginning(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "ingest")
    assert follower.poll() == []
    (tmp_path / "ingest").mkdir()
    (tmp_path / "ingest" / "20250201.w1.ndjson").write_bytes(b"first\n")
    (tmp_path / "ingest" / "20250201.ndjson.torn").write_bytes(b"no\n")
    assert follower.poll() == [b"first"]
    follower.close()


def test_a_file_moved_away_is_read_to_its_end_before_its_successor(tmp_path: Path) -> None:
    path = tmp_path / "20250131.ndjson"
    path.write_bytes(b"")
    follower = Follower(tmp_path)
    path.write_bytes(b"before\n")
    path.rename(tmp_path / "20250131.ndjson.1")
    path.write_bytes(b"after\n")
    assert follower.poll() == [b"before", b"after"]
    path.unlink()
    assert follower.poll() == []
    follower.close()


def test_a_file_cut_back_is_followed_from_its_new_end(tmp_path: Path) -> None:
    path = tmp_path / "20250131.ndjson"
    path.write_bytes(b"kept\n")
    follower = Follower(tmp_path)
    with path.open("ab", buffering=0) as out:
        out.write(b"half of a wri")
        assert follower.poll() == []
        os.truncate(path, 5)
        assert follower.poll() == []
        out.write(b"again\n")
    assert follower.poll() == [b"again"]
    follower.close()


@given(st.integers(0, 12), st.integers(0, 2**32))
def test_the_end_of_a_file_is_the_same_read_backwards(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int
) -> None:
    rng = random.Random(seed)
    lines = [b"x" * rng.choice([0, 1, 5, 65_535, 65_536, 70_000]) for _ in range(rng.randrange(6))]
    text = b"\n".join(lines)
    path = tmp_path_factory.mktemp("tail") / "f"
    path.write_bytes(text)
    whole = [line for line in text.split(b"\n")[:-1] if line]
    assert last_lines(path, count, lambda _: True) == (whole[-count:] if count else [])


@pytest.mark.process
def test_the_command_follows_until_it_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "20250131.ndjson").write_bytes(event(1))
    command = [sys.executable, "-m", "logops_fast", "tail", "--dir", str(tmp_path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == event(1)
        with (tmp_path / "20250131.ndjson").open("ab") as out:
            out.write(event(2))
        assert process.stdout.readline() == event(2)
        process.send_signal(2)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""


@each_of(
    ("text", "then"),
    [
        ("10m", "2026-01-31T11:50:00"),
        ("90s", "2026-01-31T11:58:30"),
        ("2h", "2026-01-31T10:00:00"),
        ("1d", "2026-01-30T12:00:00"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00"),
        ("2026-01-31T12:00:00.250+02:00", "2026-01-31T10:00:00.25"),
        ("2026-01-31", "2026-01-31T00:00:00"),
    ],
)
def test_since_is_so_long_ago_or_a_time(text: str, then: str) -> None:
    assert moment(text, 1769860800.0) == then


@pytest.mark.parametrize("text", ["", "m", "10", "10 m", "-5m", "ten", "999999999d", "2026-13-01", "10m\n"])
def test_what_is_no_time_is_refused(logops: Logops, stored: Path, text: str) -> None:
    done = logops("tail", "--no-follow", f"--since={text}")
    assert done.code == 2
    assert "--since: expected 10m" in done.err


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--since", "2025-01-31T12:00:03Z"], [3, 4, 5]),
        (["--since", "2025-01-31T12:00:02.5Z"], [3, 4, 5]),
        (["--since", "2025-01-30"], [59, 1, 2, 3, 4, 5]),  # of all days since
        (["--since", "2025-01-30", "--level", "error"], [59, 3]),
        (["--since", "2025-01-30", "-n", "2"], [4, 5]),
        (["--since", "2025-01-30", "-n", "0"], []),
        (["--since", "2025-02-01"], []),
        (["--since", "1s"], []),
    ],
)
def test_since_shows_all_of_that_time(logops: Logops, stored: Path, options: list[str], shown: list[int]) -> None:
    (stored / "20250130.ndjson").write_bytes(event(59, "FATAL").replace(b"01-31", b"01-30"))
    done = logops("tail", "--no-follow", "--json", *options)
    assert (done.code, done.err) == (0, "")
    assert [orjson.loads(line)["msg"] for line in done.out.splitlines()] == [f"event {i}" for i in shown]


@given(
    times=st.lists(st.integers(0, 59), max_size=60),
    since=st.integers(0, 60),
    tail=st.sampled_from([b"", b"half a li", b"\n"]),
    padding=st.sampled_from([0, 3000, 70_000]),
)
def test_lines_since_a_time_are_those_a_whole_read_finds(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], since: int, tail: bytes, padding: int
) -> None:
    path = tmp_path_factory.mktemp("since") / "file"
    lines = [b"%02d" % number + b"x" * padding for number in times]
    path.write_bytes(b"".join(line + b"\n" for line in lines) + tail)
    assert [*lines_since(path, lambda line: int(line[:2]) >= since)] == [x for x in lines if int(x[:2]) >= since]


def test_the_search_gives_up_behind_many_older_lines(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"9\n" + b"1\n" * 1000 + b"9\n")
    assert [*lines_since(path, lambda line: line == b"9", patience=500)] == [b"9"]
    assert [*lines_since(path, lambda line: line == b"9", patience=5000)] == [b"9", b"9"]


def test_what_was_rejected_is_shown_with_its_reason(logops: Logops, stored: Path) -> None:
    folder = stored / "rejected"
    folder.mkdir()
    (folder / "20250131.ndjson").write_bytes(
        b'{"ts":"2025-01-31T12:00:07.120Z","emitter":"web","scenario_id":"na","batch_id":"b-1","index":4,'
        b'"reason":"not_an_object","text":"[1,\\u001b]"}\n'
        b'{"ts":"2025-01-31T12:00:08.120Z","emitter":"app","scenario_id":"na","batch_id":"b-2","index":0,'
        b'"reason":"bad_json","text":"{"}\n'
    )
    assert logops("tail", "--no-follow", "--rejected").out.splitlines() == [
        "2025-01-31T12:00:07.120Z not_an_object web [1,\\x1b] batch_id=b-1 index=4",
        "2025-01-31T12:00:08.120Z bad_json app { batch_id=b-2 index=0",
    ]
    assert "bad_json" not in logops("tail", "--no-follow", "--rejected", "--emitter", "web").out
    assert logops("tail", "--no-follow", "--rejected", "--since", "2025-01-31T12:00:08Z").out.count("\n") == 1
    assert orjson.loads(logops("tail", "--no-follow", "--rejected", "--json", "-n", "1").out)["index"] == 0
    done = logops("tail", "--rejected", "--level", "warn")
    assert (done.code, done.err) == (2, "logops: --level: events that could not be read have none\n")

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from logops_fast.errors import StartupError
from logops_fast.runtime import pid_file
from logops_fast.runtime.pid_file import PidFile

WRITER = """if True:
    import os, sys
    from pathlib import Path
    from logops_fast.runtime.pid_file import PidFile
    held = PidFile.write(Path(sys.argv[1]))
    child = os.fork()
    if child == 0:
        held.close_in_child()
        sys.stdin.read()
        os._exit(0)
    print("written", flush=True)
    os.kill(os.getpid(), 9)
"""


def test_the_file_names_its_process_for_as_long_as_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "logops.pid"
    held = PidFile.write(path)
    assert path.read_text() == f"{os.getpid()}\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert pid_file.running(path) == os.getpid()
    with pytest.raises(StartupError, match=rf"belongs to process {os.getpid()}, which runs; set server.pid_file"):
        PidFile.write(path)
    assert pid_file.running(path) == os.getpid()  # asking and trying have not released it
    held.remove()
    assert not path.exists()


def test_a_file_that_was_left_is_stale_whatever_number_it_holds_and_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "logops.pid"
    path.write_text(f"{os.getppid()} and more than a pid file of ours ever was")
    assert pid_file.running(path) is None
    held = PidFile.write(path)
    assert path.read_text() == f"{os.getpid()}\n"
    held.remove()


def test_a_file_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StartupError, match="data"):
        PidFile.write(tmp_path / "data" / "logops.pid")


@pytest.mark.process
def test_a_killed_supervisor_leaves_a_stale_file_though_its_workers_live(tmp_path: Path) -> None:
    path = tmp_path / "logops.pid"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        assert process.wait(60) == -9
        # The forked child lives until its standard input ends; it has closed its copy, at once or in a moment.
        while pid_file.running(path) is not None:
            os.sched_yield()
        assert path.read_text().strip() == str(process.pid)

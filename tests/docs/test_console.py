"""Every command in a document that is marked to be run is run, as written, and prints what the document shows.

The environment has Python and the installed package, nothing else: what a user has. Commands of the repository itself
(`run repository`) have the developers' tools.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.console import ROOT, Block, blocks, documents, run, shows
from tests.release.fresh import environment, user_environment
from tests.support.gateway import running
from tests.support.tables import each_of

DEMO = {"demo": {"secrets": ["test-secret-of-demo"], "emitter": "demo", "emitters": ["demo", "web", "json"]}}
RUN = [path for path in documents() if any(block.runs for block in blocks(path))]


@contextmanager
def place(folder: Path, with_gateway: bool, programs: Path) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Give a folder to run in, as after a first `logops up`: variables to set, and addresses to replace."""
    if not with_gateway:
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "keys.yaml").write_text("clients: {demo: {secrets: [test-secret-of-demo]}}\n")
        (folder / "data" / "keys.yaml").chmod(0o600)
        yield {}, {}
        return
    with running(folder, clients=DEMO, python=str(programs / "python")) as gateway:
        ports = {
            "127.0.0.1:8081": f"127.0.0.1:{gateway.auth_port}",
            "127.0.0.1:8080": f"127.0.0.1:{gateway.ingest_port}",
            "127.0.0.1:8089": f"127.0.0.1:{gateway.admin_port}",
        }
        url = f"http://127.0.0.1:{gateway.auth_port}/ingest"
        yield {"LOGOPS_PID": str(gateway.process.pid), "ENTRYPOINT_URL": url}, ports


@pytest.fixture(scope="module")
def programs() -> Path:
    """The programs of an environment in which the package is installed and no tool of the developers."""
    return user_environment()


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.timeout(600)
@pytest.mark.parametrize("document", RUN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_commands_of_a_document_do_what_it_says(document: Path, tmp_path: Path, programs: Path) -> None:
    runnable = [block for block in blocks(document) if block.runs]
    with place(tmp_path / "place", any(block.gateway for block in runnable), programs) as (env, replaced):
        for block in runnable:
            folder = ROOT if block.at_root else tmp_path / "place"
            variables = environment(Path(sys.executable).parent if block.at_root else programs, **env)
            for step in block.steps:
                output = run(step, folder, variables, replaced)
                shown = "\n".join(step.expected)
                assert shows(step.expected, output), (
                    f"{block}\n$ {step.command}\n{output}\nis not what it shows:\n{shown}"
                )


def all_blocks() -> list[Block]:
    return [block for path in documents() for block in blocks(path)]


def test_each_block_of_commands_is_run_or_says_why_not() -> None:
    unmarked = [str(b) for b in all_blocks() if not b.runs and not b.marker.removeprefix("not-run:").strip()]
    unmarked += [str(b) for b in all_blocks() if not b.runs and not b.marker.startswith("not-run:")]
    assert unmarked == []


def test_a_marked_block_has_commands() -> None:
    assert [str(block) for block in all_blocks() if not block.steps] == []


def test_documents_of_ours_have_commands_in_console_blocks_alone() -> None:
    """A block in another dress would escape the test above."""
    ours = [path for path in documents() if path.relative_to(ROOT).parts[0] in ("docs", "architecture")]
    dressed = re.compile(r"^```(sh|bash|shell|zsh)$", re.MULTILINE)  # one with a file name is a program: see recipes
    assert [path.name for path in ours if dressed.search(path.read_text("utf-8"))] == []


@each_of(
    ("expected", "output", "right"),
    [
        ((), "anything\n", True),
        (("a",), "a\n", True),
        (("a",), "a\nb\n", False),
        (("a", "...", "c"), "a\nb\nb\nc\n", True),
        (("a", "...", "c"), "a\nb\n", False),
        (("...",), "a\nb\n", True),
        (('{"x":1,...}',), '{"x":1,"y":2}', True),
        (('{"x":1,...}',), '{"x":2,"y":2}', False),
    ],
)
def test_output_is_compared_with_what_is_shown(expected: tuple[str, ...], output: str, right: bool) -> None:
    assert shows(expected, output) is right

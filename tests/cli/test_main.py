from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from logops_fast import __version__
from logops_fast.cli import main as cli
from logops_fast.cli.main import COMMANDS
from logops_fast.runtime.build import build
from tests.cli.conftest import Logops


def test_help_lists_every_command(logops: Logops) -> None:
    done = logops("--help")
    assert done.code == 0
    listed = {
        line.split()[0] for line in done.out.splitlines() if line.startswith("  ") and line.split()[0] in COMMANDS
    }
    assert listed == set(COMMANDS)
    assert "Example" in done.out


def test_the_commands_are_those_of_the_contract() -> None:
    assert sorted(COMMANDS) == [
        "authgw", "check", "completion", "config", "console", "decrypt", "demo", "emit", "help", "housekeeping",
        "ingest", "keys", "parse", "reload", "scenario", "ship", "sign", "tail", "top", "up", "verify", "version",
    ]  # fmt: skip


def test_without_a_command_the_help_is_shown_and_it_is_wrong_usage(logops: Logops) -> None:
    done = logops()
    assert done.code == 2
    assert done.out.startswith("usage: logops")


def test_the_version(logops: Logops) -> None:
    assert logops("--version").out == f"logops {__version__} ({build()})\n"


@pytest.mark.parametrize("command", [name for name, (module, _) in COMMANDS.items() if find_spec(module)])
def test_every_command_shows_an_example(logops: Logops, command: str) -> None:
    done = logops(command, "--help")
    assert done.code == 0
    assert "Example:" in done.out
    assert f"logops {command}" in done.out.split("Example:")[1]
    assert "--config" in done.out


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("sing", "logops: unknown command 'sing'; did you mean sign?\n"),
        ("zzzzzzz", "logops: unknown command 'zzzzzzz'; see logops --help\n"),
        ("\x1b[31m", "logops: unknown command '\\x1b[31m'; see logops --help\n"),
    ],
)
def test_an_unknown_command_is_told_with_the_nearest_one(logops: Logops, word: str, message: str) -> None:
    done = logops(word)
    assert (done.code, done.out, done.err) == (2, "", message)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("emit --epss 3 json", "logops emit: error: unrecognized arguments: --epss; did you mean --eps?"),
        ("config --chnged", "logops config: error: unrecognized arguments: --chnged; did you mean --changed?"),
        ("keys rotate --drop-oldes web", "unrecognized arguments: --drop-oldes; did you mean --drop-oldest?"),
        ("keys rotat web", "; did you mean rotate?"),
        ("tail --level wran", "; did you mean WARN?"),
        ("emit jsn", "; did you mean json?"),
        ("config --zzzzzz", "unrecognized arguments: --zzzzzz\n"),
        ("help kyes", "logops: unknown command 'kyes'; did you mean keys?"),
    ],
)
def test_an_unknown_option_or_word_is_told_with_the_nearest_one(logops: Logops, argv: str, message: str) -> None:
    done = logops(*argv.split())
    assert (done.code, done.out) == (2, "")
    assert message in done.err


@pytest.mark.parametrize("command", ["keys", "scenario"])
def test_a_command_without_its_action_lists_them(logops: Logops, command: str) -> None:
    done = logops(command)
    assert (done.code, done.out) == (2, "")
    *_, last = done.err.splitlines()
    actions = {"keys": "list, add, rotate, token, revoke, check, fernet", "scenario": "run, list, validate, report"}
    assert last == f"logops {command}: error: name an action: {actions[command]}"
    for action in actions[command].split(", "):
        assert any(line.split()[:1] == [action] and len(line.split()) > 1 for line in done.err.splitlines())


def test_an_option_after_two_dashes_is_text(logops: Logops, keys: Path) -> None:
    assert logops("sign", "POST", "/ingest", "--", "--no-option").code == 0


def test_help_is_that_of_the_command_and_of_its_action(logops: Logops) -> None:
    assert logops("help") == logops("--help")
    assert logops("help", "tail") == logops("tail", "--help")
    done = logops("help", "keys", "rotate")
    assert done.code == 0
    assert "--drop-oldest" in done.out


def test_the_version_is_a_command_too(logops: Logops) -> None:
    assert logops("version") == logops("--version")
    assert f'"version": "{__version__}"' in logops("version", "--json").out


def test_an_unknown_option_before_the_command_is_wrong_usage(logops: Logops) -> None:
    done = logops("--confg", "x", "sign")
    assert done.code == 2
    assert "--confg" in done.err


@pytest.mark.parametrize("where", ["before", "after", "joined"])
def test_the_configuration_may_be_named_before_or_after_the_command(logops: Logops, where: str) -> None:
    (logops.folder / "my.yaml").write_text("server: {workers: 3}")
    done = {
        "before": lambda: logops("--config", "my.yaml", "config", "server.workers", "--json"),
        "after": lambda: logops("config", "--config", "my.yaml", "server.workers", "--json"),
        "joined": lambda: logops("--config=my.yaml", "config", "server.workers", "--json"),
    }[where]()
    assert '"value": 3' in done.out
    assert '"source": "file my.yaml:1"' in done.out


@pytest.mark.parametrize("place", range(4))
def test_the_configuration_may_be_named_anywhere(logops: Logops, place: int) -> None:
    (logops.folder / "my.yaml").write_text("auth: {keys_file: mine.yaml}")
    (logops.folder / "mine.yaml").write_text("clients: {only-mine: {secrets: [a-secret-of-mine]}}")
    words = ["keys", "list", "--json"]
    words[place:place] = ["--config", "my.yaml"]
    assert '"only-mine"' in logops(*words).out


def test_a_configuration_without_its_name_is_wrong_usage_and_after_two_dashes_it_is_text(
    logops: Logops, keys: Path
) -> None:
    done = logops("config", "--config")
    assert done.code == 2
    assert "--config: expected one argument" in done.err
    assert logops("sign", "--json", "--", "POST", "/ingest", "--config").code == 0


def test_a_wrong_configuration_is_one_line_and_code_2(logops: Logops) -> None:
    (logops.folder / "logops.yaml").write_text("ratelimit:\n  per_emitter: {capacity: many}\n")
    done = logops("config")
    assert (done.code, done.out) == (2, "")
    assert done.err == ('logops: logops.yaml:2: ratelimit.per_emitter.capacity: expected an integer >= 1, got "many"\n')


def test_a_file_that_is_not_there_is_one_line(logops: Logops, keys: Path) -> None:
    assert (
        logops("--config", "gone.yaml", "config").err
        == "logops: gone.yaml: cannot be read: No such file or directory\n"
    )
    done = logops("sign", "POST", "/ingest", "--body-file", "gone")
    assert (done.code, done.err) == (2, "logops: gone: No such file or directory\n")


def test_an_interrupt_is_code_130(logops: Logops, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(argv: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", interrupted)
    assert logops("sign").code == 130


def test_a_start_that_is_refused_is_one_line_and_a_bug_is_not_hidden(
    logops: Logops, monkeypatch: pytest.MonkeyPatch
) -> None:
    from logops_fast.errors import StartupError

    def refused(argv: list[str]) -> int:
        raise StartupError("port 8081 on 127.0.0.1 is in use")

    def broken(argv: list[str]) -> int:
        raise LookupError("a bug")

    monkeypatch.setattr(cli, "_dispatch", refused)
    assert logops("up") == (2, "", "logops: port 8081 on 127.0.0.1 is in use\n")
    monkeypatch.setattr(cli, "_dispatch", broken)
    with pytest.raises(LookupError):
        logops("up")


@pytest.mark.process
def test_the_real_command_works_and_imports_no_gateway(tmp_path: Path) -> None:
    code = "import sys; from logops_fast.cli.main import main; main(['config']); print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    assert "server.workers" in done.stdout
    assert not {"logops_fast.runtime.worker", "logops_fast.ingest", "logops_fast.authgw"} & set(
        done.stdout.splitlines()
    )


@pytest.mark.process
def test_nobody_reading_on_is_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m logops_fast config | head -n 1"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.startswith("setting")
    assert done.stderr == ""

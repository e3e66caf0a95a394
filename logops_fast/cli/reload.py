"""``logops reload``: have a running gateway read its keys, limits and certificates again, or a shipper its secrets."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from typing import Final

from logops_fast.cli.options import example, load_settings
from logops_fast.cli.output import complain, warn
from logops_fast.config.settings import Settings
from logops_fast.errors import OperatorError
from logops_fast.runtime import pid_file

_PROC: Final = Path("/proc")
_PROGRAMS: Final = frozenset((b"logops", b"logops_fast", b"logops_fast.cli.main"))
_ROLES: Final = frozenset((b"up", b"authgw", b"ingest", b"ship"))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--pid", type=int, metavar="PID", help="the process (default: that of server.pid_file)")
    parser.add_argument("--force", action="store_true", help="without checking the files first")
    example(
        parser,
        "logops keys rotate web-1 && logops reload\n"
        "logops reload --pid 4711            # a gateway that was started elsewhere\n"
        "The gateway's log says what was taken over; what does not validate changes nothing.",
    )


def run(args: argparse.Namespace) -> int:
    """Check the files and send SIGHUP; return 1 if there is no gateway to send it to."""
    settings = load_settings(args, quiet=True).settings
    path = Path(settings.server.pid_file)
    pid, problem = _by_file(path) if args.pid is None else _by_number(args.pid)
    is_valid = _is_valid_for_shipper if pid is not None and _is_shipper(pid) else _is_valid
    if not args.force and not is_valid(settings):
        return 2
    if pid is None:
        complain(problem)
        return 1
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        complain(f"process {pid}: {(error.strerror or str(error)).lower()}")
        return 1
    print(f"process {pid} reloads; its log says what was taken over")
    return 0


def _is_valid(settings: Settings) -> bool:
    """Check what the gateway will read, and complain of what it would refuse."""
    # Imported here because it brings the gateways.
    from logops_fast.runtime import services, wiring

    try:
        keyring = services.read_keyring(settings) if Path(settings.auth.keys_file).exists() else None
        wiring.tls_context(settings)
        if settings.pii.encrypt:
            wiring.fernet_keys(settings)
    except OperatorError as error:
        complain(f"not reloaded: {error.located}")
        return False
    for warning in services.warnings_of(settings, keyring):
        warn(warning)
    return True


def _is_valid_for_shipper(settings: Settings) -> bool:
    """Check what a shipper will read, and complain of what it would refuse."""
    # Imported here because it brings the shipper.
    from logops_fast.runtime import shipping

    try:
        shipping.loki(settings)
    except OperatorError as error:
        complain(f"not reloaded: {error.located}")
        return False
    return True


def _by_file(path: Path) -> tuple[int | None, str]:
    """Return the process of a pid file, or None and why there is none."""
    if path == Path():
        return None, "server.pid_file is empty: name the process with --pid"
    hint = "is `logops up` running, and in this directory? Else name it with --pid or --config"
    try:
        pid = pid_file.running(path)
    except FileNotFoundError:
        return None, f"{path} does not exist: {hint}"
    except OSError as error:
        return None, f"{path}: {(error.strerror or str(error)).lower()}"
    if pid is None:
        return None, f"{path} is stale, the process that wrote it has ended: {hint}"
    return pid, ""


def _by_number(pid: int) -> tuple[int | None, str]:
    """Return the process if it is a gateway, as far as this system can tell, or None and why it is not one."""
    if pid <= 1:
        return None, f"--pid: {pid} is no gateway"
    if not _PROC.joinpath("self").exists():
        return pid, ""
    words = _words(pid)
    if not words:
        return None, f"process {pid} does not exist"
    if not (_PROGRAMS.intersection(map(os.path.basename, words)) and _ROLES.intersection(words)):
        return None, f"process {pid} is no gateway, it is {os.fsdecode(b' '.join(words).strip())[:80]!r}"
    return pid, ""


def _is_shipper(pid: int) -> bool:
    return b"ship" in _words(pid)


def _words(pid: int) -> list[bytes]:
    """Return the command line of a process; nothing if it has ended, or if this system does not tell."""
    try:
        return _PROC.joinpath(str(pid), "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []

"""The common part of the commands that send events: the client, the live line, Ctrl-C and the summary."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from logops_fast.cli.options import load_settings
from logops_fast.cli.output import DIM, GREEN, RED, YELLOW, complain, is_fancy, paint, print_json
from logops_fast.cli.progress import Live, by_size, milliseconds
from logops_fast.config.errors import ConfigError
from logops_fast.emitters.runner import run
from logops_fast.emitters.scenario import Scenario
from logops_fast.emitters.target import Target
from logops_fast.emitters.totals import Count, Latency, Totals
from logops_fast.runtime.loop import new_event_loop

EXIT_LOST: Final = 1
EXIT_INTERRUPTED: Final = 130

_HINTS: Final = {
    "403 emitter_not_allowed": "it may not send as this emitter: allow it in the keys file, or try --own-emitter",
    "401 unknown_client": "the gateway does not know this key: see --key, LOGOPS_API_KEY and its keys file",
    "403 tls_required": "a token must not cross the network in the clear: use https://, or sign",
    "401 bad_signature": "the secret is not the client's: see --secret and LOGOPS_SECRET",
    "connect": "nothing listens there: is `logops up` running?",
}


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add ``--url``, ``--key``, ``--secret``, ``--token``, ``--audience`` and ``--own-emitter``."""
    parser.add_argument("--url", metavar="URL", help="the gateway (ENTRYPOINT_URL, else http://127.0.0.1:8081/ingest)")
    parser.add_argument("--key", metavar="NAME", help="the client (LOGOPS_API_KEY, else the first of the keys file)")
    parser.add_argument("--secret", metavar="TEXT", help="its secret (LOGOPS_SECRET, else of the keys file)")
    parser.add_argument("--token", metavar="TEXT", help="send this token instead of signing (LOGOPS_TOKEN)")
    parser.add_argument(
        "--audience", metavar="A", help="the gateway's auth.audience (default: that of the configuration)"
    )
    parser.add_argument("--own-emitter", action="store_true", help="send no X-Emitter: all is the client's own emitter")


def target_of(args: argparse.Namespace) -> Target:
    """Return the target that the options of ``add_target`` name. Raises ConfigError."""
    auth = load_settings(args, quiet=True).settings.auth
    return Target.resolve(
        url=args.url,
        key=args.key,
        secret=args.secret,
        token=args.token,
        env=os.environ,
        keys_file=Path(auth.keys_file),
        auth=auth if args.audience is None else replace(auth, audience=args.audience),
    )


def drive(
    scenario: Scenario,
    target: Target,
    *,
    seed: int | None,
    own_emitter: bool = False,
    telemetry_path: Path | None = None,
) -> Totals:
    """Run a scenario with a live line. The first Ctrl-C ends it after the current tick, the second at once."""

    async def main(live: Live) -> Totals:
        stop = asyncio.Event()
        with _interruptible(stop, live):
            return await run(
                scenario,
                target,
                seed=seed,
                on_tick=live.show,
                telemetry_path=telemetry_path,
                stop=stop,
                own_emitter=own_emitter,
            )

    with Live(scenario.name) as live, asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main(live))


@contextmanager
def _interruptible(stop: asyncio.Event, live: Live) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def interrupted() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
            return
        live.note("stopping after this tick; Ctrl-C again stops at once")
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def summarise(totals: Totals) -> None:
    """Print the summary of a run as text."""
    fancy = is_fancy()
    rate = totals.accepted.events / totals.seconds if totals.seconds else 0.0

    def row(name: str, count: Count, colour: str = "", extra: str = "") -> None:
        text = f"{count.events:>12,} events  {count.batches:>9,} batches"
        print(f"  {name:<11}{paint(text, colour, fancy and bool(colour and count.events))}{extra}")

    print(f"{totals.seconds:.1f} s{', interrupted' if totals.interrupted else ''}")
    row("sent", totals.sent)
    row("accepted", totals.accepted, GREEN, f"  {rate:,.0f} EPS")
    if totals.rejected.events:
        row("rejected", totals.rejected, YELLOW, "  could not be read; kept in the rejected file")
    row("lost", totals.lost, RED)
    for reason, count in by_size(totals.refused):
        print(f"    {reason}: {count.events:,} events in {count.batches:,} batches")
        if reason in _HINTS:
            print(paint(f"      {_HINTS[reason]}", DIM, fancy))
    if totals.retries:
        print(f"  {'retries':<11}{totals.retries:>12,}")
    for reason, number in sorted(totals.replays_refused.items()):
        print(f"  replays refused: {number:,} with {reason}")
    if totals.replays_accepted:
        print(paint(f"  replays accepted: {totals.replays_accepted:,}", RED, fancy))
    print(f"  {'latency':<11}{_latency(totals.latency)}")


def print_totals(totals: Totals) -> None:
    """Print the summary of a run as JSON."""
    fields = totals.as_fields()
    fields["seconds"] = totals.seconds
    fields["interrupted"] = totals.interrupted
    print_json(fields)


def _latency(latency: Latency) -> str:
    names = ("p50", "p95", "p99")
    return "  ".join(f"{name} {milliseconds(value)}" for name, value in zip(names, latency, strict=True))


def complain_of(problems: list[str]) -> None:
    """Print a line on standard error for each expectation that was not met."""
    for problem in problems:
        complain(problem)


def check_out_file(path: str | None) -> Path | None:
    """Return the path of an output file. Raises ConfigError if its directory does not exist."""
    if path is None:
        return None
    found = Path(path)
    if not found.parent.is_dir():
        raise ConfigError(f"{found}: there is no folder {found.parent}")
    return found

"""``logops top``: a live screen of running gateways, from their admin listeners."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from logops_fast.cli.doors import answering, doors, read
from logops_fast.cli.options import example, load_settings, number_in
from logops_fast.cli.output import complain, print_json
from logops_fast.config.slo import Slo, load_slo
from logops_fast.telemetry.overview import History, Overview

EXIT_NOTHING: Final = 1
TIMEOUT: Final = 2.0
"""Seconds to wait for a listener."""
_WIDTH, _HEIGHT = 80, 24
_KEYS: Final = 64


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--url",
        action="append",
        metavar="URL",
        help="an admin listener; may be repeated (default: those of this machine's gateways and shipper)",
    )
    parser.add_argument(
        "--interval", type=number_in(0.2, 3600), default=1.0, metavar="SEC", help="seconds between two looks (1)"
    )
    parser.add_argument("--once", action="store_true", help="look twice, print one screen, and end")
    parser.add_argument(
        "--json", action="store_true", help="print JSON, a line for each look; with --once one document"
    )
    example(
        parser,
        "logops top\n"
        "logops top --url http://10.0.0.5:8089 --url http://10.0.0.6:8090   # both gateways, on two machines\n"
        "logops top --once --json | jq .rates",
    )


def run(args: argparse.Namespace) -> int:
    """Show the screen until q; return 1 if nothing answers."""
    watch = _Watch(args)
    if args.once:
        return _once(watch, args)
    if args.json:
        return _stream(watch, args.interval)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        complain("top needs a terminal; for one look use --once, for scripts --json")
        return 2
    return asyncio.run(_Screen(watch, args.interval).run())


class _Watch:
    """Asks the listeners and keeps what is needed of their answers."""

    def __init__(self, args: argparse.Namespace) -> None:
        loaded = load_settings(args, quiet=True)
        self._given = bool(args.url)
        self.doors = doors(loaded, args.url)
        self.slo: Slo = load_slo()
        self.history = History(self.slo.p95_window, self.slo.threshold)

    @property
    def where(self) -> str:
        """The listeners, for the header."""
        return ", ".join(self.doors) if self._given else self.doors[0]

    def look(self) -> Overview:
        """Ask once."""
        at = time.monotonic()
        readings = [read(door, at, TIMEOUT) for door in self.doors]
        return self.history.add(answering(readings, given=self._given))


def _once(watch: _Watch, args: argparse.Namespace) -> int:
    overview = watch.look()
    if overview.version:
        time.sleep(args.interval)
        overview = watch.look()
    if args.json:
        print_json(as_fields(overview, watch.slo))
    elif overview.version:
        _print(watch, overview)
    if not overview.version:
        complain(f"nothing answers: {'; '.join(overview.problems)}")
        return EXIT_NOTHING
    return 0


def _stream(watch: _Watch, interval: float) -> int:
    import orjson

    watch.look()
    while True:
        time.sleep(interval)
        fields = as_fields(watch.look(), watch.slo)
        sys.stdout.write(orjson.dumps(fields).decode() + "\n")
        sys.stdout.flush()


def as_fields(overview: Overview, slo: Slo) -> dict[str, Any]:
    """Return an overview as JSON has it, with the SLO beside the latency."""
    return {"time": time.time(), **asdict(overview), "slo": slo._asdict()}


def _print(watch: _Watch, overview: Overview) -> None:
    from rich.console import Console

    from logops_fast.cli.top_screen import Controls, screen

    console = Console(highlight=False)
    width = console.width if sys.stdout.isatty() else _WIDTH
    rows = len(overview.workers) + len(overview.emitters) + len(overview.refusals) + 14
    lines = screen(
        overview, watch.history.rates, watch.slo, Controls(), where=watch.where, width=width, height=max(rows, _HEIGHT)
    )
    while lines and not lines[-2].plain.strip():
        del lines[-2]
    for line in lines[:-1]:  # without the keys
        console.print(line, soft_wrap=True)


class _Screen:
    """The live screen: an event loop over the keys, the terminal's size, and the clock."""

    def __init__(self, watch: _Watch, interval: float) -> None:
        from logops_fast.cli.top_screen import Controls

        self._watch = watch
        self._interval = interval
        self._controls = Controls()
        self._overview: Overview | None = None
        self._done = asyncio.Event()

    async def run(self) -> int:
        from rich.console import Console

        loop = asyncio.get_running_loop()
        self._console = Console(highlight=False)
        with _raw_keys(sys.stdin.fileno()), self._console.screen(hide_cursor=True) as self._view:
            loop.add_reader(sys.stdin.fileno(), self._read_keys)
            loop.add_signal_handler(signal.SIGWINCH, self._draw)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.add_signal_handler(number, self._done.set)
            done = asyncio.ensure_future(self._done.wait())
            while not done.done():
                began = loop.time()
                look = _in_thread(self._watch.look)
                await asyncio.wait((look, done), return_when=asyncio.FIRST_COMPLETED)
                if look.done():
                    self._overview = look.result()
                    self._draw()
                await asyncio.wait((done,), timeout=max(0.05, began + self._interval - loop.time()))
        return 0

    def _read_keys(self) -> None:
        try:
            data = os.read(sys.stdin.fileno(), _KEYS)
        except BlockingIOError:
            return
        if not data:  # the terminal is gone
            self._done.set()
            return
        self._controls = self._controls.press(data)
        if self._controls.quit:
            self._done.set()
        self._draw()

    def _draw(self) -> None:
        from rich.text import Text

        from logops_fast.cli.top_screen import screen

        if self._overview is None:
            return
        width, height = self._console.size
        lines = screen(
            self._overview,
            self._watch.history.rates,
            self._watch.slo,
            self._controls,
            where=self._watch.where,
            width=width,
            height=height,
        )
        self._view.update(Text("\n").join(lines))


def _in_thread(call: Callable[[], Overview]) -> asyncio.Future[Overview]:
    """Run it in a thread that the end of the program does not wait for: a listener may not answer for a while."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Overview] = loop.create_future()

    def settle(settled: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: q was pressed meanwhile
            loop.call_soon_threadsafe(lambda: None if future.done() else settled())

    def run() -> None:
        try:
            overview = call()
        except Exception as error:  # raised where the future is read
            settle(partial(future.set_exception, error))
        else:
            settle(partial(future.set_result, overview))

    threading.Thread(target=run, daemon=True).start()
    return future


@contextlib.contextmanager
def _raw_keys(terminal: int) -> Iterator[None]:
    """Read keys one at a time and without echo; Ctrl-C stays a signal."""
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)

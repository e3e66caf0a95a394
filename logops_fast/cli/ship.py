"""``logops ship``: follow the stored files and push every acknowledged line to Loki, once."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time
from functools import partial
from pathlib import Path

from logops_fast.cli.options import example, load_settings
from logops_fast.cli.output import is_fancy, warn
from logops_fast.config.loader import Loaded
from logops_fast.config.settings import Settings

logger = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--url", metavar="URL", help="Loki, overriding ship.url")
    parser.add_argument("--sink-dir", metavar="DIR", help="directory of the NDJSON files")
    parser.add_argument("--from", dest="start", choices=("end", "beginning"), help="where the first start begins")
    parser.add_argument(
        "--import-positions",
        metavar="FILE",
        help="first start: continue where Promtail or Alloy stopped, by its positions file",
    )
    parser.add_argument("--once", action="store_true", help="ship what there is, with progress, and end")
    parser.add_argument("--replay", action="store_true", help="try the unshippable lines again, and end")
    example(
        parser,
        "logops ship --url http://loki:3100\n"
        "logops ship --once --from beginning      # all files that there are\n"
        "logops ship --import-positions /var/lib/promtail/positions.yaml",
    )


def run(args: argparse.Namespace) -> int:
    """Ship until a signal stops it; return 0 after a clean end."""
    flags = {"ship.url": args.url, "sink.dir": args.sink_dir, "ship.start": args.start}
    loaded = load_settings(args, {path: value for path, value in flags.items() if value is not None}, quiet=True)
    imported = None if args.import_positions is None else Path(args.import_positions)
    if args.replay:
        return _replay(loaded.settings)
    _warn_of_start(args.start, loaded.settings)
    if args.once:
        return _once(loaded.settings, imported)
    return _serve(loaded, imported)


def _warn_of_start(start: str | None, settings: Settings) -> None:
    from logops_fast.runtime import shipping

    if start is not None and shipping.positions_file(settings).exists():
        where = shipping.positions_file(settings)
        warn(f"--from {start} is for the first start; this one continues at {where} (remove it to begin again)")


def _serve(loaded: Loaded, imported: Path | None) -> int:
    from logops_fast.runtime import shipping
    from logops_fast.runtime.listeners import PortName, bind_listener
    from logops_fast.runtime.notify import Notifier
    from logops_fast.runtime.supervisor import Supervision, run_supervised
    from logops_fast.runtime.worker import WorkerContext, run_worker
    from logops_fast.telemetry import logs

    settings = loaded.settings
    shipping.loki(settings)  # what is wrong with its settings is known before anything runs
    shipping.options(settings, imported)
    logs.configure(settings.logging.level, settings.logging.format, blocking=False)
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    port = settings.admin.port
    if loaded.provenance["admin.port"] == "default":
        port = shipping.ADMIN_PORT
    admin = bind_listener(settings.admin.host, port, name=PortName("admin.port"))

    async def build(context: WorkerContext) -> shipping.ShipService:
        return shipping.ShipService(settings, context, imported)

    def main(context: WorkerContext) -> int:
        return run_worker(context, build, drain_timeout=settings.server.drain_timeout)

    def announce(address: str) -> None:
        logger.info("shipping %s to %s", settings.sink.dir, settings.ship.url)
        logger.info("admin listener on %s", address)

    address = f"http://{settings.admin.host}:{admin.getsockname()[1]}/readyz"
    return run_supervised(
        1,
        main,
        Supervision(
            drain_timeout=settings.server.drain_timeout,
            worker_timeout=settings.server.worker_timeout,
            admin=admin,
            on_ready=partial(announce, address),
            notifier=Notifier.of(os.environ, os.getpid()),
        ),
    )


def _once(settings: Settings, imported: Path | None) -> int:
    import asyncio

    from logops_fast.runtime import shipping
    from logops_fast.runtime.loop import new_event_loop
    from logops_fast.runtime.worker import YOUNG_OBJECTS
    from logops_fast.telemetry import logs
    from logops_fast.telemetry.registry import Registry

    logs.configure(settings.logging.level, settings.logging.format)
    if not Path(settings.sink.dir).is_dir():
        warn(f"sink.dir {settings.sink.dir} does not exist: there is nothing to ship")
    progress = _Progress()
    gc.set_threshold(YOUNG_OBJECTS)

    async def main() -> None:
        await shipping.shipper(settings, Registry(), imported).run_once(progress.show)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())
    progress.end()
    return 0


def _replay(settings: Settings) -> int:
    import asyncio

    from logops_fast.runtime import shipping
    from logops_fast.runtime.loop import new_event_loop
    from logops_fast.shipper.replay import replay
    from logops_fast.telemetry import logs
    from logops_fast.telemetry.registry import Registry

    logs.configure(settings.logging.level, settings.logging.format)

    async def main() -> tuple[int, int]:
        loki = shipping.loki(settings)
        try:
            return await replay(shipping.options(settings), loki, shipping.maker(settings), Registry())
        finally:
            await loki.aclose()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        shipped, left = runner.run(main())
    print(f"{shipped} lines are in Loki now, {left} are still refused")
    return 1 if left else 0


class _Progress:
    """A line of progress on standard error: on a terminal four times a second, elsewhere every ten seconds."""

    def __init__(self) -> None:
        self._fancy = is_fancy(sys.stderr)
        self._began = self._shown = time.monotonic()
        self._shipped = 0

    def show(self, shipped: int, left: int) -> None:
        """Show bytes shipped, and left."""
        now = time.monotonic()
        self._shipped = shipped
        if now - self._shown < (0.25 if self._fancy else 10.0):
            return
        self._shown = now
        rate = shipped / max(now - self._began, 0.001)
        share = 100 * shipped / max(shipped + left, 1)
        text = f"{share:5.1f}%  {shipped / 1e6:,.1f} MB shipped, {left / 1e6:,.1f} MB left, {rate / 1e6:,.1f} MB/s"
        print(f"\r{text}\x1b[K" if self._fancy else text, end="" if self._fancy else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Say what was done."""
        seconds = time.monotonic() - self._began
        print(
            f"{chr(13) if self._fancy else ''}{self._shipped / 1e6:,.1f} MB shipped in {seconds:.1f} s", file=sys.stderr
        )

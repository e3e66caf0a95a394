"""``logops console``: a web page for scenarios and a running gateway, behind a token."""

from __future__ import annotations

import argparse
import asyncio
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from logops_fast.cli.doors import answering, doors, read
from logops_fast.cli.options import example, load_settings
from logops_fast.cli.tail_files import day_files
from logops_fast.cli.traffic import add_target, target_of
from logops_fast.config.slo import load_slo
from logops_fast.emitters.scenario import Scenario, library, load
from logops_fast.errors import StartupError
from logops_fast.runtime.listeners import PortName, bind_listener
from logops_fast.runtime.loop import new_event_loop
from logops_fast.telemetry import logs
from logops_fast.telemetry.overview import Reading

MISSING: Final = (
    "the console needs NiceGUI, which is not installed: "
    "pip install 'logops-fast[console]' (in a checkout: '.[console]')"
)
_TIMEOUT: Final = 3.0  # seconds that an admin listener has for its answer


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("scenarios", nargs="*", metavar="FILE", help="scenario files to show besides the bundled ones")
    parser.add_argument("--host", metavar="HOST", help="address to listen on, overriding console.host")
    parser.add_argument("--port", type=int, metavar="N", help="port to listen on, overriding console.port")
    parser.add_argument(
        "--admin",
        action="append",
        metavar="URL",
        help="admin listener to watch (default: those of this machine); may be repeated",
    )
    add_target(parser)
    example(parser, "logops console\nlogops console my-scenario.yaml --port 8092 --admin http://127.0.0.1:8089")


def run(args: argparse.Namespace) -> int:
    """Serve the console until a signal stops it; return 0 after a clean end."""
    flags = {"console.host": args.host, "console.port": args.port}
    loaded = load_settings(args, {path: value for path, value in flags.items() if value is not None})
    if find_spec("nicegui") is None:
        raise StartupError(MISSING)
    settings = loaded.settings
    logs.configure(settings.logging.level, settings.logging.format)
    scenarios = _scenarios(args.scenarios)
    addresses = doors(loaded, args.admin, "--admin")

    def ask() -> list[Reading]:
        at = time.monotonic()
        return answering([read(door, at, _TIMEOUT) for door in addresses], given=bool(args.admin))

    listener = bind_listener(settings.console.host, settings.console.port, name=PortName("console.port", "--port"))

    from logops_fast.console.app import application, serve
    from logops_fast.console.guard import Guard, new_token
    from logops_fast.console.history import Runs
    from logops_fast.console.monitor import Monitor
    from logops_fast.console.orchestrator import Orchestrator
    from logops_fast.console.services import Services

    port = listener.getsockname()[1]
    orchestrator = Orchestrator(
        partial(target_of, args), Runs(Path(settings.console.runs_dir)), new_event_loop, own_emitter=args.own_emitter
    )
    services = Services(Monitor(ask, load_slo()), orchestrator, scenarios, partial(day_files, Path(settings.sink.dir)))
    token = new_token()
    hosts = frozenset(name.lower() for name in (*settings.console.allow_hosts, settings.console.host))
    app = application(services, Guard(token, hosts, f"logops_console_{port}"))
    print(f"The console is at {_address(settings.console.host, port)}/?token={token}", flush=True)
    print("Anyone who has this address can start traffic and read stored lines. Ctrl-C ends it.", flush=True)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(app, listener))
    return 0


def _scenarios(files: list[str]) -> dict[str, Scenario]:
    found = {name: load(path) for name, path in library().items()}
    for file in files:
        scenario = load(Path(file))
        found[scenario.name] = scenario
    return found


def _address(host: str, port: int) -> str:
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what to open, not where to listen
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

#!/usr/bin/env python3
"""Writes docs/configuration.md from the settings' types and docs/metrics.md from the registry.

tools/make_docs.py            write them
tools/make_docs.py --check    exit 1 where one is not current
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import orjson

from logops_fast.authgw.forwarder import Outcome
from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.config import schema
from logops_fast.config.environment import V04_NAMES, variable
from logops_fast.config.loader import flat, shown_value
from logops_fast.config.settings import Settings
from logops_fast.ingest.metrics import MAX_SCENARIOS, IngestMetrics
from logops_fast.runtime.readiness import Readiness
from logops_fast.telemetry.families import ProcessMetrics, build_info, worker_restarts
from logops_fast.telemetry.registry import FamilySnapshot, Registry
from logops_fast.telemetry.slab import COUNTER, GAUGE

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
MADE_BY: Final = "<!-- Made by tools/make_docs.py (`make docs`); do not edit. -->\n"

LABELS: Final = {
    "accelerator": "the event loop: `uvloop` or `asyncio`",
    "build": "`compiled` or `interpreted`: whether the packages on a batch's way are native code",
    "action": "what housekeeping did with a file: `delete`, `gzip`, `zip`, `in_use` (left alone) or `error`",
    "emitter": "an emitter that the configuration or the keys file knows, else `other`, as before anybody is proved",
    "format": "`json`, `ndjson`, `csv` or `plain`",
    "gateway": "`auth` or `ingest`",
    "kind": "what was masked: `email`, `ipv4`, `ipv6`, `card`, `token`, `secret` or `field`, see [privacy](privacy.md)",
    "level": "`TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR` or `FATAL`",
    "outcome": f"of a try to forward: {', '.join(f'`{word}`' for word in get_args(Outcome))}; "
    "of a run of housekeeping: `ok` or `failed`",
    "python": "the interpreter's version",
    "reason": "the fixed reason of the refusal, see [troubleshooting](troubleshooting.md)",
    "scenario_id": f"of the request's X-Scenario-Id: the first {MAX_SCENARIOS}, then `other`; `na` where none was sent",
    "status": "the HTTP status",
    "store": "`nonces`, `buckets` or `batch_ids`",
    "version": "the version of LogOps",
}

CONFIGURATION_INTRO: Final = """\
# Configuration reference

Settings come, later ones over earlier ones, from: the defaults below; `logops.yaml` in the working directory, or the
file that `--config` names; the environment; the command line. `logops config` prints what they settle to and where
each value came from; `logops config --changed` prints only what is not a default. Durations are seconds, sizes bytes,
paths are relative to the working directory. An unknown key, a wrong type or an impossible value stops the start with
one line that says where it stands and what was expected.

```console run
$ logops config --changed
$ LOGOPS_RATELIMIT__PER_EMITTER__CAPACITY=500 logops config ratelimit.per_emitter
```

SIGHUP (or `kill -HUP`) takes the keys file, `ratelimit`, `auth.failures` and `backpressure` over into running workers;
all else needs a restart.
"""

ENVIRONMENT_INTRO: Final = """\
## Environment

Each setting has the variable that stands in its row: `LOGOPS_`, then its path with `__`. A list is `a,b` or `[a, b]`;
a switch is true/false, yes/no, on/off or 1/0. The names of LogOps v0.4 work too; where both are set the full name wins.
"""

KEYS_FILE: Final = """\
## The keys file

`auth.keys_file`, mode 0600; edited by `logops keys`, read again on SIGHUP. See [operations](operations.md#keys).

```yaml
clients:
  web-1:
    secrets: [s3cr3t-now, s3cr3t-before]   # one, or two while one is being rotated; text or {file: path}
    emitter: web                           # default: the client's name
    emitters: [web, batch]                 # those X-Emitter may name; default: its emitter alone
```
"""

METRICS_INTRO: Final = """\
# Metrics reference

Both gateways answer `GET /metrics` in the Prometheus text format, or in OpenMetrics where Accept asks for it. Whichever
worker answers, the numbers are the sums over all workers of the machine (a gauge marked *max* is the worst of them).
Scrape each process group once. `logops up` answers the same on either of its two ports: scrape one of them.

No label takes a value from outside that is not bounded.
"""


def configuration() -> str:
    """The page of all settings."""
    defaults = flat(Settings())
    parts = [CONFIGURATION_INTRO]
    for name, section in _sections():
        parts.append(f"## {name}\n\n{_first_line(section)}\n")
        parts.append(_table(("Setting", "Default", "Expected", "What it is", "Variable"), _rows(name, defaults)))
    parts.append(ENVIRONMENT_INTRO)
    old = [(f"`{old}`", f"`{'.'.join(path)}`") for old, path in V04_NAMES.items()]
    old += [
        ("`ENTRYPOINT_URL`", "where `emit`, `sign` and the scripts send to"),
        ("`LOGOPS_API_KEY`, `LOGOPS_SECRET`", "the client they send as, and its secret"),
    ]
    parts.append(_table(("LogOps v0.4", "Setting"), old))
    parts.append(KEYS_FILE)
    return MADE_BY + "\n" + "\n".join(parts)


def _sections() -> Iterator[tuple[str, str]]:
    for field in Settings.__struct_fields__:
        yield field, str(type(getattr(Settings(), field)).__doc__)


def _rows(section: str, defaults: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    overrides = ("ratelimit", "overrides")
    for path, leaf in schema.leaves():
        if path[0] == section:
            yield _row(path, leaf, _default(path, defaults))
    if section == overrides[0]:
        open_node = schema.schema().children[section].children[overrides[1]]  # type: ignore[union-attr]
        known = {path.split(".")[2] for path in defaults if path.startswith(".".join(overrides) + ".")}
        for path, leaf in schema.leaves(open_node.child, (*overrides, "<emitter>")):  # type: ignore[union-attr]
            given = [f"`{e}`: {defaults['.'.join((*overrides, e, path[-1]))]:g}" for e in sorted(known)]
            yield _row(path, leaf, "; ".join(given) or "that of `per_emitter`")


def _row(path: schema.Path, leaf: schema.Leaf, default: str) -> tuple[str, ...]:
    secret = " *Never shown.*" if leaf.secret and "ever shown" not in leaf.description else ""
    return (f"`{'.'.join(path)}`", default, leaf.expected, leaf.description + secret, f"`{variable(path)}`")


def _default(path: schema.Path, defaults: dict[str, Any]) -> str:
    value = shown_value(".".join(path), defaults[".".join(path)])
    if isinstance(value, str):
        return f"`{value}`" if value else "empty"
    if isinstance(value, float):
        return f"`{value:.15g}`"
    return f"`{orjson.dumps(value).decode()}`"


def metrics() -> str:
    """The page of all families."""
    auth, ingest, process = Registry(), Registry(), Registry()
    AuthMetrics(auth, ())
    IngestMetrics(ingest, ())
    ProcessMetrics(process)
    build_info(process, "uvloop", "interpreted")
    worker_restarts(process)
    Readiness(process, ())
    of_process = {snapshot.shape.name for snapshot in process.collect()}
    of_auth, of_ingest = _own(auth, of_process), _own(ingest, of_process)
    both = [name for name in of_auth if name in of_ingest]
    groups = (
        ("Both gateways", {name: of_auth[name] for name in both}),
        ("Auth Gateway", {name: of_auth[name] for name in of_auth if name not in both}),
        ("Ingest Gateway", {name: of_ingest[name] for name in of_ingest if name not in both}),
        ("Process", {snapshot.shape.name: snapshot for snapshot in process.collect()}),
    )
    parts = [METRICS_INTRO]
    used: set[str] = set()
    for title, families in groups:
        parts.append(f"## {title}\n")
        parts.append(_table(("Metric", "Type", "Labels", "What it counts"), map(_family, families.values())))
        used.update(label for family in families.values() for label in family.shape.labelnames)
    parts.append("## Labels\n")
    parts.append(_table(("Label", "Values"), ((f"`{label}`", LABELS[label]) for label in sorted(used))))
    parts.append("## Buckets\n\nUpper edges; `+Inf` is always the last. Times are seconds.\n")
    edges = {
        name: family.shape.edges for _, families in groups for name, family in families.items() if family.shape.edges
    }
    rows = ((f"`{name}`", " ".join(f"{edge:g}" for edge in values)) for name, values in edges.items())
    parts.append(_table(("Histogram", "Edges"), rows))
    return MADE_BY + "\n" + "\n".join(parts)


def _own(registry: Registry, of_process: set[str]) -> dict[str, FamilySnapshot]:
    return {s.shape.name: s for s in registry.collect() if s.shape.name not in of_process}


def _family(snapshot: FamilySnapshot) -> tuple[str, ...]:
    shape = snapshot.shape
    kind = {COUNTER: "counter", GAUGE: "gauge"}.get(shape.kind, "histogram")
    if shape.mode == "max":
        kind += ", max"
    return f"`{shape.name}`", kind, ", ".join(f"`{label}`" for label in shape.labelnames) or "none", snapshot.help


def _first_line(docstring: str) -> str:
    return docstring.strip().split("\n\n")[0].replace("\n", " ")


def _table(head: tuple[str, ...], rows: Any) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), "|" + "---|" * len(head), *map(line, rows)]) + "\n"


def pages() -> dict[Path, str]:
    """Every generated page with its text."""
    return {DOCS / "configuration.md": configuration(), DOCS / "metrics.md": metrics()}


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a page is not current")
    check = parser.parse_args().check
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        if check:
            print(f"{path.name} is not current: run `make docs`", file=sys.stderr)
        else:
            path.write_text(pages()[path], "utf-8")
            print(path)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Writes docs/configuration.md from the settings' types, docs/metrics.md from the registry, docs/field-formats.md from
the table of names and the tests' data, docs/logops.1 from the parsers.

python -m tools.make_docs            write them
python -m tools.make_docs --check    exit 1 if one is not current
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
from logops_fast.authgw.syslog.metrics import DropReason, SyslogMetrics
from logops_fast.cli.man_page import man_page
from logops_fast.cli.reference import commands
from logops_fast.config import schema
from logops_fast.config.environment import V04_NAMES, variable
from logops_fast.config.loader import flat, shown_value
from logops_fast.config.settings import Settings
from logops_fast.formats.media_type import Format
from logops_fast.ingest.metrics import MAX_SCENARIOS, IngestMetrics
from logops_fast.runtime.probes import Readiness
from logops_fast.shipper.answers import Effect
from logops_fast.shipper.metrics import ShipMetrics
from logops_fast.telemetry.families import (
    ProcessMetrics,
    build_info,
    heartbeat_age,
    worker_connections,
    worker_kills,
    worker_restarts,
)
from logops_fast.telemetry.registry import FamilySnapshot, Registry
from logops_fast.telemetry.slab import COUNTER, GAUGE
from tools import field_formats_page, plain_text_page
from tools.markdown import table

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
MADE_BY: Final = "<!-- Made by tools/make_docs.py (`make docs`); do not edit. -->\n"

LABELS: Final = {
    "accelerator": "the event loop: `uvloop` or `asyncio`",
    "build": "`compiled` or `interpreted`: whether the hot packages are native code",
    "action": "what housekeeping did with a file: `delete`, `gzip`, `zip`, `in_use` (left alone) or `error`",
    "emitter": "an emitter that the configuration or the keys file knows, else `other`, as before authentication",
    "format": ", ".join(f"`{known.label}`" for known in Format),
    "gateway": "`auth` or `ingest`",
    "kind": "what was masked: `email`, `ipv4`, `ipv6`, `card`, `token`, `secret` or `field`, see [privacy](privacy.md)",
    "level": "`TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR` or `FATAL`",
    "outcome": f"of a try to forward: {', '.join(f'`{word}`' for word in get_args(Outcome))}; "
    f"of a run of housekeeping: `ok` or `failed`; of a push to Loki: {', '.join(f'`{one.value}`' for one in Effect)}; "
    "of a question to Loki: `answered`, `failed` or `denied`",
    "python": "the interpreter's version",
    "reason": "the fixed reason of the refusal, see [troubleshooting](troubleshooting.md); of a line that Loki "
    "refuses, its own word for that, as in `loki_discarded_samples_total`; of what syslog lost: "
    f"{', '.join(f'`{word}`' for word in get_args(DropReason))}",
    "scenario_id": f"of the request's X-Scenario-Id: the first {MAX_SCENARIOS}, then `other`; `na` where none was sent",
    "status": "the HTTP status",
    "stream": "`events` or `rejected`",
    "transport": "`tcp`, `tls` or `udp`; lines that were read and then lost are `tcp` for TLS too",
    "store": "`nonces`, `buckets` or `batch_ids`",
    "version": "the version of LogOps",
    "worker": "the number of the worker, from 0",
}

OTHERWISE: Final = {"ratelimit": "that of `per_emitter`", "parse": "that of `parse`"}
"""What an override leaves out, by section."""

CONFIGURATION_INTRO: Final = """\
# Configuration reference

Settings come, later ones over earlier ones, from: the defaults below; `logops.yaml` in the working directory, or the
file that `--config` names; the environment; the command line. `logops config` prints what they settle to and where
each value came from; `logops config --changed` prints only what is not a default. Durations are seconds, sizes bytes,
paths are relative to the working directory. An unknown key, a wrong type or an impossible value stops the start with
one line with its path and what was expected. `logops config --yaml` prints a commented file to start from,
`logops config --schema` its JSON Schema, and `logops check` checks what the settings name as well.

```console run
$ logops config --changed
$ LOGOPS_RATELIMIT__PER_EMITTER__CAPACITY=500 logops config ratelimit.per_emitter
```

`logops reload` (or SIGHUP) takes the keys file, the Fernet keys, the TLS certificates, `ratelimit`, `auth.failures` and
`backpressure` over into running workers, each checked first; with `auth.watch_keys: true` a changed keys file does so
by itself. All else needs a restart.
"""

ENVIRONMENT_INTRO: Final = """\
## Environment

Each setting has the variable shown in its row: `LOGOPS_`, then its path with `__`. A list is `a,b` or `[a, b]`;
a switch is true/false, yes/no, on/off or 1/0. The names of LogOps v0.4 work too; where both are set the full name wins.
"""

KEYS_FILE: Final = """\
## The keys file

`auth.keys_file`, mode 0600; edited by `logops keys`, read again when it changes and on SIGHUP. See
[operations](operations.md#keys) and [authentication](authentication.md).

```yaml
clients:
  web-1:
    secrets: [s3cr3t-now, s3cr3t-before]   # one, or two while one is being rotated; text or {file: path}
    emitter: web                           # default: the client's name
    emitters: [web, batch]                 # those X-Emitter may name; default: its emitter alone
    modes: [hmac]                          # how it may authenticate; default: hmac and api_key (tokens)
  otel:
    tokens: ["sha256:0a1b..."]             # hash, text or {file: path}; of `logops keys token otel`
```
"""

METRICS_INTRO: Final = """\
# Metrics reference

`GET /metrics` is answered in the Prometheus text format, or in OpenMetrics if Accept asks for it, by the admin listener
(`admin.port`; that of the shipper is 8091) and, unless `admin.only` is true, on the ports of the gateways. The numbers
are the sums over all workers of the machine (a gauge marked *max* is the worst of them). Scrape each process group
once, best on its admin listener, which answers even while every worker is busy or stuck.

No label takes a value from outside that is not bounded.
"""


def configuration() -> str:
    """The page of all settings."""
    defaults = flat(Settings())
    parts = [CONFIGURATION_INTRO]
    for name, section in _sections():
        parts.append(f"## {name}\n\n{_first_line(section)}\n")
        parts.append(table(("Setting", "Default", "Expected", "What it is", "Variable"), _rows(name, defaults)))
    parts.append(ENVIRONMENT_INTRO)
    old = [(f"`{old}`", f"`{'.'.join(path)}`") for old, path in V04_NAMES.items()]
    old += [
        ("`ENTRYPOINT_URL`", "where `emit`, `sign` and the scripts send to"),
        ("`LOGOPS_API_KEY`, `LOGOPS_SECRET`", "the client they send as, and its secret"),
        ("`LOGOPS_TOKEN`", "the token they send instead of a signature"),
    ]
    parts.append(table(("LogOps v0.4", "Setting"), old))
    parts.append(KEYS_FILE)
    return MADE_BY + "\n" + "\n".join(parts)


def _sections() -> Iterator[tuple[str, str]]:
    for field in Settings.__struct_fields__:
        yield field, str(type(getattr(Settings(), field)).__doc__)


def _rows(section: str, defaults: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for path, leaf in schema.leaves():
        if path[0] == section:
            yield _row(path, leaf, _default(path, defaults))
    node = schema.schema().children[section]
    for name, child in node.children.items() if isinstance(node, schema.Branch) else ():
        if isinstance(child, schema.Open) and isinstance(child.child, schema.Leaf):
            yield f"`{section}.{name}.<name>`", "none", child.child.expected, child.child.description, ""
    open_node = node.children.get("overrides") if isinstance(node, schema.Branch) else None
    if isinstance(open_node, schema.Open):
        overrides = (section, "overrides")
        known = {path.split(".")[2] for path in defaults if path.startswith(".".join(overrides) + ".")}
        for path, leaf in schema.leaves(open_node.child, (*overrides, "<emitter>")):
            given = [f"`{e}`: {defaults['.'.join((*overrides, e, path[-1]))]:g}" for e in sorted(known)]
            yield _row(path, leaf, "; ".join(given) or OTHERWISE[section])


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
    auth, ingest, ship, process = Registry(), Registry(), Registry(), Registry()
    AuthMetrics(auth, ())
    SyslogMetrics(auth)
    IngestMetrics(ingest, ())
    ShipMetrics(ship)
    ProcessMetrics(process)
    build_info(process, "uvloop", "interpreted")
    worker_restarts(process)
    worker_kills(process)
    heartbeat_age(process)
    worker_connections(process, 0)
    Readiness(process, ())
    of_process = {snapshot.shape.name for snapshot in process.collect()}
    of_auth, of_ingest = _own(auth, of_process), _own(ingest, of_process)
    both = [name for name in of_auth if name in of_ingest]
    groups = (
        ("Both gateways", {name: of_auth[name] for name in both}),
        ("Auth Gateway", {name: of_auth[name] for name in of_auth if name not in both}),
        ("Ingest Gateway", {name: of_ingest[name] for name in of_ingest if name not in both}),
        ("Shipper", _own(ship, of_process)),
        ("Process", {snapshot.shape.name: snapshot for snapshot in process.collect()}),
    )
    parts = [METRICS_INTRO]
    used: set[str] = set()
    for title, families in groups:
        parts.append(f"## {title}\n")
        parts.append(table(("Metric", "Type", "Labels", "What it counts"), map(_family, families.values())))
        used.update(label for family in families.values() for label in family.shape.labelnames)
    parts.append("## Labels\n")
    parts.append(table(("Label", "Values"), ((f"`{label}`", LABELS[label]) for label in sorted(used))))
    parts.append("## Buckets\n\nUpper edges; `+Inf` is always the last. Times are seconds.\n")
    edges = {
        name: family.shape.edges for _, families in groups for name, family in families.items() if family.shape.edges
    }
    rows = ((f"`{name}`", " ".join(f"{edge:g}" for edge in values)) for name, values in edges.items())
    parts.append(table(("Histogram", "Edges"), rows))
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


def pages() -> dict[Path, str]:
    """Every generated page with its text."""
    return {
        DOCS / "configuration.md": configuration(),
        DOCS / "metrics.md": metrics(),
        DOCS / "plain-text.md": MADE_BY + "\n" + plain_text_page.page(),
        DOCS / "field-formats.md": MADE_BY + "\n" + field_formats_page.page(),
        DOCS / "logops.1": man_page(commands()),
    }


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a page is not current")
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

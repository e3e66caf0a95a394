"""``logops parse``: what would be stored of a file, and why. Needs no gateway."""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from msgspec.structs import replace

from logops_fast.cli.options import example, load_settings, standard_input
from logops_fast.cli.output import BOLD, DIM, GREEN, RED, YELLOW, complain, is_fancy, paint
from logops_fast.config.errors import ConfigError
from logops_fast.formats.media_type import Format
from logops_fast.ingest import explain
from logops_fast.ingest.explain import Sources
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers import registry
from logops_fast.ingest.parsers.base import MalformedBody, Parsed
from logops_fast.runtime import wiring
from logops_fast.telemetry.logs import escape

_SUFFIXES: Final = {
    ".json": Format.JSON,
    ".ndjson": Format.NDJSON,
    ".jsonl": Format.NDJSON,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".log": Format.PLAIN,
    ".txt": Format.PLAIN,
}
_COLOURS: Final = {"TRACE": DIM, "DEBUG": DIM, "INFO": GREEN, "WARN": YELLOW, "ERROR": RED, "FATAL": f"{BOLD};{RED}"}
_SHOWN: Final = 200  # characters of a rejected item


class Masked(NamedTuple):
    """A field that was masked, and by which kinds."""

    field: str
    kinds: tuple[str, ...]


class Item(NamedTuple):
    """One item of the body: an event with what is known about it, or the reason why it is none."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which is never called on an item
    event: dict[str, Any] | None
    sources: Sources | None
    masked: tuple[Masked, ...]
    reason: str = ""
    text: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="what to read; - for standard input (-)")
    parser.add_argument(
        "--format",
        choices=[format.value for format in Format],
        help="format of the body (by the file's name, else by its first characters)",
    )
    parser.add_argument("--emitter", default="unknown", metavar="E", help="the emitter whose settings apply")
    parser.add_argument("--json", action="store_true", help="print one JSON object an item")
    example(
        parser,
        "logops parse app.log\n"
        "kubectl logs my-pod | logops parse --format plain\n"
        """echo '{"time":"2026-11-25 10:00:00,5","log":"ERROR no route to 10.1.2.3"}' | logops parse --json""",
    )


def run(args: argparse.Namespace) -> int:
    """Print the items. Return 1 if any of them would be rejected."""
    settings = load_settings(args, quiet=True).settings
    body = _read(args.file)
    format = Format(args.format) if args.format else guess(args.file, body)
    encryptor = wiring.encryptor(settings)
    normaliser = wiring.normaliser(settings, encryptor)
    unmasked = wiring.normaliser(replace(settings, pii=replace(settings.pii, mask=False)), encryptor)
    text, text_of = wiring.text_options(settings)
    now = time.time()
    show = print_json_item if args.json else print_item
    rejected = 0
    try:
        parsed = registry.parse(format, body, now, wiring.batch_limits(settings), text_of.get(args.emitter, text))
        for item in items(parsed, format, normaliser, unmasked, args.emitter, now):
            show(item)
            rejected += item.event is None
    except MalformedBody as error:
        complain(f"{args.file}: {error.reason}: {error.detail}")
        return 1
    return 1 if rejected else 0


def guess(name: str, body: bytes) -> Format:
    """Return the format of a body by the name of its file, else by its first characters."""
    by_name = _SUFFIXES.get(Path(name).suffix.lower())
    if by_name is not None:
        return by_name
    start = body.lstrip()
    if start[:1] == b"[":
        return Format.JSON
    if start[:1] == b"{":
        return Format.NDJSON if b"\n{" in start else Format.JSON
    return Format.PLAIN


def items(
    parsed: Parsed, format: Format, normaliser: Normaliser, unmasked: Normaliser, emitter: str, now: float
) -> Iterator[Item]:
    """Yield the items of a body in their order. ``now``: the time of receipt, seconds since 1970.

    ``unmasked`` is the normaliser without masks: what the two store differently was masked.
    """
    faults = {fault.index: fault for fault in parsed.faults}
    receipts = index = 0
    for event in parsed.events:
        while index in faults:
            fault = faults.pop(index)
            yield Item(index, None, None, (), fault.reason, normaliser.mask_text(fault.text))
            index += 1
        item, missing_ts = _explained(index, event, format, normaliser, unmasked, emitter, now, receipts)
        yield item
        receipts += missing_ts
        index += 1
    for fault in faults.values():
        yield Item(fault.index, None, None, (), fault.reason, normaliser.mask_text(fault.text))


def _explained(
    index: int,
    event: dict[str, Any],
    format: Format,
    normaliser: Normaliser,
    unmasked: Normaliser,
    emitter: str,
    now: float,
    receipts: int,
) -> tuple[Item, int]:
    def stored(what: dict[str, Any], how: Normaliser) -> tuple[dict[str, Any], Any]:
        done = how.run(
            [copy.deepcopy(what)], emitter=emitter, scenario_id="na", received_at=now, receipts_before=receipts
        )
        return orjson.loads(done.lines), done

    result, done = stored(event, normaliser)
    clear, _ = stored(event, unmasked)
    masked = []
    for path, value in explain.masked_fields(clear, result):
        if not path[0].endswith("_enc"):  # another token each time
            kinds = tuple(sorted(stored(explain.alone(path, value), normaliser)[1].masked))
            masked.append(Masked(".".join(path), kinds))
    sources = explain.sources(
        normaliser, event, emitter=emitter, is_line=format is Format.PLAIN, found_level=not done.missing_level
    )
    return Item(index, result, sources, tuple(masked)), done.missing_ts


def print_json_item(item: Item) -> None:
    """Print an item as one line of JSON."""
    shown: dict[str, Any] = {"index": item.index}
    if item.event is None or item.sources is None:
        shown |= {"rejected": item.reason, "text": item.text}
    else:
        masked = [{"field": field, "kinds": kinds} for field, kinds in item.masked]
        shown |= {"event": item.event, "from": item.sources._asdict(), "masked": masked}
    sys.stdout.write(orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE).decode())


def print_item(item: Item) -> None:
    """Print an item for people."""
    fancy = is_fancy()
    number = paint(f"{item.index + 1:>4} ", DIM, fancy)
    if item.event is None or item.sources is None:
        text = item.text if len(item.text) <= _SHOWN else item.text[:_SHOWN] + "..."
        print(f"{number}{paint('rejected', RED, fancy)} {item.reason}: {escape(text)}")
        return
    event = item.event
    level = str(event["level"])
    print(f"{number}{event['ts']} {paint(level.ljust(5), _COLOURS[level], fancy)} {escape(event['msg'])}")
    for name, source in item.sources._asdict().items():
        print(f"     {paint(name.ljust(6), DIM, fancy)} from {escape(source)}")
    for field, kinds in item.masked:
        print(f"     {paint('masked', DIM, fancy)} {escape(field)}: {', '.join(kinds) or 'as a whole'}")
    rest = {name: value for name, value in event.items() if name not in ("ts", "level", "msg")}
    print(f"     {paint('fields', DIM, fancy)} {escape(orjson.dumps(rest).decode())}")


def _read(name: str) -> bytes:
    if name == "-":
        return standard_input().read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror or error}") from None

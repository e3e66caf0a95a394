"""``logops decrypt``: reads stored events and restores encrypted fields, for the holder of a key."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from logops_fast.cli.options import example, load_settings, standard_input
from logops_fast.cli.output import complain
from logops_fast.config.errors import ConfigError
from logops_fast.config.sections.pii import PiiSettings
from logops_fast.ingest.encryption import SUFFIX, Encryptor, load_keys

GZIP: Final = b"\x1f\x8b"  # RFC 1952, 2.3.1: known by its first bytes, whatever the file's name


def configure(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("files", nargs="*", metavar="FILE", help="NDJSON files, .gz too; none or -: standard input")
    parser.add_argument("--keys-file", metavar="FILE", help="Fernet keys (default: pii.fernet_keys_file)")
    example(
        parser,
        """
logops decrypt data/ingest/20250131.ndjson data/archive/20250130.ndjson.gz
grep payments data/ingest/*.ndjson | logops decrypt --keys-file old.keys
""",
    )


def run(args: argparse.Namespace) -> int:
    """Print the events, one a line. Return 1 if a line could not be read and is left out, or a field not decrypted."""
    pii = load_settings(args, quiet=True).settings.pii
    encryptor = _encryptor(pii, args.keys_file)
    failed = unopened = 0
    for where, line in _lines(args.files or ["-"]):
        try:
            plain = encryptor.decrypt_event(_event(line))
        except ValueError as error:
            failed += 1
            complain(f"{where}: {error}")
            continue
        unopened += sum(name.endswith(SUFFIX) for name in plain)
        sys.stdout.write(orjson.dumps(plain).decode() + "\n")
    if unopened:
        complain(f"{unopened} fields were encrypted with none of these keys; they are left as they are")
    return 1 if failed or unopened else 0


def _event(line: bytes) -> dict[str, Any]:
    event = orjson.loads(line)
    if not isinstance(event, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004 - of the file, not of the program
    return event


def _encryptor(pii: PiiSettings, keys_file: str | None) -> Encryptor:
    try:
        if keys_file is None and pii.fernet_key:
            return Encryptor([pii.fernet_key], ())
        return Encryptor(load_keys(Path(keys_file or pii.fernet_keys_file)), ())
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _lines(names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        with _opened(name) as source:
            for number, line in enumerate(source, 1):
                if line.strip():
                    yield f"{name}:{number}", line


@contextlib.contextmanager
def _opened(name: str) -> Iterator[Iterable[bytes]]:
    if name == "-":
        yield standard_input()
        return
    with Path(name).open("rb") as source:
        if source.peek(len(GZIP))[: len(GZIP)] != GZIP:
            yield source
            return
        with gzip.open(source) as unpacked:
            yield unpacked

"""Settings by environment variable: ``LOGOPS_`` + path with ``__``, and the names LogOps v0.4 used.

A variable whose name contains ``__`` sets a value and must name one; other ``LOGOPS_`` names are ignored. A text field
takes the text as it is (``LOGOPS_AUTH__KEYS_FILE=123`` is the file ``123``); a list takes ``a,b`` or ``[a, b]``; a
switch takes true/false, yes/no, on/off or 1/0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from msgspec import inspect

from logops_fast.config.errors import ConfigError, did_you_mean
from logops_fast.config.schema import Branch, Leaf, Node, Open, Path, leaf_at, leaves, schema
from logops_fast.config.yaml_tree import parse_scalar

PREFIX: Final = "LOGOPS_"

# LogOps v0.4, ingest gateway. SINK_FILE was a switch: whether the file sink is on.
V04_NAMES: Final[dict[str, Path]] = {
    "LOGOPS_SINK_FILE": ("sink", "enabled"),
    "LOGOPS_SINK_DIR": ("sink", "dir"),
    "LOGOPS_RETENTION_DAYS": ("housekeeping", "retention_days"),
    "LOGOPS_ARCHIVE_MODE": ("housekeeping", "archive"),
    "LOGOPS_HOUSEKEEP_AUTORUN": ("housekeeping", "autorun"),
    "LOGOPS_HOUSEKEEP_INTERVAL_SEC": ("housekeeping", "interval"),
    "LOGOPS_ENCRYPT_PII": ("pii", "encrypt"),
    "LOGOPS_SECRET_KEY": ("pii", "fernet_key"),
    "LOGOPS_ENCRYPT_FIELDS": ("pii", "encrypt_fields"),
}

_SWITCH: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class ClientEnvironment(NamedTuple):
    """The variables of the senders (emit, sign, the scripts); empty if not set."""

    url: str
    api_key: str
    secret: str
    token: str

    @classmethod
    def of(cls, env: Mapping[str, str]) -> ClientEnvironment:
        """Read ENTRYPOINT_URL, LOGOPS_API_KEY, LOGOPS_SECRET and LOGOPS_TOKEN."""
        names = ("ENTRYPOINT_URL", "LOGOPS_API_KEY", "LOGOPS_SECRET", "LOGOPS_TOKEN")
        return cls(*(env.get(name, "") for name in names))

    def __repr__(self) -> str:
        return f"ClientEnvironment(url={self.url!r}, api_key={self.api_key!r}, secret=..., token=...)"


def from_environment(env: Mapping[str, str], open_names: Mapping[Path, set[str]]) -> Iterator[tuple[Path, Any, str]]:
    """Yield each value the environment sets: path, value (not checked yet), variable.

    The v0.4 names come first, so that the full name wins if both are set. ``open_names`` has the known keys of each
    mapping with free keys: they match regardless of case, since the variables are upper-case.
    """
    for name, path in V04_NAMES.items():
        # v0.4 treated an empty variable as not set
        if env.get(name, "").strip():
            text = env[name].strip()
            yield path, _value(leaf_at(path), text.lower() if name == "LOGOPS_ARCHIVE_MODE" else text), name
    for name in sorted(env):
        if name.startswith(PREFIX) and "__" in name:
            path = _path(name, open_names)
            yield path, _value(leaf_at(path), env[name]), name


def variable(path: Path) -> str:
    """Return the variable that sets a path."""
    return PREFIX + "__".join(path).upper()


def _path(name: str, open_names: Mapping[Path, set[str]]) -> Path:
    node: Node = schema()
    path: Path = ()
    for part in name.removeprefix(PREFIX).split("__"):
        if isinstance(node, Leaf):
            raise _unknown(name)
        if isinstance(node, Open):
            key = next((k for k in open_names.get(path, ()) if k.lower() == part.lower()), part.lower())
            node = node.child
        elif part.lower() in node.children:
            key = part.lower()
            node = node.children[key]
        else:
            raise _unknown(name)
        path = (*path, key)
    if isinstance(node, (Branch, Open)):
        raise ConfigError(f"{name}: names a whole section; set one of its keys, such as {_example(path, node)}")
    return path


def _unknown(name: str) -> ConfigError:
    # without the prefix, which would make any two names similar
    known = {variable(path).removeprefix(PREFIX) for path, _ in leaves()}
    return ConfigError(f"{name}: unknown setting{did_you_mean(name.removeprefix(PREFIX), known, PREFIX)}")


def _example(path: Path, node: Branch | Open) -> str:
    if isinstance(node, Open):
        return variable(next(leaves(node.child, (*path, "WEB")))[0])
    return variable(next(leaves(node, path))[0])


def _value(leaf: Leaf, text: str) -> Any:
    kind = leaf.type
    if isinstance(kind, (inspect.StrType, inspect.LiteralType)):
        return text
    if isinstance(kind, inspect.BoolType):
        return _SWITCH.get(text.strip().lower(), text)
    if isinstance(kind, inspect.CollectionType):
        if text.lstrip().startswith("["):
            return parse_scalar(text)
        return [item.strip() for item in text.split(",") if item.strip()]
    value = parse_scalar(text)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else text

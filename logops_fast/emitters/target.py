"""Where to send, and as whom."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from logops_fast.config.environment import ClientEnvironment
from logops_fast.config.errors import ConfigError
from logops_fast.config.keys_file import Client, Keyring
from logops_fast.http.pool import Endpoint

DEFAULT_URL: Final = "http://127.0.0.1:8081/ingest"


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway's URL and one of its clients.

    ``emitters``: those the client may name in X-Emitter; None if that is unknown. ``audience`` is the gateway's
    ``auth.audience``, which signatures of version 2 cover.
    """

    url: str
    key: str
    secret: bytes = field(repr=False)
    emitters: frozenset[str] | None = None
    audience: str = ""

    @classmethod
    def of(cls, client: Client, url: str = DEFAULT_URL, audience: str = "") -> Target:
        """Return the target for a client of a keys file, with its newest secret."""
        return cls(url, client.id, client.secrets[0], client.emitters, audience)

    @classmethod
    def resolve(
        cls,
        *,
        url: str | None = None,
        key: str | None = None,
        secret: str | None = None,
        env: Mapping[str, str],
        keys_file: Path,
        audience: str = "",
    ) -> Target:
        """Return what is given, else what the environment has, else the first client of the keys file.

        The variables are ENTRYPOINT_URL, LOGOPS_API_KEY and LOGOPS_SECRET. Raises ConfigError with what is missing.
        """
        given = ClientEnvironment.of(env)
        address = url or given.url or DEFAULT_URL
        try:
            Endpoint.parse(address)
        except ValueError as error:
            raise ConfigError(str(error), "--url" if url else "ENTRYPOINT_URL" if given.url else "") from None
        name = key or given.api_key
        # the environment's secret belongs to the environment's client, not to one that is named here
        text = secret or (given.secret if name == given.api_key else "")
        if name and text:
            return cls(address, name, os.fsencode(text), audience=audience)
        if text:
            raise ConfigError("a secret without its client; name it with --key or LOGOPS_API_KEY")
        if not keys_file.exists():
            raise ConfigError(
                f"{keys_file} is not there: start `logops up` in this folder, which makes it, or give --key, --secret"
            )
        clients = Keyring.load(keys_file).clients
        if not clients:
            raise ConfigError(f"{keys_file} has no client; `logops keys add` makes one")
        name = name or next(iter(clients))
        if name not in clients:
            raise ConfigError(f"{keys_file} has no client {name}; give its secret with --secret or LOGOPS_SECRET")
        return cls.of(clients[name], address, audience)

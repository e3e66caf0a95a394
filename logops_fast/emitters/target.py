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
from logops_fast.config.sections.auth import AuthSettings
from logops_fast.http.endpoint import Endpoint

DEFAULT_URL: Final = "http://127.0.0.1:8081/ingest"
DEFAULT_AUTH: Final = AuthSettings()


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway's URL and one of its clients.

    With a ``token`` requests carry that, with a ``secret`` they are signed, with neither (mode ``none``) they go as
    they are. ``emitters``: those the client may name in X-Emitter; None if that is unknown. ``audience`` is the
    gateway's ``auth.audience``, which signatures of version 2 cover.
    """

    url: str
    key: str
    secret: bytes = field(repr=False)
    emitters: frozenset[str] | None = None
    audience: str = ""
    token: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, client: Client, url: str = DEFAULT_URL, auth: AuthSettings = DEFAULT_AUTH) -> Target:
        """Return the target for a client of a keys file: with its newest secret, or with a token if it cannot sign.

        Raises ConfigError if the mode takes tokens alone and none of the client's is in the file as text.
        """
        signs = client.secrets and "hmac" in client.modes
        if auth.mode == "none" or (signs and auth.mode != "api_key"):
            return cls(url, client.id, client.secrets[0] if signs else b"", client.emitters, auth.audience)
        if auth.mode == "hmac":
            raise ConfigError(f"client {client.id} cannot sign: it has no secret, or its modes leave out hmac")
        token = next((token.text for token in client.tokens if token.text), None)
        if token is None and auth.secrets_as_keys and client.secrets:
            token = client.secrets[0]
        if token is None:
            raise ConfigError(
                f"the keys file has no token of {client.id} as text: give one with --token or LOGOPS_TOKEN "
                f"(`logops keys token {client.id}` makes one)"
            )
        return cls(url, client.id, b"", client.emitters, auth.audience, token)

    @classmethod
    def resolve(
        cls,
        *,
        url: str | None = None,
        key: str | None = None,
        secret: str | None = None,
        token: str | None = None,
        env: Mapping[str, str],
        keys_file: Path,
        auth: AuthSettings = DEFAULT_AUTH,
    ) -> Target:
        """Return what is given, else what the environment has, else the first client of the keys file.

        The variables are ENTRYPOINT_URL, LOGOPS_API_KEY, LOGOPS_SECRET and LOGOPS_TOKEN. Raises ConfigError with what
        is missing.
        """
        given = ClientEnvironment.of(env)
        address = url or given.url or DEFAULT_URL
        try:
            Endpoint.parse(address)
        except ValueError as error:
            raise ConfigError(str(error), "--url" if url else "ENTRYPOINT_URL" if given.url else "") from None
        name = key or given.api_key
        # the environment's secret and token belong to its client, not to one that is named here
        own = name == given.api_key
        text = secret or (given.secret if own else "")
        if token or (given.token and own and not secret and (auth.mode == "api_key" or not text)):
            return cls(address, name, b"", audience=auth.audience, token=os.fsencode(token or given.token))
        if name and text:
            if auth.mode == "api_key" and auth.secrets_as_keys:
                return cls(address, name, b"", audience=auth.audience, token=os.fsencode(text))
            return cls(address, name, os.fsencode(text), audience=auth.audience)
        if text:
            raise ConfigError("a secret without its client; name it with --key or LOGOPS_API_KEY")
        if not keys_file.exists():
            if auth.mode == "none":
                return cls(address, name, b"")
            raise ConfigError(missing_keys(keys_file))
        clients = Keyring.load(keys_file).clients
        if not clients:
            raise ConfigError(f"{keys_file} has no client; `logops keys add` makes one")
        name = name or next(iter(clients))
        if name not in clients:
            raise ConfigError(f"{keys_file} has no client {name}; give its secret with --secret or LOGOPS_SECRET")
        return cls.of(clients[name], address, auth)


def missing_keys(keys_file: Path) -> str:
    """Return what to do where there is no keys file to take a client from."""
    return f"{keys_file} is not there: start `logops up` in this folder, which makes it, or give --key and --secret"

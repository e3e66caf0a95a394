"""The admin listeners of running gateways, asked over HTTP."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from logops_fast.cli.serve import INGEST_ADMIN_PORT
from logops_fast.config.errors import ConfigError
from logops_fast.config.loader import Loaded
from logops_fast.telemetry.overview import Reading
from logops_fast.telemetry.scrape import parse

SHIP_ADMIN_PORT: Final = 8091
MAX_ANSWER: Final = 32 << 20
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to look, not to listen

# Straight to the listener: it is on this machine or in this network, whatever http_proxy says.
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def doors(loaded: Loaded, urls: Sequence[str] | None, option: str = "--url") -> tuple[str, ...]:
    """Return the base URLs to ask: those given by ``option``, else that of the settings and its neighbours' defaults.

    Raises ConfigError.
    """
    if urls:
        return tuple(_checked(url, option) for url in urls)
    admin = loaded.settings.admin
    host = _ANY.get(admin.host, admin.host)
    if ":" in host:
        host = f"[{host}]"
    own = (admin.port,) if admin.port else ()  # 0: any free one, which only its log names
    return tuple(f"http://{host}:{port}" for port in dict.fromkeys((*own, INGEST_ADMIN_PORT, SHIP_ADMIN_PORT)))


def read(door: str, at: float, timeout: float) -> Reading:
    """Ask one listener for its metrics and readiness; ``at`` is the time of the reading, both in seconds."""
    try:
        metrics = _get(f"{door}/metrics", timeout)
        ready = dict(json.loads(_get(f"{door}/readyz", timeout)))
        return Reading(door, parse(metrics.decode(), at), ready)
    except (ValueError, TypeError):
        return Reading(door, problem=f"{door} answers, but not as an admin listener of LogOps")
    except urllib.error.HTTPError as error:
        return Reading(door, problem=f"{door} answers {error.code}: is it an admin listener of LogOps?")
    except urllib.error.URLError as error:
        return Reading(door, problem=f"{door}: {_words(error.reason)}")
    except (OSError, http.client.HTTPException) as error:
        return Reading(door, problem=f"{door}: {_words(error)}")


def answering(readings: Sequence[Reading], *, given: bool) -> list[Reading]:
    """Return the readings to show: if the doors were not ``given``, those without an answer are left out."""
    if given or not any(reading.scrape is not None for reading in readings):
        return list(readings)
    return [reading for reading in readings if reading.scrape is not None]


def _get(url: str, timeout: float) -> bytes:
    try:
        with _OPENER.open(url, timeout=timeout) as answer:
            body: bytes = answer.read(MAX_ANSWER)
            return body
    except urllib.error.HTTPError as error:
        if error.code != http.client.SERVICE_UNAVAILABLE:
            raise
        with error:
            return error.read(MAX_ANSWER)  # /readyz: not ready, with the reason


def _checked(url: str, option: str) -> str:
    text = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not text.isascii() or " " in text:
        raise ConfigError(f"{option}: expected an admin listener such as http://127.0.0.1:8089, got {url!r}")
    return f"{parts.scheme}://{parts.netloc}"


def _words(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__

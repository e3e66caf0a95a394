"""The password of Redis from a file, so that neither a configuration nor an environment holds it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlsplit


def url_with_password(url: str, password_file: Path) -> str:
    """Return ``url`` with the file's content as password; the line end at its end is not part of it.

    Raises:
        ValueError: if the file cannot be read or is empty, or the URL has a password already.
    """
    try:
        password = password_file.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise ValueError(f"state.redis_password_file: {password_file} cannot be read: {error.strerror}.") from None
    if not password:
        raise ValueError(f"state.redis_password_file: {password_file} is empty.")
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    if ":" in user:
        raise ValueError("state.redis_url has a password, and state.redis_password_file too: keep one of them.")
    scheme = f"{parts.scheme}://"
    rest = url.removeprefix(scheme).removeprefix(user + at)
    return f"{scheme}{user}:{quote(password, safe='')}@{rest}"

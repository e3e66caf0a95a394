"""Exit 0 where one of the URLs given answers 200. The image has no curl, and this needs nothing but Python."""

from __future__ import annotations

import http.client
import sys
from urllib.parse import urlsplit

TIMEOUT = 2.0  # seconds


def healthy(url: str) -> bool:
    """Whether a GET is answered 200."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=TIMEOUT)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if any(healthy(url) for url in sys.argv[1:]) else 1)

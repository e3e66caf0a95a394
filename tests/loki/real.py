"""A real Loki in place of the store: the same tests run against it if ``LOGOPS_LOKI_URL`` says where one is.

``LokiServer`` stands in front of it and makes the faults; what is stored is counted by queries, at once and after a
flush. ``README.md`` has the configuration and what came of it.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from urllib.parse import urlencode, urlsplit

from tests.loki.store import HOUR, SECOND, Answer, Limits, Store, Stored, Stream, labels_text

VARIABLE = "LOGOPS_LOKI_URL"
KILL = "LOGOPS_LOKI_KILL"
"""A command that kills it; something else must start it again."""
READY = 300.0  # s until it is ready again
PAGE = 5000


def real_loki() -> str | None:
    """Where a real Loki is, or None."""
    return os.environ.get(VARIABLE)


class RealStore(Store):
    """Passes requests on; ``machine`` tells the entries of one test from those of all others."""

    def __init__(self, url: str, machine: str, *, back: int = 5 * HOUR) -> None:
        """``back``: how much older than the test its entries may be, in ns."""
        self._oldest = time.time_ns() - back
        super().__init__(time.time_ns, Limits())
        self._url = urlsplit(url)
        self._machine = machine

    def push_body(self, body: bytes) -> Answer:
        fields = {"content-type": "application/x-protobuf"}
        return self._request("POST", "/loki/api/v1/push", body, fields)

    def query_target(self, target: str, fields: dict[str, str]) -> Answer:
        return self._request("GET", target, None, fields)

    def flush(self) -> None:
        assert self._request("POST", "/flush", b"", {}).status == 204

    def kill(self) -> None:
        """Run the command that kills it, if there is one, and wait until its successor is ready."""
        if command := os.environ.get(KILL):
            subprocess.run(command, shell=True, check=True)
            deadline = time.monotonic() + READY
            while not self._ready():
                assert time.monotonic() < deadline, "Loki does not come back"
                time.sleep(0.5)

    def _ready(self) -> bool:
        try:
            return self._request("GET", "/ready", None, {}).status == 200
        except OSError:
            return False

    def restart(self) -> None:
        """The connection was cut, not the process."""

    def entries(self) -> list[Stored]:
        """All entries of this test."""
        now = self.wall()
        found: list[Stored] = []
        self.streams.clear()
        start, end = self._oldest, now + HOUR // 6
        while True:
            page = self._page(start, end)
            found += page
            if len(page) < PAGE:
                return found
            start = page[-1].ns + 1

    def counted(self) -> int:
        """How many entries Loki counts itself: ``count_over_time``, which merges nothing."""
        now = self.wall()
        hours = (now - self._oldest) // HOUR + 2
        query = f'sum(count_over_time({{instance=~"{self._machine}-.*"}}[{hours}h]))'
        target = "/loki/api/v1/query?" + urlencode({"query": query, "time": (now + HOUR // 6) // SECOND})
        result = json.loads(self._ask(target, {"cache-control": "no-cache"}).text)["data"]["result"]
        return int(result[0]["value"][1]) if result else 0

    def _page(self, start: int, end: int) -> list[Stored]:
        query = f'{{instance=~"{self._machine}-.*"}}'
        target = "/loki/api/v1/query_range?" + urlencode(
            {"query": query, "start": start, "end": end, "limit": PAGE, "direction": "forward"}
        )
        fields = {"x-loki-response-encoding-flags": "categorize-labels", "cache-control": "no-cache"}
        answer = self._ask(target, fields)
        found = []
        for stream in json.loads(answer.text)["data"]["result"]:
            labels = {name: value for name, value in stream["stream"].items() if name != "__stream_shard__"}
            text = labels_text(labels)
            self.streams.setdefault(text, Stream(labels))
            for ns, line, *rest in stream["values"]:
                metadata = rest[0].get("structuredMetadata", {}) if rest else {}
                metadata.pop("detected_level", None)
                found.append(Stored(int(ns), line, tuple(metadata.items()), text))
        return sorted(found, key=lambda entry: entry.ns)

    def _ask(self, target: str, fields: dict[str, str]) -> Answer:
        """Ask on behalf of the test, until it is answered: it may have been killed, or be busy."""
        deadline = time.monotonic() + READY
        while True:
            try:
                answer = self._request("GET", target, None, fields)
                if answer.status == 200:
                    return answer
                problem = str(answer)
            except (OSError, http.client.HTTPException) as error:
                problem = str(error)
            assert time.monotonic() < deadline, problem
            time.sleep(0.5)

    def _request(self, method: str, target: str, body: bytes | None, fields: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=240)
        try:
            connection.request(method, target, body, fields)
            response = connection.getresponse()
            return Answer(response.status, response.read().decode())
        finally:
            connection.close()

"""A client of the hub's API with nothing but Python's standard library; see docs/api.md.

python docs/client.py http://127.0.0.1:8080            # the newest alerts, and the next likely windows
python docs/client.py http://127.0.0.1:8080 saw.flac   # similar past events

For a hub with users put an API token into the environment variable EARWITNESS_TOKEN.
"""

import json
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen


class Hub:
    """Client of a hub's API.

    Args:
        url: such as http://127.0.0.1:8080.
        timeout_s: longest wait for an answer.
        token: API token, for a hub with users.
    """

    def __init__(self, url: str, timeout_s: float = 30.0, token: str = "") -> None:
        self._api = f"{url.rstrip('/')}/api/v1"
        self._timeout_s = timeout_s
        self._headers = {"X-Earwitness": "client"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def list_all(self, resource: str, **filters: object) -> Iterator[dict[str, Any]]:
        """Yield all `events`, `episodes`, `alerts` or `feedback`, newest first, page by page."""
        after = None
        while True:
            query = {**filters, "limit": 200} | ({"after": after} if after else {})
            page = self._ask(f"{resource}?{urlencode(query)}")
            yield from page[resource]
            after = page["next"]
            if after is None:
                return

    def similar(self, event: str, k: int = 10, **filters: object) -> list[dict[str, Any]]:
        """Return the past events most similar to an event, most similar first."""
        return list(self._ask("search", {"event": event, "k": k, "filters": filters})["matches"])

    def search_recording(self, recording: Path, k: int = 10) -> list[dict[str, Any]]:
        """Return the past events most similar to a recording (wav, flac or ogg, up to a minute)."""
        boundary = uuid.uuid4().hex
        head = 'Content-Disposition: form-data; name="{}"'
        file = f'{head.format("recording")}; filename="{recording.name}"'.encode()
        parts = [
            (file, recording.read_bytes()),
            (head.format("k").encode(), str(k).encode()),
        ]
        body = b"".join(b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary.encode(), *part) for part in parts)
        body += f"--{boundary}--\r\n".encode()
        return list(self._ask("search", body, f"multipart/form-data; boundary={boundary}")["matches"])

    def submit_verdict(
        self, alert: str, verdict: str, *, match: str | None = None, author: str = ""
    ) -> dict[str, Any]:
        """Submit a verdict on an alert or on one of its matches; return how the threshold moved."""
        return self._ask(f"alerts/{alert}/feedback", {"verdict": verdict, "match": match, "author": author})

    def listen(self, last: str | None = None) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Yield live messages: kind, data, and the position to resume from as `last`."""
        headers = self._headers | ({"Last-Event-ID": last} if last else {})
        with urlopen(Request(f"{self._api}/stream", headers=headers), timeout=self._timeout_s) as stream:
            fields: dict[str, str] = {}
            for raw in stream:
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields:
                    last = fields.get("id", last)
                    yield fields["event"], json.loads(fields["data"]), last or ""
                    fields = {}

    def _ask(self, path: str, body: object = None, kind: str = "application/json") -> dict[str, Any]:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = Request(f"{self._api}/{path}", data, self._headers | {"Content-Type": kind})
        with urlopen(request, timeout=self._timeout_s) as answer:
            return dict(json.load(answer))


def main() -> None:
    """Print the newest alerts, or the past events most similar to a recording."""
    hub = Hub(sys.argv[1], token=os.environ.get("EARWITNESS_TOKEN", ""))
    if len(sys.argv) > 2:
        for match in hub.search_recording(Path(sys.argv[2])):
            print(f"{match['match_probability']:.0%} {match['site']}/{match['sensor']} {match['captured_at']}")
        return
    for _, alert in zip(range(10), hub.list_all("alerts"), strict=False):
        recurrence = alert["recurrence"] or {}
        window = recurrence.get("next") or {}
        print(alert["captured_at"], f"{alert['site']}/{alert['sensor']}", ", ".join(alert["categories"]))
        print(f"  {recurrence.get('episodes', 0)} times, {recurrence.get('regularity', 'not looked up yet')}")
        if window:
            print(f"  next {window['start']} to {window['end']}, {window['probability']:.0%} likely")


if __name__ == "__main__":
    main()

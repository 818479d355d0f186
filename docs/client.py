"""A client of the hub's API with nothing but Python's standard library; see docs/api.md.

python docs/client.py http://127.0.0.1:8080            # the newest alerts, and when to be there
python docs/client.py http://127.0.0.1:8080 saw.flac   # has this been heard before?
"""

import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen


class Hub:
    """A hub's API.

    Args:
        url: such as http://127.0.0.1:8080.
        timeout_s: longest wait for an answer.
    """

    def __init__(self, url: str, timeout_s: float = 30.0) -> None:
        self._api = f"{url.rstrip('/')}/api/v1"
        self._timeout_s = timeout_s

    def every(self, what: str, **filters: object) -> Iterator[dict[str, Any]]:
        """All `events`, `episodes`, `alerts` or `feedback`, newest first, page by page."""
        after = None
        while True:
            asked = {**filters, "limit": 200} | ({"after": after} if after else {})
            page = self._ask(f"{what}?{urlencode(asked)}")
            yield from page[what]
            after = page["next"]
            if after is None:
                return

    def similar(self, event: str, k: int = 10, **filters: object) -> list[dict[str, Any]]:
        """The past events most similar to one, most similar first."""
        return list(self._ask("search", {"event": event, "k": k, "filters": filters})["matches"])

    def heard_before(self, recording: Path, k: int = 10) -> list[dict[str, Any]]:
        """The past events most similar to a recording (wav, flac or ogg, up to a minute)."""
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

    def say(self, alert: str, verdict: str, *, match: str | None = None, author: str = "") -> dict[str, Any]:
        """Say whether an alert, or a match of it, was right; tells how the threshold moved."""
        return self._ask(f"alerts/{alert}/feedback", {"verdict": verdict, "match": match, "author": author})

    def listen(self, last: str | None = None) -> Iterator[tuple[str, dict[str, Any], str]]:
        """What happens, as it happens: kind, data, and the position to come back to as `last`."""
        headers = {"Last-Event-ID": last} if last else {}
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
        request = Request(f"{self._api}/{path}", data, {"X-Earwitness": "client", "Content-Type": kind})
        with urlopen(request, timeout=self._timeout_s) as answer:
            return dict(json.load(answer))


def main() -> None:
    """Print the newest alerts, or what a recording is like."""
    hub = Hub(sys.argv[1])
    if len(sys.argv) > 2:
        for match in hub.heard_before(Path(sys.argv[2])):
            print(f"{match['match_probability']:.0%} {match['site']}/{match['sensor']} {match['captured_at']}")
        return
    for _, alert in zip(range(10), hub.every("alerts"), strict=False):
        recurrence = alert["recurrence"] or {}
        window = recurrence.get("next") or {}
        print(alert["captured_at"], f"{alert['site']}/{alert['sensor']}", ", ".join(alert["categories"]))
        print(f"  {recurrence.get('episodes', 0)} times, {recurrence.get('regularity', 'not looked up yet')}")
        if window:
            print(f"  next {window['start']} to {window['end']}, {window['probability']:.0%} likely")


if __name__ == "__main__":
    main()

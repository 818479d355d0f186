"""`earwitness-hub demo` as a process: what it prints, its page, and the processes it started."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.server_processes import eventually


class Demonstration:
    """A demo that runs until `end`, `interrupt` or `kill`; its log and its answer are files in a folder."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log, self._answer = folder / "log", folder / "answer"
        with self._log.open("w") as log, self._answer.open("w") as answer:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hub", "demo", "--json", *arguments], stdout=answer, stderr=log
            )

    @property
    def printed(self) -> str:
        return self._log.read_text()

    @property
    def summary(self) -> dict[str, int]:
        return dict(json.loads(self._answer.read_text()))

    @property
    def links(self) -> list[str]:
        """Addresses in the order they were printed: the page, then those worth opening."""
        return re.findall(r"http://127\.0\.0\.1:\d+\S*", self.printed)

    @property
    def url(self) -> str:
        return self.links[0]

    def until(self, words: str, within_s: float = 180) -> None:
        """Wait until it prints something."""

        def is_printed() -> bool:
            assert self.process.poll() is None or words in self.printed, self.printed[-3000:]
            return words in self.printed

        eventually(is_printed, within_s, f"the demo prints {words!r}; it printed {self.printed[-500:]!r}")

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=30) as answer:  # noqa: S310 - our own hub
            return dict(json.load(answer))

    def children(self) -> list[int]:
        """Ids of the processes that it started and that run."""
        own = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, parent = status.read_text().rpartition(") ")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == self.process.pid and state != "Z":
                own.append(int(status.parent.name))
        return own

    def interrupt(self) -> None:
        """Ctrl-C, and wait for the end."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def close(self) -> None:
        """End it if it still runs."""
        if self.process.poll() is None:
            self.interrupt()


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0] != "Z"
    except OSError:
        return False

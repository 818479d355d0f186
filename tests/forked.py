"""Hubs as processes forked from one that has imported the hub already: an import of PyTorch takes seconds of a core.

A forked hub is a process of its own, with its own signals, exit code, environment and log. It differs from
`python -m hub` only in what it need not import again. Tests of the deployment and of the tutorials start the program
itself.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Final

PRELOADED: Final = ("hub.cli", "hub.app.hub", "onnxruntime", "uvicorn.lifespan.on", "uvicorn.protocols.http.auto")
"""What `hub.cli` imports only for `serve` is named too: PyTorch comes with `hub.app.hub`."""


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", *PRELOADED])
    return context


class ForkedHub:
    """A running `python -m hub ...`, with the part of `subprocess.Popen` that tests use.

    Args:
        arguments: of `earwitness-hub`.
        log: the file that its output is appended to.
    """

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.args = arguments
        self._process = _context().Process(target=_run, args=(arguments, log, dict(os.environ)), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(arguments: list[str], log: Path, environment: dict[str, str]) -> None:
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.__stdout__.fileno())  # type: ignore[union-attr]
        os.dup2(file.fileno(), sys.__stderr__.fileno())  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["earwitness-hub", *arguments]
    from hub.cli import main  # noqa: PLC0415 - imported by the process this one is forked from

    main()

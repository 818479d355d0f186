"""Programs as processes forked from one that has imported them already: an import of PyTorch takes seconds of a core.

A forked program is a process of its own, with its own signals, exit code, environment and log. It differs from
`python -m hub` and `python -m edge` only in what it need not import again. Tests of the deployment, of the tutorials
and of the memory of a sensor start the program itself.
"""

import contextlib
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Final, Literal

PRELOADED: Final = (
    "edge.cli",
    "hub.cli",
    "hub.app.hub",
    "onnxruntime",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
)
"""What `hub.cli` imports only for `serve` is named too: PyTorch comes with `hub.app.hub`."""


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", *PRELOADED])
    return context


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a program runs.

    Attributes:
        folder: its working directory; that of the tests by default.
        environment: its environment variables; those of the tests by default.
    """

    folder: Path = field(default_factory=Path.cwd)
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))


class ForkedProgram:
    """A running `python -m hub ...` or `python -m edge ...`, with the part of `subprocess.Popen` that tests use.

    Args:
        name: `hub` or `edge`.
        arguments: of the program.
        log: the file that its errors are appended to.
        output: the file that its output replaces; the log by default.
        where: where it runs.
    """

    def __init__(
        self,
        name: Literal["hub", "edge"],
        arguments: list[str],
        log: Path,
        output: Path | None = None,
        where: Surroundings | None = None,
    ) -> None:
        self.args = arguments
        log.touch()  # both are there before the process is
        if output is not None:
            output.write_bytes(b"")
        self._process = _context().Process(
            target=_run, args=(name, arguments, log, output, where or Surroundings()), daemon=True
        )
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


def finished(
    name: Literal["hub", "edge"], arguments: list[str], where: Surroundings | None = None
) -> tuple[int, str, str]:
    """Run a program to its end, at most two minutes; its exit code, output and errors."""
    with tempfile.TemporaryDirectory() as streams:
        log, output = Path(streams) / "log", Path(streams) / "output"
        code = ForkedProgram(name, arguments, log, output, where).wait(120)
        return code, output.read_text(), log.read_text()


def _run(name: str, arguments: list[str], log: Path, output: Path | None, where: Surroundings) -> None:
    with log.open("ab") as errors, output.open("wb") if output else contextlib.nullcontext(errors) as answers:
        os.dup2(answers.fileno(), sys.__stdout__.fileno())  # type: ignore[union-attr]
        os.dup2(errors.fileno(), sys.__stderr__.fileno())  # type: ignore[union-attr]
    os.chdir(where.folder)
    os.environ.clear()
    os.environ.update(where.environment)
    sys.argv = [f"earwitness-{name}", *arguments]
    sys.orig_argv = [sys.executable, "-m", name, *arguments]  # a sensor that starts again executes this
    importlib.import_module(f"{name}.cli").main()  # imported by the process this one is forked from

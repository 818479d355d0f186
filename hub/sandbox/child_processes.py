"""Programs that the demo starts: they end when it ends, also when it is killed."""

import contextlib
import ctypes
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from hub.runtime.embedded_servers import block_sigint

_POLL_S: Final = 0.05
_PR_SET_PDEATHSIG: Final = 1
"""Source: prctl(2), Linux."""
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None
_GUARD: Final = "import os, signal, sys; sys.stdin.read() or os.kill(int(sys.argv[1]), signal.SIGTERM)"
"""Reads nothing but the end of its input if the process at the other end was killed."""

Child = subprocess.Popen[str]


class Interrupt:
    """Ctrl-C or SIGTERM, and when it came.

    Everything that waits asks `over`: after an interrupt it may wait only until so many seconds after it.
    """

    def __init__(self) -> None:
        self._set = threading.Event()
        self._at_s = 0.0

    def set(self) -> None:
        """Note the first interrupt; safe in a signal handler."""
        if not self._set.is_set():
            self._at_s = time.monotonic()
            self._set.set()

    def is_set(self) -> bool:
        """Return whether it came."""
        return self._set.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for it for a while; whether it came."""
        return self._set.wait(timeout_s)

    def over(self, deadline_s: float, after_s: float) -> bool:
        """Whether a deadline, or so many seconds after the interrupt, has passed on the monotonic clock."""
        now_s = time.monotonic()
        return now_s > deadline_s or (self._set.is_set() and now_s > self._at_s + after_s)


def start(package: str, command: str, settings: Sequence[str], flags: Sequence[str] = ()) -> Child:
    """Start one of our programs; what it prints is kept for `end`.

    Args:
        package: `hub` or `edge`.
        command: of its command line.
        settings: each as `group.field=value`.
        flags: further arguments.
    """
    overrides = [part for setting in settings for part in ("--set", setting)]
    with block_sigint():
        return subprocess.Popen(  # noqa: S603 - our own programs, our own arguments
            [sys.executable, "-m", package, command, *flags, *overrides],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, no lock is taken
        )


def end(children: Sequence[Child], within_s: float, interrupt: Interrupt, after_s: float) -> list[str]:
    """Ask programs to stop, all at once, and kill those that do not.

    Args:
        children: programs.
        within_s: longest wait.
        interrupt: shortens the wait to
        after_s: so many seconds after the interrupt.

    Returns:
        What each printed.
    """
    for child in children:
        child.terminate()
    wait_until(lambda: all(child.poll() is not None for child in children), within_s, interrupt, after_s)
    for child in children:
        if child.poll() is None:
            child.kill()
    return [child.communicate()[0] for child in children]


def wait_until(done: Callable[[], bool], within_s: float, interrupt: Interrupt, after_s: float) -> bool:
    """Wait for a condition; whether it holds.

    Args:
        done: the condition.
        within_s: longest wait.
        interrupt: shortens the wait to
        after_s: so many seconds after the interrupt.
    """
    deadline_s, pause = time.monotonic() + within_s, threading.Event()
    while not done():
        if interrupt.over(deadline_s, after_s):
            return False
        pause.wait(_POLL_S)
    return True


@contextlib.contextmanager
def guarded(pid: int) -> Iterator[None]:
    """End a process that we did not start ourselves if this one ends before the context does, however that ends."""
    with block_sigint():
        guard = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _GUARD, str(pid)], stdin=subprocess.PIPE, text=True
        )
    try:
        yield
    finally:
        guard.communicate("done")


def captured(printed: str) -> int:
    """How many events a sensor captured, from what it printed; 0 if it was killed before it said."""
    lines = printed.strip().splitlines()
    with contextlib.suppress(ValueError, KeyError, IndexError):
        return int(json.loads(lines[-1])["captured"])
    return 0


def _end_with_parent() -> None:
    """Have the kernel end this process when the one that started it is gone, however that ended."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

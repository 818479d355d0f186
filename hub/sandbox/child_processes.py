"""Child processes of the demo, which end with the demo, even if it is killed."""

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
"""Kills a process if its standard input closes without data, which means that the parent was killed."""

Child = subprocess.Popen[str]


class Interrupt:
    """Ctrl-C or SIGTERM, and its time.

    Every wait calls `over`, which limits the wait to a number of seconds after the interrupt.
    """

    def __init__(self) -> None:
        self._set = threading.Event()
        self._at_s = 0.0

    def set(self) -> None:
        """Record the first interrupt; safe in a signal handler."""
        if not self._set.is_set():
            self._at_s = time.monotonic()
            self._set.set()

    def is_set(self) -> bool:
        """Return whether there was an interrupt."""
        return self._set.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` seconds for an interrupt; return whether there was one."""
        return self._set.wait(timeout_s)

    def over(self, deadline_s: float, after_s: float) -> bool:
        """Return whether the deadline, or the time of the interrupt plus `after_s`, has passed (monotonic clock)."""
        now_s = time.monotonic()
        return now_s > deadline_s or (self._set.is_set() and now_s > self._at_s + after_s)


def start(package: str, command: str, settings: Sequence[str], flags: Sequence[str] = ()) -> Child:
    """Start one of our programs, and keep its output for `end`.

    Args:
        package: `hub` or `edge`.
        command: command of its command line.
        settings: settings as `group.field=value`.
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
    """Terminate programs at the same time, and kill those that do not end.

    Args:
        children: programs.
        within_s: maximum wait, in seconds.
        interrupt: shortens the wait to `after_s` after it.
        after_s: maximum wait after the interrupt, in seconds.

    Returns:
        The output of each.
    """
    for child in children:
        child.terminate()
    wait_until(lambda: all(child.poll() is not None for child in children), within_s, interrupt, after_s)
    for child in children:
        if child.poll() is None:
            child.kill()
    return [child.communicate()[0] for child in children]


def wait_until(done: Callable[[], bool], within_s: float, interrupt: Interrupt, after_s: float) -> bool:
    """Wait for a condition, and return whether it holds.

    Args:
        done: the condition.
        within_s: maximum wait, in seconds.
        interrupt: shortens the wait to `after_s` after it.
        after_s: maximum wait after the interrupt, in seconds.
    """
    deadline_s, pause = time.monotonic() + within_s, threading.Event()
    while not done():
        if interrupt.over(deadline_s, after_s):
            return False
        pause.wait(_POLL_S)
    return True


@contextlib.contextmanager
def guarded(pid: int) -> Iterator[None]:
    """Terminate process `pid`, which is not our child, if this process ends within the context, even if killed."""
    with block_sigint():
        guard = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _GUARD, str(pid)], stdin=subprocess.PIPE, text=True
        )
    try:
        yield
    finally:
        guard.communicate("done")


def captured(printed: str) -> int:
    """Return the number of captured events from a sensor's output; 0 if it was killed before it printed it."""
    lines = printed.strip().splitlines()
    with contextlib.suppress(ValueError, KeyError, IndexError):
        return int(json.loads(lines[-1])["captured"])
    return 0


def _end_with_parent() -> None:
    """Let the kernel terminate this process when its parent ends, even if the parent is killed."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

"""Run a step repeatedly on a thread that continues after any exception.

1. A step does one piece of work and returns the seconds to wait until the next step.
2. After the expected errors `UnavailableError` and `OverloadedError` the step is tried again after a growing wait
   with full jitter.
3. Any other exception is a defect of the program. The worker logs the traceback once per kind, counts the restart,
   and tries the step again after the same wait. So a step must leave a state from which it can be tried again.
4. A stop ends the wait at once. The thread ends after the current step.
"""

import logging
import random
import threading
import traceback
from collections.abc import Callable
from typing import Final

from shared.backoff import full_jitter
from shared.errors import OverloadedError, UnavailableError

log = logging.getLogger(__name__)

RETRY_CAP_S: Final = 10.0


class Worker:
    """Run a step on a thread of its own until it is stopped.

    Args:
        name: name of the thread, for logs, metrics and `/healthz`.
        step: function that does one piece of work and returns the seconds until the next step, 0 for none.
        failed: function that restores the state after a step that raised; it gets the exception.
        finish: function called on the thread after the last step.
        cap_s: longest wait after failures, in seconds.

    Attributes:
        stopping: set once the worker is to end; a step that waits should wait on it.
        restarts: number of steps that raised an unexpected exception.
        waits: number of steps that raised `UnavailableError` or `OverloadedError`.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], float],
        *,
        failed: Callable[[Exception], None] = lambda _error: None,
        finish: Callable[[], None] = lambda: None,
        cap_s: float = RETRY_CAP_S,
    ) -> None:
        self.name = name
        self.stopping = threading.Event()
        self.restarts = 0
        self.waits = 0
        self._step = step
        self._failed = failed
        self._finish = finish
        self._cap_s = cap_s
        self._attempt = 0
        self._reason = ""
        self._known: set[str] = set()
        self._thread = threading.Thread(target=self.run, name=name, daemon=True)

    @property
    def well(self) -> bool:
        """Return whether the thread runs, was stopped, or was never started; False if it ended by itself."""
        return self._thread.ident is None or self._thread.is_alive() or self.stopping.is_set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wind_down(self) -> None:
        """Start no further step."""
        self.stopping.set()

    def stop(self, within_s: float | None = None) -> None:
        """Stop the worker, and wait for its thread if it was started.

        Args:
            within_s: longest wait for the current step, in seconds; None waits for its end.
        """
        self.wind_down()
        if self._thread.is_alive():
            self._thread.join(within_s)

    def run(self) -> None:
        """Run steps on the caller's thread until `wind_down`."""
        while not self.stopping.is_set():
            self.stopping.wait(self._try())
        self._guarded(self._finish)

    def _try(self) -> float:
        """Run a step; return the seconds to wait after it."""
        try:
            wait_s = self._step()
        except (UnavailableError, OverloadedError) as error:
            self.waits += 1
            self._log_wait(str(error))
            return self._back_off(error)
        except Exception as error:  # noqa: BLE001 - the thread must continue
            self.restarts += 1
            self._log_fault(error)
            return self._back_off(error)
        if self._reason:
            log.info("worker goes on", extra={"worker": self.name, "attempts": self._attempt})
        self._attempt, self._reason = 0, ""
        return wait_s

    def _back_off(self, error: Exception) -> float:
        self._guarded(lambda: self._failed(error))
        wait_s = full_jitter(self._attempt, self._cap_s, random.random)
        self._attempt += 1
        return wait_s

    def _log_wait(self, reason: str) -> None:
        """Log a wait, at level debug if the last one had the same reason."""
        level = logging.DEBUG if reason == self._reason else logging.WARNING
        log.log(level, "worker waits", extra={"worker": self.name, "reason": reason, "attempt": self._attempt})
        self._reason = reason

    def _log_fault(self, error: Exception) -> None:
        """Log a fault, with its traceback if it is the first with this type and line of code."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} at {frame.filename}:{frame.lineno}"
        first = kind not in self._known
        self._known.add(kind)
        log.error(
            "worker failed and goes on",
            extra={"worker": self.name, "reason": f"{kind}: {error}", "restarts": self.restarts},
            exc_info=error if first else None,
        )
        self._reason = kind

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            log.exception("a worker's state could not be restored", extra={"worker": self.name})


def every(period_s: float, work: Callable[[], object]) -> Callable[[], float]:
    """Return a step that runs some work periodically, the first time after one period.

    Args:
        period_s: seconds between the end of the work and its next start.
        work: the work.
    """
    begun = False

    def step() -> float:
        nonlocal begun
        if begun:
            work()
        begun = True
        return period_s

    return step

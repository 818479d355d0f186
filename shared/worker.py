"""The one way to run a thread that must live: a step, again and again, whatever it raises.

1. A step does one piece of work and returns how long to wait until the next, in seconds.
2. `Unavailable` and `Busy` are expected: the step is tried again after a wait with full jitter that grows.
3. Any other exception is a fault of ours. The traceback is logged once for each kind, the restart is counted, and the
   step is tried again after the same wait. So a step leaves its state such that it can be tried again.
4. A stop ends the wait at once; the thread ends after the step in hand.
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
    """Runs a step on a thread of its own until it is stopped.

    Args:
        name: of the thread; log, metrics and `/healthz` name it.
        step: one piece of work; returns the wait until the next in seconds, 0 for none.
        failed: called after a step that raised, with the exception, to put the state right.
        finish: called on the thread when it was stopped, after the last step.
        cap_s: longest wait after failures, in seconds.

    Attributes:
        stopping: set once the worker is to end; a step that waits should wait on it.
        restarts: steps that raised what nobody expected.
        waits: steps that raised `Unavailable` or `Busy`.
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
        """Whether it runs, was stopped, or was never started; False if its thread ended by itself."""
        return self._thread.ident is None or self._thread.is_alive() or self.stopping.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wind_down(self) -> None:
        """Begin no further step."""
        self.stopping.set()

    def stop(self, within_s: float | None = None) -> None:
        """End, and wait for it, if it was started.

        Args:
            within_s: longest wait for the step in hand, in seconds; None waits for its end.
        """
        self.wind_down()
        if self._thread.is_alive():
            self._thread.join(within_s)

    def run(self) -> None:
        """Work on the caller's thread until `wind_down`."""
        while not self.stopping.is_set():
            self.stopping.wait(self._try())
        self._guarded(self._finish)

    def _try(self) -> float:
        """Take a step: how long to wait after it, in seconds."""
        try:
            wait_s = self._step()
        except (UnavailableError, OverloadedError) as error:
            self.waits += 1
            self._tell_wait(str(error))
            return self._back_off(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread lives on
            self.restarts += 1
            self._tell_fault(error)
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

    def _tell_wait(self, reason: str) -> None:
        """Log a wait, at full level unless the last one had the same reason."""
        level = logging.DEBUG if reason == self._reason else logging.WARNING
        log.log(level, "worker waits", extra={"worker": self.name, "reason": reason, "attempt": self._attempt})
        self._reason = reason

    def _tell_fault(self, error: Exception) -> None:
        """Log a fault, with its traceback if it is the first of its kind: its type, and the line that raised it."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} at {place.filename}:{place.lineno}"
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
            log.exception("worker could not be put right", extra={"worker": self.name})


def every(period_s: float, work: Callable[[], object]) -> Callable[[], float]:
    """Return a step that does some work again and again, the first time after one period.

    Args:
        period_s: time between the end of the work and its next begin, in seconds.
        work: what is done.
    """
    begun = False

    def step() -> float:
        nonlocal begun
        if begun:
            work()
        begun = True
        return period_s

    return step

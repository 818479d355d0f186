"""Calls with a time limit, for functions without a reliable one."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from shared.errors import UnavailableError

T = TypeVar("T")


class Bounded(Generic[T]):
    """Calls a function on its own thread, one call at a time, and waits at most `within_s`.

    Args:
        ask: the function; may take any time.
        within_s: maximum wait, in seconds.
        who: name of the called component, for the error.
    """

    def __init__(self, ask: Callable[[], T], within_s: float, who: str) -> None:
        self._ask = ask
        self._within_s = within_s
        self._who = who
        self._lock = threading.Lock()
        self._pending: Future[T] | None = None

    def __call__(self) -> T:
        """Return the result; concurrent callers share one call.

        Raises:
            UnavailableError: no result in time.
        """
        with self._lock:
            if self._pending is None or self._pending.done():
                self._pending = Future()
                threading.Thread(target=self._run, args=(self._pending,), name="asked", daemon=True).start()
            pending = self._pending
        try:
            return pending.result(self._within_s)
        except TimeoutError:
            raise UnavailableError(f"{self._who} does not answer within {self._within_s:g} s") from None

    def _run(self, pending: "Future[T]") -> None:
        try:
            pending.set_result(self._ask())
        except BaseException as error:  # noqa: BLE001 - the caller raises it
            pending.set_exception(error)

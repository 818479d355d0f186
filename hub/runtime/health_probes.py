"""Named probes for `/healthz`; each returns a sentence about what is wrong."""

from collections.abc import Callable, Iterable, Mapping

from shared.worker import Worker

Probe = Callable[[], str]
"""Returns what is wrong and what to do, in one sentence; "" if nothing is wrong."""


class Probes:
    """Probes of whether the process works (live), and of whether it receives and archives events (ready)."""

    def __init__(self) -> None:
        self._live: dict[str, Probe] = {}
        self._ready: dict[str, Probe] = {}

    def add(self, name: str, probe: Probe, *, live: bool = False) -> None:
        """Add a probe.

        Args:
            name: name of the probed part.
            probe: called for every request, on its thread; must be fast.
            live: whether a restart of the process would fix a fault.
        """
        (self._live if live else self._ready)[name] = probe

    def faults(self) -> list[str]:
        """Return the faults that a restart would fix."""
        return _failures(self._live)

    def reasons(self) -> list[str]:
        """Return why the hub is not ready; empty if it is."""
        return [*self.faults(), *_failures(self._ready)]


def _failures(probes: Mapping[str, Probe]) -> list[str]:
    results: list[str] = []
    for name, probe in probes.items():
        try:
            results.append(probe())
        except Exception as error:  # noqa: BLE001 - report a failing probe and run the others
            results.append(f"The probe of {name} fails: {type(error).__name__}: {error}")
    return [text for text in results if text]


def ended(workers: Iterable[Worker]) -> str:
    """Return which threads ended unexpectedly; "" if none did."""
    names = [worker.name for worker in workers if not worker.well]
    return f"Threads ended unexpectedly: {', '.join(names)}. Restart the hub." if names else ""


def stalled(stalled_s: float, most_s: float) -> str:
    """Return that events arrive and are not archived; "" if they are.

    Args:
        stalled_s: time without a handled message (archived or dead-lettered) while messages wait, in seconds.
        most_s: maximum of that time, in seconds.
    """
    if stalled_s <= most_s:
        return ""
    return f"The hub archived no event for {stalled_s:.0f} s although events arrive. See its log for the cause."

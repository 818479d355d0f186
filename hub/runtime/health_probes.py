"""What `/healthz` goes by: named probes, each of which says in a sentence what is wrong."""

from collections.abc import Callable, Iterable, Mapping

from shared.worker import Worker

Probe = Callable[[], str]
"""Return what is wrong in one sentence, and what to do; "" if nothing is."""


class Probes:
    """Probes of whether the process works (live), and of whether it takes and archives events (ready)."""

    def __init__(self) -> None:
        self._live: dict[str, Probe] = {}
        self._ready: dict[str, Probe] = {}

    def add(self, name: str, probe: Probe, *, live: bool = False) -> None:
        """Add a probe.

        Args:
            name: of what is probed.
            probe: called by every request, on its thread, so that it must be quick.
            live: whether a restart of the process would help.
        """
        (self._live if live else self._ready)[name] = probe

    def faults(self) -> list[str]:
        """What a restart would help against."""
        return _said(self._live)

    def reasons(self) -> list[str]:
        """Why the hub is not ready: nothing if it is."""
        return [*self.faults(), *_said(self._ready)]


def _said(probes: Mapping[str, Probe]) -> list[str]:
    said: list[str] = []
    for name, probe in probes.items():
        try:
            said.append(probe())
        except Exception as error:  # noqa: BLE001 - a probe that fails is told, and hides no other
            said.append(f"The probe of {name} fails: {type(error).__name__}: {error}")
    return [one for one in said if one]


def ended(workers: Iterable[Worker]) -> str:
    """Say which threads ended by themselves."""
    names = [worker.name for worker in workers if not worker.well]
    return f"Threads that must live ended: {', '.join(names)}. Restart the hub." if names else ""


def stalled(stalled_s: float, most_s: float) -> str:
    """Say that events arrive and are not archived.

    Args:
        stalled_s: for how long messages wait without one being handled: archived, or set aside as a dead letter.
        most_s: for how long they may.
    """
    if stalled_s <= most_s:
        return ""
    return f"Nothing was archived for {stalled_s:.0f} s though events arrive. The hub's log says what it waits for."

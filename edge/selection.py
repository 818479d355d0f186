"""The rules for what a sensor sends: loud clips with their surroundings, and a budget of bytes. No I/O, no clock.

`LoudClips` passes the clips around a loud one. `ByteBudget` leaves out audio first, then embeddings.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from edge.send_settings import SendSettings
from shared.events import Embedding, Event
from shared.messages.event import encode_event
from shared.messages.fields import Content

HOUR_S: Final = 3_600.0
DAY_S: Final = 86_400.0
AMBIENT_CLIPS: Final = 360
"""Number of latest clips whose levels give the ambient level: one hour."""
AMBIENT_QUANTILE: Final = 0.1
"""The ambient level is exceeded for 90 % of the time (LA90 of the clips' LAeq). Source: ISO 1996-1:2016, 3.1.3."""
BUDGET_SHARE: Final[Mapping[str, float]] = MappingProxyType({"sound": 0.80, "features": 0.95, "levels": 1.0})
"""Share of the budget up to which a message may contain audio, an embedding, or levels alone."""


class LoudClips:
    """Select loud clips, the clips before them (pre-roll) and after them (hold).

    Args:
        rule: limits of a loud clip, and the numbers of clips around it.
    """

    def __init__(self, rule: SendSettings) -> None:
        self._rule = rule
        self._levels: deque[float] = deque(maxlen=AMBIENT_CLIPS)
        self._before: deque[Event] = deque(maxlen=rule.pre_roll_clips)
        self._hold = 0

    def ambient(self) -> float:
        """Return the ambient level of the latest clips; NaN before the first."""
        ordered = sorted(self._levels)
        return ordered[int(AMBIENT_QUANTILE * len(ordered))] if ordered else float("nan")

    def select(self, event: Event) -> list[Event]:
        """Take the next clip; return the clips to send now, in order of capture."""
        laeq = event.levels.laeq
        self._levels.append(laeq)
        if self._is_loud(laeq):
            self._hold = self._rule.hold_clips
            chosen = [*self._before, event]
            self._before.clear()
            return chosen
        if self._hold:
            self._hold -= 1
            return [event]
        self._before.append(event)
        return []

    def drop_pre_roll(self) -> None:
        """Forget the clips before the next loud one."""
        self._before.clear()

    def _is_loud(self, laeq: float) -> bool:
        absolute = self._rule.min_laeq
        if absolute is not None and laeq >= absolute:
            return True
        ambient = self.ambient()
        return laeq > ambient and laeq - ambient >= self._rule.min_above_ambient_db


@dataclass(slots=True)
class _Window:
    """Bytes of one period, which begins again after `length_s`."""

    max_bytes: int
    length_s: float
    start_s: float
    used: int = 0


class ByteBudget:
    """Limit the bytes per hour and per day; count what is left out.

    The periods follow each other from the start of the agent.

    Args:
        max_bytes_per_hour: maximum of each hour; None is unlimited.
        max_bytes_per_day: maximum of each day; None is unlimited.
        now_s: monotonic time of the start.

    Attributes:
        sound_left_out: clips whose audio was left out.
        features_left_out: clips whose embedding was left out too, so that no event was sent.
    """

    def __init__(self, max_bytes_per_hour: int | None, max_bytes_per_day: int | None, now_s: float) -> None:
        limits = ((max_bytes_per_hour, HOUR_S), (max_bytes_per_day, DAY_S))
        self._windows = [_Window(most, length_s, now_s) for most, length_s in limits if most is not None]
        self.sound_left_out = 0
        self.features_left_out = 0

    def fit(self, event: Event, now_s: float) -> tuple[bytes, Content] | None:
        """Return the message of an event and its content, without audio if the budget requires it; None without room.

        Args:
            event: the event to send.
            now_s: monotonic time.
        """
        payload = encode_event(event)
        content: Content = "features" if event.audio is None else "sound"
        if self._take(content, len(payload), now_s):
            return payload, content
        self.sound_left_out += event.audio is not None
        if isinstance(event.body, Embedding):
            if event.sound is not None:
                payload = encode_event(replace(event, sound=None))
                if self._take("features", len(payload), now_s):
                    return payload, "features"
            self.features_left_out += 1
        return None

    def fit_levels(self, payload: bytes, now_s: float) -> bool:
        """Return whether the message of a level series fits; `now_s` is monotonic."""
        return self._take("levels", len(payload), now_s)

    def _take(self, content: str, size: int, now_s: float) -> bool:
        for window in self._windows:
            if now_s - window.start_s >= window.length_s:
                window.start_s += window.length_s * ((now_s - window.start_s) // window.length_s)
                window.used = 0
        if any(window.used + size > BUDGET_SHARE[content] * window.max_bytes for window in self._windows):
            return False
        for window in self._windows:
            window.used += size
        return True


class Selection:
    """Decide which of the captured events are sent.

    Args:
        rule: what the sensor sends.
    """

    def __init__(self, rule: SendSettings) -> None:
        self._what = rule.what
        self._loud = LoudClips(rule)

    def select(self, event: Event) -> list[Event]:
        """Take the next captured event; return the events to send now, in order of capture."""
        if self._what == "levels":
            return []
        return self._loud.select(event) if self._what == "events" else [event]

    def drop_pre_roll(self) -> None:
        """Forget the clips before the next loud one."""
        self._loud.drop_pre_roll()

"""State of the alert rule: sensors, sites and episodes before and after an event."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hub.domain.alert_pricing import Budget
from hub.domain.episodes import SensorState
from hub.domain.named_returns import NameLog
from hub.domain.sensor_history import History, Span, SpanRows

RecurrenceKey = tuple[str, str, int]
"""A place, a category, and an hour since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Values that a decision needs and does not have.

    Attributes:
        sensors: places whose state is not loaded.
        spans: of the history of episodes.
        recurrence: probabilities of recurrence.
    """

    sensors: frozenset[str] = frozenset()
    spans: frozenset[Span] = frozenset()
    recurrence: frozenset[RecurrenceKey] = frozenset()

    def __bool__(self) -> bool:
        """Return whether anything is needed."""
        return bool(self.sensors or self.spans or self.recurrence)


@dataclass(frozen=True, slots=True, eq=False)
class AlertState:
    """All values that the rule decides on; it returns a new state, and leaves this one as it is.

    Attributes:
        sensors: state of sensors by place; of an event's own sensor, a missing one is new.
        thresholds: by site and category; where there is none, the rule's own one holds.
        budgets: by site; a missing one is new.
        recurrence: probability that a category is detected at a place because it recurs, in [0, 1]; a view of what
            was loaded.
        history: of episodes.
        names: returns of named sounds.
    """

    sensors: Mapping[str, SensorState] = field(default_factory=dict)
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    recurrence: Mapping[RecurrenceKey, float] = field(default_factory=dict)
    history: History = field(default_factory=History)
    names: NameLog = field(default_factory=NameLog)

    def after(self, place: str, sensor: SensorState, site: str, budget: Budget, history: History) -> "AlertState":
        """Return the state after an event of a sensor."""
        budgets = self.budgets if self.budgets.get(site) is budget else {**self.budgets, site: budget}
        sensors = {**self.sensors, place: sensor}
        return AlertState(sensors, self.thresholds, budgets, self.recurrence, history, self.names)

    def with_names(self, names: NameLog) -> "AlertState":
        """Return the state with another log of named sounds."""
        return AlertState(self.sensors, self.thresholds, self.budgets, self.recurrence, self.history, names)

    def with_loaded(self, sensors: Mapping[str, SensorState], rows: Mapping[Span, SpanRows]) -> "AlertState":
        """Return the state with further stored sensors and spans; what is known already stays."""
        return AlertState(
            {**sensors, **self.sensors},
            self.thresholds,
            self.budgets,
            self.recurrence,
            self.history.with_rows(rows),
            self.names,
        )

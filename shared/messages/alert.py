"""The alert message of a hub, with similar past events, recurrence and source."""

from typing import Literal

from pydantic import Field, model_validator

from shared.events import LevelUnit
from shared.messages.codec import VERSION, Message
from shared.messages.fields import CategoryName, Count, Decibels, Instant, ItemId, NamePattern, Probability
from shared.taxonomy import CATEGORIES

Severity = Literal["notice", "recurring", "urgent"]
"""`recurring`: the episode recurs regularly; `urgent`: it does and is far above ambient. Source: docs/flagging.md."""


class MatchMessage(Message):
    """One similar past event within an alert.

    `level` is the similarity score in [0, 8]. `shared` is the probability that both events contain a category, for
    each category where that is likely. `rank` is the rank score by which matches are ordered: the similarity score,
    plus the similarity of finer kinds of sound if the model has them. In a search by source, `rank` is the similarity
    of the sources, alone or added. `match_probability` is the probability that both events are the same kind of
    sound, the highest over the alert's categories. `same_source` is the probability that both come from the same
    source (the same machine, dog, siren, voice), null if the model does not identify sources. In a search,
    `stands_out` is true of the event that is closest in sound by a wide margin: it keeps one of the first ten places
    although others may be more alike by kind. Source: the paper, section 3.1.
    """

    event: ItemId
    site: NamePattern
    sensor: NamePattern
    captured_at: Instant
    level: float = Field(ge=0.0, le=8.0)
    rank: float | None = Field(default=None, ge=-1_000.0, le=1_000.0)
    shared: dict[CategoryName, Probability] = Field(max_length=len(CATEGORIES))
    match_probability: Probability | None = None
    same_source: Probability | None = None
    stands_out: bool = False


class ForecastWindow(Message):
    """The time window of the next expected episode.

    `probability` is the probability of an episode in this window, `base_rate` that of a window of the same length
    without recurrence. `backtest_windows` such windows were tested on held-out history; `backtest_hits` of them
    contained an episode.
    """

    start: Instant
    end: Instant
    probability: Probability
    base_rate: Probability
    backtest_windows: Count = 0
    backtest_hits: Count = 0


class Recurrence(Message):
    """The recurrence of a category at a sensor: number of episodes and days, first episode, regularity, forecast."""

    category: CategoryName
    episodes: Count
    days: Count
    since: Instant
    regularity: str = Field(max_length=64)
    other_places: list[ItemId] = Field(default_factory=list, max_length=10_000)
    next: ForecastWindow | None = None


class SourceMessage(Message):
    """The source (one machine, dog, siren or voice) of an alert's episode, and its occurrences at the site.

    `new` is true if this is the first occurrence. `probability` is the probability that the episode comes from the
    most similar source known before. `times` counts occurrences since `since`, including this one.
    """

    id: str = Field(pattern=r"^[0-9a-f]{10}$")
    new: bool
    probability: Probability
    times: Count
    days: Count
    since: Instant
    regularity: str = Field(max_length=64)
    next: ForecastWindow | None = None


class AlertMessage(Message):
    """An alert: an event, its similar past events, and the reasons.

    `categories` are the categories of the alert, the most probable first. `match_probability` is the probability of
    the first one, `threshold` the minimum at this site. `backfilled` is true for a replay of old recordings.
    `delay_s` is the time from the end of the clip to its receipt. `calibration` is the calibration of the sensor and
    `calibration_age_days` its age at `captured_at`; both are null if the sensor reported none. `episode` is the
    episode of the event; `linked` are simultaneous episodes of nearby sensors. `above_ambient_db` is LAeq above the
    level that is exceeded nine tenths of the time. The hub adds `recurrence`, `source` (if the model identifies
    sources), `linked`, `severity` and `shadow_probability` (the match probability of a candidate network) before it
    sends the alert.

    `name` is given if the event is a named sound, with its id `name_id`. `name_probability` is P(same source) of the
    event and the closest example. `watched` is true if the alert was raised because a watched sound returned: such an
    alert need not reach `threshold`, does not count in the budget, and has the severity of the name.
    """

    version: Literal[1] = VERSION
    event: ItemId
    site: NamePattern
    sensor: NamePattern
    captured_at: Instant
    backfilled: bool = False
    delay_s: float = 0.0
    laeq: Decibels
    lafmax: Decibels
    level_unit: LevelUnit
    calibration: NamePattern | None = None
    calibration_age_days: float | None = Field(default=None, ge=0.0, le=100_000.0)
    presence: dict[CategoryName, Probability] = Field(max_length=len(CATEGORIES))
    matches: list[MatchMessage] = Field(min_length=1, max_length=100)
    categories: list[CategoryName] = Field(default_factory=list, max_length=len(CATEGORIES))
    match_probability: Probability | None = None
    threshold: Probability | None = None
    episode: ItemId = ""
    above_ambient_db: float | None = Field(default=None, ge=-400.0, le=400.0)
    severity: Severity = "notice"
    recurrence: Recurrence | None = None
    source: SourceMessage | None = None
    linked: list[ItemId] = Field(default_factory=list, max_length=10_000)
    shadow_probability: Probability | None = None
    name: str | None = Field(default=None, max_length=64)
    name_id: str | None = Field(default=None, max_length=16)
    name_probability: Probability | None = None
    watched: bool = False

    @model_validator(mode="after")
    def _known_categories(self) -> "AlertMessage":
        named = {name for mapping in (self.presence, *(m.shared for m in self.matches)) for name in mapping}
        named |= {*self.categories, *([self.recurrence.category] if self.recurrence else [])}
        if unknown := named - set(CATEGORIES):
            raise ValueError(f"unknown categories {sorted(unknown)}")
        return self

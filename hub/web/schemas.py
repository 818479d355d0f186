"""What the API tells of things, and how it is made of what the hub keeps. Times are UTC; levels are dB."""

from dataclasses import asdict
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from hub.alerting.explanation import MatchExplanation
from hub.domain.episodes import Episode
from hub.domain.named_sounds import NamedSound
from hub.domain.records import Sensor, StoredEvent
from hub.domain.thresholds import Threshold
from hub.domain.verdicts import Verdict
from shared.events import ClockStatus, LevelUnit
from shared.messages import AlertMessage, MatchMessage, Probability
from shared.taxonomy import CATEGORIES

EVENT_EXAMPLE = "demo.street-1.5f2c.17"


class ErrorResponse(BaseModel):
    """Why a request was not answered."""

    detail: str = Field(examples=[f"no event {EVENT_EXAMPLE}"])


class EventView(BaseModel):
    """An archived event: one clip; `presence` holds the probability of each category."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": EVENT_EXAMPLE,
                "site": "demo",
                "sensor": "street-1",
                "captured_at": "2026-06-01T21:14:50Z",
                "received_at": "2026-06-01T21:15:01Z",
                "duration_s": 10.0,
                "laeq": 71.3,
                "lafmax": 84.0,
                "level_unit": "dB",
                "rate_hz": 48000,
                "clock": "synchronised",
                "claimed_at": None,
                "backfilled": False,
                "space": "earwitness-small-u8/1",
                "presence": {**dict.fromkeys(CATEGORIES, 0.02), "powered-saw": 0.94},
                "audio": True,
                "name": None,
            }
        }
    )

    id: str
    site: str
    sensor: str
    captured_at: datetime
    received_at: datetime
    duration_s: float
    laeq: float
    lafmax: float
    level_unit: LevelUnit
    rate_hz: int | None = Field(description="sample rate of the capture, Hz; null of events of earlier hubs")
    clock: ClockStatus = Field(description="what the sensor said of its clock")
    claimed_at: datetime | None = Field(
        description="capture time by the sensor's clock, where it is not believed and `captured_at` is of the receipt"
    )
    backfilled: bool = Field(description="whether it is a replay of an old recording")
    space: str
    presence: dict[str, Probability]
    audio: bool = Field(description="whether its sound was kept")
    name: str | None = Field(description="of the named sound that it is, as far as it was known when it was judged")


class EventList(BaseModel):
    """Events, newest first; ask again with `after` = `next` for older ones. The end is where `next` is null."""

    events: list[EventView]
    next: str | None


class SimilarList(BaseModel):
    """Similar past events, most similar first, and why: shared categories with P(both)."""

    event: str
    matches: list[MatchMessage]


class PresenceRowView(BaseModel):
    """One category of a presence matrix: probability that both, neither or one of two events contain it."""

    category: str
    both: float
    neither: float
    exactly_one: float


class ExplanationView(BaseModel):
    """Why two events match: the presence matrix, how sure, what would break the match, what drew attention."""

    event: str
    match: str
    top_category: str = Field(description="category in which they are likest; empty if they share none")
    match_probability: float = Field(description="probability that they are the same kind of sound")
    same_source: float | None = Field(
        description="probability that they come from the same source; null if the model knows no sources"
    )
    threshold: float = Field(description="likeness that an alert needs here")
    categories: list[PresenceRowView]
    counterfactuals: list[str] = Field(description="what would have to differ")
    attention: list[float] = Field(description="attention that each n-th of the event drew, in [0, 1]")
    match_attention: list[float] = Field(description="the same of the match")


class EpisodeView(BaseModel):
    """One happening of one category at one sensor, from its first clip to its last."""

    id: str
    site: str
    sensor: str
    category: str
    opened_at: datetime
    ended_at: datetime
    clips: int
    max_laeq: float
    match_probability: float = Field(
        description="highest probability of being the same kind of sound as a past event"
    )
    peak_event: str = Field(description="event in which the category is surest")
    peak_presence: float = Field(description="how sure, in [0, 1]")
    alert: str | None = Field(description="alert that it raised or belongs to")


class EpisodeList(BaseModel):
    """Episodes, the newest first; ask again with `after` = `next`."""

    episodes: list[EpisodeView]
    next: str | None


class AlertList(BaseModel):
    """Alerts, newest first; ask again with `after` = `next`."""

    alerts: list[AlertMessage]
    next: str | None


class VerdictList(BaseModel):
    """What people said, newest first; ask again with `after` = `next`."""

    feedback: list[Verdict]
    next: str | None


class ThresholdView(BaseModel):
    """From which likeness a category raises alerts at a site, and what that is expected to cost."""

    category: str
    value: float
    learnt: bool = Field(description="whether the site has learnt it; else it is the setting")
    false_alerts_per_day: float
    low: float = Field(description="of false alerts a day, lower end of a 90 % interval")
    high: float
    alerts_per_day: float
    episodes: int
    days: float
    verdicts: int


class ThresholdList(BaseModel):
    """Thresholds of a site."""

    site: str
    thresholds: list[ThresholdView]


class VerdictResult(BaseModel):
    """A verdict that was kept, and how it moved the threshold of its category."""

    verdict: Verdict
    threshold_before: float
    threshold_after: float


class ReportView(BaseModel):
    """How a sensor keeps up, as it told last: how full its spool was, what it dropped, and what is wrong with it."""

    at: datetime
    waiting: int
    spool: float
    dropped: int
    certificate_end: datetime | None
    set_aside: int = Field(description="events kept in its spool that the broker cannot take")
    spool_lost: int = Field(description="events that a damaged spool lost since the sensor was started")
    taken_over: int = Field(description="how often since then another client with its name ended its connection")
    source_failure: str = Field(description="why its source delivers nothing; empty while it delivers")


class SensorView(BaseModel):
    """A sensor, its last event, the state it announced and its last report."""

    site: str
    sensor: str
    state: str
    events: int
    last_event: str
    last_captured_at: datetime | None
    last_received_at: datetime | None
    clock_skew_s: float | None = Field(
        description="how far its clock is ahead of the hub's, in seconds; below 0 if it is behind; null if not known"
    )
    report: ReportView | None


class SensorList(BaseModel):
    """All sensors that ever spoke."""

    sensors: list[SensorView]


def event_view(event: StoredEvent, sound: NamedSound | None = None) -> EventView:
    """An event as the API tells it, with the named sound that it is."""
    return EventView(
        id=str(event.id),
        site=event.site,
        sensor=event.id.sensor,
        captured_at=event.captured_at,
        received_at=event.received_at,
        duration_s=event.duration_s,
        laeq=event.levels.laeq,
        lafmax=event.levels.lafmax,
        level_unit=event.levels.unit,
        rate_hz=event.rate_hz or None,
        clock=event.clock,
        claimed_at=event.claimed_at,
        backfilled=event.backfilled,
        space=event.space,
        presence=presence_of(event),
        audio=bool(event.clip),
        name=sound and sound.name,
    )


def presence_of(event: StoredEvent) -> dict[str, float]:
    """Probability of each category in an event, by name."""
    return {name: min(1.0, max(0.0, p)) for name, p in zip(CATEGORIES, event.presence, strict=True)}


def episode_view(episode: Episode) -> EpisodeView:
    """An episode as the API tells it."""
    site, _, sensor = episode.place.partition("/")
    return EpisodeView(
        id=episode.id,
        site=site,
        sensor=sensor,
        category=episode.category,
        opened_at=from_ms(episode.opened_ms),
        ended_at=from_ms(episode.last_ms),
        clips=episode.clips,
        max_laeq=episode.max_laeq,
        match_probability=episode.max_match_probability,
        peak_event=episode.peak_event,
        peak_presence=episode.peak_presence,
        alert=episode.alert or None,
    )


def why_view(event: StoredEvent, match: StoredEvent, why: MatchExplanation) -> ExplanationView:
    """An explanation as the API tells it."""
    return ExplanationView(
        event=str(event.id),
        match=str(match.id),
        top_category=why.lead,
        match_probability=why.match_probability,
        same_source=why.same_source,
        threshold=why.threshold,
        categories=[
            PresenceRowView(category=row.category, both=row.both, neither=row.neither, exactly_one=row.one)
            for row in why.categories
        ],
        counterfactuals=list(why.counterfactuals),
        attention=why.frames.tolist(),
        match_attention=why.match_frames.tolist(),
    )


def threshold_view(category: str, learnt: Threshold | None, start: float) -> ThresholdView:
    """A threshold as the API tells it; where none is learnt, the setting."""
    own = learnt or Threshold(start)
    return ThresholdView(
        category=category,
        value=own.value,
        learnt=learnt is not None,
        false_alerts_per_day=own.false_alerts_per_day,
        low=own.low,
        high=own.high,
        alerts_per_day=own.alerts_per_day,
        episodes=int(own.episodes),
        days=own.days,
        verdicts=int(own.verdicts),
    )


def sensor_view(sensor: Sensor) -> SensorView:
    """A sensor as the API tells it."""
    site, _, name = sensor.place.partition("/")
    return SensorView(
        site=site,
        sensor=name,
        state=sensor.state,
        events=sensor.events,
        last_event=sensor.last_event,
        last_captured_at=sensor.last_captured_at,
        last_received_at=sensor.last_received_at,
        clock_skew_s=sensor.clock_skew_s,
        report=ReportView(**asdict(sensor.report)) if sensor.report is not None else None,
    )


def from_ms(ms: int) -> datetime:
    """The time that is so many ms after 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)

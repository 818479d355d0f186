"""API representations of events, episodes and matches. Times are UTC; levels are in dB."""

from dataclasses import asdict
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from hub.alerting.explanation import MatchExplanation
from hub.domain.episodes import Episode
from hub.domain.named_sounds import NamedSound
from hub.domain.records import StoredEvent
from shared.events import ClockStatus, LevelUnit
from shared.levels.values import LevelDetails
from shared.messages.alert import MatchMessage
from shared.messages.event import LevelDetailsMessage
from shared.messages.fields import Probability
from shared.taxonomy import CATEGORIES

EVENT_EXAMPLE = "demo.street-1.5f2c.17"


class ErrorResponse(BaseModel):
    """An error: why the hub rejected a request."""

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
                "level_details": None,
                "calibration": "2026-05-20-1f3c5a",
                "calibrated_at": "2026-05-20T09:14:50Z",
                "calibration_age_days": 12.5,
                "rate_hz": 48000,
                "clock": "synchronised",
                "claimed_at": None,
                "backfilled": False,
                "backlog": False,
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
    level_details: LevelDetailsMessage | None = Field(
        description="further levels and third-octave bands; null if the sensor or an earlier hub did not keep them"
    )
    calibration: str | None = Field(
        description="id of the sensor's calibration; null if it was never calibrated, or calibrated by hand"
    )
    calibrated_at: datetime | None = Field(description="time of that calibration, by the sensor's clock")
    calibration_age_days: float | None = Field(
        description="age of that calibration at the capture, in days; null if it is not known"
    )
    rate_hz: int | None = Field(description="sample rate of the capture, Hz; null for events of earlier hubs")
    clock: ClockStatus = Field(description="status of the sensor's clock, as the sensor reported it")
    claimed_at: datetime | None = Field(
        description="capture time by the sensor's clock, if implausible; `captured_at` is then the time of receipt"
    )
    backfilled: bool = Field(description="whether it is a replay of an old recording")
    backlog: bool = Field(description="whether it waited in the sensor's spool until broker and hubs took it")
    space: str
    presence: dict[str, Probability]
    audio: bool = Field(description="whether its audio was kept in clear")
    sealed_to: list[str] = Field(
        description="public keys that its kept audio is sealed to; empty if the audio is in clear, or not kept"
    )
    name: str | None = Field(description="name of its named sound, as known when the hub judged the event")
    corrected_categories: list[str] = Field(
        [], description="categories that a verdict on its alert states instead of the hub's; empty without one"
    )


class EventList(BaseModel):
    """Events, newest first. For older ones repeat the request with `after` = `next`; null at the end."""

    events: list[EventView]
    next: str | None


class SimilarList(BaseModel):
    """Similar past events, most similar first, each with the shared categories and P(both)."""

    event: str
    matches: list[MatchMessage]


class PresenceRowView(BaseModel):
    """One category of a presence matrix: probability that both, neither or exactly one of two events contain it."""

    category: str
    both: float
    neither: float
    exactly_one: float


class ExplanationView(BaseModel):
    """Explanation of a match: presence matrix, probabilities, counterfactuals and attention."""

    event: str
    match: str
    top_category: str = Field(description="shared category with the highest match probability, or empty")
    match_probability: float = Field(description="probability that they are the same kind of sound")
    same_source: float | None = Field(
        description="probability that they come from the same source; null if the model does not distinguish sources"
    )
    threshold: float = Field(description="match probability that an alert needs at the event's site")
    categories: list[PresenceRowView]
    counterfactuals: list[str] = Field(description="differences that would prevent the match")
    attention: list[float] = Field(description="the model's attention to each n-th of the event, in [0, 1]")
    match_attention: list[float] = Field(description="the model's attention to each n-th of the match, in [0, 1]")


class EpisodeView(BaseModel):
    """One sound event of one category at one sensor, from its first clip to its last."""

    id: str
    site: str
    sensor: str
    category: str
    detected_category: str = Field(description="category that the hub detected; another one if a verdict corrects it")
    opened_at: datetime
    ended_at: datetime
    clips: int
    max_laeq: float
    match_probability: float = Field(
        description="highest probability of being the same kind of sound as a past event"
    )
    peak_event: str = Field(description="event with the highest probability of the category")
    peak_presence: float = Field(description="that probability, in [0, 1]")
    alert: str | None = Field(description="alert that it raised or belongs to")


class EpisodeList(BaseModel):
    """Episodes, newest first. For older ones repeat the request with `after` = `next`; null at the end."""

    episodes: list[EpisodeView]
    next: str | None


def event_view(event: StoredEvent, sound: NamedSound | None = None, details: LevelDetails | None = None) -> EventView:
    """Return the API representation of an event, with the name of its named sound and its level details."""
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
        level_details=None if details is None else LevelDetailsMessage.model_validate(asdict(details)),
        calibration=event.calibration and event.calibration.id,
        calibrated_at=event.calibration and event.calibration.at,
        calibration_age_days=event.calibration_age_days,
        rate_hz=event.rate_hz or None,
        clock=event.clock,
        claimed_at=event.claimed_at,
        backfilled=event.backfilled,
        backlog=event.backlog,
        space=event.space,
        presence=presence_of(event),
        audio=bool(event.clip) and not event.sealed_to,
        sealed_to=list(event.sealed_to) if event.clip else [],
        name=sound and sound.name,
    )


def presence_of(event: StoredEvent) -> dict[str, float]:
    """Return the probability of each category in an event, by name."""
    return {name: min(1.0, max(0.0, p)) for name, p in zip(CATEGORIES, event.presence, strict=True)}


def episode_view(episode: Episode) -> EpisodeView:
    """Return the API representation of an episode."""
    site, _, sensor = episode.place.partition("/")
    return EpisodeView(
        id=episode.id,
        site=site,
        sensor=sensor,
        category=episode.category,
        detected_category=CATEGORIES[int(episode.id.rpartition(".")[2])],
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
    """Return the API representation of an explanation."""
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


def from_ms(ms: int) -> datetime:
    """Return the time `ms` milliseconds after 1970-01-01 UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC)

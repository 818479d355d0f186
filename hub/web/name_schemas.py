"""API representations of named sounds, and their conversion from stored values."""

from datetime import datetime

from pydantic import BaseModel, Field

from hub.domain.named_sounds import Mode, NamedSound
from hub.domain.records import StoredEvent
from hub.store.name_returns import NameOccurrences
from hub.web.schemas import from_ms, presence_of
from shared.events import LevelUnit
from shared.messages.alert import Severity
from shared.messages.fields import Probability


class ExampleView(BaseModel):
    """An example of a named sound: a copy of an event. It stays when retention removes the event."""

    event: str
    site: str
    sensor: str
    captured_at: datetime
    duration_s: float
    laeq: float
    lafmax: float
    level_unit: LevelUnit
    space: str
    presence: dict[str, Probability]
    audio: bool = Field(description="whether a copy of its audio is stored")
    archived: bool = Field(description="whether the event itself is still in the archive")


class NameView(BaseModel):
    """A named sound, its examples, and when it was detected.

    `mode`: `shown` only shows the name; `watched` raises an alert of `severity` whenever the sound returns; `muted`
    raises no alert for it. An event gets the name if P(same source) is at least `threshold`.
    """

    id: str
    name: str
    site: str | None = Field(description="site at which the hub looks for it; null: all sites")
    mode: Mode
    threshold: Probability
    severity: Severity
    author: str = Field(description="name of the person who named it; empty if unknown")
    source: str | None = Field(description="source that was named; null if events were named")
    made_at: datetime
    examples: list[ExampleView]
    times: int = Field(description="number of returns since it was named")
    clips: int = Field(description="number of clips with it since it was named")
    last_detected_at: datetime | None = Field(description="end of the last clip in which it was detected")
    last_place: str | None = Field(description="place of that clip, `site/sensor`")
    last_event: str | None = Field(description="first event of the latest return")
    last_alert: str | None = Field(description="alert of the latest return")


class NameList(BaseModel):
    """All named sounds, sorted by name."""

    names: list[NameView]


def example_view(event: StoredEvent, *, audio: bool, archived: bool) -> ExampleView:
    """Return the API representation of an example."""
    return ExampleView(
        event=str(event.id),
        site=event.site,
        sensor=event.id.sensor,
        captured_at=event.captured_at,
        duration_s=event.duration_s,
        laeq=event.levels.laeq,
        lafmax=event.levels.lafmax,
        level_unit=event.levels.unit,
        space=event.space,
        presence=presence_of(event),
        audio=audio,
        archived=archived,
    )


def name_view(sound: NamedSound, examples: list[ExampleView], returns: NameOccurrences) -> NameView:
    """Return the API representation of a named sound."""
    last = returns.last
    return NameView(
        id=sound.id,
        name=sound.name,
        site=sound.site or None,
        mode=sound.treatment.mode,
        threshold=sound.treatment.threshold,
        severity=sound.treatment.severity,
        author=sound.author,
        source=sound.source or None,
        made_at=from_ms(sound.made_ms),
        examples=examples,
        times=returns.times,
        clips=returns.clips,
        last_detected_at=last and from_ms(last.until_ms),
        last_place=returns.place or None,
        last_event=last and last.event,
        last_alert=(last.alert or None) if last else None,
    )

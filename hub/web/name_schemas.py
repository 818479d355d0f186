"""What the API tells of named sounds, and how it is made of what the hub keeps."""

from datetime import datetime

from pydantic import BaseModel, Field

from hub.domain.named_sounds import Mode, NamedSound
from hub.domain.records import StoredEvent
from hub.store.name_returns import NameOccurrences
from hub.web.schemas import from_ms, presence_of
from shared.events import LevelUnit
from shared.messages import Probability, Severity


class ExampleView(BaseModel):
    """An example of a named sound: a copy of an event, which outlasts it."""

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
    audio: bool = Field(description="whether a copy of its sound is there")
    archived: bool = Field(description="whether the event itself is still in the archive")


class NameView(BaseModel):
    """A sound that has a name, its examples, and when it was heard.

    `mode`: `shown` only shows the name; `watched` raises an alert of `severity` whenever the sound returns; `muted`
    raises no alert of it. An event has the name from P(same source) = `threshold` on.
    """

    id: str
    name: str
    site: str | None = Field(description="where it is looked for; null: at all sites")
    mode: Mode
    threshold: Probability
    severity: Severity
    author: str = Field(description="who named it; empty if not told")
    source: str | None = Field(description="source that the name was given to; null if it was given to events")
    made_at: datetime
    examples: list[ExampleView]
    times: int = Field(description="how often it returned since it has its name")
    clips: int = Field(description="in how many clips it was heard since then")
    last_heard_at: datetime | None = Field(description="end of the last clip in which it was heard")
    last_place: str | None = Field(description="where that was, `site/sensor`")
    last_event: str | None = Field(description="first event of the latest return")
    last_alert: str | None = Field(description="alert of the latest return")


class NameList(BaseModel):
    """All named sounds, by name."""

    names: list[NameView]


def example_view(event: StoredEvent, *, audio: bool, archived: bool) -> ExampleView:
    """An example as the API tells it."""
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


def name_view(sound: NamedSound, examples: list[ExampleView], heard: NameOccurrences) -> NameView:
    """A named sound as the API tells it."""
    last = heard.last
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
        times=heard.times,
        clips=heard.clips,
        last_heard_at=last and from_ms(last.until_ms),
        last_place=heard.place or None,
        last_event=last and last.event,
        last_alert=(last.alert or None) if last else None,
    )

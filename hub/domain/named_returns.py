"""The returns of named sounds: when one begins, and whether it raises an alert.

A return begins with the first clip of a named sound at a place, and lasts for as long as at most a cool-down lies
between its clips. A watched sound raises one alert per return, whatever the site's thresholds and budget are. If
nearby sensors detect a return at the same time, the first of them raises the alert. A muted sound raises none. In
either case the alert rule counts no matches of the clip, so that it raises no second alert about its category.

Times are ms since 1970 UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hub.domain.named_sounds import Likely, recognised

KEPT: Final = 64
"""Returns of a named sound at a place that are kept, the latest ones."""


@dataclass(frozen=True, slots=True)
class Return:
    """One return of a named sound at a place, from its first clip to its last.

    Attributes:
        from_ms: begin of its first clip.
        until_ms: end of its last clip so far.
        clips: how many there were.
        event: its first clip.
        alert: that it raised or belongs to; "" if none.
    """

    from_ms: int
    until_ms: int
    clips: int
    event: str
    alert: str = ""

    def within(self, from_ms: int, until_ms: int, gap_ms: int) -> bool:
        """Return whether a span of time overlaps it, or lies at most a gap from it."""
        return self.from_ms - gap_ms <= until_ms and from_ms <= self.until_ms + gap_ms


@dataclass(frozen=True, slots=True)
class Returns:
    """The returns of a named sound at a place.

    Attributes:
        times: returns so far.
        clips: clips so far.
        kept: the latest returns, in order of time.
    """

    times: int = 0
    clips: int = 0
    kept: tuple[Return, ...] = ()

    @property
    def last(self) -> Return | None:
        """Return the latest return."""
        return self.kept[-1] if self.kept else None

    def near(self, from_ms: int, until_ms: int, gap_ms: int) -> Return | None:
        """Return the latest return that a span of time overlaps, or from which it lies at most a gap."""
        return next((one for one in reversed(self.kept) if one.within(from_ms, until_ms, gap_ms)), None)

    def forgotten(self, from_ms: int) -> bool:
        """Return whether a time lies before the returns that are kept: whether it had an alert is not known."""
        return len(self.kept) >= KEPT and from_ms < self.kept[0].from_ms

    def take(self, clip: Return, gap_ms: int) -> "Returns":
        """Return what there is with one more clip: it goes on with a return, ties some together, or begins one.

        Args:
            clip: as a return of its own, with the alert that it raises, if it does.
            gap_ms: most time between the clips of a return.
        """
        own = [one for one in self.kept if one.within(clip.from_ms, clip.until_ms, gap_ms)]
        others = [one for one in self.kept if one not in own]
        first = min([*own, clip], key=lambda one: one.from_ms)
        made = Return(
            from_ms=first.from_ms,
            until_ms=max(one.until_ms for one in (*own, clip)),
            clips=sum(one.clips for one in (*own, clip)),
            event=first.event,
            alert=next((one.alert for one in (*own, clip) if one.alert), ""),
        )
        kept = sorted([*others, made], key=lambda one: one.from_ms)[-KEPT:]
        return Returns(self.times + 1 - len(own), self.clips + clip.clips, tuple(kept))


@dataclass(frozen=True, slots=True)
class NameLog:
    """The returns of named sounds, with the changes of a batch of events.

    Attributes:
        known: stored returns, by place and id of the named sound; there are no others.
        changed: returns that changed, as they are now, by place and id of the named sound.
        names: id of the named sound of each event that has a name.
    """

    known: Mapping[tuple[str, str], Returns] = field(default_factory=dict)
    changed: Mapping[tuple[str, str], Returns] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def of(self, place: str, sound: str) -> Returns:
        """Return the returns of a named sound at a place."""
        key = (place, sound)
        return self.changed.get(key) or self.known.get(key) or Returns()

    def with_event(self, event: str, place: str, sound: str, returns: Returns) -> "NameLog":
        """Return the log with the name of an event, and with the returns of that name at the event's place."""
        return NameLog(self.known, {**self.changed, (place, sound): returns}, {**self.names, event: sound})


@dataclass(frozen=True, slots=True)
class Clip:
    """An event, as far as returns are concerned."""

    event: str
    place: str
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Naming:
    """The name of an event, and the alert of it.

    Attributes:
        likely: the named sound, and P(same source).
        alert: the alert that the return belongs to; the event's own id if it raises one; "" if there is none.
        raises: whether the event raises an alert because a watched sound returned.
        quiet: whether the alert rule must raise none of its own.
    """

    likely: Likely
    alert: str
    raises: bool
    quiet: bool


@dataclass(frozen=True, slots=True)
class Pauses:
    """The maximum pauses of a sound, ms.

    Attributes:
        gap_ms: longest pause within which a named sound goes on.
        cooldown_ms: longest pause within a return.
    """

    gap_ms: int
    cooldown_ms: int


def name(
    clip: Clip, likely: Sequence[Likely], log: NameLog, nearby: Sequence[str], pauses: Pauses
) -> tuple[Naming, NameLog] | None:
    """Give an event its name, and take it into the returns of the named sound.

    Args:
        clip: the event.
        likely: named sounds that it may be, the most probable first.
        log: of the event's place and the places near it, before the event.
        nearby: places of the sensors near the event's one.
        pauses: how long a sound may pause.

    Returns:
        The name and the log after the event; None if the event is no named sound.
    """

    def near(place: str, sound: str, gap_ms: int) -> Return | None:
        return log.of(place, sound).near(clip.from_ms, clip.until_ms, gap_ms)

    found = recognised(likely, lambda sound: near(clip.place, sound, pauses.gap_ms) is not None)
    if found is None:
        return None
    sound, own = found.sound, log.of(clip.place, found.sound.id)
    alert, raises = "", False
    if sound.treatment.mode == "watched":
        spans = [near(clip.place, sound.id, pauses.cooldown_ms)]
        spans += [near(place, sound.id, pauses.cooldown_ms) for place in nearby]
        alert = next((span.alert for span in spans if span is not None and span.alert), "")
        raises = not alert and not own.forgotten(clip.from_ms)
        alert = alert or (clip.event if raises else "")
    mine = Return(clip.from_ms, clip.until_ms, 1, clip.event, alert)
    returns = own.take(mine, pauses.cooldown_ms)
    naming = Naming(found, alert, raises, sound.treatment.mode != "shown")
    return naming, log.with_event(clip.event, clip.place, sound.id, returns)

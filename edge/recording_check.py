"""Test recordings for `check`: process them as a run would, for at most `PATIENCE_S`, without sending anything."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from edge.encode import encode
from edge.settings import EdgeSettings
from edge.sources import AudioClip, Doubtful, EmbeddingClip, RecordingSource, Source, SourceItem, UnreadableClip
from edge.sources.files import items_of
from shared.errors import InvalidError
from shared.events import EventId

PATIENCE_S: Final = 10.0
"""Seconds to test recordings: first the first clip of each, then, while time remains, all clips."""
NAMED: Final = 10
"""At most this many unreadable and this many doubtful items are named."""


@dataclass(slots=True)
class Trial:
    """The result of testing recordings.

    Attributes:
        clips: number of clips that a run would send.
        unreadable: reason by name, of items that a run would skip.
        doubtful: fault by name, of items that a run would send.
    """

    clips: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    doubtful: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """Return the faults as text, the first `NAMED` of each kind by name; empty without faults."""
        return "".join(
            f"; {len(items)} {what}: {_named(items)}"
            for what, items in (("cannot be read", self.unreadable), ("doubtful", self.doubtful))
            if items
        )


def try_source(settings: EdgeSettings, source: Source, patience_s: float = PATIENCE_S) -> str:
    """Test a replay as a run would play it.

    Returns:
        Its description, how much of it was tested, and its faults, as text.

    Raises:
        InvalidError: no tested item is readable.
    """
    until_s = time.monotonic() + patience_s
    trial = Trial()
    tried = ""
    if isinstance(source, RecordingSource):
        begun = 0
        for path in source.recordings:
            begun += 1
            _take_one(trial, settings, items_of(path))
            if time.monotonic() > until_s:
                break
        complete = begun == len(source.recordings) and _take_all(trial, settings, source, until_s)
        tried = "; all of them were tested" if complete else f"; the first clips of {begun} were tested"
    else:
        _take_one(trial, settings, source.clips(threading.Event()))
    if not trial.clips:
        raise InvalidError(f"{source.description}: none of them is readable{trial.summary()}")
    return f"{source.description}; the first clip is readable{tried}{trial.summary()}"


def _take_one(trial: Trial, settings: EdgeSettings, items: Iterator[SourceItem]) -> None:
    """Process items until one is a clip."""
    clips = trial.clips
    for item in items:
        _take(trial, settings, item)
        if trial.clips > clips:
            return


def _take_all(trial: Trial, settings: EdgeSettings, source: RecordingSource, until_s: float) -> bool:
    """Process every clip until `until_s`; return whether all were processed."""
    for path in source.recordings:
        for item in items_of(path):
            _take(trial, settings, item)
            if time.monotonic() > until_s:
                return False
    return True


def _take(trial: Trial, settings: EdgeSettings, item: SourceItem) -> None:
    match item:
        case UnreadableClip(what, reason):
            trial.unreadable[what] = reason
        case Doubtful(what, reason):
            trial.doubtful.setdefault(what, reason)
        case AudioClip() | EmbeddingClip():
            start = settings.source.start_or(datetime.now(UTC))
            try:
                encode(item, EventId(settings.sensor.site, settings.sensor.name, "check", 0), captured_at=start)
                trial.clips += 1
            except InvalidError as error:
                what = (item.origin if isinstance(item, AudioClip) else None) or "an embedding"
                trial.unreadable[what] = str(error)


def _named(items: dict[str, str]) -> str:
    names = ", ".join(f"{what} ({reason})" for what, reason in list(items.items())[:NAMED])
    return f"{names} and {len(items) - NAMED} more" if len(items) > NAMED else names

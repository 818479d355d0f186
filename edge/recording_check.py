"""What `check` finds out about recordings: it does to them what a run would do, for a while, and sends nothing."""

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
"""How long recordings are tried: first the first clip of each, then, while there is time, the rest."""
NAMED: Final = 10
"""So many unreadable and doubtful items are told one by one."""


@dataclass(slots=True)
class Trial:
    """What was found.

    Attributes:
        clips: clips that would be sent.
        unreadable: why what would be skipped cannot be read, by what it is.
        doubtful: what is wrong with what would be sent, by what it is.
    """

    clips: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    doubtful: dict[str, str] = field(default_factory=dict)

    def told(self) -> str:
        """All of it in words, the first few by name; empty if there is nothing to tell."""
        return "".join(
            f"; {len(found)} {what}: {_named(found)}"
            for what, found in (("cannot be read", self.unreadable), ("doubtful", self.doubtful))
            if found
        )


def try_source(settings: EdgeSettings, source: Source, patience_s: float = PATIENCE_S) -> str:
    """Try a replay in the way a run would play it.

    Returns:
        What it is, how much of it was tried, and what is wrong with it.

    Raises:
        Invalid: nothing that was tried is readable.
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
        tried = "; all of them were tried" if complete else f"; the beginnings of {begun} were tried"
    else:
        _take_one(trial, settings, source.clips(threading.Event()))
    if not trial.clips:
        raise InvalidError(f"{source.description}: not one of them is readable{trial.told()}")
    return f"{source.description}; the first clip is readable{tried}{trial.told()}"


def _take_one(trial: Trial, settings: EdgeSettings, items: Iterator[SourceItem]) -> None:
    """Take items until one is a clip."""
    clips = trial.clips
    for item in items:
        _take(trial, settings, item)
        if trial.clips > clips:
            return


def _take_all(trial: Trial, settings: EdgeSettings, source: RecordingSource, until_s: float) -> bool:
    """Take every clip; whether there was time for it."""
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


def _named(found: dict[str, str]) -> str:
    names = ", ".join(f"{what} ({reason})" for what, reason in list(found.items())[:NAMED])
    return f"{names} and {len(found) - NAMED} more" if len(found) > NAMED else names

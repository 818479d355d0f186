"""Verdicts in a file, each with the events it is about: one JSON object a line.

The hub writes it, training reads it, on whichever machine has the time. It holds features, never audio.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from hub.domain.records import StoredEvent
from hub.domain.verdicts import Verdict
from hub.store.events import EventStore
from shared.errors import InvalidError, UnavailableError
from shared.events import EventId
from shared.feature_space import Features, get_space
from shared.text_files import read_text


@dataclass(frozen=True, slots=True, eq=False)
class ExportedEvent:
    """An event as far as a verdict needs it.

    Attributes:
        event: its id.
        space: id of its feature space.
        features: uint8 [frames, dimension] of it.
        presence: probability of each category that the hub had stated.
    """

    event: str
    space: str
    features: Features
    presence: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ExportedVerdict:
    """A verdict, the event of its alert, and the match: the best one if the verdict was on the whole alert."""

    verdict: Verdict
    event: ExportedEvent
    match: ExportedEvent


def with_events(
    archive: EventStore, verdicts: Iterable[Verdict]
) -> Iterator[tuple[Verdict, StoredEvent, StoredEvent]]:
    """Each verdict with its two events; verdicts whose events expired are left out.

    Raises:
        UnavailableError: the store is away.
    """
    for verdict in verdicts:
        name = verdict.match
        if name is None:
            alert = archive.alerts.get(verdict.alert)
            name = alert.matches[0].event if alert is not None else ""
        found = archive.fetch([verdict.alert, name]) if name else []
        if len(found) == 2:
            yield verdict, found[0], found[1]


def write_verdicts(path: Path, pairs: Iterable[tuple[Verdict, StoredEvent, StoredEvent]]) -> int:
    """Write a file of verdicts.

    Returns:
        How many.

    Raises:
        UnavailableError: the file cannot be written.
    """
    count = 0
    try:
        with path.open("w", encoding="utf-8") as file:
            for verdict, event, match in pairs:
                row = {
                    "verdict": verdict.model_dump(mode="json"),
                    "event": _document(event),
                    "match": _document(match),
                }
                file.write(json.dumps(row) + "\n")
                count += 1
    except OSError as error:
        raise UnavailableError(f"cannot write {path}: {error.strerror}") from error
    return count


def read_verdicts(path: Path) -> list[ExportedVerdict]:
    """Read a file of verdicts.

    Raises:
        UnavailableError: the file cannot be read.
        InvalidError: a line is not a verdict; the text names its number.
    """
    made = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            verdict = Verdict.model_validate(row["verdict"])
            made.append(ExportedVerdict(verdict, _event(row["event"]), _event(row["match"])))
        except (
            ValueError,
            KeyError,
            TypeError,
            ValidationError,
            binascii.Error,
            RecursionError,
            InvalidError,
        ) as error:
            raise InvalidError(f"{path}, line {number}: not a verdict: {type(error).__name__}: {error}") from error
    return made


def _document(event: StoredEvent) -> dict[str, Any]:
    return {
        "event": str(event.id),
        "space": event.space,
        "features": base64.b64encode(event.features.tobytes()).decode(),
        "presence": [round(p, 4) for p in event.presence],
    }


def _event(row: dict[str, Any]) -> ExportedEvent:
    space = get_space(row["space"])
    raw = np.frombuffer(base64.b64decode(row["features"], validate=True), dtype=np.uint8)
    features = raw.reshape(space.shape)
    return ExportedEvent(str(EventId.parse(row["event"])), space.id, features, tuple(map(float, row["presence"])))

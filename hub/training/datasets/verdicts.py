"""Training clips with labels from verdicts on alerts.

Labels start as the categories that the hub detected in an event; verdicts correct them:

| verdict | event of the alert | match |
|---|---|---|
| same | contains the category | contains the category |
| wrong-category | contains exactly the categories named; if none were, lacks the category | as detected |
| different | | |
| ignore | | |

"Different" states that two clips differ, not which of them lacks a category. It adjusts thresholds and judges
candidates, but gives no label, so its clips are left out.
"""

from pathlib import Path
from typing import Final

import numpy as np

from hub.domain.match import PRESENCE_THRESHOLD
from hub.domain.presence_matrix import Labels
from hub.store.verdict_file import ExportedEvent, ExportedVerdict, read_verdicts
from hub.training.dataset import Dataset
from shared.errors import InvalidError
from shared.feature_space import Features, get_space
from shared.taxonomy import CATEGORIES

GROUP: Final = "feedback"


def load_feedback(path: Path, space: str, times: int = 1) -> Dataset:
    """Read clips with labels from a file of verdicts, all of the domain; the last verdict on a clip counts.

    Args:
        path: as `earwitness-hub feedback export` wrote it.
        space: id of the feature space; clips of others are left out.
        times: number of copies of each clip, to give few verdicts weight among many other clips.

    Raises:
        UnavailableError: the file cannot be read.
        InvalidError: the file is damaged, or labels no clip of this feature space.
    """
    labelled: dict[str, tuple[Features, Labels]] = {}
    for pair in read_verdicts(path):
        for event, labels in _corrected(pair):
            if event.space == space:
                labelled[event.event] = (event.features, labels)
    if not labelled:
        raise InvalidError(f"{path} holds no verdict that labels a clip of {space}")
    clips = list(labelled.values()) * times
    return Dataset(
        get_space(space),
        np.stack([features for features, _ in clips]),
        np.stack([labels for _, labels in clips]),
        np.full(len(clips), GROUP),
    )


def _corrected(pair: ExportedVerdict) -> list[tuple[ExportedEvent, Labels]]:
    verdict = pair.verdict
    column = CATEGORIES.index(verdict.category)
    event, match = _detected(pair.event), _detected(pair.match)
    if verdict.verdict == "same":
        event[column] = match[column] = 1
        return [(pair.event, event), (pair.match, match)]
    if verdict.verdict == "wrong-category":
        if verdict.categories:
            event[:] = [name in verdict.categories for name in CATEGORIES]
        else:
            event[column] = 0
        return [(pair.event, event)]
    return []


def _detected(event: ExportedEvent) -> Labels:
    return (np.asarray(event.presence) >= PRESENCE_THRESHOLD).astype(np.uint8)

"""The towers that the archive keeps of an event, so that no feature has to be embedded again."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hub.domain.records import StoredEmbeddings, StoredEvent
from hub.search.backend import Towers
from hub.search.scoring.scorer import Scorer


def embeddings_to_store(scorer: Scorer, towers: Towers) -> StoredEmbeddings | None:
    """Return one event's archived towers.

    Args:
        scorer: whose `embed` gave the towers.
        towers: float [steps, width].

    Returns:
        None if they take more than half the bytes of the event's features, and so are not worth their room.
    """
    layout = scorer.layout
    kept_bytes = layout.steps * layout.width * np.dtype(np.float16).itemsize + layout.values
    frames, dimension = scorer.space.shape
    if 2 * kept_bytes > frames * dimension:
        return None
    return StoredEmbeddings(scorer.fingerprint, *layout.archived(towers))


def archived_towers(scorer: Scorer, events: Sequence[StoredEvent]) -> npt.NDArray[np.float16]:
    """Return the towers of archived events; what this network did not leave there is computed.

    Args:
        scorer: of the events' feature space.
        events: n of them.

    Returns:
        float16 [n, steps, width], as of `Scorer.embed`.
    """
    made = np.empty((len(events), *scorer.tower_shape), dtype=np.float16)
    missing = []
    for number, event in enumerate(events):
        found, known = event.towers, None
        if found is not None and found.network == scorer.fingerprint:
            known = scorer.layout.from_archive(found.values, found.identity)
        if known is None:
            missing.append(number)
        else:
            made[number] = known
    if missing:
        made[missing] = scorer.embed(np.stack([events[number].features for number in missing]))
    return made

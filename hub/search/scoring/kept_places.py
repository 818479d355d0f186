"""The scorer of searches in which no event keeps a place by source (`hub.domain.closest_source`)."""

from copy import copy

from hub.search.scoring.scorer import Scorer
from hub.search.scoring.sketches import Cosine, Sketch


def without_kept_places(scorer: Scorer) -> Scorer:
    """Return a scorer with the same networks that keeps no place by source: one scan is enough for it."""
    if not scorer.identities.keep_places:
        return scorer
    made = copy(scorer)
    made.identities = scorer.identities.without_places()
    if scorer.sketch is not None:
        made.sketch = Sketch(scorer.sketch.kind, Cosine(scorer.layout, made.identities))
    return made

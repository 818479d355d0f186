"""What the clips that a network learnt from are like, for its record: a hub tells how unlike them a place is."""

from dataclasses import replace

from hub.domain.psi import Reference
from hub.model.checkpoint import Checkpoint
from hub.search.scoring.scorer import Scorer
from hub.training.dataset import Dataset


def add_drift_reference(checkpoint: Checkpoint, clips: Dataset) -> Checkpoint:
    """A checkpoint whose record tells how presence and embeddings of the clips it learnt from are distributed.

    Args:
        checkpoint: a trained network.
        clips: what it learnt from; those that are not of its domain are left out.
    """
    learnt = clips.take(clips.in_domain)
    scorer = Scorer(checkpoint)
    presence = scorer.presence(scorer.embed(learnt.features))
    reference = Reference.from_sample(presence, learnt.features, spans=len(learnt))
    return replace(checkpoint, record={**checkpoint.record, "reference": reference.document()})

"""Statistics of a network's training clips for its record, as the reference for drift detection."""

from dataclasses import replace

from hub.domain.psi import Reference
from hub.model.checkpoint import Checkpoint
from hub.search.scoring.scorer import Scorer
from hub.training.dataset import Dataset


def add_drift_reference(checkpoint: Checkpoint, clips: Dataset) -> Checkpoint:
    """Return the checkpoint with the distribution of presence and embeddings of its training clips in the record.

    Args:
        checkpoint: a trained network.
        clips: its training clips; those outside its domain are left out.
    """
    in_domain = clips.take(clips.in_domain)
    scorer = Scorer(checkpoint)
    presence = scorer.presence(scorer.embed(in_domain.features))
    reference = Reference.from_sample(presence, in_domain.features, spans=len(in_domain))
    return replace(checkpoint, record={**checkpoint.record, "reference": reference.document()})

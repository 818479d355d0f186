"""The fingerprint of a checkpoint, by which stored towers and sketches are known to be of the same weights."""

import hashlib
from typing import Final

from hub.model.checkpoint import Checkpoint

_LAYOUT: Final = b"2"
"""To be changed with whatever makes other towers or sketches of the same weights."""


def fingerprint(checkpoint: Checkpoint) -> str:
    """Return 16 hex digits that change with the weights, and with what is made of them."""
    digest = hashlib.sha256(_LAYOUT)
    identity = checkpoint.identity
    parts = (checkpoint.network, checkpoint.sketch, None if identity is None else identity.network)
    for part in parts:
        for name, value in () if part is None else sorted(part.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]

"""The networks that `train` knows, by name. The command line shows the names, so nothing here imports PyTorch."""

from typing import Final

TAGGED: Final = "tagged"
TAGS_ONLY: Final = "tag-and-compare"
OUTBOXES_KEY: Final = tuple(
    f"{models}{siamese}{attention}"
    for models in ("single", "multi")
    for siamese in ("-siamese", "")
    for attention in ("-attention", "")
)
"""The paper's eight networks, its own first."""
METHODS: Final = (TAGGED, TAGS_ONLY, "paper", *OUTBOXES_KEY)
"""Networks that `train` knows: ours, the tagger alone, and the paper's with its variants."""

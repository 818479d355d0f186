"""The metrics as text, in the format that is asked for."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from shared.content_negotiation import preferred


def expose(registry: CollectorRegistry, accept: str | None) -> tuple[bytes, str]:
    """The metrics, and their content type.

    Args:
        registry: what there is.
        accept: header `Accept` of the request: who prefers OpenMetrics is told exemplars too.
    """
    encode, content_type = choose_encoder(preferred(accept or ""))
    return encode(registry), content_type

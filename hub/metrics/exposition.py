"""Render metrics as text, in the requested format."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from shared.content_negotiation import preferred


def expose(registry: CollectorRegistry, accept: str | None) -> tuple[bytes, str]:
    """Return the rendered metrics and their content type.

    Args:
        registry: the metrics.
        accept: header `Accept` of the request. OpenMetrics, if preferred, includes exemplars.
    """
    encode, content_type = choose_encoder(preferred(accept or ""))
    return encode(registry), content_type

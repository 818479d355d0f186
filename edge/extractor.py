"""Open the configured feature extractor, for sensors that send embeddings instead of audio."""

from edge.settings import EdgeSettings
from shared.backbones import resolve_manifest
from shared.errors import InvalidError
from shared.extractor import FeatureExtractor


def open_extractor(settings: EdgeSettings) -> FeatureExtractor | None:
    """Return the extractor that the settings name or need; None if the sensor sends audio alone.

    Raises:
        InvalidError: the source delivers embeddings, the manifest is invalid, or the model has another checksum.
        UnavailableError: a file is missing.
    """
    if settings.feature_space is None:
        return None
    if settings.source.kind == "embeddings":
        raise InvalidError("source.kind = embeddings has no audio: features.space must not be set")
    from shared.backbones.onnx_backbone import Backbone  # noqa: PLC0415 - sensors that send audio do not load it

    return Backbone(resolve_manifest(settings.feature_space))

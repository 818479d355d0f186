"""What leaves the sensor: the sound itself, or only what a backbone makes of it."""

from edge.settings import EdgeSettings
from shared.backbones import resolve_manifest
from shared.errors import InvalidError
from shared.extractor import FeatureExtractor


def open_extractor(settings: EdgeSettings) -> FeatureExtractor | None:
    """The extractor that the settings name; None if sound is sent.

    Raises:
        Invalid: embeddings that are embedded already, a description that is not understood, or another model.
        Unavailable: a file that is not there.
    """
    if settings.features.space is None:
        return None
    if settings.source.kind == "embeddings":
        raise InvalidError("source.kind = embeddings has no sound: features.space must not be set")
    from shared.backbones.onnx_backbone import Backbone  # noqa: PLC0415 - sensors that send sound do not load the runtime

    return Backbone(resolve_manifest(settings.features.space))

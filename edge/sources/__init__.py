"""Where sound comes from: one iterator protocol, four sources.

A replay (scene, files, embeddings) can wait; the agent stamps and paces its clips. A live source
(microphone) stamps its own and cannot wait.
"""

from edge.settings import EdgeSettings
from edge.sources.embeddings import EmbeddingSource
from edge.sources.files import FileSource
from edge.sources.microphone import MicrophoneSource
from edge.sources.protocol import Doubtful, Embedded, Item, Sound, Source, Unreadable
from edge.sources.synthetic import StreetSource
from shared.errors import Invalid

__all__ = ["Doubtful", "Embedded", "FileSource", "Item", "Sound", "Source", "Unreadable", "open_source"]


def open_source(settings: EdgeSettings) -> Source:
    """Open the source that the settings name.

    Raises:
        Invalid: data that is not what the settings promise.
        Unavailable: a folder or file that is not there. A microphone that is missing is told when it is listened to.
    """
    source = settings.source
    if source.kind == "scene":
        return StreetSource(
            sensor=settings.sensor.name,
            seed=source.seed,
            shard_index=source.shard_index,
            rate_hz=source.rate_hz or 22_050,
        )
    if source.kind == "microphone":
        return MicrophoneSource(device=source.device, rate_hz=source.rate_hz or 48_000)
    if source.path is None:
        raise Invalid(f"source.kind = {source.kind} needs source.path")
    if source.kind == "files":
        return FileSource(source.path, source.shard_index, source.shard_count, loop=source.loop)
    return EmbeddingSource(source.path, source.shard_index, source.shard_count, loop=source.loop)

"""The five sources of clips, with one iterator protocol.

A replay (synthetic, files, embeddings) can wait; the agent stamps and paces its clips. A live source (microphone,
stream) stamps its own clips and cannot wait.
"""

from edge.settings import EdgeSettings
from edge.sources.embeddings import EmbeddingSource
from edge.sources.files import RecordingSource
from edge.sources.live_blocks import DEFAULT_RATE_HZ
from edge.sources.microphone import MicrophoneSource
from edge.sources.protocol import AudioClip, Doubtful, EmbeddingClip, Source, SourceItem, UnreadableClip
from edge.sources.stream import StreamSource
from edge.sources.synthetic import SyntheticSource
from shared.errors import InvalidError

__all__ = [
    "AudioClip",
    "Doubtful",
    "EmbeddingClip",
    "RecordingSource",
    "Source",
    "SourceItem",
    "UnreadableClip",
    "open_source",
]


def open_source(settings: EdgeSettings) -> Source:
    """Open the source that the settings name.

    Raises:
        InvalidError: the data does not match the settings.
        UnavailableError: a folder or file is missing. A missing microphone or stream is reported by `clips`,
            not here.
    """
    source = settings.source
    if source.kind == "synthetic":
        return SyntheticSource(
            sensor=settings.sensor.name,
            seed=source.seed,
            shard_index=source.shard_index,
            rate_hz=source.rate_hz or 22_050,
        )
    if source.kind == "microphone":
        return MicrophoneSource(device=source.device, rate_hz=source.rate_hz or DEFAULT_RATE_HZ)
    if source.kind == "stream":
        return StreamSource(
            settings.stream.resolve_url(),
            ffmpeg=settings.stream.ffmpeg,
            rate_hz=source.rate_hz or DEFAULT_RATE_HZ,
            silent_s=settings.stream.silent_s,
        )
    if source.path is None:
        raise InvalidError(f"source.kind = {source.kind} needs source.path")
    if source.kind == "files":
        return RecordingSource(source.path, source.shard_index, source.shard_count, loop=source.loop)
    return EmbeddingSource(source.path, source.shard_index, source.shard_count, loop=source.loop)

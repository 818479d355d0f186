"""The settings of a sensor, in groups. The CLI builds them once."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from edge.send_settings import SendSettings
from edge.stream_settings import StreamSettings
from shared.events import CLIP_S, EARLIEST, LATEST
from shared.feature_space import EARWITNESS_SMALL
from shared.settings import LogSettings, MqttSettings, SettingsGroup
from shared.sockets import plain_host

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
LONGEST_REPLAY: Final = timedelta(days=30)
"""A replay at a speed above 1 and without `max_clips` begins this long before the present."""
SourceKind = Literal["synthetic", "files", "embeddings", "microphone", "stream"]


class SensorSettings(SettingsGroup):
    """The identity of this sensor."""

    site: Name = Field("demo", description="name of the network: a-z, 0-9 and hyphens")
    name: Name = Field("sensor-1", description="this sensor's name, unique within the site")
    report_interval_s: float = Field(
        300.0, ge=1, le=86_400, description="seconds between two reports of spooled and dropped events"
    )


class SourceSettings(SettingsGroup):
    """The source of the sensor's clips."""

    kind: SourceKind = Field(
        "synthetic",
        description="synthetic (a street), files, embeddings (.npz), microphone or stream (network, group `stream`)",
    )
    path: Path | None = Field(
        None, description="folder of .wav/.flac/.ogg recordings (links are followed), or the .npz file of embeddings"
    )
    seed: int = Field(0, ge=0, description="synthetic: sensors with the same seed share their sound sources")
    speed: float = Field(1.0, gt=0, le=1e6, description="replays: seconds of stream time per second of wall time")
    start_time: AwareDatetime | None = Field(
        None,
        description="replays: stream time of the first clip. If not given: the time of the start, or, at a speed"
        " above 1, an earlier time, so that no clip of `max_clips` or of 30 days is later than the clock",
    )
    backfilled: bool | None = Field(
        None,
        description="replays: whether the clips are old recordings. Hubs list alerts of old recordings and do not"
        " send them. If not given: true if `start_time` is given",
    )
    timestamps: Literal["stream", "played"] = Field(
        "stream",
        description="replays: stream (clips follow each other from `start_time` at any speed) or played (each clip"
        " ends when it is played, so that clips overlap at a speed above 1)",
    )
    loop: bool = Field(default=False, description="files, embeddings: begin again at the end")
    shard_index: int = Field(0, ge=0, description="files, embeddings: index of this sensor's part, from 0")
    shard_count: int = Field(1, ge=1, description="files, embeddings: number of sensors that share the data")
    max_clips: int | None = Field(None, ge=1, description="stop after this many clips")
    device: str | None = Field(
        None, description="microphone: name or number of the input device; the system's default if not given"
    )
    rate_hz: int | None = Field(
        None, ge=8_000, le=384_000, description="microphone, stream: 48000 if not given; synthetic: 22050"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "SourceSettings":
        if self.kind in {"files", "embeddings"} and self.path is None:
            raise ValueError(f"kind = {self.kind} needs a path")
        if self.start_time is not None and not EARLIEST <= self.start_time < LATEST:
            raise ValueError("start_time must be in the years 1970 to 2199")
        if self.shard_index >= self.shard_count:
            raise ValueError("shard_index must be below shard_count")
        return self

    def start_or(self, now: datetime) -> datetime:
        """Return the stream time of a replay's first clip: `start_time`, or one that puts no clip after `now`."""
        if self.start_time is not None:
            return self.start_time
        if self.speed <= 1.0:
            return now
        most = int(LONGEST_REPLAY.total_seconds() / CLIP_S)
        return now - timedelta(seconds=CLIP_S * min(self.max_clips or most, most))

    @property
    def replays_the_past(self) -> bool:
        """Return whether the clips of a replay are old recordings."""
        return self.start_time is not None if self.backfilled is None else self.backfilled


class FeatureSettings(SettingsGroup):
    """The choice between audio and embeddings, and the feature extractor."""

    space: str | None = Field(
        None,
        description="send embeddings instead of audio: earwitness-small, or the manifest (.toml) of your own"
        " backbone or of VGGish (`earwitness-hub export-edge`). The sensor sends audio if not given",
    )
    with_sound: bool = Field(default=False, description="send the audio next to the embedding")


class PrivacySettings(SettingsGroup):
    """Treatment of speech in the sensor's audio, and encryption of the audio."""

    no_speech: bool = Field(
        default=False,
        description="withhold the audio of each clip in which the sensor detects speech. Every event then has an"
        " embedding",
    )
    sealed_to: str | None = Field(
        None,
        description="encrypt the audio on the sensor to this public key (age1...), or to the public keys in this"
        " file, one per line. Every event then has an embedding. The hub cannot play the audio; the page plays it"
        " with the private key",
    )

    @property
    def needs_embeddings(self) -> bool:
        """Return whether the hub does not get the audio of every clip in clear, so the sensor must embed it."""
        return self.no_speech or self.sealed_to is not None


class LevelSettings(SettingsGroup):
    """The unit of reported sound levels, and the one-second series."""

    series: bool = Field(
        default=True,
        description="send the levels of every second, one message per minute (1 MB a day), whatever `send.what` is",
    )
    bands: bool = Field(
        default=False, description="series: also send the one-third-octave bands of every second (4 MB a day more)"
    )
    full_scale_db_spl: float | None = Field(
        None,
        ge=0,
        le=190,
        description="dB SPL (re 20 µPa) of a 0 dBFS sine at this microphone. It wins over the history of"
        " calibrations; if neither is given, levels are in dBFS",
    )


class CalibrationSettings(SettingsGroup):
    """The history of calibrations, and the correction of the microphone's frequency response."""

    history: Path | None = Field(
        None,
        description="JSON lines that `calibrate` writes; the sensor uses the last one. If not given: next to the"
        " spool, its name with .calibrations.jsonl instead of .db",
    )
    correction: Path | None = Field(
        None,
        description="CSV of the microphone or its housing: frequency_hz, and correction_db (added to levels) or"
        " response_db (subtracted), relative to 1 kHz",
    )


class SpoolSettings(SettingsGroup):
    """The file that keeps events until the broker has acknowledged them."""

    path: Path | None = Field(
        None,
        description="SQLite file; earwitness-spool/<site>-<sensor>.db in the current folder if not given",
    )
    max_bytes: int = Field(
        1024**3,
        ge=16 * 1024**2,
        description="maximum bytes of kept events. When full, a replay waits, and a microphone sheds audio, then"
        " embeddings, then levels, the oldest first",
    )
    max_age_s: float = Field(
        2_592_000.0,
        ge=3_600,
        description="drop events after this many seconds in the spool, in time for which the sensor ran",
    )
    resend_window_s: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="keep acknowledged events for this many seconds of connection, to send them again after a"
        " reconnection",
    )
    hold_after_s: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="when no hub accepts events for this many seconds, keep events in the spool instead of publishing"
        " them",
    )


class CommandSettings(SettingsGroup):
    """Commands of hubs to this sensor, over the broker."""

    enabled: bool = Field(
        default=False,
        description="accept commands of hubs: query and change settings, restart, self-test, a clip. Only enable this"
        " at a broker that lets hubs alone publish commands",
    )
    rollback_after_s: float = Field(
        60.0,
        ge=1,
        le=90,
        description="undo a change of settings by a hub if the sensor has not reached a hub within this many seconds"
        " after its restart",
    )


class MetricsSettings(SettingsGroup):
    """The HTTP endpoint for a Prometheus server."""

    port: int = Field(0, ge=0, le=65535, description="port of /metrics; 0 disables it")
    host: str = Field(
        "127.0.0.1", description="address to listen on; 0.0.0.0 or :: for all; without login or encryption"
    )

    @field_validator("host")
    @classmethod
    def _without_brackets(cls, host: str) -> str:
        return plain_host(host)


class EdgeSettings(BaseSettings):
    """The settings of `earwitness-edge`."""

    model_config = SettingsConfigDict(
        env_prefix="EARWITNESS_EDGE_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    sensor: SensorSettings = SensorSettings()
    mqtt: MqttSettings = MqttSettings()
    source: SourceSettings = SourceSettings()
    stream: StreamSettings = StreamSettings()
    features: FeatureSettings = FeatureSettings()
    send: SendSettings = SendSettings()
    privacy: PrivacySettings = PrivacySettings()
    levels: LevelSettings = LevelSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    spool: SpoolSettings = SpoolSettings()
    commands: CommandSettings = CommandSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    def spool_path(self) -> Path:
        """Return the path of the spool's file: `spool.path`, or one per sensor under the current folder."""
        return self.spool.path or Path("earwitness-spool") / f"{self.sensor.site}-{self.sensor.name}.db"

    def calibration_path(self) -> Path:
        """Return the path of the history of calibrations: `calibration.history`, or a file next to the spool."""
        return self.calibration.history or self.spool_path().with_suffix(".calibrations.jsonl")

    @model_validator(mode="after")
    def _stream_is_given(self) -> "EdgeSettings":
        if self.source.kind == "stream" and not self.stream.is_given:
            raise ValueError("source.kind = stream needs stream.url or stream.url_file")
        return self

    @model_validator(mode="after")
    def _levels_exist(self) -> "EdgeSettings":
        if self.send.what == "levels" and not self.levels.series:
            raise ValueError("send.what = levels needs levels.series = true")
        if self.levels.bands and not self.levels.series:
            raise ValueError("levels.bands = true needs levels.series = true")
        if self.send.what == "levels" and self.source.kind == "embeddings":
            raise ValueError("send.what = levels needs a source with audio, not embeddings")
        return self

    @property
    def feature_space(self) -> str | None:
        """Return the feature space of the embeddings that the sensor computes; None if it computes none."""
        if not self.sends_clips:
            return None
        if self.features.space is not None or self.source.kind == "embeddings":
            return self.features.space
        needed = self.send.what == "embeddings" or self.features.with_sound or self.privacy.needs_embeddings
        return EARWITNESS_SMALL.id if needed else None

    @property
    def sends_clips(self) -> bool:
        """Return whether the sensor sends events, and not levels alone."""
        return self.send.what != "levels"

    @property
    def sends_sound(self) -> bool:
        """Return whether events may contain audio."""
        if not self.sends_clips or self.send.what == "embeddings" or self.source.kind == "embeddings":
            return False
        return self.feature_space is None or self.features.with_sound or self.privacy.needs_embeddings

    def client_id(self) -> str:
        """Return the MQTT client id. It is stable because the broker keeps a session under it."""
        return f"earwitness-edge-{self.sensor.site}-{self.sensor.name}"

"""Everything an operator can set on a sensor, in groups; built once, in the CLI."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.events import CLIP_S, EARLIEST, LATEST
from shared.settings import LogSettings, MqttSettings, SettingsGroup
from shared.sockets import plain_host

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
LONGEST_REPLAY: Final = timedelta(days=30)
"""A replay faster than the clock, and without a limit, begins so long before the present."""
SourceKind = Literal["synthetic", "files", "embeddings", "microphone"]


class SensorSettings(SettingsGroup):
    """Who this sensor is."""

    site: Name = Field("demo", description="the network's name: a-z, 0-9 and hyphens")
    name: Name = Field("sensor-1", description="this sensor's name, unique within the site")
    report_interval_s: float = Field(
        300.0, ge=1, le=86_400, description="how often it tells what waits in its spool and what it dropped"
    )


class SourceSettings(SettingsGroup):
    """What the sensor listens to."""

    kind: SourceKind = Field("synthetic", description="synthetic (a street), files, embeddings (.npz) or microphone")
    path: Path | None = Field(
        None, description="folder of .wav/.flac/.ogg recordings (links are followed), or the .npz file of embeddings"
    )
    seed: int = Field(0, ge=0, description="synthetic: sensors with the same seed hear the same neighbourhood")
    speed: float = Field(
        1.0, gt=0, le=1e6, description="replays: how many seconds of stream pass in one of wall time"
    )
    start_time: AwareDatetime | None = Field(
        None,
        description="replays: stream time of the first clip; if not given, the moment of the start, or at a speed"
        " above 1 so much earlier that the last clip of `max_clips`, or of 30 days, is not ahead of the clock",
    )
    backfilled: bool | None = Field(
        None,
        description="replays: whether the clips are old recordings, whose alerts hubs list and send to nobody;"
        " if not given, they are when `start_time` is given",
    )
    timestamps: Literal["stream", "played"] = Field(
        "stream",
        description="replays: stream (clips follow each other from `start_time`, whatever the speed) or played (each"
        " clip ends when it is played, so that above speed 1 clips overlap)",
    )
    loop: bool = Field(default=False, description="files, embeddings: begin again at the end")
    shard_index: int = Field(
        0, ge=0, description="files, embeddings: which part of the data is this sensor's, from 0"
    )
    shard_count: int = Field(1, ge=1, description="files, embeddings: among how many sensors the data is divided")
    max_clips: int | None = Field(None, ge=1, description="stop after this many clips")
    device: str | None = Field(
        None, description="microphone: name or number of the input device; the system's default if not given"
    )
    rate_hz: int | None = Field(
        None, ge=8_000, le=384_000, description="microphone: 48000 if not given; synthetic: 22050"
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
        """Stream time of the first clip of a replay, so early that nothing is captured later than now."""
        if self.start_time is not None:
            return self.start_time
        if self.speed <= 1.0:
            return now
        most = int(LONGEST_REPLAY.total_seconds() / CLIP_S)
        return now - timedelta(seconds=CLIP_S * min(self.max_clips or most, most))

    @property
    def replays_the_past(self) -> bool:
        """Whether the clips of a replay are old recordings."""
        return self.start_time is not None if self.backfilled is None else self.backfilled


class FeatureSettings(SettingsGroup):
    """Whether sound leaves the sensor, or only what a backbone makes of it."""

    space: str | None = Field(
        None,
        description="send embeddings instead of sound: earwitness-small, or the description (.toml) of a backbone of"
        " your own; sound is sent if not given",
    )


class LevelSettings(SettingsGroup):
    """How levels are reported."""

    full_scale_db_spl: float | None = Field(
        None,
        ge=0,
        le=190,
        description="dB SPL (re 20 µPa) of a 0 dBFS sine at this microphone; levels are in dBFS if not given",
    )


class SpoolSettings(SettingsGroup):
    """Where clips wait until the broker has them."""

    path: Path | None = Field(
        None,
        description="SQLite file; earwitness-spool/<site>-<sensor>.db in the current folder if not given",
    )
    max_bytes: int = Field(
        1024**3, ge=16 * 1024**2, description="most bytes of clips kept; beyond that capture waits or drops"
    )
    resend_window_s: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="for how many seconds of connection acknowledged clips are kept, to be sent again after a"
        " reconnection",
    )
    hold_after_s: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="how long no hub may take events before they are kept here instead of at the broker",
    )


class MetricsSettings(SettingsGroup):
    """Where a Prometheus on this machine, or one that is let in, can ask how the sensor is."""

    port: int = Field(0, ge=0, le=65535, description="port of /metrics; none is served at 0")
    host: str = Field(
        "127.0.0.1", description="address it listens on; 0.0.0.0 or :: for all, without login or encryption"
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
    features: FeatureSettings = FeatureSettings()
    levels: LevelSettings = LevelSettings()
    spool: SpoolSettings = SpoolSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    def spool_path(self) -> Path:
        """The spool's file: as set, or one per sensor under the current folder."""
        return self.spool.path or Path("earwitness-spool") / f"{self.sensor.site}-{self.sensor.name}.db"

    def client_id(self) -> str:
        """The MQTT client id: stable, because the broker keeps a session under it."""
        return f"earwitness-edge-{self.sensor.site}-{self.sensor.name}"

"""The hub's settings: one class, built once in the command line, with every field in a group."""

from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from hub.settings.evidence import EvidenceSettings
from hub.settings.limits import LimitsSettings
from hub.settings.monitoring import MonitoringSettings
from hub.settings.notify import NotifySettings
from hub.settings.web import WebSettings
from shared.settings import LogSettings, MqttSettings, SettingsGroup


class HubGroup(SettingsGroup):
    """The identity of this hub."""

    name: str = Field(
        "hub-1", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="name of this hub, unique per process"
    )


class RedisSettings(SettingsGroup):
    """The connection to Redis (Redis 7 or newer, or Valkey)."""

    url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="redis://[user:password@]host:port/db, rediss:// for TLS, or unix://path",
    )
    timeout_s: float = Field(5.0, gt=0, le=60, description="maximum wait for one answer, in seconds")
    ca_file: Path | None = Field(
        None, description="with rediss://, the authority of Redis's certificate; the system's if not given"
    )
    durable: Literal["no", "local"] = Field(
        "no",
        description="`local`: the hub acknowledges an event once it is on Redis's disk (WAITAOF: Redis 7.2 or newer,"
        " Valkey), so that a crash of that machine loses no event; `no`: a crash may lose the last second",
    )

    @model_validator(mode="after")
    def _authority_needs_tls(self) -> "RedisSettings":
        if self.ca_file is not None and not self.url.get_secret_value().startswith("rediss://"):
            raise ValueError("ca_file needs rediss:// in url")
        return self


class StoreSettings(SettingsGroup):
    """Retention: the data that the hub keeps, and for how long."""

    retention_days: float = Field(
        90.0, gt=0, description="the hub removes events and alerts older than this, in days"
    )
    level_seconds_days: float = Field(7.0, ge=1, description="days to keep levels of seconds, 0.7 MB each per sensor")
    level_statistics_days: float = Field(1_830.0, ge=1, description="the same of minutes and hours, 9 MB a year")
    audio_dir: Path | None = Field(None, description="folder for audio clips; the hub keeps none if unset")
    max_dead_letters: int = Field(
        1_000, ge=1, description="maximum dead letters of one sensor; above it the hub removes that sensor's oldest"
    )
    max_dead_letter_bytes: int = Field(
        256 * 1024 * 1024,
        ge=16 * 1024 * 1024,
        description="maximum bytes of all dead letters; above it, the sensor with the most loses its oldest",
    )


class ClockSettings(SettingsGroup):
    """Limits of the difference of clocks."""

    tolerance_s: float = Field(
        120.0,
        ge=1,
        description="if a sensor's clock is off by more, its events get the time of receipt, in seconds; if the hub's"
        " clock differs by more from those of Redis or the sensors, the hub removes nothing",
    )


class FeaturesSettings(SettingsGroup):
    """Extraction of features from audio clips."""

    vggish_weights_dir: Path = Field(
        Path("~/.local/share/earwitness"), description="folder of VGGish's weights, once downloaded"
    )
    space: str | None = Field(
        None,
        description="feature space of audio: vggish, earwitness-small, logmel, or the description (.toml) of your own"
        " backbone; if not given, vggish if its weights are installed, otherwise earwitness-small",
    )
    extra_backbones: tuple[Path, ...] = Field(
        (), description="descriptions (.toml) of further feature spaces whose embeddings sensors send"
    )


class ModelSettings(SettingsGroup):
    """The models that score similarity."""

    checkpoints: tuple[Path, ...] = Field(
        (), description="checkpoint files, each used instead of the shipped one of its feature space"
    )
    shadow_checkpoint: Path | None = Field(
        None, description="candidate checkpoint, whose match probability the hub adds to each alert for comparison"
    )


class IngestSettings(SettingsGroup):
    """Limits on events in flight, above which the hub pauses."""

    max_in_flight: int = Field(256, ge=2, le=65_535, description="maximum events received and not yet handled")
    max_in_flight_bytes: int = Field(
        32 * 1024 * 1024, ge=8 * 1024 * 1024, description="maximum bytes of these; one event has at most 8 MiB"
    )
    consumer_group: str = Field(
        "hubs",
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="hubs of one group share the events",
    )


class SearchSettings(SettingsGroup):
    """Search of similar past events."""

    backend: Literal["memory", "redis"] = Field(
        "memory",
        description="memory: every hub keeps all events in its own memory; redis: the Redis Query Engine keeps them"
        " for all hubs (needs Redis 8 or Redis Stack)",
    )
    candidates: int | None = Field(
        None,
        ge=10,
        description="events scored exactly per search, of those with the closest sketches; the network's default if"
        " unset; in memory this is the initial value, which the hub adjusts to the measured recall",
    )
    target_recall: float = Field(
        0.99, gt=0, le=1, description="target share of the ten best of an exact scan that a search returns"
    )
    recall_sample_rate: float = Field(
        0.01, ge=0, le=1, description="share of searches that the hub repeats as an exact scan, in idle time"
    )
    snapshot_dir: Path | None = Field(
        None, description="folder for snapshots of the index, which speed up a start; none if unset"
    )
    snapshot_interval_s: float = Field(600.0, gt=0, description="time between snapshots, in seconds")
    exclude_same_sensor_s: float = Field(
        120.0, ge=0, description="events of the same sensor within this many seconds are never matches"
    )


class EpisodesSettings(SettingsGroup):
    """The rule by which events belong to one episode."""

    max_gap_s: float = Field(60.0, ge=0, description="longest pause within an episode, in seconds")


class AlertsSettings(SettingsGroup):
    """Conditions of an alert about a similar past event."""

    max_false_alerts_per_day: float = Field(
        2.0,
        gt=0,
        description="false-alert budget of each site per day: the hub tunes thresholds to it, and raises at most this"
        " many alerts a day about sounds without recurrence, those of the highest value",
    )
    default_threshold: float = Field(
        0.6,
        ge=0,
        le=1,
        description="minimum match probability of an alert until the hub has tuned the thresholds of a site; tuned"
        " thresholds are never lower",
    )
    threshold_history_days: float = Field(30.0, ge=1, description="the hub tunes thresholds on this many days")
    min_category_probability: float = Field(
        0.5, ge=0, le=1, description="minimum probability at which a category counts as detected and opens an episode"
    )
    min_shared_probability: float = Field(
        0.5, ge=0, le=1, description="minimum probability that both events contain the same category"
    )
    min_above_ambient_db: float = Field(0.0, ge=0, description="minimum LAeq above the ambient level (L90), in dB")
    max_matches: int = Field(5, ge=1, le=100, description="maximum matches in one alert")
    cooldown_s: float = Field(
        1_800.0,
        ge=0,
        description="after an episode with an alert, suppress alerts of its category at this sensor for this many"
        " seconds; recurrence analysis joins episodes with at most this pause",
    )
    min_recurrence_probability: float = Field(
        0.6,
        ge=0,
        le=1,
        description="minimum recurrence probability of a `recurring` alert, which does not count towards the budget",
    )
    urgent_above_ambient_db: float = Field(
        10.0, ge=0, description="a recurring alert this far above the ambient level, in dB, becomes `urgent`"
    )


class SourcesSettings(SettingsGroup):
    """The rule by which episodes belong to one source: one machine, dog, siren or voice that recurs."""

    min_same_source_probability: float = Field(
        0.6,
        gt=0,
        le=1,
        description="minimum same-source probability at which an episode joins a source, and two sources become one;"
        " below it, the episode opens a source",
    )


class SitesSettings(SettingsGroup):
    """Time zone and positions of the sensors."""

    timezone: str = Field("UTC", description="IANA time zone of recurrence, quiet hours and texts")
    sensor_positions: dict[str, tuple[float, float]] = Field(
        {}, description='latitude and longitude of each "site/sensor", for the map and for linking nearby sensors'
    )
    neighbour_radius_m: float = Field(200.0, ge=0, description="maximum distance of nearby sensors, in metres")

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not an IANA time zone, such as Europe/Berlin") from error
        return name


class HomeAssistantSettings(SettingsGroup):
    """Devices for Home Assistant, by MQTT discovery."""

    discovery: bool = Field(
        default=False, description="publish a device for each sensor; if turned off, the hub removes the devices"
    )
    prefix: str = Field(
        "homeassistant",
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        description="discovery prefix of Home Assistant's MQTT integration",
    )
    min_publish_interval_s: float = Field(
        30.0, ge=1, le=3600, description="minimum time between two messages on one topic, in seconds"
    )
    expire_after_s: int = Field(
        180,
        ge=10,
        description="Home Assistant shows a level as unavailable after this many seconds without an update",
    )
    remove_after_days: float = Field(
        30.0, gt=0, description="the hub removes the device of a sensor that sent nothing for this many days"
    )


class HubSettings(BaseSettings):
    """All settings of `earwitness-hub`. Environment variables have names such as EARWITNESS_HUB_MQTT__HOST."""

    model_config = SettingsConfigDict(
        env_prefix="EARWITNESS_HUB_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    hub: HubGroup = HubGroup()
    mqtt: MqttSettings = MqttSettings()
    redis: RedisSettings = RedisSettings()
    store: StoreSettings = StoreSettings()
    clock: ClockSettings = ClockSettings()
    features: FeaturesSettings = FeaturesSettings()
    model: ModelSettings = ModelSettings()
    ingest: IngestSettings = IngestSettings()
    search: SearchSettings = SearchSettings()
    episodes: EpisodesSettings = EpisodesSettings()
    alerts: AlertsSettings = AlertsSettings()
    sources: SourcesSettings = SourcesSettings()
    sites: SitesSettings = SitesSettings()
    limits: LimitsSettings = LimitsSettings()
    notify: NotifySettings = NotifySettings()
    homeassistant: HomeAssistantSettings = HomeAssistantSettings()
    web: WebSettings = WebSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    log: LogSettings = LogSettings()

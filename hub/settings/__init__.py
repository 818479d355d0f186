"""The hub's settings: one class, built once in the CLI, every field in a group."""

from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from hub.settings.monitoring import MonitoringSettings
from hub.settings.notify import NotifySettings
from shared.settings import LogSettings, MqttSettings, SettingsGroup
from shared.sockets import plain_host


class HubGroup(SettingsGroup):
    """Which hub this is."""

    name: str = Field(
        "hub-1", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="this hub's name, unique per process"
    )


class RedisSettings(SettingsGroup):
    """How to reach the store (Redis 7 or newer, or Valkey)."""

    url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="redis://[user:password@]host:port/db, rediss:// for TLS, or unix://path",
    )
    timeout_s: float = Field(5.0, gt=0, le=60, description="longest wait for one answer")
    ca_file: Path | None = Field(
        None, description="with rediss://, the authority that made the store's certificate; the system's if not given"
    )
    durable: Literal["no", "local"] = Field(
        "no",
        description="`local`: an event is acknowledged once it is on the store's disk (WAITAOF: Redis 7.2 or newer,"
        " Valkey), so that a crash of its machine loses none; `no`: it may lose the last second",
    )

    @model_validator(mode="after")
    def _authority_needs_tls(self) -> "RedisSettings":
        if self.ca_file is not None and not self.url.get_secret_value().startswith("rediss://"):
            raise ValueError("ca_file needs rediss:// in url")
        return self


class StoreSettings(SettingsGroup):
    """What is kept, and for how long."""

    retention_days: float = Field(90.0, gt=0, description="events and alerts older than this are removed")
    audio_dir: Path | None = Field(None, description="directory for the clips' audio; none is kept if unset")
    max_dead_letters: int = Field(
        1_000, ge=1, description="most invalid messages of one sensor that are kept; then its oldest makes room"
    )
    max_dead_letter_bytes: int = Field(
        256 * 1024 * 1024,
        ge=16 * 1024 * 1024,
        description="most bytes of all dead letters; then the sensor that has the most loses its oldest",
    )


class ClockSettings(SettingsGroup):
    """Which times are believed."""

    tolerance_s: float = Field(
        120.0,
        ge=1,
        description="an event of a clock that is off by more takes the time of its receipt; while a hub's own"
        " clock is off by more from the store's or the sensors', nothing is removed",
    )


class FeaturesSettings(SettingsGroup):
    """How clips become features."""

    vggish_weights_dir: Path = Field(
        Path("~/.local/share/earwitness"), description="where VGGish's weights are, once fetched"
    )
    space: str | None = Field(
        None,
        description="what sound becomes: vggish, earwitness-small, logmel, or the description (.toml) of a backbone"
        " of your own; if not given, vggish where its weights are, else earwitness-small",
    )
    extra_backbones: tuple[Path, ...] = Field(
        (), description="descriptions (.toml) of further feature spaces that sensors send embeddings of"
    )


class ModelSettings(SettingsGroup):
    """Which models score similarity, and how clips become features."""

    checkpoints: tuple[Path, ...] = Field(
        (), description="checkpoint files, each used instead of the shipped one of its feature space"
    )
    shadow_checkpoint: Path | None = Field(
        None, description="a candidate checkpoint: each alert also says what it would have stated"
    )


class IngestSettings(SettingsGroup):
    """How much the hub takes before it asks the broker to hold on."""

    max_in_flight: int = Field(256, ge=2, le=65_535, description="most events received and not yet handled")
    max_in_flight_bytes: int = Field(
        32 * 1024 * 1024, ge=8 * 1024 * 1024, description="most bytes of these; one event may be up to 8 MiB"
    )
    consumer_group: str = Field(
        "hubs",
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="hubs of one group divide the events among themselves",
    )


class SearchSettings(SettingsGroup):
    """How similar past events are searched."""

    backend: Literal["memory", "redis"] = Field(
        "memory",
        description="memory: every hub keeps all events in its own memory; redis: the store's Redis Query Engine"
        " keeps them for all hubs (needs Redis 8 or Redis Stack)",
    )
    candidates: int | None = Field(
        None,
        ge=10,
        description="events scored exactly per search, of those whose sketches are closest; as many as the network's"
        " sketch needs if unset; in memory this is where it begins, and measured recall moves it",
    )
    target_recall: float = Field(
        0.99, gt=0, le=1, description="share of the ten best of an exact scan that must be found"
    )
    recall_sample_rate: float = Field(
        0.01, ge=0, le=1, description="share of searches that are also scanned exactly, in idle time"
    )
    snapshot_dir: Path | None = Field(
        None, description="directory for snapshots of the index, so that a start need not compute it; none if unset"
    )
    snapshot_interval_s: float = Field(600.0, gt=0, description="time between snapshots")
    exclude_same_sensor_s: float = Field(
        120.0, ge=0, description="clips of the same sensor within this many seconds are never matches"
    )


class EpisodesSettings(SettingsGroup):
    """When events are of one episode."""

    max_gap_s: float = Field(60.0, ge=0, description="longest silence within an episode")


class AlertsSettings(SettingsGroup):
    """When a similar past event is worth an alert."""

    max_false_alerts_per_day: float = Field(
        2.0,
        gt=0,
        description="budget of each site: thresholds are as low as so many false alerts a day allow, and there are no"
        " more alerts a day about what belongs to no rhythm: those that are worth most",
    )
    default_threshold: float = Field(
        0.6,
        ge=0,
        le=1,
        description="probability that two events are the same kind of sound from which there is an alert, while a"
        " site has not learnt its own thresholds; none is ever lower",
    )
    threshold_history_days: float = Field(30.0, ge=1, description="thresholds are learnt from so many days")
    min_category_probability: float = Field(
        0.5, ge=0, le=1, description="probability from which a category counts as heard and opens an episode"
    )
    min_shared_probability: float = Field(
        0.5, ge=0, le=1, description="lowest probability that both events contain one and the same category"
    )
    min_above_ambient_db: float = Field(
        0.0, ge=0, description="least excess of LAeq over the level that the sensor hears nine tenths of the time"
    )
    max_matches: int = Field(5, ge=1, le=100, description="most matches in one alert")
    cooldown_s: float = Field(
        1_800.0,
        ge=0,
        description="so long after an episode with an alert, its category is heard there without a new alert; and"
        " longest pause after which a sound goes on and does not begin anew, for what is said of its rhythm",
    )
    min_recurrence_probability: float = Field(
        0.6,
        ge=0,
        le=1,
        description="probability of belonging to a rhythm from which an alert is `recurring`, and outside the budget",
    )
    urgent_above_ambient_db: float = Field(
        10.0, ge=0, description="so far above the ambient level, a recurring alert is escalated to `urgent`"
    )


class SourcesSettings(SettingsGroup):
    """When episodes are of one source: the same machine, dog, siren or voice, heard again."""

    min_same_source_probability: float = Field(
        0.6,
        gt=0,
        le=1,
        description="probability of being the same source from which an episode joins a source, and two sources"
        " become one; below it, it opens one",
    )


class SitesSettings(SettingsGroup):
    """Where the sensors are."""

    timezone: str = Field("UTC", description="IANA time zone of hour-of-week, quiet hours and texts")
    sensor_positions: dict[str, tuple[float, float]] = Field(
        {}, description='latitude and longitude of each "site/sensor", for the map and for linking nearby sensors'
    )
    neighbour_radius_m: float = Field(200.0, ge=0, description="sensors at most so far apart hear the same things")

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is no IANA time zone, such as Europe/Berlin") from error
        return name


class HomeAssistantSettings(SettingsGroup):
    """Telling Home Assistant of every sensor, by MQTT discovery."""

    discovery: bool = Field(
        default=False, description="publish a device for each sensor; once turned off, the devices are removed"
    )
    prefix: str = Field(
        "homeassistant",
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        description="discovery prefix, as Home Assistant's MQTT integration has it",
    )
    min_publish_interval_s: float = Field(
        30.0, ge=1, le=3600, description="shortest time between two messages on one topic"
    )
    expire_after_s: int = Field(
        180, ge=10, description="a level that was not heard of for so long is shown as unavailable"
    )
    remove_after_days: float = Field(
        30.0, gt=0, description="devices of sensors that sent nothing for so long are removed"
    )


class WebSettings(SettingsGroup):
    """The HTTP side: API, health, metrics."""

    host: str = Field(
        "127.0.0.1",
        description="address or name to bind, `::` for all of both families; put a TLS proxy in front before that",
    )
    port: int = Field(8080, ge=0, le=65_535, description="port to bind")
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="further names under which the hub answers, against DNS rebinding; it answers by any address, as"
        " localhost, by this machine's name, and by those in `web.host` and `web.public_url`; `*` is any name",
    )
    public_url: str = Field(
        "http://127.0.0.1:8080", pattern=r"^https?://[^\s]+$", description="the hub's pages as people reach them"
    )

    @field_validator("host")
    @classmethod
    def _without_brackets(cls, host: str) -> str:
        return plain_host(host)


class HubSettings(BaseSettings):
    """All settings of `earwitness-hub`; environment variables look like EARWITNESS_HUB_MQTT__HOST."""

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
    notify: NotifySettings = NotifySettings()
    homeassistant: HomeAssistantSettings = HomeAssistantSettings()
    web: WebSettings = WebSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    log: LogSettings = LogSettings()

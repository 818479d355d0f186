"""Build the notification channels of a hub from settings, start and stop them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from hub.domain.delivery_policy import DeliveryPolicy, TimeOfDayRange, is_news, parse_time_of_day
from hub.metrics.definitions import HubMetrics
from hub.notify.channels.alertmanager import PATH, Alertmanager
from hub.notify.channels.apprise import Apprise
from hub.notify.channels.mqtt import MqttAlertPublisher
from hub.notify.channels.protocol import Channel
from hub.notify.channels.webhook import Webhook
from hub.notify.delivery import ConfiguredChannel, DeliveryTiming, DeliveryWorker
from hub.notify.dispatcher import MQTT, AlertDispatcher, Enrichment, Route
from hub.notify.outbox import Outbox
from hub.notify.rendering import MessageRenderer
from hub.settings import HubSettings
from hub.settings.notify import (
    AlertmanagerSettings,
    AppriseSettings,
    ChannelSettings,
    HttpSettings,
    NotifySettings,
    WebhookSettings,
)
from shared.errors import InvalidError
from shared.messages.alert import AlertMessage
from shared.settings import MqttSettings
from shared.worker import Worker

if TYPE_CHECKING:
    from hub.notify.http import JsonPoster


def build_channels(settings: NotifySettings, zone: ZoneInfo, public_url: str) -> list[ConfiguredChannel]:
    """Build the channels of the settings, without sending anything.

    Args:
        settings: group `notify`.
        zone: time zone of quiet hours, digest times and texts.
        public_url: URL of the hub's pages for browsers.

    Raises:
        InvalidError: a template, an address or a key cannot be used; the error names the setting.
    """
    channels: list[ConfiguredChannel] = []
    for group, name, one in _named(settings):
        try:
            channels.append(
                ConfiguredChannel(
                    name, one.kind, _notifier(one), rules_of(one, zone), _wording(one, public_url, zone)
                )
            )
        except InvalidError as error:
            raise InvalidError(f"notify.{group}.{name}: {error}") from error
    return channels


def _named(settings: NotifySettings) -> Iterator[tuple[str, str, ChannelSettings]]:
    for group, channels in settings.groups().items():
        for name, one in channels.items():
            yield group, name, one


def rules_of(one: ChannelSettings, zone: ZoneInfo) -> DeliveryPolicy:
    """Return the delivery policy of a channel's settings."""
    return DeliveryPolicy(
        zone=zone,
        least=one.min_severity,
        sites=frozenset(one.sites),
        quiet=TimeOfDayRange.parse(one.quiet_hours) if one.quiet_hours else None,
        digest_time=parse_time_of_day(one.digest_time) if one.digest_time else None,
        max_per_day=one.max_per_day,
    )


@dataclass(frozen=True, slots=True)
class NewsFilter:
    """Selects the alerts for a channel.

    Attributes:
        late_after_s: age from which an alert is no news, in seconds.
        policy: of the channel; None accepts every alert.
    """

    late_after_s: float
    policy: DeliveryPolicy | None = None

    def accepts(self, alert: AlertMessage) -> bool:
        """Return whether the channel sends this alert."""
        return is_news(alert, self.late_after_s) and (self.policy is None or self.policy.accepts(alert))


def _wording(one: ChannelSettings, public_url: str, zone: ZoneInfo) -> MessageRenderer:
    return MessageRenderer(zone, public_url, alert=one.template, digest=one.digest_template)


def _notifier(one: ChannelSettings) -> Channel:
    match one:
        case WebhookSettings():
            return Webhook(_poster(one), one.key())
        case AlertmanagerSettings():
            return Alertmanager(_poster(one, PATH), one.resolve_after_s)
        case AppriseSettings():
            return Apprise(one.url.get_secret_value(), one.timeout_s)
    raise TypeError(type(one))


def _poster(one: HttpSettings, path: str = "") -> "JsonPoster":
    from hub.notify.http import JsonPoster  # imports httpx, which takes a tenth of a second

    url = one.url.get_secret_value()
    return JsonPoster(url.rstrip("/") + path if path else url, timeout_s=one.timeout_s, ca_file=one.ca_file)


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where a hub sends alerts, and until when.

    Attributes:
        broker: connection to the broker.
        channels: the other channels.
        late_after_s: age from which an alert is no news, in seconds.
        expire_after_s: a message that cannot be sent for this time becomes a dead letter, in seconds.
    """

    broker: MqttSettings
    channels: Sequence[ConfiguredChannel]
    late_after_s: float
    expire_after_s: float


class NotificationService:
    """The dispatcher and all channels of a running hub.

    Args:
        client: Redis client.
        destinations: where alerts are sent.
        hub: name of this hub.
        metrics: the hub's metrics.
        enrichment: enriches an alert before it is sent; see `AlertDispatcher`.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - the client is untyped
        destinations: Destinations,
        hub: str,
        metrics: HubMetrics,
        enrichment: Enrichment | None = None,
    ) -> None:
        broker, late_after_s = Outbox(client, MQTT), destinations.late_after_s
        addresses = [Route(broker, NewsFilter(late_after_s).accepts)]
        publisher = MqttAlertPublisher(
            outbox=broker,
            settings=destinations.broker,
            client_id=f"earwitness-hub-{hub}-alerts",
            hub=hub,
            metrics=metrics,
        )
        self._parts: list[MqttAlertPublisher | DeliveryWorker | AlertDispatcher] = [publisher]
        timing = DeliveryTiming(destinations.expire_after_s)
        for channel in destinations.channels:
            outbox = Outbox(client, channel.name)
            addresses.append(Route(outbox, NewsFilter(late_after_s, channel.rules).accepts))
            self._parts.append(DeliveryWorker(outbox, channel, hub, metrics, timing))
        self._parts.append(AlertDispatcher(client, hub=hub, addresses=addresses, enrichment=enrichment))

    @property
    def workers(self) -> list[Worker]:
        """Workers of all parts."""
        return [part.worker for part in self._parts]

    def start(self) -> None:
        """Start all parts."""
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        """Stop; this hub sends the remaining alerts after its next start, or another hub does."""
        for part in self._parts:
            if isinstance(part, DeliveryWorker):  # so that all wait for their last answers at the same time
                part.request_stop()
        for part in reversed(self._parts):
            part.stop()


def notifiers_of(settings: HubSettings) -> list[ConfiguredChannel]:
    """Build every channel of the settings except MQTT.

    Raises:
        InvalidError: a channel cannot be used.
    """
    return build_channels(settings.notify, ZoneInfo(settings.sites.timezone), settings.web.public_url)


def destinations_of(settings: HubSettings) -> Destinations:
    """Return where alerts are sent by these settings.

    Raises:
        InvalidError: a channel cannot be used.
    """
    notify = settings.notify
    return Destinations(settings.mqtt, notifiers_of(settings), notify.late_after_s, notify.expire_after_s)


def describe_channels(settings: HubSettings) -> str:
    """Return one line of text about the channels of the settings, without sending anything.

    Raises:
        InvalidError: a channel cannot be used.
    """
    names = [MQTT, *(f"{channel.name} ({channel.kind})" for channel in notifiers_of(settings))]
    return f"alerts go to {', '.join(names)}; test one with `earwitness-hub notifications test NAME`"

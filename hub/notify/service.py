"""All ways out of a hub, put together as the settings say, started and stopped."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from hub.domain.delivery_policy import Hours, Rules, clock, is_news
from hub.metrics.definitions import HubMetrics
from hub.notify.channels.alertmanager import PATH, Alertmanager
from hub.notify.channels.apprise import Apprise
from hub.notify.channels.mqtt import Publisher
from hub.notify.channels.protocol import Notifier
from hub.notify.channels.webhook import Webhook
from hub.notify.delivery import Courier
from hub.notify.dispatcher import MQTT, Address, Complete, Teller, as_it_is
from hub.notify.http import Poster
from hub.notify.outbox import Outbox
from hub.notify.rendering import Wording
from hub.settings import HubSettings
from hub.settings.notify import (
    AlertmanagerSettings,
    AppriseSettings,
    HttpSettings,
    NotifySettings,
    WaySettings,
    WebhookSettings,
)
from shared.errors import Invalid
from shared.messages import AlertMessage
from shared.settings import MqttSettings
from shared.worker import Worker


@dataclass(frozen=True, slots=True)
class Way:
    """A notifier of the settings.

    Attributes:
        name: its, unique.
        kind: webhook, alertmanager or apprise.
        notifier: tells them.
        rules: what, and when.
        wording: makes the texts.
    """

    name: str
    kind: str
    notifier: Notifier
    rules: Rules
    wording: Wording


def open_notifiers(settings: NotifySettings, zone: ZoneInfo) -> list[Way]:
    """The notifiers that these settings name; nothing is sent yet.

    Args:
        settings: group `notify`.
        zone: of quiet hours, digest times and texts.

    Raises:
        Invalid: a template, an address or a key that cannot be used; the setting is named.
    """
    ways: list[Way] = []
    for group, name, one in _named(settings):
        try:
            ways.append(
                Way(name, group.removesuffix("s"), _notifier(one), rules_of(one, zone), _wording(one, settings, zone))
            )
        except Invalid as error:
            raise Invalid(f"notify.{group}.{name}: {error}") from error
    return ways


def _named(settings: NotifySettings) -> Iterator[tuple[str, str, WaySettings]]:
    groups: Mapping[str, Mapping[str, WaySettings]] = {
        "webhooks": settings.webhooks,
        "alertmanagers": settings.alertmanagers,
        "apprise": settings.apprise,
    }
    for group, ways in groups.items():
        for name, one in ways.items():
            yield group, name, one


def rules_of(one: WaySettings, zone: ZoneInfo) -> Rules:
    """The rules that a notifier's settings describe."""
    return Rules(
        zone=zone,
        least=one.least,
        sites=frozenset(one.sites),
        quiet=Hours.parse(one.quiet_hours) if one.quiet_hours else None,
        digest_at=clock(one.digest_at) if one.digest_at else None,
        most_a_day=one.most_a_day,
    )


def _wants(rules: Rules, late_after_s: float) -> Callable[[AlertMessage], bool]:
    return lambda alert: is_news(alert, late_after_s) and rules.wants(alert)


def _wording(one: WaySettings, settings: NotifySettings, zone: ZoneInfo) -> Wording:
    return Wording(zone, settings.page_url, alert=one.template, digest=one.digest_template)


def _notifier(one: WaySettings) -> Notifier:
    match one:
        case WebhookSettings():
            return Webhook(_poster(one), one.key())
        case AlertmanagerSettings():
            return Alertmanager(_poster(one, PATH), one.firing_s)
        case AppriseSettings():
            return Apprise(one.url.get_secret_value(), one.timeout_s)
    raise TypeError(type(one))


def _poster(one: HttpSettings, path: str = "") -> Poster:
    url = one.url.get_secret_value()
    return Poster(url.rstrip("/") + path if path else url, timeout_s=one.timeout_s, ca_file=one.ca_file)


class WaysOut:
    """Everything that takes alerts from the archive to people, while a hub runs.

    Args:
        client: the store's client.
        mqtt: where the broker is.
        notify: the other ways.
        zone: of quiet hours, digest times and texts.
        hub: name of this hub.
        metrics: counters.
        complete: adds what is worth knowing to an alert before it is told; see `Teller`.

    Raises:
        Invalid: settings that cannot be used.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - the client is untyped
        *,
        mqtt: MqttSettings,
        notify: NotifySettings,
        zone: ZoneInfo,
        hub: str,
        metrics: HubMetrics,
        complete: Complete = as_it_is,
    ) -> None:
        broker = Outbox(client, MQTT)
        addresses = [Address(broker, lambda alert: is_news(alert, notify.late_after_s))]
        publisher = Publisher(
            outbox=broker, settings=mqtt, client_id=f"earwitness-hub-{hub}-alerts", hub=hub, metrics=metrics
        )
        self._parts: list[Publisher | Courier | Teller] = [publisher]
        for way in open_notifiers(notify, zone):
            outbox = Outbox(client, way.name)
            addresses.append(Address(outbox, _wants(way.rules, notify.late_after_s)))
            courier = Courier(
                outbox=outbox,
                notifier=way.notifier,
                rules=way.rules,
                wording=way.wording,
                hub=hub,
                metrics=metrics,
                give_up_after_s=notify.give_up_after_s,
            )
            self._parts.append(courier)
        self._parts.append(Teller(client, hub=hub, addresses=addresses, complete=complete))

    @property
    def workers(self) -> list[Worker]:
        """Their threads."""
        return [part.worker for part in self._parts]

    def start(self) -> None:
        """Begin to tell."""
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        """End; what was not told by then is told after the next start, or by another hub."""
        for part in self._parts:
            if isinstance(part, Courier):  # those that wait for an answer then do so side by side
                part.wind_down()
        for part in reversed(self._parts):
            part.stop()


def notifiers_of(settings: HubSettings) -> list[Way]:
    """Open every way out that settings name, beside MQTT.

    Raises:
        Invalid: one that cannot be used.
    """
    return open_notifiers(settings.notify, ZoneInfo(settings.places.timezone))


def described(settings: HubSettings) -> str:
    """The ways out that settings name, in words; nothing is sent.

    Raises:
        Invalid: one that cannot be used.
    """
    names = [MQTT, *(f"{way.name} ({way.kind})" for way in notifiers_of(settings))]
    return f"alerts go to {', '.join(names)}; try one with `earwitness-hub notify test NAME`"

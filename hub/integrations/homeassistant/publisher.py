"""Publish every sensor to Home Assistant with retained messages, while this hub holds the lease.

Of several hubs, the leader publishes: it holds a lease in Redis, which another hub takes when the lease expires. Each
hub has its own availability topic and last will, and the devices name the topic of the leader. So the late will of a
dead hub does not affect the devices. Two hubs that both publish for a moment publish the same.

The hub records every topic in Redis before its first use. So the next leader can clear the topics of removed sensors
or of another prefix, or all of them after discovery was turned off.
"""

import logging
import queue
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from hub.domain.episodes import SensorState
from hub.domain.records import Sensor, from_ms, to_ms
from hub.integrations.homeassistant.discovery import (
    AHEAD,
    OFFLINE,
    ONLINE,
    DiscoveryBuilder,
    SensorSnapshot,
    config_topic,
)
from hub.settings import HomeAssistantSettings
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.stores import Stores
from shared.errors import UnavailableError
from shared.events import Levels
from shared.messages.alert import AlertMessage
from shared.messages.codec import JSON_CONTENT_TYPE
from shared.mqtt.session import FAILURE, Acknowledged, Connected, LastWill, MqttSession
from shared.mqtt.topics import HubTopic, SensorStateTopic
from shared.settings import MqttSettings
from shared.worker import Worker

log = logging.getLogger(__name__)

LEASE_S: Final = 15.0
"""Time until the lease expires without renewal, in seconds."""
_TICK_S: Final = 1.0
_AT_ONCE: Final = 250
"""Maximum messages sent per tick."""
_GRACE_S: Final = 2.0

_HOLD: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class HomeAssistantPublisher:
    """Keeps Home Assistant's devices in line with the sensors of the archive, on its own thread.

    Args:
        stores: of sensors, levels, alerts and episodes.
        settings: group `homeassistant`.
        mqtt: connection to the broker.
        hub: name of this hub.
        public_url: URL of the hub's pages for browsers.
    """

    def __init__(
        self,
        stores: Stores,
        *,
        settings: HomeAssistantSettings,
        mqtt: MqttSettings,
        hub: str,
        public_url: str,
    ) -> None:
        self._archive = stores.events
        self._episode_store = stores.episodes
        self._redis = self._archive.client
        self._settings = settings
        self._hub = hub
        self._online = str(HubTopic(hub, "online"))
        self._describer = DiscoveryBuilder(settings.prefix, hub, public_url, settings.expire_after_s)
        will = LastWill(self._online, OFFLINE)
        self._link = MqttSession(mqtt.without_session(), f"earwitness-hub-{hub}-homeassistant", will=will)
        self._hold = self._redis.register_script(_HOLD)
        self._release = self._redis.register_script(_RELEASE)
        self._sent: dict[str, bytes] = {}
        self._due: dict[str, bytes] = {}
        self._under_way: dict[int, str] = {}
        self._look_at = 0.0
        self._renew_at = 0.0
        self._holding = False
        self._refused = False
        self.worker = Worker("homeassistant", self._work, finish=self._end)

    @raises_unavailable
    def start(self) -> None:
        """Start publishing, or start removing the devices if discovery was turned off; otherwise do nothing.

        Raises:
            UnavailableError: Redis does not answer.
        """
        if self._settings.discovery or self._redis.exists(keys.HOME_ASSISTANT_TOPICS):
            self._link.start()
            self.worker.start()

    def stop(self) -> None:
        """Publish `offline`, release the lease, and stop."""
        self.worker.stop()
        self._link.stop()

    def _work(self) -> float:
        self._handle_signals(_TICK_S)
        if self._link.connected and self._is_leader():
            self._step(time.monotonic())
        return 0.0

    def _end(self) -> None:
        """Publish `offline` and wait for the PUBACK; the last will covers crashes only."""
        if not (self._link.connected and self._sent.get(self._online) == ONLINE):
            return
        try:
            self._publish({self._online: OFFLINE})
            self._release_lease()
        except UnavailableError:
            return
        until = time.monotonic() + _GRACE_S
        while self._under_way and self._link.connected and time.monotonic() < until:
            self._handle_signals(0.1)

    @raises_unavailable
    def _is_leader(self) -> bool:
        """Renew the lease, and return whether this hub holds it."""
        now = time.monotonic()
        if now >= self._renew_at:
            held = bool(self._hold(keys=[keys.HOME_ASSISTANT_HOLDER], args=[self._hub, round(LEASE_S * 1000)]))
            if held and not self._holding:
                self._invalidate_sent()
            self._holding = held
            self._renew_at = now + LEASE_S / 3
        return self._holding

    @raises_unavailable
    def _release_lease(self) -> None:
        self._release(keys=[keys.HOME_ASSISTANT_HOLDER], args=[self._hub])

    def _invalidate_sent(self) -> None:
        """Forget what the broker has, so that the next step publishes everything."""
        self._sent, self._due, self._under_way, self._look_at = {}, {}, {}, 0.0

    def _step(self, now_s: float) -> None:
        """Collect the changes if they are due, and publish some of them."""
        if now_s >= self._look_at and not self._due:
            self._look_at = now_s + self._settings.min_publish_interval_s
            self._due = self._changes(datetime.now(UTC))
            if self._due:
                self._note([topic for topic, payload in self._due.items() if payload])
        batch = dict(list(self._due.items())[:_AT_ONCE])
        self._publish(batch)
        for topic in batch:
            del self._due[topic]

    def _changes(self, now: datetime) -> dict[str, bytes]:
        """Return the messages that differ from what the broker has; an empty payload clears a topic."""
        sensors = self._snapshots(now) if self._settings.discovery else []
        wanted: dict[str, bytes] = {self._online: ONLINE} if sensors else {}
        kept = {self._online} if sensors else set[str]()
        for one in sensors:
            wanted |= self._describer.messages(one, now)
            kept.add(config_topic(self._settings.prefix, one.site, one.sensor))
            kept |= {str(SensorStateTopic(one.site, one.sensor, kind)) for kind in ("level", "episode", "last-alert")}
        gone = sorted(self._noted() - kept, key=lambda topic: not topic.endswith("/config"))  # devices first
        return {
            **{topic: payload for topic, payload in wanted.items() if self._sent.get(topic) != payload},
            **dict.fromkeys(gone, b""),
        }

    def _snapshots(self, now: datetime) -> list[SensorSnapshot]:
        """Return the data of each sensor that sent something within `remove_after_days`."""
        after = now - timedelta(days=self._settings.remove_after_days)
        sensors = [s for s in self._archive.sensors.all() if s.last_received_at is None or s.last_received_at > after]
        states = self._episode_store.sensor_states([sensor.place for sensor in sensors])
        recents = {place: state.without_future(to_ms(now + AHEAD)) for place, state in states.items()}
        newest = self._newest([sensor.place for sensor in sensors], now + AHEAD)
        snapshots = (
            self._archive.rows.read(
                "sensor",
                sensor.place,
                partial(self._snapshot, recents[sensor.place], newest.get(sensor.place)),
                sensor,
            )
            for sensor in sensors
        )
        return [one for one in snapshots if one is not None]

    def _snapshot(
        self, recent: SensorState, newest: tuple[str, list[bytes]] | None, sensor: Sensor
    ) -> SensorSnapshot:
        site, _, name = sensor.place.partition("/")
        episodes = [episode for group in recent.episodes.values() for episode in group]
        base = SensorSnapshot(
            site,
            name,
            episode=max(episodes, key=lambda e: e.last_ms, default=None),
            alert=self._last_alert(site, name, recent),
            software=sensor.software,
        )
        if newest is None:
            return base
        event, (captured, received, laeq, lafmax, unit) = newest
        levels = Levels(float(laeq), float(lafmax), "dB" if unit == b"dB" else "dBFS")
        return replace(base, event=event, captured_at=from_ms(captured), received_at=from_ms(received), levels=levels)

    def _last_alert(self, site: str, sensor: str, recent: SensorState) -> AlertMessage | None:
        """Return the newest alert of this sensor, without alerts of other sensors that its episodes belong to."""
        known = {(call.from_ms, call.alert) for call in recent.calls.values()}
        known |= {(episode.opened_ms, episode.alert) for group in recent.episodes.values() for episode in group}
        for _, event in sorted(known, reverse=True):
            if event.startswith(f"{site}.{sensor}."):
                alert = self._archive.alerts.get(event)
                if alert is not None and not alert.backfilled:
                    return alert
        return None

    @raises_unavailable
    def _newest(self, places: Iterable[str], until: datetime) -> dict[str, tuple[str, list[bytes]]]:
        """Return the id and fields of the last event until a time, for each sensor that has one."""
        names = list(places)
        pipe = self._redis.pipeline(transaction=False)
        for place in names:
            pipe.zrevrangebyscore(keys.events_of(place), to_ms(until), "-inf", start=0, num=1)
        newest = {place: rows[0].decode() for place, rows in zip(names, pipe.execute(), strict=True) if rows}
        for event in newest.values():
            pipe.hmget(keys.event(event), "captured_ms", "received_ms", "laeq", "lafmax", "level_unit")
        rows = zip(newest.items(), pipe.execute(), strict=True)
        return {place: (event, row) for (place, event), row in rows if None not in row}

    @raises_unavailable
    def _noted(self) -> set[str]:
        return {topic.decode() for topic in self._redis.smembers(keys.HOME_ASSISTANT_TOPICS)}

    @raises_unavailable
    def _note(self, topics: Iterable[str]) -> None:
        if names := list(topics):
            self._redis.sadd(keys.HOME_ASSISTANT_TOPICS, *names)

    @raises_unavailable
    def _untrack_topic(self, topic: str) -> None:
        self._redis.srem(keys.HOME_ASSISTANT_TOPICS, topic)

    def _publish(self, messages: Mapping[str, bytes]) -> None:
        """Send retained messages.

        Raises:
            UnavailableError: not connected; a later step publishes the rest.
        """
        for topic, payload in messages.items():
            content_type = JSON_CONTENT_TYPE if payload.startswith(b"{") else None
            mid = self._link.publish(topic, payload, retain=True, content_type=content_type)
            self._under_way[mid] = topic
            self._sent[topic] = payload

    def _handle_signals(self, wait_s: float) -> None:
        """Handle signals of the connection; wait at most `wait_s` seconds for the first."""
        signal: Any
        try:
            signal = self._link.signals.get(timeout=wait_s)
            while True:
                match signal:
                    case Connected():
                        self._invalidate_sent()
                    case Acknowledged(mid=mid, reason=reason) if mid in self._under_way:
                        self._answered(self._under_way.pop(mid), reason)
                signal = self._link.signals.get_nowait()
        except queue.Empty:
            return

    def _answered(self, topic: str, reason: int) -> None:
        if reason >= FAILURE:
            level = logging.DEBUG if self._refused else logging.WARNING
            log.log(level, "the broker rejected a message for Home Assistant", extra={"topic": topic, "code": reason})
            self._refused = True
        elif self._sent.get(topic) == b"":
            del self._sent[topic]
            try:
                self._untrack_topic(topic)
            except UnavailableError:
                return  # the hub clears the topic again later

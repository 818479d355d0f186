"""The worker that keeps one MQTT 5 connection: it connects, waits for the end, backs off, and connects again.

An exception of an attempt or of paho's network thread ends this attempt only. paho's callbacks run in its network
thread and only emit a signal (paho.mqtt.python#328).
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from shared.backoff import Backoff, Repeats
from shared.mqtt.diagnostics import NEEDED
from shared.mqtt.paho_client import (
    SupervisedClient,
    connect_properties,
    connected_signal,
    make_client,
    received_signal,
)
from shared.mqtt.reason_codes import OTHER_PROTOCOL, SESSION_TAKEN_OVER
from shared.mqtt.signals import Acknowledged, Disconnected, LastWill, MqttEvent, Subscribed
from shared.settings import MqttSettings
from shared.worker import Worker

log = logging.getLogger(__name__)

FIRST_PATIENCE_S, LONGEST_PATIENCE_S = 4.0, 30.0
"""Seconds that the broker may take to answer CONNECT; they double after each attempt without an answer."""
_NORMALLY, _WITH_WILL = "Normal disconnection", "Disconnect with will message"


class ConnectionLoop:
    """Keeps the connection of one client id, and emits every signal of it.

    Args:
        settings: address and login of the broker.
        client_id: id of the session.
        will: message that the broker publishes if this client vanishes.
        receive_maximum: most unacknowledged messages that the broker may have under way to this client.
        on_signal: function called in the network thread for every signal; it must only enqueue, or pause.

    Attributes:
        client: paho's client of this connection.
        epoch: number of the connection, from 1.
        backoff: waits between connections.

    Raises:
        InvalidError: TLS files or a password file that cannot be used.
    """

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        will: LastWill | None,
        receive_maximum: int | None,
        on_signal: Callable[[MqttEvent], None],
    ) -> None:
        self._on_signal = on_signal
        self._settings = settings
        self._client_id = client_id
        self._will = will
        self._receive_maximum = receive_maximum
        self.epoch = 0
        self._ended_epoch = 0
        self._up_since_s: float | None = None
        self._end_code: int | None = None
        self._owner_resends = False
        self._filters: dict[int, str] = {}  # awaiting SUBACK, by message id
        self._filters_lock = threading.Lock()
        self._patience_s = FIRST_PATIENCE_S
        self._repeats = Repeats()
        self.backoff = Backoff(settings.max_reconnect_delay_s)
        self._up = threading.Event()
        self._down = threading.Event()
        self._answered = threading.Event()
        self._open = threading.Event()
        self._open.set()
        self.worker = Worker("mqtt-link", self._run_connection)
        self.client = self._make_client(0)
        self._farewell = ReasonCode(PacketTypes.DISCONNECT, _WITH_WILL if will and will.at_stop else _NORMALLY)

    @property
    def connected(self) -> bool:
        """Return whether the connection is up now."""
        return self._up.is_set()

    def start(self, *, owner_resends: bool) -> None:
        """Start to connect; see `MqttSession.start`."""
        self._owner_resends = owner_resends
        self.backoff = Backoff(self._settings.max_reconnect_delay_s, owner_settles=owner_resends)
        self.worker.start()

    def stop(self) -> None:
        """Disconnect, and wait for the threads."""
        self.worker.wind_down()
        self._open.set()
        self._close()
        self.worker.stop()

    def pause(self) -> None:
        """Disconnect until `resume`."""
        self._open.clear()
        self._close()

    def resume(self) -> None:
        """End a pause."""
        self._open.set()

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Send SUBSCRIBE; a `Subscribed` signal follows."""
        with self._filters_lock:
            _, mid = self.client.subscribe(topic_filter, qos=qos)
            if mid is not None:
                self._filters[mid] = topic_filter

    def _make_client(self, first_id: int) -> SupervisedClient:
        """Return a client whose message ids are counted from `first_id`, a multiple of 2**16."""
        client = make_client(self._settings, self._client_id, self._will, first_id)
        client.on_end = self._on_end
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.connect_timeout = FIRST_PATIENCE_S
        return client

    def _run_connection(self) -> float:
        """Wait until connections are allowed, and run one until it ends; return the seconds to wait after it."""
        self._open.wait()
        self._down.clear()  # before reading the flags that `stop` and `pause` set first
        self._answered.clear()
        if self.worker.stopping.is_set() or not self._open.is_set():
            return 0.0
        self.epoch += 1
        self._up_since_s = self._end_code = None
        try:
            self._connect_once()
        except OSError as error:
            self._on_connection_lost(f"cannot reach the broker: {error}")
        except Exception as error:  # noqa: BLE001 - an invalid host name, a missing file, a defect
            self._on_connection_lost(f"cannot connect to {self._settings.host}: {type(error).__name__}: {error}")
        if not self._open.is_set():  # `pause` ended the connection, and `resume` starts the next one
            return 0.0
        lived_s = 0.0 if self._up_since_s is None else time.monotonic() - self._up_since_s
        return self.backoff.wait_s(lived_s, taken_over=self._end_code == SESSION_TAKEN_OVER)

    def _connect_once(self) -> None:
        """Connect and return when the connection has ended."""
        properties = connect_properties(self._settings.session_expiry_s, self._receive_maximum)
        if self._owner_resends:  # a new client for each connection: paho would resend by itself
            self.client = self._make_client(self.epoch << 16)
        client = self.client
        try:
            client.connect(
                self._settings.host,
                self._settings.port,
                keepalive=self._settings.keepalive_s,
                clean_start=False,
                properties=properties,
            )
            client.loop_start()
            self._await_answer()
            self._down.wait()
            client.disconnect(reasoncode=self._farewell)
            client.loop_stop()
        finally:
            if (open_socket := client.socket()) is not None:  # paho closes it, unless it failed
                with contextlib.suppress(OSError):
                    open_socket.close()

    def _await_answer(self) -> None:
        """Wait until the broker answers CONNECT; end the attempt if it does not in time."""
        if self._answered.wait(self._patience_s):
            self._patience_s = FIRST_PATIENCE_S
            return
        self._on_connection_lost(f"the broker does not answer within {self._patience_s:g} s: {NEEDED}")
        self._patience_s = min(LONGEST_PATIENCE_S, 2 * self._patience_s)
        self._down.set()

    def _close(self) -> None:
        self.client.disconnect(reasoncode=self._farewell)
        if not self._up.is_set():
            self._down.set()
            self._answered.set()

    def _on_connection_lost(self, reason: str, code: int | None = None) -> None:
        """Log and emit the end of this connection, once."""
        self._up.clear()
        if self._ended_epoch == self.epoch:
            return
        self._ended_epoch = self.epoch
        self._end_code = code
        on_purpose = self.worker.stopping.is_set() or not self._open.is_set()
        if on_purpose or (times := self._repeats.times(reason, time.monotonic())) == 1:
            level = logging.INFO if on_purpose else logging.WARNING
            log.log(level, "mqtt connection ended", extra={"reason": reason})
        elif times:
            log.warning("mqtt connection ended repeatedly", extra={"reason": reason, "times": times})
        self._emit(Disconnected(reason=reason, epoch=self.epoch, code=code))

    def _emit(self, signal: MqttEvent) -> None:
        try:
            self._on_signal(signal)
        except Exception:
            log.exception("the handler of a connection signal failed")

    # paho's callbacks: they run in the network thread and only emit signals.

    def _on_connect(
        self, _client: paho.Client, _data: object, flags: paho.ConnectFlags, code: ReasonCode, properties: object
    ) -> None:
        self._answered.set()
        if code.is_failure:
            needed = f" ({NEEDED})" if code.value in OTHER_PROTOCOL else ""
            self._on_connection_lost(f"the broker refused the connection: {code}{needed}", code.value)
            self._down.set()
            return
        with self._filters_lock:
            self._filters.clear()
        self._repeats = Repeats()
        self._up_since_s = time.monotonic()
        self._up.set()
        self._emit(connected_signal(flags, properties, self.epoch))

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, _properties: object
    ) -> None:
        if self._up.is_set():
            self._on_connection_lost(str(code), code.value)
        else:  # such as a broker that refuses the certificate, or one with another protocol
            needed = "" if self._settings.tls else f" ({NEEDED})"
            self._on_connection_lost(f"the broker ended the connection before CONNACK: {code}{needed}", code.value)
        self._answered.set()
        self._down.set()

    def _on_end(self, reason: str) -> None:
        self._on_connection_lost(reason)
        self._answered.set()
        self._down.set()

    def _on_subscribe(
        self, _client: paho.Client, _data: object, mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        with self._filters_lock:
            topic_filter = self._filters.pop(mid, "")
        for code in codes:
            if code.is_failure:
                log.error(
                    "the broker refuses a subscription",
                    extra={"filter": topic_filter, "reason": str(code), "reason_code": code.value},
                )
            self._emit(Subscribed(topic_filter=topic_filter, reason=code.value, epoch=self.epoch))

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._emit(received_signal(message, self.epoch))

    def _on_publish(
        self, _client: paho.Client, first_id: int, mid: int, code: ReasonCode, _properties: object
    ) -> None:
        self._emit(Acknowledged(mid=first_id | mid, reason=code.value, epoch=self.epoch))

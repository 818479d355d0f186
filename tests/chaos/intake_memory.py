"""Measure a hub's memory while 256 events of 8 MiB are offered: `python -m tests.chaos.intake_memory`.

The store is frozen at first, so that the hub can handle nothing; later it is thawed, and the hub takes everything.
Prints the highest resident memory above idle, in MB, for sound that is valid and for payloads that are none.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from hub.store.events import EventStore
from shared.audio import encode_flac
from shared.events import Event, Flac
from shared.messages.event import EVENT_CAP_BYTES, encode_event
from shared.mqtt.session import Acknowledged, Connected, MqttSession
from shared.mqtt.topics import SensorTopic
from tests.factories import event
from tests.server_processes import HubProcess, Mosquitto, Redis, eventually

RATE_HZ = 192_000
FROZEN_S = 20.0


def resident_mb(pid: int, field: str = "VmRSS") -> float:
    """A figure of the kernel's about a process's memory, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) * 1024 / 1e6


def sound(seconds: float) -> Event:
    """An event of noise, which FLAC cannot compress."""
    noise = np.random.default_rng(0).uniform(-1, 1, round(seconds * RATE_HZ)).astype(np.float32)
    flac = Flac(encode_flac(noise, RATE_HZ))
    return replace(event(), rate_hz=RATE_HZ, duration_s=seconds, body=flac)


def measured(payloads: list[bytes], *, frozen: bool) -> dict[str, float]:
    """Offer payloads to a hub of their own: its memory, idle and at most above that."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker, store = Mosquitto(folder / "mosquitto", persistent=False), Redis(folder / "redis")
        broker.start()
        store.start()
        hub = HubProcess(
            folder / "hub", broker.port, store.url, "redis.timeout_s=2", "monitoring.heartbeat_interval_s=0"
        )
        try:
            hub.start()
            assert hub.process is not None
            pid, archive = hub.process.pid, EventStore(store.url)
            link = MqttSession(broker.settings, "sender")
            link.start()
            assert isinstance(link.signals.get(timeout=20), Connected)
            topic = str(SensorTopic("demo", "street-1", "event"))
            warm = encode_event(replace(sound(1.0), id=replace(event().id, seq=9_999)))
            link.publish(topic, warm)
            eventually(lambda: archive.count() == 1, 60, "a first clip is archived")
            time.sleep(3)
            idle = resident_mb(pid)
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the peak
            if frozen:
                store.freeze()
            under_way: set[int] = set()
            for payload in payloads:
                under_way.add(link.publish(topic, payload))
                while len(under_way) >= 8:
                    signal = link.signals.get(timeout=120)
                    if isinstance(signal, Acknowledged):
                        under_way.discard(signal.mid)
            if frozen:
                time.sleep(FROZEN_S)
                store.thaw()
            eventually(
                lambda: (
                    archive.count() - 1 + hub.metric("earwitness_hub_messages_dead_lettered_total") >= len(payloads)
                ),
                600,
                "everything is taken",
            )
            peak = resident_mb(pid, "VmHWM")
            link.stop()
        finally:
            store.thaw()
            hub.stop()
            store.stop()
            broker.stop()
    return {"idle_mb": round(idle), "peak_above_idle_mb": round(peak - idle)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--kind", choices=["sound", "rubbish"], default="sound")
    parser.add_argument("--awake", action="store_true", help="do not freeze the store")
    chosen = parser.parse_args()
    if chosen.kind == "sound":
        clip = sound(21.5)
        payloads = [encode_event(replace(clip, id=replace(clip.id, seq=n))) for n in range(chosen.count)]
        assert max(map(len, payloads)) <= EVENT_CAP_BYTES, max(map(len, payloads))
    else:
        payloads = [n.to_bytes(8, "big") + bytes(EVENT_CAP_BYTES - 8) for n in range(chosen.count)]
    figures = measured(payloads, frozen=not chosen.awake)
    print(json.dumps({"kind": chosen.kind, "count": chosen.count, "mib": len(payloads[0]) / 2**20, **figures}))  # noqa: T201


if __name__ == "__main__":
    main()

"""A street with known levels, events, alerts, gaps and damage, in a store."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import SecretStr

from hub.app.factory import build_feedback, build_stores, build_threshold_tuner
from hub.evidence.factory import build_evidence
from hub.evidence.report import EvidenceReports
from hub.settings import HubSettings, RedisSettings, SitesSettings, StoreSettings
from hub.settings.evidence import EvidenceSettings
from hub.store import keys
from hub.store.level_offsets import AppliedOffset, LevelOffsets
from hub.store.levels import LevelStore
from hub.store.stores import Stores
from shared.audio import encode_flac
from shared.events import Calibration, EventId, Levels
from shared.level_series import NO_LEVEL, LevelSeries
from shared.messages.alert import AlertMessage
from shared.messages.sensor import StateMessage
from tests.factories import alert, stored
from tests.hub.store.test_sensor_signals import state_message

HOUR: Final = timedelta(hours=1)
START: Final = datetime(2025, 6, 1, 12, tzinfo=UTC)
END: Final = START + HOUR
MADE: Final = START + timedelta(hours=2)
PLACE: Final = "demo/street-1"
CALIBRATION: Final = Calibration("2025-05-20-aa", START - timedelta(days=12))
DAMAGED: Final = "demo.street-1.two.90"
"""An alert whose row cannot be read."""
SEALED: Final = "demo.street-1.two.50"


def settings_of(url: str, folder: Path) -> HubSettings:
    return HubSettings(
        redis=RedisSettings(url=SecretStr(url)),
        store=StoreSettings(audio_dir=folder / "clips", retention_days=36_500),
        evidence=EvidenceSettings(signing_key=folder / "data" / "evidence.key"),
        sites=SitesSettings(timezone="Europe/Berlin"),
    )


def reports_of(settings: HubSettings, stores: Stores) -> EvidenceReports:
    return build_evidence(settings, stores.events, stores.episodes.verdicts)


def state(boot: str, kind: str, highest: int | None = None) -> StateMessage:
    """A state with numbers; a last will has no report."""
    message = state_message(boot, highest).model_copy(update={"state": kind})
    return message.model_copy(update={"report": None}) if kind == "lost" else message


def fill(settings: HubSettings) -> Stores:
    """Fill an empty store with an hour: a run that ended without notice, a gap without a cause, and four alerts."""
    stores = build_stores(settings)
    for minutes, message in (
        (-60, state("one", "ready", 0)),
        (19, state("one", "ready", 119)),
        (21, state("one", "lost")),
        (30, state("two", "ready")),
        (60, state("two", "ready", 179)),
    ):
        stores.events.sensors.update_state(message, 0.1, START + timedelta(minutes=minutes))
    _levels(stores)
    assert settings.store.audio_dir is not None
    _events(stores, settings.store.audio_dir)
    first = stores.events.alerts.get("demo.street-1.two.10")
    assert first is not None
    feedback = build_feedback(stores, build_threshold_tuner(settings.alerts, stores))
    feedback.submit(
        alert=first, match=None, verdict="wrong-category", categories=["music"], note="a \u6708", by="ines"
    )
    return stores


def _levels(stores: Stores) -> None:
    """60 dB; none while no run was there, and none for 30 s."""
    tenths = np.full((3_600, 3), 600, dtype=np.int16)
    tenths[20 * 60 : 30 * 60] = NO_LEVEL
    tenths[50 * 60 + 10 : 50 * 60 + 40] = NO_LEVEL
    series = LevelSeries("demo", "street-1", "two", START, tenths, "dB", calibration=CALIBRATION)
    LevelStore(stores.events.client, stores.events.rows).add_many([series], MADE)
    offset = AppliedOffset("two", 300, int(END.timestamp()) - 60, int(END.timestamp()))
    LevelOffsets(stores.events.client, stores.events.rows).add(PLACE, offset)


def _events(stores: Stores, folder: Path) -> None:
    """An event every 10 s; numbers 100 to 102 of the second run are missing."""
    archive = stores.events
    numbered = [("one", seq, 10.0 * seq) for seq in range(120)]
    numbered += [("two", seq, 1_800 + 10.0 * seq) for seq in range(180) if seq not in {100, 101, 102}]
    flac = encode_flac(np.linspace(-0.5, 0.5, 22_050).astype(np.float32), 22_050)
    events = []
    for boot, seq, after_s in numbered:
        at = START + timedelta(seconds=after_s)
        name = EventId("demo", "street-1", boot, seq)
        event = replace(stored(seq), id=name, captured_at=at, received_at=at, levels=Levels(60.0, 70.0, "dB"))
        if (boot, seq) in {("two", 10), ("two", 50)}:
            sealed = str(name) == SEALED
            clip = f"demo/street-1/2025-06-01/{name}.{'age' if sealed else 'flac'}"
            path = folder / clip
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"age-encryption.org/v1 ..." if sealed else flac)
            event = replace(event, clip=clip, sealed_to=("age1key",) if sealed else ())
        events.append(event)
    archive.add_many(events)
    pipe = archive.client.pipeline()
    for of in ("demo.street-1.two.10", SEALED, "demo.street-1.two.70", DAMAGED):
        archive.alerts.queue(pipe, _alert(of))
    pipe.execute()
    archive.client.set(keys.alert(DAMAGED), "{")


def _alert(event: str) -> AlertMessage:
    seq = int(event.rpartition(".")[2])
    values: Mapping[str, object] = {
        "captured_at": START + timedelta(seconds=1_800 + 10 * seq),
        "laeq": 67.3,
        "lafmax": 81.2,
        "level_unit": "dB",
        "categories": ["dog"],
        "match_probability": 0.83,
        "threshold": 0.6,
        "calibration_age_days": 12.0,
    }
    return alert(event).model_copy(update=values)

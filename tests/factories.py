"""Values for tests, and hypothesis strategies that make them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hub.domain.limits import LimitRule
from hub.domain.records import StoredEmbeddings, StoredEvent
from shared.events import Calibration, Embedding, Event, EventId, Flac, Levels
from shared.feature_space import VGGISH
from shared.messages.alert import AlertMessage, MatchMessage

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)

names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)
event_ids = st.builds(EventId, site=names, sensor=names, boot=names, seq=st.integers(0, 2**53 - 1))
levels = st.builds(
    Levels, laeq=st.floats(-200, 200), lafmax=st.floats(-200, 200), unit=st.sampled_from(["dBFS", "dB"])
)
embeddings = st.builds(
    Embedding, space=st.just(VGGISH.id), features=arrays.arrays(np.uint8, VGGISH.shape, fill=st.just(7))
)
flacs = st.builds(lambda tail: Flac(b"fLaC" + tail), st.binary(max_size=200))
events = st.builds(
    Event,
    id=event_ids,
    captured_at=st.datetimes(datetime(2000, 1, 2), datetime(2199, 12, 30)).map(lambda t: t.replace(tzinfo=UTC)),  # noqa: DTZ001
    duration_s=st.floats(0.1, 60),
    rate_hz=st.integers(1_000, 384_000),
    levels=levels,
    body=st.one_of(embeddings, flacs),
    clock=st.sampled_from(["synchronised", "unsynchronised", "unknown"]),
    backfilled=st.booleans(),
    calibration=st.none() | st.builds(Calibration, id=names, at=st.just(NOON)),
    backlog=st.booleans(),
)


def event(
    seq: int = 0, *, sensor: str = "street-1", site: str = "demo", seed: int | None = None, after_s: float = 0.0
) -> Event:
    """One embedding event."""
    features = np.random.default_rng(seq if seed is None else seed).integers(0, 256, VGGISH.shape, dtype=np.uint8)
    return Event(
        id=EventId(site, sensor, "boot", seq),
        captured_at=NOON + timedelta(seconds=after_s),
        duration_s=10.0,
        rate_hz=22_050,
        levels=Levels(-40.0, -30.0),
        body=Embedding(VGGISH.id, features),
    )


def stored(seq: int = 0, *, sensor: str = "street-1", site: str = "demo", after_s: float = 0.0) -> StoredEvent:
    """One archived event."""
    sent = event(seq, sensor=sensor, site=site, after_s=after_s)
    assert isinstance(sent.body, Embedding)
    return StoredEvent(
        id=sent.id,
        captured_at=sent.captured_at,
        received_at=sent.captured_at + timedelta(seconds=11),
        duration_s=sent.duration_s,
        levels=sent.levels,
        space=VGGISH.id,
        features=sent.body.features,
        presence=(0.5, 0.0, 0.25, 0.0, 1.0, 0.0, 0.0, 0.0),
        towers=StoredEmbeddings("another-network", np.arange(6, dtype=np.float16), np.arange(-2, 3, dtype=np.int8)),
    )


def alert(event: str = "demo.street-1.boot.0") -> AlertMessage:
    """An alert of an event of site `demo`."""
    match = MatchMessage(
        event="demo.street-2.boot.9", site="demo", sensor="street-2", captured_at=NOON, level=7.5, shared={"dog": 0.9}
    )
    return AlertMessage(
        event=event,
        site="demo",
        sensor="street-1",
        captured_at=NOON,
        laeq=-40.0,
        lafmax=-30.0,
        level_unit="dBFS",
        presence={"dog": 0.9},
        matches=[match],
    )


def limit_rule(**changes: Any) -> LimitRule:
    """A limit of 55 dB of LAeq of each hour, with changes."""
    fields: dict[str, Any] = {
        "name": "limit",
        "title": "A limit",
        "source": "A law",
        "quantity": "laeq",
        "period": "hour",
        "limit_db": 55.0,
    }
    return LimitRule(**(fields | changes))

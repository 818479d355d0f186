"""Level series of sensors with wrong clocks: corrected by the measured offset, or held; never at a guessed time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.clocks import Doubts, steady_offset_s
from hub.ingest.level_times import LevelTimes, PlacedSeries, Unplaced
from hub.runtime.embedded_servers import Servers
from hub.store.events import EventStore
from hub.store.level_offsets import AppliedOffset, LevelOffsets
from hub.store.levels import LevelStore
from shared.level_series import LevelSeries
from shared.messages.sensor import StateMessage
from tests.hub.ingest.test_level_consumer import AT_S, NOW, counted, message, running, send
from tests.server_processes import Mosquitto, eventually

pytestmark = pytest.mark.redis

TOLERANCE = timedelta(minutes=2)
PLACE = "demo/street-1"
AHEAD = timedelta(hours=2)
IN_1970 = timedelta(seconds=-AT_S)


@pytest.fixture
def store_url(embedded: Servers) -> str:
    """One store is enough: the suite of stores tests the others."""
    url = embedded.redis_url
    opened = EventStore(url)
    opened.client.flushall()
    opened.close()
    return url


def series(at: datetime, boot: str = "boot") -> LevelSeries:
    tenths = np.arange(60, dtype=np.int16)[:, None] + np.array([600, 700, 620], dtype=np.int16)
    return LevelSeries("demo", "street-1", boot, at, tenths, "dB")


def measured(archive: EventStore, skew: timedelta, boot: str = "boot") -> None:
    state = StateMessage(
        site="demo",
        sensor="street-1",
        boot=boot,
        state="ready",
        source="microphone",
        payload_format="flac",
        software="0",
        started_at=NOW,
    )
    archive.sensors.update_state(state, skew.total_seconds())


def times_of(archive: EventStore) -> LevelTimes:
    return LevelTimes(archive.sensors, LevelOffsets(archive.client, archive.rows), TOLERANCE)


@pytest.mark.parametrize(
    ("off", "waited"),
    [
        (AHEAD, timedelta(0)),
        (AHEAD, AHEAD),
        (AHEAD, timedelta(hours=6)),
        (-AHEAD, timedelta(0)),
        (-AHEAD, timedelta(hours=6)),
        (timedelta(days=400), timedelta(hours=6)),
        (IN_1970, timedelta(0)),
    ],
)
def test_a_series_takes_its_time_less_the_measured_offset(
    archive: EventStore, off: timedelta, waited: timedelta
) -> None:
    measured(archive, off)
    began = NOW - timedelta(minutes=1) - waited
    (found,) = times_of(archive).place([series(began + off)], NOW, Doubts())
    assert isinstance(found, PlacedSeries)
    assert found.series.captured_at == began
    first_s = int(began.timestamp())
    assert found.offset == AppliedOffset("boot", int(off.total_seconds()), first_s, first_s + 60)


@pytest.mark.parametrize(
    ("sent", "skew"),
    [
        (series(NOW - timedelta(hours=6)), timedelta(minutes=1)),
        (series(NOW - timedelta(hours=6), "before"), -AHEAD),
        (replace(series(NOW - timedelta(hours=6)), clock="synchronised"), -AHEAD),
        (replace(series(NOW - timedelta(hours=6)), backfilled=True), AHEAD),
        (series(NOW - timedelta(hours=1)), -AHEAD),
    ],
)
def test_a_time_that_can_be_is_believed_unless_the_clock_was_measured_to_be_off(
    archive: EventStore, sent: LevelSeries, skew: timedelta
) -> None:
    measured(archive, skew)
    assert times_of(archive).place([sent], NOW, Doubts()) == [PlacedSeries(sent)]


@pytest.mark.parametrize(
    ("skew", "boot", "doubts", "waits"),
    [
        (None, "boot", Doubts(), True),
        (AHEAD, "before", Doubts(), True),
        (timedelta(0), "boot", Doubts(), False),
        (IN_1970, "boot", Doubts("this hub's clock is wrong"), True),
    ],
)
def test_without_an_offset_of_the_same_boot_it_has_no_time(
    archive: EventStore, skew: timedelta | None, boot: str, doubts: Doubts, *, waits: bool
) -> None:
    if skew is not None:
        measured(archive, skew, boot)
    (found,) = times_of(archive).place([series(datetime.fromtimestamp(120, UTC))], NOW, doubts)
    assert isinstance(found, Unplaced)
    assert "cannot be" in found.reason
    assert found.waits is waits


def test_a_repeat_comes_to_the_same_place_though_the_clock_was_measured_again(archive: EventStore) -> None:
    began = NOW - timedelta(minutes=1)
    sent = [series(began + AHEAD), series(began + AHEAD - timedelta(minutes=1))]
    measured(archive, AHEAD)
    times, offsets = times_of(archive), LevelOffsets(archive.client, archive.rows)
    for place in (times, times, times_of(archive)):
        for found in place.place(sent, NOW, Doubts()):
            assert isinstance(found, PlacedSeries)
            assert found.offset is not None
            offsets.add(PLACE, found.offset)
        measured(archive, AHEAD + timedelta(seconds=1.4))
    begin_s = AT_S - 60
    assert offsets.all(PLACE) == [AppliedOffset("boot", 7_200, begin_s, AT_S + 60)]
    measured(archive, AHEAD + timedelta(seconds=3))
    (later,) = times.place([series(began + AHEAD + timedelta(seconds=3))], NOW, Doubts())
    assert isinstance(later, PlacedSeries)
    assert later.series.captured_at == began
    assert offsets.between(PLACE, AT_S + 60, AT_S + 90) == []


@given(st.lists(st.integers(-(10**9), 10**9), max_size=4), st.floats(-1e9, 1e9))
def test_an_offset_is_within_two_seconds_of_the_measurement(known: list[int], skew_s: float) -> None:
    offset_s = steady_offset_s(known, skew_s)
    assert abs(offset_s - skew_s) <= 2.0
    if any(abs(one - skew_s) <= 2.0 for one in known):
        assert offset_s in known


@pytest.mark.mosquitto
def test_series_wait_for_the_report_of_their_sensor_and_are_stored_corrected(
    mosquitto: Mosquitto, archive: EventStore
) -> None:
    levels, offsets = LevelStore(archive.client, archive.rows), LevelOffsets(archive.client, archive.rows)
    began = NOW - timedelta(minutes=1)
    other = replace(series(began), sensor="street-2")
    with running(mosquitto, archive) as metrics:
        send(mosquitto, message(series(began + AHEAD)), message(other))
        eventually(lambda: counted(metrics, "stored") == 60, 20, "a right series is not held up")
        assert counted(metrics, "retimed") == 0
        measured(archive, AHEAD + timedelta(seconds=0.3))
        eventually(lambda: counted(metrics, "retimed") == 60, 20, "the other is stored")
    assert levels.series(PLACE, AT_S, AT_S + 60).levels[:, 0].tolist() == [60.0 + n / 10 for n in range(60)]
    assert offsets.between(PLACE, AT_S, AT_S + 1) == [AppliedOffset("boot", 7_200, AT_S, AT_S + 60)]
    assert archive.letters.count() == 0

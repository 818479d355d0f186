"""The synthetic street as a source."""

from itertools import islice
from threading import Event as Flag

import numpy as np

from edge.sources import AudioClip
from edge.sources.synthetic import SyntheticSource


def clips(source: SyntheticSource, count: int) -> list[bytes]:
    items = [item for item in islice(source.clips(Flag()), count) if isinstance(item, AudioClip)]
    assert all(item.waveform.shape == (80_000,) and np.isfinite(item.waveform).all() for item in items)
    return [item.waveform.tobytes() for item in items]


def test_the_same_sensor_records_the_same_street_again() -> None:
    one, two = (SyntheticSource(sensor="a", seed=1, rate_hz=8_000) for _ in range(2))
    assert clips(one, 3) == clips(two, 3)


def test_two_sensors_of_one_street_record_different_clips() -> None:
    streets = [
        SyntheticSource(sensor="a", seed=1, rate_hz=8_000),
        SyntheticSource(sensor="b", seed=1, rate_hz=8_000),
        SyntheticSource(sensor="a", seed=1, shard_index=1, rate_hz=8_000),
        SyntheticSource(sensor="a", seed=2, rate_hz=8_000),
    ]
    assert len({clips(street, 1)[0] for street in streets}) == 4


def test_it_ends_on_request() -> None:
    stop = Flag()
    items = SyntheticSource(sensor="a", seed=1, rate_hz=8_000).clips(stop)
    next(items)
    stop.set()
    assert list(items) == []

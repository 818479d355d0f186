"""The synthetic street as a source."""

from itertools import islice
from threading import Event as Flag

import numpy as np

from edge.sources import Sound
from edge.sources.synthetic import StreetSource


def clips(source: StreetSource, count: int) -> list[bytes]:
    items = [item for item in islice(source.items(Flag()), count) if isinstance(item, Sound)]
    assert all(item.waveform.shape == (80_000,) and np.isfinite(item.waveform).all() for item in items)
    return [item.waveform.tobytes() for item in items]


def test_the_same_sensor_hears_the_same_street_again() -> None:
    one, two = (StreetSource(sensor="a", seed=1, rate_hz=8_000) for _ in range(2))
    assert clips(one, 3) == clips(two, 3)


def test_two_sensors_of_one_street_hear_different_clips() -> None:
    streets = [
        StreetSource(sensor="a", seed=1, rate_hz=8_000),
        StreetSource(sensor="b", seed=1, rate_hz=8_000),
        StreetSource(sensor="a", seed=1, shard_index=1, rate_hz=8_000),
        StreetSource(sensor="a", seed=2, rate_hz=8_000),
    ]
    assert len({clips(street, 1)[0] for street in streets}) == 4


def test_it_ends_when_told() -> None:
    stop = Flag()
    items = StreetSource(sensor="a", seed=1, rate_hz=8_000).items(stop)
    next(items)
    stop.set()
    assert list(items) == []

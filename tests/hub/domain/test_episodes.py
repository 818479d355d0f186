import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.episodes import (
    AMBIENT_CLIPS,
    Episode,
    Observation,
    SensorState,
    overlapping_elsewhere,
)
from shared.taxonomy import CATEGORIES

GAP = 60_000


def clip(seq: int, at_s: float, presence: dict[str, float], laeq: float = 60.0, unit: str = "dB") -> Observation:
    values = tuple(presence.get(name, 0.0) for name in CATEGORIES)
    return Observation(f"s.b.{seq}", "demo/s", round(at_s * 1000), round(at_s * 1000) + 10_000, laeq, unit, values)


def test_clips_of_one_category_with_little_silence_between_are_one_episode() -> None:
    recent = SensorState()
    for seq, at_s in enumerate((0, 10, 70, 141)):
        taken = recent.observe(clip(seq, at_s, {"dog": 0.8 + 0.01 * seq}, laeq=50 + seq), 0.5, GAP)
    first, second = recent.episodes["dog"]
    assert (first.clips, first.opened_ms, first.last_ms, first.duration_s) == (3, 0, 80_000, 80.0)
    assert (first.peak_event, first.max_laeq) == ("s.b.2", 52)
    assert first.peak_presence == pytest.approx(0.82)
    assert taken == [second]
    assert second.id != first.id


def test_each_category_has_episodes_of_its_own() -> None:
    recent = SensorState()
    recent.observe(clip(0, 0, {"engine": 0.9}), 0.5, GAP)
    taken = recent.observe(clip(1, 10, {"engine": 0.9, "powered-saw": 0.9}), 0.5, GAP)
    assert [(e.category, e.opened_ms) for e in taken] == [("engine", 0), ("powered-saw", 10_000)]


def test_a_category_in_doubt_goes_on_but_does_not_open() -> None:
    recent = SensorState()
    assert recent.observe(clip(0, 0, {"dog": 0.4}), 0.5, GAP) == []
    recent.observe(clip(1, 10, {"dog": 0.6}), 0.5, GAP)
    assert [e.clips for e in recent.observe(clip(2, 20, {"dog": 0.4}), 0.5, GAP)] == [2]
    assert recent.observe(clip(3, 30, {"dog": 0.3}), 0.5, GAP) == []


def test_a_clip_that_comes_late_finds_the_episode_it_belongs_to() -> None:
    recent = SensorState()
    for seq, at_s in enumerate((0, 500, 1_000)):
        recent.observe(clip(seq, at_s, {"dog": 0.9}), 0.5, GAP)
    (taken,) = recent.observe(clip(9, 510, {"dog": 0.9}), 0.5, GAP)
    assert (taken.id, taken.clips) == ("s.b.1.7", 2)
    (before,) = recent.observe(clip(10, 450, {"dog": 0.9}), 0.5, GAP)
    assert (before.id, before.opened_ms) == ("s.b.1.7", 450_000)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.floats(0, 1)), max_size=60))
def test_episodes_of_a_category_hold_every_clip_that_was_detected_and_never_overlap(
    drawn: list[tuple[int, float]],
) -> None:
    recent, last = SensorState(), dict[str, Episode]()
    received = 0
    for seq, (at_s, p) in enumerate(sorted(drawn)):
        for episode in recent.observe(clip(seq, at_s, {"dog": p}), 0.5, GAP):
            last[episode.id] = episode
            received += 1
    assert sum(e.clips for e in last.values()) == received >= sum(p >= 0.5 for _, p in drawn)
    spans = sorted((e.opened_ms, e.last_ms) for e in last.values())
    assert all(b - a > GAP for (_, a), (b, _) in itertools.pairwise(spans))


def test_the_ambient_level_is_what_nine_of_ten_clips_exceed() -> None:
    recent = SensorState()
    levels = [50.0 + (seq * 7919 % 100) / 10 for seq in range(2_000)]  # evenly in [50, 60)
    for seq, laeq in enumerate(levels):
        recent.observe(clip(seq, 10 * seq, {}, laeq=laeq), 0.5, GAP)
    assert recent.ambient == pytest.approx(51.0, abs=0.8)
    assert recent.above_ambient_db(61.0) == pytest.approx(10.0, abs=0.8)


def test_no_ambient_level_is_reported_before_it_is_known_nor_after_the_unit_changes() -> None:
    recent = SensorState()
    for seq in range(AMBIENT_CLIPS):
        assert recent.above_ambient_db(60.0) is None
        recent.observe(clip(seq, seq, {}), 0.5, GAP)
    assert recent.above_ambient_db(60.0) == 0.0
    recent.observe(clip(99, 99, {}, laeq=-40.0, unit="dBFS"), 0.5, GAP)
    assert recent.above_ambient_db(-40.0) is None


def test_simultaneous_is_the_same_category_elsewhere_at_the_same_time() -> None:
    def at(place: str, category: str, start: int, end: int) -> Episode:
        return Episode(f"{place}.{category}", place, category, start * 1000, end * 1000)

    own = at("demo/a", "dog", 100, 200)
    linked = [at("demo/b", "dog", 150, 160), at("demo/c", "dog", 250, 260)]
    others = [at("demo/a", "dog", 100, 200), at("demo/b", "music", 100, 200), at("demo/b", "dog", 261, 270)]
    assert overlapping_elsewhere(own, [*linked, *others], GAP) == linked

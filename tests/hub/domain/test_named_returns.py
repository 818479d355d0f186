"""Returns of named sounds: when one begins, what belongs to it, and what is reported of it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.named_returns import KEPT, Clip, NameLog, Naming, Pauses, Return, Returns, name
from hub.domain.named_sounds import Example, Likely, Mode, NamedSound, Treatment

PAUSES = Pauses(gap_ms=60_000, cooldown_ms=1_800_000)
HERE, NEAR = "demo/s1", "demo/s2"
CLIP_MS = 10_000


def likely(mode: Mode, probability: float = 0.9) -> Likely:
    sound = NamedSound("0" * 8, "bakery fan", "demo", ("demo.s1.b.0",), Treatment(mode=mode))
    return Likely(sound, probability, Example("demo.s1.b.0", HERE, 0))


@dataclass
class Log:
    """The log as it is now."""

    now: NameLog = field(default_factory=NameLog)


def named_observation(
    log: Log, at_s: float, mode: Mode = "watched", *, place: str = HERE, probability: float = 0.9
) -> Naming | None:
    at_ms = round(1000 * at_s)
    clip = Clip(f"{place}@{at_s:g}", place, at_ms, at_ms + CLIP_MS)
    nearby = [NEAR] if place == HERE else [HERE]
    named = name(clip, [likely(mode, probability)], log.now, nearby, PAUSES)
    if named is None:
        return None
    naming, log.now = named
    return naming


def raised(namings: Sequence[Naming | None]) -> list[bool]:
    return [naming is not None and naming.raises for naming in namings]


def test_a_watched_sound_raises_one_alert_per_return() -> None:
    log = Log()
    namings = [named_observation(log, at_s) for at_s in (0, 10, 600, 2_300, 4_200, 4_210)]
    assert raised(namings) == [True, False, False, False, True, False]
    assert [naming.alert for naming in namings if naming] == [f"{HERE}@0"] * 4 + [f"{HERE}@4200"] * 2
    returns = log.now.of(HERE, "0" * 8)
    assert (returns.times, returns.clips, len(returns.kept)) == (2, 6, 2)
    assert set(log.now.names) == {f"{HERE}@{at_s}" for at_s in (0, 10, 600, 2_300, 4_200, 4_210)}


@pytest.mark.parametrize("mode", ["muted", "shown"])
def test_a_sound_that_is_not_watched_is_counted_and_raises_none(mode: Mode) -> None:
    log = Log()
    namings = [named_observation(log, at_s, mode) for at_s in (0, 10, 4_000)]
    assert raised(namings) == [False] * 3
    assert all(naming is not None and naming.alert == "" for naming in namings)
    assert all(naming is not None and naming.quiet == (mode == "muted") for naming in namings)
    assert (log.now.of(HERE, "0" * 8).times, log.now.of(HERE, "0" * 8).clips) == (2, 3)


def test_a_sound_that_is_watched_while_it_goes_on_raises_an_alert() -> None:
    log = Log()
    assert raised([named_observation(log, 0, "muted"), named_observation(log, 10), named_observation(log, 20)]) == [
        False,
        True,
        False,
    ]


def test_sensors_that_detect_the_same_return_raise_one_alert() -> None:
    log = Log()
    namings = [
        named_observation(log, 0),
        named_observation(log, 5, place=NEAR),
        named_observation(log, 15, place=NEAR),
        named_observation(log, 20),
    ]
    assert raised(namings) == [True, False, False, False]
    assert {naming.alert for naming in namings if naming} == {f"{HERE}@0"}
    assert log.now.of(NEAR, "0" * 8).times == 1


def test_a_faint_clip_does_not_end_a_sound_and_does_not_begin_one() -> None:
    log = Log()
    namings = [
        named_observation(log, 0, probability=0.4),
        named_observation(log, 10),
        named_observation(log, 20, probability=0.4),
    ]
    assert [naming is not None for naming in namings] == [False, True, True]
    assert named_observation(log, 200, probability=0.4) is None, "it does not go on any more"


@given(st.lists(st.integers(0, 40), min_size=1, max_size=14, unique=True), st.randoms())
def test_returns_do_not_depend_on_the_order_of_clips(steps: list[int], random: object) -> None:
    clips = [Return(step * 400_000, step * 400_000 + CLIP_MS, 1, str(step)) for step in steps]
    made = []
    for _ in range(3):
        random.shuffle(clips)  # type: ignore[attr-defined]
        returns = Returns()
        for clip in clips:
            returns = returns.take(clip, PAUSES.cooldown_ms)
        made.append(returns)
    assert made[0] == made[1] == made[2]
    ordered = sorted(steps)
    breaks = sum((b - a) * 400_000 - CLIP_MS > PAUSES.cooldown_ms for a, b in itertools.pairwise(ordered))
    assert (made[0].times, made[0].clips) == (1 + breaks, len(steps))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True), st.randoms())
def test_clips_that_come_late_raise_no_second_alert_of_a_return(steps: list[int], random: object) -> None:
    """At most one alert per pause of more than a cool-down, in whatever order clips come."""
    random.shuffle(steps)  # type: ignore[attr-defined]
    log = Log()
    alerts = sum(raised([named_observation(log, 400.0 * step) for step in steps]))
    groups = 1 + sum(b - a > 4 for a, b in itertools.pairwise(sorted(steps)))
    assert alerts >= groups
    assert log.now.of(HERE, "0" * 8).times == groups
    assert all(one.alert for one in log.now.of(HERE, "0" * 8).kept)


def test_what_is_too_old_to_be_known_raises_no_alert() -> None:
    log = Log()
    for number in range(1, KEPT + 5):
        named_observation(log, 4_000.0 * number)
    returns = log.now.of(HERE, "0" * 8)
    assert len(returns.kept) == KEPT
    assert returns.times == KEPT + 4
    assert raised([named_observation(log, 1)]) == [False]


def test_a_log_begins_with_what_is_kept_and_notes_what_changed() -> None:
    kept = Returns(3, 9, (Return(0, CLIP_MS, 2, "first", "alert"),))
    log = Log(NameLog({(HERE, "0" * 8): kept}))
    naming = named_observation(log, 20)
    assert naming is not None
    assert (naming.alert, naming.raises) == ("alert", False)
    assert list(log.now.changed) == [(HERE, "0" * 8)]
    assert log.now.changed[HERE, "0" * 8] == replace(
        kept, clips=10, kept=(Return(0, 20_000 + CLIP_MS, 3, "first", "alert"),)
    )

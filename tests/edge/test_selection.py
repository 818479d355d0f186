"""What a sensor sends: loud clips with their surroundings, a budget of bytes, modes without sound."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.selection import BUDGET_SHARE, DAY_S, HOUR_S, ByteBudget, LoudClips, Selection
from edge.send_settings import SendSettings
from edge.settings import EdgeSettings
from shared.errors import InvalidError
from shared.events import Embedding, Event, EventId, Flac, Levels
from shared.feature_space import EARWITNESS_SMALL
from shared.messages.event import decode_event
from shared.settings import load_settings

EMBEDDING = Embedding(EARWITNESS_SMALL.id, np.zeros((EARWITNESS_SMALL.frames, EARWITNESS_SMALL.dimension), np.uint8))
SOUND = Flac(b"fLaC" + bytes(50_000))


def event(seq: int, laeq: float = -50.0, sound: Flac | None = None, body: Flac | Embedding = EMBEDDING) -> Event:
    return Event(
        id=EventId("s", "n", "b", seq),
        captured_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=10 * seq),
        duration_s=10.0,
        rate_hz=16_000,
        levels=Levels(laeq, laeq),
        body=body,
        sound=sound,
    )


def sent(rule: SendSettings, levels: list[float]) -> list[int]:
    gate = LoudClips(rule)
    return [one.id.seq for seq, level in enumerate(levels) for one in gate.select(event(seq, level))]


def test_a_loud_clip_is_sent_with_the_clip_before_and_the_clip_after() -> None:
    rule = SendSettings(what="events")
    assert sent(rule, [-60.0] * 5 + [-45.0] + [-60.0] * 4) == [4, 5, 6]


def test_an_absolute_level_counts_without_an_ambient() -> None:
    rule = SendSettings(what="events", min_laeq=-40.0, min_above_ambient_db=200.0, pre_roll_clips=0, hold_clips=0)
    assert sent(rule, [-39.0, -41.0, -40.0]) == [0, 2]


def test_a_street_that_becomes_louder_for_an_hour_is_its_own_ambient() -> None:
    rule = SendSettings(what="events", pre_roll_clips=0, hold_clips=0)
    chosen = sent(rule, [-60.0] * 360 + [-45.0] * 720)
    assert chosen[0] == 360
    assert chosen[-1] < 720


@given(
    st.lists(st.floats(-100, 0), max_size=80),
    st.integers(0, 5),
    st.integers(0, 5),
    st.floats(0, 30),
)
def test_what_is_sent_is_in_order_once_and_near_a_loud_clip(
    levels: list[float], pre: int, hold: int, above: float
) -> None:
    rule = SendSettings(what="events", pre_roll_clips=pre, hold_clips=hold, min_above_ambient_db=above)
    chosen = sent(rule, levels)
    assert chosen == sorted(set(chosen))

    def ambient(upto: int) -> float:
        past = sorted(levels[max(0, upto - 359) : upto + 1])
        return past[int(0.1 * len(past))]

    loud = {n for n, level in enumerate(levels) if level > ambient(n) and level - ambient(n) >= above}
    expected = {n + by for n in loud for by in range(-pre, hold + 1) if 0 <= n + by < len(levels)}
    assert set(chosen) == expected


@given(st.lists(st.tuples(st.floats(0, 4_000), st.booleans()), max_size=60), st.integers(10_000, 400_000))
def test_no_hour_exceeds_its_budget_and_sound_leaves_room_for_the_rest(
    clips: list[tuple[float, bool]], most: int
) -> None:
    budget = ByteBudget(most, None, now_s=0.0)
    now_s, used = 0.0, dict[int, int]()
    for seq, (gap_s, with_sound) in enumerate(clips):
        now_s += gap_s
        hour = int(now_s // HOUR_S)
        fitted = budget.fit(event(seq, sound=SOUND if with_sound else None), now_s)
        if fitted is None:
            assert used.get(hour, 0) + 10_000 > BUDGET_SHARE["features"] * most
            continue
        payload, content = fitted
        assert (decode_event(payload).sound is None) == (content == "features")
        used[hour] = used.get(hour, 0) + len(payload)
        assert used[hour] <= BUDGET_SHARE[content] * most
    assert budget.sound_left_out <= sum(with_sound for _, with_sound in clips)


def test_sound_is_left_out_before_features_and_both_are_counted() -> None:
    budget = ByteBudget(100_000, 100_000_000, now_s=0.0)
    bodies = [budget.fit(event(seq, sound=SOUND), 0.0) for seq in range(60)]
    kinds = ["none" if body is None else body[1] for body in bodies]
    assert kinds == sorted(kinds, key=["sound", "features", "none"].index)
    assert set(kinds) == {"sound", "features", "none"}
    assert budget.sound_left_out == 60 - kinds.count("sound")
    assert budget.features_left_out == kinds.count("none")
    assert budget.fit(event(60, sound=SOUND), HOUR_S) is not None, "a new hour"


def test_a_clip_that_is_audio_alone_is_left_out_as_a_whole() -> None:
    budget = ByteBudget(None, 60_000, now_s=0.0)
    assert budget.fit(event(0, body=SOUND), 0.0) is None
    assert (budget.sound_left_out, budget.features_left_out) == (1, 0)
    assert budget.fit(event(1), DAY_S - 1) is not None


def test_without_a_budget_nothing_changes() -> None:
    budget = ByteBudget(None, None, now_s=0.0)
    fitted = budget.fit(event(0, sound=SOUND), 0.0)
    assert fitted is not None
    assert decode_event(fitted[0]) == event(0, sound=SOUND)


@pytest.mark.parametrize("what", get_args(SendSettings.model_fields["what"].annotation))
def test_each_mode_selects(what: str) -> None:
    selection = Selection(SendSettings.model_validate({"what": what}))
    chosen = [one for seq, level in enumerate([-60.0, -60.0, -30.0]) for one in selection.select(event(seq, level))]
    expected = {"all": [0, 1, 2], "events": [1, 2], "embeddings": [0, 1, 2], "levels": []}[what]
    assert [one.id.seq for one in chosen] == expected


@pytest.mark.parametrize(
    ("overrides", "space", "sound"),
    [
        ([], None, True),
        (["send.what=events"], None, True),
        (["send.what=embeddings"], EARWITNESS_SMALL.id, False),
        (["send.what=levels", "features.with_sound=true", "privacy.no_speech=true"], None, False),
        (["features.space=earwitness-small"], "earwitness-small", False),
        (["features.with_sound=true"], EARWITNESS_SMALL.id, True),
        (["privacy.no_speech=true"], EARWITNESS_SMALL.id, True),
        (["privacy.no_speech=true", "send.what=embeddings"], EARWITNESS_SMALL.id, False),
        (["send.what=embeddings", "source.kind=embeddings", "source.path=x.npz"], None, False),
    ],
)
def test_settings_decide_on_embeddings_and_sound(overrides: list[str], space: str | None, sound: bool) -> None:
    settings = load_settings(EdgeSettings, None, overrides)
    assert (settings.feature_space, settings.sends_sound) == (space, sound)


def test_sound_beside_audio_is_refused() -> None:
    with pytest.raises(InvalidError, match="embedding"):
        replace(event(0, body=SOUND), sound=SOUND)

"""Named sounds: which names there may be, and which event is which sound."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.episodes import CONTINUE_RATIO
from hub.domain.named_sounds import (
    ALL_SITES,
    EXAMPLES_LIMIT,
    NAME_LIMIT,
    SITE_LIMIT,
    Example,
    Examples,
    Likely,
    NamedSound,
    NameTakenError,
    Treatment,
    check_room,
    find,
    recognised,
    tidy,
)
from shared.errors import InvalidError

EXAMPLE = Example("demo.street-1.boot.0", "demo/street-1", 0)


def sound(number: int = 0, name: str = "", site: str = "demo", threshold: float = 0.5) -> NamedSound:
    return NamedSound(
        f"{number:08x}", name or f"sound {number}", site, ("demo.street-1.boot.0",), Treatment(threshold=threshold)
    )


def unit(*values: float) -> npt.NDArray[np.float32]:
    made = np.array(values, np.float32)
    return made / np.float32(np.linalg.norm(made))


def as_it_is(cosines: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.clip(cosines, 0.0, 1.0)


@pytest.mark.parametrize(
    "name", ["", " ", "x" * (NAME_LIMIT + 1), "two\nlines", "bell\a", "\u202ereversed", "\udcff"]
)
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(InvalidError, match="1 to 60 printable characters"):
        tidy(name)


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [("  bakery   fan ", "bakery fan"), ("Lüfter der Bäckerei", "Lüfter der Bäckerei"), ("扇", "扇")],
)
def test_a_name_is_kept_without_needless_spaces(given_name: str, kept: str) -> None:
    assert tidy(given_name) == kept


@given(st.text(max_size=70))
def test_a_tidy_name_stays_as_it_is(name: str) -> None:
    try:
        made = tidy(name)
    except InvalidError:
        return
    assert tidy(made) == made
    assert 1 <= len(made) <= NAME_LIMIT


@pytest.mark.parametrize(
    "examples", [(), tuple(f"demo.s.b.{n}" for n in range(EXAMPLES_LIMIT + 1)), ("a.b.c.1",) * 2]
)
def test_a_sound_has_one_to_five_different_examples(examples: tuple[str, ...]) -> None:
    with pytest.raises(InvalidError, match="example"):
        replace(sound(), examples=examples)


@pytest.mark.parametrize(
    "treatment", [{"mode": "loved"}, {"threshold": 1.1}, {"threshold": float("nan")}, {"severity": "dire"}]
)
def test_a_treatment_that_there_is_not_is_refused(treatment: dict[str, str | float]) -> None:
    with pytest.raises(InvalidError):
        Treatment(**treatment)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("site", "other", "taken"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a", ALL_SITES, True),
        (ALL_SITES, "b", True),
        (ALL_SITES, ALL_SITES, True),
    ],
)
def test_a_name_stands_for_one_sound_at_a_site(site: str, other: str, taken: bool) -> None:
    first, second = sound(1, "Bakery fan", site), sound(2, "bakery FAN", other)
    if taken:
        with pytest.raises(NameTakenError, match="is the name of another sound"):
            check_room(second, [first])
    else:
        check_room(second, [first])
    check_room(replace(first, name="Bakery fan"), [first])


def test_a_site_has_a_maximum_number_of_names() -> None:
    others = [sound(number) for number in range(SITE_LIMIT)]
    check_room(others[0], others)
    check_room(sound(SITE_LIMIT, site="elsewhere"), others)
    with pytest.raises(NameTakenError, match="which is the most"):
        check_room(sound(SITE_LIMIT), others)


def test_a_sound_is_found_by_id_and_by_name() -> None:
    sounds = {one.id: one for one in (sound(1, "Fan", "a"), sound(2, "fan", "b"), sound(3, "Horn", ALL_SITES))}
    assert find(sounds, f"{2:08x}") == sounds[f"{2:08x}"]
    assert find(sounds, " HORN ").id == f"{3:08x}"
    assert find(sounds, "FAN", "b").id == f"{2:08x}"
    with pytest.raises(InvalidError, match="name the site"):
        find(sounds, "fan")
    with pytest.raises(InvalidError, match="no sound has the name or id 'door'"):
        find(sounds, "door")


def test_a_sound_is_as_likely_as_its_closest_example() -> None:
    one, two = sound(1), sound(2)
    examples = Examples(
        [one, one, two],
        [replace(EXAMPLE, event=name) for name in ("far", "close", "other")],
        np.stack([unit(0, 1), unit(1, 0.1), unit(1, 1)]),
    )
    likely = examples.likely("demo", unit(1, 0), as_it_is)
    assert [(each.sound, each.example.event) for each in likely] == [(one, "close"), (two, "other")]
    assert likely[0].probability == pytest.approx(unit(1, 0.1)[0], abs=1e-6)


def test_a_sound_is_looked_for_where_it_has_its_name() -> None:
    sounds = [sound(1, site="a"), sound(2, site="b"), sound(3, site=ALL_SITES)]
    examples = Examples(sounds, [EXAMPLE] * 3, np.stack([unit(1, 0)] * 3))
    assert [one.sound.site for one in examples.likely("b", unit(1, 0), as_it_is)] == ["b", ALL_SITES]


def test_an_identity_of_another_size_is_no_sound() -> None:
    examples = Examples([sound()], [EXAMPLE], np.stack([unit(1, 0)]))
    assert examples.likely("demo", unit(1, 0, 0), as_it_is) == []
    assert Examples([], [], np.empty((0, 2), np.float32)).likely("demo", unit(1, 0), as_it_is) == []


@given(st.data())
def test_likely_sounds_are_those_of_a_naive_look(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    sounds = [sound(n, site=str(rng.choice(["a", "b", ""])), threshold=float(rng.random())) for n in range(5)]
    owners = sorted(rng.integers(0, 5, data.draw(st.integers(0, 12))).tolist())
    identities = np.stack([unit(*rng.normal(size=4)) for _ in owners]) if owners else np.empty((0, 4), np.float32)
    identity, least = unit(*rng.normal(size=4)), data.draw(st.floats(0, 1))
    found = Examples([sounds[n] for n in owners], [EXAMPLE] * len(owners), identities).likely(
        "a", identity, as_it_is, least
    )
    best = {
        one.id: max(
            0.0, *(float(row @ identity) for row, owner in zip(identities, owners, strict=True) if owner == n)
        )
        for n, one in enumerate(sounds)
        if one.serves("a") and n in owners
    }
    expected = {name: p for name, p in best.items() if p >= least * sounds[int(name, 16)].treatment.threshold - 1e-6}
    assert {one.sound.id for one in found} <= set(expected)
    assert all(one.probability == pytest.approx(expected[one.sound.id], abs=1e-5) for one in found)
    assert [one.probability for one in found] == sorted((one.probability for one in found), reverse=True)


def likely(number: int, probability: float, threshold: float = 0.5) -> Likely:
    return Likely(sound(number, threshold=threshold), probability, EXAMPLE)


def test_the_most_likely_sound_that_reaches_its_threshold_is_the_name() -> None:
    strict, most_likely, next_best = likely(1, 0.9, threshold=0.95), likely(2, 0.8), likely(3, 0.7)
    assert recognised([strict, most_likely, next_best]) == most_likely
    assert recognised([strict]) is None
    assert recognised([]) is None


def test_a_sound_that_goes_on_is_recognised_from_less() -> None:
    fainter = likely(1, CONTINUE_RATIO * 0.5 + 0.01)
    assert recognised([fainter]) is None
    assert recognised([fainter], lambda name: name == fainter.sound.id) == fainter
    assert recognised([likely(1, CONTINUE_RATIO * 0.5 - 0.01)], lambda _: True) is None

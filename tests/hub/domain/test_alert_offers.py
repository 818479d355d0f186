"""Which of a day's possible alerts the budget takes: those worth most, never too many, and some on a dull day too."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.alert_offers import DAY_MS, KNOWN, Offer, Offers, worth
from hub.domain.alert_pricing import Budget, decide_offer, has_budget, price
from hub.store.budget_rows import decode_offers, encode_offers
from shared.taxonomy import CATEGORIES

HOUR = 3_600_000
PAUSE = 1_800_000

OFFERS = st.builds(
    Offer,
    place=st.sampled_from(["demo/a", "demo/b"]),
    category=st.sampled_from(CATEGORIES),
    match_probability=st.floats(0.5, 1.0),
    same_source=st.floats(0.0, 1.0),
    above_db=st.none() | st.floats(-10, 60),
)
STREAMS = st.lists(st.tuples(st.integers(0, 6 * DAY_MS), OFFERS), max_size=80)
BUDGETS = st.sampled_from([0.3, 0.5, 1.0, 2.0, 2.9, 5.0])


def took(offers: Offers, reported: list[int], at_ms: int, offer: Offer, a_day: float = 2.0) -> bool:
    """Decide on an offer, and put the result in the place of the offers and of the times."""
    taken, budget = decide_offer(Budget(offers, tuple(reported)), [offer], at_ms, a_day, PAUSE)
    reported[:] = budget.alerts_ms
    for field in fields(Offers):
        setattr(offers, field.name, getattr(budget.offers, field.name))
    return taken


def dog(match_probability: float = 0.9, place: str = "demo/a", **known: float) -> Offer:
    return Offer(place, "dog", match_probability, **known)


def street(days: int, budget: float = 2.0) -> tuple[Offers, list[int], list[tuple[int, str]]]:
    """Dogs at every hour of the day, one of another kind each; every night at eleven a saw that is known."""
    offers, reported, names = Offers(), list[int](), []
    for hour in range(24 * days):
        saw = hour % 24 == 23
        offer = Offer("demo/a", "powered-saw" if saw else "dog", 0.9, 0.95 if saw else 0.02, 12.0)
        if took(offers, reported, hour * HOUR, offer, budget):
            names.append((hour, offer.category))
    return offers, reported, names


STREET = street(21)[0]


@given(STREAMS, BUDGETS)
def test_no_period_holds_more_alerts_than_the_budget_in_whatever_order_offers_come(
    stream: list[tuple[int, Offer]], a_day: float
) -> None:
    offers, reported = Offers(), list[int]()
    for at_ms, offer in stream:
        took(offers, reported, at_ms, offer, a_day)
    period_ms = DAY_MS / min(a_day, 1.0)
    for at_ms in reported:
        assert sum(0 <= other - at_ms < round(period_ms) for other in reported) <= max(int(a_day), 1)


def test_half_an_alert_a_day_is_one_in_two_days() -> None:
    assert not has_budget([0], DAY_MS, 0.5)
    assert has_budget([0], 2 * DAY_MS, 0.5)
    assert has_budget([0], DAY_MS, 1.0)
    assert not has_budget([0, 1], DAY_MS - 1, 2.9)


def test_a_site_that_was_offered_nothing_yet_takes_what_comes() -> None:
    offers, reported = Offers(), list[int]()
    assert [took(offers, reported, hour * HOUR, dog(0.6 + hour / 100)) for hour in range(4)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_place_is_kept_for_what_is_expected_later_in_the_day() -> None:
    _, _, names = street(21)
    late = [(hour % 24, name) for hour, name in names if hour >= 14 * 24]
    assert sum(name == "powered-saw" for _, name in late) == 7, "every night"
    assert sum(name == "dog" for _, name in late) >= 3, "the second place is used, too"


@given(STREAMS, OFFERS, BUDGETS)
def test_what_waited_for_a_whole_period_is_taken_however_little_it_is_worth(
    stream: list[tuple[int, Offer]], last: Offer, a_day: float
) -> None:
    offers, reported = Offers(), list[int]()
    took(offers, reported, 0, last, a_day)
    for at_ms, offer in sorted(stream, key=lambda item: item[0]):
        took(offers, reported, at_ms, offer, a_day)
    period_ms = round(DAY_MS / min(a_day, 1.0))
    assert took(offers, reported, max(reported) + 2 * period_ms, replace(last, match_probability=0.5), a_day)


def test_of_offers_that_never_cease_half_the_budget_is_used_at_least() -> None:
    offers, reported = Offers(), list[int]()
    for quarter in range(4 * 24 * 30):
        took(offers, reported, quarter * HOUR // 4, dog(place=f"demo/{quarter % 7}", above_db=10.0))
    assert len(reported) >= 30


def test_alerts_are_worth_far_more_than_those_that_come_first() -> None:
    rng = np.random.default_rng(0)
    offers, reported, first = Offers(), list[int](), list[int]()
    values = {}
    for quarter in range(4 * 24 * 40):
        at_ms, category = quarter * HOUR // 4, CATEGORIES[int(rng.integers(3))]
        offer = Offer(
            f"demo/{quarter % 7}",
            category,
            float(rng.uniform(0.6, 0.97)),
            float(rng.random() ** 3),
            float(rng.uniform(3, 20)),
        )
        values[at_ms] = worth(offers, offer)
        took(offers, reported, at_ms, offer)
        if has_budget(first, at_ms, 2.0):
            first.append(at_ms)
    assert len(reported) >= 0.7 * len(first)
    chosen, comes = (np.sum([values[at_ms] for at_ms in times if at_ms > 7 * DAY_MS]) for times in (reported, first))
    assert chosen > 3 * comes


@given(st.integers(0, DAY_MS), st.integers(0, DAY_MS), st.integers(1, 4))
def test_the_price_falls_as_a_place_waits_and_is_highest_for_the_last_one(first: int, second: int, free: int) -> None:
    offers = replace(STREET, since_ms=21 * DAY_MS)  # all places have been free since then
    early, late = (offers.since_ms + after for after in sorted((first, second)))
    assert price(offers, [], late, free) <= price(offers, [], early, free) + 1e-12
    assert price(offers, [], early, free + 1) <= price(offers, [], early, free) + 1e-12
    assert price(offers, [], offers.since_ms, 1.0) > 0.0 == price(offers, [], offers.since_ms + DAY_MS, free)


@given(OFFERS, st.floats(0.5, 1.0), st.floats(0.0, 1.0))
def test_an_alert_is_worth_more_the_surer_it_is_and_the_likelier_its_source_is_known(
    offer: Offer, match_probability: float, same_source: float
) -> None:
    offers = Offers()
    surer = replace(offer, match_probability=max(match_probability, offer.match_probability))
    known = replace(offer, same_source=max(same_source, offer.same_source))
    assert 0.0 <= worth(offers, offer) <= worth(offers, surer) <= 1.0
    assert worth(offers, offer) <= worth(offers, known)


def test_what_comes_all_day_is_worth_little_unless_it_is_much_louder_than_usual() -> None:
    offers, reported = Offers(), list[int]()
    engine = Offer("demo/a", "engine", 0.96, 0.9, 9.0)
    for number in range(50 * 10):
        place = f"demo/{number % 4}"
        took(offers, reported, number * DAY_MS // 50, replace(engine, place=place))
    usual, loud, rare = engine, replace(engine, above_db=24.0), replace(engine, category="dog")
    assert 3 * worth(offers, usual) < worth(offers, loud) < worth(offers, rare)


def test_an_engine_that_is_louder_than_all_others_is_reported() -> None:
    offers, reported = Offers(), list[int]()
    rng = np.random.default_rng(0)
    loudest = 0
    for number in range(50 * 20):
        at_ms = number * DAY_MS // 50
        late = number >= 50 * 14
        loud = late and number % 100 == 37
        offer = Offer(f"demo/{number % 5}", "engine", 0.96, 0.2, 30.0 if loud else float(rng.uniform(3, 12)))
        loudest += took(offers, reported, at_ms, offer) and loud
    assert loudest >= 2


def test_what_is_as_quiet_as_the_ambient_level_is_worth_nothing() -> None:
    values = [worth(Offers(), dog(above_db=level)) for level in (-5.0, 0.0, 1.0, 5.0, 30.0)]
    assert values[:2] == [0.0, 0.0]
    assert values == sorted(values)
    assert worth(Offers(), dog()) == values[3], "the ambient level is not known yet"


def test_clips_of_one_sound_event_are_one_offer_as_much_worth_as_the_best_of_them() -> None:
    offers, reported, day = Offers(), [DAY_MS, DAY_MS], DAY_MS
    for number in range(12):
        assert not took(offers, reported, day + HOUR + number * 10_000, dog(0.8 + number / 100))
    assert len(offers.open) == 1
    took(offers, reported, day + 3 * HOUR, dog(place="demo/b"))
    assert sum(count for key, count in offers.today.items() if key.startswith("s")) == 1.0
    assert sum(count for key, count in offers.today.items() if key.startswith("h1.")) == 1.0


def test_a_count_weighs_half_after_a_week() -> None:
    offers = Offers()
    took(offers, [], 0, dog())
    took(offers, [], 7 * DAY_MS, dog())
    assert sum(count for key, count in offers.history.items() if key.startswith("s")) == pytest.approx(0.5)


def test_clips_that_come_days_late_are_judged_and_change_no_count() -> None:
    offers, reported = Offers(), list[int]()
    took(offers, reported, 9 * DAY_MS, dog())
    before = encode_offers(offers)
    assert took(offers, reported, 3 * DAY_MS, dog())
    assert encode_offers(offers) == before


def test_a_clock_that_was_wrong_stops_no_counting() -> None:
    offers = Offers()
    took(offers, [], 900 * DAY_MS, dog())
    offers = offers.without_future(9 * DAY_MS)
    took(offers, [0, 1], 9 * DAY_MS, dog(), 1.0)
    took(offers, [], 10 * DAY_MS, dog())
    assert offers.day == 10
    assert sum(count for key, count in offers.history.items() if key.startswith("s")) > 1.0


@given(STREAMS, BUDGETS)
def test_what_is_kept_comes_back_as_it_was_and_stays_small(stream: list[tuple[int, Offer]], a_day: float) -> None:
    offers, reported = Offers(), list[int]()
    for at_ms, offer in sorted(stream, key=lambda item: item[0]):
        took(offers, reported, at_ms, offer, a_day)
    kept = encode_offers(offers)
    assert len(kept) < 12_000
    assert encode_offers(decode_offers(kept)) == kept


def test_a_known_source_counts_from_even_odds_on() -> None:
    assert not dog(same_source=KNOWN - 0.01).sort.known
    assert dog(same_source=KNOWN).sort.known

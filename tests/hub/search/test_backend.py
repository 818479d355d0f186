"""One suite for every search backend: the in-process index, and the Redis Query Engine on the real module.

It runs over a tagged network, and with identities over both kinds of networks.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import redis

from hub.domain.closest_source import Margins
from hub.domain.match import Match
from hub.model.checkpoint import Checkpoint, baseline_checkpoint, default_checkpoint, load
from hub.search.backend import Backend, By, Exclusion, Filter, IndexEntry, Query
from hub.search.candidates import CandidateTuner
from hub.search.memory.index import MemoryIndex
from hub.search.redis_backend import RedisSearchBackend
from hub.search.scoring.scorer import Scorer
from shared.errors import UnsupportedError
from shared.feature_space import VGGISH
from tests.identities import identified

pytestmark = pytest.mark.redis

MANY = 600
MINUTE_MS = 60_000
ROUNDING = 2e-6
START_MS = 1_780_000_000_000
PLACES = ("demo/street-1", "demo/street-10", "a-b/street-1")

Make = Callable[[int], Backend]
"""An empty backend that scores a given number of candidates."""
Towers = npt.NDArray[np.float32]


MARGINS = Margins(first=0.4, tenth=0.02)


def _bare(checkpoint: Checkpoint) -> Checkpoint:
    return replace(checkpoint, identity=None)


MODELS: dict[str, Callable[[], Checkpoint]] = {
    "tagged": lambda: _bare(load(default_checkpoint(VGGISH.id))),
    "tagged with identity": lambda: identified(load(default_checkpoint(VGGISH.id)), weight=0.7, margins=MARGINS),
    "paper's with identity": lambda: identified(
        load(baseline_checkpoint(VGGISH.id, "paper")), weight=0.7, margins=MARGINS
    ),
}
WAYS = {name: tuple(By) if "identity" in name else (By.KIND, By.BOTH) for name in MODELS}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def scorer(model: str) -> Scorer:
    return Scorer(MODELS[model]())


@pytest.fixture(scope="module")
def towers(scorer: Scorer) -> Towers:
    """Towers of many events, as a backend keeps them: each steady, with some noise."""
    rng = np.random.default_rng(7)
    steady = rng.integers(0, 256, (MANY, 1, VGGISH.dimension)) + rng.integers(-20, 20, (MANY, *VGGISH.shape))
    return scorer.embed(steady.clip(0, 255).astype(np.uint8)).astype(np.float16).astype(np.float32)


@pytest.fixture(params=["memory", "engine"])
def make(request: pytest.FixtureRequest, scorer: Scorer, query_engine_url: str) -> Iterator[Make]:
    opened: list[RedisSearchBackend] = []

    def build(candidates: int) -> Backend:
        if request.param == "memory":
            return MemoryIndex(scorer, lambda: CandidateTuner(start=candidates))
        redis.Redis.from_url(query_engine_url, protocol=2).flushall()
        opened.append(RedisSearchBackend(query_engine_url, scorer, candidates=candidates))
        return opened[-1]

    yield build
    for engine in opened:
        engine.close()


@pytest.fixture
def backend(make: Make) -> Backend:
    """An empty backend that ranks everything exactly."""
    return make(2 * MANY)


def entry(number: int) -> IndexEntry:
    """An event a minute; its place, categories and level follow from its number."""
    return IndexEntry(
        event=f"demo.street-{number % 3}.boot.{number}",
        place=PLACES[number % 3],
        captured_ms=START_MS + MINUTE_MS * number,
        laeq=-60.0 + 0.5 * (number % 8),
        presence=tuple(0.5 if number % 5 == category else 0.499 for category in range(8)),
    )


def fill(backend: Backend, towers: Towers, count: int = MANY) -> list[IndexEntry]:
    entries = [entry(number) for number in range(count)]
    backend.add(entries, towers[:count])
    return entries


def naive(
    scorer: Scorer, query: Query, towers: Towers, passes: Callable[[IndexEntry], bool] = lambda _: True
) -> list[tuple[str, float]]:
    """Events and ranks of an exact sort of all that pass."""
    numbers = [number for number in range(len(towers)) if passes(entry(number))]
    passed = towers[numbers]
    ranks = scorer.rank(query.towers, passed, scorer.score(query.towers, passed), query.by)
    rows = sorted(range(len(numbers)), key=lambda i: (-ranks[i], -i))
    return [(entry(numbers[i]).event, float(ranks[i])) for i in rows[: query.k]]


def assert_same(found: list[Match], wanted: list[tuple[str, float]]) -> None:
    """The same events in the same order, but for those whose ranks differ by rounding."""
    ranks = [rank for _, rank in wanted]
    assert [match.rank for match in found] == pytest.approx(ranks, abs=1e-4)
    starts = [0, *(i for i, (a, b) in enumerate(pairwise(ranks), 1) if a - b > ROUNDING), len(ranks)]
    for start, end in pairwise(starts[:-1]):
        assert events(found[start:end]) == {event for event, _ in wanted[start:end]}
    if len(starts) > 1 and starts[-1] - starts[-2] == 1:  # else another of the last ones may have taken its place
        assert [match.event for match in found][-1:] == [event for event, _ in wanted][-1:]


def events(found: list[Match]) -> set[str]:
    return {match.event for match in found}


def test_nothing_is_found_where_nothing_is(backend: Backend, towers: Towers) -> None:
    assert len(backend) == 0
    assert backend.contains(["a.b.0"]) == [False]
    assert backend.contains([]) == []
    assert backend.search([]) == []
    assert backend.search([Query(towers[0], 5), Query(towers[1], 1)]) == [[], []]
    backend.add([], towers[:0])
    backend.remove([])
    assert len(backend) == 0


def test_all_are_found_where_more_are_wanted_than_there_are(backend: Backend, towers: Towers) -> None:
    entries = fill(backend, towers, 7)
    (found,) = backend.search([Query(towers[3], 50)])
    assert events(found) == {entry.event for entry in entries}
    assert len(found) == len(backend) == 7


def test_more_matches_than_candidates_can_be_had(make: Make, towers: Towers) -> None:
    backend = make(10)
    fill(backend, towers, 200)
    assert len(backend.search([Query(towers[3], 60)])[0]) == 60


@pytest.mark.parametrize("k", [1, 10, 300])
def test_ranks_are_those_of_an_exact_sort(
    backend: Backend, scorer: Scorer, towers: Towers, model: str, k: int
) -> None:
    fill(backend, towers)
    for row in (0, 123, 599):
        for by in WAYS[model]:
            query = Query(towers[row], k, by=by)
            (found,) = backend.search([query])
            assert_same(found, naive(scorer, query, towers))


def test_a_search_by_source_needs_an_identity(backend: Backend, towers: Towers, model: str) -> None:
    fill(backend, towers, 100)
    query = Query(towers[3], 5, by=By.SOURCE)
    if By.SOURCE in WAYS[model]:
        assert backend.search([query])[0][0].event == entry(3).event
    else:
        with pytest.raises(UnsupportedError, match="by kind or both"):
            backend.search([query])


def test_queries_by_different_ways_are_answered_in_their_order(
    backend: Backend, scorer: Scorer, towers: Towers, model: str
) -> None:
    fill(backend, towers)
    queries = [Query(towers[row], 4, by=by) for row in (11, 50) for by in WAYS[model]]
    for query, found in zip(queries, backend.search(queries), strict=True):
        assert_same(found, naive(scorer, query, towers))


@pytest.mark.parametrize(("closeness", "place"), [(0.95, 1), (0.3, 10), (0.0, None)])
def test_an_event_that_stands_out_by_source_keeps_its_place_for_any_number_of_matches(
    make: Make, scorer: Scorer, towers: Towers, model: str, closeness: float, place: int | None
) -> None:
    if By.SOURCE not in WAYS[model]:
        pytest.skip("the model has no identities")
    drawn = np.random.default_rng(5).normal(size=(MANY, scorer.layout.values))
    drawn[1:] -= np.outer(drawn[1:] @ drawn[0], drawn[0]) / (drawn[0] @ drawn[0])  # of sources unlike the query's
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    own = towers.copy()
    last = int(np.argmin(scorer.rank(own[0], own, scorer.score(own[0], own))))
    drawn[last] = closeness * drawn[0] + (1.0 - closeness**2) ** 0.5 * drawn[last]
    scorer.layout.put(own, (np.rint(127 * drawn) / 127).astype(np.float32))
    backend = make(MANY // 2)
    fill(backend, own)
    without = Exclusion(frozenset({entry(0).event}))
    queries = [Query(own[0], k, without, by=by) for k in (1, 9, 10, 20) for by in (By.BOTH, By.KIND)]
    answers = [[match.event for match in found] for found in backend.search(queries)]
    whole, by_kind = answers[-2:]
    for query, found in zip(queries[::2], answers[::2], strict=True):
        assert found == whole[: query.k]
    assert (whole.index(entry(last).event) + 1 if entry(last).event in whole else None) == place
    assert [event for event in whole if event != entry(last).event] == by_kind[: 20 - (place is not None)]
    outstanding = [match.event for match in backend.search(queries)[-2] if match.stands_out]
    assert outstanding == ([] if place is None else [entry(last).event])
    _, plain = backend.search([queries[0], replace(queries[-2], keep_place=False)])
    assert not any(match.stands_out for match in plain)
    others = [event for event in whole if event != entry(last).event]
    assert [match.event for match in plain if match.event != entry(last).event][: len(others)] == others


def test_a_match_describes_its_event(backend: Backend, scorer: Scorer, towers: Towers) -> None:
    entries = fill(backend, towers, 20)
    (found,) = backend.search([Query(towers[4], 20)])
    by_event = {entry.event: row for row, entry in enumerate(entries)}
    for match in found:
        row = by_event[match.event]
        assert (match.place, match.captured_ms) == (entries[row].place, entries[row].captured_ms)
        matrix = scorer.score(towers[4], towers[row : row + 1])[0]
        assert match.matrix == pytest.approx(matrix, abs=1e-4)
        assert match.level == pytest.approx(float(matrix[:, :2].sum()), abs=1e-4)
        kind = scorer.rank(towers[4], towers[row : row + 1], matrix[None])[0]
        assert match.kind_rank == pytest.approx(float(kind), abs=1e-4)
        assert match.identity == pytest.approx(float(scorer.cosines(towers[4], towers[row : row + 1])[0]), abs=1e-4)


def test_an_event_added_twice_is_found_once_as_it_was(backend: Backend, towers: Towers) -> None:
    fill(backend, towers, 5)
    backend.add([replace(entry(2), place="else/where", captured_ms=1), entry(5)], towers[[9, 5]])
    assert len(backend) == 6
    (found,) = backend.search([Query(towers[2], 50)])
    assert [match.event for match in found].count(entry(2).event) == 1
    assert {match.place for match in found if match.event == entry(2).event} == {entry(2).place}


def test_excluded_events_are_left_out_and_others_take_their_place(make: Make, scorer: Scorer, towers: Towers) -> None:
    for candidates in (10, 2 * MANY):
        backend = make(candidates)
        fill(backend, towers)
        first = [match.event for match in backend.search([Query(towers[8], 10)])[0]]
        barred = frozenset({*first, "un.known.1"})
        (found,) = backend.search([Query(towers[8], 10, Exclusion(events=barred))])
        assert len(found) == 10
        assert not events(found) & barred
    query = Query(towers[8], 10, Exclusion(events=barred))
    assert_same(found, naive(scorer, query, towers, lambda entry: entry.event not in barred))


def test_recent_clips_of_the_same_place_are_left_out(backend: Backend, scorer: Scorer, towers: Towers) -> None:
    fill(backend, towers)
    own = entry(300)
    query = Query(towers[300], MANY, Exclusion(frozenset({own.event}), own.place, own.captured_ms, 9 * MINUTE_MS))
    left_out = {entry(number).event for number in (291, 294, 297, 300, 303, 306, 309)}
    (found,) = backend.search([query])
    assert_same(found, naive(scorer, query, towers, lambda entry: entry.event not in left_out))


SINCE, UNTIL = entry(100).captured_ms, entry(199).captured_ms
FILTERS: dict[str, tuple[Filter, Callable[[IndexEntry], bool]]] = {
    "since": (Filter(since_ms=SINCE), lambda e: e.captured_ms >= SINCE),
    "until": (Filter(until_ms=UNTIL), lambda e: e.captured_ms <= UNTIL),
    "between": (Filter(since_ms=SINCE, until_ms=UNTIL), lambda e: SINCE <= e.captured_ms <= UNTIL),
    "one instant": (Filter(since_ms=SINCE, until_ms=SINCE), lambda e: e.captured_ms == SINCE),
    "never": (Filter(since_ms=UNTIL, until_ms=SINCE), lambda _: False),
    "place": (Filter(places=frozenset(PLACES[:1])), lambda e: e.place == PLACES[0]),
    "places": (Filter(places=frozenset({PLACES[1], PLACES[2], "no/where"})), lambda e: e.place != PLACES[0]),
    "no place": (Filter(places=frozenset()), lambda _: False),
    "unknown place": (Filter(places=frozenset({"demo/street"})), lambda _: False),
    "category": (Filter(categories=frozenset({3})), lambda e: e.categories() == (3,)),
    "categories": (Filter(categories=frozenset({0, 4, 7})), lambda e: e.categories() in ((0,), (4,))),
    "no category": (Filter(categories=frozenset()), lambda _: False),
    "level": (Filter(min_laeq=-57.5), lambda e: e.laeq >= -57.5),
    "above all": (Filter(min_laeq=1e9), lambda _: False),
    "all": (
        Filter(SINCE, UNTIL, frozenset(PLACES[1:]), frozenset({1, 2}), -59.0),
        lambda e: (
            SINCE <= e.captured_ms <= UNTIL
            and e.place in PLACES[1:]
            and e.categories() in ((1,), (2,))
            and e.laeq >= -59.0
        ),
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_only_what_the_filter_lets_pass_is_found(backend: Backend, scorer: Scorer, towers: Towers, name: str) -> None:
    fill(backend, towers)
    wanted, passes = FILTERS[name]
    query = Query(towers[17], MANY, filter=wanted)
    (found,) = backend.search([query])
    assert_same(found, naive(scorer, query, towers, passes))


def test_a_filter_and_an_exclusion_both_hold(backend: Backend, scorer: Scorer, towers: Towers) -> None:
    fill(backend, towers)
    own = entry(150)
    exclusion = Exclusion(frozenset({own.event}), own.place, own.captured_ms, 30 * MINUTE_MS)
    query = Query(towers[150], MANY, exclusion, FILTERS["between"][0])
    (found,) = backend.search([query])

    def passes(e: IndexEntry) -> bool:
        near = e.place == own.place and abs(e.captured_ms - own.captured_ms) <= 30 * MINUTE_MS
        return SINCE <= e.captured_ms <= UNTIL and not near

    assert_same(found, naive(scorer, query, towers, passes))


def test_a_filter_finds_its_few_however_few_the_candidates(make: Make, towers: Towers) -> None:
    backend = make(10)
    fill(backend, towers)
    (found,) = backend.search([Query(towers[17], 5, filter=FILTERS["one instant"][0])])
    assert events(found) == {entry(100).event}


def test_an_event_without_categories_is_found_unless_one_is_asked_for(backend: Backend, towers: Towers) -> None:
    quiet = replace(entry(0), presence=(0.0,) * 8)
    busy = replace(entry(1), presence=(1.0,) * 8)
    backend.add([quiet, busy], towers[:2])
    queries = [Query(towers[0], 5, filter=Filter(categories=wanted)) for wanted in (None, frozenset(range(8)))]
    assert [events(found) for found in backend.search(queries)] == [{quiet.event, busy.event}, {busy.event}]


def test_removed_events_are_not_found_and_can_be_added_again(
    backend: Backend, scorer: Scorer, towers: Towers
) -> None:
    entries = fill(backend, towers, 100)
    gone = [entry.event for entry in entries[::2]]
    backend.remove([*gone, "un.known.1"])
    backend.remove(gone[:3])
    assert len(backend) == 50
    assert backend.contains([entries[0].event, entries[1].event]) == [False, True]
    query = Query(towers[0], 100)
    assert events(backend.search([query])[0]) == {entry.event for entry in entries[1::2]}
    backend.add(entries[::2], towers[:100:2])
    assert len(backend) == 100
    assert_same(backend.search([query])[0], naive(scorer, query, towers[:100]))


def test_of_equal_ranks_the_newest_is_first(backend: Backend, towers: Towers) -> None:
    order = np.random.default_rng(3).permutation(40)
    backend.add([entry(int(number)) for number in order], np.repeat(towers[5:6], 40, axis=0))
    for k in (40, 7):
        (found,) = backend.search([Query(towers[5], k)])
        assert [match.event for match in found] == [entry(number).event for number in range(39, 39 - k, -1)]


def test_a_batch_answers_as_its_queries_one_by_one(backend: Backend, towers: Towers) -> None:
    fill(backend, towers)
    filters = [wanted for wanted, _ in FILTERS.values()]
    queries = [Query(towers[20 * i], 1 + i, filter=wanted) for i, wanted in enumerate(filters)]
    alone = [backend.search([query])[0] for query in queries]
    for together, one in zip(backend.search(queries), alone, strict=True):
        assert_same(together, [(match.event, match.rank) for match in one])


def test_any_valid_name_of_a_place_is_distinguished_from_any_other(backend: Backend, towers: Towers) -> None:
    places = [
        "0/0",
        "a-/b",
        "a/b",
        "a--b/c-d",
        "or/and",
        "a/a",
        "a/a-a",
        "a-a/a",
        f"{'x' * 63}/{'y' * 63}",
    ]
    entries = [replace(entry(row), place=place) for row, place in enumerate(places)]
    backend.add(entries, towers[: len(places)])
    for place, own in zip(places, entries, strict=True):
        only = Query(towers[0], 50, filter=Filter(places=frozenset({place})))
        others = Query(towers[0], 50, Exclusion(frozenset(), place, own.captured_ms, MINUTE_MS))
        found, rest = backend.search([only, others])
        assert [(match.event, match.place) for match in found] == [(own.event, place)]
        assert events(rest) == {entry.event for entry in entries} - {own.event}


def test_among_many_events_few_candidates_find_the_exact_best(
    make: Make, scorer: Scorer, towers: Towers, model: str
) -> None:
    backend = make(100)
    fill(backend, towers)
    for by in WAYS[model]:
        queries = [Query(towers[row], 1, by=by) for row in range(0, MANY, 20)]
        for query, found in zip(queries, backend.search(queries), strict=True):
            assert_same(found, naive(scorer, query, towers))


def test_events_can_be_added_and_removed_while_others_search(backend: Backend, towers: Towers) -> None:
    backend.add([entry(0)], towers[:1])
    done = threading.Event()

    def write() -> None:
        try:
            for number in range(1, 400):
                backend.add([entry(number)], towers[number : number + 1])
                if number % 2:
                    backend.remove([entry(number).event])
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        (found,) = backend.search([Query(towers[0], 5)])
        assert found
    writer.join()
    assert len(backend) == 200
    assert events(backend.search([Query(towers[0], MANY)])[0]) == {entry(n).event for n in range(0, 400, 2)}

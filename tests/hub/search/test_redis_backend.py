"""The Redis Query Engine as a server: what it shares, keeps and loses, and servers that cannot serve."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import redis

from hub.model.checkpoint import default_checkpoint, load
from hub.search.backend import Query
from hub.search.redis_backend import RedisSearchBackend
from hub.search.scoring.scorer import Scorer
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import VGGISH
from tests.hub.search.test_backend import entry, events, fill
from tests.identities import identified
from tests.server_processes import QueryEngine, Redis

pytestmark = pytest.mark.redis

Towers = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(identified(load(default_checkpoint(VGGISH.id))))


@pytest.fixture(scope="module")
def towers(scorer: Scorer) -> Towers:
    features = np.random.default_rng(7).integers(0, 256, (100, *VGGISH.shape), dtype=np.uint8)
    return scorer.embed(features).astype(np.float16).astype(np.float32)


def test_hubs_share_the_events_of_a_query_engine(scorer: Scorer, towers: Towers, query_engine_url: str) -> None:
    redis.Redis.from_url(query_engine_url, protocol=2).flushall()
    one, other = (RedisSearchBackend(query_engine_url, scorer, candidates=10) for _ in range(2))
    fill(one, towers, 5)
    assert len(other) == 5
    assert len(other.search([Query(towers[0], 10)])[0]) == 5


def test_a_query_engine_keeps_its_events_over_a_restart(scorer: Scorer, towers: Towers, tmp_path: Path) -> None:
    server = QueryEngine(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    try:
        index = RedisSearchBackend(server.url, scorer, candidates=10)
        fill(index, towers, 30)
        server.kill()
        with pytest.raises(UnavailableError):
            index.search([Query(towers[0], 1)])
        server.start()
        (found,) = index.search([Query(towers[3], 1)])
        assert events(found) == {entry(3).event}
        assert len(index) == 30
    finally:
        server.stop()


def test_a_query_engine_that_lost_everything_is_set_up_again(
    scorer: Scorer, towers: Towers, query_engine_url: str
) -> None:
    index = RedisSearchBackend(query_engine_url, scorer, candidates=10)
    fill(index, towers, 5)
    redis.Redis.from_url(query_engine_url, protocol=2).flushall()
    with pytest.raises(UnavailableError, match="made again"):
        index.search([Query(towers[0], 1)])
    assert index.search([Query(towers[0], 1)]) == [[]]
    fill(index, towers, 5)
    assert len(index.search([Query(towers[0], 9)])[0]) == 5


def test_a_query_engine_that_hangs_is_unavailable(scorer: Scorer, towers: Towers, tmp_path: Path) -> None:
    server = QueryEngine(tmp_path)
    server.start()
    try:
        index = RedisSearchBackend(server.url, scorer, candidates=10, timeout_s=0.3)
        server.freeze()
        for call in (lambda: index.search([Query(towers[0], 1)]), lambda: index.contains(["a"]), lambda: len(index)):
            with pytest.raises(UnavailableError):
                call()
    finally:
        server.stop()


def test_a_server_without_the_module_is_refused_with_the_remedy(scorer: Scorer, debian_redis: Redis) -> None:
    with pytest.raises(InvalidError, match=r"Redis 8.*search.backend = memory"):
        RedisSearchBackend(debian_redis.url, scorer, candidates=10)


def test_an_address_that_cannot_serve_is_refused(scorer: Scorer, query_engine_url: str) -> None:
    with pytest.raises(InvalidError, match="database 0"):
        RedisSearchBackend(query_engine_url.removesuffix("/0") + "/1", scorer, candidates=10)
    with pytest.raises(InvalidError, match=r"redis\.url"):
        RedisSearchBackend("mysql://:secret@host", scorer, candidates=10)
    away = RedisSearchBackend("redis://127.0.0.1:1/0", scorer, candidates=10, timeout_s=0.5)
    with pytest.raises(UnavailableError):
        len(away)


def test_a_checkpoint_without_sketch_is_refused(query_engine_url: str) -> None:
    scorer = Scorer(load(default_checkpoint(VGGISH.id)))
    scorer.sketch = None
    with pytest.raises(InvalidError, match="earwitness-hub checkpoint train-sketch"):
        RedisSearchBackend(query_engine_url, scorer, candidates=10)

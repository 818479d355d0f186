from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import redis

from hub.archive import Archive
from hub.embedded import Servers, embedded_servers
from tests.processes import Mosquitto, QueryEngine, Redis


@pytest.fixture(scope="session")
def embedded() -> Iterator[Servers]:
    """The embedded broker and store."""
    with embedded_servers() as servers:
        yield servers


@pytest.fixture(scope="session")
def debian_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """Debian's Redis, in memory only."""
    server = Redis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def query_engine_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey with the RediSearch module, in memory only."""
    server = QueryEngine(tmp_path_factory.mktemp("query-engine"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(params=["valkey", "redis"])
def store_url(request: pytest.FixtureRequest, embedded: Servers, debian_redis: Redis) -> str:
    """Every store the archive must work on, emptied."""
    url = embedded.redis_url if request.param == "valkey" else debian_redis.url
    redis.Redis.from_url(url, protocol=2).flushall()
    return url


@pytest.fixture
def archive(store_url: str) -> Iterator[Archive]:
    """An empty archive on every store."""
    opened = Archive(store_url, dead_letter_limit=5)
    yield opened
    opened.close()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """Debian's broker, with persistence."""
    server = Mosquitto(tmp_path / "mosquitto")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    """Debian's Redis with an append-only file, for one test alone."""
    server = Redis(tmp_path / "redis", "--appendonly", "yes")
    server.start()
    yield server
    server.stop()


LONGEST_FIRST: Final = ("tutorials", "faults", "servers", "browser", "contract", "fuzz", "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that two processes end together."""
    items.sort(key=lambda item: LONGEST_FIRST.index(item.path.relative_to(Path(__file__).parent).parts[0]))

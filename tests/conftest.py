from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from hub.runtime.embedded_servers import Servers, embedded_servers
from hub.store.dead_letters import Limits
from hub.store.events import EventStore
from tests.programs import pytest_sessionfinish  # noqa: F401 - a hook: the closing line
from tests.server_processes import Mosquitto, QueryEngine, Redis, Rumqttd, Store, Valkey

# How long an example takes shows how busy the machine is, and nothing of what is tested. Half the usual number of
# examples: a test of a codec or parser that needs more sets it itself, and tests/fuzz runs millions. Every run draws
# the same examples, so that no change is refused for what it did not change; `exploring` draws others.
settings.register_profile("exploring", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("exploring"), derandomize=True)
settings.load_profile("same")


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
def store_url(request: pytest.FixtureRequest) -> str:
    """Every store the archive must work on, emptied; Redis only where it is installed."""
    if request.param == "valkey":
        url = str(request.getfixturevalue("embedded").redis_url)
    else:
        url = str(request.getfixturevalue("debian_redis").url)
    redis.Redis.from_url(url, protocol=2).flushall()
    return url


@pytest.fixture
def archive(store_url: str) -> Iterator[EventStore]:
    """An empty archive on every store."""
    opened = EventStore(store_url, limits=Limits(5))
    yield opened
    opened.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Rumqttd]:
    """A broker for one test alone, which a kill empties."""
    server = Rumqttd(tmp_path / "broker")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with an append-only file, for one test alone."""
    server = Valkey(tmp_path / "store", "--appendonly", "yes")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """Debian's broker, with persistence, for one test alone."""
    server = Mosquitto(tmp_path / "mosquitto")
    server.start()
    yield server
    server.stop()


WAITING: Final = ("tutorial", "browser", "faults", "e2e")
"""Markers of tests that wait for servers most of the time. The other tests compute."""
COMPUTING: Final = ("redis", "mosquitto", "")
"""Markers of the other tests; most have none."""
LONGEST: Final = (
    "tests/hub/web/api/test_schema.py",
    "tests/hub/metrics/test_prometheus.py",
    "tests/deploy/test_run_local.py",
    "tests/hub/store/test_fitness.py",
    "tests/hub/notify/channels/test_channels.py",
    "tests/hub/integrations/homeassistant/test_devices.py",
    "tests/hub/ingest/test_subscription.py",
    "tests/edge/test_delivery.py",
    "tests/hub/sandbox/test_demo.py",
    "tests/hub/app/test_replicas.py",
    "tests/hub/training/distillation/test_distillation.py",
    "tests/hub/cli/test_training.py",
    "tests/hub/bench/test_alert_quality.py",
    "tests/hub/bench/test_figures.py",
    "tests/hub/training/paper/test_report.py",
    "tests/edge/test_line.py",
    "tests/deploy/test_install.py",
)
"""Files that take more than 20 s: the tests of a marker begin with its own."""
TUTORIALS: Final = "tests/docs/test_tutorials.py"
SHARED: Final = {
    f"tests/hub/web/{name}.py": "web"
    for name in (
        *("api/test_api", "api/test_client", "api/test_names", "api/test_schema", "api/test_sources"),
        *("pages/test_sealed", "test_server", "test_web_calibration"),
    )
}
"""Files by what they share, which takes many seconds to make."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix files that wait with files that compute, so that cores are busy throughout; the longest come first."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    kinds = {file: kind_of(tests[0]) for file, tests in files.items()}
    items[:] = [item for file in in_order(kinds) for item in files[file]]


def kind_of(item: pytest.Item) -> str:
    """The marker that decides where a test's file runs; empty if it has none of them."""
    return next((name for name in (*WAITING, *COMPUTING) if name and item.get_closest_marker(name)), "")


def in_order(kinds: dict[str, str]) -> list[str]:
    """Order files, given as paths from the project's folder with their markers."""
    longest = {file: number for number, file in enumerate(LONGEST)}
    places: dict[str, float] = {}
    for markers in (WAITING, COMPUTING):
        own = [file for file, kind in kinds.items() if kind in markers]
        own.sort(key=lambda file: (markers.index(kinds[file]), longest.get(file, len(LONGEST))))
        places |= {file: number / len(own) for number, file in enumerate(own)}
    return sorted(kinds, key=lambda file: places[file])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Divide the tests among processes."""
    return Together(config, log)


class Together(LoadFileScheduling):  # type: ignore[misc] # pytest-xdist ships no type information
    """Tests of a file run in one process, and those of files that share a server; each tutorial is on its own."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file == TUTORIALS else SHARED.get(file, file)

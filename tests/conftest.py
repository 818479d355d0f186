from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from hub.runtime.embedded_servers import Servers, embedded_servers
from hub.store.events import EventStore
from tests.processes import Mosquitto, QueryEngine, Redis, Rumqttd, Store, Valkey
from tests.programs import pytest_sessionfinish  # noqa: F401 - a hook: the closing line

# How long an example takes shows how busy the machine is, and nothing of what is tested. Half the usual number of
# examples: a test of a codec or parser that needs more sets it itself, and tests/fuzz runs millions.
settings.register_profile("untimed", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


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
    opened = EventStore(store_url, max_dead_letters=5)
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


WAITING: Final = ("tutorials", "browser", "faults", "servers")
"""Folders whose tests wait for servers most of the time. The other folders' tests compute."""
COMPUTING: Final = ("contract", "fuzz", "unit")
LONGEST: Final = (
    "tests/servers/test_web_schema.py",
    "tests/servers/test_metrics.py",
    "tests/servers/test_deploy.py",
    "tests/servers/test_stores.py",
    "tests/servers/test_notify.py",
    "tests/servers/test_homeassistant.py",
    "tests/servers/test_other_brokers.py",
    "tests/servers/test_delivery.py",
    "tests/servers/test_demo.py",
    "tests/servers/test_replicas.py",
    "tests/unit/hub/training/distillation/test_distillation.py",
    "tests/unit/hub/cli/test_training.py",
    "tests/unit/hub/bench/test_alert_quality.py",
    "tests/unit/hub/bench/test_figures.py",
    "tests/unit/hub/training/paper/test_report.py",
    "tests/unit/edge/test_line.py",
    "tests/unit/deploy/test_install.py",
)
"""Files of `servers` and `unit` that take more than 20 s: each folder begins with its own."""
TUTORIALS: Final = "tests/tutorials/test_tutorials.py"
SHARED: Final = {f"tests/servers/test_{name}.py": "web" for name in ("web", "web_client", "web_named", "web_schema")}
"""Files by what they share, which takes many seconds to make."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix files that wait with files that compute, so that cores are busy throughout; the longest come first."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    items[:] = [item for file in in_order([*files]) for item in files[file]]


def in_order(files: list[str]) -> list[str]:
    """Order files, given as paths from the project's folder."""
    longest = {file: number for number, file in enumerate(LONGEST)}
    places: dict[str, float] = {}
    for folders in (WAITING, COMPUTING):
        own = [file for file in files if Path(file).parts[1] in folders]
        own.sort(key=lambda file: (folders.index(Path(file).parts[1]), longest.get(file, len(LONGEST))))
        places |= {file: number / len(own) for number, file in enumerate(own)}
    return sorted(files, key=lambda file: places[file])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Divide the tests among processes."""
    return Together(config, log)


class Together(LoadFileScheduling):  # type: ignore[misc] # pytest-xdist ships no type information
    """Tests of a file run in one process, and those of files that share a server; each tutorial is on its own."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file == TUTORIALS else SHARED.get(file, file)

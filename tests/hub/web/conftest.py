from collections.abc import Iterator

import pytest

from tests.running_hub import Demo, demo


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A hub with a small demo archive, for all tests of its web side."""
    with demo(tmp_path_factory.mktemp("web"), 900, days=4) as running:
        yield running

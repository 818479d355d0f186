"""Which requests are taken for the hub's own page's."""

import pytest
from starlette.datastructures import Headers

from hub.web.middleware import is_same_origin


@pytest.mark.parametrize(
    ("origin", "ours"),
    [("http://hub:8000", True), ("http://elsewhere:8000", False), ("null", False), ("http://[", False), ("", False)],
)
def test_an_origin_is_the_hubs_own_or_refused(origin: str, ours: bool) -> None:
    assert is_same_origin(Headers({"origin": origin, "host": "hub:8000"})) is ours

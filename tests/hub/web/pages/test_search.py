"""Which matches the search page shows."""

import pytest

from hub.web.pages.search import Result
from hub.web.search_service import SearchHit
from tests.factories import alert, stored


@pytest.mark.parametrize(
    ("stated", "alike"),
    [
        ({"shared": {"dog": 0.9}}, True),
        ({"same_source": 0.9}, True),
        ({"stands_out": True}, True),
        ({"same_source": 0.1}, False),
    ],
)
def test_a_match_is_shown_for_its_kind_its_source_or_if_it_is_by_far_the_closest(
    stated: dict[str, object], alike: bool
) -> None:
    match = alert().matches[0].model_copy(update={"shared": {}, "same_source": None} | stated)
    assert Result(SearchHit(match), stored(), audible=False).alike is alike

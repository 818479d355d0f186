"""Pages of lists: nothing is lost or listed twice, however many items share an instant."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.store.event_queries import Cursor
from hub.web.pagination import Listing, begin_at, decode_cursor, encode_cursor, paginate, paginate_some
from shared.errors import InvalidError


@given(st.integers(0, 10**13 - 1), st.from_regex(r"[a-z0-9.|-]{1,40}", fullmatch=True))
def test_a_cursor_survives_its_text(ms: int, name: str) -> None:
    cursor = Cursor(ms, name)
    assert decode_cursor(encode_cursor(cursor)) == cursor


def test_no_cursor_is_the_beginning() -> None:
    assert decode_cursor(None) is None
    assert decode_cursor("") is None
    assert encode_cursor(None) is None


@pytest.mark.parametrize("text", ["nonsense", "12", "~a", "x~a", "12~A B", "99999999999999~a", "-1~a"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="after"):
        decode_cursor(text)


@given(
    st.sets(st.tuples(st.integers(0, 3), st.integers(0, 60).map(str)), max_size=120),
    st.integers(1, 30),
)
def test_pages_hold_every_item_once_in_order(items: set[tuple[int, str]], limit: int) -> None:
    newest_first = sorted(items, reverse=True)

    def fetch(n: int, before_ms: int | None) -> list[tuple[int, str]]:
        return [item for item in newest_first if before_ms is None or item[0] < before_ms][:n]

    reported: list[tuple[int, str]] = []
    after = None
    while True:
        page, after = paginate(fetch, lambda item: Cursor(*item), limit, after)
        reported += page
        if after is None:
            break
        assert len(page) == limit
    assert reported == newest_first


@pytest.mark.parametrize("limit", [1, 2, 3, 199, 200, 201, 600])
def test_pages_of_the_shown_items_are_those_of_a_filtered_list(limit: int) -> None:
    items = [Cursor(ms // 3, f"{ms % 3}") for ms in range(900)]  # three of each time
    wanted = [item for item in sorted(items, reverse=True) if item.ms % 7 == 0 and 20 <= item.ms <= 250]

    def fetch(n: int, before_ms: int | None) -> list[Cursor]:
        return [item for item in sorted(items, reverse=True) if before_ms is None or item.ms < before_ms][:n]

    listing = Listing(fetch, lambda item: item, lambda found: [item for item in found if item.ms % 7 == 0])
    until = datetime.fromtimestamp(0.25, UTC)
    pages: list[list[Cursor]] = []
    after: Cursor | None = None
    for _ in range(len(items)):
        page, after = paginate_some(listing, limit, begin_at(after, until), since_ms=20)
        pages.append([item for item in page if item.ms >= 20])
        if after is None:
            break
    assert [item for page in pages for item in page] == wanted
    assert all(len(page) <= limit for page in pages)

"""Pages of lists: nothing is lost or listed twice, however many items share an instant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.store.event_queries import Cursor
from hub.web.pagination import decode_cursor, encode_cursor, paginate
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

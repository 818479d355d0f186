"""Quality values of `Accept`. Source: RFC 9110, 12.4.2 and 12.5.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.content_negotiation import preferred

OPEN, TEXT = "application/openmetrics-text;version=1.0.0", "text/plain;version=0.0.4"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", ""),
        (OPEN, OPEN),
        (f"{TEXT};q=0.5, {OPEN}", OPEN),
        (f"{OPEN};q=0.2,{TEXT};q=0.9", f"{TEXT};q=0.9"),
        (f"{OPEN};q=0,{TEXT};q=0.1", f"{TEXT};q=0.1"),
        (f"{OPEN};q=0", ""),
        (f"{OPEN}; Q=0.1 , Text/Plain", "Text/Plain"),
        (f"application/protobuf,{OPEN};q=0.5,{TEXT};q=0.4", f"{OPEN};q=0.5"),
        (f"{OPEN};q=nonsense,{TEXT};q=0.9", f"{OPEN};q=nonsense"),
        (f"{TEXT},{OPEN}", TEXT),
        (f"{OPEN};q=0.3,*/*;q=0.4", "*/*;q=0.4"),
        (f"{OPEN};q=0.3,text/*;q=0.4", "text/*;q=0.4"),
        (f"{OPEN};q=0.3,image/*", f"{OPEN};q=0.3"),
        (",,;", ""),
    ],
)
def test_what_is_offered_and_wanted_most_is_preferred(accept: str, wanted: str) -> None:
    assert preferred(accept) == wanted


@given(st.text(max_size=200))
def test_any_header_is_taken(accept: str) -> None:
    assert preferred(accept) in accept

"""Rows as CSV and JSON lines."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.csv_rows import Row, csv_cell, csv_lines
from hub.store.event_queries import Cursor
from hub.web.export import iterate_pages, json_lines


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1"])
def test_what_a_spreadsheet_would_calculate_is_made_plain(text: str) -> None:
    assert csv_cell(text) == f"'{text}"
    assert str(csv_cell([text, "b"])).startswith("'")


@pytest.mark.parametrize("value", ["a=1", "2026-06-01", -40.5, 3, True, None, ""])
def test_other_values_stay_as_they_are(value: object) -> None:
    assert csv_cell(value) == value


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20), max_size=5)
)
def test_csv_reads_back(texts: list[str]) -> None:
    lines = "".join(csv_lines(["a", "b"], iter([{"a": text, "b": 1} for text in texts])))
    header, *rows = list(csv.reader(io.StringIO(lines, newline="")))
    assert header == ["a", "b"]
    assert [row[0].removeprefix("'") for row in rows] == [text.removeprefix("'") for text in texts]


def test_json_lines_read_back() -> None:
    rows: list[Row] = [{"a": "ä\n", "b": None}, {"a": [1, 2]}]
    lines = "".join(json_lines(iter(rows))).splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_pages_are_fetched_one_by_one_and_the_first_at_once() -> None:
    asked: list[Cursor | None] = []

    def fetch(after: Cursor | None) -> tuple[list[int], Cursor | None]:
        asked.append(after)
        return [len(asked)], Cursor(len(asked), "x") if len(asked) < 3 else None

    items = iterate_pages(fetch)
    assert asked == [None]
    assert list(items) == [1, 2, 3]

"""Rows of sources and their episodes return what was written, and refuse what was not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hub.domain.sources import Centre, Member, Source
from hub.store.rows import UNREADABLE
from hub.store.source_rows import Group, StoredMember, StoredSource, member_of, member_row, source_or_name, source_row
from shared.taxonomy import CATEGORIES

ids = st.from_regex(r"[0-9a-f]{10}", fullmatch=True)
totals = arrays.arrays(np.float32, 8, elements=st.floats(-500, 500, width=32))
centres = st.lists(st.builds(Centre, ids, totals, st.integers(1, 999)), min_size=1, max_size=3)
sources = st.builds(
    Source, ids, centres.map(tuple), st.integers(0, 2**42), st.frozensets(ids, max_size=3), kept=st.just(False)
)
groups = st.builds(Group, st.just("demo"), st.sampled_from(CATEGORIES), st.just("vggish-u8/1"))


@given(st.builds(StoredSource, sources, groups, ids, st.integers(0, 2**42)))
def test_a_source_is_read_as_it_was_written(stored: StoredSource) -> None:
    read = source_or_name(stored.id, source_row(stored))
    assert isinstance(read, StoredSource)
    assert (read.group, read.network, read.first_ms) == (stored.group, stored.network, stored.first_ms)
    assert (read.id, read.source.last_ms, read.source.apart) == (
        stored.id,
        stored.source.last_ms,
        stored.source.apart,
    )
    for one, other in zip(read.source.centres, stored.source.centres, strict=True):
        assert (one.id, one.size, one.total.tolist()) == (other.id, other.size, other.total.tolist())


@given(arrays.arrays(np.int8, 64, elements=st.integers(-127, 127)), st.floats(0, 1), st.booleans())
def test_an_episode_of_a_source_is_read_as_it_was_written(steps: np.ndarray, probability: float, fixed: bool) -> None:
    identity = steps.astype(np.float32) / np.float32(127)
    member = Member("demo.s1.boot.1.7", "0123456789", "0123456789", "demo.s1.boot.1", identity, probability, fixed)
    read, network = member_of(member.episode, member_row(StoredMember(member, "abc")))
    assert network == "abc"
    assert (read.source, read.centre, read.clip, read.fixed) == (
        member.source,
        member.centre,
        member.clip,
        member.fixed,
    )
    assert read.probability == pytest.approx(probability, abs=1e-4)
    assert read.identity.tolist() == identity.tolist()


def test_the_row_of_a_source_that_became_a_part_is_the_others_name() -> None:
    assert source_or_name("0123456789", b'"9876543210"') == "9876543210"


@pytest.mark.parametrize("row", [b"{}", b"[]", b"7", b"\xff", b'{"site": "s", "category": "cat", "space": "x"}'])
def test_what_is_no_source_is_refused(row: bytes) -> None:
    with pytest.raises(UNREADABLE):
        source_or_name("0123456789", row)


@pytest.mark.parametrize("row", [b"[]", b"{}", b"\x00", b'["a", "b", "c", "d", 7, 0.5, true]'])
def test_what_is_no_member_is_refused(row: bytes) -> None:
    with pytest.raises(UNREADABLE):
        member_of("demo.s1.boot.1.7", row)

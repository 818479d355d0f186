"""Rows of earlier hubs and of newer ones are read; what a newer hub added is ignored."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from hub.domain.alert_offers import Offers, OpenOffer, Sort
from hub.domain.episodes import ActiveAlert, Episode, SensorState
from hub.domain.named_returns import Return, Returns
from hub.domain.named_sounds import NamedSound
from hub.domain.sensor_history import Trace
from hub.domain.sources import Centre, Member, Source
from hub.domain.thresholds import Threshold
from hub.domain.verdicts import Verdict
from hub.store.budget_rows import decode_alert_times, decode_offers, encode_alert_times, encode_offers
from hub.store.episode_rows import (
    decode_episode_or_id,
    decode_state,
    decode_trace,
    encode_episode,
    encode_state,
    encode_trace,
    encode_unversioned_trace,
)
from hub.store.json_rows import VERSION, Record, encode, encode_merged
from hub.store.name_returns import decode_returns, encode_returns
from hub.store.rows import Rows
from hub.store.site_thresholds import thresholds_from
from hub.store.source_rows import Group, StoredMember, StoredSource, member_of, member_row, source_or_name, source_row
from shared.taxonomy import CATEGORIES

EPISODE = Episode("demo.a.b.1.0", "demo/a", "dog", 1_000, 21_000, 2, 61.5, 0.8, "demo.a.b.2", 0.9, "demo.a.b.1")
STATE = SensorState(
    {"dog": [EPISODE]}, {"dog": ActiveAlert("demo.a.b.1", 1_000, 9_000)}, 41.25, "dB", 20, 495_000, 20_000
)
TRACE = Trace("demo.a.b.1", 1_000, 11_000, 61.5, 0.4, 0.2)
RETURNS = Returns(3, 9, (Return(1_000, 11_000, 2, "demo.a.b.1", ""),))
OFFERS = Offers(1_000, 3, 2.5, {"h1.2": 1.5}, {"s1": 1.0}, {"demo/a 1": OpenOffer(1, 2, 0.5, Sort(1, True, 4))})
THRESHOLDS = {"dog": Threshold(0.7, 0.1, episodes=4)}
MEMBER = Member("demo.a.b.1.0", "0123456789", "1123456789", "demo.a.b.1", np.zeros(4, np.float32), 0.5, False)
SOURCE = StoredSource(
    Source("0123456789", (Centre("1123456789", np.ones(2, np.float32), 3),), 5_000, frozenset({"2123456789"})),
    Group("demo", CATEGORIES[0], "vggish-u8/1"),
    "abc",
    1_000,
)
SOUND = NamedSound("01234567", "Rex", "demo", ("demo.a.b.1",), made_ms=7)
_SOUND = TypeAdapter(NamedSound)


def _thresholds(row: bytes) -> object:
    return thresholds_from(Rows(), "demo", row)


def _source(row: bytes) -> object:
    source_or_name.cache_clear()
    found = source_or_name("0123456789", row)
    return found if isinstance(found, str) else source_row(found)


def _member(row: bytes) -> object:
    return member_row(member_of("demo.a.b.1.0", row))


CODECS: dict[str, tuple[bytes, Callable[[bytes], object], object]] = {
    "episode": (encode_episode(EPISODE), decode_episode_or_id, EPISODE),
    "merged episode": (encode_merged("demo.a.b.9.0"), decode_episode_or_id, "demo.a.b.9.0"),
    "sensor state": (encode_state(STATE), decode_state, STATE),
    "trace": (encode_trace(TRACE), decode_trace, TRACE),
    "returns": (encode_returns(RETURNS), decode_returns, RETURNS),
    "offers": (encode_offers(OFFERS), decode_offers, OFFERS),
    "alert times": (encode_alert_times([1, 2]), decode_alert_times, (1, 2)),
    "thresholds": (encode({"thresholds": {"dog": THRESHOLDS["dog"].to_json()}}), _thresholds, THRESHOLDS),
    "source": (source_row(SOURCE), _source, source_row(SOURCE)),
    "merged source": (encode_merged("9123456789"), _source, "9123456789"),
    "member": (member_row(StoredMember(MEMBER, "abc")), _member, member_row(StoredMember(MEMBER, "abc"))),
    "named sound": (encode(_SOUND.dump_python(SOUND, mode="json")), _SOUND.validate_json, SOUND),
}
"""A row, the function that reads it, and what that returns."""

UNVERSIONED: dict[str, bytes] = {
    "episode": b'["demo.a.b.1.0","demo/a","dog",1000,21000,2,61.5,0.8,"demo.a.b.2",0.9,"demo.a.b.1"]',
    "merged episode": b'"demo.a.b.9.0"',
    "sensor state": b'{"episodes":'
    b'[["demo.a.b.1.0","demo/a","dog",1000,21000,2,61.5,0.8,"demo.a.b.2",0.9,"demo.a.b.1"]]'
    b',"calls":{"dog":["demo.a.b.1",1000,9000]},"ambient":[41.25,"dB",20],"hour":495000,"newest":20000}',
    "trace": b'["demo.a.b.1",1000,11000,61.5,0.4,0.2]',
    "returns": b'[3,9,[[1000,11000,2,"demo.a.b.1",""]]]',
    "offers": b'{"since":1000,"day":3,"days":2.5,"history":{"h1.2":1.5},"today":{"s1":1.0},'
    b'"open":{"demo/a 1":[1,2,0.5,1,true,4]}}',
    "alert times": b"[1,2]",
    "thresholds": b'{"dog":{"value":0.7,"false_alerts_per_day":0.1,"episodes":4}}',
    "source": b'{"site":"demo","category":"' + CATEGORIES[0].encode() + b'","space":"vggish-u8/1","network":"abc",'
    b'"first_ms":1000,"last_ms":5000,"apart":["2123456789"],"centres":[["1123456789","AACAPwAAgD8=",3]]}',
    "merged source": b'"9123456789"',
    "member": b'["0123456789","1123456789","demo.a.b.1","abc","AAAAAA==",0.5,false]',
    "named sound": b'{"id":"01234567","name":"Rex","site":"demo","examples":["demo.a.b.1"],"made_ms":7}',
}
"""The same values as earlier hubs wrote them."""


def newer(document: dict[str, Any]) -> dict[str, Any]:
    """A row as a newer hub may write it: a higher version, and unknown fields first in each list of fields."""
    made = document | {"v": VERSION + 1, "unknown": [1]}
    if "fields" in document:
        made["fields"] = ["unknown", *document["fields"]]
    if "kept" in document:
        made["kept"] = [["new", *values] for values in document["kept"]]
    if "open" in document:
        made["open"] = {key: ["new", *values] for key, values in document["open"].items()}
    if "centres" in document:
        made["centres"] = [centre | {"unknown": 1} for centre in document["centres"]]
    if "treatment" in document:
        made["treatment"] = document["treatment"] | {"unknown": 1}
    return made


@pytest.mark.parametrize("kind", CODECS)
def test_a_row_has_a_version_and_is_read_as_it_was_written(kind: str) -> None:
    row, decode, value = CODECS[kind]
    assert from_json(row)["v"] == VERSION
    assert decode(row) == value


@pytest.mark.parametrize("kind", CODECS)
def test_a_row_without_a_version_is_read(kind: str) -> None:
    _, decode, value = CODECS[kind]
    assert decode(UNVERSIONED[kind]) == value


@pytest.mark.parametrize("kind", sorted(CODECS.keys() - {"sensor state", "thresholds"}))
def test_fields_of_a_newer_version_are_ignored(kind: str) -> None:
    row, decode, value = CODECS[kind]
    assert decode(to_json(newer(from_json(row)))) == value


def test_fields_that_a_newer_version_adds_to_a_sensor_state_are_ignored() -> None:
    document = from_json(encode_state(STATE))
    document["fields"].insert(0, "unknown")
    document["episodes"] = [["new", *values] for values in document["episodes"]]
    document["calls"]["dog"]["unknown"] = 1
    assert decode_state(to_json(document | {"v": VERSION + 1, "unknown": {}})) == STATE


def test_fields_that_a_newer_version_adds_to_thresholds_are_ignored() -> None:
    document = {"v": VERSION + 1, "thresholds": {"dog": {**THRESHOLDS["dog"].to_json(), "unknown": 1}}, "unknown": 1}
    assert _thresholds(to_json(document)) == THRESHOLDS


def test_verdicts_ignore_version_and_unknown_fields() -> None:
    verdict = Verdict.model_validate(
        {
            "alert": "demo.a.b.1",
            "verdict": "same",
            "at": "2026-11-02T07:00:00Z",
            "site": "demo",
            "place": "demo/a",
            "category": "dog",
            "match_probability": 0.5,
        }
    )
    row = encode(verdict.model_dump(mode="json") | {"unknown": 1})
    assert Verdict.model_validate_json(row) == verdict


def test_fields_that_a_row_lacks_have_their_defaults() -> None:
    document = from_json(encode_episode(EPISODE))
    for name in ("alert", "peak_event"):
        del document[name]
    read = decode_episode_or_id(to_json(document))
    assert isinstance(read, Episode)
    assert (read.id, read.alert, read.peak_event) == (EPISODE.id, "", "")


@pytest.mark.parametrize("row", [b"{}", b"7", b"[]", b'{"v":1,"id":"x"}', b'{"v":1,"merged_into":7}'])
def test_what_is_no_episode_is_refused(row: bytes) -> None:
    with pytest.raises((TypeError, ValueError)):
        decode_episode_or_id(row)


def test_a_trace_of_an_earlier_hub_is_found_by_its_bytes() -> None:
    assert encode_unversioned_trace(TRACE) == UNVERSIONED["trace"]


@given(st.permutations(Record(Episode).names))
def test_lists_are_read_in_whatever_order_their_row_names(names: list[str]) -> None:
    record = Record(Episode)
    fields = record.fields(EPISODE)
    assert record.reader(names)([fields[name] for name in names]) == EPISODE

"""Dead letters on every store: limits discard letters of the sensor that sends too many, and of no other."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hub.cli import app
from hub.ingest.messages import Outcome
from hub.store.dead_letters import DeadLetters, LetterKind, Limits
from hub.store.events import EventStore
from hub.store.rows import Rows
from shared.messages.event import encode_event
from shared.mqtt.topics import SensorTopic
from tests.factories import NOON, event
from tests.hub.ingest.test_pipeline import message, pipeline

pytestmark = pytest.mark.redis


def topic(sensor: str, kind: str = "event") -> str:
    return f"earwitness/v1/demo/{sensor}/{kind}"


def put(
    letters: DeadLetters,
    sensor: str,
    payload: bytes = b"?",
    kind: LetterKind = "invalid",
    *,
    state: bool = False,
    retained: bool = False,
) -> int | None:
    return letters.put(
        topic=topic(sensor, "state" if state else "event"),
        payload=payload,
        reason="no",
        kind=kind,
        received_at=NOON,
        retained=retained,
    )


def payloads(letters: DeadLetters, sensor: str) -> list[bytes]:
    return [letters.payload(one.id) for one in letters.page(100_000) if one.topic == topic(sensor)]


def test_rubbish_of_one_sensor_makes_room_for_its_own_only(archive: EventStore) -> None:
    letters = archive.letters
    put(letters, "quiet", b"first")
    for number in range(3):
        put(letters, "newer", str(number).encode(), "unsupported")
    pushed_out = [put(letters, "loud", str(number).encode()) for number in range(12)]
    assert pushed_out == [0] * 5 + [1] * 7
    assert payloads(letters, "loud") == [b"7", b"8", b"9", b"10", b"11"]
    assert payloads(letters, "quiet") == [b"first"]
    for number in range(3, 20):
        put(letters, "newer", str(number).encode(), "unsupported")
    assert len(payloads(letters, "newer")) == 20
    assert letters.discarded() == 7


def test_beyond_the_bytes_the_sensor_that_has_most_loses_the_oldest(archive: EventStore) -> None:
    letters = DeadLetters(archive.client, Limits(1_000, 200_000), Rows())
    put(letters, "quiet", b"q" * 1_000)
    for number in range(20):
        put(letters, "loud", bytes([number]) * 30_000, "bug")
    put(letters, "quiet", b"r" * 1_000)
    assert payloads(letters, "quiet") == [b"q" * 1_000, b"r" * 1_000]
    assert payloads(letters, "loud") == [bytes([number]) * 30_000 for number in range(14, 20)]
    assert letters.size_bytes() <= 200_000


def test_a_letter_over_all_bytes_leaves_a_store_that_goes_on(archive: EventStore) -> None:
    letters = DeadLetters(archive.client, Limits(1_000, 10_000), Rows())
    put(letters, "loud", b"x" * 50_000, "bug")
    assert (letters.count(), letters.size_bytes()) == (0, 0)
    put(letters, "quiet")
    assert letters.count() == 1


steps = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]), st.sampled_from(["invalid", "bug"]), st.integers(0, 40_000), st.booleans()
    ),
    max_size=30,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_bytes_and_queues_are_those_of_the_letters_that_are_there(
    archive: EventStore, script: list[tuple[str, Any, int, bool]]
) -> None:
    store = archive.client
    store.flushall()
    letters = DeadLetters(store, Limits(4, 100_000), Rows())
    for sensor, kind, size, remove in script:
        put(letters, sensor, b"x" * size, kind)
        if remove and (page := letters.page(1)):
            letters.remove(page[0].id)
    every = letters.page(1_000)
    costs: dict[str, int] = {}
    for one in every:
        queue = f"demo/{one.topic.split('/')[3]}:{one.kind}"
        costs[queue] = costs.get(queue, 0) + one.kept + len(one.reason) + 512
    assert letters.size_bytes() == sum(costs.values()) <= 100_000
    assert {
        name.decode(): int(cost) for name, cost in store.zrange("ew:dead-letters:bytes", 0, -1, withscores=True)
    } == costs
    assert len(list(store.scan_iter("ew:dead-letter:*"))) == len(every)
    assert sum(store.zcard(key) for key in store.scan_iter("ew:dead-letters:of:*")) == len(every)


def test_a_retained_message_counts_once_even_after_it_was_removed(archive: EventStore) -> None:
    letters = archive.letters
    assert put(letters, "old", b"rubbish", state=True) == 0
    assert put(letters, "old", b"rubbish", state=True, retained=True) is None
    letters.remove(letters.page(1)[0].id)
    assert put(letters, "old", b"rubbish", state=True, retained=True) is None
    assert put(letters, "old", b"other rubbish", state=True, retained=True) == 0
    assert put(letters, "old", b"rubbish", state=True) == 0
    assert letters.count() == 2


def test_pages_go_on_where_the_last_one_ended(archive: EventStore) -> None:
    for number in range(7):
        put(archive.letters, f"s{number}")
    first = archive.letters.page(3)
    second = archive.letters.page(10, after=first[-1].id)
    assert [one.topic for one in (*first, *second)] == [topic(f"s{number}") for number in range(7)]


def test_ten_thousand_letters_of_one_sensor_stop_no_other(archive: EventStore) -> None:
    hub = pipeline(archive)
    unknown = encode_event(event(1)).replace(b"vggish-pca-u8/1", b"vggish-pca-u8/2")
    for _ in range(5):
        batch = [(topic("street-1"), unknown)] * 100 + [("nonsense", b"?")] * 100
        assert {one.outcome for one in hub.handle_all(batch)} == {Outcome.DEAD_LETTER}
    assert next(hub.handle_all([message(3, "street-2")])).outcome is Outcome.ARCHIVED
    counts = [one.kind for one in archive.letters.page(10_000)]
    assert (counts.count("unsupported"), counts.count("invalid")) == (500, 5)


def test_an_event_of_an_unknown_space_is_kept_whole_and_sound_that_is_wrong_is_not(archive: EventStore) -> None:
    hub = pipeline(archive)
    own = str(SensorTopic("demo", "street-1", "event"))
    space = encode_event(event(1)).replace(b"vggish-pca-u8/1", b"vggish-pca-u8/2")
    list(hub.handle_all([(own, space), (own, b"fLaC" + b"\0" * 500_000)]))
    unsupported, invalid = archive.letters.page()
    assert (unsupported.kind, unsupported.is_complete) == ("unsupported", True)
    assert archive.letters.payload(unsupported.id) == space
    assert (invalid.kind, invalid.is_complete, invalid.kept) == ("invalid", False, 64 * 1024)


@pytest.mark.parametrize("words", ["[/b] [red]", "[link=x]y[/link]", ":smile: [bold", "a\x1b[31m"])
def test_what_others_sent_is_printed_as_text(archive: EventStore, store_url: str, words: str) -> None:
    archive.letters.put(topic=words, payload=b"?", reason=words, received_at=NOON)
    chosen = ["--set", f"redis.url={store_url}"]
    reported = CliRunner().invoke(app, ["dead-letters", "list", *chosen], env={"COLUMNS": "300"})
    assert reported.exit_code == 0, reported.output
    assert reported.output.count(words.replace("\x1b", r"\x1b")) == 2
    listed = json.loads(CliRunner().invoke(app, ["dead-letters", "list", "--json", *chosen]).output)
    assert listed[0]["reason"] == words


def test_a_list_that_goes_on_has_a_cursor_and_an_id_that_is_none_is_refused(
    archive: EventStore, store_url: str
) -> None:
    for number in range(3):
        put(archive.letters, f"s{number}")
    chosen = ["--set", f"redis.url={store_url}"]
    reported = CliRunner().invoke(app, ["dead-letters", "list", "--limit", "2", *chosen], env={"COLUMNS": "300"})
    assert f"--after {archive.letters.page(2)[-1].id}" in reported.output
    refused = CliRunner().invoke(app, ["dead-letters", "list", "--after", "x y", *chosen])
    assert refused.exit_code == 2
    assert "not the id of a dead letter" in refused.output


def test_letters_of_an_earlier_hub_are_listed_read_and_removed(archive: EventStore) -> None:
    row = {"topic": topic("old"), "payload": b"whole", "size": 5, "reason": "no", "received_ms": 1_780_315_200_000}
    old = archive.client.xadd("ew:dead-letters", row).decode()
    put(archive.letters, "new", b"?")
    first, second = archive.letters.page()
    assert (first.id, first.kind, first.is_complete, archive.letters.payload(old)) == (
        old,
        "invalid",
        True,
        b"whole",
    )
    archive.letters.remove(old)
    archive.letters.remove(second.id)
    assert (archive.letters.page(), archive.letters.count(), archive.letters.size_bytes()) == ([], 0, 0)


def test_letters_that_cannot_be_read_hide_none_behind_them(archive: EventStore) -> None:
    spoilt = [archive.client.xadd("ew:dead-letters", {"topic": "?"}).decode() for _ in range(3)]
    put(archive.letters, "new", b"kept")
    assert [archive.letters.payload(one.id) for one in archive.letters.page(limit=2)] == [b"kept"]
    for letter in spoilt:
        archive.letters.remove(letter)
    assert archive.letters.count() == 1


def test_letters_are_removed_from_a_store_without_memory(archive: EventStore) -> None:
    put(archive.letters, "a", b"1")
    archive.client.config_set("maxmemory", 1)
    try:
        archive.letters.remove(archive.letters.page()[0].id)
    finally:
        archive.client.config_set("maxmemory", 0)
    assert (archive.letters.count(), archive.letters.size_bytes()) == (0, 0)

"""Verdicts that are withdrawn, and those that correct the category of an alert."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from hub.alerting.feedback import FeedbackService
from hub.alerting.recurrence import RecurrenceService
from hub.app.factory import build_feedback, build_threshold_tuner
from hub.domain.sensor_map import SensorMap
from hub.settings import AlertsSettings
from hub.store import keys
from hub.store.episodes import EpisodeStore
from hub.store.event_queries import EventFilter, EventQueries
from hub.store.events import EventStore
from hub.store.stores import Stores
from shared.errors import InvalidError
from shared.messages.alert import AlertMessage
from tests.sources import MONDAY, conclude, source_event

pytestmark = pytest.mark.redis

PLACES = SensorMap({}, 200.0, ZoneInfo("UTC"))
HOUR = timedelta(hours=1)


@pytest.fixture
def feedback(archive: EventStore) -> FeedbackService:
    stores = Stores.of(archive)
    return build_feedback(stores, build_threshold_tuner(AlertsSettings(), stores))


def raised(archive: EventStore, seq: int, day: int) -> AlertMessage:
    event = source_event(seq, 1, MONDAY + timedelta(days=day))
    (alert,) = conclude(archive, EpisodeStore(archive), PLACES, [event])
    assert alert is not None
    archive.mark_processed([(event.id, alert)])
    return alert


def listed(archive: EventStore, category: str) -> list[str]:
    return [str(event.id) for event in EventQueries(archive).events(EventFilter(category=category), limit=9).events]


def test_a_withdrawn_verdict_has_no_effect_and_stays_in_the_history(
    archive: EventStore, feedback: FeedbackService
) -> None:
    alert = raised(archive, 1, 0)
    thresholds = EpisodeStore(archive).thresholds
    raised(archive, 2, 1)
    first = feedback.submit(alert=alert, match=None, verdict="same", by="ines", now=MONDAY)
    before = thresholds.of("demo")
    second = feedback.submit(alert=alert, match=None, verdict="different", by="otto", now=MONDAY + HOUR)
    assert thresholds.of("demo")["dog"].value > before["dog"].value
    withdrawn = feedback.withdraw(alert, None, second.at, by="otto")
    assert thresholds.of("demo") == before
    assert feedback.stored.for_alert(alert.event) == feedback.stored.all() == [first]
    assert feedback.stored.history(alert.event) == [first, withdrawn]
    assert (withdrawn.withdrawn_by, withdrawn.author, withdrawn.verdict) == ("otto", "otto", "different")
    with pytest.raises(InvalidError, match="withdrawn already"):
        feedback.withdraw(alert, None, second.at)
    with pytest.raises(InvalidError, match="no such verdict"):
        feedback.withdraw(alert, None, MONDAY - HOUR)
    feedback.withdraw(alert, None, first.at, by="ines")
    assert feedback.stored.all() == feedback.stored.for_alert(alert.event) == []
    assert thresholds.of("demo")["dog"].verdicts == 0


def test_a_replaced_verdict_that_is_withdrawn_does_not_come_back(
    archive: EventStore, feedback: FeedbackService
) -> None:
    alert = raised(archive, 1, 0)
    first = feedback.submit(alert=alert, match=None, verdict="same", by="ines", now=MONDAY)
    second = feedback.submit(alert=alert, match=None, verdict="different", by="otto", now=MONDAY + HOUR)
    feedback.withdraw(alert, None, first.at)
    assert feedback.stored.all() == [second]
    feedback.withdraw(alert, None, second.at)
    assert feedback.stored.all() == []


def test_after_a_withdrawn_ignore_the_category_raises_alerts_again(
    archive: EventStore, feedback: FeedbackService
) -> None:
    alert = raised(archive, 1, 0)
    ignored = feedback.submit(alert=alert, match=None, verdict="ignore", now=MONDAY)
    assert conclude(archive, EpisodeStore(archive), PLACES, [source_event(2, 1, MONDAY + timedelta(days=2))]) == [
        None
    ]
    feedback.withdraw(alert, None, ignored.at)
    raised(archive, 3, 3)


def test_a_corrected_category_is_what_lists_and_patterns_show(archive: EventStore, feedback: FeedbackService) -> None:
    alerts = [raised(archive, seq, seq) for seq in range(1, 4)]
    wrong, event = alerts[1], alerts[1].event
    rest = [alerts[2].event, alerts[0].event]
    patterns = RecurrenceService(EpisodeStore(archive), PLACES, 90.0)

    def times(category: str) -> int:
        return patterns.pattern("demo/s1", category, MONDAY + timedelta(days=9)).times

    given = feedback.submit(alert=wrong, match=None, verdict="wrong-category", categories=["music", "engine"])
    assert feedback.stored.corrections([one.event for one in alerts]) == {event: ("music", "engine")}
    assert (listed(archive, "dog"), listed(archive, "music"), listed(archive, "engine")) == (rest, [event], [event])
    assert (times("dog"), times("music"), times("engine")) == (2, 1, 1)
    feedback.withdraw(wrong, None, given.at)
    assert feedback.stored.corrections([event]) == {}
    assert (listed(archive, "dog"), listed(archive, "music")) == ([rest[0], event, rest[1]], [])
    assert (times("dog"), times("music")) == (3, 0)


def test_a_verdict_on_a_match_corrects_no_category(archive: EventStore, feedback: FeedbackService) -> None:
    alert = raised(archive, 1, 0)
    match = alert.matches[0].event
    feedback.submit(alert=alert, match=match, verdict="wrong-category", categories=["music"])
    assert feedback.stored.corrections([alert.event]) == {}
    assert listed(archive, "dog") == [alert.event]


def test_a_corrected_event_leaves_no_trace_when_it_expires(archive: EventStore, feedback: FeedbackService) -> None:
    feedback.submit(alert=raised(archive, 1, 0), match=None, verdict="wrong-category", categories=["music"])
    assert archive.client.zcard(keys.events_of("music")) == 1
    archive.delete_before(MONDAY + HOUR)
    assert archive.client.zcard(keys.events_of("music")) == 0


def test_a_damaged_row_of_the_history_breaks_no_verdict(archive: EventStore, feedback: FeedbackService) -> None:
    alert = raised(archive, 1, 0)
    archive.client.zadd(keys.verdict_history(alert.event), {b"{": 0, b'{"v": 1, "verdict": "same"}': 1})
    given = feedback.submit(alert=alert, match=None, verdict="same", now=MONDAY)
    assert feedback.stored.history(alert.event) == [given]
    feedback.withdraw(alert, None, given.at)
    assert [one.withdrawn_at is not None for one in feedback.stored.history(alert.event)] == [True]

"""What an inspector reads, whatever is known of an alert; and templates of one's own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.notify.rendering import TITLE_LIMIT, MessageRenderer, RenderedMessage, percent, sensor_names
from shared.errors import InvalidError
from shared.messages.alert import AlertMessage, ForecastWindow, MatchMessage, Recurrence, SourceMessage
from shared.taxonomy import CATEGORIES
from tests.factories import alert

BERLIN = ZoneInfo("Europe/Berlin")
SHIPPED = MessageRenderer(BERLIN, "https://noise.example/")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def impact() -> AlertMessage:
    """Everything is known of it."""
    matches = [
        MatchMessage(
            event=f"demo.street-1.boot.{n}",
            site="demo",
            sensor="street-1",
            captured_at=at("2026-11-24T07:05"),
            level=7.4,
            shared={"machinery-impact": 0.9},
            match_probability=0.82,
        )
        for n in range(4)
    ]
    window = ForecastWindow(
        start=at("2026-11-30T07:00"),
        end=at("2026-11-30T08:00"),
        probability=0.88,
        base_rate=0.06,
        backtest_windows=8,
        backtest_hits=7,
    )
    return AlertMessage(
        event="demo.street-1.boot.9",
        site="demo",
        sensor="street-1",
        captured_at=at("2026-11-26T07:02"),
        laeq=68.4,
        lafmax=80.0,
        level_unit="dB",
        presence=dict.fromkeys(CATEGORIES, 0.1),
        matches=matches,
        categories=["machinery-impact"],
        match_probability=0.82,
        above_ambient_db=12.3,
        severity="recurring",
        recurrence=Recurrence(
            category="machinery-impact",
            episodes=9,
            days=9,
            since=at("2026-11-02T07:00"),
            regularity="weekdays around 07:00",
            next=window,
        ),
        linked=["demo.street-2.boot.77.1"],
    )


def test_a_named_sound_is_sent_with_its_name() -> None:
    reported = {"name": "bakery fan", "name_id": "5f2c81a0", "name_probability": 0.934, "watched": True}
    text = SHIPPED.text([impact().model_copy(update=reported)])
    assert text.title == "bakery fan, detected again, at demo/street-1, 07:02 (recurring)"
    assert text.body.splitlines()[1] == "93 % probability that it is the same source as an example of bakery fan"
    assert (
        "bakery fan, detected again, at demo/street-1"
        in SHIPPED.text([impact().model_copy(update=reported)], digest=True).body
    )


def test_an_inspector_reads_what_where_when_how_sure_and_when_again() -> None:
    assert SHIPPED.text([impact()]) == RenderedMessage(
        title="machinery impact at demo/street-1, 07:02 (recurring)",
        body="""\
Thu 26 Nov 07:02, 68 dB, 12 dB above ambient
82 % probability that it is the same kind of sound as Tue 24 Nov 07:05 at demo/street-1 (and 3 more)
Detected here 9 times on 9 days since 2 Nov, weekdays around 07:00. Next likely: Mon 30 Nov 07:00-08:00 (88 %; any \
such hour: 6 %; 7 of 8 earlier forecasts were right)
Also detected at demo/street-2 at the same time
https://noise.example/alerts/demo.street-1.boot.9""",
        page="https://noise.example/alerts/demo.street-1.boot.9",
    )


def test_an_inspector_reads_how_old_the_calibration_of_the_level_is() -> None:
    calibrated = {"calibration": "2026-11-14-1f3c5a", "calibration_age_days": 12.4}
    text = SHIPPED.text([impact().model_copy(update=calibrated)])
    assert text.body.splitlines()[0] == "Thu 26 Nov 07:02, 68 dB, 12 dB above ambient, calibrated 12 days before"


def test_an_inspector_reads_which_source_it_is() -> None:
    source = SourceMessage(
        id="4f2a9c01d7",
        new=False,
        probability=0.83,
        times=6,
        days=6,
        since=at("2026-11-03T07:00"),
        regularity="weekdays around 07:00",
    )
    known = SHIPPED.text([impact().model_copy(update={"source": source})])
    assert "This machine, the 6th time since 3 Nov, weekdays around 07:00 (83 % probability).\n" in known.body
    new = SHIPPED.text([impact().model_copy(update={"source": source.model_copy(update={"new": True})})])
    assert "A machine, not detected here before.\n" in new.body


def test_of_an_alert_of_which_little_is_known_just_that_is_stated() -> None:
    assert SHIPPED.text([alert()]) == RenderedMessage(
        title="dog at demo/street-1, 14:00",
        body="""\
Mon 1 Jun 14:00, -40 dBFS, never calibrated
Similar to Mon 1 Jun 14:00 at demo/street-2: similarity score 7.5 of 8
https://noise.example/alerts/demo.street-1.boot.0""",
        page="https://noise.example/alerts/demo.street-1.boot.0",
    )


def test_a_digest_states_what_came_how_often_and_where() -> None:
    hit = impact()
    later = hit.captured_at + timedelta(hours=2)
    late = hit.model_copy(update={"captured_at": later, "event": "demo.street-1.boot.10"})
    dog = alert().model_copy(update={"captured_at": hit.captured_at + timedelta(hours=1)})
    assert SHIPPED.text([late, dog, hit], digest=True) == RenderedMessage(
        title="3 alerts, Thu 26 Nov 07:02 to Thu 26 Nov 09:02",
        body="""\
machinery impact at demo/street-1: 2 times, 07:02 to 09:02, up to 12 dB above ambient (recurring)
dog at demo/street-1: 08:02

https://noise.example/alerts""",
        page="https://noise.example/alerts",
    )


def test_a_long_digest_is_cut_short() -> None:
    alerts = [alert().model_copy(update={"sensor": f"street-{n}"}) for n in range(30)]
    text = SHIPPED.text(alerts, digest=True)
    assert "and 10 more" in text.body
    assert len(text.body.splitlines()) == 23


windows = st.builds(
    lambda start, minutes, p, base, tried: ForecastWindow(
        start=start,
        end=start + timedelta(minutes=minutes),
        probability=p,
        base_rate=base,
        backtest_windows=tried,
        backtest_hits=tried // 2,
    ),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda t: t.replace(tzinfo=UTC)),  # noqa: DTZ001
    st.integers(1, 3_000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 9),
)
recurrences = st.builds(
    Recurrence,
    category=st.sampled_from(CATEGORIES),
    times=st.integers(0, 99),
    days=st.integers(0, 99),
    since=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda t: t.replace(tzinfo=UTC)),  # noqa: DTZ001
    regularity=st.sampled_from(["", "daily"]),
    elsewhere=st.lists(st.sampled_from(["demo/street-2", "demo.street-3.boot.1"]), max_size=2),
    next=st.none() | windows,
)
whatever_is_known = st.fixed_dictionaries(
    {
        "categories": st.lists(st.sampled_from(CATEGORIES), max_size=3, unique=True),
        "probability": st.none() | st.floats(0, 1),
        "above_ambient_db": st.none() | st.floats(-50, 90),
        "severity": st.sampled_from(["notice", "recurring", "urgent"]),
        "recurrence": st.none() | recurrences,
        "linked": st.lists(st.sampled_from(["demo.street-2.boot.7.1", "demo.street-3.boot.1"]), max_size=3),
        "presence": st.sampled_from([{}, {"dog": 0.9}]),
    }
)


@given(st.lists(whatever_is_known, min_size=1, max_size=3), st.booleans())
def test_whatever_is_known_there_is_a_title_of_one_line_and_nothing_odd(
    known: list[dict[str, object]], digest: bool
) -> None:
    alerts = [alert().model_copy(update=one) for one in known]
    text = SHIPPED.text(alerts, digest=digest)
    assert text.title
    assert "\n" not in text.title
    assert len(text.title) <= TITLE_LIMIT
    assert text.page in text.body
    assert not [odd for odd in ("None", "Undefined", "{", "}", "datetime", "  ") if odd in text.title + text.body]
    assert "\n\n\n" not in text.body


@pytest.mark.parametrize(
    ("share", "words"), [(0, "0 %"), (1, "100 %"), (0.001, "<1 %"), (0.999, ">99 %"), (0.82, "82 %")]
)
def test_only_what_is_certain_is_sent_as_certain(share: float, words: str) -> None:
    assert percent(share) == words


def test_places_are_sent_once_each() -> None:
    assert sensor_names(["demo.a.boot.1.2", "demo.a.boot.1.3", "other/b"]) == ["demo/a", "other/b"]


def test_a_template_of_ones_own_is_used(tmp_path: Path) -> None:
    own = tmp_path / "own.j2"
    own.write_text("{{ alert | kinds }} & <{{ alert | place }}>\n\nhttps://maps/{{ alert.sensor }}\n")
    wording = MessageRenderer(BERLIN, "http://h", alert=own)
    assert wording.text([alert()]) == RenderedMessage(
        "dog & <demo/street-1>", "https://maps/street-1", "http://h/alerts/demo.street-1.boot.0"
    )
    assert wording.text([alert()], digest=True).title == "1 alert, Mon 1 Jun 14:00"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("title\n{% if %}", "line 2: Expected"),
        ("title\n\n{{ alert.sensr }}", "line 3: .*sensr"),
        ("title\n\n\n{{ alert.recurrence.times }}", "line 4: "),
        ("{{ alert | nonsense }}", "line 1: No filter"),
        ("title\n{{ alert.__class__.__mro__ }}", "line 2: .*unsafe"),
        ("{# nothing #}", "its first line, is empty"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, source: str, reason: str) -> None:
    own = tmp_path / "own.j2"
    own.write_text(source)
    for kind in ("alert", "digest"):
        with pytest.raises(InvalidError, match=rf"template .*own\.j2.*{reason}"):
            MessageRenderer(BERLIN, "http://h", **{kind: own})


def test_a_template_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="cannot be read"):
        MessageRenderer(BERLIN, "http://h", alert=tmp_path / "none.j2")


def test_a_template_that_fails_later_gives_way_to_the_one_that_ships(tmp_path: Path) -> None:
    own = tmp_path / "own.j2"
    own.write_text("title\n{% if alert.sensor == 'street-9' %}{{ nothing }}{% endif %}")
    odd = alert().model_copy(update={"sensor": "street-9"})
    assert MessageRenderer(BERLIN, "https://noise.example", alert=own).text([odd]) == SHIPPED.text([odd])

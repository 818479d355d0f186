"""The commands on feedback with a real store: add verdicts, export them, train with them, judge candidates."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from hub.alerting.feedback import FeedbackService
from hub.app.factory import build_feedback, build_threshold_tuner
from hub.cli import feedback as commands
from hub.model.checkpoint import baseline_checkpoint, default_checkpoint, load
from hub.search.scoring.scorer import Scorer
from hub.settings import AlertsSettings
from hub.store import keys
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from hub.store.stores import Stores
from hub.store.verdict_file import read_verdicts
from hub.training.datasets.verdicts import load_feedback
from shared.errors import InvalidError
from shared.events import EventId
from shared.feature_space import LOGMEL, VGGISH
from shared.messages.alert import AlertMessage, MatchMessage
from shared.taxonomy import CATEGORIES
from tests.hub.store.test_episodes import MONDAY, event

pytestmark = pytest.mark.redis

app = typer.Typer()
commands.register(app)
DOG = CATEGORIES.index("dog")


def alert(seq: int, category: str = "dog") -> AlertMessage:
    past = MatchMessage(
        event="demo.s9.boot.0",
        site="demo",
        sensor="s9",
        captured_at=MONDAY,
        level=8.0,
        shared={"dog": 0.9},
        match_probability=0.8,
    )
    return AlertMessage(
        event=f"demo.s1.boot.{seq}",
        site="demo",
        sensor="s1",
        captured_at=MONDAY + timedelta(hours=seq),
        laeq=60.0,
        lafmax=65.0,
        level_unit="dB",
        presence={"dog": 0.9},
        matches=[past],
        categories=[category],
        match_probability=0.8,
        threshold=0.6,
        episode=f"demo.s1.boot.{seq}.{DOG}",
    )


@pytest.fixture
def feedback(archive: EventStore) -> FeedbackService:
    events = [event(seq, MONDAY + timedelta(hours=seq)) for seq in range(1, 41)] + [event(0, MONDAY, "s9", dog=0.2)]
    archive.add_many(events)
    archive.mark_processed([(stored.id, alert(stored.id.seq) if stored.id.seq else None) for stored in events])
    stores = Stores.of(archive)
    return build_feedback(stores, build_threshold_tuner(AlertsSettings(), stores))


def run(store_url: str, *line: str) -> tuple[int, dict[str, object]]:
    done = CliRunner().invoke(app, [*line, "--set", f"redis.url={store_url}", "--json"])
    assert done.exit_code in {0, 1}, done.output
    return done.exit_code, json.loads(done.stdout)


def test_verdicts_are_exported_with_labels_to_learn_from(
    feedback: FeedbackService, store_url: str, tmp_path: Path
) -> None:
    feedback.submit(alert=alert(1), match="demo.s9.boot.0", verdict="same", now=MONDAY)
    feedback.submit(alert=alert(2), match=None, verdict="wrong-category", categories=["music"], now=MONDAY)
    feedback.submit(alert=alert(3), match=None, verdict="wrong-category", now=MONDAY)
    feedback.submit(alert=alert(4), match=None, verdict="different", now=MONDAY)
    feedback.submit(alert=alert(5), match=None, verdict="ignore", now=MONDAY)
    out = tmp_path / "feedback.jsonl"
    assert run(store_url, "feedback", "export", str(out)) == (0, {"verdicts": 5, "file": str(out)})
    assert [pair.verdict.verdict for pair in read_verdicts(out)][:1] == ["same"]
    data = load_feedback(out, VGGISH.id)
    assert set(data.groups.tolist()) == {"feedback"}
    reported = {tuple(np.flatnonzero(row).tolist()) for row in data.labels}
    assert len(data) == 4
    assert reported == {(DOG,), (CATEGORIES.index("music"),), ()}
    assert len(load_feedback(out, VGGISH.id, times=3)) == 12
    with pytest.raises(InvalidError, match="no verdict that labels"):
        load_feedback(out, LOGMEL.id)


def test_a_damaged_file_of_verdicts_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    path.write_text('{"verdict": {}}\n')
    with pytest.raises(InvalidError, match="line 1"):
        read_verdicts(path)


def test_a_verdict_given_on_the_command_line_moves_the_threshold(feedback: FeedbackService, store_url: str) -> None:
    code, reported = run(store_url, "feedback", "add", "demo.s1.boot.1", "different", "--note", "a van", "--by", "me")
    assert code == 0
    assert reported["threshold"]["verdicts"] == 1  # type: ignore[index]
    (given,) = feedback.stored.all()
    assert (given.verdict, given.note, given.author) == ("different", "a van", "me")


def test_a_candidate_threshold_is_put_to_use_only_if_it_does_better(
    archive: EventStore, feedback: FeedbackService, store_url: str
) -> None:
    for seq in range(1, 31):
        feedback.submit(alert=alert(seq), match=None, verdict="different", now=MONDAY)
    line = ("compare", "threshold", "--site", "demo", "--apply")
    code, judged = run(store_url, *line, "dog=0.2")
    assert (code, judged["better"]) == (1, False)
    feedback.submit(alert=alert(31), match=None, verdict="same", now=MONDAY)
    episode_store = EpisodeStore(archive)
    episode_store.thresholds.set("demo", {"dog": replace(episode_store.thresholds.of("demo")["dog"], value=0.6)})
    code, judged = run(store_url, *line, "dog=0.9")
    assert (code, judged["better"], judged["verdicts"]) == (0, True, 31)
    assert episode_store.thresholds.of("demo")["dog"].value == 0.9


def test_a_candidate_network_takes_over_only_if_it_does_better(
    archive: EventStore, feedback: FeedbackService, store_url: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    sounds = rng.integers(0, 256, (2, *VGGISH.shape), dtype=np.uint8)
    received = Scorer(load(default_checkpoint(VGGISH.id))).presence(
        Scorer(load(default_checkpoint(VGGISH.id))).embed(sounds[:1])
    )[0]
    category = CATEGORIES[int(received.argmax())]
    archive.add_many([replace(event(100, MONDAY, "s9"), features=sounds[0])])
    for seq in range(101, 131):
        archive.add_many([replace(event(seq, MONDAY), features=sounds[seq % 2])])
        about = alert(seq, category)
        match = about.matches[0].model_copy(update={"event": "demo.s9.boot.100"})
        about = about.model_copy(update={"matches": [match]})
        archive.mark_processed([(EventId("demo", "s1", "boot", seq), about)])
        feedback.submit(alert=about, match=None, verdict="different" if seq % 2 else "same", now=MONDAY)
    target = tmp_path / "used.safetensors"
    line = ("compare", "checkpoint", "--write-to", str(target))
    code, judged = run(store_url, *line, str(default_checkpoint(VGGISH.id)))
    assert (code, judged["verdicts"], judged["present"]) == (1, 30, judged["candidate"])
    assert not target.exists()
    code, judged = run(store_url, *line, str(baseline_checkpoint(VGGISH.id, "paper")))
    assert judged["present"] != judged["candidate"]
    assert target.exists() == judged["better"] == (code == 0)


def test_a_verdict_that_another_one_replaced_stays_in_the_history(
    feedback: FeedbackService, archive: EventStore
) -> None:
    about, hour = alert(1), timedelta(hours=1)
    first = feedback.submit(alert=about, match=None, verdict="same", by="ines", now=MONDAY)
    second = feedback.submit(alert=about, match=None, verdict="different", by="otto", note="a fan", now=MONDAY + hour)
    assert feedback.stored.for_alert(about.event) == [second]
    assert feedback.stored.history(about.event) == [first, second]
    archive.client.delete(keys.verdict_history(about.event))
    assert feedback.stored.history(about.event) == [second], "an earlier hub kept none"
    third = feedback.submit(alert=about, match=None, verdict="same", by="ines", now=MONDAY + 2 * hour)
    assert feedback.stored.history(about.event) == [second, third]
    assert feedback.stored.all() == [third]


def test_the_verdict_that_applies_is_withdrawn_by_a_command(feedback: FeedbackService, store_url: str) -> None:
    about = alert(1)
    feedback.submit(alert=about, match=None, verdict="same", by="ines", now=MONDAY)
    code, answer = run(store_url, "feedback", "withdraw", about.event, "--by", "otto")
    assert code == 0
    assert isinstance(answer["verdict"], dict)
    assert (answer["verdict"]["verdict"], answer["verdict"]["withdrawn_by"]) == ("same", "otto")
    assert feedback.stored.all() == []
    again = CliRunner().invoke(app, ["feedback", "withdraw", about.event, "--set", f"redis.url={store_url}"])
    assert (again.exit_code, "no verdict on alert" in again.output) == (2, True)

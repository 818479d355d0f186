"""The hub's commands `feedback`, `thresholds` and `shadow`."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from hub.alerting.feedback import Feedback
from hub.app.factory import learner_of, open_archive, open_retrieval
from hub.cli.options import ConfigOption, JsonOption, SetOption, reported, settings_from
from hub.domain.records import StoredEvent
from hub.domain.verdicts import Verdict, VerdictKind
from hub.store.episodes import Casebook
from hub.store.source_verdicts import SourceVerdicts
from hub.store.sources import SourceStore
from hub.store.verdict_file import judged_pairs, write_verdicts
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import Invalid
from shared.paths import printable
from shared.taxonomy import CATEGORIES

if TYPE_CHECKING:
    from hub.alerting.shadow import Comparison
    from hub.search.retrieval import Retrieval

app = typer.Typer(no_args_is_help=True, help="What people said of alerts: list, give, export to train with.")

_Pairs = list[tuple[Verdict, StoredEvent, StoredEvent]]


@app.command("list")
@reported
def list_(
    limit: Annotated[int, typer.Option(min=1, help="most verdicts shown")] = 50,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Show the newest verdicts.

    Example: earwitness-hub feedback list --limit 10
    """
    settings = settings_from(config, override)
    archive = open_archive(settings)
    casebook = Casebook(archive)
    verdicts = Feedback(archive, casebook, learner_of(settings.flagging, archive, casebook)).verdicts(limit=limit)
    if json_:
        typer.echo(to_json([verdict.model_dump(mode="json") for verdict in verdicts]))
        return
    table = Table("when", "verdict", "category", "place", "stated", "alert", "match", "by", "note")
    for verdict in verdicts:
        table.add_row(
            f"{verdict.at:%Y-%m-%d %H:%M}",
            verdict.verdict,
            verdict.category,
            verdict.place,
            f"{verdict.likeness:.0%}",
            verdict.alert,
            verdict.match or "-",
            printable(verdict.by),
            printable(verdict.note),
        )
    plain_console().print(table if verdicts else "nobody has said anything yet")


@app.command()
@reported
def give(
    alert: Annotated[str, typer.Argument(help="id of the alert: that of its event")],
    verdict: Annotated[VerdictKind, typer.Argument(help="what it was")],
    match: Annotated[str | None, typer.Option(help="event of one match; else it is about the whole alert")] = None,
    category: Annotated[list[str] | None, typer.Option(help="what was really heard; may be repeated")] = None,
    note: Annotated[str, typer.Option(help="in your own words")] = "",
    by: Annotated[str, typer.Option(help="who says so")] = "",
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Say what an alert or a match was; the site's thresholds move at once.

    Example: earwitness-hub feedback give harbour.street-1.b3.120 different --match harbour.street-2.b1.7
    """
    settings = settings_from(config, override)
    archive = open_archive(settings)
    found = archive.alert(alert)
    if found is None:
        raise Invalid(f"no alert {alert}")
    casebook = Casebook(archive)
    lead = found.categories[0] if found.categories else ""
    before = casebook.thresholds(found.site).get(lead)
    sources = SourceVerdicts(SourceStore(archive, casebook), casebook)
    feedback = Feedback(archive, casebook, learner_of(settings.flagging, archive, casebook), sources)
    given = feedback.give(alert=found, match=match, verdict=verdict, categories=category or (), note=note, by=by)
    after = casebook.thresholds(found.site)[lead]
    if json_:
        typer.echo(to_json({"verdict": given.model_dump(mode="json"), "threshold": after.document()}))
        return
    earlier = settings.flagging.threshold if before is None else before.value
    typer.echo(f"kept; an alert about {lead} at {found.site} now needs {after.value:.0%} (before: {earlier:.0%})")


@app.command()
@reported
def export(
    out: Annotated[Path, typer.Argument(help="file to write, JSON lines")],
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Write all verdicts with their events' features, for `train --feedback`.

    Example: earwitness-hub feedback export feedback.jsonl
    """
    settings = settings_from(config, override)
    archive = open_archive(settings)
    casebook = Casebook(archive)
    said = Feedback(archive, casebook, learner_of(settings.flagging, archive, casebook)).everything()
    count = write_verdicts(out, judged_pairs(archive, said))
    typer.echo(to_json({"verdicts": count, "file": str(out)}) if json_ else f"{count} verdicts written to {out}")


@reported
def thresholds(config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False) -> None:
    """Show what each site has learnt: thresholds, and how many false alerts a day they are expected to cost.

    Example: earwitness-hub thresholds --config hub.toml
    """
    casebook = Casebook(open_archive(settings_from(config, override)))
    learnt = {site: casebook.thresholds(site) for site in casebook.sites()}
    if json_:
        typer.echo(to_json({s: {c: t.document() for c, t in own.items()} for s, own in learnt.items()}))
        return
    table = Table("site", "category", "threshold", "false alerts a day", "alerts a day", "learnt from", "verdicts")
    for site, own in learnt.items():
        for category, threshold in own.items():
            false = f"{threshold.false_a_day:.2f} ({threshold.low:.2f} to {threshold.high:.2f})"
            history = f"{threshold.episodes} episodes, {threshold.days:.0f} days"
            value, alerts = f"{threshold.value:.0%}", f"{threshold.alerts_a_day:.1f}"
            table.add_row(site, category, value, false, alerts, history, str(threshold.verdicts))
    plain_console().print(table if learnt else "no site was heard yet")


@reported
def shadow(
    checkpoint: Annotated[Path | None, typer.Option(help="a candidate network")] = None,
    threshold: Annotated[str | None, typer.Option(help="a candidate threshold, as category=likeness")] = None,
    site: Annotated[str | None, typer.Option(help="of --threshold: the site it is for")] = None,
    promote: Annotated[
        Path | None, typer.Option(help="of --checkpoint: file to copy it to if it does better", show_default=False)
    ] = None,
    pin: Annotated[bool, typer.Option("--pin", help="of --threshold: put it to use if it does better")] = False,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Judge a candidate network or threshold on what people said, beside what is in use.

    It takes over only if it does better, surely enough; exit 1 if it does not.

    Example: earwitness-hub shadow --checkpoint new.safetensors --promote /etc/earwitness/vggish.safetensors
    """
    from hub.alerting.shadow import compare_thresholds
    from hub.model.checkpoint import load
    from hub.search.retrieval import Retrieval
    from hub.search.scoring.scorer import Scorer

    if (checkpoint is None) == (threshold is None):
        raise Invalid("give one of --checkpoint and --threshold")
    settings = settings_from(config, override)
    archive = open_archive(settings)
    casebook = Casebook(archive)
    learner = learner_of(settings.flagging, archive, casebook)
    said = [v for v in Feedback(archive, casebook, learner).everything() if v.right is not None]
    if checkpoint is not None:
        pairs = list(judged_pairs(archive, said))
        judgement = _networks(open_retrieval(settings), Retrieval([Scorer(load(checkpoint))]), pairs)
    else:
        if site is None:
            raise Invalid("--threshold needs --site")
        category, value = _threshold(threshold or "")
        own = [v for v in said if (v.site, v.category) == (site, category)]
        learnt = casebook.thresholds(site).get(category)
        present = settings.flagging.threshold if learnt is None else learnt.value
        judgement = compare_thresholds([v.likeness for v in own], [bool(v.right) for v in own], present, value)
        if judgement.better and pin:
            learner.pin(site, category, value)
    if judgement.better and checkpoint is not None and promote is not None:
        shutil.copyfile(checkpoint, promote)
    typer.echo(to_json({**asdict(judgement), "better": judgement.better}) if json_ else judgement.told())
    if not judgement.better:
        raise typer.Exit(1)


def _networks(present: "Retrieval", candidate: "Retrieval", pairs: _Pairs) -> "Comparison":
    """Both networks on the pairs of the candidate's feature space."""
    from hub.alerting.shadow import compare

    own = [pair for pair in pairs if pair[1].space == pair[2].space and pair[1].space in candidate.spaces]
    stated = [[_likeness(network, *pair) for pair in own] for network in (present, candidate)]
    return compare(stated[0], stated[1], [bool(verdict.right) for verdict, _, _ in own])


def _likeness(network: "Retrieval", verdict: Verdict, event: StoredEvent, match: StoredEvent) -> float:
    row = network.likeness(event.space, network.compare(event, [match]))[0]
    return float(row[CATEGORIES.index(verdict.category)])


def _threshold(text: str) -> tuple[str, float]:
    category, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if category not in CATEGORIES or not 0.0 <= number <= 1.0:
        raise Invalid(f"--threshold {text!r}: write category=likeness, such as dog=0.7, with one of {CATEGORIES}")
    return category, number


def register(to: typer.Typer) -> None:
    """Add these commands to the hub's."""
    to.add_typer(app, name="feedback")
    to.command()(thresholds)
    to.command()(shadow)

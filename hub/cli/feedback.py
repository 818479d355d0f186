"""The hub's commands `feedback`, `thresholds` and `compare`."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from hub.app.factory import build_feedback, build_retrieval, build_stores, build_threshold_tuner
from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from hub.domain.records import StoredEvent
from hub.domain.verdicts import Verdict, VerdictKind
from hub.settings import HubSettings
from hub.store.verdict_file import with_events, write_verdicts
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import InvalidError
from shared.paths import printable
from shared.taxonomy import CATEGORIES

if TYPE_CHECKING:
    from hub.alerting.shadow import Comparison
    from hub.search.retrieval import Retrieval

app = typer.Typer(no_args_is_help=True, help="Verdicts on alerts: list, add, export for training.")
compared = typer.Typer(no_args_is_help=True, help="Compare a candidate with the network or threshold in use.")

_Pairs = list[tuple[Verdict, StoredEvent, StoredEvent]]


@app.command("list")
@handles_errors
def list_(
    limit: Annotated[int, typer.Option(min=1, help="maximum number of verdicts")] = 50,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Show the newest verdicts.

    Example: earwitness-hub feedback list --limit 10
    """
    settings = load_hub_settings(config, override)
    stores = build_stores(settings)
    verdicts = build_feedback(stores, build_threshold_tuner(settings.alerts, stores)).stored.newest(limit=limit)
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
            f"{verdict.match_probability:.0%}",
            verdict.alert,
            verdict.match or "-",
            printable(verdict.author),
            printable(verdict.note),
        )
    plain_console().print(table if verdicts else "no verdicts yet")


@app.command("add")
@handles_errors
def give(
    alert: Annotated[str, typer.Argument(help="id of the alert, which is the id of its event")],
    verdict: Annotated[VerdictKind, typer.Argument(help="your verdict")],
    match: Annotated[str | None, typer.Option(help="event of one match; the whole alert if not given")] = None,
    category: Annotated[list[str] | None, typer.Option(help="correct category; may be repeated")] = None,
    note: Annotated[str, typer.Option(help="free text")] = "",
    by: Annotated[str, typer.Option(help="author of the verdict")] = "",
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Add a verdict on an alert or a match; the hub adjusts the thresholds of the site at once.

    Example: earwitness-hub feedback add harbour.street-1.b3.120 different --match harbour.street-2.b1.7
    """
    settings = load_hub_settings(config, override)
    stores = build_stores(settings)
    raised = stores.events.alerts.get(alert)
    if raised is None:
        raise InvalidError(f"no alert {alert}")
    lead = raised.categories[0] if raised.categories else ""
    before = stores.episodes.thresholds.of(raised.site).get(lead)
    feedback = build_feedback(stores, build_threshold_tuner(settings.alerts, stores))
    added = feedback.submit(alert=raised, match=match, verdict=verdict, categories=category or (), note=note, by=by)
    after = stores.episodes.thresholds.of(raised.site)[lead]
    if json_:
        typer.echo(to_json({"verdict": added.model_dump(mode="json"), "threshold": after.to_json()}))
        return
    earlier = settings.alerts.default_threshold if before is None else before.value
    typer.echo(f"stored; the threshold of {lead} at {raised.site} is now {after.value:.0%} (before: {earlier:.0%})")


@app.command()
@handles_errors
def withdraw(
    alert: Annotated[str, typer.Argument(help="id of the alert, which is the id of its event")],
    match: Annotated[str | None, typer.Option(help="event of one match; the whole alert if not given")] = None,
    by: Annotated[str, typer.Option(help="who withdraws the verdict")] = "",
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Withdraw the verdict that applies to an alert or a match; the history keeps it.

    Example: earwitness-hub feedback withdraw harbour.street-1.b3.120
    """
    settings = load_hub_settings(config, override)
    stores = build_stores(settings)
    raised = stores.events.alerts.get(alert)
    feedback = build_feedback(stores, build_threshold_tuner(settings.alerts, stores))
    applies = next((one for one in feedback.stored.for_alert(alert) if one.match == match), None)
    if raised is None or applies is None:
        raise InvalidError(f"no verdict on alert {alert}" + (f", match {match}" if match else ""))
    withdrawn = feedback.withdraw(raised, match, applies.at, by=by)
    document = to_json({"verdict": withdrawn.model_dump(mode="json")})
    typer.echo(
        document if json_ else f"the verdict {withdrawn.verdict!r} of {withdrawn.at:%Y-%m-%d %H:%M} is withdrawn"
    )


@app.command()
@handles_errors
def export(
    out: Annotated[Path, typer.Argument(help="JSON Lines file to write")],
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Write all verdicts with the features of their events, for `train --feedback`.

    Example: earwitness-hub feedback export feedback.jsonl
    """
    settings = load_hub_settings(config, override)
    stores = build_stores(settings)
    verdicts = build_feedback(stores, build_threshold_tuner(settings.alerts, stores)).stored.all()
    count = write_verdicts(out, with_events(stores.events, verdicts))
    typer.echo(to_json({"verdicts": count, "file": str(out)}) if json_ else f"{count} verdicts written to {out}")


@handles_errors
def thresholds(config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False) -> None:
    """Show the tuned thresholds of each site, and the false alerts per day expected from them.

    Example: earwitness-hub thresholds list --config hub.toml
    """
    episode_store = build_stores(load_hub_settings(config, override)).episodes
    sites = {site: episode_store.thresholds.of(site) for site in episode_store.sites()}
    if json_:
        document = {s: {c: t.to_json() for c, t in tuned.items()} for s, tuned in sites.items()}
        typer.echo(to_json(document))
        return
    table = Table("site", "category", "threshold", "false alerts a day", "alerts a day", "tuned on", "verdicts")
    for site, tuned in sites.items():
        for category, threshold in tuned.items():
            false = f"{threshold.false_alerts_per_day:.2f} ({threshold.low:.2f} to {threshold.high:.2f})"
            history = f"{threshold.episodes} episodes, {threshold.days:.0f} days"
            value, alerts = f"{threshold.value:.0%}", f"{threshold.alerts_per_day:.1f}"
            table.add_row(site, category, value, false, alerts, history, str(threshold.verdicts))
    plain_console().print(table if sites else "no site has sent an event yet")


@compared.command("checkpoint")
@handles_errors
def compare_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint of a candidate network")],
    write_to: Annotated[
        Path | None, typer.Option(help="copy the checkpoint to this file if it is better", show_default=False)
    ] = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Compare a candidate network with the one in use, on verdicts. Exit with 1 unless it is significantly better.

    Example: earwitness-hub compare checkpoint new.safetensors --write-to /etc/earwitness/vggish.safetensors
    """
    _compare(load_hub_settings(config, override), checkpoint=checkpoint, promote=write_to, json_=json_)


@compared.command("threshold")
@handles_errors
def compare_threshold(
    threshold: Annotated[str, typer.Argument(help="candidate threshold, as category=probability")],
    site: Annotated[str, typer.Option(help="site of the threshold", show_default=False)],
    apply: Annotated[bool, typer.Option("--apply", help="use the candidate from now on if it is better")] = False,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Compare a candidate threshold with the one in use, on verdicts. Exit with 1 unless it is significantly better.

    Example: earwitness-hub compare threshold dog=0.8 --site harbour --apply
    """
    _compare(load_hub_settings(config, override), threshold=threshold, site=site, pin=apply, json_=json_)


def _compare(
    settings: HubSettings,
    *,
    checkpoint: Path | None = None,
    threshold: str = "",
    site: str = "",
    promote: Path | None = None,
    pin: bool = False,
    json_: bool,
) -> None:
    from hub.alerting.shadow import compare_thresholds
    from hub.app.event_factory import build_scorer
    from hub.search.retrieval import Retrieval

    stores = build_stores(settings)
    tuner = build_threshold_tuner(settings.alerts, stores)
    verdicts = [v for v in build_feedback(stores, tuner).stored.all() if v.hub_was_right is not None]
    if checkpoint is not None:
        pairs = list(with_events(stores.events, verdicts))
        judgement = _networks(build_retrieval(settings), Retrieval([build_scorer(checkpoint)]), pairs)
    else:
        category, value = _threshold(threshold)
        relevant = [v for v in verdicts if (v.site, v.category) == (site, category)]
        tuned = stores.episodes.thresholds.of(site).get(category)
        present = settings.alerts.default_threshold if tuned is None else tuned.value
        judgement = compare_thresholds(
            [v.match_probability for v in relevant], [bool(v.hub_was_right) for v in relevant], present, value
        )
        if judgement.better and pin:
            tuner.pin_threshold(site, category, value)
    if judgement.better and checkpoint is not None and promote is not None:
        shutil.copyfile(checkpoint, promote)
    typer.echo(to_json({**asdict(judgement), "better": judgement.better}) if json_ else judgement.describe())
    if not judgement.better:
        raise typer.Exit(1)


def _networks(present: "Retrieval", candidate: "Retrieval", pairs: _Pairs) -> "Comparison":
    """Compare both networks on the pairs of the candidate's feature space."""
    from hub.alerting.shadow import compare

    usable = [pair for pair in pairs if pair[1].space == pair[2].space and pair[1].space in candidate.spaces]
    stated = [[_match_probability(network, *pair) for pair in usable] for network in (present, candidate)]
    return compare(stated[0], stated[1], [bool(verdict.hub_was_right) for verdict, _, _ in usable])


def _match_probability(network: "Retrieval", verdict: Verdict, event: StoredEvent, match: StoredEvent) -> float:
    row = network.match_probability(event.space, network.compare(event, [match]))[0]
    return float(row[CATEGORIES.index(verdict.category)])


def _threshold(text: str) -> tuple[str, float]:
    category, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if category not in CATEGORIES or not 0.0 <= number <= 1.0:
        raise InvalidError(f"{text!r}: write category=probability, such as dog=0.7, with one of {CATEGORIES}")
    return category, number


def register(to: typer.Typer) -> None:
    """Add these commands to the hub's command line."""
    to.add_typer(app, name="feedback")
    group = typer.Typer(no_args_is_help=True, help="Alert thresholds of each site.")
    group.command("list")(thresholds)
    to.add_typer(group, name="thresholds")
    to.add_typer(compared, name="compare")

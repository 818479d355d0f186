"""`earwitness-hub`: the command line of the hub. Only this package builds settings and configures logging.

Commands import their modules when they run, so that `--help` does not wait for PyTorch, which takes a second.
"""

import logging
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hub.app.factory import build_event_store, build_extractor, build_retrieval
from hub.cli import (
    dead_letters,
    distill,
    evaluate,
    evidence,
    experiments,
    export_edge,
    feedback,
    identity,
    limits,
    names,
    notifications,
    reference,
    sensors,
    sketch,
    sources,
    tokens,
    training,
    users,
    weights,
)
from hub.cli.audit import audit
from hub.cli.backup import backup, restore
from hub.cli.bench import app as bench
from hub.cli.demo import demo
from hub.cli.deployment import app as deployment
from hub.cli.erase import erase
from hub.cli.hubs import app as hubs
from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from hub.cli.sealed import app as sealed
from hub.search.backend import By, Exclusion, Query
from hub.settings import HubSettings
from shared.audio import read_file
from shared.command_line import prepare, to_json
from shared.console import plain_console
from shared.errors import InvalidError
from shared.events import EventId
from shared.logging import configure_logging
from shared.messages.alert import MatchMessage
from shared.settings import unknown_env_vars

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Earwitness hub: archives events of noise sensors, finds similar past events, raises alerts.",
    epilog="To try it: `earwitness-hub demo`. The demo needs no sensor and no configuration.",
)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(notifications.app, name="notifications")
app.add_typer(names.app, name="names")
app.add_typer(sources.app, name="sources")
app.add_typer(sensors.app, name="sensors")
app.add_typer(limits.app, name="limits")
app.add_typer(users.app, name="users")
app.add_typer(tokens.app, name="tokens")
app.command()(audit)
app.command()(backup)
app.command()(restore)
app.command()(erase)
app.command()(handles_errors(demo))
app.add_typer(deployment, name="deployment")
app.add_typer(hubs, name="hubs")
app.add_typer(sealed, name="sealed")
checkpoints = typer.Typer(no_args_is_help=True, help="Add to a checkpoint what a hub needs besides the network.")
app.add_typer(checkpoints, name="checkpoint")
training.register(app)
evaluate.register(app)
experiments.register(app)
sketch.register(checkpoints)
identity.register(checkpoints)
reference.register(checkpoints)
distill.register(app)
app.add_typer(bench, name="bench")
weights.register(app)
export_edge.register(app)
feedback.register(app)
evidence.register(app)


@app.command()
@handles_errors
def serve(config: ConfigOption = None, override: SetOption = None) -> None:
    """Run the hub: receive events from the broker, archive them, find similar past events, raise alerts.

    Example: earwitness-hub serve --config /etc/earwitness/hub.toml --set mqtt.host=broker.example
    """
    from hub.app.hub import Hub

    settings = load_hub_settings(config, override)
    configure_logging(settings.log)
    hub = Hub(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: hub.stop())
    hub.run()


@app.command()
@handles_errors
def check(config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False) -> None:
    """Print the effective settings, then test broker, Redis, models, channels and folders. Exit with 1 if one fails.

    Example: EARWITNESS_HUB_MQTT__HOST=broker.example earwitness-hub check
    """
    from hub.diagnostics import run_checks

    settings = load_hub_settings(config, override)
    logging.disable(logging.WARNING)
    findings = run_checks(settings)
    strays = unknown_env_vars(HubSettings)
    if json_:
        report = {
            "settings": settings.model_dump(mode="json"),
            "unknown_variables": strays,
            "checks": [asdict(finding) for finding in findings],
        }
        typer.echo(to_json(report))
    else:
        for group, fields in settings.model_dump(mode="json").items():
            typer.echo(f"[{group}]")
            for field, value in fields.items():
                typer.echo(f"  {field} = {value}")
        for name in strays:
            typer.echo(f"unknown environment variable {name}: it has no effect", err=True)
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.ok else 'FAIL'} {finding.name}: {finding.text}")
            for doubt in finding.doubts:
                typer.echo(f"WARN {finding.name}: {doubt}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
@handles_errors
def search(
    event: Annotated[str | None, typer.Option(help="id of an archived event")] = None,
    clip: Annotated[Path | None, typer.Option(help="path of a recording (wav, flac, ogg)")] = None,
    k: Annotated[int, typer.Option("--top-k", "-k", min=1, max=100, help="maximum number of matches")] = 10,
    by: Annotated[By, typer.Option(help="rank by kind of sound, by source, or by both")] = By.BOTH,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Find the archived events most similar to an event or a recording, with the reasons for each match.

    Example: earwitness-hub search --clip jackhammer.wav -k 5 --by source
    """
    from hub.alerting.matching import match_messages
    from hub.search.follower import build_index

    if (event is None) == (clip is None):
        raise InvalidError("give either --event or --clip")
    settings = load_hub_settings(config, override)
    archive, retrieval = build_event_store(settings), build_retrieval(settings)
    archive.verify()
    build_index(archive, retrieval)
    if clip is not None:
        extractor, _ = build_extractor(settings, retrieval)
        space = extractor.space.id
        towers = retrieval.embed(space, extractor.extract(*read_file(clip)))
        matches = retrieval.search_all([(space, Query(towers, k, by=by))])[0]
    else:
        stored = archive.get(EventId.parse(event or ""))
        if stored is None:
            raise InvalidError(f"no event {event} in the archive")
        space = stored.space
        matches = retrieval.similar(stored, k, Exclusion(frozenset({str(stored.id)})), by)
    _show(match_messages(retrieval, space, matches, settings.alerts.min_shared_probability), json_=json_)


def _show(matches: list[MatchMessage], *, json_: bool) -> None:
    if json_:
        typer.echo(to_json({"matches": [match.model_dump(mode="json") for match in matches]}))
        return
    table = Table("event", "site/sensor", "captured", "same kind", "same source", "both likely contain")
    for match in matches:
        why = ", ".join(f"{name} {p:.2f}" for name, p in match.shared.items())
        at = match.captured_at.strftime("%Y-%m-%d %H:%M:%S")
        same = ["-" if p is None else f"{p:.0%}" for p in (match.match_probability, match.same_source)]
        table.add_row(match.event, f"{match.site}/{match.sensor}", at, *same, why or "-")
    plain_console().print(table if matches else "the archive has no event to compare with")


def main() -> None:
    """Run `earwitness-hub` with the arguments of this process."""
    app(prepare(sys.argv[1:]))


if __name__ == "__main__":
    main()

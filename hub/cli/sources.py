"""`earwitness-hub sources`: which machine, dog, siren or voice was heard how often, where and when."""

from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from hub.alerting.source_recurrence import SourceHistories
from hub.app.factory import open_archive, places_of
from hub.cli.options import ConfigOption, JsonOption, SetOption, reported, settings_from
from hub.settings import HubSettings
from hub.store.episodes import Casebook
from hub.store.source_rows import StoredSource
from hub.store.source_verdicts import SourceVerdicts
from hub.store.sources import SourceStore
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import Invalid
from shared.taxonomy import CATEGORIES

app = typer.Typer(
    no_args_is_help=True,
    help="Sources: the same machine, dog, siren or voice, heard again: list, show, join, leave.",
)

SourceArgument = Annotated[str, typer.Argument(help="id of a source, as `sources list` shows it")]
_EPISODES = 20


@app.command("list")
@reported
def list_(
    limit: Annotated[int, typer.Option(min=1, help="most sources shown")] = 50,
    site: Annotated[str | None, typer.Option(help="only of this site")] = None,
    category: Annotated[str | None, typer.Option(help="only of this category")] = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Show sources, the one that was heard last first.

    Example: earwitness-hub sources list --category dog --limit 10
    """
    if category is not None and category not in CATEGORIES:
        raise Invalid(f"unknown category {category!r}; there are {', '.join(CATEGORIES)}")
    settings = settings_from(config, override)
    archive = open_archive(settings)
    found = SourceStore(archive, Casebook(archive)).newest(limit=limit, site=site, category=category)
    if json_:
        typer.echo(to_json([_document(one) for one in found]))
        return
    zone = ZoneInfo(settings.places.timezone)
    table = Table("source", "category", "site", "episodes", "since", "last")
    for one in found:
        first, last = _local(one.first_ms, zone), _local(one.source.last_ms, zone)
        table.add_row(one.id, one.group.category, one.group.site, str(one.episodes), first, last)
    plain_console().print(table if found else "no source is known yet")


@app.command()
@reported
def show(
    source: SourceArgument, config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False
) -> None:
    """Show one source: how often, when, where, how regularly, and when it is likely next.

    Example: earwitness-hub sources show 4f2a9c01d7
    """
    settings = settings_from(config, override)
    store, histories, _ = _opened(settings)
    found = _source(store, source)
    now = datetime.now(UTC)
    episodes = histories.episodes(found.id, now)
    pattern = histories.pattern_of(episodes, now)
    places = sorted({episode.place for episode in episodes})
    window = pattern.next
    if json_:
        document = {
            **_document(found),
            "times": pattern.times,
            "days": pattern.days,
            "median_duration_s": pattern.median_duration_s,
            "regularity": pattern.regularity,
            "places": places,
            "next": None
            if window is None
            else {
                "start": window.start.isoformat(),
                "end": window.end.isoformat(),
                "probability": window.probability,
                "base_rate": window.base_rate,
            },
            "newest_episodes": [episode.id for episode in episodes[:_EPISODES]],
        }
        typer.echo(to_json(document))
        return
    zone = ZoneInfo(settings.places.timezone)
    first, last = _local(found.first_ms, zone), _local(found.source.last_ms, zone)
    typer.echo(f"source {found.id}: {found.group.category} at {found.group.site}, of {found.group.space}")
    typer.echo(f"heard {pattern.times} times on {pattern.days} days, since {first}, last {last}")
    typer.echo(f"at {', '.join(places) or 'no sensor lately'}; {pattern.regularity}")
    if window is not None:
        span = f"{window.start:%a %Y-%m-%d %H:%M} to {window.end:%H:%M}"
        typer.echo(f"next likely {span}: {window.probability:.0%}, any such window {window.base_rate:.0%}")
    table = Table("episode", "place", "began", "lasted", "clearest event")
    for episode in episodes[:_EPISODES]:
        began, lasted = _local(episode.opened_ms, zone), f"{episode.duration_s:.0f} s"
        table.add_row(episode.id, episode.place, began, lasted, episode.clearest)
    plain_console().print(table)


@app.command()
@reported
def join(
    source: SourceArgument,
    other: Annotated[str, typer.Argument(help="id of a source that is the same")],
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Say that two sources are the same: they become one.

    Example: earwitness-hub sources join 4f2a9c01d7 09be11a2c3
    """
    store, _, verdicts = _opened(settings_from(config, override))
    joined = verdicts.join(_source(store, source).id, _source(store, other).id)
    typer.echo(to_json({"source": joined}) if json_ else f"both are source {joined} now")


@app.command()
@reported
def leave(
    episode: Annotated[str, typer.Argument(help="id of an episode, as `sources show` lists it")],
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Say that an episode is of another source than those it is with: it gets one of its own.

    Example: earwitness-hub sources leave harbour.street-1.b3.120.7
    """
    store, _, verdicts = _opened(settings_from(config, override))
    if episode not in store.members([episode]):
        raise Invalid(f"episode {episode} is of no source")
    if not verdicts.leave(episode):
        raise Invalid(f"episode {episode} is alone in its source")
    own = store.members([episode])[episode].source
    typer.echo(to_json({"source": own}) if json_ else f"episode {episode} is of source {own} now")


def _opened(settings: HubSettings) -> tuple[SourceStore, SourceHistories, SourceVerdicts]:
    archive = open_archive(settings)
    casebook = Casebook(archive)
    store = SourceStore(archive, casebook)
    places, days = places_of(settings.places), settings.archive.retention_days
    histories = SourceHistories(store, casebook, places, days, settings.flagging.cooldown_s)
    return store, histories, SourceVerdicts(store, casebook)


def _source(store: SourceStore, name: str) -> StoredSource:
    found = store.get(name)
    if found is None:
        raise Invalid(f"no source {name}; `earwitness-hub sources list` shows them")
    return found


def _document(one: StoredSource) -> dict[str, Any]:
    return {
        "id": one.id,
        **one.group._asdict(),
        "first_at": datetime.fromtimestamp(one.first_ms / 1000, UTC).isoformat(),
        "last_at": datetime.fromtimestamp(one.source.last_ms / 1000, UTC).isoformat(),
        "episodes": one.episodes,
        "different": sorted(one.source.apart),
    }


def _local(ms: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, zone):%Y-%m-%d %H:%M}"

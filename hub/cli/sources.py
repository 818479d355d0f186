"""`earwitness-hub sources`: list individual sources, such as one dog, with the times and places of their episodes."""

from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from hub.alerting.source_recurrence import SourceHistories
from hub.app.factory import build_sensor_map, build_source_histories, build_stores
from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from hub.settings import HubSettings
from hub.store.source_rows import StoredSource
from hub.store.source_verdicts import SourceVerdicts
from hub.store.sources import SourceStore
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import InvalidError
from shared.taxonomy import CATEGORIES

app = typer.Typer(
    no_args_is_help=True,
    help="Sources, each one machine, dog, siren or voice that recurs: list, show, join, leave.",
)

SourceArgument = Annotated[str, typer.Argument(help="id of a source, as `sources list` shows it")]
_EPISODES = 20


@app.command("list")
@handles_errors
def list_(
    limit: Annotated[int, typer.Option(min=1, help="maximum number of sources")] = 50,
    site: Annotated[str | None, typer.Option(help="only sources of this site")] = None,
    category: Annotated[str | None, typer.Option(help="only sources of this category")] = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """List sources, the most recently detected first.

    Example: earwitness-hub sources list --category dog --limit 10
    """
    if category is not None and category not in CATEGORIES:
        raise InvalidError(f"unknown category {category!r}; use one of {', '.join(CATEGORIES)}")
    settings = load_hub_settings(config, override)
    found = build_stores(settings).sources.newest(limit=limit, site=site, category=category)
    if json_:
        typer.echo(to_json([_document(one) for one in found]))
        return
    zone = ZoneInfo(settings.sites.timezone)
    table = Table("source", "category", "site", "episodes", "since", "last")
    for one in found:
        first, last = _local(one.first_ms, zone), _local(one.source.last_ms, zone)
        table.add_row(one.id, one.group.category, one.group.site, str(one.episodes), first, last)
    plain_console().print(table if found else "no sources yet")


@app.command()
@handles_errors
def show(
    source: SourceArgument, config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False
) -> None:
    """Show one source: its number of episodes, times, places, regularity and next likely window.

    Example: earwitness-hub sources show 4f2a9c01d7
    """
    settings = load_hub_settings(config, override)
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
    zone = ZoneInfo(settings.sites.timezone)
    first, last = _local(found.first_ms, zone), _local(found.source.last_ms, zone)
    typer.echo(f"source {found.id}: {found.group.category} at {found.group.site}, of {found.group.space}")
    typer.echo(f"detected {pattern.times} times on {pattern.days} days, since {first}, last {last}")
    typer.echo(f"at {', '.join(places) or 'no sensor recently'}; {pattern.regularity}")
    if window is not None:
        span = f"{window.start:%a %Y-%m-%d %H:%M} to {window.end:%H:%M}"
        typer.echo(f"next likely {span}: {window.probability:.0%}, any such window {window.base_rate:.0%}")
    table = Table("episode", "place", "began", "lasted", "clearest event")
    for episode in episodes[:_EPISODES]:
        began, lasted = _local(episode.opened_ms, zone), f"{episode.duration_s:.0f} s"
        table.add_row(episode.id, episode.place, began, lasted, episode.peak_event)
    plain_console().print(table)


@app.command()
@handles_errors
def join(
    source: SourceArgument,
    other: Annotated[str, typer.Argument(help="id of the source to join with it")],
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Join two sources that are the same.

    Example: earwitness-hub sources join 4f2a9c01d7 09be11a2c3
    """
    store, _, verdicts = _opened(load_hub_settings(config, override))
    joined = verdicts.join(_source(store, source).id, _source(store, other).id)
    typer.echo(to_json({"source": joined}) if json_ else f"both are now source {joined}")


@app.command()
@handles_errors
def leave(
    episode: Annotated[str, typer.Argument(help="id of an episode, as `sources show` lists it")],
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Move an episode out of its source into a new source.

    Example: earwitness-hub sources leave harbour.street-1.b3.120.7
    """
    store, _, verdicts = _opened(load_hub_settings(config, override))
    if episode not in store.members([episode]):
        raise InvalidError(f"episode {episode} belongs to no source")
    if not verdicts.leave(episode):
        raise InvalidError(f"episode {episode} is the only one of its source")
    new = store.members([episode])[episode].source
    typer.echo(to_json({"source": new}) if json_ else f"episode {episode} now belongs to source {new}")


def _opened(settings: HubSettings) -> tuple[SourceStore, SourceHistories, SourceVerdicts]:
    stores = build_stores(settings)
    histories = build_source_histories(settings, stores, build_sensor_map(settings.sites))
    return stores.sources, histories, SourceVerdicts(stores.sources, stores.episodes)


def _source(store: SourceStore, name: str) -> StoredSource:
    found = store.get(name)
    if found is None:
        raise InvalidError(f"no source {name}; `earwitness-hub sources list` shows them")
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

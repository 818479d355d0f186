"""`earwitness-hub names`: name sounds, watch or mute them, and list their detections."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from hub.alerting.source_naming import examples_of, forget
from hub.app.factory import build_stores
from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from hub.domain.named_sounds import ALL_SITES, THRESHOLD, Mode, NamedSound, Treatment, find
from hub.domain.records import to_ms
from hub.store.name_returns import NameOccurrences
from shared.command_line import to_json
from shared.console import plain_console
from shared.errors import InvalidError
from shared.events import EventId
from shared.messages.alert import Severity
from shared.paths import printable

app = typer.Typer(
    no_args_is_help=True, help="Named sounds: add, list, watch (an alert for each return), mute, remove."
)

NameArgument = Annotated[str, typer.Argument(help="the name, or the id that `list` shows", metavar="NAME")]
SiteOption = Annotated[
    str | None, typer.Option(help="site of the name, if several sites use the name", show_default=False)
]
ThresholdOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="minimum P(same source) of an event", show_default=False)
]
SeverityOption = Annotated[
    Severity | None, typer.Option(help="severity of alerts about a watched sound", show_default=False)
]


@app.command()
@handles_errors
def add(
    name: Annotated[str, typer.Argument(help="1 to 60 printable characters")],
    event: Annotated[
        list[str] | None, typer.Option(help="id of an event that serves as an example; may be repeated, at most five")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="id of a source, whose exemplars become the examples", show_default=False)
    ] = None,
    all_sites: Annotated[bool, typer.Option("--all-sites", help="detect the sound at all sites")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="raise an alert for each return of the sound")] = False,
    mute: Annotated[bool, typer.Option("--mute", help="raise no alert about the sound")] = False,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="minimum P(same source) of an event")] = THRESHOLD,
    severity: Annotated[Severity, typer.Option(help="severity of the alerts of a watched sound")] = "recurring",
    by: Annotated[str, typer.Option(help="author of the name")] = "",
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Name a sound by one to five archived events, or by a source. Every hub detects it within a second.

    Example: earwitness-hub names add "bakery fan" --event harbour.street-1.b3.120 --watch
    """
    from hub.alerting.name_matching import NameMatcher
    from hub.app.factory import build_retrieval

    if watch and mute:
        raise InvalidError("give either --watch or --mute")
    if (event is None) == (source is None):
        raise InvalidError("give either --event, at most five times, or --source")
    settings = load_hub_settings(config, override)
    stores = build_stores(settings)
    archive, names, sources = stores.events, stores.names, stores.sources
    known, events = "", list(dict.fromkeys(event or ()))
    if source is not None:
        known, events = examples_of(sources, archive, source)
    matcher = NameMatcher(names, build_retrieval(settings))
    for space in {one.space for one in archive.fetch([str(EventId.parse(each)) for each in events])}:
        matcher.check(space)
    mode: Mode = "watched" if watch else "muted" if mute else "shown"
    sound = names.add(
        name,
        events,
        site=ALL_SITES if all_sites else None,
        treatment=Treatment(mode, threshold, severity),
        by=by,
        now_ms=to_ms(datetime.now(UTC)),
        source=known,
    )
    if known:
        sources.keep(known)
    _print_result(sound, "named", json_=json_)


@app.command("list")
@handles_errors
def list_(
    site: Annotated[str | None, typer.Option(help="list only the names of this site", show_default=False)] = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """List all named sounds with the time of their last detection.

    Example: earwitness-hub names list --site harbour
    """
    settings = load_hub_settings(config, override)
    names = build_stores(settings).names
    sounds = [one for one in names.all().values() if site is None or one.serves(site)]
    occurrences = names.occurrences([one.id for one in sounds])
    if json_:
        typer.echo(to_json([as_json(one, occurrences[one.id]) for one in sounds]))
        return
    table = Table("id", "name", "treatment", "detected")
    for one in sounds:
        treatment = f"{one.treatment.mode} at {one.site or 'all sites'}, from {one.treatment.threshold:.0%}"
        severity = f", {one.treatment.severity}" if one.treatment.mode == "watched" else ""
        table.add_row(one.id, printable(one.name), treatment + severity, _when(occurrences[one.id]))
    plain_console().print(table if sounds else "no named sounds yet; see `earwitness-hub names add --help`")


@app.command()
@handles_errors
def watch(
    name: NameArgument,
    off: Annotated[bool, typer.Option("--off", help="stop watching the sound")] = False,
    threshold: ThresholdOption = None,
    severity: SeverityOption = None,
    site: SiteOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Raise one alert for each return of a named sound. These alerts do not count towards the false-alert budget.

    Example: earwitness-hub names watch "bakery fan" --threshold 0.7 --severity urgent
    """
    settings = load_hub_settings(config, override)
    names = build_stores(settings).names

    def treated(before: Treatment) -> Treatment:
        return Treatment(
            "shown" if off else "watched",
            before.threshold if threshold is None else threshold,
            severity or before.severity,
        )

    sound = names.change(find(names.all(), name, site).id, treatment=treated)
    _print_result(sound, "no longer watched" if off else "watched", json_=json_)


@app.command()
@handles_errors
def mute(
    name: NameArgument,
    off: Annotated[bool, typer.Option("--off", help="stop muting the sound")] = False,
    threshold: ThresholdOption = None,
    site: SiteOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Raise no alert about a named sound; the hub still archives and counts its events.

    Example: earwitness-hub names mute "bakery fan"
    """
    settings = load_hub_settings(config, override)
    names = build_stores(settings).names

    def treated(before: Treatment) -> Treatment:
        return Treatment(
            "shown" if off else "muted", before.threshold if threshold is None else threshold, before.severity
        )

    sound = names.change(find(names.all(), name, site).id, treatment=treated)
    _print_result(sound, "no longer muted" if off else "muted", json_=json_)


@app.command()
@handles_errors
def remove(
    name: NameArgument,
    site: SiteOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Remove a named sound and its examples; events and alerts stay.

    Example: earwitness-hub names remove "bakery fan"
    """
    settings = load_hub_settings(config, override)
    stores = build_stores(settings)
    names, sources = stores.names, stores.sources
    _print_result(forget(names, sources, find(names.all(), name, site).id), "removed", json_=json_)


def as_json(sound: NamedSound, detected: NameOccurrences | None = None) -> dict[str, object]:
    """Return a named sound as a JSON object, with its detections if they are given."""
    document: dict[str, object] = {
        "id": sound.id,
        "name": sound.name,
        "site": sound.site or None,
        "mode": sound.treatment.mode,
        "threshold": sound.treatment.threshold,
        "severity": sound.treatment.severity,
        "examples": list(sound.examples),
        "author": sound.author,
        "source": sound.source or None,
        "made_at": _time(sound.made_ms).isoformat(),
    }
    if detected is None:
        return document
    last = detected.last
    return document | {
        "times": detected.times,
        "clips": detected.clips,
        "last_detected_at": None if last is None else _time(last.until_ms).isoformat(),
        "last_place": detected.place or None,
        "last_event": None if last is None else last.event,
        "last_alert": None if last is None else last.alert or None,
    }


def _print_result(sound: NamedSound, what: str, *, json_: bool) -> None:
    where = f"at {sound.site}" if sound.site else "at all sites"
    typer.echo(to_json(as_json(sound)) if json_ else f"{what}: {printable(sound.name)} ({sound.id}) {where}")


def _when(detected: NameOccurrences) -> str:
    if detected.last is None:
        return "not yet"
    times = f"{detected.times} time{'s' if detected.times != 1 else ''}"
    return f"{times}, last {_time(detected.last.until_ms):%Y-%m-%d %H:%M} at {detected.place}"


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)

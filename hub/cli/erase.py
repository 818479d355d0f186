"""`earwitness-hub erase`: remove a sensor, a site, or a period of one, everywhere and for good."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from hub.app.erasure import ErasureReport, ErasureService, described
from hub.cli.backup import ProgressLines
from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from hub.domain.erasure import FOREVER_MS, Erasure
from hub.domain.records import to_ms
from shared.command_line import to_json
from shared.errors import InvalidError
from shared.paths import printable


@handles_errors
def erase(
    site: Annotated[str, typer.Argument(metavar="SITE", help="the site")],
    sensor: Annotated[str, typer.Option(help="one sensor of it; by default all", show_default=False)] = "",
    start: Annotated[
        str,
        typer.Option(
            "--from", help="erase from this time on: 2026-06-01 or 2026-06-01T12:00+02:00", show_default=False
        ),
    ] = "",
    end: Annotated[str, typer.Option("--to", help="erase until before this time", show_default=False)] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="count only, and remove nothing")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="search for what is left, and remove nothing; exit with 1 if there is any"),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")] = False,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Erase a sensor, a site, or a period of one, while hubs run: events, alerts, episodes, sound, levels, all of it.

    It cannot be undone. Stop the sensor first: what it captures later is archived again. What it captured before, and
    sends late, is refused. Backups that were made before hold the data still.

    Example: earwitness-hub erase harbour --sensor street-1 --from 2026-06-01 --to 2026-06-08 --dry-run
    """
    settings = load_hub_settings(config, override)
    erasure = Erasure(site, sensor, _ms(start, 0), _ms(end, FOREVER_MS))
    if erasure.from_ms >= erasure.until_ms:
        raise InvalidError("--from must be before --to")
    if dry_run and verify:
        raise InvalidError("give either --dry-run or --verify")
    service = ErasureService(settings, ProgressLines())
    try:
        if not (dry_run or verify or yes):
            typer.confirm(f"erase {described(erasure)}, with all its data, for good?", abort=True, err=True)
        report = service.find(erasure) if dry_run or verify else service.erase(erasure)
    finally:
        service.close()
    _show(report, erasure, "left" if verify else "to be erased" if dry_run else "erased", json_=json_)
    if verify and not report.is_empty:
        raise typer.Exit(1)


def _show(report: ErasureReport, erasure: Erasure, what: str, *, json_: bool) -> None:
    if json_:
        document = {"erasure": described(erasure), "state": what, "counts": report.counts, "files": report.files}
        typer.echo(to_json({**document, "topics": report.topics, "audit": report.audit}))
        return
    found = f"nothing {what}" if report.is_empty else f"{what}:"
    typer.echo(f"{described(erasure)}: {found}")
    for kind, count in report.counts.items():
        typer.echo(f"  {count} {kind}")
    for name in (*report.files[:20], *report.topics[:20]):
        typer.echo(f"    {printable(name)}")
    for entry in report.audit:
        typer.echo(f"  stays in the audit log: erased {printable(entry)}")


def _ms(text: str, default: int) -> int:
    """Return a time in ms since 1970 UTC; a time without a zone is UTC."""
    if not text:
        return default
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidError(f"{text!r} is no time: write 2026-06-01 or 2026-06-01T12:00+02:00") from None
    return to_ms(at if at.tzinfo else at.replace(tzinfo=UTC))

"""The commands `report-evidence`, `verify-evidence` and `evidence-key`."""

import os
from dataclasses import asdict
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from shared.command_line import to_json
from shared.errors import UnavailableError
from shared.events import check_name
from shared.paths import expanded, printable


def register(app: typer.Typer) -> None:
    """Add the commands to the hub's."""
    app.command("report-evidence")(report_evidence)
    app.command("verify-evidence")(verify_evidence)
    app.command("evidence-key")(evidence_key)


@handles_errors
def report_evidence(
    site: Annotated[str, typer.Argument(metavar="SITE", help="the site", show_default=False)],
    begin: Annotated[
        str, typer.Option("--from", help="begin: a date or a time; without an offset in sites.timezone")
    ],
    end: Annotated[str, typer.Option("--to", help="end: the last date, or a time")],
    output: Annotated[Path, typer.Option(help="zip to write", show_default=False)],
    sensor: Annotated[str | None, typer.Option(help="only this sensor of the site", show_default=False)] = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Write an evidence report of a site or a sensor: PDF, tables, sound, gaps with their reasons, hashes, signature.

    Example: earwitness-hub report-evidence harbour --from 2026-06-01 --to 2026-06-07 --output june.zip
    """
    from hub.app.factory import build_stores
    from hub.evidence.contents import Period, parse_bound
    from hub.evidence.factory import build_evidence

    settings = load_hub_settings(config, override)
    for name, kind in ((site, "site"), *(((sensor, "sensor"),) if sensor is not None else ())):
        check_name(name, kind)
    zone, now = ZoneInfo(settings.sites.timezone), datetime.now(UTC)
    period = Period.between(parse_bound(begin, zone, end=False), parse_bound(end, zone, end=True), now, zone)
    stores = build_stores(settings)
    reports = build_evidence(settings, stores.events, stores.episodes.verdicts)
    path = expanded(output)
    place = site if sensor is None else f"{site}/{sensor}"
    written = reports.write(place, period, now, f"{_user()}, by command", path)
    if json_:
        typer.echo(to_json({"output": str(path), **asdict(written)}))
        return
    typer.echo(
        f"Wrote {printable(path)}: {written.files} files, {written.size_bytes:,} bytes, {written.alerts} alerts,"
        f" {written.gaps} gaps with their reasons, from {period.text(period.start_s)} to {period.text(period.end_s)}."
    )
    if written.damaged:
        typer.echo(f"{written.damaged} stored rows could not be read; the report names them.")
    typer.echo(f"Fingerprint of the public key: {written.fingerprint}")


@handles_errors
def verify_evidence(
    report: Annotated[Path, typer.Argument(metavar="ZIP", help="the report", show_default=False)],
    key: Annotated[
        Path | None,
        typer.Option(help="public key that must have signed it (`evidence-key`)", show_default=False),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Verify an evidence report: signature, each file, each byte. Exit with 1 if anything was changed; name it.

    It needs neither a hub nor a store. Without --key the key inside the zip is used: compare its fingerprint with
    that of the hub.

    Example: earwitness-hub verify-evidence june.zip --key harbour.pem
    """
    from hub.evidence.signing import PublicKey
    from hub.evidence.verification import verify

    given = None
    if key is not None:
        try:
            given = PublicKey.from_pem(expanded(key).read_bytes(), printable(key))
        except OSError as error:
            raise UnavailableError(f"cannot read {printable(key)}: {error.strerror}") from error
    found = verify(expanded(report), given)
    if json_:
        typer.echo(to_json({"valid": not found.findings, **asdict(found), "key_given": key is not None}))
    else:
        for finding in found.findings:
            typer.echo(f"FAIL {printable(finding.name)}: {finding.text}")
        if not found.findings:
            typer.echo(f"ok   {found.files} files are as they were signed")
            typer.echo(f"signed with the key of fingerprint {found.fingerprint}")
            if key is None:
                typer.echo(
                    "The key is the one in the zip: compare the fingerprint with that of the hub, or give --key."
                )
    if found.findings:
        raise typer.Exit(1)


@handles_errors
def evidence_key(config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False) -> None:
    """Print the public key that verifies this hub's evidence reports, as PEM; create the key pair if there is none.

    Example: earwitness-hub evidence-key --config /etc/earwitness/hub.toml > harbour.pem
    """
    from hub.evidence.factory import open_signing_key

    public = open_signing_key(load_hub_settings(config, override)).public
    if json_:
        typer.echo(to_json({"public_key": public.pem.decode(), "fingerprint": public.fingerprint}))
        return
    typer.echo(public.pem.decode(), nl=False)
    typer.echo(f"fingerprint {public.fingerprint}", err=True)


def _user() -> str:
    """Return the user of this process; in a container its number may have no name."""
    try:
        return f"user {getuser()}"
    except (KeyError, OSError):
        return f"uid {os.getuid()}"

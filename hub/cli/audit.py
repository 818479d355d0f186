"""`earwitness-hub audit`: who logged in, played, exported, changed or erased what."""

from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Table

from hub.app.factory import build_event_store
from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from hub.store.audit_log import AuditAction, AuditLog
from shared.command_line import to_json
from shared.console import plain_console
from shared.paths import printable


@handles_errors
def audit(
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="maximum number of entries")] = 50,
    who: Annotated[str, typer.Option(help="only of this user, or of token:NAME")] = "",
    action: Annotated[AuditAction | None, typer.Option(help="only of this action", show_default=False)] = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Show the newest entries of the audit log: who logged in, played, exported, changed or erased what.

    Example: earwitness-hub audit --who ines --action played --json
    """
    settings = load_hub_settings(config, override)
    log = AuditLog(build_event_store(settings).client, settings.hub.name, timedelta(days=settings.web.audit_days))
    entries, _ = log.entries(limit=limit, who=who, action=action or "")
    if json_:
        typer.echo(to_json([entry.model_dump(mode="json") for entry in entries]))
        return
    table = Table("when", "who", "action", "what", "address", "hub")
    for one in entries:
        cells = (one.who or "unknown", one.action, one.what, one.address, one.hub)
        table.add_row(f"{one.at:%Y-%m-%d %H:%M:%S}", *(printable(cell) for cell in cells))
    plain_console().print(table if entries else "no entries")

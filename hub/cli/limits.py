"""`earwitness-hub limits`: check rule files, and list the limits that the hub judges by."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hub.app.factory import build_limit_rules
from hub.cli.options import ConfigOption, JsonOption, SetOption, handles_errors, load_hub_settings
from hub.domain.limit_summary import describe_rule
from hub.domain.limits import LimitRule
from hub.store.limit_files import checked, example_files, limit_files, read_limit_file
from shared.command_line import to_json
from shared.console import plain_console
from shared.paths import printable

app = typer.Typer(no_args_is_help=True, help="Limits of levels, from rule files: check, list.")


@app.command()
@handles_errors
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(help="rule files, or folders of them; those of the settings if none")
    ] = None,
    config: ConfigOption = None,
    override: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Check rule files, and print what each rule judges. Exit with 2 if a file is wrong.

    Example: earwitness-hub limits check /etc/earwitness/limits
    """
    if files:
        paths = [path for one in files for path in (limit_files(one) if one.is_dir() else [one])]
        rules = checked(paths)
    else:
        rules = build_limit_rules(load_hub_settings(config, override))
    if json_:
        typer.echo(to_json({"rules": [rule.name for rule in rules]}))
        return
    for rule in rules:
        typer.echo(f"ok   {rule.name}: {describe_rule(rule)}")
    typer.echo(f"{len(rules)} rules")


@app.command("list")
@handles_errors
def list_(config: ConfigOption = None, override: SetOption = None, json_: JsonOption = False) -> None:
    """List the limits that the hub judges by, and the shipped examples, which are no legal advice.

    Example: earwitness-hub limits list --set 'limits.examples=["nyc-24-218"]'
    """
    active = build_limit_rules(load_hub_settings(config, override))
    examples = {name: read_limit_file(path) for name, path in example_files().items()}
    if json_:
        shipped = {name: [_document(rule) for rule in rules] for name, rules in examples.items()}
        typer.echo(to_json({"active": [_document(rule) for rule in active], "examples": shipped}))
        return
    console = plain_console()
    table = Table("rule", "exceeded by", "places", "source")
    for rule in active:
        places = ", ".join(rule.places) or "all"
        table.add_row(rule.name, describe_rule(rule), places, printable(rule.source))
    console.print(table if active else "the hub judges by no limit: set limits.folder or limits.examples")
    table = Table("example", "rule", "exceeded by")
    for name, rules in examples.items():
        for rule in rules:
            table.add_row(name, rule.name, describe_rule(rule))
    console.print(table)


def _document(rule: LimitRule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "title": rule.title,
        "description": describe_rule(rule),
        "source": rule.source,
        "places": list(rule.places),
        "notify": rule.notify,
    }

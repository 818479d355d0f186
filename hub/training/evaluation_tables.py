"""Tables of `evaluate` on the terminal."""

import typer
from rich.table import Table

from hub.training import source_recall
from hub.training.evaluation import Evaluation, K
from hub.training.few_shot import ALL
from hub.training.few_shot_benchmark import FewShot
from shared.console import plain_console


def show(found: Evaluation, title: str) -> None:
    """Print the figures of an evaluation; mAP by K, recall of sources, presence, calibration."""
    if found.rows:
        table = Table(title=title)
        for column in ("method", "queries", "s", *(f"K={k}" for k in K), "fine@10"):
            table.add_column(column)
        for method, queries, s in dict.fromkeys((row.method, row.queries, row.s) for row in found.rows):
            rows = [row for row in found.rows if (row.method, row.queries, row.s) == (method, queries, s)]
            fine = next((f"{row.fine:.3f}" for row in rows if row.K == 10 and row.fine is not None), "")
            table.add_row(method, queries, str(s), *(f"{row.map:.3f}" for row in rows), fine)
        plain_console().print(table)
    _show_recalls(found, title)
    if found.presence:
        _show_presence(found)
    for (method, s, pairs), kept in found.reliability.items():
        typer.echo(f"{method}: expected calibration error of P(level >= {s}) on {pairs} pairs {kept.error():.4f}")
    for (method, pairs), kept in found.sources.items():
        typer.echo(f"{method}: expected calibration error of P(same source) on {pairs} pairs {kept.error():.4f}")


def _show_recalls(found: Evaluation, title: str) -> None:
    for asked in found.asked:
        among = (
            "the other half of its clip" if asked.measure == source_recall.OTHER_HALF else "a clip of the same source"
        )
        if found.recalls:
            typer.echo(f"{title}: share with {among} among the first K")
            table = Table()
            for column in ("method", *(f"K={k}" for k in source_recall.K)):
                table.add_column(column)
            for method in dict.fromkeys(row.method for row in found.recalls):
                rows = [row for row in found.recalls if row.method == method]
                table.add_row(method, *(f"{row.recall:.3f} ({row.low:.3f} to {row.high:.3f})" for row in rows))
            plain_console().print(table)
        typer.echo(
            f"{asked.measure}: {asked.queries} queries; left out: {asked.alone} whose source occurs nowhere else in"
            f" the database, {asked.unknown} of unknown source"
        )


def _show_presence(found: Evaluation) -> None:
    table = Table(title="detection of the categories of a query (AUC; .5 is chance)")
    names = list(dict.fromkeys(name for quality in found.presence.values() for name in quality))
    for column in ("method", *names):
        table.add_column(column)
    for method, quality in found.presence.items():
        table.add_row(method, *(f"{quality[name]:.2f}" if name in quality else "" for name in names))
    plain_console().print(table)


def show_accuracies(found: FewShot) -> None:
    """Print the share of clips whose class was recognised: over all folds, and the range of the folds."""
    typer.echo(f"{found.clips} clips of {found.classes} classes: share whose class is recognised")
    table = Table()
    for column in ("examples", "rule", "method", "all folds", "by fold"):
        table.add_column(column)
    for examples, rule, method in dict.fromkeys((row.examples, row.rule, row.method) for row in found.accuracies):
        rows = [row for row in found.accuracies if (row.examples, row.rule, row.method) == (examples, rule, method)]
        (every,) = (f"{row.accuracy:.3f}" for row in rows if row.fold == ALL)
        folds = [row.accuracy for row in rows if row.fold != ALL]
        table.add_row(
            str(examples) if examples else "all", rule, method, every, f"{min(folds):.3f} to {max(folds):.3f}"
        )
    plain_console().print(table)

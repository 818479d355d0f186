"""The sections of docs/results.md on sources: the same sound again, not only the same kind."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from hub.training import plots
from hub.training.few_shot import ALL, DRAWS, EXAMPLES
from hub.training.paper.report_tables import CELLS, Record, behind, losses, rows, short, table
from hub.training.paper.source_experiments import DIVISIONS, FEW_SHOT, HALVES, SENSORS
from hub.training.source_recall import OTHER_HALF, K
from shared.feature_space import EARWITNESS_SMALL, VGGISH

INTRODUCTION: Final = """\
## The same sound, not only the same kind

`shipped` ranks by kind and source together (the default of a search), `shipped-kind` by kind alone, `shipped-source`
by the cosine of identities alone. `cosine` compares mean embeddings without any learning. *The other half*: each clip
is cut in two, the first half is the query, the second halves of all clips are the database; figures are the share of
queries whose own second half is first, or among the first ten, with 95 % intervals
([how clips are cut](data.md#halves)).
"""
VGGISH_HALVES: Final = """\
### VGGish: the other half

{queries:,} clips of the evaluation split, evenly spread; neither network nor identity was trained on that split.
[Decision 0014](decisions/0014-identity.md) shows how far other lifts and identities get on clips set aside.
"""
SENSORS_TEXT: Final = f"""\
### earwitness-small: unseen sensors

{{queries}} recordings of twelve sensors in four folds, in {DIVISIONS} divisions; network and identity are trained
again in each fold, without the sensors of the queries.
"""
HALVES_TEXT: Final = """\
The other half, in the same folds, among the second halves of all {queries} recordings:
"""
FEW_SHOT_TEXT: Final = f"""\
### ESC-10: classes from a few examples

Each of five folds is asked, with examples of the other four; {DRAWS} draws of examples, the same for all methods.
`nearest-mean`: the class whose examples' mean is nearest; `nearest-example`: that of the nearest example. No
model was trained on ESC-10's classes. But its folds 1 to 4 are among the recordings from which the backbone
`earwitness-small` was distilled from YAMNet, and among those of the shipped identity, which was trained on halves of
clips, so the figures of all folds are optimistic. Backbone, network and identity were not trained on fold 5, which is
shown separately.
"""
CALIBRATION_TEXT: Final = """\
### Calibration of P(same source)

Clips outside the training set, cut into halves as above. `all`: every query with every clip; `top`: the ten best of
each query.
"""
METHODS: Final = ("random", "cosine", "paper", "shipped", "shipped-kind", "shipped-source")
SENSOR_METHODS: Final = (
    "random",
    "cosine",
    "logmel",
    "yamnet",
    "linear",
    "shipped",
    "shipped-kind",
    "shipped-source",
)
_PAIRS: Final = (("shipped", "cosine"), ("shipped-source", "cosine"))
_SENSOR_PAIRS: Final = (
    ("shipped", "shipped-kind"),
    ("shipped", "cosine"),
    ("shipped", "yamnet"),
    ("shipped-source", "shipped-kind"),
)


def sources(records: Sequence[Record], pictures: Path) -> Iterator[str]:
    """Return the sections, of the experiments that have a record.

    Args:
        records: of `source_experiments`.
        pictures: folder of plots.

    Raises:
        UnavailableError: a plot cannot be written, or matplotlib is missing.
    """
    found = {(record["space"], record["method"]): record for record in records}
    if not found:
        return
    yield INTRODUCTION
    if record := found.get((VGGISH.id, HALVES)):
        yield VGGISH_HALVES.format(queries=record["queries"])
        yield from _recalls(record)
    sensors, halves = found.get((EARWITNESS_SMALL.id, SENSORS)), found.get((EARWITNESS_SMALL.id, HALVES))
    for record, text in ((sensors, SENSORS_TEXT), (halves, HALVES_TEXT)):
        if record is None:
            continue
        yield text.format(queries=record["queries"])
        if record is sensors:
            methods = [method for method in SENSOR_METHODS if any(rows([record], method))]
            yield from table([record], methods, CELLS)
            yield from behind([record], _SENSOR_PAIRS, CELLS)
        else:
            yield from _recalls(record)
    if record := found.get((EARWITNESS_SMALL.id, FEW_SHOT)):
        yield FEW_SHOT_TEXT
        yield from _few_shot(record)
    yield from _calibration([record for record in records if record["method"] == HALVES], pictures)


def _recalls(record: Record) -> Iterator[str]:
    found = {(row["method"], row["K"]): row for row in record["results"] if row.get("measure") == OTHER_HALF}
    yield "| method | first | among ten |"
    yield "|---|---|---|"
    for method in METHODS:
        if (method, 1) in found:
            yield f"| {method} | {' | '.join(_with_interval(found[method, k], 'recall') for k in K)} |"
    yield ""
    for one, other in _PAIRS:
        if (one, 1) in found and (other, 1) in found:
            yield losses(one, other, {f"K={k}": found[one, k]["recall"] - found[other, k]["recall"] for k in K})
    yield ""


def _few_shot(record: Record) -> Iterator[str]:
    folds = (ALL, "fold-5")
    shots = [row for row in record["results"] if row["measure"] == "few-shot"]
    yield f"| method | rule | {' | '.join(f'{n} a class, {fold}' for n in EXAMPLES for fold in folds)} |"
    yield f"|---|---|{'---|' * (len(EXAMPLES) * len(folds))}"
    found = {(row["method"], row["rule"], row["examples"], row["fold"]): row for row in shots}
    for method, rule in dict.fromkeys((row["method"], row["rule"]) for row in shots):
        cells = [_cell(found.get((method, rule, n, fold))) for n in EXAMPLES for fold in folds]
        yield f"| {method} | {rule} | {' | '.join(cells)} |"
    yield "\nBest match of another fold has the same class:\n"
    yield "| method | all folds | fold 5 |"
    yield "|---|---|---|"
    matches = {(row["method"], row["fold"]): row for row in record["results"] if row["measure"] == "same-class"}
    for method in METHODS:
        if (method, ALL) in matches:
            yield f"| {method} | {' | '.join(_cell(matches.get((method, fold))) for fold in folds)} |"
    yield ""
    ours, theirs = "shipped-source", "cosine"
    gaps = {
        f"{rule} {n} {fold}": found[ours, rule, n, fold]["accuracy"] - found[theirs, rule, n, fold]["accuracy"]
        for method, rule, n, fold in found
        if method == theirs and fold in folds and (ours, rule, n, fold) in found
    }
    if gaps:
        yield losses(ours, theirs, gaps)
    for one in ("shipped", ours):
        if (one, ALL) in matches:
            gaps = {fold: matches[one, fold]["accuracy"] - matches[theirs, fold]["accuracy"] for fold in folds}
            yield losses(f"{one}, best match", theirs, gaps)
    yield ""


def _cell(row: Record | None) -> str:
    if row is None:
        return ""
    return _with_interval(row, "accuracy")


def _with_interval(row: Record, figure: str) -> str:
    return f"{short(row[figure])} ({short(row['low'])} to {short(row['high'])})"


def _calibration(records: Iterable[Record], pictures: Path) -> Iterator[str]:
    """Return the section on the calibration of P(same source)."""
    panels = {}
    lines = []
    for record in records:
        name = "VGGish" if record["space"] == VGGISH.id else "earwitness-small"
        for entry in record["calibration"]:
            if "measure" in entry:
                lines.append(f"| {name} | {entry['method']} | {entry['pairs']} | {entry['ece']:.4f} |")
                if entry["pairs"] == "top":
                    panels[f"{name}: ten best of {entry['method']}"] = entry["bins"]
    if not lines:
        return
    yield CALIBRATION_TEXT
    yield "| space | ranked by | pairs | expected calibration error |"
    yield "|---|---|---|---|"
    yield from lines
    plots.reliability(pictures / "same-source-calibration.svg", panels)
    yield "\n![reliability of P(same source)](results/same-source-calibration.svg)\n"

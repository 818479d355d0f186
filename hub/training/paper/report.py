"""docs/results.md from the records of experiments: tables, plots, and where the paper's design loses."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from hub.training import plots
from hub.training.compared_methods import SHIPPED
from hub.training.paper.experiments import EPOCHS, QUERIES, SCENES, Experiment
from hub.training.paper.report_tables import CELLS, Cell, Record, behind, rows, table, values
from hub.training.paper.source_experiments import METHODS as SOURCE_METHODS
from hub.training.paper.source_report import sources
from hub.training.paper.variants import NAMES
from hub.training.recipes import HELD_OUT, TAGGED, TAGS_ONLY
from shared.errors import UnavailableError
from shared.feature_space import LOGMEL, VGGISH

MULTI: Final[tuple[Cell, ...]] = (("multi", 8, 10), ("multi", 7, 10))
MAIN: Final = (
    "random",
    "cosine",
    TAGS_ONLY,
    "tag-plus-cosine",
    "paper",
    TAGGED,
    "shipped",
    "shipped-kind",
    "shipped-source",
)
INTRODUCTION: Final = """\
Written by `earwitness-hub experiments run`; figures come from records in `results/`. mAP_s@K as in the paper (section
5.4). Tables give the mean of the seeds and their range; plots show the first seed, with 95 % intervals by bootstrap
over the queries. `fine@10` is the mean Jaccard similarity of AudioSet's 527 labels between a query and its first ten.
These are not SONYC's clips, so the paper's own figures are not comparable; the protocol is the same.
"""
URBAN: Final = """\
2,104 queries of AudioSet's evaluation split, 5,545 database clips of its balanced training split. `tagged` is the
network that ships, over its seeds; `shipped` the committed file itself. `tag-and-compare`, one attention tagger of
three layers of 512, learns the same clips by the same command and plan, and its shift is chosen likewise; it knows
the eight categories only. `tag-plus-cosine` adds the cosine of mean embeddings, its weight chosen likewise.
`paper` is the committed network of the paper's figure 1, trained on the database clips only.
"""
SINGLE: Final[tuple[Cell, ...]] = tuple(("single", s, k) for s in (8, 7) for k in (1, 10, 100))
_OURS: Final = (
    *((TAGGED, other) for other in (TAGS_ONLY, "tag-plus-cosine", "paper", "cosine")),
    *(("shipped", other) for other in ("shipped-kind", TAGS_ONLY, "tag-plus-cosine", "paper", "cosine")),
)
PAPER: Final = NAMES[0]
"""The variant that is the paper's own network."""
_AGAINST: Final = (("paper", "cosine"), ("paper", TAGS_ONLY), ("paper", "tag-plus-cosine"))
_LOSES: Final = """\
### Where the paper's design loses

By the means over seeds; a gap well within the intervals of the plot may be chance.
"""
_WITHIN: Final = (
    (PAPER, "single-siamese"),
    (PAPER, "single-attention"),
    (PAPER, "single"),
    ("multi-siamese-attention", PAPER),
)
"""The paper's design first, and what it is compared with."""


def write_results(records: Sequence[Record], into: Path) -> None:
    """Write `results.md`, and its plots into `results/`.

    Args:
        records: of experiments, as `hub.training.paper.experiments` keeps them.
        into: the folder of both.

    Raises:
        UnavailableError: a file cannot be written, or matplotlib is missing.
    """
    page = "\n".join(_page(records, into / "results")) + "\n"
    try:
        into.mkdir(parents=True, exist_ok=True)
        (into / "results.md").write_text(page, encoding="utf-8")
    except OSError as error:
        raise UnavailableError(f"cannot write {into / 'results.md'}: {error}") from error


def _page(records: Sequence[Record], pictures: Path) -> Iterator[str]:
    yield "# Results\n"
    yield INTRODUCTION
    kinds = [record for record in records if record["method"] not in SOURCE_METHODS]
    vggish = [record for record in kinds if record["space"] == VGGISH.id]
    logmel = [record for record in kinds if record["space"] == LOGMEL.id]
    yield from sources([record for record in records if record["method"] in SOURCE_METHODS], pictures)
    if vggish:
        yield from _vggish(vggish, pictures)
    if logmel:
        yield from _logmel(logmel, pictures)
    yield "## Where every row comes from\n"
    yield "| record | commit | seed | data | queries x clips | minutes to train, measure | commands |"
    yield "|---|---|---|---|---|---|---|"
    for record in records:
        name = Experiment(record["space"], record["method"], record["seed"]).name
        minutes = f"{_known(record['minutes']['train'])}, {record['minutes']['measure']}"
        commands = "<br>".join(f"`{command}`" for command in record["commands"])
        yield (
            f"| [{name}](results/{name}.json) | {record['commit']} | {record['seed']} | {', '.join(record['data'])} |"
            f" {record['queries']} x {record['database']} | {minutes} | {commands} |"
        )


def _vggish(records: Sequence[Record], pictures: Path) -> Iterator[str]:
    yield "## VGGish on urban-AudioSet\n"
    yield URBAN
    main = [method for method in MAIN if any(rows(records, method))]
    yield from table(records, main, (*CELLS, *MULTI))
    yield from _margins(records)
    if any(rows(records, TAGGED)):
        yield "### Where the network that ships loses\n"
        yield "Also on the queries with one category; its shift favours those with several.\n"
        yield from behind(records, _OURS, (*CELLS, *MULTI, *SINGLE))
    drawn = [method for method in main if method != TAGGED or "shipped" not in main]  # the same network at seed 0
    yield from _picture(records, drawn, pictures / "vggish-main.svg", "mAP against K")
    variants = [name for name in NAMES if any(rows(records, name))]
    if variants:
        yield from _variants(records, variants, pictures)
    yield from _calibration(records, pictures)


def _variants(records: Sequence[Record], variants: Sequence[str], pictures: Path) -> Iterator[str]:
    yield "### The paper's eight variants\n"
    yield f"All trained for {EPOCHS[VGGISH.id]} epochs of the same number of pairs on the database clips, without a"
    yield f"validation part, and measured on the same {QUERIES} queries, evenly spread. More training helps:"
    yield "`paper` above is the first of them after 28 epochs.\n"
    yield from table(records, variants, (*CELLS, *MULTI))
    yield from _picture(records, variants, pictures / "vggish-variants.svg", "mAP against K of the variants")
    yield _LOSES
    yield from behind(records, _AGAINST + _WITHIN, (*CELLS, *MULTI))


def _logmel(records: Sequence[Record], pictures: Path) -> Iterator[str]:
    yield "## Log-mel on unseen sensors\n"
    held = ", ".join(name for name in HELD_OUT if name.startswith("sensor"))
    yield f"Queries are all clips of {held}, the database those of the other sensors:"
    yield "few clips, so wide intervals."
    yield f"Variants learn the recordings and {SCENES:,} synthetic scenes for {EPOCHS[LOGMEL.id]} epochs.\n"
    methods = [name for name in ("random", "cosine", "shipped", *NAMES) if any(rows(records, name))]
    yield from table(records, methods, CELLS)
    yield from _picture(records, methods, pictures / "logmel-variants.svg", "mAP against K, log-mel")
    if any(rows(records, PAPER)):
        yield _LOSES
        yield from behind(records, ((PAPER, "random"), (PAPER, "cosine"), *_WITHIN), CELLS)


def _known(minutes: float | None) -> str:
    return "-" if minutes is None else str(minutes)


def _margins(records: Sequence[Record]) -> Iterator[str]:
    """Return the least of our seeds beside the best of the baselines'."""
    if not (any(rows(records, TAGGED)) and any(rows(records, TAGS_ONLY))):
        return
    yield "Our worst seed minus the best seed of each baseline:\n"
    cells = (*CELLS, *MULTI)
    yield f"| against | {' | '.join(f'{kind} s{s}K{k}' for kind, s, k in cells)} |"
    yield f"|---|{'---|' * len(cells)}"
    for other in (TAGS_ONLY, "tag-plus-cosine"):
        gaps = [min(values(records, TAGGED, cell)) - max(values(records, other, cell)) for cell in cells]
        yield f"| {other} | {' | '.join(f'{gap:+.3f}' for gap in gaps)} |"
    yield ""


def _calibration(records: Sequence[Record], pictures: Path) -> Iterator[str]:
    """Return the section on the calibration of the committed checkpoint's probabilities."""
    found = [e for record in records if record["method"] == "committed" for e in record["calibration"]]
    if not found:
        return
    yield "### Calibration of the shipped checkpoint\n"
    yield "Curves measured on clips outside the training set of a network of the same plan, here on queries of the"
    yield "evaluation split. `all`: every query with every clip; `top`: the ten best of each query.\n"
    yield "| ranked by | probability | pairs | expected calibration error |"
    yield "|---|---|---|---|"
    for entry in found:
        event = "P(level = 8)" if entry["s"] == 8 else "P(level >= 7)"
        yield f"| {entry['method']} | {event} | {entry['pairs']} | {entry['ece']:.4f} |"
    shown = [entry for entry in found if entry["method"] == SHIPPED]
    panels = {f"P(level >= {entry['s']}), {entry['pairs']} pairs": entry["bins"] for entry in shown}
    plots.reliability(pictures / "calibration.svg", panels)
    yield "\n![reliability: share that came true against predicted probability](results/calibration.svg)\n"


def _picture(records: Sequence[Record], methods: Sequence[str], path: Path, text: str) -> Iterator[str]:
    """MAP against K of the first seed of each method: a row per s, a column per kind of queries."""
    kinds = {row["queries"]: None for method in methods for row in rows(records, method)}
    panels: dict[str, dict[str, list[plots.Point]]] = {}
    for s in (8, 7):
        for kind in kinds:
            lines = {}
            for method in methods:
                shown = [row for row in rows(records, method) if (row["s"], row["queries"]) == (s, kind)]
                first = {row["K"]: row for row in reversed(shown)}
                lines[method] = [(k, row["map"], row["low"], row["high"]) for k, row in sorted(first.items())]
            panels[f"{kind} queries, s = {s}"] = {method: line for method, line in lines.items() if line}
    if methods:
        plots.retrieval(path, panels, columns=len(kinds))
        yield f"![{text}](results/{path.name})\n"

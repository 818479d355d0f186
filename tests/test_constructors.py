"""No constructor takes more than five parameters, keyword-only ones included: more are grouped by role.

Frozen dataclasses, and those of plain values, are exempt: their fields are what they are. A dataclass that is not
frozen and holds an object with a constructor of its own is a component, and is not exempt.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST = 5
CLASSES = {
    f"{path.relative_to(ROOT)}::{node.name}": node
    for package in ("edge", "hub", "shared")
    for path in sorted((ROOT / package).rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.ClassDef)
}


def constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    return next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)


COMPONENTS = {node.name for node in CLASSES.values() if constructor(node) is not None}


def parameters(node: ast.ClassDef, components: set[str]) -> int:
    """How many parameters count towards the limit."""
    function = constructor(node)
    if function is not None:
        arguments = function.args
        return len(arguments.posonlyargs) + len(arguments.args) - 1 + len(arguments.kwonlyargs)
    decorators = " ".join(ast.unparse(one) for one in node.decorator_list)
    fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
    fields = [one for one in fields if "init=False" not in ast.unparse(one)]
    named = {one.id for field in fields for one in ast.walk(field.annotation) if isinstance(one, ast.Name)}
    if "dataclass" not in decorators or "frozen=True" in decorators or not named & components:
        return 0
    return len(fields)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("class A:\n  def __init__(self, a, b, *, c, d=1): ...", 4),
        ("@dataclass(slots=True)\nclass A:\n  a: Store\n  b: int\n  c: int = field(init=False)", 2),
        ("@dataclass(frozen=True)\nclass A:\n  a: Store\n  b: int", 0),
        ("@dataclass\nclass A:\n  a: int\n  b: int", 0),
    ],
)
def test_parameters_are_counted(source: str, count: int) -> None:
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.ClassDef)
    assert parameters(node, {"Store"}) == count


def test_no_constructor_has_more_than_five_parameters() -> None:
    assert len(CLASSES) > 500
    counts = {name: parameters(node, COMPONENTS) for name, node in CLASSES.items()}
    assert {name: count for name, count in counts.items() if count > MOST} == {}

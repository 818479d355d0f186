"""The keys of the store are spelled in two modules, are unique, and each states its type and content."""

import inspect
import re
from pathlib import Path

import pytest

import hub
from hub.store import keys, level_keys

BOTH = (keys, level_keys)
MODULES = sorted(Path(hub.__file__).parent.rglob("*.py"))
CONSTANT = re.compile(r"^([A-Z_]+): Final = \S+  # ([a-z ]+): \S", re.MULTILINE)
FUNCTION = re.compile(r"Return the key of an? ([a-z ]+): \S")
TYPES = {"hash", "index", "set", "sorted set", "stream", "string", "value of any type"}
ELSEWHERE = {
    "the prefix": re.compile(r"(?<![\"'\w])PREFIX\b"),
    "a key": re.compile(r"\bew:|[\"']ew[\"']"),
    "a key made of another": re.compile(r"\{(level_)?keys\.[^{}]*\}:|\b(level_)?keys\.\w+(\([^()]*\))? \+"),
}


def constants() -> dict[str, str]:
    return {
        name: value for module in BOTH for name, value in vars(module).items() if name.isupper() and name != "PREFIX"
    }


def functions() -> dict[str, str]:
    """What each function makes of its parameters' own names."""
    return {
        name: function(*(f"<{one}>" for one in inspect.signature(function).parameters))
        for module in BOTH
        for name, function in inspect.getmembers(module, inspect.isfunction)
    }


def spelled(source: str) -> list[str]:
    """What of a module's source should be in the module of keys."""
    return [what for what, pattern in ELSEWHERE.items() if pattern.search(source)]


@pytest.mark.parametrize(
    "source", ['"ew:late"', "f'ew:{x}'", '"ew"', "# `ew:late`", "import PREFIX", "f'{PREFIX}:late'"]
)
def test_a_spelled_key_is_found(source: str) -> None:
    assert spelled(source)


@pytest.mark.parametrize("source", ['f"{keys.EVENTS}:late"', 'f"{keys.event(one)}:late"', 'keys.EVENTS + ":late"'])
def test_a_key_that_extends_another_is_found(source: str) -> None:
    assert spelled(source) == ["a key made of another"]


@pytest.mark.parametrize("source", ["new: str", "view: View", '("FT.CREATE", "PREFIX")', "_PREFIX", "keys.EVENTS"])
def test_what_is_no_key_is_not_found(source: str) -> None:
    assert spelled(source) == []


def test_no_other_module_spells_a_key() -> None:
    own = {Path(module.__file__) for module in BOTH if module.__file__}
    others = [path for path in MODULES if path not in own]
    assert len(others) == len(MODULES) - 2
    assert {str(path): found for path in others if (found := spelled(path.read_text()))} == {}


def test_all_keys_begin_with_the_prefix_and_are_unique() -> None:
    every = [*constants().values(), *functions().values()]
    assert [key for key in every if not key.startswith("ew:")] == []
    assert len(set(every)) == len(every)


def test_every_key_states_its_type_and_content() -> None:
    kinds = dict(match for module in BOTH for match in CONSTANT.findall(inspect.getsource(module)))
    for name in functions():
        function = getattr(keys, name, None) or getattr(level_keys, name)
        stated = FUNCTION.match(function.__doc__)
        kinds[name] = stated[1] if stated else "none"
    assert {name: kinds.get(name) for name in (*constants(), *functions()) if kinds.get(name) not in TYPES} == {}


def test_a_key_without_its_last_part_is_what_all_of_its_kind_begin_with() -> None:
    assert keys.event("") + "a.b.c.1" == keys.event("a.b.c.1")
    assert keys.vector("small/1", "a1", "") + "a.b.c.1" == keys.vector("small/1", "a1", "a.b.c.1")
    assert keys.dead_letter("") + "1-0" == keys.dead_letter("1-0")
    assert keys.dead_letters_of("") + "a/b:bug" == keys.dead_letters_of("a/b:bug")

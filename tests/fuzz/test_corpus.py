from pathlib import Path

import pytest

from tests.fuzz.__main__ import CORPUS
from tests.fuzz.targets import TARGETS, attempt

INPUTS = [pytest.param(path, id=f"{path.parent.name}/{path.name}") for path in sorted(CORPUS.glob("*/*"))]


@pytest.mark.parametrize("path", INPUTS)
def test_what_was_found_by_fuzzing_is_read_or_refused_in_words(path: Path) -> None:
    data = path.read_bytes()
    first = attempt(path.parent.name, data)
    assert attempt(path.parent.name, data) == first


def test_every_target_has_inputs_and_every_input_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_bytes_that_are_nothing_are_refused_in_words(name: str) -> None:
    for data in (b"", b"\0" * 100, b"\xff\xfe\xff"):
        attempt(name, data)

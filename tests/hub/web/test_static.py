"""Static files that others wrote."""

import hashlib
import re
from pathlib import Path

import pytest

from hub.web.pages.router import _STATIC

OTHERS = sorted(_STATIC.glob("*-[0-9]*.js"))


@pytest.mark.parametrize("file", OTHERS, ids=lambda file: file.name)
def test_a_library_has_its_hash_its_version_and_its_licence_beside_it(file: Path) -> None:
    notes = file.with_suffix(".txt").read_text()
    assert re.findall(r"SHA-256: ([0-9a-f]{64})", notes) == [hashlib.sha256(file.read_bytes()).hexdigest()]
    name, _, version = file.stem.rpartition("-")
    assert f"{name}@{version}" in notes
    assert "Redistribution and use" in notes


def test_the_page_loads_the_library_that_is_there() -> None:
    loaded = re.findall(r'from "\./(.*)"', (_STATIC / "sealed.js").read_text())
    assert [file.name for file in OTHERS] == [name for name in loaded if name != "spectrogram.js"]

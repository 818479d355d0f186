"""Every setting, topic, metric and command is documented: the reference page is exactly what the code says."""

import re
import runpy
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_reference_is_what_the_code_says() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))["page"]()
    assert (ROOT / "docs" / "reference.md").read_text() == made, "run: python docs/make_reference.py"


def test_the_description_of_the_api_is_what_the_code_says() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_openapi.py"))["page"]()
    assert (ROOT / "docs" / "openapi.json").read_text() == made, "run: python docs/make_openapi.py"


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "hub").rglob("*.md")]
    assert len(pages) > 5
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    reasons = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text()
    for requirement in [*project["dependencies"], *extras["edge"], *extras["hub"], *extras["train"]]:
        name = re.split(r"[<>=]", requirement)[0]
        assert name.lower() in reasons.lower(), f"{name} has no reason"

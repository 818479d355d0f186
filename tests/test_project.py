"""What stands at the top of the repository: the version, the changelog, the hooks, the templates."""

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def test_the_tags_of_images_repeat_the_version() -> None:
    files = [ROOT / "docs" / "deploy.md", *(path for path in (ROOT / "deploy").rglob("*") if path.is_file())]
    texts = [file.read_text() for file in files if file.suffix != ".pyc"]
    tags = [tag for text in texts for tag in re.findall(r"earwitness-(?:hub|edge):(\d[\w.]*)", text)]
    tags += re.findall(r"newTag: (\S+)", (ROOT / "deploy" / "kubernetes" / "kustomization.yaml").read_text())
    assert len(tags) > 4
    assert set(tags) == {VERSION}


def test_the_changelog_begins_with_what_is_unreleased_and_dates_every_release() -> None:
    first, *releases = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert first == "[Unreleased]"
    for release in releases:
        found = re.fullmatch(r"\[\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?\] - (\d{4}-\d\d-\d\d)", release)
        assert found, release
        date.fromisoformat(found[1])


def test_changes_are_sorted_by_kind() -> None:
    for section in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.+)$", section, re.MULTILINE)
        assert kinds
        assert kinds == sorted(set(kinds), key=KINDS.index)


def test_hooks_run_what_make_check_runs() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    checks = re.findall(r"\$\(BIN\)/(\w+(?: \w+)?)", (ROOT / "Makefile").read_text().partition("\ncheck:")[2])
    for hook in local["hooks"]:
        assert hook["language"] == "system"
        command = re.sub(r" -.*", "", hook["entry"].removeprefix(".venv/bin/"))
        assert command in checks, f"make check does not run {command}"


@pytest.mark.parametrize("form", ["bug", "proposal"])
def test_an_issues_form_has_what_a_form_needs(form: str) -> None:
    document = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{form}.yml").read_text())
    assert document["name"]
    assert document["description"]
    asked = [part for part in document["body"] if part["type"] != "markdown"]
    assert all(part["attributes"]["label"] for part in asked)
    assert len({part["id"] for part in asked}) == len(asked)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_pages_name_only_targets_of_the_makefile(page: str) -> None:
    known = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = (ROOT / page).read_text()
    named = {word for line in re.findall(r"(?:`|\$ (?:sudo )?)make ([a-z -]+)", text) for word in line.split()}
    assert len(named) > 1 or page == "SECURITY.md"
    assert named <= known


NAMED = re.compile(r"`((?:hub|edge|shared|tests|deploy|docs|\.ci)/[\w./-]*)`")


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_pages_for_developers_name_only_files_and_folders_that_exist(page: str) -> None:
    named = set(NAMED.findall((ROOT / page).read_text()))
    assert len(named) > 20
    for path in named:
        assert "NAME" in path or (ROOT / path).exists(), path


def test_each_question_of_the_architecture_names_a_file_that_exists() -> None:
    table = (ROOT / "ARCHITECTURE.md").read_text().partition("## Where is")[2].partition("\n## ")[0]
    rows = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ") and "| answer |" not in row]
    assert len(rows) >= 10
    for row in rows:
        paths = [Path(one) for one in NAMED.findall(row)]
        assert paths, row
        beside = [paths[0].parent / one for one in re.findall(r"`(\w+\.\w+)`", row)]
        assert [path for path in (*paths, *beside) if not (ROOT / path).exists()] == []


def test_the_architecture_has_at_most_two_pages() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert (text.count("\n") <= 110, len(text.split()) <= 1_300) == (True, True)

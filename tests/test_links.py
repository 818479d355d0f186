"""Every relative link of a page leads to a file of the repository, and to a heading of it if it names one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(page for folder in ("docs", "hub", "shared", ".github") for page in (ROOT / folder).rglob("*.md")),
    ]
)
LINK = re.compile(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)|<(?:img|a) [^>]*(?:src|href)=\"([^\"]+)\"")
CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
SCHEME = re.compile(r"[a-z]+:")


def targets(page: Path) -> list[str]:
    """Relative targets of a page's links and pictures, outside of code."""
    found = [first or second for first, second in LINK.findall(CODE.sub("", page.read_text()))]
    return [target for target in found if not SCHEME.match(target)]


def anchors(page: Path) -> set[str]:
    """Names by which a page's headings can be reached."""
    found: set[str] = set()
    for heading in HEADING.findall(FENCED.sub("", page.read_text())):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        numbered = (f"{name}-{number}" if number else name for number in range(len(found) + 1))
        found.add(next(one for one in numbered if one not in found))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in targets(page):
        path, _, anchor = target.partition("#")
        leads_to = (page.parent / path).resolve() if path else page
        assert leads_to.is_relative_to(ROOT), f"{target} leads out of the repository"
        assert leads_to.exists(), f"{target} does not exist"
        if anchor and leads_to.suffix == ".md":
            assert anchor in anchors(leads_to), f"{target}: no such heading; there are {sorted(anchors(leads_to))}"


def test_links_are_found_in_all_their_forms(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '[a](a.md) ![b](b.png) [c](c.md#d) [e](#f) [g](https://h) <img src="i.png"> [j](j.md "title") `[k](k.md)`\n'
        "```\n[l](l.md)\n```\n"
    )
    assert targets(page) == ["a.md", "b.png", "c.md#d", "#f", "i.png", "j.md"]
    assert len(PAGES) > 30
    assert sum(len(targets(one)) for one in PAGES) > 100


def test_headings_are_named_as_pages_show_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# The `page`\n## Once, twice\n## Once, twice\n```\n# not a heading\n```\n## 7. A [link](x.md)\n")
    assert anchors(page) == {"the-page", "once-twice", "once-twice-1", "7-a-link"}

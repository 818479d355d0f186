"""Hook of `mkdocs.yml` that adds pages from outside docs/ to the site.

README.md is the first page; ARCHITECTURE.md, CHANGELOG.md, CONTRIBUTING.md, SECURITY.md and the model cards are pages
as well. The hook rewrites links to and from them. Links to other files of the repository become plain text.
"""

import posixpath
import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[1]
ELSEWHERE: Final = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "hub/model/weights/vggish.md": "models/vggish.md",
    "hub/model/weights/earwitness-small.md": "models/earwitness-small.md",
    "hub/model/weights/logmel.md": "models/logmel.md",
    "hub/model/weights/baselines/README.md": "models/baselines.md",
    "hub/model/weights/baselines/vggish-paper.md": "models/vggish-paper.md",
    "hub/model/weights/baselines/vggish-tagger.md": "models/vggish-tagger.md",
    "hub/model/weights/baselines/earwitness-small-start.md": "models/earwitness-small-start.md",
    "shared/backbones/earwitness-small.md": "models/earwitness-small-backbone.md",
}
"""Pages outside docs/, each with its path on the site."""
_LINK: Final = re.compile(r"\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/."""
    for source, place in ELSEWHERE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page to the paths of their targets on the site."""
    del config
    here = next(
        (source for source, place in ELSEWHERE.items() if place == page.file.src_uri), f"docs/{page.file.src_uri}"
    )

    def rewrite(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
        place = ELSEWHERE.get(wanted, wanted.removeprefix("docs/"))
        if (ROOT / wanted).is_dir():
            place = f"{place}/README.md"
        if files.get_file_from_path(place) is None and (ROOT / wanted).exists():
            return f"{text} (`{wanted}`)"
        return f"[{text}]({posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or '.')}{anchor})"

    return _LINK.sub(rewrite, markdown)

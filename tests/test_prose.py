"""Code and documents avoid the words of `prose_words.toml`: docstrings, comments, strings, identifiers, pages.

The list names what to write instead. An exception needs a reason, and fails once it is no longer needed.
"""

import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[1]
AREAS: Final = ("edge", "hub", "shared", "deploy", "docs", "tests", ".github", ".")
SUFFIXES: Final = {
    ".conf", ".css", ".Dockerfile", ".html", ".j2", ".js", ".md", ".py", ".service", ".sh", ".toml", ".yaml", ".yml"
}  # fmt: skip
ITSELF: Final = {"prose_words.toml", "test_prose.py"}
NAMES: Final = {"Makefile", "Caddyfile", ".importlinter"}
_TEXT_TOKENS: Final = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern of words to avoid, and what to write instead."""

    pattern: re.Pattern[str]
    instead: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """A text that may stay in the files of a glob, with the reason."""

    path: str
    text: str
    reason: str

    def covers(self, path: str, text: str) -> bool:
        """Return whether a text of a file may stay."""
        return Path(path).match(self.path) and text.lower() == self.text.lower()


class Finding(NamedTuple):
    """A word to avoid, where it is, and what to write instead."""

    path: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        """Return the finding as a line for a terminal."""
        return f"{self.path}:{self.line}: '{self.word}': {self.instead}"


@cache
def load_list() -> tuple[tuple[Rule, ...], tuple[Allowed, ...]]:
    """Return the rules and the exceptions of `prose_words.toml`."""
    data = tomllib.loads((Path(__file__).parent / "prose_words.toml").read_text(encoding="utf-8"))
    rules = (Rule(re.compile(rf"\b({row['pattern']})\b", re.IGNORECASE), row["instead"]) for row in data["words"])
    allowed = (Allowed(row["path"], row["pattern"], row["reason"]) for row in data.get("allowed", ()))
    return tuple(rules), tuple(allowed)


def texts(path: str, content: str) -> Iterator[tuple[int, str]]:
    """Return the texts of a file that people read, each with its first line.

    Of Python these are comments, strings and identifiers, the latter split at `_`; of other files all lines.
    """
    if not path.endswith(".py"):
        yield from enumerate(content.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string.replace("_", " ")
        elif token.type in _TEXT_TOKENS:
            yield from enumerate(token.string.splitlines(), token.start[0])


def scan(path: str, content: str) -> list[Finding]:
    """Return every word to avoid in a file, exceptions included."""
    rules, _ = load_list()
    return [
        Finding(path, line, match[0], rule.instead)
        for line, text in texts(path, content)
        for rule in rules
        for match in rule.pattern.finditer(text)
    ]


def files(area: str) -> list[Path]:
    """Return the files of a folder that are scanned; of the root only its own."""
    paths = (ROOT / area).rglob("*") if area != "." else ROOT.iterdir()
    readable = (path for path in paths if path.suffix in SUFFIXES or path.name in NAMES)
    return sorted(
        path for path in readable if path.is_file() and "__pycache__" not in path.parts and path.name not in ITSELF
    )


def scan_area(area: str) -> list[Finding]:
    """Return every word to avoid in the files of a folder, exceptions included."""
    return [
        finding
        for path in files(area)
        for finding in scan(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("area", AREAS)
def test_code_and_documents_use_plain_words(area: str) -> None:
    _, allowed = load_list()
    assert files(area)
    findings = [one for one in scan_area(area) if not any(rule.covers(one.path, one.word) for rule in allowed)]
    assert not findings, "\n" + "\n".join(map(str, findings))


def test_every_exception_has_a_reason_and_is_needed() -> None:
    _, allowed = load_list()
    findings = [finding for area in AREAS for finding in scan_area(area)]
    for rule in allowed:
        assert rule.reason
        assert any(rule.covers(one.path, one.word) for one in findings), f"not needed: {rule}"


def test_docstrings_comments_strings_and_identifiers_of_python_are_scanned() -> None:
    code = '"""Tell it.\n\nNobody is told."""\nheard_by = f"it says {heard_by}"  # anew\ndef gives_up(): ...\n'
    words = [(one.line, one.word) for one in scan("hub/sample.py", code)]
    assert words[:3] == [(1, "Tell"), (3, "told"), (3, "Nobody")]
    assert {word for line, word in words if line == 4} == {"heard", "says", "anew"}
    assert words[-1] == (5, "gives up")


def test_every_line_of_a_document_is_scanned_for_whole_words() -> None:
    page = "A teller.\n`heard_by` and retell are not words of the list.\nA public hearing; the hearing.\n"
    assert [(one.line, one.word) for one in scan("docs/sample.md", page)] == [(1, "teller"), (3, "hearing")]


def test_a_finding_names_file_line_word_and_replacement() -> None:
    (finding,) = scan("docs/sample.md", "\nThe casebook.\n")
    assert str(finding) == "docs/sample.md:2: 'casebook': episode store; delivery worker"

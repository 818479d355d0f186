"""Tutorials are run exactly as they are written: every `sh` block of a page, one after another, in one shell.

A page has a folder of its own, programs of this installation, servers of Debian, and where the kernel lets us a
network of its own, so that the ports that are written there are free. The shell ends at the first command that fails;
what a page expects to fail, it marks (`|| ...`). A comment above a block that is not run states why.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.programs import program

pytestmark = pytest.mark.tutorial

PAGES = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+?) -->\n)?(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
UP = "ip link set lo up"
LIMIT_S = 580


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its line in the page, what it is, and why it is not run, if it is not."""

    line: int
    language: str
    text: str
    reason: str | None


def blocks(page: str) -> list[Block]:
    return [
        Block(
            page[: found.start()].count("\n") + 1,
            found["language"],
            textwrap.dedent(found["text"]) if found["indent"] else found["text"],
            found["reason"],
        )
        for found in BLOCK.finditer(page)
    ]


def script(page: Path) -> str:
    """All that is run, each block announced by its line."""
    run = [block for block in blocks(page.read_text()) if block.language == "sh" and block.reason is None]
    parts = [f'echo "### {page.name}:{block.line} at $(date +%T)"\n{block.text}' for block in run]
    return "\n".join(["set -euo pipefail", *parts, f"echo '### {page.name}: done'"]) + "\n"


def isolation() -> list[str]:
    """What gives a command a network of its own, with loopback alone, as far as the kernel allows that.

    Root may do so; others are root of a new user namespace for as long as loopback comes up, and then themselves.
    """
    if os.geteuid() == 0:
        command = ["unshare", "--net", "sh", "-c", f'{UP} && exec "$@"', "sh"]
    else:
        back = f"unshare --user --map-user={os.geteuid()} --map-group={os.getegid()}"
        command = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", f'{UP} && exec {back} "$@"', "sh"]
    tried = shutil.which("unshare") and subprocess.run([*command, "true"], check=False, capture_output=True)
    return command if tried and tried.returncode == 0 else []


def test_blocks_are_run_or_state_why_not() -> None:
    assert PAGES
    for page in PAGES:
        found = blocks(page.read_text())
        assert page.read_text().count("```") == 2 * len(found), page
        for block in found:
            assert block.language in {"sh", "toml", "json", "python", "text", "yaml"}, f"{page.name}:{block.line}"
        assert any(block.language == "sh" and block.reason is None for block in found)


@pytest.mark.timeout(LIMIT_S + 20)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_works_as_it_is_written(page: Path, tmp_path: Path) -> None:
    program("mosquitto")
    program("redis-server")
    program("curl")
    program("ip")
    folder = tmp_path / "work"
    folder.mkdir()
    file = tmp_path / "page.sh"
    file.write_text(script(page))
    environment = {
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TERM": "dumb",
    }
    with (tmp_path / "output").open("w+") as output:
        shell = subprocess.Popen(
            [*isolation(), "bash", str(file)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            _end(shell.pid)
        output.seek(0)
        printed = output.read()
    assert code == 0, printed[-6000:]
    assert f"### {page.name}: done" in printed


def _end(group: int) -> None:
    """What a page left running when it failed."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return

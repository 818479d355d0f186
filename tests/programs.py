"""Tests declare here what they need of the system besides Python packages.

A test, a fixture or a server that needs a program calls `program("promtool")` before it starts anything. Where the
program is missing, the test is skipped with a reason that names program and package. With `EARWITNESS_REQUIRE_ALL=1`
the test fails instead. At its end the run prints in one line how many tests did not run and what they lacked.
"""

import os
import re
from collections.abc import Generator
from typing import Final

import pytest

from tests.system_packages import COMMAND, Needed, read_table

REQUIRE_ALL: Final = "EARWITNESS_REQUIRE_ALL"
_TABLE: Final = {(needed.kind, needed.name): needed for needed in read_table()}
_REASON: Final = re.compile(r"needs the (?:program|library) (?P<name>\S+), which is missing here")


def program(name: str) -> str:
    """Return the path of a system program of the table; skip the test where it is missing.

    Raises:
        KeyError: the table does not name the program.
    """
    return _located(_TABLE["program", name])


def library(name: str) -> str:
    """Return the file name of a system library of the table; skip the test where it is missing.

    Raises:
        KeyError: the table does not name the library.
    """
    return _located(_TABLE["library", name])


def _located(needed: Needed) -> str:
    found = needed.locate()
    if found is not None:
        return found
    reason = f"needs the {needed.kind} {needed.name}, which is missing here (Debian package {needed.package})"
    if os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(f"{reason}, and {REQUIRE_ALL} is 1: {COMMAND}", pytrace=False)
    pytest.skip(f"{reason}: {COMMAND}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Print the closing line after everything else; only the process that reports to the terminal does."""
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and (line := closing_line(reporter.stats.get("skipped", []))):
        reporter.write_line(line, yellow=True)


def closing_line(skipped: list[pytest.TestReport]) -> str | None:
    """Return what the run states of tests that a missing program kept from running; None if there are none."""
    found = [_REASON.search(str(report.longrepr)) for report in skipped]
    lacking = [match["name"] for match in found if match]
    if not lacking:
        return None
    tests = "1 test" if len(lacking) == 1 else f"{len(lacking)} tests"
    names = ", ".join(sorted(set(lacking)))
    return f"{tests} did not run, because these programs are missing: {names}. `{COMMAND}` installs them."

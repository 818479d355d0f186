"""Tests that need a program of the system are skipped where it is missing, or fail, and the run reports how many."""

import ast
import re
from pathlib import Path

import pytest

from tests.system_packages import read_table

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
TESTS = """
    import pytest
    from tests.programs import library, program

    @pytest.fixture(scope="session")
    def server():
        return program("promtool")

    @pytest.mark.parametrize("number", range(3))
    def test_through_a_fixture(server, number): pass

    def test_in_its_body(): program("amtool")

    @pytest.mark.skip(reason="of something else")
    def test_that_is_skipped_for_another_reason(): pass

    def test_that_needs_none(): pass
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project of the tests above, on a machine without a program outside the system's own folders."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", str(pytester.path))
    monkeypatch.delenv("EARWITNESS_REQUIRE_ALL", raising=False)
    pytester.makeconftest("from tests.programs import pytest_sessionfinish")
    pytester.makepyfile(test_first=TESTS, test_second=TESTS)
    return pytester


@pytest.mark.parametrize("processes", [(), ("--numprocesses", "2", "--dist", "loadfile")])
def test_a_missing_program_skips_its_tests_and_the_last_line_counts_them(
    run: pytest.Pytester, processes: tuple[str, ...]
) -> None:
    ran = run.runpytest_subprocess(*processes, "-rs")
    assert ran.ret == 0
    ran.assert_outcomes(passed=2, skipped=10)
    ran.stdout.fnmatch_lines(["*needs the program promtool*(Debian package prometheus): make test-deps"])
    lines = [line for line in ran.outlines if "did not run" in line]
    assert lines == [ran.outlines[-1]]
    assert lines[0] == (
        "8 tests did not run, because these programs are missing: amtool, promtool. `make test-deps` installs them."
    )


def test_where_all_are_required_a_missing_program_fails_its_tests(
    run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARWITNESS_REQUIRE_ALL", "1")
    ran = run.runpytest_subprocess()
    assert ran.ret == 1
    ran.assert_outcomes(passed=2, failed=2, errors=6, skipped=2)
    ran.stdout.fnmatch_lines(["needs the program promtool*, and EARWITNESS_REQUIRE_ALL is 1: make test-deps"])
    assert "did not run" not in ran.stdout.str()


def test_where_all_programs_are_there_no_line_is_printed(run: pytest.Pytester) -> None:
    for name in ("promtool", "amtool"):
        (run.path / name).write_text("#!/bin/sh\n")
        (run.path / name).chmod(0o755)
    ran = run.runpytest_subprocess()
    ran.assert_outcomes(passed=10, skipped=2)
    assert "did not run" not in ran.stdout.str()


def test_a_program_that_the_table_lacks_is_an_error(run: pytest.Pytester) -> None:
    run.makepyfile(
        test_first="from tests.programs import program\ndef test(): program('unheard-of')\n", test_second=""
    )
    ran = run.runpytest_subprocess()
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["*KeyError*unheard-of*"])


def asked() -> set[tuple[str, str]]:
    """Every program and library that the source of a test names, and that none is asked for by another expression."""
    found = set()
    for path in (ROOT / "tests").rglob("*.py"):
        tree = ast.parse(path.read_text())
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        ours = {alias.name for node in imports if node.module == "tests.programs" for alias in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ours:
                (name,) = node.args
                assert isinstance(name, ast.Constant), f"{path}:{node.lineno} names no program literally"
                found.add((node.func.id, str(name.value)))
    return found


def test_the_table_names_what_tests_ask_for_and_nothing_else() -> None:
    table = read_table()
    assert asked() == {(needed.kind, needed.name) for needed in table}
    for needed in table:
        assert re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", needed.package)
        assert needed.purpose

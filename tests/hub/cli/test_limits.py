"""The commands `earwitness-hub limits`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import app

RULE = 'name = "own"\ntitle = "Own"\nquantity = "laeq"\nperiod = "hour"\nlimit_db = 55\n'


def run(*arguments: str | Path) -> tuple[int, str, str]:
    found = CliRunner().invoke(app, ["limits", *map(str, arguments)])
    return found.exit_code, found.stdout, found.stderr


def test_check_prints_what_each_rule_of_files_and_folders_judges(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(f'source = "S"\n[[rule]]\n{RULE}')
    for given in (file, tmp_path):
        assert run("check", given) == (0, "ok   own: LAeq of an hour above 55 dB\n1 rules\n", "")
    code, out, _ = run("check", "--set", f"limits.folder={tmp_path}", "--json")
    assert (code, json.loads(out)) == (0, {"rules": ["own"]})


@pytest.mark.parametrize(
    ("text", "reason"),
    [(f'source = "S"\n[[rule]]\n{RULE}days = 3\n', "rule.1.days"), ("x", "not valid TOML")],
)
def test_check_refuses_a_wrong_file_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    code, _, error = run("check", file)
    assert code == 2
    assert reason in error
    assert str(file) in error
    assert run("check", tmp_path / "missing.toml")[0] == 1


def test_list_shows_the_active_limits_and_all_examples() -> None:
    code, out, _ = run("list", "--set", 'limits.examples=["nyc-24-218"]', "--json")
    found = json.loads(out)
    assert code == 0
    assert [rule["name"] for rule in found["active"]] == ["nyc-24-218-day", "nyc-24-218-night"]
    assert len(found["examples"]) == 6
    code, out, _ = run("list")
    assert "the hub judges by no limit" in out
    assert "who-road-lden" in out
    assert run("list", "--set", 'limits.examples=["nyc"]')[0] == 2

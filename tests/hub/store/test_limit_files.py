"""Rule files: the shipped examples are valid and cite their sources, and errors name what is wrong."""

from pathlib import Path

import pytest

from hub.store.limit_files import checked, example_files, read_limit_file, read_limit_rules
from shared.errors import InvalidError

RULE = '[[rule]]\nname = "a"\ntitle = "A"\nquantity = "laeq"\nperiod = "hour"\nlimit_db = 55.0\n'


def written(folder: Path, text: str, name: str = "own.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_all_examples_are_rules_that_cite_their_source_and_state_what_they_are() -> None:
    examples = example_files()
    rules = read_limit_rules(None, examples)
    assert len(examples) == 6
    assert len({rule.name for rule in rules}) == len(rules) == 11
    assert all(rule.source and rule.note and not rule.notify for rule in rules)
    for path in examples.values():
        assert path.read_text().startswith("# An example, no legal advice.")


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("nyc-24-218-night", ("hour", None, 7.0, (1_320, 420), True)),
        ("nyc-24-218-day", ("hour", None, 10.0, (420, 1_320), True)),
        ("nyc-24-225-night", ("minute", 80.0, None, (1_380, 420), False)),
        ("end-lden", ("year", 55.0, None, None, True)),
        ("end-lnight", ("year", 50.0, None, None, True)),
        ("who-road-lden", ("year", 53.0, None, None, False)),
        ("who-road-lnight", ("year", 45.0, None, None, False)),
        ("who-rail-lden", ("year", 54.0, None, None, False)),
        ("who-rail-lnight", ("year", 44.0, None, None, False)),
        ("who-aircraft-lden", ("year", 45.0, None, None, False)),
        ("who-aircraft-lnight", ("year", 40.0, None, None, False)),
    ],
)
def test_the_examples_have_the_values_of_their_sources(rule: str, values: tuple[object, ...]) -> None:
    found = {one.name: one for one in read_limit_rules(None, example_files())}[rule]
    assert (found.period, found.limit_db, found.above_ambient_db, found.hours, found.inclusive) == values


def test_a_file_of_ones_own_is_read_with_all_its_fields(tmp_path: Path) -> None:
    text = f'source = "By-law 7"\nnote = """two\nlines"""\n{RULE}hours = ["22:00", "24:00"]\n'
    path = written(tmp_path, f'{text}days = ["sun", "sat"]\nplaces = ["demo"]\ntolerance_db = 1\nnotify = true\n')
    (found,) = read_limit_file(path)
    assert (found.hours, found.days, found.places) == ((1_320, 1_440), (5, 6), ("demo",))
    assert (found.tolerance_db, found.notify, found.note, found.source) == (1.0, True, "two lines", "By-law 7")
    written(tmp_path, "not read", "notes.txt")
    assert [rule.name for rule in read_limit_rules(tmp_path, ["nyc-24-225"])] == ["a", "nyc-24-225-night"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("source = ", "not valid TOML"),
        (RULE, "source: Field required"),
        (f'source = "S"\n{RULE}limit_dB = 3\n', "rule.1.limit_dB: Extra inputs"),
        (f'source = "S"\n{RULE}above_ambient_db = 3\n', "rule.1: give either limit_db or above_ambient_db"),
        (f'source = "S"\n{RULE.replace("55.0", "nan")}', "limit_db: Input should be a finite number"),
        (f'source = "S"\n{RULE.replace("hour", "day")}', "the period of laeq is minute, hour or window, not day"),
        (f'source = "S"\n{RULE.replace("laeq", "lden")}', "the period of lden is day or year, not hour"),
        (f'source = "S"\n{RULE.replace("hour", "window")}', "a window needs hours"),
        (f'source = "S"\n{RULE}hours = ["22:00", "7:00"]\n', 'hours.2: write a time of day like "22:00"'),
        (f'source = "S"\n{RULE}hours = ["22:00", "24:30"]\n', "hours.2: write a time of day"),
        (f'source = "S"\n{RULE}hours = ["07:00", "07:00"]\n', "hours begin and end alike"),
        (f'source = "S"\n{RULE}days = ["saturday"]\n', "rule.1.days.1: Input should be 'mon'"),
        (f'source = "S"\n{RULE}places = ["Demo"]\n', "rule.1.places.1: String should match"),
        ('source = "S"\nrule = []\n', "rule: List should have at least 1 item"),
    ],
)
def test_what_is_no_rule_file_is_refused_with_the_field_and_the_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InvalidError) as error:
        read_limit_file(path)
    assert reason in str(error.value)
    assert str(path) in str(error.value)


def test_names_are_unique_and_folder_and_examples_exist(tmp_path: Path) -> None:
    paths = [written(tmp_path, f'source = "S"\n{RULE}', name) for name in ("one.toml", "two.toml")]
    with pytest.raises(
        InvalidError, match=r"the rule a is defined twice, in .*one\.toml and .*two\.toml: rename one"
    ):
        checked(paths)
    with pytest.raises(InvalidError, match="is no folder"):
        read_limit_rules(tmp_path / "missing")
    with pytest.raises(InvalidError, match=r"no example nyc; known are end-2002-49-ec, nyc-24-218"):
        read_limit_rules(None, ["nyc"])

"""Read limits of levels from TOML files: those of a folder, and the examples that the package contains.

A file names its source once, and has one or more `[[rule]]` tables. docs/limits.md describes the fields.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from hub.domain.limits import OF_DAYS, WEEKDAYS, LimitRule, Period, Quantity
from shared.errors import InvalidError, UnavailableError
from shared.paths import printable
from shared.text_files import read_toml

EXAMPLES: Final = Path(__file__).parent / "limits"
_PLACE: Final = r"^[a-z0-9][a-z0-9-]{0,62}(/[a-z0-9][a-z0-9-]{0,62})?$"
_CLOCK: Final = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")
_DAY_MINUTES: Final = 1_440


def _minutes(value: object) -> object:
    """Return a time of day in minutes."""
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    minutes = 60 * int(found[1]) + int(found[2]) if found else _DAY_MINUTES + 1
    if minutes > _DAY_MINUTES:
        raise ValueError('write a time of day like "22:00"; "24:00" is the last')
    return minutes


Minutes = Annotated[int, BeforeValidator(_minutes)]
Level = Annotated[float, Field(ge=-50, le=200, allow_inf_nan=False)]


class _Rule(BaseModel):
    """A `[[rule]]` table."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    title: str = Field(min_length=1, max_length=120)
    quantity: Quantity
    period: Period
    limit_db: Level | None = None
    above_ambient_db: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    tolerance_db: Annotated[float, Field(ge=0, le=20, allow_inf_nan=False)] = 0.0
    inclusive: bool = False
    hours: tuple[Minutes, Minutes] | None = None
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = []
    places: list[Annotated[str, Field(pattern=_PLACE)]] = []
    notify: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "_Rule":
        if (self.limit_db is None) == (self.above_ambient_db is None):
            raise ValueError("give either limit_db or above_ambient_db")
        of_days = self.quantity in OF_DAYS
        if of_days != (self.period in ("day", "year")):
            wanted = "day or year" if of_days else "minute, hour or window"
            raise ValueError(f"the period of {self.quantity} is {wanted}, not {self.period}")
        if self.above_ambient_db is not None and (self.period not in ("minute", "hour") or self.quantity == "l90"):
            raise ValueError("above_ambient_db is for minutes and hours, and not for l90, the ambient level itself")
        if self.hours is not None and (of_days or self.hours[0] == self.hours[1]):
            raise ValueError(
                f"{self.quantity} has hours of its own: leave hours out" if of_days else "hours begin and end alike"
            )
        if self.period == "window" and (self.hours is None or self.quantity not in ("laeq", "lafmax")):
            raise ValueError("a window needs hours, and laeq or lafmax")
        if self.period == "year" and self.days:
            raise ValueError("a year has all days: leave days out")
        return self


class _File(BaseModel):
    """A rule file."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(min_length=1, max_length=300)
    note: str = Field("", max_length=2_000)
    rule: list[_Rule] = Field(min_length=1)


def read_limit_file(path: Path) -> list[LimitRule]:
    """Return the rules of a file.

    Raises:
        InvalidError: the file is no rule file; the message names each wrong field.
        UnavailableError: the file cannot be read.
    """
    try:
        found = _File.model_validate(read_toml(path))
    except ValidationError as error:
        faults = [_fault(one) for one in error.errors()]
        raise InvalidError(f"{printable(path)}: {'; '.join(faults)} (docs/limits.md)") from error
    return [
        LimitRule(
            name=one.name,
            title=one.title,
            source=found.source,
            quantity=one.quantity,
            period=one.period,
            limit_db=one.limit_db,
            above_ambient_db=one.above_ambient_db,
            tolerance_db=one.tolerance_db,
            inclusive=one.inclusive,
            hours=one.hours,
            days=tuple(sorted({WEEKDAYS.index(day) for day in one.days})),
            places=tuple(sorted(set(one.places))),
            notify=one.notify,
            note=" ".join(found.note.split()),
        )
        for one in found.rule
    ]


def read_limit_rules(folder: Path | None, examples: Iterable[str] = ()) -> list[LimitRule]:
    """Return the rules of all files of a folder, and of some examples, sorted by name.

    Raises:
        InvalidError: a file is no rule file, there is no such example or folder, or two rules have one name.
        UnavailableError: a file cannot be read.
    """
    known = example_files()
    if unknown := sorted(set(examples) - set(known)):
        raise InvalidError(f"limits.examples: no example {', '.join(unknown)}; known are {', '.join(known)}")
    paths = [known[name] for name in examples]
    if folder is not None:
        paths += limit_files(folder)
    return checked(paths)


def checked(paths: Sequence[Path]) -> list[LimitRule]:
    """Return the rules of files, sorted by name.

    Raises:
        InvalidError: a file is no rule file, or two rules have one name.
        UnavailableError: a file cannot be read.
    """
    rules: dict[str, LimitRule] = {}
    origin: dict[str, Path] = {}
    for path in dict.fromkeys(paths):
        for rule in read_limit_file(path):
            if rule.name in rules:
                files = f"{printable(origin[rule.name])} and {printable(path)}"
                raise InvalidError(f"the rule {rule.name} is defined twice, in {files}: rename one")
            rules[rule.name], origin[rule.name] = rule, path
    return [rules[name] for name in sorted(rules)]


def limit_files(folder: Path) -> list[Path]:
    """Return the rule files of a folder, sorted.

    Raises:
        InvalidError: there is no such folder.
        UnavailableError: the folder cannot be read.
    """
    if not folder.is_dir():
        raise InvalidError(f"limits.folder: {printable(folder)} is no folder")
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except OSError as error:
        raise UnavailableError(f"limits.folder: cannot read {printable(folder)}: {error.strerror}") from error


def example_files() -> dict[str, Path]:
    """Return the files of the examples by name."""
    return {path.stem: path for path in limit_files(EXAMPLES)}


def _fault(error: Any) -> str:  # noqa: ANN401 - pydantic's own dictionary
    """Return what is wrong with which field, such as "rule 2, hours, first: ..."."""
    place = [f"{part + 1}" if isinstance(part, int) else part for part in error["loc"]]
    return f"{'.'.join(place)}: {error['msg'].removeprefix('Value error, ')}"

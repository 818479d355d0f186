"""Read text files: UTF-8, with or without a byte order mark, with any line end. Errors name the line.

Both programs read settings, passwords, tables, verdicts, manifests and lists with this module.
"""

import csv
import io
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.errors import InvalidError, UnavailableError
from shared.paths import printable

_MARKS: Final = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_GZIPPED: Final = b"\x1f\x8b"
_DELIMITERS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        line: line number in the file, from 1; for a row of several lines, that of the last.
        cells: text by column name.
    """

    line: int
    cells: dict[str, str]


def read_text(path: Path) -> str:
    r"""Read a text file; its lines end in `\n`.

    Raises:
        UnavailableError: the file cannot be opened.
        InvalidError: the file is not UTF-8 or not text; the message names the line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnavailableError(f"cannot read {printable(path)}: {error.strerror or error}") from error
    return decoded(data, printable(path))


def decoded(data: bytes, name: str) -> str:
    """Decode the bytes of a text file, as `read_text` does.

    Args:
        data: content of the file.
        name: name of the file, for errors.

    Raises:
        InvalidError: see `read_text`.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            raise InvalidError(f"{name} is {encoding}: save it as UTF-8")
    if data.startswith(_GZIPPED):
        raise InvalidError(f"{name} is compressed: unpack it with gunzip")
    data = data.removeprefix(_UTF8_MARK).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidError(
            f"{name}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8: save it as UTF-8"
        ) from error
    if (at := text.find("\0")) >= 0:
        raise InvalidError(f"{name}, line {text.count(chr(10), 0, at) + 1}: a zero byte, which no text has")
    return text


def first_line(path: Path) -> str:
    """Read a secret: the first line of a file, without its line end.

    Raises:
        UnavailableError: the file cannot be opened.
        InvalidError: the file is not UTF-8, or its first line is empty.
    """
    line = read_text(path).partition("\n")[0]
    if not line.strip():
        raise InvalidError(f"the first line of {printable(path)} is empty")
    return line


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        UnavailableError: the file cannot be opened.
        InvalidError: the file is not UTF-8 or not TOML; the message names the line.
    """
    try:
        return tomllib.loads(read_text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidError(f"{printable(path)} is not valid TOML: {error}") from error


def read_table(path: Path, columns: Collection[str]) -> list[Row]:
    """Read a CSV table with a header line (RFC 4180); blank lines are ignored.

    Args:
        path: path of the file.
        columns: names of the required columns.

    Raises:
        UnavailableError: the file cannot be opened.
        InvalidError: the file is not UTF-8, has other delimiters, or lacks columns, rows or cells; the message names
            the line.
    """
    name = printable(path)
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True, skipinitialspace=True)
    rows: list[Row] = []
    try:
        header = [cell.strip() for cell in next((row for row in reader if row), [])]
        _check_header(name, header, columns)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise InvalidError(
                    f"{name}, line {reader.line_num}: {len(cells)} cells, the header has {len(header)}"
                )
            rows.append(Row(reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise InvalidError(f"{name}, line {reader.line_num}: {error}") from error
    if not rows:
        raise InvalidError(f"{name} has no rows")
    return rows


def _check_header(name: str, header: list[str], columns: Collection[str]) -> None:
    missing = sorted(set(columns) - set(header))
    if missing and len(header) <= 1:
        text = header[0] if header else ""
        for delimiter, words in _DELIMITERS.items():
            if delimiter in text:
                raise InvalidError(f"{name}, line 1: its columns are separated by {words}: save it with commas")
    if missing:
        existing = f"; it has {', '.join(header[:12])}{', ...' if len(header) > 12 else ''}" if any(header) else ""
        raise InvalidError(f"{name}, line 1: there are no columns {', '.join(missing)}{existing}")
    if repeated := sorted({column for column in header if header.count(column) > 1}):
        raise InvalidError(f"{name}, line 1: the header has {', '.join(repeated)} more than once")

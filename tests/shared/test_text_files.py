"""Text files as spreadsheets, editors and other systems write them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidError, UnavailableError
from shared.text_files import decoded, first_line, read_table, read_text, read_toml

TABLE = "clip,sensor_id\na.wav,1\nb.wav,2\n"


def file(folder: Path, data: bytes) -> Path:
    path = folder / "x"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        b"a\nb\xc3\xa9\n",
        b"\xef\xbb\xbfa\nb\xc3\xa9\n",
        b"a\r\nb\xc3\xa9\r\n",
        b"a\rb\xc3\xa9\r",
        b"\xef\xbb\xbfa\r\nb\xc3\xa9\r\n",
    ],
)
def test_marks_and_line_ends_are_no_part_of_a_text(tmp_path: Path, data: bytes) -> None:
    assert read_text(file(tmp_path, data)) == "a\nbé\n"


@pytest.mark.parametrize(
    ("data", "reported"),
    [
        ("é\n".encode("utf-16"), "x is UTF-16: save it as UTF-8"),
        ("é\n".encode("utf-16-be"), "line 1: a zero byte|line 1: byte"),
        ("é\n".encode("utf-32"), "x is UTF-32: save it as UTF-8"),
        (b"a\r\nb\r\ncaf\xe9\r\n", "x, line 3: byte 0xe9 is not UTF-8"),
        (b"a\nb\0\n", "x, line 2: a zero byte"),
        (b"\x1f\x8b\x08", "x is compressed: unpack it with gunzip"),
    ],
)
def test_what_is_no_utf_8_is_reported_with_its_line(tmp_path: Path, data: bytes, reported: str) -> None:
    with pytest.raises(InvalidError, match=reported):
        read_text(file(tmp_path, data))


def test_a_file_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="none"):
        read_text(tmp_path / "none")
    with pytest.raises(UnavailableError, match="directory"):
        read_text(tmp_path)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_text_or_invalid(data: bytes) -> None:
    try:
        text = decoded(data, "x")
    except InvalidError:
        return
    assert "\r" not in text
    assert not text.startswith("\ufeff") or data.startswith(b"\xef\xbb\xbf" * 2)


@pytest.mark.parametrize("data", [b"s3cret", b"s3cret\n", b"s3cret\r\nmore", b"\xef\xbb\xbfs3cret\r\n"])
def test_a_secret_is_a_first_line(tmp_path: Path, data: bytes) -> None:
    assert first_line(file(tmp_path, data)) == "s3cret"


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\nx", b"\xef\xbb\xbf"])
def test_an_empty_secret_is_reported(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InvalidError, match=r"first line of .*x is empty"):
        first_line(file(tmp_path, data))


def test_toml_with_a_mark_is_read_and_damaged_toml_is_reported_with_its_line(tmp_path: Path) -> None:
    assert read_toml(file(tmp_path, b'\xef\xbb\xbf[a]\r\nb = "c"\r\n')) == {"a": {"b": "c"}}
    with pytest.raises(InvalidError, match=r"x is not valid TOML.*line 2"):
        read_toml(file(tmp_path, b"[a]\nb: c\n"))
    with pytest.raises(InvalidError, match="x is not valid TOML"):
        read_toml(file(tmp_path, b"a = " + b"[" * 5_000))


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        TABLE.replace("\n", "\r\n"),
        "\ufeff" + TABLE,
        TABLE.replace(",", ", "),
        TABLE.replace("\n", "\n\n"),
        'clip,sensor_id\n"a.wav","1"\n"b.wav",2',
    ],
)
def test_a_table_is_read_as_spreadsheets_write_it(tmp_path: Path, text: str) -> None:
    rows = read_table(file(tmp_path, text.encode()), ("clip", "sensor_id"))
    assert [row.cells for row in rows] == [
        {"clip": "a.wav", "sensor_id": "1"},
        {"clip": "b.wav", "sensor_id": "2"},
    ]


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        (TABLE.replace(",", ";"), "line 1: its columns are separated by semicolons"),
        (TABLE.replace(",", "\t"), "line 1: its columns are separated by tabs"),
        (TABLE + "c.wav\n", "line 4: 1 cells, the header has 2"),
        (TABLE + "c.wav,3,4\n", "line 4: 3 cells"),
        (TABLE + 'c.wav,"3\n', "line 4: "),
        ("clip,other\na,b\n", "line 1: there are no columns sensor_id; it has clip, other"),
        ("Clip,Sensor_ID\na,b\n", "there are no columns clip, sensor_id; it has Clip, Sensor_ID"),
        ("clip,sensor_id,clip\na,1,b\n", "clip more than once"),
        ("clip,sensor_id\n", "x has no rows"),
        ("", "line 1: there are no columns clip, sensor_id"),
    ],
)
def test_a_table_that_is_not_understood_is_reported_with_its_line(tmp_path: Path, text: str, reported: str) -> None:
    with pytest.raises(InvalidError, match=reported):
        read_table(file(tmp_path, text.encode()), ("clip", "sensor_id"))


def test_a_row_knows_its_line(tmp_path: Path) -> None:
    rows = read_table(file(tmp_path, b'clip\n\n"a\nb"\nc\n'), ("clip",))
    assert [row.line for row in rows] == [4, 5]

"""Tables of labels as spreadsheets, systems and people write them: read, or refused with the place and the reason."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from hub.cli import app
from hub.features.logmel import LogMel
from hub.training.datasets.feature_cache import FeatureCache
from hub.training.datasets.recordings import load_recordings
from hub.training.datasets.sonyc_ust import read_annotations
from shared.errors import EarwitnessError, InvalidError, UnavailableError
from shared.taxonomy import CATEGORIES

HEADER = ["clip", "sensor_id", *CATEGORIES]


def row(number: int, sensor: str = "s") -> list[str]:
    return [f"c{number}.wav", sensor, *(str(int(number == column)) for column in range(len(CATEGORIES)))]


def table(rows: list[list[str]], separator: str = ",", end: str = "\n") -> str:
    return end.join(separator.join(cells) for cells in [HEADER, *rows]) + end


ROWS = [row(0), row(1), row(2)]
TABLE = table(ROWS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        tone = 0.1 * np.sin(np.arange(8_000) / (8 + number))
        soundfile.write(tmp_path / f"c{number}.wav", tone, 8_000)
    return tmp_path


def labels(folder: Path, data: str | bytes) -> list[list[int]]:
    (folder / "labels.csv").write_bytes(data.encode() if isinstance(data, str) else data)
    found: list[list[int]] = load_recordings(folder, FeatureCache(LogMel())).labels.tolist()
    return found


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        TABLE.encode("utf-8-sig"),
        TABLE.replace("\n", "\r\n"),
        TABLE.replace(",", ", "),
        TABLE.replace(",1", ",1.0").replace(",0", ",0.0"),
        TABLE.replace("\nc1", "\n\nc1"),
        table([["c0.wav", '"corner, north"', *ROWS[0][2:]], *ROWS[1:]]),
        table([*ROWS, ROWS[0]]),
    ],
    ids=["plain", "mark", "CRLF", "spaces", "floats", "blank line", "quoted comma", "a row twice"],
)
def test_a_table_is_read_as_it_is_meant(folder: Path, data: str | bytes) -> None:
    assert labels(folder, data) == [[int(a == b) for b in range(len(CATEGORIES))] for a in range(3)]


@pytest.mark.parametrize(
    ("data", "reported"),
    [
        (TABLE.encode("utf-16"), r"labels\.csv is UTF-16"),
        (TABLE.replace(",s,", ",Straße,").encode("cp1252"), r"labels\.csv, line 2: byte 0xdf is not UTF-8"),
        (TABLE + "\0\0", r"labels\.csv, line 5: a zero byte"),
        (TABLE.replace(",", ";"), r"labels\.csv, line 1: .* separated by semicolons"),
        (TABLE.replace(",", "\t"), r"labels\.csv, line 1: .* separated by tabs"),
        (TABLE[:-9], r"labels\.csv, line 4: 6 cells, the header has 10"),
        (TABLE.replace("clip,", "Clip,"), r"labels\.csv, line 1: there are no columns clip; it has Clip"),
        (TABLE.replace("c1.wav,s,0", "c1.wav,s,yes"), r"labels\.csv, line 3: engine of c1\.wav is 'yes', not 0 or 1"),
        (table([*ROWS, [*ROWS[0][:2], *ROWS[1][2:]]]), r"line 5: c0\.wav has other labels in line 2"),
        (table([]), r"labels\.csv has no rows"),
        ("", r"labels\.csv, line 1: there are no columns"),
        (TABLE.replace("c1.wav", "C1.wav"), r"line 3: cannot find 'C1\.wav'"),
        (TABLE.replace("c1.wav", "clips\\c1.wav"), r"line 3: cannot find 'clips\\\\c1\.wav'"),
        (TABLE.replace("c1.wav", "x" * 300), r"line 3: cannot find 'xxx"),
        (TABLE.replace("c1.wav", "../../etc/passwd"), r"line 3: cannot find"),
    ],
)
def test_what_is_not_understood_is_reported_with_its_line(folder: Path, data: str | bytes, reported: str) -> None:
    with pytest.raises((InvalidError, UnavailableError), match=reported):
        labels(folder, data)


@pytest.mark.parametrize("cache", [None, "kept"])
@pytest.mark.parametrize(
    ("spoil", "reported"),
    [
        (lambda path: soundfile.write(path, np.zeros(0), 8_000), "no samples"),
        (lambda path: soundfile.write(path, np.full(8_000, np.nan), 8_000, subtype="FLOAT"), "not finite"),
        (lambda path: soundfile.write(path, np.sin(np.arange(9_000)) * 9_000, 8_000, subtype="FLOAT"), "full scale"),
        (lambda path: path.write_text("404 Not Found"), "no recording"),
    ],
)
def test_a_clip_that_cannot_be_used_is_named(
    folder: Path, spoil: Callable[[Path], None], reported: str, cache: str | None
) -> None:
    spoil(folder / "c1.wav")
    (folder / "labels.csv").write_text(TABLE)
    with pytest.raises(InvalidError, match=rf"labels\.csv, line 3: .*c1\.wav: .*{reported}"):
        load_recordings(folder, FeatureCache(LogMel(), cache=folder / cache if cache else None))


COARSE = [f"{number}_{name}_presence" for number, name in enumerate(CATEGORIES, 1)]
COLUMNS = ["split", "sensor_id", "audio_filename", "annotator_id", "1-1_small-engine_presence", *COARSE]
ANNOTATIONS = "".join(
    ",".join(cells) + "\n"
    for cells in [
        COLUMNS,
        *(["train", "1", f"{n}.wav", "7", "-1", *(str(int(n == column)) for column in range(8))] for n in range(3)),
    ]
)


def annotations(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize("data", [ANNOTATIONS, ANNOTATIONS.encode("utf-8-sig"), ANNOTATIONS.replace("\n", "\r\n")])
def test_annotations_are_read_whatever_wrote_them(tmp_path: Path, data: str | bytes) -> None:
    read = read_annotations(annotations(tmp_path / "annotations.csv", data))
    assert read.labels.tolist() == [[int(a == b) for b in range(8)] for a in range(3)]


SPOILT = [
    (ANNOTATIONS[:-9], r"annotations\.csv, line 4: \d+ cells, the header has 13"),
    (
        ANNOTATIONS.replace(",-1,", ",,", 1),
        r"annotations\.csv, line 2: 1-1_small-engine_presence is '', not 0, 1 or -1",
    ),
    (ANNOTATIONS.replace(",", ";"), r"annotations\.csv, line 1: .* separated by semicolons"),
    (ANNOTATIONS.encode() + b"train,1,caf\xe9.wav,7" + b",0" * 9 + b"\n", r"annotations\.csv, line 5: byte 0xe9"),
]


@pytest.mark.parametrize(("data", "reported"), SPOILT)
def test_damaged_annotations_are_reported_with_their_line(tmp_path: Path, data: str | bytes, reported: str) -> None:
    with pytest.raises(EarwitnessError, match=reported):
        read_annotations(annotations(tmp_path / "annotations.csv", data))
    ran = CliRunner().invoke(app, ["dataset", "inspect", "sonyc-ust", str(tmp_path / "annotations.csv")])
    assert ran.exit_code == 2
    assert isinstance(ran.exception, SystemExit)


def test_recordings_behind_a_link_are_found(tmp_path: Path) -> None:
    from hub.training.datasets.sonyc_ust import load_sonyc_ust  # noqa: PLC0415

    card, folder = tmp_path / "card", tmp_path / "sonyc"
    card.mkdir()
    folder.mkdir()
    for number in range(3):
        soundfile.write(card / f"{number}.wav", 0.1 * np.sin(np.arange(8_000) / 8), 8_000)
    (folder / "audio").symlink_to(card)
    annotations(folder / "annotations.csv", ANNOTATIONS.replace("train,1,2.wav", "validate,1,2.wav"))
    learned, benchmark = load_sonyc_ust(folder, FeatureCache(LogMel()))
    assert (len(learned), len(benchmark.queries)) == (2, 1)

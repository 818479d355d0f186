"""An evidence report of a street, from a real store to text in the PDF."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pypdf
import pytest
import redis
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.evidence.contents import Period, parse_bound
from hub.evidence.report import Written
from hub.evidence.verification import verify
from hub.runtime.embedded_servers import Servers
from hub.settings import HubSettings
from hub.settings.evidence import EvidenceSettings
from hub.store import keys, level_keys
from hub.store.stores import Stores
from shared.errors import InvalidError
from tests.hub.evidence.street import DAMAGED, END, MADE, PLACE, SEALED, START, fill, reports_of, settings_of

pytestmark = pytest.mark.redis

ZONE = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module")
def settings(embedded: Servers, tmp_path_factory: pytest.TempPathFactory) -> HubSettings:
    return settings_of(embedded.redis_url, tmp_path_factory.mktemp("street"))


@pytest.fixture(scope="module")
def stores(settings: HubSettings) -> Iterator[Stores]:
    redis.Redis.from_url(settings.redis.url.get_secret_value()).flushall()
    made = fill(settings)
    yield made
    made.events.close()


def write(settings: HubSettings, stores: Stores, path: Path, place: str = PLACE) -> Written:
    return reports_of(settings, stores).write(place, Period.between(START, END, MADE, ZONE), MADE, "ines", path)


@pytest.fixture(scope="module")
def path(settings: HubSettings, stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("reports") / "street.zip"
    written = write(settings, stores, made)
    assert (written.alerts, written.damaged) == (3, 1)
    return made


@pytest.fixture(scope="module")
def files(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rows(files: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files[name].decode(), newline="")))


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def overrides(settings: HubSettings) -> list[str]:
    values = (
        f"redis.url={settings.redis.url.get_secret_value()}",
        f"evidence.signing_key={settings.evidence.signing_key}",
        "sites.timezone=Europe/Berlin",
    )
    return [part for value in values for part in ("--set", value)]


def test_every_gap_is_listed_with_its_reason(files: dict[str, bytes]) -> None:
    found = [
        (row["kind"], row["start"][11:], row["end"][11:19], row["missing_s"], row["reason"], row["first_seq"])
        for row in rows(files, "coverage.csv")
    ]
    assert found == [
        ("levels", "14:20:00+02:00", "14:30:00", "600", "ended", ""),
        ("levels", "14:50:10+02:00", "14:50:40", "30", "unknown", ""),
        ("events", "14:20:00+02:00", "14:30:00", "600", "ended", ""),
        ("events", "14:46:40+02:00", "14:47:10", "30", "unknown", "100"),
    ]
    ranges = [(one["boot"], one["first_seq"], one["last_seq"]) for one in rows(files, "sequences.csv")]
    assert ranges == [("one", "0", "119"), ("two", "0", "99"), ("two", "103", "179")]


def test_the_tables_have_levels_events_alerts_and_verdicts(files: dict[str, bytes]) -> None:
    minutes = rows(files, "levels-minutes.csv")
    assert len(minutes) == 60
    assert (minutes[0]["laeq"], minutes[0]["seconds"], minutes[20]["laeq"], minutes[20]["seconds"]) == (
        *("60.0", "60"),
        *("", "0"),
    )
    assert minutes[0]["at"] == "2025-06-01T14:00:00+02:00"
    assert [row["seconds"] for row in rows(files, "levels-hours.csv")] == ["2970"]
    assert len(rows(files, "events/street-1.csv")) == 297
    alerts = rows(files, "alerts.csv")
    assert [(row["event"], row["categories"], row["network"]) for row in alerts][:2] == [
        ("demo.street-1.two.10", "dog", "another-network"),
        (SEALED, "dog", "another-network"),
    ]
    (verdict,) = rows(files, "verdicts.csv")
    assert (verdict["author"], verdict["verdict"], verdict["note"]) == ("ines", "wrong-category", "a \u6708")
    assert [row["id"] for row in rows(files, "calibrations.csv")] == ["2025-05-20-aa"]
    assert [row["clock_ahead_s"] for row in rows(files, "clock-corrections.csv")] == ["300"]
    assert rows(files, "damaged-rows.csv") == [{"kind": "alert", "key": DAMAGED}]


def test_sound_is_kept_as_it_is_and_sealed_sound_stays_sealed(settings: HubSettings, files: dict[str, bytes]) -> None:
    notes = {row["event"]: (row["clip"], row["clip_note"]) for row in rows(files, "alerts.csv")}
    assert notes == {
        "demo.street-1.two.10": ("clips/demo.street-1.two.10.flac", ""),
        SEALED: (f"clips/{SEALED}.age", "sealed to age1key"),
        "demo.street-1.two.70": ("", "the sensor sent no sound, or the disk failed"),
    }
    assert settings.store.audio_dir is not None
    for name in ("demo.street-1.two.10.flac", f"{SEALED}.age"):
        assert files[f"clips/{name}"] == (settings.store.audio_dir / "demo/street-1/2025-06-01" / name).read_bytes()
    pictures = [name for name in files if name.startswith("spectrograms/")]
    assert len(pictures) == 3
    assert all(files[name].startswith(b"\x89PNG") for name in pictures)


def test_the_pdf_has_pages_with_numbers_and_the_hash_of_the_manifest(files: dict[str, bytes]) -> None:
    pages = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(files["report.pdf"])).pages]
    digest = files["signed.sha256"].split()[0].decode()
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page
        assert digest in page
    text = " ".join(" ".join(pages).split())
    for part in (
        "2025-06-01 14:00:00+02:00 to 2025-06-01 15:00:00+02:00 (Europe/Berlin)",
        "sensor ended without notice",
        "the connection of run one broke by 2025-06-01 14:21:00+02:00",
        "numbers 100 to 102",
        "Dog (90%)",
        "67.3 dB",
        "83% likely, threshold 60%; 1 past event; calibrated 12 days before",
        "wrong-category (ines, ",
        "2025-05-20-aa",
        "the clock was 300 s ahead",
        f"alert {DAMAGED}",
        "No expanded uncertainty is stated",
        json.loads(files["report.json"])["public_key_sha256"],
    ):
        assert part in text, part


def test_the_same_data_make_the_same_bytes(settings: HubSettings, stores: Stores, path: Path, tmp_path: Path) -> None:
    write(settings, stores, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()
    assert [one.name for one in tmp_path.iterdir()] == ["again.zip"]


def test_the_commands_write_verify_and_name_a_changed_file(
    settings: HubSettings, stores: Stores, tmp_path: Path
) -> None:
    assert stores.events.alerts.count() == 4
    made, pem = tmp_path / "june.zip", tmp_path / "key.pem"
    bounds = ("--from", "2025-06-01T14:00", "--to", "2025-06-01T13:00:00Z")
    done = run(
        "report-evidence", "demo", "--sensor", "street-1", *bounds, "--output", str(made), *overrides(settings)
    )
    assert done.exit_code == 0, done.output
    assert "3 alerts, 4 gaps with their reasons" in done.output
    assert "1 stored rows could not be read" in done.output
    shown = run("evidence-key", *overrides(settings))
    pem.write_text(shown.stdout)
    checked = run("verify-evidence", str(made), "--key", str(pem))
    assert checked.exit_code == 0, checked.output
    data = bytearray(made.read_bytes())
    data[data.index(b"\r\ndemo/street-1,levels") + 30] ^= 1
    made.write_bytes(data)
    changed = run("verify-evidence", str(made), "--key", str(pem), "--json")
    assert changed.exit_code == 1
    assert [one["name"] for one in json.loads(changed.stdout)["findings"]] == ["coverage.csv"]


def test_what_does_not_fit_is_named(settings: HubSettings, stores: Stores, tmp_path: Path) -> None:
    limited = settings.model_copy(
        update={"evidence": EvidenceSettings(signing_key=settings.evidence.signing_key, max_clip_bytes=100)}
    )
    write(limited, stores, tmp_path / "small.zip", place="demo")
    with zipfile.ZipFile(tmp_path / "small.zip") as archive:
        notes = archive.read("alerts.csv").decode()
        assert [name for name in archive.namelist() if name.startswith("clips/")] == [f"clips/{SEALED}.age"]
    assert "left out: the clips would be larger than evidence.max_clip_bytes" in notes
    assert verify(tmp_path / "small.zip").findings == ()


def test_damaged_levels_events_and_indexes_are_named_in_a_report_and_end_none(
    settings: HubSettings, stores: Stores, tmp_path: Path
) -> None:
    client, hour = stores.events.client, int(START.timestamp()) // 3_600
    damaged = (
        level_keys.level_seconds(PLACE, hour),
        keys.event("demo.street-1.two.20"),
        keys.event("demo.street-1.two.70"),
        keys.delivery_ledger(PLACE),
    )
    copies = [client.dump(key) for key in damaged]
    try:
        client.set(damaged[0], b"x" * 3)
        for key in damaged[1:]:
            client.delete(key)
            client.set(key, "x")
        write(settings, stores, tmp_path / "damaged.zip")
        with zipfile.ZipFile(tmp_path / "damaged.zip") as archive:
            named = archive.read("damaged-rows.csv").decode()
            reasons = archive.read("coverage.csv").decode()
        for key in (f"levels,{PLACE}:{hour}", "event,demo.street-1.two.20", "event,demo.street-1.two.70", PLACE):
            assert key in named
        assert "stored row damaged" in reasons
    finally:
        for key, copy in zip(damaged, copies, strict=True):
            client.restore(key, 0, copy, replace=True)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("elsewhere", "--from", "2025-06-01", "--to", "2025-06-01"), "no sensor of elsewhere; known: demo/street-1"),
        (("demo", "--from", "noon", "--to", "2025-06-01"), "'noon' is no date or time"),
        (("demo", "--from", "2025-06-02", "--to", "2025-06-01"), "is empty"),
        (("demo", "--from", "2190-01-01", "--to", "2190-01-02"), "has not begun"),
        (("demo", "--from", "2020-01-01", "--to", "2024-01-01"), "at most 366 days"),
        (("Demo", "--from", "2025-06-01", "--to", "2025-06-01"), "Demo"),
    ],
)
def test_a_wrong_request_states_what_to_do(
    settings: HubSettings, stores: Stores, tmp_path: Path, words: tuple[str, ...], text: str
) -> None:
    assert stores.audio is not None
    done = run("report-evidence", *words, "--output", str(tmp_path / "x.zip"), *overrides(settings))
    assert done.exit_code == 2, done.output
    assert text in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "end", "at"),
    [
        ("2025-06-01", False, "2025-06-01T00:00:00+02:00"),
        ("2025-06-01", True, "2025-06-02T00:00:00+02:00"),
        ("2026-10-25", True, "2026-10-26T00:00:00+01:00"),
        ("2025-06-01T22:00", True, "2025-06-01T22:00:00+02:00"),
        ("2025-06-01T22:00:00Z", False, "2025-06-01T22:00:00+00:00"),
    ],
)
def test_bounds_are_dates_or_times(text: str, end: bool, at: str) -> None:
    assert parse_bound(text, ZONE, end=end).isoformat() == at


@pytest.mark.parametrize("text", ["", "1969-01-01", "9999-12-31", "2026-6-1", "20260601T"])
def test_other_bounds_are_refused(text: str) -> None:
    with pytest.raises(InvalidError, match=r"write 2026-06-01|outside the years"):
        parse_bound(text, ZONE, end=True)

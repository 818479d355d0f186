"""Implement `earwitness-edge calibrate`."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from edge.calibration.calibrator import Recognition
from edge.calibration.history import CalibrationEntry, History, append_entry, read_history
from edge.calibration.session import CalibrationSession, Instruments, drift_warning, now_utc
from edge.calibration.tone import ToneBlock
from edge.command_options import AsJson, Config, Overrides, fail, read_settings
from edge.settings import EdgeSettings
from shared.command_line import to_json
from shared.errors import EarwitnessError, InvalidError
from shared.paths import printable


def calibrate(
    config: Config = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Search this recording of the calibrator; the microphone stays unused."),
    ] = None,
    level_db: Annotated[
        float | None,
        typer.Option(
            "--level-db",
            min=70.0,
            max=130.0,
            help="Level of the calibrator, dB SPL; 94 or 114 is recognised otherwise.",
        ),
    ] = None,
    microphone: Annotated[
        str | None, typer.Option("--microphone", help="Serial number of the microphone; as before if not given.")
    ] = None,
    calibrator: Annotated[
        str | None, typer.Option("--calibrator", help="Serial number of the calibrator; as before if not given.")
    ] = None,
    timeout_s: Annotated[float, typer.Option("--timeout-s", min=12.0, help="Listen for at most this long.")] = 120.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and print, and write nothing.")] = False,
    list_all: Annotated[
        bool, typer.Option("--list", help="Print the history of calibrations and measure nothing.")
    ] = False,
) -> None:
    """Recognise a sound calibrator of 94 or 114 dB at 1 kHz, and write the sensor's calibration.

    Put the calibrator on the microphone, switch it on, and run the command. It ends after 10 s of a tone that is at
    1 kHz within 2 %, steady within ±0.2 dB, at least 20 dB above other sound, and not clipped. It adds a line to the
    history of calibrations. The agent uses the last line from its next start on, unless `levels.full_scale_db_spl`
    is set. A drift of more than 0.5 dB since the calibration before is a warning.

    Stop the agent first if only one program can open the microphone.

    Exits with 0 if a calibrator was recognised, 1 if not (the output explains why) or if a device or file fails, 2
    if a setting or file is invalid.

    [b]Examples[/b]

    Calibrate the microphone of a sensor, and note the instruments:

        earwitness-edge calibrate --config edge.toml --microphone 4711 --calibrator 34091

    Test the calibration and change nothing:

        earwitness-edge calibrate --config edge.toml --dry-run

    Use a recording of the calibrator, made with the sensor's microphone and gain:

        earwitness-edge calibrate --config edge.toml --file tone.wav

    Print all calibrations:

        earwitness-edge calibrate --config edge.toml --list
    """
    settings = read_settings(config, overrides)
    try:
        history = read_history(settings.calibration_path())
        for fault in history.faults:
            typer.echo(f"earwitness-edge: skipped: {fault}", err=True)
        if list_all:
            _print_history(settings, history, as_json=as_json)
            return
        session = CalibrationSession(settings, history, Instruments(microphone, calibrator, level_db))
        device = printable(file) if file is not None else session.microphone.description
        _note(f"looking for a calibrator: 10 s of a steady tone at 1 kHz, in {device}")
        progress = _show if sys.stderr.isatty() else _ignore
        found = session.read(file, progress) if file is not None else session.listen(timeout_s, progress)
        if not isinstance(found, Recognition):
            if as_json:
                typer.echo(to_json({"recognised": False, "reasons": found.reasons}))
            fail(f"no calibrator was recognised: {'; '.join(found.reasons)}", 1)
        entry = session.entry(found, device, now_utc())
        if not dry_run:
            append_entry(settings.calibration_path(), entry)
    except EarwitnessError as error:
        fail(str(error), 2 if isinstance(error, InvalidError) else 1)
    _print_result(settings, entry, as_json=as_json, dry_run=dry_run)


def _print_result(settings: EdgeSettings, entry: CalibrationEntry, *, as_json: bool, dry_run: bool) -> None:
    warning, path = drift_warning(entry), printable(settings.calibration_path())
    if as_json:
        document = {
            "recognised": True,
            **entry.model_dump(mode="json"),
            "warning": warning,
            "written_to": None if dry_run else path,
            "overridden_by": settings.levels.full_scale_db_spl,
        }
        typer.echo(to_json(document))
    else:
        typer.echo(
            f"recognised {entry.level_db:.1f} dB at {entry.frequency_hz:.1f} Hz: {entry.measured_dbfs:.2f} dBFS,"
            f" ±{entry.fluctuation_db:.2f} dB, {entry.snr_db:.0f} dB above other sound"
        )
        drift = (
            ""
            if entry.drift_db is None
            else f"; before: {entry.level_before_db:.2f} dB, drift {entry.drift_db:+.2f} dB"
        )
        typer.echo(f"0 dBFS is {entry.full_scale_db_spl:.2f} dB SPL{drift}")
        typer.echo(
            "nothing was written (--dry-run)"
            if dry_run
            else f"calibration {entry.id} is in {path}; the agent uses it from its next start on"
        )
    if warning is not None:
        _note(f"warning: {warning}")
    if settings.levels.full_scale_db_spl is not None:
        _note("warning: levels.full_scale_db_spl is set and wins over this calibration: remove it from the settings")


def _print_history(settings: EdgeSettings, history: History, *, as_json: bool) -> None:
    if as_json:
        typer.echo(to_json([entry.model_dump(mode="json") for entry in history.entries]))
        return
    if not history.entries:
        typer.echo(f"never calibrated: there is no calibration in {printable(settings.calibration_path())}")
    for entry in history.entries:
        drift = "first" if entry.drift_db is None else f"{entry.drift_db:+.2f} dB"
        serials = f"microphone {entry.microphone or 'not stated'}, calibrator {entry.calibrator or 'not stated'}"
        age = (datetime.now(UTC) - entry.at).days
        typer.echo(
            f"{entry.at:%Y-%m-%d %H:%M} UTC  {entry.id}  0 dBFS = {entry.full_scale_db_spl:.2f} dB SPL"
            f"  {entry.level_db:.1f} dB at {entry.frequency_hz:.1f} Hz  drift {drift}  {serials}  {age} days ago"
        )


def _show(block: ToneBlock) -> None:
    sys.stderr.write(
        f"{block.frequency_hz:8.1f} Hz  {block.level_dbfs:7.2f} dBFS  noise {block.noise_dbfs:7.2f} dBFS\n"
    )
    sys.stderr.flush()


def _ignore(block: ToneBlock) -> None:
    """Show no progress: standard error is not a terminal."""


def _note(text: str) -> None:
    typer.echo(f"earwitness-edge: {text}", err=True)

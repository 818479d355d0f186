"""A network stream as a sensor's source: the real ffmpeg, and servers on loopback that end, go silent and refuse."""

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge import diagnostics
from edge.capture import Capture
from edge.commands.rules import locked, public_settings
from edge.settings import EdgeSettings
from edge.sources import AudioClip, open_source
from edge.sources.ffmpeg_process import public_address
from edge.sources.stream import AHEAD_S, StreamSource
from edge.spool import Spool
from edge.spool_writer import Destination
from shared.audio import Waveform, decode_flac
from shared.errors import InvalidError, UnavailableError
from shared.events import Flac
from shared.messages.event import decode_event
from shared.settings import load_settings
from tests.programs import program
from tests.rtsp_server import PASSWORD, RtspServer
from tests.server_processes import eventually

RATE_HZ = 8_000


def sound(seconds: float) -> Waveform:
    return (0.1 * np.random.default_rng(1).normal(size=round(seconds * RATE_HZ))).astype(np.float32)


def settings_of(url: str, *others: str) -> EdgeSettings:
    fixed = ["source.kind=stream", f"source.rate_hz={RATE_HZ}", f"stream.url={url}", "stream.silent_s=20"]
    return load_settings(EdgeSettings, None, [*fixed, *others])


def receive(url: str, *others: str) -> Iterator[AudioClip]:
    """Every clip of a stream until it fails."""
    for item in open_source(settings_of(url, *others)).clips(threading.Event()):
        assert isinstance(item, AudioClip)
        yield item


def children() -> dict[int, str]:
    """The arguments of every ffmpeg that this process started, by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended
            continue
        if parent == os.getpid() and "ffmpeg" in words:
            found[int(folder.name)] = words
    return found


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://ines:{PASSWORD}@127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_a_stream_that_ends_is_reported_and_received_again_and_no_process_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program("ffmpeg")
    monkeypatch.setattr("edge.capture.REOPEN_S", 0.05)
    spool, stop, played = Spool(tmp_path / "s.db", 10**8), threading.Event(), sound(12.0)
    with RtspServer(played, RATE_HZ) as server:
        settings = settings_of(server.url(), "stream.silent_s=30")
        capture = Capture(settings, open_source(settings), Destination(spool, lambda: None), "b")
        running = threading.Thread(target=capture.run, args=(stop,))
        running.start()
        try:
            eventually(lambda: bool(capture.tally.failure), 20, "the end is reported")
            first, server.silent = capture.tally.captured, True
            eventually(lambda: capture.tally.captured > first, 20, "it is received again")
            eventually(lambda: not capture.tally.failure, 20, "no failure is reported any more")
            (process,) = children().items()
        finally:
            stop.set()
            running.join(10)
    assert not running.is_alive()
    assert process[0] not in children()
    assert PASSWORD not in process[1], "all users see the arguments of a process"
    assert "-protocol_whitelist" in process[1]
    events = [decode_event(row.payload) for row in spool.peek(10, levels=False)]
    spool.close()
    assert [event.id.seq for event in events] == list(range(capture.tally.captured))
    for event in events:
        assert isinstance(event.body, Flac)
        np.testing.assert_allclose(decode_flac(event.body.data)[0], played[: 10 * RATE_HZ], atol=2 / 32_768)
    logged = [record for record in caplog.records if record.msg == "the source delivers again"]
    assert logged[-1].__dict__["gap_s"] >= 0.0
    assert f"the stream rtsp://127.0.0.1:{server.port} ended" in str([record.__dict__ for record in caplog.records])
    assert PASSWORD not in str([record.__dict__ for record in caplog.records])


def test_a_stream_that_goes_silent_fails_and_its_process_is_ended() -> None:
    program("ffmpeg")
    before = children()
    with RtspServer(sound(1.0), RATE_HZ, silent=True) as server:
        source = StreamSource(server.url(), ffmpeg=Path("ffmpeg"), rate_hz=RATE_HZ, silent_s=0.4)
        with pytest.raises(UnavailableError, match=rf"rtsp://127.0.0.1:{server.port} delivered nothing for 0.4 s"):
            list(source.clips(threading.Event()))
    assert children().keys() <= before.keys()


def test_a_refusal_names_what_the_server_answered_and_what_to_check_and_no_secret(tmp_path: Path) -> None:
    program("ffmpeg")
    with RtspServer(sound(1.0), RATE_HZ) as server, pytest.raises(UnavailableError) as refused:
        list(receive(server.url("wr0ng")))
    with web_server(tmp_path) as address, pytest.raises(UnavailableError) as missing:
        list(receive(f"{address}/none.mp3?key=s3cr3t"))
    with pytest.raises(UnavailableError) as away:
        list(receive(f"{address}/none.mp3?key=s3cr3t"))
    for error, cause in ((refused, "401 Unauthorized"), (missing, "404 Not Found"), (away, "Connection refused")):
        assert "cannot be received: " in str(error.value)
        assert cause in str(error.value)
        assert "check stream.url" in str(error.value)
        assert not {word for word in (PASSWORD, "wr0ng", "s3cr3t", "none") if word in str(error.value)}


def test_the_first_channel_is_resampled_to_the_sensors_rate(tmp_path: Path) -> None:
    program("ffmpeg")
    tone = np.sin(2 * np.pi * 500.0 * np.arange(11 * 16_000) / 16_000)
    soundfile.write(tmp_path / "a.wav", np.stack([0.5 * tone, -0.5 * tone], axis=1), 16_000)
    with web_server(tmp_path) as address:
        clip = next(receive(f"{address}/a.wav"))
    assert clip.waveform.shape == (10 * RATE_HZ,)
    assert clip.waveform.dtype == np.float32
    assert float(np.sqrt(np.mean(clip.waveform**2))) == pytest.approx(0.5 / np.sqrt(2.0), rel=1e-3)


def test_a_recording_is_refused_because_its_sound_has_no_time_of_its_own(tmp_path: Path) -> None:
    program("ffmpeg")
    soundfile.write(tmp_path / "a.wav", sound(AHEAD_S + 2.0), RATE_HZ)
    with web_server(tmp_path) as address, pytest.raises(UnavailableError, match=r"set source\.kind to files"):
        list(receive(f"{address}/a.wav"))


def test_a_playlist_of_a_server_opens_no_file_of_the_sensor(tmp_path: Path) -> None:
    program("ffmpeg")
    soundfile.write(tmp_path / "a.wav", sound(12.0), RATE_HZ)
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:12", "#EXTINF:12,", f"file://{tmp_path}/a.wav", "#EXT-X-ENDLIST"]
    (tmp_path / "list.m3u8").write_text("\n".join(lines))
    with web_server(tmp_path) as address, pytest.raises(UnavailableError, match="cannot be received"):
        list(receive(f"{address}/list.m3u8"))


def test_without_ffmpeg_the_error_names_the_package_and_the_setting() -> None:
    with pytest.raises(
        UnavailableError, match=r"no program ffmpeg-none: `apt install ffmpeg`, or set stream\.ffmpeg"
    ):
        list(receive("rtsp://127.0.0.1/street", "stream.ffmpeg=ffmpeg-none"))


def test_check_states_what_to_do_when_the_stream_cannot_be_received(monkeypatch: pytest.MonkeyPatch) -> None:
    program("ffmpeg")
    monkeypatch.setattr(diagnostics, "try_broker", lambda _: "not tried")
    (source, *others) = diagnostics.run_checks(settings_of(f"rtsp://camera:{PASSWORD}@127.0.0.1:9/street"))
    assert (source.what, source.ok) == ("source", False)
    assert "check stream.url" in source.words
    assert PASSWORD not in source.words
    assert "level" not in {one.what for one in others}


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        ([], "needs stream.url or stream.url_file"),
        (["stream.url=file:///etc/s3cr3t"], "rtsp://, rtsps://, http://, https://"),
        (["stream.url=rtsp:///s3cr3t"], "a URL with a host"),
        (["stream.url=rtsp://[s3cr3t/"], "it is no URL"),
        (["stream.url=rtsp://host/s3cr3t'"], "percent-encode"),
        (["stream.url=rtsp://host/s3cr3t\nfile x"], "percent-encode"),
        (["stream.url=rtsp://host/s3cr3t" + 2_000 * "x"], "more than 2000 characters"),
        (["stream.url=rtsp://host/s3cr3t", "stream.url_file=/x"], "not both"),
    ],
)
def test_a_wrong_address_is_refused_and_not_shown(overrides: list[str], fault: str) -> None:
    with pytest.raises(InvalidError, match=fault) as refused:
        load_settings(EdgeSettings, None, ["source.kind=stream", *overrides])
    assert "s3cr3t" not in str(refused.value)


def test_the_address_may_come_from_a_file_which_is_checked_as_well(tmp_path: Path) -> None:
    file = tmp_path / "stream.url"
    settings = load_settings(EdgeSettings, None, ["source.kind=stream", f"stream.url_file={file}"])
    for text, fault in ((None, "No such file"), ("ftp://host/s3cr3t\n", "write a URL with a host")):
        if text is not None:
            file.write_text(text)
        with pytest.raises(InvalidError, match=rf"stream\.url_file: .*{fault}") as refused:
            open_source(settings)
        assert "s3cr3t" not in str(refused.value)
    file.write_text("rtsp://camera:s3cr3t@host/street\n")
    assert open_source(settings).description == "stream rtsp://host at 48000 Hz"


def test_a_hub_may_neither_read_nor_change_the_address_and_the_program() -> None:
    settings = settings_of(f"rtsp://camera:{PASSWORD}@host/street")
    assert PASSWORD not in str(public_settings(settings))
    assert PASSWORD not in str(settings)
    for name in ("stream.url", "stream.url_file", "stream.ffmpeg"):
        assert locked(name) is not None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://u:p@host:554/a?b=c", "rtsp://host:554"),
        ("https://host/a", "https://host"),
        ("http://[::1]:80/", "http://[::1]:80"),
    ],
)
def test_only_scheme_host_and_port_of_an_address_are_shown(url: str, shown: str) -> None:
    assert public_address(url) == shown

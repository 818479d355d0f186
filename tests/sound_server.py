"""PulseAudio without hardware: a sink that plays into nothing, whose monitor a sensor records as its microphone.

PortAudio of Debian opens ALSA devices, so the default ALSA device is the server's default source.
"""

import subprocess
from pathlib import Path

import pytest

from shared.audio import Waveform
from tests.programs import library, program
from tests.server_processes import Server, eventually

RATE_HZ = 48_000
ALSA = """\
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


class PulseAudio(Server):
    """A sound server with a runtime folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._executable, self._pactl, self._pacat = program("pulseaudio"), program("pactl"), program("pacat")
        library("portaudio")
        library("asound_module_pcm_pulse")
        super().__init__(folder)
        self._socket = folder / "socket"
        (folder / "asound.conf").write_text(ALSA)
        for name, value in {
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_COOKIE": str(folder / "cookie"),
            "XDG_RUNTIME_DIR": str(folder),
            "HOME": str(folder),
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
        }.items():
            monkeypatch.setenv(name, value)
        folder.chmod(0o700)

    def command(self) -> list[str]:
        protocol = f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"
        flags = [
            "--daemonize=no",
            "--use-pid-file=no",
            "--exit-idle-time=-1",
            "--disallow-exit",
            "--log-level=notice",
        ]
        return [self._executable, "-n", *flags, "-L", protocol]

    def ready(self) -> bool:
        return subprocess.run([self._pactl, "info"], capture_output=True, check=False, timeout=20).returncode == 0

    def control(self, *command: str) -> str:
        """Run a command of `pactl`; its output."""
        ran = subprocess.run([self._pactl, *command], capture_output=True, text=True, check=True, timeout=20)
        return ran.stdout

    def add_sink(self, name: str) -> str:
        """Add a sink, whose monitor becomes the default source; the number of its module."""
        arguments = (f"sink_name={name}", f"rate={RATE_HZ}", "channels=1", "format=s16le")
        return self.control("load-module", "module-null-sink", *arguments).strip()

    def recorders(self) -> list[str]:
        """The streams that record now, one line each."""
        return self.control("list", "short", "source-outputs").splitlines()

    def play(self, waveform: Waveform) -> None:
        """Play mono sound to its end."""
        raw = self.folder / "played.raw"
        raw.write_bytes((waveform * 32_767.0).round().astype("<i2").tobytes())
        flags = ["--playback", "--raw", f"--rate={RATE_HZ}", "--channels=1", "--format=s16le"]
        subprocess.run([self._pacat, *flags, str(raw)], check=True, timeout=20 + waveform.size / RATE_HZ)

    def wait_for_recorder(self) -> None:
        """Wait until a sensor records."""
        eventually(self._is_recorded, 60, "the sensor records")

    def _is_recorded(self) -> bool:
        return bool(self.recorders())

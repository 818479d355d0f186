"""Settings of evidence reports."""

from pathlib import Path

from pydantic import Field

from shared.settings import SettingsGroup


class EvidenceSettings(SettingsGroup):
    """Evidence reports: signed archives of the levels, alerts and gaps of a place and period."""

    signing_key: Path = Field(
        Path("~/.local/share/earwitness/evidence.key"),
        description="file of the private key (Ed25519, PEM) that signs reports; the hub creates it, with mode 0600,"
        " with the first report",
    )
    max_clip_bytes: int = Field(
        256 * 1024 * 1024, ge=0, description="maximum bytes of the clips of one report; it names those left out"
    )

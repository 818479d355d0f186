"""Settings of limits of levels."""

from pathlib import Path

from pydantic import Field

from shared.messages.fields import NamePattern
from shared.settings import SettingsGroup


class LimitsSettings(SettingsGroup):
    """Rules by which the hub judges levels (docs/limits.md); all hubs of an archive need the same ones."""

    folder: Path | None = Field(None, description="folder of your own rule files (`*.toml`); none if unset")
    examples: tuple[NamePattern, ...] = Field(
        (),
        description="shipped example files to judge by, such as `nyc-24-218`; `earwitness-hub limits list` names all;"
        " they are examples, no legal advice",
    )

"""The settings of what a sensor sends."""

from typing import Literal

from pydantic import Field

from shared.settings import SettingsGroup


class SendSettings(SettingsGroup):
    """Selection of the clips to send, and of their parts."""

    what: Literal["all", "events", "embeddings", "levels"] = Field(
        "all",
        description="all (every clip), events (loud clips, with the clips before and after them), embeddings (every"
        " clip without audio) or levels (no clips, only the one-second levels)",
    )
    min_above_ambient_db: float = Field(
        10.0, ge=0, le=200, description="events: a clip is loud if its LAeq is this many dB above the ambient level"
    )
    min_laeq: float | None = Field(
        None,
        ge=-200,
        le=200,
        description="events: a clip is also loud if its LAeq is at least this, in the unit of reported levels",
    )
    pre_roll_clips: int = Field(1, ge=0, le=60, description="events: clips to send before a loud clip")
    hold_clips: int = Field(1, ge=0, le=8_640, description="events: clips to send after a loud clip")
    max_bytes_per_hour: int | None = Field(
        None,
        ge=10_000,
        description="maximum bytes of events and levels per hour. The sensor leaves out audio from 80 % of it,"
        " embeddings from 95 % and levels from 100 %; unlimited if not given",
    )
    max_bytes_per_day: int | None = Field(
        None, ge=10_000, description="maximum bytes of events and levels per day, like `max_bytes_per_hour`"
    )

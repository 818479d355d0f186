"""What operators set about a sensor on its page."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"
_LINES: Final = r"^[^\x00-\x09\x0b-\x1f\x7f]*$"
"""Line feeds are allowed, other control characters are not."""

Title = Annotated[str, Field(max_length=60, pattern=_PRINTABLE)]
Description = Annotated[str, Field(max_length=1_000, pattern=_LINES)]


class SensorEdits(BaseModel):
    """A sensor's title, description and treatment; nothing is set by default.

    `muted`: the sensor raises no alert; its events are archived, and belong to episodes, as before. `retired`: the
    sensor is not expected to send any more, so pages and metrics do not report it as missing.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: Title = ""
    description: Description = ""
    muted: bool = False
    retired: bool = False

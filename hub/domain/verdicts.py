"""The verdict of a person on an alert, or on one match of it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.messages.fields import Instant, Probability

VerdictKind = Literal["same", "different", "wrong-category", "ignore"]


class Verdict(BaseModel):
    """The verdict of a person on an alert, or on one match of it.

    `same`: it is the same sound. `different`: it is not. Both also join and part sources
    (`hub.store.source_verdicts`). `wrong-category`: it was something else; `categories` names it, if known.
    `ignore`: it may be right, but raise no further alert of it for a week.
    `match_probability` is what the hub had stated; `place` and `category` what the alert was about.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    alert: str
    match: str | None = None
    verdict: VerdictKind
    categories: list[str] = Field(default_factory=list)
    note: str = Field("", max_length=500)
    author: str = Field("", max_length=64)
    at: Instant
    site: str
    place: str
    category: str
    match_probability: Probability

    @property
    def subject(self) -> str:
        """The subject; a later verdict on the same replaces it."""
        return f"{self.alert}|{self.match or ''}"

    @property
    def hub_was_right(self) -> bool | None:
        """Return whether the hub had been right; None if the verdict does not show that."""
        return None if self.verdict == "ignore" else self.verdict == "same"

"""The verdict of a person on an alert, or on one match of it."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.messages.fields import Instant, Probability

VerdictKind = Literal["same", "different", "wrong-category", "ignore"]
VerdictState = Literal["same", "different", "wrong-category", "ignore", "none"]


class Verdict(BaseModel):
    """The verdict of a person on an alert, or on one match of it.

    `same`: it is the same sound. `different`: it is not. Both also join and part sources
    (`hub.store.source_verdicts`). `wrong-category`: it was something else; `categories` names it, if known.
    `ignore`: it may be right, but raise no further alert of it for a week.
    `match_probability` is what the hub had stated; `place`, `category` and `episode` what the alert was about.
    `other_episode` is the one that the verdict joined with `episode`, or parted from it. A withdrawn verdict has
    no effect; the history keeps it.
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
    episode: str = ""
    other_episode: str = ""
    withdrawn_at: Instant | None = None
    withdrawn_by: str = Field("", max_length=80)

    @property
    def subject(self) -> str:
        """The subject; a later verdict on the same replaces it."""
        return f"{self.alert}|{self.match or ''}"

    @property
    def hub_was_right(self) -> bool | None:
        """Return whether the hub had been right; None if the verdict does not show that."""
        return None if self.verdict == "ignore" else self.verdict == "same"

    @property
    def corrected(self) -> tuple[str, ...]:
        """Return the categories that pages show instead of the hub's; empty if the verdict corrects none."""
        is_correction = self.match is None and self.verdict == "wrong-category" and self.withdrawn_at is None
        return tuple(self.categories) if is_correction else ()

    def is_of(self, who: str) -> bool:
        """Return whether a user or API token gave the verdict; False where pages need no login."""
        return bool(who) and self.author == who


def standing(history: Iterable[Verdict], match: str | None) -> Verdict | None:
    """Return the verdict that applies to an alert or one of its matches: the newest one that is not withdrawn."""
    applicable = [one for one in history if one.match == match and one.withdrawn_at is None]
    return max(applicable, key=attrgetter("at"), default=None)


def state_of(verdicts: Sequence[Verdict]) -> Verdict | None:
    """Return the verdict on an alert as a whole, else the newest one on a match; None if there is none."""
    whole = next((verdict for verdict in verdicts if verdict.match is None), None)
    return whole or max(verdicts, key=attrgetter("at"), default=None)

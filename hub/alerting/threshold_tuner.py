"""Estimate each site's thresholds again: as its history grows, and at once after a verdict."""

from dataclasses import dataclass, replace
from typing import Final

from hub.domain.thresholds import CategoryHistory, Threshold, fit_thresholds
from hub.domain.verdicts import Verdict
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from shared.taxonomy import CATEGORIES

EVERY_MS: Final = 3_600_000
"""Thresholds are estimated again when a site has this much more history."""
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class TuningRule:
    """What thresholds are tuned to.

    Attributes:
        max_false_alerts_per_day: budget of each site.
        start: lowest threshold.
        history_days: how far back history counts.
        cooldown_s: episodes that open within it after each other would have had one alert.
    """

    max_false_alerts_per_day: float
    start: float
    history_days: float
    cooldown_s: float = 1_800.0


class ThresholdTuner:
    """Learns thresholds and puts them to use.

    Args:
        archive: whose store is used.
        episode_store: the sites' history.
        rule: what thresholds are tuned to.
    """

    def __init__(self, archive: EventStore, episode_store: EpisodeStore, rule: TuningRule) -> None:
        self._redis = archive.client
        self._rows = archive.rows
        self._episode_store = episode_store
        self._budget = rule.max_false_alerts_per_day
        self._start = rule.start
        self._history_ms = round(rule.history_days * _DAY_MS)
        self._cooldown_ms = round(rule.cooldown_s * 1000)
        self._tuned_at: dict[str, int] = {}

    def tune_stale(self) -> list[str]:
        """Estimate the thresholds of the sites with another hour of events since the last time.

        Returns:
            These sites.

        Raises:
            UnavailableError: the store is away.
        """
        due = []
        for site in self._episode_store.sites():
            times = self._episode_store.observed_range(site)
            if times is not None and times[1] - self._tuned_at.get(site, times[0]) >= EVERY_MS:
                self.tune(site)
                due.append(site)
        return due

    def tune(self, site: str) -> dict[str, Threshold]:
        """Estimate a site's thresholds from its history and from verdicts, and put them to use.

        Raises:
            UnavailableError: the store is away.
        """
        first, newest = self._episode_store.observed_range(site) or (0, 0)
        since = max(first, newest - self._history_ms)
        history = self._episode_store.thresholds.match_probabilities(site, since, self._cooldown_ms)
        verdicts = self._verdicts(site)
        records = {name: CategoryHistory(history[name], verdicts.get(name, ())) for name in CATEGORIES}
        days = (newest - since) / _DAY_MS
        thresholds = fit_thresholds(
            records, days, max_false_alerts_per_day=self._budget, start=self._start, alerts_per_day=self._budget
        )
        for name, value in self._pins(site).items():
            thresholds[name] = replace(thresholds[name], value=value)
        self._episode_store.thresholds.set(site, thresholds)
        self._tuned_at[site] = newest
        return thresholds

    @raises_unavailable
    def pin_threshold(self, site: str, category: str, match_probability: float) -> None:
        """Pin a category's threshold at a site at a value, whatever the budget is."""
        self._redis.hset(keys.pinned_thresholds(site), category, match_probability)
        self.tune(site)

    @raises_unavailable
    def _pins(self, site: str) -> dict[str, float]:
        return {
            name.decode(): float(value) for name, value in self._redis.hgetall(keys.pinned_thresholds(site)).items()
        }

    @raises_unavailable
    def _verdicts(self, site: str) -> dict[str, list[tuple[float, bool]]]:
        """Return the verdicts on whether the hub was right at a site, by category: match probability and truth."""
        made: dict[str, list[tuple[float, bool]]] = {}
        for subject, row in self._redis.hgetall(keys.VERDICTS).items():
            given = self._rows.read("verdict", subject.decode(), Verdict.model_validate_json, row)
            if given is not None and given.site == site and given.hub_was_right is not None:
                made.setdefault(given.category, []).append((given.match_probability, given.hub_was_right))
        return made

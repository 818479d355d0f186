"""The working copy of a sensor's episodes while the alert rule takes one clip."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from hub.domain.episodes import CONTINUE_RATIO, ActiveAlert, Episode, Observation, SensorState, opened_by
from hub.domain.sensor_history import History, Trace
from shared.taxonomy import CATEGORIES

_HOUR_MS: Final = 3_600_000


class EpisodeDraft:
    """A copy of a sensor's state and of the history of episodes, which takes one clip.

    Args:
        sensor: state before the clip; it stays as it is.
        history: of episodes, before the clip; it stays as it is.
        gap_ms: longest silence within an episode.
        cooldown_ms: an episode that opens within this time after an episode with an alert belongs to that alert.
    """

    def __init__(self, sensor: SensorState, history: History, gap_ms: int, cooldown_ms: int) -> None:
        self.sensor = sensor.copy()
        self.history = history.copy()
        self._gap_ms = gap_ms
        self._cooldown_ms = cooldown_ms

    def take(self, observation: Observation, opens: float) -> list[Episode]:
        """Take the clip, in time or late: continue, open or merge the episodes that it belongs to.

        Args:
            observation: the clip.
            opens: least probability of a category that opens an episode, in [0, 1].

        Returns:
            The episodes that the clip belongs to, as they are now.
        """
        late = observation.start_ms <= self.sensor.newest_ms
        self.sensor.hour = observation.start_ms // _HOUR_MS
        if late:
            self.sensor.learn_ambient(observation)
            return self._take_late(observation, opens)
        taken = self.sensor.observe(observation, opens, self._gap_ms)
        for episode in taken:
            self.history.keep(episode, moved=episode.clips == 1)
        return taken

    def _take_late(self, observation: Observation, opens: float) -> list[Episode]:
        taken = []
        for number, (category, presence) in enumerate(zip(CATEGORIES, observation.presence, strict=True)):
            if presence < CONTINUE_RATIO * opens:
                continue
            known = self.sensor.episodes.get(category, ())
            start_ms = observation.start_ms
            near = self.history.episodes((observation.place, category), start_ms - self._gap_ms, start_ms, known)
            episode = next((e for e in near if e.opened_ms <= start_ms <= e.last_ms + self._gap_ms), None)
            if episode is not None:
                episode = _with_clip(episode, _trace_of(observation, presence))
            elif presence >= opens:
                episode = opened_by(observation, number)
            else:
                continue
            episode = self._grown(episode)
            for other in known:
                if other.id in self.history.merged:
                    self.sensor.forget(other.id)
            taken.append(self.sensor.upsert(episode))
        return taken

    def _grown(self, episode: Episode) -> Episode:
        """Return an episode that opened or grew, with the traces and the later episodes that it reaches now."""
        key = (episode.place, episode.category)
        recent = self.sensor.episodes.get(episode.category, ())
        while True:
            until_ms = episode.last_ms + self._gap_ms
            following = [
                e
                for e in self.history.episodes(key, episode.opened_ms, until_ms, recent)
                if e.id != episode.id and e.opened_ms >= episode.opened_ms
            ]
            traces = self.history.absorb(key, episode.opened_ms, until_ms)
            if not following and not traces:
                return self.history.keep(episode, moved=True)
            for other in following:
                episode = self._joined(episode, other)
            for trace in traces:
                episode = _with_clip(episode, trace)

    def _joined(self, first: Episode, second: Episode) -> Episode:
        """Return two episodes as one, under the id of the one that people may know."""
        kept = first if first.alert or not (second.alert or first.clips == 1) else second
        other = second if kept is first else first
        self.history.merge(other, kept.id)
        peak = first if first.peak_presence >= second.peak_presence else second
        return replace(
            kept,
            opened_ms=min(first.opened_ms, second.opened_ms),
            last_ms=max(first.last_ms, second.last_ms),
            clips=first.clips + second.clips,
            max_laeq=max(first.max_laeq, second.max_laeq),
            max_match_probability=max(first.max_match_probability, second.max_match_probability),
            peak_event=peak.peak_event,
            peak_presence=peak.peak_presence,
            alert=kept.alert or other.alert,
        )

    def note_doubts(
        self, observation: Observation, opens: float, taken: Collection[str], match_probability: Mapping[str, float]
    ) -> None:
        """Keep traces of the clip in the categories that are in doubt and in which it belongs to no episode.

        Args:
            observation: the clip.
            opens: least probability of a category that opens an episode, in [0, 1].
            taken: categories in which the clip belongs to an episode.
            match_probability: highest probability of the same kind of sound as a past event, by category.
        """
        for category, presence in zip(CATEGORIES, observation.presence, strict=True):
            if CONTINUE_RATIO * opens <= presence and category not in taken:
                trace = _trace_of(observation, presence, match_probability.get(category, 0.0))
                self.history.add_trace(observation.place, category, trace)

    def alert_in_cooldown(self, episode: Episode, *, worthy: bool) -> str:
        """Return the alert that a late episode belongs to: an earlier one's, or if it is worth one, a later one's.

        Args:
            episode: that has no alert yet.
            worthy: whether it is worth an alert.
        """
        cooldown_ms, opened_ms = self._cooldown_ms, episode.opened_ms
        key, recent = (episode.place, episode.category), self.sensor.episodes.get(episode.category, ())
        near = self.history.episodes(key, opened_ms - cooldown_ms, episode.last_ms + cooldown_ms, recent)
        others = [e for e in near if e.alert and e.id != episode.id]
        before = [e for e in others if e.opened_ms <= opened_ms < e.last_ms + cooldown_ms]
        after = [e for e in others if opened_ms <= e.opened_ms < episode.last_ms + cooldown_ms]
        return before[-1].alert if before else after[0].alert if after and worthy else ""

    def attach(self, episode: Episode, observation: Observation, alert: str) -> Episode:
        """Return an episode as one of an alert, which lasts until a cool-down after the clip."""
        until_ms = observation.end_ms + self._cooldown_ms
        call = self.sensor.calls.get(episode.category, ActiveAlert("", observation.start_ms, 0))
        same = call.alert == alert
        if same or until_ms > call.until_ms:
            self.sensor.calls[episode.category] = ActiveAlert(
                alert,
                min(observation.start_ms, call.from_ms) if same else observation.start_ms,
                max(until_ms, call.until_ms) if same else until_ms,
            )
        return episode if episode.alert == alert else self.sensor.upsert(replace(episode, alert=alert))

    def keep(self, episodes: Iterable[Episode], *, late: bool) -> None:
        """Keep the episodes of the clip as they are now.

        Args:
            episodes: of the clip.
            late: whether the clip is late, so that later episodes may belong to the alert of one of these.
        """
        for episode in episodes:
            self.history.keep(episode)
            if late and episode.alert:
                self._spread(episode)

    def _spread(self, episode: Episode) -> None:
        """Give the alert of an episode to the episodes that follow within the cool-down, one after another."""
        key, chain = (episode.place, episode.category), [episode]
        while True:
            last = chain[-1]
            until_ms = max(e.last_ms for e in chain) + self._cooldown_ms
            recent = self.sensor.episodes.get(episode.category, ())
            ids = {e.id for e in chain}
            following = next(
                (
                    e
                    for e in self.history.episodes(key, last.opened_ms, until_ms - 1, recent)
                    if e.id not in ids and e.opened_ms >= last.opened_ms
                ),
                None,
            )
            if following is None:
                break
            if not following.alert:
                following = self.history.keep(replace(following, alert=last.alert))
                if any(e.id == following.id for e in recent):
                    self.sensor.upsert(following)
            chain.append(following)
        for one in chain:
            self._extend_call(one)

    def _extend_call(self, episode: Episode) -> None:
        """Let the alert of an episode last until a cool-down after it, if that is later than the present one."""
        call, until_ms = self.sensor.calls.get(episode.category), episode.last_ms + self._cooldown_ms
        if call is None or until_ms > call.until_ms:
            from_ms = episode.opened_ms if call is None or call.alert != episode.alert else call.from_ms
            self.sensor.calls[episode.category] = ActiveAlert(
                episode.alert, min(from_ms, episode.opened_ms), until_ms
            )


def _trace_of(observation: Observation, presence: float, match_probability: float = 0.0) -> Trace:
    return Trace(
        observation.event, observation.start_ms, observation.end_ms, observation.laeq, presence, match_probability
    )


def _with_clip(episode: Episode, clip: Trace) -> Episode:
    """Return an episode with a further clip."""
    clearer = clip.presence > episode.peak_presence
    return replace(
        episode,
        opened_ms=min(episode.opened_ms, clip.start_ms),
        last_ms=max(episode.last_ms, clip.end_ms),
        clips=episode.clips + 1,
        max_laeq=max(episode.max_laeq, clip.laeq),
        max_match_probability=max(episode.max_match_probability, clip.match_probability),
        peak_event=clip.event if clearer else episode.peak_event,
        peak_presence=max(clip.presence, episode.peak_presence),
    )

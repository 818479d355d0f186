"""Search by an archived event or by an uploaded recording.

The hub cuts a recording of at most 60 s into clips of 10 s, as sensors do. Each clip is a query. An event that
matches several clips is returned once, with the clip that it matches best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from hub.alerting.matching import match_messages
from hub.domain.records import StoredEvent
from hub.search.backend import By, Exclusion, Filter, Query, exclude_recent_from_sensor
from hub.web.context import WebContext
from hub.web.transcoding import is_mp4, mp4_to_wav
from shared.audio import MAX_SAMPLES, Waveform, read_whole
from shared.errors import InvalidError
from shared.events import CLIP_S
from shared.extractor import Sound
from shared.messages.alert import MatchMessage
from shared.recording import of_bytes

UPLOAD_CAP_BYTES: Final = 20 * 1024 * 1024
LONGEST_S: Final = 60.0
_FORMATS: Final = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3")
KINDS: Final = "wav, flac, ogg, mp3 or m4a"
_LIKELY: Final = 0.5
"""Probability from which a match shows that a sound, or its source, was recorded before."""
_LAST_PIECE_S: Final = 2.0
"""A rest at most this long is no clip of its own."""


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A match of a search, and where in the query it was found.

    Attributes:
        match: the match, as the API returns it.
        at_s: start of the recording's matching clip, in seconds; 0 for a query by event.
    """

    match: MatchMessage
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RecordingSearch:
    """The result of a search by recording.

    Attributes:
        hits: matches, the most similar first.
        presence: probability of each category, 8 values, the highest over the clips of the recording.
    """

    hits: list[SearchHit]
    presence: tuple[float, ...]


Before = Literal["source", "kind", "no"]


def recorded_before(hits: Sequence[SearchHit]) -> Before:
    """Return what was probably recorded before: this source, only this kind of sound, or neither."""
    if any((hit.match.same_source or 0.0) >= _LIKELY for hit in hits):
        return "source"
    return "kind" if any((hit.match.match_probability or 0.0) >= _LIKELY for hit in hits) else "no"


def search_by_event(
    parts: WebContext,
    event: StoredEvent,
    k: int,
    chosen: Filter,
    *,
    by: By = By.BOTH,
    own_recent_clips: bool = False,
) -> list[MatchMessage]:
    """Return the events most similar to an archived one, the most similar first.

    Args:
        parts: the hub's parts.
        event: the query.
        k: most matches to return.
        chosen: filter of the searched events.
        by: criterion of the ranking.
        own_recent_clips: whether to include clips of the same sensor close in time.

    Raises:
        InvalidError: no model for its feature space, or `by` is the source and the model does not distinguish
            sources.
    """
    key = str(event.id)
    within_s = 0.0 if own_recent_clips else parts.settings.search.exclude_same_sensor_s
    barred = Exclusion(frozenset({key}))
    if within_s:
        barred = exclude_recent_from_sensor({key}, event.place, event.captured_at, within_s)
    query = Query(parts.retrieval.embed(event.space, event.features), k, barred, chosen, by)
    matches = parts.retrieval.search_all([(event.space, query)])[0]
    return match_messages(parts.retrieval, event.space, matches, parts.settings.alerts.min_shared_probability)


def search_by_audio(parts: WebContext, recording: Sound, k: int, chosen: Filter, by: By = By.BOTH) -> RecordingSearch:
    """Return the events most similar to a recording, and its categories.

    Args:
        parts: the hub's parts.
        recording: as of `decode_upload`.
        k: most matches to return.
        chosen: filter of the searched events.
        by: criterion of the ranking.

    Raises:
        InvalidError: the model cannot rank by source.
    """
    sounds = split_into_clips(*recording)
    space = parts.extractor.space.id
    towers = parts.retrieval.embed_all(space, parts.extractor.extract_many(sounds))
    answers = parts.retrieval.search_all([(space, Query(tower, k, filter=chosen, by=by)) for tower in towers])
    best: dict[str, SearchHit] = {}
    for number, matches in enumerate(answers):
        for match in match_messages(parts.retrieval, space, matches, parts.settings.alerts.min_shared_probability):
            if match.event not in best or _rank(match) > _rank(best[match.event].match):
                best[match.event] = SearchHit(match, number * CLIP_S)
    hits = sorted(best.values(), key=lambda one: _rank(one.match), reverse=True)[:k]
    presence = parts.retrieval.presence_all(space, towers)
    return RecordingSearch(hits, tuple(max(of_clips) for of_clips in zip(*presence, strict=True)))


def decode_upload(data: bytes) -> Sound:
    """Decode a recording to float32 [samples], mono, and its rate in Hz; decode at most `LONGEST_S`.

    Raises:
        InvalidError: not a file of `KINDS`, too long, damaged or empty; or m4a, and ffmpeg is not installed.
    """
    if len(data) > UPLOAD_CAP_BYTES:
        raise InvalidError(f"the recording is larger than {UPLOAD_CAP_BYTES // 2**20} MB")
    try:
        recording = of_bytes(mp4_to_wav(data, LONGEST_S + 1.0) if is_mp4(data) else data, _FORMATS)
        most = min(MAX_SAMPLES // recording.channels, round(LONGEST_S * recording.rate_hz))
        return read_whole(recording, most), recording.rate_hz
    except InvalidError as error:
        raise InvalidError(f"the recording: {error}; send {KINDS} of at most {LONGEST_S:.0f} s") from error


def split_into_clips(waveform: Waveform, rate_hz: int) -> list[Sound]:
    """Cut a recording into clips of 10 s; drop a rest of at most `_LAST_PIECE_S`."""
    step = round(CLIP_S * rate_hz)
    starts = [0, *range(step, len(waveform) - round(_LAST_PIECE_S * rate_hz), step)]
    return [(waveform[start : start + step], rate_hz) for start in starts]


def filter_of(
    *,
    since_ms: int | None = None,
    until_ms: int | None = None,
    place: str | None = None,
    category: int | None = None,
    min_laeq: float | None = None,
) -> Filter:
    """Return the filter of a search; all events pass by default."""
    return Filter(
        since_ms=since_ms,
        until_ms=until_ms,
        places=None if place is None else frozenset({place}),
        categories=None if category is None else frozenset({category}),
        min_laeq=min_laeq,
    )


def _rank(match: MatchMessage) -> float:
    return match.level if match.rank is None else match.rank

"""Prepare messages: everything that changes nothing."""

from collections.abc import Sequence

import numpy as np

from hub.domain.records import WriteState
from hub.ingest.messages import PreparedMessage, decode_message, event_id
from hub.ingest.stage_timer import StageTimer
from hub.search.retrieval import Retrieval
from hub.store.events import EventStore
from shared.audio import decode_flac
from shared.errors import InvalidError
from shared.events import Embedding, Flac
from shared.extractor import FeatureExtractor


class MessagePreparer:
    """Decodes messages, looks up which events are known, and computes features and towers.

    Args:
        archive: knows which events are stored.
        retrieval: computes towers.
        extractor: turns clips into features.
        stage: times each stage.
    """

    def __init__(
        self, archive: EventStore, retrieval: Retrieval, extractor: FeatureExtractor, stage: StageTimer
    ) -> None:
        self._archive = archive
        self._retrieval = retrieval
        self._extractor = extractor
        self._stage = stage

    def prepare(
        self, messages: Sequence[tuple[str, bytes]], waited_s: Sequence[float | None] | None = None
    ) -> list[PreparedMessage]:
        """Everything that changes nothing: decoding, asking what is known, features and towers.

        Args:
            messages: each with its topic.
            waited_s: how long ago each was sent to the broker, as far as is known.

        Raises:
            UnavailableError: the store is away.
        """
        with self._stage("decode") as events:
            items = [decode_message(topic, payload) for topic, payload in messages]
            for item, waited in zip(items, waited_s or (), strict=False):
                item.waited_s = waited
            events += [item for item in items if item.event is not None]
            if events:
                for item, known in zip(
                    events, self._archive.write_states([event_id(e) for e in events]), strict=True
                ):
                    item.known = known
        with self._stage("features") as fresh:
            fresh += [item for item in events if item.known is not WriteState.REPEAT]
            for item in fresh:
                self._add_features(item)
            for space in {item.space for item in fresh if item.problem is None}:
                self._add_towers(space, [item for item in fresh if item.space == space and item.problem is None])
        return items

    def _add_features(self, item: PreparedMessage) -> None:
        assert item.event is not None  # noqa: S101 - only events get here
        try:
            match item.event.body:
                case Embedding(space, features):
                    item.space, item.features = space, features
                case Flac(data):
                    waveform, rate_hz = decode_flac(data)
                    item.space = self._extractor.space.id
                    item.features = self._extractor.extract(waveform, rate_hz)
        except InvalidError as error:
            item.problem = error

    def _add_towers(self, space: str, items: list[PreparedMessage]) -> None:
        try:
            towers = self._retrieval.embed_all(space, np.stack([item.features for item in items]))
        except InvalidError as error:
            for item in items:
                item.problem = error
            return
        for item, own in zip(items, towers, strict=True):
            item.towers = own
